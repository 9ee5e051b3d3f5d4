"""Payloads that NNCodec wrote: decoded by both backends, and encoded again to the same bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

import nnr
from nnr import core
from nnr.conformance.suite import Suite, Vector
from nnr.core import ParamOpt, Tensor, Unit
from nnr.decoder import payload as payload_module

SUITE = Suite()
#: NNCodec clips integers after its trellis, so its search saw other ones (encoding 5.7).
CLIPPED = "bitdepth"


@dataclass
class Given:
    """One payload of a stream with the rows it was decoded by; `keep` are the buffers they point to."""

    data: bytes
    units: np.ndarray
    tensors: np.ndarray
    keep: list[np.ndarray]

    def encoded(self, param_opt: ParamOpt) -> bytes:
        units, tensors = self.units.copy(), self.tensors.copy()
        units[0, Unit.PARAM_OPT] = param_opt
        [data] = core.encode_units(units, tensors)
        return data


def taken_apart(data: bytes, units: np.ndarray, tensors: np.ndarray) -> Given:
    """Decode again into levels of our own, whatever the caller wanted."""
    keep = []
    for tensor in tensors:
        count = int(tensor[Tensor.ROWS] * tensor[Tensor.COLS])
        keep.append(np.empty(count, np.int32))
        tensor[Tensor.LEVELS] = core.address(keep[-1])
        for column, dtype in ((Tensor.BASE, np.int32), (Tensor.HISTORY, np.uint8)):
            if tensor[column]:
                place = core.ffi.cast("char *", int(tensor[column]))
                size = count * np.dtype(dtype).itemsize
                keep.append(np.frombuffer(bytes(core.ffi.buffer(place, size)), dtype))
                tensor[column] = core.address(keep[-1])
    tensors[:, [Tensor.DEQUANTIZE, Tensor.SKIP_LIST, Tensor.ENTRY_LIST]] = 0
    keep.append(np.frombuffer(data, np.uint8))
    units[0, [Unit.PAYLOAD, Unit.FIRST_TENSOR]] = core.address(keep[-1]), 0
    DECODE(units, tensors)
    assert units[0, Unit.STATUS] == 0
    return Given(data, units, tensors, keep)


DECODE = core.decode_units


def payloads_of(vector: Vector, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
    """The coded payloads of a stream, caught at the door of the core."""
    found: list[Given] = []

    def listen(units: np.ndarray, tensors: np.ndarray) -> None:
        DECODE(units, tensors)
        for row in units[units[:, Unit.STATUS] == 0]:
            place = core.ffi.cast("char *", int(row[Unit.PAYLOAD]))
            data = bytes(core.ffi.buffer(place, int(row[Unit.PAYLOAD_SIZE])))
            first, count = int(row[Unit.FIRST_TENSOR]), int(row[Unit.TENSOR_COUNT])
            found.append(taken_apart(data, row[None].copy(), tensors[first : first + count].copy()))

    decoder = nnr.Decoder()
    for predecessor in vector.predecessors():
        decoder.decode(predecessor.data, out_of_band=predecessor.out_of_band)
    monkeypatch.setattr(payload_module.core, "decode_units", listen)
    decoder.decode(vector.data, out_of_band=vector.out_of_band, form="coded")
    monkeypatch.undo()
    yield from found


def vectors(tier: str) -> list[Vector]:
    return [vector for vector in SUITE if vector.tier == tier and vector.error is None]


def test_nncodecs_payloads_are_ours_byte_for_byte(monkeypatch: pytest.MonkeyPatch):
    """With its parameter search imitated, or none, for every tool it has (encoding 3, D13)."""
    results: Counter[str] = Counter()
    for vector in vectors("main"):
        for given in payloads_of(vector, monkeypatch):
            dq_flag = given.units[0, Unit.DQ_FLAG]
            options = {option: given.encoded(option) for option in (ParamOpt.REFERENCE, ParamOpt.OFF)}
            if given.data == options[ParamOpt.REFERENCE]:
                results["search"] += 1
            elif given.data == options[ParamOpt.OFF]:
                results["no search"] += 1
            else:
                assert vector.name.startswith(CLIPPED), vector.name
                assert dq_flag
                results["clipped"] += 1
    assert results["clipped"] < 20
    assert results["search"] > 2500
    assert results["no search"] > 10


@pytest.mark.parametrize("tier", ["main", "edition1"])
def test_our_search_is_not_larger(tier: str, monkeypatch: pytest.MonkeyPatch):
    """Bytes of all payloads of a tier; single ones may be a little larger, an estimate being what it is."""
    theirs = ours = quickly = 0
    for vector in vectors(tier):
        for given in payloads_of(vector, monkeypatch):
            data = given.encoded(ParamOpt.EXACT)
            theirs += len(given.data)
            ours += len(data)
            quickly += len(given.encoded(ParamOpt.FAST))
            assert len(data) <= len(given.data) + 2 + len(given.data) // 50, vector.name
    assert ours < theirs
    assert quickly < theirs
