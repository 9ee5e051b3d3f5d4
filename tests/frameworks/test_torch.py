"""Models of PyTorch to bitstreams and back."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import nnr

torch = pytest.importorskip("torch", reason="needs the package torch")

import nnr.torch as ours  # noqa: E402


class Tied(torch.nn.Module):
    """An embedding whose weight is that of the last layer too, a batch norm, and a half-precision part."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = torch.nn.Embedding(50, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.brief = torch.nn.Linear(16, 16).to(torch.bfloat16)
        self.head = torch.nn.Linear(16, 50, bias=False)
        self.head.weight = self.embedding.weight
        self.register_buffer("mask", torch.arange(16) % 2 == 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.embedding(x)) * self.mask
        return self.head(self.brief(y.to(torch.bfloat16)).float())


def outputs(model: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.arange(50))


def test_a_model_comes_back_and_its_ties_stay(tmp_path: Path) -> None:
    model, other = Tied(1), Tied(2)
    report = ours.save_model(model, tmp_path / "m.nnr", qp=-60)
    assert {t.name: t.tool for t in report.tensors}["head.weight"] == "tied"
    assert ours.load_model(other, tmp_path / "m.nnr") == ([], [])
    assert other.head.weight is other.embedding.weight
    assert other.brief.weight.dtype == torch.bfloat16
    assert torch.equal(other.mask, model.mask)
    assert torch.allclose(outputs(model), outputs(other), atol=0.1)


def test_tensors_on_a_device(tmp_path: Path) -> None:
    model = Tied()
    ours.save_model(model, tmp_path / "m.nnr")
    found = ours.load_file(tmp_path / "m.nnr", "cpu")
    state = model.state_dict()
    assert list(found) == list(state)
    assert all(found[name].dtype == state[name].dtype for name in state)
    assert all(found[name].shape == state[name].shape for name in state)
    assert found["head.weight"] is found["embedding.weight"]
    assert all(t.device.type == "meta" for t in ours.load_file(tmp_path / "m.nnr", "meta").values())


def test_names_that_differ_are_errors_or_said(tmp_path: Path) -> None:
    ours.save_model(torch.nn.Linear(3, 2), tmp_path / "m.nnr")
    with pytest.raises(RuntimeError, match="bias"):
        ours.load_model(torch.nn.Linear(3, 2, bias=False), tmp_path / "m.nnr")
    found = ours.load_model(torch.nn.Linear(3, 2, bias=False), tmp_path / "m.nnr", strict=False)
    assert found == ([], ["bias"])


def test_shards_and_their_index(tmp_path: Path) -> None:
    model = Tied()
    path = tmp_path / "model.nnr.index.json"
    reports = ours.save_sharded(model.state_dict(), path, shard_bytes=2000, qp=-60)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names[0] == f"model-00001-of-{len(reports):05d}.nnr"
    assert len(names) == len(reports) + 1 >= 3
    weight_map = json.loads(path.read_text())["weight_map"]
    assert weight_map["head.weight"] == weight_map["embedding.weight"]
    found = ours.load_file(path)
    assert list(found) == list(model.state_dict())
    assert found["head.weight"] is found["embedding.weight"]
    other = Tied(3)
    ours.load_model(other, path)
    assert torch.allclose(outputs(model), outputs(other), atol=0.1)


@pytest.mark.parametrize(
    "content", ["", "{}", '{"weight_map": {"a": "../x.nnr"}}', '{"weight_map": {"absent": "s.nnr"}}']
)
def test_a_bad_index_is_one_error(tmp_path: Path, content: str) -> None:
    nnr.save_file({"w": np.zeros((2, 2), np.float32)}, tmp_path / "s.nnr")
    (tmp_path / "m.nnr.index.json").write_text(content)
    with pytest.raises(nnr.FormatError):
        ours.load_file(tmp_path / "m.nnr.index.json")
    with pytest.raises(ValueError, match="index"):
        ours.save_sharded({}, tmp_path / "m.json")


def test_state_dicts_are_coded_while_attached(tmp_path: Path) -> None:
    model, other = Tied(1), Tied(2)
    plain = {name: t.clone() for name, t in model.state_dict().items()}
    detach = ours.attach(model, qp=-60)
    state = model.state_dict()
    assert list(state) == ["nnr_bitstream"]
    torch.save({"model": state, "epoch": 1}, tmp_path / "c.pt")
    loaded = torch.load(tmp_path / "c.pt", weights_only=True)["model"]
    detach_other = ours.attach(other)
    other.load_state_dict(loaded)
    assert torch.allclose(outputs(model), outputs(other), atol=0.1)
    other.load_state_dict(plain)  # a plain one is still taken
    assert torch.equal(other.norm.weight, plain["norm.weight"])
    detach()
    detach_other()
    assert list(model.state_dict()) == list(plain)
    with pytest.raises(RuntimeError):
        other.load_state_dict(loaded)


def test_a_part_of_a_larger_module(tmp_path: Path) -> None:
    whole = torch.nn.Sequential(Tied(1), torch.nn.Linear(50, 2))
    ours.attach(whole[0], qp=-60)
    state = whole.state_dict()
    assert list(state) == ["0.nnr_bitstream", "1.weight", "1.bias"]
    other = torch.nn.Sequential(Tied(2), torch.nn.Linear(50, 2))
    ours.attach(other[0])
    other.load_state_dict(state)
    assert torch.allclose(outputs(whole), outputs(other), atol=0.1)


def test_training_goes_on_after_loading(tmp_path: Path) -> None:
    model = Tied()
    ours.save_model(model, tmp_path / "m.nnr")
    ours.load_model(model, tmp_path / "m.nnr")
    model.train()(torch.arange(50)).sum().backward()
    assert model.embedding.weight.grad is not None


def test_the_fisher_diagonal_is_an_importance() -> None:
    model = torch.nn.Linear(4, 3)
    batches = [(torch.randn(2, 4), torch.tensor([0, 2])) for _ in range(3)]
    importance = ours.fisher_diagonal(model, batches)
    data = nnr.encode(ours.to_arrays(model.state_dict()), importance=importance)
    assert set(nnr.decode(data)) == {"weight", "bias"}
