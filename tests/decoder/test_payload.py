"""Jobs, threads, entry points: the result is the same whoever decodes."""

from types import SimpleNamespace

import numpy as np
import pytest

import nnr
from nnr.decoder import payload
from nnr.syntax import parse, write


@pytest.fixture
def small_pieces(monkeypatch):
    """Make small streams take the roads of large ones."""
    monkeypatch.setattr(payload, "_JOB_BYTES", 64)
    monkeypatch.setattr(payload, "_WIDE_BYTES", 64)
    monkeypatch.setattr(payload, "_PIECE", 100)
    monkeypatch.setattr(payload, "_ARENA_ELEMENTS", 500)


def tensors():
    rng = np.random.default_rng(5)
    return {
        "a": rng.laplace(0, 0.05, (70, 33)).astype(np.float32),
        "b": rng.laplace(0, 0.05, (40, 3, 3, 3)).astype(np.float32),
        "c": rng.integers(-900, 900, (65, 20)),
        "bias": rng.normal(0, 0.1, 70).astype(np.float32),
    }


@pytest.fixture
def seen(monkeypatch):
    """Which units were decoded by block rows, and whether that succeeded."""
    calls = []
    original = payload._run_block_rows

    def spy(plan, *rest):
        result = original(plan, *rest)
        calls.append((plan.element_ids[0], result is not None))
        return result

    monkeypatch.setattr(payload, "_run_block_rows", spy)
    return calls


@pytest.mark.parametrize("options", [{}, {"dq": False}, {"pipeline": ["codebook"]}, {"profile": 0}], ids=str)
@pytest.mark.parametrize("scan_order", [1, 2])
def test_block_rows_in_threads_give_the_same(options, scan_order, small_pieces, seen):
    data = nnr.encode(tensors(), scan_order=scan_order, qp=-20, **options)
    one, levels = nnr.decode(data, threads=1), nnr.decode_levels(data, threads=1)
    assert not seen
    for threads in (2, 3, 8):
        many, many_levels = nnr.decode(data, threads=threads), nnr.decode_levels(data, threads=threads)
        assert all(np.array_equal(one[name], many[name]) for name in one)
        assert all(np.array_equal(levels[name], many_levels[name]) for name in levels)
    assert {name for name, _ in seen} == {"a", "b", "c"}
    assert all(success for _, success in seen)


def test_blocks_with_vectors_before_the_weight(small_pieces, seen):
    model = {"l.weight": tensors()["a"], "l.bias": tensors()["bias"]}
    data = nnr.encode(model, scan_order=1, blocks=True, qp=-20)
    one, many = nnr.decode(data, threads=1), nnr.decode(data, threads=4)
    assert all(np.array_equal(one[name], many[name]) for name in one)
    assert seen == [("l.weight", True)]


@pytest.mark.parametrize(
    "field", ["bit_offset_delta1", "cabac_offset_list", "dq_state_list", "bit_offset_delta2"]
)
def test_entry_points_that_lie_are_not_believed(field, small_pieces, seen):
    data = nnr.encode({"a": tensors()["a"]}, scan_order=1, metadata=False, qp=-20)
    tree = parse(data)
    (unit,) = (u for u in tree["units"] if u["nnr_unit_header"]["nnr_unit_type"] == 5)
    header = unit["nnr_unit_header"]["unit_header"]
    if isinstance(header[field], list):
        header[field][1] ^= 1
    else:
        header[field] += 1
    lying = write(tree)
    assert lying != data
    assert np.array_equal(nnr.decode(lying, threads=4)["a"], nnr.decode(data, threads=1)["a"])
    assert seen == [("a", False)]


def test_the_first_unit_that_fails_is_reported_for_every_thread_count(small_pieces):
    data = bytearray(nnr.encode(tensors(), qp=-20, metadata=False))
    with nnr.open(bytes(data)) as file:
        ndus = [u for u in file.units if u.unit_type == 5]
    for unit in (ndus[1], ndus[2]):
        data[unit.byte_offset + unit.size - 1] ^= 0xFF
    found = set()
    for threads in (1, 2, 8):
        with pytest.raises(nnr.BitstreamError) as error:
            nnr.decode(bytes(data), threads=threads)
        found.add((type(error.value), error.value.unit_index, str(error.value)))
    assert len(found) == 1
    assert next(iter(found))[1] == ndus[1].index


@pytest.mark.parametrize(
    ("sizes", "jobs"),
    [
        ([90, 100, 100, 95], [[100, 100], [95, 90]]),
        ([100, 100, 100], [[100], [100], [100]]),  # two of three would keep one of two workers busy longest
        ([1000, 30, 70, 200], [[1000], [200, 70], [30]]),
        ([5, 5, 5, 5, 50, 5, 5], [[50], [5, 5, 5, 5, 5, 5]]),
        ([300], [[300]]),
    ],
)
def test_payloads_of_a_job_go_in_pairs_unless_a_worker_has_enough_with_one(sizes, jobs, monkeypatch):
    monkeypatch.setattr(payload, "_JOB_BYTES", 40)
    plans = [SimpleNamespace(payload=bytes(size)) for size in sizes]
    found = payload._parallel_jobs(plans, 2)
    assert [[len(plan.payload) for plan in job] for job in found] == jobs
