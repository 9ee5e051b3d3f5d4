"""Topology, reference list, pruning container, quantization unit (syntax 7 and 8)."""

from __future__ import annotations

import pytest

from nnr.errors import ConformanceError, LimitError, SyntaxValueError, TruncatedError
from nnr.limits import Limits
from nnr.syntax import StreamContext, parse, read_units, write, write_unit
from nnr.syntax.stream import NnrUnit
from tests.syntax.by_hand import MPS_1, MPS_1_INDEXED, START_1, from_bits, padded, plain, unit


def topology(storage: int, compression: int, body: bytes, mps: bytes = MPS_1) -> bytes:
    return START_1 + mps + unit(3, bytes([storage, compression]) + body)


def last(data: bytes, limits: Limits | None = None) -> NnrUnit:
    return list(read_units(data, StreamContext(limits=limits)))[-1]


def test_topology_data_goes_to_the_end_of_the_unit_zero_byte_included() -> None:
    found = last(topology(2, 1, b"x\0y\0"))
    assert found.payload is not None
    assert bytes(found.payload.topology_data) == b"x\0y\0"
    assert plain(found.header.unit_header) == {"topology_storage_format": 2, "topology_compression_format": 1}
    assert bytes(found.trailing) == b""


@pytest.mark.parametrize("storage", [7, 127, 128, 255])
def test_unknown_storage_formats_keep_their_data(storage: int) -> None:
    data = topology(storage, 200, b"anything")
    assert plain(last(data).payload) == {"topology_data": b"anything"}
    assert write(parse(data)) == data


REFLIST = from_bits("1 0000001", "10000000") + b"conv\0" + b"fc.\xc3\xa9\0" + b"\0"


def test_reference_list_holds_names_and_later_units_refer_to_them() -> None:
    data = topology(6, 0, REFLIST, MPS_1_INDEXED)
    found = last(data)
    assert plain(found.payload) == {
        "count_topology_elements_minus2": 1,
        "topology_elem_id_list": ["conv", "fc.é", ""],
    }
    # FLOAT, not multiple, no format, input parameters; index ue(7) 1; no node id; no codebook, no dq;
    # dimensions and length in band, no types; one dimension of 5; N - 1 = 3.
    header = padded("00001 0 0 1", "1 0000001", "0", "0", "0", "1 1 0000", "11 1 0000101", "00000011")
    whole = data + unit(5, header + b"\0\0")
    assert last(whole).header.unit_header.element_ids == ["fc.é"]
    assert last(whole).header.unit_header.topology_elem_id_index == 1
    assert last(whole).name == 'NNR_NDU "fc.é"'
    assert write(parse(whole)) == whole


def test_an_index_outside_the_reference_list_is_refused() -> None:
    header = padded("00001 0 0 1", "1 0000011", "0", "0", "0", "1 1 0000", "11 1 0000101", "00000011")
    with pytest.raises(ConformanceError, match=r"element index 3; allowed: 0..2") as caught:
        last(topology(6, 0, REFLIST, MPS_1_INDEXED) + unit(5, header))
    assert caught.value.clause == "semantics 2"
    with pytest.raises(ConformanceError, match="no reference list came before"):
        last(START_1 + MPS_1_INDEXED + unit(5, header))


def test_indexed_lists_are_aligned_behind_not_before() -> None:
    # BLOCK with two ids by index: count ue(7) 0, indices 0 and 2, alignment; no node id, codebook, dq;
    # dimensions and length in band, bias: 1000; one dimension of 5; N - 1 = 3.
    header = padded(
        "00011 1 0 1", "1 0000000 1 0000000 1 0000010 10000000", "0", "0", "0", "1 1 1000",
        "11 1 0000101", "00000011",
    )  # fmt: skip
    data = topology(6, 0, REFLIST, MPS_1_INDEXED) + unit(5, header)
    assert last(data).header.unit_header.element_ids == ["conv", ""]
    assert write(parse(data)) == data


def test_a_list_of_more_names_than_bytes_is_refused_before_it_is_read() -> None:
    # count ue(7): 2^24 - 2 entries announced in a unit of a few bytes
    writer = from_bits("0" * 16, "1", f"{(1 << 23) - (1 << 23) + 5:023b}", "10000000")
    with pytest.raises((LimitError, TruncatedError)) as caught:
        last(topology(6, 0, writer))
    assert caught.value.unit == "NNR_TPL"
    with pytest.raises(LimitError, match="max_list_entries=3") as limited:
        last(topology(6, 0, REFLIST), Limits(max_list_entries=2))
    assert limited.value.byte_offset is not None


def test_pruning_container_with_a_bit_mask_for_pruning_and_one_for_sparsity() -> None:
    body = from_bits("00 1 1 1 000", f"{11:032b}", "10110011 101", "10000", f"{3:032b}", "010", "10000")
    data = topology(5, 0, body)
    found = last(data).payload
    assert plain(found) == {
        "nnr_pruning_topology_container": {
            "nnr_rep_type": 0,
            "prune_flag": 1,
            "order_flag": 1,
            "sparse_flag": 1,
            "nnr_reserved_zero_3bits": 0,
            "prune_bit_mask": {"count_bits": 11, "bit_mask_value": "10110011101"},
            "sparse_bit_mask": {"count_bits": 3, "bit_mask_value": "010"},
        }
    }
    tree = parse(data)
    assert tree["units"][2]["nnr_unit_payload"]["nnr_pruning_topology_container"]["prune_bit_mask"] == {
        "bit_mask_value": "10110011101"
    }
    assert write(tree) == data


def test_pruning_container_as_a_dictionary_of_names_aligns_only_where_needed() -> None:
    # DICT, pruned; two ids; "a" with dimensions 3 and 4, "b" with none. count_dims ue(1) 2 = 0100, 0 = 10.
    first = b"a\0" + from_bits("0100", "1 0000011", "1 0000100", "1000")
    second = b"b\0" + from_bits("10", "100000")
    data = topology(5, 0, from_bits("01 1 0 0 000", "1 0000010") + first + second)
    assert plain(last(data).payload)["nnr_pruning_topology_container"] == {
        "nnr_rep_type": 1,
        "prune_flag": 1,
        "order_flag": 0,
        "sparse_flag": 0,
        "nnr_reserved_zero_3bits": 0,
        "count_ids": 2,
        "element_id": ["a", "b"],
        "count_dims": [2, 0],
        "dim": [[3, 4], []],
    }
    assert write(parse(data)) == data


def test_pruning_container_by_index_has_no_alignment_before_the_index() -> None:
    body = from_bits("01 1 0 0 000", "1 0000001", "1 0000101", "11", "1 0000111", "100000")
    data = topology(5, 0, body, MPS_1_INDEXED)
    container = plain(last(data).payload)["nnr_pruning_topology_container"]
    assert (container["element_id_index"], container["count_dims"], container["dim"]) == ([5], [1], [[7]])
    assert write(parse(data)) == data


def test_a_bit_mask_longer_than_the_unit_is_truncated() -> None:
    with pytest.raises(TruncatedError, match="4294967295 bits are needed") as caught:
        last(topology(5, 0, from_bits("00 1 0 0 000", "1" * 32, "1" * 64)))
    assert caught.value.path == (
        "nnr_unit_payload.nnr_pruning_topology_container.prune_bit_mask.bit_mask_value"
    )


def test_a_mask_given_as_anything_but_bits_is_refused() -> None:
    context = StreamContext()
    write_unit(0, {"general_profile_idc": 1}, None, context)
    container = {"nnr_rep_type": 0, "prune_flag": 1, "order_flag": 0, "sparse_flag": 0}
    for mask in ("012", b"01", [0, 1]):
        with pytest.raises(SyntaxValueError, match="bit_mask_value"):
            write_unit(
                3,
                {"topology_storage_format": 5, "topology_compression_format": 0},
                {"nnr_pruning_topology_container": {**container, "prune_bit_mask": {"bit_mask_value": mask}}},
                context,
            )


def test_quantization_unit_is_opaque() -> None:
    data = START_1 + MPS_1 + unit(4, b"\x01\x00quant")
    found = last(data)
    assert plain(found.header.unit_header) == {
        "quantization_storage_format": 1,
        "quantization_compression_format": 0,
    }
    assert plain(found.payload) == {"quantization_data": b"quant"}
    assert write(parse(data)) == data
