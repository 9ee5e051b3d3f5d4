"""Compressed data unit: header, codebooks, dimensions, entry points (syntax 9, semantics 4 to 8).

In: bits after the unit header, the parameter sets in force, out-of-band parameters. Out: `Values` in which
every parameter of the tensors is resolved: transmitted, inferred or supplied. The payload stays bytes here.

Computed values that stand beside the elements: ``element_ids`` (list of str), ``decomposition_role`` ("", "G"
or "H" for a separate unit of a decomposed weight), in codebooks ``cb_zero_offset`` and ``codebook`` (array of
int64), and ``bit_offset`` (list) where entry points are present.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..errors import SyntaxValueError, abridged
from .constants import CompressedParameterTypes, DataFormat, ParentNodeIdType, PayloadType
from .serdes import Syntax, Values, syntax_table
from .topology import topology_elements_ids_list

if TYPE_CHECKING:
    from .stream import StreamContext

__all__ = [
    "DEFAULT_UNARY_LENGTH_MINUS1",
    "codebook_elements",
    "entry_point_count",
    "entry_point_elements",
    "entry_point_list",
    "integer_codebook",
    "nnr_compressed_data_unit_header",
    "tensor_dimensions_list",
    "topology_tensor_dimension_mapping",
]

DEFAULT_UNARY_LENGTH_MINUS1 = 9
"""(semantics 4) cabac_unary_length_minus1 where it is neither transmitted nor known out of band."""

_INT = int(PayloadType.NNR_PT_INT)
_FLOAT = int(PayloadType.NNR_PT_FLOAT)
_RAW_FLOAT = int(PayloadType.NNR_PT_RAW_FLOAT)
_BLOCK = int(PayloadType.NNR_PT_BLOCK)
_DC = int(CompressedParameterTypes.NNR_CPT_DC)
_LS = int(CompressedParameterTypes.NNR_CPT_LS)
_BN = int(CompressedParameterTypes.NNR_CPT_BN)
_BI = int(CompressedParameterTypes.NNR_CPT_BI)

_REMEDY = (
    "give it as out_of_band={%r: {'tensor_dimensions': [...]}} "
    "(dimensions of the base model serve for an update)"
)


def _member_count(types: int) -> int:
    """(semantics 5) Elements of a block with these compressed_parameter_types."""
    return 1 + bool(types & _DC) + bool(types & _LS) + 4 * bool(types & _BN) + bool(types & _BI)


_TYPES_OF_COUNT = {
    count: tuple(types for types in range(16) if _member_count(types) == count) for count in range(1, 9)
}


@syntax_table("syntax 9.1")
def nnr_compressed_data_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 9.1) Everything about the tensors of the unit but their values."""
    s.u(5, "nnr_compressed_data_unit_payload_type", enum=PayloadType)
    payload_type = v.nnr_compressed_data_unit_payload_type
    s.u(1, "nnr_multiple_topology_elements_present_flag", min=1 if payload_type == _BLOCK else 0, max=1)
    s.u(1, "nnr_decompressed_data_format_present_flag")
    s.u(1, "input_parameters_present_flag")
    if v.nnr_multiple_topology_elements_present_flag == 1:
        s.include(topology_elements_ids_list, ctx, ctx.mps_topology_indexed_reference_flag)
    elif ctx.mps_topology_indexed_reference_flag == 0:
        s.st("topology_elem_id")
    else:
        s.ue(7, "topology_elem_id_index", status="N")
    s.let("element_ids", _element_ids(s, v, ctx))

    if ctx.profile == 1:
        s.u(1, "node_id_present_flag")
        if v.node_id_present_flag:
            s.ue(1, "device_id")
            s.ue(5, "parameter_id")
            s.ue(4, "put_node_depth")
        if ctx.mps_parent_signalling_enabled_flag:
            s.u(1, "parent_node_id_present_flag")
            if v.parent_node_id_present_flag:
                s.u(2, "parent_node_id_type", enum=ParentNodeIdType)
                s.u(1, "temporal_context_modeling_flag")
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_ID:
                    s.ue(1, "parent_device_id")
                    if v.node_id_present_flag == 0:
                        s.ue(5, "parameter_id", status="N")
                        s.ue(4, "put_node_depth", status="N")
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_PL_SHA256:
                    s.u(256, "parent_node_payload_sha256", status="N")
                if v.parent_node_id_type == ParentNodeIdType.ICNN_NDU_PL_SHA512:
                    s.u(512, "parent_node_payload_sha512", status="N")
    if ctx.profile == 0 or ctx.mps_parent_signalling_enabled_flag == 0:
        s.infer("parent_node_id_present_flag", 0)
    if v.parent_node_id_present_flag == 0:
        s.infer("temporal_context_modeling_flag", 0)

    if payload_type in (_FLOAT, _BLOCK):
        s.u(1, "codebook_present_flag")
        if v.codebook_present_flag:
            s.table("integer_codebook", integer_codebook, ctx)
    else:
        s.infer("codebook_present_flag", 0)
    if payload_type in (_INT, _FLOAT, _BLOCK):
        s.u(1, "dq_flag", max=0 if v.codebook_present_flag else 1)
    else:
        s.infer("dq_flag", 0)
    if v.nnr_decompressed_data_format_present_flag:
        s.u(7, "nnr_decompressed_data_format", enum=DataFormat, max=9 if ctx.profile else 1, status="N")

    if v.input_parameters_present_flag:
        s.u(1, "tensor_dimensions_flag")
        s.u(1, "cabac_unary_length_flag")
        if payload_type == _BLOCK:
            s.u(4, "compressed_parameter_types", allowed=_TYPES_OF_COUNT.get(len(v.element_ids), ()))
        else:
            s.u(4, "compressed_parameter_types")
        if v.compressed_parameter_types & _DC:
            s.ue(3, "decomposition_rank", min=1)
            s.ue(3, "g_number_of_rows", min=1)
        if v.tensor_dimensions_flag:
            s.include(tensor_dimensions_list, ctx)
        if payload_type != _BLOCK and v.nnr_multiple_topology_elements_present_flag:
            s.table("topology_tensor_dimension_mapping", topology_tensor_dimension_mapping, ctx, v)
        if v.cabac_unary_length_flag:
            s.u(8, "cabac_unary_length_minus1")
    else:
        s.infer("tensor_dimensions_flag", 0)
        s.infer("cabac_unary_length_flag", 0)
    if v.tensor_dimensions_flag == 0 or v.cabac_unary_length_flag == 0:
        _supply(s, v, ctx.supplied(v))
    _check_dimensions(s, v, ctx)

    if payload_type == _BLOCK and v.compressed_parameter_types & _DC and v.codebook_present_flag:
        s.table("integer_codebook_second", integer_codebook, ctx)
    if v.count_tensor_dimensions > 1:
        if ctx.profile == 1:
            s.ue(1, "first_tensor_dimension_shift")
        s.u(4, "scan_order", max=4)
        if v.scan_order > 0:
            s.include(entry_point_list, ctx, v)
    else:
        s.infer("scan_order", 0)
    s.byte_alignment()


def _element_ids(s: Syntax, v: Values, ctx: StreamContext) -> list[str]:
    """(semantics 2) Names of the elements of the unit; indices are looked up in the reference list."""
    if "topology_elem_id" in v:
        return [v.topology_elem_id]
    if "topology_elem_id_list" in v:
        return list(v.topology_elem_id_list)
    if "topology_elem_id_index_list" in v:
        indices = v.topology_elem_id_index_list
    else:
        indices = [v.topology_elem_id_index]
    names = ctx.reference_list
    s.require(
        names is not None,
        "an element is named by index, but no reference list came before",
        "an NNR_TPL unit of format NNR_TPL_REFLIST before units that use indices",
        "semantics 2",
    )
    ids = []
    for index in indices:
        if names is not None and index < len(names):
            ids.append(names[index])
            continue
        if names is not None:
            allowed = f"0..{len(names) - 1}, the entries of the reference list"
            s.require(False, f"element index {index}", allowed, "semantics 2")
        ids.append(f"#{index}")
    return ids


def _supply(s: Syntax, v: Values, supplied: Mapping[str, Any]) -> None:
    """(semantics 7) Parameters that are not in the unit, from out of band or inferred."""
    if v.input_parameters_present_flag == 0:
        s.supply("compressed_parameter_types", supplied.get("compressed_parameter_types"), 0)
        if v.compressed_parameter_types & _DC:
            s.supply("decomposition_rank", supplied.get("decomposition_rank"))
            s.supply("g_number_of_rows", supplied.get("g_number_of_rows"))
    if v.tensor_dimensions_flag == 0:
        dimensions = supplied.get("tensor_dimensions")
        if dimensions is not None:
            dimensions = [int(dimension) for dimension in dimensions]
            announced = supplied.get("count_tensor_dimensions", len(dimensions))
            s.require(
                announced == len(dimensions),
                f"count_tensor_dimensions is {announced} out of band",
                f"only {len(dimensions)}, as tensor_dimensions are {dimensions}",
                "semantics 7",
            )
        s.supply("tensor_dimensions", dimensions)
        if "tensor_dimensions" in v:
            s.supply("count_tensor_dimensions", len(v.tensor_dimensions))
    if v.cabac_unary_length_flag == 0:
        s.supply(
            "cabac_unary_length_minus1",
            supplied.get("cabac_unary_length_minus1"),
            DEFAULT_UNARY_LENGTH_MINUS1,
        )


def _check_dimensions(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(semantics 4 to 6) Dimensions known, possible and within the limits; the role of a separate G or H."""
    name = abridged(v.element_ids[0]) if v.element_ids else ""
    dimensions = v.get("tensor_dimensions")
    if dimensions is None:
        s.unknown("count_tensor_dimensions", _REMEDY % name)
    elements = math.prod(dimensions)
    if elements == 0 and dimensions != [0]:
        s.require(
            False,
            f"tensor_dimensions {list(dimensions)} have a zero",
            "each at least 1, or the single dimension 0 of an empty vector",
            "semantics 4",
        )
    if elements > s.limits.max_tensor_elements:
        s.limit("max_tensor_elements", elements, f"the number of elements of {name!r}")
    role = ""
    if v.compressed_parameter_types & _DC and (
        v.nnr_compressed_data_unit_payload_type == _BLOCK or v.count_tensor_dimensions > 1
    ):
        if "decomposition_rank" not in v:
            s.unknown("decomposition_rank", _REMEDY % name)
        if "g_number_of_rows" not in v:
            s.unknown("g_number_of_rows", _REMEDY % name)
        rows, rank = v.g_number_of_rows, v.decomposition_rank
        s.require(
            rows > 0 and elements % rows == 0,
            f"g_number_of_rows is {rows}",
            f"a divisor of the {elements} elements of the weight",
            "semantics 4",
        )
        s.limit("max_tensor_elements", rows * rank, f"the number of elements of G of {name!r}")
        columns = elements // max(rows, 1)
        s.limit("max_tensor_elements", rank * columns, f"the number of elements of H of {name!r}")
        if v.nnr_compressed_data_unit_payload_type != _BLOCK:
            role = ctx.decomposition_role(v)
    s.let("decomposition_role", role)


def coded_elements(v: Values) -> int:
    """(semantics 6) Elements of the lone tensor of a non-block unit: of G or H where it is one of them."""
    elements = math.prod(v.tensor_dimensions)
    if v.decomposition_role == "G":
        return int(v.g_number_of_rows * v.decomposition_rank)
    if v.decomposition_role == "H":
        return int(v.decomposition_rank * (elements // max(v.g_number_of_rows, 1)))
    return elements


@syntax_table("syntax 9.2")
def integer_codebook(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 9.2) Strictly increasing integers; deltas are stored in the order of transmission."""
    s.u(4, "codebook_egk")
    s.ue(2, "codebook_size", min=1, derived=_codebook_size)
    s.limit("max_codebook_size", v.codebook_size, "codebook_size")
    half = v.codebook_size >> 1
    s.ie(
        2,
        "codebook_centre_offset",
        min=-half,
        max=v.codebook_size - 1 - half,
        derived=_codebook_centre_offset,
    )
    s.let("cb_zero_offset", half + v.codebook_centre_offset)
    s.ie(7, "codebook_zero_value")
    for j in s.loop(v.cb_zero_offset, "codebook_delta_left"):
        s.ue(v.codebook_egk, "codebook_delta_left", j)
    for j in s.loop(v.codebook_size - 1 - v.cb_zero_offset, "codebook_delta_right"):
        s.ue(v.codebook_egk, "codebook_delta_right", j)
    s.let("codebook", _codebook(v))


def _codebook(v: Values) -> array[int]:
    left, right = array("q"), array("q")
    value = v.codebook_zero_value
    for delta in v.codebook_delta_left:
        value -= delta + 1
        left.append(value)
    value = v.codebook_zero_value
    for delta in v.codebook_delta_right:
        value += delta + 1
        right.append(value)
    left.reverse()
    left.append(v.codebook_zero_value)
    left += right
    return left


def _codebook_size(given: Mapping[str, Any], index: tuple[int, ...]) -> int:
    return 1 + len(given.get("codebook_delta_left", ())) + len(given.get("codebook_delta_right", ()))


def _codebook_centre_offset(given: Mapping[str, Any], index: tuple[int, ...]) -> int:
    size = given.get("codebook_size")
    if size is None:
        size = _codebook_size(given, index)
    return len(given.get("codebook_delta_left", ())) - (int(size) >> 1)


def codebook_elements(
    codebook: Sequence[int], cb_zero_offset: int, codebook_egk: int | None = None
) -> dict[str, Any]:
    """(syntax 9.2) The elements of integer_codebook() for a strictly increasing list of integers.

    Without `codebook_egk` the Golomb order that takes the fewest bits is chosen (encoding 2). Raises
    SyntaxValueError when the list does not increase or the offset is outside it.
    """
    entries = [int(entry) for entry in codebook]
    if not 0 <= cb_zero_offset < len(entries):
        raise SyntaxValueError(f"cb_zero_offset {cb_zero_offset} is outside a codebook of {len(entries)}")
    steps = [after - before - 1 for before, after in pairwise(entries)]
    if any(step < 0 for step in steps):
        raise SyntaxValueError("a codebook must increase strictly")
    if codebook_egk is None:
        codebook_egk = min(
            range(16), key=lambda k: sum(2 * (d + (1 << k)).bit_length() - 1 - k for d in steps)
        )
    return {
        "codebook_egk": codebook_egk,
        "codebook_size": len(entries),
        "codebook_centre_offset": cb_zero_offset - (len(entries) >> 1),
        "codebook_zero_value": entries[cb_zero_offset],
        "codebook_delta_left": steps[:cb_zero_offset][::-1],
        "codebook_delta_right": steps[cb_zero_offset:],
    }


@syntax_table("syntax 9.3")
def tensor_dimensions_list(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 9.3) Dimensions of the tensor, for a decomposed weight those before decomposition."""
    s.ue(1, "count_tensor_dimensions", min=1, counts="tensor_dimensions")
    s.limit("max_dimensions", v.count_tensor_dimensions, "count_tensor_dimensions")
    for j in s.loop(v.count_tensor_dimensions, "tensor_dimensions"):
        s.ue(7, "tensor_dimensions", j)


def entry_point_count(v: Mapping[str, Any]) -> int:
    """(syntax 9.4) NumEntryPoints of a data unit header with these resolved values."""
    scan_order = v["scan_order"]
    if scan_order == 0:
        return 0
    block = 4 << scan_order

    def rows_to_points(rows: int) -> int:
        return max(-(-rows // block) - 1, 0)

    if v["nnr_compressed_data_unit_payload_type"] == _BLOCK and v["compressed_parameter_types"] & _DC:
        return rows_to_points(v["g_number_of_rows"]) + rows_to_points(v["decomposition_rank"])
    role = v.get("decomposition_role", "")
    if role:
        return rows_to_points(v["g_number_of_rows" if role == "G" else "decomposition_rank"])
    return rows_to_points(v["tensor_dimensions"][0])


@syntax_table("syntax 9.4")
def entry_point_list(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 9.4) Decoder state at the start of every block row but the first of each tensor."""
    dq = header.dq_flag == 1
    bit_offset: list[int] = []
    arrays = ("cabac_offset_list", "dq_state_list") if dq else ("cabac_offset_list",)
    count = entry_point_count(header)
    s.loop(max(count - 1, 0), "bit_offset_delta2")
    for j in s.loop(count, *arrays, listed=True):
        s.u(8, "cabac_offset_list", j)
        if dq:
            s.u(3, "dq_state_list", j)
        if j == 0:
            s.ue(11, "bit_offset_delta1")
            bit_offset.append(v.bit_offset_delta1)
        else:
            s.ie(7, "bit_offset_delta2", j - 1, min=-bit_offset[-1])
            bit_offset.append(bit_offset[-1] + v.bit_offset_delta2[-1])
    s.let("bit_offset", bit_offset)


def entry_point_elements(
    bit_offset: Sequence[int], cabac_offset_list: Sequence[int], dq_state_list: Sequence[int] | None
) -> dict[str, Any]:
    """(syntax 9.4) The elements of entry_point_list() from the triples of decoding 9.3.

    `dq_state_list` is None where dq_flag is 0. Empty for no entry points.
    """
    elements: dict[str, Any] = {"cabac_offset_list": [int(offset) for offset in cabac_offset_list]}
    if dq_state_list is not None:
        elements["dq_state_list"] = [int(state) for state in dq_state_list]
    if bit_offset:
        elements["bit_offset_delta1"] = int(bit_offset[0])
    if len(bit_offset) > 1:
        elements["bit_offset_delta2"] = [int(b) - int(a) for a, b in pairwise(bit_offset)]
    return elements


@syntax_table("syntax 9.5", status="S")
def topology_tensor_dimension_mapping(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 9.5) How the tensor is split over the elements of the unit."""
    s.u(8, "concatenation_axis_index")
    for i in s.loop(
        header.count_topology_elements_minus2 + 1,
        "split_index",
        "number_of_shifts",
        "shift_index",
        "shift_value",
        listed=True,
    ):
        s.ue(7, "split_index", i)
        s.ue(1, "number_of_shifts", i, counts="shift_index")
        for k in s.loop(v.number_of_shifts[i], "shift_index", "shift_value", at=(i,), listed=True):
            s.ue(7, "shift_index", i, k)
            s.ie(1, "shift_value", i, k)
