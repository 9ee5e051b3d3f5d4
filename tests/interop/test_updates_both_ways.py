"""NNCodec follows our updates, and we follow its: values, integers and what is kept for the next update."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import nnr
from benchmarks.peer import Peer, PeerError, PeerState
from tests.interop.compare import assert_same_bits, headers, tools
from tests.interop.models import block_model, peer_blocks, real_model, stated_blocks, trained, training_model

pytestmark = pytest.mark.interop


def decoded(result: Any) -> dict[str, np.ndarray]:
    assert result.tensors is not None
    tensors: dict[str, np.ndarray] = result.tensors
    return tensors


def assert_same_state(state: PeerState, decoder: nnr.Decoder, *, history: bool = True) -> None:
    """Context bases of all tensors that the peer has seen in an update, and their histories."""
    assert state.levels
    for name, levels in state.levels.items():
        context = decoder.contexts[name]
        assert context.base is not None
        assert np.array_equal(context.base, levels.reshape(-1)), f"{name}: integers differ"
        if history:
            assert context.history is not None
            assert np.array_equal(context.history, state.history[name].reshape(-1)), (
                f"{name}: histories differ"
            )


def named(options: dict[str, Any]) -> str:
    return (
        ",".join(f"{k}={v if not isinstance(v, dict) else '...'}" for k, v in options.items()) or "defaults"
    )


OURS: list[dict[str, Any]] = [
    {},
    {"dq": False},
    *({"scan_order": order, "dq": dq} for order in (1, 2, 4) for dq in (False, True)),
    *({"qp": qp, "dq": dq} for qp in (-60, -26, -16, 4) for dq in (False, True)),
    {"qp": -26, "scan_order": 1, "dq": False},
    {"row_skip": False},
    {"param_opt": False},
    *({"codebook": size} for size in (2, 8, 256)),
    {"codebook": 8, "dq": False, "scan_order": 1},
    *({"bitdepth": bits} for bits in (1, 4, 12)),
    {"lambda_scale": 0.8, "qp": -26},
    {"lambda_scale": 0.8, "qp": -26, "dq": False},
    {"effort": "best", "qp": -24},
    {"blocks": True},
    {"parent_id": "sha256"},
    {"parent_id": "sha512", "scan_order": 1},
    {"qp_density": 7, "qp": -900, "nonweight_qp": -1100},
    {"qp_per_tensor": {"fc": -20, "rows": -50}},
    *({"cabac_unary_length": length} for length in (1, 256)),
    {"metadata": False},
    {"raw": ("late",)},
]


@pytest.mark.parametrize("options", OURS, ids=named)
def test_the_peer_follows_a_base_and_four_updates(peer: Peer, options: dict[str, Any]) -> None:
    encoder, decoder, chain = nnr.Encoder(**options), nnr.Decoder(), peer.chain()
    model = training_model()
    base = encoder.encode(model)
    assert_same_bits(decoded(peer.decode(base)), decoder.decode(base, form="coded"))
    seen: list[set[str]] = []
    used: Counter[str] = Counter()
    for round_ in range(1, 5):
        model = trained(encoder.model, round_)
        data = encoder.encode_update(model)
        ours = decoder.decode(data, form="coded")
        assert_same_bits(decoded(chain.decode(data)), ours)
        assert_same_state(chain.state(), decoder)
        used += tools(data)
        seen.append(set(ours))
    assert all("never" not in names for names in seen)
    assert "late" not in seen[0]
    if "qp" not in options:
        assert "late" in seen[1]
        assert used["temporal contexts"] or used["history"]


def test_the_chains_use_every_tool() -> None:
    """What the comparison of chains rests on: its streams have all that an update can have."""
    used: Counter[str] = Counter()
    for options in ({}, {"dq": False}, {"scan_order": 1}, {"codebook": 8}):
        encoder = nnr.Encoder(**options)
        encoder.encode(training_model())
        for round_ in range(1, 5):
            used += tools(encoder.encode_update(trained(encoder.model, round_)))
    expected = {
        "codebook", "dependent quantization", "uniform quantization", "integer", "parent",
        "temporal contexts", "history", "row skip", "block scan",
    }  # fmt: skip
    assert expected <= set(used)


def test_without_compat_the_peer_does_not_follow(peer: Peer) -> None:
    """The first update with temporal contexts is what `compat` avoids; else these tests would not see it."""
    encoder, chain = nnr.Encoder(compat=None), peer.chain()
    encoder.encode(training_model())
    data = encoder.encode_update(trained(training_model(), 1))
    assert tools(data)["temporal contexts"]
    with pytest.raises(PeerError):
        chain.decode(data)


@pytest.mark.parametrize("blocks", ["found", "stated"])
def test_the_peer_follows_updates_of_blocks(peer: Peer, blocks: str) -> None:
    rng = np.random.default_rng(9)
    encoder = nnr.Encoder(blocks=stated_blocks() if blocks == "stated" else True)
    decoder, chain, model = nnr.Decoder(), peer.chain(), block_model()
    base = encoder.encode(model)
    assert tools(base)["block"] == 3
    assert_same_bits(decoded(peer.decode(base)), decoder.decode(base, form="coded"))
    for round_ in range(3):
        model = {
            name: (array + 0.05 * rng.normal(size=array.shape)).astype(np.float32)
            for name, array in model.items()
            if round_ or not name.startswith("one")
        } | {name: array for name, array in model.items() if not round_ and name.startswith("one")}
        data = encoder.encode_update(model)
        assert_same_bits(decoded(chain.decode(data)), decoder.decode(data, form="coded"))
        assert_same_state(chain.state(), decoder)


def test_the_order_of_the_tensors_may_change(peer: Peer) -> None:
    """The peer wants the same parameter_id in every update."""
    encoder, decoder, chain = nnr.Encoder(), nnr.Decoder(), peer.chain()
    model, temporal = training_model(), 0
    decoder.decode(encoder.encode(model))
    for round_ in range(1, 5):
        model = trained(encoder.model, round_)
        data = encoder.encode_update(dict(reversed(model.items())) if round_ % 2 else model)
        assert_same_bits(decoded(chain.decode(data)), decoder.decode(data, form="coded"))
        temporal += tools(data)["temporal contexts"]
    assert temporal


def test_a_real_model(peer: Peer) -> None:
    encoder, decoder, chain = nnr.Encoder(qp=-30), nnr.Decoder(), peer.chain()
    model = real_model("lenet5")
    base = encoder.encode(model)
    assert_same_bits(decoded(peer.decode(base)), decoder.decode(base, form="coded"))
    rng = np.random.default_rng(10)
    for _ in range(3):
        model = {
            name: array
            + (rng.normal(0, 0.01, array.shape) * (rng.random(array.shape) < 0.1)).astype(array.dtype)
            for name, array in encoder.model.items()
        }
        data = encoder.encode_update(model)
        assert_same_bits(decoded(chain.decode(data)), decoder.decode(data, form="coded"))


THEIRS: list[dict[str, Any]] = [
    {},
    {"use_dq": False},
    *({"row_skipping": True, "use_dq": dq} for dq in (False, True)),
    *({"scan_order": order, "use_dq": dq} for order in (1, 3) for dq in (False, True)),
    {"row_skipping": True, "scan_order": 1, "use_dq": False},
    *({"qp": qp, "use_dq": dq} for qp in (-60, -20) for dq in (False, True)),
    {"codebook_mode": 1, "use_dq": False, "qp": -14},
    {"pre_signalling": True},
    {"device_id": 7},
    {"param_opt": False},
    *({"cabac_unary_length_minus1": n} for n in (0, 20)),
    {"int_quant_bw": 6, "use_dq": False},
    {"lambda_scale": 1.0},
    {"tca": False},
    {"tca": False, "row_skipping": True},
    {"compress_differences": False},
    {"compress_differences": False, "tca": False},
]


def differences(model: dict[str, np.ndarray], round_: int) -> dict[str, np.ndarray]:
    """What the peer is given as an update: it takes differences, not models."""
    moved = trained(model, round_)
    return {name: moved[name] - array for name, array in model.items()}


@pytest.mark.parametrize("history", [True, False], ids=["history", "no history"])
@pytest.mark.parametrize("args", THEIRS, ids=named)
def test_we_follow_a_base_and_four_updates(peer: Peer, args: dict[str, Any], history: bool) -> None:
    args = {"tca": True, "compress_differences": True, **args}
    writer, reader, decoder = peer.chain(history=history), peer.chain(), nnr.Decoder()
    model = training_model(1)
    if args.get("scan_order"):  # the peer's encoder fails on a scan of one row or one column
        model = {name: array for name, array in model.items() if name not in ("row", "column")}
    base = peer.encode(model).data
    assert_same_bits(decoded(peer.decode(base)), decoder.decode(base, form="coded"))
    before = dict(decoder.coded_model)
    for round_ in range(1, 5):
        data = writer.encode(differences(model, round_), **args).data
        update = decoder.decode(data, form="coded")
        assert_same_bits(decoded(reader.decode(data)), update)
        # histories of streams that are no differences are kept by nobody but the peer's encoder
        assert_same_state(reader.state(), decoder, history=args["compress_differences"])
        if args["compress_differences"]:
            assert "never" not in update
            assert all(header.put_node_depth <= round_ for header in headers(data))
            if not args.get("pre_signalling"):
                for name, array in update.items():
                    assert np.array_equal(decoder.coded_model[name], before[name] + array), name
        before = dict(decoder.coded_model)


def test_the_peers_blocks_in_updates(peer: Peer) -> None:
    """Its updates leave the dimensions of blocks to the base, without which its own decoder refuses them: the
    integers are compared with those that its encoder keeps."""
    model, blocks = peer_blocks()
    rng = np.random.default_rng(11)
    writer, decoder = peer.chain(), nnr.Decoder()
    base = peer.encode(model, block_id_and_param_type=blocks).data
    assert tools(base)["block"] == tools(base)["local scaling"] == 2
    assert_same_bits(decoded(peer.decode(base)), decoder.decode(base, form="coded"))
    for _ in range(4):
        update = {
            name: (rng.normal(0, 0.02, array.shape) * (rng.random(array.shape) < 0.4)).astype(np.float32)
            for name, array in model.items()
        }
        data = writer.encode(update, tca=True, compress_differences=True, block_id_and_param_type=blocks).data
        with pytest.raises(PeerError):
            peer.chain().decode(data)
        with pytest.raises(nnr.UnsupportedError, match="not in the stream"):
            nnr.decode(data)
        assert set(decoder.decode(data, form="coded")) == set(model)
        assert_same_state(writer.state(), decoder)


HAND_OVER: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"dq": False}, {"use_dq": False, "row_skipping": True}),
    ({"scan_order": 1}, {"row_skipping": True, "use_dq": False}),
    ({}, {"codebook_mode": 1, "use_dq": False, "qp": -14}),
    ({"codebook": 8}, {}),
    ({}, {"device_id": 7}),
]


@pytest.mark.parametrize(("options", "args"), HAND_OVER, ids=lambda part: named(part))
def test_we_continue_a_chain_of_the_peer(peer: Peer, options: dict[str, Any], args: dict[str, Any]) -> None:
    """A base and two updates of the peer, then two of ours with contexts from its last ones."""
    writer, reader, decoder = peer.chain(), peer.chain(), nnr.Decoder()
    model = training_model(2)
    decoder.decode(peer.encode(model).data)
    for round_ in (1, 2):
        update = differences(model, round_)
        data = writer.encode(update, tca=True, compress_differences=True, **args).data
        decoder.decode(data)
        reader.decode(data)
    encoder, temporal = nnr.Encoder(base=decoder, **options), 0
    for round_ in (3, 4):
        data = encoder.encode_update(dict(reversed(trained(encoder.model, round_).items())))
        assert_same_bits(decoded(reader.decode(data)), decoder.decode(data, form="coded"))
        assert_same_state(reader.state(), decoder)
        temporal += tools(data)["temporal contexts"]
    assert temporal
