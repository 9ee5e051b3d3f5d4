"""What is encoded decodes to itself: levels, choices, entry points, bits; by C core and by the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from nnr.core import ParamOpt, Status, Tensor, Unit
from nnr.decoder.entropy import decode_unit
from nnr.errors import SyntaxValueError
from tests.core.samples import Payload, Sample, dependent_levels, new_entries
from tests.core.strategies import payloads

RESULTS = (Tensor.QP, Tensor.HIST_FLAG, Tensor.ROW_SKIP_FLAG, Tensor.BITS_BEGIN, Tensor.BITS_SAMPLES)


def check(payload: Payload, param_opt: int) -> bytes:
    coded = payload.encode(param_opt)
    decoded = payload.decode(coded.data)
    assert decoded.status == Status.OK
    for before, after in zip(coded.levels, decoded.levels, strict=True):
        np.testing.assert_array_equal(after, before)
    for before, after in zip(coded.entries, decoded.entries, strict=True):
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(decoded.tensors[:, RESULTS], coded.tensors[:, RESULTS])
    assert decoded.units[0, Unit.BITS_CONSUMED] == coded.units[0, Unit.BITS_CONSUMED]
    return coded.data


@given(payloads(), st.sampled_from(ParamOpt))
def test_any_payload_comes_back(payload: Payload, param_opt: ParamOpt):
    check(payload, param_opt)


def check_against_plain(payload: Payload, param_opt: ParamOpt) -> None:
    fast, plain = payload.encode(param_opt), payload.encode(param_opt, plainly=True)
    assert fast.data == plain.data
    np.testing.assert_array_equal(fast.tensors[:, RESULTS], plain.tensors[:, RESULTS])
    assert fast.units[0, Unit.BITS_CONSUMED] == plain.units[0, Unit.BITS_CONSUMED]


@given(payloads(), st.sampled_from(ParamOpt))
def test_the_fast_paths_write_what_the_plain_one_writes(payload: Payload, param_opt: ParamOpt):
    check_against_plain(payload, param_opt)


@pytest.mark.parametrize("param_opt", ParamOpt)
@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize("zeros", [0.5, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("shape", [(33, 1000), (1, 513), (520, 7)])
def test_runs_of_zeros_are_coded_as_zeros_one_by_one(
    param_opt: ParamOpt, dq_flag: int, zeros: float, shape: tuple[int, int]
):
    rng = np.random.default_rng(int(100 * zeros))
    indices = np.round(rng.laplace(size=shape) * 3).astype(np.int64)
    indices[rng.random(shape) < zeros] = 0
    indices[:, shape[1] // 2 :][rng.random(shape[0]) < zeros] = 1  # a context where 0 is unlikely, too
    for scan_order in (0, 2):
        levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
        payload = Payload([Sample(levels, scan_order=scan_order)], dq_flag=dq_flag)
        check_against_plain(payload, param_opt)
        check(payload, param_opt)


@given(payloads(), st.sampled_from(ParamOpt))
def test_the_reference_reads_the_same(payload: Payload, param_opt: ParamOpt):
    data = payload.encode(param_opt).data
    result = decode_unit(data, payload.parameters(), [sample.parameters() for sample in payload.samples])
    for sample, tensor in zip(payload.samples, result.tensors, strict=True):
        np.testing.assert_array_equal(tensor.levels.ravel(), sample.levels.ravel())


@given(payloads(), st.integers(0, 2**32 - 1))
def test_a_shortened_payload_is_truncated_and_leaves_zeros(payload: Payload, seed: int):
    data = payload.encode().data
    decoded = payload.decode(data[: seed % len(data)])
    assert decoded.status == Status.TRUNCATED
    failed = int(decoded.units[0, Unit.FAILED_TENSOR])
    for levels in decoded.levels[failed:]:
        assert not levels.any()
    for sample, levels in zip(payload.samples[:failed], decoded.levels, strict=False):
        np.testing.assert_array_equal(levels, sample.levels)


@given(payloads(), st.integers(0, 2**32 - 1), st.integers(1, 255))
def test_a_damaged_byte_does_no_harm(payload: Payload, seed: int, change: int):
    data = bytearray(payload.encode().data)
    data[seed % len(data)] ^= change
    decoded = payload.decode(bytes(data))
    if decoded.status == Status.OK:
        assert all((levels != -77).any() or levels.size == 0 for levels in decoded.levels)
    else:
        assert isinstance(core.unit_error(decoded.units[0]), Exception)


@given(st.binary(max_size=300), payloads())
def test_garbage_does_no_harm(data: bytes, payload: Payload):
    decoded = payload.decode(data)
    assert decoded.status != Status.ARGUMENT
    if decoded.status != Status.OK:
        failed = int(decoded.units[0, Unit.FAILED_TENSOR])
        assert not any(levels.any() for levels in decoded.levels[failed:])


@pytest.mark.parametrize("cabac_unary_length", [1, 2, 11, 256])
@pytest.mark.parametrize("escape_context_count", [31, 32])
def test_levels_at_the_ends_of_32_bits(cabac_unary_length: int, escape_context_count: int):
    levels = np.array([[2**31 - 1, -(2**31), 2**31 - 2, 1 - 2**31, 0, 2**30, -(2**30), 1]], dtype=np.int32)
    sample = Sample(levels.reshape(4, 2), cabac_unary_length=cabac_unary_length, has_qp=0)
    check(Payload([sample], escape_context_count=escape_context_count), ParamOpt.EXACT)


def test_doubled_levels_at_the_ends_of_32_bits():
    """State 0 has even multiples, and odd indices lead to states 2 and 5 that have even and odd ones."""
    indices = np.array([[2**30 - 1, -(2**30), 2**30 - 2, 2**30, -(2**30), 3 - 2**30]])
    levels = dependent_levels(indices, 0)
    assert levels.max() == 2**31 - 1
    assert levels.min() == -(2**31)
    check(Payload([Sample(levels)], dq_flag=1), ParamOpt.EXACT)


@pytest.mark.parametrize("scan_order", range(5))
@pytest.mark.parametrize("dq_flag", [0, 1])
def test_long_tensors_with_many_chunks(scan_order: int, dq_flag: int):
    """Beyond every internal buffer: 4096 positions, 512 positions, 512 bins of a context."""
    rng = np.random.default_rng(scan_order)
    indices = np.round(rng.laplace(size=(150, 131)) * 2).astype(np.int64)
    indices[30:50] = 0
    levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
    sizes = []
    for row_skip_flag in (0, 2):
        sample = Sample(levels, scan_order=scan_order, row_skip_flag=row_skip_flag)
        sizes.append(len(check(Payload([sample], dq_flag=dq_flag), ParamOpt.EXACT)))
    may_skip = not (dq_flag and scan_order)  # 131 columns: README D6
    assert (sizes[1] < sizes[0]) == may_skip


def test_row_skip_that_is_not_worth_its_list_is_not_used():
    rng = np.random.default_rng(1)
    levels = np.round(rng.laplace(size=(400, 2)) * 0.4).astype(np.int32)
    coded = {flag: Payload([Sample(levels, row_skip_flag=flag)]).encode() for flag in (0, 1, 2)}
    assert (levels == 0).all(axis=1).sum() > 100
    assert len(coded[0].data) < len(coded[1].data)
    assert coded[2].data == coded[0].data
    assert coded[2].tensors[0, Tensor.ROW_SKIP_FLAG] == 0


@given(st.integers(0, 2**32 - 1))
def test_history_is_used_where_it_helps(seed: int):
    rng = np.random.default_rng(seed)
    history = rng.integers(0, 2, (60, 70), dtype=np.uint8)
    related = np.round(rng.laplace(size=(60, 70)) * np.where(history, 2.0, 0.05)).astype(np.int32)
    unrelated = np.round(rng.laplace(size=(60, 70))).astype(np.int32)
    for levels in (related, unrelated):
        sizes = []
        for flag in (0, 1, 2):
            sample = Sample(levels, history=history, hist_flag=flag)
            coded = Payload([sample], parent_node_id_present_flag=1).encode()
            sizes.append(len(coded.data))
        assert sizes[2] <= min(sizes) + min(sizes) // 200  # the choice rests on an estimate of the rate
        assert levels is unrelated or (sizes[1] < sizes[0] and coded.tensors[0, Tensor.HIST_FLAG] == 1)


@given(payloads())
def test_the_search_saves_bits(payload: Payload):
    """Never worse than no search, but for what an estimate of the rate can be wrong by."""
    for sample in payload.samples:
        sample.row_skip_flag = sample.hist_flag = 0
    off, exact = len(payload.encode(ParamOpt.OFF).data), len(payload.encode(ParamOpt.EXACT).data)
    fast = len(payload.encode(ParamOpt.FAST).data)
    assert exact <= off + 1 + off // 500
    assert fast <= off + 1 + off // 500


@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize("spread", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(("rows", "cols"), [(10, 12), (50, 40), (150, 200), (300, 1000)])
@pytest.mark.parametrize("scan_order", [0, 1, 4])
def test_the_fast_search_finds_nearly_the_same(
    dq_flag: int, spread: float, rows: int, cols: int, scan_order: int
):
    """Rows of different spread, so that a part of the tensor is not like the whole."""
    rng = np.random.default_rng(rows)
    indices = np.round(rng.laplace(size=(rows, cols)) * spread * rng.lognormal(0, 0.5, (rows, 1)))
    indices = indices.astype(np.int64)
    levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
    payload = Payload([Sample(levels, scan_order=scan_order)], dq_flag=dq_flag)
    off, exact, fast = (
        len(payload.encode(opt).data) for opt in (ParamOpt.OFF, ParamOpt.EXACT, ParamOpt.FAST)
    )
    assert fast <= exact + 2 + (off - exact) // (10 if scan_order == 0 else 7)


def test_coding_is_deterministic_and_independent_of_the_batch():
    rng = np.random.default_rng(3)
    arrays = [np.round(rng.laplace(size=(9, 20 + k)) * k).astype(np.int32) for k in range(20)]
    payloads_ = [Payload([Sample(array, qp=k)]) for k, array in enumerate(arrays)]
    alone = [payload.encode().data for payload in payloads_]
    levels = [payload.samples[0].levels for payload in payloads_]
    units = core.new_units([payload.unit_row() for payload in payloads_])
    units[:, Unit.FIRST_TENSOR] = np.arange(20)
    entries = np.full((4, 3), -1, dtype=np.int64)
    tensors = core.new_tensors(
        [payload.samples[0].row(array, entries) for payload, array in zip(payloads_, levels, strict=True)]
    )
    assert core.encode_units(units, tensors) == alone


@pytest.mark.parametrize("dq_flag", [0, 1])
@pytest.mark.parametrize("scan_order", [0, 1])
@pytest.mark.parametrize(("rows", "cols"), [(50, 40), (300, 1000)])
def test_a_price_is_about_what_coding_takes(dq_flag: int, scan_order: int, rows: int, cols: int):
    rng = np.random.default_rng(rows)
    indices = np.round(rng.laplace(size=(rows, cols)) * 2).astype(np.int64)
    levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
    payload = Payload([Sample(levels, scan_order=scan_order)], dq_flag=dq_flag)
    units = core.new_units([payload.unit_row()])
    tensors = core.new_tensors([payload.samples[0].row(levels, new_entries(payload.samples[0]))])
    bits = 8 * len(payload.encode().data)
    assert core.price_tensor(units, tensors) == pytest.approx(bits, rel=0.005, abs=100)


def test_levels_that_cannot_be_coded_have_no_price():
    levels = np.array([[0, 1], [2, 3]], dtype=np.int32)
    payload = Payload([Sample(levels, codebook_size=3, codebook_zero_offset=0)])
    units = core.new_units([payload.unit_row()])
    tensors = core.new_tensors([payload.samples[0].row(levels, new_entries(payload.samples[0]))])
    with pytest.raises(SyntaxValueError, match="outside the codebook"):
        core.price_tensor(units, tensors)
