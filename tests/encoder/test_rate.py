"""Rate-distortion quantization and importance."""

import numpy as np
import pytest

import nnr


def model(seed=0):
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(0, 0.7, (64, 1)))
    return {"w": (rng.laplace(0, 0.02, (64, 200)) * scale).astype(np.float32)}


def coded(tensors, **options):
    data = nnr.encode(tensors, metadata=False, **options)
    out = nnr.decode(data)
    return len(data), sum(float(((out[n].astype(np.float64) - tensors[n]) ** 2).sum()) for n in tensors)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dq": False},
        {"dq": False, "scan_order": 1},
        {"scan_order": 1},
        {"profile": 0},
        {"cabac_unary_length": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("qp", [-22, -14])
def test_the_rate_term_pays(options, qp):
    """Compared at equal squared error, between the qps that there are."""
    tensors = model()
    size, error = coded(tensors, qp=qp, **options)
    curve = [coded(tensors, qp=q, lambda_scale=0.8, **options) for q in range(qp - 6, qp + 1)]
    sizes, errors = np.log([s for s, _ in curve]), np.log([e for _, e in curve])
    assert errors[0] < np.log(error) < errors[-1]
    assert np.exp(np.interp(np.log(error), errors, sizes)) < 0.995 * size


def test_without_weight_on_the_rate_the_error_is_smallest():
    tensors = model()
    _, blind = coded(tensors, qp=-22)
    for scale in (0.2, 0.8, 2.0):
        size, error = coded(tensors, qp=-22, lambda_scale=scale)
        assert error > blind
    assert size < coded(tensors, qp=-22)[0]


@pytest.mark.parametrize("dq", [True, False])
def test_important_weights_are_kept_more_exactly(dq):
    tensors = model()
    importance = np.ones((64, 200), np.float32)
    importance[:, :50] = 30.0
    options = {"qp": -12, "lambda_scale": 0.8, "dq": dq}
    plain = nnr.decode(nnr.encode(tensors, **options))["w"]
    weighted = nnr.decode(nnr.encode(tensors, importance={"w": importance}, **options))["w"]
    error = [((x - tensors["w"])[:, :50] ** 2).sum() for x in (plain, weighted)]
    assert error[1] < 0.8 * error[0]
    total = [float((importance * (x - tensors["w"]) ** 2).sum()) for x in (plain, weighted)]
    assert total[1] < total[0]


@pytest.mark.parametrize(
    ("importance", "words"),
    [
        ({"v": np.ones(3)}, "no tensor 'v'"),
        ({"w": np.ones(3)}, r"'w'.*\[3\]"),
        ({"w": -np.ones((64, 200))}, "'w'.*negative"),
        ({"w": np.full((64, 200), np.nan)}, "'w'.*finite"),
    ],
)
def test_importance_is_checked(importance, words):
    with pytest.raises(ValueError, match=words):
        nnr.encode(model(), importance=importance)


def test_zero_importance_everywhere_is_no_crash():
    tensors = model()
    out = nnr.decode(nnr.encode(tensors, importance={"w": np.zeros((64, 200))}, lambda_scale=0.8))["w"]
    assert np.isfinite(out).all()


def test_lambda_scale_meets_targets():
    tensors = model()
    data = nnr.encode(tensors, target_size=3000, lambda_scale=0.8)
    assert 2936 <= len(data) <= 3000
    plain = nnr.encode(tensors, target_size=3000)
    error = [float(((nnr.decode(d)["w"] - tensors["w"]) ** 2).sum()) for d in (data, plain)]
    assert error[0] < error[1]
