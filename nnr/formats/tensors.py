"""What a model file gives: its tensors, at once or one by one, and the text metadata beside them."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FormatError

__all__ = ["Extent", "LazyTensors", "Stored", "Tensors", "nbytes_of"]


class Tensors(dict[str, np.ndarray]):
    """A dict of tensors in file order, with the file's own text metadata in `metadata`."""

    def __init__(
        self, tensors: Mapping[str, np.ndarray] | None = None, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(tensors or {})
        self.metadata: dict[str, str] = dict(metadata or {})


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor that is not in memory: its shape and type, and how to read it.

    Attributes:
        dtype: of the array that `read` gives.
        read: gives the array, a new one each time. Needs no open file, may be called by any thread, and can
            be pickled for another process.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], np.ndarray]


@dataclass(frozen=True, slots=True)
class Extent:
    """Little-endian elements that follow one another in a file: a `Stored.read`."""

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    name: str

    def __call__(self) -> np.ndarray:
        flat = np.empty(math.prod(self.shape), self.dtype)
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            if flat.nbytes and file.readinto(flat.view(np.uint8).data) != flat.nbytes:
                raise FormatError(f"{self.path}: tensor {self.name!r}: the file ended while it was read")
        if sys.byteorder == "big" and self.dtype.itemsize > 1:
            flat = flat.byteswap()
        return flat.reshape(self.shape)


class LazyTensors(Mapping[str, np.ndarray]):
    """Tensors of a model file, in file order; each access reads one of them anew.

    Shapes and types are known without reading. Nothing stays open between accesses, so that there is nothing
    to be closed, and one object serves any number of threads.

    Attributes:
        metadata: the file's own text metadata.
        ties: names of tensors that share the data of another one, and the name of that one.
    """

    def __init__(
        self,
        entries: Mapping[str, Stored],
        *,
        metadata: Mapping[str, str] | None = None,
        ties: Mapping[str, str] | None = None,
    ) -> None:
        self._entries = dict(entries)
        self.metadata: dict[str, str] = dict(metadata or {})
        self.ties: dict[str, str] = dict(ties or {})

    @classmethod
    def of(cls, tensors: Mapping[str, np.ndarray]) -> LazyTensors:
        """The same interface to tensors that are in memory, or mapped into it."""
        first: dict[tuple[Any, ...], str] = {}
        ties = {}
        for name, array in tensors.items():
            if array.size:
                key = array.ctypes.data, array.shape, array.strides, array.dtype
                if first.setdefault(key, name) != name:
                    ties[name] = first[key]
        entries = {name: Stored(a.shape, a.dtype, _Held(a)) for name, a in tensors.items()}
        return cls(entries, metadata=getattr(tensors, "metadata", None), ties=ties)

    def __getitem__(self, name: str) -> np.ndarray:
        """Read a tensor.

        Raises:
            KeyError: there is no such tensor.
            FormatError: the file is damaged there, or was changed since it was opened.
            OSError: the file cannot be read.
        """
        return self._entries[name].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor."""
        return self._entries[name].shape

    def dtype(self, name: str) -> np.dtype[Any]:
        """Type of a tensor."""
        return self._entries[name].dtype

    def stored(self, name: str) -> Stored:
        """Shape and type of a tensor, and the function that reads it."""
        return self._entries[name]

    def load(self) -> Tensors:
        """All tensors, those that are tied as one and the same array."""
        tensors = Tensors(metadata=self.metadata)
        for name in self:
            original = self.ties.get(name)
            tensors[name] = self[name] if original is None else tensors[original]
        return tensors


@dataclass(frozen=True, slots=True)
class _Held:
    array: np.ndarray

    def __call__(self) -> np.ndarray:
        return self.array


def nbytes_of(tensors: Mapping[str, np.ndarray], name: str) -> int:
    """Bytes of a tensor, without reading it where that can be avoided."""
    if isinstance(tensors, LazyTensors):
        return math.prod(tensors.shape(name)) * tensors.dtype(name).itemsize
    return tensors[name].nbytes
