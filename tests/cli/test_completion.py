"""`nnr completion`: what the shells make of the scripts."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def script(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> Path:
    """The script for the shell that the test names, where there is that shell."""
    pytest.importorskip("shtab")
    shell: str = request.param
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    shown = cli("completion", shell)
    assert (shown.status, shown.err) == (0, "")
    path = tmp_path / f"script.{shell}"
    path.write_text(shown.out)
    (tmp_path / "model.npz").touch()
    return path


def words(command: list[str], folder: Path) -> list[str]:
    environment = {**os.environ, "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    return done.stdout.split()


@pytest.mark.parametrize("script", ["bash"], indirect=True)
def test_bash_completes(script: Path, tmp_path: Path) -> None:
    def completed(*typed: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in typed)
        commands = (
            f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(typed) - 1}; "
            'f=$(complete -p nnr | sed "s/.*-F \\([^ ]*\\).*/\\1/"); $f nnr "${COMP_WORDS[COMP_CWORD]}"; '
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        return words(["bash", "-c", commands], tmp_path)

    assert set(completed("nnr", "")) >= {"encode", "decode", "compare"}
    assert completed("nnr", "enc") == ["encode"]
    assert set(completed("nnr", "encode", "--target")) == {"--target-size"}
    assert "model.npz" in completed("nnr", "encode", "mod")
    assert set(completed("nnr", "encode", "--effort", "")) == {"fast", "default", "best"}


@pytest.mark.parametrize("script", ["fish"], indirect=True)
def test_fish_completes(script: Path, tmp_path: Path) -> None:
    def completed(line: str) -> list[str]:
        return words(["fish", "-c", f"source {script}; complete -C '{line}'"], tmp_path)

    assert {"encode", "decode", "compare"} <= set(completed("nnr "))
    assert "--target-size" in completed("nnr encode --target")
    assert "model.npz" in completed("nnr encode mod")


@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_takes_the_script_from_its_folder(script: Path, tmp_path: Path) -> None:
    (tmp_path / "zfunc").mkdir()
    script.rename(tmp_path / "zfunc" / "_nnr")
    path = "fpath=(zfunc $fpath)"
    commands = f"{path}; autoload -U compinit; compinit -u; autoload +X -U _nnr; echo $_comps[nnr]"
    assert words(["zsh", "-f", "-c", commands], tmp_path) == ["_nnr"]


def test_without_the_package_it_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    cli("completion", "bash").assert_one_error(1, "shtab", "pip install 'nnr[completion]'")
    cli("completion", "dosshell").assert_one_error(2, "dosshell", "bash")
