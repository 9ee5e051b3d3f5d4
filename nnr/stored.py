"""A tensor that need not be in memory: its shape, its type, and how to read it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Held", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor by what is known of it before it is read.

    Attributes:
        dtype: of the array that `read` gives.
        read: gives the array, a new one each time. Needs no open file, may be called by any thread, and can
            be pickled for another process.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]

    @classmethod
    def of(cls, array: np.ndarray) -> Stored:
        """An array in memory, or mapped into it."""
        return cls(array.shape, array.dtype, Held(array))

    @property
    def held(self) -> np.ndarray | None:
        """The array, where it is in memory already."""
        return self.read.array if isinstance(self.read, Held) else None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class Held:
    """A `Stored.read` of an array in memory."""

    array: np.ndarray

    def __call__(self) -> np.ndarray:
        return self.array
