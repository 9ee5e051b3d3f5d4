"""Integer quantization to a given bit depth (encoding 5.7)."""

from __future__ import annotations

import numpy as np

from ... import core
from ...decoder.quantization import qp_of_step, step_size
from . import QuantizedTensor, TensorJob, register

__all__ = ["BitDepth"]

_SCALE_BITS = 20  # of the integers in which errors are measured
_OCTAVES = 4  # how far below the largest magnitude clipping is tried


@register
class BitDepth:
    """(encoding 5.7) Levels of `bits` bits, signed, or unsigned where no value is negative.

    The step size is chosen among those of the qp grid: from the one that reaches the largest magnitude down
    to a sixteenth of it, that with the smallest squared error, what is clipped included. Errors are
    measured in integers, so that the choice is the same on every platform. The qp of the options does not
    count.

    Args:
        bits: 1 to 16.
    """

    name = "bit_depth"

    def __init__(self, bits: int = 8) -> None:
        if not 1 <= bits <= 16:
            raise ValueError(f"bits must be in 1..16, not {bits}")
        self.bits = bits

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """(encoding 5.7) Quantize a float32 tensor."""
        high_value = float(tensor.max()) if tensor.size else 0.0
        low_value = float(tensor.min()) if tensor.size else 0.0
        low, high = self._range(signed=low_value < 0)
        largest = max(high_value / max(high, 1), low_value / min(low, -1))
        if largest == 0.0:
            return QuantizedTensor(np.zeros(tensor.shape, np.int32), job.qp, job.qp_density, tool=self.name)
        top = qp_of_step(largest, job.qp_density)
        if step_size(top, job.qp_density) < largest:
            top += 1
        fine = step_size(top, job.qp_density) * max(high, -low) / (1 << _SCALE_BITS)
        exact = core.quantize_nearest(tensor, fine).astype(np.int64)
        lowest, highest = job.qp_bounds
        best: tuple[int, int] | None = None
        for qp in range(top, top - (_OCTAVES << job.qp_density), -1):
            step = step_size(qp, job.qp_density)
            levels = np.clip(core.quantize_nearest(tensor, step), low, high).astype(np.int64)
            ratio = int(step / fine * (1 << 12) + 0.5)
            error = int(((exact - ((levels * ratio) >> 12)) ** 2).sum())
            if best is None or error < best[0]:
                best = error, qp
            elif error > 4 * best[0]:
                break
        assert best is not None
        qp = max(lowest, min(highest, best[1]))
        levels32 = np.clip(core.quantize_nearest(tensor, step_size(qp, job.qp_density)), low, high)
        return QuantizedTensor(levels32.astype(np.int32), qp, job.qp_density, tool=self.name)

    def _range(self, *, signed: bool) -> tuple[int, int]:
        if signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def __repr__(self) -> str:
        return f"BitDepth(bits={self.bits})"
