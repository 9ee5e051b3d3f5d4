"""What it means that two decoders agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

import nnr
from benchmarks.peer import Peer
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.info import tools_of
from nnr.syntax.stream import read_units

__all__ = [
    "assert_peer_reads",
    "assert_peer_reads_specials",
    "assert_same_bits",
    "headers",
    "tools",
]


def assert_same_bits(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
    """Same names; floats equal in every bit of float32 except the sign of zero; integers equal."""
    assert set(found) == set(expected)
    for name, theirs in expected.items():
        ours = np.asarray(found[name])
        assert ours.shape == theirs.shape, name
        assert (ours.dtype.kind == "f") == (theirs.dtype.kind == "f"), name
        if theirs.dtype.kind == "f":
            a, b = np.asarray(theirs, np.float32), np.asarray(ours, np.float32)
            same = (a.view(np.uint32) == b.view(np.uint32)) | ((a == 0) & (b == 0))
            assert same.all(), f"{name}: {np.count_nonzero(~same)} of {same.size} values differ"
        else:
            assert np.array_equal(theirs.astype(np.int64), ours.astype(np.int64)), name


def assert_peer_reads(peer: Peer, data: bytes) -> dict[str, np.ndarray]:
    """The peer decodes `data` to exactly our tensors, which are returned in coded form."""
    coded = nnr.decode(data, form="coded")
    theirs = peer.decode(data).tensors
    assert theirs is not None
    assert_same_bits(theirs, coded)
    return coded


def assert_peer_reads_specials(peer: Peer, data: bytes) -> dict[str, np.ndarray]:
    """As `assert_peer_reads`, where NaN equals itself."""
    coded = nnr.decode(data, form="coded")
    theirs = peer.decode(data).tensors
    assert theirs is not None
    assert set(theirs) == set(coded)
    for name, array in theirs.items():
        assert array.tobytes() == coded[name].tobytes() or np.array_equal(array, coded[name]), name
    return coded


def headers(data: bytes) -> list[Any]:
    """The headers of the data units of a stream."""
    return [unit.header.unit_header for unit in read_units(data) if unit.unit_type == NnrUnitType.NNR_NDU]


def tools(data: bytes) -> Counter[str]:
    """How many data units of a stream use each coding tool."""
    units = [unit for unit in read_units(data) if unit.unit_type == NnrUnitType.NNR_NDU]
    return Counter(tool for unit in units for tool in tools_of(unit))
