"""Model files in and out: one module for each format, imported when a file needs it.

A format is known by the extension of the file's name, in either case. Each module has `load` and `save` for
paths, and `read` and `write` for open files; outputs appear complete or not at all.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_output, atomic_path, check_target
from .tensors import Tensors

__all__ = [
    "FORMATS",
    "Tensors",
    "atomic_output",
    "atomic_path",
    "check_target",
    "format_module",
    "format_of",
    "load_tensors",
    "save_tensors",
]

#: Formats by name; the extension is the name behind a dot.
FORMATS = ("npz", "safetensors")


def format_of(path: str | os.PathLike[str]) -> str:
    """Name of the format of a file called `path`.

    Raises:
        FormatError: the extension is of no supported format; the message says which there are.
    """
    extension = Path(path).suffix.lower()
    if extension[1:] in FORMATS:
        return extension[1:]
    known = ", ".join(f".{name}" for name in FORMATS)
    found = f"files of type {extension}" if extension else "files without an extension"
    raise FormatError(f"{found} are not supported; supported are {known}")


def format_module(name: str) -> Any:
    """The module that reads and writes the format called `name`, one of `FORMATS`."""
    if name not in FORMATS:
        raise ValueError(f"no format is called {name!r}; there are {', '.join(FORMATS)}")
    return importlib.import_module(f".{name}", __name__)


def load_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Tensors of a model file, in the order of the file.

    Raises:
        FormatError: unsupported extension, or a file that is not what its name says.
        MissingExtraError: the format needs a package that is not installed.
        OSError: the file cannot be read.
    """
    tensors: dict[str, np.ndarray] = format_module(format_of(path)).load(path)
    return tensors


def save_tensors(
    tensors: Mapping[str, np.ndarray], path: str | os.PathLike[str], *, overwrite: bool = True
) -> None:
    """Write a model file, complete or not at all.

    Raises:
        FormatError: unsupported extension, or a tensor that the format cannot hold.
        MissingExtraError: the format needs a package that is not installed.
        FileExistsError: the file exists and `overwrite` is false.
        OSError: the file cannot be written.
    """
    format_module(format_of(path)).save(tensors, path, overwrite=overwrite)
