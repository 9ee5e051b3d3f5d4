"""The examples of the README do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.formats import load_tensors, save_tensors
from tests.cli.conftest import Cli
from tests.shared import ROOT


def blocks(language: str) -> list[str]:
    """The fenced blocks of a language."""
    page = ROOT / "README.md"
    if not page.exists():
        pytest.skip("the README is in the checkout only")
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """A model with the name that the examples use, in an empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(6)
    return {"conv1.weight": rng.normal(0, 0.1, (6, 3, 3, 3)).astype(np.float32)}


def test_the_three_commands(cli: Cli, tensors: dict[str, np.ndarray]) -> None:
    pytest.importorskip("safetensors")
    save_tensors(tensors, "model.safetensors")
    commands = [shlex.split(line, comments=True) for line in blocks("sh")[0].splitlines()]
    assert [command[0] for command in commands] == ["pip", "nnr", "nnr"]
    for command in commands[1:]:
        assert cli(*command[1:]).status == 0
    decoded = load_tensors("decoded.safetensors")
    assert np.allclose(decoded["conv1.weight"], tensors["conv1.weight"], atol=0.02)


def test_the_python_example(tensors: dict[str, np.ndarray]) -> None:
    scope = {"tensors": tensors, "nnr": nnr}
    for block in blocks("python"):
        exec(block, scope)
    assert scope["report"].total_bytes == Path("model.nnr").stat().st_size
    assert scope["tensors"]["conv1.weight"].shape == (6, 3, 3, 3)
