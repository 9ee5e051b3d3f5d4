"""Model files in and out: one module for each format, imported when a file needs it.

A format is known by the extension of the file's name, in either case. Each module has `load` and `save` for
paths, and `read` and `write` for open files; `source` where tensors can be read one by one. Outputs appear
complete or not at all.
"""

from __future__ import annotations

import importlib
import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from ..syntax.constants import TopologyStorageFormat
from ..topology import Topology
from .atomic import atomic_output, atomic_path, check_target, folder_for_scratch
from .tensors import LazyTensors, Tensors

__all__ = [
    "FORMATS",
    "LazyTensors",
    "Tensors",
    "atomic_output",
    "atomic_path",
    "check_target",
    "folder_for_scratch",
    "format_module",
    "format_of",
    "load_tensors",
    "open_source",
    "save_tensors",
    "sniff",
    "topology_for",
    "topology_of",
]

#: Formats by extension.
_EXTENSIONS = {
    ".npz": "npz",
    ".safetensors": "safetensors",
    ".safetensors.index.json": "safetensors",
    ".pt": "pt",
    ".pth": "pt",
    ".onnx": "onnx",
    ".h5": "h5",
    ".hdf5": "h5",
    ".keras": "keras",
    ".nnef": "nnef",
}
_MODULES = {
    "npz": "npz",
    "safetensors": "safetensors",
    "pt": "pytorch",
    "onnx": "onnx",
    "h5": "hdf5",
    "keras": "keras",
    "nnef": "nnef",
}

#: How the topology of a model of each format is stored in a bitstream.
_STORAGE = {
    "safetensors": TopologyStorageFormat.NNR_TPL_PYT,
    "pt": TopologyStorageFormat.NNR_TPL_PYT,
    "onnx": TopologyStorageFormat.NNR_TPL_ONNX,
    "h5": TopologyStorageFormat.NNR_TPL_TEF,
    "keras": TopologyStorageFormat.NNR_TPL_TEF,
    "nnef": TopologyStorageFormat.NNR_TPL_NNEF,
}

#: Names of the formats.
FORMATS = tuple(_MODULES)


def format_of(path: str | os.PathLike[str]) -> str:
    """Name of the format of a file called `path`.

    Raises:
        FormatError: the extension is of no supported format; the message says which there are.
    """
    if Path(path, "graph.nnef").is_file():
        return "nnef"
    name = Path(path).name.lower()
    for extension, format_name in _EXTENSIONS.items():
        if name.endswith(extension) and name != extension:
            return format_name
    known = ", ".join(_EXTENSIONS)
    extension = Path(path).suffix.lower()
    found = f"files of type {extension}" if extension else "files without an extension"
    if os.path.isdir(path):
        found = "folders without a graph.nnef"
    raise FormatError(f"{found} are not supported; supported are {known}")


def format_module(name: str) -> Any:
    """The module that reads and writes the format called `name`, one of `FORMATS`."""
    if name not in FORMATS:
        raise ValueError(f"no format is called {name!r}; there are {', '.join(FORMATS)}")
    return importlib.import_module(f".{_MODULES[name]}", __name__)


def sniff(data: bytes) -> str:
    """Name of the format of a file by its content.

    Raises:
        FormatError: it looks like none.
    """
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        names = _member_names(data)
        if "model.weights.h5" in names:
            return "keras"
        return "pt" if any(name.endswith("data.pkl") for name in names) else "npz"
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return "h5"
    if data[8:9] == b"{":
        return "safetensors"
    if data[:1] == b"\x08" and len(data) > 2:  # ir_version, the first field of the message
        return "onnx"
    raise FormatError("not a model file of a format that is known by its first bytes")


def _member_names(data: bytes) -> list[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError):
        return []


def load_tensors(
    path: str | os.PathLike[str], format_name: str | None = None, *, key: str | None = None
) -> dict[str, np.ndarray]:
    """Tensors of a model file, in the order of the file.

    Args:
        format_name: one of `FORMATS`, where the extension does not tell.
        key: the part of a nested checkpoint that has the tensors.

    Raises:
        FormatError: unsupported extension, or a file that is not what its name says.
        MissingExtraError: the format needs a package that is not installed.
        OSError: the file cannot be read.
    """
    name = format_name or format_of(path)
    tensors: dict[str, np.ndarray] = format_module(name).load(path, **_part(name, key))
    return tensors


def _part(format_name: str, key: str | None) -> dict[str, str]:
    if key is not None and format_name != "pt":
        raise FormatError(f"a .{format_name} file has no nested parts, of which a key could choose one")
    return {} if key is None else {"key": key}


def open_source(
    path: str | os.PathLike[str], format_name: str | None = None, *, key: str | None = None
) -> LazyTensors:
    """As `load_tensors`, with each tensor read when it is asked for; shapes and types are known before.

    Formats that cannot be read in parts are read as a whole.
    """
    name = format_name or format_of(path)
    module, part = format_module(name), _part(name, key)
    source = module.source(path, **part) if hasattr(module, "source") else LazyTensors.of(module.load(path))
    assert isinstance(source, LazyTensors)
    return source


def topology_of(
    path: str | os.PathLike[str], format_name: str | None = None, *, key: str | None = None
) -> Topology:
    """Everything of a model file but its tensors, to be carried in their bitstream.

    Raises:
        FormatError: a format of tensors alone, or a file that is not what its name says.
        MissingExtraError: the format needs a package that is not installed.
        OSError: the file cannot be read.
    """
    name = format_name or format_of(path)
    if name not in _STORAGE:
        raise FormatError(f"a .{name} file holds nothing but tensors: it has no topology")
    return Topology.of(_STORAGE[name], format_module(name).topology(path, **_part(name, key)))


def topology_for(topology: Topology | None, format_name: str) -> bytes | None:
    """Data of a topology from which a file of a format can be made; None where it is of another framework.

    Raises:
        BitstreamError: the topology is damaged, or beyond a limit.
    """
    if topology is None or _STORAGE.get(format_name) != topology.storage_format:
        return None
    return topology.data


def save_tensors(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    format_name: str | None = None,
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: Topology | None = None,
    key: str | None = None,
) -> None:
    """Write a model file, complete or not at all.

    Args:
        format_name: one of `FORMATS`, where the extension does not tell.
        like: a file of the same format; everything but the tensors is taken from it.
        topology: in place of `like`, what a bitstream said; one of another framework is not used.
        key: the part of a nested checkpoint `like` that has the tensors.

    Raises:
        FormatError: unsupported extension, or a tensor that the format cannot hold.
        MissingExtraError: the format needs a package that is not installed.
        FileExistsError: the file exists and `overwrite` is false.
        OSError: the file cannot be written.
    """
    name = format_name or format_of(path)
    given: dict[str, Any] = {"overwrite": overwrite, "like": like, **_part(name, key)}
    if like is None and (data := topology_for(topology, name)) is not None:
        given["topology"] = data
    format_module(name).save(tensors, path, **given)
