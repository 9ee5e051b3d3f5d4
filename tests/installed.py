"""Try the built packages as a user gets them: `python tests/installed.py dist`, part of `make build`.

Looks into the wheel and the sdist, installs the wheel into an empty environment, and runs the demo and the
tests of the command line and the formats there, far from the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: Bytes that our own files may take when they are installed.
MAX_BYTES = 3_000_000

BORROWED = ("tests/conftest.py", "tests/shared.py", "tests/cli", "tests/formats", "setup.cfg")


def one(folder: Path, pattern: str) -> Path:
    """The only file of `folder` that matches."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder} holds {len(found)} files {pattern}, not one")
    return found[0]


def expect(condition: bool, what: str) -> None:
    """End with a message unless `condition` holds."""
    if not condition:
        sys.exit(f"packages: {what}")


def check_contents(wheel: Path, sdist: Path) -> None:
    """One abi3 wheel with core, data and types and nothing else; an sdist that can build it."""
    expect("-cp310-abi3-" in wheel.name, f"{wheel.name} is not a cp310 abi3 wheel")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        size = sum(entry.file_size for entry in archive.infolist())
    core = [n for n in names if n.startswith("nnr/_core.") and n.endswith((".so", ".pyd"))]
    expect(len(core) == 1, f"the wheel holds {len(core)} cores")
    for needed in ("nnr/py.typed", "nnr/data/lenet5.npz", "nnr/data/README.md", "nnr/cli/encode.py"):
        expect(needed in names, f"{needed} is not in the wheel")
    expect(size < MAX_BYTES, f"the wheel unpacks to {size} bytes")
    strangers = [n for n in names if not n.startswith(("nnr/", "nnr-")) or n.endswith((".c", ".h", ".o"))]
    expect(not strangers, f"the wheel holds {strangers[:5]}")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    for needed in (
        "c_core/nnr_core.h", "nnr/_core_build.py", "setup.py", "pyproject.toml", "LICENSE", "Makefile",
        "tests/shared.py", "docs/index.md",
    ):  # fmt: skip
        expect(needed in inside, f"{needed} is not in the sdist")


def run(*command: object, cwd: Path) -> None:
    """Run a command without the checkout on its path."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if "NNR_SHARED" not in environment and (ROOT.parent / "shared").is_dir():
        environment["NNR_SHARED"] = str(ROOT.parent / "shared")
    print("+", *command, flush=True)
    status = subprocess.run([str(c) for c in command], cwd=cwd, env=environment, check=False).returncode
    if status:
        sys.exit(f"status {status}: {' '.join(map(str, command))}")


def main() -> None:
    """Check the packages in the folder named on the command line."""
    dist = Path(sys.argv[1]).resolve()
    wheel, sdist = one(dist, "*.whl"), one(dist, "*.tar.gz")
    check_contents(wheel, sdist)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, wheel, cwd=folder)
        run(binaries / "nnr", "demo", cwd=folder)
        run(*pip, "pytest", "hypothesis", cwd=folder)
        for part in BORROWED:
            source, target = ROOT / part, folder / part
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, target)
        run(binaries / "python", "-m", "pytest", "-q", "tests", cwd=folder)
        run(*pip, f"{wheel}[safetensors,bfloat16]", cwd=folder)
        run(binaries / "python", "-m", "pytest", "-q", "tests", cwd=folder)
    print(f"{wheel.name}: good")


if __name__ == "__main__":
    main()
