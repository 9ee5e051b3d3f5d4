"""What is measured about the vectors, and the faults that they have to notice."""

from __future__ import annotations

from conformance import planted_faults
from nnr.conformance import Suite
from nnr.conformance.coverage import measure
from nnr.conformance.gcov import stale_entries
from tests.shared import ROOT

SUITE = Suite()


def test_one_vector_reaches_what_it_holds_and_nothing_else() -> None:
    found = measure([SUITE["spec/worked_example"]])
    elements = found.groups["syntax elements"]
    assert {
        "qp_value (syntax 9.6)",
        "row_skip_list (syntax 9.7)",
        "sign_flag (syntax 9.9)",
    } <= elements.reached
    assert "codebook_size (syntax 9.2)" in elements.gaps
    assert "SIG[2] = 1" in found.groups["contexts, both bins"].reached
    assert found.groups["states of dependent quantization"].reached == set()
    assert found.sections["decoding 7"] == ["spec/worked_example"]
    assert "decoding 11.3" in found.groups["sections of the specification"].gaps


def test_contexts_of_updates_and_states_are_seen() -> None:
    found = measure([SUITE["history_contexts/dq1_temporal_1_order_1/step3"]])
    states = found.groups["states of dependent quantization"]
    assert len(states.reached) == 8
    reached = found.groups["contexts, both bins"].reached
    assert any(name.startswith("SIG[4") for name in reached)
    found = measure([SUITE["temporal_contexts/dq1_order_1_n11/step1"]])
    reached = found.groups["contexts, both bins"].reached
    assert any(name.startswith("GTX[temporal, ") for name in reached)


def test_what_is_impossible_is_still_there() -> None:
    found = measure([SUITE["spec/worked_example"]])
    conditions = found.groups["conditions, both ways"]
    assert set(conditions.impossible) <= set(conditions.everything)
    assert stale_entries(ROOT) == []


def test_every_fault_has_its_place() -> None:
    planted_faults.check_places()
    assert len({fault.what for fault in planted_faults.FAULTS}) == 50
