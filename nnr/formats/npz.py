"""Tensors in `.npz` files: a zip archive with one `.npy` member for each tensor.

Names are kept exactly, whatever they contain (`/`, `..`, the empty name, names of numpy.savez's own
arguments), which is why the archive is written here member by member. The bytes depend only on the tensors.
Nothing is ever unpickled.

numpy has no bfloat16 and no 8-bit floats. As `numpy.save` does, such a tensor is stored as opaque elements
(`V2`, `V1`), which `numpy.load` reads and which cannot be mistaken for numbers; the type's name stands
in the comment of the zip member, where our reader finds it. To read one elsewhere, view it:
``np.load("x.npz")["w"].view(ml_dtypes.bfloat16)``.
"""

from __future__ import annotations

import math
import os
import stat
import tokenize
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from ..errors import FormatError
from .atomic import atomic_output
from .checks import check_shape, opened_zip, said
from .extras import ml_dtype
from .tensors import LazyTensors, Stored, each

__all__ = ["load", "read", "save", "source", "write"]

_WHAT = "an npz file"
_COMMENT = b"dtype="
_CHUNK_BYTES = 1 << 24


def load(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Tensors of the file `path`, in the order of its members.

    Raises:
        FormatError: not an npz file, damaged, or with Python objects in it.
        MissingExtraError: a type that needs `ml_dtypes`.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        return read(file)


def source(path: str | os.PathLike[str]) -> LazyTensors:
    """As `load`, with each array read when it is asked for."""
    entries: dict[str, Stored] = {}
    with open(path, "rb") as file, opened_zip(file, _WHAT) as archive:
        for name, member in _members(archive):
            with archive.open(member) as data:
                shape, _, dtype = _read_header(data, member, name)
            kind = _extended_dtype(member.comment, dtype, name) if dtype.kind == "V" else dtype
            entries[name] = Stored(shape, kind, partial(_read_member, os.path.abspath(path), name))
    return LazyTensors(entries)


def _read_member(path: str, name: str) -> np.ndarray:
    with open(path, "rb") as file, opened_zip(file, _WHAT) as archive:
        for found, member in _members(archive):
            if found == name:
                with archive.open(member) as data:
                    return _read_array(data, member, name)
    raise FormatError(f"{path}: array {name!r} is gone: the file was changed while in use")


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
) -> None:
    """Write `tensors` to `path`, complete or not at all.

    Args:
        like: not used; an npz file holds nothing but arrays.

    Raises:
        FormatError: a name or a type that the format cannot hold.
        OSError: the file cannot be written.
    """
    with atomic_output(path, overwrite=overwrite) as file:
        write(tensors, file)


def read(file: IO[bytes]) -> dict[str, np.ndarray]:
    """As `load`, from an open seekable file."""
    tensors: dict[str, np.ndarray] = {}
    with opened_zip(file, _WHAT) as archive:
        for name, member in _members(archive):
            with archive.open(member) as data:
                tensors[name] = _read_array(data, member, name)
    return tensors


def _members(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    names: set[str] = set()
    for member in archive.infolist():
        name = _tensor_name(member)
        if name in names:
            raise FormatError(f"two arrays are called {name!r}")
        names.add(name)
        yield name, member


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file, which need not be seekable."""
    target: Any = file if _is_seekable(file) else _Forward(file)
    with (
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive,
        each(tensors, tensors) as found,
    ):
        for name, tensor in found:
            _write_array(archive, name, np.asanyarray(tensor))
            del tensor  # before the next one is read


class _Forward:
    """A file that can only be written, which tells the archive not to go back for its headers."""

    def __init__(self, file: IO[bytes]) -> None:
        self.write = file.write
        self.flush = file.flush


def _is_seekable(file: IO[bytes]) -> bool:
    """True for regular files and memory; /dev/null seeks without an error, and to no effect."""
    try:
        return stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError, AttributeError):
        return file.seekable()


def _tensor_name(member: zipfile.ZipInfo) -> str:
    stored = member.orig_filename  # filename would have its separators changed on some systems
    if not stored.endswith(".npy"):
        raise FormatError(f"member {stored!r} is not an array; an npz file holds members NAME.npy")
    return stored[: -len(".npy")]


def _read_header(
    data: IO[bytes], member: zipfile.ZipInfo, name: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is in Fortran order, and type of an array."""
    try:
        version = npy.read_magic(data)
        if version not in ((1, 0), (2, 0)):
            raise FormatError(f"array {name!r}: npy version {version} is not supported")
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran_order, dtype = read_header(data)
    except (ValueError, SyntaxError, TypeError, tokenize.TokenError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        text = "its header is too long" if "max_header_size" in str(error) else said(error)
        raise FormatError(f"array {name!r}: {text}") from None
    if dtype.hasobject:
        raise FormatError(f"array {name!r} holds Python objects, which are never unpickled")
    if dtype.fields is not None or dtype.subdtype is not None or not dtype.itemsize:
        raise FormatError(f"array {name!r} has type {dtype}, which is not a tensor")
    check_shape(shape, dtype, f"array {name!r}")
    if math.prod(shape) * dtype.itemsize > member.file_size:
        raise FormatError(f"array {name!r} is shorter than its shape {shape} says")
    return shape, fortran_order, dtype


def _read_array(data: IO[bytes], member: zipfile.ZipInfo, name: str) -> np.ndarray:
    shape, fortran_order, dtype = _read_header(data, member, name)
    flat = np.empty(math.prod(shape), dtype)
    view = flat.view(np.uint8).data if flat.nbytes else memoryview(b"")
    done = 0
    while done < len(view):
        piece = data.read(min(_CHUNK_BYTES, len(view) - done))
        if not piece:
            raise FormatError(f"array {name!r} is shorter than its shape {shape} says")
        view[done : done + len(piece)] = piece
        done += len(piece)
    if data.read(1):  # reading to the end also has the archive's CRC-32 checked
        raise FormatError(f"array {name!r} is longer than its shape {shape} says")
    array = flat.reshape(shape, order="F" if fortran_order else "C")
    return array.view(_extended_dtype(member.comment, dtype, name)) if dtype.kind == "V" else array


def _extended_dtype(comment: bytes, dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """The type behind opaque elements: the one in the member's comment, else bfloat16 for two bytes."""
    if comment.startswith(_COMMENT):
        wanted = comment[len(_COMMENT) :].decode("ascii", "replace")
    elif dtype.itemsize == 2:
        wanted = "bfloat16"  # numpy.savez leaves no other two-byte type behind
    else:
        raise FormatError(f"array {name!r} holds elements of {dtype.itemsize} bytes of an unknown type")
    extended = ml_dtype(wanted, f"array {name!r}")
    if extended.itemsize != dtype.itemsize:
        raise FormatError(f"array {name!r}: elements of {dtype.itemsize} bytes are not of type {wanted}")
    return extended


def _write_array(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    if not isinstance(name, str):
        raise FormatError(f"tensor name {name!r} is not a string")
    if "\0" in name:
        raise FormatError(f"tensor name {name!r} holds a NUL, which an npz file cannot carry")
    try:
        length = len(name.encode("utf-8")) + len(".npy")
    except UnicodeEncodeError:
        raise FormatError(f"tensor name {name!r} is not Unicode text") from None
    if length > 0xFFFF:
        raise FormatError(f"tensor name {name[:40]!r}... is too long for an npz file ({length} bytes)")
    if array.dtype.hasobject:
        raise FormatError(f"tensor {name!r} holds Python objects, which an npz file is not to carry")
    member = zipfile.ZipInfo("tensor", (1980, 1, 1, 0, 0, 0))
    member.filename = name + ".npy"  # set afterwards: the constructor changes separators on some systems
    member.create_system = 3
    member.external_attr = 0o644 << 16
    if array.dtype.kind == "V" or array.dtype.isbuiltin == 2:
        member.comment = _COMMENT + array.dtype.name.encode("ascii")
        array = array.view(f"V{array.dtype.itemsize}")
    member.file_size = array.nbytes  # only for the choice of 64-bit sizes, which leaves room for the header
    with archive.open(member, "w") as file:
        npy.write_array(file, array, version=None, allow_pickle=False)
