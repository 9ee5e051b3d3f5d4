"""Readings of a syntax table: the same function parses, writes and checks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.errors import BitstreamError, ConformanceError, LimitError, SyntaxValueError, TruncatedError
from nnr.limits import Limits
from nnr.syntax.constants import PayloadType
from nnr.syntax.listen import ListeningReader
from nnr.syntax.serdes import Reader, Syntax, Values, Writer, float_from_bits, float_to_bits
from tests.syntax.by_hand import from_bits


def example(s: Syntax, v: Values, ctx: Any) -> None:
    s.u(5, "kind", enum=PayloadType)
    s.u(3, "reserved", fixed=0)
    s.ue(1, "count", counts="rows", max=9)
    for i in s.loop(v.count, "rows", "cells"):
        s.i(4, "rows", i)
        for j in s.loop(v.rows[i], "cells", at=(i,)):
            s.ie(2, "cells", i, j)
    if v.kind:
        s.u(1, "flag")
    else:
        s.infer("flag", 1)
    s.require(v.flag == 1 or v.count == 0, f"flag is {v.flag}", "1 with rows", "example 2")
    s.byte_alignment()
    s.st("name")


example.clause = "example 1"  # type: ignore[attr-defined]
example.status = "V"  # type: ignore[attr-defined]

# kind 1, reserved 0, count ue(1) 2, rows 1 and 0, cell ie(2) code 3 = 2, flag, alignment, "ab".
BITS = from_bits("00001 000", "0100", "0001", "1 11", "0000", "1", "10000000", "01100001 01100010 00000000")
VALUES = {"kind": 1, "reserved": 0, "count": 2, "rows": [1, 0], "cells": [[2], []], "flag": 1, "name": "ab"}


def read(data: bytes, **options: Any) -> Values:
    reader = Reader(data, **options)
    return reader.table("t", example, None)


def write(values: Any, **options: Any) -> bytes:
    writer = Writer({"t": values}, **options)
    writer.table("t", example, None)
    return writer.tobytes()


def test_a_table_parses_and_writes_what_was_worked_out_by_hand() -> None:
    assert read(BITS) == VALUES
    assert write(VALUES) == BITS


def test_values_are_read_as_attributes_and_as_a_mapping() -> None:
    v = Values(a=1)
    assert v.a == v["a"] == v.get("a") == 1
    assert ("a" in v, "b" in v, v.get("b", 7)) == (True, False, 7)
    assert list(v) == ["a"]
    assert len(v) == 1
    assert dict(v) == {"a": 1}
    with pytest.raises(AttributeError, match="the syntax element b is not present"):
        _ = v.b
    with pytest.raises(KeyError):
        _ = v["b"]


def test_writing_derives_counts_and_reserved_bits() -> None:
    short = {name: value for name, value in VALUES.items() if name not in ("count", "reserved")}
    assert write(short) == BITS


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": None}, "t.name: the value is missing"),
        ({"kind": 9}, r"t.kind: kind is 9, which is reserved; allowed: 0 NNR_PT_INT"),
        ({"kind": 32}, r"t.kind: 32 does not fit \(allowed: 0..31\)"),
        ({"reserved": 1}, "t.reserved: reserved is 1; allowed: only 0"),
        ({"count": 3}, "t.rows: 3 values are announced, 2 are given"),
        ({"rows": [8, 0]}, r"t.rows\[0\]: 8 does not fit"),
        ({"cells": [[2], [1]]}, r"t.cells\[1\]: 0 values are announced, 1 are given"),
        ({"rows": 5, "count": 2}, "t.rows: a list is needed, not int"),
        ({"flag": 0}, "t: flag is 0; allowed: 1 with rows"),
        ({"kind": 0, "flag": 0}, "t.flag: is 0, but it is not transmitted here and inferred to be 1"),
        ({"extra": 1}, "t.extra: left over"),
        ({"name": "a\0b"}, "zero byte"),
        ({"name": "\ud800"}, "UTF-8"),
        ({"name": b"ab"}, "bytes is not a str"),
        ({"kind": "1"}, "'1' is not an integer"),
        ({"kind": 1.5}, "1.5 is not an integer"),
    ],
)
def test_unfit_values_are_refused_with_their_path(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SyntaxValueError, match=message):
        write({**VALUES, **change})


def test_lenient_writing_refuses_only_what_no_bits_can_express() -> None:
    assert write({**VALUES, "kind": 9, "reserved": 5}, strict=False)[0] == 9 << 3 | 5
    lying = write({**VALUES, "count": 7}, strict=False)
    with pytest.raises(BitstreamError):
        read(lying)
    with pytest.raises(SyntaxValueError):
        write({**VALUES, "kind": 32}, strict=False)


@pytest.mark.parametrize(
    ("data", "error", "path", "bit", "clause"),
    [
        (from_bits("00111 000") + BITS[1:], ConformanceError, "t.kind", 0, "example 1"),
        (from_bits("00001 010") + BITS[1:], ConformanceError, "t.reserved", 5, "example 1"),
        (from_bits("00001 000", "001100", "00"), ConformanceError, "t.count", 8, "example 1"),
        (BITS[:3], TruncatedError, "t.byte_alignment", 24, "example 1"),
        (BITS[:5], TruncatedError, "t.name", 32, "example 1"),
        (b"\x08", TruncatedError, "t.count", 8, "example 1"),
        (from_bits("00001 000 11 0111", "00"), TruncatedError, "t.cells[0]", 14, "example 1"),
    ],
)
def test_errors_of_reading_have_path_place_and_clause(
    data: bytes, error: type[BitstreamError], path: str, bit: int, clause: str
) -> None:
    with pytest.raises(error) as caught:
        read(data)
    found = caught.value
    assert (found.path, found.bit_offset, found.byte_offset, found.clause) == (path, bit, bit // 8, clause)


def test_a_constraint_names_its_own_clause() -> None:
    data = from_bits("00001 000", "11", "0000", "0", "1", "01100001 00000000")
    with pytest.raises(ConformanceError, match="flag is 0; allowed: 1 with rows") as caught:
        read(data)
    assert caught.value.clause == "example 2"


def test_violations_are_collected_with_their_places_and_reading_goes_on() -> None:
    data = from_bits("01001 110", "11", "0000", "0", "0", "01100001 00000000")
    problems: list[BitstreamError] = []
    reader = ListeningReader(data, problems=problems)
    v = reader.table("t", example, None)
    assert v.name == "a"
    assert [(p.path, p.bit_offset, p.clause) for p in problems] == [
        ("t.kind", 0, "example 1"),
        ("t.reserved", 5, "example 1"),
        ("t", 15, "example 2"),
        ("t.byte_alignment", 15, "syntax 1"),
    ]
    assert problems[3].found == "the alignment bits are 0"  # type: ignore[attr-defined]
    assert problems[3].allowed == "only 1"  # type: ignore[attr-defined]


def test_a_name_longer_than_the_limit_is_a_limit_error_with_its_place() -> None:
    data = BITS[:-3] + b"x" * 50 + b"\0"
    assert read(data).name == "x" * 50
    with pytest.raises(LimitError, match="max_name_bytes") as caught:
        read(data, limits=Limits(max_name_bytes=49))
    assert (caught.value.path, caught.value.byte_offset) == ("t.name", len(BITS) - 3)


def test_text_that_is_not_utf8_is_refused_or_kept_apart() -> None:
    data = BITS[:-3] + b"\xff\xfe\0"
    with pytest.raises(ConformanceError, match="not UTF-8"):
        read(data)
    problems: list[BitstreamError] = []
    v = ListeningReader(data, problems=problems).table("t", example, None)
    assert len(problems) == 1
    assert write(v, strict=False) == data


@given(st.integers(0, (1 << 32) - 1))
def test_every_bit_pattern_of_a_float_survives(pattern: int) -> None:
    assert float_to_bits(float_from_bits(pattern)) == pattern


def test_floats_come_least_significant_byte_first() -> None:
    def table(s: Syntax, v: Values, ctx: Any) -> None:
        s.u(4, "lead")
        s.flt(32, "x")
        s.u(4, "tail")

    table.clause, table.status = "example", "V"  # type: ignore[attr-defined]
    # 1.5 is 0x3fc00000: bytes 00 00 c0 3f
    data = bytes.fromhex("a0 00 0c 03 fb")
    assert Reader(data).table("t", table, None) == {"lead": 10, "x": 1.5, "tail": 11}
    for bad in ("x", "nan:", "nan:7f800000", None, [1]):
        with pytest.raises(SyntaxValueError):
            Writer({"t": {"lead": 1, "x": bad, "tail": 1}}).table("t", table, None)
    for text in (1e40, "nan:1ffffffff"):
        with pytest.raises(SyntaxValueError, match="not a binary32 number"):
            Writer({"t": {"lead": 1, "x": text, "tail": 1}}).table("t", table, None)
