"""Reference and C core are twins: same levels, same registers, same verdict.

Two kinds of payload. Random bytes decode to something under most parameters, seldom to a proper end. Proper
payloads are composed by letting the reference decode from an engine that chooses every bin itself and hands
it to an arithmetic encoder (encoding 1); what comes out must decode to the same levels again.
"""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from nnr.decoder.entropy import (
    ArithmeticDecoder,
    Context,
    TensorParams,
    TensorResult,
    UnitParams,
    decode_tensor,
    decode_unit,
)
from nnr.errors import BitstreamError, ConformanceError, TruncatedError

# ----------------------------------------------------------------------------------------------------
# Composing payloads


class Composer(ArithmeticDecoder):
    """An engine that draws bins and encodes them (encoding 1), so that decode_tensor makes up a tensor.

    Args:
        rng: draws the bins.
        odds: probability of 1 by syntax element, without index; 1/2 for others.
        longest_escape: groups of the escape code stop there.
    """

    def __init__(self, rng: random.Random, odds: dict[str, float], longest_escape: int = 20) -> None:
        super().__init__(bytes(2))
        self._rng, self._odds, self._longest_escape = rng, odds, longest_escape
        self._low, self._pending, self._first = 0, 0, True
        self._bits: list[int] = []

    def _choose(self, element: str, of: object) -> int:
        if element == "abs_level_greater_x2" and isinstance(of, int) and of >= self._longest_escape:
            return 0
        return int(self._rng.random() < self._odds.get(element, 0.5))

    def _emit(self, bit: int) -> None:
        if self._first:
            self._first = False
        else:
            self._bits.append(bit)
        self._bits += [1 - bit] * self._pending
        self._pending = 0

    def _renormalise(self) -> None:
        while self.range < 256:
            if self._low < 256:
                self._emit(0)
            elif self._low >= 512:
                self._low -= 512
                self._emit(1)
            else:
                self._low -= 256
                self._pending += 1
            self.range *= 2
            self._low *= 2

    def decode_bin(self, context: Context, element: str = "", of: object = None) -> int:
        value = self._choose(element, of)
        lps, mps = context.split(self.range)
        self.range -= lps
        if value != mps:
            self._low += self.range
            self.range = lps
        self._renormalise()
        context.update(value)
        return value

    def decode_bypass(self, element: str = "", of: object = None) -> int:
        value = self._choose(element, of)
        self._low = 2 * self._low + (self.range if value else 0)
        if self._low >= 1024:
            self._emit(1)
            self._low -= 1024
        elif self._low < 512:
            self._emit(0)
        else:
            self._low -= 512
            self._pending += 1
        return value

    def reset_range(self) -> None:
        self.range = 256

    def payload(self) -> bytes:
        """Terminate bin, stop bit, alignment; the finished payload."""
        self.range -= 2
        self._low += self.range
        self.range = 2
        self._renormalise()
        self._emit((self._low >> 9) & 1)
        self._bits += [(self._low >> 8) & 1, 1]
        self._bits += [0] * (-len(self._bits) % 8)
        return bytes(int("".join(map(str, self._bits[i : i + 8])), 2) for i in range(0, len(self._bits), 8))


def composed(
    seed: int, unit: UnitParams, tensors: list[TensorParams], density: float = 0.3, **more: float
) -> tuple[bytes, list[TensorResult]]:
    """A payload for these parameters, and what it carries; `more` are odds of elements."""
    rng = random.Random(seed)
    odds = {
        "sig_flag": density,
        "abs_level_greater_x": rng.choice((0.1, 0.5, 0.9)),
        "abs_level_greater_x2": 0.5,
        "shift_idx_minus_1_present_flag": rng.choice((0.0, 0.3)),
        "row_skip_list": 0.4,
        **more,
    }
    if any(tensor.codebook_size for tensor in tensors):
        odds["abs_remainder"] = 0.0  # the last group of a bounded code is not full
    engine = Composer(rng, odds)
    results = [decode_tensor(engine, unit, tensor) for tensor in tensors]
    return engine.payload(), results


@st.composite
def parameters(draw: st.DrawFn, largest: int = 24) -> tuple[UnitParams, list[TensorParams]]:
    """Units of one to three tensors, every tool that the profile has."""
    profile = draw(st.integers(0, 1))
    codebooks = draw(st.integers(0, 3)) == 0
    unit = UnitParams(
        profile=profile,
        dq_flag=0 if codebooks else draw(st.integers(0, 1)),
        parent_node_id_present_flag=draw(st.integers(0, 1)) * profile,
        temporal_context_modeling_flag=draw(st.integers(0, 1)) * profile,
        escape_context_count=31 if profile else draw(st.sampled_from((31, 31, 32))),
    )
    tensors = []
    for _ in range(draw(st.integers(1, 3))):
        vector = draw(st.integers(0, 4)) == 0
        rows = draw(st.integers(0 if vector else 1, largest))
        cols = 1 if vector else draw(st.integers(1, largest))
        size = draw(st.sampled_from((1, 2, 3, 4, 7, 20, 300))) if codebooks else 0
        chance = random.Random(draw(st.integers(0, 2**32)))
        count = rows * cols
        base = [chance.choice((0, 0, 1, -1, 2, -3, 40)) for _ in range(count)]
        history = [chance.randint(0, 1) for _ in range(count)]
        tensors.append(
            TensorParams(
                rows,
                cols,
                cabac_unary_length=draw(st.sampled_from((1, 2, 3, 10, 11, 65, 256))),
                scan_order=draw(st.integers(0, 4)),
                codebook_size=size,
                codebook_zero_offset=draw(st.integers(0, size - 1)) if size else 0,
                has_qp=draw(st.integers(0, 3)) > 0,
                base_qp=draw(st.integers(-4096, 4095)),
                qp_density=draw(st.integers(0, 7)),
                base=np.array(base, np.int32) if unit.temporal else None,
                history=np.array(history, np.uint8) if draw(st.booleans()) else None,
            )
        )
    return unit, tensors


# ----------------------------------------------------------------------------------------------------
# Running both


def _unit_row(unit: UnitParams, payload: bytes, count: int) -> list[int]:
    return [
        *(core.address(payload), len(payload), 0, count, unit.profile, unit.dq_flag),
        *(unit.parent_node_id_present_flag, unit.temporal_context_modeling_flag, unit.escape_context_count),
    ]


class CoreRun:
    """The same unit in the C core: arrays and the rows that point at them."""

    def __init__(self, payload: bytes, unit: UnitParams, tensors: list[TensorParams]) -> None:
        self._alive: list[Any] = [payload]
        self.levels = [np.full(t.rows * t.cols, 77, np.int32) for t in tensors]
        self.entries = [np.full((t.rows // 8 + 1, 3), -1, np.int64) for t in tensors]
        self.units = core.new_units([_unit_row(unit, payload, len(tensors))])
        self.tensors = core.new_tensors(len(tensors))
        for row, tensor, levels, entries in zip(self.tensors, tensors, self.levels, self.entries):
            base = None if tensor.base is None else np.ascontiguousarray(tensor.base)
            history = None if tensor.history is None else np.ascontiguousarray(tensor.history)
            self._alive += [base, history]
            values = {
                core.Tensor.ROWS: tensor.rows,
                core.Tensor.COLS: tensor.cols,
                core.Tensor.CABAC_UNARY_LENGTH: tensor.cabac_unary_length,
                core.Tensor.SCAN_ORDER: tensor.scan_order,
                core.Tensor.CODEBOOK_SIZE: tensor.codebook_size,
                core.Tensor.CODEBOOK_ZERO_OFFSET: tensor.codebook_zero_offset,
                core.Tensor.HAS_QP: int(tensor.has_qp),
                core.Tensor.BASE_QP: tensor.base_qp,
                core.Tensor.QP_DENSITY: tensor.qp_density,
                core.Tensor.LEVELS: core.address(levels),
                core.Tensor.BASE: 0 if base is None else core.address(base),
                core.Tensor.HISTORY: 0 if history is None else core.address(history),
                core.Tensor.ENTRY_LIST: core.address(entries),
            }
            for column, value in values.items():
                row[column] = value

    def result(self, k: int, expected: TensorResult) -> None:
        """Tensor `k` is what the reference made of it."""
        row = self.tensors[k]
        assert self.levels[k].tolist() == expected.levels.tolist()
        if expected.qp is not None:
            assert row[core.Tensor.QP] == expected.qp
        assert row[core.Tensor.HIST_FLAG] == expected.hist_dep_sig_prob_enabled_flag
        assert row[core.Tensor.ROW_SKIP_FLAG] == expected.row_skip_enabled_flag
        if expected.entry_points:
            starts = self.entries[k][: len(expected.entry_points) + 1].tolist()
            triples = [[p.bit_offset, p.cabac_offset, p.dq_state] for p in expected.entry_points]
            assert [[b[0] - a[0], b[1], b[2]] for a, b in pairwise(starts)] == triples


def _kind(error: BaseException | None) -> type[BitstreamError] | None:
    """The class that callers tell apart; None for success."""
    if error is None:
        return None
    assert isinstance(error, (TruncatedError, ConformanceError))
    return type(error)


def assert_twins(payload: bytes, unit: UnitParams, tensors: list[TensorParams]) -> bool:
    """Both decoders do the same with this payload. Returns whether it was decoded without an error."""
    run = CoreRun(payload, unit, tensors)
    core.decode_units(run.units, run.tensors)
    failure = core.unit_error(run.units[0])
    engine: ArithmeticDecoder | None = None
    done: list[TensorResult] = []
    error: BitstreamError | None = None
    try:
        engine = ArithmeticDecoder(payload)
        done.extend(decode_tensor(engine, unit, tensor) for tensor in tensors)  # keeps those before a failure
        engine.terminate()
        engine.finish(len(payload))
    except BitstreamError as caught:
        error = caught

    assert _kind(failure) is _kind(error)
    for k, result in enumerate(done):
        run.result(k, result)
    if error is None:
        assert engine is not None
        assert run.units[0][core.Unit.BITS_CONSUMED] == engine.P
        assert run.units[0][core.Unit.FAILED_TENSOR] == -1
    else:
        assert run.units[0][core.Unit.FAILED_TENSOR] == len(done)
        if not isinstance(error, TruncatedError):
            assert isinstance(failure, ConformanceError)
            # the core has one code for the offset at the start (2.1) and at a range reset (2.4)
            assert failure.clause in (error.clause, str(error.clause).partition(".")[0])
        for levels in run.levels[len(done) :]:
            assert not levels.any()
    return error is None


def assert_same_registers(payload: bytes, unit: UnitParams, tensors: list[TensorParams]) -> None:
    """After each tensor the arithmetic decoders stand at the same place, until one of them fails."""
    run = CoreRun(payload, unit, tensors)
    try:
        engine = ArithmeticDecoder(payload)
    except BitstreamError:
        return
    twin = core.EngineDecoder(payload)
    for k, tensor in enumerate(tensors):
        try:
            result = decode_tensor(engine, unit, tensor)
        except BitstreamError as error:
            with pytest.raises(_kind(error) or AssertionError):
                twin.read_tensor(run.units[0], run.tensors[k])
            return
        twin.read_tensor(run.units[0], run.tensors[k])
        run.result(k, result)
        assert twin.state == (engine.range, engine.offset, engine.P)


# ----------------------------------------------------------------------------------------------------
# The tests

Choice = tuple[UnitParams, list[TensorParams]]
SEEDS = st.integers(0, 2**32)


@given(parameters(), SEEDS)
def test_composed_payloads_decode_to_what_was_composed(choice: Choice, seed: int) -> None:
    unit, tensors = choice
    payload, expected = composed(seed, unit, tensors)
    result = decode_unit(payload, unit, tensors)
    assert (result.bits_consumed + 7) // 8 == len(payload)
    for tensor, wanted in zip(result.tensors, expected):
        assert tensor.levels.tolist() == wanted.levels.tolist()
        assert tensor.qp == wanted.qp
        assert tensor.row_skip_enabled_flag == wanted.row_skip_enabled_flag


@given(parameters(), SEEDS)
def test_twins_agree_on_proper_payloads(choice: Choice, seed: int) -> None:
    unit, tensors = choice
    payload, _ = composed(seed, unit, tensors)
    assert assert_twins(payload, unit, tensors)
    assert_same_registers(payload, unit, tensors)


@given(parameters(), SEEDS, st.floats(0, 1))
def test_twins_agree_on_truncations(choice: Choice, seed: int, part: float) -> None:
    unit, tensors = choice
    payload, _ = composed(seed, unit, tensors)
    assert not assert_twins(payload[: int(part * (len(payload) - 1))], unit, tensors)
    assert not assert_twins(payload[:-1], unit, tensors)
    assert not assert_twins(payload + b"\0", unit, tensors)


@given(parameters(), SEEDS, st.data())
def test_twins_agree_on_flipped_bits(choice: Choice, seed: int, data: st.DataObject) -> None:
    unit, tensors = choice
    payload = bytearray(composed(seed, unit, tensors)[0])
    bit = data.draw(st.integers(0, 8 * len(payload) - 1))
    payload[bit // 8] ^= 0x80 >> bit % 8
    assert_twins(bytes(payload), unit, tensors)


@given(parameters(), SEEDS, st.integers(0, 600), st.sampled_from((0.5, 0.2, 0.05, 0.8, 0.98)))
def test_twins_agree_on_noise(choice: Choice, seed: int, size: int, ones: float) -> None:
    unit, tensors = choice
    rng = random.Random(seed)
    payload = bytes(sum((rng.random() < ones) << k for k in range(8)) for _ in range(size))
    assert_twins(payload, unit, tensors)
    assert_same_registers(payload, unit, tensors)


@given(parameters(), st.binary(max_size=4))
def test_twins_agree_on_next_to_nothing(choice: Choice, payload: bytes) -> None:
    assert_twins(payload, *choice)


@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize(
    ("scan_order", "rows", "cols"), [(1, 41, 37), (2, 50, 35), (3, 70, 66), (4, 130, 70)]
)
def test_twins_agree_on_block_scans_with_skipped_rows(
    dq_flag: int, scan_order: int, rows: int, cols: int
) -> None:
    unit = UnitParams(profile=1, dq_flag=dq_flag)
    tensor = TensorParams(rows, cols, 11, scan_order=scan_order)
    tensors = [tensor, replace(tensor, scan_order=0)]
    payload, _ = composed(scan_order, unit, tensors, 0.2)
    assert assert_twins(payload, unit, tensors)
    points = decode_unit(payload, unit, tensors).tensors[0].entry_points
    assert len(points) == -(-rows // (4 << scan_order)) - 1
    assert all(point.cabac_offset < 256 for point in points)
    assert any(point.dq_state for point in points) == bool(dq_flag)


def test_twins_agree_that_one_row_of_blocks_resets_nothing_but_in_legacy_streams() -> None:
    """(README D2) The payloads differ, and neither decodes as the other: only the dialect tells."""
    tensor = TensorParams(8, 20, 2, scan_order=1)
    for unit in (UnitParams(profile=0), UnitParams(profile=0, escape_context_count=32)):
        payload, expected = composed(5, unit, [tensor])
        assert assert_twins(payload, unit, [tensor])
        result = decode_unit(payload, unit, [tensor])
        assert result.tensors[0].levels.tolist() == expected[0].levels.tolist()


def _level_payload(unit: UnitParams, tensor: TensorParams, bins: str) -> bytes:
    """A payload with all flags 0 and one sample made of `bins`."""

    class Given(Composer):
        script = iter(bins.replace(" ", ""))

        def _choose(self, element: str, of: object) -> int:
            return 0 if element in ("qp_value", "shift_idx_minus_1_present_flag") else int(next(self.script))

    engine = Given(random.Random(0), {})
    with suppress(ConformanceError):  # the level is the last thing coded, so the payload is complete
        decode_tensor(engine, unit, tensor)
    return engine.payload()


@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize("negative", ["0", "1"])
@pytest.mark.parametrize("group", [29, 30])
def test_twins_agree_on_the_largest_levels(dq_flag: int, negative: str, group: int) -> None:
    """Magnitudes around 2^30 and 2^31: with N = 1, `group` flags of 1 lead to 2^group + 1 and up."""
    unit, tensor = UnitParams(profile=0, dq_flag=dq_flag), TensorParams(1, 1, 1)
    verdicts = []
    for rest in range((1 << group) - 4, 1 << group):
        bins = f"1{negative}1" + "1" * group + "0" + format(rest, f"0{group}b")
        verdicts.append(assert_twins(_level_payload(unit, tensor, bins), unit, [tensor]))
    magnitudes = [1 + (1 << group) + rest for rest in range((1 << group) - 4, 1 << group)]
    scale = 1 + dq_flag
    largest = (1 << 31) if negative == "1" else (1 << 31) - 1
    assert verdicts == [scale * magnitude <= largest for magnitude in magnitudes]


# ----------------------------------------------------------------------------------------------------
# The encoder of the core against the reference


@given(parameters(), SEEDS, st.sampled_from(list(core.ParamOpt)), st.integers(0, 2))
def test_the_reference_reads_what_the_core_encodes(
    choice: Choice, seed: int, param_opt: core.ParamOpt, flag: int
) -> None:
    """Levels come from composed tensors, so that they follow the states of dependent quantization.

    Skipped rows are left out: under dependent quantization they are part of the path (README D6), and the
    encoder makes its own choice.
    """
    unit, tensors = choice
    _, wanted = composed(seed, unit, tensors, row_skip_enabled_flag=0.0)
    run = CoreRun(b"", unit, tensors)
    run.units[0, core.Unit.PARAM_OPT] = param_opt
    for k, (tensor, expected) in enumerate(zip(tensors, wanted)):
        run.levels[k][:] = expected.levels
        run.tensors[k, core.Tensor.QP] = expected.qp or 0
        run.tensors[k, core.Tensor.HIST_FLAG] = flag
        depends = unit.dq_flag and tensor.scan_order and tensor.cols % 4
        run.tensors[k, core.Tensor.ROW_SKIP_FLAG] = 0 if depends else flag
    (payload,) = core.encode_units(run.units, run.tensors)
    result = decode_unit(payload, unit, tensors)
    for k, expected in enumerate(wanted):
        found = result.tensors[k]
        assert found.levels.tolist() == expected.levels.tolist()
        assert found.qp == expected.qp
        run.result(k, found)
    assert assert_twins(payload, unit, tensors)
