"""Array types by number: which dtypes a model may have and how the metadata unit names them.

The numbers are part of the metadata layout (docs/metadata.md) and never change their meaning. Types that
numpy lacks come from `ml_dtypes`, imported only when a file or an array needs it.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import UnsupportedError

__all__ = [
    "BIG_ENDIAN",
    "WIDE",
    "dtype_code",
    "dtype_from_code",
    "dtype_name",
    "dtype_named",
    "dtype_text",
    "is_float",
    "is_integer",
]

#: Added to a code when the array is not little-endian.
BIG_ENDIAN = 0x40

#: Codes of the types of eight bytes.
WIDE = frozenset([4, 8, 18])

_NUMPY = {
    0: "bool",
    1: "int8",
    2: "int16",
    3: "int32",
    4: "int64",
    5: "uint8",
    6: "uint16",
    7: "uint32",
    8: "uint64",
    16: "float16",
    17: "float32",
    18: "float64",
}
_ML_DTYPES = {
    19: "bfloat16",
    20: "float8_e4m3fn",
    21: "float8_e5m2",
    22: "float8_e4m3b11fnuz",
    23: "float8_e4m3fnuz",
    24: "float8_e5m2fnuz",
    25: "float8_e3m4",
    26: "float8_e4m3",
    27: "float8_e8m0fnu",
    28: "float6_e2m3fn",
    29: "float6_e3m2fn",
    30: "float4_e2m1fn",
    32: "int2",
    33: "uint2",
    34: "int4",
    35: "uint4",
}
_CODES = {name: code for code, name in (_NUMPY | _ML_DTYPES).items()}


@lru_cache(maxsize=256)
def dtype_code(dtype: np.dtype[Any]) -> int | None:
    """Number of `dtype` in the metadata unit, or None when a bitstream cannot carry it."""
    code = _CODES.get(dtype.name)
    if code is None or dtype.fields is not None:
        return None
    native_big = dtype.byteorder == "=" and sys.byteorder == "big" and dtype.itemsize > 1
    big = dtype.byteorder == ">" or native_big
    return code | BIG_ENDIAN if big else code


@lru_cache(maxsize=256)
def dtype_text(dtype: np.dtype[Any]) -> str:
    """`dtype` as numpy writes it, which takes numpy longer than coding a small tensor takes."""
    return str(dtype)


def dtype_name(code: int) -> str:
    """Name of the type of a number, whether it is at hand or not; "?" for a number from a later version."""
    return (_NUMPY | _ML_DTYPES).get(code & ~BIG_ENDIAN, "?")


def dtype_from_code(code: int) -> np.dtype[Any]:
    """The dtype of a number.

    Raises:
        UnsupportedError: a number from a later version, or a type that needs the package `ml_dtypes`.
    """
    plain = code & ~BIG_ENDIAN
    if plain in _NUMPY:
        dtype = np.dtype(_NUMPY[plain])
        return dtype.newbyteorder(">") if code & BIG_ENDIAN else dtype
    if plain in _ML_DTYPES:
        name = _ML_DTYPES[plain]
        try:
            import ml_dtypes
        except ImportError:
            raise UnsupportedError(
                f"a tensor of type {name} needs the package ml_dtypes: pip install 'nnr[bfloat16]'"
            ) from None
        if hasattr(ml_dtypes, name):
            return np.dtype(getattr(ml_dtypes, name))
    raise UnsupportedError(f"array type number {code} is not known to this version of nnr")


def dtype_named(name: str) -> np.dtype[Any]:
    """The dtype of a name that `dtype_name` gives.

    Raises:
        UnsupportedError: as for `dtype_from_code`.
    """
    return dtype_from_code(_CODES.get(name, 0x3F))


@lru_cache(maxsize=256)
def is_integer(dtype: np.dtype[Any]) -> bool:
    """True for bool and every integer type, also those of `ml_dtypes`."""
    code = _CODES.get(dtype.name, -1)
    return 0 <= code <= 8 or 32 <= code <= 35


@lru_cache(maxsize=256)
def is_float(dtype: np.dtype[Any]) -> bool:
    """True for every floating type that a bitstream can carry, also those of `ml_dtypes`."""
    return 16 <= _CODES.get(dtype.name, -1) <= 30
