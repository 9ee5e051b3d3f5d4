"""The command line, in this process and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import nnr
from nnr.__main__ import main
from nnr.formats import save_tensors
from tests.shared import ROOT


class Outcome(NamedTuple):
    """Exit status and what was printed."""

    status: int
    out: str
    err: str

    def assert_one_error(self, status: int, *parts: str) -> None:
        """The command failed with `status` and one line on standard error that holds `parts`."""
        assert self.status == status, self
        assert self.out == "", self
        assert self.err.startswith("nnr: "), self
        assert self.err.endswith("\n"), self
        assert self.err.count("\n") == 1, self
        assert "Traceback" not in self.err, self
        for part in parts:
            assert part in self.err, self


Cli = Callable[..., Outcome]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command line in this process."""

    def run(*args: object) -> Outcome:
        capsys.readouterr()
        status = main([str(arg) for arg in args])
        return Outcome(status, *capsys.readouterr())

    return run


def start(*args: object, **options: Any) -> subprocess.Popen[bytes]:
    """Start a command line as a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("env", {})}
    settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-m", "nnr", *map(str, args)], env=environment, **settings)


def finish(process: subprocess.Popen[bytes], data: bytes | None = None) -> Outcome:
    """Wait for a process and collect what it printed."""
    out, err = process.communicate(data, timeout=60)
    return Outcome(process.returncode, (out or b"").decode("utf-8", "replace"), (err or b"").decode())


def read_terminal(terminal: int) -> bytes:
    """Everything that is written to a pseudo-terminal until its other side is closed; closes it."""
    shown = b""
    while True:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        shown += piece
    os.close(terminal)
    return shown


@pytest.fixture
def model() -> dict[str, np.ndarray]:
    """A small model with awkward names."""
    rng = np.random.default_rng(5)
    return {
        "conv.weight": rng.normal(0, 0.1, (8, 4, 3, 3)).astype(np.float32),
        "conv/bias ü\n": rng.normal(0, 0.1, 8).astype(np.float32),
        "half": rng.normal(0, 0.1, (5, 6)).astype(np.float16),
        "steps": np.array(1234567890123, np.int64),
    }


@pytest.fixture
def model_file(tmp_path: Path, model: dict[str, np.ndarray]) -> Path:
    """`model` as an npz file, in a folder of its own."""
    path = tmp_path / "model.npz"
    save_tensors(model, path)
    return path


@pytest.fixture
def stream_file(tmp_path: Path, model: dict[str, np.ndarray]) -> Path:
    """`model` as a bitstream."""
    path = tmp_path / "model.nnr"
    nnr.save_file(model, path, threads=1)
    return path
