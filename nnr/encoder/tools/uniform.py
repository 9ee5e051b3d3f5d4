"""Nearest level on a uniform grid (encoding 5.2)."""

from __future__ import annotations

import numpy as np

from ... import core
from ...decoder.quantization import step_size
from . import QuantizedTensor, TensorJob, register
from .grid import fit_qp

__all__ = ["Uniform"]


@register
class Uniform:
    """(encoding 5.2) Nearest level on a uniform grid, halves away from zero; no rate term."""

    name = "uniform"

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.2) Quantize a float32 tensor.

        Raises:
            ValueError: the tensor's range needs levels of more than 32 bits at any qp that is allowed.
        """
        qp, notes = fit_qp(tensor, job)
        levels = core.quantize_nearest(tensor, step_size(qp, job.qp_density))
        return QuantizedTensor(levels, qp, job.qp_density, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return "Uniform()"
