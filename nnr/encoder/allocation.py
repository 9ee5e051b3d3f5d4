"""A qp for each weight tensor, so that a bit buys the same everywhere.

One qp for all tensors is best where each follows the theory of high rates and every weight matters alike.
Where rates are low, or weights are of different importance, it is not: here every tensor is tried at
several qps around the given one, and that of each is chosen by one common slope of weighted squared error
against bits, at the total size that the given qps would have.
"""

from __future__ import annotations

import os
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from ..syntax.constants import PayloadType
from .assemble import Member, code_units, ready_unit
from .carry import extract
from .config import EncoderConfig
from .measure import coding_error
from .pipeline import Part, Preparation, tensor_job
from .tools import Quantizer

__all__ = ["allocate"]

#: Distances from the given qp that are tried, in octaves of the step size.
_FROM, _TO = -1.5, 2.5


@dataclass(frozen=True, slots=True)
class Point:
    """One try: qp, bits of the payload, weighted squared error."""

    qp: int
    bits: int
    error: float


def allocate(prepared: Preparation) -> dict[str, int]:
    """Quantization parameters by tensor name, for all tensors of two or more dimensions."""
    config = prepared.config
    parts = [
        part for part in prepared.quantized() if len(part.carrier.tensor.shape) >= 2 and part.carrier.elements
    ]
    if len(parts) < 2:
        return {}
    trial = config.replace(param_opt=False, blocks=False)
    work = partial(_curve, quantizer=prepared.quantizer, config=trial)
    curves = _map(work, parts, prepared.threads, prepared.executor)
    budget = sum(
        next(p.bits for p in curve if p.qp == part.qp) for part, curve in zip(parts, curves, strict=True)
    )
    chosen = _choose(curves, budget)
    return {part.carrier.source: point.qp for part, point in zip(parts, chosen, strict=True)}


def _map(
    work: partial[list[Point]], parts: list[Part], threads: int | None, executor: Executor | None
) -> list[list[Point]]:
    if executor is not None:
        return list(executor.map(work, parts))
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        return list(pool.map(work, parts))


def _curve(part: Part, *, quantizer: Quantizer, config: EncoderConfig) -> list[Point]:
    """Tries of one tensor, at every half octave, and between them by interpolation."""
    values = extract(part.carrier)
    half = max(1, (1 << config.qp_density) // 2)
    low, high = (int(octaves * (1 << config.qp_density)) for octaves in (_FROM, _TO))
    tried = []
    for offset in sorted({0, *range(low, high + 1, half)}):
        quantized = quantizer.quantize(values, tensor_job(replace(part, qp=part.qp + offset), config))
        member = Member(part.carrier.name, part.role, quantized)
        ready = ready_unit([member], PayloadType.NNR_PT_FLOAT, config, _base_qp(quantized.qp))
        [unit] = code_units([ready])
        error, _ = coding_error(values, quantized, part.importance)
        tried.append(Point(part.qp + offset, 8 * len(unit.payload), error))
    return _interpolated(tried)


def _base_qp(qp: int) -> int:
    """A base that lets any qp be written in a unit that is thrown away."""
    return max(-4096, min(4095, qp))


def _interpolated(points: list[Point]) -> list[Point]:
    """A point for every qp between the first and the last."""
    full = [points[0]]
    for before, after in pairwise(points):
        span = after.qp - before.qp
        for k in range(1, span + 1):
            bits = before.bits + (after.bits - before.bits) * k // span
            full.append(Point(before.qp + k, bits, before.error + (after.error - before.error) * k / span))
    return full


def _choose(curves: list[list[Point]], budget: int) -> list[Point]:
    """The points of least error + slope * bits, for the smallest slope whose bits fit the budget."""

    def at(slope: float) -> list[Point]:
        return [min(curve, key=lambda p: (p.error + slope * p.bits, p.bits)) for curve in curves]

    low, high = 0.0, 1e-30
    while sum(p.bits for p in at(high)) > budget and high < 1e30:
        high *= 4.0
    for _ in range(60):
        middle = (low + high) / 2
        if sum(p.bits for p in at(middle)) > budget:
            low = middle
        else:
            high = middle
    return at(high)
