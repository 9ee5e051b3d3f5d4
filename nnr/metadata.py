"""The metadata unit: what the standard has no code for, and a checksum of every unit.

A topology unit (NNR_TPL) with an unspecified storage format, which a conforming decoder skips. It says
which dtype and shape each tensor had, in which order the tensors stood, which of them were split over
several coded tensors or tied to another, how many units follow, and the CRC-32 of each. With it, a missing
tensor or a changed byte is noticed; the format itself has no checksum.

Layout (docs/metadata.md, version 1; later versions only append):

    "nnr1"  base85( body, CRC-32 of body )  0x00

    body    flags                  one byte; bit 0: an order follows; a reader refuses bits it does not know
            units_before           number, then one CRC-32 over all bytes of the units before this one
            units_after            number, then the CRC-32 of each
            tensors                number, then a record for each, in the order of their coded tensors;
                                   tied tensors last
            order                  the original position of each record, only when flag bit 0 is set

    record  dtype                  one byte, `nnr.dtypes`; bit 7: a shape follows
            kind                   one byte: 0 plain, 1 limbs, 2 bits, 3 tied, 4 pieces
            parts                  number of coded tensors used (only kinds 1, 2 and 4; a plain one uses one)
            shape                  number of dimensions, dimensions (only with bit 7 of dtype)
            original               position of the record it is tied to, then the UTF-8 name (kind 3 only)

Numbers are unsigned LEB128, checksums four bytes, little-endian.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from .errors import ConformanceError, TruncatedError, UnsupportedError

__all__ = [
    "CLAUSE",
    "HEAD_BYTES",
    "STORAGE_FORMAT",
    "Kind",
    "Metadata",
    "TensorRecord",
    "is_metadata",
    "looks_like_metadata",
    "parse",
    "serialize",
]

#: topology_storage_format of the unit, one of the values 128..255 that the standard leaves unspecified.
STORAGE_FORMAT = 0xAD
MAGIC = b"nnr1"
#: Bytes at the start of a unit in which `MAGIC` may stand.
HEAD_BYTES = 14
#: Dimensions of a tensor at most, as arrays have them.
MOST_DIMENSIONS = 64

_HAS_SHAPE = 0x80
_FLAG_ORDER = 1
CLAUSE = "docs/metadata.md"


class Kind(IntEnum):
    """How a tensor is carried."""

    PLAIN = 0  #: one coded tensor holds its values
    LIMBS = 1  #: integers split into limbs of 30 bits, least significant first, the last one signed
    BITS = 2  #: as LIMBS, of the bit patterns read as unsigned integers
    TIED = 3  #: the same data as another tensor
    PIECES = 4  #: flattened and cut into pieces, in order


_IN_PARTS = (Kind.LIMBS, Kind.BITS, Kind.PIECES)


@dataclass
class TensorRecord:
    """One original tensor: dtype code (`nnr.dtypes`), how it is carried, and by how many coded tensors."""

    dtype_code: int
    kind: Kind = Kind.PLAIN
    parts: int = 1
    shape: tuple[int, ...] | None = None  # None: the shape of the coded tensor
    original: int = 0
    name: str = ""


@dataclass
class Metadata:
    """The content of the unit.

    Attributes:
        crc_before: CRC-32 over the `units_before` units that precede it.
        unit_crcs: CRC-32 of every unit after it, in order.
        records: original tensors, in the order of their coded tensors.
        order: original position of each record; empty when that is the order of the records.
    """

    units_before: int
    crc_before: int
    unit_crcs: list[int]
    records: list[TensorRecord]
    order: list[int] = field(default_factory=list)

    def verify_before(self, before: bytes) -> None:
        """Compare the checksum of the units that precede the metadata unit.

        Raises:
            ConformanceError: it differs.
        """
        if zlib.crc32(before) != self.crc_before:
            raise ConformanceError(
                "the units before the metadata unit do not match their CRC-32: the file was changed",
                unit_index=0,
                clause=CLAUSE,
            )

    def verify_units(self, units: Sequence[bytes | memoryview], first_index: int) -> None:
        """Compare the checksums of the units after the metadata unit.

        Args:
            first_index: index in the stream of the first of `units`.

        Raises:
            ConformanceError: one differs.
        """
        for index, (unit, crc) in enumerate(zip(units, self.unit_crcs, strict=False), first_index):
            if zlib.crc32(unit) != crc:
                raise ConformanceError(
                    f"the CRC-32 is {zlib.crc32(unit):08x}, the metadata unit announces "
                    f"{crc:08x}: the unit was "
                    "changed, or a unit before it is missing",
                    unit_index=index,
                    clause=CLAUSE,
                )

    def verify_count(self, units: int, first_index: int) -> None:
        """Compare the number of units after the metadata unit.

        Raises:
            TruncatedError: units are missing.
            ConformanceError: there are more than announced.
        """
        announced = len(self.unit_crcs)
        if units != announced:
            kind = TruncatedError if units < announced else ConformanceError
            raise kind(
                f"{announced} units are announced behind the metadata unit, {units} are there",
                unit_index=first_index + min(units, announced),
                clause=CLAUSE,
            )


def is_metadata(formats: tuple[int, int], data: bytes | memoryview) -> bool:
    """True when a topology unit is one of ours, of whatever version.

    Args:
        formats: topology_storage_format and topology_compression_format.
    """
    return formats == (STORAGE_FORMAT, 0) and bytes(data[:3]) == MAGIC[:3]


def looks_like_metadata(unit: bytes | memoryview, trailing: bytes | memoryview = b"") -> bool:
    """True when a unit that is no metadata unit has the bytes of one, changed in its head or swallowed whole.

    Not even one changed byte may make the unit that holds the checksums pass for one to be skipped.

    Args:
        unit: at least its first `HEAD_BYTES` bytes.
        trailing: the part of the unit behind its known syntax.
    """
    head = bytes(unit[:HEAD_BYTES])
    wrong = (sum(a != b for a, b in zip(head[k : k + 4], MAGIC, strict=True)) for k in range(len(head) - 3))
    near = min(wrong, default=4)
    return near == 0 or (near == 1 and STORAGE_FORMAT in head) or MAGIC in bytes(trailing)


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def serialize(metadata: Metadata) -> bytes:
    """topology_data of the unit, its zero byte included."""
    body = bytearray([_FLAG_ORDER if metadata.order else 0])
    body += _number(metadata.units_before) + metadata.crc_before.to_bytes(4, "little")
    body += _number(len(metadata.unit_crcs))
    for crc in metadata.unit_crcs:
        body += crc.to_bytes(4, "little")
    body += _number(len(metadata.records))
    for record in metadata.records:
        body.append(record.dtype_code | (_HAS_SHAPE if record.shape is not None else 0))
        body.append(record.kind)
        if record.kind in _IN_PARTS:
            body += _number(record.parts)
        if record.shape is not None:
            body += _number(len(record.shape)) + b"".join(_number(n) for n in record.shape)
        if record.kind == Kind.TIED:
            name = record.name.encode("utf-8")
            body += _number(record.original) + _number(len(name)) + name
    for position in metadata.order:
        body += _number(position)
    body += zlib.crc32(body).to_bytes(4, "little")
    return MAGIC + base64.b85encode(bytes(body)) + b"\0"


class _Body:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.pos = 0

    def take(self, count: int) -> bytes:
        piece = self.data[self.pos : self.pos + count]
        if len(piece) != count:
            raise ConformanceError("the metadata unit ends too early", clause=CLAUSE)
        self.pos += count
        return piece

    def number(self) -> int:
        value = shift = 0
        while True:
            (byte,) = self.take(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
            if shift > 63:
                raise ConformanceError("a number in the metadata unit is too long", clause=CLAUSE)

    def count(self, item_bytes: int) -> int:
        """A number of items of at least `item_bytes` bytes that can still follow."""
        value = self.number()
        if value * item_bytes > len(self.data) - self.pos:
            raise ConformanceError("the metadata unit announces more than it holds", clause=CLAUSE)
        return value

    def crc(self) -> int:
        return int.from_bytes(self.take(4), "little")


def parse(data: bytes | memoryview) -> Metadata:
    """Read the topology_data of a metadata unit.

    Raises:
        UnsupportedError: written by a later version in a way that this one cannot read.
        ConformanceError: damaged.
    """
    data = bytes(data)
    if not data.startswith(MAGIC):
        raise UnsupportedError(
            f"the metadata unit has layout {data[:4]!r}, this version of nnr reads {MAGIC!r}", clause=CLAUSE
        )
    text, end = data[len(MAGIC) : -1], data[-1:]
    try:
        body = base64.b85decode(text)
    except ValueError:
        body = b""
    if end != b"\0" or base64.b85encode(body) != text:
        raise ConformanceError(
            "the metadata unit is not base85 text with a zero byte behind it", clause=CLAUSE
        )
    if len(body) < 4 or zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
        raise ConformanceError("the metadata unit does not match its own CRC-32", clause=CLAUSE)
    return _parse_body(_Body(body[:-4]))


def _parse_body(body: _Body) -> Metadata:
    (flags,) = body.take(1)
    if flags & ~_FLAG_ORDER:
        raise UnsupportedError(f"the metadata unit has unknown flags {flags:#04x}", clause=CLAUSE)
    units_before = body.number()
    crc_before = body.crc()
    unit_crcs = [body.crc() for _ in range(body.count(4))]
    records = [_parse_record(body) for _ in range(body.count(2))]
    for k, record in enumerate(records):
        if record.kind == Kind.TIED and not (
            record.original < k and records[record.original].kind != Kind.TIED
        ):
            raise ConformanceError(f"tied tensor {record.name!r} refers to no tensor", clause=CLAUSE)
    order = [body.number() for _ in records] if flags & _FLAG_ORDER else []
    if order and sorted(order) != list(range(len(records))):
        raise ConformanceError(
            "the order of tensors in the metadata unit is not a permutation", clause=CLAUSE
        )
    return Metadata(units_before, crc_before, unit_crcs, records, order)


def _parse_record(body: _Body) -> TensorRecord:
    code, how = body.take(2)
    try:
        kind = Kind(how)
    except ValueError:
        raise UnsupportedError(
            f"the metadata unit carries a tensor in unknown way {how}", clause=CLAUSE
        ) from None
    parts = body.number() if kind in _IN_PARTS else int(kind == Kind.PLAIN)
    record = TensorRecord(code & ~_HAS_SHAPE, kind, parts)
    if code & _HAS_SHAPE:
        dimensions = body.count(1)
        if dimensions > MOST_DIMENSIONS:
            raise ConformanceError(
                f"the metadata unit gives a tensor {dimensions} dimensions; allowed: up to {MOST_DIMENSIONS}",
                clause=CLAUSE,
            )
        record.shape = tuple(body.number() for _ in range(dimensions))
    if kind == Kind.TIED:
        record.original = body.number()
        try:
            record.name = body.take(body.count(1)).decode("utf-8")
        except UnicodeDecodeError:
            raise ConformanceError("the name of a tied tensor is not UTF-8", clause=CLAUSE) from None
    return record
