"""Codebook quantization on the integer grid that the standard codes (encoding 5.5)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ... import core
from ...decoder.plan import Codebook
from ...decoder.quantization import step_size
from . import QuantizedTensor, TensorJob, register
from .grid import fit_qp

__all__ = ["CodebookQuantizer"]

_ITERATIONS = 50
_PIECE = 1 << 16
_MAX_SPAN = 1 << 22


@register
class CodebookQuantizer:
    """(encoding 5.5) At most `size` values for a whole tensor, fitted to its histogram.

    The tensor is quantized to the uniform grid of its qp first. If that gives no more than `size` distinct
    integers, they are the codebook and nothing more is lost. Otherwise the codebook is the k-means solution
    on the histogram of the integers, computed in integers alone, so that it is the same on every platform.
    Index 0 stands for the most frequent entry, or for one near it if the levels then cost less.

    Args:
        size: entries at most, 2 or more.
    """

    name = "codebook"

    def __init__(self, size: int = 64) -> None:
        if size < 2:
            raise ValueError(f"size must be at least 2, not {size}")
        self.size = size

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.5) Quantize a float32 tensor.

        Raises:
            ValueError: the tensor's range needs levels of more than 32 bits at any qp that is allowed.
        """
        qp, notes = fit_qp(tensor, job)
        grid = core.quantize_nearest(tensor, step_size(qp, job.qp_density))
        low = int(grid.min()) if grid.size else 0
        span = int(grid.max()) - low + 1 if grid.size else 1
        values: np.ndarray
        where: np.ndarray
        counts: np.ndarray
        if span > _MAX_SPAN:  # too wide for tables by value
            distinct, inverse, counts = np.unique(grid, return_inverse=True, return_counts=True)
            values, where = distinct.astype(np.int64), inverse.reshape(grid.shape)
        else:
            where = np.subtract(grid, np.int32(low), out=grid)
            histogram = np.zeros(span, np.int64)
            for piece in _pieces(where, span):
                histogram += np.bincount(piece, minlength=span)
            used = np.flatnonzero(histogram) if grid.size else np.zeros(1, np.int64)
            values, counts = used + low, histogram[used]
        if values.size <= self.size:
            entries, assignment = values, np.arange(values.size)
        else:
            entries, assignment = fit_entries(values, counts.astype(np.int64), self.size)
        weight = np.zeros(entries.size, np.int64)
        np.add.at(weight, assignment, counts)
        zero_offset = int(weight.argmax())
        indices: np.ndarray = (assignment - zero_offset).astype(np.int32)
        if span > _MAX_SPAN:
            levels = indices[where]
        else:
            table = np.zeros(span, np.int32)
            table[values - low] = indices
            levels = where
            for piece in _pieces(levels, span):
                piece[:] = table[piece]
        zero_offset = _cheapest_offset(levels, zero_offset, entries.size, job)
        book = Codebook(tuple(entries.tolist()), zero_offset)
        return QuantizedTensor(levels, qp, job.qp_density, codebook=book, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return f"CodebookQuantizer(size={self.size})"


def _cheapest_offset(levels: np.ndarray, zero_offset: int, size: int, job: TensorJob) -> int:
    """The offset that `levels` have, or one beside it if they then cost less; they follow."""
    unit = core.new_units([[0, 0, 0, 1, job.profile, 0, 0, 0, 31]])
    shape = [job.rows, job.cols, job.cabac_unary_length, job.scan_order]

    def price(shift: int) -> float:
        np.subtract(levels, shift, out=levels)
        row = [*shape, size, zero_offset + shift, 1, 0, job.qp_density, 0, core.address(levels)]
        bits = core.price_tensor(unit, core.new_tensors([row]))
        np.add(levels, shift, out=levels)
        return bits

    here = price(0)
    for shift in (1, -1):
        if 0 <= zero_offset + shift < size and price(shift) < here:
            np.subtract(levels, shift, out=levels)
            return zero_offset + shift
    return zero_offset


def _pieces(array: np.ndarray, span: int) -> Iterator[np.ndarray]:
    """A contiguous array in views no shorter than a table by value: numpy copies what are indices."""
    flat, size = array.reshape(-1), max(_PIECE, span)
    return (flat[start : start + size] for start in range(0, flat.size, size))


def fit_entries(values: np.ndarray, counts: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """K-means in one dimension on a histogram, in exact integer arithmetic.

    Args:
        values: int64, sorted and distinct, more than `size` of them.
        counts: int64, how often each occurs.

    Returns:
        entries: int64, sorted and distinct, at most `size`; and for each value the index of its entry.
    """
    mass = np.concatenate([[0], np.cumsum(counts)])
    moment = np.concatenate([[0], np.cumsum(counts * values)])
    entries = _seed(values, counts, size)
    bounds = _bounds(values, entries)
    for _ in range(_ITERATIONS):
        weight, total = np.diff(mass[bounds]), np.diff(moment[bounds])
        kept = weight > 0
        weight, total = weight[kept], total[kept]
        entries = np.unique((2 * total + weight) // (2 * weight))
        moved = _bounds(values, entries)
        if moved.size == bounds.size and np.array_equal(moved, bounds):
            break
        bounds = moved
    assignment = np.repeat(np.arange(entries.size), np.diff(bounds))
    return entries, assignment


def _seed(values: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
    """Entries spread with a density between that of the weights and that of their range.

    Quantiles of the cubic root of the histogram are best for many entries (Panter and Dite); bit lengths of
    counts stand for it here.
    """
    density = np.array([int(c).bit_length() for c in counts.tolist()], np.int64)
    gaps = np.diff(values, prepend=values[0] - 1)
    mass = np.cumsum(density + np.array([int(g).bit_length() for g in gaps.tolist()], np.int64))
    places = (2 * np.arange(size) + 1) * int(mass[-1]) // (2 * size)
    return np.unique(values[np.searchsorted(mass, places, side="right").clip(max=values.size - 1)])


def _bounds(values: np.ndarray, entries: np.ndarray) -> np.ndarray:
    """Positions in `values` where each entry's cell begins, and the end."""
    middles = (entries[1:] + entries[:-1] + 1) >> 1  # a value in the middle goes to the larger entry
    return np.concatenate([[0], np.searchsorted(values, middles, side="left"), [values.size]])
