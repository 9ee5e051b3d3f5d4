"""NNCodec reads what every tool of our encoder writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnr
from benchmarks.peer import Peer
from tests.interop.compare import assert_peer_reads, headers, tools
from tests.interop.models import block_model, codebook_model, stated_blocks, synthetic_model

pytestmark = pytest.mark.interop


def named(options: dict[str, Any]) -> str:
    return (
        ",".join(f"{k}={v if not isinstance(v, dict) else '...'}" for k, v in options.items()) or "defaults"
    )


CODEBOOKS: list[dict[str, Any]] = [
    *({"codebook": size} for size in (2, 3, 4, 5, 7, 8, 9, 16, 17, 64, 255, 256, 4096, 65536)),
    {"codebook": 8, "dq": False},
    {"codebook": 8, "dq": False, "row_skip": False},
    *({"codebook": 16, "dq": False, "scan_order": order} for order in range(1, 5)),
    *({"codebook": size, "profile": 0} for size in (2, 16, 256)),
    *({"codebook": 64, "cabac_unary_length": length} for length in (1, 2, 256)),
    {"codebook": 8, "param_opt": False},
    {"codebook": 8, "lambda_scale": 0.8},
]


@pytest.mark.parametrize("options", CODEBOOKS, ids=named)
def test_codebooks(peer: Peer, options: dict[str, Any]) -> None:
    data = nnr.encode(codebook_model(), **options)
    assert_peer_reads(peer, data)
    books = {h.topology_elem_id: h.integer_codebook for h in headers(data) if h.codebook_present_flag}
    sizes = {name: len(book.codebook) for name, book in books.items()}
    assert sizes["constant"] == sizes["zero"] == sizes["one by one"] == 1
    assert 1 < sizes["weight"] <= options["codebook"]
    assert min(books["positive"].codebook) >= 0 >= max(books["negative"].codebook)


BIT_DEPTHS: list[dict[str, Any]] = [
    *({"bitdepth": bits} for bits in range(1, 17)),
    *({"bitdepth": 4, "scan_order": order} for order in (1, 3)),
    *({"bitdepth": bits, "profile": 0} for bits in (2, 8)),
    {"bitdepth": 4, "lambda_scale": 0.8},
    {"bitdepth": 3, "dq": False},
]


@pytest.mark.parametrize("options", BIT_DEPTHS, ids=named)
def test_bit_depths(peer: Peer, options: dict[str, Any]) -> None:
    data = nnr.encode(synthetic_model(5), **options)
    assert_peer_reads(peer, data)
    levels = nnr.decode_levels(data)
    bits = options["bitdepth"]
    for name in ("conv.weight", "fc/weight", "wide", "five"):
        span = int(levels[name].max()) - int(levels[name].min())
        assert span < 1 << bits, name


RATES: list[dict[str, Any]] = [
    *({"lambda_scale": weight, "dq": dq} for weight in (0.3, 0.8, 5.0) for dq in (False, True)),
    *({"lambda_scale": 0.8, "scan_order": order, "dq": dq} for order in (1, 4) for dq in (False, True)),
    *({"lambda_scale": 0.8, "qp": qp} for qp in (-60, -26, -14)),
    *({"lambda_scale": 0.8, "profile": 0, "dq": dq} for dq in (False, True)),
    *({"effort": effort} for effort in ("fast", "best")),
    {"effort": "best", "scan_order": 2, "qp": -26},
    *({"importance": "squares", "dq": dq, "lambda_scale": w} for dq in (False, True) for w in (0.0, 0.8)),
    {"importance": "squares", "codebook": 8},
    {"importance": "squares", "bitdepth": 4},
    {"importance": "squares", "allocate": True},
    *({"allocate": True, "dq": dq} for dq in (False, True)),
    {"allocate": True, "effort": "best", "qp": -28},
]


@pytest.mark.parametrize("options", RATES, ids=named)
def test_rate_and_importance(peer: Peer, options: dict[str, Any]) -> None:
    model = synthetic_model(6)
    if options.get("importance"):
        weights = {n: a for n, a in model.items() if a.dtype.kind == "f" and a.ndim > 1}
        options = {**options, "importance": {name: array**2 + 1e-3 for name, array in weights.items()}}
    assert_peer_reads(peer, nnr.encode(model, **options))


TARGETS: list[dict[str, Any]] = [
    {"bits_per_weight": 6.0},
    {"bits_per_weight": 6.0, "dq": False},
    {"target_size": 9000},
    {"target_size": 9000, "effort": "best"},
    {"max_error": 0.02},
    {"psnr": 40.0},
    {"psnr": 35.0, "dq": False, "scan_order": 1},
]


@pytest.mark.parametrize("options", TARGETS, ids=named)
def test_targets(peer: Peer, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(7)
    model = {f"layer {k}": rng.normal(0, 0.1, (50, 40)).astype(np.float32) for k in range(6)}
    assert_peer_reads(peer, nnr.encode(model, **options))


BLOCKS: list[dict[str, Any]] = [
    {},
    {"dq": False},
    *({"scan_order": order, "dq": dq} for order in range(1, 5) for dq in (False, True)),
    {"qp": -26},
    {"qp": -12, "nonweight_qp": -30},
    {"row_skip": False},
    {"param_opt": False},
    {"codebook": 8, "dq": False},
    {"codebook": 8, "scan_order": 1},
    {"bitdepth": 4},
    {"lambda_scale": 0.8},
    {"effort": "best"},
    {"metadata": False},
    {"cabac_unary_length": 1},
    {"qp_density": 7, "qp": -900, "nonweight_qp": -1100},
    {"allocate": True},
    *({"profile": 0, "dq": dq, "scan_order": order} for dq in (False, True) for order in (0, 2)),
    {"profile": 0, "codebook": 8},
]


@pytest.mark.parametrize("how", ["found", "stated"])
@pytest.mark.parametrize("options", BLOCKS, ids=named)
def test_blocks(peer: Peer, options: dict[str, Any], how: str) -> None:
    model = block_model()
    data = nnr.encode(model, blocks=stated_blocks() if how == "stated" else True, **options)
    coded = assert_peer_reads(peer, data)
    assert set(coded) == set(model)
    used = tools(data)
    assert used["block"] == used["bias"] == 3
    assert used["batch norm"] == 2
    assert used["local scaling"] == (2 if how == "stated" else 0)


@pytest.mark.parametrize("dq", [False, True])
@pytest.mark.parametrize("order", range(1, 5))
def test_entry_points_are_those_that_the_peer_writes(peer: Peer, order: int, dq: bool) -> None:
    """The decoder of the peer starts block rows there, so that wrong ones fail elsewhere too; here its
    encoder, given the same integers, must agree."""
    rng = np.random.default_rng(8)
    shapes = {"a": (70, 68), "b": (40, 72), "c": (20, 6, 3, 3), "d": (300, 5), "e": (5, 300)}
    model = {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    ours = nnr.encode(model, scan_order=order, dq=dq, param_opt=False, row_skip=False)
    theirs = peer.encode(model, scan_order=order, use_dq=dq, param_opt=False).data
    levels = nnr.decode_levels(ours), nnr.decode_levels(theirs)
    assert all(np.array_equal(levels[0][name], levels[1][name]) for name in model)
    elements = ["cabac_offset_list", "bit_offset"] + ["dq_state_list"] * dq
    for mine, other in zip(headers(ours), headers(theirs), strict=True):
        rows = shapes[mine.topology_elem_id][0]
        assert len(mine.cabac_offset_list) == -(-rows // (4 << order)) - 1
        for element in elements:
            assert mine[element] == other[element], (mine.topology_elem_id, element)
