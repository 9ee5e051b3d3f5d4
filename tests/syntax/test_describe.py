"""Descriptions and traces: every element with its place, also of broken streams."""

from __future__ import annotations

import copy
import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nnr.errors import ConformanceError
from nnr.syntax.describe import LazyList, describe, trace_lines
from nnr.syntax.tree import parse
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


def test_a_lazy_list_is_a_list_in_whatever_way_it_is_asked() -> None:
    def lazy() -> LazyList:
        return LazyList(lambda: iter([1, 2, 3]), lambda: 3)

    plain = [1, 2, 3]
    assert (len(lazy()), list(lazy()), tuple(lazy()), sorted(lazy()), [*lazy()]) == (
        3, plain, (1, 2, 3), plain, plain,
    )  # fmt: skip
    assert (lazy()[1], lazy()[-2:], lazy().index(3), lazy().count(2), 2 in lazy()) == (2, [2, 3], 2, 1, True)
    assert (lazy() + [4], [0] + lazy(), lazy() * 2, repr(lazy())) == (
        [1, 2, 3, 4], [0, 1, 2, 3], plain * 2, "[1, 2, 3]",
    )  # fmt: skip
    assert lazy() == plain
    assert plain == lazy()
    assert lazy() == lazy()
    assert lazy() != [1, 2]
    assert lazy() < [1, 3]
    assert list(reversed(lazy())) == [3, 2, 1]
    assert json.dumps(lazy()) == json.dumps(lazy(), indent=None, skipkeys=True) == "[1, 2, 3]"
    assert "".join(json.JSONEncoder().iterencode({"a": lazy()})) == '{"a": [1, 2, 3]}'
    assert pickle.loads(pickle.dumps(lazy())) == copy.deepcopy(lazy()) == copy.copy(lazy()) == plain
    for change in ("append", 4), ("extend", [4]), ("insert", 3, 4), ("__iadd__", [4]):
        held = lazy()
        getattr(held, str(change[0]))(*change[1:])
        assert (held, len(held), list(held)) == ([1, 2, 3, 4], 4, [1, 2, 3, 4])
    taken: list[int] = []
    taken += lazy()
    taken[:1] = lazy()
    assert taken == [1, 2, 3, 2, 3]
    assert not LazyList(lambda: iter(()), lambda: 0)


def bits_of_codebook(entries: int) -> bytes:
    """A codebook of `entries` (a power of two) entries, each but one of them a single bit."""
    size = f"{entries + 4:b}"
    exp_golomb = "0" * (len(size) - 3) + size
    book = "0000" + exp_golomb + "100" + "10000000" + "1" * (entries - 1)
    name = "01110111 00000000"
    header = padded("00001 0 0 1", name, "0", "1", book, "0", "1 1 0000", "11 1 0000101", "00000011")
    return START_1 + MPS_1 + unit(5, header)


@pytest.mark.parametrize(
    ("read", "bound"),
    [
        (lambda data: json_length(describe(data)), 450),
        (lambda data: sum(map(len, trace_lines(data))), 450),
        (parse, 320),
    ],
    ids=["describe", "trace", "parse"],
)
def test_list_entries_of_a_bit_take_no_objects(read: Callable[[bytes], Any], bound: int) -> None:
    """Bytes of memory for each byte of a stream that is one codebook: an object for each entry takes 4000."""
    data = bits_of_codebook(1 << 13)
    assert len(data) < 1500
    book = parse(data)["units"][2]["nnr_unit_header"]["unit_header"]["integer_codebook"]
    assert len(book["codebook_delta_left"]) + len(book["codebook_delta_right"]) == (1 << 13) - 1
    tracemalloc.start()
    try:
        read(data)
        assert tracemalloc.get_traced_memory()[1] < bound * len(data)
    finally:
        tracemalloc.stop()


def json_length(value: Any) -> int:
    return sum(map(len, json.JSONEncoder().iterencode(value)))


def test_many_small_units_are_described_in_little_memory() -> None:
    data = START_1 + MPS_1 + unit(63, b"") * 2000
    bounds = ((lambda: json_length(describe(data)), 250), (lambda: sum(map(len, trace_lines(data))), 40))
    for read, bound in bounds:
        tracemalloc.start()
        try:
            read()
            assert tracemalloc.get_traced_memory()[1] < bound * len(data)
        finally:
            tracemalloc.stop()
