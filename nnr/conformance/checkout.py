"""Copies of a checkout with changed sources and their own build of the C core, for coverage and planted
faults.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["NotACheckout", "build_core", "copy_checkout", "replace_once"]

_NEEDED = ("c_core", "nnr", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
_OPTIMISED = '"-O3"'


class NotACheckout(Exception):
    """A folder lacks the sources, or they cannot be built; the text says what is wrong."""


def copy_checkout(checkout: Path, target: Path) -> None:
    """Copy what building and running the package needs, without compiled files but the core itself.

    Raises:
        NotACheckout: something of it is missing.
    """
    for name in _NEEDED:
        source = checkout / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "_core*.c")
            shutil.copytree(source, target / name, ignore=ignored)
        elif source.is_file():
            shutil.copy(source, target / name)
        else:
            raise NotACheckout(f"{checkout}: not a checkout of nnr: {name} is missing")


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace the only place where `old` stands.

    Raises:
        NotACheckout: it stands nowhere, or in several places.
    """
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise NotACheckout(f"{file.name}: {old!r} stands there {text.count(old)} times, not once")
    file.write_text(text.replace(old, new), encoding="utf-8")


def build_core(copy: Path, flags: tuple[str, ...]) -> None:
    """Build the C core of a copy in place, with `flags` instead of its optimisation.

    Raises:
        NotACheckout: the compiler fails; with what it says.
    """
    recipe = copy / "nnr" / "_core_build.py"
    replace_once(recipe, _OPTIMISED, ", ".join(f'"{flag}"' for flag in flags))
    for old in (copy / "nnr").glob("_core*.so"):
        old.unlink()
    linked = "--coverage" if "--coverage" in flags else ""
    environment = {**os.environ, "NNR_BASE_ONLY": "1", "LDFLAGS": linked}
    built = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=copy, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if built.returncode or not list((copy / "nnr").glob("_core*")):
        raise NotACheckout(f"the C core cannot be built: {(built.stderr or built.stdout).strip()[-2000:]}")
