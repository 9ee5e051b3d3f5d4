"""Every packed vector through the public API: values, levels, errors; C core and readable reference.

The default run decodes all vectors with the C core and the small ones with the reference; `-m slow` adds the
rest of those under 20 kB.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

import nnr
from conformance import generate, pack_vectors
from nnr.conformance import Suite, Vector, Verdict
from nnr.conformance.own import judge
from nnr.conformance.suite import canonical, compare, tensor_digest
from tests.shared import shared_path

SUITE = Suite()
_QUICK_BYTES = 300  # a stream this small takes the reference a few milliseconds
_REFERENCE_BYTES = 20_000


def _problems(vector: Vector, **options: Any) -> list[str]:
    """What is wrong with our output for a vector; empty for nothing."""
    result = judge(vector, **options)
    return [] if result.verdict is Verdict.PASS else [result.verdict.value, *result.reasons]


def _named(vectors: list[Vector]) -> Any:
    return pytest.mark.parametrize("vector", vectors, ids=lambda vector: vector.name)


@_named(list(SUITE))
def test_vector(vector: Vector) -> None:
    assert _problems(vector) == []


def _reference_bytes(vector: Vector) -> int:
    return len(vector.data) + sum(len(earlier.data) for earlier in vector.predecessors())


@_named(
    [
        v
        for v in SUITE
        if (v.tier in ("spec", "generated") and len(v.data) < 4000) or _reference_bytes(v) < _QUICK_BYTES
    ]
)
def test_small_vector_with_the_reference(vector: Vector) -> None:
    assert _problems(vector, backend="python") == []


@pytest.mark.slow
@_named([v for v in SUITE if _reference_bytes(v) >= _QUICK_BYTES and len(v.data) < _REFERENCE_BYTES])
def test_vector_with_the_reference(vector: Vector) -> None:
    assert _problems(vector, backend="python") == []


@pytest.mark.parametrize("threads", [1, 2, 8])
@_named([v for v in SUITE if len(v.data) > 30_000 or v.tier == "quirks"])
def test_the_number_of_threads_changes_nothing(vector: Vector, threads: int) -> None:
    assert _problems(vector, threads=threads) == []


def test_suite_is_whole() -> None:
    """575 third-party vectors, of which 47 are sequences of 202 steps; 36 of the specification; ours."""
    tiers: dict[str, set[str]] = {}
    for vector in SUITE:
        tiers.setdefault(vector.tier, set()).add(vector.name.partition("/step")[0])
    sizes = {tier: len(names) for tier, names in tiers.items()}
    assert sizes.pop("generated") > 500
    assert sizes == {"spec": 36, "main": 497, "assembled": 10, "edition1": 68, "quirks": 13}
    assert sum(vector.tier != "generated" for vector in SUITE) == 36 + 575 - 47 + 202 + 13


def test_generated_vectors_are_those_of_the_generators() -> None:
    assert generate.main(["--check"]) == 0


def test_packed_vectors_are_those_of_the_source() -> None:
    assert pack_vectors.main([str(shared_path("vectors").parent), "--check"]) == 0


# ----------------------------------------------------------------------------------------------------
# The comparison itself: a suite that cannot fail proves nothing


@cache
def _decoded(name: str) -> tuple[Vector, Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    vector = SUITE[name]
    return vector, nnr.decode(vector.data, form="coded"), nnr.decode_levels(vector.data)


def test_digest_is_as_documented() -> None:
    """SHA-256 of b"w\\0int32\\02,1\\0" and the bytes 1 0 0 0 ff ff ff ff, computed with sha256sum."""
    expected = "c69249c211070d9169ff538838e0a0bd7293664ada3efa750295756d9cd0732c"
    assert tensor_digest("w", np.array([[1], [-1]], "<i4")) == expected


def test_comparison_sees_a_changed_value_level_shape_name_or_kind() -> None:
    vector, values, levels = _decoded("spec/worked_example")
    assert compare(vector, values, levels) == []
    other = dict(values, w=np.array(values["w"]))
    other["w"][2, 3] = np.nextafter(other["w"][2, 3], np.float32(0))
    assert compare(vector, other) == ["values of 'w' differ"]
    assert compare(vector, None, {"w": levels["w"] + 1}) == ["levels of 'w' differ"]
    turned = {"w": values["w"].reshape(4, 3)}
    assert compare(vector, turned) == ["values of 'w' have shape (4, 3), not (3, 4)"]
    assert compare(vector, {"v": values["w"]}) == ["unexpected tensor 'v'", "no values of 'w'"]
    assert len(compare(vector, {"w": values["w"].astype(np.int32)})) == 1
    assert len(compare(vector, None, {"w": levels["w"].astype(np.float32)})) == 1


def test_comparison_allows_precision_and_sign_of_zero() -> None:
    vector, values, levels = _decoded("spec/worked_example")
    double = values["w"].astype(np.float64)
    double[double == 0] = -0.0
    assert compare(vector, {"w": np.asfortranarray(double)}, {"w": levels["w"].astype(np.int64)}) == []


def test_raw_floats_keep_the_sign_of_zero() -> None:
    zeros = np.array([0.0, -0.0], np.float32)
    raw = canonical(zeros, "float32", exact_zeros=True)
    assert np.signbit(raw).tolist() == [False, True]
    assert not np.signbit(canonical(zeros, "float32")).any()


def test_integers_must_fit() -> None:
    with pytest.raises(OverflowError):
        canonical(np.array([1 << 31]), "int32")
