"""The tables that are compiled in are those of the specification."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.shared import shared_path

C_CORE = Path(__file__).resolve().parents[2] / "c_core"


def numbers_of(file: str, declaration: str) -> list[int]:
    """All numbers between the braces of a table."""
    text = (C_CORE / file).read_text(encoding="utf-8")
    start = text.index(declaration)
    body = text[text.index("= {", start) : text.index("};", start)]
    return [int(number) for number in re.findall(r"-?\d+", body)]


@pytest.fixture(scope="module")
def range_lps() -> list[int]:
    return numbers_of("tables.h", "RANGE_LPS[")


@pytest.fixture(scope="module")
def curve() -> list[int]:
    return numbers_of("tables.h", "ADAPTATION_CURVE[")


@pytest.fixture(scope="module")
def estimated_bits() -> list[int]:
    return numbers_of("estimated_bits.h", "ESTIMATED_BITS[")


def test_sums_and_corners_that_the_specification_states(range_lps, curve, estimated_bits):
    assert (len(range_lps), len(curve), len(estimated_bits)) == (256, 32, 2048)
    assert (range_lps[0], range_lps[-1], sum(range_lps)) == (128, 4, 11348)
    assert sum(curve) == 17600
    assert sum(estimated_bits) == 145214395


def test_widths_of_the_last_quarter_are_even(range_lps):
    """What the layout of `context.row` rests on."""
    assert all(width % 2 == 0 for width in range_lps[7 * 32 :])


def test_every_entry_is_that_of_tables_json(range_lps, curve, estimated_bits):
    tables = json.loads(shared_path("spec", "tables.json").read_text(encoding="utf-8"))
    assert range_lps == [width for row in tables["range_lps"]["values"] for width in row]
    assert curve == tables["adaptation_curve"]["values"]
    assert estimated_bits == [bits for pair in tables["estimated_bits"]["values"] for bits in pair]
    sets = numbers_of("tables.h", "PARAMETER_SET[")
    keys = ("shift0", "shift1", "s0_init", "s1_init")
    assert sets == [entry[key] for entry in tables["shift_parameter_sets"] for key in keys]
    transitions = numbers_of("tables.h", "DQ_TRANSITION[")
    assert transitions == [state for pair in tables["dq_transition"]["values"] for state in pair]


def nibbles(file: str, name: str) -> list[int]:
    text = (C_CORE / file).read_text(encoding="utf-8")
    word = re.search(name + r"\s+UINT64_C\(0x([0-9a-f]{16})\)", text)
    assert word
    return [int(digit, 16) for digit in reversed(word[1])]


def test_transition_word_is_the_transition_table():
    assert nibbles("dq.h", "DQ_TRANSITION_WORD") == numbers_of("tables.h", "DQ_TRANSITION[")


def test_predecessor_word_inverts_the_transitions():
    transitions = numbers_of("tables.h", "DQ_TRANSITION[")
    predecessors = nibbles("trellis.h", "PREDECESSOR_WORD")
    for state in range(8):
        for parity in (0, 1):
            assert predecessors[8 * parity + transitions[2 * state + parity]] == state
