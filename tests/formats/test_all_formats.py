"""What every format must do: give back what it was given, and refuse what it is not, in one line."""

from __future__ import annotations

import io
import os
import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import FORMATS, format_module, load_tensors, open_source, save_tensors, sniff
from tests.formats.models import MODEL, assert_same

NEEDS = {"safetensors": "safetensors", "pt": "torch", "onnx": "onnx", "h5": "h5py"}
FILES = {
    "npz": "x.npz",
    "safetensors": "x.safetensors",
    "pt": "x.pt",
    "onnx": "x.onnx",
    "h5": "x.h5",
    "nnef": "x.nnef",
}


@pytest.fixture(params=FILES)
def name(request: pytest.FixtureRequest) -> str:
    if request.param in NEEDS:
        pytest.importorskip(NEEDS[request.param], reason=f"needs the package {NEEDS[request.param]}")
    return str(request.param)


def model_for(name: str) -> dict[str, np.ndarray]:
    return {key: a for key, a in MODEL.items() if name != "nnef" or a.dtype.name != "bfloat16"}


def test_every_format_is_tried() -> None:
    assert set(FORMATS) == {*FILES, "keras"}  # which needs a model, see test_keras.py


def test_names_types_shapes_and_bits_come_back(name: str, tmp_path: Path) -> None:
    path, model = tmp_path / FILES[name], model_for(name)
    save_tensors(model, path)
    assert_same(load_tensors(path), model)
    source = open_source(path)
    assert_same({key: source[key] for key in source}, model)
    for key, array in model.items():
        assert source.shape(key) == array.shape
        assert source.dtype(key) == array.dtype
    assert [p.name for p in tmp_path.iterdir()] == [FILES[name]]


def test_the_same_tensors_give_the_same_bytes(name: str, tmp_path: Path) -> None:
    if name == "nnef":
        pytest.skip("a folder")
    (tmp_path / "other").mkdir()
    for folder in (tmp_path, tmp_path / "other"):
        save_tensors(model_for(name), folder / FILES[name])
    assert (tmp_path / FILES[name]).read_bytes() == (tmp_path / "other" / FILES[name]).read_bytes()


def test_a_stream_is_written_and_known_again(name: str, tmp_path: Path) -> None:
    module, buffer = format_module(name), io.BytesIO()
    if name == "nnef":
        with pytest.raises(FormatError, match="folder"):
            module.write({}, buffer)
        return
    module.write(model_for(name), buffer)
    assert sniff(buffer.getvalue()) == name
    assert_same(module.read(io.BytesIO(buffer.getvalue())), model_for(name))


def test_weights_go_into_a_copy(name: str, tmp_path: Path) -> None:
    path, model = tmp_path / FILES[name], model_for(name)
    save_tensors(model, path)
    new = {key: (a + a).astype(a.dtype) if a.dtype != bool else ~a for key, a in model.items()}
    target = tmp_path / ("y." + FILES[name])
    save_tensors(new, target, like=path)
    assert_same(load_tensors(target), new)
    assert_same(load_tensors(path), model)


def test_what_has_no_place_in_the_original_is_refused(name: str, tmp_path: Path) -> None:
    if name in ("npz", "safetensors"):
        pytest.skip("holds any tensors")
    path = tmp_path / FILES[name]
    save_tensors({"w": np.zeros((2, 3), np.float32)}, path)
    for wrong in ({"v": np.zeros((2, 3), np.float32)}, {"w": np.zeros((3, 2), np.float32)},
                  {"w": np.zeros((2, 3), np.int32)}):  # fmt: skip
        with pytest.raises(FormatError):
            save_tensors(wrong, tmp_path / ("y." + FILES[name]), like=path)
    assert [p.name for p in tmp_path.iterdir()] == [FILES[name]]


def test_damaged_files_are_one_error_or_other_values(name: str, tmp_path: Path) -> None:
    path = tmp_path / FILES[name]
    save_tensors(model_for(name), path)
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    chance = random.Random(7)
    refused = 0
    for file in files:
        data = file.read_bytes()
        for kind in range(40):
            bad = bytearray(data)
            if kind < 20:
                del bad[chance.randrange(len(bad)) :]
            else:
                for _ in range(4):
                    bad[chance.randrange(min(len(bad), 400))] = chance.randrange(256)
            file.write_bytes(bad)
            try:
                load_tensors(path)
            except FormatError as error:
                refused += 1
                assert "\n" not in str(error)
        file.write_bytes(data)
    assert refused >= 10 * len(files)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", bytes(1000), b"\x08" * 50]
)
def test_other_files_are_refused(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / FILES[name]
    if name == "nnef":
        path.mkdir()
        (path / "graph.nnef").write_bytes(content)
    else:
        path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load_tensors(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_failure_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / FILES[name]
    save_tensors({"w": np.zeros(3, np.float32)}, path)
    with pytest.raises(FormatError):
        save_tensors({"w": np.zeros(3, np.float32), "o": np.array([None, {}])}, path)
    with pytest.raises(FileExistsError):
        save_tensors({}, path, overwrite=False)
    assert np.array_equal(load_tensors(path)["w"], np.zeros(3))
    assert os.listdir(tmp_path) == [FILES[name]]


def test_absent_files_are_errors_of_the_system(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_tensors(tmp_path / FILES[name])
    if name != "nnef":
        shutil.rmtree(tmp_path / FILES[name], ignore_errors=True)
        (tmp_path / FILES[name]).mkdir()
        with pytest.raises(IsADirectoryError):
            load_tensors(tmp_path / FILES[name])


def test_arrays_of_any_layout_come_back(name: str, tmp_path: Path) -> None:
    """Fortran order, strides, negative ones, no dimensions, and the byte order of other machines."""
    base = np.arange(24, dtype=np.float64).reshape(4, 6)
    model = {
        "fortran": np.asfortranarray(base), "steps": base[::-1, ::2], "other": base.astype(">f8"),
        "wide": np.arange(3, dtype=">i4"), "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
        "scalar": np.array(2.5, ">f4"), "empty": np.zeros((2, 0, 3), ">f2"),
    }  # fmt: skip
    save_tensors(model, tmp_path / FILES[name])
    found = load_tensors(tmp_path / FILES[name])
    assert set(found) == set(model)
    for key, array in model.items():
        assert found[key].dtype.newbyteorder("=") == array.dtype.newbyteorder("=")
        assert found[key].shape == array.shape
        assert np.array_equal(found[key], array)


@pytest.mark.parametrize(
    "label",
    ["a\0b", "ü/名", "a b", "..", "a//b", "/a", "a/", "\ud800", "x" * 300, "a\\b", "a'b", "C:a", ".", "a\nb"],
)
def test_a_name_comes_back_as_it_was_or_is_refused(name: str, label: str, tmp_path: Path) -> None:
    if name == "pt" and label == "\ud800":
        pytest.skip("pickle holds any text of Python")
    try:
        save_tensors({label: np.ones(2, np.float32), "other": np.zeros(3)}, tmp_path / FILES[name])
    except FormatError as error:
        assert repr(label)[1:10].rstrip("'") in str(error)
        assert len(str(error).splitlines()) == 1
        assert list(tmp_path.iterdir()) == []
    else:
        assert set(load_tensors(tmp_path / FILES[name])) == {label, "other"}


@pytest.mark.parametrize("pair", [("a", "a/b"), ("a/b", "a"), ("a", "a.dat/b"), ("w", "graph.nnef/b")])
def test_names_of_which_one_would_be_a_folder(name: str, pair: tuple[str, str], tmp_path: Path) -> None:
    model = {label: np.full(k + 1, k, np.float32) for k, label in enumerate(pair)}
    try:
        save_tensors(model, tmp_path / FILES[name])
    except FormatError as error:
        assert name in ("h5", "nnef")
        assert any(repr(label) in str(error) for label in pair)
        assert list(tmp_path.iterdir()) == []
    else:
        assert_same(load_tensors(tmp_path / FILES[name]), model)
