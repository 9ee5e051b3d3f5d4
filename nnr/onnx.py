"""Models of ONNX (extra `nnr[onnx]`): as one bitstream, or with a bitstream as their external data.

A file `NAME.nnr` is the whole model, its graph a topology unit. A file `NAME.onnx` keeps the graph where ONNX
tools look for it, and refers to `NAME.nnr` for its initializers: the external data of ONNX, coded. Other
software can show such a model, but needs `load` to fill it.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

from .decoder.decode import decode
from .encoder.report import EncodeReport
from .errors import FormatError
from .files import save_file
from .formats import onnx as container
from .formats import topology_for
from .formats.atomic import atomic_path, check_target
from .limits import Limits
from .syntax.constants import TopologyStorageFormat
from .topology import Topology

__all__ = ["load", "save"]

_EXTENSION = ".nnr"


def save(model: Any, path: str | os.PathLike[str], **options: Any) -> EncodeReport:
    """Encode a model.

    Initializers that operations take as arguments (scales of Resize, bounds of Clip) are kept exactly.

    Args:
        model: an `onnx.ModelProto`, or the path of a model.
        path: `NAME.nnr` for one bitstream; `NAME.onnx` for a model with `NAME.nnr` beside it.
        options: as for `nnr.save_file`; `compat` is None by default.

    Raises:
        FormatError: not an ONNX model.
        ValueError: the path has another extension, or as for `nnr.save_file`.
        MissingExtraError: onnx is not installed.
        OSError: a file cannot be written.
    """
    stem, extension = os.path.splitext(os.fspath(path))
    if extension.lower() not in (_EXTENSION, ".onnx"):
        raise ValueError(f"path must end with .nnr or .onnx, not {os.fspath(path)!r}")
    origin = None
    if isinstance(model, str | os.PathLike):
        origin = model
        with open(model, "rb") as file:
            model = container.parse(file.read())
    else:
        model = container.parse(model.SerializeToString())
    source = container.source_of(model, origin)
    tensors = source.load()
    options = {"compat": None, **options}
    options["raw"] = (*options.get("raw", ()), *source.exact)
    check_target(path)
    container.strip(model)
    if extension.lower() == _EXTENSION:
        data = model.SerializeToString(deterministic=True)
        topology = Topology.of(TopologyStorageFormat.NNR_TPL_ONNX, data)
        return save_file(tensors, path, topology=topology, **options)
    container.refer(model, os.path.basename(stem) + _EXTENSION)
    with ExitStack() as stack:  # leaves in reverse order: the model appears last
        target = stack.enter_context(atomic_path(path))
        report = save_file(tensors, stack.enter_context(atomic_path(stem + _EXTENSION)), **options)
        target.write_bytes(model.SerializeToString(deterministic=True))
    return report


def load(path: str | os.PathLike[str], *, threads: int | None = None, limits: Limits | None = None) -> Any:
    """A model with all of its weights, from either of the files that `save` writes, or from any ONNX model.

    Returns:
        an `onnx.ModelProto`; ``model.SerializeToString()`` is what runtimes take.

    Raises:
        FormatError: no ONNX model, or a bitstream without one; a file that the model refers to is absent.
        BitstreamError: a bitstream cannot be decoded.
        MissingExtraError: onnx is not installed.
        OSError: the file cannot be read.
    """
    if os.fspath(path).lower().endswith(_EXTENSION):
        tensors = decode(path, threads=threads, limits=limits)
        data = topology_for(tensors.report.topology, "onnx")
        if data is None:
            raise FormatError(f"{os.fspath(path)}: the bitstream has no ONNX model as its topology")
        model = container.parse(data)
        container.fill(model, tensors, "the topology", complete=True)
        return model
    with open(path, "rb") as file:
        model = container.parse(file.read())
    folder = os.path.dirname(os.path.abspath(path))
    for location, names in container.referred(model).items():
        beside = os.path.join(folder, location)
        if not os.path.isfile(beside):
            raise FormatError(f"{os.fspath(path)}: the weights should be in {location}, which is not there")
        found = decode(beside, threads=threads, limits=limits)
        missing = next((name for name in names if name not in found), None)
        if missing is not None:
            raise FormatError(f"{beside}: there is no tensor {missing!r}")
        container.fill(model, {name: found[name] for name in names}, os.fspath(path))
    container.fetch(model, {}, path)
    return model
