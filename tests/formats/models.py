"""Models of all types and shapes for tests of formats."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

try:
    import ml_dtypes

    _EXTRA = {"layer/bf16": np.arange(5).astype(ml_dtypes.bfloat16)}
except ImportError:
    _EXTRA = {}

MODEL: dict[str, np.ndarray] = {
    "layer/weight": np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6),
    "layer/half": np.ones((2, 2), np.float16),
    "double": np.arange(3) / 7,
    "count": np.array(7, np.int64),
    "flag": np.arange(21) % 3 == 0,
    "none": np.zeros((0, 4), np.float32),
    "byte": np.arange(3, dtype=np.uint8),
    "strided": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
    **_EXTRA,
}


def assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    """Names, types, shapes and every bit."""
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name
