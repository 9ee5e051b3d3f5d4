"""NNEF models: a folder of `graph.nnef` and one binary file for each variable.

The tensors are the variables, by label. The graph is text, and kept as it is when weights are put into a copy
of a model; a graph made here only declares its variables. A variable may also be coded: `LABEL.nnr` in the
place of `LABEL.dat` (see `nnr.formats.nnef.save`). Layout of the binary files: NNEF 1.0, 5.2.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import secrets
import shutil
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..errors import FormatError, NnrError
from .atomic import check_target
from .checks import check_shape
from .tensors import Extent, LazyTensors, Stored, Tensors, check_all_fit, fitted

__all__ = ["GRAPH", "load", "read", "save", "source", "topology", "write"]

GRAPH = "graph.nnef"

_MAGIC = b"\x4e\xef\x01\x00"
_HEADER_BYTES = 128
_MAX_RANK = 8
_MAX_GRAPH_BYTES = 1 << 26
_LABEL_BYTES = 250  # file systems have names of 255 bytes at most
#: Type of the elements and their bits; bits of a bool are packed.
_ITEM_TYPES = {
    (0, 16): "float16", (0, 32): "float32", (0, 64): "float64",
    (1, 8): "uint8", (1, 16): "uint16", (1, 32): "uint32", (1, 64): "uint64",
    (4, 8): "int8", (4, 16): "int16", (4, 32): "int32", (4, 64): "int64",
    (5, 1): "bool", (5, 8): "bool",
}  # fmt: skip
_CODES = {name: code for code, name in reversed(_ITEM_TYPES.items())}

_COMMENT = re.compile(r"#[^\n]*")
_STRING = r"""(?:'(?P<{0}1>[^'\n]*)'|"(?P<{0}2>[^"\n]*)")"""
_VARIABLE = re.compile(r"\bvariable\s*(?:<\s*\w+\s*>\s*)?\((?P<arguments>[^()]*)\)")
_LABEL = re.compile(r"\blabel\s*=\s*" + _STRING.format("label"))
_SHAPE = re.compile(r"\bshape\s*=\s*\[(?P<shape>[\d\s,]*)\]")


def load(path: str | os.PathLike[str]) -> Tensors:
    """Variables of a model, in the order of the graph.

    Args:
        path: the folder, or the file `graph.nnef` in it.

    Raises:
        FormatError: not an NNEF model, damaged, or with a quantized variable.
        OSError: a file cannot be read.
    """
    return source(path).load()


def source(path: str | os.PathLike[str]) -> LazyTensors:
    """As `load`, with each variable read when it is asked for."""
    folder = _folder(path)
    entries: dict[str, Stored] = {}
    for label, shape in _variables(_graph(folder)):
        place = folder.joinpath(*label.split("/"))
        data, coded = Path(f"{place}.dat"), Path(f"{place}.nnr")
        if not data.is_file() and coded.is_file():
            entries[label] = _coded(coded, label)
        elif data.is_file():
            entries[label] = _stored(data, label)
        else:
            raise FormatError(f"variable {label!r}: there is no {label}.dat")
        if shape and entries[label].shape != shape:
            found = list(entries[label].shape)
            raise FormatError(f"variable {label!r} has the shape {list(shape)}, its data {found}")
    return LazyTensors(entries)


def read(file: IO[bytes]) -> Tensors:
    """An NNEF model is a folder, and cannot be read from an open file."""
    raise FormatError("an NNEF model is a folder, not one file: give its path")


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
    coded: Mapping[str, Any] | None = None,
) -> None:
    """Write a model into the folder `path`, complete or not at all.

    Args:
        like: a model; a copy of its folder is written, with these variables.
        topology: the text of a graph.
        coded: write variables as bitstreams, `.nnr` in the place of `.dat`, with these options of
            `nnr.save_file`.

    Raises:
        FormatError: a label or type that NNEF cannot hold, a variable without a place in the graph, or one
            that is missing.
        FileExistsError: the folder exists and `overwrite` is false.
        OSError: a file cannot be written.
    """
    target = _folder(path, must_exist=False)
    for label in tensors:
        _checked_label(label)
    _check_places(list(tensors))
    ready = {name: np.asarray(array) for name, array in tensors.items()}
    if like is not None:
        original = source(like)
        check_all_fit(ready, original, os.fspath(like))
        where = os.fspath(like)
        ready = {n: fitted(n, a, original.shape(n), original.dtype(n), where) for n, a in ready.items()}
    elif topology is not None:
        declared = dict(_variables(_text(topology)))
        check_all_fit(ready, declared, "the topology")
        missing = next((label for label in declared if label not in ready), None)
        if missing is not None:
            raise FormatError(f"the topology has the variable {missing!r}, which the bitstream lacks")
        graph = topology
    else:
        graph = _declarations(ready).encode("utf-8")
    with _atomic_folder(target, overwrite=overwrite) as folder:
        if like is not None:
            shutil.copytree(_folder(like), folder, dirs_exist_ok=True)
        else:
            (folder / GRAPH).write_bytes(graph)
        for label, array in ready.items():
            place = folder.joinpath(*_checked_label(label).split("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            _write_variable(place, label, array, coded)


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """An NNEF model is a folder, and cannot be written to an open file."""
    raise FormatError("an NNEF model is a folder, not one file: give a path")


def topology(path: str | os.PathLike[str]) -> bytes:
    """The text of the graph.

    Raises:
        FormatError: as for `load`.
    """
    text = _graph(_folder(path))
    list(_variables(text))
    return text.encode("utf-8")


def _folder(path: str | os.PathLike[str], *, must_exist: bool = True) -> Path:
    found = Path(path)
    if found.name == GRAPH and not found.is_dir():
        found = found.parent
    if must_exist and found.exists() and not found.is_dir():
        raise FormatError("an NNEF model is a folder, not a file")
    return found


def _graph(folder: Path) -> str:
    try:
        with open(folder / GRAPH, "rb") as file:
            data = file.read(_MAX_GRAPH_BYTES + 1)
    except FileNotFoundError:
        if not folder.exists():
            raise
        raise FormatError(f"not an NNEF model: the folder has no {GRAPH}") from None
    return _text(data)


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{GRAPH} is not UTF-8 text") from None
    if len(data) > _MAX_GRAPH_BYTES or not re.search(r"\bgraph\b", text):
        raise FormatError(f"{GRAPH} has no graph in it, or is too large")
    return text


def _variables(text: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Labels and shapes of the variables that a graph declares."""
    seen: set[str] = set()
    for found in _VARIABLE.finditer(_COMMENT.sub("", text)):
        label = _LABEL.search(found["arguments"])
        shape = _SHAPE.search(found["arguments"])
        if label is None or shape is None:
            raise FormatError(f"{GRAPH}: a variable without a label or a shape: {found[0][:80]!r}")
        name = _checked_label(label["label1"] if label["label1"] is not None else label["label2"])
        if name not in seen:
            numbers = [n.strip() for n in shape["shape"].split(",") if n.strip()]
            if not all(n.isdecimal() and len(n) < 20 for n in numbers):
                raise FormatError(f"{GRAPH}: variable {name!r} has the shape [{shape['shape'][:80]}]")
            yield name, tuple(map(int, numbers))
        seen.add(name)


def _check_places(labels: Iterable[str]) -> None:
    """No file of a variable is to stand where another one needs a folder."""
    folders = {label.rpartition("/")[0]: label for label in labels if "/" in label}
    for folder, label in list(folders.items()):
        while folder:
            folders.setdefault(folder, label)
            folder = folder.rpartition("/")[0]
    files = {f"{label}{end}": label for label in labels for end in (".dat", ".nnr")} | {GRAPH: GRAPH}
    for file, label in files.items():
        if file in folders:
            raise FormatError(f"tensors {label!r} and {folders[file]!r}: {file} would be a file and a folder")


def _checked_label(label: str) -> str:
    parts = label.split("/")
    try:
        long = max(len(part.encode("utf-8")) for part in parts) > _LABEL_BYTES
    except UnicodeEncodeError:
        raise FormatError(f"variable {label!r}: the label is not Unicode text") from None
    if long:
        raise FormatError(f"variable {label[:80]!r}...: the label is too long for the name of a file")
    if any(part in ("", ".", "..") for part in parts) or any(c in label for c in "\\\0'\"\n:"):
        raise FormatError(f"variable {label!r}: the label is no relative path that NNEF can have")
    return label


def _stored(path: Path, label: str) -> Stored:
    """Shape and type of a binary file, checked against its size."""
    with open(path, "rb") as file:
        header = file.read(_HEADER_BYTES)
        size = os.fstat(file.fileno()).st_size
    if len(header) < _HEADER_BYTES or header[:2] != _MAGIC[:2]:
        raise FormatError(f"{path}: not a tensor file of NNEF")
    nbytes, rank = struct.unpack_from("<II", header, 4)
    if rank > _MAX_RANK or header[2] != 1:
        raise FormatError(f"{path}: version {header[2]}.{header[3]} and rank {rank} are not supported")
    shape = struct.unpack_from(f"<{rank}I", header, 12)
    bits, kind = struct.unpack_from("<II", header, 44)
    name = _ITEM_TYPES.get((kind, bits))
    if name is None:
        raise FormatError(f"variable {label!r}: elements of type {kind} with {bits} bits are not supported")
    check_shape(shape, np.dtype(name), f"{path}: variable {label!r}")
    expected = (math.prod(shape) * bits + 7) // 8
    if nbytes != expected or size < _HEADER_BYTES + expected:
        raise FormatError(f"{path}: {size} bytes are too few for the shape {list(shape)} of {name}")
    place = os.path.abspath(path)
    if bits == 1:
        packed = Extent(place, _HEADER_BYTES, (expected,), np.dtype(np.uint8), label)
        return Stored(shape, np.dtype(bool), _Bits(packed, shape))
    return Stored(shape, np.dtype(name), Extent(place, _HEADER_BYTES, shape, np.dtype(name), label))


@dataclass(frozen=True, slots=True)
class _Bits:
    """A `Stored.read` of packed bits, the first one highest."""

    packed: Extent
    shape: tuple[int, ...]

    def __call__(self) -> np.ndarray:
        flat = np.unpackbits(self.packed(), count=math.prod(self.shape))
        return flat.astype(bool).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """A `Stored.read` of a coded variable."""

    path: str

    def __call__(self) -> np.ndarray:
        from ..files import load_file

        try:
            (array,) = load_file(self.path).values()
        except NnrError as error:
            raise FormatError(f"{self.path}: {error}") from error
        return array


def _coded(path: Path, label: str) -> Stored:
    from ..decoder.lazy import open_file
    from ..dtypes import dtype_named

    try:
        with open_file(path) as file:
            if len(file) != 1:
                raise FormatError(f"{path}: {len(file)} tensors, and the variable {label!r} is one")
            info = file.info(next(iter(file)))
            return Stored(info["shape"], dtype_named(info["dtype"]), _Decoded(os.path.abspath(path)))
    except FormatError:
        raise
    except NnrError as error:
        raise FormatError(f"{path}: {error}") from error


def _write_variable(place: Path, label: str, array: np.ndarray, coded: Mapping[str, Any] | None) -> None:
    if coded is not None:
        from ..files import save_file

        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{place}.dat")
        save_file({label: array}, f"{place}.nnr", **coded)
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{place}.nnr")
    code = _CODES.get(array.dtype.name)
    if code is None or array.ndim > _MAX_RANK:
        raise FormatError(f"tensor {label!r}: NNEF cannot hold {array.ndim} dimensions of {array.dtype}")
    kind, bits = code
    if bits == 1:
        data = np.packbits(array.reshape(-1)).tobytes()
    else:
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    dimensions = list(array.shape) + [0] * (_MAX_RANK - array.ndim)
    if len(data) >= 1 << 32:
        raise FormatError(f"tensor {label!r}: its {len(data)} bytes are too many for NNEF")
    header = _MAGIC + struct.pack("<12I", len(data), array.ndim, *dimensions, bits, kind)
    with open(f"{place}.dat", "wb") as file:
        file.write(header.ljust(_HEADER_BYTES, b"\0"))
        file.write(data)


def _declarations(tensors: Mapping[str, np.ndarray]) -> str:
    """A graph that does nothing but declare variables; the grammar wants an input."""
    types = {"f": "scalar", "b": "logical"}
    lines = ["    input = external<scalar>(shape = []);"]
    for k, (label, array) in enumerate(tensors.items()):
        kind = types.get(array.dtype.kind, "integer")
        shape = ", ".join(map(str, array.shape))
        arguments = f"shape = [{shape}], label = '{_checked_label(label)}'"
        lines.append(f"    variable{k} = variable<{kind}>({arguments});")
    results = ", ".join(f"variable{k}" for k in range(len(tensors))) or "input"
    return "\n".join(["version 1.0;", "", f"graph weights( input ) -> ( {results} )", "{", *lines, "}", ""])


@contextlib.contextmanager
def _atomic_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A new folder, which takes the place of `target` when the block ends without an exception."""
    if target.exists() and not target.is_dir():
        raise FormatError("an NNEF model is a folder, and there is a file of that name")
    if target.is_dir() and any(target.iterdir()) and not (target / GRAPH).is_file():
        raise FormatError(f"a folder that is no NNEF model is not replaced: it has no {GRAPH}")
    if target.is_dir():
        if not overwrite:
            raise FileExistsError(17, "File exists", os.fspath(target))
    else:
        check_target(target, overwrite=overwrite)
    made = target.with_name(f".{target.name[:64]}.{secrets.token_hex(6)}.tmp")
    old = made.with_suffix(".old")
    try:
        made.mkdir()
        yield made
        if target.exists():
            os.replace(target, old)
        os.replace(made, target)
    except BaseException:
        if old.exists() and not target.exists():
            os.replace(old, target)
        raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
