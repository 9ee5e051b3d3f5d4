"""Descriptions and traces: every element with its place, also of broken streams."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from nnr.errors import ConformanceError
from nnr.syntax.describe import describe, trace_lines
from tests.syntax.by_hand import MPS_1, START_1, from_bits, padded, unit

# The stream of worked_example.md, and its table of bits of the data unit header.
WORKED = bytes.fromhex(
    "00 04 02 01 00 08 06 81 00 40 00 80 00 06 0e 00 00 00"
    "00 19 16 09 77 00 d0 40 c1 20 e1 00 60 80 f4 06 20 03 9d 84 55 db a3 70 c0"
)
HEADER_BITS = [
    ("node_id_present_flag", "1", 1),
    ("device_id", "10", 0),
    ("parameter_id", "100000", 0),
    ("put_node_depth", "10000", 0),
    ("codebook_present_flag", "0", 0),
    ("dq_flag", "0", 0),
    ("tensor_dimensions_flag", "1", 1),
    ("cabac_unary_length_flag", "1", 1),
    ("compressed_parameter_types", "0000", 0),
    ("count_tensor_dimensions", "0100", 2),
    ("tensor_dimensions[0]", "10000011", 3),
    ("tensor_dimensions[1]", "10000100", 4),
    ("cabac_unary_length_minus1", "00000001", 1),
    ("first_tensor_dimension_shift", "10", 0),
    ("scan_order", "0000", 0),
    ("byte_alignment", "10000000", 128),
]


def leaves(elements: list[dict[str, Any]], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for entry in elements:
        name = f"{path}.{entry['name']}" if path else entry["name"]
        if "elements" in entry:
            yield from leaves(entry["elements"], name)
        else:
            yield name, entry


def test_offsets_widths_and_values_are_those_of_the_worked_example() -> None:
    unit_entry = describe(WORKED)["units"][3]
    found = {name: entry for name, entry in leaves(unit_entry["elements"]) if "descriptor" in entry}
    at = 8 * (18 + 6)  # behind the size, two bytes of flags, and "w"
    for name, bits, value in HEADER_BITS:
        entry = found[f"nnr_unit_header.unit_header.{name}"]
        assert (entry["bit_offset"], entry["width"], entry["value"]) == (at, len(bits), value), name
        at += len(bits)
    assert found["nnr_unit_payload"]["bit_offset"] == at
    assert found["nnr_unit_payload"]["value"] == "11 bytes: f40620039d8455dba370c0"


def test_coded_elements_cover_the_stream_without_gaps() -> None:
    at = 0
    for one in describe(WORKED)["units"]:
        for name, entry in leaves(one["elements"]):
            if "descriptor" in entry:
                assert entry["bit_offset"] == at, name
                at += entry["width"]
    assert at == 8 * len(WORKED)


def test_a_description_is_json_and_says_what_values_mean() -> None:
    description = json.loads(json.dumps(describe(WORKED)))
    assert (description["size"], description["problems"]) == (len(WORKED), [])
    assert [one["name"] for one in description["units"]] == ["NNR_STR", "NNR_MPS", "NNR_TPL", 'NNR_NDU "w"']
    found = dict(leaves(description["units"][3]["elements"]))
    kind = found["nnr_unit_header.unit_header.nnr_compressed_data_unit_payload_type"]
    assert (kind["meaning"], kind["descriptor"], kind["clause"]) == ("NNR_PT_FLOAT", "u(5)", "syntax 9.1")
    assert found["nnr_unit_header.unit_header.tensor_dimensions[0]"]["clause"] == "syntax 9.3"
    assert found["nnr_unit_header.unit_header.parent_node_id_present_flag"] == {
        "name": "parent_node_id_present_flag",
        "value": 0,
        "inferred": True,
    }
    assert found["nnr_unit_header.unit_header.element_ids"]["computed"]


def test_unconfirmed_elements_are_marked() -> None:
    data = START_1 + MPS_1 + unit(3, b"\x05\x00" + from_bits("00 1 0 0 000", f"{3:032b}", "101", "10000"))
    data += unit(4, b"\0\0x") + b"\x00\x05\x83\x02x"
    units = describe(data)["units"]
    pruning = dict(leaves(units[2]["elements"]))
    container = "nnr_unit_payload.nnr_pruning_topology_container"
    assert pruning[f"{container}.nnr_rep_type"]["status"] == "S"
    assert pruning[f"{container}.prune_bit_mask.bit_mask_value"]["status"] == "S"
    assert pruning["nnr_unit_header.unit_header.topology_storage_format"]["status"] == "V"
    quantization = dict(leaves(units[3]["elements"]))
    assert quantization["nnr_unit_header.unit_header.quantization_storage_format"]["status"] == "N"
    assert quantization["nnr_unit_payload.quantization_data"]["status"] == "S"
    assert dict(leaves(units[4]["elements"]))["nnr_unit_header.partial_data_counter"]["status"] == "S"
    lines = [line for line in trace_lines(data) if "bit_mask_value" in line]
    assert len(lines) == 1
    assert lines[0].endswith("[S]")


def test_trace_lines_have_offset_width_path_descriptor_and_value() -> None:
    lines = list(trace_lines(WORKED))
    assert (
        "      24    8 nnr_unit[0].nnr_unit_header.unit_header.general_profile_idc u(8) 1 (EDITION_2)"
        in lines
    )
    assert '     176   16 nnr_unit[3].nnr_unit_header.unit_header.topology_elem_id st(v) "w"' in lines
    assert lines[0] == "# unit 0: NNR_STR, 4 bytes"
    assert not [line for line in lines if line.startswith("!")]


def test_names_with_line_breaks_stay_on_one_line() -> None:
    name = "".join(f"{byte:08b}" for byte in b"a\nb\0")
    header = padded("00001 0 0 1", name, "0", "0 0", "1 1 0000", "11 1 0000101", "00000011")
    lines = list(trace_lines(START_1 + MPS_1 + unit(5, header)))
    assert any(r'"a\nb"' in line for line in lines)
    assert all("\n" not in line for line in lines if not line.startswith("#"))


def test_a_broken_stream_can_be_looked_at_up_to_the_trouble_and_behind_it() -> None:
    bad = unit(1, bytes.fromhex("81 01 40 00 c0"))
    data = START_1 + bad + unit(3, b"\0\0\0") + b"\x00\x09\x16"
    description = describe(data)
    assert [one["type"] for one in description["units"]] == [0, 1, 3, None]
    assert [(p["unit_index"], p["path"], p["bit_offset"], p["clause"]) for p in description["problems"]] == [
        (1, "nnr_unit_payload.nnr_reserved_zero_2bits", 8 * 8 + 6, "syntax 4.1"),
        (1, "nnr_unit_payload.byte_alignment", 8 * 11, "syntax 1"),
        (3, "nnr_unit_size", 8 * 18, "syntax 2.2"),
    ]
    assert description["problems"][0]["found"] == "nnr_reserved_zero_2bits is 1"
    assert description["problems"][0]["allowed"] == "only 0"
    assert len([line for line in trace_lines(data) if line.startswith("!")]) == 3


def test_only_the_layout_that_fits_is_described() -> None:
    entry = "0100 1 0000111 1 0000111 1000" + "00000010 00001001 00001001" + "00000001 00001001" + "0" * 64
    maps = "00000010" + entry + "00000000 1 0000000"
    data = START_1 + unit(1, from_bits("0 0010 000 0 0 0 0 0 0 00", maps, "10000000"))
    problems = describe(data)["problems"]
    assert problems == []
    names = [name for name, _ in leaves(describe(data)["units"][1]["elements"])]
    assert len([name for name in names if name.endswith("upm_count_thresholds")]) == 1
    assert len([name for name in names if "reshaped_tensor_dimensions[" in name]) == 2


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(ConformanceError, match="not an NNR bitstream"):
        describe(b"PK\x03\x04 and so on")
