"""Every syntax element of a stream with its place, as nested data or as lines of text.

In: the bytes of a stream. Out: JSON-able data (`describe`) or lines (`trace_lines`). A broken stream can be
looked at: violations are collected and stand beside the elements, and a unit that cannot be parsed to its end
says why.

A list entry of a header can be as short as a bit, and an object for it takes half a kilobyte. So a parse is
logged in columns, and objects are made of the log as they are asked for.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from ..errors import BitstreamError
from ..limits import Limits
from .bits import Buffer, byte_view
from .listen import Element, Listener, ListeningReader
from .serdes import Table
from .stream import NnrUnit, OutOfBand, StreamContext, check_begin, quoted, walk_units

__all__ = ["LazyList", "describe", "error_fields", "plain_value", "trace_lines"]

_SHOWN_BYTES = 32
_MOST_NUMBER = (1 << 63) - 1
_MOST_WIDTH = (1 << 32) - 1


def plain_value(element: Element) -> Any:
    """The value as JSON can hold it: long integers and bytes as hex, NaN and infinity as text."""
    value = element.value
    if isinstance(value, int) and element.width > 64:
        return f"{value:0{element.width // 4}x}"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (memoryview, bytes)):
        shown = bytes(value[:_SHOWN_BYTES]).hex()
        return f"{len(value)} bytes: {shown}{'...' if len(value) > _SHOWN_BYTES else ''}"
    return value


def error_fields(error: BitstreamError) -> dict[str, Any]:
    """An error as JSON-able fields."""
    return {
        "error": type(error).__name__,
        "message": str(error),
        "reason": error.reason,
        "found": getattr(error, "found", None),
        "allowed": getattr(error, "allowed", None),
        "clause": error.clause,
        "unit_index": error.unit_index,
        "unit": error.unit,
        "byte_offset": error.byte_offset,
        "bit_offset": error.bit_offset,
        "path": error.path,
    }


class LazyList(list[Any]):
    """A list that makes its entries when it is iterated, anew each time, and so never holds them all.

    Anything else than iterating and `len`, such as an index, fills the list; from then on it is one like any.

    Args:
        make: gives an iterator over the entries.
        count: gives their number.
    """

    __slots__ = ("_count", "_make")

    def __init__(self, make: Callable[[], Iterator[Any]], count: Callable[[], int]) -> None:
        # Seen only by code in C that looks into a list without asking it.
        super().__init__(["made when iterated: copy it with list()"])
        self._make: Callable[[], Iterator[Any]] | None = make
        self._count: Callable[[], int] | int = count

    def __iter__(self) -> Iterator[Any]:
        return super().__iter__() if self._make is None else self._make()

    def __len__(self) -> int:
        if self._make is None:
            return super().__len__()
        if not isinstance(self._count, int):
            self._count = self._count()
        return self._count

    def __reduce_ex__(self, protocol: Any) -> Any:
        return list, (list(self),)

    def _fill(self) -> None:
        if self._make is not None:
            entries = self._make()
            super().__setitem__(slice(None), entries)
            self._make = None

    def __radd__(self, other: list[Any]) -> list[Any]:
        return [*other, *self]


def _filling(name: str) -> Any:
    plain = getattr(list, name)

    def method(*arguments: Any, **options: Any) -> Any:
        for argument in arguments:
            if isinstance(argument, LazyList):
                argument._fill()
        return plain(*arguments, **options)

    method.__name__ = name
    return method


for _name in (
    *("__getitem__", "__setitem__", "__delitem__", "__contains__", "__reversed__", "__repr__"),
    *("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"),
    *("__add__", "__iadd__", "__mul__", "__rmul__", "__imul__"),
    *("append", "clear", "copy", "count", "extend", "index", "insert", "pop", "remove", "reverse", "sort"),
):
    setattr(LazyList, _name, _filling(_name))


class _Log(Listener):
    """What a parse tells, in columns: some twenty bytes for each event.

    Events are elements, structures that begin and end, and values that are not transmitted. All that is
    the same for many of them, such as the elements of an array, stands once, as their kind:

        ("element", name, outer indices or None, descriptor, clause, status, enumeration)
        ("begin", name, structure, clause, status)
        ("inferred" or another key of an entry, name)
        ("end",), ("seek",)

    Attributes:
        kind: for each event the number of its kind.
        value: of each event, where it is an integer that fits; at "begin" the event of the end, at "end" the
            bit offset there, at "seek" the bit offset from which elements go on.
        width: of each element, in bits.
        index: the last index of an element.
        end_bit: the bit behind the last element.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.kind, self.width, self.index = array("I"), array("I"), array("I")
        self.value = array("q")
        self.end_bit = 0
        self._kinds: list[tuple[Any, ...]] = []
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._others: dict[int, Any] = {}  # values that are no such integers
        self._wide: dict[int, int] = {}  # widths beyond 32 bits
        self._open: list[int] = []

    def __len__(self) -> int:
        return len(self.kind)

    def _add(self, kind: tuple[Any, ...], value: Any, width: int = 0, index: int = 0) -> None:
        number = self._numbers.get(kind)
        if number is None:
            number = self._numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        if type(value) is int and -_MOST_NUMBER <= value <= _MOST_NUMBER:
            self.value.append(value)
        else:
            self._others[len(self.kind)] = value
            self.value.append(0)
        if width > _MOST_WIDTH:
            self._wide[len(self.kind)] = width
            width = 0
        self.kind.append(number)
        self.width.append(width)
        self.index.append(index)

    def unit(self, unit: NnrUnit) -> None:
        self.end_bit = 8 * unit.byte_offset
        self._open.clear()

    def element(self, element: Element) -> None:
        if element.bit_offset != self.end_bit:
            self._add(("seek",), element.bit_offset)
        options, index = element.options, element.index
        names = options.get("enum") or options.get("open_enum")
        kind = (
            "element",
            element.name,
            index[:-1] if index else None,
            element.descriptor,
            element.clause,
            element.status,
            names,
        )
        self._add(kind, plain_value(element), element.width, index[-1] if index else 0)
        self.end_bit = element.bit_offset + element.width

    def begin(self, name: str, function: Table, status: str) -> None:
        self._open.append(len(self.kind))
        clause = function.clause  # type: ignore[attr-defined]
        self._add(("begin", name, function.__name__, clause, status), 0)

    def end(self) -> None:
        self.value[self._open.pop()] = len(self.kind)
        self._add(("end",), self.end_bit)

    def inferred(self, name: str, value: Any) -> None:
        self._add(("inferred", name), value)

    def supplied(self, name: str, value: Any) -> None:
        self._add(("out_of_band", name), value)

    def computed(self, name: str, value: Any) -> None:
        self._add(("computed", name), value)

    def mark(self) -> tuple[int, int, int]:
        return len(self.kind), len(self._open), self.end_bit

    def rewind(self, mark: tuple[int, int, int]) -> None:
        length, depth, self.end_bit = mark
        for column in (self.kind, self.width, self.index, self.value):
            del column[length:]
        for held in (self._others, self._wide):
            while held and next(reversed(held)) >= length:
                held.popitem()
        del self._open[depth:]

    def elements(self, first: int, end: int, bit: int) -> LazyList:
        """Entries of the events from `first` to before `end`, which begin at `bit`."""
        return LazyList(partial(self._entries, first, end, bit), partial(self._count, first, end))

    def _entries(self, at: int, end: int, bit: int) -> Iterator[dict[str, Any]]:
        while at < end:
            kind = self._kinds[self.kind[at]]
            value = self._others[at] if at in self._others else self.value[at]
            what = kind[0]
            if what == "element":
                entry = self._element(at, kind, value, bit)
                bit += entry["width"]
                yield entry
            elif what == "begin":
                _, name, structure, clause, status = kind
                yield {
                    "name": name,
                    "structure": structure,
                    "clause": clause,
                    "status": status,
                    "elements": self.elements(at + 1, value, bit),
                }
                at = value
                bit = self.value[at]
            elif what == "seek":
                bit = value
            else:
                if isinstance(value, array):
                    value = LazyList(value.__iter__, value.__len__)
                yield {"name": kind[1], "value": value, what: True}
            at += 1

    def _element(self, at: int, kind: tuple[Any, ...], value: Any, bit: int) -> dict[str, Any]:
        _, name, outer, descriptor, clause, status, names = kind
        if outer is not None:
            name += "".join(f"[{i}]" for i in (*outer, self.index[at]))
        entry = {
            "name": name,
            "bit_offset": bit,
            "width": self._wide[at] if at in self._wide else self.width[at],
            "descriptor": descriptor,
            "value": value,
        }
        if names is not None and value in names._value2member_map_:
            entry["meaning"] = str(names(value).name)
        return entry | {"clause": clause, "status": status}

    def _count(self, at: int, end: int) -> int:
        count = 0
        while at < end:
            what = self._kinds[self.kind[at]][0]
            if what == "begin":
                at = self.value[at]
            count += what != "seek"
            at += 1
        return count


def describe(
    data: Buffer, *, out_of_band: OutOfBand | None = None, limits: Limits | None = None
) -> dict[str, Any]:
    """Every syntax element of a stream, nested and JSON-able.

    Returns ``{"size", "units", "problems"}``. A unit has ``index, name, type, byte_offset, size, depth,
    elements``; an element ``name, bit_offset, width, descriptor, value, clause, status`` (bits from the start
    of the stream) and ``meaning`` where the value has a name; a structure ``name, structure, clause, status,
    elements``; a value that is not transmitted ``inferred``, ``out_of_band`` or ``computed``. Status: V
    verified, N read from NNCodec, S unconfirmed recollection of the printed standard (spec README 2).
    Violations are collected in ``problems``.

    The lists are each a `LazyList`: who iterates, as `json.dump` does, holds one entry at a time.

    Raises ConformanceError for what is no NNR bitstream at all, LimitError beyond `limits`.
    """
    view = byte_view(data)
    check_begin(view)
    log = _Log()
    problems: list[BitstreamError] = []
    units: list[tuple[Any, ...]] = []
    names: dict[str, str] = {}
    for unit, first in _logged(view, log, problems, out_of_band, limits):
        name = names.setdefault(unit.name, unit.name)
        kind = unit.header.get("nnr_unit_type")
        units.append((first, len(log), name, kind, unit.byte_offset, unit.size, unit.depth))
    return {
        "size": len(view),
        "units": LazyList(lambda: _unit_entries(units, log), lambda: len(units)),
        "problems": LazyList(lambda: map(error_fields, problems), lambda: len(problems)),
    }


def _unit_entries(units: Iterable[tuple[Any, ...]], log: _Log) -> Iterator[dict[str, Any]]:
    for index, (first, end, name, kind, offset, size, depth) in enumerate(units):
        yield {
            "index": index,
            "name": name,
            "type": kind,
            "byte_offset": offset,
            "size": size,
            "depth": depth,
            "elements": log.elements(first, end, 8 * offset),
        }


def _logged(
    view: memoryview,
    log: _Log,
    problems: list[BitstreamError],
    out_of_band: OutOfBand | None,
    limits: Limits | None,
) -> Iterator[tuple[NnrUnit, int]]:
    """Every unit, as soon as its elements are in the log, and the first event of it."""
    reader = ListeningReader(view, listener=log, limits=limits, problems=problems)
    first = len(log)
    for unit in walk_units(reader, StreamContext(out_of_band, limits), _collector(problems)):
        for element in _opaque(unit, log.end_bit, view):
            log.element(element)
        yield unit, first
        first = len(log)


def _collector(problems: list[BitstreamError]) -> Any:
    from ..errors import LimitError

    def collect(unit: NnrUnit, error: BitstreamError) -> bool:
        if isinstance(error, LimitError):
            return False
        problems.append(error)
        return True

    return collect


def _opaque(unit: NnrUnit, end_bit: int, view: memoryview) -> Iterator[Element]:
    """What no table takes apart: coded payloads, unknown units, ignored bytes, the rest of broken units."""
    if unit.unit_type < 0:
        end = unit.byte_offset + unit.size if unit.size else len(view)
        yield _bytes("unparsed", end_bit, 8 * end - end_bit, view[end_bit >> 3 : end], "syntax 2.2")
        return
    if unit.payload is None and unit.payload_offset and not unit.contains:
        data = unit.payload_bytes
        yield _bytes("nnr_unit_payload", 8 * unit.payload_offset, 8 * len(data), data, "syntax 9.6")
    if unit.trailing:
        at, data = unit.byte_offset + unit.size - len(unit.trailing), unit.trailing
        yield _bytes("trailing_data", 8 * at, 8 * len(data), data, "semantics 1", "S")


def _bytes(
    name: str, bit_offset: int, width: int, data: memoryview, clause: str, status: str = "V"
) -> Element:
    return Element(name, (), bit_offset, width, "bytes", data, clause, status)


def trace_lines(
    data: Buffer, *, out_of_band: OutOfBand | None = None, limits: Limits | None = None
) -> Iterator[str]:
    """One line per coded element, ``offset width path descriptor value``, then the violations.

    Offset and width are in bits; an element marked [S] or [N] is not confirmed (spec README 2). One unit is
    held at a time. Raises as `describe`; the lines of the units before have been given by then.
    """
    view = byte_view(data)
    check_begin(view)
    log = _Log()
    problems: list[BitstreamError] = []
    messages: list[str] = []
    for unit, _ in _logged(view, log, problems, out_of_band, limits):
        yield f"# unit {unit.index}: {unit.name or 'unreadable'}, {unit.size} bytes"
        yield from _lines(log.elements(0, len(log), 8 * unit.byte_offset), f"nnr_unit[{unit.index}]")
        messages += map(str, problems)
        problems.clear()
        log.clear()
    for message in messages:
        yield f"! {message}"


def _lines(elements: Iterable[dict[str, Any]], path: str) -> Iterator[str]:
    for entry in elements:
        place = f"{path}.{entry['name']}"
        if "elements" in entry:
            yield from _lines(entry["elements"], place)
        elif "descriptor" in entry:
            value = entry["value"]
            text = quoted(value) if entry["descriptor"] == "st(v)" else str(value)
            meaning = f" ({entry['meaning']})" if "meaning" in entry else ""
            mark = f" [{entry['status']}]" if entry["status"] != "V" else ""
            offset, width = entry["bit_offset"], entry["width"]
            yield f"{offset:>8} {width:>4} {place} {entry['descriptor']} {text}{meaning}{mark}"
