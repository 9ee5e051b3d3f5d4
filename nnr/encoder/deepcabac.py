"""The step rule of DeepCABAC: one number for a whole model.

Wiedemann et al., "DeepCABAC: A universal compression algorithm for deep neural networks" (2019), equations
1 and 2: weights are quantized with the cost eta_i (w_i - q)^2 + lambda R_i, where eta_i is the inverse
variance of the weight's posterior, and the step size of a tensor follows from its range, the smallest of its
standard deviations and a coarseness S that is searched. The standard's quantizers take eta as `importance`;
this module gives the qps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..decoder.quantization import qp_of_step, qp_range
from .measure import ordered_sum

__all__ = ["coarseness_qps", "importance_of", "search_coarseness", "step_of_coarseness"]


def step_of_coarseness(largest: float, sigma_min: float, coarseness: float) -> float:
    """(DeepCABAC, equation 2) Step size 2 |w|_max / (2 |w|_max / sigma_min + S).

    Args:
        largest: largest magnitude of the tensor.
        sigma_min: smallest standard deviation of its weights.
        coarseness: S; larger is finer, 0 gives sigma_min, negative values are coarser.

    Raises:
        ValueError: the numbers give no positive step size.
    """
    if not (largest > 0 and sigma_min > 0):
        raise ValueError(f"largest {largest} and sigma_min {sigma_min} must be positive")
    denominator = 2 * largest / sigma_min + coarseness
    if denominator <= 0:
        raise ValueError(
            f"coarseness {coarseness} is below {-2 * largest / sigma_min:g}, where the step is infinite"
        )
    return 2 * largest / denominator


def importance_of(sigmas: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """(DeepCABAC, equation 1) eta = 1 / sigma^2, scaled to the mean 1 over all weights.

    Args:
        sigmas: standard deviations of the weights, by tensor name.

    Raises:
        ValueError: one is not positive.
    """
    for name, sigma in sigmas.items():
        if not (np.asarray(sigma) > 0).all():
            raise ValueError(f"sigma of {name!r} must be positive")
    eta = {name: 1.0 / np.square(np.asarray(sigma, np.float64)) for name, sigma in sigmas.items()}
    count = sum(values.size for values in eta.values())
    mean = sum(ordered_sum(values.reshape(-1)) for values in eta.values()) / max(count, 1)
    return {name: (values / mean).astype(np.float32) for name, values in eta.items()}


def coarseness_qps(
    tensors: Mapping[str, Any], sigmas: Mapping[str, Any], coarseness: float, *, qp_density: int = 2
) -> dict[str, int]:
    """The qp of each tensor that has standard deviations, to be used as `qp_per_tensor`.

    Args:
        tensors: the model.
        sigmas: standard deviations, by tensor name, of the tensors' shapes or scalars.
    """
    low, high = qp_range(qp_density)
    qps = {}
    for name, sigma in sigmas.items():
        values = np.abs(np.asarray(tensors[name], np.float64))
        if values.size and values.max() > 0:
            step = step_of_coarseness(float(values.max()), float(np.min(sigma)), coarseness)
            qps[name] = max(low, min(high, qp_of_step(step, qp_density)))
    return qps


def search_coarseness(
    evaluate: Callable[[float], tuple[int, float]], candidates: Iterable[float], *, floor: float
) -> tuple[float, int, float]:
    """The coarseness that gives the smallest stream whose score is still good enough.

    Args:
        evaluate: coarseness -> (bytes, score), larger scores being better.
        candidates: coarsenesses to try.
        floor: smallest score allowed.

    Returns:
        coarseness, bytes and score.

    Raises:
        ValueError: no candidate reaches `floor`.
    """
    tried = [(candidate, *evaluate(candidate)) for candidate in candidates]
    good = [(size, -score, candidate) for candidate, size, score in tried if score >= floor]
    if not good:
        best = max((score for _, _, score in tried), default=float("nan"))
        raise ValueError(f"no coarseness reaches {floor}; the best score is {best}")
    size, negative, candidate = min(good)
    return candidate, size, -negative
