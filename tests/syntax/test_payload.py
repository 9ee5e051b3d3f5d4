"""The payload tables of syntax 9.6 to 9.9, run over real payloads, against the decoder's own form of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from nnr.decoder.entropy import (
    ArithmeticDecoder,
    ContextSet,
    TensorParams,
    UnitParams,
    decode_unit,
    gtx_index,
    level_of_index,
    scan_segments,
    sig_index,
    sign_index,
)
from nnr.decoder.quantization import next_state
from nnr.syntax import StreamContext, read_units
from nnr.syntax.constants import PayloadType
from nnr.syntax.payload import TensorCoding, nnr_compressed_data_unit_payload
from nnr.syntax.serdes import Syntax, Table, Values
from nnr.syntax.stream import NnrUnit
from tests.shared import shared_path


class Coding:
    """Answers for one tensor as decoding 5 and 9.2 ask, and keeps the state between integers."""

    def __init__(self, unit: UnitParams, tensor: TensorParams) -> None:
        self.unit, self.tensor = unit, tensor
        self.rows, self.cols = tensor.rows, tensor.cols
        self.qp_density = tensor.qp_density
        self.cabac_unary_length = tensor.cabac_unary_length
        self.cb_size = tensor.codebook_size if unit.profile == 1 else 0
        self.cb_zero_offset = tensor.codebook_zero_offset
        self.contexts = ContextSet(unit, tensor.cabac_unary_length)
        self.levels = np.zeros(self.rows * self.cols, np.int32)
        self.state = self.nb = 0
        self.parameters: Iterator[Any] = iter(())

    def parameters_coded(self, hist_flag: int) -> Iterable[bool]:
        """(decoding 5) The conditions of that section, for a unit that is no update."""
        n, size = self.cabac_unary_length, self.cb_size
        sides = (self.cb_zero_offset, size - 1 - self.cb_zero_offset)
        most = max(sides)
        dq = self.unit.dq_flag and self.tensor.has_qp
        groups = [
            (self.contexts.sig[: 24 if dq else 3], lambda k: size != 1),
            (self.contexts.sign[:3], lambda k: size != 1 and not (size and 0 in sides)),
            (self.contexts.gtx[: 2 * n], lambda a: not size or a < 2 * most),
            (self.contexts.gtx2, lambda a: not size or n - 2 + 2 ** (a + 1) < most),
        ]
        listed = [(context, coded(k)) for group, coded in groups for k, context in enumerate(group)]
        self.parameters = iter([context for context, _ in listed])
        return [coded for _, coded in listed]

    def positions(self, skipped: Sequence[int]) -> Iterable[int]:
        """(decoding 9.2) Scan order 0 only: rows that are skipped advance the state once per column."""
        for _, row, first, end in scan_segments(self.rows, self.cols, 0):
            if skipped and skipped[row]:
                if self.unit.dq_flag and self.tensor.has_qp:
                    for _ in range(self.cols):
                        self.state = next_state(self.state, 0)
                continue
            for column in range(first, end):
                yield row * self.cols + column


class PayloadReading(Syntax):
    """Runs the payload tables with an arithmetic decoder; contexts by the rules of decoding 6."""

    def __init__(self, payload: memoryview, codings: Sequence[Coding]) -> None:
        self.engine = ArithmeticDecoder(payload)
        self.codings = iter(codings)
        self.coding: Coding
        self.values = Values()
        self.position = 0

    def _code(self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]) -> None:
        if kind == "uae":
            value = self.engine.uae(n)
        elif kind == "iae":
            value = self.engine.iae(n)
        elif kind == "at":
            value = self.engine.terminate()
        else:
            value = self.engine.decode_bin(self._context(name, index))
        if index:
            self.values[name].append(value)
        else:
            self.values[name] = value

    def _context(self, name: str, index: tuple[int, ...]) -> Any:
        contexts, coding = self.coding.contexts, self.coding
        dq_state = coding.state if coding.unit.dq_flag and coding.tensor.has_qp else 0
        if name == "shift_idx_minus_1_present_flag":
            return contexts.shift
        if name == "row_skip_list":
            return contexts.skip
        if name == "sig_flag":
            return contexts.sig[sig_index(dq_state, coding.nb, 0, 0)]
        if name == "sign_flag":
            return contexts.sign[sign_index(coding.nb, 0)]
        if name == "abs_level_greater_x":
            negative = self.values.sign_flag == 1
            return contexts.gtx[gtx_index(index[0], negative, 0, coding.cabac_unary_length)]
        return contexts.gtx2[index[0]]

    def table(self, name: str, function: Table, ctx: Any, *arguments: Any, status: str = "") -> Values:
        outer, self.values = self.values, Values()
        if name == "quant_tensor":
            self.coding = next(self.codings)
            self.position = 0
        function(self, self.values, ctx, *arguments)
        inner, self.values = self.values, outer
        if name == "int_param":
            self._integer(inner.value)
        return inner

    def _integer(self, index: int) -> None:
        coding = self.coding
        dq = coding.unit.dq_flag if coding.tensor.has_qp else 0
        coding.levels[self.position] = level_of_index(index, coding.state, dq)
        coding.nb = index
        if dq:
            coding.state = next_state(coding.state, index)

    def include(self, function: Table, ctx: Any, *arguments: Any) -> None:
        function(self, self.values, ctx, *arguments)

    def loop(self, count: int, *names: str, at: tuple[int, ...] = (), listed: bool = False) -> Iterable[int]:
        for name in names:
            self.values[name] = []
        return range(count)

    def infer(self, name: str, value: Any) -> None:
        self.values[name] = value

    def let(self, name: str, value: Any) -> None:
        self.values[name] = value
        if name == "context_ready":
            chosen = self.values.get("shift_idx_minus_1", 0) + 1 if self._chosen() else 0
            next(self.coding.parameters).initialise(chosen)

    def _chosen(self) -> bool:
        return bool(self.values.context_ready and self.values.shift_idx_minus_1_present_flag)


class Positions:
    """Tells the reading where the next integer stands."""

    def __init__(self, coding: Coding, reading: PayloadReading) -> None:
        self._coding, self._reading = coding, reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coding, name)

    def positions(self, skipped: Sequence[int]) -> Iterator[int]:
        for position in self._coding.positions(skipped):
            self._reading.position = position
            yield position


def check_unit(unit: NnrUnit) -> None:
    """Levels, QP and bits read by the tables equal those of the decoder's reference."""
    header = unit.header.unit_header
    book = header.get("integer_codebook")
    unit_params = UnitParams(profile=unit.profile, dq_flag=header.dq_flag)
    has_qp = header.nnr_compressed_data_unit_payload_type != PayloadType.NNR_PT_INT
    density = unit.quantization[0] if unit.quantization else 0
    dimensions = header.tensor_dimensions
    tensor = TensorParams(
        rows=dimensions[0],
        cols=int(np.prod(dimensions[1:])),
        cabac_unary_length=header.cabac_unary_length_minus1 + 1,
        codebook_size=len(book.codebook) if book is not None else 0,
        codebook_zero_offset=book.cb_zero_offset if book is not None else 0,
        has_qp=has_qp,
        qp_density=density,
    )
    expected = decode_unit(unit.payload_bytes, unit_params, [tensor])
    coding = Coding(unit_params, tensor)
    reading = PayloadReading(unit.payload_bytes, [coding])
    values = Values()
    reading.values = values
    context = StreamContext()
    context.begin_network(unit.profile)
    coded: TensorCoding = Positions(coding, reading)  # type: ignore[assignment]
    nnr_compressed_data_unit_payload(reading, values, context, header, [coded])
    assert expected.bits_consumed == reading.engine.P
    assert np.array_equal(coding.levels, expected.tensors[0].levels)
    assert values.end_of_data == 1
    if has_qp:
        assert values.qp_value == expected.tensors[0].qp


WORKED = bytes.fromhex(
    "00 04 02 01 00 08 06 81 00 40 00 80 00 06 0e 00 00 00"
    "00 19 16 09 77 00 d0 40 c1 20 e1 00 60 80 f4 06 20 03 9d 84 55 db a3 70 c0"
)


def test_the_tables_read_the_worked_example_bin_by_bin() -> None:
    check_unit(list(read_units(WORKED))[-1])


def _plain_units() -> list[tuple[str, NnrUnit]]:
    """Small lone units without scan order and parents, one of each kind, from the third-party vectors."""
    found: dict[tuple[Any, ...], tuple[str, NnrUnit]] = {}
    for path in sorted(shared_path("vectors").glob("*.nnr")):
        if path.stat().st_size > 3000 or path.with_suffix(".json").read_text().find("out_of_band") >= 0:
            continue
        for unit in read_units(path.read_bytes()):
            header = unit.header.get("unit_header")
            if unit.unit_type != 5 or header.nnr_compressed_data_unit_payload_type > 1 or header.scan_order:
                continue
            if header.parent_node_id_present_flag or unit.header.partial_data_counter:
                continue
            book = header.get("integer_codebook")
            kind = (
                unit.profile,
                header.nnr_compressed_data_unit_payload_type,
                header.dq_flag,
                None if book is None else (len(book.codebook) > 1, book.cb_zero_offset == 0),
                header.count_tensor_dimensions > 1,
                header.cabac_unary_length_minus1,
            )
            found.setdefault(kind, (path.name, unit))
    return list(found.values())


def test_the_tables_read_what_the_decoder_reads_from_third_party_payloads() -> None:
    units = _plain_units()
    assert len(units) > 20
    for name, unit in units:
        try:
            check_unit(unit)
        except AssertionError as error:
            pytest.fail(f"{name} unit {unit.index}: {error}")


def test_raw_floats_are_one_element_each() -> None:
    read = []

    class Floats(PayloadReading):
        def __init__(self) -> None:
            self.values = Values()

        def _code(
            self, kind: str, n: int, name: str, index: tuple[int, ...], options: dict[str, Any]
        ) -> None:
            read.append((kind, n, name, index))

    reading = Floats()
    header = Values(nnr_compressed_data_unit_payload_type=2, tensor_dimensions=[2, 2])
    nnr_compressed_data_unit_payload(reading, reading.values, StreamContext(), header, [])
    assert read == [("flt", 32, "raw_float32_parameter", (i,)) for i in range(4)]
