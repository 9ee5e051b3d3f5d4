"""What a model file gives: its tensors, at once or one by one, and the text metadata beside them."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..dtypes import is_float
from ..errors import FormatError
from ..stored import Stored

__all__ = [
    "Extent",
    "LazyTensors",
    "Stored",
    "Tensors",
    "check_all_fit",
    "each",
    "fitted",
    "stored_of",
]


class Tensors(dict[str, np.ndarray]):
    """A dict of tensors in file order.

    Attributes:
        metadata: the file's own text metadata.
        notes: one line for each thing in the file that is no tensor and was left out.
        exact: tensors that are arguments of operations (a scale, a bound) more than weights: quantizing them
            may change what the model does altogether.
    """

    def __init__(
        self, tensors: Mapping[str, np.ndarray] | None = None, *, metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(tensors or {})
        self.metadata: dict[str, str] = dict(metadata or {})
        self.notes: list[str] = []
        self.exact: list[str] = []


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
        notes, exact: as of `Tensors`.
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
        self.notes: list[str] = []
        self.exact: list[str] = []

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
        entries = {name: Stored.of(array) for name, array in tensors.items()}
        lazy = cls(entries, metadata=getattr(tensors, "metadata", None), ties=ties)
        lazy.notes = list(getattr(tensors, "notes", ()))
        lazy.exact = list(getattr(tensors, "exact", ()))
        return lazy

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

    def each(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Names and tensors in the order asked for, each read at its turn. Errors as of reading one."""
        return ((name, self[name]) for name in names)

    def load(self) -> Tensors:
        """All tensors, those that are tied as one and the same array."""
        tensors = Tensors(metadata=self.metadata)
        tensors.notes, tensors.exact = list(self.notes), list(self.exact)
        for name in self:
            original = self.ties.get(name)
            tensors[name] = self[name] if original is None else tensors[original]
        return tensors


def stored_of(tensors: Mapping[str, np.ndarray], name: str) -> Stored:
    """Shape and type of a tensor, without reading it where that can be avoided."""
    if isinstance(tensors, LazyTensors):
        return tensors.stored(name)
    return Stored.of(np.asanyarray(tensors[name]))


@contextlib.contextmanager
def each(
    tensors: Mapping[str, np.ndarray], names: Iterable[str]
) -> Iterator[Iterator[tuple[str, np.ndarray]]]:
    """Names and tensors in the order of `names`, each read at its turn; nothing is read after the block."""
    found = tensors.each(names) if isinstance(tensors, LazyTensors) else ((n, tensors[n]) for n in names)
    try:
        yield found
    finally:
        if isinstance(found, Generator):
            found.close()


def fitted(
    name: str, array: np.ndarray, shape: Sequence[int], dtype: np.dtype[Any], where: str
) -> np.ndarray:
    """`array` as the place of tensor `name` in a container wants it.

    A stream without metadata gives float32 and leaves out dimensions of 1; anything else that differs is no
    tensor of this container.

    Raises:
        FormatError: the shape differs, or one is a number of another kind.
    """
    wanted = tuple(shape)
    if array.shape != wanted:
        if [n for n in array.shape if n != 1] != [n for n in wanted if n != 1]:
            raise FormatError(
                f"tensor {name!r} has the shape {list(array.shape)}, that of {where} {list(wanted)}"
            )
        array = array.reshape(wanted)
    if array.dtype != dtype:
        if is_float(array.dtype) != is_float(dtype):
            raise FormatError(f"tensor {name!r} is of type {array.dtype}, that of {where} of type {dtype}")
        array = array.astype(dtype)
    return array


def check_all_fit(names: Iterable[str], container: Container[str], where: str) -> None:
    """Every tensor must have a place in the container.

    Raises:
        FormatError: one has none.
    """
    strange = next((name for name in names if name not in container), None)
    if strange is not None:
        raise FormatError(f"{where} has no tensor {strange!r}")
