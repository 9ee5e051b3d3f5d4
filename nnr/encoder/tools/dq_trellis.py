"""Dependent quantization by an 8-state trellis (encoding 5.4)."""

from __future__ import annotations

import numpy as np

from ... import core
from ...decoder.quantization import step_size
from . import QuantizedTensor, TensorJob, register
from .grid import fit_qp

__all__ = ["DqTrellis"]


@register
class DqTrellis:
    """(encoding 5.4) Dependent quantization: Viterbi search over 8 states for the smallest squared error."""

    name = "dq_trellis"

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.4) Quantize a float32 tensor, following `job.scan_order`.

        Raises:
            ValueError: the tensor's range needs levels of more than 32 bits at any qp that is allowed.
        """
        qp, notes = fit_qp(tensor, job)
        levels = core.quantize_trellis(
            tensor, step_size(qp, job.qp_density), job.rows, job.cols, job.scan_order
        )
        return QuantizedTensor(levels, qp, job.qp_density, dq_flag=1, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return "DqTrellis()"
