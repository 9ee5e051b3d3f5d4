"""`nnr.compare`: differences worked out by hand, types and shapes of all kinds, files of all kinds."""

from __future__ import annotations

import gc
import json
import math
import sys
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr import compare as compare_models
from nnr.comparison import TensorComparison
from nnr.formats import save_tensors


def one(a: np.ndarray, b: np.ndarray) -> TensorComparison:
    (row,) = compare_models({"w": a}, {"w": b}).tensors
    return row


def test_errors_worked_out_by_hand() -> None:
    row = one(np.array([3.0, 0.0, -4.0]), np.array([3.0, 2.0, -5.0]))
    errors = row.errors
    assert not row.equal
    assert errors.max_error == 2.0
    assert errors.rms_error == pytest.approx(math.sqrt(5 / 3))
    assert errors.psnr == pytest.approx(10 * math.log10(16 / (5 / 3)))  # peak 4
    assert errors.cosine == pytest.approx((9 + 20) / (5 * math.sqrt(38)))
    assert row.within(2.0)
    assert not row.within(1.999)
    assert not row.within(None)


def test_equal_models_have_no_error() -> None:
    tensors = {
        "w": np.arange(-5, 6, dtype=np.float32),
        "none": np.zeros((0, 3)),
        "one": np.array(7, np.int16),
    }
    report = compare_models(tensors, dict(tensors))
    assert report.equal
    assert report.within(None)
    assert (report.total.elements, report.total.max_error, report.total.psnr) == (12, 0.0, math.inf)
    assert report.total.cosine == 1.0
    assert report.size_a == report.size_b == 44 + 2


def test_names_of_one_side_only_and_other_shapes_are_always_differences() -> None:
    a = {"both": np.ones(2), "left": np.ones(3), "turned": np.ones((2, 3))}
    b = {"right": np.ones(4), "both": np.ones(2), "turned": np.ones((3, 2))}
    report = compare_models(a, b)
    assert [t.name for t in report.tensors] == ["both", "left", "turned", "right"]
    assert (report.only_a, report.only_b) == (["left"], ["right"])
    assert [t.within(1e9) for t in report.tensors] == [True, False, False, False]
    assert report.tensors[2].errors is None
    assert (report.tensors[1].dtype_b, report.tensors[1].bytes_a) == (None, 24)


def test_a_dtype_counts_only_without_tolerance() -> None:
    row = one(np.array([1.5, 2.0], np.float32), np.array([1.5, 2.0], np.float64))
    assert not row.equal
    assert not row.within(None)
    assert row.within(0.0)


def test_what_is_not_finite_is_counted_and_not_measured() -> None:
    a = np.array([1.0, np.nan, np.inf, -np.inf, np.inf, 2.0])
    b = np.array([1.5, np.nan, np.inf, np.inf, 7.0, np.nan])
    row = one(a, b)
    assert (row.errors.finite, row.errors.nonfinite) == (1, 3)
    assert (row.errors.max_error, row.errors.rms_error) == (0.5, 0.5)
    assert not row.within(1e9)
    same = one(a, a.copy())
    assert same.equal
    assert same.errors.nonfinite == 0


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_integers_beyond_float64_are_told_apart(dtype: type) -> None:
    top = np.iinfo(dtype).max
    row = one(np.array([top, 5, top - 1], dtype), np.array([top - 1, 5, top - 1], dtype))
    assert (row.equal, row.errors.max_error) == (False, 1.0)
    whole = one(np.array([np.iinfo(dtype).min], dtype), np.array([top], dtype))
    assert whole.errors.max_error == float(2**64 - 1)


def test_signed_and_unsigned_of_64_bits() -> None:
    row = one(np.array([-1, 2**62 + 1], np.int64), np.array([2**64 - 1, 2**62 + 1], np.uint64))
    assert row.errors.max_error == float(2**64)


def test_booleans_and_small_integers() -> None:
    row = one(np.array([True, False]), np.array([True, True]))
    assert (row.errors.max_error, row.dtype_a) == (1.0, "bool")
    assert one(np.array([-128], np.int8), np.array([127], np.int8)).errors.max_error == 255.0


def test_types_of_ml_dtypes() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    row = one(np.array([1, 2], ml_dtypes.bfloat16), np.array([1, 2.5], ml_dtypes.bfloat16))
    assert (row.dtype_a, row.errors.max_error) == ("bfloat16", 0.5)
    assert one(np.array([-8, 7], ml_dtypes.int4), np.array([-8, 7], ml_dtypes.int4)).equal


def test_very_large_and_very_small_numbers() -> None:
    big = one(np.array([1e300, 0.0]), np.array([1e300, 1e299]))
    assert big.errors.max_error == 1e299
    assert big.errors.rms_error <= 1e299
    small = one(np.array([1e-300]), np.array([2e-300]))
    assert small.errors.max_error == small.errors.rms_error == 1e-300
    assert not small.equal
    assert one(np.array([1.7e308]), np.array([-1.7e308])).errors.max_error == math.inf


def test_layouts_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    a = np.random.default_rng(3).normal(size=(7, 9))
    assert one(a, np.asfortranarray(a)).equal
    assert one(a, a.astype(">f8")).equal
    assert one(a[::-1, ::2], a[::-1, ::2].copy()).equal
    whole = one(a, a.T.reshape(7, 9)).errors
    monkeypatch.setattr(sys.modules["nnr.comparison"], "_CHUNK", 5)
    pieces = one(a, a.T.reshape(7, 9)).errors
    assert pieces.max_error == whole.max_error
    assert pieces.rms_error == pytest.approx(whole.rms_error)
    assert pieces.cosine == pytest.approx(whole.cosine)


def test_what_has_no_numbers_is_equal_or_not() -> None:
    assert one(np.array(["a", "b"]), np.array(["a", "b"])).equal
    row = one(np.array([1j]), np.array([2j]))
    assert (row.equal, row.errors) == (False, None)


def test_files_of_all_kinds(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    tensors = {"conv.weight": rng.normal(0, 0.1, (8, 3, 3)).astype(np.float32), "steps": np.array(3)}
    data = nnr.encode(tensors)
    (tmp_path / "x.nnr").write_bytes(data)
    (tmp_path / "other-name").write_bytes(data)
    save_tensors(tensors, tmp_path / "x.npz")
    expected = compare_models(tensors, dict(nnr.decode(data)))
    assert 0 < expected.total.max_error < 0.01
    for b in (data, tmp_path / "x.nnr", str(tmp_path / "other-name")):
        report = compare_models(tmp_path / "x.npz", b)
        assert report.total == expected.total
        assert report.size_a == (tmp_path / "x.npz").stat().st_size
        assert report.size_b == len(data)
        assert sum(t.bytes_b for t in report.tensors) < len(data)
    with nnr.open(data) as file:
        assert compare_models(file, tmp_path / "x.nnr").equal


def test_models_in_several_files_by_their_index(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    rng = np.random.default_rng(5)
    tensors = {f"w{k}": rng.normal(0, 0.1, (20, 20)).astype(np.float32) for k in range(4)}
    shards = {"m-00001-of-00002": ["w0", "w2"], "m-00002-of-00002": ["w1", "w3"]}
    for ending in ("nnr", "safetensors"):
        places = {name: f"{shard}.{ending}" for shard, names in shards.items() for name in names}
        (tmp_path / f"m.{ending}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    for shard, names in shards.items():
        part = {name: tensors[name] for name in names}
        nnr.save_file(part, tmp_path / f"{shard}.nnr")
        save_tensors(part, tmp_path / f"{shard}.safetensors")
    report = compare_models(tmp_path / "m.safetensors.index.json", tmp_path / "m.nnr.index.json")
    assert sorted(t.name for t in report.tensors) == sorted(tensors)
    assert 0 < report.total.max_error < 0.01
    assert report.size_b == sum(path.stat().st_size for path in tmp_path.glob("m*.nnr*"))
    assert report.size_a == sum(path.stat().st_size for path in tmp_path.glob("m*.safetensors*"))
    assert all(t.bytes_b < t.bytes_a for t in report.tensors)
    assert compare_models(tensors, tmp_path / "m.safetensors.index.json").equal
    index = tmp_path / "m.nnr.index.json"
    index.write_text(index.read_text().replace('"w2"', '"w9"'))
    with pytest.raises(nnr.FormatError, match="'w9'"):
        compare_models({}, index)


def test_tensors_are_read_one_at_a_time() -> None:
    asked: list[str] = []

    class Lazy(Mapping):
        def __iter__(self) -> Iterator[str]:
            return iter("abc")

        def __len__(self) -> int:
            return 3

        def __getitem__(self, name: str) -> np.ndarray:
            gc.collect()
            assert sum(ref() is not None for ref in given) <= 1, "those of the names before are let go"
            asked.append(name)
            array = np.ones(3)
            given.append(weakref.ref(array))
            return array

    given: list[weakref.ref] = []
    assert compare_models(Lazy(), Lazy()).equal
    assert asked == ["a", "a", "b", "b", "c", "c"]


def test_progress_counts_tensors() -> None:
    calls: list[tuple[int, int, str]] = []
    compare_models({"a": np.ones(1)}, {"b": np.ones(1)}, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2, "a"), (2, 2, "b")]


def test_the_report_is_plain_json() -> None:
    a, b = {"w": np.array([0.0, np.nan])}, {"w": np.array([0.0, 1.0])}
    facts = json.loads(json.dumps(compare_models(a, b).as_dict(), allow_nan=False))
    assert facts["tensors"][0]["errors"]["nonfinite"] == 1
    assert facts["tensors"][0]["errors"]["psnr"] is None
    assert facts["tensors"][0]["shape_a"] == [2]


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", bytes(100)])
def test_a_file_of_no_known_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.unknown"
    path.write_bytes(content)
    with pytest.raises(nnr.FormatError, match=r"\.unknown.*\.nnr, \.npz"):
        compare_models(path, path)
    with pytest.raises(FileNotFoundError):
        compare_models(tmp_path / "missing.nnr", {})
