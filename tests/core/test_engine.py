"""The arithmetic decoder step by step, ends of units, and arguments that cannot be."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from nnr import core
from nnr.core import Status, Tensor, Unit
from nnr.errors import BitstreamError, ConformanceError, CoreError, SyntaxValueError, TruncatedError
from tests.core.samples import Payload, Sample

PAYLOAD = bytes.fromhex("f40620039d8455dba370c0")  # of the worked example: 3 x 4, N = 2, row skip
LEVELS = [[2, -1, 0, 4], [0, 0, 0, 0], [-2, 1, 9, -19]]
BINS = Path(__file__).parents[1] / "decoder" / "worked_example_bins.csv"

# contexts.h
SIG, SIGN, ESCAPE, SHIFT, SKIP, GREATER = 0, 48, 53, 85, 86, 87


def example() -> Payload:
    return Payload([Sample(np.array(LEVELS, dtype=np.int32), cabac_unary_length=2)])


def contexts_of_the_example() -> dict[int, int]:
    """Context by number of the bin, from the columns `bins` and `contexts` of worked example 3."""
    found = {9: SKIP, 10: SKIP, 11: SKIP} | dict.fromkeys(range(12, 53), SHIFT)
    for first, contexts in (
        (53, (SIG, SIGN, GREATER, GREATER + 2)),
        (57, (SIG + 2, SIGN + 2, GREATER + 1)),
        (60, (SIG + 1,)),
        (61, (SIG, SIGN, GREATER, GREATER + 2, ESCAPE, ESCAPE + 1)),
        (68, (SIG + 2, SIGN + 2, GREATER + 1, GREATER + 3)),
        (72, (SIG + 1, SIGN + 1, GREATER)),
        (75, (SIG + 2, SIGN + 2, GREATER, GREATER + 2, ESCAPE, ESCAPE + 1, ESCAPE + 2)),
        (84, (SIG + 2, SIGN + 2, GREATER + 1, GREATER + 3, *range(ESCAPE, ESCAPE + 5))),
    ):
        found |= dict(enumerate(contexts, first))
    return found


def test_every_bin_of_the_worked_example():
    contexts = contexts_of_the_example()
    engine = core.EngineDecoder(PAYLOAD)
    with BINS.open(newline="") as file:
        rows = [{key: value and int(value) for key, value in row.items() if key not in ("element", "kind")}
                | {"kind": row["kind"]} for row in csv.DictReader(file)]  # fmt: skip
    assert len(rows) == 97
    for row in rows:
        assert engine.state == (row["range"], row["offset"], row["P"])
        if row["kind"] == "bypass":
            assert engine.read_uae(1) == row["value"]
        else:
            context = contexts[row["bin"]]
            assert engine.estimators(context) == (row["s0"], row["s1"])
            assert engine.read_bin(context) == row["value"]
            assert engine.estimators(context) == (row["s0_after"], row["s1_after"])
        assert engine.state == (row["range_after"], row["offset_after"], row["P_after"])
    engine.finish()


def test_the_worked_example_as_a_unit():
    decoded = example().decode(PAYLOAD)
    assert decoded.status == Status.OK
    assert decoded.levels[0].tolist() == LEVELS
    assert decoded.units[0, [Unit.BITS_CONSUMED, Unit.FAILED_TENSOR]].tolist() == [82, -1]
    tensor = decoded.tensors[0]
    results = (Tensor.QP, Tensor.HIST_FLAG, Tensor.ROW_SKIP_FLAG, Tensor.BITS_BEGIN, Tensor.BITS_SAMPLES)
    assert tensor[list(results)].tolist() == [-12, 0, 1, 9, 37]


def test_the_worked_example_encoded():
    payload = example()
    payload.samples[0].qp = -12
    payload.samples[0].row_skip_flag = 1
    assert payload.encode(core.ParamOpt.OFF).data == PAYLOAD


def test_the_worked_example_as_values():
    decoded = example().decode(PAYLOAD, dequantize=1)
    assert (decoded.levels[0].view(np.float32) == np.array(LEVELS) * 0.125).all()


@pytest.mark.parametrize("parameter_set", range(9))
def test_initial_estimators(parameter_set: int):
    """(decoding 3.4)"""
    engine = core.EngineDecoder(PAYLOAD)
    engine.set_context(7, parameter_set)
    s0 = (0, -41, 95, 0, 30, 95, -21, 0, 30)[parameter_set]
    s1 = (0, -654, 1519, 0, 482, 1519, -337, 0, 482)[parameter_set]
    assert engine.estimators(7) == (s0, s1)


def test_signed_and_wide_numbers_are_the_bins_read_one_by_one():
    data = bytes(range(40, 60))
    one, wide = core.EngineDecoder(data), core.EngineDecoder(data)
    for width in (0, 1, 5, 8, 23, 24, 32):
        bins = [one.read_uae(1) for _ in range(width)]
        assert wide.read_uae(width) == sum(bit << (width - 1 - k) for k, bit in enumerate(bins))
        assert wide.state == one.state
    assert core.EngineDecoder(PAYLOAD).read_iae(8) == -12


ENDS = {
    Status.TRUNCATED: (PAYLOAD[:-1], TruncatedError, "decoding 2.6"),
    Status.STOP_BIT: (PAYLOAD[:-1] + b"\x80", ConformanceError, "decoding 2.6"),
    Status.ALIGNMENT: (PAYLOAD[:-1] + b"\xc1", ConformanceError, "decoding 2.6"),
    Status.TRAILING: (PAYLOAD + b"\x00", ConformanceError, "decoding 2.6"),
    Status.TERMINATE: (PAYLOAD[:-1] + b"\x00", ConformanceError, "decoding 2.5"),
    Status.OFFSET: (b"\xff" * 11, ConformanceError, "decoding 2"),
}


@pytest.mark.parametrize("status", ENDS)
def test_a_unit_that_ends_wrongly_says_how(status: Status):
    data, error, clause = ENDS[status]
    decoded = example().decode(data)
    assert decoded.status == status
    found = core.unit_error(decoded.units[0], payload_offset=14)
    assert isinstance(found, error)
    assert isinstance(found, BitstreamError)
    assert found.clause == clause
    assert found.bit_offset is not None
    assert 14 * 8 <= found.bit_offset <= (14 + len(data)) * 8


def test_the_step_functions_fail_like_the_unit():
    engine = core.EngineDecoder(PAYLOAD[:5])
    with pytest.raises(TruncatedError):
        for _ in range(40):
            engine.read_uae(1)
    with pytest.raises(TruncatedError):  # the first error stays
        engine.finish()
    with pytest.raises(TruncatedError):  # nothing was started, nothing is read
        core.EngineDecoder(b"").finish()
    with pytest.raises(ValueError):
        core.EngineDecoder(PAYLOAD).read_bin(core.CONTEXT_COUNT)
    with pytest.raises(ConformanceError):
        core.EngineDecoder(PAYLOAD).reset_range()  # offset 488


def test_a_unit_that_fails_leaves_the_others_alone():
    payload = example()
    good, bad = np.frombuffer(PAYLOAD, np.uint8), np.frombuffer(PAYLOAD[:6], np.uint8)
    levels = [np.full((3, 4), -77, np.int32) for _ in range(3)]
    units = core.new_units([payload.unit_row(core.address(data), len(data)) for data in (good, bad, good)])
    units[:, Unit.FIRST_TENSOR] = range(3)
    tensors = core.new_tensors([payload.samples[0].row(array, np.zeros(3, np.int64)) for array in levels])
    core.decode_units(units, tensors)
    assert units[:, Unit.STATUS].tolist() == [Status.OK, Status.TRUNCATED, Status.OK]
    assert levels[0].tolist() == levels[2].tolist() == LEVELS
    assert not levels[1].any()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Tensor.ROWS, -1),
        (Tensor.COLS, 1 << 62),
        (Tensor.CABAC_UNARY_LENGTH, 0),
        (Tensor.CABAC_UNARY_LENGTH, 257),
        (Tensor.SCAN_ORDER, 5),
        (Tensor.CODEBOOK_ZERO_OFFSET, -1),
        (Tensor.QP_DENSITY, 8),
        (Tensor.LEVELS, 0),
    ],
)
def test_rows_that_no_caller_should_make_are_refused(column: Tensor, value: int):
    payload = example()
    levels = np.full((3, 4), -77, np.int32)
    buffer = np.frombuffer(PAYLOAD, np.uint8)
    units = core.new_units([payload.unit_row(core.address(buffer), len(PAYLOAD))])
    tensors = core.new_tensors([payload.samples[0].row(levels, np.zeros(3, np.int64))])
    tensors[0, column] = value
    core.decode_units(units, tensors)
    assert units[0, Unit.STATUS] == Status.ARGUMENT
    assert isinstance(core.unit_error(units[0]), CoreError)
    assert (levels == -77).all()
    with pytest.raises(CoreError):
        core.encode_units(units, tensors)


def test_tables_of_another_shape_are_refused():
    with pytest.raises(ValueError):
        core.decode_units(core.new_units(1)[:, :5], core.new_tensors(1))
    with pytest.raises(ValueError):
        core.decode_units(core.new_units(1).astype(np.int32), core.new_tensors(1))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sample", "dq_flag", "what"),
    [
        (Sample(np.array([[1]], np.int32)), 1, "dependent quantization"),
        (Sample(np.array([[2, 1]], np.int32).T), 1, "dependent quantization"),
        (Sample(np.array([[3]], np.int32), codebook_size=3, codebook_zero_offset=0), 0, "codebook"),
        (Sample(np.array([[-1]], np.int32), codebook_size=3, codebook_zero_offset=0), 0, "codebook"),
        (Sample(np.array([[1]], np.int32), codebook_size=1), 0, "codebook"),
        (Sample(np.array([[1]], np.int32), qp=128), 0, "qp_value"),
        (Sample(np.array([[1]], np.int32), qp=-129), 0, "qp_value"),
    ],
)
@pytest.mark.parametrize("param_opt", core.ParamOpt)
def test_what_cannot_be_written_is_an_error(sample: Sample, dq_flag: int, what: str, param_opt: int):
    good = Sample(np.array([[2]], np.int32))
    with pytest.raises(SyntaxValueError, match=f"tensor 1 .*{what}"):
        Payload([good, sample], dq_flag=dq_flag).encode(param_opt)


def test_codebook_bounds_hold_in_profile_1_only():
    sample = Sample(np.array([[5, -4]], np.int32), codebook_size=3, codebook_zero_offset=1)
    payload = Payload([sample], profile=0)
    assert payload.decode(payload.encode().data).levels[0].tolist() == [[5, -4]]


@pytest.mark.parametrize(
    ("qp", "density", "step"),
    [(0, 2, 1.0), (-12, 2, 0.125), (5, 2, 2.5), (-1, 3, 0.9375), (7, 0, 128.0), (-38, 2, 1.5 * 2**-10)],
)
def test_step_sizes(qp: int, density: int, step: float):
    """(decoding 10.1)"""
    payload = Payload([Sample(np.array([[3]], np.int32), qp=qp, qp_density=density, base_qp=qp)])
    decoded = payload.decode(payload.encode().data, dequantize=1)
    assert decoded.levels[0].view(np.float32)[0, 0] == np.float32(3 * step)


def test_dequantization_rounds_twice():
    """(decoding 10.2) Above 2^24 the integer is rounded before it is multiplied."""
    level, step = 2**24 + 1, 1.75
    payload = Payload([Sample(np.array([[level]], np.int32), qp=3)])
    decoded = payload.decode(payload.encode().data, dequantize=1)
    [[value]] = decoded.levels[0].view(np.float32)
    assert value == np.float32(step) * np.float32(level)
    assert value != np.float32(step * level)


@pytest.mark.parametrize("qp", [-4096 - 32, -4096, 4095, 4095 + 31])
def test_steps_beyond_binary32_are_zero_or_infinite(qp: int):
    payload = Payload([Sample(np.array([[1]], np.int32), qp=qp, base_qp=qp, qp_density=0)])
    decoded = payload.decode(payload.encode().data, dequantize=1)
    assert decoded.levels[0].view(np.float32)[0, 0] == (np.inf if qp > 0 else 0.0)
