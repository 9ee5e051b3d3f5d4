"""What the encoder did: the result of `nnr.save_file`."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["EncodeReport", "TensorReport", "psnr_of"]


def psnr_of(peak: float, rms_error: float) -> float:
    """Peak signal-to-noise ratio in dB; infinite without an error, NaN where either was not measured."""
    if rms_error == 0:
        return math.inf
    if not (peak > 0 and rms_error < math.inf):
        return math.nan
    return 20 * (math.log10(peak) - math.log10(rms_error))


@dataclass(slots=True)
class TensorReport:
    """One tensor of the model.

    Attributes:
        original_bytes: size of the array in memory.
        coded_bytes: size of its units, headers included.
        tool: quantizer, or "integer", "raw", "tied".
        qp: quantization parameter; None where nothing was quantized.
        seconds: time spent on it, of whichever thread.
        squared_error: sum over all elements; NaN where it was not measured, 0 for what is carried exactly.
        max_error: largest error of an element.
        peak: largest magnitude of the tensor.
        notes: what was done that the caller did not ask for.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    original_bytes: int
    coded_bytes: int
    tool: str
    qp: int | None
    seconds: float
    squared_error: float = math.nan
    max_error: float = math.nan
    peak: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.coded_bytes / self.weights if self.weights else 0.0

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, the peak being the largest magnitude; infinite without error."""
        return psnr_of(self.peak, math.sqrt(self.squared_error / self.weights) if self.weights else 0.0)


@dataclass(slots=True)
class EncodeReport:
    """All tensors, and totals.

    Attributes:
        total_bytes: size of the stream.
        seconds: wall time of the whole encoding.
        notes: what concerns the stream as a whole.
    """

    tensors: list[TensorReport]
    total_bytes: int
    seconds: float
    notes: list[str] = field(default_factory=list)

    @property
    def weights(self) -> int:
        return sum(t.weights for t in self.tensors)

    @property
    def original_bytes(self) -> int:
        return sum(t.original_bytes for t in self.tensors)

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.total_bytes / self.weights if self.weights else 0.0

    @property
    def squared_error(self) -> float:
        """Sum over all tensors; NaN where it was not measured."""
        return math.fsum(t.squared_error for t in self.tensors)

    @property
    def max_error(self) -> float:
        """Largest error of any element."""
        return max((t.max_error for t in self.tensors), default=0.0)

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB of all tensors with errors as one; infinite without an error.

        Those carried exactly are left out: the peak of a counter says nothing of weights.
        """
        lossy = [t for t in self.tensors if t.squared_error != 0]
        peak = max((t.peak for t in lossy if t.peak > 0), default=math.nan)
        weights = sum(t.weights for t in lossy)
        return psnr_of(peak, math.sqrt(self.squared_error / weights) if weights else 0.0)

    @property
    def ratio(self) -> float:
        """Original size over coded size."""
        return self.original_bytes / self.total_bytes if self.total_bytes else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        totals = {
            "total_bytes": self.total_bytes,
            "original_bytes": self.original_bytes,
            "weights": self.weights,
            "bits_per_weight": self.bits_per_weight,
            "ratio": self.ratio,
            "squared_error": _number(self.squared_error),
            "max_error": _number(self.max_error),
            "psnr": _number(self.psnr),
            "seconds": self.seconds,
            "notes": self.notes,
        }
        rows = []
        for t in self.tensors:
            row = asdict(t) | {"bits_per_weight": t.bits_per_weight, "psnr": t.psnr}
            rows.append({name: _number(value) for name, value in row.items()})
        return totals | {"tensors": rows}

    def __str__(self) -> str:
        return (
            f"{len(self.tensors)} tensors, {self.weights} weights: {self.original_bytes} -> "
            f"{self.total_bytes} bytes "
            f"({self.ratio:.2f} times smaller, {self.bits_per_weight:.3f} bits per weight) in "
            f"{self.seconds:.2f} s"
        )


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinities."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
