"""Codebooks and bit depths: what they promise."""

import numpy as np
import pytest

import nnr
from nnr import core
from nnr.encoder.tools import TensorJob
from nnr.encoder.tools.bit_depth import BitDepth
from nnr.encoder.tools.codebook import CodebookQuantizer, fit_entries


def weights(shape=(60, 70), seed=0):
    return np.random.default_rng(seed).laplace(0, 0.03, shape).astype(np.float32)


@pytest.mark.parametrize("size", [2, 3, 7, 16, 100])
@pytest.mark.parametrize("options", [{}, {"profile": 0}, {"scan_order": 1}], ids=str)
def test_a_codebook_has_at_most_so_many_values(size, options):
    x = weights()
    data = nnr.encode({"x": x}, codebook=size, **options)
    out = nnr.decode(data)["x"]
    assert len(np.unique(out)) <= size
    uniform = np.linspace(x.min(), x.max(), size)
    nearest = uniform[np.abs(x.reshape(-1, 1) - uniform).argmin(1)].reshape(x.shape)
    assert ((out - x) ** 2).mean() < ((nearest - x) ** 2).mean()


def test_few_distinct_values_are_kept_as_they_are():
    x = np.random.default_rng(1).choice(np.array([-0.5, 0.25, 3.0], np.float32), (30, 40))
    assert np.array_equal(nnr.decode(nnr.encode({"x": x}, codebook=8, qp=-8))["x"], x)


def test_one_value_costs_next_to_nothing():
    x = np.full((200, 300), 0.75, np.float32)
    data = nnr.encode({"x": x}, codebook=4, qp=-8, metadata=False)
    assert np.array_equal(nnr.decode(data)["x"], x)
    assert len(data) < 60


@pytest.mark.parametrize("seed", range(3))
def test_the_chosen_offset_costs_less_than_that_of_the_most_frequent_value(seed):
    """By what coding the levels really takes; values on both sides are about as frequent."""
    x = weights((128, 512), seed)
    job = TensorJob("x", x.shape, *x.shape, scan_order=0, qp=-29, qp_density=2)
    found = CodebookQuantizer(1000).quantize(x, job)
    size, offset = len(found.codebook.entries), found.codebook.zero_offset

    def coded(shift):
        levels = found.levels - np.int32(shift)
        row = [*x.shape, 11, 0, size, offset + shift, 1, 0, 2, 0, core.address(levels)]
        [payload] = core.encode_units(
            core.new_units([[0, 0, 0, 1, 1, 0, 0, 0, 31, 1]]), core.new_tensors([row])
        )
        return len(payload)

    most_frequent = int(np.bincount((found.levels + offset).reshape(-1)).argmax()) - offset
    assert abs(most_frequent) == 1
    assert coded(0) < coded(most_frequent)


def test_entries_of_two_clusters_are_their_means():
    values = np.array([-10, -9, -8, 100, 102], np.int64)
    counts = np.array([1, 2, 1, 3, 1], np.int64)
    entries, assignment = fit_entries(values, counts, 2)
    assert entries.tolist() == [-9, 101]  # 100.5 rounds up
    assert assignment.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("bits", range(1, 17))
@pytest.mark.parametrize("signed", [True, False])
def test_levels_fit_the_bit_depth(bits, signed):
    x = weights() if signed else np.abs(weights())
    levels = nnr.decode_levels(nnr.encode({"x": x}, bitdepth=bits))["x"]
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    assert low <= levels.min()
    assert levels.max() <= high


def test_clipping_is_chosen_by_error():
    """A few outliers must not take the resolution of all others; a uniform tensor must not be clipped."""
    x = weights()
    x.reshape(-1)[:3] = 2.0
    with_clipping = nnr.decode(nnr.encode({"x": x}, bitdepth=4))["x"]
    step = 2.0 / 7
    without = np.clip(np.rint(x / step), -8, 7) * step
    assert ((with_clipping - x) ** 2).sum() < ((without - x) ** 2).sum()
    flat = np.linspace(-1, 1, 4096, dtype=np.float32).reshape(64, 64)
    assert np.abs(nnr.decode(nnr.encode({"x": flat}, bitdepth=8))["x"] - flat).max() < 0.02


@pytest.mark.parametrize(("tool", "value"), [(CodebookQuantizer, 1), (BitDepth, 0), (BitDepth, 17)])
def test_arguments_are_checked(tool, value):
    with pytest.raises(ValueError):
        tool(value)


@pytest.mark.parametrize(
    "options", [{"codebook": 1}, {"bitdepth": 20}, {"codebook": 4, "bitdepth": 4}], ids=str
)
def test_options_are_checked(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        nnr.EncoderConfig(**options)
