"""The network in its bitstream: written, read, bounded, and made into whole model files again."""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.formats import load_tensors, save_tensors, topology_of
from nnr.metadata import STORAGE_FORMAT
from nnr.syntax.constants import NnrUnitType, TopologyCompressionFormat, TopologyStorageFormat
from nnr.syntax.stream import StreamContext, write_unit

ONNX, PYT = TopologyStorageFormat.NNR_TPL_ONNX, TopologyStorageFormat.NNR_TPL_PYT
RAW, DEFLATE = TopologyCompressionFormat.NNR_PT_RAW, TopologyCompressionFormat.NNR_DFL
TENSORS = {"w": np.linspace(-1, 1, 60, dtype=np.float32).reshape(6, 10), "n": np.arange(3)}
DATA = b"\x08\x07 a graph \0" * 40


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("deflate", [True, False])
def test_the_topology_comes_back_and_the_tensors_stay(metadata: bool, deflate: bool) -> None:
    topology = nnr.Topology.of(ONNX, DATA, deflate=deflate)
    assert topology.compression_format == (DEFLATE if deflate else RAW)
    data = nnr.encode(TENSORS, topology=topology, compat=None, metadata=metadata)
    plain = nnr.encode(TENSORS, compat=None, metadata=metadata)
    found = nnr.decode(data)
    assert all(np.array_equal(found[name], array) for name, array in nnr.decode(plain).items())
    for given in (found.report.topology, nnr.open(data).topology):
        assert given is not None
        assert given.storage_format == ONNX
        assert given.data == DATA
    assert nnr.decode(plain).report.topology is None
    if metadata:
        assert found.report.checked


def test_the_unit_has_the_syntax_of_the_standard() -> None:
    data = nnr.encode(TENSORS, topology=nnr.Topology.of(ONNX, DATA), compat=None)
    units = [unit for unit in nnr.open(data).units if unit.unit_type == NnrUnitType.NNR_TPL]
    formats = [
        (u.header.unit_header.topology_storage_format, u.header.unit_header.topology_compression_format)
        for u in units
    ]
    assert formats == [(STORAGE_FORMAT, 0), (2, 1)]  # our metadata; NNR_TPL_ONNX, NNR_DFL
    assert zlib.decompress(bytes(units[1].payload["topology_data"])) == DATA  # RFC 1950


def test_a_changed_topology_is_noticed() -> None:
    data = bytearray(nnr.encode(TENSORS, topology=nnr.Topology.of(ONNX, DATA, deflate=False), compat=None))
    data[data.find(b" a graph ") + 3] ^= 1
    with pytest.raises(nnr.ConformanceError, match="CRC-32"):
        nnr.decode(bytes(data))


def with_unit(payload: bytes, storage: int = 2, compression: int = 1) -> bytes:
    """A stream with a topology unit that our encoder would not write."""
    data = nnr.encode(TENSORS, metadata=False)
    units = nnr.open(data).units
    head = units[0].size + units[1].size
    context = StreamContext()
    write_unit(NnrUnitType.NNR_STR, {"general_profile_idc": 1}, None, context)
    formats = {"topology_storage_format": storage, "topology_compression_format": compression}
    unit = write_unit(NnrUnitType.NNR_TPL, formats, {"topology_data": payload}, context)
    return data[:head] + unit + data[head:]


def test_what_inflates_without_end_is_refused_when_it_is_asked_for() -> None:
    bomb = zlib.compress(bytes(70 << 20), 9)
    stream = with_unit(bomb)
    topology = nnr.decode(stream).report.topology  # the tensors are not its hostages
    assert topology is not None
    with pytest.raises(nnr.LimitError, match="max_topology_bytes"):
        topology.data  # noqa: B018
    small = nnr.decode(stream, limits=nnr.Limits(max_topology_bytes=10)).report.topology
    with pytest.raises(nnr.LimitError, match="10"):
        small.data  # noqa: B018
    raw = nnr.decode(with_unit(b"x" * 100, compression=0), limits=nnr.Limits(max_topology_bytes=10))
    with pytest.raises(nnr.LimitError):
        raw.report.topology.data  # noqa: B018
    large = nnr.decode(stream, limits=nnr.Limits(max_topology_bytes=1 << 30)).report.topology
    assert len(large.data) == 70 << 20


@pytest.mark.parametrize(
    ("payload", "compression", "error"),
    [
        (b"no zlib stream", 1, nnr.ConformanceError),
        (zlib.compress(DATA)[:-5], 1, nnr.ConformanceError),
        (zlib.compress(DATA) + b"x", 1, nnr.ConformanceError),
        (DATA, 200, nnr.UnsupportedError),
    ],
)
def test_damaged_topologies(payload: bytes, compression: int, error: type[nnr.NnrError]) -> None:
    topology = nnr.decode(with_unit(payload, compression=compression)).report.topology
    with pytest.raises(error):
        topology.data  # noqa: B018


@pytest.mark.parametrize(("storage", "payload"), [(0, b"\0"), (3, b"\0"), (4, b"\0"), (0, b"text\0")])
def test_units_without_a_topology_are_none(storage: int, payload: bytes) -> None:
    assert nnr.decode(with_unit(payload, storage, 0)).report.topology is None


def test_nncodec_gets_what_it_can_go_over_or_a_refusal() -> None:
    with pytest.raises(ValueError, match="compat=None"):
        nnr.encode(TENSORS, topology=nnr.Topology.of(ONNX, DATA))
    topology = nnr.Topology.of(PYT, b'{"a": "' + b"x" * 100 + b'"}')
    data = nnr.encode(TENSORS, topology=topology)
    (unit,) = [
        u for u in nnr.open(data).units
        if u.unit_type == NnrUnitType.NNR_TPL and u.header.unit_header.topology_storage_format == 3
    ]  # fmt: skip
    assert bytes(unit.payload["topology_data"]) == topology.data + b"\0"
    assert nnr.decode(data).report.topology.data == topology.data


def test_options_that_make_no_sense() -> None:
    topology = nnr.Topology.of(PYT, b"{}")
    with pytest.raises(ValueError, match="topology"):
        nnr.encode(TENSORS, base=nnr.encode(TENSORS), topology=topology)
    with pytest.raises(TypeError, match="topology"):
        nnr.encode(TENSORS, topology=b"{}")
    for storage in (0, 5, 6):
        with pytest.raises(ValueError):
            nnr.Topology.of(TopologyStorageFormat(storage), b"x")


def test_a_target_counts_the_topology() -> None:
    tensors = {"w": np.random.default_rng(0).normal(size=(100, 100)).astype(np.float32)}
    topology = nnr.Topology.of(PYT, json.dumps(list(range(1000))).encode())
    assert len(nnr.encode(tensors, topology=topology, target_size=9000)) <= 9000


def round_trip(path: Path, out: Path, **options: object) -> nnr.Topology:
    """Encode a model file with its topology, decode the stream alone, write the model."""
    tensors = load_tensors(path)
    data = nnr.encode(tensors, topology=topology_of(path), qp=-80, nonweight_qp=-80, **options)
    found = nnr.decode(data)
    save_tensors(found, out, topology=found.report.topology)
    again = load_tensors(out)
    assert list(again) == list(tensors)
    for name, array in tensors.items():
        assert again[name].dtype == array.dtype
        assert again[name].shape == array.shape
        assert np.allclose(again[name].astype(float), array.astype(float), atol=1e-5)
    return found.report.topology


def test_an_onnx_model_is_a_bitstream_that_runs(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    reference = pytest.importorskip("onnx.reference")
    make = onnx.helper.make_node
    value = onnx.helper.make_tensor_value_info
    weight = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    graph = onnx.helper.make_graph(
        [make("MatMul", ["x", "w"], ["m"]), make("Add", ["m", "b"], ["y"])], "g",
        [value("x", 1, [2, 4])], [value("y", 1, [2, 3])],
        [onnx.numpy_helper.from_array(a, n) for n, a in {"w": weight, "b": np.ones(3, np.float32)}.items()],
    )  # fmt: skip
    opset = [onnx.helper.make_opsetid("", 17)]  # the newest that onnx writes may be too new for onnxruntime
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "a.onnx")
    round_trip(tmp_path / "a.onnx", tmp_path / "b.onnx", compat=None)
    x = np.ones((2, 4), np.float32)
    files = [str(tmp_path / name) for name in ("a.onnx", "b.onnx")]
    a, b = (reference.ReferenceEvaluator(file).run(None, {"x": x})[0] for file in files)
    assert np.allclose(a, b, atol=1e-4)
    runtime = pytest.importorskip("onnxruntime", reason="needs the package onnxruntime")
    session = runtime.InferenceSession(tmp_path / "b.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x})[0], a, atol=1e-4)


def test_a_checkpoint_comes_back_in_its_nest(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the package torch")
    weight = torch.arange(12.0).reshape(3, 4)
    nest = {"model": {"w": weight, "tied": weight}, "steps": [1, (2.5, "x")], "epoch": 3, 7: None}
    torch.save(nest, tmp_path / "a.pt")
    round_trip(tmp_path / "a.pt", tmp_path / "b.pt")
    found = torch.load(tmp_path / "b.pt", weights_only=True)
    assert {key: found[key] for key in found if key != "model"} == {
        "steps": [1, (2.5, "x")], "epoch": 3, 7: None,
    }  # fmt: skip
    assert found["model"]["w"].data_ptr() == found["model"]["tied"].data_ptr()


def test_metadata_of_safetensors_come_back(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    from nnr.formats import Tensors

    save_tensors(Tensors(TENSORS, metadata={"format": "pt", "ü": "x"}), tmp_path / "a.safetensors")
    round_trip(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert load_tensors(tmp_path / "b.safetensors").metadata == {"format": "pt", "ü": "x"}


def test_keras_nnef_and_hdf5(tmp_path: Path) -> None:
    from nnr.formats import nnef

    graph = b"version 1.0;\ngraph g( x ) -> ( y ) { y = variable(label = 'a/w', shape = [6, 10]); }\n"
    nnef.save({"a/w": TENSORS["w"]}, tmp_path / "a.nnef", topology=graph)
    round_trip(tmp_path / "a.nnef", tmp_path / "b.nnef", compat=None)
    assert (tmp_path / "b.nnef" / "graph.nnef").read_bytes() == graph
    h5py = pytest.importorskip("h5py", reason="needs the package h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["dense/kernel"] = TENSORS["w"]
        file.attrs["model_config"] = "{}"
    round_trip(tmp_path / "a.h5", tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5") as file:
        assert file.attrs["model_config"] == "{}"


def test_a_topology_of_another_framework_is_not_used(tmp_path: Path) -> None:
    found = nnr.decode(nnr.encode(TENSORS, topology=nnr.Topology.of(ONNX, DATA), compat=None))
    save_tensors(found, tmp_path / "x.npz", topology=found.report.topology)
    assert list(load_tensors(tmp_path / "x.npz")) == list(TENSORS)


def test_a_topology_that_is_none_of_its_format(tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="needs the package onnx")
    topology = nnr.Topology.of(ONNX, DATA)
    with pytest.raises(nnr.FormatError):
        save_tensors(TENSORS, tmp_path / "x.onnx", topology=topology)
    assert not (tmp_path / "x.onnx").exists()


def test_npz_has_none(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(io.BytesIO().getvalue())
    with pytest.raises(nnr.FormatError, match="no topology"):
        topology_of(tmp_path / "x.npz")
