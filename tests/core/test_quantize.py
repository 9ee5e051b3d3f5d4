"""Quantizers against their definitions: by hand, by a plain twin, and by trying everything."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from tests.core.samples import TRANSITIONS, Payload, Sample, segments

STEPS = st.builds(lambda m, e: m * 2.0**e, st.sampled_from([1.0, 1.25, 1.5, 1.75]), st.integers(-6, 3))


def test_halves_go_away_from_zero():
    weights = np.array([0.5, -0.5, 1.5, -2.5, 0.49999997, -0.49999997, 0.0], np.float32)
    assert core.quantize_nearest(weights, 1.0).tolist() == [1, -1, 2, -3, 0, 0, 0]


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=50), STEPS)
def test_nearest_is_its_definition(weights: list[float], step: float):
    """(encoding 5.2) Both the reciprocal and the product are rounded to binary32."""
    array = np.array(weights, np.float32)
    scaled = array * (np.float32(1) / np.float32(step))
    expected = [math.floor(abs(float(x)) + 0.5) * (1 if x > 0 else -1) for x in scaled]
    assert core.quantize_nearest(array, step).tolist() == expected


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 3e9, -3e9])
def test_weights_beyond_32_bits_are_refused(weight: float):
    weights = np.array([1.0, weight], np.float32)
    with pytest.raises(ValueError, match="32 bits"):
        core.quantize_nearest(weights, 1.0)
    with pytest.raises(ValueError, match="32 bits"):
        core.quantize_trellis(weights, 1.0, 2, 1)


def test_nearest_at_the_ends_of_its_range():
    """2^31 is the first that does not fit; from 2^23 on floats are whole numbers."""
    cases = {
        2147483520.0: 2147483520, -2147483648.0: -2147483648, 8388608.0: 8388608, 8388607.5: 8388608,
        -8388607.5: -8388608, 4194303.75: 4194304, 4194303.25: 4194303, -0.0: 0, 1e-45: 0, -1e-45: 0,
    }  # fmt: skip
    weights = np.array(list(cases) * 4, np.float32)
    assert core.quantize_nearest(weights, 1.0).tolist() == list(cases.values()) * 4


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf, 2147483648.0, -2147483904.0])
def test_a_weight_that_does_not_fit_is_found_wherever_it_stands(weight: float):
    for position in range(37):
        weights = np.ones(37, np.float32)
        weights[position] = weight
        with pytest.raises(ValueError, match="32 bits"):
            core.quantize_nearest(weights, 1.0)


@pytest.mark.parametrize("step", [0.0, -1.0, math.nan])
def test_steps_that_are_none_are_refused(step: float):
    weights = np.ones(2, np.float32)
    with pytest.raises(ValueError):
        core.quantize_nearest(weights, step)
    with pytest.raises(ValueError):
        core.quantize_trellis(weights, step, 2, 1)


def plain_trellis(weights: list[float], step: float) -> list[int]:
    """(encoding 5.4) Word for word, lambda 0."""
    costs = [0.0] + 7 * [1e300]
    decisions: list[list[tuple[int, int]]] = []
    for weight in weights:
        x = abs(weight) / step
        lowest = max(1, math.floor(x) - 1)
        best: list[tuple[float, int, int]] = [(math.inf, 0, 0)] * 8
        for state, parity in product(range(8), (0, 1)):
            odd = state & 1
            wanted = 3 * odd if parity == 0 else 2 - odd
            multiples = [n for n in range(lowest, lowest + 4) if n & 3 == wanted]
            multiples += [0] if parity == 0 else []
            target = TRANSITIONS[state][parity]
            for n in multiples:
                cost = costs[state] + (x - n) ** 2
                if cost < best[target][0]:
                    best[target] = (cost, state, n)
        costs = [cost for cost, _, _ in best]
        decisions.append([(state, n) for _, state, n in best])
    state = costs.index(min(costs))
    levels = []
    for weight, back in zip(reversed(weights), reversed(decisions), strict=True):
        state, n = back[state]
        levels.append(n if weight >= 0 else -n)
    return levels[::-1]


def grids() -> st.SearchStrategy[list[float]]:
    """Weights in units of the step: anything, and quarters, which make ties."""
    quarters = st.integers(-40, 40).map(lambda k: k / 4)
    return st.lists(
        st.one_of(quarters, st.floats(-20, 20, width=32), st.floats(-1e5, 1e5, width=32)), max_size=60
    )


@given(grids(), STEPS)
def test_trellis_is_its_definition(units: list[float], step: float):
    weights = np.array(units, np.float32) * np.float32(step)
    found = core.quantize_trellis(weights, step, len(weights), 1)
    assert found.tolist() == plain_trellis(weights.tolist(), step)


@given(st.lists(st.integers(-11, 11).map(lambda k: k / 4), min_size=1, max_size=4))
def test_trellis_finds_the_least_error_of_all_paths(weights: list[float]):
    def errors(state: int, rest: list[float]) -> float:
        if not rest:
            return 0.0
        x = abs(rest[0])
        least = math.inf
        for k in range(4):
            level = 2 * k - (state & 1) if k else 0
            least = min(least, (x - level) ** 2 + errors(TRANSITIONS[state][k & 1], rest[1:]))
        return least

    found = core.quantize_trellis(np.array(weights, np.float32), 1.0, len(weights), 1)
    assert ((found - np.array(weights)) ** 2).sum() == errors(0, weights)


@pytest.mark.parametrize("scan_order", range(5))
@pytest.mark.parametrize(("rows", "cols"), [(1, 300), (300, 1), (19, 13), (70, 130), (100, 200)])
def test_trellis_follows_the_scan(scan_order: int, rows: int, cols: int):
    """Quantized in scan order as one row, and only so is it a path that can be coded."""
    rng = np.random.default_rng(rows)
    weights = rng.laplace(size=(rows, cols)).astype(np.float32)
    levels = core.quantize_trellis(weights, 0.25, rows, cols, scan_order)
    order = np.concatenate([row * cols + np.arange(a, b) for row, a, b in segments(rows, cols, scan_order)])
    straight = core.quantize_trellis(weights.ravel()[order], 0.25, rows * cols, 1)
    np.testing.assert_array_equal(levels.ravel()[order], straight)
    payload = Payload([Sample(levels, scan_order=scan_order)], dq_flag=1)
    np.testing.assert_array_equal(payload.decode(payload.encode().data).levels[0], levels)


def test_other_dtypes_and_layouts_are_converted():
    weights = np.arange(-12, 12, dtype=np.float64).reshape(4, 6).T
    expected = core.quantize_nearest(np.ascontiguousarray(weights, np.float32), 0.5)
    np.testing.assert_array_equal(core.quantize_nearest(weights, 0.5), expected)
    assert core.quantize_nearest(weights, 0.5).shape == (6, 4)


def test_nothing_to_quantize():
    assert core.quantize_nearest(np.zeros((0, 3), np.float32), 1.0).shape == (0, 3)
    assert core.quantize_trellis(np.zeros((0, 3), np.float32), 1.0, 0, 3).shape == (0, 3)


def test_a_shape_that_is_not_the_tensors_is_refused():
    with pytest.raises(ValueError, match="3 x 3"):
        core.quantize_trellis(np.zeros(8, np.float32), 1.0, 3, 3)
