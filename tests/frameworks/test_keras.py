"""Models of Keras 3 to bitstreams and back; needs Keras and one of its backends."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnr
from nnr.formats import load_tensors, save_tensors

pytest.importorskip("h5py", reason="needs the package h5py")
if importlib.util.find_spec("torch") is None:
    pytest.skip("needs the package torch as the backend of Keras", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="needs the package keras")

import nnr.keras as ours  # noqa: E402


@pytest.fixture(scope="module")
def model() -> Any:
    keras.utils.set_random_seed(3)
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.Flatten(),
            keras.layers.Dense(5, dtype="bfloat16"),
            keras.layers.Dropout(0.5),
        ]
    )
    network.compile("adam", "mse")
    x, y = np.random.default_rng(0).normal(size=(4, 8, 8, 3)), np.zeros((4, 5))
    network.fit(x, y, verbose=0)
    return network


X = np.linspace(-1, 1, 2 * 8 * 8 * 3, dtype=np.float32).reshape(2, 8, 8, 3)


def run(model: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(X, training=False)), np.float32)


@pytest.mark.parametrize("name", ["m.keras", "m.weights.h5"])
def test_files_of_keras_are_read_and_filled(model: Any, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    (model.save if name == "m.keras" else model.save_weights)(path)
    tensors = load_tensors(path)
    assert sum(a.size for n, a in tensors.items() if n.startswith("layers/")) >= model.count_params()
    kinds = {array.dtype.name for array in tensors.values()}
    assert {"float32", "bfloat16"} <= kinds
    save_tensors(tensors, tmp_path / ("copy." + name), like=path)
    halved = {n: a / 2 if a.dtype == np.float32 else a for n, a in tensors.items()}
    save_tensors(halved, tmp_path / ("half." + name), like=path)
    for file, factor in (("copy." + name, 1.0), ("half." + name, 0.5)):
        if name == "m.keras":
            other = keras.saving.load_model(tmp_path / file)
        else:
            other = keras.models.clone_model(model)
            other.load_weights(tmp_path / file)
        kernel = keras.ops.convert_to_numpy(model.layers[0].kernel)
        assert np.array_equal(keras.ops.convert_to_numpy(other.layers[0].kernel), factor * kernel)
        if factor == 1.0:
            assert np.array_equal(run(other), run(model))


def test_a_bitstream_is_the_whole_model(model: Any, tmp_path: Path) -> None:
    ours.save_model(model, tmp_path / "m.nnr", qp=-60)
    other = ours.load_model(tmp_path / "m.nnr")
    assert [layer.name for layer in other.layers] == [layer.name for layer in model.layers]
    assert np.allclose(run(other), run(model), atol=2e-2)
    assert other.optimizer.iterations == model.optimizer.iterations
    fresh = keras.models.clone_model(model)
    ours.load_weights(fresh, tmp_path / "m.nnr")
    assert np.allclose(run(fresh), run(model), atol=2e-2)


def test_other_bitstreams_are_refused(tmp_path: Path) -> None:
    nnr.save_file({"w": np.zeros((2, 2), np.float32)}, tmp_path / "x.nnr")
    with pytest.raises(nnr.FormatError, match="configuration"):
        ours.load_model(tmp_path / "x.nnr")


def test_legacy_files_of_keras(model: Any, tmp_path: Path) -> None:
    functional = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2, name="d")])
    functional.save(tmp_path / "m.h5")
    tensors = load_tensors(tmp_path / "m.h5")
    assert any("kernel" in name for name in tensors)
    from nnr.formats import hdf5

    hdf5.save(tensors, tmp_path / "n.h5", topology=hdf5.topology(tmp_path / "m.h5"))
    other = keras.models.load_model(tmp_path / "n.h5", compile=False)
    a, b = (m.predict(np.ones((1, 3)), verbose=0) for m in (functional, other))
    assert np.array_equal(a, b)
