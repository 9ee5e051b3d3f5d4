"""NNCodec reads what we write, and we read what it writes, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnr
from benchmarks.peer import Peer, PeerError
from tests.interop.compare import assert_peer_reads, assert_peer_reads_specials, assert_same_bits, tools
from tests.interop.models import REAL, peer_blocks, real_model, synthetic_model

pytestmark = pytest.mark.interop


OURS: list[dict[str, Any]] = [
    {},
    {"dq": False},
    *({"qp": qp, "dq": dq} for qp in (-60, -32, -26, -20, -8, 4) for dq in (False, True)),
    *({"qp_density": density, "qp": -9 << density, "nonweight_qp": -12 << density} for density in range(5)),
    {"qp_density": 7, "qp": -900, "nonweight_qp": -1100},
    *({"scan_order": order, "dq": dq} for order in range(1, 5) for dq in (False, True)),
    {"scan_order": 1, "dq": False, "row_skip": False},
    {"row_skip": False},
    {"param_opt": False},
    {"param_opt": False, "dq": False},
    *({"cabac_unary_length": length} for length in (1, 2, 3, 21, 256)),
    {"cabac_unary_length": 1, "dq": False, "param_opt": False, "qp": -50},
    {"nonweight_qp": -38},
    {"qp": -60, "nonweight_qp": -150},  # further apart from 0 than qp_value reaches
    {"qp_density": 5, "qp": -500, "nonweight_qp": -1300},
    {"qp_per_tensor": {"fc/weight": -20, "conv.*": -50}},
    *({"profile": 0, "dq": dq, "scan_order": order} for dq in (False, True) for order in (0, 2)),
    {"profile": 0, "param_opt": False, "cabac_unary_length": 5},
    *({"effort": effort} for effort in ("fast", "best")),
    *({"lambda_scale": 0.8, "qp": -26, "dq": dq} for dq in (False, True)),
    *({"codebook": size, "scan_order": order} for size in (2, 16, 300) for order in (0, 2)),
    *({"bitdepth": bits} for bits in (1, 4, 8)),
    {"allocate": True, "qp": -26},
    *({"blocks": True, "dq": dq, "scan_order": order} for dq in (False, True) for order in (0, 1)),
    {"bits_per_weight": 4.0},
    {"psnr": 40.0},
    {"max_error": 0.01},
]


@pytest.mark.parametrize("metadata", [True, False], ids=["metadata", "pure"])
@pytest.mark.parametrize("options", OURS, ids=lambda options: repr(options)[1:-1] or "defaults")
def test_the_peer_decodes_ours_to_our_tensors(peer: Peer, options: dict[str, Any], metadata: bool) -> None:
    model = synthetic_model()
    data = nnr.encode(model, metadata=metadata, **options)
    assert_peer_reads(peer, data)
    for name, array in nnr.decode(data).items():
        assert array.shape == model[name].shape
        assert array.dtype == model[name].dtype
        if array.dtype.kind == "i":
            assert np.array_equal(array, model[name])


THEIRS: list[dict[str, Any]] = [
    {},
    {"use_dq": False},
    *({"qp": qp, "use_dq": dq} for qp in (-60, -26, -8, 4) for dq in (False, True)),
    *({"qp_density": d, "qp": -9 << d, "nonweight_qp": -12 << d} for d in (0, 1, 3, 7)),
    {"codebook_mode": 1, "use_dq": False, "qp": -20},
    {"codebook_mode": 2, "use_dq": False, "qp": -37},
    {"codebook_mode": 1, "use_dq": False, "qp": -20, "scan_order": 2, "row_skipping": True},
    *({"scan_order": order, "use_dq": dq} for order in range(1, 5) for dq in (False, True)),
    *({"row_skipping": True, "use_dq": dq} for dq in (False, True)),
    {"row_skipping": True, "use_dq": False, "scan_order": 1},
    {"param_opt": False},
    {"lambda_scale": 1.0},
    {"int_quant_bw": 8, "use_dq": False},
    {"opt_qp": True},
    {"pre_signalling": True},
    {"device_id": 7},
    *({"cabac_unary_length_minus1": n} for n in (0, 1, 20, 255)),
    *({"profile": 0, "use_dq": dq, "scan_order": order} for dq in (False, True) for order in (0, 2)),
    {"profile": 0, "param_opt": False, "cabac_unary_length_minus1": 4},
    {"profile": 0, "codebook_mode": 1, "use_dq": False, "qp": -20},
]


@pytest.mark.parametrize("args", THEIRS, ids=lambda args: repr(args)[1:-1] or "defaults")
def test_we_decode_theirs_to_their_tensors(peer: Peer, args: dict[str, Any]) -> None:
    codebook = bool(args.get("codebook_mode"))
    model = synthetic_model(1)
    if args.get("scan_order"):  # the peer's encoder fails on a scan of one row or one column
        model = {n: a for n, a in model.items() if a.ndim == 1 or a.shape[0] not in (1, a.size)}
    if codebook:  # its search tries every codebook: give it little to search
        model = {name: model[name] for name in ("conv.weight", "conv.bias", "few values", "integers")}
    data = peer.encode(model, **args).data
    theirs = peer.decode(data).tensors
    assert theirs is not None
    ours = nnr.decode(data, form="coded")
    assert_same_bits(theirs, ours)
    if codebook:
        assert any(a.dtype == np.float64 for a in theirs.values()), "the peer chose no codebook at all"


THEIR_BLOCKS: list[dict[str, Any]] = [
    *({"scan_order": order, "use_dq": dq} for order in (0, 1, 3) for dq in (False, True)),
    {"row_skipping": True, "qp": -20},
]


@pytest.mark.parametrize("args", THEIR_BLOCKS, ids=lambda args: repr(args)[1:-1])
def test_we_decode_their_blocks(peer: Peer, args: dict[str, Any]) -> None:
    model, blocks = peer_blocks()
    data = peer.encode(model, block_id_and_param_type=blocks, **args).data
    used = tools(data)
    assert used["block"] == used["local scaling"] == used["batch norm"] == used["bias"] == 2
    theirs = peer.decode(data).tensors
    assert theirs is not None
    assert set(theirs) == set(model)
    assert_same_bits(theirs, nnr.decode(data, form="coded"))


@pytest.mark.parametrize("qp", [-38, -26])
@pytest.mark.parametrize("name", REAL)
def test_real_models_go_both_ways_and_ours_is_no_larger(peer: Peer, name: str, qp: int) -> None:
    model = real_model(name)
    ours = nnr.encode(model, qp=qp, metadata=False)
    assert_peer_reads(peer, ours)
    theirs = peer.encode(model, qp=qp, row_skipping=True).data
    decoded = peer.decode(theirs).tensors
    assert decoded is not None
    assert_same_bits(decoded, nnr.decode(theirs, form="coded"))
    assert len(ours) <= 1.002 * len(theirs)


@pytest.mark.parametrize("profile", [0, 1])
def test_a_raw_tensor_goes_last_for_the_peer(peer: Peer, profile: int) -> None:
    model = synthetic_model(2)
    special = np.array([[np.nan, np.inf, -np.inf], [-0.0, 1e-45, 3.4e38]], np.float32)
    data = nnr.encode({"special": special, **model}, nonfinite="raw", profile=profile)
    coded = assert_peer_reads_specials(peer, data)
    assert list(coded)[-1] == "special"
    assert coded["special"].tobytes() == special.tobytes()
    back = nnr.decode(data)
    assert list(back) == ["special", *model]
    assert back["special"].tobytes() == special.tobytes()


def test_types_that_the_standard_lacks_do_not_disturb_the_peer(peer: Peer) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(3)
    model = {
        "half": rng.normal(size=(6, 7)).astype(np.float16),
        "double": rng.normal(size=(6, 7)),
        "brain": rng.normal(size=(6, 7)).astype(ml_dtypes.bfloat16),
        "long": np.array([2**62, -(2**63), 5], np.int64),
        "flags": np.array([True, False, True]),
        "bytes": np.arange(256, dtype=np.uint8).reshape(16, 16),
        "scalar": np.array(1.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "big": rng.normal(size=(4, 4)).astype(">f4"),
    }
    model["tied"] = model["half"]
    data = nnr.encode(model)
    assert_peer_reads(peer, data)
    back = nnr.decode(data)
    assert list(back) == list(model)
    for name, array in model.items():
        assert back[name].dtype == array.dtype, name
        assert back[name].shape == array.shape, name
        if array.dtype.kind in "iub":
            assert np.array_equal(back[name], array), name


def test_names_and_dimensions(peer: Peer) -> None:
    rng = np.random.default_rng(5)
    names = ["", " \n", "a/b.c:0", "x" * 3000, "\U0001f600" * 100]
    shapes = [(2, 3, 1, 2, 3, 2, 2, 1), (1,), (7, 1, 1), (1, 1, 5), (3, 4, 5, 2, 1, 2)]
    model = {n: rng.normal(0, 0.1, s).astype(np.float32) for n, s in zip(names, shapes, strict=True)}
    assert list(assert_peer_reads(peer, nnr.encode(model))) == names
    assert_peer_reads(peer, nnr.encode({}))


def test_many_small_tensors(peer: Peer) -> None:
    rng = np.random.default_rng(4)
    model = {f"t.{k}": rng.normal(0, 0.1, rng.integers(1, 6, 2)).astype(np.float32) for k in range(500)}
    assert_peer_reads(peer, nnr.encode(model))
    data = peer.encode(model).data
    theirs = peer.decode(data).tensors
    assert theirs is not None
    assert_same_bits(theirs, nnr.decode(data, form="coded"))


def test_the_peer_is_the_one_that_reads_no_damage(peer: Peer) -> None:
    """The comparisons mean something only if the peer's decoder can fail."""
    data = bytearray(nnr.encode({"w": np.ones((4, 4), np.float32)}))
    with pytest.raises(PeerError):
        peer.decode(bytes(data[: len(data) // 2]))
