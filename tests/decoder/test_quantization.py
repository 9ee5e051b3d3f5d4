"""Step sizes, states and codebooks against the formulas of the specification."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.decoder.quantization import (
    DQ_TRANSITION,
    codebook_values,
    next_state,
    qp_of_step,
    qp_range,
    step_size,
    uniform_values,
)
from nnr.errors import ConformanceError


def exact_step(qp: int, d: int) -> Fraction:
    return Fraction(2**d + qp % 2**d) * Fraction(2) ** (qp // 2**d - d)


@given(st.integers(-600, 600), st.integers(0, 7))
def test_step_size_is_the_exact_product_of_the_text(qp, density):
    assert Fraction(step_size(qp, density)) == exact_step(qp, density)


def test_step_size_examples():
    assert step_size(0, 2) == 1.0
    assert step_size(-12, 2) == 0.125  # worked example of the specification
    assert step_size(4, 2) == 2.0
    assert step_size(1, 2) == 1.25


@given(st.integers(-500, 500), st.integers(0, 7))
def test_qp_of_step_inverts_step_size(qp, density):
    assert qp_of_step(step_size(qp, density), density) == qp


def test_qp_field_widths():
    assert qp_range(2) == (-128, 127)
    assert qp_range(0) == (-32, 31)


def test_parity_zero_cycles_of_the_transition_table():
    """tables.md: applying parity 0 repeatedly gives the cycles (0), (1 7 4 2), (3 6), (5)."""
    cycles = set()
    for start in range(8):
        path, state = [], start
        while state not in path:
            path.append(state)
            state = next_state(state, 0)
        cycles.add(frozenset(path))
    assert cycles == {frozenset([0]), frozenset([1, 7, 4, 2]), frozenset([3, 6]), frozenset([5])}
    assert next_state(0, -3) == DQ_TRANSITION[0][1]  # parity of a negative index


def test_uniform_values_round_the_level_first():
    """2^24 + 1 is no binary32 number: it becomes 2^24 before the multiplication."""
    levels = np.array([2**24 + 1, -(2**24) - 1, 3], np.int32)
    assert uniform_values(levels, 1, 2).tolist() == [1.25 * 2**24, -1.25 * 2**24, 3.75]
    assert uniform_values(levels, 1, 2).dtype == np.float32


def test_codebook_values():
    out = codebook_values(np.array([[-1, 0], [1, 0]], np.int32), (-7, 2, 5), 1, 1, 2)
    assert out.tolist() == [[-8.75, 2.5], [6.25, 2.5]]
    assert out.dtype == np.float32


@pytest.mark.parametrize("index", [-2, 2])
def test_index_outside_the_codebook_is_an_error_with_its_section(index):
    with pytest.raises(ConformanceError) as error:
        codebook_values(np.array([index], np.int32), (-7, 2, 5), 1, 0, 2)
    assert error.value.clause == "decoding 10.3"
