"""Checkpoints of PyTorch: nests, shared memory, and what is not loaded."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import load_tensors, open_source, pytorch, save_tensors

torch = pytest.importorskip("torch", reason="needs the package torch")


@pytest.fixture
def nested(tmp_path: Path) -> Path:
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    checkpoint = {
        "state_dict": {"conv.weight": weight, "tied.weight": weight, "half": weight.to(torch.bfloat16)},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(2, 3)}}, "param_groups": [{"lr": 0.1}]},
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "c.pt")
    return tmp_path / "c.pt"


def test_a_nest_gives_its_keys_and_says_what_is_left_out(nested: Path) -> None:
    found = pytorch.load(nested)
    assert list(found) == [
        "state_dict/conv.weight", "state_dict/tied.weight", "state_dict/half", "optimizer/state/0/exp_avg",
    ]  # fmt: skip
    assert any("epoch" in note for note in found.notes)
    assert any("optimizer" in note for note in found.notes)


def test_a_key_picks_a_part(nested: Path) -> None:
    assert list(pytorch.load(nested, key="state_dict")) == ["conv.weight", "tied.weight", "half"]
    assert list(pytorch.load(nested, key="optimizer/state")) == ["0/exp_avg"]
    with pytest.raises(FormatError, match="'state_dict'"):
        pytorch.load(nested, key="model")


def test_shared_memory_is_kept_both_ways(nested: Path, tmp_path: Path) -> None:
    found = pytorch.load(nested, key="state_dict")
    assert np.shares_memory(found["conv.weight"], found["tied.weight"])
    assert open_source(nested).ties == {"state_dict/tied.weight": "state_dict/conv.weight"}
    shared = found["conv.weight"]
    save_tensors({"a": shared, "b": shared}, tmp_path / "t.pt")
    again = torch.load(tmp_path / "t.pt", weights_only=True)
    assert again["a"].data_ptr() == again["b"].data_ptr()
    once = tmp_path / "once.pt"
    save_tensors({"a": shared}, once)
    big = np.zeros((1000, 100), np.float32)
    save_tensors({"a": big, "b": big}, tmp_path / "big.pt")
    assert (tmp_path / "big.pt").stat().st_size < 1.5 * big.nbytes


def test_weights_go_into_a_copy_that_keeps_everything_else(nested: Path, tmp_path: Path) -> None:
    new = {"conv.weight": np.full((2, 3), 7, np.float32), "half": np.ones((2, 3), np.float32)}
    pytorch.save(new, tmp_path / "new.pt", like=nested, key="state_dict")
    found = torch.load(tmp_path / "new.pt", weights_only=True)
    assert found["epoch"] == 3
    assert found["optimizer"]["param_groups"] == [{"lr": 0.1}]
    state = found["state_dict"]
    assert state["conv.weight"].data_ptr() == state["tied.weight"].data_ptr()
    assert torch.equal(state["tied.weight"], torch.full((2, 3), 7.0))
    assert state["half"].dtype == torch.bfloat16


def test_types_of_torch(tmp_path: Path) -> None:
    kinds = [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.uint16, torch.int64, torch.bool]
    state = {str(kind): torch.tensor([0, 1, 2]).to(kind) for kind in kinds}
    torch.save(state, tmp_path / "x.pt")
    found = load_tensors(tmp_path / "x.pt")
    for kind in kinds:
        assert found[str(kind)].dtype.name == str(kind).removeprefix("torch.")
    save_tensors(found, tmp_path / "y.pt")
    again = torch.load(tmp_path / "y.pt", weights_only=True)
    assert {name: t.dtype for name, t in again.items()} == {name: t.dtype for name, t in state.items()}


def test_files_of_before_1_6_and_parameters(tmp_path: Path) -> None:
    state = torch.nn.Linear(3, 2).state_dict()
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    assert list(load_tensors(tmp_path / "old.pt")) == ["weight", "bias"]
    torch.save({"p": torch.nn.Parameter(torch.ones(2, 3).t())}, tmp_path / "p.pt")
    assert load_tensors(tmp_path / "p.pt")["p"].shape == (3, 2)


class _Trap:
    def __reduce__(self) -> tuple:
        return os.system, ("touch trapped",)


def test_nothing_but_tensors_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(2), "x": _Trap()}, "a.pt")
    Path("b.pt").write_bytes(pickle.dumps(_Trap()))
    torch.save(torch.nn.Linear(2, 2), "c.pt")
    torch.jit.script(torch.nn.Linear(2, 2)).save("d.pt")
    for name in ("a.pt", "b.pt", "c.pt", "d.pt"):
        with pytest.raises(FormatError) as caught:
            load_tensors(name)
        assert len(str(caught.value).splitlines()) == 1
        assert "weights_only" not in str(caught.value)  # how to load it unsafely is no advice
    assert not Path("trapped").exists()


def test_tensors_that_are_not_dense_are_named(tmp_path: Path) -> None:
    torch.save({"s": torch.eye(3).to_sparse()}, tmp_path / "s.pt")
    with pytest.raises(FormatError, match="'s'"):
        load_tensors(tmp_path / "s.pt")
