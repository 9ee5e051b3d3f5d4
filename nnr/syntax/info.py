"""What a stream holds, on one screen: units, tensors, tools in use.

In: the bytes of a stream. Out: JSON-able data. Headers are parsed, and of each payload the few bits in front
of the first context-coded bin are read: the qp of its first tensor, and for a lone matrix the flags of row
skipping and history. What lies deeper in a payload needs the decoder and is left open here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import BitstreamError, UnsupportedError, abridged
from ..limits import Limits
from .bits import Buffer, FileBytes, byte_view
from .block import Role, member_roles
from .constants import CompressedParameterTypes, DataFormat, NnrUnitType, PayloadType
from .serdes import Reader, Values
from .stream import NnrUnit, OutOfBand, StreamContext, check_begin, walk_units

__all__ = ["PayloadHead", "block_members", "head_qp", "info", "payload_head", "tools_of"]

_INT = int(PayloadType.NNR_PT_INT)
_RAW_FLOAT = int(PayloadType.NNR_PT_RAW_FLOAT)
_BLOCK = int(PayloadType.NNR_PT_BLOCK)
_NDU = int(NnrUnitType.NNR_NDU)
_DC = int(CompressedParameterTypes.NNR_CPT_DC)
_LS = int(CompressedParameterTypes.NNR_CPT_LS)
_BN = int(CompressedParameterTypes.NNR_CPT_BN)
_BI = int(CompressedParameterTypes.NNR_CPT_BI)


class PayloadHead:
    """(decoding 2.1, 2.3) The bypass bins at the start of a payload, before any context-coded one."""

    def __init__(self, payload: Buffer | FileBytes) -> None:
        # 9 bits of initialisation, at most 13 of qp and 2 flags; bits behind the end read as 0.
        head = bytes(payload[:4])
        self._word = int.from_bytes(head.ljust(4, b"\0"), "big")
        self._offset = self._word >> 23
        self._pos = 9

    def bin(self) -> int:
        """(decoding 2.3) One bypass bin; the range is 510 as long as no other kind of bin came."""
        self._offset = 2 * self._offset + (self._word >> (31 - self._pos) & 1)
        self._pos += 1
        if self._offset >= 510:
            self._offset -= 510
            return 1
        return 0

    def iae(self, nbits: int) -> int:
        """(decoding 2.3) `nbits` bypass bins in two's complement."""
        value = 0
        for _ in range(nbits):
            value = 2 * value + self.bin()
        return value - (1 << nbits) if value >> (nbits - 1) else value


def payload_head(unit: NnrUnit) -> dict[str, int]:
    """What can be told from the first bits of a coded payload (syntax 9.6, 9.7).

    ``qp`` of the first tensor in payload order, base QP included, where it has one; ``row_skip_enabled_flag``
    and ``hist_dep_sig_prob_enabled_flag`` where the unit holds a lone tensor. Empty for raw floats and parts
    of data.
    """
    header: Values = unit.header.unit_header
    payload_type = header.nnr_compressed_data_unit_payload_type
    if payload_type == _RAW_FLOAT or unit.header.partial_data_counter or len(unit.coded) < 2:
        return {}
    head = PayloadHead(unit.coded)
    found: dict[str, int] = {}
    if payload_type != _INT:
        quantization = unit.quantization
        if quantization is None:
            return {}
        density, base = quantization
        found["qp"] = base + head.iae(6 + density)
    if payload_type == _BLOCK or unit.profile != 1:
        return found
    rows, columns = _matrix(header)
    codebook = header.get("integer_codebook")
    if rows > 1 and columns > 1 and (codebook is None or codebook.codebook_size != 1):
        if header.parent_node_id_present_flag:
            found["hist_dep_sig_prob_enabled_flag"] = head.bin()
        found["row_skip_enabled_flag"] = head.bin()
    return found


def head_qp(unit: NnrUnit) -> int | None:
    """The QP of the first tensor of a data unit; None where nothing was quantized."""
    return payload_head(unit).get("qp")


def _matrix(header: Values) -> tuple[int, int]:
    """(spec README 1) H and W of the lone tensor of a unit."""
    dimensions = header.tensor_dimensions
    if header.decomposition_role == "G":
        return header.g_number_of_rows, header.decomposition_rank
    elements = math.prod(dimensions)
    if header.decomposition_role == "H":
        return header.decomposition_rank, elements // max(header.g_number_of_rows, 1)
    return (dimensions[0] if dimensions else 0), math.prod(dimensions[1:])


def _joined(ids: Sequence[str]) -> str:
    """The ids of a tensor as one name; many may be indices of one byte that stand for a long id."""
    return ids[0] if len(ids) == 1 else " + ".join(map(abridged, ids))


def block_members(header: Values) -> list[tuple[str, str, list[int]]]:
    """(semantics 5, 6) Id, role and shape of every tensor of a data unit, in the order of the ids."""
    ids = header.element_ids
    dimensions = list(header.tensor_dimensions)
    if header.nnr_compressed_data_unit_payload_type != _BLOCK:
        rows, columns = _matrix(header)
        role = header.decomposition_role
        return [(_joined(ids), role or "tensor", [rows, columns] if role else dimensions)]
    shapes = {Role.WEIGHT: dimensions}
    roles = member_roles(header.compressed_parameter_types)
    if Role.G in roles:
        rows, rank = header.g_number_of_rows, header.decomposition_rank
        shapes |= {Role.G: [rows, rank], Role.H: [rank, math.prod(dimensions) // max(rows, 1)]}
    return [(name, role.value, shapes.get(role, dimensions[:1])) for name, role in zip(ids, roles)]


def tools_of(unit: NnrUnit, payload_flags: Mapping[str, int] | None = None) -> list[str]:
    """Names of the coding tools a data unit uses, as far as header and `payload_flags` tell."""
    header: Values = unit.header.unit_header
    payload_type = PayloadType(header.nnr_compressed_data_unit_payload_type)
    flags = payload_head(unit) if payload_flags is None else payload_flags
    tools = []
    if payload_type == _INT:
        tools.append("integer")
    elif payload_type == _RAW_FLOAT:
        tools.append("raw float")
    elif header.codebook_present_flag:
        tools.append("codebook")
    elif header.dq_flag:
        tools.append("dependent quantization")
    else:
        tools.append("uniform quantization")
    if payload_type == _BLOCK:
        tools.append("block")
        types = header.compressed_parameter_types
        for bit, name in ((_LS, "local scaling"), (_BN, "batch norm"), (_BI, "bias")):
            if types & bit:
                tools.append(name)
    if (payload_type == _BLOCK and header.compressed_parameter_types & _DC) or header.decomposition_role:
        tools.append("decomposition")
    if header.scan_order:
        tools.append("block scan")
    if flags.get("row_skip_enabled_flag"):
        tools.append("row skip")
    if header.parent_node_id_present_flag:
        tools.append("parent")
    if header.temporal_context_modeling_flag:
        tools.append("temporal contexts")
    if flags.get("hist_dep_sig_prob_enabled_flag"):
        tools.append("history")
    if unit.mps is not None and unit.mps.nnr_pre_flag:
        tools.append("predictive residual")
    if "topology_tensor_dimension_mapping" in header:
        tools.append("split tensor")
    if header.get("first_tensor_dimension_shift"):
        tools.append("dimension shift")
    if unit.header.partial_data_counter:
        tools.append("partial data")
    if header.input_parameters_present_flag == 0 or header.tensor_dimensions_flag == 0:
        tools.append("out of band")
    return tools


def info(
    data: Buffer, *, out_of_band: OutOfBand | None = None, limits: Limits | None = None
) -> dict[str, Any]:
    """What a stream holds, JSON-able: ``size, profiles, dialect, units, tensors, tools, parameters, ...``.

    ``units``: per type its count and bytes (those of an aggregate unit without the units inside).
    ``tensors``: id, role, shape, elements, dtype, payload_type, qp (None where it lies deeper in the
    payload), tools, unit index, scan order; members of a block share payload_bytes and bits_per_weight of
    their unit. Raises BitstreamError.
    """
    view = byte_view(data)
    units: dict[str, dict[str, int]] = {}
    tensors: list[dict[str, Any]] = []
    used: dict[str, None] = {}
    profiles: list[int] = []
    networks: list[dict[str, Any]] = []
    check_begin(view)
    unresolved: list[NnrUnit] = []

    def on_error(unit: NnrUnit, error: BitstreamError) -> bool:
        # A unit that leaves its dimensions to the environment is listed without them.
        if not isinstance(error, UnsupportedError) or error.clause != "semantics 7":
            return False
        unresolved.append(unit)
        return True

    reader = Reader(view, limits=limits)
    for unit in walk_units(reader, StreamContext(out_of_band, limits), on_error):
        if unresolved:
            header = unresolved.pop().header
            unit.unit_type = header.nnr_unit_type
            tensors.append(_without_shape(unit, header.unit_header))
        label = unit.name.split(" ", 1)[0] if unit.unit_type <= NnrUnitType.NNR_AGG else unit.name
        entry = units.setdefault(label, {"count": 0, "bytes": 0})
        entry["count"] += 1
        entry["bytes"] += unit.size - (len(unit.coded) if unit.contains else 0)
        if unit.unit_type == NnrUnitType.NNR_STR:
            profiles.append(unit.profile)
            networks.append({"general_profile_idc": unit.profile})
        elif unit.unit_type == NnrUnitType.NNR_MPS:
            networks[-1].update(_parameters(unit))
        elif unit.unit_type == _NDU and "scan_order" in unit.header.unit_header:
            tools = tools_of(unit)
            used.update(dict.fromkeys(tools))
            tensors.extend(_tensors(unit, tools))
    elements = sum(tensor["elements"] or 0 for tensor in tensors)
    from .check import fitting_profiles

    return {
        "size": len(view),
        "profiles": profiles,
        "dialect": "not known before decoding" if 0 in profiles else "standard",
        "networks": networks,
        "units": units,
        "tensors": tensors,
        "elements": elements,
        "bits_per_weight": 8 * len(view) / elements if elements else None,
        "tools": list(used),
        "capability_sets": fitting_profiles(view, out_of_band=out_of_band, limits=limits),
    }


def _without_shape(unit: NnrUnit, header: Values) -> dict[str, Any]:
    return {
        "name": _joined(header.element_ids),
        "role": "",
        "shape": None,
        "elements": None,
        "dtype": None,
        "payload_type": PayloadType(header.nnr_compressed_data_unit_payload_type).name,
        "qp": None,
        "tools": ["out of band"],
        "scan_order": None,
        "unit": unit.index,
        "payload_bytes": None,
        "bits_per_weight": None,
    }


def _parameters(unit: NnrUnit) -> dict[str, Any]:
    """Facts of a model parameter set."""
    mps = unit.mps
    assert mps is not None
    names = (
        "mps_qp_density",
        "mps_quantization_parameter",
        "mps_parent_signalling_enabled_flag",
        "nnr_pre_flag",
        "base_model_id",
        "performance_metric_type",
        "validation_set_performance",
    )
    return {name: mps[name] for name in names if name in mps}


def _tensors(unit: NnrUnit, tools: list[str]) -> list[dict[str, Any]]:
    header: Values = unit.header.unit_header
    payload_type = PayloadType(header.nnr_compressed_data_unit_payload_type)
    members = block_members(header)
    elements = sum(math.prod(shape) for _, _, shape in members)
    nbytes = len(unit.coded)
    qp = head_qp(unit)
    first = _first_in_payload(header)
    data_format = header.get("nnr_decompressed_data_format")
    if data_format is None:
        dtype = "int32" if payload_type == _INT else "float32"
    else:
        dtype = DataFormat(data_format).name.removeprefix("TENSOR_").lower()
    return [
        {
            "name": name,
            "role": role,
            "shape": shape,
            "elements": math.prod(shape),
            "dtype": dtype,
            "payload_type": payload_type.name,
            "qp": qp if role in first else None,
            "tools": tools,
            "scan_order": header.scan_order,
            "unit": unit.index,
            "payload_bytes": nbytes,
            "bits_per_weight": 8 * nbytes / elements if elements else None,
        }
        for name, role, shape in members
    ]


def _first_in_payload(header: Values) -> tuple[str, ...]:
    """(semantics 5) Roles one of which is the first of the payload."""
    if header.nnr_compressed_data_unit_payload_type != _BLOCK:
        return ("tensor", "G", "H")
    types = header.compressed_parameter_types
    if types & _LS:
        return ("local scaling",)
    if types & _BI:
        return ("bias",)
    if types & _BN:
        return ("bn beta",)
    return ("weight", "G")
