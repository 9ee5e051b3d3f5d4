"""Dead-zone quantization for nnr: what lies between two levels goes to the smaller one more often."""

import numpy as np

from nnr.decoder.quantization import step_size
from nnr.encoder.tools import QuantizedTensor, TensorJob
from nnr.encoder.tools.grid import fit_qp


class DeadZone:
    """A uniform grid on which a magnitude is rounded up only near the next level.

    Zeros and small levels become more frequent, which saves more bits than it costs precision.

    Args:
        rounding: added before rounding down; 0.5 is the nearest level, 0 always the smaller one.
    """

    name = "dead_zone"

    def __init__(self, rounding: float = 0.4) -> None:
        if not 0 <= rounding <= 0.5:
            raise ValueError(f"rounding must be in 0..0.5, not {rounding}")
        self.rounding = rounding

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        qp, notes = fit_qp(tensor, job)  # raised where levels would need more than 32 bits
        scaled = tensor.astype(np.float64) / step_size(qp, job.qp_density)
        levels = np.copysign(np.floor(np.abs(scaled) + self.rounding), scaled).astype(np.int32)
        return QuantizedTensor(levels, qp, job.qp_density, tool=self.name, notes=notes)

    def __repr__(self) -> str:
        return f"DeadZone(rounding={self.rounding})"
