"""PyTorch checkpoints, `.pt` and `.pth` (extra `nnr[torch]`).

Files are read with ``weights_only=True``: nothing but tensors, containers, numbers and text is unpickled.
A checkpoint of nested containers gives its tensors under their keys joined by `/`, a plain state dict under
its own names; `key` picks a part of the nest. Tensors that share memory stay the same array, and come to
share memory again when they are saved.
"""

from __future__ import annotations

import errno
import io
import json
import os
import pickle
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_output
from .checks import proportionate
from .extras import ml_dtype, require
from .tensors import LazyTensors, Tensors, check_all_fit, fitted

__all__ = ["load", "read", "save", "source", "to_array", "to_tensor", "topology", "write"]

#: Types of torch that numpy lacks, and the integers of the same size.
_BITS = {
    "bfloat16": "int16",
    "float8_e4m3fn": "uint8",
    "float8_e5m2": "uint8",
    "float8_e4m3fnuz": "uint8",
    "float8_e5m2fnuz": "uint8",
    "float8_e8m0fnu": "uint8",
}


_MOST_VALUES = 1 << 20


def _torch() -> Any:
    return require("torch", "torch", "a PyTorch checkpoint")


def load(path: str | os.PathLike[str], *, key: str | None = None) -> Tensors:
    """Tensors of the checkpoint `path`, in its order, mapped into memory where that can be done.

    Args:
        key: part of a nested checkpoint, its keys joined by `/`.

    Raises:
        FormatError: not a checkpoint of PyTorch, damaged, or with objects other than tensors and containers
            in it.
        MissingExtraError: torch is not installed, or `ml_dtypes` and a tensor needs it.
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        mapped = zipfile.is_zipfile(file)  # files of torch before 1.6 cannot be mapped
        size = file.seek(0, os.SEEK_END)
    return _tensors(_unpickled(os.fspath(path), mmap=mapped), key, size)


def source(path: str | os.PathLike[str], *, key: str | None = None) -> LazyTensors:
    """As `load`; the tensors are mapped, and read as they are used."""
    return LazyTensors.of(load(path, key=key))


def read(file: IO[bytes], *, key: str | None = None) -> Tensors:
    """As `load`, from an open file, which is read as a whole."""
    data = file.read()
    return _tensors(_unpickled(io.BytesIO(data)), key, len(data))


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
    key: str | None = None,
) -> None:
    """Write a state dict to `path`, complete or not at all.

    Args:
        like: a checkpoint; a copy of it is written, with these tensors in it.
        topology: the nest that the tensors stood in, as `topology` gives it.
        key: the part of `like` that has the tensors.

    Raises:
        FormatError: a tensor that torch cannot hold, or that has no place in `like`.
        MissingExtraError: torch is not installed.
        OSError: the file cannot be written.
    """
    if like is not None:
        state = _filled(like, tensors, key)
    else:
        state = _nested(_state(tensors), topology)
    with atomic_output(path, overwrite=overwrite) as file:
        _torch().save(state, file)


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file."""
    buffer = io.BytesIO()  # torch goes back in the file
    _torch().save(_state(tensors), buffer)
    file.write(buffer.getbuffer())


def topology(path: str | os.PathLike[str], *, key: str | None = None) -> bytes:
    """The nest of a checkpoint as JSON: containers, numbers, text, and the names of tensors.

    Raises:
        FormatError: as for `load`.
    """
    with open(path, "rb"):
        pass
    state = _part(_unpickled(os.fspath(path)), key)
    for _ in _values(state):
        pass  # it is finite
    return json.dumps({"pytorch": _outline(state)}).encode("utf-8")


def to_array(tensor: Any, name: str = "") -> np.ndarray:
    """A dense tensor as an array, which shares its memory where it is in that of the processor.

    Raises:
        FormatError: a sparse or quantized tensor.
        MissingExtraError: a type that needs `ml_dtypes`.
    """
    torch = _torch()
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        kind = "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.")
        kind = "without data (on the device meta)" if tensor.device.type == "meta" else kind
        raise FormatError(f"tensor {name!r} is {kind}; only dense tensors can be carried")
    tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
    kind = str(tensor.dtype).removeprefix("torch.")
    if kind in _BITS:
        bits: np.ndarray = tensor.view(getattr(torch, _BITS[kind])).numpy()
        return bits.view(ml_dtype(kind, f"tensor {name!r}"))
    try:
        array: np.ndarray = tensor.numpy()
    except (TypeError, RuntimeError):
        raise FormatError(f"tensor {name!r} has type {kind}, which is not supported") from None
    return array


def to_tensor(array: np.ndarray, name: str = "", device: Any = None) -> Any:
    """An array as a tensor on `device`; on the processor it shares the memory of a writable array.

    Raises:
        FormatError: torch has no such type.
    """
    torch = _torch()
    array = np.asarray(array)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    kind = array.dtype.name
    if not hasattr(torch, kind):
        raise FormatError(f"tensor {name!r} has type {kind}, which PyTorch cannot hold")
    if kind in _BITS:
        tensor = torch.from_numpy(array.view(_BITS[kind])).view(getattr(torch, kind))
    else:
        try:
            tensor = torch.from_numpy(array)
        except TypeError:
            raise FormatError(f"tensor {name!r} has type {kind}, which PyTorch cannot hold") from None
    return tensor if device is None else tensor.to(device)


def _unpickled(file: Any, *, mmap: bool = False) -> Any:
    torch = _torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        text = str(error)
        found = text.partition("GLOBAL ")[2].split(" ")[0]
        if found:
            reason = f"it holds objects of {found}, and only tensors and containers are loaded"
        else:
            reason = "damaged, or with objects in it that are not loaded"
        raise FormatError(f"not a checkpoint of tensors alone: {reason}") from None
    except Exception as error:  # the reader of torch has no error of its own for damaged files
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        if "TorchScript" in str(error):
            raise FormatError("a TorchScript program, not a checkpoint: save its state_dict()") from None
        line = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise FormatError(f"not a PyTorch checkpoint, or damaged: {line}") from None


def _leaves(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Name and value of everything in a nest that is no container."""
    if depth > 64:
        raise FormatError("the containers of the checkpoint are nested too deep")
    if isinstance(value, Mapping):
        items = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple):
        items = [(str(k), inner) for k, inner in enumerate(value)]
    else:
        yield prefix, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{prefix}/{key}" if prefix else key, depth + 1)


def _values(state: Any) -> Iterator[tuple[str, Any]]:
    """As `_leaves`, of a nest of bounded size: containers that stand in several places count in each."""
    for count, found in enumerate(_leaves(state)):
        if count >= _MOST_VALUES:
            raise FormatError(f"the checkpoint holds more than {_MOST_VALUES} values")
        yield found


def _part(state: Any, key: str | None) -> Any:
    """The part of a nest that `key` names."""
    for step in (key or "").split("/") if key else []:
        found = {str(name): inner for name, inner in state.items()} if isinstance(state, Mapping) else {}
        if step not in found:
            keys = ", ".join(map(repr, found)) or "none"
            raise FormatError(f"the checkpoint has no key {key!r}; there are {keys}")
        state = found[step]
    return state


def _named_tensors(state: Any, key: str | None) -> tuple[dict[str, Any], list[str]]:
    """Tensors of a nest by name, and what else there is."""
    torch = _torch()
    tensors: dict[str, Any] = {}
    notes: dict[str, int] = {}
    for name, value in _values(_part(state, key)):
        if not isinstance(value, torch.Tensor):
            note = f"{name or 'the checkpoint'} is no tensor but {type(value).__name__}: left out"
            if "/" in name:
                top = name.partition("/")[0]
                note = f"{top} holds values that are no tensors: left out"
            notes[note] = notes.get(note, 0) + 1
        elif name in tensors:
            raise FormatError(f"two tensors of the checkpoint are called {name!r}")
        else:
            tensors[name] = value
    return tensors, [note if count == 1 else f"{note} ({count})" for note, count in notes.items()]


def _outline(value: Any, name: str = "") -> Any:
    """A nest as JSON has it; what JSON cannot say becomes None."""
    if isinstance(value, Mapping):
        items = [(key, inner) for key, inner in value.items() if isinstance(key, str | int)]
        return {"dict": [[k, _outline(inner, f"{name}/{k}" if name else str(k))] for k, inner in items]}
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return {kind: [_outline(x, f"{name}/{k}" if name else str(k)) for k, x in enumerate(value)]}
    if isinstance(value, _torch().Tensor):
        return {"tensor": name}
    return value if isinstance(value, bool | int | float | str) else None


def _nested(state: dict[str, Any], topology: bytes | None) -> Any:
    """The tensors of a state dict in the nest that a topology describes; as they are without one."""
    if topology is None:
        return state
    used: set[str] = set()

    def build(outline: Any) -> Any:
        if not isinstance(outline, dict):
            return outline
        ((kind, content),) = outline.items()
        if kind == "tensor":
            used.add(content)
            if content not in state:
                raise FormatError(f"the topology has the tensor {content!r}, which the bitstream lacks")
            return state[content]
        if kind == "dict":
            return {key: build(inner) for key, inner in content}
        return {"list": list, "tuple": tuple}[kind](build(inner) for inner in content)

    try:
        content = json.loads(topology)
        if "pytorch" not in content:
            return state
        nest = build(content["pytorch"])
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"the topology is not that of a checkpoint: {error!r}") from None
    strange = next((name for name in state if name not in used), None)
    if strange is not None:
        raise FormatError(f"the topology has no tensor {strange!r}")
    return nest


def _tensors(state: Any, key: str | None, size: int) -> Tensors:
    torch = _torch()
    if isinstance(state, torch.nn.Module) or (isinstance(state, torch.Tensor) and key is None):
        state = {"": state}
    found, notes = _named_tensors(state, key)
    total = 0
    for name, tensor in found.items():  # one of no stride takes no room in the file
        total += tensor.numel() * tensor.element_size()
        proportionate(total, size, f"tensor {name!r}, with those before it,")
    tensors = Tensors({name: to_array(tensor, name) for name, tensor in found.items()})
    tensors.notes = notes
    return tensors


def _state(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """A state dict in which arrays of the same memory are the same tensor."""
    made: dict[int, tuple[np.ndarray, Any]] = {}
    state = {}
    for name, value in tensors.items():
        array = np.asarray(value)
        if id(array) not in made:
            made[id(array)] = array, to_tensor(array, name)  # the array is held, so that its id stays its own
        state[name] = made[id(array)][1]
    return state


def _filled(like: str | os.PathLike[str], tensors: Mapping[str, np.ndarray], key: str | None) -> Any:
    """The checkpoint `like` with tensors replaced, in place, so that views and shared memory stay such."""
    torch = _torch()
    state = _unpickled(os.fspath(like))
    places, _ = _named_tensors(state, key)
    check_all_fit(tensors, places, os.fspath(like))
    with torch.no_grad():
        for name in tensors:
            place = places[name]
            dtype = to_array(place, name).dtype
            array = fitted(name, np.asarray(tensors[name]), place.shape, dtype, os.fspath(like))
            place.copy_(to_tensor(array, name))
    return state
