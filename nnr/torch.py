"""Models of PyTorch (extra `nnr[torch]`): to bitstreams and back, and as a source of importance."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np

from .decoder.decode import decode
from .encoder.report import EncodeReport
from .errors import FormatError
from .files import encode, save_file
from .formats.atomic import atomic_path
from .formats.extras import require
from .formats.pytorch import to_array, to_tensor
from .formats.shards import divided, index_text, weight_map
from .formats.tensors import LazyTensors
from .limits import Limits

__all__ = [
    "attach",
    "fisher_diagonal",
    "load_file",
    "load_model",
    "save_file",
    "save_model",
    "save_sharded",
    "to_arrays",
    "to_tensors",
]

#: End of the name of an index of bitstreams.
INDEX = ".nnr.index.json"

_KEY = "nnr_bitstream"  # the entry of a state dict that stands for all others


def to_arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Arrays of a state dict, as `nnr.encode` takes them; shared memory stays shared.

    Raises:
        FormatError: a tensor is sparse or quantized, or of a type that numpy cannot hold.
        MissingExtraError: torch is not installed, or `ml_dtypes` and a tensor needs it.
    """
    return {name: to_array(tensor, name) for name, tensor in tensors.items()}


def to_tensors(arrays: Mapping[str, np.ndarray], device: Any = None) -> dict[str, Any]:
    """Tensors on `device` of arrays as `nnr.decode` gives them; arrays that are one become one tensor.

    Raises:
        FormatError: torch has no such type.
        MissingExtraError: torch is not installed.
    """
    made: dict[int, Any] = {}
    for name, array in arrays.items():
        if id(array) not in made:
            made[id(array)] = to_tensor(array, name, device)
    return {name: made[id(array)] for name, array in arrays.items()}


def save_model(model: Any, path: str | os.PathLike[str], **options: Any) -> EncodeReport:
    """Encode the state of a module into a file; tied parameters are stored once.

    Args:
        model: a `torch.nn.Module`.
        options: as for `nnr.save_file`.

    Raises: as `nnr.save_file` and `to_arrays`.
    """
    return save_file(to_arrays(model.state_dict()), path, **options)


def load_model(
    model: Any, path: str | os.PathLike[str], *, strict: bool = True, **options: Any
) -> tuple[list[str], list[str]]:
    """Decode a file, or the shards of an index, into a module, on whatever devices its parameters are.

    Args:
        strict: the names in the file must be those of the module.
        options: as for `load_file`.

    Returns:
        names that the file lacks, and names that the module lacks.

    Raises:
        RuntimeError: names or shapes differ.
        BitstreamError, OSError: as `load_file`.
    """
    found = model.load_state_dict(load_file(path, **options), strict=strict)
    return list(found.missing_keys), list(found.unexpected_keys)


def load_file(
    path: str | os.PathLike[str],
    device: Any = "cpu",
    *,
    threads: int | None = None,
    limits: Limits | None = None,
) -> dict[str, Any]:
    """Decode a file, or the shards of an index `NAME.nnr.index.json`, to tensors on a device.

    Raises:
        BitstreamError: a bitstream cannot be decoded.
        FormatError: the index is damaged, or a shard lacks a tensor.
        MissingExtraError: torch is not installed.
        OSError: a file cannot be read.
    """
    if not os.fspath(path).lower().endswith(INDEX):
        return to_tensors(decode(path, threads=threads, limits=limits), device)
    found = weight_map(path)
    tensors: dict[str, Any] = {}
    for shard in sorted(set(found.values())):
        part = os.path.join(os.path.dirname(path), shard)
        tensors.update(to_tensors(decode(part, threads=threads, limits=limits), device))
    missing = next((name for name in found if name not in tensors), None)
    if missing is not None:
        raise FormatError(f"{os.fspath(path)}: tensor {missing!r} is not in {found[missing]}")
    return {name: tensors[name] for name in found}


def save_sharded(
    tensors: Mapping[str, Any],
    path: str | os.PathLike[str],
    *,
    shard_bytes: int = 5_000_000_000,
    **options: Any,
) -> list[EncodeReport]:
    """Encode a state dict into several bitstreams and an index, which appears last.

    Args:
        tensors: a state dict, or arrays by name.
        path: of the index, `NAME.nnr.index.json`; shards are `NAME-00001-of-0000N.nnr` beside it.
        shard_bytes: size of the tensors of a shard before coding.
        options: of `nnr.encode`.

    Returns:
        the report on each shard.

    Raises:
        ValueError: the path has another end, or as for `nnr.encode`.
        OSError: a file cannot be written.
    """
    name = os.path.basename(path)
    if not name.lower().endswith(INDEX):
        raise ValueError(f"path must end with {INDEX}, not {name!r}")
    arrays = {n: t if isinstance(t, np.ndarray) else to_array(t, n) for n, t in tensors.items()}
    ties = LazyTensors.of(arrays).ties
    shards = divided(arrays, name[: -len(INDEX)], ".nnr", shard_bytes, ties)
    reports = []
    with ExitStack() as stack:  # leaves in reverse order: the index appears last
        index = stack.enter_context(atomic_path(path))
        for shard, names in shards.items():
            target = stack.enter_context(atomic_path(os.path.join(os.path.dirname(path), shard)))
            reports.append(save_file({n: arrays[n] for n in names}, target, **options))
        total = sum(array.nbytes for n, array in arrays.items() if n not in ties)
        index.write_text(index_text(shards, total, arrays), encoding="utf-8")
    return reports


def attach(model: Any, **options: Any) -> Callable[[], None]:
    """Have `model.state_dict()` give one coded entry, and `load_state_dict` take it: for checkpoints.

    What saves and sends state dicts (`torch.save`, a trainer, federated averaging) then saves and sends
    bitstreams. A plain state dict is still loaded as it is.

    Args:
        model: a `torch.nn.Module`.
        options: of `nnr.encode`.

    Returns:
        a function that detaches it again.

    Raises:
        MissingExtraError: torch is not installed.
    """
    torch = require("torch", "torch", "a state dict")

    def coded(module: Any, state_dict: dict[str, Any], prefix: str, local_metadata: Any) -> None:
        own = {name: value for name, value in state_dict.items() if name.startswith(prefix)}
        data = encode(to_arrays({name[len(prefix) :]: value for name, value in own.items()}), **options)
        for name in own:
            del state_dict[name]
        state_dict[prefix + _KEY] = torch.frombuffer(bytearray(data), dtype=torch.uint8)

    def decoded(
        module: Any, state_dict: dict[str, Any], prefix: str, metadata: Any, strict: bool, *lists: Any
    ) -> None:
        data = state_dict.pop(prefix + _KEY, None)
        if data is not None:
            tensors = to_tensors(decode(to_array(data, _KEY).tobytes()))
            state_dict.update({prefix + name: tensor for name, tensor in tensors.items()})

    handles = [
        model.register_state_dict_post_hook(coded),
        model.register_load_state_dict_pre_hook(decoded),
    ]

    def detach() -> None:
        for handle in handles:
            with contextlib.suppress(KeyError):
                handle.remove()

    return detach


def fisher_diagonal(
    model: Any,
    batches: Iterable[tuple[Any, Any]],
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    limit: int | None = None,
) -> dict[str, np.ndarray]:
    """Diagonal of the empirical Fisher information of a model, scaled to the mean 1: how much each weight
    matters.

    The mean of squared gradients of the loss, batch by batch, as `importance` for `nnr.encode`. To be exact
    batches would have one sample; larger ones are faster and give an estimate whose ranking is good enough.

    Args:
        model: a `torch.nn.Module`; it is put into evaluation mode and back.
        batches: (inputs, targets), such as a data loader.
        loss: of outputs and targets; cross entropy by default.
        limit: batches to use at most.

    Returns:
        float32 arrays by parameter name, of the parameters' shapes.

    Raises:
        MissingExtraError: torch is not installed.
        ValueError: there are no batches.
    """
    torch = require("torch", "torch", "the Fisher diagonal of a model")
    criterion = torch.nn.functional.cross_entropy if loss is None else loss
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    sums = {name: torch.zeros_like(p) for name, p in parameters.items()}
    was_training = model.training
    model.eval()
    count = 0
    try:
        for inputs, targets in batches:
            if limit is not None and count >= limit:
                break
            model.zero_grad(set_to_none=True)
            criterion(model(inputs), targets).backward()
            for name, p in parameters.items():
                if p.grad is not None:
                    sums[name] += p.grad.detach() ** 2
            count += 1
    finally:
        model.zero_grad(set_to_none=True)
        model.train(was_training)
    if count == 0:
        raise ValueError("batches: there are none")
    arrays = {name: total.double().cpu().numpy() / count for name, total in sums.items()}
    weights = sum(a.size for a in arrays.values())
    mean = sum(float(a.sum()) for a in arrays.values()) / max(weights, 1)
    return {
        name: (a / mean if mean > 0 else np.ones_like(a)).astype(np.float32) for name, a in arrays.items()
    }
