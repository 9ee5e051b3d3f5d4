"""The arithmetic of the benchmarks: curves, differences between them, results kept in files."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import mutation
from benchmarks.cache import Cache
from benchmarks.curves import Curve, bd_rate, difference, envelope


def points(scale: float = 1.0, shift: float = 1.0) -> list[tuple[float, float]]:
    """Sizes that fall by a bit a weight for each factor of four in error."""
    return [(scale * 1000 * bits, shift * 4.0**-bits) for bits in (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)]


def test_a_curve_passes_through_its_points_and_is_monotone():
    curve = Curve.through(points())
    for size, error in points():
        assert curve(np.array([math.log(error)]))[0] == pytest.approx(math.log(size))
    assert (np.diff(curve(np.linspace(curve.error[0], curve.error[-1], 500))) < 0).all()
    assert np.isnan(curve(np.array([curve.error[0] - 1e-6, curve.error[-1] + 1e-6]))).all()


def test_points_that_another_one_beats_do_not_count():
    better = Curve.through(points())
    beaten = Curve.through([*points(), (5000, 0.9), (1600, 4.0**-1.5)])
    assert np.array_equal(better.error, beaten.error)


def test_a_curve_needs_two_points():
    with pytest.raises(ValueError, match="two points"):
        Curve.through([(10, 1.0), (20, 2.0)])


@pytest.mark.parametrize("scale", [1.0, 0.9, 1.25])
def test_the_same_shape_at_other_sizes_differs_by_their_ratio_everywhere(scale):
    anchor, tested = [Curve.through(points())], [Curve.through(points(scale))]
    assert bd_rate(anchor, tested, (700, 2500)) == (pytest.approx(100 * (scale - 1)), 1.0)
    assert difference(anchor, tested, 1300) == pytest.approx(100 * (scale - 1))


def test_a_difference_is_at_equal_error_and_not_at_equal_quality_settings():
    """Half the error at the same size is half a bit a weight at the same error: 0.5 of 2, and of 1."""
    anchor, tested = [Curve.through(points())], [Curve.through(points(shift=0.5))]
    assert difference(anchor, tested, 2000) == pytest.approx(-25, abs=0.5)
    assert difference(anchor, tested, 1000) == pytest.approx(-50, abs=0.5)


def test_of_several_curves_the_smallest_counts_at_each_error():
    anchor = [Curve.through(points())]
    coarse, fine = Curve.through(points(0.8)[:3]), Curve.through(points(0.6)[3:])
    both = envelope([coarse, fine], np.log([4.0**-1, 4.0**-3, 4.0**-1.7]))
    assert np.exp(both[:2]).tolist() == pytest.approx([800, 1800])
    assert np.isnan(both[2])
    assert difference(anchor, [coarse, anchor[0]], 1000) == pytest.approx(-20)


def test_what_a_curve_does_not_reach_is_left_out_and_said():
    rate, share = bd_rate([Curve.through(points())], [Curve.through(points(0.8)[2:])], (700, 2500))
    assert rate == pytest.approx(-20, abs=0.5)
    assert 0.5 < share < 0.7  # from 1.5 to 2.5 bits of 0.7 to 2.5, about a bit for each factor of four
    assert bd_rate([Curve.through(points())], [Curve.through(points(shift=1e-9))], (700, 2500))[1] == 0


def test_kept_results_outlive_a_line_that_was_cut_short(tmp_path: Path):
    path = tmp_path / "kept.jsonl"
    assert Cache(path).put({"bytes": 7}, "model", {"qp": -38}, 1) == {"bytes": 7}
    with path.open("a") as file:
        file.write('["half a li')
    Cache(path).put([1], "other")
    again = Cache(path)
    assert again.get("other") == [1]
    assert again.get("model", {"qp": -38}, 1) == {"bytes": 7}
    assert again.get("model", {"qp": -38}, 2) is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutants are decoded in forked processes")
def test_no_damage_to_our_own_streams_goes_unnoticed_or_breaks_anything():
    """Two mutants of each kind for each stream; the benchmark itself takes thousands."""
    streams = mutation.with_checksums()
    side = mutation.Side("nnr", Path(sys.executable))
    row = mutation.campaign(side, streams, 10 * len(streams))
    side.close()
    assert row["outcomes"] == {**dict.fromkeys(mutation.OUTCOMES, 0), "refused": 10 * len(streams)}


def test_outcomes_of_a_mutant():
    found = [
        {"kilobytes": 1, "digest": "a"},
        {"kilobytes": 1, "digest": "b"},
        {"kilobytes": 1, "error": "ValueError"},
        {"kilobytes": 1 << 20, "digest": "a"},
        {"kilobytes": 1, "error": "MemoryError"},
        {"kilobytes": 0, "signal": signal.SIGSEGV},
        {"kilobytes": 0, "signal": signal.SIGALRM},
        {"kilobytes": 0, "signal": signal.SIGPROF},
        {"kilobytes": 0, "status": 1},
    ]
    kinds = [mutation.kind_of(outcome, "a") for outcome in found]
    assert kinds == ["identical", "wrong", "refused", "memory", "memory", "crash", "hang", "hang", "crash"]
