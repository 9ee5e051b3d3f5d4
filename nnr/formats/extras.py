"""Packages that the core install does not bring: imported when a file needs them, named when absent."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ..errors import FormatError, MissingExtraError

__all__ = ["ml_dtype", "require"]


def require(module: str, extra: str, what: str) -> Any:
    """Import `module`; `what` needs it.

    Raises:
        MissingExtraError: not installed; the message names the extra that brings it.
    """
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"{what} needs the package {package}: pip install 'nnr[{extra}]'", name=package
        ) from None


def ml_dtype(name: str, what: str) -> np.dtype[Any]:
    """The dtype that the package `ml_dtypes` calls `name`; `what` is of that type.

    Raises:
        MissingExtraError: `ml_dtypes` is not installed.
        FormatError: it has no such type.
    """
    module = require("ml_dtypes", "bfloat16", f"{what} of type {name}")
    kind = getattr(module, name, None) if name.isidentifier() and not name.startswith("_") else None
    if not isinstance(kind, type) or not issubclass(kind, np.generic):
        raise FormatError(f"{what} has the unknown type {name!r}")
    return np.dtype(kind)
