"""Tensors in `.safetensors` files; needs the extra `nnr[safetensors]`.

The package `safetensors` checks and writes the files. Values are read here by the offsets of the
checked header, because its numpy interface has no bfloat16 and no 8-bit floats; those need the extra
`nnr[bfloat16]`. The text metadata of a file is kept in the attribute `metadata` of the result.
"""

from __future__ import annotations

import errno
import io
import json
import math
import os
import sys
from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_path
from .extras import ml_dtype, require
from .tensors import Tensors

__all__ = ["load", "read", "save", "write"]

_NUMPY = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
_WRITABLE = frozenset(_NUMPY.values()) | frozenset(list(_ML_DTYPES.values())[:4])


def _package(module: str = "safetensors") -> Any:
    return require(module, "safetensors", "a .safetensors file")


def load(path: str | os.PathLike[str]) -> Tensors:
    """Tensors of the file `path`, in the order of their data.

    Raises:
        FormatError: not a safetensors file, damaged, or with a type that numpy cannot hold.
        MissingExtraError: `safetensors` is not installed, or `ml_dtypes` and a tensor needs it.
        OSError: the file cannot be read.
    """
    package = _package()
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 8:
            raise FormatError("not a safetensors file: shorter than 8 bytes")
        try:
            with package.safe_open(os.fspath(path), framework="np"):
                pass  # opening checks the header against the size of the file
        except package.SafetensorError as error:
            raise FormatError(f"not a safetensors file, or damaged: {error}") from None
        return _read_checked(file)


def read(file: IO[bytes]) -> Tensors:
    """As `load`, from an open file, which is read as a whole."""
    package = _package()
    data = file.read()
    try:
        package.deserialize(data)
    except package.SafetensorError as error:
        raise FormatError(f"not a safetensors file, or damaged: {error}") from None
    return _read_checked(io.BytesIO(data))


def save(tensors: Mapping[str, np.ndarray], path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write `tensors`, and their text metadata if they have any, to `path`, complete or not at all.

    Raises:
        FormatError: a name or a type that the format cannot hold.
        MissingExtraError: `safetensors` is not installed.
        OSError: the file cannot be written.
    """
    package = _package("safetensors.numpy")
    ready = {name: _writable(name, tensor) for name, tensor in tensors.items()}
    with atomic_path(path, overwrite=overwrite) as target:
        if target.is_file():
            try:
                package.save_file(ready, os.fspath(target), metadata=_metadata(tensors))
            except _package().SafetensorError as error:
                text = str(error)
                if "os error" in text:  # a full disk, say, which the package wraps
                    raise OSError(errno.EIO, text, os.fspath(path)) from None
                raise FormatError(text) from None
        else:
            target.write_bytes(package.save(ready, metadata=_metadata(tensors)))


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file."""
    ready = {name: _writable(name, tensor) for name, tensor in tensors.items()}
    file.write(_package("safetensors.numpy").save(ready, metadata=_metadata(tensors)))


def _read_checked(file: io.BufferedIOBase) -> Tensors:
    """Read a file whose header has been checked: offsets are in order, without gaps, inside the file."""
    header_bytes = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(header_bytes))
    tensors = Tensors(metadata=header.pop("__metadata__", None) or {})
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype = _dtype(name, entry["dtype"])
        shape = tuple(entry["shape"])
        flat = np.empty(math.prod(shape), dtype)
        begin, end = entry["data_offsets"]
        if end - begin != flat.nbytes:
            raise FormatError(f"tensor {name!r}: {end - begin} bytes for shape {shape} of {entry['dtype']}")
        file.seek(8 + header_bytes + begin)
        if flat.nbytes and file.readinto(flat.view(np.uint8).data) != flat.nbytes:
            raise FormatError(f"tensor {name!r}: the file ended while it was read")
        if sys.byteorder == "big" and dtype.itemsize > 1:
            flat = flat.byteswap()
        tensors[name] = flat.reshape(shape)
    return tensors


def _dtype(name: str, code: str) -> np.dtype[Any]:
    if code in _NUMPY:
        return np.dtype(_NUMPY[code])
    if code in _ML_DTYPES:
        return ml_dtype(_ML_DTYPES[code], f"tensor {name!r}")
    raise FormatError(f"tensor {name!r} has type {code}, which is not supported")


def _writable(name: str, tensor: np.ndarray) -> np.ndarray:
    array = np.asarray(tensor, order="C")
    if array.dtype.name not in _WRITABLE:
        raise FormatError(f"tensor {name!r} has type {array.dtype}, which a safetensors file cannot hold")
    if name == "__metadata__":
        raise FormatError("a safetensors file cannot hold a tensor called '__metadata__'")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError(f"tensor name {name!r} is not Unicode text") from None
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _metadata(tensors: Mapping[str, np.ndarray]) -> dict[str, str] | None:
    return getattr(tensors, "metadata", None) or None
