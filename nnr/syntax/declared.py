"""What the syntax tables declare, read from their source: for docs and for the check against the page.

In: the functions under `syntax_table`. Out: for each a list of `Row`s in the order of the table: elements
with descriptor, range and status, nested structures, conditions and loops, and what is inferred, computed or
required.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from . import payload, stream  # noqa: F401  (every table is declared once these are imported)
from .serdes import TABLES, Table

__all__ = ["Row", "TableRows", "declared_tables"]

_NUMBERS = ("u", "i", "ue", "ie", "flt", "uae", "iae")
_NAMED = {"st": "st(v)", "bs": "bs(v)", "ae": "ae(v)", "at": "at(v)"}


# Helpers of the tables, as the page says it.
_WORDS = (
    (r"_(?:entries|dimensions)\((.*), ctx\)", r"\1 - 1"),
    (r"_num_upm\(v, i, ctx\)", "NumUpm"),
    (
        r"_TYPES_OF_COUNT\.get\(len\(v\.element_ids\), \(\)\)",
        "the sets with as many members as there are ids",
    ),
    (r"_element_ids\(s, v, ctx\)", "the ids, indices looked up in the reference list"),
    (r"_codebook\(v\)", "the entries"),
    (r"entry_point_count\(header\)", "NumEntryPoints"),
)


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        kind: "element", "structure", "condition" (an if, for or while, or the end of one), "inferred",
        "supplied",
            "computed", "required", "limit" or "process".
        depth: conditions around it.
        text: name of the element with its indices, of the structure with "()", or the text of the row.
        descriptor: of an element, else "".
        status: "V", "N" or "S" of an element or structure, else "".
        note: range, values, or what the row means.
    """

    kind: str
    depth: int
    text: str
    descriptor: str = ""
    status: str = ""
    note: str = ""


@dataclass(frozen=True)
class TableRows:
    """One table: name, section of the specification, status, first line of the docstring, rows."""

    name: str
    clause: str
    status: str
    summary: str
    rows: list[Row]


def declared_tables() -> list[TableRows]:
    """All tables in the order of the specification's sections."""
    tables = [_Reading(table).rows() for table in TABLES.values()]
    return sorted(tables, key=lambda table: [int(number) for number in re.findall(r"\d+", table.clause)])


class _Reading:
    """Reads the source of one table function."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.globals: dict[str, Any] = table.__globals__
        self.aliases: dict[str, str] = {}
        self.source = ""

    def rows(self) -> TableRows:
        self.source = textwrap.dedent(inspect.getsource(self.table))
        function = ast.parse(self.source).body[0]
        assert isinstance(function, ast.FunctionDef)
        summary = (ast.get_docstring(function) or "").splitlines()[0]
        return TableRows(
            function.name,
            self.table.clause,  # type: ignore[attr-defined]
            self.table.status,  # type: ignore[attr-defined]
            re.sub(r"^\([^)]*\) ", "", summary),
            list(self.block(function.body[1:], 0)),
        )

    def text(self, node: ast.AST) -> str:
        """An expression as the page would have it: elements by their bare names."""
        text = " ".join((ast.get_source_segment(self.source, node) or "").split())
        for pattern, meaning in _WORDS:
            text = re.sub(pattern, meaning, text)
        text = re.sub(r"\b(?:v|ctx|header|tensor|s|math)\.", "", text)
        for name, meaning in self.aliases.items():
            text = re.sub(rf"\b{name}\b", meaning, text)
        text = re.sub(r"\b_(INT|FLOAT|RAW_FLOAT|BLOCK)\b", r"NNR_PT_\1", text)
        text = re.sub(r"\b_(DC|LS|BN|BI)\b", r"NNR_CPT_\1", text)
        text = re.sub(r"\b_QUANTIZED\b", "(NNR_QSU | NNR_QCB)", text)
        return re.sub(r"\b(?:ParentNodeIdType|TopologyStorageFormat|PruningRepresentation)\.", "", text)

    def block(self, statements: list[ast.stmt], depth: int) -> Iterator[Row]:
        for statement in statements:
            yield from self.statement(statement, depth)

    def statement(self, node: ast.stmt, depth: int) -> Iterator[Row]:
        if isinstance(node, ast.If):
            yield Row("condition", depth, f"if ({self.text(node.test)}) {{")
            yield from self.block(node.body, depth + 1)
            orelse = node.orelse
            while len(orelse) == 1 and isinstance(orelse[0], ast.If):
                yield Row("condition", depth, f"}} else if ({self.text(orelse[0].test)}) {{")
                yield from self.block(orelse[0].body, depth + 1)
                orelse = orelse[0].orelse
            if orelse:
                yield Row("condition", depth, "} else {")
                yield from self.block(orelse, depth + 1)
            yield Row("condition", depth, "}")
        elif isinstance(node, ast.For):
            yield Row("condition", depth, f"for ({self.loop(node)}) {{")
            yield from self.block(node.body, depth + 1)
            yield Row("condition", depth, "}")
        elif isinstance(node, ast.While):
            yield Row("condition", depth, f"while ({self.text(node.test)}) {{")
            yield from self.block(node.body, depth + 1)
            yield Row("condition", depth, "}")
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, self.text(node.value)
            if value != "inf" and isinstance(node.value, ast.Attribute):
                self.aliases[name] = value
            elif name not in ("arrays",):
                yield Row("computed", depth, f"{name} = {value}")
        elif isinstance(node, ast.AugAssign):
            yield Row("computed", depth, self.text(node))
        elif isinstance(node, ast.Break):
            yield Row("condition", depth, "break")
        elif isinstance(node, ast.Return):
            yield Row("condition", depth, "return")
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield from self.call(node.value, depth)

    def loop(self, node: ast.For) -> str:
        variable = self.text(node.target)
        call = node.iter
        if not isinstance(call, ast.Call):
            return f"each of {self.text(call)}"
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        if name in ("loop", "range"):
            return f"{variable} = 0; {variable} < {self.text(call.args[0])}; {variable}++"
        return f"each of {self.text(call)}"

    def call(self, call: ast.Call, depth: int) -> Iterator[Row]:
        function = call.func
        if not (isinstance(function, ast.Attribute) and ast.unparse(function.value) == "s"):
            helper = self.globals.get(ast.unparse(function))
            if helper is not None and helper.__doc__:
                yield Row("process", depth, helper.__doc__.splitlines()[0])
            return
        method = function.attr
        options = {word.arg: word.value for word in call.keywords}
        if method in _NUMBERS or method in _NAMED:
            arguments = list(call.args)
            descriptor = _NAMED.get(method) or f"{method}({self.text(arguments.pop(0))})"
            yield self.element(arguments, descriptor, options, depth)
        elif method == "bits":
            name = self.constant(call.args[1])
            yield Row("condition", depth, f"for (j = 0; j < {self.text(call.args[0])}; j++) {{")
            yield Row("element", depth + 1, f"{name}[j]", "u(1)", self.status(options))
            yield Row("condition", depth, "}")
        elif method == "byte_alignment":
            yield Row("structure", depth, "byte_alignment()", "", self.status(options))
        elif method == "table":
            name = self.constant(call.args[0])
            for structure in self.structures(call.args[1]):
                note = "" if structure == name else f"values under {name}"
                yield Row("structure", depth, f"{structure}()", "", self.status(options, structure), note)
        elif method == "include":
            for structure in self.structures(call.args[0]):
                yield Row("structure", depth, f"{structure}()", "", self.status(options, structure))
        elif method == "infer":
            yield Row(
                "inferred", depth, self.constant(call.args[0]), note=f"inferred {self.text(call.args[1])}"
            )
        elif method == "let":
            yield Row("computed", depth, f"{self.constant(call.args[0])} = {self.text(call.args[1])}")
        elif method == "require":
            yield Row("required", depth, self.text(call.args[0]), note=f"allowed: {self.text(call.args[2])}")
        elif method == "limit":
            limit, value = self.constant(call.args[0]), self.text(call.args[1])
            yield Row("limit", depth, f"{value} <= Limits.{limit}")

    def element(
        self, arguments: list[ast.expr], descriptor: str, options: dict[str | None, ast.expr], depth: int
    ) -> Row:
        name = self.constant(arguments[0]) + "".join(f"[{self.text(index)}]" for index in arguments[1:])
        notes = []
        low, high = options.get("min"), options.get("max")
        if low is not None and high is not None:
            notes.append(f"{self.text(low)}..{self.text(high)}")
        elif low is not None:
            notes.append(f"at least {self.text(low)}")
        elif high is not None:
            notes.append(f"at most {self.text(high)}")
        if "fixed" in options:
            notes.append(f"only {self.text(options['fixed'])}")
        if "allowed" in options:
            notes.append(f"one of {self.text(options['allowed'])}")
        for kind, others in (("enum", "others are reserved"), ("open_enum", "others are not interpreted")):
            if kind in options:
                enum: type[IntEnum] = self.globals[self.text(options[kind])]
                names = ", ".join(f"{int(member)} {member.name}" for member in enum)
                notes.append(f"{names}; {others}")
        if "counts" in options:
            arrays = ast.literal_eval(options["counts"])
            arrays = (arrays,) if isinstance(arrays, str) else arrays
            plus = self.text(options["plus"]) if "plus" in options else "0"
            plus = re.sub(r"_(?:outer|dimensions)_plus\(ctx\)", "1", plus)
            shown = "" if plus == "0" else f" {'-' if plus[0] == '-' else '+'} {plus.lstrip('-')}"
            notes.append(f"derived: length of {' or '.join(arrays)}{shown}")
        if "derived" in options:
            notes.append("derived from the arrays")
        return Row("element", depth, name, descriptor, self.status(options), "; ".join(notes))

    def status(self, options: dict[str | None, ast.expr], structure: str | None = None) -> str:
        if "status" in options:
            return self.constant(options["status"])
        table = self.table if structure is None else TABLES[structure]
        own: str = table.status  # type: ignore[attr-defined]
        return own

    def structures(self, node: ast.expr) -> list[str]:
        """Names of the tables that an expression stands for: itself, or the values of a dict."""
        if isinstance(node, ast.Subscript):
            choices: dict[int, Table] = self.globals[ast.unparse(node.value)]
            return [table.__name__ for table in choices.values()]
        return [ast.unparse(node)]

    @staticmethod
    def constant(node: ast.expr) -> str:
        assert isinstance(node, ast.Constant)
        return str(node.value)
