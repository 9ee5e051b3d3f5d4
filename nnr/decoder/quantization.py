"""From coded integers to values: step size, dependent-quantization states, codebooks.

Sections 8 and 10.1 to 10.3 of the decoding specification. Integers ("levels") come in as int32 arrays,
values go out as float32. Everything here is exact: a step size is a small integer times a power of
two, and the two roundings of `uniform` are part of the definition.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..errors import ConformanceError
from .clauses import clause

__all__ = [
    "DQ_TRANSITION",
    "check_indices",
    "codebook_values",
    "next_state",
    "qp_of_step",
    "qp_range",
    "step_size",
    "uniform_values",
]

#: Next state by state and parity of the coded index (decoding 8).
DQ_TRANSITION = ((0, 2), (7, 5), (1, 3), (6, 4), (2, 0), (5, 7), (3, 1), (4, 6))

_CHUNK = 1 << 18


@clause("decoding 8")
def next_state(state: int, index: int) -> int:
    """(decoding 8) State of dependent quantization after `index` was coded in `state`."""
    return DQ_TRANSITION[state][index & 1]


@clause("decoding 10.1")
def step_size(qp: int, qp_density: int) -> float:
    """(decoding 10.1) Distance of two neighbouring levels, as a float that is exact in binary64.

    Args:
        qp: quantization parameter, base QP and qp_value added.
        qp_density: QpDensity, 0..7; the step size doubles every ``2**qp_density`` steps of `qp`.
    """
    m = (1 << qp_density) + (qp & ((1 << qp_density) - 1))
    exponent = (qp >> qp_density) - qp_density
    return math.ldexp(m, exponent) if exponent < 1000 else math.inf  # far beyond binary32, where it counts


def qp_of_step(step: float, qp_density: int) -> int:
    """(encoding 5.1) The QP whose step size is nearest to `step` (positive and finite)."""
    mantissa, exponent = math.frexp(step)
    fraction = (2.0 * mantissa - 1.0) * (1 << qp_density)
    return ((exponent - 1) << qp_density) + math.floor(fraction + 0.5)


def qp_range(qp_density: int) -> tuple[int, int]:
    """(encoding 2) Smallest and largest qp_value that its field of 6 + QpDensity bits can hold."""
    return -(1 << (5 + qp_density)), (1 << (5 + qp_density)) - 1


@clause("decoding 10.2")
def uniform_values(levels: np.ndarray, qp: int, qp_density: int) -> np.ndarray:
    """(decoding 10.2) Levels times step size.

    Both factors are rounded to binary32 first, and the product is rounded again; above 2^24 the result can
    differ from the rounded exact product, so the order matters.

    Args:
        levels: int32, any shape; the doubled integers of decoding 8 with dependent quantization.

    Returns:
        float32, same shape.
    """
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return levels.astype(np.float32) * np.float32(step_size(qp, qp_density))


def check_indices(indices: np.ndarray, codebook_size: int, cb_zero_offset: int) -> None:
    """(decoding 10.3) Codebook indices must lie inside the codebook; profile 0 can code others.

    Raises:
        ConformanceError: one does not.
    """
    if indices.size:
        low, high = int(indices.min()), int(indices.max())
        if low < -cb_zero_offset or high >= codebook_size - cb_zero_offset:
            bad = low if low < -cb_zero_offset else high
            raise ConformanceError(
                f"index {bad} is outside the codebook, which reaches from {-cb_zero_offset} "
                f"to {codebook_size - 1 - cb_zero_offset}",
                clause="decoding 10.3",
            )


@clause("decoding 10.3")
def codebook_values(
    indices: np.ndarray, codebook: Sequence[int], cb_zero_offset: int, qp: int, qp_density: int
) -> np.ndarray:
    """(decoding 10.3) Codebook entries times step size, in binary64, rounded to float32 once.

    Args:
        indices: int32, any shape; codebook index minus CbZeroOffset.
        codebook: strictly increasing integers.

    Raises:
        ConformanceError: an index lies outside the codebook.
    """
    check_indices(indices, len(codebook), cb_zero_offset)
    with np.errstate(over="ignore", under="ignore"):
        entries = (np.array(codebook, dtype=np.float64) * step_size(qp, qp_density)).astype(np.float32)
    values = np.empty(indices.shape, np.float32)
    source, target = indices.reshape(-1), values.reshape(-1)
    for start in range(0, source.size, _CHUNK):  # in pieces: take() widens its indices to 64 bits
        piece = slice(start, start + _CHUNK)
        entries.take(source[piece] + np.int32(cb_zero_offset), out=target[piece], mode="clip")
    return values
