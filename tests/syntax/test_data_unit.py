"""The compressed data unit: header, codebooks, dimensions, entry points (syntax 9, semantics 4 to 8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.errors import ConformanceError, LimitError, SyntaxValueError, TruncatedError, UnsupportedError
from nnr.limits import Limits
from nnr.syntax import StreamContext, parse, read_units, write, write_unit
from nnr.syntax.data_unit import codebook_elements, entry_point_count, entry_point_elements
from nnr.syntax.serdes import Values
from tests.syntax.by_hand import MPS_0, MPS_1, MPS_1_PARENT, START_0, START_1, from_bits, padded, plain, unit

# Parts of headers in profile 1, with the name "w".
FLOAT = "00001 0 0 1 01110111 00000000"
NO_NODE = "0"
NO_CODEBOOK_NO_DQ = "0 0"
IN_BAND = "1 1 0000"


def header_of(data: bytes, context: StreamContext | None = None) -> Values:
    header: Values = list(read_units(data, context))[-1].header.unit_header
    return header


def network(header: bytes, payload: bytes = b"", start: bytes = START_1, mps: bytes = MPS_1) -> bytes:
    return start + mps + unit(5, header + payload)


def dims(*sizes: int) -> str:
    """tensor_dimensions_list() with fewer than 128 in each dimension."""
    count = ["10", "11", "0100", "0101", "0110"][len(sizes)]
    return count + "".join(f"1 {size:07b}" for size in sizes)


# The data unit of worked_example.md.
WORKED = bytes.fromhex("00 19 16 09 77 00 d0 40 c1 20 e1 00 60 80 f4 06 20 03 9d 84 55 db a3 70 c0")


def test_the_worked_example_gives_the_values_of_its_table() -> None:
    data = START_1 + bytes.fromhex("00 08 06 81 00 40 00 80 00 06 0e 00 00 00") + WORKED
    one = list(read_units(data))[-1]
    assert plain(one.header.unit_header) == {
        "nnr_compressed_data_unit_payload_type": 1,
        "nnr_multiple_topology_elements_present_flag": 0,
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "topology_elem_id": "w",
        "element_ids": ["w"],
        "node_id_present_flag": 1,
        "device_id": 0,
        "parameter_id": 0,
        "put_node_depth": 0,
        "parent_node_id_present_flag": 0,
        "temporal_context_modeling_flag": 0,
        "codebook_present_flag": 0,
        "dq_flag": 0,
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 1,
        "compressed_parameter_types": 0,
        "count_tensor_dimensions": 2,
        "tensor_dimensions": [3, 4],
        "cabac_unary_length_minus1": 1,
        "decomposition_role": "",
        "first_tensor_dimension_shift": 0,
        "scan_order": 0,
    }
    assert bytes(one.payload_bytes).hex() == "f40620039d8455dba370c0"
    assert (one.byte_offset, one.size, one.payload_offset) == (18, 25, 18 + 14)
    assert write(parse(data)) == data


def test_a_vector_has_no_scan_order_and_profile_0_no_node_id() -> None:
    header = padded(FLOAT, "0 1", IN_BAND, dims(5), "00000011")
    v = header_of(network(header, start=START_0, mps=MPS_0))
    assert (v.dq_flag, v.scan_order, v.tensor_dimensions, v.cabac_unary_length_minus1) == (1, 0, [5], 3)
    assert (v.parent_node_id_present_flag, v.temporal_context_modeling_flag) == (0, 0)
    assert "node_id_present_flag" not in v
    assert "first_tensor_dimension_shift" not in v


def test_a_matrix_in_profile_0_has_a_scan_order_but_no_dimension_shift() -> None:
    header = padded(FLOAT, "0 1", IN_BAND, dims(5, 6), "00000011", "0000")
    v = header_of(network(header, start=START_0, mps=MPS_0))
    assert v.scan_order == 0
    assert "first_tensor_dimension_shift" not in v


def test_parents_by_id_with_and_without_a_node_id() -> None:
    node = "1 11 1 00010 1 0011"  # device 1, parameter 2, depth 3
    parent = "1 00 1 0100"  # ICNN_NDU_ID, temporal contexts, device 2
    tail = NO_CODEBOOK_NO_DQ + IN_BAND + dims(5) + "00000011"
    v = header_of(network(padded(FLOAT, node, parent, tail), mps=MPS_1_PARENT))
    assert (v.device_id, v.parameter_id, v.put_node_depth) == (1, 2, 3)
    assert (v.parent_node_id_type, v.temporal_context_modeling_flag, v.parent_device_id) == (0, 1, 2)
    v = header_of(network(padded(FLOAT, NO_NODE, parent, "1 00100 1 0001", tail), mps=MPS_1_PARENT))
    assert (v.parent_device_id, v.parameter_id, v.put_node_depth) == (2, 4, 1)
    assert "device_id" not in v
    v = header_of(network(padded(FLOAT, NO_NODE, "0", tail), mps=MPS_1_PARENT))
    assert (v.parent_node_id_present_flag, v.temporal_context_modeling_flag) == (0, 0)


@pytest.mark.parametrize(("kind", "bits", "name"), [(1, 256, "sha256"), (2, 512, "sha512")])
def test_parents_by_hash_of_their_payload(kind: int, bits: int, name: str) -> None:
    digest = int.from_bytes(bytes(range(1, bits // 8 + 1)), "big")
    tail = NO_CODEBOOK_NO_DQ + IN_BAND + dims(5) + "00000011"
    data = network(padded(FLOAT, NO_NODE, f"1 {kind:02b} 0", f"{digest:0{bits}b}", tail), mps=MPS_1_PARENT)
    v = header_of(data)
    assert v[f"parent_node_payload_{name}"].to_bytes(bits // 8, "big") == bytes(range(1, bits // 8 + 1))
    assert write(parse(data)) == data


def test_the_reserved_parent_id_type_is_refused() -> None:
    with pytest.raises(ConformanceError, match="parent_node_id_type is 3, which is reserved"):
        header_of(network(padded(FLOAT, NO_NODE, "1 11 0"), mps=MPS_1_PARENT))


@pytest.mark.parametrize("kind", [4, 31])
def test_reserved_payload_types_are_refused(kind: int) -> None:
    with pytest.raises(ConformanceError, match=f"payload_type is {kind}, which is reserved") as caught:
        header_of(network(from_bits(f"{kind:05b} 000") + b"w\0"))
    assert caught.value.clause == "syntax 9.1"


def test_codebook_entries_run_both_ways_from_the_zero_value() -> None:
    # egk 1; size ue(2) 4 = 01000; centre offset ie(2): code 2 is -1 = 110, so CbZeroOffset is 2 - 1 = 1;
    # zero value ie(7): code 5 is 3 = 1 0000101; left delta ue(1) 1 = 11; right deltas 0 = 10 and 2 = 0100.
    book = "0001 01000 110 1 0000101 11 10 0100"
    data = network(padded(FLOAT, NO_NODE, "1", book, "0", IN_BAND, dims(5), "00000011"))
    book_values = header_of(data).integer_codebook
    assert list(book_values.codebook) == [1, 3, 4, 7]
    assert book_values.cb_zero_offset == 1
    assert (book_values.codebook_delta_left, book_values.codebook_delta_right) == ([1], [0, 2])
    assert write(parse(data)) == data
    leaf = parse(data)["units"][2]["nnr_unit_header"]["unit_header"]["integer_codebook"]
    assert leaf == {
        "codebook_egk": 1,
        "codebook_zero_value": 3,
        "codebook_delta_left": [1],
        "codebook_delta_right": [0, 2],
    }


@pytest.mark.parametrize(
    ("book", "path", "message"),
    [
        ("0001 100 100", "codebook_size", "codebook_size is 0; allowed: 1 or more"),
        # size 1: CbZeroOffset is 0 + centre offset, so only 0 is allowed; code 1 is +1 = 101
        ("0001 101 101", "codebook_centre_offset", "codebook_centre_offset is 1; allowed: only 0"),
        # size 2, centre offset -2
        ("0001 110 01000", "codebook_centre_offset", "codebook_centre_offset is -2; allowed: -1..0"),
    ],
)
def test_impossible_codebooks_are_refused(book: str, path: str, message: str) -> None:
    with pytest.raises(ConformanceError, match=message) as caught:
        header_of(network(padded(FLOAT, NO_NODE, "1", book, "0" * 8)))
    assert caught.value.path == f"nnr_unit_header.unit_header.integer_codebook.{path}"
    assert caught.value.clause == "syntax 9.2"


def test_dependent_quantization_and_a_codebook_exclude_each_other() -> None:
    book = "0001 101 100 1 0000000"
    with pytest.raises(ConformanceError, match="dq_flag is 1; allowed: only 0"):
        header_of(network(padded(FLOAT, NO_NODE, "1", book, "1", IN_BAND, dims(5), "00000011")))


def test_a_codebook_beyond_the_limit_is_refused_before_it_is_built() -> None:
    # size ue(2): 20 zeros, then 2^22 + ...: about four million entries
    book = "0001" + "0" * 20 + "1" + "0" * 22
    with pytest.raises(LimitError, match="max_codebook_size") as caught:
        header_of(network(padded(FLOAT, NO_NODE, "1", book)))
    assert caught.value.path == "nnr_unit_header.unit_header.integer_codebook"
    with pytest.raises(TruncatedError, match="entries are announced"):
        context = StreamContext(limits=Limits(max_codebook_size=1 << 30))
        header_of(network(padded(FLOAT, NO_NODE, "1", book, "100", "1 0000000")), context)


@given(
    st.lists(st.integers(-(1 << 20), 1 << 20), min_size=1, max_size=20, unique=True).map(sorted),
    st.data(),
)
def test_codebook_elements_give_back_the_list(entries: list[int], data: st.DataObject) -> None:
    zero = data.draw(st.integers(0, len(entries) - 1))
    elements = codebook_elements(entries, zero)
    stream = START_1 + MPS_1 + write_unit(5, {**_plain_header(), **_with(elements)}, b"", _after_mps())
    book = header_of(stream).integer_codebook
    assert (list(book.codebook), book.cb_zero_offset) == (entries, zero)
    shortest = len(write_unit(5, {**_plain_header(), **_with(elements)}, b"", _after_mps()))
    for egk in (0, 3, 7, 15):
        other = codebook_elements(entries, zero, egk)
        assert len(write_unit(5, {**_plain_header(), **_with(other)}, b"", _after_mps())) >= shortest


def test_codebooks_that_do_not_increase_are_refused() -> None:
    for entries, zero in (([1, 1], 0), ([2, 1], 0), ([1, 2], 2), ([], 0)):
        with pytest.raises(SyntaxValueError):
            codebook_elements(entries, zero)


def _with(codebook: dict[str, Any]) -> dict[str, Any]:
    return {"codebook_present_flag": 1, "integer_codebook": codebook}


def _plain_header(**changes: Any) -> dict[str, Any]:
    """A header of profile 1 for a FLOAT vector of 5, with `changes`."""
    return {
        "nnr_compressed_data_unit_payload_type": 1,
        "nnr_multiple_topology_elements_present_flag": 0,
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "topology_elem_id": "w",
        "node_id_present_flag": 0,
        "codebook_present_flag": 0,
        "dq_flag": 0,
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 1,
        "compressed_parameter_types": 0,
        "tensor_dimensions": [5],
        "cabac_unary_length_minus1": 3,
        **changes,
    }


def _after_mps() -> StreamContext:
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    return context


def block_ids(*names: str) -> str:
    """topology_elements_ids_list() with names; ue(7) of the count minus 2."""
    text = b"".join(name.encode() + b"\0" for name in names)
    return f"1 {len(names) - 2:07b} 10000000" + "".join(f"{byte:08b}" for byte in text)


BLOCK = "00011 1 0 1"


def test_a_decomposed_block_has_two_codebooks_rank_and_rows() -> None:
    first, second = "0001 101 100 1 0000001", "0000 101 100 1 0000010"  # one entry each: 1 and -1
    header = padded(
        BLOCK, block_ids("w_G", "w_H", "w_scaling"), NO_NODE, "1", first, "0", "1 1 0011", "1 010", "1 100",
        dims(8, 9), "00000011", second, "10 0000",
    )  # fmt: skip
    data = network(header)
    v = header_of(data)
    assert v.element_ids == ["w_G", "w_H", "w_scaling"]
    assert (v.decomposition_rank, v.g_number_of_rows, v.tensor_dimensions) == (2, 4, [8, 9])
    assert list(v.integer_codebook.codebook) == [1]
    assert list(v.integer_codebook_second.codebook) == [-1]
    assert v.decomposition_role == ""
    assert write(parse(data)) == data


def test_a_block_must_carry_as_many_ids_as_members() -> None:
    header = padded(BLOCK, block_ids("w", "b"), NO_NODE, "0 0", "1 1 0100", dims(8), "00000011")
    with pytest.raises(ConformanceError, match="compressed_parameter_types is 4; allowed: 1 or 2 or 8"):
        header_of(network(header))
    with pytest.raises(
        ConformanceError, match="nnr_multiple_topology_elements_present_flag is 0; allowed: only 1"
    ):
        header_of(network(from_bits("00011 0 0 1") + b"w\0"))


def test_rows_of_g_must_divide_the_number_of_elements() -> None:
    header = padded(
        BLOCK, block_ids("w_G", "w_H"), NO_NODE, "0 0", "1 1 0001", "1 010", "1 101", dims(8, 9), "00000011"
    )
    with pytest.raises(
        ConformanceError, match="g_number_of_rows is 5; allowed: a divisor of the 72 elements"
    ):
        header_of(network(header))


def test_zero_dimensions_are_allowed_only_for_an_empty_vector() -> None:
    assert header_of(
        network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(0), "00000011"))
    ).tensor_dimensions == [0]
    with pytest.raises(ConformanceError, match=r"tensor_dimensions \[0, 3\] have a zero"):
        header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(0, 3), "00000011", "10 0000")))
    with pytest.raises(ConformanceError, match="count_tensor_dimensions is 0; allowed: 1 or more"):
        header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(), "00000011")))


def test_limits_on_elements_and_dimensions_hold_before_anything_is_allocated() -> None:
    huge = "0101" + "0" * 20 + "1" + "1" * 27 + "0" * 20 + "1" + "1" * 27 + "1 0000001"
    with pytest.raises(LimitError, match="max_tensor_elements") as caught:
        header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, huge, "00000011", "10 0000")))
    assert caught.value.unit == 'NNR_NDU "w"'
    with pytest.raises(LimitError, match="max_dimensions=3"):
        header = padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(1, 1, 1), "00000011", "10 0000")
        header_of(network(header), StreamContext(limits=Limits(max_dimensions=2)))
    # A rank that makes H too large, though the weight is small.
    rank = "0" * 25 + "1" + "0" * 28
    header = padded(
        BLOCK, block_ids("w_G", "w_H"), NO_NODE, "0 0", "1 1 0001", rank, "1 001", dims(8, 9), "00000011"
    )
    with pytest.raises(LimitError, match=r"elements of [GH] of 'w_G'"):
        header_of(network(header))


def test_scan_orders_above_4_are_reserved() -> None:
    with pytest.raises(ConformanceError, match=r"scan_order is 5; allowed: 0\.\.4") as caught:
        header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(8, 9), "00000011", "10 0101")))
    assert caught.value.path == "nnr_unit_header.unit_header.scan_order"


@pytest.mark.parametrize(
    ("scan_order", "rows", "count"),
    [(1, 8, 0), (1, 9, 1), (1, 17, 2), (2, 17, 1), (4, 64, 0), (4, 129, 2), (0, 900, 0)],
)
def test_number_of_entry_points_of_a_plain_tensor(scan_order: int, rows: int, count: int) -> None:
    header = {
        "scan_order": scan_order,
        "nnr_compressed_data_unit_payload_type": 1,
        "compressed_parameter_types": 0,
        "tensor_dimensions": [rows, 5],
    }
    assert entry_point_count(header) == count


def test_number_of_entry_points_of_a_decomposed_block_is_that_of_g_and_h() -> None:
    header = {
        "scan_order": 1,
        "nnr_compressed_data_unit_payload_type": 3,
        "compressed_parameter_types": 1,
        "tensor_dimensions": [64, 5],
        "g_number_of_rows": 32,
        "decomposition_rank": 17,
    }
    assert entry_point_count(header) == 3 + 2
    assert entry_point_count({**header, "compressed_parameter_types": 2}) == 7


def test_entry_points_with_states_of_dependent_quantization() -> None:
    # 17 rows of 2, order 1: two points. Offsets 7 and 200, states 3 and 5, bit offsets 20 and 20 - 3.
    points = f"{7:08b} 011 1 {20:011b} {200:08b} 101 1 {6:07b}"
    data = network(
        padded(FLOAT, NO_NODE, "0 1", IN_BAND, dims(17, 2), "00000011", "10 0001", points), b"\0\0"
    )
    v = header_of(data)
    assert v.bit_offset == [20, 17]
    assert (v.cabac_offset_list, v.dq_state_list, v.bit_offset_delta1, v.bit_offset_delta2) == (
        [7, 200],
        [3, 5],
        20,
        [-3],
    )
    assert write(parse(data)) == data
    elements = entry_point_elements([20, 17], [7, 200], [3, 5])
    assert elements == {
        "cabac_offset_list": [7, 200],
        "dq_state_list": [3, 5],
        "bit_offset_delta1": 20,
        "bit_offset_delta2": [-3],
    }


def test_entry_points_without_dependent_quantization_have_no_states() -> None:
    points = f"{7:08b} 1 {20:011b}"
    v = header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(9, 2), "00000011", "10 0001", points)))
    assert (v.bit_offset, v.cabac_offset_list) == ([20], [7])
    assert "dq_state_list" not in v


def test_a_negative_bit_offset_is_refused() -> None:
    points = f"{7:08b} 1 {2:011b} {200:08b} 1 {6:07b}"
    with pytest.raises(ConformanceError, match="bit_offset_delta2 is -3; allowed: -2 or more"):
        header_of(network(padded(FLOAT, NO_NODE, "0 0", IN_BAND, dims(17, 2), "00000011", "10 0001", points)))


def test_entry_points_that_cannot_be_in_the_unit_are_refused_at_once() -> None:
    rows = "0" * 16 + "1" + "1" * 23  # some 16 million rows
    header = padded(FLOAT, NO_NODE, "0 0", IN_BAND, "0100" + rows + "1 0000001", "00000011", "10 0001")
    with pytest.raises((TruncatedError, LimitError)) as caught:
        header_of(network(header))
    assert caught.value.clause == "syntax 9.4"


def test_a_tensor_split_over_elements() -> None:
    # Two ids, axis 1; split index 5; one shift: index 2, value ie(1) code 3 = 2 (ue(1) 3 = 0101).
    mapping = "00000001 1 0000101 11 1 0000010 0101"
    header = padded(
        "00001 1 0 1",
        block_ids("a", "b"),
        NO_NODE,
        "0 0",
        IN_BAND,
        dims(4, 9),
        mapping,
        "00000011",
        "10 0000",
    )
    data = network(header)
    v = header_of(data)
    assert v.element_ids == ["a", "b"]
    assert plain(v.topology_tensor_dimension_mapping) == {
        "concatenation_axis_index": 1,
        "split_index": [5],
        "number_of_shifts": [1],
        "shift_index": [[2]],
        "shift_value": [[2]],
    }
    assert write(parse(data)) == data


def test_formats_of_edition_2_are_refused_in_profile_0() -> None:
    formatted = "00001 0 1 1 01110111 00000000"
    tail = "0000101" + IN_BAND + dims(5) + "00000011"
    v = header_of(network(padded(formatted, NO_NODE, "0 0", tail)))
    assert v.nnr_decompressed_data_format == 5
    with pytest.raises(ConformanceError, match=r"nnr_decompressed_data_format is 5; allowed: 0\.\.1"):
        header_of(network(padded(formatted, "0 0", tail), start=START_0, mps=MPS_0))
    with pytest.raises(ConformanceError, match="nnr_decompressed_data_format is 10"):
        header_of(network(padded(formatted, NO_NODE, "0 0", "0001010" + IN_BAND)))


def test_separate_g_and_h_units_have_roles_and_their_own_entry_points() -> None:
    decomposed = "1 1 0001" + "1 011" + "010010"  # rank 3, rows ue(3) 10 = 010010
    g = padded(FLOAT, "0 0", decomposed, dims(10, 4), "00000011", "0001", f"{7:08b} 1 {20:011b}")
    h = padded(FLOAT, "0 0", decomposed, dims(10, 4), "00000011", "0001")
    vector = padded(FLOAT, "0 0", decomposed, dims(10), "00000011")
    data = START_0 + MPS_0 + unit(5, g) + unit(5, h) + unit(5, vector) + unit(5, g)
    roles = [one.header.unit_header.decomposition_role for one in read_units(data) if one.unit_type == 5]
    assert roles == ["G", "H", "", "G"]
    assert write(parse(data)) == data


# ------------------------------------------------------------------------------------------------ out of band


NOT_IN_BAND = "00001 0 0 0 01110111 00000000"


def test_parameters_from_out_of_band_are_resolved_by_the_id_of_the_element() -> None:
    data = network(padded(NOT_IN_BAND, NO_NODE, "0 0", "10 0000"))
    given = {"w": {"tensor_dimensions": (3, 4), "cabac_unary_length_minus1": 6, "count_tensor_dimensions": 2}}
    for source in (given, given.get):
        v = header_of(data, StreamContext(source))
        assert (v.tensor_dimensions, v.count_tensor_dimensions) == ([3, 4], 2)
        assert (v.cabac_unary_length_minus1, v.compressed_parameter_types, v.scan_order) == (6, 0, 0)
    v = header_of(data, StreamContext({"w": {"tensor_dimensions": [3, 4]}}))
    assert v.cabac_unary_length_minus1 == 9


def test_dimensions_known_nowhere_are_named_with_the_remedy() -> None:
    data = network(padded(NOT_IN_BAND, NO_NODE, "0 0", "10 0000"))
    with pytest.raises(
        UnsupportedError, match=r"count_tensor_dimensions is not in the stream; give it as out_of_band"
    ) as caught:
        header_of(data)
    assert caught.value.clause == "semantics 7"
    assert caught.value.path == "nnr_unit_header.unit_header.count_tensor_dimensions"
    with pytest.raises(UnsupportedError):
        header_of(data, StreamContext({"another": {"tensor_dimensions": [3]}}))


def test_rank_and_rows_of_a_decomposed_weight_can_be_missing_too() -> None:
    header = padded("00011 1 0 0", block_ids("w_G", "w_H"), NO_NODE, "0 0", "10 0000")
    given: dict[str, Any] = {"tensor_dimensions": [8, 9], "compressed_parameter_types": 1}
    with pytest.raises(UnsupportedError, match="decomposition_rank is not in the stream"):
        header_of(network(header), StreamContext({"w_G": given}))
    v = header_of(
        network(header), StreamContext({"w_G": {**given, "decomposition_rank": 2, "g_number_of_rows": 8}})
    )
    assert (v.decomposition_rank, v.g_number_of_rows) == (2, 8)


def test_a_count_that_disagrees_with_the_dimensions_out_of_band_is_refused() -> None:
    data = network(padded(NOT_IN_BAND, NO_NODE, "0 0", "10 0000"))
    given = {"w": {"tensor_dimensions": [3, 4], "count_tensor_dimensions": 3}}
    with pytest.raises(ConformanceError, match="count_tensor_dimensions is 3 out of band"):
        header_of(data, StreamContext(given))


def test_only_the_length_may_be_out_of_band() -> None:
    header = padded(FLOAT, NO_NODE, "0 0", "1 0 0000", dims(5))
    assert header_of(network(header)).cabac_unary_length_minus1 == 9
    given = StreamContext({"w": {"cabac_unary_length_minus1": 4, "tensor_dimensions": [99]}})
    v = header_of(network(header), given)
    assert (v.cabac_unary_length_minus1, v.tensor_dimensions) == (4, [5])


def test_a_unit_can_be_written_without_its_parameters() -> None:
    context = StreamContext({"w": {"tensor_dimensions": [3, 4]}})
    list(read_units(START_1 + MPS_1, context))
    header = _plain_header(
        input_parameters_present_flag=0,
        tensor_dimensions=[3, 4],
        first_tensor_dimension_shift=0,
        scan_order=0,
    )
    for name in ("tensor_dimensions_flag", "cabac_unary_length_flag", "compressed_parameter_types"):
        del header[name]
    written = write_unit(5, header, b"", context)
    assert written == unit(5, padded(NOT_IN_BAND, NO_NODE, "0 0", "10 0000"))
    with pytest.raises(
        SyntaxValueError, match=r"tensor_dimensions: is \[5\], but out of band it is \[3, 4\]"
    ):
        write_unit(5, {**header, "tensor_dimensions": [5]}, b"", context)


# ------------------------------------------------------------------------------------------------- raw floats


def test_a_raw_payload_has_four_bytes_for_each_element() -> None:
    header = padded("00010 0 0 1 01110111 00000000", NO_NODE, IN_BAND, dims(2), "00000011")
    v = header_of(network(header, bytes(8)))
    assert (v.dq_flag, v.codebook_present_flag) == (0, 0)
    with pytest.raises(TruncatedError, match="the raw payload has 7 bytes; allowed: 8"):
        header_of(network(header, bytes(7)))
    with pytest.raises(ConformanceError, match="the raw payload has 9 bytes; allowed: 8"):
        header_of(network(header, bytes(9)))
