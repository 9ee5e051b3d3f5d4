"""Encoder tools: the protocols, and the registry in which they are found.

A tool is one file with one class. It never touches bits: a `Transform` turns tensors into tensors, a
`Quantizer` turns one tensor into levels and what a decoder must be told. Constructor arguments are plain
values and the whole configuration. Files in this package are found by themselves; packages elsewhere
announce theirs in the entry-point group ``nnr.encoder_tools``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from ...decoder.plan import Codebook

__all__ = [
    "QuantizedTensor",
    "Quantizer",
    "TensorJob",
    "Transform",
    "get_tool",
    "register",
    "registered_tools",
]

ENTRY_POINT_GROUP = "nnr.encoder_tools"


@dataclass(frozen=True, slots=True)
class TensorJob:
    """What a quantizer is told about the tensor it gets.

    Attributes:
        name: topology element id.
        shape: dimensions of the coded tensor.
        rows, cols: the matrix that is scanned.
        scan_order: the order in which levels will be coded; a trellis must follow it.
        qp, qp_density: quantization parameter asked for, and its resolution.
        qp_bounds: smallest and largest qp that can be coded.
        profile, cabac_unary_length: as the levels will be coded.
        importance: weight of the squared error of each element, float32 of shape `shape`; None for 1
        everywhere.
        base: levels that temporal contexts may look at, int32 of rows*cols; None without.
        largest: largest magnitude of the tensor, where that is known already.
    """

    name: str
    shape: tuple[int, ...]
    rows: int
    cols: int
    scan_order: int
    qp: int
    qp_density: int
    qp_bounds: tuple[int, int] = (-4096, 4095)
    profile: int = 1
    cabac_unary_length: int = 11
    importance: np.ndarray | None = None
    base: np.ndarray | None = None
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class QuantizedTensor:
    """Levels, and what a decoder must be told to make values of them.

    Attributes:
        levels: int32 in the tensor's shape; doubled integers with dependent quantization (decoding 8),
            index minus CbZeroOffset with a codebook.
        qp, qp_density: as coded.
        dq_flag: 1 with dependent quantization.
        tool: name of the tool, for reports.
        notes: one line for each thing that was done and that the caller did not ask for.
    """

    levels: np.ndarray
    qp: int
    qp_density: int
    dq_flag: int = 0
    codebook: Codebook | None = None
    tool: str = ""
    notes: tuple[str, ...] = ()


@runtime_checkable
class Transform(Protocol):
    """Tensors in, tensors out: sparsify, prune, decompose, fold."""

    name: str

    def apply(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """New tensors; the input stays as it is."""
        ...


@runtime_checkable
class Quantizer(Protocol):
    """One float tensor in, levels out."""

    name: str

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        """Quantize `tensor`: float32, finite, C-contiguous, of shape `job.shape`."""
        ...


_registry: dict[str, type] = {}
_T = TypeVar("_T", bound=type)


def register(tool: _T) -> _T:
    """Class decorator: make a tool known by its `name`.

    Raises:
        ValueError: another tool has that name.
    """
    name = tool.name  # type: ignore[attr-defined]
    if _registry.setdefault(name, tool) is not tool:
        raise ValueError(f"two encoder tools are called {name!r}: {_registry[name]} and {tool}")
    return tool


def registered_tools() -> dict[str, type]:
    """All tools by name, in the order of their names."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    from importlib.metadata import entry_points  # slow to import

    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        tool = entry_point.load()
        if isinstance(tool, type) and _registry.get(getattr(tool, "name", "")) is not tool:
            register(tool)
    return dict(sorted(_registry.items()))


@cache
def _import_own() -> None:
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def get_tool(name: str) -> Any:
    """The tool class called `name`.

    Raises:
        ValueError: there is none; the message lists those that are known.
    """
    _import_own()
    if name in _registry:  # looking through all packages takes as long as coding a hundred small tensors
        return _registry[name]
    tools = registered_tools()
    if name not in tools:
        raise ValueError(f"no encoder tool is called {name!r}; known are {', '.join(tools)}")
    return tools[name]
