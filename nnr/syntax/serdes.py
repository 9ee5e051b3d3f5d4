"""One syntax table, one function, many readings.

A syntax table of the specification is a function ``f(s, v, ctx)`` under `syntax_table`: `s` is the reading in
progress, `v` the values of this table, `ctx` what earlier units established. Every element is a call of the
method named after its descriptor, with the range, the enumeration and the status of the element in the call.
`Reader` parses, `Writer` writes; `describe.py` listens to a parse; the tests draw values with a third
reading.

Arguments of an element:
    name, *index    the element, and its indices where it stands in a loop
    min, max        range allowed, where it is narrower than the descriptor's
    enum            closed list of values: others are reserved and refused
    open_enum       names of values, others are allowed
    allowed         tuple of the values allowed
    fixed           the value of a reserved element; written when none is given
    counts, plus    the element equals the length of that array (or arrays, on the same indices) plus `plus`;
                    it is derived on writing, unless given
    derived         function of (given values, index) giving the value on writing, unless given
    status          "V", "N" or "S" where it differs from that of the table (README 2)
"""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any, NoReturn

from ..errors import BitstreamError, ConformanceError, LimitError, SyntaxValueError, TruncatedError
from ..limits import Limits
from .bits import MAX_CODE, BitReader, BitWriter, Buffer

__all__ = ["TABLES", "Reader", "Syntax", "Table", "Values", "Writer", "derive", "syntax_table", "violation"]

Table = Callable[..., None]
TABLES: dict[str, Table] = {}
"""Every syntax table by name, in the order of definition."""


def syntax_table(clause: str, status: str = "V") -> Callable[[Table], Table]:
    """Declare a function as the syntax table of section `clause`, with its status "V", "N" or "S"."""

    def declare(function: Table) -> Table:
        function.clause = clause  # type: ignore[attr-defined]
        function.status = status  # type: ignore[attr-defined]
        TABLES[function.__name__] = function
        return function

    return declare


class Values(Mapping[str, Any]):
    """Values of one syntax table by name: ``v.name``, ``v["name"]``, ``"name" in v``, ``v.get("name")``.

    Arrays are lists, nested tables are `Values`. The values are held in the order of the syntax.
    """

    def __init__(self, values: Mapping[str, Any] | None = None, **more: Any) -> None:
        if values is not None:
            self.__dict__.update(values)
        self.__dict__.update(more)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the syntax element {name} is not present")

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __getitem__(self, name: str) -> Any:
        return self.__dict__[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dict__)

    def __len__(self) -> int:
        return len(self.__dict__)

    def __contains__(self, name: object) -> bool:
        return name in self.__dict__

    def get(self, name: str, default: Any = None) -> Any:
        """The value called `name`, or `default`."""
        return self.__dict__.get(name, default)

    def items(self) -> ItemsView[str, Any]:
        """Names and values, in the order of the syntax."""
        return self.__dict__.items()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Values):
            return self.__dict__ == other.__dict__
        if isinstance(other, Mapping):
            return self.__dict__ == dict(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Values({', '.join(f'{name}={value!r}' for name, value in self.__dict__.items())})"


_new_values = object.__new__
"""Makes empty `Values` a little faster than calling the class does."""


def float_from_bits(pattern: int) -> float | str:
    """The binary32 number with bit pattern `pattern`; a NaN other than 0x7fc00000 as ``"nan:7fa00001"``."""
    if (pattern & 0x7F800000) == 0x7F800000 and pattern & 0x7FFFFF and pattern != 0x7FC00000:
        return f"nan:{pattern:08x}"
    return float(struct.unpack("<f", pattern.to_bytes(4, "little"))[0])


def float_to_bits(value: float | str) -> int:
    """The bit pattern of a binary32 number given as by `float_from_bits`; other floats are rounded."""
    if isinstance(value, str):
        kind, _, digits = value.partition(":")
        pattern = int(digits, 16) if kind == "nan" and digits else -1
        if not 0 <= pattern <= 0xFFFFFFFF or (pattern & 0x7F800000) != 0x7F800000 or not pattern & 0x7FFFFF:
            raise ValueError(f"{value!r} is not a number")
        return pattern
    if math.isnan(value):
        return 0x7FC00000
    return int.from_bytes(struct.pack("<f", value), "little")


def _names(enum: type[IntEnum]) -> str:
    return ", ".join(f"{int(member)} {member.name}" for member in enum)


def _span(low: int, high: int) -> str:
    return f"{low}..{high}" if low != high else f"only {low}"


def violation(found: str, allowed: str, **place: Any) -> ConformanceError:
    """A ConformanceError that also has what was found and what is allowed apart, as `found` and `allowed`."""
    error = ConformanceError(f"{found}; allowed: {allowed}", **place)
    error.found = found  # type: ignore[attr-defined]
    error.allowed = allowed  # type: ignore[attr-defined]
    return error


def derive(given: Mapping[str, Any], index: tuple[int, ...], options: Mapping[str, Any]) -> int | None:
    """The value that writing derives for an element from the values given, None where it derives none."""
    if options.get("fixed") is not None:
        return int(options["fixed"])
    if options.get("derived") is not None:
        return int(options["derived"](given, index))
    names = options.get("counts") or ()
    for name in (names,) if isinstance(names, str) else names:
        held: Any = given.get(name)
        for i in index:
            held = held[i] if isinstance(held, Sequence) and i < len(held) else None
        if held is not None:
            return max(len(held) + int(options.get("plus", 0)), 0)
    return None


class Syntax:
    """What every reading offers to the syntax tables; the methods of elements are in the subclasses.

    Attributes:
        values: the values of the table in progress.
        limits: what may be spent; sizes in a file are claims.
    """

    values: Values
    limits: Limits

    def u(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) u(n): `nbits` bits, an unsigned integer."""
        self._code("u", nbits, name, index, options)

    def i(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) i(n): `nbits` bits, an integer in two's complement."""
        self._code("i", nbits, name, index, options)

    def ue(self, k: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) ue(k): Exp-Golomb code of order `k`."""
        self._code("ue", k, name, index, options)

    def ie(self, k: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) ie(k): signed Exp-Golomb code of order `k`."""
        self._code("ie", k, name, index, options)

    def flt(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) flt(32): binary32, least significant byte first."""
        self._code("flt", nbits, name, index, options)

    def st(self, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) st(v): UTF-8 and a zero byte, from a byte boundary on."""
        self._code("st", 0, name, index, options)

    def bs(self, name: str, **options: Any) -> None:
        """(syntax 1) bs(v): bytes up to the end of the unit."""
        self._code("bs", 0, name, (), options)

    def bits(self, nbits: int, name: str, **options: Any) -> None:
        """`nbits` elements u(1) as one string of 0 and 1: masks are long."""
        self._code("bits", nbits, name, (), options)

    def ae(self, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) ae(v): context-coded bin; only in readings of payloads."""
        self._code("ae", 1, name, index, options)

    def uae(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) uae(n): `nbits` bypass bins, an unsigned integer; only in readings of payloads."""
        self._code("uae", nbits, name, index, options)

    def iae(self, nbits: int, name: str, *index: int, **options: Any) -> None:
        """(syntax 1) iae(n): `nbits` bypass bins, an integer in two's complement; only for payloads."""
        self._code("iae", nbits, name, index, options)

    def at(self, name: str, **options: Any) -> None:
        """(syntax 1) at(v): the terminate bin; only in readings of payloads."""
        self._code("at", 1, name, (), options)

    def byte_alignment(self) -> None:
        """(syntax 1) byte_alignment(): one bit 1, then zero bits up to the byte boundary."""
        raise NotImplementedError

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        raise NotImplementedError

    @property
    def aligned(self) -> bool:
        """Whether the next bit is the first of a byte."""
        raise NotImplementedError

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        """A nested structure: its values stand under `name`."""
        raise NotImplementedError

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        """A nested structure whose elements stand among those of the table in progress."""
        raise NotImplementedError

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        """Indices of the arrays `names` (of their rows `at`), which are begun here.

        `listed`: the arrays hold entries such as ids, which `Limits.max_list_entries` bounds.
        """
        raise NotImplementedError

    def infer(self, name: str, value: Any) -> None:
        """The element is not present and its value is inferred to be `value`."""
        raise NotImplementedError

    def supply(self, name: str, value: Any, default: Any = None) -> None:
        """The element is not present; out of band it is `value`, or None where nothing is known of it.

        Without a value it is inferred to be `default`; without that it stays absent.
        """
        raise NotImplementedError

    def let(self, name: str, value: Any) -> None:
        """A variable of the specification, computed from elements."""
        raise NotImplementedError

    def require(self, condition: bool, found: str, allowed: str, clause: str | None = None) -> None:
        """A constraint that no single element states: what was found, what is allowed."""
        raise NotImplementedError

    def unknown(self, name: str, remedy: str) -> NoReturn:
        """The syntax cannot go on without the value of `name`, which only the caller can supply."""
        raise NotImplementedError

    def limit(self, limit: str, value: int, what: str) -> None:
        """`value` must not exceed the limit called `limit`."""
        raise NotImplementedError


def _range_error(
    name: str,
    value: int,
    low: int | None,
    high: int | None,
    enum: type[IntEnum] | None,
    allowed: tuple[int, ...] | None,
    fixed: int | None,
) -> tuple[str, str] | None:
    """What was found and what is allowed, or None when all is well."""
    if low is not None and value < low:
        return f"{name} is {value}", (_span(low, high) if high is not None else f"{low} or more")
    if high is not None and value > high:
        return f"{name} is {value}", (_span(low or 0, high))
    if enum is not None and value not in enum._value2member_map_:
        return f"{name} is {value}, which is reserved", _names(enum)
    if allowed is not None and value not in allowed:
        return f"{name} is {value}", " or ".join(str(choice) for choice in allowed)
    if fixed is not None and value != fixed:
        return f"{name} is {value}", f"only {fixed}"
    return None


class Reader(Syntax, BitReader):
    """Parses: each call reads an element and stores it as ``v.<name>``; the first violation is raised.

    Attributes:
        tables: functions to call in the place of tables, which must have the same effect.
    """

    def __init__(
        self,
        data: Buffer,
        start: int = 0,
        end: int | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        BitReader.__init__(self, data, start, end)
        self.limits = Limits() if limits is None else limits
        self.values = Values()
        self.tables: dict[Table, Table] = {}

    # -- elements. The four that headers are made of are spelt out, for speed.

    def u(  # type: ignore[override]
        self,
        nbits: int,
        name: str,
        *index: int,
        min: int | None = None,
        max: int | None = None,
        enum: type[IntEnum] | None = None,
        allowed: tuple[int, ...] | None = None,
        fixed: int | None = None,
        open_enum: Any = None,
        counts: Any = None,
        plus: int = 0,
        derived: Any = None,
        status: str = "",
    ) -> None:
        end = self.pos + nbits
        if end > self._word_end:
            self._located(name, index, self._fill, nbits)
        value = (self._word >> (self._word_end - end)) & ((1 << nbits) - 1)
        if min is not None or max is not None or enum is not None or allowed is not None or fixed is not None:
            self._check(name, index, value, min, max, enum, allowed, fixed)
        self.pos = end
        if index:
            self._append(name, index, value)
        else:
            self.values.__dict__[name] = value

    def i(  # type: ignore[override]
        self,
        nbits: int,
        name: str,
        *index: int,
        min: int | None = None,
        max: int | None = None,
        status: str = "",
    ) -> None:
        value = self.read(nbits)
        value -= (value >> (nbits - 1)) << nbits
        self.pos -= nbits
        self._check(name, index, value, min, max, None, None, None)
        self.pos += nbits
        self._append(name, index, value)

    def ue(  # type: ignore[override]
        self,
        k: int,
        name: str,
        *index: int,
        min: int | None = None,
        max: int | None = None,
        counts: Any = None,
        plus: int = 0,
        derived: Any = None,
        status: str = "",
    ) -> None:
        pos = self.pos
        value = self._located(name, index, self.read_exp_golomb, k)
        if min is not None or max is not None:
            end = self.pos
            self.pos = pos
            self._check(name, index, value, min, max, None, None, None)
            self.pos = end
        if index:
            self._append(name, index, value)
        else:
            self.values.__dict__[name] = value

    def ie(  # type: ignore[override]
        self,
        k: int,
        name: str,
        *index: int,
        min: int | None = None,
        max: int | None = None,
        derived: Any = None,
        status: str = "",
    ) -> None:
        pos = self.pos
        code = self._located(name, index, self.read_exp_golomb, k)
        value = (code + 1) >> 1 if code & 1 else -(code >> 1)
        if min is not None or max is not None:
            end = self.pos
            self.pos = pos
            self._check(name, index, value, min, max, None, None, None)
            self.pos = end
        if index:
            self._append(name, index, value)
        else:
            self.values.__dict__[name] = value

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        if kind == "flt":
            pattern = self._located(name, index, self.read, n)
            little = int.from_bytes(pattern.to_bytes(4, "big"), "little")
            self._append(name, index, float_from_bits(little))
        elif kind == "bs":
            self._at_byte(name)
            self._append(name, index, self.data[self.pos >> 3 : self.end >> 3])
            self.pos = self.end
            self._leave_window()
        else:
            self._append(name, index, self._located(name, index, self.read_bits, n))

    def st(self, name: str, *index: int, **options: Any) -> None:
        pos = self.pos
        if not pos & 7:
            # The usual case: a short name.
            start = pos >> 3
            head = bytes(self.data[start : min(start + 64, self.end >> 3)])
            found = head.find(0)
            if 0 <= found <= self.limits.max_name_bytes and (name_bytes := head[:found]).isascii():
                self.pos = pos + 8 * found + 8
                if self.pos > self._word_end:
                    self._leave_window()
                self._append(name, index, name_bytes.decode("ascii"))
                return
        self._append(name, index, self._located(name, index, self._string))

    def _string(self) -> str:
        self._at_byte("a string")
        start = self.pos
        raw = self.read_until_zero(self.limits.max_name_bytes)
        try:
            self.limits.check("max_name_bytes", len(raw), "the length of a string in bytes")
        except LimitError as error:
            error.bit_offset = start
            error.byte_offset = start >> 3
            raise
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            end = self.pos
            self.pos = start
            self.require(False, f"a string is not UTF-8 (byte {error.start} of it: {error.reason})", "UTF-8")
            self.pos = end
            return raw.decode("utf-8", "surrogateescape")

    def _at_byte(self, name: str) -> None:
        if self.pos & 7:
            raise ConformanceError(f"{name} does not begin at a byte boundary", bit_offset=self.pos)

    def _located(self, name: str, index: tuple[int, ...], read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except BitstreamError as error:
            self._name_place(error, name, index)
            raise

    @staticmethod
    def _name_place(error: BitstreamError, name: str, index: tuple[int, ...] = ()) -> None:
        label = name + "".join(f"[{i}]" for i in index)
        error.path = f"{label}.{error.path}" if error.path else label

    def _append(self, name: str, index: tuple[int, ...], value: Any) -> None:
        if not index:
            self.values.__dict__[name] = value
            return
        held = self.values.__dict__
        row = held.get(name)
        if row is None:
            row = held[name] = []
        for i in index[:-1]:
            row = row[i]
        row.append(value)

    def _check(
        self,
        name: str,
        index: tuple[int, ...],
        value: int,
        low: int | None,
        high: int | None,
        enum: type[IntEnum] | None,
        allowed: tuple[int, ...] | None,
        fixed: int | None,
    ) -> None:
        wrong = _range_error(name, value, low, high, enum, allowed, fixed)
        if wrong:
            label = name + "".join(f"[{i}]" for i in index)
            self._refuse(*wrong, path=label)

    def byte_alignment(self) -> None:
        nbits = 8 - (self.pos & 7)
        start = self.pos
        value = self._located("byte_alignment", (), self.read, nbits)
        if value != 1 << (nbits - 1):
            self.pos = start
            self._refuse(
                f"the alignment bits are {value:0{nbits}b}",
                f"only {1 << (nbits - 1):0{nbits}b}",
                "syntax 1",
                "byte_alignment",
            )
            self.pos = start + nbits

    @property
    def aligned(self) -> bool:
        return not self.pos & 7

    # -- structures

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        outer = self.values
        inner = _new_values(Values)
        outer.__dict__[name] = inner
        self.values = inner
        try:
            self.tables.get(function, function)(self, inner, ctx, *arguments)
        except BitstreamError as error:
            self.values = outer
            self._name_place(error, name)
            self._place(error, function)
            raise
        self.values = outer
        return inner

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        try:
            self.tables.get(function, function)(self, self.values, ctx, *arguments)
        except BitstreamError as error:
            self._place(error, function)
            raise

    def _place(self, error: BitstreamError, function: Table) -> None:
        if error.bit_offset is None:
            error.bit_offset = self.pos
        error.locate(byte_offset=error.bit_offset >> 3, clause=function.clause)  # type: ignore[attr-defined]

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        if listed:
            self.limit("max_list_entries", count, f"the number of entries of {names[0]}")
        if count > self.end - self.pos:
            error = TruncatedError(
                f"{count} entries are announced, but only {self.end - self.pos} bits are left in the unit",
                bit_offset=self.pos,
            )
            self._name_place(error, names[0], at)
            raise error
        for name in names:
            self._append(name, at, [])
        return range(count)

    def infer(self, name: str, value: Any) -> None:
        self.values.__dict__[name] = value

    def supply(self, name: str, value: Any, default: Any = None) -> None:
        if value is None:
            value = default
        if value is not None:
            self.values.__dict__[name] = value

    def let(self, name: str, value: Any) -> None:
        self.values.__dict__[name] = value

    # -- units, and trying one layout after another

    def begin_unit(self, unit: Any) -> None:
        """A unit is about to be read."""

    def mark(self) -> Any:
        """The present position, to come back to with `rewind`."""
        return self.pos

    def rewind(self, mark: Any) -> None:
        """Go back to `mark`."""
        self.pos = mark
        self._leave_window()  # which may begin behind the position now

    def sound_since(self, mark: Any) -> bool:
        """Whether nothing was wrong since `mark`; here the first violation is raised."""
        return True

    # -- policy

    def require(self, condition: bool, found: str, allowed: str, clause: str | None = None) -> None:
        if not condition:
            self._refuse(found, allowed, clause)

    def _refuse(self, found: str, allowed: str, clause: str | None = None, path: str | None = None) -> None:
        """Raise a violation at the present position."""
        raise violation(found, allowed, bit_offset=self.pos, path=path, clause=clause)

    def unknown(self, name: str, remedy: str) -> NoReturn:
        from ..errors import UnsupportedError

        error = UnsupportedError(f"{name} is not in the stream; {remedy}", bit_offset=self.pos, path=name)
        error.clause = "semantics 7"
        raise error

    def limit(self, limit: str, value: int, what: str) -> None:
        try:
            self.limits.check(limit, value, what)
        except LimitError as error:
            error.bit_offset = self.pos
            error.byte_offset = self.pos >> 3
            raise


class StopWriting(Exception):
    """A `Writer` has come to `stop_after`: what follows was never parsed and is bits."""


class Writer(Syntax):
    """Writes: each call takes its value from `given`, checks it and appends its bits.

    Missing, left-over and unfit values are `SyntaxValueError`s that name the element by its path. With
    ``strict=False`` only what cannot be expressed at all is refused, so that broken streams can be made.

    Attributes:
        coded: number of elements written.
        stop_after: raise `StopWriting` at the element after this number of them.
    """

    def __init__(
        self, given: Mapping[str, Any], *, strict: bool = True, limits: Limits | None = None
    ) -> None:
        self.out = BitWriter()
        self.given = given
        self.strict = strict
        self.limits = Limits() if limits is None else limits
        self.values = Values()
        self._path: list[str] = []
        self._seen: set[str] = set()
        self._alignments = 0
        self.coded = 0
        self.stop_after: int | None = None

    def refuse(self, name: str, reason: str, index: tuple[int, ...] = ()) -> NoReturn:
        """Raise SyntaxValueError for the element `name`."""
        label = name + "".join(f"[{i}]" for i in index)
        raise SyntaxValueError(f"{'.'.join([*self._path, label])}: {reason}")

    def _count_element(self) -> None:
        if self.coded == self.stop_after:
            raise StopWriting
        self.coded += 1

    def _take(self, name: str, index: tuple[int, ...], options: Mapping[str, Any]) -> Any:
        value: Any = self.given.get(name)
        self._seen.add(name)
        if value is not None:
            for i in index:
                if isinstance(value, (str, bytes)) or not isinstance(value, Sequence) or i >= len(value):
                    value = None
                    break
                value = value[i]
        if value is not None:
            return value
        value = derive(self.given, index, options)
        if value is None:
            self.refuse(name, "the value is missing", index)
        return value

    def _integer(self, name: str, index: tuple[int, ...], value: Any, low: int, high: int) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            self.refuse(name, f"{value!r} is not an integer", index)
        if not low <= number <= high:
            self.refuse(name, f"{number} does not fit (allowed: {_span(low, high)})", index)
        return number

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        self._count_element()
        value = self._take(name, index, options)
        out = self.out
        if kind == "u":
            value = self._integer(name, index, value, 0, (1 << n) - 1)
            out.write(n, value)
        elif kind == "i":
            value = self._integer(name, index, value, -(1 << (n - 1)), (1 << (n - 1)) - 1)
            out.write(n, value & ((1 << n) - 1))
        elif kind == "ue":
            value = self._integer(name, index, value, 0, MAX_CODE)
            out.write_exp_golomb(n, value)
        elif kind == "ie":
            value = self._integer(name, index, value, -(MAX_CODE >> 1), (MAX_CODE + 1) >> 1)
            out.write_exp_golomb(n, 2 * value - 1 if value > 0 else -2 * value)
        elif kind == "flt":
            try:
                pattern = float_to_bits(value)
            except (TypeError, ValueError, OverflowError) as error:
                self.refuse(name, f"{value!r} is not a binary32 number ({error})", index)
            out.write(32, int.from_bytes(pattern.to_bytes(4, "little"), "big"))
        elif kind == "st":
            self._write_string(name, index, value)
        elif kind == "bs":
            self._at_byte(name)
            try:
                out.write_bytes(value)
            except TypeError:
                self.refuse(name, f"{type(value).__name__} is not bytes", index)
        else:
            if not isinstance(value, str) or set(value) - {"0", "1"}:
                self.refuse(name, "a string of 0 and 1 is needed", index)
            if self.strict and len(value) != n:
                self.refuse(name, f"{n} bits are announced, {len(value)} are given", index)
            out.write_bits(value)
        if self.strict and kind in ("u", "i", "ue", "ie"):
            wrong = _range_error(
                name,
                value,
                options.get("min"),
                options.get("max"),
                options.get("enum"),
                options.get("allowed"),
                options.get("fixed"),
            )
            if wrong:
                self.refuse(name, f"{wrong[0]}; allowed: {wrong[1]}", index)
        self._store(name, index, value)

    def _write_string(self, name: str, index: tuple[int, ...], value: Any) -> None:
        self._at_byte(name)
        if not isinstance(value, str):
            self.refuse(name, f"{type(value).__name__} is not a str", index)
        if "\0" in value:
            self.refuse(name, "a string must not contain a zero byte", index)
        try:
            raw = value.encode("utf-8", "strict" if self.strict else "surrogateescape")
        except UnicodeEncodeError as error:
            self.refuse(name, f"{value!r} cannot be written as UTF-8 ({error.reason})", index)
        self.out.write_bytes(raw + b"\0")

    def _at_byte(self, name: str) -> None:
        if self.out.pos & 7:
            self.refuse(name, "does not begin at a byte boundary")

    def _store(self, name: str, index: tuple[int, ...], value: Any) -> None:
        if not index:
            self.values.__dict__[name] = value
            return
        row = self.values.__dict__.setdefault(name, [])
        for i in index[:-1]:
            row = row[i]
        row.append(value)

    def byte_alignment(self) -> None:
        self._count_element()
        nbits = 8 - (self.out.pos & 7)
        value = 1 << (nbits - 1)
        # Wrong alignment bits are kept by trees only: one entry per alignment of the table, None where right.
        pinned = None if self.strict else self.given.get("byte_alignment")
        if pinned is not None:
            self._seen.add("byte_alignment")
            at = self._alignments
            if at < len(pinned) and pinned[at] is not None:
                value = self._integer("byte_alignment", (at,), pinned[at], 0, (1 << nbits) - 1)
        self._alignments += 1
        self.out.write(nbits, value)

    @property
    def aligned(self) -> bool:
        return not self.out.pos & 7

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        given, values, seen, alignments = self.given, self.values, self._seen, self._alignments
        seen.add(name)
        inner = given.get(name)
        if inner is None:
            inner = {}
        if not isinstance(inner, Mapping):
            self.refuse(name, f"a mapping of element values is needed, not {type(inner).__name__}")
        self.given, self.values, self._seen, self._alignments = inner, Values(), set(), 0
        values.__dict__[name] = self.values
        self._path.append(name)
        function(self, self.values, ctx, *arguments)
        self.finish()
        self._path.pop()
        written = self.values
        self.given, self.values, self._seen, self._alignments = given, values, seen, alignments
        return written

    def finish(self) -> None:
        """Refuse values of the present table that its syntax did not take."""
        for name in self.given:
            if name not in self._seen:
                self.refuse(name, "left over: the syntax has no place for this value under these conditions")

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        function(self, self.values, ctx, *arguments)

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        sizes = []
        for name in names:
            self._seen.add(name)
            self._store(name, at, [])
            held: Any = self.given.get(name)
            for i in at:
                held = held[i] if isinstance(held, Sequence) and i < len(held) else None
            if held is not None:
                if isinstance(held, (str, bytes)) or not hasattr(held, "__len__"):
                    self.refuse(name, f"a list is needed, not {type(held).__name__}", at)
                sizes.append(len(held))
                if self.strict and len(held) != count:
                    self.refuse(name, f"{count} values are announced, {len(held)} are given", at)
        if not self.strict and sizes:
            return range(sizes[0])
        return range(count)

    def infer(self, name: str, value: Any) -> None:
        self._seen.add(name)
        given = self.given.get(name)
        if given is not None and given != value:
            self.refuse(name, f"is {given!r}, but it is not transmitted here and inferred to be {value!r}")
        self.values.__dict__[name] = value

    def supply(self, name: str, value: Any, default: Any = None) -> None:
        self._seen.add(name)
        given = self.given.get(name)
        if isinstance(given, tuple):
            given = list(given)
        if given is None:
            given = default if value is None else value
        elif value is not None and given != value:
            self.refuse(name, f"is {given!r}, but out of band it is {value!r}")
        if given is not None:
            self.values.__dict__[name] = given

    def let(self, name: str, value: Any) -> None:
        self._seen.add(name)
        self.values.__dict__[name] = value

    def require(self, condition: bool, found: str, allowed: str, clause: str | None = None) -> None:
        if self.strict and not condition:
            place = ".".join(self._path)
            raise SyntaxValueError(f"{place}{': ' if place else ''}{found}; allowed: {allowed}")

    def unknown(self, name: str, remedy: str) -> NoReturn:
        if self.coded == self.stop_after:
            raise StopWriting
        self.refuse(name, f"is not in the stream; {remedy}")

    def limit(self, limit: str, value: int, what: str) -> None:
        pass

    def tobytes(self) -> bytes:
        """The bytes written."""
        return self.out.tobytes()
