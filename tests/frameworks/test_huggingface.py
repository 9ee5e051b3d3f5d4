"""A model of Hugging Face transformers, made here, through shards of bitstreams; no network."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the package torch")
transformers = pytest.importorskip("transformers", reason="needs the package transformers")

import nnr.torch as ours  # noqa: E402


def test_from_pretrained_takes_decoded_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=100, n_positions=32, n_embd=32, n_layer=2, n_head=2, tie_word_embeddings=True
    )
    model = transformers.GPT2LMHeadModel(config).eval()
    index = tmp_path / "model.nnr.index.json"
    model.config.save_pretrained(tmp_path)
    reports = ours.save_sharded(model.state_dict(), index, shard_bytes=50_000, qp=-60)
    assert len(reports) > 1
    assert (tmp_path / f"model-00001-of-{len(reports):05d}.nnr").is_file()

    found = transformers.AutoConfig.from_pretrained(tmp_path)
    state = ours.load_file(index)
    other = transformers.GPT2LMHeadModel.from_pretrained(None, config=found, state_dict=state).eval()
    assert other.lm_head.weight.data_ptr() == other.transformer.wte.weight.data_ptr()
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.allclose(model(tokens).logits, other(tokens).logits, atol=1e-2)
    assert not torch.equal(model.lm_head.weight, other.lm_head.weight)  # decoded, and not the original


def test_files_of_transformers_through_our_formats(tmp_path: Path) -> None:
    from nnr.formats import load_tensors, save_tensors

    config = transformers.GPT2Config(vocab_size=100, n_positions=32, n_embd=32, n_layer=2, n_head=2)
    model = transformers.GPT2LMHeadModel(config)
    model.save_pretrained(tmp_path / "a", max_shard_size="50KB")
    index = tmp_path / "a" / "model.safetensors.index.json"
    assert index.is_file()
    tensors = load_tensors(index)
    (tmp_path / "b").mkdir()
    save_tensors(tensors, tmp_path / "b" / index.name, like=index)
    config.save_pretrained(tmp_path / "b")
    other = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "b")
    a, b = model.state_dict(), other.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
