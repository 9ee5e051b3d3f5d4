"""Coded payloads read through the syntax tables of `nnr.syntax.payload` (syntax 9.6 to 9.9).

In: what the plain reference of the decoder needs. Out: the levels, and calls that tell of every element and
context. Contexts, engine and scan are those of `nnr.decoder.entropy`; the order of the elements and the
conditions under which they are there are those of the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..decoder import entropy
from ..decoder.quantization import next_state
from ..syntax.payload import nnr_compressed_data_unit_payload
from ..syntax.serdes import Syntax, Table, Values
from ..syntax.stream import StreamContext

__all__ = ["PayloadReading", "read_payload"]


class _Coding:
    """A `TensorCoding` for one tensor; keeps what changes from integer to integer."""

    def __init__(
        self, engine: entropy.ArithmeticDecoder, unit: entropy.UnitParams, tensor: entropy.TensorParams
    ) -> None:
        self.engine, self.tensor = engine, tensor
        self.unit = unit if tensor.has_qp else replace(unit, dq_flag=0)
        self.rows, self.cols = tensor.rows, tensor.cols
        self.qp_density = tensor.qp_density
        self.cabac_unary_length = tensor.cabac_unary_length
        self.facts = entropy.Binarization.of(unit, tensor)
        self.cb_size, self.cb_zero_offset = self.facts.cb_size, self.facts.cb_zero_offset
        self.contexts = entropy.ContextSet(unit, tensor.cabac_unary_length)
        self.levels = np.zeros(self.rows * self.cols, np.int32)
        self.position = self.state = self.nb = self.hist_flag = 0
        self.waiting: Iterator[entropy.Context] = iter(())

    def parameters_coded(self, hist_flag: int) -> Iterable[bool]:
        self.hist_flag = hist_flag
        listed = list(entropy._context_parameters(self.contexts, self.unit, self.facts, hist_flag))
        self.waiting = iter([context for context, _ in listed])
        return [coded for _, coded in listed]

    def positions(self, skipped: Sequence[int]) -> Iterator[int]:
        rows, cols = self.rows, self.cols
        scan_order = self.tensor.scan_order if rows > 1 and cols > 1 else 0
        if scan_order and (rows > 4 << scan_order or self.unit.legacy):
            self.engine.reset_range()
        block_row = 0
        for this, row, first, end in entropy.scan_segments(rows, cols, scan_order):
            if this != block_row:
                block_row, self.nb = this, 0
                self.contexts.reset()
                self.engine.reset_range()
            if skipped and skipped[row]:
                if self.unit.dq_flag:
                    self.state = entropy._state_behind_skipped(self.state, cols)
                continue
            for self.position in range(row * cols + first, row * cols + end):
                yield self.position

    def take(self, index: int) -> None:
        """An integer was read."""
        level = entropy.level_of_index(index, self.state, self.unit.dq_flag)
        if not -(1 << 31) <= level < 1 << 31:
            raise self.engine.error("decoding 7", f"level {level} does not fit 32 bits")
        self.levels[self.position] = level
        self.nb = index
        if self.unit.dq_flag:
            self.state = next_state(self.state, index)

    @property
    def base(self) -> int:
        return (
            int(self.tensor.base[self.position]) if self.unit.temporal and self.tensor.base is not None else 0
        )

    @property
    def h(self) -> int:
        history = self.tensor.history if self.hist_flag else None
        return 0 if history is None else int(history.reshape(-1)[self.position] != 0)


class PayloadReading(Syntax):
    """A reading with arithmetic descriptors.

    Args:
        tables: functions to call in the place of tables, as `Reader.tables`.
        on_element: told of each element: name, value, context or None, coding.
    """

    def __init__(
        self,
        engine: entropy.ArithmeticDecoder,
        codings: Sequence[_Coding],
        tables: dict[Table, Table],
        on_element: Callable[[str, int, entropy.Context | None, _Coding | None], None],
    ) -> None:
        self.engine = engine
        self.codings = iter(codings)
        self.coding: _Coding | None = None
        self.tables = tables
        self.on_element = on_element
        self.values = Values()

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        context = self._context(name, index) if kind == "ae" else None
        if context is not None:
            value = self.engine.decode_bin(context)
        elif kind == "at":
            value = self.engine.terminate()
        else:
            value = self.engine.uae(n) if kind == "uae" else self.engine.iae(n)
        self.on_element(name, value, context, self.coding)
        if index:
            self.values[name].append(value)
        else:
            self.values[name] = value

    def _context(self, name: str, index: tuple[int, ...]) -> entropy.Context:
        coding = self.coding
        assert coding is not None
        contexts = coding.contexts
        if name == "shift_idx_minus_1_present_flag":
            return contexts.shift
        if name == "row_skip_list":
            return contexts.skip
        if name == "sig_flag":
            return contexts.sig[entropy.sig_index(coding.state, coding.nb, coding.base, coding.h)]
        if name == "sign_flag":
            return contexts.sign[entropy.sign_index(coding.nb, coding.base)]
        if name == "abs_level_greater_x":
            negative, n = self.values.sign_flag == 1, coding.cabac_unary_length
            return contexts.gtx[entropy.gtx_index(index[0], negative, coding.base, n)]
        return contexts.gtx2[index[0]]

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        outer, self.values = self.values, Values()
        if name == "quant_tensor":
            self.coding = arguments[-1]
        self.tables.get(function, function)(self, self.values, ctx, *arguments)
        inner, self.values = self.values, outer
        if name == "int_param" and self.coding is not None:
            self.coding.take(inner.value)
        return inner

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        self.tables.get(function, function)(self, self.values, ctx, *arguments)

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        for name in names:
            self.values[name] = []
        return range(count)

    def infer(self, name: str, value: Any) -> None:
        self.values[name] = value

    def let(self, name: str, value: Any) -> None:
        self.values[name] = value
        if name == "context_ready" and self.coding is not None:
            chosen = value and self.values.shift_idx_minus_1_present_flag
            next(self.coding.waiting).initialise(self.values.shift_idx_minus_1 + 1 if chosen else 0)


def read_payload(
    payload: memoryview,
    profile: int,
    header: Values,
    unit: entropy.UnitParams,
    tensors: Sequence[entropy.TensorParams],
    tables: dict[Table, Table],
    on_element: Callable[[str, int, entropy.Context | None, _Coding | None], None],
) -> list[np.ndarray]:
    """(syntax 9.6) Read one payload; int32 levels of its tensors, row-major.

    Raises:
        BitstreamError: as `entropy.decode_unit`.
    """
    engine = entropy.ArithmeticDecoder(payload)
    codings = [_Coding(engine, unit, tensor) for tensor in tensors]
    reading = PayloadReading(engine, codings, tables, on_element)
    context = StreamContext()
    context.begin_network(profile)
    table = tables.get(nnr_compressed_data_unit_payload, nnr_compressed_data_unit_payload)
    table(reading, reading.values, context, header, codings)
    engine.finish(len(payload))
    return [coding.levels for coding in codings]
