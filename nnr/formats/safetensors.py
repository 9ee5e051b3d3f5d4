"""Tensors in `.safetensors` files; reading them needs the extra `nnr[safetensors]`.

The package `safetensors` checks the files that are read. Values are read here by the offsets of the
checked header, because its numpy interface has no bfloat16 and no 8-bit floats; those need the extra
`nnr[bfloat16]`. Files are written here, tensor by tensor, with the bytes that the package gives: it wants
the whole model in memory, and puts text metadata in an order that changes from run to run. The text metadata
of a file is kept in the attribute `metadata` of the result. A model in several files is known by its index,
`NAME.safetensors.index.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import IO, Any

import numpy as np

from ..errors import FormatError
from .atomic import atomic_output, atomic_path
from .checks import check_shape, each_once
from .extras import ml_dtype, require
from .shards import divided, index_text, weight_map
from .tensors import Extent, LazyTensors, Stored, Tensors, each, stored_of

__all__ = ["INDEX", "is_index", "load", "read", "save", "source", "topology", "write"]

#: End of the name of an index, which says in which of several files each tensor stands.
INDEX = ".safetensors.index.json"

_NUMPY = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_ML_DTYPES = {
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
}
_CODES = {name: code for code, name in (_NUMPY | _ML_DTYPES).items()}

#: Types in the order in which their tensors stand in a file, by alignment, the widest first.
_ORDER = (
    "U64", "I64", "F64", "C64", "F32", "U32", "I32", "BF16", "F16", "U16", "I16",
    "F8_E5M2FNUZ", "F8_E4M3FNUZ", "F8_E8M0", "F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL",
)  # fmt: skip
_RANK = {code: rank for rank, code in enumerate(_ORDER)}


def _package(module: str = "safetensors") -> Any:
    return require(module, "safetensors", "a .safetensors file")


def load(path: str | os.PathLike[str]) -> Tensors:
    """Tensors of the file `path`, in the order of their data; of an index, shard by shard.

    Raises:
        FormatError: not a safetensors file, damaged, or with a type that numpy cannot hold.
        MissingExtraError: `safetensors` is not installed, or `ml_dtypes` and a tensor needs it.
        OSError: the file cannot be read.
    """
    return source(path).load()


def source(path: str | os.PathLike[str]) -> LazyTensors:
    """As `load`, with each tensor read when it is asked for."""
    return _sharded_source(path) if is_index(path) else _single_source(path)


def read(file: IO[bytes]) -> Tensors:
    """As `load`, from an open file, which is read as a whole."""
    package = _package()
    data = file.read()
    try:
        package.deserialize(data)
    except package.SafetensorError as error:
        raise FormatError(f"not a safetensors file, or damaged: {error}") from None
    entries, metadata = _entries(io.BytesIO(data))
    tensors = Tensors(metadata=metadata)
    for name, (offset, shape, dtype) in entries.items():
        flat = np.frombuffer(data, dtype.newbyteorder("<"), math.prod(shape), offset)
        tensors[name] = flat.astype(dtype).reshape(shape)
    return tensors


def save(
    tensors: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = True,
    like: str | os.PathLike[str] | None = None,
    topology: bytes | None = None,
    shard_bytes: int = 5_000_000_000,
) -> None:
    """Write `tensors`, and their text metadata if they have any, to `path`, complete or not at all.

    A path `NAME.safetensors.index.json` gets shards `NAME-00001-of-0000N.safetensors` beside it.

    Args:
        like: a file whose text metadata, and division into shards, are taken over.
        topology: text metadata, as `topology` gives them.
        shard_bytes: size of the tensors of a shard, where `like` does not divide them; a larger tensor has
            one for itself.

    Raises:
        FormatError: a name or a type that the format cannot hold.
        OSError: the file cannot be written.
    """
    metadata = _metadata(tensors)
    if metadata is None and like is not None:
        metadata = source(like).metadata or None
    elif metadata is None and topology is not None:
        metadata = _metadata_in(topology)
    if not is_index(path):
        with atomic_output(path, overwrite=overwrite) as file:
            _write(tensors, list(tensors), file, metadata)
        return
    shards = _shards_like(like, tensors) if like is not None and is_index(like) else None
    if shards is None:
        shards = divided(tensors, os.path.basename(path)[: -len(INDEX)], ".safetensors", shard_bytes)
    total = 0
    with contextlib.ExitStack() as stack:  # leaves in reverse order: the index appears last
        index = stack.enter_context(atomic_path(path, overwrite=overwrite))
        for shard, names in shards.items():
            at = os.path.join(os.path.dirname(path), shard)
            with open(stack.enter_context(atomic_path(at, overwrite=overwrite)), "wb") as file:
                total += _write(tensors, names, file, metadata)
        index.write_text(index_text(shards, total, tensors), encoding="utf-8")


def topology(path: str | os.PathLike[str]) -> bytes:
    """The text metadata of a file, and the names of its tensors, as JSON.

    Raises:
        FormatError: as for `load`.
    """
    found = source(path)
    content = {"safetensors": found.metadata, "names": list(found)}
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8")


def _metadata_in(topology: bytes) -> dict[str, str] | None:
    try:
        found = json.loads(topology).get("safetensors") or {}
        return {str(key): str(value) for key, value in found.items()} or None
    except (ValueError, AttributeError, RecursionError):
        raise FormatError("the topology is not that of a PyTorch model") from None


def write(tensors: Mapping[str, np.ndarray], file: IO[bytes]) -> None:
    """As `save`, to an open file."""
    _write(tensors, list(tensors), file, _metadata(tensors))


def is_index(path: str | os.PathLike[str]) -> bool:
    """True for the name of an index of shards."""
    return os.fspath(path).lower().endswith(INDEX)


def _write(
    tensors: Mapping[str, np.ndarray],
    names: Sequence[str],
    file: IO[bytes],
    metadata: Mapping[str, str] | None,
) -> int:
    """Write the tensors called `names`; the bytes of their data."""
    stored = {name: stored_of(tensors, name) for name in names}
    codes = {name: _code(name, stored[name].dtype) for name in names}
    order = sorted(names, key=lambda name: (_RANK[codes[name]], name))
    header: dict[str, Any] = {}
    if metadata:
        header["__metadata__"] = dict(sorted(metadata.items()))
    end = 0
    for name in order:
        begin, end = end, end + stored[name].nbytes
        shape = list(stored[name].shape)
        header[name] = {"dtype": codes[name], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little") + text)
    with each(tensors, order) as found:
        for name, tensor in found:
            array = np.asarray(tensor, order="C")
            if array.shape != stored[name].shape or array.dtype != stored[name].dtype:
                raise FormatError(
                    f"tensor {name!r} is {list(array.shape)} of {array.dtype}, and was announced as "
                    f"{list(stored[name].shape)} of {stored[name].dtype}"
                )
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            file.write(array.reshape(-1).view(np.uint8).data)
            del tensor, array  # before the next one is read
    return end


def _single_source(path: str | os.PathLike[str]) -> LazyTensors:
    package = _package()
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 8:
            raise FormatError("not a safetensors file: shorter than 8 bytes")
        try:
            with package.safe_open(os.fspath(path), framework="np"):
                pass  # opening checks the header against the size of the file
        except package.SafetensorError as error:
            raise FormatError(f"not a safetensors file, or damaged: {error}") from None
        entries, metadata = _entries(file)
    place = os.path.abspath(path)
    stored = {
        name: Stored(shape, dtype, Extent(place, offset, shape, dtype, name))
        for name, (offset, shape, dtype) in entries.items()
    }
    return LazyTensors(stored, metadata=metadata)


def _sharded_source(path: str | os.PathLike[str]) -> LazyTensors:
    names: dict[str, list[str]] = {}
    for name, shard in weight_map(path).items():
        names.setdefault(shard, []).append(name)
    stored: dict[str, Stored] = {}
    metadata: dict[str, str] = {}
    for shard in sorted(names):
        try:
            found = _single_source(os.path.join(os.path.dirname(path), shard))
        except FileNotFoundError:
            raise FormatError(f"the index names the shard {shard}, which is not there") from None
        except FormatError as error:
            raise FormatError(f"shard {shard}: {error}") from None
        metadata = {**found.metadata, **metadata}
        absent = next((name for name in names[shard] if name not in found), None)
        if absent is not None:
            raise FormatError(f"shard {shard} has no tensor {absent!r}, which the index looks for there")
        listed = set(names[shard])
        stored.update((name, found.stored(name)) for name in found if name in listed)
    return LazyTensors(stored, metadata=metadata)


def _shards_like(
    like: str | os.PathLike[str], tensors: Mapping[str, np.ndarray]
) -> dict[str, list[str]] | None:
    """Names by shard as in the index `like`; None where it does not list exactly these tensors."""
    found = weight_map(like)
    if set(found) != set(tensors):
        return None
    shards: dict[str, list[str]] = {shard: [] for shard in sorted(set(found.values()))}
    for name in tensors:
        shards[found[name]].append(name)
    return shards


_Entry = tuple[int, tuple[int, ...], np.dtype[Any]]


def _entries(file: IO[bytes]) -> tuple[dict[str, _Entry], dict[str, str]]:
    """Offset, shape and type by name, in the order of the data, and the text metadata.

    The header has been checked: offsets are in order, without gaps, inside the file.
    """
    header_bytes = int.from_bytes(file.read(8), "little")
    header = json.loads(file.read(header_bytes), object_pairs_hook=each_once)
    metadata = header.pop("__metadata__", None) or {}
    entries: dict[str, _Entry] = {}
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        dtype = _dtype(name, entry["dtype"])
        shape = tuple(entry["shape"])
        check_shape(shape, dtype, f"tensor {name!r}")
        begin, end = entry["data_offsets"]
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise FormatError(f"tensor {name!r}: {end - begin} bytes for shape {shape} of {entry['dtype']}")
        entries[name] = 8 + header_bytes + begin, shape, dtype
    return entries, metadata


def _dtype(name: str, code: str) -> np.dtype[Any]:
    if code in _NUMPY:
        return np.dtype(_NUMPY[code])
    if code in _ML_DTYPES:
        return ml_dtype(_ML_DTYPES[code], f"tensor {name!r}")
    raise FormatError(f"tensor {name!r} has type {code}, which is not supported")


def _code(name: str, dtype: np.dtype[Any]) -> str:
    code = _CODES.get(dtype.name)
    if code is None:
        raise FormatError(f"tensor {name!r} has type {dtype}, which a safetensors file cannot hold")
    if name == "__metadata__":
        raise FormatError("a safetensors file cannot hold a tensor called '__metadata__'")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise FormatError(f"tensor name {name!r} is not Unicode text") from None
    return code


def _metadata(tensors: Mapping[str, np.ndarray]) -> dict[str, str] | None:
    return getattr(tensors, "metadata", None) or None
