"""`nnr compare`: what it prints, its exit status, files and pipes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.formats import save_tensors
from tests.cli.conftest import Cli, finish, read_terminal, start


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """`a.npz`, and `b.npz` with one value off by 0.25, in the current folder."""
    monkeypatch.chdir(tmp_path)
    a = {"layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "bias": np.zeros(2, np.float32)}
    b = {name: array.copy() for name, array in a.items()}
    b["layer.weight"][1, 1] += 0.25
    save_tensors(a, "a.npz")
    save_tensors(b, "b.npz")
    return a


@pytest.mark.usefixtures("pair")
def test_the_status_says_whether_they_are_the_same(cli: Cli) -> None:
    assert cli("compare", "a.npz", "a.npz").status == 0
    assert cli("compare", "a.npz", "b.npz").status == 1
    assert cli("compare", "a.npz", "b.npz", "--tolerance", "0.25").status == 0
    assert cli("compare", "a.npz", "b.npz", "--tolerance", "0.2").status == 1
    assert cli("compare", "a.npz", "b.npz", "-q") == (1, "", "")


@pytest.mark.usefixtures("pair")
def test_the_table_and_the_conclusion(cli: Cli) -> None:
    shown = cli("compare", "a.npz", "b.npz")
    assert shown.err == ""
    rows = {line.split()[0]: line.split() for line in shown.out.splitlines()}
    assert rows["layer.weight"][1:7] == ["2x3", "float32", "24", "24", "0.25", f"{0.25 / 6**0.5:.4g}"]
    assert rows["layer.weight"][-1] == "differs"
    assert rows["bias"][-1] == "equal"
    assert rows["total"][1:4] == ["8", "32", "32"]
    assert shown.out.splitlines()[-1].split(maxsplit=1)[1] == "2 tensors: 1 equal, 1 different"
    assert f"{Path('a.npz').stat().st_size:,} bytes" in shown.out
    within = cli("compare", "a.npz", "b.npz", "--tolerance", "1")
    assert "1 equal, 1 within 1, 0 different" in within.out


@pytest.mark.usefixtures("pair")
def test_names_shapes_and_values_that_do_not_match(cli: Cli) -> None:
    save_tensors({"bias": np.zeros((2, 1), np.float32), "new\nline": np.array([np.nan])}, "c.npz")
    shown = cli("compare", "a.npz", "c.npz", "--tolerance", "9")
    assert shown.status == 1
    assert [line.split("  ")[-1].strip() for line in shown.out.splitlines()[1:4]] == [
        "only in A", "other shape", "only in B",
    ]  # fmt: skip
    assert "new\\nline" in shown.out
    assert "(1 only in A, 1 only in B)" in shown.out
    save_tensors({"w": np.array([1, np.nan])}, "d.npz")
    save_tensors({"w": np.array([1, 2.0])}, "e.npz")
    assert "1 NaN or inf" in cli("compare", "d.npz", "e.npz").out


@pytest.mark.usefixtures("pair")
def test_json_is_one_object(cli: Cli) -> None:
    shown = cli("compare", "a.npz", "b.npz", "--json", "--tolerance", "0.3")
    facts = json.loads(shown.out)
    assert (facts["same"], facts["equal"], facts["tolerance"]) == (True, False, 0.3)
    assert facts["total"]["max_error"] == 0.25
    report = nnr.compare("a.npz", "b.npz").as_dict()
    assert {key: facts[key] for key in report} == report


@pytest.mark.usefixtures("pair")
def test_a_bitstream_from_a_pipe(cli: Cli) -> None:
    assert cli("encode", "a.npz", "-o", "a.nnr").status == 0
    stream = Path("a.nnr").read_bytes()
    process = start("compare", "a.npz", "-", "--tolerance", "0.1", "--json", stdin=-1)
    piped = finish(process, stream)
    assert piped.status == 0, piped
    facts = json.loads(piped.out)
    assert facts["size_b"] == len(stream)
    process = start("compare", "-", "a.npz", stdin=-1)
    assert finish(process, Path("a.npz").read_bytes()).status == 0


@pytest.mark.usefixtures("pair")
def test_errors_name_the_file(cli: Cli) -> None:
    assert cli("encode", "a.npz", "-o", "a.nnr").status == 0
    cli("compare", "missing.nnr", "a.npz").assert_one_error(1, "nnr: missing.nnr: No such file")
    cli("compare", "a.npz", "missing.npz").assert_one_error(1, "nnr: missing.npz: No such file")
    stream = bytearray(Path("a.nnr").read_bytes())
    stream[-3] ^= 0x10  # in the payload of the last tensor, which is read late
    Path("bad.nnr").write_bytes(stream)
    cli("compare", "a.npz", "bad.nnr").assert_one_error(1, "nnr: bad.nnr: unit ", "CRC-32")
    cli("compare", "a.npz", os.curdir).assert_one_error(1, "nnr: .: ")
    for wrong in ("- -", "a.npz", "a.npz a.npz --tolerance -1", "a.npz a.npz --tolerance nan"):
        cli("compare", *wrong.split()).assert_one_error(2, "compare: ")


def test_a_long_model_is_folded_to_a_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    a = {f"model.layers.{n}.attention.query.weight": np.ones(3) for n in range(60)}
    b = {name: array + (name.split(".")[2] == "37") for name, array in a.items()}
    save_tensors(a, tmp_path / "a.npz")
    save_tensors(b, tmp_path / "b.npz")
    for columns in (60, 120):
        terminal, child = pty.openpty()
        process = start(
            "compare", tmp_path / "a.npz", tmp_path / "b.npz", cwd=tmp_path, stdout=child,
            env={"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm"},
        )  # fmt: skip
        os.close(child)
        lines = read_terminal(terminal).decode().splitlines()
        assert finish(process).status == 1
        assert len(lines) < 24
        table = [line for line in lines if not line.startswith(("A ", "B "))]
        assert all(len(line) <= columns for line in table), table
        assert sum("differs" in line for line in lines) == 1, "the one that differs is among those shown"
        assert any(line.startswith("... 4") and "no worse" in line for line in lines)
