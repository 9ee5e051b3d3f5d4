"""Tensors for the core tests: what one payload carries, as rows for `nnr.core` and as living arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnr import core
from nnr.core import Unit
from nnr.decoder.entropy import TensorParams, UnitParams

TRANSITIONS = ((0, 2), (7, 5), (1, 3), (6, 4), (2, 0), (5, 7), (3, 1), (4, 6))  # decoding 8


def empty_levels() -> np.ndarray:
    return np.zeros((0, 1), dtype=np.int32)


@dataclass
class Sample:
    """One tensor of a payload; fields as in `struct nnr_tensor`."""

    levels: np.ndarray = field(default_factory=empty_levels)  # int32, rows x cols
    cabac_unary_length: int = 11
    scan_order: int = 0
    codebook_size: int = 0
    codebook_zero_offset: int = 0
    has_qp: int = 1
    base_qp: int = 0
    qp_density: int = 2
    qp: int = 0
    base: np.ndarray | None = None
    history: np.ndarray | None = None
    hist_flag: int = 0
    row_skip_flag: int = 0

    def row(self, levels: np.ndarray, entries: np.ndarray, *, dequantize: int = 0) -> list[int]:
        base = 0 if self.base is None else core.address(self.base)
        history = 0 if self.history is None else core.address(self.history)
        return [
            *self.levels.shape,
            self.cabac_unary_length,
            self.scan_order,
            self.codebook_size,
            self.codebook_zero_offset,
            self.has_qp,
            self.base_qp,
            self.qp_density,
            dequantize,
            core.address(levels),
            base,
            history,
            0,
            core.address(entries),
            self.qp,
            self.hist_flag,
            self.row_skip_flag,
        ]

    def parameters(self) -> TensorParams:
        """The same for the Python reference."""
        rows, cols = self.levels.shape
        return TensorParams(
            rows=rows,
            cols=cols,
            cabac_unary_length=self.cabac_unary_length,
            scan_order=self.scan_order,
            codebook_size=self.codebook_size,
            codebook_zero_offset=self.codebook_zero_offset,
            has_qp=bool(self.has_qp),
            base_qp=self.base_qp,
            qp_density=self.qp_density,
            base=self.base,
            history=self.history,
        )


@dataclass
class Payload:
    """What holds for all tensors of a payload; fields as in `struct nnr_unit`."""

    samples: list[Sample]
    profile: int = 1
    dq_flag: int = 0
    parent_node_id_present_flag: int = 0
    temporal_context_modeling_flag: int = 0
    escape_context_count: int = 31

    def unit_row(self, payload: int = 0, size: int = 0, param_opt: int = 1) -> list[int]:
        return [
            payload,
            size,
            0,
            len(self.samples),
            self.profile,
            self.dq_flag,
            self.parent_node_id_present_flag,
            self.temporal_context_modeling_flag,
            self.escape_context_count,
            param_opt,
        ]

    def parameters(self) -> UnitParams:
        return UnitParams(
            profile=self.profile,
            dq_flag=self.dq_flag,
            parent_node_id_present_flag=self.parent_node_id_present_flag,
            temporal_context_modeling_flag=self.temporal_context_modeling_flag,
            escape_context_count=self.escape_context_count,
        )

    def encode(self, param_opt: int = core.ParamOpt.EXACT, *, plainly: bool = False) -> Coded:
        levels = [np.ascontiguousarray(sample.levels, dtype=np.int32) for sample in self.samples]
        entries = [new_entries(sample) for sample in self.samples]
        tensors = core.new_tensors(
            [sample.row(*given) for sample, *given in zip(self.samples, levels, entries, strict=True)]
        )
        units = core.new_units([self.unit_row(param_opt=param_opt)])
        [data] = core.encode_units(units, tensors, plainly=plainly)
        return Coded(data, units, tensors, levels, entries)

    def decode(self, data: bytes, *, dequantize: int = 0, plainly: bool = False) -> Coded:
        """Decode into memory that holds rubbish; see the status in `units`."""
        buffer = np.frombuffer(data, dtype=np.uint8)
        levels = [np.full(sample.levels.shape, -77, dtype=np.int32) for sample in self.samples]
        entries = [new_entries(sample) for sample in self.samples]
        tensors = core.new_tensors(
            [
                sample.row(*given, dequantize=dequantize)
                for sample, *given in zip(self.samples, levels, entries, strict=True)
            ]
        )
        units = core.new_units([self.unit_row(core.address(buffer), len(data))])
        core.decode_units(units, tensors, plainly=plainly)
        return Coded(data, units, tensors, levels, entries)


@dataclass
class Coded:
    """A payload and what the core wrote back."""

    data: bytes
    units: Any
    tensors: Any
    levels: list[np.ndarray]
    entries: list[np.ndarray]

    @property
    def status(self) -> core.Status:
        return core.Status(int(self.units[0, Unit.STATUS]))


def new_entries(sample: Sample) -> np.ndarray:
    """Room for position, offset and state of each block row; -1 where nothing is written."""
    return np.full((max(1, -(-sample.levels.shape[0] // 8)), 3), -1, dtype=np.int64)


def segments(rows: int, cols: int, scan_order: int) -> Iterator[tuple[int, int, int]]:
    """(decoding 9.1) Row, first column and column behind the last, in scan order."""
    if scan_order == 0 or rows <= 1 or cols <= 1:
        yield from ((row, 0, cols) for row in range(rows))
        return
    side = 4 << scan_order
    for top in range(0, rows, side):
        for left in range(0, cols, side):
            for row in range(top, min(rows, top + side)):
                yield row, left, min(cols, left + side)


def dependent_levels(indices: np.ndarray, scan_order: int, skipped: np.ndarray | None = None) -> np.ndarray:
    """(decoding 8) The doubled integers that coded indices stand for; `skipped` rows as in decoding 9.2."""
    rows, cols = indices.shape
    levels = np.zeros((rows, cols), dtype=np.int64)
    state = 0
    for row, first, end in segments(rows, cols, scan_order):
        if skipped is not None and skipped[row]:
            for _ in range(cols):
                state = TRANSITIONS[state][0]
            continue
        for col in range(first, end):
            index = int(indices[row, col])
            if index:
                levels[row, col] = 2 * index + (-(state & 1) if index > 0 else state & 1)
            state = TRANSITIONS[state][index & 1]
    return levels.astype(np.int32)
