"""A model in several files: an index that says in which file each tensor stands.

The index is that of sharded safetensors files: ``{"metadata": {"total_size": bytes}, "weight_map": {name:
file}}``, the files beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping

import numpy as np

from ..errors import FormatError
from .checks import each_once, said
from .tensors import stored_of

__all__ = ["divided", "index_text", "weight_map"]


def weight_map(path: str | os.PathLike[str]) -> dict[str, str]:
    """File by tensor name, as an index has it.

    Raises:
        FormatError: not an index, or one that points out of its folder.
        OSError: the file cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file, object_pairs_hook=each_once)["weight_map"]
        named = list(found.items())
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"not an index of shards: {said(error)}") from None
    for name, shard in named:
        if (
            not isinstance(shard, str)
            or shard in ("", ".", "..")
            or any(separator in shard for separator in "/\\\0")
        ):
            raise FormatError(f"the index has tensor {name!r} in {shard!r}, which is no file name")
    return dict(named)


def divided(
    tensors: Mapping[str, np.ndarray],
    stem: str,
    extension: str,
    shard_bytes: int,
    ties: Mapping[str, str] | None = None,
) -> dict[str, list[str]]:
    """Names by file, in order, a new file where the next tensor would make one too large.

    Args:
        shard_bytes: size of the tensors of a file; a larger tensor has one for itself.
        ties: tensors that share the data of another, which go where that one goes.
    """
    groups: list[list[str]] = [[]]
    place: dict[str, list[str]] = {}
    used = 0
    for name in tensors:
        original = (ties or {}).get(name)
        if original is None:
            size = stored_of(tensors, name).nbytes
            if groups[-1] and used + size > shard_bytes:
                groups.append([])
                used = 0
            used += size
        place[name] = groups[-1] if original is None else place[original]
        place[name].append(name)
    return {f"{stem}-{k:05d}-of-{len(groups):05d}{extension}": group for k, group in enumerate(groups, 1)}


def index_text(shards: Mapping[str, list[str]], total_bytes: int, order: Iterable[str]) -> str:
    """The content of an index.

    Args:
        order: names in the order of the model.
    """
    found = {name: shard for shard, names in shards.items() for name in names}
    content = {"metadata": {"total_size": total_bytes}, "weight_map": {name: found[name] for name in order}}
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
