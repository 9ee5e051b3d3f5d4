"""Choice of the format, and outputs that appear complete or not at all."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import atomic_output, check_target, format_module, format_of, load_tensors, save_tensors
from tests.shared import reads_everything


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.npz", "npz"), ("b.NPZ", "npz"), ("c.x.safetensors", "safetensors"),
        ("d.safetensors.index.json", "safetensors"), ("e.pt", "pt"), ("f.PTH", "pt"), ("g.onnx", "onnx"),
        ("h.weights.h5", "h5"), ("i.keras", "keras"), ("graph.nnef", "nnef"),
    ],
)  # fmt: skip
def test_the_extension_names_the_format(name: str, expected: str) -> None:
    assert format_of(name) == expected


@pytest.mark.parametrize("name", ["a.bin", "model", "a.npz.gz", ".npz"])
def test_an_unsupported_extension_says_what_is_supported(name: str) -> None:
    with pytest.raises(FormatError, match=r"\.npz, \.safetensors"):
        save_tensors({}, name)


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors"])
def test_an_empty_model_is_a_model(tmp_path: Path, name: str) -> None:
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    save_tensors({}, tmp_path / name)
    assert load_tensors(tmp_path / name) == {}


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic_output(path) as file:
        file.write(b"half of the new")
        file.flush()
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_the_new_file_is_not_seen_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.bin"
    with atomic_output(path) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["out.bin"]


def test_an_existing_file_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        save_tensors({}, path, overwrite=False)
    with pytest.raises(FileExistsError):
        check_target(path, overwrite=False)
    assert path.read_bytes() == b"old"
    save_tensors({}, path)
    assert load_tensors(path) == {}


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(FileExistsError), atomic_output(path, overwrite=False) as file:
        file.write(b"ours")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert os.listdir(tmp_path) == ["x"]


@pytest.mark.skipif(os.name != "posix", reason="file modes and links of POSIX")
@pytest.mark.parametrize("name", ["x.npz", "x.safetensors"])
def test_modes_follow_the_umask_or_the_old_file_and_links_stay(tmp_path: Path, name: str) -> None:
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    path = tmp_path / name
    umask = os.umask(0o027)
    try:
        save_tensors({"a": np.zeros(2)}, path)
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o604)
    (tmp_path / "link").mkdir()
    link = tmp_path / "link" / name
    link.symlink_to(path)
    save_tensors({"a": np.ones(2)}, link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o604
    assert np.array_equal(load_tensors(path)["a"], np.ones(2))
    assert sorted(os.listdir(tmp_path)) == sorted(["link", name])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe_is_written_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(pipe.read_bytes()))
    reader.start()
    with atomic_output(pipe) as file:
        file.write(b"through the pipe")
    reader.join(10)
    assert received == [b"through the pipe"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_bad_targets_are_found_before_the_work(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        check_target(tmp_path)
    with pytest.raises(FileNotFoundError):
        check_target(tmp_path / "missing" / "x")
    if not reads_everything():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(PermissionError):
            check_target(tmp_path / "closed" / "x")


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
@pytest.mark.parametrize("name", ["npz", "safetensors"])
def test_a_device_is_no_file(name: str) -> None:
    if name == "safetensors":
        pytest.importorskip("safetensors")
    format_module(name).save({"a": np.zeros(3), "b": np.zeros((2, 0))}, "/dev/null")
    assert not stat.S_ISREG(os.stat("/dev/null").st_mode)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
@pytest.mark.parametrize("name", ["npz", "safetensors"])
def test_a_pipe_without_a_path_is_written_in_place(name: str, tmp_path: Path) -> None:
    if name == "safetensors":
        pytest.importorskip("safetensors")
    read_end, write_end = os.pipe()
    tensors = {"a": np.arange(3.0), "b": np.zeros((2, 0))}
    format_module(name).save(tensors, f"/dev/fd/{write_end}", overwrite=False)
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        (tmp_path / "x").write_bytes(pipe.read())
    found = format_module(name).load(tmp_path / "x")
    assert set(found) == {"a", "b"}
    assert all(np.array_equal(found[key], array) for key, array in tensors.items())


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_an_open_file_is_written_where_it_is_open(tmp_path: Path) -> None:
    path, link = tmp_path / "x.npz", tmp_path / "link"
    with open(path, "wb") as file:
        node = os.fstat(file.fileno()).st_ino
        link.symlink_to(f"/dev/fd/{file.fileno()}")
        with atomic_output(link, overwrite=False) as output:  # nothing is there to be kept
            output.write(b"through the descriptor")
    assert path.read_bytes() == b"through the descriptor"
    assert path.stat().st_ino == node
    assert sorted(os.listdir(tmp_path)) == ["link", "x.npz"]
