"""The shell examples of the documentation run, in a folder that holds the models they speak of."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.formats import save_tensors
from tests.shared import ROOT

#: What needs a decoder, a checkout or a home of the reader's own.
_ELSEWHERE = ("mydecoder", "path/to", "nnr conformance", "nnr completion", "pip install")


def examples() -> list[tuple[str, str]]:
    """Page and line of every example that begins with the command."""
    found = []
    for page in ("README.md", "docs/index.md", "docs/cli.md"):
        if not (ROOT / page).exists():
            continue
        text = (ROOT / page).read_text(encoding="utf-8")
        fenced = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        code = "" if page == "docs/cli.md" else text
        indented = "\n".join(re.findall(r"^    (nnr .*)", code, re.MULTILINE))
        inline = "\n".join(re.findall(r"`(nnr [^`]* \| nnr [^`]*)`", text))
        lines = [line.strip() for line in f"{fenced}\n{indented}\n{inline}".splitlines()]
        found += [(page, line) for line in lines if line and not any(word in line for word in _ELSEWHERE)]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A base model, two rounds of its training, their bitstreams, and a command `nnr`."""
    pytest.importorskip("safetensors")
    rng = np.random.default_rng(11)
    model = {"conv1.weight": rng.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32)}
    save_tensors(model, tmp_path / "model.safetensors")
    save_tensors(model, tmp_path / "model.npz")
    encoder = nnr.Encoder()
    (tmp_path / "model.nnr").write_bytes(encoder.encode(model))
    for k in (1, 2):
        model = {n: a + rng.normal(0, 0.01, a.shape).astype(np.float32) for n, a in model.items()}
        save_tensors(model, tmp_path / f"round{k}.npz")
        (tmp_path / f"update{k}.nnr").write_bytes(encoder.encode_update(model))
    save_tensors(nnr.load_file(tmp_path / "model.nnr"), tmp_path / "decoded.safetensors")
    command = tmp_path / "bin" / "nnr"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nnr "$@"\n')
    command.chmod(0o755)
    return tmp_path


def written(line: str) -> list[str]:
    """Files that an example writes."""
    return re.findall(r"(?:-o|>) ([\w.]+)", line)


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
@pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documentation is in the checkout only")
def test_the_examples_run(folder: Path) -> None:
    lines = examples()
    assert len(lines) >= 15
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    for page, line in dict.fromkeys(lines):
        for name in written(line):  # what is there from the fixture, or from an earlier example
            (folder / "kept").mkdir(exist_ok=True)
            if (folder / name).exists():
                (folder / name).rename(folder / "kept" / name)
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
        )
        expected = 1 if line == "nnr compare model.safetensors model.nnr" else 0  # not to the last bit
        assert done.returncode == expected, (page, line, done.stderr)
        assert done.stderr == "", (page, line)
        for name in written(line):
            assert (folder / name).stat().st_size > 0, (page, line)
            if (folder / "kept" / name).exists():
                (folder / "kept" / name).replace(folder / name)
