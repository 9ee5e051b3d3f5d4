"""ONNX models as bitstreams, and with bitstreams as their external data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import nnr
import nnr.onnx as ours
from nnr.formats import load_tensors
from tests.shared import shared_path

onnx = pytest.importorskip("onnx", reason="needs the package onnx")


def make_model() -> onnx.ModelProto:
    make, value = onnx.helper.make_node, onnx.helper.make_tensor_value_info
    rng = np.random.default_rng(2)
    arrays = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "high": np.array(0.3, np.float32),
        "low": np.array(-0.7, np.float32),
        "half": rng.normal(size=(3, 5)).astype(np.float16),
        "n": np.arange(4),
    }
    graph = onnx.helper.make_graph(
        [make("Conv", ["x", "w"], ["c"]), make("Resize", ["c", "", "scales"], ["r"], mode="nearest"),
         make("Clip", ["r", "low", "high"], ["y"])], "g",
        [value("x", 1, [1, 3, 7, 7])], [value("y", 1, [1, 4, 10, 10])],
        [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()],
    )  # fmt: skip
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("name", ["m.nnr", "m.onnx"])
@pytest.mark.parametrize("from_file", [True, False])
def test_a_model_comes_back(name: str, from_file: bool, tmp_path: Path) -> None:
    model = make_model()
    onnx.save(model, tmp_path / "original.onnx")
    report = ours.save(tmp_path / "original.onnx" if from_file else model, tmp_path / name, qp=-60)
    assert report.total_bytes > 0
    files = {"m.nnr", "original.onnx"} | {name}
    assert set(os.listdir(tmp_path)) == files
    found = ours.load(tmp_path / name)
    onnx.checker.check_model(found)
    a, b = weights(model), weights(found)
    assert list(a) == list(b)
    for key in a:
        assert a[key].dtype == b[key].dtype
        assert np.allclose(a[key], b[key], atol=1e-4)
    for key in ("scales", "high", "low", "n"):
        assert np.array_equal(a[key], b[key])
    assert found.graph.node == model.graph.node
    runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    x = np.random.default_rng(1).normal(size=(1, 3, 7, 7)).astype(np.float32)
    runs = []
    for m in (model, found):
        session = runtime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"])
        runs += session.run(None, {"x": x})
    assert runs[0].shape == runs[1].shape == (1, 4, 10, 10)
    assert np.allclose(*runs, atol=1e-3)


def test_coded_data_are_found_by_name_only_beside_the_model(tmp_path: Path) -> None:
    ours.save(make_model(), tmp_path / "m.onnx")
    with pytest.raises(nnr.FormatError, match=r"nnr\.onnx\.load"):
        load_tensors(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    model.graph.initializer[0].external_data[0].value = "../m.nnr"
    (tmp_path / "out.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(nnr.FormatError, match="file name"):
        ours.load(tmp_path / "out.onnx")
    os.rename(tmp_path / "m.nnr", tmp_path / "n.nnr")
    with pytest.raises(nnr.FormatError, match=r"m\.nnr"):
        ours.load(tmp_path / "m.onnx")
    nnr.save_file({"w": np.zeros((4, 3, 3, 3), np.float32)}, tmp_path / "m.nnr")
    with pytest.raises(nnr.FormatError, match="'scales'"):
        ours.load(tmp_path / "m.onnx")


def test_plain_models_and_other_files(tmp_path: Path) -> None:
    outside = {"save_as_external_data": True, "size_threshold": 0, "location": "p.bin"}
    onnx.save(make_model(), tmp_path / "p.onnx", **outside)
    assert set(weights(ours.load(tmp_path / "p.onnx"))) == set(weights(make_model()))
    nnr.save_file({"w": np.zeros((2, 2), np.float32)}, tmp_path / "x.nnr")
    with pytest.raises(nnr.FormatError, match="topology"):
        ours.load(tmp_path / "x.nnr")
    with pytest.raises(ValueError, match=r"\.nnr or \.onnx"):
        ours.save(make_model(), tmp_path / "x.bin")


def test_a_real_model(tmp_path: Path) -> None:
    path = shared_path("data", "version-RFB-320.onnx")
    report = ours.save(path, tmp_path / "net.nnr", qp=-50)
    assert (tmp_path / "net.nnr").stat().st_size < 0.3 * path.stat().st_size
    assert len(report.tensors) == len(load_tensors(path))
    runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        ours.load(tmp_path / "net.nnr").SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    image = np.zeros((1, 3, 240, 320), np.float32)
    scores, boxes = session.run(None, {session.get_inputs()[0].name: image})
    assert scores.shape == (1, 4420, 2)
    assert boxes.shape == (1, 4420, 4)
