"""Units in order, their place, aggregates, private units, and what is no stream at all (syntax 2 and 10)."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest

from nnr.errors import BitstreamError, ConformanceError, LimitError, SyntaxValueError, TruncatedError
from nnr.limits import Limits
from nnr.syntax import StreamContext, parse, read_units, split_units, write, write_unit
from nnr.syntax.stream import check_begin
from tests.syntax.by_hand import MPS_1, START_0, START_1, from_bits, padded, plain, unit

NDU = unit(
    5, padded("00001 0 0 1 01110111 00000000", "0", "0 0", "1 1 0000", "11 1 0000101", "00000011") + b"pay"
)
LPS = unit(2, from_bits("0 0000000", "0 0 0 0 001 0", "011", "1111111111011", "10000000"))
TPL = unit(3, b"\0\0\0")


def test_units_have_their_place_and_their_parameter_sets() -> None:
    data = START_1 + MPS_1 + TPL + LPS + NDU
    units = list(read_units(data))
    assert [one.unit_type for one in units] == [0, 1, 3, 2, 5]
    assert [one.index for one in units] == [0, 1, 2, 3, 4]
    assert [one.byte_offset for one in units] == [0, 4, 12, 18, 18 + len(LPS)]
    assert [one.size for one in units] == [4, 8, 6, len(LPS), len(NDU)]
    assert [one.name for one in units] == ["NNR_STR", "NNR_MPS", "NNR_TPL", "NNR_LPS", 'NNR_NDU "w"']
    last = units[-1]
    assert (last.profile, last.quantization, last.depth) == (1, (3, -5), 0)
    assert last.mps is units[1].payload
    assert last.lps is units[3].payload
    assert bytes(last.payload_bytes) == b"pay"
    assert "NNR_NDU" in repr(last)


def test_a_new_start_unit_begins_a_new_network() -> None:
    data = START_1 + MPS_1 + LPS + NDU + START_0 + unit(1, bytes.fromhex("80 00 80"))
    last = list(read_units(data))[-1]
    assert (last.profile, last.lps, last.quantization) == (0, None, None)


def test_reading_takes_slices_and_copies_no_payload(tmp_path: Path) -> None:
    path = tmp_path / "stream.nnr"
    path.write_bytes(START_1 + MPS_1 + NDU)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        view = memoryview(mapped)
        units = list(read_units(view))
        assert units[-1].payload_bytes.obj is mapped
        assert bytes(units[-1].payload_bytes) == b"pay"
        del units
        view.release()


def test_units_are_read_one_at_a_time() -> None:
    reading = read_units(START_1 + MPS_1 + b"\xff")
    assert next(reading).unit_type == 0
    assert next(reading).unit_type == 1
    with pytest.raises(TruncatedError):
        next(reading)


# ----------------------------------------------------------------------------------------------- not a stream


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"PK\x03\x04" + bytes(30), "a zip archive"),
        (b"\x93NUMPY\x01\x00", "a .npy file"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        ((64).to_bytes(8, "little") + b'{"__metadata__":{}}', "a safetensors file"),
        (b"graph G( x ) -> ( y )\n", "text"),
        (b"\x1f\x8b\x08\0", "a gzip file"),
        (b"\x08\x07\x12\x07pytorch", "bytes 08 07 12 07"),
        (bytes(16), "bytes 00 00 00 00"),
        (b"\xff" * 40, "bytes ff ff ff ff"),
        (NDU, "a unit of type NNR_NDU"),
        (MPS_1 + NDU, "a unit of type NNR_MPS"),
    ],
)
def test_a_foreign_file_is_named_in_one_line(data: bytes, what: str) -> None:
    with pytest.raises(ConformanceError, match=r"^byte 0: not an NNR bitstream: it begins with") as caught:
        list(read_units(data))
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.clause == "syntax 2.4"


def test_an_empty_file_says_so() -> None:
    with pytest.raises(TruncatedError, match="empty"):
        list(read_units(b""))


def test_every_truncation_is_an_error_with_a_place_or_ends_at_a_unit() -> None:
    data = START_1 + MPS_1 + TPL + LPS + NDU
    ends = {4, 12, 18, 18 + len(LPS)}
    for size in range(1, len(data)):
        if size in ends:
            assert len(list(read_units(data[:size]))) >= 1
            continue
        with pytest.raises(TruncatedError) as caught:
            list(read_units(data[:size]))
        assert caught.value.byte_offset is not None
        assert caught.value.byte_offset <= size
        assert caught.value.unit_index is not None


@pytest.mark.parametrize(
    ("field", "message"),
    [
        (b"\x00\x00", "nnr_unit_size is 0; allowed: 3 or more"),
        (b"\x00\x02", "nnr_unit_size is 2"),
        (b"\x80\x00\x00\x04", "nnr_unit_size is 4; allowed: 5 or more"),
    ],
)
def test_a_unit_cannot_be_shorter_than_its_size_and_header(field: bytes, message: str) -> None:
    with pytest.raises(ConformanceError, match=message) as caught:
        list(read_units(START_1 + field + b"\x06" + bytes(20)))
    assert (caught.value.byte_offset, caught.value.path) == (4, "nnr_unit_size")


def test_a_size_beyond_the_end_is_truncated_and_says_by_how_much() -> None:
    with pytest.raises(TruncatedError, match="should have 2147483647 bytes, but only 24 are left"):
        list(read_units(START_1 + b"\xff\xff\xff\xff" + bytes(20)))


def test_the_long_size_field_is_used_where_it_must_and_may_be_used_elsewhere() -> None:
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    short = write_unit(
        3,
        {"topology_storage_format": 0, "topology_compression_format": 0},
        {"topology_data": b"x" * 32762},
        context,
    )
    assert (len(short), short[:2]) == (32767, b"\x7f\xff")
    longer = write_unit(
        3,
        {"topology_storage_format": 0, "topology_compression_format": 0},
        {"topology_data": b"x" * 32763},
        context,
    )
    assert (len(longer), longer[:4]) == (32770, b"\x80\x00\x80\x02")
    forced = write_unit(32, None, b"x", context, nnr_unit_size_flag=1)
    assert forced == b"\x80\x00\x00\x06\x82x"
    assert [one.size for one in read_units(START_1 + short + longer + forced)] == [4, 32767, 32770, 6]


# ------------------------------------------------------------------------------------------------- unit order


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (START_1 + NDU, "an NNR_NDU before the NNR_MPS"),
        (START_1 + MPS_1 + MPS_1, "a second NNR_MPS in the network"),
    ],
)
def test_units_out_of_order_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(ConformanceError, match=message) as caught:
        list(read_units(data))
    assert caught.value.clause == "syntax 2.4"


def test_a_context_that_is_under_way_takes_units_without_a_start() -> None:
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    assert [one.name for one in read_units(NDU, context)] == ['NNR_NDU "w"']
    context = StreamContext()
    list(read_units(START_1, context))
    with pytest.raises(ConformanceError, match="before the NNR_MPS"):
        list(read_units(NDU, context))


def test_writing_keeps_the_order_too() -> None:
    context = StreamContext()
    with pytest.raises(SyntaxValueError, match="the first unit is NNR_TPL"):
        write_unit(
            3,
            {"topology_storage_format": 0, "topology_compression_format": 0},
            {"topology_data": b""},
            context,
        )


# ----------------------------------------------------------------------------------- other units and payloads


@pytest.mark.parametrize("unit_type", [7, 31, 32, 63])
def test_reserved_and_private_units_are_kept_as_bytes(unit_type: int) -> None:
    data = START_1 + MPS_1 + unit(unit_type, b"anything") + unit(unit_type, b"") + NDU
    kept = list(read_units(data))[2]
    assert (kept.payload, bytes(kept.payload_bytes)) == (None, b"anything")
    assert kept.name == f"{'reserved' if unit_type < 32 else 'private'} unit type {unit_type}"
    assert write(parse(data)) == data


def test_a_partial_data_counter_is_read_and_written() -> None:
    data = START_1 + MPS_1 + b"\x00\x05\x83\x02x"
    part = list(read_units(data))[2]
    assert (part.header.partial_data_counter, bytes(part.payload_bytes)) == (2, b"x")
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    assert write_unit(32, None, b"x", context, partial_data_counter=2) == b"\x00\x05\x83\x02x"
    assert list(read_units(START_1 + MPS_1))[1].header.partial_data_counter == 0


def test_bytes_behind_the_known_syntax_are_ignored_and_kept() -> None:
    start = unit(0, b"\x01extra")
    data = start + unit(1, bytes.fromhex("81 00 40 00 80") + b"more")
    units = list(read_units(data))
    assert [bytes(one.trailing) for one in units] == [b"extra", b"more"]
    assert units[0].profile == 1
    assert write(parse(data)) == data


def test_payloads_of_the_wrong_kind_are_refused() -> None:
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    with pytest.raises(SyntaxValueError, match="payload of NNR_TPL is given by its values"):
        write_unit(3, {"topology_storage_format": 0, "topology_compression_format": 0}, b"x", context)
    with pytest.raises(SyntaxValueError, match="can only be bytes"):
        write_unit(40, None, {"x": 1}, context)
    with pytest.raises(SyntaxValueError, match="is a int, neither bytes nor values"):
        write_unit(40, None, 5, context)  # type: ignore[arg-type]
    with pytest.raises(SyntaxValueError, match="unit type 40 has no header"):
        write_unit(40, {"x": 1}, b"", context)
    with pytest.raises(SyntaxValueError, match="64 does not fit"):
        write_unit(64, None, b"", context)


def test_units_are_counted_against_their_limit() -> None:
    data = START_1 + MPS_1 + unit(32, b"") * 10
    assert len(list(read_units(data, StreamContext(limits=Limits(max_units=12))))) == 12
    with pytest.raises(LimitError, match="max_units=12") as caught:
        list(read_units(data, StreamContext(limits=Limits(max_units=11))))
    assert caught.value.unit_index == 11


def test_split_units_goes_by_sizes_alone() -> None:
    assert [bytes(part) for part in split_units(START_1 + MPS_1 + NDU)] == [START_1, MPS_1, NDU]
    with pytest.raises(ConformanceError):
        split_units(START_1 + b"\0")


# -------------------------------------------------------------------------------------------- aggregate units


def aggregate(*units: bytes, entry_points: str = "", kind: int = 0, count: int | None = None) -> bytes:
    """An aggregate unit of the standard layout; `entry_points` are bits of 40 each."""
    number = (len(units) if count is None else count) - 2
    head = bytes([kind, 0x80 if entry_points else 0]) + number.to_bytes(2, "big")
    return unit(6, head + (from_bits(entry_points) if entry_points else b"") + b"".join(units))


def test_units_of_an_aggregate_are_read_as_if_they_stood_in_the_stream() -> None:
    data = START_1 + aggregate(MPS_1, TPL) + NDU
    units = list(read_units(data))
    assert [(one.unit_type, one.depth) for one in units] == [(0, 0), (6, 0), (1, 1), (3, 1), (5, 0)]
    assert [one.byte_offset for one in units] == [0, 4, 11, 19, 25]
    assert bytes(units[1].payload_bytes) == MPS_1 + TPL
    assert units[1].contains
    assert write(parse(data)) == data


def test_entry_points_of_an_aggregate_stand_in_its_header() -> None:
    # Size 2, header 1, aggregate header 4, two entries of 5 bytes: the first unit is 17 bytes in.
    points = f"{1:06b} {17:034b} {3:06b} {17 + len(MPS_1):034b}"
    data = START_1 + aggregate(MPS_1, TPL, entry_points=points, kind=1)
    header = list(read_units(data))[1].header.unit_header
    assert plain(header) == {
        "nnr_aggregate_unit_type": 1,
        "entry_points_present_flag": 1,
        "nnr_reserved_zero_7bits": 0,
        "num_of_nnr_units_minus2": 0,
        "nnr_unit_type": [1, 3],
        "nnr_unit_entry_point": [17, 25],
    }
    context = StreamContext()
    write_unit(0, {"general_profile_idc": 1}, None, context)
    flags = {"nnr_aggregate_unit_type": 1, "entry_points_present_flag": 1}
    assert START_1 + write_unit(6, flags, [MPS_1, TPL], context) == data
    assert context.mps is not None
    assert parse(data)["units"][1]["nnr_unit_header"]["unit_header"] == flags


def test_an_aggregate_in_the_layout_of_the_drafts_is_recognised_by_its_sizes() -> None:
    # Two quant_bitdepth u(5), 7 and 9, then byte_alignment().
    head = bytes([0, 0, 0, 0]) + from_bits("00111 01001 100000")
    data = START_1 + unit(6, head + MPS_1 + TPL)
    header = list(read_units(data))[1].header.unit_header
    assert header.quant_bitdepth == [7, 9]
    assert parse(data)["units"][1]["aggregate_layout"] == 1
    assert write(parse(data)) == data


@pytest.mark.parametrize(
    "wrong",
    [
        aggregate(MPS_1, TPL, count=3),
        aggregate(MPS_1, TPL[:-1]),
        aggregate(MPS_1, TPL + b"\0"),
        unit(6, b"\0\0\0\0"),
    ],
)
def test_contained_units_must_fill_the_aggregate_in_the_announced_number(wrong: bytes) -> None:
    with pytest.raises(ConformanceError, match="do not fill the aggregate unit") as caught:
        list(read_units(START_1 + wrong))
    assert caught.value.clause == "syntax 10.2"


def test_a_layer_parameter_set_ends_with_its_aggregate() -> None:
    data = START_1 + MPS_1 + aggregate(LPS, NDU) + NDU.replace(b"w\0", b"v\0")
    found = [(one.depth, one.quantization) for one in read_units(data) if one.unit_type == 5]
    assert found == [(1, (3, -5)), (0, (2, 0))]


def test_aggregates_in_aggregates_are_read_down_to_the_limit() -> None:
    nested = aggregate(TPL, TPL)
    for _ in range(4):
        nested = aggregate(nested, TPL)
    data = START_1 + MPS_1 + nested
    assert max(one.depth for one in read_units(data)) == 5
    assert write(parse(data)) == data
    with pytest.raises(LimitError, match="max_recursion"):
        list(read_units(data, StreamContext(limits=Limits(max_recursion=4))))


def test_an_error_inside_an_aggregate_has_its_place_in_the_stream() -> None:
    bad = unit(1, bytes.fromhex("81 00 40 00 c0"))
    with pytest.raises(ConformanceError) as caught:
        list(read_units(START_1 + aggregate(TPL, bad)))
    assert (caught.value.unit_index, caught.value.unit) == (3, "NNR_MPS")
    assert caught.value.byte_offset == 4 + 7 + len(TPL) + 7


def test_contents_that_are_no_units_are_refused_on_writing() -> None:
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    flags = {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0}
    with pytest.raises(SyntaxValueError, match="does not consist of complete units"):
        write_unit(6, flags, [TPL, b"\0"], context)
    with pytest.raises(BitstreamError):
        write_unit(6, flags, [TPL, MPS_1], context)


def test_names_that_do_not_print_are_escaped_in_messages() -> None:
    odd = "a\n\x1b[31m\u202e\u00e9"
    context = StreamContext()
    list(read_units(START_1 + MPS_1, context))
    letters = "".join(f"{byte:08b}" for byte in odd.encode() + b"\0")
    one = next(
        read_units(
            unit(5, padded("00001 0 0 1", letters, "0", "0 0", "1 1 0000", "11 1 0000101", "00000011")),
            context,
        )
    )
    assert one.header.unit_header.topology_elem_id == odd
    assert one.name == 'NNR_NDU "a\\n\\x1b[31m\\u202e\u00e9"'


def test_begin_is_checked_without_reading_further() -> None:
    check_begin(START_1 + b"garbage")
    check_begin(b"\x00\x04")
