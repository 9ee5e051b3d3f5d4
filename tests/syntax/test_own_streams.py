"""Streams of our own encoder: written back byte for byte, and sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnr
from nnr.syntax import parse, write
from nnr.syntax.check import check


def _model() -> dict[str, np.ndarray]:
    random = np.random.default_rng(7)
    return {
        "conv.weight": random.normal(size=(16, 8, 3, 3)).astype(np.float32),
        "conv.bias": random.normal(size=16).astype(np.float32),
        "fc.weight": random.normal(size=(40, 24)).astype(np.float32) * (random.random((40, 24)) < 0.1),
        "count": np.array(5, np.int64),
        "empty": np.zeros((0, 3), np.float32),
        "half": random.normal(size=(9, 4)).astype(np.float16),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"metadata": False},
        {"profile": 0},
        {"dq": False, "row_skip": True},
        {"codebook": 16, "dq": False},
        {"scan_order": 1},
    ],
    ids=lambda options: ",".join(f"{name}={value}" for name, value in options.items()) or "default",
)
def test_what_our_encoder_writes_survives_as_a_tree_and_conforms(options: dict[str, Any]) -> None:
    data = nnr.encode(_model(), **options)
    tree = parse(data)
    assert write(tree) == data
    assert write(parse(data, strict=False)) == data
    assert check(data).violations == []


def test_updates_of_our_encoder_survive_as_trees_and_conform() -> None:
    encoder = nnr.Encoder()
    model = _model()
    for step in range(3):
        if step == 0:
            data = encoder.encode(model)
        else:
            model = {name: array + array.dtype.type(step) for name, array in model.items()}
            data = encoder.encode_update(model)
        data = bytes(getattr(data, "data", data))
        assert write(parse(data)) == data
        assert check(data).violations == []
