"""Targets in place of a qp: size, bits per weight, largest error, signal-to-noise ratio.

A size is reached by moving the qp of all weights together, at the finest density of the standard, until the
stream just fits. An error is reached tensor by tensor, by quantizing without coding. Every decision rests
on integers or on comparisons of measured errors with the target.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..decoder.quantization import qp_of_step
from .carry import extract
from .measure import coding_error, peak_of
from .pipeline import EncodedStream, Part, Preparation, Progress, tensor_job

__all__ = ["reach_target"]

#: A step is 2^(1/128) of the next: about 1/128 bit per weight.
FINE_DENSITY = 7

_TOLERANCE = 0.005
_TOLERANCE_BYTES = 64
_ATTEMPTS = 40


def reach_target(
    prepared: Preparation, *, progress: Progress | None = None, measure: bool = False
) -> EncodedStream:
    """Encode as finely as the target of the options allows.

    Raises:
        ValueError: the target cannot be reached; the message says how near it is possible to come.
    """
    config = prepared.config
    if config.max_error is not None:
        bound = config.max_error
        return _by_tensor(prepared, lambda squared, largest, peak, size: largest <= bound, progress, measure)
    if config.psnr is not None:
        ratio = 10 ** (-config.psnr / 10)

        def good(squared: float, largest: float, peak: float, size: int) -> bool:
            return squared <= ratio * peak * peak * size

        return _by_tensor(prepared, good, progress, measure)
    if config.target_size is not None:
        size = config.target_size
    else:
        assert config.bits_per_weight is not None
        weights = sum(carrier.elements for carrier in prepared.cargo.carriers)
        size = int(config.bits_per_weight * weights / 8)
    return _by_size(prepared, size, progress, measure)


# ------------------------------------------------------------------------------------------------- size


@dataclass(frozen=True)
class _Dial:
    """Quantization parameters as a function of one number, larger being coarser.

    The tensors move one after another, so that two neighbouring numbers differ by one step of one tensor.

    Attributes:
        start: qp of each tensor at 0.
        finest: smallest qp of each tensor; below it nothing is gained.
    """

    start: Mapping[str, int]
    finest: Mapping[str, int]

    def qps(self, position: int) -> dict[str, int]:
        whole, rest = divmod(position, len(self.start))
        return {
            name: max(qp + whole + (k < rest), self.finest[name])
            for k, (name, qp) in enumerate(self.start.items())
        }

    def span(self, top: int) -> tuple[int, int]:
        """Positions at which every tensor is at its finest, and at `top` or above."""
        low = min(self.finest[name] - qp for name, qp in self.start.items())
        return low * len(self.start), (top - min(self.start.values())) * len(self.start)


def _by_size(prepared: Preparation, size: int, progress: Progress | None, measure: bool) -> EncodedStream:
    """The finest stream of at most `size` bytes."""
    parts = sorted(prepared.quantized(), key=lambda part: part.carrier.elements)
    density = max(prepared.config.qp_density, FINE_DENSITY)
    shift = density - prepared.config.qp_density
    config = replace(prepared.config, qp_density=density)
    finest = {part.carrier.source: _finest_qp(part, density) for part in parts}
    start = {part.carrier.source: max(part.qp << shift, finest[part.carrier.source]) for part in parts}
    weights = [p.carrier.source for p in parts if len(p.carrier.tensor.shape) >= 2]
    others = [p.carrier.source for p in parts if len(p.carrier.tensor.shape) < 2]
    fixed = start
    smallest = None
    for names in filter(None, (weights, others)):  # vectors are few and delicate: they move last
        dial = _Dial({name: start[name] for name in names}, finest)
        top = (1 << (5 + density)) - 1
        low, high = dial.span(top)

        def attempt(position: int, fixed: dict[str, int] = fixed, dial: _Dial = dial) -> int:
            return prepared.encode(
                {**fixed, **dial.qps(position)}, config=config, progress=progress, keep=False
            ).report.total_bytes

        found, smallest = _search(attempt, size, low, high, len(names) << density)
        if found is not None:
            return prepared.encode(fixed | dial.qps(found), config=config, progress=progress, measure=measure)
        fixed = fixed | dial.qps(high)
    if smallest is None:
        stream = prepared.encode(start, config=config, progress=progress, measure=measure)
        smallest = stream.report.total_bytes
        if smallest <= size:
            return stream
    raise ValueError(
        f"target of {size} bytes: it cannot be reached, the smallest size that can is {smallest} bytes"
    )


def _finest_qp(part: Part, density: int) -> int:
    """The qp whose step is 2^-26 of the tensor's largest magnitude: finer than its own floats."""
    values = extract(part.carrier)
    largest = float(np.float32(peak_of(values)))
    return qp_of_step(largest, density) - (26 << density) if largest > 0 else -(1 << (5 + density))


def _search(
    attempt: Callable[[int], int], size: int, low: int, high: int, octave: int
) -> tuple[int | None, int]:
    """The smallest position whose stream fits `size`, near enough; sizes fall as positions grow.

    Args:
        low, high: positions to search.
        octave: positions that double the step size of all tensors.

    Returns:
        the position, or None when even `high` is too large; and the smallest size seen.
    """
    position, step = 0, octave // 2
    fits: tuple[int, int] | None = None  # position and size
    large: tuple[int, int] | None = None
    smallest = 1 << 62
    for _ in range(_ATTEMPTS):
        position = max(low, min(high, position))
        found = attempt(position)
        smallest = min(smallest, found)
        if found <= size:
            fits = position, found
            if position == low or size - found <= max(_TOLERANCE * size, _TOLERANCE_BYTES) / 4:
                break
        else:
            large = position, found
            if position == high:
                return None, smallest
        if fits is None or large is None:
            position += step if fits is None else -step
            step *= 2
        elif fits[0] - large[0] <= 1:
            break
        else:
            share = (large[1] - size) / max(large[1] - fits[1], 1)
            inner = round(large[0] + share * (fits[0] - large[0]))
            position = max(large[0] + 1, min(fits[0] - 1, inner))
    return (None if fits is None else fits[0]), smallest


# ------------------------------------------------------------------------------------------------ error


def _by_tensor(
    prepared: Preparation,
    good: Callable[[float, float, float, int], bool],
    progress: Progress | None,
    measure: bool,
) -> EncodedStream:
    """The coarsest qp of each tensor whose errors are `good` (squared error, largest error, peak, elements).

    Raises:
        ValueError: the error cannot be reached with levels of 32 bits; the message names the tensor.
    """
    qps = {part.carrier.source: _coarsest(part, prepared, good) for part in prepared.quantized()}
    return prepared.encode(qps, progress=progress, measure=measure)


def _coarsest(part: Part, prepared: Preparation, good: Callable[[float, float, float, int], bool]) -> int:
    config = prepared.config
    values = extract(part.carrier)
    if values.size == 0:
        return part.qp
    peak = peak_of(values)
    if peak == 0.0:
        return part.qp
    density = config.qp_density

    def satisfied(qp: int) -> bool:
        job = tensor_job(replace(part, qp=qp), config)
        squared, largest = coding_error(values, prepared.quantizer.quantize(values, job))
        return good(squared, largest, peak, values.size)

    finest, top = _finest_qp(part, density), qp_of_step(4 * peak, density)
    low, high = finest, top  # good at low, not at high
    if satisfied(top):
        return top
    if not satisfied(finest):
        raise ValueError(
            f"tensor {part.carrier.source!r}: the error asked for is below what float32 and "
            "32-bit levels can give"
        )
    while high - low > 1:
        middle = (low + high) // 2
        if satisfied(middle):
            low = middle
        else:
            high = middle
    return low
