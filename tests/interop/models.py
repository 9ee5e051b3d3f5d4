"""Models for the comparisons: synthetic ones that reach every corner, and real ones."""

from __future__ import annotations

import numpy as np

from nnr.cli.demo import MODEL
from nnr.formats import load_tensors
from tests.shared import shared_path

__all__ = [
    "REAL",
    "block_model",
    "codebook_model",
    "peer_blocks",
    "real_model",
    "stated_blocks",
    "synthetic_model",
    "trained",
    "training_model",
]

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


def codebook_model(seed: int = 0) -> dict[str, np.ndarray]:
    """Tensors whose codebooks have one entry, entries of one sign, few, and many."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    return {
        "constant": np.full((6, 7), 0.3, np.float32),
        "zero": np.zeros((5, 5), np.float32),
        "one by one": normal(1, 1),
        "positive": np.abs(normal(30, 20)),
        "negative": -np.abs(normal(30, 20)),
        "two": rng.choice(np.array([-0.1, 0.4], np.float32), (20, 20)),
        "weight": normal(70, 68),
        "bias": normal(70),
    }


def block_model(seed: int = 0) -> dict[str, np.ndarray]:
    """Layers as a framework names them, with scalings that only a caller can know of."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.1, shape).astype(np.float32)

    model: dict[str, np.ndarray] = {}
    for name, (rows, cols) in {"one": (16, 3), "two": (24, 16)}.items():
        weight = normal(rows, cols, 3, 3)
        weight[::3] = 0
        model |= {
            f"{name}.conv.weight": weight,
            f"{name}.conv.bias": normal(rows),
            f"{name}.scaling": 1 + normal(rows),
            f"{name}.bn.weight": 1 + normal(rows),
            f"{name}.bn.bias": normal(rows),
            f"{name}.bn.running_mean": normal(rows),
            f"{name}.bn.running_var": 1 + np.abs(normal(rows)),
        }
    return model | {"fc.weight": normal(20, 24), "fc.bias": normal(20), "alone": normal(9, 7)}


def stated_blocks() -> dict[str, dict[str, str]]:
    """The layers of `block_model` with all that a block can hold, as `nnr.encode(blocks=...)` takes them."""
    full = {
        f"{name}.conv.weight": {
            "bias": f"{name}.conv.bias",
            "scaling": f"{name}.scaling",
            "beta": f"{name}.bn.bias",
            "gamma": f"{name}.bn.weight",
            "mean": f"{name}.bn.running_mean",
            "variance": f"{name}.bn.running_var",
        }
        for name in ("one", "two")
    }
    return full | {"fc.weight": {"bias": "fc.bias"}}


def peer_blocks() -> tuple[dict[str, np.ndarray], dict[str, dict[str, str]]]:
    """A model of two layers, and its blocks as the peer's `compress` is told them."""
    kinds = {
        "conv.weight": "weight", "conv.bias": "bias", "conv.weight_scaling": "weight.ls",
        "bn.weight": "bn.gamma", "bn.bias": "bn.beta", "bn.running_mean": "bn.mean",
        "bn.running_var": "bn.var",
    }  # fmt: skip
    names = {f"{layer}.{part}": (layer, kind) for layer in ("one", "two") for part, kind in kinds.items()}
    # the peer knows the scaling of a weight by its name alone
    model = {name.replace(".scaling", ".conv.weight_scaling"): a for name, a in block_model().items()}
    return {name: model[name] for name in names}, {
        "block_identifier": {name: layer for name, (layer, _) in names.items()},
        "parameter_type": {name: kind for name, (_, kind) in names.items()},
    }


def training_model(seed: int = 0) -> dict[str, np.ndarray]:
    """A model to be trained by `trained`."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(0, 0.05, shape).astype(np.float32)

    return {
        "conv.weight": normal(32, 16, 3, 3),
        "conv.bias": normal(32),
        "fc": normal(48, 40),
        "rows": normal(60, 40),
        "late": normal(12, 9),
        "never": normal(5, 5),
        "row": normal(1, 30),
        "column": normal(30, 1),
        "count": np.array([5], np.int32),
        "integers": rng.integers(-50, 50, (6, 7)).astype(np.int32),
    }


def trained(model: dict[str, np.ndarray], round_: int, seed: int = 0) -> dict[str, np.ndarray]:
    """`model` after round 1, 2, ...: the weights move at the same places every time, whole rows of one tensor
    do, and some tensors move only in some rounds or never."""
    places, rng = np.random.default_rng(seed), np.random.default_rng([seed, round_])
    model = {name: array.copy() for name, array in model.items()}

    def move(name: str, mask: np.ndarray | float = 1.0, drift: float = 0.0) -> None:
        model[name] += (mask * rng.normal(drift, 0.02, model[name].shape)).astype(np.float32)

    for name, density in (("conv.weight", 0.15), ("fc", 0.1), ("rows", 0.5)):
        mask = places.random(model[name].shape) < density
        if name == "rows":
            mask[places.random(60) < 0.6] = False
        move(name, mask, 0.02)
    move("conv.bias")
    if round_ != 2 and "row" in model:  # absent where the peer cannot scan it
        move("row")
    if round_ >= 2:
        move("late")
        model["integers"] += rng.integers(-1, 2, model["integers"].shape).astype(np.int32)
    if round_ % 2:
        if "column" in model:
            move("column")
        model["count"] += 1
    return model
