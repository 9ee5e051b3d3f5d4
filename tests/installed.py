"""Try the built packages as a user gets them: `python tests/installed.py dist`, part of `make build`.

Looks into the wheel and the sdist, installs the wheel into an empty environment, and runs the demo, the tests
of the command line and the formats and, with the wheel of vectors, the conformance suite there, far from the
checkout.
"""

from __future__ import annotations

import os
import runpy
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

#: Bytes that the vectors may take in their wheel; they stand there in zip archives.
MAX_VECTOR_BYTES = 6_000_000

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
    compiled = [name for name in names if name.startswith("nnr/_core") and name.endswith((".so", ".pyd"))]
    core = sorted(name.partition(".")[0] for name in compiled)
    has_second = runpy.run_path(str(ROOT / "nnr" / "_core_build.py"))["has_bmi2_build"]()
    builds = ["nnr/_core", "nnr/_core_bmi2"] if has_second else ["nnr/_core"]
    expect(core == builds, f"the wheel holds the cores {core}")
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


def check_vectors(wheel: Path) -> None:
    """The manifest, its README and both archives, and no program."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        size = sum(entry.file_size for entry in archive.infolist())
    files = ("README.md", "manifest.json", "vectors/generated.zip", "vectors/third_party.zip")
    expect(inside == {f"nnr_conformance/{file}" for file in files}, f"{wheel.name} holds {sorted(inside)}")
    expect(size < MAX_VECTOR_BYTES, f"{wheel.name} unpacks to {size} bytes")


def run(*command: object, cwd: Path, status: int = 0) -> str:
    """What a command writes to standard error; it runs without the checkout on its path, and ends with
    `status`.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    if "NNR_SHARED" not in environment and (ROOT.parent / "shared").is_dir():
        environment["NNR_SHARED"] = str(ROOT.parent / "shared")
    print("+", *command, flush=True)
    words = [str(word) for word in command]
    ended = subprocess.run(words, cwd=cwd, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(ended.stderr)
    if ended.returncode != status:
        sys.exit(f"status {ended.returncode}, not {status}: {' '.join(words)}")
    return ended.stderr


def check_suite(nnr: Path, pip: list[object], wheel: Path, folder: Path) -> None:
    """Without the vectors the error says how to get them; with the extra, all of them are found and pass."""
    said = run(nnr, "conformance", "run", cwd=folder, status=1)
    expect("pip install ./conformance" in said, "the error does not say how the vectors are installed")
    run(*pip, "--no-index", "--find-links", wheel.parent, f"{wheel}[conformance]", cwd=folder)
    run(nnr, "conformance", "run", cwd=folder)


def main() -> None:
    """Check the packages in the folder named on the command line."""
    dist = Path(sys.argv[1]).resolve()
    wheel, sdist = one(dist, "nnr-*.whl"), one(dist, "nnr-*.tar.gz")
    check_contents(wheel, sdist)
    check_vectors(one(dist, "nnr_conformance-*.whl"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        binaries = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        pip = [binaries / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(*pip, wheel, cwd=folder)
        run(binaries / "nnr", "demo", cwd=folder)
        check_suite(binaries / "nnr", pip, wheel, folder)
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
