"""Layers found or stated, coded as blocks."""

import numpy as np
import pytest

import nnr
from nnr.decoder.plan import Role
from nnr.encoder.blocks import find_blocks
from nnr.syntax.constants import PayloadType
from nnr.syntax.stream import read_units


def resnet_like():
    rng = np.random.default_rng(0)
    f = np.float32
    return {
        "conv1.weight": rng.normal(0, 0.1, (8, 3, 3, 3)).astype(f),
        "bn1.weight": rng.normal(1, 0.1, 8).astype(f),
        "bn1.bias": rng.normal(0, 0.1, 8).astype(f),
        "bn1.running_mean": rng.normal(0, 1, 8).astype(f),
        "bn1.running_var": rng.random(8).astype(f),
        "bn1.num_batches_tracked": np.array(7, np.int64),
        "conv2.weight": rng.normal(0, 0.1, (4, 8)).astype(f),
        "conv2.bias": rng.normal(0, 0.1, 4).astype(f),
        "bn2.gamma": rng.normal(1, 0.1, 4).astype(f),
        "bn2.beta": rng.normal(0, 0.1, 4).astype(f),
        "bn2.moving_mean": rng.normal(0, 1, 4).astype(f),
        "bn2.moving_variance": rng.random(4).astype(f),
        "fc.weight": rng.normal(0, 0.1, (5, 4)).astype(f),
        "fc.scale": rng.normal(1, 0.1, 5).astype(f),
        "lonely": rng.normal(0, 0.1, (3, 3)).astype(f),
    }


def test_layers_are_found_by_names_and_shapes():
    shapes = {name: t.shape for name, t in resnet_like().items() if t.dtype == np.float32}
    assert find_blocks(shapes) == {
        "conv1.weight": {
            Role.BN_GAMMA: "bn1.weight", Role.BN_BETA: "bn1.bias",
            Role.BN_MEAN: "bn1.running_mean", Role.BN_VARIANCE: "bn1.running_var",
        },
        "conv2.weight": {
            Role.BIAS: "conv2.bias", Role.BN_GAMMA: "bn2.gamma", Role.BN_BETA: "bn2.beta",
            Role.BN_MEAN: "bn2.moving_mean", Role.BN_VARIANCE: "bn2.moving_variance",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{}, {"dq": False}, {"profile": 0}, {"scan_order": 1}, {"metadata": False}, {"pipeline": ["codebook"]}],
    ids=str,
)
def test_blocks_give_the_same_values_as_separate_units(options):
    tensors = resnet_like()
    apart, together = nnr.encode(tensors, **options), nnr.encode(tensors, blocks=True, **options)
    assert "pipeline" in options or len(together) < len(apart)
    a, b = nnr.decode(apart), nnr.decode(together)
    if options.get("metadata", True):
        assert list(b) == list(a)
    assert b.keys() == a.keys()
    for name in a:
        if "pipeline" not in options or tensors[name].ndim > 1:
            assert np.array_equal(a[name], b[name]), name
    kinds = [
        u.header.unit_header.nnr_compressed_data_unit_payload_type
        for u in read_units(together)
        if u.unit_type == 5
    ]
    assert kinds.count(PayloadType.NNR_PT_BLOCK) == 2


def test_stated_layers_and_local_scaling():
    tensors = resnet_like()
    data = nnr.encode(tensors, blocks={"fc.weight": {"scaling": "fc.scale"}}, qp=-40)
    coded = nnr.decode(data, form="coded")
    plain = nnr.decode(data)
    assert np.array_equal(plain["fc.weight"], coded["fc.weight"] * coded["fc.scale"][:, None])
    assert "fc.scale" not in plain


@pytest.mark.parametrize(
    ("blocks", "words"),
    [
        ({"nothing": {"bias": "fc.scale"}}, "'nothing'"),
        ({"fc.weight": {"bias": "bn1.bias"}}, "'bn1.bias'.*length 5"),
        ({"fc.weight": {"colour": "fc.scale"}}, "'colour'"),
        ({"fc.weight": {"bias": "fc.scale", "scaling": "fc.scale"}}, "twice"),
        ({"conv1.weight": {"beta": "bn1.bias"}}, "beta, gamma, mean and variance"),
    ],
)
def test_layers_that_do_not_fit_are_refused(blocks, words):
    with pytest.raises(ValueError, match=words):
        nnr.encode(resnet_like(), blocks=blocks)


def test_the_report_shares_the_bytes_of_a_block(tmp_path):
    report = nnr.save_file(resnet_like(), tmp_path / "x.nnr", blocks=True)
    sizes = {t.name: t.coded_bytes for t in report.tensors}
    assert sizes["conv1.weight"] > sizes["bn1.bias"] > 0
    assert sum(sizes.values()) < report.total_bytes


def test_open_gives_what_decode_gives(tmp_path):
    for options in ({"blocks": True}, {"blocks": {"fc.weight": {"scaling": "fc.scale"}}}):
        data = nnr.encode(resnet_like(), qp=-40, **options)
        whole = nnr.decode(data)
        with nnr.open(data) as file:
            assert list(file) == list(whole)
            for name in file:
                assert np.array_equal(file[name], whole[name])
                assert file.info(name)["shape"] == whole[name].shape
        with nnr.open(data, form="coded") as file:
            coded = nnr.decode(data, form="coded")
            assert set(file) == set(coded)
            assert all(np.array_equal(file[name], coded[name]) for name in file)


def test_a_folded_batch_norm_comes_back_where_its_names_are_known():
    """(decoding 10.5) ls * (W x) + bias equals the batch norm with gamma ls, beta bias, mean "
    "0, variance 1 - eps."""
    rng = np.random.default_rng(4)
    model = {
        "conv.weight": rng.normal(0, 0.1, (6, 5)).astype(np.float32),
        "conv.weight_scaling": rng.normal(1, 0.1, 6).astype(np.float32),
        "conv.weight.bias": rng.normal(0, 0.1, 6).astype(np.float32),
    }
    stated = {"conv.weight": {"scaling": "conv.weight_scaling", "bias": "conv.weight.bias"}}
    data = nnr.encode(model, blocks=stated, metadata=False, qp=-60)
    names = {
        "beta": "bn.bias",
        "gamma": "bn.weight",
        "mean": "bn.running_mean",
        "variance": "bn.running_var",
        "bias": "conv.bias",
        "epsilon": 1e-3,
    }
    known = {"conv.weight": {"batch_norm": names}}
    folded, unfolded = nnr.decode(data), nnr.decode(data, out_of_band=known)
    assert list(folded) == ["conv.weight", "conv.weight.bias"]
    assert set(unfolded) == {
        "conv.weight",
        "conv.bias",
        "bn.bias",
        "bn.weight",
        "bn.running_mean",
        "bn.running_var",
    }
    x = rng.normal(0, 1, 5)
    expected = folded["conv.weight"].astype(np.float64) @ x + folded["conv.weight.bias"]
    u = {name: t.astype(np.float64) for name, t in unfolded.items()}
    y = u["conv.weight"] @ x + u["conv.bias"]
    y = u["bn.weight"] * (y - u["bn.running_mean"]) / np.sqrt(u["bn.running_var"] + 1e-3) + u["bn.bias"]
    assert np.allclose(y, expected, atol=1e-6)
    with nnr.open(data, out_of_band=known) as file:
        assert all(np.array_equal(file[name], unfolded[name]) for name in unfolded)
    with pytest.raises(ValueError, match="batch_norm"):
        nnr.decode(data, out_of_band={"conv.weight": {"batch_norm": {"beta": "b"}}})


@pytest.mark.parametrize(
    "options",
    [{}, {"dq": False}, {"scan_order": 1}, {"codebook": 9}, {"profile": 0}, {"metadata": False}],
    ids=str,
)
def test_decomposed_weights_come_back_multiplied_out(options):
    rng = np.random.default_rng(9)
    model = {
        "conv.weight_G": rng.normal(0, 0.3, (20, 4)).astype(np.float32),
        "conv.weight_H": rng.normal(0, 0.3, (4, 27)).astype(np.float32),
        "conv.bias": rng.normal(0, 0.1, 20).astype(np.float32),
        "other": rng.normal(0, 0.1, (3, 3)).astype(np.float32),
    }
    stated = {"conv.weight_G": {"H": "conv.weight_H", "bias": "conv.bias", "dimensions": [20, 3, 3, 3]}}
    data = nnr.encode(model, blocks=stated, compat=None, **options)
    coded, plain = nnr.decode(data, form="coded"), nnr.decode(data)
    assert set(coded) == set(model)
    assert list(plain) == ["conv.weight", "conv.bias", "other"]
    assert plain["conv.weight"].shape == (20, 3, 3, 3)
    product = coded["conv.weight_G"].astype(np.float64) @ coded["conv.weight_H"].astype(np.float64)
    assert np.allclose(plain["conv.weight"].reshape(20, 27), product, atol=1e-6)
    if "codebook" not in options:
        for name in model:
            assert np.abs(coded[name] - model[name]).max() < 0.02
    with nnr.open(data) as file:
        assert np.array_equal(file["conv.weight"], plain["conv.weight"])


@pytest.mark.parametrize(
    ("stated", "words"),
    [
        ({"g": {"H": "wrong"}}, "no factors"),
        ({"g": {"H": "h", "dimensions": [5, 5]}}, "no dimensions"),
        ({"g": {"dimensions": [6, 2]}}, "decomposed"),
    ],
)
def test_factors_that_do_not_fit_are_refused(stated, words):
    model = {
        "g": np.ones((6, 2), np.float32),
        "h": np.ones((2, 5), np.float32),
        "wrong": np.ones((3, 5), np.float32),
    }
    with pytest.raises(ValueError, match=words):
        nnr.encode(model, blocks=stated, compat=None)
    with pytest.raises(ValueError, match="compat=None"):
        nnr.encode(model, blocks={"g": {"H": "h"}})
