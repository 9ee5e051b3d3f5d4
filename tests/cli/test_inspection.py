"""`nnr info`, `nnr trace` and `nnr check`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

import nnr
from tests.cli.conftest import Cli, finish, read_terminal, start
from tests.shared import shared_path


def test_info_is_one_screen_of_facts(cli: Cli, stream_file: Path) -> None:
    shown = cli("info", stream_file)
    assert shown.status == 0
    assert shown.err == ""
    for fact in ("profile 1 (edition 2)", "5 NNR_NDU", "dependent quantization", "CRC-32", "float16"):
        assert fact in shown.out
    assert "\\n" in shown.out, "the line end in a tensor's name is shown, not obeyed"
    assert all(line == line.rstrip() for line in shown.out.splitlines())
    row = next(line for line in shown.out.splitlines() if line.startswith("conv.weight"))
    assert row.split()[1:5] == ["8x4x3x3", "float32", "float", "-38"]


def test_info_as_json(cli: Cli, stream_file: Path, model: dict[str, np.ndarray]) -> None:
    facts = json.loads(cli("info", stream_file, "--json").out)
    assert facts["size"] == stream_file.stat().st_size
    assert facts["metadata"] is True
    assert {t["name"]: (t["dtype"], tuple(t["shape"])) for t in facts["originals"]} == {
        name: (array.dtype.name, array.shape) for name, array in model.items()
    }
    assert {t["name"] for t in facts["tensors"]} >= set(model)


def test_info_without_metadata_says_so(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(nnr.encode({"w": np.ones((2, 2), np.float32)}, metadata=False, profile=0))
    shown = cli("info", path)
    assert "no checksums" in shown.out
    assert "profile 0 (edition 1); dialect: not known before decoding" in shown.out


@pytest.mark.parametrize("place", ["behind the metadata", "between two units", "in the metadata"])
def test_info_of_a_damaged_stream_says_so(cli: Cli, stream_file: Path, place: str) -> None:
    with nnr.open(stream_file) as file:
        ends = [unit.byte_offset + unit.size for unit in file.units]
    data = bytearray(stream_file.read_bytes())
    if place == "in the metadata":
        data[ends[2] - 9] ^= 1
    else:
        del data[ends[2] if place == "behind the metadata" else ends[4] :]
    stream_file.write_bytes(bytes(data))
    shown = cli("info", stream_file)
    assert shown.status == 1
    assert "\nmetadata    damaged: unit " in shown.out
    assert "none" not in shown.out.split("metadata    ")[1]
    assert shown.err.startswith(f"nnr: {stream_file}: unit ")
    assert shown.err.count("\n") == 1
    as_json = cli("info", stream_file, "--json")
    assert (as_json.status, as_json.err) == (1, shown.err)
    assert json.loads(as_json.out)["damaged"] is True


def test_info_names_the_package_that_a_dtype_needs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    model = {"brain": np.ones((2, 3), ml_dtypes.bfloat16), "single": np.ones((2, 3), np.float32)}
    nnr.save_file(model, tmp_path / "x.nnr")

    def dtypes() -> dict[str, str]:
        rows = json.loads(cli("info", tmp_path / "x.nnr", "--json").out)["originals"]
        return {row["name"]: row["dtype"] for row in rows}

    assert dtypes() == {"brain": "bfloat16", "single": "float32"}
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    shown = cli("info", tmp_path / "x.nnr")
    assert (shown.status, shown.err) == (0, "")
    assert dtypes()["single"] == "float32"
    if dtypes()["brain"] != "bfloat16":  # the name needs no package, but it may be asked for
        assert dtypes()["brain"] is None
        assert "pip install 'nnr[bfloat16]'" in shown.out
        row = next(line.split() for line in shown.out.splitlines() if line.startswith("brain"))
        assert row[2] == "?"


def test_one_is_not_many(cli: Cli, tmp_path: Path) -> None:
    nnr.save_file({"w": np.ones(1, np.float32)}, tmp_path / "x.nnr")
    assert " bytes, 1 tensor, 1 weight, " in cli("info", tmp_path / "x.nnr").out
    decoded = cli("decode", tmp_path / "x.nnr", "-o", tmp_path / "x.npz")
    assert decoded.out == f"{tmp_path / 'x.npz'}: 1 tensor, 1 weight\n"
    encoded = cli("encode", tmp_path / "x.npz", "-o", tmp_path / "y.nnr")
    assert encoded.out.splitlines()[-1].startswith(f"{tmp_path / 'y.nnr'}: 1 tensor, 1 weight: 4 -> ")


def test_info_folds_to_a_terminal_and_not_in_a_pipe(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty")
    path = tmp_path / "x.nnr"
    nnr.save_file({f"t{k}": np.ones(2, np.float32) for k in range(100)}, path)
    assert finish(start("info", path)).out.count("\nt") == 100 + 2, "a line each, and two heads"
    terminal, child = pty.openpty()
    process = start("info", path, stdout=child, env={"LINES": "24", "COLUMNS": "80"})
    os.close(child)
    shown = read_terminal(terminal)
    assert finish(process).status == 0
    assert shown.count(b"\n") < 24
    assert b"more; --all shows them" in shown


def test_info_shows_the_whole_units_of_a_cut_stream(cli: Cli, stream_file: Path) -> None:
    data = stream_file.read_bytes()
    with nnr.open(data) as file:
        last = file.units[-1].byte_offset
    whole = json.loads(cli("info", stream_file, "--json").out)
    assert (whole["damaged"], whole["problem"]) == (False, None)
    stream_file.write_bytes(data[: last + 5])
    shown = cli("info", stream_file)
    assert shown.status == 1
    assert shown.err.startswith(f"nnr: {stream_file}: unit ")
    assert "conv.weight" in shown.out
    cut = json.loads(cli("info", stream_file, "--json").out)
    assert cut["damaged"] is True
    assert cut["problem"] in shown.err
    assert cut["size"] == last + 5
    assert cut["tensors"] == whole["tensors"][: len(cut["tensors"])]
    assert len(cut["tensors"]) == len(whole["tensors"]) - 1


def test_trace_lists_every_element_with_its_place(cli: Cli, stream_file: Path) -> None:
    shown = cli("trace", stream_file)
    assert shown.status == 0
    assert shown.err == ""
    lines = [line.split() for line in shown.out.splitlines() if not line.startswith("#")]
    position = 0
    for line in lines:
        assert int(line[0]) == position, "no bit is left out, and none comes twice"
        position += int(line[1])
    assert position == 8 * stream_file.stat().st_size
    assert "16    6 nnr_unit[0].nnr_unit_header.nnr_unit_type u(6) 0 (NNR_STR)" in shown.out


def test_trace_as_json_is_describe(cli: Cli, stream_file: Path) -> None:
    expected = json.loads(json.dumps(nnr.describe(stream_file.read_bytes())))
    assert json.loads(cli("trace", stream_file, "--json").out) == expected


def test_trace_shows_a_broken_stream_as_far_as_it_goes(cli: Cli, stream_file: Path) -> None:
    data = stream_file.read_bytes()
    stream_file.write_bytes(data[: len(data) // 2])
    shown = cli("trace", stream_file)
    assert shown.status == 1
    assert "nnr_unit[0].nnr_unit_header.nnr_unit_type" in shown.out
    assert shown.err.startswith(f"nnr: {stream_file}: unit ")
    assert shown.err.count("\n") == 1


def test_check_of_a_good_stream(cli: Cli, stream_file: Path) -> None:
    with nnr.open(stream_file) as file:
        expected = f"{stream_file}: conforms; {len(file.units)} units, 0 notes\n"
    assert cli("check", stream_file) == (0, expected, "")
    assert json.loads(cli("check", stream_file, "--json").out)["ok"] is True


def test_check_says_that_checksums_are_missing(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(nnr.encode({"w": np.ones((2, 2), np.float32)}, metadata=False))
    shown = cli("check", path)
    assert shown.status == 0
    assert "no checksums" in shown.out


def test_check_can_be_silent(cli: Cli, stream_file: Path) -> None:
    assert cli("check", stream_file, "-q") == (0, "", "")
    stream_file.write_bytes(stream_file.read_bytes()[:-3])
    assert cli("check", stream_file, "-q") == (1, "", "")


@pytest.mark.parametrize("place", ["header", "payload", "end"])
def test_check_finds_damage(cli: Cli, stream_file: Path, place: str) -> None:
    data = bytearray(stream_file.read_bytes())
    if place == "end":
        del data[-3:]
    else:
        data[6 if place == "header" else -5] ^= 0x40  # 6: type of the parameter set
    stream_file.write_bytes(bytes(data))
    shown = cli("check", stream_file)
    assert shown.status == 1
    assert shown.err == ""
    assert "violation" in shown.out
    report = json.loads(cli("check", stream_file, "--json").out)
    assert report["ok"] is False
    assert report["violations"]


def test_check_against_a_list_of_tools(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(nnr.encode({"w": np.ones((20, 20), np.float32)}, scan_order=1))
    assert cli("check", path).status == 0
    shown = cli("check", path, "--profile", "3gpp-ims-full")
    assert shown.status == 1
    assert "scan_order" in shown.out
    assert cli("check", path, "--profile", "3gpp-ims-incremental").status == 0
    cli("check", path, "--profile", "nonsense").assert_one_error(2, "nonsense")


def test_every_third_party_stream_can_be_looked_at(cli: Cli) -> None:
    folder = shared_path("vectors")
    for path in sorted(folder.glob("*.nnr"))[::25]:
        name = path.name
        assert cli("info", path).status == 0, name
        assert cli("trace", path).err == "" or "oob" in name, name
        assert cli("check", path).err == "", name
