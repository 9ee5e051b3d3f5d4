"""Values for syntax structures, drawn by hypothesis through the syntax tables themselves.

`Sampler` is one more reading of the tables: where `Reader` takes bits, it draws a value within the range that
the element declares. So every structure that the tables can describe is sampled, and none has to be described
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from hypothesis import assume
from hypothesis import strategies as st

from nnr.limits import Limits
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.data_unit import coded_elements
from nnr.syntax.serdes import Syntax, Table, Values, float_from_bits
from nnr.syntax.stream import StreamContext, nnr_unit_header, nnr_unit_payload, write_unit

Draw = Callable[[st.SearchStrategy[Any]], Any]

_MAX_CODE = (1 << 32) - 1

# Elements whose whole range would only make huge tensors or lists.
_SMALL = {
    "tensor_dimensions": (1, 40),
    "count_tensor_dimensions": (1, 5),
    "decomposition_rank": (1, 40),
    "g_number_of_rows": (1, 6),
    "count_topology_elements_minus2": (0, 6),
    "count_reshaped_tensor_dimension": (0, 4),
    "count_super_block_dimension": (0, 4),
    "count_block_dimension": (0, 4),
    "codebook_size": (1, 12),
    "num_of_nnr_units_minus2": (0, 3),
    "upm_class_bitmask": (0, 4),
    "count_bits": (0, 40),
    "topology_elem_id_index": (0, 1),
    "topology_elem_id_index_list": (0, 1),
}
_SMALL_COUNT = (0, 3)

_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
_floats = st.one_of(
    st.floats(width=32),
    st.integers(0, _MAX_CODE).map(float_from_bits),
)


class Sampler(Syntax):
    """Draws a value for every element; constraints that no element states are assumed."""

    def __init__(self, draw: Draw, fixed: dict[str, Any] | None = None) -> None:
        self.draw = draw
        self.fixed = fixed or {}
        self.limits = Limits()
        self.values = Values()

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        value = self.fixed[name] if name in self.fixed else self._drawn(kind, n, name, options)
        if not index:
            self.values[name] = value
            return
        row = self.values.__dict__.setdefault(name, [])
        for i in index[:-1]:
            row = row[i]
        row.append(value)

    def _drawn(self, kind: str, n: int, name: str, options: dict[str, Any]) -> Any:
        if kind == "st":
            return self.draw(_names)
        if kind == "bs":
            return self.draw(st.binary(max_size=20))
        if kind == "flt":
            return self.draw(_floats)
        if kind == "bits":
            return self.draw(st.text("01", min_size=n, max_size=n))
        if options.get("fixed") is not None:
            return options["fixed"]
        if options.get("allowed") is not None:
            assume(options["allowed"])
            return self.draw(st.sampled_from(options["allowed"]))
        if kind in ("u", "i"):
            low, high = (0, (1 << n) - 1) if kind == "u" else (-(1 << (n - 1)), (1 << (n - 1)) - 1)
        else:
            low, high = (0, _MAX_CODE) if kind == "ue" else (-(_MAX_CODE >> 1), (_MAX_CODE + 1) >> 1)
        small = _SMALL.get(name) or (_SMALL_COUNT if options.get("counts") else None)
        for bound in (small, (options.get("min"), options.get("max"))):
            if bound is not None:
                low = low if bound[0] is None else max(low, bound[0])
                high = high if bound[1] is None else min(high, bound[1])
        values = st.integers(low, high)
        if options.get("enum") is not None:
            values = st.sampled_from([int(member) for member in options["enum"] if low <= member <= high])
        if options.get("open_enum") is not None:
            values = st.one_of(st.sampled_from([int(member) for member in options["open_enum"]]), values)
        return self.draw(values)

    def byte_alignment(self) -> None:
        pass

    @property
    def aligned(self) -> bool:
        return True

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        outer, inner = self.values, Values()
        outer[name] = inner
        self.values = inner
        function(self, inner, ctx, *arguments)
        self.values = outer
        return inner

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        function(self, self.values, ctx, *arguments)

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        for name in names:
            if at:
                row = self.values[name]
                for i in at[:-1]:
                    row = row[i]
                row.append([])
            else:
                self.values[name] = []
        return range(count)

    def infer(self, name: str, value: Any) -> None:
        self.values[name] = value

    def supply(self, name: str, value: Any, default: Any = None) -> None:
        value = default if value is None else value
        if value is not None:
            self.values[name] = value

    def let(self, name: str, value: Any) -> None:
        self.values[name] = value

    def require(self, condition: bool, found: str, allowed: str, clause: str | None = None) -> None:
        assume(condition)

    def unknown(self, name: str, remedy: str) -> NoReturn:
        assume(False)
        raise AssertionError

    def limit(self, limit: str, value: int, what: str) -> None:
        assume(value < 1 << 31)


_OUT_OF_BAND = {
    "tensor_dimensions": [4, 3, 2],
    "cabac_unary_length_minus1": 7,
    "compressed_parameter_types": 0,
}


def out_of_band(name: str) -> dict[str, Any]:
    """The same parameters for every element, for units that leave theirs out."""
    return _OUT_OF_BAND


def _types(kinds: Iterable[NnrUnitType]) -> st.SearchStrategy[int]:
    return st.sampled_from([int(kind) for kind in kinds])


@st.composite
def units(
    draw: Draw,
    kinds: Iterable[NnrUnitType] | None = None,
    context: StreamContext | None = None,
    fixed: dict[str, Any] | None = None,
) -> tuple[Values, Values | bytes]:
    """Header and payload values of one unit that `context` allows; of a data unit the payload is bytes."""
    ctx = StreamContext(out_of_band) if context is None else context
    if ctx.profile is None:
        ctx.begin_network(draw(st.sampled_from([0, 1])))
        if kinds is None or NnrUnitType.NNR_MPS not in kinds:
            ctx.set_mps(draw(parameter_sets(ctx)))
            ctx.reference_list = ["first", "second"]
    kind = draw(_types(kinds if kinds is not None else [NnrUnitType.NNR_NDU]))
    sampler = Sampler(draw, {"nnr_unit_type": kind, **(fixed or {})})
    ctx.map_layout = 0
    header = sampler.table("nnr_unit_header", nnr_unit_header, ctx)
    if kind == NnrUnitType.NNR_NDU:
        return header, _payload(draw, header.unit_header)
    return header, sampler.table("nnr_unit_payload", nnr_unit_payload, ctx, header)


def _payload(draw: Draw, header: Values) -> bytes:
    if header.nnr_compressed_data_unit_payload_type != 2:
        return draw(st.binary(max_size=30))
    return bytes(4 * coded_elements(header))


@st.composite
def parameter_sets(draw: Draw, ctx: StreamContext) -> Values:
    """Payload values of a model parameter set."""
    sampler = Sampler(draw)
    header = Values(nnr_unit_type=int(NnrUnitType.NNR_MPS))
    ctx.map_layout = 0
    return sampler.table("nnr_unit_payload", nnr_unit_payload, ctx, header)


@st.composite
def streams(draw: Draw, max_units: int = 4) -> bytes:
    """A whole stream: start unit, model parameter set, then some units of all types."""
    ctx = StreamContext(out_of_band)
    parts = [
        write_unit(NnrUnitType.NNR_STR, {"general_profile_idc": draw(st.sampled_from([0, 1]))}, None, ctx)
    ]
    parts.append(write_unit(NnrUnitType.NNR_MPS, {}, draw(parameter_sets(ctx)), ctx))
    kinds = [NnrUnitType.NNR_LPS, NnrUnitType.NNR_TPL, NnrUnitType.NNR_QNT, NnrUnitType.NNR_NDU]
    for _ in range(draw(st.integers(0, max_units))):
        if draw(st.integers(0, 5)) == 0:
            inside = ctx.copy()
            held = [_written(draw, kinds, inside) for _ in range(draw(st.integers(2, 3)))]
            header = {"nnr_aggregate_unit_type": draw(st.integers(0, 1))}
            header["entry_points_present_flag"] = draw(st.integers(0, 1))
            parts.append(write_unit(NnrUnitType.NNR_AGG, header, held, ctx))
        elif draw(st.integers(0, 7)) == 0:
            private = draw(st.sampled_from([7, 31, 32, 63]))
            parts.append(write_unit(private, None, draw(st.binary(max_size=8)), ctx))
        else:
            parts.append(_written(draw, kinds, ctx))
    return b"".join(parts)


def _written(draw: Draw, kinds: list[NnrUnitType], ctx: StreamContext) -> bytes:
    fixed = {}
    if ctx.mps_topology_indexed_reference_flag and ctx.reference_list is None:
        kinds, fixed = [NnrUnitType.NNR_TPL], {"topology_storage_format": 6}
    header, payload = draw(units(kinds, ctx, fixed))
    counter = header.partial_data_counter if header.partial_data_counter_present_flag else None
    return write_unit(
        header.nnr_unit_type,
        header.unit_header,
        payload,
        ctx,
        independently_decodable_flag=header.independently_decodable_flag,
        partial_data_counter=counter,
        nnr_unit_size_flag=draw(st.sampled_from([None, 1])),
    )
