"""The step rule of DeepCABAC, by its formula."""

import numpy as np
import pytest

import nnr
from nnr.decoder.quantization import step_size
from nnr.encoder.deepcabac import coarseness_qps, importance_of, search_coarseness, step_of_coarseness


def test_step_rule_worked_by_hand():
    assert step_of_coarseness(1.0, 0.1, 0.0) == pytest.approx(0.1)
    assert step_of_coarseness(1.0, 0.1, 180.0) == pytest.approx(2 / 200)
    assert step_of_coarseness(2.0, 0.5, -4.0) == pytest.approx(1.0)
    for bad in [(0.0, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.0, -2.0)]:
        with pytest.raises(ValueError):
            step_of_coarseness(*bad)


def test_importance_is_the_inverse_variance_with_mean_one():
    eta = importance_of({"a": [1.0, 2.0], "b": [[0.5]]})
    assert eta["a"][0] / eta["a"][1] == pytest.approx(4.0)
    assert eta["b"][0, 0] / eta["a"][0] == pytest.approx(4.0)
    assert (eta["a"].sum() + eta["b"].sum()) / 3 == pytest.approx(1.0)
    with pytest.raises(ValueError, match="'a'"):
        importance_of({"a": [0.0]})


def test_search_finds_the_smallest_stream_that_is_good_enough():
    rng = np.random.default_rng(0)
    model = {"w": rng.laplace(0, 0.05, (40, 50)).astype(np.float32)}
    sigmas = {"w": np.full((40, 50), 0.02)}

    def evaluate(coarseness):
        qps = coarseness_qps(model, sigmas, coarseness)
        data = nnr.encode(model, qp_per_tensor=qps, importance=importance_of(sigmas), lambda_scale=0.5)
        return len(data), -float(((nnr.decode(data)["w"] - model["w"]) ** 2).mean())

    qps = coarseness_qps(model, sigmas, 0.0)
    assert step_size(qps["w"], 2) == pytest.approx(0.02, rel=0.13)
    candidates = [-10.0, 0.0, 20.0, 100.0]
    coarseness, size, score = search_coarseness(evaluate, candidates, floor=evaluate(20.0)[1])
    assert coarseness == 20.0
    assert (size, score) == evaluate(20.0)
    with pytest.raises(ValueError, match="no coarseness"):
        search_coarseness(evaluate, candidates, floor=0.0)


def test_fisher_diagonal_of_a_linear_layer():
    """Squared error of y = w x: the gradient is 2 x (w x - y), so its square is known."""
    torch = pytest.importorskip("torch")
    from nnr.torch import fisher_diagonal

    layer = torch.nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        layer.weight[:] = torch.tensor([[1.0, 2.0]])
    batches = [
        (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0]])),
        (torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0]])),
    ]
    found = fisher_diagonal(layer, batches, loss=torch.nn.functional.mse_loss)
    raw = np.array([[(2 * 1.0) ** 2 / 2, (2 * 3 * 6.0) ** 2 / 2]])
    assert np.allclose(found["weight"], raw / raw.mean())
    assert layer.training
    with pytest.raises(ValueError):
        fisher_diagonal(layer, [])
