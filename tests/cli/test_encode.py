"""`nnr encode`: updates, reports, and the options that reach the encoder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.cli.demo import MODEL
from nnr.formats import load_tensors, save_tensors
from tests.cli.conftest import Cli, finish, read_terminal, start

Model = dict[str, np.ndarray]


@pytest.fixture
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    """Three states of a model in training, as 0.npz to 2.npz in the current folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(8)
    models = [{"w": rng.normal(0, 0.1, (20, 30)).astype(np.float32), "b": rng.normal(size=20)}]
    for k in range(3):
        save_tensors(models[k], f"{k}.npz")
        models.append({n: (a + rng.normal(0, 0.02, a.shape)).astype(a.dtype) for n, a in models[k].items()})
    return models[:3]


def test_updates_are_encoded_on_what_came_before(cli: Cli, versions: list[Model]) -> None:
    assert cli("encode", "0.npz", "-o", "0.nnr").status == 0
    assert cli("encode", "1.npz", "--base", "0.nnr", "-o", "1.nnr").status == 0
    assert cli("encode", "2.npz", "--base", "0.nnr", "1.nnr", "-o", "2.nnr").status == 0
    decoder = nnr.Decoder()
    decoder.decode("0.nnr")
    assert Path("1.nnr").read_bytes() == nnr.encode(versions[1], base=decoder)
    decoder.decode("1.nnr")
    assert Path("2.nnr").read_bytes() == nnr.encode(versions[2], base=decoder)
    assert cli("decode", "0.nnr", "1.nnr", "2.nnr", "-o", "back.npz").status == 0
    back = load_tensors("back.npz")
    for name, array in versions[2].items():
        assert back[name].dtype == array.dtype
        assert np.allclose(back[name], array, atol=0.005), name
        assert not np.allclose(versions[1][name], array, atol=0.005), "the update is not needed"


def test_a_base_that_does_not_fit_is_named(cli: Cli, versions: list[Model], model_file: Path) -> None:
    assert cli("encode", "0.npz", "-o", "0.nnr").status == 0
    other = cli("encode", model_file, "--base", "0.nnr", "-o", "u.nnr")
    other.assert_one_error(1, f"nnr: {model_file}: ", "base")
    cli("encode", "1.npz", "--base", "none.nnr", "-o", "u.nnr").assert_one_error(1, "nnr: none.nnr: No such")
    Path("bad.nnr").write_bytes(Path("0.nnr").read_bytes()[:-9])
    cli("encode", "1.npz", "--base", "bad.nnr", "-o", "u.nnr").assert_one_error(1, "nnr: bad.nnr: ")
    wrong = ["--profile", "0"], ["--target-size", "3k"]
    for options in wrong:
        cli("encode", "1.npz", "--base", "0.nnr", "-o", "u.nnr", *options).assert_one_error(2, options[0])
    cli("encode", "-", "--base", "-", "-o", "u.nnr").assert_one_error(2, "`-`")
    assert not os.path.exists("u.nnr")


def test_an_update_is_checked_with_its_base(cli: Cli, versions: list[Model]) -> None:
    assert cli("encode", "0.npz", "-o", "0.nnr").status == 0
    assert cli("encode", "1.npz", "--base", "0.nnr", "-o", "1.nnr").status == 0
    alone = cli("check", "1.nnr")
    assert (alone.status, "not decoded without --base" in alone.out) == (0, True)
    together = cli("check", "1.nnr", "--base", "0.nnr")
    assert (together.status, "not decoded" in together.out) == (0, False)
    data = bytearray(Path("1.nnr").read_bytes())
    data[-3] ^= 1
    Path("1.nnr").write_bytes(data)
    damaged = cli("check", "1.nnr", "--base", "0.nnr")
    assert (damaged.status, "CRC-32" in damaged.out) == (1, True)


def test_an_update_alone_is_said_to_be_one(cli: Cli, versions: list[Model]) -> None:
    assert cli("encode", "0.npz", "-o", "0.nnr").status == 0
    assert cli("encode", "1.npz", "--base", "0.nnr", "-o", "1.nnr").status == 0
    alone = cli("decode", "1.nnr", "-o", "x.npz")
    assert alone.status == 0
    assert alone.out.splitlines()[1].startswith("note: 1.nnr is an update")
    difference = versions[1]["w"] - load_tensors("0.npz")["w"]
    assert np.allclose(load_tensors("x.npz")["w"], difference, atol=0.01)
    assert "note" not in cli("decode", "1.nnr", "-o", "x.npz", "-f", "--raw").out
    assert "note" not in cli("decode", "0.nnr", "1.nnr", "-o", "x.npz", "-f").out
    piped = finish(start("decode", "1.nnr", "-o", "-", "--format", "npz"))
    assert piped.err.startswith("nnr: note: 1.nnr is an update")
    assert piped.err.count("\n") == 1


def test_encoding_ends_with_a_table_and_a_summary(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "x.nnr"
    shown = cli("encode", MODEL, "-o", out).out.splitlines()
    lengths = [len(cli("encode", MODEL, "-o", out, "-f", o).out.splitlines()) for o in ("-v", "-q")]
    assert lengths == [len(shown), 0]
    report = nnr.save_file(load_tensors(MODEL), tmp_path / "y.nnr")
    assert shown[0].split() == ["tensor", "shape", "tool", "qp", "bits/weight", "PSNR", "dB", "bytes"]
    assert len(shown) == 1 + len(report.tensors) + 2
    total = shown[-2].split()
    assert (total[0], int(total[1].replace(",", ""))) == ("total", report.weights)
    assert float(total[3]) == pytest.approx(report.psnr, abs=0.1)
    assert int(total[4].replace(",", "")) == sum(t.coded_bytes for t in report.tensors)
    assert shown[-1].startswith(f"{out}: 10 tensors, {report.weights:,} weights: ")
    for line, tensor in zip(shown[1:], report.tensors, strict=False):
        name, shape, tool, qp, bits, psnr, size = line.split()
        assert (name, shape) == (tensor.name, "x".join(map(str, tensor.shape)))
        assert (tool, int(qp), int(size.replace(",", ""))) == (tensor.tool, tensor.qp, tensor.coded_bytes)
        assert float(bits) == pytest.approx(tensor.bits_per_weight, abs=0.001)
        assert float(psnr) == pytest.approx(tensor.psnr, abs=0.1)
    cli("encode", MODEL, "-o", out, "-q", "-v").assert_one_error(2, "not allowed with")


def test_only_the_largest_tensors_of_a_long_model_are_shown(cli: Cli, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    tensors = {f"model.layers.{n}.attention.q.weight": rng.normal(size=(9, 1 + n % 30)) for n in range(60)}
    save_tensors(tensors, tmp_path / "x.npz")
    command = ["encode", tmp_path / "x.npz", "-o", tmp_path / "x.nnr", "-f"]
    report = json.loads(cli(*command, "--json").out)
    largest = sorted((t["coded_bytes"] for t in report["tensors"]), reverse=True)
    shown = cli(*command).out.splitlines()
    sizes = [int(line.split()[-1].replace(",", "")) for line in shown[1:-3]]
    assert sorted(sizes, reverse=True) == largest[:20]
    assert shown[-3].startswith("... 40 smaller; -v")
    assert int(shown[-3].split()[-1].replace(",", "")) == sum(largest[20:])
    assert len(cli(*command, "-v").out.splitlines()) == 63
    pty = pytest.importorskip("pty")
    for columns in (50, 80, 200):
        terminal, child = pty.openpty()
        process = start(*command, stdout=child, env={"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm"})
        os.close(child)
        lines = read_terminal(terminal).decode().splitlines()
        assert finish(process).status == 0
        assert len(lines) < 24
        assert all(len(line) <= columns for line in lines)
        assert ("..." in lines[1]) == (columns < 200)
        assert lines[1].split("  ")[0].endswith("q.weight"), "the end of a name is kept"


def test_what_is_carried_exactly_has_no_psnr(cli: Cli, tmp_path: Path) -> None:
    save_tensors({"n\n": np.arange(5), "one": np.float32(3)}, tmp_path / "x.npz")
    shown = cli("encode", tmp_path / "x.npz", "-o", tmp_path / "x.nnr", "-v").out.splitlines()
    assert shown[1].split()[:3] == ["n\\n", "5", "integer"]
    assert "exact" in shown[1]
    assert shown[2].split()[:2] == ["one", "scalar"]


@pytest.mark.parametrize(("tensors", "lines"), [(1, 1), (10, 10), (11, 11), (12, 11)])
def test_what_was_done_unasked_is_said(cli: Cli, tmp_path: Path, tensors: int, lines: int) -> None:
    save_tensors({f"t\n{k}": np.ones((2, 2)) for k in range(tensors)}, tmp_path / "x.npz")
    command = ["encode", tmp_path / "x.npz", "-o", tmp_path / "x.nnr", "-f", "--no-metadata"]
    shown = cli(*command).out.splitlines()[tensors + 2 :]
    plural = "" if tensors == 1 else "s"
    assert shown[0].startswith(f"{tmp_path / 'x.nnr'}: {tensors} tensor{plural}, {4 * tensors} weights: ")
    notes = shown[1:]
    expected = [f"note: tensor 't\\n{k}': the type float64 becomes float32" for k in range(tensors)]
    assert len(notes) == lines
    assert notes[:10] == expected[:10]
    if tensors == 12:
        assert notes[10] == "note: ... and 2 more notes; -v shows all"
    assert [line for line in cli(*command, "-v").out.splitlines() if line.startswith("note")] == expected
    assert cli(*command, "-q") == (0, "", "")


def test_notes_do_not_get_into_a_stream(tmp_path: Path) -> None:
    save_tensors({"t": np.ones((2, 2))}, tmp_path / "x.npz")
    expected = nnr.encode({"t": np.ones((2, 2))}, metadata=False)
    for name in ("-", "/dev/stdout"):
        process = start("encode", tmp_path / "x.npz", "-o", name, "--no-metadata")
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, expected)
        assert err == b"nnr: note: tensor 't': the type float64 becomes float32\n"


def test_importance_comes_from_a_file(cli: Cli, tmp_path: Path) -> None:
    model = load_tensors(MODEL)
    rng = np.random.default_rng(9)
    importance = {name: rng.random(a.shape).astype(np.float32) + 0.1 for name, a in model.items()}
    save_tensors(importance, tmp_path / "i.npz")
    options = ["--importance", tmp_path / "i.npz", "--qp", "-20", "--lambda-scale", "1"]
    assert cli("encode", MODEL, "-o", tmp_path / "x.nnr", *options).status == 0
    written = (tmp_path / "x.nnr").read_bytes()
    assert written == nnr.encode(model, importance=importance, qp=-20, lambda_scale=1.0)
    assert written != nnr.encode(model, qp=-20, lambda_scale=1.0), "it makes no difference"
    save_tensors({"stranger": np.ones(3)}, tmp_path / "s.npz")
    failed = cli("encode", MODEL, "-o", tmp_path / "y.nnr", "--importance", tmp_path / "s.npz")
    failed.assert_one_error(1, "--importance", "'stranger'")
    missing = cli("encode", MODEL, "-o", tmp_path / "y.nnr", "--importance", tmp_path / "none.npz")
    missing.assert_one_error(1, f"nnr: {tmp_path / 'none.npz'}: No such file")


@pytest.mark.parametrize(("text", "size"), [("30k", 30_000), ("0.02MB", 20_000), ("25KiB", 25_600)])
def test_a_target_size_is_written_as_people_write_sizes(
    cli: Cli, tmp_path: Path, text: str, size: int
) -> None:
    assert cli("encode", MODEL, "-o", tmp_path / "x.nnr", "--target-size", text).status == 0
    assert 0.95 * size < (tmp_path / "x.nnr").stat().st_size <= size


def test_blocks_are_a_switch(cli: Cli, tmp_path: Path) -> None:
    model = load_tensors(MODEL)
    for flag, blocks in (("--blocks", True), ("--no-blocks", False)):
        assert cli("encode", MODEL, "-o", tmp_path / "x.nnr", "-f", flag).status == 0
        assert (tmp_path / "x.nnr").read_bytes() == nnr.encode(model, blocks=blocks)


def test_help_is_in_groups_and_has_no_pipeline(cli: Cli) -> None:
    text = cli("encode", "--help").out
    groups = {
        "quality:": ["--qp N", "--importance FILE"],
        "targets, one of them instead of --qp:": ["--target-size SIZE", "--psnr X"],
        "coding tools:": ["--dq, --no-dq", "--blocks, --no-blocks"],
        "compatibility and carriage:": ["--compat", "--metadata, --no-metadata"],
    }
    places = [text.index(f"\n{group}\n") for group in groups] + [len(text)]
    assert places == sorted(places)
    for flags, begin, end in zip(groups.values(), places, places[1:], strict=False):
        assert all(begin < text.rindex(f"\n  {flag}") < end for flag in flags)
    assert "pipeline" not in text
    assert "1.2MB" in text
    assert "not overwritten unless -f" in text


def test_json_can_be_quiet(cli: Cli, tmp_path: Path) -> None:
    shown = cli("encode", MODEL, "-o", tmp_path / "x.nnr", "--json", "-q")
    assert shown.err == ""
    assert json.loads(shown.out)["total_bytes"] == (tmp_path / "x.nnr").stat().st_size


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="needs /dev/fd")
def test_a_model_comes_through_a_pipe_with_a_name(cli: Cli, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(read_end, True)
    process = start("encode", f"/dev/fd/{read_end}", "-o", tmp_path / "x.nnr", pass_fds=[read_end])
    os.close(read_end)
    with open(write_end, "wb") as pipe:
        pipe.write(MODEL.read_bytes())
    outcome = finish(process)
    assert (outcome.status, outcome.err) == (0, "")
    assert (tmp_path / "x.nnr").read_bytes() == nnr.encode(load_tensors(MODEL))


def test_decoding_shows_progress_on_a_terminal_too(stream_file: Path, tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    for options, wanted in ([], True), (["--no-progress"], False), (["-q"], False):
        terminal, child = pty.openpty()
        command = ["decode", stream_file, "-f", "-o", tmp_path / "x.npz", *options]
        process = start(*command, stderr=child, env={"TERM": "xterm"})
        os.close(child)
        shown = read_terminal(terminal)
        assert finish(process).status == 0
        assert (b"%" in shown) == wanted
        assert shown.endswith(b"\r\x1b[K") == wanted
