"""Keras files without Keras, and with it where it is installed."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import hdf5, load_tensors, save_tensors
from nnr.formats import keras as ours

h5py = pytest.importorskip("h5py", reason="needs the package h5py")


def make_keras(path: Path) -> None:
    """A file with the layout of Keras 3."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        file["layers/dense/vars/1"] = np.ones(3, np.float16)
        file["layers/dense"].attrs["name"] = "dense"
        file.create_group("layers/flatten/vars")
        for k, data in enumerate([np.ones(2, np.float32), np.array([16256, 16384], np.uint16).view("V2")]):
            half = file.create_dataset(f"layers/half/vars/{k}", data=data)
            half.attrs["dtype"] = "bfloat16"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        archive.writestr("config.json", json.dumps({"class_name": "Sequential"}))
        archive.writestr("model.weights.h5", weights.getvalue())


def test_datasets_are_tensors_and_the_rest_stays(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    make_keras(tmp_path / "m.keras")
    found = load_tensors(tmp_path / "m.keras")
    assert {name: array.dtype.name for name, array in found.items()} == {
        "layers/dense/vars/0": "float32", "layers/dense/vars/1": "float16", "layers/half/vars/0": "bfloat16",
        "layers/half/vars/1": "bfloat16",
    }  # fmt: skip
    assert found["layers/half/vars/1"].astype(float).tolist() == [1.0, 2.0]
    topology = ours.topology(tmp_path / "m.keras")
    new = {name: array + np.ones_like(array) for name, array in found.items()}
    ours.save(new, tmp_path / "a.keras", like=tmp_path / "m.keras")
    ours.save(new, tmp_path / "b.keras", topology=topology)
    for name in ("a.keras", "b.keras"):
        again = load_tensors(tmp_path / name)
        assert {key: array.dtype for key, array in again.items()} == {key: a.dtype for key, a in new.items()}
        assert all(np.array_equal(again[key], new[key]) for key in new)
        with zipfile.ZipFile(tmp_path / name) as archive:
            assert json.loads(archive.read("config.json")) == {"class_name": "Sequential"}
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
                assert file["layers/dense"].attrs["name"] == "dense"
                assert "layers/flatten/vars" in file
    with pytest.raises(FormatError, match="--into"):
        save_tensors(new, tmp_path / "c.keras")


def test_attributes_of_a_legacy_file_are_carried(tmp_path: Path) -> None:
    path = tmp_path / "legacy.h5"
    attributes: dict[str, Any] = {
        "keras_version": "2.15.0",
        "model_config": json.dumps({"a": [1, "ü"]}),
        "layer_names": np.array([b"dense", b"out"]),
        "texts": np.array(["x", "yy"], dtype=h5py.string_dtype()),
        "bytes": np.bytes_(b"tensorflow"),
        "number": np.float32(0.5),
        "numbers": np.arange(4).reshape(2, 2),
        "flag": True,
        "nothing": h5py.Empty("f"),
    }
    with h5py.File(path, "w") as file:
        for name, value in attributes.items():
            file.attrs[name] = value
        file["model_weights/dense/kernel:0"] = np.ones((2, 3), np.float32)
        file["model_weights/dense"].attrs["weight_names"] = np.array([b"dense/kernel:0"])
        file["optimizer_weights/iterations"] = np.int64(12)
    hdf5.save(load_tensors(path), tmp_path / "new.h5", topology=hdf5.topology(path))
    with h5py.File(path) as old, h5py.File(tmp_path / "new.h5") as new:
        assert set(old.attrs) == set(new.attrs)
        for name in attributes:
            a, b = old.attrs[name], new.attrs[name]
            assert type(a) is type(b), name
            assert np.array_equal(a, b) or isinstance(a, h5py.Empty)
            assert getattr(a, "dtype", None) == getattr(b, "dtype", None), name
        assert new["model_weights/dense"].attrs["weight_names"].tolist() == [b"dense/kernel:0"]
        assert new["optimizer_weights/iterations"][()] == 12


def test_data_outside_of_the_file_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"0123456789abcdef")
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("x", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)])
    with pytest.raises(FormatError, match="another file"):
        load_tensors(tmp_path / "e.h5")
    save_tensors({"w": np.ones(3)}, tmp_path / "other.h5")
    with h5py.File(tmp_path / "l.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "/w")
        file["own"] = np.ones(2)
    assert list(load_tensors(tmp_path / "l.h5")) == ["own"]


def test_sizes_out_of_proportion_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("x", (1 << 20, 1 << 20), "f4", chunks=(1 << 10, 1 << 10))
    assert (tmp_path / "huge.h5").stat().st_size < 100_000
    with pytest.raises(FormatError, match="bytes"):
        load_tensors(tmp_path / "huge.h5")
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("metadata.json", "{}")
        archive.writestr("model.weights.h5", bytes(300 << 20))
    with pytest.raises(FormatError, match="bytes"):
        load_tensors(tmp_path / "bomb.keras")


@pytest.mark.parametrize("name", ["", "/", "a//b", "a/./b"])
def test_names_that_are_no_paths(name: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        save_tensors({name: np.ones(2)}, tmp_path / "x.h5")
    with pytest.raises(FormatError):
        save_tensors({"a": np.ones(2), "a/b": np.ones(2)}, tmp_path / "x.h5")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(200)])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.keras").write_bytes(content)
    with pytest.raises(FormatError):
        load_tensors(tmp_path / "x.keras")
    save_tensors({"w": np.ones(2)}, tmp_path / "x.npz")
    os.replace(tmp_path / "x.npz", tmp_path / "x.keras")
    with pytest.raises(FormatError, match=r"model\.weights\.h5"):
        load_tensors(tmp_path / "x.keras")
