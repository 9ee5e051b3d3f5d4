"""From quantized tensors to syntax elements and payload bytes: the inverse of `decoder.plan`.

In: element ids and `QuantizedTensor`s of one unit. Out: a `CodedPayload`, then header values for
`syntax.stream.write_unit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from .. import core
from ..decoder.plan import matrix_shape
from ..syntax.constants import PayloadType, QuantizationMethodFlags
from ..syntax.data_unit import entry_point_elements
from .config import EncoderConfig
from .tools import QuantizedTensor

__all__ = ["CodedPayload", "code_tensor", "data_unit_header", "model_parameter_set", "raw_payload"]


@dataclass(frozen=True, slots=True)
class CodedPayload:
    """Payload bytes of one unit, and the header values that belong to them.

    Attributes:
        qp: quantization parameter (base included), None for integers and raw floats.
        header: values of nnr_compressed_data_unit_header.
    """

    element_id: str
    payload: bytes
    header: dict[str, Any]
    qp: int | None
    dq_flag: int


def model_parameter_set(
    config: EncoderConfig, *, codebooks: bool, base_qp: int, topology: bool
) -> dict[str, Any]:
    """(syntax 4.1) Values of the model parameter set of an absolute stream."""
    methods = QuantizationMethodFlags.NNR_QSU
    if codebooks:
        methods |= QuantizationMethodFlags.NNR_QCB
    values: dict[str, Any] = {
        "topology_carriage_flag": int(topology),
        "mps_sparsification_flag": 0,
        "mps_pruning_flag": 0,
        "mps_unification_flag": 0,
        "mps_decomposition_performance_map_flag": 0,
        "mps_quantization_method_flags": int(methods),
        "mps_topology_indexed_reference_flag": 0,
        "mps_qp_density": config.qp_density,
        "mps_quantization_parameter": base_qp,
    }
    if config.profile == 1:
        values |= {
            "base_model_id_present_flag": 0,
            "validation_set_performance_present_flag": 0,
            "metric_type_performance_map_valid_flag": 0,
            "mps_parent_signalling_enabled_flag": 0,
        }
    return values


def effective_scan_order(shape: Sequence[int], scan_order: int) -> int:
    """(decoding 9.1, README D5) The scan order to write: 0 for what is no matrix."""
    rows, cols = matrix_shape(shape)
    return scan_order if rows > 1 and cols > 1 else 0


def data_unit_header(
    element_id: str,
    payload_type: PayloadType,
    shape: Sequence[int],
    *,
    profile: int,
    cabac_unary_length: int,
    dq_flag: int = 0,
    scan_order: int = 0,
    entry_points: Sequence[tuple[int, int, int]] = (),
) -> dict[str, Any]:
    """(syntax 9.1) Header values of a unit with one tensor, every parameter in band.

    Args:
        entry_points: distance in bits, offset register and quantizer state of each block row but the first
            (decoding 9.3).
    """
    header: dict[str, Any] = {
        "nnr_compressed_data_unit_payload_type": int(payload_type),
        "nnr_multiple_topology_elements_present_flag": 0,
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "topology_elem_id": element_id,
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 1,
        "compressed_parameter_types": 0,
        "tensor_dimensions": list(shape),
        "cabac_unary_length_minus1": cabac_unary_length - 1,
    }
    if profile == 1:
        header["node_id_present_flag"] = 0
    if payload_type == PayloadType.NNR_PT_FLOAT:
        header["codebook_present_flag"] = 0
    if payload_type != PayloadType.NNR_PT_RAW_FLOAT:
        header["dq_flag"] = dq_flag
    if len(shape) > 1:
        if profile == 1:
            header["first_tensor_dimension_shift"] = 0
        header["scan_order"] = scan_order
        if scan_order:
            bits, offsets, states = zip(*entry_points, strict=True) if entry_points else ((), (), ())
            header |= entry_point_elements(bits, offsets, states if dq_flag else None)
    return header


def raw_payload(element_id: str, values: np.ndarray, config: EncoderConfig) -> CodedPayload:
    """(decoding 10.8) A unit of raw floats: row-major little-endian binary32."""
    header = data_unit_header(
        element_id,
        PayloadType.NNR_PT_RAW_FLOAT,
        values.shape,
        profile=config.profile,
        cabac_unary_length=config.cabac_unary_length,
    )
    return CodedPayload(element_id, values.astype("<f4", copy=False).tobytes(), header, None, 0)


def code_tensor(
    element_id: str,
    quantized: QuantizedTensor,
    payload_type: PayloadType,
    config: EncoderConfig,
    base_qp: int,
) -> CodedPayload:
    """(encoding 2) Entropy-code one tensor as a unit of its own.

    Raises:
        SyntaxValueError: levels that cannot be written, because they leave 32 bits or do not follow the
        states
            of dependent quantization: a defect of the tool that made them.
    """
    shape = quantized.levels.shape
    scan_order = effective_scan_order(shape, config.scan_order)
    has_qp = payload_type != PayloadType.NNR_PT_INT
    rows, cols = matrix_shape(shape)
    block_rows = -(-rows // (4 << scan_order)) if scan_order else 0
    entries = np.zeros((block_rows, 3), np.int64)
    unit = [0] * len(core.Unit)
    unit[core.Unit.TENSOR_COUNT] = 1
    unit[core.Unit.PROFILE] = config.profile
    unit[core.Unit.DQ_FLAG] = quantized.dq_flag
    unit[core.Unit.ESCAPE_CONTEXT_COUNT] = 32 if config.compat == "nncodec1" else 31
    unit[core.Unit.PARAM_OPT] = core.ParamOpt.EXACT if config.param_opt else core.ParamOpt.OFF
    tensor = [0] * len(core.Tensor)
    tensor[core.Tensor.ROWS], tensor[core.Tensor.COLS] = rows, cols
    tensor[core.Tensor.CABAC_UNARY_LENGTH] = config.cabac_unary_length
    tensor[core.Tensor.SCAN_ORDER] = scan_order
    tensor[core.Tensor.HAS_QP] = int(has_qp)
    tensor[core.Tensor.BASE_QP] = base_qp if has_qp else 0
    tensor[core.Tensor.QP] = quantized.qp if has_qp else 0
    tensor[core.Tensor.QP_DENSITY] = config.qp_density
    tensor[core.Tensor.ROW_SKIP_FLAG] = 2 if config.row_skip and config.profile == 1 else 0
    tensor[core.Tensor.LEVELS] = core.address(quantized.levels)
    tensor[core.Tensor.ENTRY_LIST] = core.address(entries)
    (payload,) = core.encode_units(core.new_units([unit]), core.new_tensors([tensor]))
    entry_points = [
        (bits - before, offset, state) for (before, _, _), (bits, offset, state) in pairwise(entries.tolist())
    ]
    header = data_unit_header(
        element_id,
        payload_type,
        shape,
        profile=config.profile,
        cabac_unary_length=config.cabac_unary_length,
        dq_flag=quantized.dq_flag,
        scan_order=scan_order,
        entry_points=entry_points,
    )
    return CodedPayload(element_id, payload, header, quantized.qp if has_qp else None, quantized.dq_flag)
