"""Dependent quantization by an 8-state trellis (encoding 5.4)."""

from __future__ import annotations

import numpy as np

from ... import core
from ...decoder.quantization import step_size
from . import QuantizedTensor, TensorJob, register
from .grid import checked_lambda, fit_qp, with_rate

__all__ = ["DqTrellis"]


@register
class DqTrellis:
    """(encoding 5.4) Dependent quantization: Viterbi search over 8 states.

    Minimises importance * (w/step - q)^2 + lambda_scale * 0.3235 * bits, summed over the tensor, with bits
    estimated by contexts that adapt every 64 weights.

    Args:
        lambda_scale: weight of the rate; 0 minimises the error alone. 0.8 is near the best for trained
            weights at 1 bit per weight and more, 0.4 to 0.6 below.
    """

    name = "dq_trellis"

    def __init__(self, lambda_scale: float = 0.0) -> None:
        self.lambda_scale = checked_lambda(lambda_scale)

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.4) Quantize a float32 tensor, following `job.scan_order`.

        Raises:
            ValueError: the tensor's range needs levels of more than 32 bits at any qp that is allowed.
        """
        qp, notes = fit_qp(tensor, job)
        if self.lambda_scale == 0 and job.importance is None:
            levels = core.quantize_trellis(
                tensor, step_size(qp, job.qp_density), job.rows, job.cols, job.scan_order
            )
        else:
            levels = with_rate(core.quantize_trellis_rate, tensor, qp, job, self.lambda_scale)
        return QuantizedTensor(levels, qp, job.qp_density, dq_flag=1, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return f"DqTrellis(lambda_scale={self.lambda_scale})"
