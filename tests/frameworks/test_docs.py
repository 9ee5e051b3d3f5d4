"""The examples of the documentation do what they say."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.shared import ROOT

DOCS = ROOT / "docs"


def sections(page: str) -> list[Any]:
    """The Python blocks of each section of a page, which build on one another."""
    found = []
    for section in re.split(r"^## ", (DOCS / page).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
        if blocks:
            found.append(pytest.param(blocks, id=f"{page}: {section.splitlines()[0]}"))
    return found


def prepare(folder: Path) -> None:
    """The files that the examples start from."""
    from nnr.formats import nnef, save_tensors

    tensors = {"w": np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32)}
    graph = b"version 1.0;\ngraph g( x ) -> ( w ) { w = variable(label = 'w', shape = [8, 6]); }\n"
    nnef.save(tensors, folder / "net.nnef", topology=graph)
    if importlib.util.find_spec("onnx"):
        save_tensors(tensors, folder / "net.onnx")


@pytest.mark.parametrize("blocks", sections("frameworks.md") + sections("formats.md"))
def test_examples(blocks: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in {name for block in blocks for name in " ".join(re.findall("# needs: (.*)", block)).split()}:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs the package {name}")
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    scope: dict[str, Any] = {}
    if any("nnr.torch." in block for block in blocks):
        import nnr.torch

        scope["nnr"] = nnr
    for block in blocks:
        exec(block, scope)


def test_there_are_examples() -> None:
    assert len(sections("frameworks.md")) == 4
    assert len(sections("formats.md")) == 1
