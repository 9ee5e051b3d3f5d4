"""docs/errata.md is whole, and what it points at exists."""

from __future__ import annotations

import re

import pytest

from nnr.conformance.suite import Suite
from tests.shared import ROOT, shared_path

TEXT = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
ENTRIES = dict(re.findall(r"^### (D\d+): .+\n\n((?:.+\n)+)", TEXT, re.MULTILINE))
_FILE = re.compile(r"(nnr|c_core|conformance|docs)/[\w/.]*")
_VECTOR = re.compile(r"[a-z]\w*_[0-9](/[\w*]+)?|seq_\w+/\*|(spec|quirks)/\w+")


def test_every_number_of_the_register_has_an_entry() -> None:
    register = shared_path("spec", "README.md").read_text(encoding="utf-8")
    assert list(ENTRIES) == re.findall(r"^\| (D\d+) \|", register, re.MULTILINE)


@pytest.mark.parametrize("number", ENTRIES)
def test_entry_says_doubt_decision_place_and_vectors(number: str) -> None:
    parts = re.findall(r"^\*(\w+)\.\* \S", ENTRIES[number], re.MULTILINE)
    assert parts == ["Doubt", "Decision", "Where", "Vectors"]


def test_files_that_are_named_exist() -> None:
    named = [word for word in re.findall(r"`([^`\n]+)`", TEXT) if _FILE.fullmatch(word)]
    assert len(named) > 50
    assert [word for word in named if not (ROOT / word).exists()] == []


def test_functions_that_are_named_exist() -> None:
    for file, names in re.findall(r"`(nnr/[\w/]+\.py)` \(((?:`[\w.]+`(?:, )?)+)\)", TEXT):
        source = (ROOT / file).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", source), (file, name)


def test_vectors_that_are_named_exist() -> None:
    known = {vector.name for vector in Suite()}
    known |= {name.partition("/")[0] + "/*" for name in known if name.startswith("seq_")}
    named = [word for word in re.findall(r"`([^`\n]+)`", TEXT) if _VECTOR.fullmatch(word)]
    assert len(named) > 60
    assert [word for word in named if word not in known | {"seq_x/*"}] == []
