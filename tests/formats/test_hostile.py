"""Files made to do harm, or to mislead: each is one error that names what is wrong, at little cost."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnr.onnx
from nnr.errors import FormatError
from nnr.formats import load_tensors, open_source, save_tensors, topology_of


def refused(path: Path, *parts: str) -> None:
    """Reading `path` is one error of one line that holds `parts`."""
    with pytest.raises(FormatError) as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


# ------------------------------------------------------------------------------------------ safetensors


def safetensors(header: dict[str, Any] | str, data: bytes = b"") -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode()
    return len(text).to_bytes(8, "little") + text + data


def entry(begin: int, end: int, shape: list[int]) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        (safetensors({"a": entry(0, 8, [2]), "b": entry(4, 12, [2])}, bytes(12)), ["`b`"]),
        (safetensors({"a": entry(0, 8, [2]), "b": entry(0, 8, [2])}, bytes(8)), ["invalid offset"]),
        (safetensors({"a": entry(-8, 0, [2])}, bytes(8)), ["-8"]),
        (safetensors({"a": entry(0, 1 << 62, [1 << 60])}, bytes(8)), ["overflow"]),
        (safetensors({"a": entry(0, 0, [0, (1 << 64) - 1])}), ["'a'", "no array"]),
        (safetensors({"a": entry(0, 0, [0, 1 << 62])}), ["'a'", "no array"]),
        (safetensors({"a": entry(0, 4, [1] * 70)}, bytes(4)), ["'a'", "70 dimensions", "no array"]),
        (safetensors({"a": entry(0, 8, [2])}, bytes(9)), ["not fully covered"]),
        (
            safetensors(
                '{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
                '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
                bytes(8),
            ),
            ["'a'", "twice"],
        ),
    ],
)
def test_safetensors_headers_that_lie(content: bytes, parts: list[str], tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    refused(path, *parts)


@pytest.mark.parametrize(
    ("index", "parts"),
    [
        ('{"weight_map": {"a": "../s.safetensors"}}', ["'a'", "no file name"]),
        ('{"weight_map": {"a": "/etc/passwd"}}', ["'a'", "no file name"]),
        ('{"weight_map": {"a": 3}}', ["'a'", "no file name"]),
        ('{"weight_map": {"a": "absent.safetensors"}}', ["absent.safetensors", "not there"]),
        ('{"weight_map": {"a": "s.safetensors", "a": "t.safetensors"}}', ["'a'", "twice"]),
        ('{"weight_map": {"a": "m.safetensors.index.json"}}', ["shard m.safetensors.index.json"]),
    ],
)
def test_an_index_that_misleads(index: str, parts: list[str], tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    for name in ("s", "t"):
        save_tensors({"a": np.zeros(2, np.float32)}, tmp_path / f"{name}.safetensors")
    path = tmp_path / "m.safetensors.index.json"
    path.write_text(index)
    refused(path, *parts)


# --------------------------------------------------------------------------------------------- archives


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (len(text) + 10) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


@pytest.mark.parametrize(
    ("member", "parts"),
    [
        (npy("'<f4'", "(1099511627776,)", bytes(8)), ["shorter"]),
        (npy("'<f4'", "(-1, -2)", bytes(8)), ["no array"]),
        (npy("'<f4'", f"(0, {1 << 62})"), ["no array"]),
        (npy("'<f4'", f"({1 << 63}, 0)"), ["no array"]),
        (npy("'<f4'", "(" + "1, " * 70 + ")", bytes(4)), ["70 dimensions"]),
        (npy("'<f4'", "(True,)", bytes(4)), ["[True]"]),
        (npy("'<U0'", f"({1 << 50},)"), ["not a tensor"]),
        (npy("'|V0'", "(1,)"), ["not a tensor"]),
        (npy("[('x', '<f4')]", "(1,)", bytes(4)), ["not a tensor"]),
        (npy("('<f4', (2,))", "(1,)", bytes(8)), ["not a tensor"]),
        (npy("'|O'", "(1,)", bytes(8)), ["never unpickled"]),
        (b"\x93NUMPY\2\0" + struct.pack("<I", 10 << 20) + b" " * (10 << 20), ["too long"]),
    ],
)
def test_arrays_that_lie(member: bytes, parts: list[str], tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(zipped({"w.npy": member}))
    refused(path, "'w'", *parts)


def test_names_that_come_twice_and_what_is_encrypted(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for _ in range(2):
            archive.writestr("w.npy", npy("'<f4'", "(1,)", bytes(4)))
    refused(path, "'w'")
    data = bytearray(zipped({"w.npy": npy("'<f4'", "(1,)", bytes(4))}))
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    refused(path, "'w.npy' is encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("name", ["x.npz", "x.keras"])
def test_an_archive_that_swells_is_refused_before_it_does(name: str, method: int, tmp_path: Path) -> None:
    """300 MB in several members, none of which is suspicious alone; sizes are those of the whole archive."""
    if name == "x.keras":
        pytest.importorskip("h5py")
    member = npy("'<f4'", f"({15 << 20},)", bytes(60 << 20))
    members = {f"w{k}.npy": member for k in range(5)}
    if name == "x.keras":
        members = {f"w{k}": member for k in range(4)}
        members |= {"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": bytes(60 << 20)}
    data = bytearray(zipped(members, method))
    at = data.rindex(b"PK\1\2")
    data[at + 20 : at + 24] = struct.pack("<I", 1 << 30)  # a compressed size that is not true
    path = tmp_path / name
    path.write_bytes(data)
    started = time.perf_counter()
    refused(path, "would take", "out of proportion")
    assert time.perf_counter() - started < 1


# ------------------------------------------------------------------------------------------------ HDF5


def hdf5(path: Path, fill: Callable[[Any], object]) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_datasets_that_were_never_written_are_counted_together(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        for k in range(4):
            file.create_dataset(f"d{k}", (20 << 20,), "f4", chunks=(1 << 20,), compression="gzip")

    path = hdf5(tmp_path / "x.h5", fill)
    refused(path, "'d3'", "would take")
    with pytest.raises(FormatError, match="'d3'"):
        open_source(path)
    keras = tmp_path / "x.keras"
    keras.write_bytes(
        zipped({"config.json": b"{}", "metadata.json": b"{}", "model.weights.h5": path.read_bytes()})
    )
    refused(keras, "'d3'")


def test_what_stands_outside_of_a_file_is_not_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    hdf5(tmp_path / "other.h5", lambda file: file.create_dataset("x", data=np.arange(3.0)))
    (tmp_path / "raw.bin").write_bytes(bytes(64))

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
        file.create_virtual_dataset("v", layout)

    refused(hdf5(tmp_path / "v.h5", virtual), "'v'", "another file")
    raw = hdf5(tmp_path / "e.h5", lambda f: f.create_dataset("e", (8,), "f8", external=[("raw.bin", 0, 64)]))
    refused(raw, "'e'", "another file")

    def links(file: Any) -> None:
        file["g/a"] = np.ones(2)
        file["g/out"] = h5py.ExternalLink("other.h5", "/x")
        file["g/loop"], file["soft"], file["nowhere"] = (h5py.SoftLink(p) for p in ("/g", "/g/a", "/no"))

    source = open_source(hdf5(tmp_path / "l.h5", links))
    assert list(source) == ["g/a"]
    assert source.notes == ["link g/out leads to another file, which is not read: left out"]


# ------------------------------------------------------------------------------------------------ ONNX


def external(location: str, offset: object = 0, length: object = 16, dims: tuple[int, ...] = (4,)) -> Any:
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=dims)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        item = tensor.external_data.add()
        item.key, item.value = key, str(value)
    return onnx.helper.make_model(onnx.helper.make_graph([], "g", [], [], [tensor]))


@pytest.mark.parametrize("location", ["../d", "/etc/passwd", "a/../../d", "C:\\d", "c:d", "..\\d", "", "d\0"])
def test_external_data_outside_of_the_folder(location: str, tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(external(location).SerializeToString())
    refused(tmp_path / "x.onnx", "'w'", "outside of the model's folder")
    with pytest.raises(FormatError, match="outside of the model's folder"):
        nnr.onnx.load(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "place",
    [{"offset": 1000}, {"offset": -4}, {"length": 64}, {"length": 1 << 70, "dims": (1 << 60,)},
     {"offset": "1e3"}, {"length": 0, "dims": (0, 1 << 62)}, {"dims": (-4,)}, {"location": "absent"},
     {"location": "."}],
)  # fmt: skip
def test_external_data_that_are_not_there(place: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(bytes(64))
    (tmp_path / "x.onnx").write_bytes(external(**{"location": "d", **place}).SerializeToString())
    refused(tmp_path / "x.onnx", "'w'")


@pytest.mark.skipif(os.name != "posix", reason="links need a privilege elsewhere")
def test_links_out_of_the_folder_are_followed_only_where_the_model_is_one(tmp_path: Path) -> None:
    """A folder that came as an archive must not read a secret; caches of model hubs are made of links."""
    data = np.arange(4, dtype="<f4")
    for folder in ("blobs", "model", "cache"):
        (tmp_path / folder).mkdir()
    (tmp_path / "blobs" / "0d").write_bytes(data.tobytes())
    (tmp_path / "blobs" / "0m").write_bytes(external("d").SerializeToString())
    model = tmp_path / "model" / "x.onnx"
    model.write_bytes(external("d").SerializeToString())
    (tmp_path / "model" / "d").symlink_to("../blobs/0d")
    refused(model, "'w'", "link out of the model's folder")
    model.write_bytes(external("sub/0d").SerializeToString())
    (tmp_path / "model" / "sub").symlink_to("../blobs")
    refused(model, "'w'", "link out of the model's folder")
    for name, content in (("x.onnx", "0m"), ("d", "0d")):
        (tmp_path / "cache" / name).symlink_to(f"../blobs/{content}")
    assert np.array_equal(load_tensors(tmp_path / "cache" / "x.onnx")["w"], data)
    (tmp_path / "model" / "e").write_bytes(data.tobytes())
    (tmp_path / "model" / "inner").symlink_to("e")
    model.write_bytes(external("inner").SerializeToString())
    assert np.array_equal(load_tensors(model)["w"], data)


# ------------------------------------------------------------------------------------------------ NNEF


def nnef(folder: Path, shape: str, dimensions: list[int], nbytes: int, data: bytes = b"") -> Path:
    folder.mkdir()
    (folder / "graph.nnef").write_text(
        f"version 1.0; graph g(i) -> (o) {{ w = variable<scalar>(shape = {shape}, label = 'w'); }}"
    )
    padded = [*dimensions, *[0] * (8 - len(dimensions))]
    header = b"\x4e\xef\x01\x00" + struct.pack("<12I", nbytes, len(dimensions), *padded, 32, 0)
    (folder / "w.dat").write_bytes(header.ljust(128, b"\0") + data)
    return folder


def test_variables_that_lie(tmp_path: Path) -> None:
    assert np.array_equal(load_tensors(nnef(tmp_path / "ok.nnef", "[2]", [2], 8, bytes(8)))["w"], [0, 0])
    refused(nnef(tmp_path / "a.nnef", "[2]", [1 << 30], 8, bytes(8)), "w.dat", "too few")
    refused(nnef(tmp_path / "b.nnef", "[]", [0, *[0xFFFFFFFF] * 7], 0), "'w'", "no array")
    refused(nnef(tmp_path / "c.nnef", f"[{'9' * 5000}]", [2], 8, bytes(8)), "'w'", "has the shape [999")


def test_a_graph_of_blanks_takes_no_time(tmp_path: Path) -> None:
    folder = nnef(tmp_path / "x.nnef", "[2]", [2], 8, bytes(8))
    (folder / "graph.nnef").write_text("graph variable" + " " * 200_000)
    started = time.perf_counter()
    assert load_tensors(folder) == {}
    assert time.perf_counter() - started < 1


# --------------------------------------------------------------------------------------------- PyTorch


def test_checkpoints_that_are_larger_than_they_look(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs the package torch")
    path = tmp_path / "x.pt"
    torch.save({"v": torch.ones(3), "w": torch.zeros(1).expand(1 << 40)}, path)
    refused(path, "'w'", "out of proportion")
    nest: Any = torch.ones(1)
    for _ in range(40):  # in the file, one dictionary a level
        nest = {"a": nest, "b": nest}
    torch.save(nest, path)
    refused(path, "more than 1048576 values")
    with pytest.raises(FormatError, match="more than 1048576 values"):
        topology_of(path)
    nest = torch.ones(1)
    for _ in range(200):
        nest = {"a": nest}
    torch.save(nest, path)
    refused(path, "nested too deep")
    with pytest.raises(FormatError, match="nested too deep"):
        topology_of(path)
