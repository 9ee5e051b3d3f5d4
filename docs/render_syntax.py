"""Renders docs/syntax.md from the syntax tables: ``python docs/render_syntax.py`` in the root of the checkout."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from nnr.syntax.constants import EDITION  # noqa: E402
from nnr.syntax.declared import Row, TableRows, declared_tables  # noqa: E402

OUTPUT = Path(__file__).with_name("syntax.md")

HEAD = f"""# Syntax

<!-- Made by docs/render_syntax.py from nnr/syntax; not to be edited. -->

Every syntax table of ISO/IEC 15938-17 up to edition {EDITION}, as the functions in `nnr/syntax` declare it: this page, the
parser, the writer, the trace and the checks come from the same text. Section numbers are those of our own
specification, not of the printed standard.

The last column says how far a line can be trusted:

* **V** verified bit for bit against NNCodec 2.1.3;
* **N** read from the behaviour of NNCodec, not exercised;
* **S** recollection of the published syntax or of public documents, **not confirmed**: check it against the printed
  standard before relying on it.

Descriptors: `u(n)` unsigned, `i(n)` two's complement, `ue(k)` and `ie(k)` Exp-Golomb of order k, `flt(32)` binary32 with
the least significant byte first, `st(v)` zero-terminated UTF-8, `bs(v)` bytes to the end of the unit; in payloads `ae(v)`
context-coded, `uae(n)` and `iae(n)` bypass bins, `at(v)` the terminate bin.

A line in italics carries no bits: values inferred, supplied or computed, and rules. "derived" values are computed on
writing, unless given.
"""


def _line(row: Row) -> str:
    text = _cell(row.text)
    if row.kind == "element":
        text = f"**{text}**"
    elif row.kind == "inferred":
        text = f"*{text} {_cell(row.note)}*"
    elif row.kind not in ("structure", "condition"):
        label = {"required": "required: ", "limit": "not in spec: "}.get(row.kind, "")
        text = f"*{label}{text}*"
    note = row.note if row.kind in ("element", "structure", "required") else ""
    return f"| {'&emsp;' * row.depth}{text} | {_cell(row.descriptor)} | {_cell(note)} | {row.status} |"


def _cell(text: str) -> str:
    for mark in ("_", "*", "<", "|"):
        text = text.replace(mark, "\\" + mark)
    return text


def _section(table: TableRows) -> str:
    lines = [f"## {table.clause}: {table.name}()", "", f"**[{table.status}]** {table.summary}", ""]
    if table.rows:
        lines += ["| element | descriptor | values | status |", "|---|---|---|---|"]
        lines += [_line(row) for row in table.rows]
        lines.append("")
    return "\n".join(lines)


def render() -> str:
    """The whole page."""
    return HEAD + "\n" + "\n".join(_section(table) for table in declared_tables())


if __name__ == "__main__":
    OUTPUT.write_text(render(), encoding="utf-8")
