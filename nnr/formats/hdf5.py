"""HDF5 files of weights, `.h5`: those of Keras 3 (`.weights.h5`), of earlier Keras, and others (extra
`nnr[keras]`).

A tensor is a dataset of numbers, and its name the path of the dataset. Groups, attributes and datasets of
other types are no tensors; they are kept when weights are put into a copy of a file. Links out of a file,
and data outside of it, are not followed.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_output, atomic_path
from .checks import proportionate, said
from .extras import ml_dtype, require
from .tensors import LazyTensors, Stored, Tensors, check_all_fit, fitted

__all__ = [
    "build",
    "fill",
    "load",
    "opened",
    "parse_skeleton",
    "read",
    "save",
    "skeleton",
    "source",
    "tensors_of",
    "topology",
    "write",
]

_TYPE = "dtype"  # attribute with which Keras marks bfloat16, stored as opaque elements of two bytes


def _h5py() -> Any:
    return require("h5py", "keras", "an HDF5 file")


def load(path: str | os.PathLike[str]) -> Tensors:
    """Tensors of the file `path`, by the paths of their datasets.

    Raises:
        FormatError: not an HDF5 file, damaged, or with data that stand elsewhere.
        MissingExtraError: h5py is not installed, or `ml_dtypes` and a tensor needs it.
        OSError: the file cannot be read.
    """
    return source(path).load()


def source(path: str | os.PathLike[str]) -> LazyTensors:
    """As `load`, with each dataset read when it is asked for."""
    place = os.path.abspath(path)
    size = os.path.getsize(path)
    entries: dict[str, Stored] = {}
    notes: list[str] = []
    with opened(path) as file:
        for name, dataset in _bounded(file, size, notes):
            read_it = partial(_read_one, place, name)
            entries[name] = Stored(tuple(dataset.shape), _dtype(dataset, name), read_it)
    lazy = LazyTensors(entries)
    lazy.notes = notes
    return lazy


def read(file: IO[bytes]) -> Tensors:
    """As `load`, from an open file, which is read as a whole."""
    data = file.read()
    with opened(io.BytesIO(data)) as weights:
        return tensors_of(weights, len(data))


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
) -> None:
    """Write datasets to `path`, complete or not at all.

    Args:
        like: a file; a copy of it is written, with these tensors in it.
        topology: groups and attributes, as `topology` gives them.

    Raises:
        FormatError: a name or type that HDF5 cannot hold, or a tensor that has no place in `like`.
        MissingExtraError: h5py is not installed.
        OSError: the file cannot be written.
    """
    if like is None:
        with atomic_output(path, overwrite=overwrite) as output:
            build(tensors, output, None if topology is None else parse_skeleton(topology))
        return
    with opened(like):
        pass
    with atomic_path(path, overwrite=overwrite) as target:
        shutil.copyfile(like, target)
        with opened(target, "r+") as file:
            fill(file, tensors, os.fspath(like))


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file."""
    build(tensors, file, None)


def topology(path: str | os.PathLike[str]) -> bytes:
    """What is no tensor, as JSON: attributes, among them the configuration of a model.

    Raises:
        FormatError: as for `load`.
    """
    with opened(path) as file:
        return json.dumps({"hdf5": skeleton(file)}, sort_keys=True).encode("utf-8")


def parse_skeleton(topology: bytes) -> Any:
    """The groups and attributes of a topology.

    Raises:
        FormatError: it is none of an HDF5 file.
    """
    try:
        found = json.loads(topology)["hdf5"]
        if isinstance(found, dict) and all(isinstance(attributes, dict) for attributes in found.values()):
            return found
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise FormatError("the topology is not that of an HDF5 file")


def tensors_of(file: Any, size: int) -> Tensors:
    """Tensors of an open HDF5 file whose bytes are `size`."""
    tensors = Tensors()
    for name, dataset in _bounded(file, size, tensors.notes):
        tensors[name] = _values(dataset, name)
    return tensors


def fill(file: Any, tensors: Mapping[str, np.ndarray], where: str) -> None:
    """Put tensors into the datasets of an open file."""
    places = dict(_datasets(file, []))
    check_all_fit(tensors, places, where)
    for name, dataset in places.items():
        if name in tensors:
            array = fitted(name, np.asarray(tensors[name]), dataset.shape, _dtype(dataset, name), where)
            stored = dataset.dtype
            dataset[...] = array.view(stored) if stored.kind == "V" else array.astype(stored)


def build(tensors: Mapping[str, np.ndarray], output: IO[bytes], groups: Any) -> None:
    """Write a new file, with the groups and attributes of a skeleton if there is one."""
    buffer = io.BytesIO()
    h5py = _h5py()
    with h5py.File(buffer, "w") as file:
        for path in groups or {}:
            if path != "/" and path.strip("/") not in tensors:
                with _about(path):
                    file.require_group(path)
        for name, value in tensors.items():
            _create(file, name, np.asarray(value))
        for path, attributes in (groups or {}).items():
            with _about(path):
                for key, value in attributes.items():
                    file[path].attrs[key] = _from_json(value)
    output.write(buffer.getbuffer())


def skeleton(file: Any) -> dict[str, dict[str, Any]]:
    """Attributes by the path of the group or dataset that has them."""
    found = {"/": _attributes(file, "/")}

    def visit(name: str, item: Any) -> None:
        found["/" + name] = _attributes(item, name)

    with _damage():
        file.visititems(visit)
    return found


@contextlib.contextmanager
def opened(path: Any, mode: str = "r") -> Iterator[Any]:
    h5py = _h5py()
    if not isinstance(path, io.BytesIO):
        with open(path, "rb"):  # says better than HDF5 why it cannot be opened
            pass
    with _damage():
        file = h5py.File(path, mode)
    try:
        yield file
    finally:
        file.close()


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """What HDF5 raises is about the file."""
    try:
        yield
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, UnicodeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"not an HDF5 file, or damaged: {said(error)}") from None


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"an HDF5 file cannot hold {path!r}: {said(error)}") from None


def _datasets(file: Any, notes: list[str]) -> Iterator[tuple[str, Any]]:
    """Datasets of numbers, in the order of the file; each once, whatever links lead to it."""
    h5py = _h5py()
    found: list[tuple[str, Any]] = []

    def visit(name: str, item: Any) -> None:
        if not isinstance(item, h5py.Dataset):
            return
        if item.is_virtual or item.external:
            raise FormatError(f"the data of dataset {name!r} stand in another file, which is not read")
        numeric = item.dtype.kind in "biufc" and item.dtype.names is None
        if item.shape is None or not (numeric or _is_bfloat16(item)):
            notes.append(f"dataset {name} is no tensor: left out")
        else:
            found.append((name, item))

    def link(name: bytes, info: Any) -> None:
        if info.type == h5py.h5l.TYPE_EXTERNAL:
            notes.append(f"link {os.fsdecode(name)} leads to another file, which is not read: left out")

    with _damage():
        file.visititems(visit)
        file.id.links.visit(link, info=True)
    yield from found


def _bounded(file: Any, size: int, notes: list[str]) -> Iterator[tuple[str, Any]]:
    """As `_datasets`, of a file whose bytes are `size`: what was never written takes memory too."""
    total = 0
    for name, dataset in _datasets(file, notes):
        total += dataset.nbytes
        proportionate(total, size, f"dataset {name!r}, with those before it,")
        yield name, dataset


def _dtype(dataset: Any, name: str) -> np.dtype[Any]:
    if _is_bfloat16(dataset):
        return ml_dtype("bfloat16", f"dataset {name!r}")
    kind: np.dtype[Any] = np.dtype(dataset.dtype)
    return kind.newbyteorder("=")


def _is_bfloat16(dataset: Any) -> bool:
    """Marked by Keras, whatever holds the values: two opaque bytes, or floats."""
    kind = dataset.dtype
    if kind.kind != "f" and not (kind.kind == "V" and kind.itemsize == 2 and kind.names is None):
        return False
    marked = dataset.attrs.get(_TYPE)
    return bool(isinstance(marked, str | bytes) and marked in ("bfloat16", b"bfloat16"))


def _values(dataset: Any, name: str) -> np.ndarray:
    with _damage():
        array, dtype = np.asarray(dataset[()]), _dtype(dataset, name)
        return (array.view(dtype) if array.dtype.kind == "V" else array.astype(dtype)).reshape(dataset.shape)


def _read_one(path: str, name: str) -> np.ndarray:
    with opened(path) as file:
        try:
            dataset = file[name]
        except KeyError:
            raise FormatError(f"{path}: dataset {name!r} is gone: the file was changed") from None
        return _values(dataset, name)


def _create(file: Any, name: str, array: np.ndarray) -> None:
    if not name.strip("/") or "\0" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise FormatError(f"tensor {name!r}: the name is no path that an HDF5 file can have")
    marked = array.dtype.name == "bfloat16"
    if marked:
        array = array.view("V2")
    elif array.dtype.kind not in "biufc" or array.dtype.isbuiltin == 2:
        raise FormatError(f"tensor {name!r} has type {array.dtype}, which an HDF5 file cannot hold")
    with _about(name):
        dataset = file.create_dataset(name, data=array)
    if marked:
        dataset.attrs[_TYPE] = "bfloat16"


def _attributes(item: Any, name: str) -> dict[str, Any]:
    """Attributes that JSON can hold: numbers, text, and arrays of them."""
    with _damage():
        return {key: _to_json(value, f"{key!r} of {name!r}") for key, value in sorted(item.attrs.items())}


def _to_json(value: Any, what: str) -> Any:
    if isinstance(value, np.ndarray):
        inner = [_to_json(element, what) for element in value.ravel().tolist()]
        return {"array": inner, "shape": list(value.shape), "dtype": value.dtype.str}
    if isinstance(value, bytes | np.bytes_):
        return {"bytes": value.decode("latin-1")}
    if isinstance(value, np.generic):
        return {"array": [value.item()], "dtype": value.dtype.str}
    if isinstance(value, bool | int | float | str):
        return value
    if type(value).__name__ == "Empty":
        return {"empty": True}
    raise FormatError(f"attribute {what} is of type {type(value).__name__}, which a topology cannot carry")


def _from_json(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    h5py = _h5py()
    if "bytes" in value:
        return np.bytes_(value["bytes"].encode("latin-1"))
    if "empty" in value:
        return h5py.Empty("f")
    elements = [_from_json(element) for element in value["array"]]
    kind = np.dtype(value["dtype"])
    if kind.kind == "O":
        made = np.array(elements, dtype=h5py.string_dtype())
    else:
        made = np.array(elements, dtype=kind)
    return made.reshape(value["shape"]) if "shape" in value else made[0]
