"""The whole error family.

Everything that a file can cause is a `BitstreamError`; everything that an argument can cause is a
`ValueError` or `TypeError`; a `CoreError` is a defect of this library. A `BitstreamError` knows the
place (unit, byte, bit, path of the syntax element) and the section of the specification it rests on,
so tests match on fields and people read the message.
"""

from __future__ import annotations

__all__ = [
    "BitstreamError",
    "ConformanceError",
    "CoreError",
    "FormatError",
    "LimitError",
    "MissingExtraError",
    "NnrError",
    "SyntaxValueError",
    "TruncatedError",
    "UnsupportedError",
    "abridged",
]


class NnrError(Exception):
    """Root of every error this library raises on purpose."""


class BitstreamError(NnrError):
    """A bitstream cannot be decoded.

    Attributes (each may be None when it is not known):
        reason: what was found and what is allowed, without the place.
        byte_offset: offset in the stream of the byte in which the trouble shows.
        bit_offset: offset in bits from the start of the stream.
        unit_index: number of the unit in the stream, counted from 0.
        unit: a short name of the unit, such as ``NNR_NDU "conv1.weight"``.
        path: names of the syntax structures and element, such as ``nnr_unit_header.nnr_unit_type``.
        clause: section of the specification, such as ``syntax 2.3``.
    """

    def __init__(
        self,
        reason: str,
        *,
        byte_offset: int | None = None,
        bit_offset: int | None = None,
        unit_index: int | None = None,
        unit: str | None = None,
        path: str | None = None,
        clause: str | None = None,
    ) -> None:
        self.reason = reason
        if byte_offset is None and bit_offset is not None:
            byte_offset = bit_offset // 8
        self.byte_offset = byte_offset
        self.bit_offset = bit_offset
        self.unit_index = unit_index
        self.unit = unit
        self.path = path
        self.clause = clause
        super().__init__(reason)

    def locate(
        self,
        *,
        byte_offset: int | None = None,
        unit_index: int | None = None,
        unit: str | None = None,
        path: str | None = None,
        clause: str | None = None,
    ) -> BitstreamError:
        """Fill in what the place of the error lacks; what is known already stays. Returns self."""
        self.byte_offset = byte_offset if self.byte_offset is None else self.byte_offset
        self.unit_index = unit_index if self.unit_index is None else self.unit_index
        self.unit = unit if self.unit is None else self.unit
        self.path = path if self.path is None else self.path
        self.clause = clause if self.clause is None else self.clause
        return self

    def __str__(self) -> str:
        place = []
        if self.unit_index is not None:
            place.append(f"unit {self.unit_index}" + (f" ({self.unit})" if self.unit else ""))
        elif self.unit:
            place.append(self.unit)
        if self.byte_offset is not None:
            place.append(f"byte {self.byte_offset}")
        if self.path:
            place.append(self.path)
        where = " ".join(place)
        text = f"{where}: {self.reason}" if where else self.reason
        return f"{text} [{self.clause}]" if self.clause else text

    def explain(self) -> str:
        """Several lines: place, finding, section of the specification, and how to see the spot."""
        lines = [str(self)]
        if self.bit_offset is not None:
            lines.append(f"bit offset {self.bit_offset}")
        if self.clause:
            of = "" if self.clause.endswith(".md") else " of the specification (docs/spec)"
            lines.append(f"the rule is in section {self.clause}{of}")
        lines.append("`nnr trace FILE` lists every syntax element up to the spot")
        return "\n".join(lines)


class TruncatedError(BitstreamError):
    """The stream ran out of bytes, or of tensors that it announced."""


class ConformanceError(BitstreamError):
    """A value or a structure that the standard forbids."""


class LimitError(BitstreamError):
    """Legal, but beyond the `Limits` in force; the message names the limit and how to raise it."""


class UnsupportedError(BitstreamError):
    """Legal, but not implemented here; the message names the section."""


class SyntaxValueError(NnrError, ValueError):
    """Values that cannot be written as syntax elements."""


class FormatError(NnrError, ValueError):
    """A model file (.npz, .safetensors, ...) is not what its name says, or cannot hold what it is given."""


class MissingExtraError(NnrError, ImportError):
    """A file needs a package that the core install does not bring; the message names the extra."""


class CoreError(NnrError):
    """The C core returned something that it never should: a defect of this library."""


def abridged(name: str) -> str:
    """`name`, or 80 characters of a long one: one name of a stream may come in thousands of messages."""
    return name if len(name) <= 80 else f"{name[:77]}..."
