"""`nnr decode` tensor by tensor: the same files as from a model in memory, from whatever stream."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.__main__ import main
from nnr.formats import Tensors, save_tensors
from tests.cli.conftest import Cli
from tests.shared import ROOT

VECTORS = ROOT / "conformance" / "vectors"

pytest.importorskip("safetensors")
ml_dtypes = pytest.importorskip("ml_dtypes")


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    tied = rng.laplace(0, 0.05, (300, 200)).astype(np.float32)
    small = {f"small.{k:02d}": rng.normal(0, 0.1, 30 + k).astype(np.float32) for k in range(40)}
    return {
        "z.first": tied,
        "half": rng.normal(0, 1, (400, 90)).astype(np.float16),
        "bf": rng.normal(0, 1, (70, 80)).astype(ml_dtypes.bfloat16),
        "steps": np.array([12345678901, -(1 << 62)], np.int64),
        "double": rng.normal(0, 1, 7),
        **small,
        "ids": rng.integers(-100, 100, (9, 11)).astype(np.int32),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3), np.float32),
        "scalar": np.array(0.5, np.float32),
        "big endian": rng.normal(0, 1, (3, 4)).astype(">f4"),
        "a.tied": tied,
        "ü/名": rng.laplace(0, 0.05, (500, 400)).astype(np.float32),
    }


STREAMS = {
    "plain": {},
    "fast": {"effort": "fast", "dq": False},
    "entry points": {"scan_order": 2},
    "raw": {"raw": ("half", "double", "ü/名"), "compat": None},
    "without metadata": {"metadata": False},
    "first edition": {"profile": 0},
}


def stream(kind: str) -> bytes:
    model = tensors()
    if kind == "without metadata":
        model = {name: a for name, a in model.items() if a.dtype == np.float32 and a.size and a.ndim}
        del model["a.tied"]
    return nnr.encode(model, **STREAMS[kind])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("name", ["x.safetensors", "x.npz"])
def test_the_file_is_that_of_a_model_in_memory(
    kind: str, name: str, threads: int, cli: Cli, tmp_path: Path
) -> None:
    path, expected, out = tmp_path / "x.nnr", tmp_path / "expected", tmp_path / name
    data = stream(kind)
    path.write_bytes(data)
    decoded = nnr.decode(data)
    save_tensors(decoded, expected, name[2:])
    with nnr.open(path) as file:
        known = file.announced()
    assert (known is None) == (kind == "first edition")
    if known is not None:
        assert known == {n: (a.shape, a.dtype) for n, a in decoded.items()}
        assert list(known) == list(decoded)
    done = cli("decode", path, "-o", out, "-T", threads, "--json")
    assert (done.status, done.err) == (0, "")
    assert out.read_bytes() == expected.read_bytes()
    rows = [{"name": n, "shape": list(a.shape), "dtype": a.dtype.name} for n, a in decoded.items()]
    assert json.loads(done.out)["tensors"] == rows
    assert sorted(os.listdir(tmp_path)) == sorted(["x.nnr", "expected", name])


def test_shards_and_text_are_those_of_a_model_in_memory(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "a.safetensors.index.json"
    save_tensors(Tensors(tensors(), metadata={"format": "pt", "by": "us"}), source)
    (tmp_path / "out").mkdir()
    stream, again = tmp_path / "a.nnr", tmp_path / "out" / source.name
    assert cli("encode", source, "-o", stream, "--with-topology", "--raw", "z.first").status == 0
    assert cli("decode", stream, "-o", again).status == 0
    assert json.loads(again.read_text()) == json.loads(source.read_text())
    expected = tmp_path / "expected.safetensors"
    save_tensors(nnr.decode(stream), expected, topology=nnr.open(stream).topology)
    (shard,) = (tmp_path / "out").glob("*.safetensors")
    assert shard.read_bytes() == expected.read_bytes()
    assert cli("decode", stream, "-o", tmp_path / "into.safetensors", "--into", shard).status == 0
    assert (tmp_path / "into.safetensors").read_bytes() == expected.read_bytes()


def test_streams_that_need_the_whole_model_get_it(tmp_path: Path, cli: Cli) -> None:
    model = {"w": np.full((20, 30), 0.25, np.float32), "b": np.ones(20, np.float32)}
    encoder = nnr.Encoder(profile=1)
    base, update = encoder.encode(model), encoder.encode_update({**model, "w": model["w"] * 2})
    for name, data in (("base", base), ("update", update)):
        (tmp_path / name).write_bytes(data)
    with nnr.open(update) as file:
        assert file.announced() is None
    with nnr.open(base, form="coded") as file:
        assert file.announced() is not None
    assert cli("decode", tmp_path / "base", tmp_path / "update", "-o", tmp_path / "x.npz").status == 0
    assert np.allclose(np.load(tmp_path / "x.npz")["w"], 0.5, atol=0.01)
    lone = cli("decode", tmp_path / "update", "-o", tmp_path / "y.npz")
    assert (lone.status, "its base is not given" in lone.out) == (0, True)


def test_a_damaged_unit_is_the_same_error_for_every_number_of_threads(cli: Cli, tmp_path: Path) -> None:
    path, out = tmp_path / "x.nnr", tmp_path / "x.safetensors"
    data = bytearray(stream("plain"))
    with nnr.open(bytes(data)) as file:
        for unit in file.units[-3:]:
            data[unit.byte_offset + unit.size - 1] ^= 1
    path.write_bytes(data)
    out.write_bytes(b"earlier")
    said = set()
    for threads in (1, 2, 5):
        done = cli("decode", path, "-f", "-o", out, "-T", threads)
        done.assert_one_error(1, f"nnr: {path}: unit ", "CRC-32")
        said.add(done.err)
    assert len(said) == 1
    assert out.read_bytes() == b"earlier"
    assert sorted(os.listdir(tmp_path)) == ["x.nnr", "x.safetensors"]


def test_a_damaged_unit_without_tensors_is_found(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    topology = nnr.Topology.of(3, b"a text that is not compressed", deflate=False)
    data = nnr.encode(tensors(), topology=topology, compat=None)
    path.write_bytes(data.replace(b"not compressed", b"not compresseD"))
    outcome = cli("decode", path, "-o", tmp_path / "x.npz")
    outcome.assert_one_error(1, str(path), "CRC-32")
    assert os.listdir(tmp_path) == ["x.nnr"]


@pytest.mark.parametrize("kind", ["plain", "first edition"])
def test_json_goes_to_standard_error_where_the_output_takes_the_other(
    kind: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path, out = tmp_path / "x.nnr", tmp_path / "x.npz"
    path.write_bytes(stream(kind))
    assert main(["decode", str(path), "-o", str(out)]) == 0
    capfdbinary.readouterr()
    assert main(["decode", str(path), "-o", "-", "--format", "npz", "--json"]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == out.read_bytes()
    assert json.loads(printed.err)["output"] == "-"
    source = tmp_path / "m.npz"
    np.savez(source, w=np.ones((3, 4), np.float32))
    assert main(["encode", str(source), "-o", "-", "--json"]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == nnr.encode({"w": np.ones((3, 4), np.float32)})
    assert json.loads(printed.err)["total_bytes"] == len(printed.out)


@pytest.mark.skipif(not VECTORS.is_dir(), reason="the vectors are in a checkout alone")
@pytest.mark.parametrize("suite", ["generated", "third_party"])
def test_every_vector_gives_what_it_gives_as_a_whole(suite: str) -> None:
    """Among them streams of other encoders: blocks, decomposed and split tensors, first edition."""
    seen = {True: 0, False: 0}
    with zipfile.ZipFile(VECTORS / f"{suite}.zip") as archive:
        streams = [archive.read(name) for name in archive.namelist() if name.endswith(".nnr")]
    for data in streams:
        try:
            whole = nnr.decode(data, threads=1)
        except nnr.NnrError:
            continue
        with nnr.open(data, threads=2) as file:
            known = file.announced()
            seen[known is not None] += 1
            if known is not None:
                assert known == {name: (a.shape, a.dtype) for name, a in whole.items()}
                assert list(known) == list(whole)
            for name, array in file.decoded(reversed(list(whole))):
                assert array.dtype == whole[name].dtype
                assert array.tobytes() == whole[name].tobytes(), name
    assert min(seen.values()) > 5, seen
