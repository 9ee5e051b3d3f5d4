"""Errors of a quantized tensor, summed in a fixed order, so that decisions on them are the "
"same everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..decoder.quantization import codebook_values, uniform_values
from .tools import QuantizedTensor

__all__ = ["coding_error", "dequantized", "ordered_sum", "peak_of"]

_PIECE = 1 << 18


def dequantized(quantized: QuantizedTensor) -> np.ndarray:
    """What a decoder makes of a quantized tensor: float32, same shape."""
    book = quantized.codebook
    if book is None:
        return uniform_values(quantized.levels, quantized.qp, quantized.qp_density)
    return codebook_values(
        quantized.levels, book.entries, book.zero_offset, quantized.qp, quantized.qp_density
    )


def coding_error(
    values: np.ndarray, quantized: QuantizedTensor, importance: np.ndarray | None = None
) -> tuple[float, float]:
    """Sum of squared errors and largest error of a quantized tensor.

    Args:
        values: float32, what was quantized.
        importance: weight of each squared error; None for 1. The largest error is never weighted.
    """
    squared = largest = 0.0
    flat, levels = values.reshape(-1), quantized.levels.reshape(-1)
    weights = None if importance is None else importance.reshape(-1)
    for start in range(0, flat.size, _PIECE):
        piece = slice(start, start + _PIECE)
        error = flat[piece].astype(np.float64) - dequantized(replace(quantized, levels=levels[piece]))
        largest = max(largest, peak_of(error))
        error *= error
        squared += ordered_sum(error if weights is None else error * weights[piece])
    return squared, largest


def ordered_sum(values: np.ndarray) -> float:
    """Sum of a float64 vector by folding it in halves: additions of single elements in a fixed order."""
    while values.size > 1:
        half = values.size // 2
        folded = values[:half] + values[half : 2 * half]
        if values.size % 2:
            folded[0] += values[-1]
        values = folded
    return float(values[0]) if values.size else 0.0


def peak_of(values: np.ndarray) -> float:
    """Largest magnitude; 0 for an empty array."""
    return float(max(values.max(), -values.min())) if values.size else 0.0
