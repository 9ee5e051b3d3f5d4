"""The page on encoder tools: its examples, and the package that it shows, installed and used."""

from __future__ import annotations

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.encoder.tools import registered_tools
from tests.shared import ROOT

PAGE = ROOT / "docs" / "encoder-tools.md"
PACKAGE = ROOT / "examples" / "nnr-dead-zone"

if not (PAGE.exists() and PACKAGE.exists()):
    pytest.skip("the page and the example are in the checkout only", allow_module_level=True)


def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {"w": rng.laplace(0, 0.05, (40, 30)).astype(np.float32), "b": np.zeros(7, np.float32)}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a Python that has the example package installed, and this nnr."""
    folder = tmp_path_factory.mktemp("plugin")
    source, target = folder / "source", folder / "site"
    shutil.copytree(PACKAGE, source)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    offline = ["--no-build-isolation", "--no-index", "--target", str(target)]
    done = subprocess.run([*command, *offline, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    path = os.pathsep.join([str(target), str(Path(nnr.__file__).parent.parent)])
    return {**os.environ, "PYTHONPATH": path}


def run(environment: dict[str, str], *command: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *command], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


ENCODE = """
import numpy as np, nnr
with np.load("tensors.npz") as archive:
    tensors = dict(archive)
report = nnr.save_file(tensors, "plugin.nnr", pipeline=["dead_zone"], qp=-18, nonweight_qp=-18)
print(*nnr.capabilities()["encoder_tools"], *(row.tool for row in report.tensors))
"""


def test_an_installed_package_plugs_in_and_keeps_what_it_promises(installed, tmp_path):
    """The stream is read by this process, which does not have the tool."""
    tensors = weights()
    np.savez(tmp_path / "tensors.npz", **tensors)
    words = run(installed, "-c", ENCODE, cwd=tmp_path).split()
    assert words[-2:] == ["dead_zone", "dead_zone"]
    assert "dead_zone" in words[:-2]
    assert "dead_zone" not in registered_tools()
    step = np.float32(2.0**-5 * 1.5)  # (decoding 10.1) of qp -18: 2^(-18 >> 2) * (4 + (-18 & 3)) / 4
    levels = nnr.decode_levels(tmp_path / "plugin.nnr")
    decoded = nnr.load_file(tmp_path / "plugin.nnr")
    for name, values in tensors.items():
        magnitudes = [int(abs(float(v)) / float(step) + 0.4) for v in values.reshape(-1)]
        assert np.abs(levels[name]).reshape(-1).tolist() == magnitudes
        assert ((levels[name] == 0) | (np.sign(levels[name]) == np.sign(values))).all()
        assert np.array_equal(decoded[name], levels[name].astype(np.float32) * step)
    assert 0 < np.count_nonzero(levels["w"]) < np.count_nonzero(np.abs(tensors["w"]) > step / 2)


def test_an_installed_tool_gets_the_contract_tests(installed):
    """The command of the page."""
    [line] = re.findall(r"^pytest (.*)$", text(), re.MULTILINE)
    file, flag, choice = re.fullmatch(r'(\S+) (-k) "(.*)"', line).groups()
    out = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", file, flag, choice, cwd=ROOT)
    assert re.search(r"\b11 passed", out), out


def test_the_page_shows_the_package_as_it_is():
    shown = re.findall(r"<!-- source (\S+) -->\n```\w+\n(.*?)```", text(), re.DOTALL)
    assert [name for name, _ in shown] == [
        "examples/nnr-dead-zone/nnr_dead_zone.py", "examples/nnr-dead-zone/pyproject.toml",
    ]  # fmt: skip
    for name, content in shown:
        assert content == (ROOT / name).read_text(encoding="utf-8")
    assert len(shown[0][1].splitlines()) < 40


def test_the_examples_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", text(), re.DOTALL)
    assert len(blocks) >= 8
    for block in blocks:
        exec(compile(block, "<example>", "exec"), scope)
    assert "conv.weight: dq_trellis, qp" in capsys.readouterr().out


def test_the_page_names_every_tool_with_its_arguments():
    for name, tool in registered_tools().items():
        arguments = list(inspect.signature(tool.__init__).parameters)[1:]
        if tool.__init__ is object.__init__:
            arguments = []
        assert f"`{name}({', '.join(arguments)})`" in text()


def test_the_page_describes_every_field():
    from nnr.encoder.tools import QuantizedTensor, TensorJob

    for kind in (TensorJob, QuantizedTensor):
        table = text().partition(f"| `{kind.__name__}` |")[2].partition("\n\n")[0]
        described = re.findall(r"`(\w+)`", "".join(line.split(" | ")[0] for line in table.splitlines()[2:]))
        assert described == list(kind.__dataclass_fields__)
