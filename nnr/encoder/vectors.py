"""How finely vectors are quantized: biases, scale factors and statistics of batch norms.

A fixed fine step spends as many bits on a vector of large values as its floats have. What a vector does to
the output of its layer depends on errors relative to its own values, so they set the step here.
"""

from __future__ import annotations

import numpy as np

from ..decoder.quantization import qp_of_step, step_size
from .measure import ordered_sum

__all__ = ["vector_qp"]

#: Of one sign are variances and scale factors, which divide and multiply: there the smallest value counts
#: too, with so many bits less.
_FEWER_BITS = 5


def vector_qp(values: np.ndarray, bits: int, qp_density: int) -> int | None:
    """(encoding 5.1) The coarsest qp that suits the values of a vector.

    The step size is at most 2^-bits of the mean magnitude of the values that are not zero, and, where these
    have one sign, 2^-(bits - 5) of the smallest.

    Args:
        values: finite floats of any shape.

    Returns:
        None where all values are zero.
    """
    used = values[values != 0].astype(np.float64)
    if used.size == 0:
        return None
    magnitudes = np.abs(used)
    step = ordered_sum(magnitudes.copy()) / used.size * 2.0**-bits
    if (used > 0).all() or (used < 0).all():
        step = min(step, float(magnitudes.min()) * 2.0 ** (_FEWER_BITS - bits))
    qp = qp_of_step(step, qp_density)
    return qp if step_size(qp, qp_density) <= step else qp - 1
