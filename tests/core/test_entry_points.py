"""(decoding 9.3) Block rows read at random from entry points are those of the sequential decoder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr import core
from nnr.errors import BitstreamError
from tests.core.samples import Payload, Sample, dependent_levels


def blocked(seed: int, scan_order: int, dq_flag: int, shape: tuple[int, int] = (70, 45)) -> Payload:
    """A vector, a matrix in blocks with skipped rows, a second matrix in blocks."""
    rng = np.random.default_rng(seed)
    members = []
    for rows, cols in ((9, 1), shape, (140, 8)):
        indices = np.round(rng.laplace(size=(rows, cols)) * 2).astype(np.int64)
        indices[rows // 3 : rows // 2] = 0
        levels = dependent_levels(indices, scan_order) if dq_flag else indices.astype(np.int32)
        members.append(Sample(levels, scan_order=scan_order, row_skip_flag=2))
    return Payload(members, dq_flag=dq_flag)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(0, 1), st.randoms())
def test_any_rows_in_any_order(seed: int, scan_order: int, dq_flag: int, random):
    payload = blocked(seed, scan_order, dq_flag)
    coded = payload.encode()
    levels = [np.full(sample.levels.shape, -77, np.int32) for sample in payload.samples]
    tensors = core.new_tensors(
        [sample.row(*given) for sample, *given in zip(payload.samples, levels, coded.entries, strict=True)]
    )
    unit = core.new_units([payload.unit_row()])[0]
    main = core.EngineDecoder(coded.data)
    for number, sample in enumerate(payload.samples):
        main.open_tensor(unit, tensors[number])
        entries = coded.entries[number]
        if number == 0:
            main = core.EngineDecoder(coded.data)
            main.read_tensor(unit, tensors[number])
            continue
        rows = -(-sample.levels.shape[0] // (4 << scan_order))
        worker = core.EngineDecoder(coded.data)
        for row in random.sample(range(rows - 1), rows - 1):
            behind = worker.read_block_rows(main, row, 1, entries[row])
            assert behind == tuple(entries[row + 1])
        main.read_block_rows(main, rows - 1, 1, entries[rows - 1])
    main.finish()
    for sample, array in zip(payload.samples, levels, strict=True):
        np.testing.assert_array_equal(array, sample.levels)


def test_rows_read_by_threads():
    payload = blocked(3, 2, 1, (600, 300))
    coded = payload.encode()
    levels = np.full((600, 300), -77, np.int32)
    unit = core.new_units([payload.unit_row()])[0]
    tensors = core.new_tensors([sample.row(levels, coded.entries[0]) for sample in payload.samples])
    main = core.EngineDecoder(coded.data)
    vector = np.empty(9, np.int32)
    tensors[0, core.Tensor.LEVELS] = core.address(vector)
    main.read_tensor(unit, tensors[0])
    main.open_tensor(unit, tensors[1])
    entries = coded.entries[1]

    def read(first: int) -> bool:
        behind = core.EngineDecoder(coded.data).read_block_rows(main, first, 4, entries[first])
        return first + 4 == 38 or behind == tuple(entries[first + 4])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, [*range(0, 32, 4), 34]))
    assert read(30)
    np.testing.assert_array_equal(levels, payload.samples[1].levels)


@pytest.mark.parametrize(
    ("first", "count", "entry"),
    [
        (-1, 1, (50, 0, 0)),
        (0, 10, (50, 0, 0)),
        (10, 0, (50, 0, 0)),
        (0, 1, (8, 0, 0)),
        (0, 1, (1 << 40, 0, 0)),
        (0, 1, (50, 256, 0)),
        (0, 1, (50, 0, 8)),
    ],
)
def test_entry_points_that_cannot_be(first: int, count: int, entry: tuple[int, int, int]):
    payload = blocked(1, 1, 0)
    data = payload.encode().data
    engine = core.EngineDecoder(data)
    sample = payload.samples[1]
    rows = core.new_tensors([sample.row(sample.levels, np.zeros((9, 3), np.int64))])
    engine.open_tensor(core.new_units([payload.unit_row()])[0], rows[0])
    with pytest.raises(ValueError):
        core.EngineDecoder(data).read_block_rows(engine, first, count, entry)


@given(st.integers(9, 400), st.integers(0, 255), st.integers(0, 7), st.integers(0, 8))
def test_wrong_entry_points_do_no_harm(position: int, offset: int, state: int, row: int):
    payload = blocked(5, 1, 1)
    data = payload.encode().data
    engine = core.EngineDecoder(data)
    levels = np.zeros((70, 45), np.int32)
    sample = payload.samples[1]
    rows = core.new_tensors([sample.row(levels, np.zeros((9, 3), np.int64))])
    engine.open_tensor(core.new_units([payload.unit_row()])[0], rows[0])
    try:
        engine.read_block_rows(engine, row, 1, (position, offset, state))
    except BitstreamError:
        pass
    assert not levels[: 8 * row].any()
    assert not levels[8 * row + 8 :].any()
