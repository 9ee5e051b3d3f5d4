"""Models for the comparisons: synthetic ones that reach every corner, and real ones."""

from __future__ import annotations

import numpy as np

from nnr.cli.demo import MODEL
from nnr.formats import load_tensors
from tests.shared import shared_path

__all__ = ["REAL", "real_model", "synthetic_model"]

#: Names of real models; those of the shared material are skipped where it is absent.
REAL = (
    "lenet5",
    "resnet20_cifar10",
    "resnet56_cifar10",
    "mobilenet_v1_075_imagenet",
    "squeezenet1_1_imagenet",
)


def real_model(name: str) -> dict[str, np.ndarray]:
    """One of `REAL`, as arrays that the peer accepts too (float32)."""
    if name == "lenet5":
        return load_tensors(MODEL)
    return load_tensors(shared_path("data", f"{name}.safetensors"))


def synthetic_model(seed: int = 0, *, integers: bool = True) -> dict[str, np.ndarray]:
    """Tensors of one to five dimensions: dense, sparse, with rows of zeros, constant, tiny, huge."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 0.05) -> np.ndarray:
        return rng.normal(0, scale, shape).astype(np.float32)

    sparse = normal(32, 24) * (rng.random((32, 24)) < 0.1)
    rows = normal(40, 8, 3, 3)
    rows[rng.random(40) < 0.6] = 0
    model = {
        "conv.weight": normal(16, 4, 3, 3),
        "conv.bias": normal(16),
        "fc/weight": normal(70, 68),
        "sparse": sparse.astype(np.float32),
        "zero rows": rows,
        "zeros": np.zeros((9, 4), np.float32),
        "constant": np.full((5, 4), 0.25, np.float32),
        "one": normal(1),
        "one by one": normal(1, 1),
        "row": normal(1, 300),
        "column": normal(300, 1),
        "five": normal(3, 2, 5, 2, 4),
        "wide": (rng.standard_cauchy((20, 20)) * 3).astype(np.float32),
        "ünïcode.名前": normal(4, 4),
    }
    model["few values"] = rng.choice(np.array([-0.3, -0.1, 0, 0.2, 0.5], np.float32), (80, 60))
    if integers:
        model["count"] = np.array([12345], np.int32)
        model["integers"] = rng.integers(-1000, 1000, (7, 9)).astype(np.int32)
        model["extremes"] = np.array([2**31 - 3, -(2**31) + 3, 0, 1, -1], np.int32)
    return model
