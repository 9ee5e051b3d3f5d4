"""Listening to a parse: every element with its place, for traces, descriptions and trees.

In: bytes. Out: calls of a `Listener` in the order of the syntax. The tables are the same as for `Reader`, and
so are the values; only who is told differs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BitstreamError
from ..limits import Limits
from .bits import Buffer
from .serdes import Reader, Table, Values, violation

if TYPE_CHECKING:
    from .stream import NnrUnit

__all__ = ["Element", "Listener", "ListeningReader"]


@dataclass(slots=True)
class Element:
    """One coded element.

    Attributes:
        name, index: of the element; `index` is empty outside loops.
        bit_offset, width: in bits from the start of the stream.
        descriptor: such as ``ue(7)``.
        value: int, float, str or memoryview.
        clause, status: section of the specification, and its provenance tag "V", "N" or "S".
        options: arguments of the element in its syntax table.
    """

    name: str
    index: tuple[int, ...]
    bit_offset: int
    width: int
    descriptor: str
    value: Any
    clause: str
    status: str
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name and indices."""
        return self.name + "".join(f"[{i}]" for i in self.index)


class Listener:
    """What a parse tells; the methods do nothing until overridden."""

    def unit(self, unit: NnrUnit) -> None:
        """A unit begins."""

    def element(self, element: Element) -> None:
        """An element was read."""

    def begin(self, name: str, function: Table, status: str) -> None:
        """A structure begins whose values stand under `name`."""

    def end(self) -> None:
        """The structure ends, or the parse of it stops."""

    def array(self, name: str, at: tuple[int, ...]) -> None:
        """An array begins (the row `at` of one, in nested loops)."""

    def inferred(self, name: str, value: Any) -> None:
        """An element is not present and inferred."""

    def supplied(self, name: str, value: Any) -> None:
        """An element is not present and was supplied from out of band."""

    def computed(self, name: str, value: Any) -> None:
        """A variable was computed."""

    def mark(self) -> Any:
        """A place to go back to."""
        return None

    def rewind(self, mark: Any) -> None:
        """Forget what came since `mark`: the bits are read again in another layout."""


class ListeningReader(Reader):
    """A `Reader` that tells a `Listener` what it reads.

    Attributes:
        problems: None to raise the first violation; a list to collect violations and go on where possible.
    """

    def __init__(
        self,
        data: Buffer,
        *,
        listener: Listener | None = None,
        limits: Limits | None = None,
        problems: list[BitstreamError] | None = None,
    ) -> None:
        super().__init__(data, limits=limits)
        self.listener = Listener() if listener is None else listener
        self.problems = problems
        self._tables: list[tuple[str, str, str]] = [("", "", "V")]
        self._unit: NnrUnit | None = None

    def _tell(
        self, descriptor: str, start: int, name: str, index: tuple[int, ...], options: dict[str, Any]
    ) -> None:
        value: Any = self.values.__dict__[name]
        for i in index[:-1]:
            value = value[i]
        if index:
            value = value[-1]
        self._note(descriptor, start, name, index, options, value)

    def _note(
        self,
        descriptor: str,
        start: int,
        name: str,
        index: tuple[int, ...],
        options: dict[str, Any],
        value: Any,
    ) -> None:
        _, clause, status = self._tables[-1]
        status = options.get("status") or status
        width = self.pos - start
        self.listener.element(Element(name, index, start, width, descriptor, value, clause, status, options))

    def u(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        start = self.pos
        super().u(nbits, name, *index, **options)
        self._tell(f"u({nbits})", start, name, index, options)

    def i(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        start = self.pos
        super().i(nbits, name, *index, **options)
        self._tell(f"i({nbits})", start, name, index, options)

    def ue(self, k: int, name: str, *index: int, **options: Any) -> None:
        start = self.pos
        super().ue(k, name, *index, **options)
        self._tell(f"ue({k})", start, name, index, options)

    def ie(self, k: int, name: str, *index: int, **options: Any) -> None:
        start = self.pos
        super().ie(k, name, *index, **options)
        self._tell(f"ie({k})", start, name, index, options)

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        start = self.pos
        super()._code(kind, n, name, index, options)
        descriptor = {"flt": "flt(32)", "bs": "bs(v)"}.get(kind, f"{n} u(1)")
        self._tell(descriptor, start, name, index, options)

    def st(self, name: str, *index: int, **options: Any) -> None:
        start = self.pos
        super().st(name, *index, **options)
        self._tell("st(v)", start, name, index, options)

    def byte_alignment(self) -> None:
        start = self.pos
        super().byte_alignment()
        value = int.from_bytes(self.data[start >> 3 : (start >> 3) + 1], "big") & (
            (1 << (self.pos - start)) - 1
        )
        self._tables.append(("", "syntax 1", self._tables[-1][2]))
        self._note("byte_alignment()", start, "byte_alignment", (), {}, value)
        self._tables.pop()

    def _enter(self, name: str, function: Table, status: str) -> None:
        own: str = function.status  # type: ignore[attr-defined]
        self._tables.append((name, function.clause, status or own))  # type: ignore[attr-defined]

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        self._enter(name, function, status)
        self.listener.begin(name, function, self._tables[-1][2])
        try:
            return super().table(name, function, ctx, *arguments)
        finally:
            self.listener.end()
            self._tables.pop()

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        self._enter("", function, "")
        try:
            super().include(function, ctx, *arguments)
        finally:
            self._tables.pop()

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        indices = super().loop(count, *names, at=at, listed=listed)
        for name in names:
            self.listener.array(name, at)
        return indices

    def infer(self, name: str, value: Any) -> None:
        super().infer(name, value)
        self.listener.inferred(name, value)

    def supply(self, name: str, value: Any, default: Any = None) -> None:
        super().supply(name, value, default)
        if value is not None:
            self.listener.supplied(name, value)
        elif default is not None:
            self.listener.inferred(name, default)

    def let(self, name: str, value: Any) -> None:
        super().let(name, value)
        self.listener.computed(name, value)

    def begin_unit(self, unit: NnrUnit) -> None:
        self._unit = unit
        self._tables = [("", "", "V")]
        self.listener.unit(unit)

    def mark(self) -> Any:
        return super().mark(), len(self.problems or ()), self.listener.mark()

    def rewind(self, mark: Any) -> None:
        pos, problems, place = mark
        super().rewind(pos)
        if self.problems is not None:
            del self.problems[problems:]
        self.listener.rewind(place)

    def sound_since(self, mark: Any) -> bool:
        return len(self.problems or ()) == mark[1]

    @property
    def path(self) -> str:
        """Names of the structures around the next element."""
        return ".".join(name for name, _, _ in self._tables if name)

    def _refuse(self, found: str, allowed: str, clause: str | None = None, path: str | None = None) -> None:
        error = violation(found, allowed, bit_offset=self.pos, path=path, clause=clause)
        if self.problems is None:
            raise error
        self.collect(error)

    def collect(self, error: BitstreamError) -> None:
        """Add a violation found at the present place to `problems`."""
        assert self.problems is not None
        error.path = ".".join(part for part in (self.path, error.path) if part) or None
        error.locate(clause=self._tables[-1][1] or None)
        if self._unit is not None:
            error.locate(unit_index=self._unit.index, unit=self._unit.name or None)
        self.problems.append(error)
