"""Tensors read one by one: what is known before, what is read, and what is found wrong."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import nnr.formats.safetensors as ours
from nnr.errors import FormatError
from nnr.formats import LazyTensors, Tensors, load_tensors, open_source, save_tensors

ml_dtypes = pytest.importorskip("ml_dtypes")
pytest.importorskip("safetensors")

MODEL = {
    "w": np.arange(24, dtype=np.float32).reshape(4, 6),
    "half": np.ones((2, 2), np.float16),
    "bf": np.arange(5).astype(ml_dtypes.bfloat16),
    "count": np.array(7, np.int64),
    "flag": np.array([True, False, True]),
    "none": np.zeros((0, 4), np.float64),
}


@pytest.fixture(params=["x.npz", "x.safetensors", "x.safetensors.index.json"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    found: Path = tmp_path / request.param
    save_tensors(Tensors(MODEL, metadata={"format": "pt"}), found)
    return found


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()


def test_shapes_and_types_are_known_and_tensors_come_one_by_one(path: Path) -> None:
    source = open_source(path)
    assert set(source) == set(MODEL)
    for name, array in MODEL.items():
        assert source.shape(name) == array.shape
        assert source.dtype(name) == array.dtype
        assert_same(source[name], array)
    assert list(source) == list(load_tensors(path))
    if path.suffix != ".npz":
        assert source.metadata == {"format": "pt"}
    with pytest.raises(KeyError):
        source["absent"]


def test_a_source_serves_threads_and_other_processes(path: Path) -> None:
    source = open_source(path)
    with ThreadPoolExecutor(4) as pool:
        for name, array in zip(MODEL, pool.map(source.__getitem__, MODEL)):
            assert_same(array, MODEL[name])
    again = pickle.loads(pickle.dumps(source))
    assert_same(again["w"], MODEL["w"])


def test_a_file_cut_after_it_was_opened_is_an_error(path: Path) -> None:
    source = open_source(path)
    for file in path.parent.iterdir():
        if file.suffix != ".json":
            file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(FormatError):
        for name in source:
            source[name]


def test_arrays_in_memory_have_the_same_interface_and_their_ties() -> None:
    shared = np.zeros((3, 4), np.float32)
    source = LazyTensors.of({"a": shared, "b": shared, "c": shared[:2], "d": shared.copy()})
    assert source.ties == {"b": "a"}
    assert source.shape("c") == (2, 4)
    loaded = source.load()
    assert loaded["a"] is loaded["b"]


def test_shards_are_filled_in_order_and_can_be_kept(tmp_path: Path) -> None:
    tensors = {f"layer{k}": np.full((10, 10), k, np.float32) for k in range(5)}
    path = tmp_path / "m.safetensors.index.json"
    ours.save(tensors, path, shard_bytes=1000)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "m-00001-of-00003.safetensors", "m-00002-of-00003.safetensors", "m-00003-of-00003.safetensors",
        "m.safetensors.index.json",
    ]  # fmt: skip
    index = json.loads(path.read_text())
    assert index["metadata"]["total_size"] == 2000
    assert index["weight_map"]["layer2"] == "m-00002-of-00003.safetensors"
    found = load_tensors(path)
    assert all(np.array_equal(found[name], array) for name, array in tensors.items())
    (tmp_path / "new").mkdir()
    save_tensors(tensors, tmp_path / "new" / "m.safetensors.index.json", like=path)
    assert json.loads((tmp_path / "new" / "m.safetensors.index.json").read_text()) == index


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"a": "../x.safetensors"}}',
     '{"weight_map": {"a": "absent.safetensors"}}', '{"weight_map": {"a": ""}}', "[" * 100000],
)  # fmt: skip
def test_a_bad_index_is_one_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(content)
    with pytest.raises(FormatError):
        open_source(path)


def test_an_index_that_names_tensors_a_shard_lacks(tmp_path: Path) -> None:
    save_tensors({"a": np.zeros(2)}, tmp_path / "s.safetensors")
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": {"a": "s.safetensors", "b": "s.safetensors"}}))
    with pytest.raises(FormatError, match="'b'"):
        load_tensors(path)
