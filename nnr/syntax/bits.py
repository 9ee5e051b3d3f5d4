"""Bits in and out of bytes, most significant bit first (syntax 1).

`BitReader` and `BitWriter` count their own position and work on plain integers, because headers are read
thousands at a time; whole strings of bits (masks, what a header leaves unparsed) go through bitstring. This
is the only module that imports it, and only when such a string is met.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConformanceError, SyntaxValueError, TruncatedError

__all__ = ["MAX_CODE", "BitReader", "BitWriter", "Buffer", "FileBytes", "byte_view"]

Buffer = bytes | bytearray | memoryview
"""What bytes are given as; anything else with the buffer protocol, such as an mmap, does as well."""

MAX_CODE = (1 << 32) - 1
"""Largest value of an Exp-Golomb code that is read or written. Not in spec: every element fits 32 bits."""

_WINDOW = 64
"""Bytes turned into one integer at a time; most headers need one window."""
_BLOCK = 1 << 13
"""Bytes of a file that are read at a time where fewer are asked for."""


class FileBytes:
    """Bytes of a file, which are read when a slice is taken: a memoryview of what was read.

    They stand in the place of a memoryview where headers are read. (A file that is mapped into memory ends
    the process that looks behind its end, once someone has cut it.)

    Args:
        read: gives bytes of the file by their offset and number, or raises an error.
        offset, size: the part of the file that these are.
    """

    __slots__ = ("_block", "_offset", "_read", "_size")

    def __init__(self, read: Callable[[int, int], memoryview], offset: int, size: int) -> None:
        self._read = read
        self._offset = offset
        self._size = size
        self._block = 0, memoryview(b"")

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> memoryview:
        first, end, _ = where.indices(self._size)
        if end <= first:
            return memoryview(b"")
        if end - first > _BLOCK >> 1:
            return self._read(self._offset + first, end - first)
        at, block = self._block
        if not at <= first <= end <= at + len(block):
            at, block = first, self._read(self._offset + first, min(_BLOCK, self._size - first))
            self._block = at, block
        return block[first - at : end - at]

    def part(self, first: int, end: int) -> FileBytes:
        """The bytes from `first` to before `end`, not read yet."""
        return FileBytes(self._read, self._offset + first, end - first)


def byte_view(data: Buffer | FileBytes) -> Any:
    """`data` as a flat memoryview of unsigned bytes; raises TypeError for what is not a bytes-like object."""
    if isinstance(data, FileBytes):
        return data  # of a memoryview it has what readers use
    view = data if isinstance(data, memoryview) else memoryview(data)
    if view.format != "B" or view.ndim != 1:
        view = view.cast("B")
    return view


class BitReader:
    """Reads bits of ``data[start:end]``; positions are bits counted from the start of `data`.

    Only a window of some bytes around the position is ever touched, so `data` may be `FileBytes`.

    Attributes:
        data: the bytes as a memoryview.
        pos: the next bit.
        end: the bit after the last.
    """

    __slots__ = ("_word", "_word_end", "data", "end", "pos")

    _word: int
    _word_end: int

    def __init__(self, data: Buffer, start: int = 0, end: int | None = None) -> None:
        self.data = byte_view(data)
        self.seek(start, len(self.data) if end is None else end)

    def seek(self, start: int, end: int) -> None:
        """Go to byte `start`, with byte `end` as the bound."""
        self.pos = 8 * start
        self.end = 8 * end
        self._leave_window()

    def bound(self, end: int) -> None:
        """Let the data end at byte `end` already."""
        self.end = 8 * end
        if self._word_end > self.end:
            self._word >>= self._word_end - self.end
            self._word_end = self.end

    def _leave_window(self) -> None:
        """Make the window empty; it must never end before the position."""
        self._word = 0
        self._word_end = self.pos

    def _fill(self, nbits: int) -> None:
        """Move the window so that `nbits` bits from the position on are in it, or raise TruncatedError."""
        pos = self.pos
        if pos + nbits > self.end:
            raise TruncatedError(
                f"{nbits} bits are needed, {self.end - pos} are left in the unit", bit_offset=pos
            )
        first = pos >> 3
        last = min(max(first + _WINDOW, (pos + nbits + 7) >> 3), self.end >> 3)
        self._word = int.from_bytes(self.data[first:last], "big")
        self._word_end = 8 * last

    def read(self, nbits: int) -> int:
        """The next `nbits` bits as an unsigned integer."""
        end = self.pos + nbits
        if end > self._word_end:
            self._fill(nbits)
        self.pos = end
        return (self._word >> (self._word_end - end)) & ((1 << nbits) - 1)

    def read_exp_golomb(self, k: int) -> int:
        """The next order-`k` Exp-Golomb code; ConformanceError where it exceeds 32 bits."""
        pos = self.pos
        if pos >= self._word_end:
            self._fill(1)
        # The leading one is looked for in the window first: codes of headers are short.
        left = self._word_end - pos
        zeros = left - (self._word & ((1 << left) - 1)).bit_length()
        if zeros >= left:
            have = min(34, self.end - pos)
            self._fill(have)
            left = self._word_end - pos
            zeros = left - (self._word & ((1 << left) - 1)).bit_length()
            if zeros >= left and left <= 33:
                raise TruncatedError("an Exp-Golomb code is cut by the end of the unit", bit_offset=pos)
        if zeros > 32:
            raise ConformanceError("an Exp-Golomb code exceeds 32 bits", bit_offset=pos)
        self.pos = pos + zeros
        try:
            value = self.read(zeros + 1 + k) - (1 << k)
        except TruncatedError:
            self.pos = pos
            raise TruncatedError("an Exp-Golomb code is cut by the end of the unit", bit_offset=pos) from None
        if value > MAX_CODE:
            self.pos = pos
            raise ConformanceError("an Exp-Golomb code exceeds 32 bits", bit_offset=pos)
        return value

    def read_until_zero(self, most: int) -> bytes:
        """Bytes up to a zero byte, which is consumed; the position must be byte aligned.

        At most `most` bytes are looked at; None of them zero is a TruncatedError where the unit ends there,
        and otherwise a result of `most + 1` bytes, for the caller to refuse.
        """
        start = self.pos >> 3
        end = min(self.end >> 3, start + most + 1)
        at = start
        while at < end:
            chunk = bytes(self.data[at : min(at + 256, end)])
            found = chunk.find(0)
            if found >= 0:
                self.pos = 8 * (at + found + 1)
                if self.pos > self._word_end:
                    self._leave_window()
                return bytes(self.data[start : at + found])
            at += len(chunk)
        if at - start > most:
            return bytes(self.data[start:at])
        raise TruncatedError("a string has no zero byte before the end of the unit", bit_offset=self.pos)

    def read_bits(self, nbits: int) -> str:
        """The next `nbits` bits as a string of 0 and 1."""
        if self.pos + nbits > self.end:
            raise TruncatedError(
                f"{nbits} bits are needed, {self.end - self.pos} are left in the unit", bit_offset=self.pos
            )
        if not nbits:
            return ""
        from bitstring import Bits

        first = self.pos >> 3
        skip = self.pos & 7
        self.pos += nbits
        self._leave_window()
        held = Bits(bytes(self.data[first : (self.pos + 7) >> 3]))
        return str(held[skip : skip + nbits].bin)


class BitWriter:
    """Collects bits; `tobytes` gives them when their number is a multiple of eight."""

    __slots__ = ("_bytes", "_count", "_word")

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._word = 0
        self._count = 0

    @property
    def pos(self) -> int:
        """Bits written so far."""
        return 8 * len(self._bytes) + self._count

    def write(self, nbits: int, value: int) -> None:
        """Append the `nbits` low bits of the non-negative `value`, which must fit."""
        self._word = (self._word << nbits) | value
        self._count += nbits
        if self._count >= 256:
            rest = self._count & 7
            self._bytes += (self._word >> rest).to_bytes(self._count >> 3, "big")
            self._word &= (1 << rest) - 1
            self._count = rest

    def write_exp_golomb(self, k: int, value: int) -> None:
        """Append `value` (0..2^32-1) as an order-`k` Exp-Golomb code."""
        shifted = value + (1 << k)
        size = shifted.bit_length()
        self.write(2 * size - 1 - k, shifted)

    def write_bytes(self, data: Buffer) -> None:
        """Append whole bytes; the position must be byte aligned."""
        if self._count & 7:
            raise SyntaxValueError(f"bytes can only stand at a byte boundary, not at bit {self.pos}")
        self._flush()
        self._bytes += data

    def write_bits(self, bits: str) -> None:
        """Append a string of 0 and 1."""
        if not bits:
            return
        from bitstring import Bits

        held = Bits(f"0b{bits}")
        first = min(-self.pos % 8, len(held))
        self.write(first, held[:first].uint if first else 0)
        whole = (len(held) - first) & ~7
        if whole:
            self.write_bytes(held[first : first + whole].tobytes())
        last = len(held) - first - whole
        self.write(last, held[-last:].uint if last else 0)

    def _flush(self) -> None:
        self._bytes += self._word.to_bytes(self._count >> 3, "big")
        self._word = 0
        self._count = 0

    def tobytes(self) -> bytes:
        """All bits written; raises SyntaxValueError when they do not fill the last byte."""
        if self._count & 7:
            raise SyntaxValueError(f"{self.pos} bits do not fill whole bytes")
        self._flush()
        return bytes(self._bytes)
