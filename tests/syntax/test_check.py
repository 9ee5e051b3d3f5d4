"""Checks: every violation at once, rules that span units, capability profiles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nnr.errors import LimitError
from nnr.limits import Limits
from nnr.syntax import StreamContext, parse, read_units, write, write_unit
from nnr.syntax.check import CAPABILITY_PROFILES, CheckReport, check, fitting_profiles
from tests.syntax.by_hand import MPS_0, MPS_1, MPS_1_PARENT, START_0, START_1, from_bits, padded, unit

TPL = unit(3, b"\0\0\0")


def ndu(
    name: str = "w", *, node: str = "0", tail: str = "0 0", dims: str = "11 1 0000101", end: str = ""
) -> bytes:
    """A FLOAT unit of profile 1: by default a vector of 5, without anything special."""
    letters = "".join(f"{byte:08b}" for byte in name.encode() + b"\0")
    return unit(5, padded("00001 0 0 1", letters, node, tail, "1 1 0000", dims, "00000011", end) + b"\0\0")


def clauses(report: CheckReport) -> list[str | None]:
    return [finding.clause for finding in report.violations]


def test_a_sound_stream_has_no_findings() -> None:
    report = check(START_1 + MPS_1 + TPL + ndu("a") + ndu("b"))
    assert report.ok
    assert (report.violations, report.notes, report.units) == ([], [], 5)


def test_every_violation_is_reported_with_its_place() -> None:
    bad_mps = unit(1, bytes.fromhex("81 01 40 00 c0"))
    bad_ndu = ndu("w", dims="0100 1 0000011 1 0000100", end="10 0111")
    data = START_1 + TPL + bad_mps + bad_ndu + ndu("w") + unit(9, b"") + b"\0\1"
    report = check(data)
    assert not report.ok
    found = [(v.unit_index, v.clause, v.path, v.found, v.allowed) for v in report.violations]
    assert found[:3] == [
        (
            2,
            "syntax 4.1",
            "nnr_unit_payload.nnr_reserved_zero_2bits",
            "nnr_reserved_zero_2bits is 1",
            "only 0",
        ),
        (
            2,
            "syntax 1",
            "nnr_unit_payload.byte_alignment",
            "the alignment bits are 11000000",
            "only 10000000",
        ),
        (2, "syntax 2.4", None, "the NNR_MPS comes after an NNR_TPL", "before"),
    ]
    assert (3, "syntax 9.1", "nnr_unit_header.unit_header.scan_order", "scan_order is 7", "0..4") in found
    assert "semantics 4" in clauses(report)
    assert "syntax 2.3" in clauses(report)
    assert found[-1][1] == "semantics 1"
    at = report.violations[0]
    assert (at.byte_offset, at.bit_offset) == (4 + 6 + 4, 8 * 14 + 6)
    assert "unit 2 (NNR_MPS) byte 14" in str(at)
    assert "(bit 118)" in str(at)
    json.dumps(report.as_dict())


def test_what_is_no_stream_is_one_violation() -> None:
    for data in (b"", b"PK\x03\x04", bytes(10)):
        report = check(data)
        assert clauses(report) == ["syntax 2.4"]


def test_units_before_the_first_start_unit_do_not_hide_the_rest() -> None:
    report = check(START_1 + ndu("a") + MPS_1 + MPS_1 + ndu("b"))
    assert [v.found for v in report.violations] == [
        "an NNR_NDU before the NNR_MPS",
        "a second NNR_MPS in the network",
    ]


def test_a_network_without_parameter_set_is_reported_once_it_ends() -> None:
    report = check(START_1 + TPL + START_1 + MPS_1)
    assert [(v.unit_index, v.found) for v in report.violations] == [(0, "the network has no NNR_MPS")]


def test_quantized_units_need_a_quantization_method() -> None:
    no_method = unit(1, bytes.fromhex("80 00 80"))
    lps = unit(2, from_bits("0 0000000", "0 0 0 0 001 0", "011", "0" * 13, "10000000"))
    report = check(START_1 + no_method + ndu("a") + lps + ndu("b"))
    assert [(v.unit_index, v.clause) for v in report.violations] == [(2, "semantics 2")]


def test_element_ids_are_unique_within_a_network_only() -> None:
    sound = START_1 + MPS_1 + TPL + ndu("a")
    assert check(sound + sound).ok
    report = check(sound + ndu("b") + ndu("a"))
    assert [(v.unit_index, v.found) for v in report.violations] == [
        (5, "the element id 'a' was used before, in unit 3")
    ]


def decomposed(tail: str = "") -> bytes:
    """A separate unit of a decomposed weight in profile 0: rank 3, 10 rows, 10 x 4."""
    name = "".join(f"{byte:08b}" for byte in f"{tail}\0".encode())
    return unit(
        5,
        padded(
            "00001 0 0 1",
            name,
            "0 0",
            "1 1 0001",
            "1 011",
            "010010",
            "0100 1 0001010 1 0000100",
            "00000011",
            "0000",
        ),
    )


def test_g_is_followed_by_h_at_once() -> None:
    start = START_0 + MPS_0 + TPL
    assert check(start + decomposed("w_G") + decomposed("w_H")).ok
    report = check(start + decomposed("w_G") + TPL + decomposed("w_H"))
    assert [(v.unit_index, v.clause) for v in report.violations] == [(4, "syntax 2.4"), (5, "syntax 2.4")]
    assert "follows a unit with G" in report.violations[0].found
    assert "no unit with H follows" in report.violations[1].found


def part(counter: int, name: str = "w") -> bytes:
    body = padded(
        "00001 0 0 1",
        "".join(f"{b:08b}" for b in name.encode() + b"\0"),
        "0",
        "0 0",
        "1 1 0000",
        "11 1 0000101",
        "00000011",
    )
    size = 4 + len(body)
    return bytes([0, size, 5 << 2 | 3, counter]) + body


def test_parts_of_an_element_count_down_to_one() -> None:
    start = START_1 + MPS_1 + TPL
    assert check(start + part(3) + part(2) + part(1) + ndu("v")).ok
    assert "only 2, as it counts down" in str(check(start + part(3) + part(1)).violations[0])
    report = check(start + part(3) + part(2))
    assert [v.found for v in report.violations] == ["1 parts of the element 'w' are missing"]
    assert not check(start + part(2) + ndu("w")).ok


def aggregate(entries: str, *units: bytes) -> bytes:
    return unit(6, b"\0\x80" + (len(units) - 2).to_bytes(2, "big") + from_bits(entries) + b"".join(units))


def test_entry_points_of_aggregates_must_be_right() -> None:
    good = aggregate(f"{5:06b} {17:034b} {5:06b} {17 + len(ndu('a')):034b}", ndu("a"), ndu("b"))
    assert check(START_1 + MPS_1 + TPL + good).ok
    bad = aggregate(f"{5:06b} {17:034b} {3:06b} {18:034b}", ndu("a"), ndu("b"))
    report = check(START_1 + MPS_1 + TPL + bad + ndu("c"))
    assert [(v.path, v.clause) for v in report.violations] == [
        ("nnr_unit_header.unit_header.nnr_unit_entry_point[1]", "semantics 9"),
        ("nnr_unit_header.unit_header.nnr_unit_type[1]", "syntax 10.1"),
    ]


TEMPORAL = ndu("t", node="0 1 00 1 10 1 00000 1 0001")
LPS = unit(2, from_bits("0 0000000", "0 0 0 0 000 0", "10000000"))


def test_what_is_self_contained_has_no_temporal_contexts() -> None:
    start = START_1 + MPS_1_PARENT + TPL
    assert check(start + unit(6, b"\0\0\0\0" + ndu("a", node="0 0") + TEMPORAL)).ok
    report = check(start + unit(6, b"\1\0\0\0" + ndu("a", node="0 0") + TEMPORAL))
    assert [(v.unit_index, v.clause) for v in report.violations] == [(5, "semantics 9")]
    assert check(start + LPS + TEMPORAL).ok
    self_contained = unit(2, from_bits("1 0000000", "0 0 0 0 000 0", "10000000"))
    assert [v.clause for v in check(start + self_contained + TEMPORAL).violations] == ["semantics 2"]
    assert check(start + self_contained + LPS + TEMPORAL).ok


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (START_1 + MPS_1, "no NNR_TPL follows"),
        (START_1 + unit(1, bytes.fromhex("01 00 40 00 80")) + TPL, "topology_carriage_flag is 0"),
        (START_1 + MPS_1 + TPL + unit(0, b"\x01x") + MPS_1 + TPL, "1 bytes stand behind the known syntax"),
        (
            START_1 + MPS_1 + TPL + ndu(dims="0100 1 0000011 1 0000100", end="11 0000"),
            "first_tensor_dimension_shift is 1",
        ),
        (START_1 + MPS_1 + TPL + ndu(dims="0100 1 0000001 1 0000100", end="10 0001"), "scan_order is 1"),
        (
            START_1 + MPS_1_PARENT + TPL + ndu(node="0 1 00 0 10 1 00000 1 0000"),
            "independently_decodable_flag is 1",
        ),
        (
            START_1 + MPS_1 + TPL + ndu(tail="1 0000 101 100 1 0000000 0"),
            "no parameter set announces NNR_QCB",
        ),
    ],
)
def test_what_is_legal_but_unusual_is_a_note(data: bytes, found: str) -> None:
    report = check(data)
    assert report.ok
    assert [note for note in report.notes if found in note.found]


def test_parameters_that_are_missing_are_a_note_with_the_remedy() -> None:
    header = padded("00001 0 0 0 01110111 00000000", "0", "0 0", "10 0000")
    data = START_1 + MPS_1 + TPL + unit(5, header)
    report = check(data)
    assert report.ok
    assert "out_of_band" in report.notes[0].found
    assert check(data, out_of_band={"w": {"tensor_dimensions": [3, 4]}}).notes == []


def test_beyond_the_limits_is_no_verdict() -> None:
    with pytest.raises(LimitError):
        check(START_1 + MPS_1 + TPL + ndu(), limits=Limits(max_units=2))


def header(**changes: Any) -> dict[str, Any]:
    """A FLOAT matrix of 9 x 4."""
    return {
        "nnr_compressed_data_unit_payload_type": 1,
        "nnr_multiple_topology_elements_present_flag": 0,
        "nnr_decompressed_data_format_present_flag": 0,
        "input_parameters_present_flag": 1,
        "topology_elem_id": "w",
        "node_id_present_flag": 0,
        "codebook_present_flag": 0,
        "dq_flag": 1,
        "tensor_dimensions_flag": 1,
        "cabac_unary_length_flag": 1,
        "compressed_parameter_types": 0,
        "tensor_dimensions": [9, 4],
        "cabac_unary_length_minus1": 9,
        "first_tensor_dimension_shift": 0,
        "scan_order": 0,
        **changes,
    }


BLOCK: dict[str, Any] = {
    "nnr_compressed_data_unit_payload_type": 3,
    "nnr_multiple_topology_elements_present_flag": 1,
    "topology_elem_id": None,
}


def stream(values: dict[str, Any], payload: bytes = b"\0\0", mps: bytes = MPS_1) -> bytes:
    context = StreamContext()
    list(read_units(START_1 + mps + TPL, context))
    values = {name: value for name, value in values.items() if value is not None}
    return START_1 + mps + TPL + write_unit(5, values, payload, context)


FULL, INCREMENTAL = sorted(CAPABILITY_PROFILES)
PARENT = {
    "parent_node_id_present_flag": 1,
    "parent_node_id_type": 0,
    "parent_device_id": 0,
    "parameter_id": 0,
    "put_node_depth": 1,
}


@pytest.mark.parametrize(
    ("data", "fits"),
    [
        (stream(header()), {FULL, INCREMENTAL}),
        (
            stream(header(**BLOCK, compressed_parameter_types=14, topology_elem_id_list=list("abcdefg"))),
            {FULL, INCREMENTAL},
        ),
        (
            stream(
                header(
                    **BLOCK,
                    compressed_parameter_types=1,
                    topology_elem_id_list=["g", "h"],
                    decomposition_rank=2,
                    g_number_of_rows=9,
                )
            ),
            set(),
        ),
        (
            stream(
                header(
                    scan_order=1,
                    cabac_offset_list=[0],
                    dq_state_list=[0],
                    bit_offset_delta1=0,
                )
            ),
            {INCREMENTAL},
        ),
        (stream(header(parent_node_id_present_flag=0), mps=MPS_1_PARENT), {INCREMENTAL}),
        (stream(header(**PARENT, temporal_context_modeling_flag=1), mps=MPS_1_PARENT), {INCREMENTAL}),
        (START_0 + MPS_0 + TPL, set()),
        (START_1 + MPS_1 + TPL + unit(2, from_bits("0 0000000", "0 0 0 0 000 0", "10000000")), set()),
    ],
)
def test_capability_profiles_go_by_the_tools_in_use(data: bytes, fits: set[str]) -> None:
    assert set(fitting_profiles(data)) == fits
    for name in CAPABILITY_PROFILES:
        report = check(data, profile=name)
        assert report.violations == []
        assert report.ok == (name in fits)


def test_row_skip_is_seen_in_the_head_of_a_payload() -> None:
    skipping = next(bytes([0, byte, 0, 0]) for byte in range(256) if _row_skip(bytes([0, byte, 0, 0])))
    assert set(fitting_profiles(stream(header(), bytes(4)))) == {FULL, INCREMENTAL}
    assert fitting_profiles(stream(header(), skipping)) == [INCREMENTAL]


def _row_skip(payload: bytes) -> int:
    """(decoding 2.1, 2.3) The ninth bin, behind 8 of qp_value: bypass bins are a division by 510."""
    value = int.from_bytes(payload, "big") >> (32 - 18)  # 9 bits to begin with and one for each bin
    return value // 510 & 1


def test_a_caller_may_know_more_about_the_payload() -> None:
    data = stream(header(**BLOCK, compressed_parameter_types=8, topology_elem_id_list=["w", "b"]))
    assert check(data, profile=FULL).ok
    assert "row skip inside a block" in check(data, profile=FULL).notes[0].found
    report = check(data, profile=FULL, payload_flags=lambda unit: {"row_skip_enabled_flag": 1})
    assert [finding.path for finding in report.outside_profile] == ["nnr_unit_payload.row_skip_enabled_flag"]
    assert not report.ok


def test_an_unknown_profile_is_a_usage_error() -> None:
    with pytest.raises(ValueError, match="3gpp-ims-full, 3gpp-ims-incremental"):
        check(START_1, profile="3gpp")


def test_a_violation_made_through_the_tree_is_found_where_it_was_made() -> None:
    tree = parse(START_1 + MPS_1 + TPL + ndu(dims="0100 1 0000011 1 0000100", end="10 0000"))
    tree["units"][3]["nnr_unit_header"]["unit_header"]["scan_order"] = 6
    (finding,) = check(write(tree)).violations
    assert (finding.path, finding.found) == ("nnr_unit_header.unit_header.scan_order", "scan_order is 6")
