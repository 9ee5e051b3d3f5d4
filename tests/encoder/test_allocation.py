"""A qp for each tensor."""

import numpy as np
import pytest

import nnr


def model():
    rng = np.random.default_rng(2)
    return {f"w{k}": rng.laplace(0, 0.02 * 3**k, (60, 60)).astype(np.float32) for k in range(4)}


def qps_of(data):
    with nnr.open(data) as file:
        return {name: file.info(name)["qp"] for name in file}


@pytest.mark.parametrize("lambda_scale", [0.0, 0.8])
def test_important_tensors_get_finer_steps_at_the_same_size(lambda_scale):
    tensors = model()
    factors = {"w0": 64.0, "w1": 1.0, "w2": 1.0, "w3": 1 / 64}
    importance = {name: np.full((60, 60), f, np.float32) for name, f in factors.items()}
    options = {"qp": -16, "lambda_scale": lambda_scale, "importance": importance}
    equal, own = nnr.encode(tensors, **options), nnr.encode(tensors, allocate=True, **options)
    found = qps_of(own)
    assert found["w0"] < found["w1"] <= found["w2"] + 2 < found["w3"] + 2
    # 64 times the importance is an eighth of the step: three octaves, twelve qps; two and a half can be tried
    assert found["w1"] - found["w0"] >= 4
    assert len(own) <= 1.02 * len(equal)

    def weighted(data):
        out = nnr.decode(data)
        return sum(factors[n] * float(((out[n].astype(np.float64) - tensors[n]) ** 2).sum()) for n in tensors)

    assert weighted(own) < 0.9 * weighted(equal)


def test_alike_tensors_keep_the_given_qp():
    rng = np.random.default_rng(3)
    tensors = {f"w{k}": rng.laplace(0, 0.05, (60, 60)).astype(np.float32) for k in range(4)}
    assert set(qps_of(nnr.encode(tensors, qp=-24, allocate=True)).values()) == {-24}


def test_allocation_meets_targets_and_other_tensors():
    tensors = model() | {"bias": np.ones(5, np.float32), "n": np.arange(3), "z": np.zeros((3, 3), np.float32)}
    data = nnr.encode(tensors, allocate=True, target_size=5000, lambda_scale=0.5)
    assert 4900 <= len(data) <= 5000
    assert nnr.encode({"n": np.arange(3)}, allocate=True) == nnr.encode({"n": np.arange(3)})
    assert nnr.encode(tensors, allocate=True, threads=1) == nnr.encode(tensors, allocate=True, threads=3)
