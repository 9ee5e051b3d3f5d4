"""What the encoder did: the result of `nnr.save_file`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["EncodeReport", "TensorReport"]


@dataclass(slots=True)
class TensorReport:
    """One tensor of the model.

    Attributes:
        original_bytes: size of the array in memory.
        coded_bytes: size of its units, headers included.
        tool: quantizer, or "integer", "raw", "tied".
        qp: quantization parameter; None where nothing was quantized.
        seconds: time spent on it, of whichever thread.
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
    notes: tuple[str, ...] = ()

    @property
    def bits_per_weight(self) -> float:
        return 8 * self.coded_bytes / self.weights if self.weights else 0.0


@dataclass(slots=True)
class EncodeReport:
    """All tensors, and totals.

    Attributes:
        total_bytes: size of the stream.
        seconds: wall time of the whole encoding.
    """

    tensors: list[TensorReport]
    total_bytes: int
    seconds: float

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
            "seconds": self.seconds,
        }
        rows = [asdict(t) | {"bits_per_weight": t.bits_per_weight} for t in self.tensors]
        return totals | {"tensors": rows}

    def __str__(self) -> str:
        return (
            f"{len(self.tensors)} tensors, {self.weights} weights: {self.original_bytes} -> "
            f"{self.total_bytes} bytes "
            f"({self.ratio:.2f} times smaller, {self.bits_per_weight:.3f} bits per weight) in "
            f"{self.seconds:.2f} s"
        )
