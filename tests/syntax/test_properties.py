"""Values sampled for every structure survive; any bytes give a result or one kind of error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nnr.errors import BitstreamError
from nnr.limits import Limits
from nnr.syntax import StreamContext, parse, read_units, write, write_unit
from nnr.syntax.check import check
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.describe import describe
from nnr.syntax.fast import FAST_TABLES
from nnr.syntax.info import info
from nnr.syntax.serdes import TABLES, Reader, Values, Writer, syntax_table
from nnr.syntax.stream import walk_units
from tests.strategies import Sampler, out_of_band, streams, units
from tests.syntax.by_hand import plain

KINDS = [kind for kind in NnrUnitType if kind not in (NnrUnitType.NNR_STR, NnrUnitType.NNR_AGG)]


def context_for(data: st.DataObject, kind: NnrUnitType) -> StreamContext:
    """A context in which a unit of this kind may come: profile, and for all but an MPS a parameter set."""
    context = StreamContext(out_of_band)
    write_unit(0, {"general_profile_idc": data.draw(st.sampled_from([0, 1]))}, None, context)
    if kind != NnrUnitType.NNR_MPS:
        _, payload = data.draw(units([NnrUnitType.NNR_MPS], context.copy()))
        write_unit(1, {}, payload, context)
        if context.mps_topology_indexed_reference_flag:
            names = {"topology_elem_id_list": ["one", "two"]}
            write_unit(3, {"topology_storage_format": 6, "topology_compression_format": 0}, names, context)
    return context


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@given(data=st.data())
def test_sampled_units_survive_write_and_parse(kind: NnrUnitType, data: st.DataObject) -> None:
    context = context_for(data, kind)
    header, payload = data.draw(units([kind], context.copy()))
    counter = header.partial_data_counter if header.partial_data_counter_present_flag else None
    written = write_unit(
        kind,
        header.unit_header,
        payload,
        context.copy(),
        independently_decodable_flag=header.independently_decodable_flag,
        partial_data_counter=counter,
    )
    (one,) = read_units(written, context)
    assert plain(one.header) == plain(header)
    if kind == NnrUnitType.NNR_NDU:
        assert bytes(one.payload_bytes) == payload
    else:
        found = plain(one.payload)
        layout = found.pop("map_layout", 0)
        assert layout == 0
        assert found == plain(payload)


@given(data=st.data(), layout=st.integers(0, 7))
def test_performance_maps_of_every_layout_survive(data: st.DataObject, layout: int) -> None:
    context = StreamContext()
    write_unit(0, {"general_profile_idc": 1}, None, context)
    inside = context.copy()
    inside.map_layout = layout
    sampler = Sampler(data.draw)
    payload = sampler.table("p", TABLES["nnr_model_parameter_set_unit_payload"], inside, Values())
    written = write_unit(1, {}, {**payload, "map_layout": layout}, context.copy())
    start = write_unit(0, {"general_profile_idc": 1}, None, StreamContext())
    one = list(read_units(start + written))[1]
    assert one.payload is not None
    # Several layouts may fit; the first does, and gives the same bytes.
    assert one.payload.get("map_layout", 0) <= layout
    assert write(parse(start + written)) == start + written


@given(streams())
def test_sampled_streams_survive_as_trees(data: bytes) -> None:
    tree = parse(data, out_of_band=out_of_band)
    assert write(tree) == data
    assert write(parse(data)) == data
    assert write(parse(data, strict=False)) == data


@given(streams())
def test_sampled_streams_can_be_described_informed_and_checked(data: bytes) -> None:
    description = describe(data, out_of_band=out_of_band)
    assert description["problems"] == []
    assert len(description["units"]) == len(list(read_units(data, StreamContext(out_of_band))))
    info(data, out_of_band=out_of_band)
    for finding in check(data, out_of_band=out_of_band).violations:
        # Sampled units are sound one by one; only rules that span units may be broken.
        assert finding.clause in (
            "semantics 1",
            "semantics 2",
            "semantics 4",
            "syntax 2.3",
            "syntax 2.4",
            "syntax 7.1",
        )


def outcome(read: Callable[[], Any]) -> Any:
    """What a reading gives: its result, or the error with its place."""
    try:
        return read()
    except BitstreamError as error:
        return (type(error), str(error), error.bit_offset, error.byte_offset, error.path, error.clause)


def units_of(data: bytes, fast: bool) -> list[Any]:
    """Units with their values, with or without compiled tables from the first unit on."""
    reader = Reader(data)
    reader.tables = dict(FAST_TABLES) if fast else {}  # type: ignore[arg-type]
    return [
        (plain(one.header), plain(one.payload), bytes(one.payload_bytes), one.byte_offset)
        for one in walk_units(reader, StreamContext(out_of_band))
    ]


@st.composite
def mutated(draw: Any) -> bytes:
    """A sampled stream with a few bytes changed, or cut."""
    data = bytearray(draw(streams()))
    for _ in range(draw(st.integers(1, 4))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(1, len(data)))] if draw(st.booleans()) else data)


@given(st.one_of(streams(), mutated()))
def test_compiled_tables_read_and_fail_as_the_tables_do(data: bytes) -> None:
    assert outcome(lambda: units_of(data, True)) == outcome(lambda: units_of(data, False))


SMALL = Limits(
    max_tensor_elements=1 << 20, max_codebook_size=1 << 10, max_units=100, max_list_entries=1 << 10
)


def nothing_but_bitstream_errors(data: bytes) -> None:
    for read in (
        lambda: list(read_units(data, StreamContext(limits=SMALL))),
        lambda: parse(data, limits=SMALL),
        lambda: parse(data, strict=False, limits=SMALL),
        lambda: describe(data, limits=SMALL),
        lambda: info(data, limits=SMALL),
        lambda: check(data, profile="3gpp-ims-full", limits=SMALL),
    ):
        result = outcome(read)
        if isinstance(result, tuple):
            assert "\n" not in result[1]


@given(mutated())
def test_changed_streams_give_a_result_or_a_bitstream_error(data: bytes) -> None:
    nothing_but_bitstream_errors(data)


@given(st.binary(max_size=80))
def test_any_bytes_give_a_result_or_a_bitstream_error(data: bytes) -> None:
    nothing_but_bitstream_errors(data)
    nothing_but_bitstream_errors(bytes.fromhex("00040201") + data)
    nothing_but_bitstream_errors(bytes.fromhex("00040201 0008068100400080") + data)


@given(st.one_of(mutated(), st.binary(max_size=60)))
def test_a_tree_of_anything_is_written_back_as_it_was(data: bytes) -> None:
    try:
        tree = parse(data, strict=False, limits=SMALL)
    except BitstreamError:
        assume(False)
    assert write(tree) == data


@pytest.mark.parametrize(
    ("kind", "fixed", "names"),
    [
        (
            NnrUnitType.NNR_TPL,
            {"topology_storage_format": 5, "prune_flag": 1, "nnr_rep_type": 0},
            ["prune_bit_mask"],
        ),
        (
            NnrUnitType.NNR_TPL,
            {"topology_storage_format": 5, "prune_flag": 1, "nnr_rep_type": 1},
            ["count_ids", "dim"],
        ),
        (NnrUnitType.NNR_TPL, {"topology_storage_format": 6}, ["topology_elem_id_list"]),
        (
            NnrUnitType.NNR_NDU,
            {
                "nnr_compressed_data_unit_payload_type": 1,
                "nnr_multiple_topology_elements_present_flag": 1,
                "input_parameters_present_flag": 1,
            },
            ["topology_tensor_dimension_mapping"],
        ),
        (
            NnrUnitType.NNR_NDU,
            {
                "nnr_compressed_data_unit_payload_type": 3,
                "count_topology_elements_minus2": 1,
                "input_parameters_present_flag": 1,
                "compressed_parameter_types": 3,
                "codebook_present_flag": 1,
                "tensor_dimensions_flag": 1,
                "count_tensor_dimensions": 2,
                "g_number_of_rows": 1,
            },
            ["integer_codebook_second", "tensor_dimensions"],
        ),
        (
            NnrUnitType.NNR_NDU,
            {
                "nnr_compressed_data_unit_payload_type": 1,
                "input_parameters_present_flag": 1,
                "compressed_parameter_types": 0,
                "tensor_dimensions_flag": 1,
                "count_tensor_dimensions": 2,
                "tensor_dimensions": 40,
                "scan_order": 1,
            },
            ["cabac_offset_list", "bit_offset_delta2"],
        ),
    ],
)
@given(data=st.data())
@settings(max_examples=20)
def test_structures_that_chance_seldom_meets_survive_too(
    kind: NnrUnitType, fixed: dict[str, int], names: list[str], data: st.DataObject
) -> None:
    context = context_for(data, kind)
    header, payload = data.draw(units([kind], context.copy(), fixed))
    assume(not header.partial_data_counter_present_flag)
    written = write_unit(kind, header.unit_header, payload, context.copy())
    (one,) = read_units(written, context)
    assert plain(one.header.unit_header) == plain(header.unit_header)
    if one.payload is not None:
        assert plain(one.payload) == plain(payload)
    for name in names:
        assert f"{name}=" in repr((one.header, one.payload))


def test_a_new_table_is_parsed_written_and_sampled_at_once() -> None:
    before = dict(TABLES)

    @syntax_table("example 1", status="S")
    def made_up(s: Any, v: Values, ctx: Any) -> None:
        s.ue(0, "count", counts="items", max=3)
        for i in s.loop(v.count, "items"):
            s.u(3, "items", i, max=5)
        s.byte_alignment()

    try:
        seen = []

        @settings(max_examples=20, derandomize=True, database=None)
        @given(st.data())
        def sample(data: st.DataObject) -> None:
            values = Sampler(data.draw).table("t", made_up, None)
            writer = Writer({"t": values})
            writer.table("t", made_up, None)
            assert Reader(writer.tobytes()).table("t", made_up, None) == values
            seen.append(values["count"])

        sample()
        assert set(seen) == {0, 1, 2, 3}
    finally:
        TABLES.clear()
        TABLES.update(before)
