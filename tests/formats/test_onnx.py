"""ONNX models: initializers in and out, everything else as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import load_tensors, open_source, save_tensors
from nnr.formats import onnx as ours
from tests.shared import shared_path

onnx = pytest.importorskip("onnx", reason="needs the package onnx")


def make_model() -> onnx.ModelProto:
    """A convolution, a resize and a clip, with initializers of several kinds."""
    rng = np.random.default_rng(5)
    arrays = {
        "w": rng.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "b": rng.normal(size=4).astype(np.float32),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "low": np.array(0.0, np.float32),
        "shape": np.array([1, -1], np.int64),
        "unused": np.ones((2, 300), np.float16),
    }
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("Resize", ["c", "", "scales"], ["r"], mode="nearest"),
        onnx.helper.make_node("Clip", ["r", "low"], ["k"]),
        onnx.helper.make_node("Reshape", ["k", "shape"], ["y"]),
    ]
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        nodes, "g", [value("x", 1, [1, 3, 5, 5])], [value("y", 1, ["n", "m"])],
        [onnx.numpy_helper.from_array(a, n) for n, a in arrays.items()], doc_string="kept",
    )  # fmt: skip
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], producer_name="me", ir_version=8
    )
    onnx.helper.set_model_props(model, {"author": "someone"})
    onnx.checker.check_model(model)
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    onnx.save(make_model(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def without_data(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        for field in ("raw_data", "float_data", "int32_data", "int64_data", "external_data", "data_location"):
            tensor.ClearField(field)
    return copy


def test_initializers_come_and_go_and_the_rest_stays(path: Path, tmp_path: Path) -> None:
    found = load_tensors(path)
    assert list(found) == ["w", "b", "scales", "low", "shape", "unused"]
    assert found.metadata == {"author": "someone"}
    new = {name: (array + array).astype(array.dtype) for name, array in found.items()}
    save_tensors(new, tmp_path / "n.onnx", like=path)
    model = onnx.load(tmp_path / "n.onnx")
    assert without_data(model) == without_data(make_model())
    for tensor in model.graph.initializer:
        assert np.array_equal(onnx.numpy_helper.to_array(tensor), new[tensor.name])


def test_arguments_are_told_from_weights(path: Path) -> None:
    assert open_source(path).exact == ["scales", "low"]


@pytest.mark.parametrize("one_file", [True, False])
def test_external_data_are_read_and_written(path: Path, tmp_path: Path, one_file: bool) -> None:
    expected = load_tensors(path)
    outside = tmp_path / "outside"
    outside.mkdir()
    onnx.save_model(
        make_model(), outside / "m.onnx", save_as_external_data=True, all_tensors_to_one_file=one_file,
        size_threshold=0,
    )  # fmt: skip
    found = load_tensors(outside / "m.onnx")
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
    some = {"w": found["w"] + 1}
    save_tensors(some, tmp_path / "n.onnx", like=outside / "m.onnx")
    assert (tmp_path / "n.onnx.data").is_file()
    theirs = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "n.onnx").graph.initializer}
    assert np.array_equal(theirs["w"], expected["w"] + 1)
    assert all(np.array_equal(theirs[name], expected[name]) for name in expected if name != "w")


@pytest.mark.parametrize(
    ("key", "value"),
    [("location", "../secret"), ("location", "/etc/passwd"), ("location", "absent.bin"),
     ("location", "a\\..\\b"), ("location", ""), ("offset", "-4"), ("offset", "99999999"),
     ("offset", "x"), ("length", "3")],
)  # fmt: skip
def test_external_data_that_point_elsewhere_are_refused(tmp_path: Path, key: str, value: str) -> None:
    model = make_model()
    onnx.save_model(
        model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0
    )
    model = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(FormatError):
        load_tensors(tmp_path / "m.onnx")


def test_absurd_dimensions_take_no_memory(path: Path) -> None:
    for dims in ([1 << 40, 1 << 20], [-1], [3, 3]):
        model = make_model()
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(FormatError):
            load_tensors(path)


def test_types_that_share_bytes(tmp_path: Path) -> None:
    pytest.importorskip("ml_dtypes")
    tensor = onnx.helper.make_tensor("q", onnx.TensorProto.INT4, [3], [1, -2, 7])
    graph = onnx.helper.make_graph([], "g", [], [], [tensor])
    (tmp_path / "q.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    found = load_tensors(tmp_path / "q.onnx")["q"]
    assert found.astype(int).tolist() == [1, -2, 7]
    save_tensors({"q": found}, tmp_path / "r.onnx", like=tmp_path / "q.onnx")
    again = onnx.load(tmp_path / "r.onnx").graph.initializer[0]
    assert onnx.numpy_helper.to_array(again).astype(int).tolist() == [1, -2, 7]


def test_a_stripped_model_takes_all_of_its_weights_or_none(path: Path, tmp_path: Path) -> None:
    data = ours.topology(path)
    assert len(data) < path.stat().st_size - 4 * 108
    tensors = load_tensors(path)
    ours.save(tensors, tmp_path / "n.onnx", topology=data)
    assert onnx.load(tmp_path / "n.onnx").graph == onnx.load(path).graph
    with pytest.raises(FormatError, match="'unused'"):
        ours.save({n: a for n, a in tensors.items() if n != "unused"}, tmp_path / "o.onnx", topology=data)
    assert not (tmp_path / "o.onnx").exists()


def test_a_real_model_runs_after_the_round_trip(tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    path = shared_path("data", "version-RFB-320.onnx")
    save_tensors(load_tensors(path), tmp_path / "n.onnx", like=path)
    image = np.random.default_rng(1).normal(size=(1, 3, 240, 320)).astype(np.float32)
    results = []
    for file in (path, tmp_path / "n.onnx"):
        session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        results.append(session.run(None, {session.get_inputs()[0].name: image}))
    for a, b in zip(*results):
        assert np.array_equal(a, b)
