"""A stream as a tree of plain values, to look at, to edit and to write back.

In: bytes. Out: ``{"units": [...]}``, a unit being a dict with

    nnr_unit_header     its elements, those of the type's header under "unit_header"
    nnr_unit_payload    elements of the payload; of data units and unknown types the bytes
    units               the units inside an aggregate unit, instead of a payload
    trailing_data       bytes behind the known syntax, where there are any

and where needed ``map_layout`` in a payload and ``aggregate_layout`` in a unit (layouts of syntax 6.5 and
10), and ``unparsed`` in a unit whose syntax could not be followed to its end: {"after": elements, "bits":
str, "data": bytes}.

Derived fields (unit sizes, counts, reserved bits, number, types and entry points of contained units) are left
out where `write` derives the same value. **A derived field that stands in the tree is pinned**: `write` takes
it as it is. So `parse` pins exactly those that differ from what `write` would derive, and a test pins another
by setting it::

    tree = nnr.syntax.parse(data)
    tree["units"][3]["nnr_unit_header"]["unit_header"]["count_tensor_dimensions"] = 7
    broken = nnr.syntax.write(tree)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import BitstreamError, LimitError, SyntaxValueError, UnsupportedError
from ..limits import Limits
from .bits import BitReader, Buffer, byte_view
from .constants import NnrUnitType
from .listen import Element, Listener, ListeningReader
from .serdes import StopWriting, Table, Writer, derive
from .stream import (
    NnrUnit,
    OutOfBand,
    StreamContext,
    assemble_unit,
    check_begin,
    fill_aggregate_header,
    nnr_unit_header,
    nnr_unit_payload,
    unit_ends,
    unit_name,
    unit_size_field,
    walk_units,
    write_aggregate,
)

__all__ = ["Tree", "parse", "write"]

Tree = dict[str, Any]

_NODE_KEYS = frozenset(
    [
        "nnr_unit_size_flag",
        "nnr_unit_size",
        "nnr_unit_header",
        "nnr_unit_payload",
        "units",
        "trailing_data",
        "aggregate_layout",
        "unparsed",
    ]
)


_DERIVING = ("counts", "plus", "derived", "fixed")
"""Options of an element that `derive` looks at."""

_Derived = tuple[str, tuple[int, ...], Any, dict[str, Any]]
"""Name, index, value and these options of an element that writing may derive."""


class _Builder(Listener):
    """Builds the node of one unit after the other."""

    def __init__(self) -> None:
        # The same for every entry of a list, which may have very many.
        self.options: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
        self.begin_node()

    def begin_node(self) -> None:
        self.node: Tree = {}
        self.stack = [self.node]
        self.derived: list[list[_Derived]] = [[]]
        self.coded = 0
        self.end_bit = 0

    def unit(self, unit: NnrUnit) -> None:
        self.begin_node()

    def element(self, element: Element) -> None:
        self.coded += 1
        self.end_bit = element.bit_offset + element.width
        held = self.stack[-1]
        name, index = element.name, element.index
        if name == "byte_alignment":
            right = element.value == 1 << (element.width - 1)
            held.setdefault(name, []).append(None if right else element.value)
            return
        value = bytes(element.value) if isinstance(element.value, memoryview) else element.value
        if index:
            row = held.setdefault(name, [])
            for i in index[:-1]:
                row = row[i]
            row.append(value)
        else:
            held[name] = value
        options = element.options
        if options.get("counts") or options.get("derived") or options.get("fixed") is not None:
            kept = tuple((key, options[key]) for key in _DERIVING if key in options)
            self.derived[-1].append((name, index, value, self.options.setdefault(kept, dict(kept))))

    def array(self, name: str, at: tuple[int, ...]) -> None:
        row = self.stack[-1]
        if not at:
            row[name] = []
            return
        inner = row[name]
        for i in at[:-1]:
            inner = inner[i]
        inner.append([])

    def supplied(self, name: str, value: Any) -> None:
        self.stack[-1][name] = value

    def begin(self, name: str, function: Table, status: str) -> None:
        inner: Tree = {}
        self.stack[-1][name] = inner
        self.stack.append(inner)
        self.derived.append([])

    def end(self) -> None:
        """Leave out what writing derives."""
        given = self.stack.pop()
        alignments = given.get("byte_alignment")
        if alignments is not None and not any(value is not None for value in alignments):
            del given["byte_alignment"]
        differing = set()
        elements = self.derived.pop()
        for name, index, value, options in elements:
            if name in differing:
                continue
            rest = {other: held for other, held in given.items() if other != name}
            if derive(rest, index, options) != value:
                differing.add(name)
            elif not index:
                given.pop(name)
        for name, index, _, _ in elements:
            if index and name not in differing:
                given.pop(name, None)

    def mark(self) -> Any:
        return len(self.stack), self.coded, self.end_bit

    def rewind(self, mark: Any) -> None:
        size, self.coded, self.end_bit = mark
        del self.stack[size:]
        del self.derived[size:]


def parse(
    data: Buffer,
    *,
    strict: bool = True,
    out_of_band: OutOfBand | None = None,
    limits: Limits | None = None,
) -> Tree:
    """The tree of a stream; ``write(parse(data)) == data``.

    Raises the BitstreamError of the first violation. With ``strict=False`` violations are collected as lines
    of text under "problems" and the tree holds what can be followed; only what is no NNR bitstream at all, or
    beyond `limits`, is an error. A unit that needs parameters from out of band and does not get them is no
    violation: what follows in its header stays bits, under "unparsed".
    """
    view = byte_view(data)
    check_begin(view)
    problems: list[BitstreamError] = []

    def on_error(unit: NnrUnit, error: BitstreamError) -> bool:
        if isinstance(error, LimitError):
            return False
        if isinstance(error, UnsupportedError) and error.clause == "semantics 7" and unit.size:
            return True
        problems.append(error)
        return not strict

    builder = _Builder()
    reader = ListeningReader(view, listener=builder, limits=limits, problems=None if strict else problems)
    tree: Tree = {"units": []}
    # Nodes of the aggregate units around the present one.
    around: list[tuple[Tree, NnrUnit]] = []
    for unit in walk_units(reader, StreamContext(out_of_band, limits), on_error):
        while len(around) > unit.depth:
            _finish_aggregate(*around.pop())
        node = builder.node
        if not unit.size:
            tree["unparsed_data"] = bytes(view[unit.byte_offset :])
            break
        _finish_unit(node, unit, builder, view)
        (around[-1][0] if around else tree)["units"].append(node)
        if unit.contains:
            node["units"] = []
            around.append((node, unit))
    while around:
        _finish_aggregate(*around.pop())
    if problems:
        tree["problems"] = [str(problem) for problem in problems]
    return tree


def _finish_unit(node: Tree, unit: NnrUnit, builder: _Builder, view: memoryview) -> None:
    """Opaque parts of a unit, and whether the long size field is what writing would choose."""
    flag = node.pop("nnr_unit_size_flag")
    node.pop("nnr_unit_size")
    if flag != int(unit.size - 2 * flag > 32767):
        node["nnr_unit_size_flag"] = flag
    end = unit.byte_offset + unit.size
    if unit.unit_type < 0:
        reader = BitReader(view)
        reader.pos = builder.end_bit
        bits = reader.read_bits(-builder.end_bit % 8)
        # The two elements of the size field are written apart.
        node["unparsed"] = {
            "after": builder.coded - 2,
            "bits": bits,
            "data": bytes(view[(builder.end_bit + 7) >> 3 : end]),
        }
        return
    if unit.payload is None and not unit.contains:
        node["nnr_unit_payload"] = bytes(unit.payload_bytes)
    elif unit.unit_type == NnrUnitType.NNR_STR:
        node.pop("nnr_unit_payload", None)
    if unit.payload is not None and unit.payload.get("map_layout"):
        node["nnr_unit_payload"]["map_layout"] = unit.payload.map_layout
    if unit.trailing:
        node["trailing_data"] = bytes(unit.trailing)


def _finish_aggregate(node: Tree, unit: NnrUnit) -> None:
    """Leave out what the contained units imply."""
    inner = node["nnr_unit_header"]["unit_header"]
    if "quant_bitdepth" in inner:
        node["aggregate_layout"] = 1
    filled = {"entry_points_present_flag": inner["entry_points_present_flag"]}
    ends = unit_ends(unit.payload_bytes, 0, len(unit.payload_bytes)) or []
    fill_aggregate_header(filled, unit.payload_bytes, ends, unit.payload_offset - unit.byte_offset)
    for name, value in filled.items():
        if name != "entry_points_present_flag" and inner.get(name) == value:
            del inner[name]


def write(tree: Mapping[str, Any], *, out_of_band: OutOfBand | None = None) -> bytes:
    """The bytes of a tree as `parse` gives it; derived fields are computed unless they stand in the tree.

    Ranges and constraints are not checked, so that broken streams can be made. Raises SyntaxValueError, with
    unit and path, for what no bits can express: missing and left-over values, values that do not fit their
    field.
    """
    ctx = StreamContext(out_of_band, Limits.unlimited())
    for name in tree:
        if name not in ("units", "problems", "unparsed_data"):
            raise SyntaxValueError(f"a tree has no place for {name!r}")
    return b"".join(_write_nodes(tree["units"], ctx, "")) + bytes(tree.get("unparsed_data", b""))


def _write_nodes(nodes: Any, ctx: StreamContext, path: str) -> list[bytes]:
    parts = []
    for index, node in enumerate(nodes):
        place = f"{path}units[{index}]"
        try:
            parts.append(_write_node(node, ctx, f"{place}."))
        except SyntaxValueError as error:
            if str(error).startswith("units["):
                raise
            raise SyntaxValueError(f"{place}.{error}") from None
    return parts


def _write_node(node: Mapping[str, Any], ctx: StreamContext, path: str) -> bytes:
    for name in node:
        if name not in _NODE_KEYS:
            raise SyntaxValueError(f"{name}: left over: a unit has no place for it")
    header = node.get("nnr_unit_header")
    if not isinstance(header, Mapping):
        raise SyntaxValueError("nnr_unit_header: the value is missing")
    flag, size = node.get("nnr_unit_size_flag"), node.get("nnr_unit_size")
    if "unparsed" in node:
        return _write_unparsed(node, ctx)
    ctx.aggregate_layout = int(node.get("aggregate_layout", 0))
    options: dict[str, Any] = {
        "nnr_unit_size_flag": flag,
        "nnr_unit_size": size,
        "strict": False,
        "trailing": node.get("trailing_data", b""),
    }
    if "units" not in node:
        return assemble_unit(header, node.get("nnr_unit_payload"), ctx, **options)
    inside = ctx.copy()
    units = _write_nodes(node["units"], inside, path)
    data = write_aggregate(header, units, ctx, **options)
    lps = ctx.lps
    ctx.assign(inside)
    ctx.lps = lps
    return data


def _write_unparsed(node: Mapping[str, Any], ctx: StreamContext) -> bytes:
    """A unit whose syntax is known up to a point; behind it stand bits."""
    unparsed = node["unparsed"]
    given = {name: node[name] for name in ("nnr_unit_header", "nnr_unit_payload") if name in node}
    writer = Writer(given, strict=False)
    writer.stop_after = unparsed["after"]
    try:
        header = writer.table("nnr_unit_header", nnr_unit_header, ctx)
        ctx.map_layout = 0
        writer.table("nnr_unit_payload", nnr_unit_payload, ctx, header)
    except StopWriting:
        pass
    if writer.coded != unparsed["after"]:
        name = unit_name(writer.values.nnr_unit_header)
        raise SyntaxValueError(
            f"unparsed: the syntax of {name} has {writer.coded} elements, not {unparsed['after']}"
        )
    if not isinstance(unparsed["bits"], str) or set(unparsed["bits"]) - {"0", "1"}:
        raise SyntaxValueError("unparsed bits are a string of 0 and 1")
    writer.out.write_bits(unparsed["bits"])
    writer.out.write_bytes(unparsed["data"])
    parts = (writer.tobytes(),)
    flag, size = node.get("nnr_unit_size_flag"), node.get("nnr_unit_size")
    return b"".join((unit_size_field(parts, ctx, flag, size), *parts))
