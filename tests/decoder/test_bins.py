"""`nnr trace --bins`: the table of the worked example, from the whole stream."""

import csv
from pathlib import Path

from nnr.conformance.suite import Suite
from nnr.decoder.bins import trace_bins

TABLE = Path(__file__).parent / "worked_example_bins.csv"


def test_bins_of_the_worked_example():
    seen = []
    trace_bins(Suite()["spec/worked_example"].data, lambda unit, event: seen.append((unit.index, event)))
    with TABLE.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {index for index, _ in seen} == {3}
    coded = [event for _, event in seen if event.kind != "terminate"]
    assert len(coded) == len(rows) == 97
    for event, row in zip(coded, rows, strict=True):
        assert event.range == int(row["range"])
        assert event.offset == int(row["offset"])
        assert event.value == int(row["value"])
