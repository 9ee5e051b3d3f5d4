"""How each tensor of a model travels: which coded tensors carry it, and what the metadata unit must say.

In: {name: array} as a user has it, or a mapping that reads its tensors one by one, as a model file opened
with `nnr.formats.open_source`. Out: `Carrier`s in stream order and the `TensorRecord`s that let a decoder
give back dtype, shape, order and ties. Arrays are converted only when a carrier is coded. Those that have to
be read are read only then, unless their values decide how they travel: integers of 32 bits and more, and
floats with nonfinite="raw".
"""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from ..decoder.plan import Role
from ..decoder.reconstruct import LIMB_BITS
from ..dtypes import dtype_code, is_integer
from ..limits import Limits
from ..metadata import Kind, TensorRecord
from ..stored import Stored
from .blocks import BATCH_NORM_ROLES, Stated, layers
from .config import EncoderConfig
from .tools.grid import fitting_qp
from .vectors import vector_qp

__all__ = ["Cargo", "Carrier", "Layer", "carrier_qp", "extract", "load_cargo"]

#: Integers up to this magnitude go into one integer tensor (spec README 2: escape code).
MAX_INTEGER = (1 << 31) - 3

_MAX_NAME = Limits().max_name_bytes

#: Elements of one tensor of raw floats: its unit, header included, stays below 2 GiB.
MAX_RAW_ELEMENTS = (1 << 29) - (1 << 16)

How = Literal["quantize", "integer", "raw"]


@dataclass(frozen=True, slots=True)
class Carrier:
    """One tensor to be coded.

    Attributes:
        name: topology element id.
        source: name of the original tensor.
        tensor: the original.
        shape: dimensions as coded; at least one.
        how: quantized float, integer payload, or raw float payload.
        limb: which 30-bit limb of the integers, or None for the whole value.
        of_bits: limbs are those of the bit patterns.
        piece: elements of the flattened original that this carrier holds, or None for all.
        largest: magnitude in the whole of it, where that is known.
    """

    name: str
    source: str
    tensor: Stored
    shape: tuple[int, ...]
    how: How
    limb: tuple[int, int] | None = None
    of_bits: bool = False
    piece: slice | None = None
    largest: float | None = None

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layer:
    """The carriers of one unit, each with its role; a lone tensor is a weight.

    Attributes:
        dimensions: of a decomposed weight; None for others.
    """

    members: tuple[tuple[Carrier, Role], ...]
    dimensions: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        return sum(carrier.elements for carrier, _ in self.members)


@dataclass(slots=True)
class Cargo:
    """Units in stream order, records for the metadata unit, and what was done to each tensor."""

    names: list[str] = field(default_factory=list)  # in the order of the model
    layers: list[Layer] = field(default_factory=list)
    records: list[TensorRecord] = field(default_factory=list)
    order: list[int] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    ties: dict[str, str] = field(default_factory=dict)  # name -> the tensor whose data it shares

    @property
    def carriers(self) -> list[Carrier]:
        """All carriers in stream order."""
        return [carrier for layer in self.layers for carrier, _ in layer.members]


def load_cargo(
    tensors: Mapping[str, Any], config: EncoderConfig, limbs: Mapping[str, int] | None = None
) -> Cargo:
    """Decide how each tensor travels.

    Args:
        limbs: number of limbs of split integers by tensor name, where it is given: an update has those of
        its base.

    Raises:
        TypeError: a name is no string, or an array has a dtype that a bitstream cannot carry.
        ValueError: a name that cannot be written; a tensor that must not be quantized and has no other way
            under the options. The message names the tensor.
    """
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors must be a mapping of names to arrays, not {type(tensors).__name__}")
    names = {_checked_name(name) for name in tensors}
    _check_importance(tensors, config)
    _check_names(names, config)
    seen: dict[tuple[Any, ...], tuple[int, str]] = {}
    entries: list[tuple[int, TensorRecord, list[Carrier]]] = []
    cargo = Cargo(list(tensors))
    ties: Mapping[str, str] = getattr(tensors, "ties", {})
    for position, name in enumerate(tensors):
        tensor = _stored(tensors, name)
        key = _identity(tensor, ties.get(name, name))
        if key is not None:  # the same data under another name may be asked to be coded in another way
            key = (
                *key,
                _is_raw(name, config),
                tensor_qp(name, len(tensor.shape), config),
                id((config.importance or {}).get(name)),
            )
        if config.metadata and key is not None and key in seen:
            tie = TensorRecord(_code(name, tensor.dtype), Kind.TIED, 0, None, seen[key][0], name)
            entries.append((position, tie, []))
            cargo.ties[name] = seen[key][1]
            continue
        record, carriers, notes = _load(name, tensor, names, config, (limbs or {}).get(name, 0))
        names.update(c.name for c in carriers)
        if key is not None:
            seen[key] = position, name
        if notes:
            cargo.notes[name] = notes
        entries.append((position, record, carriers))
    _arrange(entries, cargo, config)
    return cargo


_Entry = tuple[int, TensorRecord, list[Carrier]]


def _arrange(entries: list[_Entry], cargo: Cargo, config: EncoderConfig) -> None:
    """Stream order: members of a block together, raw floats last where the reader cares, ties at the end."""
    if config.compat is not None:
        raw = [c for _, _, carriers in entries for c in carriers if c.how == "raw"]
        if len(raw) > 1:
            second = "a further piece" if raw[1].source == raw[0].source else f"that of {raw[0].source!r}"
            raise ValueError(
                f"tensor {raw[1].source!r}: NNCodec reads only one unit of raw floats, and there "
                f"is {second} too; "
                "compat=None allows any number"
            )
    groups = _grouped(entries, config)

    def place(group: _Group) -> int:
        _, record, carriers = group.entries[0][0]
        if record.kind == Kind.TIED:
            return 2
        return 1 if config.compat is not None and any(c.how == "raw" for c in carriers) else 0

    groups.sort(key=place)
    # a decoder multiplies factors and applies a local scaling: H and the scaling do not come back by
    # themselves
    merged = (Role.LOCAL_SCALING, Role.H)
    kept = [entry for group in groups for entry, role in group.entries if role not in merged]
    record_of = {position: k for k, (position, _, _) in enumerate(kept)}
    for _, record, _ in kept:
        if record.kind == Kind.TIED:
            record.original = record_of[record.original]
        cargo.records.append(record)
    for group in groups:
        if len(group.entries) > 1:
            members = tuple((carriers[0], role) for (_, _, carriers), role in group.entries)
            cargo.layers.append(Layer(members, group.dimensions))
        else:
            cargo.layers.extend(Layer(((carrier, Role.WEIGHT),)) for carrier in group.entries[0][0][2])
    positions = [position for position, _, _ in kept]
    ranks = {position: rank for rank, position in enumerate(sorted(positions))}
    cargo.order = [] if positions == sorted(positions) else [ranks[position] for position in positions]


@dataclass(frozen=True, slots=True)
class _Group:
    """Entries of one unit with their roles."""

    entries: list[tuple[_Entry, Role]]
    dimensions: tuple[int, ...] | None = None


def _grouped(entries: list[_Entry], config: EncoderConfig) -> list[_Group]:
    """Entries by unit; the members of a block in the order in which the plain form gives them out."""
    quantized = {
        carriers[0].source: entry
        for entry in entries
        for carriers in [entry[2]]
        if len(carriers) == 1
        and carriers[0].how == "quantize"
        and carriers[0].shape == carriers[0].tensor.shape
    }
    found = layers(config.blocks or False, {name: entry[2][0].shape for name, entry in quantized.items()})
    decomposed = next((name for name, stated in found.items() if Role.H in stated.roles), None)
    if decomposed is not None and config.compat is not None:
        raise ValueError(
            f"blocks: NNCodec cannot read the decomposed weight {decomposed!r}; compat=None allows it"
        )
    taken = {name for stated in found.values() for name in stated.roles.values()}
    groups = []
    for entry in entries:
        source = entry[2][0].source if entry[2] else ""
        if source in taken:
            continue
        stated = found.get(source, Stated({})) if entry[2] else Stated({})
        group = [(entry, Role.G if Role.H in stated.roles else Role.WEIGHT)]
        companions = (Role.H, Role.LOCAL_SCALING, *BATCH_NORM_ROLES, Role.BIAS)
        group.extend((quantized[stated.roles[role]], role) for role in companions if role in stated.roles)
        groups.append(_Group(group, stated.dimensions))
    return groups


def _matches(name: str, pattern: str) -> bool:
    """True for the name itself, or where * stands for any characters and ? for any one."""
    return name == pattern or fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _is_raw(name: str, config: EncoderConfig) -> bool:
    return any(_matches(name, pattern) for pattern in config.raw)


def _check_names(names: set[str], config: EncoderConfig) -> None:
    """A name without wildcards must be that of a tensor."""
    for option, given in (("raw", config.raw), ("qp_per_tensor", config.qp_per_tensor or ())):
        for pattern in given:
            if pattern not in names and "*" not in pattern and "?" not in pattern:
                raise ValueError(f"{option}: there is no tensor {pattern!r}")


def _check_importance(tensors: Mapping[str, Any], config: EncoderConfig) -> None:
    for name, importance in (config.importance or {}).items():
        if name not in tensors:
            raise ValueError(f"importance: there is no tensor {name!r}")
        given = np.asarray(importance)
        shape = _stored(tensors, name).shape
        if given.shape != shape:
            raise ValueError(
                f"importance: {name!r} has the shape {list(shape)}, its importance {list(given.shape)}"
            )
        if given.dtype.kind not in "fiu" or not (np.isfinite(given).all() and (given >= 0).all()):
            raise ValueError(f"importance: that of {name!r} must be finite numbers, none of them negative")


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"tensor names must be strings, not {name!r}")
    if "\0" in name:
        raise ValueError(
            f"tensor {name!r}: a name cannot contain the character NUL, which ends names in a bitstream"
        )
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"tensor {name!r}: the name cannot be written in UTF-8") from None
    if len(name) > _MAX_NAME and len(name.encode("utf-8")) > _MAX_NAME:
        raise ValueError(
            f"tensor {name[:40]!r}...: its name has {len(name.encode('utf-8'))} bytes; decoders "
            f"accept {_MAX_NAME}"
        )
    return name


def _stored(tensors: Mapping[str, Any], name: str) -> Stored:
    """A tensor of a model, not read if the model can say what it is without."""
    stored: Stored = tensors.stored(name) if hasattr(tensors, "stored") else _of_value(name, tensors[name])
    _code(name, stored.dtype)
    return stored


def _of_value(name: str, value: Any) -> Stored:
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"tensor {name!r}: masked arrays cannot be carried, their masks would be lost")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TypeError(f"tensor {name!r}: {type(value).__name__} is no array: {error}") from None
    return Stored.of(array)


def _code(name: str, dtype: np.dtype[Any]) -> int:
    code = dtype_code(dtype)
    if code is None:
        raise TypeError(f"tensor {name!r}: arrays of type {dtype} cannot be carried by a bitstream")
    return code


def _identity(tensor: Stored, original: str) -> tuple[Any, ...] | None:
    """What two tied tensors have in common; None for tensors too small to be worth a tie.

    Args:
        original: name under which a source that reads its tensors has this one.
    """
    if tensor.size < 2:
        return None
    array = tensor.held
    if array is None:
        return (original,)
    return array.ctypes.data, array.shape, array.strides, array.dtype


def _load(
    name: str, tensor: Stored, names: set[str], config: EncoderConfig, limbs: int
) -> tuple[TensorRecord, list[Carrier], list[str]]:
    code = _code(name, tensor.dtype)
    shape, notes = tensor.shape, []
    if tensor.size == 0:
        coded: tuple[int, ...] = (0,)
    else:
        coded = shape or (1,)
    kept = coded if coded != shape else None
    if kept is not None and not config.metadata:
        notes.append(f"the shape {list(shape)} becomes {list(coded)}")
    record = TensorRecord(code, shape=shape if kept is not None else None)
    if is_integer(tensor.dtype):
        carriers = _integers(name, tensor, coded, record, names, config, limbs)
    else:
        carriers = _floats(name, tensor, coded, record, names, config, notes)
    if not config.metadata and tensor.dtype not in (np.dtype(np.float32), np.dtype(np.int32)):
        comes_back = "int32" if carriers[0].how == "integer" else "float32"
        notes.append(f"the type {tensor.dtype} becomes {comes_back}")
    return record, carriers, notes


def _integers(
    name: str,
    tensor: Stored,
    coded: tuple[int, ...],
    record: TensorRecord,
    names: set[str],
    config: EncoderConfig,
    limbs: int,
) -> list[Carrier]:
    low, high = _bounds(name, tensor)
    if not limbs and low >= -MAX_INTEGER and high <= MAX_INTEGER:
        return [Carrier(name, name, tensor, coded, "integer")]
    if not config.metadata:
        raise ValueError(
            f"tensor {name!r}: integers from {low} to {high} do not fit 32 bits, and to split "
            "them needs metadata=True"
        )
    record.kind = Kind.LIMBS
    return _limbs(name, tensor, coded, record, names, of_bits=False, low=low, high=high, at_least=limbs)


def _bounds(name: str, tensor: Stored) -> tuple[int, int]:
    """Bounds of integers: of all that the type can hold where it is a narrow one."""
    if tensor.size == 0:
        return 0, 0
    if tensor.dtype.itemsize <= 2:
        return -(1 << 15), (1 << 16) - 1
    array = _read(name, tensor)
    return int(array.min()), int(array.max())


def _limbs(
    name: str,
    tensor: Stored,
    coded: tuple[int, ...],
    record: TensorRecord,
    names: set[str],
    *,
    of_bits: bool,
    low: int,
    high: int,
    at_least: int = 1,
) -> list[Carrier]:
    count = max(at_least, 1)
    while not -(1 << (LIMB_BITS * count)) <= 2 * low <= 2 * high < 1 << (LIMB_BITS * count):
        count += 1
    record.parts = count
    part_names = [name, *_part_names(name, count - 1, names)]
    return [
        Carrier(part, name, tensor, coded, "integer", (k, count), of_bits)
        for k, part in enumerate(part_names)
    ]


def _part_names(name: str, count: int, names: set[str]) -> list[str]:
    """Names for the further parts of a tensor that no other tensor has."""
    mark = "#"
    while any(f"{name}{mark}{k}" in names for k in range(1, count + 1)):
        mark += "#"
    return [f"{name}{mark}{k}" for k in range(1, count + 1)]


def _raw_pieces(carrier: Carrier, record: TensorRecord, names: set[str]) -> list[Carrier]:
    """Raw floats, split where the unit would pass 2 GiB."""
    elements = carrier.elements
    if elements <= MAX_RAW_ELEMENTS:
        return [carrier]
    starts = range(0, elements, MAX_RAW_ELEMENTS)
    record.kind, record.parts = Kind.PIECES, len(starts)
    record.shape = carrier.tensor.shape
    part_names = [carrier.name, *_part_names(carrier.name, len(starts) - 1, names)]
    pieces = [slice(start, min(start + MAX_RAW_ELEMENTS, elements)) for start in starts]
    return [
        Carrier(part, carrier.source, carrier.tensor, (piece.stop - piece.start,), carrier.how, piece=piece)
        for part, piece in zip(part_names, pieces, strict=True)
    ]


def _floats(
    name: str,
    tensor: Stored,
    coded: tuple[int, ...],
    record: TensorRecord,
    names: set[str],
    config: EncoderConfig,
    notes: list[str],
) -> list[Carrier]:
    if _is_raw(name, config):
        return _raw(name, tensor, coded, record, names, config, notes)
    quantized = [Carrier(name, name, tensor, coded, "quantize")]
    if tensor.held is None and config.nonfinite == "error":
        return quantized  # `extract` refuses what cannot be quantized
    array = _read(name, tensor)
    if config.nonfinite == "raw":
        largest = _largest(array)
        if math.isfinite(largest) and _serves(largest, name, array.ndim, config):
            return quantized
        return _raw(name, tensor, coded, record, names, config, notes)
    return [Carrier(name, name, tensor, coded, "quantize", largest=_finite_largest(name, array))]


def _finite_largest(name: str, array: np.ndarray) -> float:
    """Largest magnitude. One that is finite but too large is left to the quantizer, which explains it.

    Raises:
        ValueError: the array cannot be quantized.
    """
    largest = _largest(array)
    if math.isfinite(largest):
        return largest
    if array.dtype.itemsize > 4 and np.isfinite(array).all():
        found = "values beyond the range of float32"
    else:
        found = "NaN or infinities"
    raise ValueError(
        f"tensor {name!r} contains {found}, which cannot be quantized: nonfinite='raw' stores such "
        "tensors as they are"
    )


def _serves(largest: float, name: str, ndim: int, config: EncoderConfig) -> bool:
    """True when levels fit 32 bits after raising the qp as far as quantizers do."""
    return fitting_qp(largest, tensor_qp(name, ndim, config), config.qp_density) is not None


def tensor_qp(name: str, ndim: int, config: EncoderConfig) -> int:
    """The qp that the options give to a tensor."""
    for pattern, qp in (config.qp_per_tensor or {}).items():
        if _matches(name, pattern):
            return qp
    return config.qp if ndim >= 2 else config.nonweight_qp


def carrier_qp(carrier: Carrier, config: EncoderConfig) -> int:
    """The qp of what is quantized: that of the options, but between `nonweight_qp` and `qp` for a vector
    whose values set it."""
    ndim = len(carrier.tensor.shape)
    qp = tensor_qp(carrier.source, ndim, config)
    named = any(_matches(carrier.source, pattern) for pattern in config.qp_per_tensor or {})
    if not config.vector_bits or ndim >= 2 or carrier.how != "quantize" or named:
        return qp
    found = vector_qp(extract(carrier), config.vector_bits, config.qp_density)
    return qp if found is None else max(qp, min(found, config.qp))


def _largest(array: np.ndarray) -> float:
    """Largest magnitude as binary32 sees it; NaN or infinite when the array is not finite."""
    if array.size == 0:
        return 0.0
    if array.dtype.kind != "f":
        array = array.astype(np.float32)
    low, high = array.min(), array.max()
    if array.dtype.itemsize > 4:
        with np.errstate(over="ignore", invalid="ignore"):
            low, high = np.float32(low), np.float32(high)
    low, high = float(low), float(high)
    return math.nan if math.isnan(low) or math.isnan(high) else max(high, -low)


def _raw(
    name: str,
    tensor: Stored,
    coded: tuple[int, ...],
    record: TensorRecord,
    names: set[str],
    config: EncoderConfig,
    notes: list[str],
) -> list[Carrier]:
    """As raw floats where binary32 holds every bit, else as the integers of the bit patterns."""
    if _fits_binary32(name, tensor):
        pieces = _raw_pieces(Carrier(name, name, tensor, coded, "raw"), record, names)
        if len(pieces) > 1 and not config.metadata:
            raise ValueError(
                f"tensor {name!r}: raw floats of more than 2 GiB are cut, which needs metadata=True"
            )
        return pieces
    if not config.metadata:
        raise ValueError(
            f"tensor {name!r}: values of type {tensor.dtype} do not fit raw floats of 32 bits, "
            "and to store their bits "
            "needs metadata=True"
        )
    notes.append("stored as the integers of its bit patterns")
    record.kind = Kind.BITS
    top = (1 << (8 * tensor.dtype.itemsize)) - 1
    return _limbs(name, tensor, coded, record, names, of_bits=True, low=0, high=top)


def _fits_binary32(name: str, tensor: Stored) -> bool:
    """True when every bit of the tensor comes back from float32."""
    if tensor.dtype == np.float32:
        return True
    array = _read(name, tensor)
    with np.errstate(over="ignore", invalid="ignore"):
        back = array.astype(np.float32).astype(array.dtype)
    pattern = f"u{array.dtype.itemsize}"
    return array.dtype.itemsize <= 8 and np.array_equal(
        np.ascontiguousarray(back).view(pattern), np.ascontiguousarray(array).view(pattern)
    )


def _read(name: str, tensor: Stored) -> np.ndarray:
    """The array of a tensor.

    Raises:
        ValueError: it is not what it was said to be.
    """
    array = tensor.read()
    if array.shape != tensor.shape or array.dtype != tensor.dtype:
        raise ValueError(
            f"tensor {name!r}: an array of shape {list(array.shape)} and type {array.dtype} was read, "
            f"{list(tensor.shape)} and {tensor.dtype} were announced"
        )
    return array


def extract(carrier: Carrier) -> np.ndarray:
    """The array a carrier holds: int32 or float32, C-contiguous, of its coded shape.

    Raises:
        ValueError: the tensor had to be read, and cannot be quantized.
    """
    array = _read(carrier.source, carrier.tensor)
    if carrier.how == "quantize" and carrier.tensor.held is None:
        _finite_largest(carrier.source, array)
    if carrier.piece is not None:
        array = array.reshape(-1)[carrier.piece]
    if carrier.of_bits:
        array = np.ascontiguousarray(array).view(f"u{array.dtype.itemsize}")
    if carrier.how != "integer":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(array, dtype=np.float32).reshape(carrier.shape)
    if carrier.limb is not None:
        k, count = carrier.limb
        wide = array.astype(np.uint64) if array.dtype.kind == "u" else array.astype(np.int64)
        wide = wide >> wide.dtype.type(LIMB_BITS * k)
        if k < count - 1:
            wide = wide & wide.dtype.type((1 << LIMB_BITS) - 1)
        array = wide
    return np.ascontiguousarray(array, dtype=np.int32).reshape(carrier.shape)
