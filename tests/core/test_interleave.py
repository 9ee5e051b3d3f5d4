"""Payloads decoded two at a time give what each gives alone: levels, choices, bits, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from nnr.core import ParamOpt, Status, Tensor, Unit
from tests.core.samples import Coded, Payload, Sample, dependent_levels, new_entries
from tests.core.strategies import payloads


def decode_together(batch: list[Payload], data: list[bytes], dequantize: int) -> list[Coded]:
    """As `Payload.decode`, in one call."""
    buffers = [np.frombuffer(item, dtype=np.uint8) for item in data]
    levels = [[np.full(s.levels.shape, -77, dtype=np.int32) for s in payload.samples] for payload in batch]
    entries = [[new_entries(sample) for sample in payload.samples] for payload in batch]
    unit_rows, tensor_rows, places = [], [], []
    for payload, buffer, *given_ in zip(batch, buffers, levels, entries, strict=True):
        row = payload.unit_row(core.address(buffer), len(buffer))
        row[Unit.FIRST_TENSOR] = len(tensor_rows)
        unit_rows.append(row)
        places.append(slice(len(tensor_rows), len(tensor_rows) + len(payload.samples)))
        for sample, *arrays in zip(payload.samples, *given_, strict=True):
            tensor_rows.append(sample.row(*arrays, dequantize=dequantize))
    units, tensors = core.new_units(unit_rows), core.new_tensors(tensor_rows)
    core.decode_units(units, tensors)
    return [
        Coded(item, units[k : k + 1], tensors[place], levels[k], entries[k])
        for k, (item, place) in enumerate(zip(data, places, strict=True))
    ]


def check(batch: list[Payload], data: list[bytes], dequantize: int = 0) -> list[Status]:
    """Compare with decode.c alone."""
    together = decode_together(batch, data, dequantize)
    results = (Unit.STATUS, Unit.BITS_CONSUMED, Unit.FAILED_TENSOR)
    for payload, coded in zip(batch, together, strict=True):
        alone = payload.decode(coded.data, dequantize=dequantize, plainly=True)
        assert coded.units[0, results].tolist() == alone.units[0, results].tolist()
        known = slice(Tensor.QP, Tensor.BITS_SAMPLES + 1)
        opened = len(payload.samples)
        if alone.status != Status.OK:
            opened = int(alone.units[0, Unit.FAILED_TENSOR])
        np.testing.assert_array_equal(coded.tensors[:opened, known], alone.tensors[:opened, known])
        for one, other in zip(coded.levels, alone.levels, strict=True):
            np.testing.assert_array_equal(one, other)
        for one, other in zip(coded.entries, alone.entries, strict=True):
            np.testing.assert_array_equal(one, other)
    return [coded.status for coded in together]


def plain(rng: np.random.Generator, rows: int, cols: int, spread: float, dq_flag: int, **fields) -> Payload:
    indices = np.round(rng.laplace(size=(rows, cols)) * spread).astype(np.int64)
    levels = dependent_levels(indices, 0) if dq_flag else indices.astype(np.int32)
    return Payload([Sample(levels, **fields)], dq_flag=dq_flag)


@st.composite
def lane_payloads(draw: st.DrawFn) -> Payload:
    """Of the kinds that are decoded two at a time, several runs long or a few samples."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["plain", "codebook", "temporal", "history", "both"]))
    shapes = [(90, 101), (5000, 1), (64, 65)] if kind in ("temporal", "history", "both") else SHAPES
    shape = draw(st.sampled_from(shapes))
    dq_flag = draw(st.integers(0, 1))
    length = draw(st.sampled_from([1, 2, 11, 11, 11, 16, 17, 32, 33]))
    spread = draw(st.sampled_from([0.02, 0.3, 1.0, 5.0, 300.0]))
    scan_order = draw(st.sampled_from([0, 0, 1, 2, 4]))
    members = []
    for _ in range(draw(st.integers(1, 3))):
        indices = np.round(rng.laplace(size=shape) * spread).astype(np.int64)
        fields = {"cabac_unary_length": length, "scan_order": scan_order}
        if kind == "codebook":
            below, above = (draw(st.sampled_from([0, 1, 2, length, length + 1, 40])) for _ in range(2))
            indices = indices.clip(-below, above)
            fields |= {"codebook_size": below + above + 1, "codebook_zero_offset": below}
        levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
        if draw(st.booleans()) and not dq_flag:
            levels[:: draw(st.integers(1, 3))] = 0
            fields["row_skip_flag"] = 1
        if kind in ("temporal", "both"):
            fields["base"] = np.where(rng.random(shape) < 0.7, levels, rng.integers(-40, 41, shape)).astype(
                np.int32
            )
        if kind in ("history", "both"):
            fields |= {"history": rng.integers(0, 2, shape).astype(np.uint8), "hist_flag": 1}
        members.append(Sample(levels, **fields))
    flags = {"temporal_context_modeling_flag": int(kind in ("temporal", "both"))}
    flags["parent_node_id_present_flag"] = int(kind in ("temporal", "history", "both"))
    return Payload(
        members, dq_flag=dq_flag, profile=1 if kind != "plain" else draw(st.integers(0, 1)), **flags
    )


SHAPES = [(20, 20), (90, 101), (5000, 1), (1, 300), (3, 2), (100, 700)]
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=5, max_size=5)
BATCHES = st.lists(st.one_of(lane_payloads(), lane_payloads(), payloads()), min_size=1, max_size=5)


@given(BATCHES, st.sampled_from([ParamOpt.OFF, ParamOpt.FAST]), st.integers(0, 1))
def test_whole_payloads(batch: list[Payload], param_opt: ParamOpt, dequantize: int):
    coded = [payload.encode(param_opt) for payload in batch]
    assert set(check(batch, [item.data for item in coded], dequantize)) == {Status.OK}


@given(BATCHES, SEEDS)
def test_truncated_payloads(batch: list[Payload], seeds: list[int]):
    data = [payload.encode(ParamOpt.OFF).data for payload in batch]
    check(batch, [item[: seed % (len(item) + 1)] for item, seed in zip(data, seeds, strict=False)])


@pytest.mark.parametrize("cabac_unary_length", [1, 2, 3, 16])
@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize("scan_order", [0, 1])
def test_bases_of_every_size(cabac_unary_length: int, dq_flag: int, scan_order: int):
    """The size of a temporal base chooses the contexts of significance and of unary bins."""
    rng = np.random.default_rng(4)
    indices = rng.integers(-20, 21, (128, 64)) * rng.integers(0, 2, (128, 64))
    levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
    fields = {"cabac_unary_length": cabac_unary_length, "scan_order": scan_order}
    fields["history"] = rng.integers(0, 2, levels.shape).astype(np.uint8)
    batch = []
    for hist_flag in (0, 1):
        base = rng.integers(-20, 21, levels.shape).astype(np.int32)
        sample = Sample(levels, **fields, base=base, hist_flag=hist_flag)
        flags = {"parent_node_id_present_flag": 1, "temporal_context_modeling_flag": 1}
        batch.append(Payload([sample], dq_flag=dq_flag, **flags))
    assert set(check(batch, [payload.encode().data for payload in batch])) == {Status.OK}


@given(BATCHES, SEEDS, st.integers(1, 255), st.integers(0, 1))
def test_damaged_payloads(batch: list[Payload], seeds: list[int], change: int, dequantize: int):
    data = [bytearray(payload.encode(ParamOpt.OFF).data) for payload in batch]
    for item, seed in zip(data, seeds, strict=False):
        item[seed % len(item)] ^= change
    check(batch, [bytes(item) for item in data], dequantize)


@given(BATCHES, st.lists(st.binary(max_size=200), min_size=5, max_size=5))
def test_garbage(batch: list[Payload], data: list[bytes]):
    check(batch, data[: len(batch)])


def test_payloads_of_very_different_length():
    rng = np.random.default_rng(1)
    batch = [plain(rng, rows, 50, 1.0, rows & 1) for rows in (7, 900, 6, 8, 301, 5, 1000, 9)]
    assert set(check(batch, [payload.encode().data for payload in batch])) == {Status.OK}


@pytest.mark.parametrize("cabac_unary_length", [1, 11, 32])
def test_levels_at_the_ends_of_32_bits(cabac_unary_length: int):
    """And, where the payload is damaged, escape codes of levels that do not fit."""
    rng = np.random.default_rng(2)
    extremes = np.array([2**31 - 1, -(2**31), 0, 5, -(2**30)], dtype=np.int32)
    sample = Sample(np.tile(extremes, (2, 60)).T.copy(), cabac_unary_length=cabac_unary_length, has_qp=0)
    batch = [Payload([sample]), plain(rng, 40, 40, 1.0, 1, cabac_unary_length=cabac_unary_length)]
    data = [payload.encode().data for payload in batch]
    assert check(batch, data) == [Status.OK, Status.OK]
    found = set()
    for place in range(12, len(data[0]), 29):
        damaged = bytearray(data[0])
        damaged[place] ^= 0xFF
        found |= set(check(batch, [bytes(damaged), data[1]]))
    assert Status.LEVEL in found
