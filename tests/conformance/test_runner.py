"""The runner: every verdict, for our decoder and for programs; where the vectors are looked for."""

from __future__ import annotations

import json
import os
import shlex
import sys
import time
from pathlib import Path

import pytest

import nnr.conformance.suite as suite_module
from benchmarks.peer import find_peer
from nnr.cli.run import main
from nnr.conformance import Suite, SuiteNotFound, Verdict, find_manifest, run
from nnr.conformance.runner import CommandDecoder, OwnDecoder, Result
from tests.shared import ROOT

SUITE = Suite()
GOOD, BROKEN = "spec/worked_example", "broken_units/size_0"
NEEDS_BASE = "blocks_in_updates/dq1/step1"
_PYTHON = shlex.quote(sys.executable)
#: Our own decoder behind the interface for any program.
_OURS = f"{_PYTHON} {shlex.quote(str(ROOT / 'conformance' / 'adapters' / 'ours.py'))} {{input}} {{output}}"


def _program(tmp_path: Path, source: str) -> str:
    script = tmp_path / "decoder.py"
    script.write_text(f"import os, sys, time\n{source}\n", encoding="utf-8")
    return f"{_PYTHON} {shlex.quote(str(script))} {{input}} {{output}}"


def _one(decoder: CommandDecoder | OwnDecoder, name: str, timeout: float = 60) -> Result:
    (result,) = run([SUITE[name]], decoder, timeout=timeout)
    return result


@pytest.mark.parametrize("name", [GOOD, BROKEN, NEEDS_BASE, "out_of_band/p1", "output_formats/format_5_p1"])
def test_a_program_that_decodes_passes(name: str) -> None:
    decoder = CommandDecoder(f"{_OURS} --base={{base}} --side {{side}} --levels {{levels}}")
    assert _one(decoder, name).verdict is Verdict.PASS


def test_a_command_without_a_place_does_not_support_what_needs_it() -> None:
    assert _one(CommandDecoder(_OURS), NEEDS_BASE).verdict is Verdict.NOT_SUPPORTED
    assert _one(CommandDecoder(_OURS), "out_of_band/p1").verdict is Verdict.NOT_SUPPORTED


@pytest.mark.parametrize(
    ("source", "good", "broken"),
    [
        ("sys.exit(1)", Verdict.FAIL, Verdict.PASS),
        ("sys.exit(3)", Verdict.NOT_SUPPORTED, Verdict.NOT_SUPPORTED),
        ("sys.exit(2)", Verdict.ERROR, Verdict.ERROR),
        ("os.abort()", Verdict.ERROR, Verdict.ERROR),
        ("sys.exit(0)", Verdict.ERROR, Verdict.FAIL),
        ("import numpy as n; n.savez(sys.argv[2], w=n.zeros((3, 4), 'f4'))", Verdict.FAIL, Verdict.FAIL),
        ("open(sys.argv[2], 'w').write('PK')", Verdict.ERROR, Verdict.FAIL),
        ("sys.stderr.buffer.write(bytes(range(256)) * 4000); sys.exit(2)", Verdict.ERROR, Verdict.ERROR),
    ],
)
def test_verdicts_on_a_program(tmp_path: Path, source: str, good: Verdict, broken: Verdict) -> None:
    decoder = CommandDecoder(_program(tmp_path, source))
    assert (_one(decoder, GOOD).verdict, _one(decoder, BROKEN).verdict) == (good, broken)


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    decoder = CommandDecoder(_program(tmp_path, "time.sleep(600)"))
    assert _one(decoder, GOOD, timeout=0.5).verdict is Verdict.TIMEOUT


@pytest.mark.skipif(os.name != "posix", reason="there are no groups of processes")
def test_what_a_program_has_started_is_ended_with_it(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = f"open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    source = f"import subprocess; subprocess.run([sys.executable, '-c', {f'import os, time; {child}'!r}])"
    assert _one(CommandDecoder(_program(tmp_path, source)), GOOD, timeout=5).verdict is Verdict.TIMEOUT
    with pytest.raises(ProcessLookupError):  # init may need a moment to collect it
        for _ in range(100):
            os.kill(int(started.read_text(encoding="utf-8")), 0)
            time.sleep(0.05)


def test_a_run_that_is_given_up_waits_for_no_program(tmp_path: Path) -> None:
    started, length = tmp_path / "started", len(SUITE[GOOD].data)
    hang = f"open({str(started)!r}, 'w').close(); time.sleep(600)"
    source = f"if os.path.getsize(sys.argv[1]) == {length}: {hang}\nsys.exit(1)"
    decoder = CommandDecoder(_program(tmp_path, source))
    results = run([SUITE[BROKEN], SUITE[GOOD], SUITE[GOOD]], decoder, timeout=300)
    assert next(results).verdict is Verdict.PASS
    while not started.exists():
        time.sleep(0.05)
    began = time.monotonic()
    results.close()
    assert time.monotonic() - began < 60


def test_a_program_is_run_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "with a space"
    folder.mkdir()
    _program(folder, "sys.exit(3)")
    monkeypatch.chdir(folder)
    result = _one(CommandDecoder(f"{_PYTHON} decoder.py {{input}} {{output}}"), GOOD)
    assert result.verdict is Verdict.NOT_SUPPORTED


def test_a_program_that_does_not_exist_is_an_error() -> None:
    assert _one(CommandDecoder("/nonexistent/decoder {input} {output}"), GOOD).verdict is Verdict.ERROR


@pytest.mark.interop
@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [
        ("seq_tca_hdsp_dq1_0/step2", Verdict.PASS, ""),  # no base: the chain begins with an update
        ("seq_tca_dq0_0/step4", Verdict.PASS, ""),  # a base, which NNCodec wants left out
        ("history_contexts/dq0_temporal_0_order_0/step3", Verdict.PASS, ""),
        ("history_contexts/dq0_temporal_1_order_0/step2", Verdict.FAIL, "base1.nnr"),
        ("out_of_band/p1", Verdict.NOT_SUPPORTED, "{side}"),
    ],
)
def test_nncodec_is_given_the_streams_before(name: str, verdict: Verdict, reason: str) -> None:
    python = find_peer()
    if python is None:
        pytest.fail("no NNCodec: `make interop` installs it into .venv-peer, or set NNR_PEER_PYTHON")
    adapter = shlex.join((str(python), str(ROOT / "conformance" / "adapters" / "nncodec.py")))
    result = _one(CommandDecoder(f"{adapter} {{input}} {{output}} {{base}}"), name)
    assert result.verdict is verdict, result.reasons
    assert reason in "; ".join(result.reasons)


def _own(tmp_path: Path, patch: str) -> OwnDecoder:
    """Our decoder with a line that is run before the worker begins."""
    (tmp_path / "sitecustomize.py").write_text(patch, encoding="utf-8")
    return OwnDecoder(SUITE, path=tmp_path)


@pytest.mark.parametrize(
    ("patch", "verdict"),
    [
        ("", Verdict.PASS),
        ("import nnr; nnr.decode = lambda *a, **k: 1 / 0", Verdict.ERROR),
        ("import os, nnr; nnr.decode = lambda *a, **k: os.abort()", Verdict.ERROR),
        ("import time, nnr; nnr.decode = lambda *a, **k: time.sleep(600)", Verdict.TIMEOUT),
        ("import nnr; nnr.decode = lambda *a, **k: {}", Verdict.FAIL),
    ],
)
def test_our_decoder_runs_apart(tmp_path: Path, patch: str, verdict: Verdict) -> None:
    results = list(run([SUITE[GOOD], SUITE[GOOD]], _own(tmp_path, patch), timeout=3))
    assert [result.verdict for result in results] == [verdict, verdict]


@pytest.mark.parametrize("decoder", [OwnDecoder(SUITE), CommandDecoder(_OURS)], ids=["own", "command"])
def test_a_vector_may_have_all_the_time(decoder: CommandDecoder | OwnDecoder) -> None:
    assert _one(decoder, GOOD, timeout=float("inf")).verdict is Verdict.PASS


def test_results_keep_the_order_of_the_vectors() -> None:
    names = [vector.name for vector in SUITE][:40]
    results = run([SUITE[name] for name in names], OwnDecoder(SUITE), jobs=3)
    assert [result.name for result in results] == names


def test_a_run_can_end_early() -> None:
    results = list(run(list(SUITE), OwnDecoder(SUITE), until=lambda result: result.name == GOOD))
    assert 0 < len(results) < 5


def test_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "run", str(ROOT / "conformance"), "-k", "codebook_egk", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["counts"] == {"pass": 1, "fail": 0, "error": 0, "timeout": 0, "not supported": 0}
    assert [row["name"] for row in found["results"]] == ["codebooks/codebook_egk"]


def test_command_line_says_what_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = _program(tmp_path, "sys.exit(1)")
    assert main(["conformance", "run", "-k", GOOD, "--decoder", command]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"fail: {GOOD}: refused",
        "1 vector: 0 pass, 1 fail, 0 error, 0 timeout, 0 not supported",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-k", "no such vector"], "no vector has"),
        (["no_such_folder"], "no_such_folder: holds no manifest.json"),
    ],
)
def test_command_line_without_vectors(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["conformance", "run", *arguments]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["--decoder", "x {input}"], ["--jobs", "0"], ["--decoder", "'"], ["--decoder", ""]]
)
def test_wrong_usage(arguments: list[str]) -> None:
    assert main(["conformance", "run", *arguments]) == 2


def test_absent_vectors_are_said_to_be_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(suite_module, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(suite_module, "_PACKAGE", "nnr_conformance_that_is_not_there")
    with pytest.raises(SuiteNotFound, match=r"pip install \./conformance"):
        find_manifest()


def test_vectors_of_the_data_package_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "vectors_as_a_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "manifest.json").write_text('{"format": 1, "vectors": []}', encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(suite_module, "_CHECKOUT", tmp_path / "nowhere")
    monkeypatch.setattr(suite_module, "_PACKAGE", package.name)
    assert find_manifest() == package / "manifest.json"
    assert len(Suite(find_manifest())) == 0
