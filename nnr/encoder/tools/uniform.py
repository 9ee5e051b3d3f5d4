"""Levels on a uniform grid: the nearest, or the best with a price on the rate (encoding 5.2, 5.3)."""

from __future__ import annotations

import numpy as np

from ... import core
from ...decoder.quantization import step_size
from . import QuantizedTensor, TensorJob, register
from .grid import checked_lambda, fit_qp, with_rate

__all__ = ["Uniform"]


@register
class Uniform:
    """(encoding 5.2, 5.3) Levels on a uniform grid.

    Without a weight on the rate the nearest level, halves away from zero. With one, minimises
    importance * (w/step - k)^2 + lambda_scale * 0.1155 * bits, summed over the tensor, with bits estimated by
    contexts that adapt every 64 weights.

    Args:
        lambda_scale: weight of the rate; 0 minimises the error alone, and importance has no say then. 1 is
        near the
            best for trained weights at 1 bit per weight and more, 1.3 below.
    """

    name = "uniform"

    def __init__(self, lambda_scale: float = 0.0) -> None:
        self.lambda_scale = checked_lambda(lambda_scale)

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.2, 5.3) Quantize a float32 tensor.

        Raises:
            ValueError: the tensor's range needs levels of more than 32 bits at any qp that is allowed.
        """
        qp, notes = fit_qp(tensor, job)
        if self.lambda_scale == 0:
            levels = core.quantize_nearest(tensor, step_size(qp, job.qp_density))
        else:
            levels = with_rate(core.quantize_nearest_rate, tensor, qp, job, self.lambda_scale)
        return QuantizedTensor(levels, qp, job.qp_density, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return f"Uniform(lambda_scale={self.lambda_scale})"
