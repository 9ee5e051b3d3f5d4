"""Every syntax element of a stream with its place, as nested data or as lines of text.

In: the bytes of a stream. Out: JSON-able data (`describe`) or lines (`trace_lines`). A broken stream can be
looked at: violations are collected and stand beside the elements, and a unit that cannot be parsed to its end
says why.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from ..errors import BitstreamError
from ..limits import Limits
from .bits import Buffer, byte_view
from .listen import Element, Listener, ListeningReader
from .serdes import Table
from .stream import NnrUnit, OutOfBand, StreamContext, check_begin, quoted, walk_units

__all__ = ["describe", "error_fields", "plain_value", "trace_lines"]

_SHOWN_BYTES = 32


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


def _meaning(element: Element) -> str | None:
    """Name of the value, where an enumeration has one."""
    names = element.options.get("enum") or element.options.get("open_enum")
    if names is not None and element.value in names._value2member_map_:
        return str(names(element.value).name)
    return None


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


class _Description(Listener):
    """Builds the nested description of one unit after the other."""

    def __init__(self) -> None:
        self.stack: list[list[dict[str, Any]]] = [[]]
        self.end_bit = 0

    def unit(self, unit: NnrUnit) -> None:
        self.stack = [[]]
        self.end_bit = 8 * unit.byte_offset

    def element(self, element: Element) -> None:
        entry: dict[str, Any] = {
            "name": element.label,
            "bit_offset": element.bit_offset,
            "width": element.width,
            "descriptor": element.descriptor,
            "value": plain_value(element),
        }
        meaning = _meaning(element)
        if meaning is not None:
            entry["meaning"] = meaning
        entry["clause"] = element.clause
        entry["status"] = element.status
        self.stack[-1].append(entry)
        self.end_bit = element.bit_offset + element.width

    def begin(self, name: str, function: Table, status: str) -> None:
        inner: list[dict[str, Any]] = []
        self.stack[-1].append(
            {
                "name": name,
                "structure": function.__name__,
                "clause": function.clause,  # type: ignore[attr-defined]
                "status": status,
                "elements": inner,
            }
        )
        self.stack.append(inner)

    def end(self) -> None:
        self.stack.pop()

    def inferred(self, name: str, value: Any) -> None:
        self.stack[-1].append({"name": name, "value": value, "inferred": True})

    def supplied(self, name: str, value: Any) -> None:
        self.stack[-1].append({"name": name, "value": value, "out_of_band": True})

    def computed(self, name: str, value: Any) -> None:
        self.stack[-1].append({"name": name, "value": value, "computed": True})

    def mark(self) -> tuple[int, int, int]:
        return len(self.stack), len(self.stack[-1]), self.end_bit

    def rewind(self, mark: tuple[int, int, int]) -> None:
        depth, length, self.end_bit = mark
        del self.stack[depth:]
        del self.stack[-1][length:]


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

    Raises ConformanceError for what is no NNR bitstream at all, LimitError beyond `limits`.
    """
    view = byte_view(data)
    check_begin(view)
    listener = _Description()
    problems: list[BitstreamError] = []
    reader = ListeningReader(view, listener=listener, limits=limits, problems=problems)
    units = []
    for unit in walk_units(reader, StreamContext(out_of_band, limits), _collector(problems)):
        elements = listener.stack[0]
        elements.extend(_opaque(unit, listener.end_bit, view))
        units.append(
            {
                "index": unit.index,
                "name": unit.name,
                "type": unit.header.get("nnr_unit_type"),
                "byte_offset": unit.byte_offset,
                "size": unit.size,
                "depth": unit.depth,
                "elements": elements,
            }
        )
    return {"size": len(view), "units": units, "problems": [error_fields(problem) for problem in problems]}


def _collector(problems: list[BitstreamError]) -> Any:
    from ..errors import LimitError

    def collect(unit: NnrUnit, error: BitstreamError) -> bool:
        if isinstance(error, LimitError):
            return False
        problems.append(error)
        return True

    return collect


def _opaque(unit: NnrUnit, end_bit: int, view: memoryview) -> Iterator[dict[str, Any]]:
    """What no table takes apart: coded payloads, unknown units, ignored bytes, the rest of broken units."""
    if unit.unit_type < 0:
        end = unit.byte_offset + unit.size if unit.size else len(view)
        entry = _bytes_entry("unparsed", end_bit >> 3, view[end_bit >> 3 : end], "syntax 2.2")
        entry["bit_offset"], entry["width"] = end_bit, 8 * end - end_bit
        yield entry
        return
    if unit.payload is None and unit.payload_offset and not unit.contains:
        yield _bytes_entry("nnr_unit_payload", unit.payload_offset, unit.payload_bytes, "syntax 9.6")
    if unit.trailing:
        at = unit.byte_offset + unit.size - len(unit.trailing)
        yield _bytes_entry("trailing_data", at, unit.trailing, "semantics 1")


def _bytes_entry(name: str, offset: int, data: memoryview, clause: str) -> dict[str, Any]:
    element = Element(name, (), 8 * offset, 8 * len(data), "bytes", data, clause, "V")
    return {
        "name": name,
        "bit_offset": element.bit_offset,
        "width": element.width,
        "descriptor": "bytes",
        "value": plain_value(element),
        "clause": clause,
        "status": "S" if name == "trailing_data" else "V",
    }


def trace_lines(
    data: Buffer, *, out_of_band: OutOfBand | None = None, limits: Limits | None = None
) -> Iterator[str]:
    """One line per coded element, ``offset width path descriptor value``, then the violations.

    Offset and width are in bits; an element marked [S] or [N] is not confirmed (spec README 2).
    Raises as `describe`.
    """
    description = describe(data, out_of_band=out_of_band, limits=limits)
    for unit in description["units"]:
        yield f"# unit {unit['index']}: {unit['name'] or 'unreadable'}, {unit['size']} bytes"
        yield from _lines(unit["elements"], f"nnr_unit[{unit['index']}]")
    for problem in description["problems"]:
        yield f"! {problem['message']}"


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
