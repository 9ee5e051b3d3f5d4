"""The syntax tables with counters in them, made from their source: which way each condition went.

As `nnr.syntax.compile_tables` does, so a table is still written once.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ..syntax import payload, stream  # noqa: F401  (every table is declared once these are imported)
from ..syntax.serdes import TABLES, Table

__all__ = ["ElementFacts", "Tables"]

_ELEMENTS = ("u", "i", "ue", "ie", "flt", "st", "bs", "bits", "ae", "uae", "iae", "at")


@dataclass(frozen=True)
class ElementFacts:
    """An element of a table: section, name, and the values that all should be seen, where these are few."""

    clause: str
    name: str
    values: tuple[int, ...] = ()


@dataclass
class Tables:
    """Every table, instrumented.

    Attributes:
        functions: to be called in the place of the tables.
        outcomes: (condition, outcome) pairs that there are, such as ("quant_tensor: if ...", "no").
        seen: those that came about.
        elements: all elements of all tables.
    """

    functions: dict[Table, Table] = field(default_factory=dict)
    outcomes: list[tuple[str, str]] = field(default_factory=list)
    seen: set[tuple[str, str]] = field(default_factory=set)
    entered: set[str] = field(default_factory=set)
    elements: list[ElementFacts] = field(default_factory=list)

    @classmethod
    def made(cls) -> Tables:
        """From the source of all tables."""
        self = cls()
        for name, table in TABLES.items():
            if not table.__module__.startswith("nnr."):
                continue
            function = ast.parse(textwrap.dedent(inspect.getsource(table))).body[0]
            assert isinstance(function, ast.FunctionDef)
            self.elements += _elements(function, table)
            function.decorator_list = []
            function.returns = None
            for argument in function.args.args:
                argument.annotation = None
            counted = _Counted(self, name)
            counted.visit(function)
            function.body.insert(0, ast.parse(f"_entered({table.clause!r})").body[0])  # type: ignore[attr-defined]
            namespace = {
                **table.__globals__, "_test": self._test, "_each": self._each, "_entered": self.entered.add,
            }  # fmt: skip
            module = ast.fix_missing_locations(ast.Module([function], []))
            exec(compile(module, f"<{name}, counted>", "exec"), namespace)
            made: Any = namespace[name]
            made.clause, made.status = table.clause, table.status  # type: ignore[attr-defined]
            self.functions[table] = made
        return self

    def _test(self, label: str, value: Any) -> bool:
        self.seen.add((label, "yes" if value else "no"))
        return bool(value)

    def _each(self, label: str, values: Iterable[Any]) -> Iterator[Any]:
        empty = True
        for value in values:
            empty = False
            yield value
        self.seen.add((label, "never" if empty else "some"))


class _Counted(ast.NodeTransformer):
    """Puts the tests of `if` and `while` and the values of `for` through the counters."""

    def __init__(self, tables: Tables, table: str) -> None:
        self.tables, self.table = tables, table

    def _label(self, text: str, outcomes: tuple[str, ...]) -> ast.Constant:
        label, number = f"{self.table}: {text}", 2
        while (label, outcomes[0]) in self.tables.outcomes:
            label, number = f"{self.table}: {text} ({number})", number + 1
        self.tables.outcomes += [(label, outcome) for outcome in outcomes]
        return ast.Constant(label)

    def _test(self, kind: str, test: ast.expr) -> ast.expr:
        label = self._label(f"{kind} {_shown(test)}", ("yes", "no"))
        return ast.Call(ast.Name("_test", ast.Load()), [label, test], [])

    def visit_If(self, node: ast.If) -> Any:
        node.test = self._test("if", node.test)
        return self.generic_visit(node)

    def visit_While(self, node: ast.While) -> Any:
        node.test = self._test("while", node.test)
        return self.generic_visit(node)

    def visit_For(self, node: ast.For) -> Any:
        label = self._label(f"for {_shown(node.iter)}", ("some", "never"))
        node.iter = ast.Call(ast.Name("_each", ast.Load()), [label, node.iter], [])
        return self.generic_visit(node)


def _shown(node: ast.expr) -> str:
    text = ast.unparse(node)
    for prefix in ("v.", "ctx.", "header.", "s.", "tensor."):
        text = text.replace(prefix, "")
    return text


def _elements(function: ast.FunctionDef, table: Table) -> Iterator[ElementFacts]:
    for node in ast.walk(function):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        method = node.func.attr
        if method not in _ELEMENTS or ast.unparse(node.func.value) != "s":
            continue
        arguments = list(node.args)
        width = arguments.pop(0) if method in ("u", "i", "ue", "ie", "flt", "bits", "uae", "iae") else None
        name = arguments[0]
        assert isinstance(name, ast.Constant)
        values = _values(method, width, {word.arg: word.value for word in node.keywords}, table.__globals__)
        yield ElementFacts(table.clause, str(name.value), values)  # type: ignore[attr-defined]


def _values(
    method: str, width: ast.expr | None, options: dict[str | None, ast.expr], names: dict[str, Any]
) -> tuple[int, ...]:
    """All values of an enumeration, or of a field of up to four bits."""
    if "fixed" in options:
        return ()
    for kind in ("enum", "open_enum"):
        if kind in options:
            enum: type[IntEnum] = names[ast.unparse(options[kind])]
            return tuple(int(member) for member in enum)
    if method == "ae":
        return (0, 1)
    bits = _number(width)
    if method not in ("u", "uae") or bits is None or bits > 4:
        return ()
    top = _number(options.get("max"))
    return tuple(range((1 << bits) if top is None else top + 1))


def _number(node: ast.expr | None) -> int | None:
    """A number that stands in the source, None for anything else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, int) else None
