"""Faster parsing: makes `fast.py` from the syntax tables; run ``python -m nnr.syntax.compile_tables``.

In: the source of the table functions. Out: functions with the same arguments and the same effect, in which
the common elements are read in place instead of by a method call. Whatever is not plain sailing (the window
is used up, a value out of range, a long code, any other method) goes to the very method that the table calls,
so there is one definition of everything, errors included. `Reader` uses them for streams of many units; a
test says when the file is stale.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from pathlib import Path
from typing import Any

from . import stream  # noqa: F401  (every table is declared once this is imported)
from .serdes import TABLES, Table

__all__ = ["OUTPUT", "made_source"]

OUTPUT = Path(__file__).with_name("fast.py")

_BEGIN = "_d = v.__dict__; _pos = s.pos; _word = s._word; _end = s._word_end"
_LEAVE = "s.pos = _pos"
_RELOAD = "_pos = s.pos; _word = s._word; _end = s._word_end"

# `_width`, `_call` and `_store` stand for the parts of the element's call.
_FIXED = """
_next = _pos + _width
if _next <= _end and _allowed:
    _store
    _pos = _next
else:
    _leave
    _call
    _reload
"""
_FIXED_VALUE = "_word >> (_end - _next) & _mask"
_GOLOMB = """
_left = _end - _pos
_value = _word & ((1 << _left) - 1)
_zeros = _left - _value.bit_length()
_next = _pos + 2 * _zeros + 1 + _width
if _next <= _end and _zeros < 16 and _allowed:
    _store
    _pos = _next
else:
    _leave
    _call
    _reload
"""
_GOLOMB_VALUE = "(_value >> (_end - _next)) - _base"
_SIGNED_VALUE = "_value + 1 >> 1 if _value & 1 else -(_value >> 1)"
_ALIGNMENT = """
_next = (_pos | 7) + 1
if _next <= _end and _word >> (_end - _next) & ((1 << (_next - _pos)) - 1) == 1 << (_next - _pos - 1):
    _pos = _next
else:
    _leave
    _call
    _reload
"""
_INCLUDE = """
_leave
try:
    _fast
except BitstreamError as _error:
    s._place(_error, _table)
    raise
_reload
"""
_CHECKS = {
    "min": "_given >= _bound",
    "max": "_given <= _bound",
    "enum": "_given in _bound._value2member_map_",
    "allowed": "_given in _bound",
    "fixed": "_given == _bound",
}


class _Fill(ast.NodeTransformer):
    """Puts parts in the place of names: an expression, or statements where the name is a statement."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self.parts = parts

    def visit_Expr(self, node: ast.Expr) -> Any:
        if isinstance(node.value, ast.Name) and isinstance(self.parts.get(node.value.id), list):
            return self.parts[node.value.id]
        return self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> Any:
        part = self.parts.get(node.id)
        return part if isinstance(part, ast.expr) else node


def _statements(source: str, **parts: Any) -> list[ast.stmt]:
    module = ast.parse(source)
    _Fill(parts).visit(module)
    return module.body


def _expression(source: str, **parts: Any) -> ast.expr:
    (statement,) = _statements(source, **parts)
    assert isinstance(statement, ast.Expr)
    return statement.value


def _mentions_reading(node: ast.AST) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id == "s" for inner in ast.walk(node))


class _Inliner:
    """Rewrites the body of one table function."""

    def body(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        result: list[ast.stmt] = []
        for statement in statements:
            made = self.statement(statement)
            for new in made:
                ast.copy_location(new, statement)
            result += made
        return result

    def statement(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.If):
            before = _statements(_LEAVE) if _mentions_reading(node.test) else []
            node.body = self.body(node.body)
            node.orelse = self.body(node.orelse)
            return [*before, node]
        if isinstance(node, ast.For):
            before = _statements(_LEAVE) if _mentions_reading(node.iter) else []
            node.body = self.body(node.body)
            return [*before, node]
        if isinstance(node, ast.Return):
            return [*_statements(_LEAVE), node]
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            made = self.element(node, node.value)
            if made is not None:
                return made
        if _mentions_reading(node):
            return [*_statements(_LEAVE), node, *_statements(_RELOAD)]
        return [node]

    def element(self, node: ast.Expr, call: ast.Call) -> list[ast.stmt] | None:
        """The code for a call of a method of `s`, None where there is no better than the call."""
        method = call.func
        if not (
            isinstance(method, ast.Attribute)
            and isinstance(method.value, ast.Name)
            and method.value.id == "s"
        ):
            return None
        parts: dict[str, Any] = {
            "_call": [node],
            "_leave": _statements(_LEAVE),
            "_reload": _statements(_RELOAD),
        }
        if method.attr == "byte_alignment":
            return _statements(_ALIGNMENT, **parts)
        if method.attr in ("u", "ue", "ie"):
            return self.number(method.attr, call, parts)
        if method.attr in ("infer", "let"):
            name, value = call.args
            before = _statements(_LEAVE) if _mentions_reading(value) else []
            return [*before, *_statements("_d[_name] = _given", _name=name, _given=value)]
        if method.attr == "require":
            return _statements("if not _condition:\n    _leave\n    _call", _condition=call.args[0], **parts)
        if method.attr == "include" and ast.unparse(call.args[0]) in _HOT:
            table, *arguments = call.args
            fast = ast.Call(
                ast.Name(f"fast_{ast.unparse(table)}"), [ast.Name("s"), ast.Name("v"), *arguments], []
            )
            return _statements(_INCLUDE, _fast=fast, _table=table, **parts)
        if method.attr == "limit":
            limit, value = call.args[0], call.args[1]
            assert isinstance(limit, ast.Constant)
            source = f"if _given > s.limits.{limit.value!s}:\n    _leave\n    _call"
            return _statements(source, _given=value, **parts)
        return None

    def number(self, kind: str, call: ast.Call, parts: dict[str, Any]) -> list[ast.stmt] | None:
        width, name, *index = call.args
        if len(index) > 1:
            return None
        parts.update(_width=width)
        before: list[ast.stmt] = []
        if isinstance(width, ast.Constant):
            assert isinstance(width.value, int)
            parts.update(_mask=ast.Constant((1 << width.value) - 1), _base=ast.Constant(1 << width.value))
        else:
            before = _statements("_bits = _width", **parts)
            parts.update(_width=ast.Name("_bits", ast.Load()))
            parts.update(_mask=_expression("(1 << _bits) - 1"), _base=_expression("1 << _bits"))
        value = _expression(_FIXED_VALUE if kind == "u" else _GOLOMB_VALUE, **parts)
        checks: list[ast.expr] = []
        if kind == "ie":
            checks.append(ast.Compare(_named(value), [ast.GtE()], [ast.Constant(0)]))
            value = _expression(_SIGNED_VALUE)
        bounds = [word for word in call.keywords if word.arg in _CHECKS]
        for word in bounds:
            given = _named(value) if word is bounds[0] else ast.Name("_value", ast.Load())
            checks.append(_expression(_CHECKS[word.arg or ""], _given=given, _bound=word.value))
        if bounds:
            value = ast.Name("_value", ast.Load())
        store = "_d[_name].append(_given)" if index else "_d[_name] = _given"
        parts.update(_allowed=checks[0] if len(checks) == 1 else ast.BoolOp(ast.And(), checks))
        if not checks:
            parts.update(_allowed=ast.Constant(True))
        parts.update(_store=_statements(store, _name=name, _given=value))
        return before + _statements(_FIXED if kind == "u" else _GOLOMB, **parts)


def _named(value: ast.expr) -> ast.expr:
    return ast.NamedExpr(ast.Name("_value", ast.Store()), value)


def _compiled(table: Table) -> ast.FunctionDef:
    """The function that reads as `table` does when `s` is a plain `Reader`."""
    function = ast.parse(textwrap.dedent(inspect.getsource(table))).body[0]
    assert isinstance(function, ast.FunctionDef)
    function.decorator_list = []
    function.returns = None
    for argument in function.args.args:
        argument.annotation = None
    function.body = [*_statements(_BEGIN), *_Inliner().body(function.body[1:]), *_statements(_LEAVE)]
    return ast.fix_missing_locations(function)


# What the headers of a stream of many data units consist of.
_HOT = (
    "nnr_unit_size",
    "nnr_unit_header",
    "nnr_compressed_data_unit_header",
    "tensor_dimensions_list",
    "topology_elements_ids_list",
    "integer_codebook",
    "entry_point_list",
)


def made_source() -> str:
    """What `fast.py` must hold."""
    functions = {name: _compiled(TABLES[name]) for name in _HOT}
    imports: dict[str, set[str]] = {}
    for name, function in functions.items():
        used = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        module_globals: dict[str, Any] = TABLES[name].__globals__
        for symbol in sorted(used & module_globals.keys() - vars(builtins).keys()):
            source = module_globals["__name__"].rpartition(".")[2]
            imports.setdefault(source, set()).add(symbol)
    for name in _HOT:
        imports.setdefault(TABLES[name].__module__.rpartition(".")[2], set()).add(name)
    lines = [
        '"""Syntax tables as straight-line code; made by compile_tables.py, not to be edited."""',
        "# fmt: off",
        "# ruff: noqa",
        "# mypy: ignore-errors",
        "from ..errors import BitstreamError",
    ]
    lines += [f"from .{source} import {', '.join(sorted(imports[source]))}" for source in sorted(imports)]
    for name, function in functions.items():
        function.name = f"fast_{name}"
        lines += ["", "", ast.unparse(function).replace(" and True:", ":")]
    lines += ["", "", "FAST_TABLES = {"]
    lines += [f"    {name}: fast_{name}," for name in _HOT]
    lines += [
        "}",
        "for _table, _fast in FAST_TABLES.items():",
        "    _fast.clause, _fast.status = _table.clause, _table.status",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    OUTPUT.write_text(made_source(), encoding="utf-8")
