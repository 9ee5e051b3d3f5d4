"""From a stream to its units and back (syntax 2 and 10).

In: the bytes of one bitstream or of several in a row. Out: `NnrUnit` after `NnrUnit`, each with its header as
`Values`, its payload as `Values` or as a slice of the input, and the parameter sets in force. `StreamContext`
carries what later units depend on; `write_unit` updates it in the same way, so a stream is written as it is
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import BitstreamError, ConformanceError, SyntaxValueError, TruncatedError, abridged
from ..limits import Limits
from .bits import Buffer, FileBytes, byte_view
from .constants import NnrUnitType, PayloadType, Profile, QuantizationMethodFlags
from .data_unit import coded_elements, nnr_compressed_data_unit_header
from .parameter_sets import (
    MAP_LAYOUTS,
    has_maps,
    nnr_layer_parameter_set_unit_header,
    nnr_layer_parameter_set_unit_payload,
    nnr_model_parameter_set_unit_header,
    nnr_model_parameter_set_unit_payload,
    nnr_start_unit_header,
    nnr_start_unit_payload,
)
from .serdes import Reader, Syntax, Table, Values, Writer, syntax_table
from .topology import (
    nnr_quantization_unit_header,
    nnr_quantization_unit_payload,
    nnr_topology_unit_header,
    nnr_topology_unit_payload,
)

__all__ = [
    "DataUnitWriter",
    "NnrUnit",
    "OutOfBand",
    "StreamContext",
    "nnr_aggregate_unit_header",
    "nnr_aggregate_unit_payload",
    "nnr_unit_header",
    "nnr_unit_size",
    "quoted",
    "read_units",
    "split_units",
    "unit_name",
    "write_unit",
]

OutOfBand = Mapping[str, Mapping[str, Any]] | Callable[[str], "Mapping[str, Any] | None"]

_STR = int(NnrUnitType.NNR_STR)
_MPS = int(NnrUnitType.NNR_MPS)
_LPS = int(NnrUnitType.NNR_LPS)
_TPL = int(NnrUnitType.NNR_TPL)
_QNT = int(NnrUnitType.NNR_QNT)
_NDU = int(NnrUnitType.NNR_NDU)
_AGG = int(NnrUnitType.NNR_AGG)
_RAW_FLOAT = int(PayloadType.NNR_PT_RAW_FLOAT)

_WITH_STEP = int(QuantizationMethodFlags.NNR_QSU | QuantizationMethodFlags.NNR_QCB)

SHORT_SIZE_MAX = 32767
"""(syntax 2.2) Largest unit with the size in two bytes."""
LONG_SIZE_MAX = (1 << 31) - 1
"""(syntax 2.2) Largest unit."""

AGGREGATE_LAYOUTS = 2
"""(syntax 10) 0: the layout of the standard; 1: that of drafts, with quant_bitdepth and ctu_scan_order."""


def quantization_in_force(mps: Values | None, lps: Values | None) -> tuple[int, int] | None:
    """(semantics 2) QpDensity and base QP from the LPS, or else the MPS; None where neither has any."""
    for prefix, source in (("lps", lps), ("mps", mps)):
        if source is not None and source[f"{prefix}_quantization_method_flags"] & _WITH_STEP:
            return source[f"{prefix}_qp_density"], source[f"{prefix}_quantization_parameter"]
    return None


# ---------------------------------------------------------------------------------------------------- context


class StreamContext:
    """What earlier units established; tables read it, `read_units` and `write_unit` update it.

    An NNR_STR begins a network and ends what was in force (syntax 2.4). Its one NNR_MPS is in force from
    there on, also where it stands in an aggregate unit. An NNR_LPS is in force for the units behind it, up to
    the next one or to the end of its aggregate unit; without method bits it leaves QpDensity and base QP to
    the NNR_MPS (semantics 2). An NNR_TPL of format NNR_TPL_REFLIST gives the names that indices refer to.

    Attributes:
        profile: general_profile_idc of the network in progress; None before its NNR_STR.
        mps: values of its model parameter set, or None.
        lps: values of the layer parameter set in force, or None.
        reference_list: ids that indices refer to, or None.
        mps_topology_indexed_reference_flag, mps_parent_signalling_enabled_flag: of `mps`, 0 without one.
        out_of_band: parameters by element id that the stream leaves to its environment (semantics 7): a
            mapping, or a callable that gives a mapping or None.
        limits: what a reader may spend.
        map_layout: (syntax 6.5) layout of the maps of the unit in progress.
        aggregate_layout: (syntax 10) layout of the aggregate header in progress.
    """

    __slots__ = (
        "_g_unit",
        "aggregate_layout",
        "limits",
        "lps",
        "map_layout",
        "mps",
        "mps_parent_signalling_enabled_flag",
        "mps_topology_indexed_reference_flag",
        "out_of_band",
        "profile",
        "reference_list",
    )

    profile: int | None
    mps: Values | None
    lps: Values | None
    reference_list: list[str] | None
    mps_topology_indexed_reference_flag: int
    mps_parent_signalling_enabled_flag: int

    def __init__(self, out_of_band: OutOfBand | None = None, limits: Limits | None = None) -> None:
        self.out_of_band = out_of_band
        self.limits = Limits() if limits is None else limits
        self.map_layout = 0
        self.aggregate_layout = 0
        self.begin_network(None)

    def begin_network(self, profile: int | None) -> None:
        """(syntax 2.4) An NNR_STR: nothing of an earlier network stays in force."""
        self.profile = profile
        self.mps = None
        self.lps = None
        self.reference_list = None
        self.mps_topology_indexed_reference_flag = 0
        self.mps_parent_signalling_enabled_flag = 0
        self._g_unit: Values | None = None

    def set_mps(self, mps: Values) -> None:
        """(semantics 2) A model parameter set comes into force."""
        self.mps = mps
        self.mps_topology_indexed_reference_flag = mps.mps_topology_indexed_reference_flag
        self.mps_parent_signalling_enabled_flag = mps.mps_parent_signalling_enabled_flag

    def update(self, unit_type: int, unit_header: Values, payload: Values | None) -> None:
        """Take over what a unit establishes, once it has been read or written."""
        if unit_type == _NDU:
            self._g_unit = unit_header if unit_header.decomposition_role == "G" else None
            return
        if unit_type != _AGG:
            self._g_unit = None
        if unit_type == _STR:
            # A reserved profile comes here only while violations are collected: the newest edition, then.
            self.begin_network(min(unit_header.general_profile_idc, Profile.EDITION_2))
        elif payload is not None:
            if unit_type == _MPS:
                self.set_mps(payload)
            elif unit_type == _LPS:
                self.lps = payload
            elif unit_type == _TPL and "topology_elem_id_list" in payload:
                self.reference_list = payload.topology_elem_id_list

    def supplied(self, v: Values) -> Mapping[str, Any]:
        """(semantics 7) Out-of-band parameters of a data unit; a block goes by the id of its weight."""
        source = self.out_of_band
        if source is None or not v.element_ids:
            return {}
        name = v.element_ids[0]
        found = source(name) if callable(source) else source.get(name)
        return {} if found is None else found

    def decomposition_role(self, v: Values) -> str:
        """(semantics 6) "G" or "H" for a separate unit of a decomposed weight."""
        g = self._g_unit
        if g is not None and all(
            g.get(name) == v.get(name)
            for name in ("tensor_dimensions", "decomposition_rank", "g_number_of_rows")
        ):
            return "H"
        return "G"

    @property
    def unification_signalled(self) -> bool:
        """Whether a parameter set in force has a unification map."""
        return bool(
            (self.mps is not None and self.mps.get("mps_unification_flag"))
            or (self.lps is not None and self.lps.get("lps_unification_flag"))
        )

    def copy(self) -> StreamContext:
        """An independent context in the same state."""
        twin = StreamContext(self.out_of_band, self.limits)
        twin.assign(self)
        return twin

    def assign(self, other: StreamContext) -> None:
        """Take over the state of `other`."""
        for name in self.__slots__:
            setattr(self, name, getattr(other, name))


_NOTHING = Values()
_NO_BYTES = memoryview(b"")


class NnrUnit:
    """One parsed unit.

    Attributes:
        index: position in the stream; units inside aggregate units count too.
        byte_offset, size: place of the whole unit, in bytes.
        nnr_unit_size_flag: 1 for the long size field.
        header: values of nnr_unit_header(), with the header of the type in ``header.unit_header``.
        unit_type: ``header.nnr_unit_type``; -1 for a unit that could not be read to its end.
        payload: values of the payload; None for data units, aggregate units and unknown types.
        payload_bytes: bytes after the header: the coded payload of a data unit, the contained units of an
            aggregate unit, everything of an unknown one. A slice of the input, not a copy; of a file that
            `nnr.open` has, read anew each time.
        coded: the same as it is held: bytes of a file are not read yet.
        payload_offset: byte offset of `payload_bytes`.
        trailing: bytes between the known syntax and the end of the unit, which are ignored (semantics 1).
        depth: number of aggregate units around this one.
        contains: whether it is an aggregate unit whose units follow.
        profile, mps, lps: in force for this unit.
    """

    __slots__ = (
        "byte_offset",
        "coded",
        "contains",
        "depth",
        "header",
        "index",
        "lps",
        "mps",
        "nnr_unit_size_flag",
        "outer",
        "payload",
        "payload_offset",
        "profile",
        "size",
        "trailing",
        "unit_type",
    )

    size: int
    payload: Values | None
    coded: memoryview | FileBytes
    payload_offset: int
    trailing: memoryview
    profile: int
    mps: Values | None
    lps: Values | None

    def __init__(self, index: int = 0, byte_offset: int = 0, depth: int = 0) -> None:
        self.index = index
        self.byte_offset = byte_offset
        self.depth = depth
        self.size = 0
        self.contains = False
        self.nnr_unit_size_flag = 0
        self.outer = Values()
        self.header = _NOTHING
        self.unit_type = -1
        self.payload = None
        self.coded = self.trailing = _NO_BYTES
        self.payload_offset = 0
        self.profile = -1
        self.mps = self.lps = None

    @property
    def payload_bytes(self) -> memoryview:
        held = self.coded
        return held[:] if isinstance(held, FileBytes) else held

    @property
    def quantization(self) -> tuple[int, int] | None:
        """(semantics 2) QpDensity and base QP in force for the unit, or None."""
        return quantization_in_force(self.mps, self.lps)

    @property
    def name(self) -> str:
        """A short name such as ``NNR_NDU "conv1.weight"``."""
        return unit_name(self.outer.get("nnr_unit_header", self.header))

    def __repr__(self) -> str:
        return f"<NnrUnit {self.index}: {self.name}, {self.size} bytes at {self.byte_offset}>"


def unit_name(header: Values) -> str:
    """Name of a unit for messages, as far as its header is known."""
    unit_type = header.get("nnr_unit_type")
    if unit_type is None:
        return ""
    if unit_type not in NnrUnitType._value2member_map_:
        return f"{'reserved' if unit_type < 32 else 'private'} unit type {unit_type}"
    label = NnrUnitType(unit_type).name
    inner = header.get("unit_header")
    if unit_type == _NDU and inner is not None:
        ids = inner.get("element_ids") or inner.get("topology_elem_id_list")
        if ids is None and "topology_elem_id" in inner:
            ids = [inner.topology_elem_id]
        if ids:
            label += f" {quoted(abridged(ids[0]))}"
    return label


def quoted(text: str) -> str:
    """`text` in double quotes on one line: what does not print, such as line breaks, as an escape."""
    if text.isprintable():
        return f'"{text}"'
    shown = (one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
    return f'"{"".join(shown)}"'


# ----------------------------------------------------------------------------------------------------- tables


@syntax_table("syntax 2.1")
def nnr_unit(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 2.1) A whole unit. `read_unit` takes it in these three steps, bounded by the size."""
    s.include(nnr_unit_size, ctx)
    s.table("nnr_unit_header", nnr_unit_header, ctx)
    s.table("nnr_unit_payload", nnr_unit_payload, ctx, v.nnr_unit_header)


@syntax_table("syntax 2.1")
def nnr_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 2.1) The payload of the type; those of data units and unknown types stay bytes."""
    if header.nnr_unit_type in UNIT_PAYLOADS:
        s.include(UNIT_PAYLOADS[header.nnr_unit_type], ctx, header)


@syntax_table("syntax 2.2")
def nnr_unit_size(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 2.2) Bytes of the whole unit, these included."""
    s.u(1, "nnr_unit_size_flag")
    s.u(15 + 16 * v.nnr_unit_size_flag, "nnr_unit_size")


@syntax_table("syntax 2.3")
def nnr_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 2.3) Type of the unit, then the header of that type."""
    s.u(6, "nnr_unit_type", open_enum=NnrUnitType)
    _require_order(s, v.nnr_unit_type, ctx)
    s.u(1, "independently_decodable_flag")
    s.u(1, "partial_data_counter_present_flag")
    if v.partial_data_counter_present_flag == 1:
        s.u(8, "partial_data_counter", status="S")
    else:
        s.infer("partial_data_counter", 0)
    if v.nnr_unit_type in UNIT_HEADERS:
        s.table("unit_header", UNIT_HEADERS[v.nnr_unit_type], ctx)


def _require_order(s: Syntax, unit_type: int, ctx: StreamContext) -> None:
    """(syntax 2.4) Rules of unit order without which the unit cannot be understood."""
    if unit_type == _STR:
        return
    if ctx.profile is None:
        label = unit_name(Values(nnr_unit_type=unit_type))
        s.require(False, f"the first unit is {label}", "an NNR_STR unit begins a network", "syntax 2.4")
        ctx.begin_network(Profile.EDITION_2)
    if unit_type == _MPS:
        s.require(ctx.mps is None, "a second NNR_MPS in the network", "exactly one", "syntax 2.4")
    elif unit_type == _NDU and ctx.mps is None:
        s.require(False, "an NNR_NDU before the NNR_MPS", "the NNR_MPS comes before", "syntax 2.4")


@syntax_table("syntax 10.1", status="S")
def nnr_aggregate_unit_header(s: Syntax, v: Values, ctx: StreamContext) -> None:
    """(syntax 10.1) What is contained and where; in drafts also bit depths and scan orders."""
    s.u(8, "nnr_aggregate_unit_type")
    s.u(1, "entry_points_present_flag")
    s.u(7, "nnr_reserved_zero_7bits", fixed=0)
    s.u(16, "num_of_nnr_units_minus2", counts=("nnr_unit_type", "quant_bitdepth"), plus=-2)
    count = v.num_of_nnr_units_minus2 + 2
    if v.entry_points_present_flag:
        for i in s.loop(count, "nnr_unit_type", "nnr_unit_entry_point"):
            s.u(6, "nnr_unit_type", i)
            s.u(34, "nnr_unit_entry_point", i)
    if ctx.aggregate_layout == 1:
        unification = ctx.unification_signalled
        for i in s.loop(
            count, *(("quant_bitdepth", "ctu_scan_order") if unification else ("quant_bitdepth",))
        ):
            s.u(5, "quant_bitdepth", i)
            if unification:
                s.u(1, "ctu_scan_order", i)
        if not s.aligned:
            s.byte_alignment()


@syntax_table("syntax 10.2", status="S")
def nnr_aggregate_unit_payload(s: Syntax, v: Values, ctx: StreamContext, header: Values) -> None:
    """(syntax 10.2) Complete units; `walk_units` reads them one by one as if they stood in the stream."""
    for _ in range(header.unit_header.num_of_nnr_units_minus2 + 2):
        s.table("nnr_unit", nnr_unit, ctx)


_SIZE_TABLE: Table = nnr_unit_size
UNIT_HEADERS: dict[int, Table] = {
    _STR: nnr_start_unit_header,
    _MPS: nnr_model_parameter_set_unit_header,
    _LPS: nnr_layer_parameter_set_unit_header,
    _TPL: nnr_topology_unit_header,
    _QNT: nnr_quantization_unit_header,
    _NDU: nnr_compressed_data_unit_header,
    _AGG: nnr_aggregate_unit_header,
}
UNIT_PAYLOADS: dict[int, Table] = {
    _STR: nnr_start_unit_payload,
    _MPS: nnr_model_parameter_set_unit_payload,
    _LPS: nnr_layer_parameter_set_unit_payload,
    _TPL: nnr_topology_unit_payload,
    _QNT: nnr_quantization_unit_payload,
}
_PARSED_PAYLOADS = frozenset(UNIT_PAYLOADS)


# ---------------------------------------------------------------------------------------------------- reading


def read_units(data: Buffer | FileBytes, context: StreamContext | None = None) -> Iterator[NnrUnit]:
    """(syntax 2) The units of a stream in order; those inside an aggregate unit follow it.

    `data` is bytes-like; payloads are slices of it. Headers and parameter sets are parsed, payloads of data
    units are not touched. Raises BitstreamError with the place of the trouble; what came before has been
    yielded.
    """
    ctx = StreamContext() if context is None else context
    view = byte_view(data)
    if ctx.profile is None:
        check_begin(view)
    return walk_units(Reader(view, limits=ctx.limits), ctx)


_MANY_UNITS = 16
"""Number of the unit from which on the tables as straight-line code are worth their import."""


def walk_units(
    reader: Reader,
    ctx: StreamContext,
    on_error: Callable[[NnrUnit, BitstreamError], bool] | None = None,
) -> Iterator[NnrUnit]:
    """As `read_units`, with the reader given.

    `on_error` is told of a unit that cannot be read. True from it takes the unit as it is and goes on behind
    it.
    """
    view = reader.data
    limits = ctx.limits
    at = index = 0
    end = len(view)
    # Ends of the aggregate units around the position, with the layer parameter set in force before each.
    around: list[tuple[int, Values | None]] = []
    while True:
        while around and at >= end:
            _, ctx.lps = around.pop()
            end = around[-1][0] if around else len(view)
        if at >= end:
            return
        unit = NnrUnit(index, at, len(around))
        try:
            if index >= limits.max_units:
                limits.check("max_units", index + 1, "the number of units so far")
            if unit.depth > limits.max_recursion:
                limits.check("max_recursion", unit.depth, "the depth of aggregate units in one another")
            if index == _MANY_UNITS and type(reader) is Reader:
                from .fast import FAST_TABLES

                reader.tables.update(FAST_TABLES)  # type: ignore[arg-type]
            reader.begin_unit(unit)
            read_unit(reader, unit, end, ctx)
        except BitstreamError as error:
            if error.unit_index is None:
                error.locate(byte_offset=at, unit_index=index, unit=unit.name or None)
            if error.bit_offset is None and error.byte_offset is not None:
                error.bit_offset = 8 * error.byte_offset
            unit.header = unit.outer.get("nnr_unit_header", _NOTHING)
            unit.unit_type = -1
            if on_error is None or not on_error(unit, error):
                raise
            error.__traceback__ = error.__context__ = None  # who keeps it must not keep every frame of it
        yield unit
        if not unit.size:
            return
        index += 1
        if unit.contains:
            end = at + unit.size
            around.append((end, ctx.lps))
            at = unit.payload_offset
        else:
            at += unit.size


def read_unit(reader: Reader, unit: NnrUnit, end: int, ctx: StreamContext) -> None:
    """Fill `unit` from its `byte_offset` on; it must end at byte `end` or before. Updates `ctx`."""
    at = unit.byte_offset
    reader.seek(at, end)
    outer = reader.values = unit.outer
    reader.include(nnr_unit_size, ctx)
    size = outer.nnr_unit_size
    unit.nnr_unit_size_flag = outer.nnr_unit_size_flag
    least = 3 + 2 * unit.nnr_unit_size_flag
    if size < least:
        raise ConformanceError(
            f"nnr_unit_size is {size}; allowed: {least} or more, as it counts its own bytes and the header",
            byte_offset=at,
            path="nnr_unit_size",
            clause="semantics 1",
        )
    if at + size > end:
        raise TruncatedError(
            f"the unit should have {size} bytes, but only {end - at} are left",
            byte_offset=at,
            path="nnr_unit_size",
            clause="syntax 2.2",
        )
    unit.size = size
    end = at + size
    reader.bound(end)
    _read_header(reader, unit, ctx)
    header = unit.header
    unit_type = unit.unit_type = header.nnr_unit_type
    unit.payload_offset = reader.pos >> 3
    data: memoryview | FileBytes = reader.data
    at = unit.payload_offset
    unit.coded = data.part(at, end) if isinstance(data, FileBytes) else data[at:end]
    inner: Values = header.get("unit_header", _NOTHING)
    if unit_type == _NDU:
        if inner.nnr_compressed_data_unit_payload_type == _RAW_FLOAT:
            _check_raw_size(unit, inner)
    elif unit_type in _PARSED_PAYLOADS:
        _read_payload(reader, unit, ctx)
        if reader.pos != reader.end:
            unit.trailing = reader.data[reader.pos >> 3 : end]
    ctx.update(unit_type, inner, unit.payload)
    unit.profile = ctx.profile if ctx.profile is not None else -1
    unit.mps = ctx.mps
    unit.lps = ctx.lps
    unit.outer = _NOTHING


def _read_header(reader: Reader, unit: NnrUnit, ctx: StreamContext) -> None:
    """(syntax 2.3, 10.2) The unit header; for an aggregate unit in the layout whose sizes fit."""
    ctx.aggregate_layout = 0
    mark = reader.mark()
    unit.header = reader.table("nnr_unit_header", nnr_unit_header, ctx)
    if unit.header.nnr_unit_type != _AGG:
        return
    if _contained_fit(reader, unit):
        unit.contains = True
        return
    try:
        ctx.aggregate_layout = 1
        reader.rewind(mark)
        unit.header = reader.table("nnr_unit_header", nnr_unit_header, ctx)
        if _contained_fit(reader, unit):
            unit.contains = True
            return
    except BitstreamError:
        pass
    ctx.aggregate_layout = 0
    reader.rewind(mark)
    unit.header = reader.table("nnr_unit_header", nnr_unit_header, ctx)
    reader.require(
        False,
        "the sizes of the contained units do not fill the aggregate unit",
        f"{unit.header.unit_header.num_of_nnr_units_minus2 + 2} complete units up to the end",
        "syntax 10.2",
    )


def _contained_fit(reader: Reader, unit: NnrUnit) -> bool:
    """(syntax 10.2) Whether a chain of units fills the aggregate exactly, in the announced number."""
    if reader.pos & 7:
        return False
    end = unit.byte_offset + unit.size
    ends = unit_ends(reader.data, reader.pos >> 3, end)
    return ends is not None and len(ends) == unit.header.unit_header.num_of_nnr_units_minus2 + 2


def unit_ends(data: Buffer, at: int, end: int) -> list[int] | None:
    """(syntax 2.2) Ends of the units in ``data[at:end]``, by their sizes; None where these do not fit."""
    ends = []
    while at < end:
        size = int.from_bytes(data[at : min(at + 2, end)], "big")
        least = 3
        if size & 0x8000:
            size = int.from_bytes(data[at : min(at + 4, end)], "big") & 0x7FFFFFFF
            least = 5
        if size < least or at + size > end:
            return None
        at += size
        ends.append(at)
    return ends


def _read_payload(reader: Reader, unit: NnrUnit, ctx: StreamContext) -> None:
    """(syntax 6.5) The payload of a parameter set or a topology; maps in the first layout that fits."""
    mark = reader.mark()
    for layout in range(MAP_LAYOUTS):
        ctx.map_layout = layout
        failure = None
        try:
            payload = reader.table("nnr_unit_payload", nnr_unit_payload, ctx, unit.header)
        except BitstreamError as error:
            payload = unit.outer.get("nnr_unit_payload", _NOTHING)
            failure = error
        if not has_maps(payload):
            if failure is not None:
                raise failure
            unit.payload = payload
            return
        if failure is None and reader.pos == reader.end and reader.sound_since(mark):
            payload["map_layout"] = layout
            unit.payload = payload
            return
        reader.rewind(mark)
    ctx.map_layout = 0
    unit.payload = reader.table("nnr_unit_payload", nnr_unit_payload, ctx, unit.header)
    unit.payload["map_layout"] = 0
    reader.require(
        reader.pos == reader.end,
        f"the maps end {(reader.end - reader.pos) >> 3} bytes before the unit",
        "exactly at its size",
        "syntax 6.5",
    )


def _check_raw_size(unit: NnrUnit, inner: Values) -> None:
    """(syntax 9.6) A raw-float payload has four bytes for each element, unless it is a part of one."""
    if unit.header.partial_data_counter:
        return
    need = 4 * coded_elements(inner)
    have = len(unit.coded)
    if have != need:
        raise (TruncatedError if have < need else ConformanceError)(
            f"the raw payload has {have} bytes; allowed: {need}, four for each element",
            byte_offset=unit.payload_offset + min(have, need),
            path="nnr_unit_payload",
            clause="syntax 9.6",
        )


_MAGIC = (
    (b"PK\x03\x04", "a zip archive, such as .npz, .pt or .keras"),
    (b"PK\x05\x06", "a zip archive"),
    (b"\x93NUMPY", "a .npy file"),
    (b"\x89HDF", "an HDF5 file, such as .h5"),
    (b"\x89PNG", "a PNG image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"),
    (b"\x28\xb5\x2f\xfd", "a zstd file"),
    (b"GGUF", "a GGUF file"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF file"),
    (b"\x80\x02", "a pickle, such as an old .pt file"),
)


def check_begin(data: Buffer) -> None:
    """(syntax 2.4) Raise where a stream does not begin with an NNR_STR unit, saying what it may be."""
    head = bytes(data[:16])
    if not head:
        raise TruncatedError(
            "empty: an NNR bitstream begins with an NNR_STR unit", byte_offset=0, clause="syntax 2.4"
        )
    what = next((label for magic, label in _MAGIC if head.startswith(magic)), "")
    if not what:
        if head[8:10] == b'{"' and head[4:8] == b"\0\0\0\0":
            what = "a safetensors file"
        elif b"\0\4".startswith(head):
            return
        elif len(head) < 3:
            what = f"only {len(head)} bytes"
        elif all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
            what = "text"
        else:
            long = head[0] >> 7
            size = int.from_bytes(head[: 4 if long else 2], "big") & (0x7FFFFFFF if long else 0x7FFF)
            unit_type = head[4 if long else 2] >> 2 if len(head) > 4 or not long else -1
            if unit_type == _STR and size >= (6 if long else 4):
                return
            what = f"bytes {head[:4].hex(' ')}"
            if size >= 3 and size <= len(data) and unit_type in NnrUnitType._value2member_map_:
                what += f", a unit of type {NnrUnitType(unit_type).name}"
    raise ConformanceError(
        f"not an NNR bitstream: it begins with {what}, not with an NNR_STR unit",
        byte_offset=0,
        bit_offset=0,
        clause="syntax 2.4",
    )


def split_units(data: Buffer) -> list[memoryview]:
    """(syntax 2) The units of a stream as slices, by their sizes alone; raises ConformanceError."""
    view = byte_view(data)
    ends = unit_ends(view, 0, len(view))
    if ends is None:
        raise ConformanceError("the sizes of the units do not fill the stream", clause="syntax 2.2")
    return [view[start:end] for start, end in zip([0, *ends], ends)]


# ---------------------------------------------------------------------------------------------------- writing


def write_unit(
    unit_type: int,
    unit_header: Mapping[str, Any] | None,
    payload: Mapping[str, Any] | Buffer | Sequence[Buffer] | None,
    context: StreamContext,
    *,
    independently_decodable_flag: int = 1,
    partial_data_counter: int | None = None,
    nnr_unit_size_flag: int | None = None,
    strict: bool = True,
) -> bytes:
    """(syntax 2) One whole unit; `context` is updated as reading it would.

    `unit_header` holds the elements of the header of this type, `payload` those of the payload, or its bytes
    (data units: the coded payload; an aggregate unit: its units, in one piece or as a list). Counts that
    arrays imply and reserved bits may be left out; of an aggregate unit, number, types and entry points of
    the contained units too (write these with ``context.copy()``, since the aggregate takes them over). Raises
    SyntaxValueError with the path of the element; ``strict=False`` refuses only what no bits can express.
    """
    header: dict[str, Any] = {
        "nnr_unit_type": unit_type,
        "independently_decodable_flag": independently_decodable_flag,
        "partial_data_counter_present_flag": int(partial_data_counter is not None),
    }
    if partial_data_counter is not None:
        header["partial_data_counter"] = partial_data_counter
    if unit_type in UNIT_HEADERS:
        header["unit_header"] = {} if unit_header is None else unit_header
    elif unit_header:
        raise SyntaxValueError(f"unit type {unit_type} has no header that is known")
    if unit_type == _AGG and payload is not None and not isinstance(payload, Mapping):
        data = write_aggregate(header, payload, context, nnr_unit_size_flag=nnr_unit_size_flag, strict=strict)
        lps = context.lps
        for _ in walk_units(Reader(data[-_length(payload) :], limits=context.limits), context):
            pass
        context.lps = lps
        return data
    return assemble_unit(header, payload, context, nnr_unit_size_flag=nnr_unit_size_flag, strict=strict)


def assemble_unit(
    header: Mapping[str, Any],
    payload: Any,
    ctx: StreamContext,
    *,
    nnr_unit_size_flag: int | None = None,
    nnr_unit_size: int | None = None,
    strict: bool = True,
    trailing: Buffer = b"",
) -> bytes:
    """Size, header and payload of a unit from the values of nnr_unit_header() and the payload."""
    given: dict[str, Any] = {"nnr_unit_header": header}
    writer = Writer(given, strict=strict, limits=ctx.limits)
    written = writer.table("nnr_unit_header", nnr_unit_header, ctx)
    unit_type = written.nnr_unit_type
    inner: Values = written.get("unit_header", _NOTHING)
    parsed: Values | None = None
    tail: Any = b""
    if isinstance(payload, Mapping) or (payload is None and unit_type in _PARSED_PAYLOADS):
        if unit_type not in UNIT_PAYLOADS:
            raise SyntaxValueError(f"the payload of unit type {unit_type} can only be bytes")
        given["nnr_unit_payload"] = dict(payload or {})
        ctx.map_layout = int(given["nnr_unit_payload"].pop("map_layout", 0))
        parsed = writer.table("nnr_unit_payload", nnr_unit_payload, ctx, written)
    elif payload is not None:
        try:
            tail = byte_view(payload)
        except TypeError:
            raise SyntaxValueError(
                f"the payload is a {type(payload).__name__}, neither bytes nor values"
            ) from None
        if unit_type in _PARSED_PAYLOADS and strict:
            raise SyntaxValueError(f"the payload of {NnrUnitType(unit_type).name} is given by its values")
    ctx.update(unit_type, inner, parsed)
    parts = (writer.tobytes(), tail, trailing)
    return b"".join((unit_size_field(parts, ctx, nnr_unit_size_flag, nnr_unit_size), *parts))


def unit_size_field(
    parts: Sequence[Buffer], ctx: StreamContext, nnr_unit_size_flag: int | None, nnr_unit_size: int | None
) -> bytes:
    """(syntax 2.2) nnr_unit_size() for `parts`: short where it fits, unless flag or size are given."""
    size = sum(map(len, parts))
    flag = nnr_unit_size_flag
    if flag is None:
        flag = int(size + 2 > SHORT_SIZE_MAX if nnr_unit_size is None else nnr_unit_size > SHORT_SIZE_MAX)
    size += 4 if flag else 2
    if nnr_unit_size is not None:
        size = nnr_unit_size
    most = LONG_SIZE_MAX if flag else SHORT_SIZE_MAX
    if size > most:
        raise SyntaxValueError(f"a unit of {size} bytes cannot be written; allowed: up to {most} bytes")
    if nnr_unit_size_flag is None and nnr_unit_size is None:  # one of these for every unit that is encoded
        return (1 << 31 | size).to_bytes(4, "big") if flag else size.to_bytes(2, "big")
    sizes = Writer({"nnr_unit_size_flag": flag, "nnr_unit_size": size})
    _SIZE_TABLE(sizes, sizes.values, ctx)
    return sizes.tobytes()


class DataUnitWriter:
    """Writes data units as `write_unit` does, where many headers differ in nothing but the element's id.

    Such a header is written once, with a mark in the place of the id. Headers with lists of their own, with
    a place in an update tree, or of decomposed weights are written one by one.
    """

    _MARK = "id of the element"
    _APART = frozenset({"integer_codebook", "cabac_offset_list", "g_number_of_rows", "device_id"})

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._known: dict[str, tuple[bytes, bytes]] = {}

    def write(
        self, header: Mapping[str, Any], payload: Buffer, *, independently_decodable_flag: int = 1
    ) -> bytes:
        """One whole unit; arguments and errors as of `write_unit`."""
        name = header.get("topology_elem_id")
        if not isinstance(name, str) or "\0" in name or not self._APART.isdisjoint(header):
            return self._plainly(header, payload, independently_decodable_flag)
        try:
            raw = name.encode()
        except UnicodeEncodeError:  # refused with its place
            return self._plainly(header, payload, independently_decodable_flag)
        rest = {**header, "topology_elem_id": self._MARK}
        key = f"{independently_decodable_flag}{rest}"  # values are ints and lists of them
        around = self._known.get(key)
        if around is None:
            marked = self._plainly(rest, b"", independently_decodable_flag)
            before, after = marked[2:].split(self._MARK.encode())
            self._known[key] = around = before, after
        parts = (around[0], raw, around[1], payload)
        return b"".join((unit_size_field(parts, self._context, None, None), *parts))

    def _plainly(self, header: Mapping[str, Any], payload: Buffer, flag: int) -> bytes:
        return write_unit(
            NnrUnitType.NNR_NDU, header, payload, self._context, independently_decodable_flag=flag
        )


def _length(payload: Buffer | Sequence[Buffer]) -> int:
    return len(payload) if isinstance(payload, Buffer) else sum(map(len, payload))


def write_aggregate(
    header: Mapping[str, Any],
    payload: Buffer | Sequence[Buffer],
    ctx: StreamContext,
    *,
    nnr_unit_size_flag: int | None = None,
    nnr_unit_size: int | None = None,
    strict: bool = True,
    trailing: Buffer = b"",
) -> bytes:
    """(syntax 10) An aggregate unit around whole units; `ctx` does not learn of these."""
    units = payload if isinstance(payload, Buffer) else b"".join(payload)
    ends = unit_ends(units, 0, len(units))
    if ends is None:
        if strict:
            raise SyntaxValueError("the payload of an aggregate unit does not consist of complete units")
        ends = []
    size_bytes = 0
    # Entry points depend on the length of the header, but not the length on them: the second pass is right.
    for _ in range(2):
        inner = dict(header["unit_header"])
        fill_aggregate_header(inner, units, ends, size_bytes)
        data = assemble_unit(
            {**header, "unit_header": inner},
            units,
            ctx,
            nnr_unit_size_flag=nnr_unit_size_flag,
            nnr_unit_size=nnr_unit_size,
            strict=strict,
            trailing=trailing,
        )
        size_bytes = len(data) - len(units) - len(trailing)
    return data


def fill_aggregate_header(inner: dict[str, Any], units: Buffer, ends: Sequence[int], start: int) -> None:
    """(semantics 9) Number, types and entry points of contained units, where they are not given."""
    inner.setdefault("num_of_nnr_units_minus2", len(ends) - 2)
    if inner.get("entry_points_present_flag"):
        types, points = [], []
        for at in [0, *ends[:-1]]:
            types.append(units[at + (4 if units[at] & 0x80 else 2)] >> 2)
            points.append(start + at)
        inner.setdefault("nnr_unit_type", types)
        inner.setdefault("nnr_unit_entry_point", points)
