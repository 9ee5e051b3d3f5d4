"""Hostile shapes of `fuzz/attack.py`: each is read or refused, and takes memory in proportion to its bytes.

Time is measured by the script, and not here.
"""

from __future__ import annotations

import pytest

from fuzz.attack import MEMORY, READINGS, SHAPES, main, outcome, peak
from tests.memory import not_sanitized


@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_is_read_or_refused(shape: str) -> None:
    """Whatever is no `nnr.BitstreamError` would come through; the bytes are the same each time."""
    data = SHAPES[shape](1500)
    assert data == SHAPES[shape](1500)
    assert 500 < len(data) < 3000
    for reading in READINGS.values():
        outcome(reading, data)


def test_each_shape_gets_past_the_first_checks() -> None:
    """Into the tables at least; those that no decoder takes are named."""
    refused = {
        name: outcome(READINGS["decode"], make(1500))[1]
        for name, make in SHAPES.items()
        if outcome(READINGS["decode"], make(1500))[1] != "read"
    }
    assert refused == {
        "broken_units": "ConformanceError",
        "parameter_sets": "TruncatedError",
        "small_aggregates": "ConformanceError",
        "names_of_no_text": "ConformanceError",
        "long_name_without_shape": "UnsupportedError",
        "index_lists": "UnsupportedError",
        "huge_dimensions": "LimitError",
        "broken_maps": "TruncatedError",
        "empty_payloads": "TruncatedError",
        "long_shape": "ConformanceError",
    }


@not_sanitized
@pytest.mark.parametrize(
    ("shape", "reading"),
    [
        ("codebook", "decode"),
        ("codebook", "describe"),
        ("codebook", "parse"),
        ("long_name_in_notes", "decode"),
        ("long_name_without_shape", "describe"),
        ("repeated_long_name", "check"),
        ("index_lists", "info"),
        ("tied_tensors", "decode"),
        ("pruning_container", "parse"),
    ],
)
def test_memory_is_in_proportion_to_the_stream(shape: str, reading: str) -> None:
    small, large = SHAPES[shape](1500), SHAPES[shape](12_000)
    peak(READINGS[reading], small)  # what is loaded when it is first used
    used, output, _ = peak(READINGS[reading], large)
    assert used - 4 * output < MEMORY[reading] * len(large)


def test_the_script_says_what_is_above_its_bound(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--shape", "small_tensors", "--reading", "parse", "--sizes", "2", "4", "8"]
    assert main(arguments) == 0
    assert "small_tensors" in capsys.readouterr().out
    monkeypatch.setitem(MEMORY, "parse", 0)
    monkeypatch.setattr("fuzz.attack.FIXED", 0)
    assert main(arguments) == 1
    assert "ABOVE ITS BOUND" in capsys.readouterr().out
    monkeypatch.setitem(MEMORY, "parse", 10_000)
    monkeypatch.setattr("fuzz.attack.SHORTEST", 0.0)

    def quadratic(data: bytes) -> int:
        return sum(sum(data[k:]) for k in range(0, len(data), 8)) * 0

    monkeypatch.setitem(READINGS, "parse", quadratic)
    assert main(arguments) == 1
