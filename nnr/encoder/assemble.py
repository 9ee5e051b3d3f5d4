"""From quantized tensors to syntax elements and payload bytes: the inverse of `decoder.plan`.

In: the members of one unit, quantized. Out: a `CodedUnit` with the payload and the header values that
`syntax.stream.write_unit` takes. Order, dimensions and codebook rules are those of `decoder.plan`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from .. import core
from ..decoder.payload import TensorContext
from ..decoder.plan import Role, block_roles, matrix_shape
from ..syntax.constants import CompressedParameterTypes as Cpt
from ..syntax.constants import ParentNodeIdType, PayloadType, QuantizationMethodFlags
from ..syntax.data_unit import codebook_elements, entry_point_elements
from .config import EncoderConfig
from .tools import QuantizedTensor

__all__ = [
    "CodedUnit",
    "Link",
    "Member",
    "ReadyUnit",
    "code_units",
    "effective_scan_order",
    "entry_point_bytes",
    "model_parameter_set",
    "raw_unit",
    "ready_unit",
]

_TYPE_OF_ROLE = {
    Role.G: Cpt.NNR_CPT_DC,
    Role.LOCAL_SCALING: Cpt.NNR_CPT_LS,
    Role.BN_BETA: Cpt.NNR_CPT_BN,
    Role.BIAS: Cpt.NNR_CPT_BI,
}


@dataclass(frozen=True, slots=True)
class Member:
    """One quantized tensor of a unit, and what it is to its layer."""

    element_id: str
    role: Role
    quantized: QuantizedTensor


@dataclass(frozen=True, slots=True)
class Link:
    """Place of a unit in the parameter update tree (decoding 11.2).

    Attributes:
        parameter_id: number of the parameter in the model.
        depth: put_node_depth.
        differential: the unit is a difference to its parent.
        parent_digest: SHA-256 or SHA-512 of the parent's payload, to name it by that; None to name it by
        its node.
        temporal: use temporal contexts; every member needs a base then.
        history: code the history flag as 0 never, 2 if it saves bytes.
        contexts: base levels and history of each member, by element id.
        device, parent_device: device_id of the unit and of its parent.
    """

    parameter_id: int
    depth: int
    differential: bool = False
    parent_digest: bytes | None = None
    temporal: bool = False
    history: int = 0
    contexts: Mapping[str, TensorContext] = field(default_factory=dict)
    device: int = 0
    parent_device: int = 0


@dataclass(frozen=True, slots=True)
class CodedUnit:
    """One data unit, coded.

    Attributes:
        header: values of nnr_compressed_data_unit_header.
        bits: of the payload, by element id.
    """

    element_ids: tuple[str, ...]
    payload: bytes
    header: dict[str, Any]
    bits: dict[str, int] = field(default_factory=dict)


def model_parameter_set(
    config: EncoderConfig, *, codebooks: bool, base_qp: int, topology: bool, parents: bool = False
) -> dict[str, Any]:
    """(syntax 4.1) Values of a model parameter set.

    Args:
        codebooks: some unit has a codebook.
        topology: the stream has a topology unit.
        parents: units may name parents: the stream is an update.
    """
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
            "mps_parent_signalling_enabled_flag": int(parents),
        }
        if parents:
            values["nnr_pre_flag"] = 0
    return values


def effective_scan_order(shape: Sequence[int], scan_order: int) -> int:
    """(decoding 9.1, README D5) The scan order to write: 0 for what is no matrix."""
    rows, cols = matrix_shape(shape)
    return scan_order if rows > 1 and cols > 1 else 0


def _common_header(
    element_ids: Sequence[str],
    payload_type: PayloadType,
    dims: Sequence[int],
    config: EncoderConfig,
    link: Link | None,
) -> dict[str, Any]:
    """(syntax 9.1) Elements that every unit has; all parameters in band."""
    block = payload_type == PayloadType.NNR_PT_BLOCK
    header: dict[str, Any] = {
        "nnr_compressed_data_unit_payload_type": int(payload_type),
        "nnr_multiple_topology_elements_present_flag": int(block),
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 1,
        "compressed_parameter_types": 0,
        "tensor_dimensions": list(dims),
        "cabac_unary_length_minus1": config.cabac_unary_length - 1,
    }
    if block:
        header["topology_elem_id_list"] = list(element_ids)
    else:
        header["topology_elem_id"] = element_ids[0]
    if config.profile == 1:
        header |= _link_header(link)
        if len(dims) > 1:
            header["first_tensor_dimension_shift"] = 0
    if len(dims) > 1:
        header["scan_order"] = 0
    return header


def _link_header(link: Link | None) -> dict[str, Any]:
    """(syntax 9.1) Node and parent identifiers."""
    if link is None:
        return {"node_id_present_flag": 0}
    header: dict[str, Any] = {
        "node_id_present_flag": 1,
        "device_id": link.device,
        "parameter_id": link.parameter_id,
        "put_node_depth": link.depth,
    }
    if link.differential:
        header |= {"parent_node_id_present_flag": 1, "temporal_context_modeling_flag": int(link.temporal)}
        if link.parent_digest is None:
            kind = int(ParentNodeIdType.ICNN_NDU_ID)
            header |= {"parent_node_id_type": kind, "parent_device_id": link.parent_device}
        else:
            digest = int.from_bytes(link.parent_digest, "big")
            if len(link.parent_digest) == 32:
                header["parent_node_id_type"] = int(ParentNodeIdType.ICNN_NDU_PL_SHA256)
                header["parent_node_payload_sha256"] = digest
            else:
                header["parent_node_id_type"] = int(ParentNodeIdType.ICNN_NDU_PL_SHA512)
                header["parent_node_payload_sha512"] = digest
    return header


def raw_unit(
    element_id: str, values: np.ndarray, config: EncoderConfig, link: Link | None = None
) -> CodedUnit:
    """(decoding 10.8) A unit of raw floats: row-major little-endian binary32."""
    header = _common_header([element_id], PayloadType.NNR_PT_RAW_FLOAT, values.shape, config, link)
    return CodedUnit((element_id,), values.astype("<f4", copy=False).tobytes(), header)


@dataclass(frozen=True, slots=True)
class ReadyUnit:
    """A unit as `code_units` takes it: header so far, rows for the core, and who stands for each of these."""

    header: dict[str, Any]
    element_ids: tuple[str, ...]
    unit: list[int]
    tensors: list[list[int]]
    members: list[Member]  # in the order of the payload; holds the levels, which rows know by address
    entries: list[np.ndarray]
    scan_order: int


def ready_unit(
    members: Sequence[Member],
    payload_type: PayloadType,
    config: EncoderConfig,
    base_qp: int,
    link: Link | None = None,
    dimensions: Sequence[int] | None = None,
) -> ReadyUnit:
    """(encoding 2) All of a unit that is known before its payload.

    Args:
        members: one tensor, or those of a block in any order.
        dimensions: of a decomposed weight; None for others.

    Raises:
        ValueError: the members do not make up a block.
    """
    types, ids, payload_order = _arrange(members, payload_type)
    weight = ids[0].quantized
    dims = weight.levels.shape if dimensions is None else dimensions
    header = _common_header([m.element_id for m in ids], payload_type, dims, config, link)
    header["compressed_parameter_types"] = int(types)
    scan_order = effective_scan_order(dims, config.scan_order)
    if types & Cpt.NNR_CPT_DC:
        header["g_number_of_rows"], header["decomposition_rank"] = weight.levels.shape
        if 1 in (*weight.levels.shape, ids[1].quantized.levels.shape[1]):
            scan_order = (
                0  # README D5: every matrix of a unit with a block scan has more than one row and column
            )
    has_qp = payload_type != PayloadType.NNR_PT_INT
    if has_qp:
        header["codebook_present_flag"] = int(weight.codebook is not None)
        if weight.codebook is not None:
            book = weight.codebook
            header["integer_codebook"] = codebook_elements(book.entries, book.zero_offset)
            if types & Cpt.NNR_CPT_DC:
                book = ids[1].quantized.codebook or book
                header["integer_codebook_second"] = codebook_elements(book.entries, book.zero_offset)
    header["dq_flag"] = weight.dq_flag
    entries: list[np.ndarray] = []
    rows = [_tensor_row(m, config, base_qp, link, scan_order, has_qp, entries) for m in payload_order]
    unit = [0] * core.UNIT_COLUMNS
    unit[core.Unit.TENSOR_COUNT] = len(rows)
    unit[core.Unit.PROFILE] = config.profile
    unit[core.Unit.DQ_FLAG] = weight.dq_flag
    unit[core.Unit.PARENT_NODE_ID_PRESENT_FLAG] = int(link is not None and link.differential)
    unit[core.Unit.TEMPORAL_CONTEXT_MODELING_FLAG] = int(link is not None and link.temporal)
    unit[core.Unit.ESCAPE_CONTEXT_COUNT] = 32 if config.compat == "nncodec1" else 31
    search = core.ParamOpt.FAST if config.effort == "fast" else core.ParamOpt.EXACT
    unit[core.Unit.PARAM_OPT] = search if config.param_opt else core.ParamOpt.OFF
    return ReadyUnit(header, tuple(m.element_id for m in ids), unit, rows, payload_order, entries, scan_order)


def code_units(ready: Sequence[ReadyUnit]) -> list[CodedUnit]:
    """(encoding 2) Entropy-code units, all in one call of the core, which small ones are worth.

    Raises:
        SyntaxValueError: levels that cannot be written, because they leave 32 bits or do not follow the
            states of dependent quantization: a defect of the tool that made them.
    """
    units: list[list[int]] = []
    tensors: list[list[int]] = []
    for one in ready:
        one.unit[core.Unit.FIRST_TENSOR] = len(tensors)
        units.append(one.unit)
        tensors += one.tensors
    table = core.new_tensors(tensors)
    payloads = core.encode_units(core.new_units(units), table)
    begins = table[:, core.Tensor.BITS_BEGIN].tolist()
    coded = []
    for one, payload in zip(ready, payloads, strict=True):
        first = one.unit[core.Unit.FIRST_TENSOR]
        places = [*begins[first : first + len(one.members)], 8 * len(payload)]
        bits = {m.element_id: places[k + 1] - places[k] for k, m in enumerate(one.members)}
        header = one.header
        if one.scan_order:
            header["scan_order"] = one.scan_order
            header |= _entry_points(one.entries, header["dq_flag"])
        coded.append(CodedUnit(one.element_ids, payload, header, bits))
    return coded


def _arrange(members: Sequence[Member], payload_type: PayloadType) -> tuple[Cpt, list[Member], list[Member]]:
    """Types of a unit, its members in the order of the ids and in that of the payload."""
    if payload_type != PayloadType.NNR_PT_BLOCK:
        return Cpt(0), list(members), list(members)
    by_role = {m.role: m for m in members}
    types = Cpt(0)
    for role, kind in _TYPE_OF_ROLE.items():
        if role in by_role:
            types |= kind
    id_roles, payload_roles = block_roles(types)
    if set(id_roles) != set(by_role) or len(by_role) != len(members):
        raise ValueError(f"a block cannot have the members {[m.role.value for m in members]}")
    return types, [by_role[r] for r in id_roles], [by_role[r] for r in payload_roles]


def _tensor_row(
    member: Member,
    config: EncoderConfig,
    base_qp: int,
    link: Link | None,
    scan_order: int,
    has_qp: bool,
    entries: list[np.ndarray],
) -> list[int]:
    """One row for the core; buffers for entry points are added to `entries`."""
    quantized = member.quantized
    rows, cols = matrix_shape(quantized.levels.shape)
    row = [0] * core.TENSOR_COLUMNS
    row[core.Tensor.ROWS], row[core.Tensor.COLS] = rows, cols
    row[core.Tensor.CABAC_UNARY_LENGTH] = config.cabac_unary_length
    row[core.Tensor.HAS_QP] = int(has_qp)
    if has_qp:
        row[core.Tensor.BASE_QP], row[core.Tensor.QP] = base_qp, quantized.qp
    row[core.Tensor.QP_DENSITY] = config.qp_density
    row[core.Tensor.ROW_SKIP_FLAG] = 2 if config.row_skip and config.profile == 1 else 0
    row[core.Tensor.LEVELS] = core.address(quantized.levels)
    if scan_order and rows > 1 and cols > 1:
        row[core.Tensor.SCAN_ORDER] = scan_order
        found = np.zeros((-(-rows // (4 << scan_order)), 3), np.int64)
        row[core.Tensor.ENTRY_LIST] = core.address(found)
        entries.append(found)
    if quantized.codebook is not None and config.profile == 1:
        row[core.Tensor.CODEBOOK_SIZE] = len(quantized.codebook.entries)
        row[core.Tensor.CODEBOOK_ZERO_OFFSET] = quantized.codebook.zero_offset
    if link is not None and link.differential:
        context = link.contexts.get(member.element_id, TensorContext())
        if link.temporal and context.base is not None:
            row[core.Tensor.BASE] = core.address(context.base)
        if context.history is not None:
            row[core.Tensor.HISTORY] = core.address(context.history)
        row[core.Tensor.HIST_FLAG] = link.history
    return row


def entry_point_bytes(header: Mapping[str, Any]) -> int:
    """(syntax 9.4) Bytes that the entry-point list takes in the header of a unit, rounded up."""
    offsets = header.get("cabac_offset_list", ())
    if not offsets:
        return 0
    deltas = [2 * abs(d) - (d > 0) for d in header.get("bit_offset_delta2", ())]
    bits = len(offsets) * (8 + 3 * header["dq_flag"]) + _golomb_bits(header["bit_offset_delta1"], 11)
    return (bits + sum(_golomb_bits(d, 7) for d in deltas) + 7) // 8


def _golomb_bits(value: int, k: int) -> int:
    """(syntax 1) Length of ue(k)."""
    return 2 * ((value >> k) + 1).bit_length() - 1 + k


def _entry_points(entries: Sequence[np.ndarray], dq_flag: int) -> dict[str, Any]:
    """(decoding 9.3) The entry-point list of a unit, tensor after tensor."""
    points = [
        (bits - before, offset, state)
        for found in entries
        for (before, _, _), (bits, offset, state) in pairwise(found.tolist())
    ]
    bits, offsets, states = zip(*points, strict=True) if points else ((), (), ())
    return entry_point_elements(bits, offsets, states if dq_flag else None)
