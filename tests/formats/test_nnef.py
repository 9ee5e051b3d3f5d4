"""NNEF models: binary files as the NNEF tools have them, graphs kept, folders replaced as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import format_of, load_tensors, save_tensors
from nnr.formats import nnef as ours

GRAPH = """version 1.0;

# a comment with variable(shape = [9], label = 'none')
graph net( x ) -> ( y )
{
    x = external(shape = [1, 3]);
    w = variable<scalar>(shape = [2, 3], label = 'fc/weight');
    b = variable(label = "fc/bias", shape = [1,2]);
    y = linear(x, w, b);
}
"""
TENSORS = {
    "fc/weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fc/bias": np.array([[0.5, -1]], np.float32),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    ours.save(TENSORS, tmp_path / "net", topology=GRAPH.encode())
    return tmp_path / "net"


def test_the_folder_and_its_graph_are_the_model(folder: Path) -> None:
    assert (folder / "graph.nnef").read_text() == GRAPH
    assert format_of(folder) == format_of(folder / "graph.nnef") == "nnef"
    for path in (folder, folder / "graph.nnef"):
        found = load_tensors(path)
        assert list(found) == ["fc/weight", "fc/bias"]
        assert all(np.array_equal(found[name], array) for name, array in TENSORS.items())


def test_the_header_is_that_of_the_format(folder: Path) -> None:
    data = (folder / "fc" / "weight.dat").read_bytes()
    assert data[:12].hex() == "4eef0100" + "18000000" + "02000000"  # magic and version, 24 bytes, rank 2
    assert data[12:20].hex() == "0200000003000000"
    assert data[44:52].hex() == "2000000000000000"  # 32 bits, floating
    assert len(data) == 128 + 24
    assert np.array_equal(np.frombuffer(data[128:], "<f4"), np.arange(6))


def test_files_of_the_reference_package(tmp_path: Path) -> None:
    reference = pytest.importorskip("nnef", reason="needs the package nnef")
    kinds = ["float16", "float32", "float64", "int8", "int64", "uint8", "uint16", "bool"]
    tensors = {kind: (np.arange(21).reshape(3, 7) % 3).astype(kind) for kind in kinds}
    save_tensors(tensors, tmp_path / "m.nnef")
    for kind, array in tensors.items():
        with open(tmp_path / "m.nnef" / f"{kind}.dat", "rb") as file:
            found = reference.read_tensor(file)
        assert np.array_equal(found, array), kind
        assert found.dtype == array.dtype
        with open(tmp_path / "m.nnef" / f"{kind}.dat", "wb") as file:
            reference.write_tensor(file, array)
    again = load_tensors(tmp_path / "m.nnef")
    assert all(np.array_equal(again[kind], array) for kind, array in tensors.items())
    assert all(again[kind].dtype == kind for kind in tensors)
    reference.parse_string((tmp_path / "m.nnef" / "graph.nnef").read_text())


def test_weights_go_into_a_copy_of_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "notes.txt").write_text("kept")
    save_tensors({"fc/bias": np.ones((1, 2), np.float32)}, tmp_path / "new.nnef", like=folder)
    found = load_tensors(tmp_path / "new.nnef")
    assert np.array_equal(found["fc/bias"], np.ones((1, 2)))
    assert np.array_equal(found["fc/weight"], TENSORS["fc/weight"])
    assert (tmp_path / "new.nnef" / "notes.txt").read_text() == "kept"
    assert (tmp_path / "new.nnef" / "graph.nnef").read_text() == GRAPH


def test_a_folder_of_other_things_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "home.nnef").mkdir()
    (tmp_path / "home.nnef" / "thesis.tex").write_text("years of work")
    with pytest.raises(FormatError, match="not replaced"):
        save_tensors(TENSORS, tmp_path / "home.nnef")
    assert (tmp_path / "home.nnef" / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize("label", ["../out", "/abs", "a//b", "a/../../b", ".", "a\\b"])
def test_labels_that_lead_out_of_the_folder_are_refused(label: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError):
        ours.save({label: np.zeros(2, np.float32)}, tmp_path / "m.nnef")
    (tmp_path / "n.nnef").mkdir()
    text = f"graph g( ) -> ( a ) {{ a = variable(shape = [2], label = '{label}'); }}"
    (tmp_path / "n.nnef" / "graph.nnef").write_text(text)
    with pytest.raises(FormatError):
        load_tensors(tmp_path / "n.nnef")


def test_variables_as_bitstreams(folder: Path, tmp_path: Path) -> None:
    tensors = {"fc/weight": np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32),
               "fc/bias": TENSORS["fc/bias"]}  # fmt: skip
    ours.save(tensors, tmp_path / "c.nnef", like=folder, coded={"qp": -40})
    assert sorted(p.name for p in (tmp_path / "c.nnef" / "fc").iterdir()) == ["bias.nnr", "weight.nnr"]
    found = load_tensors(tmp_path / "c.nnef")
    assert list(found) == ["fc/weight", "fc/bias"]
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert np.allclose(found[name], array, atol=2e-3)
    (tmp_path / "c.nnef" / "fc" / "bias.nnr").write_bytes(b"no bitstream")
    with pytest.raises(FormatError, match=r"bias\.nnr"):
        load_tensors(tmp_path / "c.nnef")
