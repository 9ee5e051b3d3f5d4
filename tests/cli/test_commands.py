"""What the commands do when all is well."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.cli.demo import MODEL
from nnr.cli.options import parse_size
from nnr.cli.progress import Progress
from nnr.formats import load_tensors
from tests.cli.conftest import Cli, finish, read_terminal, start
from tests.shared import shared_path


def assert_close(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert found[name].dtype == array.dtype
        assert np.allclose(found[name], array, atol=0.01)


def test_a_model_goes_in_and_comes_back(cli: Cli, model: dict, model_file: Path, tmp_path: Path) -> None:
    stream, back = tmp_path / "out.nnr", tmp_path / "back.npz"
    encoded = cli("encode", model_file, "-o", stream)
    assert encoded.status == 0
    assert encoded.err == ""
    assert encoded.out.splitlines()[-1].startswith(f"{stream}: 4 tensors, ")
    assert stream.read_bytes() == nnr.encode(model)
    decoded = cli("decode", stream, "-o", back)
    assert decoded.status == 0
    assert decoded.err == ""
    found = load_tensors(back)
    assert_close(model, found)
    assert list(found) == list(model)
    assert int(found["steps"]) == 1234567890123


def test_safetensors_in_and_out(cli: Cli, model: dict, stream_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    one, two, back = tmp_path / "1.safetensors", tmp_path / "2.nnr", tmp_path / "3.npz"
    assert cli("decode", stream_file, "-o", one).status == 0
    assert cli("encode", one, "-o", two, "-q").status == 0
    assert cli("decode", two, "-o", back).status == 0
    assert_close(model, load_tensors(back))


def test_quiet_prints_nothing(cli: Cli, model_file: Path, tmp_path: Path) -> None:
    assert cli("encode", model_file, "-o", tmp_path / "x.nnr", "-q") == (0, "", "")
    assert cli("decode", tmp_path / "x.nnr", "-o", tmp_path / "x.npz", "-q") == (0, "", "")


def test_json_reports(cli: Cli, model: dict, model_file: Path, tmp_path: Path) -> None:
    stream = tmp_path / "x.nnr"
    report = json.loads(cli("encode", model_file, "-o", stream, "--json").out)
    assert report["total_bytes"] == stream.stat().st_size
    assert [tensor["name"] for tensor in report["tensors"]] == list(model)
    decoded = json.loads(cli("decode", stream, "-o", tmp_path / "x.npz", "--json").out)
    assert {t["name"]: (t["dtype"], tuple(t["shape"])) for t in decoded["tensors"]} == {
        name: (array.dtype.name, array.shape) for name, array in model.items()
    }


def test_options_reach_the_encoder(cli: Cli, model: dict, model_file: Path, tmp_path: Path) -> None:
    stream = tmp_path / "x.nnr"
    flags = ["--qp", "-30", "--no-dq", "--scan-order", "1", "--no-row-skip", "--cabac-unary-length", "5"]
    names = ["--qp-per-tensor", "half=-20", "--qp-per-tensor", "conv.*=-25", "--raw", "half"]
    names += ["--compat", "none"]
    assert cli("encode", model_file, "-o", stream, *flags, *names, "-T", "1").status == 0
    assert stream.read_bytes() == nnr.encode(
        model, qp=-30, dq=False, scan_order=1, row_skip=False, cabac_unary_length=5,
        qp_per_tensor={"half": -20, "conv.*": -25}, compat=None, raw=["half"],
    )  # fmt: skip


def test_every_plain_option_of_the_encoder_is_a_flag_with_its_default(cli: Cli) -> None:
    text = " ".join(cli("encode", "--help").out.split())
    for field in dataclasses.fields(nnr.EncoderConfig):
        if field.name in ("pipeline", "importance", "topology"):  # the last is --with-topology
            continue
        flag = "--" + field.name.replace("_", "-")
        assert flag in text
        if isinstance(field.default, bool):
            assert f"{flag}, --no-{flag[2:]}" in text
        elif isinstance(field.default, (int, str)):
            assert f"default: {field.default}" in text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("1200000", 1200000), ("1.2MB", 1200000), ("64KiB", 65536), ("1k", 1000), ("2 GB", 2 * 10**9)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_pipes_all_the_way(model: dict, model_file: Path, tmp_path: Path) -> None:
    with open(model_file, "rb") as source:
        encoder = start("encode", "-", "-o", "-", stdin=source)
    decoder = start("decode", "-", "-o", "-", "--format", "npz", stdin=encoder.stdout)
    assert encoder.stdout is not None
    encoder.stdout.close()
    out, err = decoder.communicate(timeout=60)
    assert (decoder.returncode, err) == (0, b"")
    assert encoder.wait(60) == 0
    assert encoder.stderr is not None
    assert encoder.stderr.read() == b""
    (tmp_path / "x.npz").write_bytes(out)
    assert_close(model, load_tensors(tmp_path / "x.npz"))


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="needs /dev/stdout")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "a link"])
def test_standard_output_by_its_name(name: str, model: dict, stream_file: Path, tmp_path: Path) -> None:
    if name == "a link":
        name = str(tmp_path / "link")
        os.symlink("/dev/stdout", name)
    process = start("decode", stream_file, "-q", "-o", name, "--format", "npz")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    (tmp_path / "x.npz").write_bytes(out)
    assert_close(model, load_tensors(tmp_path / "x.npz"))


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_a_pipe_that_a_shell_opened(model_file: Path) -> None:
    read_end, write_end = os.pipe()
    process = start("encode", model_file, "-o", f"/dev/fd/{write_end}", pass_fds=[write_end])
    os.close(write_end)
    with open(read_end, "rb") as pipe:
        received = pipe.read()
    assert finish(process).status == 0
    assert received == nnr.encode(load_tensors(model_file))


def test_safetensors_through_pipes(model: dict, stream_file: Path, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    decoder = start("decode", stream_file, "-o", "-", "--format", "safetensors")
    encoder = start("encode", "-", "-o", tmp_path / "again.nnr", "-q", stdin=decoder.stdout)
    assert finish(encoder) == (0, "", "")
    assert decoder.wait(60) == 0
    assert_close(model, dict(nnr.load_file(tmp_path / "again.nnr")))


def test_an_existing_output_stays_unless_forced(cli: Cli, model_file: Path, tmp_path: Path) -> None:
    stream = tmp_path / "x.nnr"
    stream.write_bytes(b"precious")
    cli("encode", model_file, "-o", stream).assert_one_error(1, str(stream), "already exists", "-f")
    assert stream.read_bytes() == b"precious"
    assert cli("encode", model_file, "-o", stream, "-f").status == 0
    out = tmp_path / "x.npz"
    out.write_bytes(b"precious")
    cli("decode", stream, "-o", out).assert_one_error(1, str(out), "already exists")
    assert out.read_bytes() == b"precious"
    assert cli("decode", stream, "-o", out, "--force").status == 0


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="needs /dev/null")
def test_a_device_is_written_in_place(cli: Cli, model_file: Path, stream_file: Path) -> None:
    assert cli("encode", model_file, "-o", "/dev/null").status == 0
    assert cli("decode", stream_file, "-o", "/dev/null", "--format", "npz").status == 0
    assert not Path("/dev/null").is_file()


def test_the_coded_form_and_out_of_band_parameters(cli: Cli, tmp_path: Path) -> None:
    folder = shared_path("vectors")
    vector = json.loads((folder / "oob_block_0.json").read_text())
    side, out = tmp_path / "side.json", tmp_path / "out.npz"
    side.write_text(json.dumps(vector["out_of_band"]))
    stream = folder / vector["bitstream"]["file"]
    cli("decode", stream, "-o", out, "--form", "coded").assert_one_error(1, str(stream), "unit")
    assert not out.exists()
    assert cli("decode", stream, "-o", out, "--form", "coded", "--out-of-band", side).status == 0
    with np.load(folder / vector["npz"]) as expected, np.load(out) as found:
        assert sorted(found.files) == sorted(t["name"] for t in vector["tensors"])
        for tensor in vector["tensors"]:
            assert np.array_equal(found[tensor["name"]], expected[tensor["key"]].astype(np.float32))


def test_a_sequence_of_updates(cli: Cli, tmp_path: Path) -> None:
    vectors = shared_path("vectors")
    folder = sorted(path for path in vectors.iterdir() if path.name.startswith("seq_"))[0]
    sequence = json.loads((folder / "sequence.json").read_text())
    if any(step.get("out_of_band") for step in sequence["steps"]):
        pytest.skip("the first sequence needs parameters for its base")
    streams = [folder / step["file"] for step in sequence["steps"]][:3]
    assert cli("decode", *streams, "-o", tmp_path / "sum.npz").status == 0
    assert cli("decode", *streams, "-o", tmp_path / "last.npz", "--raw", "--form", "coded").status == 0
    last = sequence["steps"][len(streams) - 1]
    with np.load(folder / last["npz"]) as expected, np.load(tmp_path / "last.npz") as found:
        assert sorted(found.files) == sorted(t["name"] for t in last["tensors"])
        for tensor in last["tensors"]:
            assert np.array_equal(found[tensor["name"]], expected[tensor["key"]])
    decoder = nnr.Decoder()
    for stream in streams:
        decoder.decode(stream.read_bytes())
    model = load_tensors(tmp_path / "sum.npz")
    assert set(model) == set(decoder.model)
    assert all(np.array_equal(model[name], array) for name, array in decoder.model.items())


def test_the_demo_prints_a_table_of_three_qualities(cli: Cli) -> None:
    shown = cli("demo")
    assert shown.status == 0
    assert shown.err == ""
    for word in ("bytes", "ratio", "bits/weight", "max error", "RMS error", "encode s", "nnr encode"):
        assert word in shown.out
    rows = json.loads(cli("demo", "--json").out)["rows"]
    assert len(rows) == 3
    sizes, errors = [row["bytes"] for row in rows], [row["rms_error"] for row in rows]
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    for row in rows:
        step = 2 ** (row["qp"] / 4)  # within 6 %; the spacing of each of the two quantizers is twice that
        assert row["rms_error"] < 0.6 * step
        assert row["max_error"] <= 2.2 * step


def test_the_demo_model_is_the_evaluation_checkpoint() -> None:
    pytest.importorskip("safetensors")
    expected = load_tensors(shared_path("data", "lenet5_mnist_epoch8.safetensors"))
    found = load_tensors(MODEL)
    assert set(found) == set(expected)
    assert all(np.array_equal(found[name], array) for name, array in expected.items())


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version") == (0, f"nnr {nnr.__version__}\n", "")
    shown = cli("--help")
    assert shown.status == 0
    for command in ("encode", "decode", "demo"):
        assert command in shown.out
        assert cli(command, "--help").status == 0


def test_a_terminal_sees_progress_and_a_pipe_does_not(model_file: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    terminal, child = pty.openpty()
    process = start("encode", model_file, "-o", tmp_path / "1.nnr", stderr=child, env={"TERM": "xterm"})
    os.close(child)
    shown = read_terminal(terminal)
    assert finish(process).status == 0
    assert b"%" in shown
    assert shown.endswith(b"\r\x1b[K"), "the bar is gone at the end"
    assert finish(start("encode", model_file, "-o", tmp_path / "2.nnr")).err == ""


@pytest.mark.parametrize("package", ["tqdm", None])
def test_the_progress_bar_with_and_without_its_package(
    package: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pty = pytest.importorskip("pty")
    if package is None:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    else:
        pytest.importorskip(package)
    terminal, child = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "90")
    with open(child, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        with Progress() as progress:
            progress(250, 1000, "conv\nweight")
        monkeypatch.setenv("TERM", "dumb")
        with Progress() as dumb, Progress(wanted=False) as unwanted:
            assert not dumb.active
            assert not unwanted.active
    shown = read_terminal(terminal).decode()
    line = shown.strip("\r\x1b[K ").replace("\x1b[K", "")
    assert "25%" in line
    assert "conv\\nweight" in line
    assert "\n" not in shown
    assert len(line) <= 90
    assert ("weights/s" in line) == (package is not None), "only the package tells the rate"


def test_bytes_are_not_written_to_a_terminal(model_file: Path) -> None:
    pty = pytest.importorskip("pty")
    terminal, child = pty.openpty()
    process = start("encode", model_file, "-o", "-", stdout=child, stderr=subprocess.PIPE)
    os.close(child)
    outcome = finish(process)
    os.close(terminal)
    outcome.assert_one_error(1, "terminal")


def test_a_second_complete_model_is_no_update(cli: Cli, stream_file: Path, tmp_path: Path) -> None:
    outcome = cli("decode", stream_file, stream_file, "-o", tmp_path / "x.npz")
    outcome.assert_one_error(1, "a complete model, not an update")
    assert not (tmp_path / "x.npz").exists()
