"""Payloads drawn at random: every tool, every shape that makes a difference, levels of all sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from nnr.decoder.entropy import UnitParams
from tests.core.samples import Payload, Sample, dependent_levels

SIZES = (0, 1, 2, 3, 5, 8, 9, 17, 40, 70)
SPREADS = (0.0, 0.05, 0.3, 1.0, 3.0, 20.0, 1000.0, 1e8)


@st.composite
def samples(draw: st.DrawFn, unit: UnitParams) -> Sample:
    """One tensor that the unit can carry."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, cols = draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES))
    scan_order = draw(st.integers(0, 4))
    size = draw(st.sampled_from((0, 0, 0, 1, 2, 3, 9, 300))) if not unit.dq_flag else 0
    zero_offset = draw(st.integers(0, size - 1)) if size else 0
    indices = np.round(rng.laplace(size=(rows, cols)) * draw(st.sampled_from(SPREADS)))
    largest = 2**30 - 1 if unit.dq_flag else 2**31 - 1
    indices = np.clip(indices, -largest, largest).astype(np.int64)
    if size and unit.profile == 1:
        indices = np.clip(indices, -zero_offset, size - 1 - zero_offset)
    indices[rng.random(rows) < draw(st.sampled_from((0.0, 0.5, 1.0)))] = 0
    row_skip_flag = draw(st.integers(0, 2))
    qp_density = draw(st.integers(0, 7))
    levels = indices.astype(np.int32)
    if unit.dq_flag:
        tools = unit.profile == 1 and rows > 1 and cols > 1
        skipped = ~indices.any(axis=1) if tools and row_skip_flag == 1 else None
        levels = dependent_levels(indices, scan_order, skipped)
    return Sample(
        levels=levels,
        cabac_unary_length=draw(st.sampled_from((1, 2, 5, 10, 11, 16, 256))),
        scan_order=scan_order,
        codebook_size=size,
        codebook_zero_offset=zero_offset,
        has_qp=1 if unit.dq_flag else draw(st.integers(0, 1)),
        base_qp=draw(st.integers(-100, 100)),
        qp_density=qp_density,
        base=rng.integers(-3, 4, rows * cols, dtype=np.int32) if unit.temporal else None,
        history=rng.integers(0, 2, rows * cols, dtype=np.uint8) if draw(st.booleans()) else None,
        hist_flag=draw(st.integers(0, 2)),
        row_skip_flag=row_skip_flag,
    )


@st.composite
def payloads(draw: st.DrawFn) -> Payload:
    profile, dq_flag = draw(st.integers(0, 1)), draw(st.integers(0, 1))
    parent = draw(st.integers(0, 1)) if profile else 0
    temporal = draw(st.integers(0, 1)) if parent else 0
    escapes = draw(st.sampled_from((31, 31, 32)))
    unit = UnitParams(profile, dq_flag, parent, temporal, escapes)
    members = draw(st.lists(samples(unit), min_size=1, max_size=3))
    for sample in members:
        half = 1 << (5 + sample.qp_density)
        sample.qp = sample.base_qp
        if sample.has_qp:
            sample.qp += draw(st.integers(-half, half - 1))
    return Payload(members, profile, dq_flag, parent, temporal, escapes)
