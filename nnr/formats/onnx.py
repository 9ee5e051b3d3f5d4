"""ONNX models, `.onnx` (extra `nnr[onnx]`).

The tensors are the initializers of the graph, by name, with external data where the model has them. All else
of the file (graph, versions, metadata, tensors inside of nodes and subgraphs) is kept when weights are put
into a copy of a model. Weights alone are written as a graph without nodes.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_path
from .checks import check_shape, said
from .extras import require
from .tensors import Extent, LazyTensors, Stored, Tensors, check_all_fit, fitted

__all__ = [
    "fetch",
    "fill",
    "load",
    "parse",
    "read",
    "refer",
    "referred",
    "save",
    "source",
    "source_of",
    "strip",
    "topology",
    "write",
]

#: Inputs of operations that are arguments more than weights, by position.
_ARGUMENTS = {
    "Clip": (1, 2),
    "DequantizeLinear": (1, 2),
    "Dropout": (1,),
    "OneHot": (2,),
    "Pad": (2,),
    "Pow": (1,),
    "QuantizeLinear": (1, 2),
    "Range": (0, 1, 2),
    "Resize": (1, 2),
    "Upsample": (1,),
}

#: Types whose elements share bytes, and their bits.
_PACKED = {"int4": 4, "uint4": 4, "float4_e2m1fn": 4, "int2": 2, "uint2": 2}

_INLINE_BYTES = 1024  # tensors smaller than this stay in the model when it has external data
_MESSAGE_BYTES = (1 << 31) - (1 << 20)  # what a protocol buffer can hold, less room for the graph
_ALIGNMENT = 4096


def _onnx() -> Any:
    onnx = require("onnx", "onnx", "an ONNX model")
    require("onnx.external_data_helper", "onnx", "an ONNX model")
    return onnx


def load(path: str | os.PathLike[str]) -> Tensors:
    """Initializers of the model `path`, in its order.

    Raises:
        FormatError: not an ONNX model, damaged, or with external data that are not beside it.
        MissingExtraError: onnx is not installed.
        OSError: the file cannot be read.
    """
    return source(path).load()


def source(path: str | os.PathLike[str]) -> LazyTensors:
    """As `load`; external data are read when they are asked for, the model itself is in memory."""
    with open(path, "rb") as file:
        return source_of(parse(file.read()), path)


def read(file: IO[bytes]) -> Tensors:
    """As `load`, from an open file; external data cannot be found from there."""
    return source_of(parse(file.read()), None).load()


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
) -> None:
    """Write a model to `path`, complete or not at all.

    What has external data in `like`, or is too large for one file, gets them again, in `NAME.onnx.data`.

    Args:
        like: a model; a copy of it is written, with these initializers.
        topology: a model without the data of its initializers, as `topology` gives it.

    Raises:
        FormatError: a tensor that has no place in the model or that ONNX cannot hold, or one that is missing.
        MissingExtraError: onnx is not installed.
        OSError: the file cannot be written.
    """
    external = False
    if like is not None:
        with open(like, "rb") as file:
            model = parse(file.read())
        external = any(_is_external(tensor) for tensor in model.graph.initializer)
        fetch(model, tensors, like)
        fill(model, tensors, os.fspath(like))
    elif topology is not None:
        model = parse(topology)
        fill(model, tensors, "the topology", complete=True)
    else:
        model = _weights_only(tensors)
    external = external or sum(len(t.raw_data) for t in model.graph.initializer) > _MESSAGE_BYTES
    with ExitStack() as stack:  # leaves in reverse order: the model appears last
        target = stack.enter_context(atomic_path(path, overwrite=overwrite))
        if external:
            location = os.path.basename(path) + ".data"
            beside = os.path.join(os.path.dirname(path), location)
            _write_external(model, stack.enter_context(atomic_path(beside, overwrite=overwrite)), location)
        target.write_bytes(model.SerializeToString(deterministic=True))


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file."""
    file.write(_weights_only(tensors).SerializeToString(deterministic=True))


def topology(path: str | os.PathLike[str]) -> bytes:
    """The model without the data of its initializers; their names, types and dimensions stay.

    Raises:
        FormatError: as for `load`.
    """
    with open(path, "rb") as file:
        model = parse(file.read())
    strip(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def parse(data: bytes) -> Any:
    """A model from its bytes.

    Raises:
        FormatError: they are none.
    """
    onnx = _onnx()
    message = require("google.protobuf.message", "onnx", "an ONNX model")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (message.DecodeError, RuntimeError, ValueError) as error:
        raise FormatError(f"not an ONNX model, or damaged: {error}") from None
    if not model.HasField("graph") or not model.ir_version:
        raise FormatError("not an ONNX model: it has no graph")
    names = [tensor.name for tensor in model.graph.initializer]
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FormatError(f"two initializers are called {twice!r}")
    return model


def strip(model: Any) -> None:
    """Take the data out of all initializers that are tensors of numbers."""
    for tensor in _numeric(model):
        _clear(tensor)


def fill(model: Any, tensors: Mapping[str, np.ndarray], where: str, *, complete: bool = False) -> None:
    """Put tensors into the initializers of a model.

    Args:
        complete: every initializer must get one.

    Raises:
        FormatError: a tensor without a place, of another shape, or missing.
    """
    places = {tensor.name: tensor for tensor in _numeric(model)}
    check_all_fit(tensors, places, where)
    for name, tensor in places.items():
        if name in tensors:
            array = fitted(name, np.asarray(tensors[name]), tensor.dims, _dtype(tensor), where)
            _clear(tensor)
            tensor.raw_data = _proto(array, name).raw_data
        elif complete:
            raise FormatError(f"{where} has the tensor {name!r}, which the bitstream lacks")


@dataclass(frozen=True, slots=True)
class _Inline:
    """A `Stored.read` of a tensor that stands in the model itself."""

    tensor: Any

    def __call__(self) -> np.ndarray:
        try:
            array: np.ndarray = _helper().to_array(self.tensor)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise FormatError(f"initializer {self.tensor.name!r}: {said(error)}") from None
        return array


@dataclass(frozen=True, slots=True)
class _External:
    """A `Stored.read` of packed elements in another file."""

    tensor: Any
    extent: Extent

    def __call__(self) -> np.ndarray:
        copy = type(self.tensor)()
        copy.CopyFrom(self.tensor)
        _clear(copy)
        copy.raw_data = self.extent().tobytes()
        return _Inline(copy)()


def _helper() -> Any:
    return require("onnx.numpy_helper", "onnx", "an ONNX model")


def _numeric(model: Any) -> Iterator[Any]:
    """Initializers that are tensors of numbers."""
    onnx = _onnx()
    others = onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED
    return (tensor for tensor in model.graph.initializer if tensor.data_type not in others)


def _dtype(tensor: Any) -> np.dtype[Any]:
    try:
        kind: np.dtype[Any] = np.dtype(_onnx().helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, ValueError, TypeError):
        raise FormatError(f"initializer {tensor.name!r} has the unknown type {tensor.data_type}") from None
    return kind


def _is_external(tensor: Any) -> bool:
    return bool(tensor.data_location == _onnx().TensorProto.EXTERNAL)


def _clear(tensor: Any) -> None:
    for field in (
        "raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "external_data",
        "data_location",
    ):  # fmt: skip
        tensor.ClearField(field)


def source_of(model: Any, path: str | os.PathLike[str] | None) -> LazyTensors:
    """The initializers of a model whose external data are in the folder of the file `path`."""
    entries: dict[str, Stored] = {}
    for tensor in _numeric(model):
        dtype, shape = _dtype(tensor), tuple(tensor.dims)
        if any(n < 0 for n in shape):
            raise FormatError(f"initializer {tensor.name!r} has the dimensions {list(shape)}")
        check_shape(shape, dtype, f"initializer {tensor.name!r}")
        reader: Callable[[], np.ndarray] = _Inline(tensor)
        if _is_external(tensor):
            reader = _external(tensor, shape, dtype, path)
        entries[tensor.name] = Stored(shape, dtype, reader)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    lazy = LazyTensors(entries, metadata=metadata)
    lazy.exact = _arguments(model, entries)
    skipped = len(model.graph.initializer) - len(entries)
    if skipped or len(model.graph.sparse_initializer):
        count = skipped + len(model.graph.sparse_initializer)
        lazy.notes.append(f"{count} initializers are text or sparse: left out")
    return lazy


def _arguments(model: Any, entries: Mapping[str, Stored]) -> list[str]:
    """Initializers of floats that operations take as arguments."""
    found = {
        node.input[k]
        for node in model.graph.node
        for k in _ARGUMENTS.get(node.op_type, ())
        if k < len(node.input)
    }
    return [name for name, stored in entries.items() if name in found and stored.dtype.kind not in "iub"]


def _external(
    tensor: Any, shape: tuple[int, ...], dtype: np.dtype[Any], model: str | os.PathLike[str] | None
) -> Callable[[], np.ndarray]:
    name = tensor.name
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    parts = location.replace("\\", "/").split("/")
    if model is None:
        raise FormatError(f"initializer {name!r} stands in another file: give the path of the model")
    if not location or "\0" in location or ".." in parts or parts[0] == "" or ":" in parts[0]:
        raise FormatError(f"initializer {name!r} stands in {location!r}, outside of the model's folder")
    if location.lower().endswith(".nnr"):
        raise FormatError(f"initializer {name!r} is coded in {location}: load the model with nnr.onnx.load")
    folder = os.path.dirname(os.path.abspath(model))
    path = os.path.join(folder, *parts)
    if not _is_beside(path, folder, model):
        raise FormatError(f"initializer {name!r}: {location} is a link out of the model's folder")
    bits = _PACKED.get(dtype.name, 8 * dtype.itemsize)
    nbytes = (math.prod(shape) * bits + 7) // 8
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", nbytes))
    except ValueError:
        raise FormatError(f"initializer {name!r}: offset and length of its data are no numbers") from None
    if not os.path.isfile(path):
        raise FormatError(f"initializer {name!r}: its data should be in {location}, which is not there")
    if length != nbytes or offset < 0 or offset + length > os.path.getsize(path):
        raise FormatError(f"initializer {name!r}: its {nbytes} bytes are not at {offset} of {location}")
    if dtype.name in _PACKED:
        return _External(tensor, Extent(path, offset, (nbytes,), np.dtype(np.uint8), name))
    return Extent(path, offset, shape, dtype, name)


def _is_beside(path: str, folder: str, model: str | os.PathLike[str]) -> bool:
    """With links followed, `path` is in `folder`, or where a link leads that is the model itself.

    The latter is how caches of model hubs look: every file of a folder is a link into a folder of contents.
    """
    real, root = os.path.realpath(path), os.path.realpath(folder)
    inside = real.startswith(os.path.join(root, ""))
    return inside or os.path.dirname(real) == os.path.dirname(os.path.realpath(model))


def refer(model: Any, location: str) -> None:
    """Say of every initializer that a bitstream, a file beside the model, has its data."""
    onnx = _onnx()
    for tensor in _numeric(model):
        _clear(tensor)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", location


def referred(model: Any) -> dict[str, list[str]]:
    """Names of the initializers whose data are in bitstreams, by file name.

    Raises:
        FormatError: a bitstream outside of the model's folder.
    """
    found: dict[str, list[str]] = {}
    for tensor in _numeric(model):
        location = {entry.key: entry.value for entry in tensor.external_data}.get("location", "")
        if _is_external(tensor) and location.lower().endswith(".nnr"):
            if any(separator in location for separator in "/\\:\0"):
                raise FormatError(f"initializer {tensor.name!r} is coded in {location!r}, no file name")
            found.setdefault(location, []).append(tensor.name)
    return found


def fetch(model: Any, replaced: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Take the external data of the model file `path` into the model, but for initializers to be replaced."""
    for tensor in _numeric(model):
        if _is_external(tensor) and tensor.name not in replaced:
            array = _external(tensor, tuple(tensor.dims), _dtype(tensor), path)()
            _clear(tensor)
            tensor.raw_data = _proto(array, tensor.name).raw_data


def _proto(array: np.ndarray, name: str) -> Any:
    try:
        native = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
        return _helper().from_array(native, name)
    except (KeyError, ValueError, TypeError, NotImplementedError, RuntimeError):
        raise FormatError(f"tensor {name!r} has type {array.dtype}, which ONNX cannot hold") from None


def _weights_only(tensors: Mapping[str, np.ndarray]) -> Any:
    onnx = _onnx()
    protos = [_proto(np.asarray(array), name) for name, array in tensors.items()]
    graph = onnx.helper.make_graph([], "weights", [], [], protos)
    return onnx.helper.make_model(graph, producer_name="nnr")


def _write_external(model: Any, target: os.PathLike[str], location: str) -> None:
    """Write the data of the larger initializers to `target`, and refer to it as `location`."""
    onnx = _onnx()
    with open(target, "wb") as file:
        for tensor in _numeric(model):
            if len(tensor.raw_data) < _INLINE_BYTES:
                continue
            file.write(bytes(-file.tell() % _ALIGNMENT))
            onnx.external_data_helper.set_external_data(tensor, location, file.tell(), len(tensor.raw_data))
            file.write(tensor.raw_data)
            tensor.ClearField("raw_data")
            tensor.data_location = onnx.TensorProto.EXTERNAL
