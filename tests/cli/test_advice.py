"""Errors name the options of the command line, not those of Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nnr.cli import encode as encode_command
from nnr.cli.errors import as_flags, as_limits, describe
from nnr.encoder.pipeline import EncodedStream
from nnr.encoder.report import EncodeReport
from nnr.errors import ConformanceError, LimitError, SyntaxValueError
from nnr.formats import save_tensors
from tests.cli.conftest import Cli
from tests.shared import shared_path


@pytest.mark.parametrize(
    ("python", "typed"),
    [
        ("tensor 'w': nonfinite='raw' stores it", "tensor 'w': --nonfinite raw stores it"),
        ("compat=None allows it", "--compat none allows it"),
        ("to split them needs metadata=True", "to split them needs --metadata"),
        ("this needs dq=False", "this needs --no-dq"),
        ("with cabac_unary_length=5, say", "with --cabac-unary-length 5, say"),
        ("a larger qp in qp_per_tensor, or", "a larger qp in --qp-per-tensor NAME=N, or"),
        ("qp_per_tensor['a b'] must be in 1..2", "--qp-per-tensor 'a b' must be in 1..2"),
        ("qp must be in 1..2, not 5", "--qp must be in 1..2, not 5"),
        ("importance: there is no tensor 'x'", "--importance: there is no tensor 'x'"),
        ("codebook and bitdepth exclude each other", "--codebook and --bitdepth exclude each other"),
        ("psnr and max_error exclude each other", "--psnr and --max-error exclude each other"),
        ("compat 'nncodec1' needs profile 0: the", "--compat nncodec1 needs --profile 0: the"),
        # names of tensors stay as they are
        ("tensor 'qp_density': too wide", "tensor 'qp_density': too wide"),
        ("tensor \"it's compat=None\": no", "tensor \"it's compat=None\": no"),
        ("tensor 'a\\'metadata=True': no", "tensor 'a\\'metadata=True': no"),
        ("the decoder's metadata=True", "the decoder's --metadata"),
        ("the raw values of qp -38 and profile", "the raw values of qp -38 and profile"),
    ],
)
def test_options_become_flags(python: str, typed: str) -> None:
    assert as_flags(python) == typed
    assert describe(ValueError(python)) == typed


@pytest.mark.parametrize("kind", [ConformanceError, SyntaxValueError])
def test_syntax_elements_are_no_options(kind: type[Exception]) -> None:
    assert describe(kind("scan_order is 7, qp_density must be in 0..7")).startswith(
        "scan_order is 7, qp_density must be in 0..7"
    )


def test_limits_and_out_of_band_parameters() -> None:
    error = LimitError("too big; to accept it, pass limits=nnr.Limits(max_units=70000)")
    assert "--limit max_units=70000" in describe(error)
    assert "nnr." not in describe(error)
    python = "give it as out_of_band={\"it's\": {'tensor_dimensions': [...]}} (or)"
    typed = 'give it with --out-of-band FILE.json, which holds {"it\'s": {"tensor_dimensions": [...]}} (or)'
    assert as_limits(python) == typed


@pytest.mark.parametrize(
    ("tensors", "options", "advice"),
    [
        ({"w": np.array([[1, np.nan]])}, [], "--nonfinite raw"),
        ({"w": np.array([[1, 1e38]])}, [], "--qp-per-tensor NAME=N"),
        ({"w": np.array([2**40, 1])}, ["--no-metadata"], "--metadata"),
        ({"w": np.ones((2, 2)), "v": np.ones((2, 2))}, ["--raw", "w", "--raw", "v"], "--compat none"),
    ],
    ids=["nan", "range", "long", "two raw tensors"],
)
def test_the_remedy_can_be_typed(
    cli: Cli, tmp_path: Path, tensors: dict[str, np.ndarray], options: list[str], advice: str
) -> None:
    model, out = tmp_path / "x.npz", tmp_path / "x.nnr"
    save_tensors(tensors, model)
    cli("encode", model, "-o", out, *options).assert_one_error(1, f"nnr: {model}: ", advice)
    followed = advice.replace("NAME=N", "w=400").split()
    assert cli("encode", model, "-o", out, *options, *followed).status == 0


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (["--qp", "99999"], ["--qp must"]),
        (["--qp-per-tensor", "w=99999"], ["--qp-per-tensor 'w' must"]),
        (["--codebook", "8", "--bitdepth", "4"], ["--codebook and --bitdepth"]),
        (["--psnr", "40", "--target-size", "3k"], ["--psnr", "--target-size"]),
        (["--compat", "nncodec1"], ["--compat nncodec1 needs --profile 0"]),
    ],
)
def test_wrong_usage_names_flags(cli: Cli, options: list[str], flags: list[str]) -> None:
    cli("encode", "x.npz", "-o", "x.nnr", *options).assert_one_error(2, "see `nnr encode --help`", *flags)


def test_a_stream_that_needs_parameters_says_how_to_give_them(cli: Cli, tmp_path: Path) -> None:
    folder = shared_path("vectors")
    vector = json.loads((folder / "oob_block_0.json").read_text())
    stream = folder / vector["bitstream"]["file"]
    failed = cli("decode", stream, "-o", tmp_path / "x.npz")
    failed.assert_one_error(1, "--out-of-band FILE.json", '{"tensor_dimensions": [...]}}')
    for command in ("trace", "check"):
        shown = cli(command, stream)
        assert "--out-of-band FILE.json" in shown.out
        assert "out_of_band=" not in shown.out + shown.err


def test_a_note_names_a_limit_as_it_can_be_typed(
    cli: Cli, tmp_path: Path, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = "decode it with limits=nnr.Limits(max_output_bytes=5000000000)"  # of models too large for a test
    report = EncodeReport([], total_bytes=1, seconds=0.0, notes=[note])
    stream = EncodedStream([b"x"], lambda: report)
    monkeypatch.setattr(encode_command, "_encode", lambda *args, **options: stream)
    shown = cli("encode", model_file, "-o", tmp_path / "x.nnr")
    assert "\nnote: decode it with --limit max_output_bytes=5000000000\n" in shown.out
