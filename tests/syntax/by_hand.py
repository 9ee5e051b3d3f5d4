"""Streams written bit by bit, as one would on paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nnr.syntax.serdes import Values


def from_bits(*groups: str) -> bytes:
    """Bytes from groups of 0 and 1; they must fill whole bytes."""
    bits = "".join(groups).replace(" ", "")
    assert len(bits) % 8 == 0, f"{len(bits)} bits"
    return int(bits or "0", 2).to_bytes(len(bits) // 8, "big")


def padded(*groups: str) -> bytes:
    """The groups and byte_alignment()."""
    bits = "".join(groups).replace(" ", "")
    return from_bits(bits, "1", "0" * (-(len(bits) + 1) % 8))


def unit(unit_type: int, body: bytes, *, independent: int = 1) -> bytes:
    """A unit with the short size field and no partial data counter."""
    size = 3 + len(body)
    return bytes([size >> 8, size & 255, unit_type << 2 | independent << 1]) + body


START_0 = bytes.fromhex("00 04 02 00")
START_1 = bytes.fromhex("00 04 02 01")

# Profile 1: NNR_QSU, QpDensity 2, base QP 0, no parent signalling; then with it.
MPS_1 = unit(1, bytes.fromhex("81 00 40 00 80"))
MPS_1_PARENT = unit(1, bytes.fromhex("81 08 40 00 80"))
MPS_1_INDEXED = unit(1, bytes.fromhex("81 80 40 00 80"))
MPS_0 = unit(1, bytes.fromhex("81 00 40 00 80"))


def plain(value: Any) -> Any:
    """Values as dicts, lists and numbers that compare: NaN by its name, memoryviews as bytes."""
    if isinstance(value, (Values, Mapping)):
        return {name: plain(held) for name, held in value.items()}
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(held) for held in value]
    if isinstance(value, float) and value != value:
        return "nan"
    return value
