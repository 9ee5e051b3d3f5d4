"""Made pages are up to date."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent / "docs"


def _script(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_clause_index_is_up_to_date():
    page = _script("render_clauses")
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run: python docs/render_clauses.py"


def test_the_reference_of_the_command_line_is_up_to_date():
    page = _script("render_cli")
    assert page.PAGE.read_text(encoding="utf-8") == page.render(), "run: python docs/render_cli.py"
