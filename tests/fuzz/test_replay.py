"""Inputs that once broke something, and a corpus that reaches far into the code, against what is promised.

`fuzz/corpus.zip` holds whole streams, and inputs of the C targets; `found` in a name says that it broke
something.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nnr
from fuzz.promises import BrokenPromise, hold
from tests.shared import ROOT

CORPUS = ROOT / "fuzz" / "corpus.zip"
TARGETS = ("core_decode", "core_engine", "core_encode")


def inputs(folder: str) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(CORPUS) as archive:
        return [(name, archive.read(name)) for name in archive.namelist() if name.startswith(f"{folder}/")]


def test_every_promise_holds_for_the_streams():
    """Each is read in every way there is; a stream that made trouble is named by what it did."""
    streams = inputs("streams")
    decoded = 0
    for name, data in streams:
        try:
            decoded += hold(data) is not None
        except Exception as error:
            raise AssertionError(f"{name} of {CORPUS.name}: {error!r}") from error
    assert 0 < decoded < len(streams)


def test_a_broken_promise_is_noticed(monkeypatch):
    """The checks themselves: an error without a place, and results that differ."""
    data = nnr.encode({"w": np.ones((2, 3), np.float32)})
    assert hold(data)
    from nnr.decoder import decode as module

    calls = itertools.count()
    monkeypatch.setattr(module, "apply_format", lambda values, _: np.full_like(values, next(calls)))
    with pytest.raises(BrokenPromise):
        hold(data)
    monkeypatch.undo()
    def refuse(*_: object, **__: object) -> None:
        raise nnr.BitstreamError("somewhere")

    monkeypatch.setattr(nnr, "decode", refuse)
    with pytest.raises(BrokenPromise, match="no place"):
        hold(data)


def environment() -> dict[str, str]:
    """That of a program which brings its own sanitizer, if any."""
    kept = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    return kept | {"ASAN_OPTIONS": "detect_leaks=1"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The C targets as plain programs; with the sanitizers that `make sanitize` asks for."""
    compiler = os.environ.get("NNR_FUZZ_CC") or shutil.which(
        os.environ.get("CC") or (sysconfig.get_config_var("CC") or "cc").split()[0]
    )
    if compiler is None or os.name == "nt":
        pytest.skip("no C compiler that takes the options of gcc")
    folder = tmp_path_factory.mktemp("targets")
    flags = ["-std=c99", "-O1", "-ffp-contract=off", *os.environ.get("NNR_FUZZ_CFLAGS", "").split()]
    sources = sorted(map(str, (ROOT / "c_core").glob("*.c")))
    options = {"cwd": folder, "check": True, "env": environment()}
    subprocess.run([compiler, *flags, "-c", *sources], **options)
    objects = sorted(map(str, folder.glob("*.o")))
    for target in TARGETS:
        own = [str(ROOT / "fuzz" / f"{target}.c"), str(ROOT / "fuzz" / "replay.c")]
        subprocess.run([compiler, *flags, "-o", target, *own, *objects], **options)
    return folder


@pytest.mark.parametrize("target", TARGETS)
def test_the_c_targets_run_their_corpus(target: str, compiled: Path, tmp_path: Path):
    names = []
    for number, (_, data) in enumerate(inputs(target)):
        names.append(f"{number:04}")
        (tmp_path / names[-1]).write_bytes(data)
    command = [compiled / target, *names]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr[-4000:]
    assert len(done.stderr.splitlines()) == len(names) > 20
