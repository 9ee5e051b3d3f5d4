"""Uniform quantization that minds the rate: what it costs, what it saves, and that it can be coded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from nnr.core import Tensor, Unit
from tests.core.samples import Payload, Sample

BIT_PRICE = math.log(2) / 6  # encoding 5.3, of lambda_scale 1


def bits_of(levels: np.ndarray, scan_order: int = 0, **given) -> int:
    """Bits of the samples as they are really coded; `given` are more fields of `Sample`."""
    payload = Payload(
        [Sample(levels, scan_order=scan_order, hist_flag=int("history" in given), **given)],
        parent_node_id_present_flag=int("base" in given or "history" in given),
        temporal_context_modeling_flag=int("base" in given),
    )
    coded = payload.encode()
    np.testing.assert_array_equal(payload.decode(coded.data).levels[0], levels)
    return int(coded.units[0, Unit.BITS_CONSUMED] - coded.tensors[0, Tensor.BITS_SAMPLES])


def error_of(weights: np.ndarray, levels: np.ndarray, importance: np.ndarray | float = 1.0) -> float:
    return float((importance * (weights.astype(np.float64) - levels) ** 2).sum())


def laplacian(seed: int, rows: int, cols: int, spread: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(seed).laplace(size=(rows, cols)) * spread).astype(np.float32)


@given(st.floats(-300, 300, width=32), st.floats(0.01, 8), st.sampled_from([1, 2, 256]), st.floats(0.1, 10))
def test_a_single_weight_gets_the_cheapest_of_its_candidates(
    weight: float, lambda_scale: float, cabac_unary_length: int, factor: float
):
    """All contexts are at even odds, so a bin costs a bit."""
    x = abs(weight)
    importance = float(np.float32(factor))

    def cost(level: int) -> float:
        bits = 1
        if level:
            bits += 1 + min(level, cabac_unary_length)
            if level > cabac_unary_length:
                bits += 2 * int(math.log2(level - cabac_unary_length)) + 1
        return importance * (x - level) ** 2 + lambda_scale * BIT_PRICE * bits

    candidates = {0, math.floor(x), math.floor(x) + 1}
    [[level]] = core.quantize_nearest_rate(
        np.array([[weight]], np.float32), 0, 2, 1, 1, lambda_scale=lambda_scale,
        importance=np.array([importance], np.float32), cabac_unary_length=cabac_unary_length,
    )  # fmt: skip
    assert abs(level) in candidates
    assert level == 0 or (level > 0) == (weight > 0)
    assert cost(abs(int(level))) <= min(map(cost, candidates)) * (1 + 1e-3) + 1e-3


def test_lambda_0_is_nearest():
    weights = laplacian(1, 40, 50, 3.0)
    for qp in (-9, 0, 3):
        step = (4 + (qp & 3)) * 2.0 ** ((qp >> 2) - 2)
        found = core.quantize_nearest_rate(weights, qp, 2, 40, 50, lambda_scale=0.0)
        np.testing.assert_array_equal(found, core.quantize_nearest(weights, step))


@pytest.mark.parametrize("scan_order", range(5))
@pytest.mark.parametrize(("rows", "cols"), [(1, 1000), (1000, 1), (19, 13), (70, 130), (150, 400)])
def test_the_sum_of_error_and_rate_is_smaller(scan_order: int, rows: int, cols: int):
    """In the sum over a few tensors: of one small tensor an estimate of the rate may be wrong."""
    for lambda_scale, most in ((0.3, 1.0), (1.0, 0.995), (2.0, 0.98)):
        costs = [0.0, 0.0]
        for seed in range(1 + 8000 // (rows * cols)):
            weights = laplacian(seed, rows, cols)
            for which, scale in enumerate((0.0, lambda_scale)):
                levels = core.quantize_nearest_rate(weights, 0, 2, rows, cols, scan_order, lambda_scale=scale)
                rate = bits_of(levels, scan_order)
                costs[which] += error_of(weights, levels) + lambda_scale * BIT_PRICE * rate
        assert costs[1] < costs[0] * most


def test_fewer_bits_than_nearest_at_the_same_error():
    """The step of nearest levels is made larger until they cost as few bits: then they are clearly worse."""
    weights = laplacian(3, 300, 200, 0.5)
    found = core.quantize_nearest_rate(weights, 0, 2, 300, 200, lambda_scale=1.0)
    bits, error = bits_of(found), error_of(weights, found)
    for step in np.arange(1.0, 2.0, 0.02):
        nearest = core.quantize_nearest(weights, step)
        if bits_of(nearest) <= bits:
            assert error < 0.95 * error_of(weights, nearest * step)
            return
    raise AssertionError("no step is large enough")


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0, 10.0])
def test_more_price_on_the_rate_gives_fewer_bits_and_more_error(spread: float):
    weights = laplacian(5, 64, 64, spread)
    results = []
    for scale in (0.0, 0.25, 0.5, 1.0, 2.0):
        levels = core.quantize_nearest_rate(weights, 0, 2, 64, 64, lambda_scale=scale)
        results.append((bits_of(levels), error_of(weights, levels)))
    assert results == sorted(results, key=lambda result: -result[0])
    assert results == sorted(results, key=lambda result: result[1])


def test_neighbours_are_looked_at():
    """A level costs less beside a level: the same weight is kept or not by its neighbour."""
    rng = np.random.default_rng(8)
    weights = np.zeros((400, 100), np.float32)
    weights[:, ::10] = rng.choice([-4.0, 4.0], (400, 10))
    weights[:, 1::10] = rng.choice([-4.0, 4.0], (400, 10))
    weights[:, 12] = weights[:, 56] = 0.87
    levels = core.quantize_nearest_rate(weights, 0, 2, 400, 100, lambda_scale=1.0)
    assert (levels[100:, 12] == 1).mean() > 0.9
    assert (levels[100:, 56] == 0).mean() > 0.9


def test_important_weights_are_kept_better():
    weights = laplacian(6, 80, 60)
    importance = np.where(np.arange(80)[:, None] < 8, 25.0, 1.0) * np.ones((80, 60))
    plain = core.quantize_nearest_rate(weights, 0, 2, 80, 60, lambda_scale=2.0)
    weighted = core.quantize_nearest_rate(weights, 0, 2, 80, 60, lambda_scale=2.0, importance=importance)
    costs = [error_of(weights, x, importance) + 2 * BIT_PRICE * bits_of(x) for x in (plain, weighted)]
    assert costs[1] < costs[0]
    assert error_of(weights[:8], weighted[:8]) < 0.95 * error_of(weights[:8], plain[:8])


def test_temporal_and_history_contexts_are_taken_into_account():
    rng = np.random.default_rng(7)
    active = rng.random((60, 80)) < 0.3
    base = np.where(active, rng.integers(-3, 4, (60, 80)), 0).astype(np.int32)
    history = active.astype(np.uint8)
    weights = (rng.laplace(size=(60, 80)) * np.where(active, 2.0, 0.3)).astype(np.float32)
    for tools in ({"base": base}, {"history": history}, {"base": base, "history": history}):
        costs = []
        for known in ({}, tools):
            levels = core.quantize_nearest_rate(weights, 0, 2, 60, 80, lambda_scale=2.0, **known)
            costs.append(error_of(weights, levels) + 2 * BIT_PRICE * bits_of(levels, **tools))
        assert costs[1] < costs[0]


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(1, 1), (1, 70), (9, 1), (20, 33), (65, 66)]),
    st.integers(0, 4),
    st.sampled_from([1, 2, 11, 256]),
    st.sampled_from([0.01, 1.0, 30.0, 1e4, 1e8]),
    st.booleans(),
    st.booleans(),
)
def test_levels_can_always_be_coded_and_are_neighbours_or_zero(
    seed: int, shape: tuple[int, int], scan_order: int, length: int, spread: float, temporal: bool, past: bool
):
    rng = np.random.default_rng(seed)
    weights = laplacian(seed, *shape, spread)
    tools: dict[str, np.ndarray] = {}
    if temporal:
        tools["base"] = rng.integers(-3, 4, shape, dtype=np.int32)
    if past:
        tools["history"] = rng.integers(0, 2, shape, dtype=np.uint8)
    levels = core.quantize_nearest_rate(
        weights, 0, 2, *shape, scan_order, lambda_scale=1.0, cabac_unary_length=length, **tools
    )
    bits_of(levels, scan_order, cabac_unary_length=length, **tools)
    assert ((levels == 0) | (np.abs(levels - weights.astype(np.float64)) <= 1)).all()


def test_arguments_are_checked():
    weights = np.ones((2, 3), np.float32)
    with pytest.raises(ValueError, match="3 x 3"):
        core.quantize_nearest_rate(weights, 0, 2, 3, 3, lambda_scale=1.0)
    with pytest.raises(ValueError, match="importance"):
        core.quantize_nearest_rate(weights, 0, 2, 2, 3, lambda_scale=1.0, importance=np.ones(5))
    with pytest.raises(ValueError):
        core.quantize_nearest_rate(weights, 0, 2, 2, 3, lambda_scale=-1.0)
    with pytest.raises(ValueError):
        core.quantize_nearest_rate(weights, 0, 2, 2, 3, lambda_scale=math.nan)
    for value in (math.nan, math.inf, 1e30):
        with pytest.raises(ValueError, match="32 bits"):
            core.quantize_nearest_rate(np.full((1, 1), value), 0, 2, 1, 1, lambda_scale=1.0)
    empty = core.quantize_nearest_rate(np.zeros((0, 3), np.float32), 0, 2, 0, 3, lambda_scale=1.0)
    assert empty.shape == (0, 3)
