"""Streams of our own encoder: written back byte for byte, and sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import nnr
from nnr.syntax import parse, write
from nnr.syntax.check import check
from nnr.syntax.stream import DataUnitWriter


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


@pytest.mark.parametrize(
    "options",
    [{}, {"codebook": 5}, {"effort": "best"}, {"scan_order": 1}, {"profile": 0}, {"raw": ("0.weight",)}],
    ids=str,
)
def test_headers_in_common_are_written_as_they_are_one_by_one(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(8)
    shapes = [(4, 3), (3, 4), (4, 3), (5,), (5,), (16, 8, 3, 3), (16, 8, 3, 3)]
    model = {f"{k}.weight": random.normal(0, 0.1, shape).astype(np.float32) for k, shape in enumerate(shapes)}
    model |= {
        "": model["0.weight"] + 1,
        "id of the element": model["1.weight"] + 1,
        "\u00e4": np.ones((4, 3), "f4"),
    }
    written = nnr.encode(model, **options)
    monkeypatch.setattr(DataUnitWriter, "_APART", frozenset({"topology_elem_id"}))
    assert nnr.encode(model, **options) == written
