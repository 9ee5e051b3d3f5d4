"""The builds of the core for different processors: how one is chosen, and that they give the same results."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnr import core
from nnr._core import lib as base_lib

ROOT = Path(__file__).resolve().parent.parent.parent

has_bmi2 = pytest.mark.skipif(
    not base_lib.nnr_processor_has_bmi2() or not list((ROOT / "nnr").glob("_core_bmi2.*so")),
    reason="no build for BMI2 here, or no such processor",
)


def with_core(build: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Another interpreter on one of the builds."""
    environment = {**os.environ, "NNR_CORE": build, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_the_name_of_a_build() -> None:
    assert core.BUILD in ("base", "bmi2")
    assert (core.BUILD == "base") == (core.lib is base_lib)


def test_an_unknown_build_is_an_error() -> None:
    result = with_core("fast", "-c", "import nnr.core")
    assert result.returncode == 1
    assert "ImportError: NNR_CORE=fast: the builds of the core are base and bmi2" in result.stderr


@has_bmi2
@pytest.mark.parametrize("build", ["base", "bmi2"])
def test_a_build_that_is_asked_for(build: str) -> None:
    result = with_core(build, "-c", "from nnr import core; print(core.BUILD)")
    assert result.stdout.strip() == build, result.stderr


@has_bmi2
@pytest.mark.parametrize("build", ["base", "bmi2"])
def test_streams_are_those_of_the_golden_file(build: str) -> None:
    result = with_core(build, "tests/golden.py", "--check")
    assert result.returncode == 0, result.stdout + result.stderr


@has_bmi2
def test_the_build_that_is_not_in_use() -> None:
    other = "base" if core.BUILD == "bmi2" else "bmi2"
    names = ("engine", "interleave")
    tests = [f"tests/core/test_{name}.py" for name in names]
    result = with_core(other, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert result.returncode == 0, result.stdout + result.stderr
