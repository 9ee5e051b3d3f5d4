"""Size against squared error as curves, and what lies between two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Curve", "bd_rate", "difference", "envelope"]

_SAMPLES = 1000


@dataclass(frozen=True)
class Curve:
    """Logarithm of the size as a function of the logarithm of the squared error, falling and monotone.

    Attributes:
        error: float64, logarithms of squared errors, rising.
        size: float64, logarithms of sizes, falling.
    """

    error: np.ndarray
    size: np.ndarray

    @classmethod
    def through(cls, points: Iterable[tuple[float, float]]) -> Curve:
        """The curve through points (size, squared error), without those that another one beats in both.

        Raises:
            ValueError: fewer than two points are left, or a number is not positive.
        """
        error: list[float] = []
        size: list[float] = []
        for e, s in sorted((math.log(error), math.log(size)) for size, error in points):
            if not size or (s < size[-1] and e > error[-1]):
                error.append(e)
                size.append(s)
        if len(error) < 2:
            raise ValueError("a curve needs two points")
        return cls(np.array(error), np.array(size))

    def __call__(self, error: np.ndarray) -> np.ndarray:
        """Logarithm of the size at each logarithm of squared error; NaN outside the curve.

        Piecewise cubic Hermite interpolation with the slopes of Fritsch and Butland, which is monotone.
        """
        x, y = self.error, self.size
        width, secant = np.diff(x), np.diff(y) / np.diff(x)
        slope = np.empty_like(x)
        slope[0], slope[-1] = secant[0], secant[-1]
        left, right = 2 * width[1:] + width[:-1], width[1:] + 2 * width[:-1]
        slope[1:-1] = (left + right) / (left / secant[:-1] + right / secant[1:])
        k = np.clip(np.searchsorted(x, error, side="right") - 1, 0, x.size - 2)
        t, h = (error - x[k]) / width[k], width[k]
        value = (
            (1 + 2 * t) * (1 - t) ** 2 * y[k]
            + t * (1 - t) ** 2 * h * slope[k]
            + t * t * (3 - 2 * t) * y[k + 1]
            + t * t * (t - 1) * h * slope[k + 1]
        )
        return np.where((error >= x[0]) & (error <= x[-1]), value, np.nan)

    def error_at(self, size: float) -> float:
        """Logarithm of the squared error where the curve has this logarithm of size; NaN outside."""
        error = np.linspace(self.error[0], self.error[-1], 20 * _SAMPLES)
        return float(np.interp(-size, -self(error), error, left=math.nan, right=math.nan))


def envelope(curves: Sequence[Curve], error: np.ndarray) -> np.ndarray:
    """The smallest of several curves at each logarithm of squared error; NaN where there is none."""
    values = np.stack([curve(error) for curve in curves])
    return np.where(np.isnan(values).all(0), np.nan, np.min(np.where(np.isnan(values), np.inf, values), 0))


def bd_rate(
    anchor: Sequence[Curve], tested: Sequence[Curve], sizes: tuple[float, float]
) -> tuple[float, float]:
    """Mean difference in size at equal squared error (Bjontegaard), in percent; negative is smaller.

    Args:
        anchor, tested: curves; of several, the smallest at each error counts.
        sizes: between which sizes of the first anchor curve; what a curve does not reach is left out.

    Returns:
        the difference; and the share of the range, in logarithms of squared error, that it rests on. Both
        are NaN and 0 where the curves have nothing in common.
    """
    first = anchor[0]
    ends = [first.error_at(math.log(size)) for size in sorted(sizes, reverse=True)]
    low, high = (first.error[k] if math.isnan(end) else end for k, end in zip((0, -1), ends))
    error = np.linspace(low, high, _SAMPLES)
    gap = envelope(tested, error) - envelope(anchor, error)
    known = ~np.isnan(gap)
    if not known.any():
        return math.nan, 0.0
    return 100 * math.expm1(float(gap[known].mean())), float(known.mean())


def difference(anchor: Sequence[Curve], tested: Sequence[Curve], size: float) -> float:
    """Difference in size, in percent, at the squared error where the first anchor curve has `size`."""
    error = np.array([anchor[0].error_at(math.log(size))])
    return 100 * math.expm1(float((envelope(tested, error) - envelope(anchor, error))[0]))
