"""The tables against the page: an independent transcription, the rendered page, the compiled reader."""

from __future__ import annotations

import ast
import csv
import importlib.util
import re
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest

from nnr.syntax import compile_tables
from nnr.syntax.declared import declared_tables
from tests.shared import ROOT, shared_path

Rows = dict[str, list[tuple[str, str, str]]]


def transcribed() -> tuple[Rows, dict[str, str]]:
    """Table -> (element, descriptor, status) from tables.csv, which was written from the page."""
    rows: Rows = defaultdict(list)
    clauses = {}
    with Path(__file__).with_name("tables.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows[row["table"]].append((row["element"], row["descriptor"], row["status"]))
            clauses[row["table"]] = f"syntax {row['clause']}"
    return rows, clauses


def declared() -> tuple[Rows, dict[str, str]]:
    """The same from the functions."""
    rows: Rows = {}
    clauses = {}
    for table in declared_tables():
        rows[table.name] = [
            (
                re.sub(r"\[[^]]*\]", "", row.text),
                _descriptor(row.descriptor),
                row.status if row.kind == "element" else "",
            )
            for row in table.rows
            if row.kind in ("element", "structure")
        ]
        clauses[table.name] = table.clause
    return rows, clauses


def _descriptor(text: str) -> str:
    """Without spaces, and with the names that the page has for variables."""
    text = text.replace(" ", "")
    return text.replace("qp_density", "QpDensity").replace("rem_bits", "RemBits")


# Tables that the page describes in words: two are empty, one says which payload follows.
IN_WORDS = {"nnr_start_unit_payload", "nnr_model_parameter_set_unit_header", "nnr_unit_payload"}


def test_no_structure_of_the_page_is_missing_and_none_is_invented() -> None:
    page, page_clauses = transcribed()
    ours, our_clauses = declared()
    assert set(ours) == set(page) | IN_WORDS
    assert {name: our_clauses[name] for name in page} == page_clauses


@pytest.mark.parametrize("table", sorted(transcribed()[0]))
def test_elements_of_a_table_stand_in_the_order_of_the_page_with_descriptor_and_status(table: str) -> None:
    expected = list(transcribed()[0][table])
    found = declared()[0][table]
    if table == "nnr_compressed_data_unit_header":
        # compressed_parameter_types is declared for blocks, where its values are restricted, and for others.
        twice = [row for row in found if row[0] == "compressed_parameter_types"]
        assert len(twice) == 2
        found.remove(twice[0])
    assert found == expected


def test_every_table_is_reached_from_the_unit_or_from_the_coded_payload() -> None:
    structures = {
        table.name: [row.text.removesuffix("()") for row in table.rows if row.kind == "structure"]
        for table in declared_tables()
    }
    reached, todo = set(), ["nnr_unit", "nnr_compressed_data_unit_payload", "nnr_aggregate_unit_payload"]
    while todo:
        name = todo.pop()
        if name not in reached and name != "byte_alignment":
            reached.add(name)
            todo += structures[name]
    assert reached == set(structures)


def test_the_transcription_is_that_of_the_page() -> None:
    page = shared_path("spec", "syntax.md").read_text(encoding="utf-8")
    for rows in transcribed()[0].values():
        for element, descriptor, _ in rows:
            assert element.removesuffix("()") in page
            if descriptor:
                assert descriptor.replace("(6+", "(6 + ").replace("(15+16", "(15 + 16") in page


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_rendered_page_is_up_to_date() -> None:
    script = _script("render_syntax")
    assert script.OUTPUT.read_text(encoding="utf-8") == script.render(), "run: python docs/render_syntax.py"


def test_the_rendered_page_marks_every_unconfirmed_element() -> None:
    page = (ROOT / "docs" / "syntax.md").read_text(encoding="utf-8").replace("\\", "")
    for table, rows in transcribed()[0].items():
        section = page.split(f": {table}()\n")[1].split("\n## ")[0]
        for element, _, status in rows:
            if status in ("S", "N"):
                lines = [line for line in section.splitlines() if re.search(rf"\*\*{element}\b", line)]
                assert any(line.endswith(f"| {status} |") for line in lines), (table, element)


def test_the_compiled_reader_is_up_to_date() -> None:
    # Compared as syntax trees, since versions of Python differ in where they put parentheses.
    made = ast.dump(ast.parse(compile_tables.made_source()))
    found = ast.dump(ast.parse(compile_tables.OUTPUT.read_text(encoding="utf-8")))
    assert found == made, "run: python -m nnr.syntax.compile_tables"
