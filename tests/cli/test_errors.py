"""What the commands do with bad input: one line, the right status, no half-written file."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.cli import decode as decode_command
from nnr.formats import save_tensors
from tests.cli.conftest import Cli, finish, start
from tests.shared import ROOT, reads_everything

posix_only = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and files")
not_root = pytest.mark.skipif(reads_everything(), reason="this user may read everything")

READERS = ["decode", "info", "trace", "check"]


def read_command(name: str, path: object, folder: Path) -> list[object]:
    return [name, path, "-o", folder / "out.npz"] if name == "decode" else [name, path]


def _truncated(good: bytes) -> bytes:
    return good[: len(good) * 2 // 3]


def _flipped(good: bytes) -> bytes:
    middle = len(good) // 2
    return good[:middle] + bytes([good[middle] ^ 0x10]) + good[middle + 1 :]


BAD_STREAMS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda good: b"",
    "one byte": lambda good: b"\0",
    "truncated": _truncated,
    "last byte missing": lambda good: good[:-1],
    "flipped bit": _flipped,
    "npz": lambda good: b"PK\x03\x04" + bytes(100),
    "text": lambda good: b"# not a bitstream\n" * 20,
    "zeros": lambda good: bytes(1000),
    "ones": lambda good: b"\xff" * 1000,
    "shell script": lambda good: b"#!/bin/sh\nexit 0\n",
    "png": lambda good: b"\x89PNG\r\n\x1a\n" + bytes(64),
    "twice": lambda good: good[:40] + good,
}


@pytest.mark.parametrize("kind", BAD_STREAMS)
def test_a_bad_stream_is_one_line_with_its_place(
    cli: Cli, kind: str, stream_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    bad = tmp_path / "bad.nnr"
    bad.write_bytes(BAD_STREAMS[kind](stream_file.read_bytes()))
    cli("decode", bad, "-o", folder / "out.npz").assert_one_error(1, f"nnr: {bad}: ")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("command", READERS)
def test_what_cannot_be_opened_is_named(cli: Cli, command: str, tmp_path: Path) -> None:
    missing = tmp_path / "missing.nnr"
    cli(*read_command(command, missing, tmp_path)).assert_one_error(1, f"nnr: {missing}: No such file")
    cli(*read_command(command, tmp_path, tmp_path)).assert_one_error(1, f"nnr: {tmp_path}: ", "irectory")
    assert os.listdir(tmp_path) == []


@not_root
@pytest.mark.parametrize("command", READERS)
def test_an_unreadable_file_is_named(cli: Cli, command: str, stream_file: Path, tmp_path: Path) -> None:
    stream_file.chmod(0)
    outcome = cli(*read_command(command, stream_file, tmp_path))
    outcome.assert_one_error(1, f"nnr: {stream_file}: Permission denied")


@not_root
def test_a_read_only_folder_is_named(cli: Cli, model_file: Path, stream_file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    cli("encode", model_file, "-o", folder / "x.nnr").assert_one_error(1, str(folder), "Permission denied")
    cli("decode", stream_file, "-o", folder / "x.npz").assert_one_error(1, str(folder), "Permission denied")


def test_bad_targets_are_named(cli: Cli, model_file: Path, stream_file: Path, tmp_path: Path) -> None:
    missing = tmp_path / "no" / "x.nnr"
    cli("encode", model_file, "-o", missing).assert_one_error(1, str(missing.parent), "No such")
    folder = tmp_path / "x.npz"
    folder.mkdir()
    cli("decode", stream_file, "-o", folder).assert_one_error(1, f"nnr: {folder}: ", "directory")
    cli("decode", stream_file, "-o", folder, "-f").assert_one_error(1, f"nnr: {folder}: ", "directory")
    cli("decode", stream_file, "-o", tmp_path / "x.bin").assert_one_error(1, ".bin", ".npz, .safetensors")


def test_a_model_file_and_a_bitstream_are_not_confused(
    cli: Cli, model_file: Path, stream_file: Path, tmp_path: Path
) -> None:
    cli("encode", stream_file, "-o", tmp_path / "x.nnr").assert_one_error(
        1, f"nnr: {stream_file}: a bitstream, not a model file", "nnr decode"
    )
    shown = cli("encode", model_file, "-o", tmp_path / "x.npz")
    assert shown.status == 0
    assert "note: OUT is a bitstream" in shown.out


def test_an_earlier_output_survives_a_failure(cli: Cli, stream_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    out.write_bytes(b"precious")
    stream_file.write_bytes(_truncated(stream_file.read_bytes()))
    cli("decode", stream_file, "-o", out, "-f").assert_one_error(1, f"nnr: {stream_file}: ")
    assert out.read_bytes() == b"precious"
    assert sorted(os.listdir(tmp_path)) == ["model.nnr", "out.npz"]


def test_an_input_is_never_the_output(cli: Cli, model_file: Path, stream_file: Path, tmp_path: Path) -> None:
    model, stream = model_file.read_bytes(), stream_file.read_bytes()
    (tmp_path / "link.nnr").symlink_to(model_file)
    for out in (model_file, tmp_path / "link.nnr"):
        cli("encode", model_file, "-o", out, "-f").assert_one_error(1, f"nnr: {out}: is an input too")
    again = cli("encode", model_file, "--base", stream_file, "-o", stream_file, "-f")
    again.assert_one_error(1, f"nnr: {stream_file}: is an input too")
    back = cli("decode", stream_file, "-o", stream_file, "--format", "npz", "-f")
    back.assert_one_error(1, f"nnr: {stream_file}: is an input too")
    assert (model_file.read_bytes(), stream_file.read_bytes()) == (model, stream)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 truncated", b"text"])
def test_a_bad_npz_is_named(cli: Cli, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    cli("encode", path, "-o", tmp_path / "x.nnr").assert_one_error(1, f"nnr: {path}: ", "npz")
    assert os.listdir(tmp_path) == ["x.npz"]


@pytest.mark.parametrize("name", ["x.safetensors", "x.nnr", "x", "x.pt"])
def test_a_bad_model_file_is_named(cli: Cli, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"nothing that a model file could be")
    cli("encode", path, "-o", tmp_path / "out.nnr").assert_one_error(1, f"nnr: {path}: ")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize(
    "bad",
    [np.array([[1.0, np.nan]]), np.zeros((2, 2), np.complex64), np.array(["text"])],
    ids=["nan", "complex", "text"],
)
def test_a_tensor_that_cannot_be_coded_is_named(cli: Cli, bad: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_tensors({"good": np.ones((2, 2)), "the culprit\n": bad}, path)
    cli("encode", path, "-o", tmp_path / "x.nnr").assert_one_error(1, f"nnr: {path}: ", "the culprit")
    assert os.listdir(tmp_path) == ["x.npz"]


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["frobnicate"],
        ["--frobnicate"],
        ["encode"],
        ["encode", "x.npz"],
        ["encode", "x.npz", "-o", "x.nnr", "--frobnicate"],
        ["encode", "x.npz", "-o", "x.nnr", "--qp", "low"],
        ["encode", "x.npz", "-o", "x.nnr", "--qp", "1000000"],
        ["encode", "x.npz", "-o", "x.nnr", "--qp", "-38.5"],
        ["encode", "x.npz", "-o", "x.nnr", "--scan-order", "5"],
        ["encode", "x.npz", "-o", "x.nnr", "--cabac-unary-length", "0"],
        ["encode", "x.npz", "-o", "x.nnr", "--qp-per-tensor", "name"],
        ["encode", "x.npz", "-o", "x.nnr", "--compat", "nncodec1", "--profile", "1"],
        ["encode", "x.npz", "-o", "x.nnr", "--threads", "-1"],
        ["encode", "x.npz", "-o", "x.nnr", "--lambda", "0"],
        ["decode", "x.nnr"],
        ["decode", "-", "-", "-o", "x.npz"],
        ["decode", "x.nnr", "-o", "-"],
        ["decode", "x.nnr", "y.nnr", "-o", "x.npz", "--form", "coded"],
        ["decode", "x.nnr", "-o", "x.npz", "--form", "raw"],
        ["decode", "x.nnr", "-o", "x.npz", "--limit", "max_patience=3"],
        ["decode", "x.nnr", "-o", "x.npz", "--limit", "max_units"],
        ["encode", "x.npz", "-o", "x.nnr", "--qp", "-30", "--psnr", "40"],
        ["encode", "x.npz", "-o", "x.nnr", "--target-size", "3k", "--qp", "-30"],
        ["demo", "extra"],
        ["trace", "x.nnr", "--bins", "--json"],
        ["trace", "x.nnr", "--legacy"],
        ["trace", "x.nnr", "--base", "y.nnr"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(
    cli: Cli, args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli(*args).assert_one_error(2)
    assert os.listdir(tmp_path) == []


def test_a_limit_is_named_with_the_option_that_raises_it(cli: Cli, tmp_path: Path) -> None:
    path, out = tmp_path / "x.nnr", tmp_path / "x.npz"
    nnr.save_file({"w": np.zeros((1000, 1000), np.float32)}, path)
    tight = cli("decode", path, "-o", out, "--limit", "max_output_bytes=1MB")
    tight.assert_one_error(1, f"nnr: {path}: ", "--limit max_output_bytes=4000000")
    assert not out.exists()
    assert cli("decode", path, "-o", out, "--limit", "max_output_bytes=4000000").status == 0


@pytest.mark.parametrize("text", ["", "not json", "[1, 2]", '{"w": 3}', '{"w": {"tensor_dimensions": "x"}}'])
def test_bad_out_of_band_parameters_are_named(cli: Cli, text: str, stream_file: Path, tmp_path: Path) -> None:
    side = tmp_path / "side.json"
    side.write_text(text)
    outcome = cli("decode", stream_file, "-o", tmp_path / "x.npz", "--out-of-band", side)
    if text.startswith('{"w": {'):  # nobody asked for this element
        assert outcome.status == 0
    else:
        outcome.assert_one_error(1, f"nnr: {side}: ")


def test_a_defect_of_ours_is_one_line_too(
    cli: Cli, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise KeyError("surprise\nof two lines")

    monkeypatch.setattr(decode_command.nnr, "open", broken)
    outcome = cli("decode", stream_file, "-o", tmp_path / "x.npz")
    outcome.assert_one_error(1, "internal error", "KeyError", "NNR_DEBUG")
    monkeypatch.setenv("NNR_DEBUG", "1")
    assert "Traceback" in cli("decode", stream_file, "-o", tmp_path / "x.npz").err


def test_too_little_memory_is_said(
    cli: Cli, stream_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hungry(*args: object, **options: object) -> None:
        raise MemoryError

    monkeypatch.setattr(decode_command.nnr, "open", hungry)
    outcome = cli("decode", stream_file, "-o", tmp_path / "x.npz")
    outcome.assert_one_error(1, str(stream_file), "not enough memory")


@posix_only
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_and_leaves_nothing(number: int, status: int, tmp_path: Path) -> None:
    pipe = tmp_path / "in.nnr"
    os.mkfifo(pipe)
    # a shell that runs the tests in the background has interrupts ignored, and children inherit that
    heed = functools.partial(signal.signal, number, signal.SIG_DFL)
    process = start("decode", pipe, "-o", tmp_path / "out.npz", preexec_fn=heed)
    with open(pipe, "wb"):  # the command has begun to read
        for _ in range(40):  # again, should one come just before the command sleeps in a read
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.5)
                break
        else:
            process.kill()
        outcome = finish(process)
    assert outcome.status == status
    assert outcome.err in ("", "nnr: interrupted\n")
    assert os.listdir(tmp_path) == ["in.nnr"]


@posix_only
def test_a_reader_that_goes_away_is_no_error_message(stream_file: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = start("decode", stream_file, "-o", "-", "--format", "npz", stdout=write_end)
    os.close(write_end)
    outcome = finish(process)
    assert (outcome.status, outcome.err) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(model_file: Path, stream_file: Path) -> None:
    with open("/dev/full", "wb") as full:
        outcome = finish(start("demo", stdout=full))
        outcome.assert_one_error(1, "standard output", "No space left")
    finish(start("encode", model_file, "-o", "/dev/full")).assert_one_error(1, "/dev/full", "No space left")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("options", ["info", "trace", "trace --json", "trace --bins", "check"])
def test_a_full_disk_is_not_the_fault_of_the_input(options: str, stream_file: Path) -> None:
    with open("/dev/full", "wb") as full:
        outcome = finish(start(*options.split(), stream_file, stdout=full))
    assert outcome == (1, "", "nnr: standard output: No space left on device\n")


@posix_only
@pytest.mark.parametrize(
    "options", ["decode -o - --format npz", "info", "info --json", "trace", "check", "decode -o x.npz --json"]
)
def test_closed_standard_output(options: str, stream_file: Path) -> None:
    process = subprocess.Popen(
        ["sh", "-c", f'exec "$0" -m nnr {options} "$1" < /dev/null >&-', sys.executable, str(stream_file)],
        stderr=subprocess.PIPE, cwd=stream_file.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    finish(process).assert_one_error(1, "standard output", "closed")
    assert not (stream_file.parent / "x.npz").exists()


@posix_only
def test_an_error_does_not_go_to_standard_output(tmp_path: Path) -> None:
    command = 'exec "$0" -m nnr decode missing.nnr -o - --format npz < /dev/null 2>&-'
    process = subprocess.Popen(
        ["sh", "-c", command, sys.executable],
        stdout=subprocess.PIPE, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert finish(process) == (1, "", "")


def test_names_that_the_terminal_cannot_show_do_no_harm(stream_file: Path) -> None:
    outcome = finish(start("decode", stream_file, "-o", os.devnull, "--format", "npz", "--json",
                           env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}))  # fmt: skip
    assert outcome.status == 0
    assert outcome.err == ""


def test_what_may_be_left_out_is_not_called_missing(cli: Cli) -> None:
    cli("decode").assert_one_error(2, "BASE and -o/--output are missing")
