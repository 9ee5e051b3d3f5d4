"""Trees of plain values: what is in them, what is derived, and broken streams in three lines."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from nnr.errors import BitstreamError, ConformanceError, SyntaxValueError, TruncatedError
from nnr.syntax import parse, read_units, write
from tests.syntax.by_hand import MPS_1, START_1, from_bits, padded, unit

BOOK = "0001 01000 110 1 0000101 11 10 0100"  # [1, 3, 4, 7], see test_data_unit
NDU = unit(
    5,
    padded(
        "00001 0 0 1 01110111 00000000",
        "0",
        "1",
        BOOK,
        "0",
        "1 1 0000",
        "0100 1 0000011 1 0000100",
        "00000011",
        "10 0000",
    )
    + b"pay",
)
STREAM = START_1 + MPS_1 + unit(3, b"\0\0\0") + NDU


def test_a_tree_holds_named_elements_and_leaves_out_what_writing_derives() -> None:
    tree = parse(STREAM)
    assert tree["units"][0] == {
        "nnr_unit_header": {
            "nnr_unit_type": 0,
            "independently_decodable_flag": 1,
            "partial_data_counter_present_flag": 0,
            "unit_header": {"general_profile_idc": 1},
        }
    }
    assert tree["units"][2]["nnr_unit_payload"] == {"topology_data": b"\0"}
    node = tree["units"][3]
    assert node["nnr_unit_payload"] == b"pay"
    header = node["nnr_unit_header"]["unit_header"]
    assert header["tensor_dimensions"] == [3, 4]
    for name in ("count_tensor_dimensions", "element_ids", "byte_alignment", "parent_node_id_present_flag"):
        assert name not in header
    assert "nnr_reserved_zero_2bits" not in tree["units"][1]["nnr_unit_payload"]
    assert set(tree) == {"units"}
    assert write(tree) == STREAM


def test_a_changed_value_is_written_and_sizes_follow() -> None:
    tree = parse(STREAM)
    header = tree["units"][3]["nnr_unit_header"]["unit_header"]
    header["topology_elem_id"] = "longer.name"
    header["tensor_dimensions"] = [3, 4, 5]
    header["integer_codebook"]["codebook_delta_left"].append(0)
    tree["units"][3]["nnr_unit_payload"] = b"a longer payload"
    found = list(read_units(write(tree)))[3]
    values = found.header.unit_header
    assert found.name == 'NNR_NDU "longer.name"'
    assert (values.count_tensor_dimensions, values.tensor_dimensions) == (3, [3, 4, 5])
    assert list(values.integer_codebook.codebook) == [0, 1, 3, 4, 7]
    assert values.integer_codebook.cb_zero_offset == 2
    assert bytes(found.payload_bytes) == b"a longer payload"


@pytest.mark.parametrize(
    ("place", "name", "value", "error"),
    [
        (("nnr_unit_header", "unit_header"), "scan_order", 9, "scan_order is 9"),
        (("nnr_unit_header", "unit_header"), "dq_flag", 1, "dq_flag is 1"),
        (("nnr_unit_header", "unit_header"), "count_tensor_dimensions", 7, "^unit 3"),
        (("nnr_unit_header", "unit_header", "integer_codebook"), "codebook_size", 0, "codebook_size is 0"),
        (
            ("nnr_unit_header", "unit_header", "integer_codebook"),
            "codebook_centre_offset",
            3,
            "centre_offset is 3",
        ),
        ((), "nnr_unit_size", 200, "should have 200 bytes"),
        ((), "nnr_unit_size", 2, "nnr_unit_size is 2"),
    ],
)
def test_a_broken_stream_takes_three_lines(place: tuple[str, ...], name: str, value: int, error: str) -> None:
    tree = parse(STREAM)
    node = tree["units"][3]
    for key in place:
        node = node[key]
    node[name] = value
    with pytest.raises(BitstreamError, match=error):
        list(read_units(write(tree)))


@pytest.mark.parametrize(
    ("name", "value"), [("nnr_unit_size", -1), ("nnr_unit_size_flag", 2), ("nnr_unit_size_flag", -1)]
)
def test_a_size_that_cannot_be_expressed_is_refused(name: str, value: int) -> None:
    tree = parse(STREAM)
    tree["units"][3][name] = value
    with pytest.raises(SyntaxValueError, match=name):
        write(tree)


def test_derived_fields_that_differ_are_pinned_by_parse_and_only_those() -> None:
    long_size = b"\x80\x00\x00\x08" + b"\x0e\0\0\0"
    data = START_1 + MPS_1 + long_size
    tree = parse(data)
    assert tree["units"][2]["nnr_unit_size_flag"] == 1
    assert "nnr_unit_size" not in tree["units"][2]
    assert write(tree) == data
    tree["units"][2]["nnr_unit_payload"]["topology_data"] = b"\0\0\0\0"
    assert write(tree)[-11:] == b"\x80\x00\x00\x0b" + b"\x0e\0\0" + b"\0\0\0\0"
    del tree["units"][2]["nnr_unit_size_flag"]
    assert write(tree)[-9:] == b"\x00\x09" + b"\x0e\0\0" + b"\0\0\0\0"


def test_a_reserved_bit_that_is_set_is_pinned() -> None:
    data = START_1 + unit(1, bytes.fromhex("81 01 40 00 80"))
    with pytest.raises(ConformanceError, match="nnr_reserved_zero_2bits is 1"):
        parse(data)
    tree = parse(data, strict=False)
    assert tree["units"][1]["nnr_unit_payload"]["nnr_reserved_zero_2bits"] == 1
    assert len(tree["problems"]) == 1
    assert "byte 8" in tree["problems"][0]
    assert write(tree) == data


def test_a_reserved_profile_is_read_as_the_newest_edition_while_violations_are_collected() -> None:
    data = bytes.fromhex("00 04 02 b1") + STREAM[4:]
    tree = parse(data, strict=False)
    assert [problem.split(":")[0] for problem in tree["problems"]] == [
        "unit 0 (NNR_STR) byte 3 nnr_unit_header.unit_header.general_profile_idc"
    ]
    assert tree["units"][3] == parse(STREAM)["units"][3]
    assert write(tree) == data


def test_wrong_alignment_bits_are_kept_in_their_place() -> None:
    data = START_1 + unit(1, bytes.fromhex("81 00 40 00 c3"))
    tree = parse(data, strict=False)
    assert tree["units"][1]["nnr_unit_payload"]["byte_alignment"] == [0xC3]
    assert write(tree) == data


def test_a_unit_that_cannot_be_followed_keeps_its_rest_as_bits() -> None:
    # No node id, a codebook of order 0 whose size is a code without end.
    data = START_1 + MPS_1 + unit(5, from_bits("00001 0 0 1") + b"w\0" + b"\x40\x00") + unit(3, b"\0\0\0")
    with pytest.raises(TruncatedError, match="Exp-Golomb code is cut"):
        parse(data)
    tree = parse(data, strict=False)
    assert tree["units"][2]["unparsed"] == {"after": 11, "bits": "00", "data": b"\0"}
    assert len(tree["units"]) == 4
    assert write(tree) == data
    tree["units"][2]["unparsed"]["bits"] = "0x"
    with pytest.raises(SyntaxValueError, match="a string of 0 and 1"):
        write(tree)


def test_a_stream_cut_in_a_unit_keeps_its_rest_as_bytes() -> None:
    data = STREAM[:-5]
    with pytest.raises(TruncatedError):
        parse(data)
    tree = parse(data, strict=False)
    assert tree["unparsed_data"] == NDU[:-5]
    assert write(tree) == data


def test_units_that_lack_their_parameters_are_no_violation_but_stay_bits() -> None:
    header = padded("00001 0 0 0 01110111 00000000", "0", "0 0", "10 0001", f"{7:08b} 1 {20:011b}")
    data = START_1 + MPS_1 + unit(5, header + b"pay")
    tree = parse(data)
    assert "problems" not in tree
    assert tree["units"][2]["unparsed"]["data"].endswith(b"pay")
    assert write(tree) == data
    tree["units"][2]["nnr_unit_header"]["unit_header"]["topology_elem_id"] = "other"
    assert b"other\0" in write(tree)
    full = parse(data, out_of_band={"w": {"tensor_dimensions": [9, 2]}})
    assert full["units"][2]["nnr_unit_header"]["unit_header"]["cabac_offset_list"] == [7]
    assert full["units"][2]["nnr_unit_header"]["unit_header"]["tensor_dimensions"] == [9, 2]
    assert write(full) == data


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda tree: tree["units"][3].pop("nnr_unit_header"),
            r"units\[3\].nnr_unit_header: the value is missing",
        ),
        (
            lambda tree: tree["units"][3]["nnr_unit_header"]["unit_header"].pop("scan_order"),
            r"units\[3\].nnr_unit_header.unit_header.scan_order: the value is missing",
        ),
        (
            lambda tree: tree["units"][1]["nnr_unit_payload"].update(mps_qp_density=8),
            r"units\[1\].nnr_unit_payload.mps_qp_density: 8 does not fit",
        ),
        (
            lambda tree: tree["units"][1]["nnr_unit_payload"].update(mps_quantization_method_flags=0),
            r"units\[1\].nnr_unit_payload.mps_qp_density: left over",
        ),
        (lambda tree: tree["units"][0].update(misspelt=1), r"units\[0\].misspelt: left over"),
        (lambda tree: tree.update(misspelt=1), "no place for 'misspelt'"),
    ],
)
def test_what_cannot_be_written_is_named_by_its_path(edit: Any, message: str) -> None:
    tree = parse(STREAM)
    edit(tree)
    with pytest.raises(SyntaxValueError, match=message):
        write(tree)


def test_a_path_goes_down_into_aggregates() -> None:
    inner = unit(3, b"\0\0\0")
    data = START_1 + MPS_1 + unit(6, b"\0\0\0\0" + inner + inner)
    tree = parse(data)
    assert [sorted(node) for node in tree["units"][2]["units"]] == [
        ["nnr_unit_header", "nnr_unit_payload"]
    ] * 2
    assert write(tree) == data
    tree["units"][2]["units"].append(copy.deepcopy(tree["units"][2]["units"][0]))
    assert len(list(read_units(write(tree)))) == 6
    del tree["units"][2]["units"][1]["nnr_unit_payload"]["topology_data"]
    with pytest.raises(SyntaxValueError, match=r"^units\[2\].units\[1\].nnr_unit_payload.topology_data"):
        write(tree)


def test_an_aggregate_with_a_wrong_entry_point_is_pinned() -> None:
    inner = unit(3, b"\0\0\0")
    points = from_bits(f"{3:06b} {17:034b} {3:06b} {99:034b}")
    data = START_1 + MPS_1 + unit(6, b"\0\x80\0\0" + points + inner + inner)
    header = parse(data)["units"][2]["nnr_unit_header"]["unit_header"]
    assert header["nnr_unit_entry_point"] == [17, 99]
    assert "nnr_unit_type" not in header
    assert "num_of_nnr_units_minus2" not in header
    assert write(parse(data)) == data


def test_a_tree_is_plain_data() -> None:
    def to_json(value: Any) -> Any:
        return {"bytes": value.hex()} if isinstance(value, bytes) else value

    def back(value: Any) -> Any:
        return bytes.fromhex(value["bytes"]) if set(value) == {"bytes"} else value

    tree = parse(STREAM)
    assert write(json.loads(json.dumps(tree, default=to_json), object_hook=back)) == STREAM
