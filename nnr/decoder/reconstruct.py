"""From decoded values to the arrays that are given out.

Section 10.4 to 10.6 of the decoding specification (members of a block, output formats) and the carriage of
dtypes and shapes by the metadata unit. In: {element id: array} as coded. Out: {name: array}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..dtypes import BIG_ENDIAN, WIDE, dtype_from_code, is_float, is_integer
from ..errors import ConformanceError, abridged
from ..metadata import CLAUSE, Kind, Metadata, TensorRecord
from ..syntax.constants import DataFormat
from .clauses import clause

if TYPE_CHECKING:
    from .plan import UnitPlan

__all__ = [
    "LIMB_BITS",
    "apply_format",
    "cast_float",
    "join_limbs",
    "original_names",
    "restore",
    "restore_one",
    "restored_bytes",
]

#: Bits of one limb of a split integer; every limb but the last is in 0..2**30 - 1.
LIMB_BITS = 30

_INTEGER_BITS = {
    DataFormat.TENSOR_INT2: 2,
    DataFormat.TENSOR_INT3: 3,
    DataFormat.TENSOR_INT4: 4,
    DataFormat.TENSOR_INT8: 8,
    DataFormat.TENSOR_INT16: 16,
    DataFormat.TENSOR_INT32: 32,
    DataFormat.TENSOR_INT64: 64,
}
_FLOAT_TYPE = {
    DataFormat.TENSOR_FLOAT16: np.float16,
    DataFormat.TENSOR_FLOAT32: np.float32,
    DataFormat.TENSOR_FLOAT64: np.float64,
}


@clause("decoding 10.6")
def apply_format(values: np.ndarray, data_format: DataFormat | None) -> np.ndarray:
    """(decoding 10.6) Convert to the format a unit asks for; unverified against other software.

    To an integer format of n bits: round to nearest (ties to even) and saturate to n bits; the array has the
    smallest numpy type that holds n bits. To a floating format: IEEE conversion.

    Raises:
        ConformanceError: a NaN is to become an integer.
    """
    if data_format is None:
        return values
    if data_format in _FLOAT_TYPE:
        with np.errstate(over="ignore", under="ignore"):
            return values.astype(_FLOAT_TYPE[data_format], copy=False)
    bits = _INTEGER_BITS[data_format]
    target = np.dtype(f"int{max(8, bits)}")
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if values.dtype.kind == "f":
        if np.isnan(values).any():
            raise ConformanceError(f"a NaN cannot be converted to {data_format.name}", clause="decoding 10.6")
        wide = np.rint(values.astype(np.float64))
        top = wide >= high  # high + 1 is a binary64 number, high need not be one
        integers = np.where(top, 0.0, np.maximum(wide, low)).astype(target)
        integers[top] = high
        return integers
    return np.clip(values, low, high).astype(target)


def join_limbs(limbs: list[np.ndarray]) -> np.ndarray:
    """Integers from their limbs, least significant first, as int64 modulo 2^64.

    Args:
        limbs: int32 arrays of one shape.
    """
    total = np.zeros(limbs[0].shape, np.uint64)
    for k, limb in enumerate(limbs):
        total += limb.astype(np.int64).astype(np.uint64) << np.uint64(LIMB_BITS * k)
    return total.view(np.int64)


def cast_float(values: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Decoded float32 values in a tensor's own floating type.

    Finite values beyond the range of a narrower type become its largest finite value, so that the error of
    quantization never turns a weight into an infinity.
    """
    if dtype == np.float32 or dtype.itemsize >= 4:
        return values.astype(dtype, copy=False)
    top = _largest(dtype)
    if values.size and not np.maximum(values.max(), -values.min()) <= top:
        finite = np.isfinite(values)
        values = np.where(finite, np.clip(values, -top, top), values)
    return values.astype(dtype)


def _largest(dtype: np.dtype[Any]) -> float:
    if dtype == np.float16:
        return float(np.finfo(np.float16).max)
    import ml_dtypes

    return float(ml_dtypes.finfo(dtype).max)


def restore(coded: Mapping[str, np.ndarray], metadata: Metadata) -> tuple[dict[str, np.ndarray], list[str]]:
    """Original tensors, with dtype, shape, order and ties, from coded ones.

    Args:
        coded: arrays by element id, in bitstream order.

    Returns:
        the tensors, and one line for each thing that was done.

    Raises:
        ConformanceError: the coded tensors are not those that the metadata unit describes.
    """
    restored: dict[str, np.ndarray] = {}
    tensors: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for name, (parts, record) in original_names(list(coded), metadata).items():
        if parts[0] not in restored:
            restored[parts[0]] = restore_one(name, [coded[part] for part in parts], record)
            if len(parts) > 1:
                notes.append(f"{abridged(name)}: joined from {len(parts)} coded tensors")
        if name != parts[0]:
            notes.append(f"{abridged(name)}: tied to {abridged(parts[0])}")
        tensors[name] = restored[parts[0]]
    return tensors, notes


def original_names(coded: Sequence[str], metadata: Metadata) -> dict[str, tuple[list[str], TensorRecord]]:
    """Which coded tensors carry which original one.

    Args:
        coded: element ids in bitstream order.

    Returns:
        by original name, in original order: ids of the coded tensors, and the record that says how to read
            them (for a tied tensor those of the other one).

    Raises:
        ConformanceError: the coded tensors are not those that the metadata unit describes.
    """
    position = 0
    found: list[tuple[str, list[str], TensorRecord]] = []
    for record in metadata.records:
        if record.kind == Kind.TIED:
            _, parts, other = found[record.original]
            found.append((record.name, parts, other))
            continue
        parts = list(coded[position : position + record.parts])
        if not parts or len(parts) < record.parts:
            raise ConformanceError(
                f"the metadata unit describes more tensors than the {len(coded)} that are coded",
                clause=CLAUSE,
            )
        position += record.parts
        found.append((parts[0], parts, record))
    if position != len(coded):
        raise ConformanceError(
            f"{len(coded)} tensors are coded, the metadata unit describes {position}",
            clause=CLAUSE,
        )
    if metadata.order:
        found = [
            entry for _, entry in sorted(zip(metadata.order, found, strict=True), key=lambda item: item[0])
        ]
    names = {name: (parts, record) for name, parts, record in found}
    if len(names) != len(found):
        raise ConformanceError("the metadata unit gives one name to two tensors", clause=CLAUSE)
    return names


def restored_bytes(plans: Sequence[UnitPlan], metadata: Metadata | None) -> int:
    """Bytes of the original tensors, as far as types wider than 32 bits make them larger than "
    "the coded ones."""
    if metadata is None:
        return 0
    elements = [tensor.elements for plan in plans for tensor in plan.tensors]
    total = position = 0
    for record in metadata.records:
        parts = elements[position : position + record.parts]
        position += record.parts
        size = sum(parts) if record.kind == Kind.PIECES else max(parts, default=0)
        total += size * (8 if record.dtype_code & ~BIG_ENDIAN in WIDE else 4)
    return total


def restore_one(name: str, parts: list[np.ndarray], record: TensorRecord) -> np.ndarray:
    dtype = dtype_from_code(record.dtype_code)
    shape = parts[0].shape if record.shape is None else record.shape
    size = 1
    for n in shape:
        size *= n
    pieces = record.kind == Kind.PIECES
    if any(part.size != size for part in parts) if not pieces else sum(part.size for part in parts) != size:
        raise ConformanceError(
            f"tensor {name!r} has {parts[0].size} coded elements, the metadata unit gives it the "
            f"shape {list(shape)}",
            clause=CLAUSE,
        )
    if record.kind == Kind.PLAIN or pieces:
        array = np.concatenate([part.reshape(-1) for part in parts]) if pieces else parts[0]
        if is_float(dtype) and array.dtype.kind == "f":
            array = cast_float(array, dtype)
        elif is_integer(dtype) and array.dtype.kind in "iu":
            array = array.astype(dtype, copy=False)
        else:
            raise ConformanceError(
                f"tensor {name!r} is coded as {array.dtype}, the metadata unit says {dtype}",
                clause=CLAUSE,
            )
    else:
        if any(part.dtype.kind != "i" for part in parts):
            raise ConformanceError(f"the parts of tensor {name!r} are not integers", clause=CLAUSE)
        whole = join_limbs(parts)
        if record.kind == Kind.BITS:
            pattern = np.dtype(f"u{dtype.itemsize}")
            array = whole.astype(pattern).view(dtype.newbyteorder("=")).astype(dtype, copy=False)
        else:
            array = whole.astype(dtype)
    try:
        return array.reshape(shape)
    except (ValueError, OverflowError):  # more dimensions, or larger ones, than numpy has
        raise ConformanceError(
            f"tensor {name!r} cannot have the shape {list(shape)[:40]} that the metadata unit gives it",
            clause=CLAUSE,
        ) from None
