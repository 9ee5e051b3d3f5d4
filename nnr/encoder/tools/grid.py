"""The uniform grid that quantizers share: whether a tensor's range fits it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...decoder.quantization import qp_of_step, step_size
from . import TensorJob

__all__ = ["MAX_LEVEL", "checked_lambda", "fit_qp", "fitting_qp", "with_rate"]

#: Largest magnitude of a level that the escape code is known to carry (spec README 2), less the trellis'
# reach.
MAX_LEVEL = (1 << 31) - 8

_MAX_RAISE_OCTAVES = 8


def fitting_qp(largest: float, qp: int, qp_density: int) -> int | None:
    """(encoding 5.1) `qp`, raised so that a magnitude of `largest` fits a level of 32 bits.

    Returns:
        None when it would have to be raised by more than eight octaves: such a range makes the step size
        that was asked for meaningless.
    """
    if largest <= MAX_LEVEL * step_size(qp, qp_density):
        return qp
    raised = qp_of_step(largest / MAX_LEVEL, qp_density)
    while largest > MAX_LEVEL * step_size(raised, qp_density):
        raised += 1
    return raised if raised <= qp + (_MAX_RAISE_OCTAVES << qp_density) else None


def fit_qp(tensor: np.ndarray, job: TensorJob) -> tuple[int, tuple[str, ...]]:
    """(encoding 5.1) The qp to use, raised where levels would need more than 32 bits, and a note if it was.

    Args:
        tensor: float32, finite.

    Raises:
        ValueError: the range of the tensor is too large; the message names it.
    """
    largest = job.largest
    if largest is None:
        largest = float(max(tensor.max(), -tensor.min())) if tensor.size else 0.0
    qp = fitting_qp(largest, job.qp, job.qp_density)
    if qp is None:
        raise ValueError(
            f"tensor {job.name!r}: values up to {largest:g} are too large for qp {job.qp}, a step size of "
            f"{step_size(job.qp, job.qp_density):g}: give it a larger qp in qp_per_tensor, or "
            "store such tensors "
            "exactly with nonfinite='raw'"
        )
    return qp, () if qp == job.qp else (f"qp raised from {job.qp} to {qp}, so that levels fit 32 bits",)


def checked_lambda(lambda_scale: float) -> float:
    """`lambda_scale`, a weight of the rate.

    Raises:
        ValueError: it is negative, infinite or no number.
    """
    if not 0 <= lambda_scale < 1e6:
        raise ValueError(f"lambda_scale must be 0 or more, not {lambda_scale}")
    return lambda_scale


def with_rate(
    quantize: Callable[..., np.ndarray], tensor: np.ndarray, qp: int, job: TensorJob, lambda_scale: float
) -> np.ndarray:
    """Levels from one of the core's quantizers that weigh error against rate, coded as `job` says."""
    return quantize(
        tensor,
        qp,
        job.qp_density,
        job.rows,
        job.cols,
        job.scan_order,
        lambda_scale=lambda_scale,
        importance=job.importance,
        cabac_unary_length=job.cabac_unary_length,
        profile=job.profile,
        base=job.base,
    )
