"""Bits in and out: the codewords that syntax 1 spells out, and the ends of the data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.errors import ConformanceError, SyntaxValueError, TruncatedError
from nnr.syntax.bits import MAX_CODE, BitReader, BitWriter, byte_view
from tests.syntax.by_hand import from_bits

# Order, value and bits of the examples in syntax 1.
CODEWORDS = [
    (0, 0, "1"),
    (0, 1, "010"),
    (0, 2, "011"),
    (0, 3, "00100"),
    (1, 0, "10"),
    (1, 1, "11"),
    (1, 2, "0100"),
    (7, 3, "1 0000011"),
    (5, 0, "1 00000"),
]


@pytest.mark.parametrize(("k", "value", "bits"), CODEWORDS)
def test_exp_golomb_codewords_of_the_specification(k: int, value: int, bits: str) -> None:
    bits = bits.replace(" ", "")
    padded = bits + "1" * (-len(bits) % 8)
    reader = BitReader(from_bits(padded))
    assert reader.read_exp_golomb(k) == value
    assert reader.pos == len(bits)
    writer = BitWriter()
    writer.write_exp_golomb(k, value)
    writer.write(-len(bits) % 8, (1 << (-len(bits) % 8)) - 1)
    assert writer.tobytes() == from_bits(padded)


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, MAX_CODE)), max_size=40), st.integers(0, 7))
def test_exp_golomb_codes_survive(codes: list[tuple[int, int]], shift: int) -> None:
    writer = BitWriter()
    writer.write(shift, 0)
    for k, value in codes:
        writer.write_exp_golomb(k, value)
    writer.write(-writer.pos % 8, 0)
    reader = BitReader(writer.tobytes())
    reader.read(shift)
    assert [reader.read_exp_golomb(k) for k, _ in codes] == [value for _, value in codes]


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 70), max_size=60))
def test_fixed_widths_are_read_as_from_one_long_integer(data: bytes, widths: list[int]) -> None:
    whole, total = int.from_bytes(data, "big"), 8 * len(data)
    reader = BitReader(data)
    for width in widths:
        at = reader.pos
        if at + width > total:
            with pytest.raises(TruncatedError) as caught:
                reader.read(width)
            assert caught.value.bit_offset == at
            break
        assert reader.read(width) == whole >> (total - at - width) & ((1 << width) - 1)


def test_a_code_beyond_32_bits_is_refused_where_it_starts() -> None:
    reader = BitReader(b"\xff" + b"\0" * 20 + b"\xff")
    reader.read(8)
    with pytest.raises(ConformanceError, match="exceeds 32 bits") as caught:
        reader.read_exp_golomb(0)
    assert caught.value.bit_offset == 8
    # 2**32 itself: 32 zeros, a one, then 32 bits of which the last is set (2**32 + 1 - 1).
    writer = BitWriter()
    writer.write(65, (1 << 32) + 1)
    writer.write(7, 0)
    with pytest.raises(ConformanceError, match="exceeds 32 bits"):
        BitReader(writer.tobytes()).read_exp_golomb(0)


def test_a_code_cut_by_the_end_is_truncated_not_wrong() -> None:
    for data in (b"\0", b"\0\0\0", b"\x01"):
        with pytest.raises(TruncatedError):
            BitReader(data).read_exp_golomb(3)


def test_strings_end_at_a_zero_byte_within_the_bound() -> None:
    reader = BitReader(b"ab\0cd", 0, 5)
    assert reader.read_until_zero(10) == b"ab"
    assert reader.pos == 24
    with pytest.raises(TruncatedError, match="no zero byte"):
        reader.read_until_zero(10)
    assert BitReader(b"x" * 100 + b"\0").read_until_zero(10) == b"x" * 11
    assert BitReader(b"x" * 300 + b"\0y").read_until_zero(1000) == b"x" * 300


@given(st.text("01", max_size=100), st.integers(0, 7))
def test_strings_of_bits_survive(bits: str, shift: int) -> None:
    writer = BitWriter()
    writer.write(shift, 0)
    writer.write_bits(bits)
    writer.write(-writer.pos % 8, 0)
    reader = BitReader(writer.tobytes())
    reader.read(shift)
    assert reader.read_bits(len(bits)) == bits
    assert reader.read(-reader.pos % 8) == 0


def test_reading_goes_on_after_a_string_that_left_the_window() -> None:
    data = b"\x80" + b"n" * 200 + b"\0" + b"\xa5\x5a"
    reader = BitReader(data)
    assert reader.read(8) == 0x80
    assert len(reader.read_until_zero(1000)) == 200
    assert reader.read_exp_golomb(0) == 0
    assert reader.read(15) == 0x255A


def test_a_bound_set_while_reading_holds_for_what_is_in_the_window_already() -> None:
    reader = BitReader(b"\x12\x34\x56\x78")
    assert reader.read(8) == 0x12
    reader.bound(2)
    with pytest.raises(TruncatedError, match="16 bits are needed, 8 are left"):
        reader.read(16)
    with pytest.raises(TruncatedError):
        BitReader.read_exp_golomb(reader, 15)
    assert reader.read(8) == 0x34


def test_the_writer_refuses_what_does_not_fill_bytes() -> None:
    writer = BitWriter()
    writer.write(3, 5)
    with pytest.raises(SyntaxValueError):
        writer.tobytes()
    with pytest.raises(SyntaxValueError):
        writer.write_bytes(b"x")


def test_any_layout_of_memory_is_viewed_as_bytes() -> None:
    assert bytes(byte_view(memoryview(b"abcd").cast("I"))) == b"abcd"
    with pytest.raises(TypeError):
        byte_view("text")  # type: ignore[arg-type]
