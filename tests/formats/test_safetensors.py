"""Safetensors files, with and without the packages they need."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError, MissingExtraError
from nnr.formats import Tensors, load_tensors, save_tensors
from nnr.formats import safetensors as ours
from tests.shared import shared_path

reference = pytest.importorskip("safetensors.numpy")


def make(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    tensors = Tensors(
        {
            "w": np.arange(6, dtype=np.float32).reshape(2, 3),
            "half": np.ones((2, 2), np.float16),
            "count": np.array(7, np.int64),
            "flag": np.array([True, False]),
            "none": np.zeros((0, 4), np.float64),
            "strided": np.arange(12.0).reshape(3, 4)[:, ::2],
            "big": np.arange(3, dtype=">i4"),
            "": np.zeros(1, np.uint8),
            "ü/..": np.zeros(2, np.uint16),
        },
        metadata={"format": "pt", "note": "ü"},
    )
    save_tensors(tensors, path)
    found = load_tensors(path)
    assert isinstance(found, Tensors)
    assert found.metadata == tensors.metadata
    assert set(found) == set(tensors)
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert np.array_equal(found[name], array)
        assert found[name].shape == array.shape
    theirs = reference.load_file(path)
    assert all(np.array_equal(theirs[name], array) for name, array in tensors.items())


def test_files_of_the_reference_package_are_read(tmp_path: Path) -> None:
    tensors = {"a": np.arange(5, dtype=np.float64), "b": np.arange(4, dtype=np.int8).reshape(2, 2)}
    reference.save_file(tensors, tmp_path / "x.safetensors")
    found = load_tensors(tmp_path / "x.safetensors")
    assert all(np.array_equal(found[name], array) for name, array in tensors.items())
    with open(tmp_path / "x.safetensors", "rb") as file:
        again = ours.read(io.BytesIO(file.read()))
    assert all(np.array_equal(again[name], array) for name, array in tensors.items())


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2"])
def test_short_floats_come_back(tmp_path: Path, name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([[1.0, -0.5, 0.0]], getattr(ml_dtypes, name))
    save_tensors({"w": array}, tmp_path / "x.safetensors")
    found = load_tensors(tmp_path / "x.safetensors")["w"]
    assert found.dtype == array.dtype
    assert found.tobytes() == array.tobytes()


def test_without_ml_dtypes_the_error_names_the_tensor_and_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(make({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(MissingExtraError, match=r"'w'.*nnr\[bfloat16\]"):
        load_tensors(path)


def test_without_the_package_the_error_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nnr\[safetensors\]'"):
        load_tensors(tmp_path / "x.safetensors")
    save_tensors({"w": np.zeros(1)}, tmp_path / "x.safetensors")  # writing needs none


def test_files_are_those_of_the_reference_package_byte_for_byte() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    names = [*ours._NUMPY.values(), *ours._ML_DTYPES.values()]
    types = [np.dtype(getattr(ml_dtypes, name, None) or name) for name in names]
    tensors = {
        f"{'é/' * k}{dtype.name}\x01\x7f\n\"\\\U0001f600": np.ones(shape, dtype)
        for dtype in types
        for k, shape in enumerate([(2,), (), (0, 3), (3, 5)])
    }
    for held, metadata in (({}, None), (tensors, {"ü\n": "x\t"}), (tensors, None)):
        buffer = io.BytesIO()
        ours.write(Tensors(held, metadata=metadata), buffer)
        assert buffer.getvalue() == reference.save(held, metadata=metadata)
    found = ours.read(io.BytesIO(buffer.getvalue()))
    assert {name: (a.dtype, a.tobytes()) for name, a in found.items()} == {
        name: (a.dtype, a.tobytes()) for name, a in tensors.items()
    }


def test_text_metadata_stand_in_one_order(tmp_path: Path) -> None:
    """The package shuffles them from run to run."""
    entries = {key: key.upper() for key in "zkqa"}
    for order in (entries, dict(sorted(entries.items()))):
        path = tmp_path / "x.safetensors"
        save_tensors(Tensors({"w": np.zeros(1)}, metadata=order), path)
        assert b'{"__metadata__":{"a":"A","k":"K","q":"Q","z":"Z"}' in path.read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        b"PK\x03\x04 something else entirely",
        (1 << 60).to_bytes(8, "little") + b"{}",
        make({"w": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"\0" * 8),
        make({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 7),
        make({"w": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}, b"\0" * 16),
        make({"w": {"dtype": "NONSENSE", "shape": [2], "data_offsets": [0, 8]}}, b"\0" * 8),
        (20).to_bytes(8, "little") + b"{not json at all....",
    ],
)
def test_a_bad_file_is_one_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError) as caught:
        load_tensors(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(FormatError):
        ours.read(io.BytesIO(content))


def test_what_the_format_cannot_hold_is_refused_by_name(tmp_path: Path) -> None:
    for bad in ({"c": np.zeros(2, np.complex128)}, {"c": np.zeros(1, "U4")}, {"__metadata__": np.zeros(1)}):
        with pytest.raises(FormatError, match=next(iter(bad))):
            save_tensors(bad, tmp_path / "x.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_real_checkpoint_reads_as_the_reference_package_reads_it() -> None:
    path = shared_path("data", "lenet5_mnist_epoch8.safetensors")
    expected = reference.load_file(path)
    found = load_tensors(path)
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())
