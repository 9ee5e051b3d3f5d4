"""Lines of text for the user: on one line each, aligned, and to a standard output that can fail."""

from __future__ import annotations

import json
import math
import os
import re
import sys
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

__all__ = [
    "OutputError", "Screen", "cells", "clipped", "count", "decibels", "folded", "folded_table", "one_line",
    "print_json", "print_line", "screen_of", "shape_text", "shortened", "table",
]  # fmt: skip

_NAME_CELLS = 28
_PIECES = 1 << 12


class Screen(NamedTuple):
    """The terminal that a stream goes to: its columns and lines."""

    columns: int
    lines: int


class OutputError(Exception):
    """Standard output cannot be written; the text says why."""


def one_line(text: str) -> str:
    """`text` without control characters and line ends, so that a tensor's name cannot break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def count(number: int, what: str) -> str:
    """`1 tensor`, `2,000 tensors`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def shape_text(shape: Sequence[int] | None) -> str:
    """`64x3x3`, `scalar`, `-` for one that is not known."""
    return "-" if shape is None else "x".join(map(str, shape)) or "scalar"


def decibels(value: float) -> str:
    """`34.5`; `exact` without an error, `-` where it was not measured."""
    if math.isnan(value):
        return "-"
    return "exact" if math.isinf(value) else f"{value:.1f}"


def screen_of(stream: Any) -> Screen | None:
    """The terminal that `stream` goes to, or None where it goes elsewhere.

    The variables COLUMNS and LINES come before what the terminal says.
    """
    if stream is None or not stream.isatty():
        return None
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = os.terminal_size((0, 0))
    columns, lines = (os.environ.get(name, "") for name in ("COLUMNS", "LINES"))
    return Screen(
        int(columns) if columns.isdecimal() and int(columns) else size.columns or 80,
        int(lines) if lines.isdecimal() and int(lines) else size.lines or 24,
    )


def print_line(text: str) -> None:
    """Print one line to standard output, whatever `text` contains.

    Raises:
        BrokenPipeError: nobody reads any more.
        OutputError: it cannot be written; a kind of its own, since a file may just be read meanwhile.
    """
    _print(one_line(text))


def print_json(value: Any) -> None:
    """Print `value` as one line of JSON, in pieces, so that lists may be made as they are printed.

    Raises:
        BrokenPipeError, OutputError: as of `print_line`.
    """
    held: list[str] = []
    for piece in json.JSONEncoder().iterencode(value):
        held.append(piece)
        if len(held) == _PIECES:
            _print("".join(held), end="")
            held.clear()
    _print("".join(held))


def _print(text: str, end: str = "\n") -> None:
    if sys.stdout is None:
        raise OutputError("closed")
    try:
        print(text, end=end)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error


def cells(text: str) -> int:
    """Columns of a terminal that `text` takes: two for each wide character, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clipped(text: str, room: int) -> str:
    """The beginning of `text` that takes at most `room` columns."""
    used = 0
    for at, character in enumerate(text):
        used += _width(character)
        if used > room:
            return text[:at]
    return text


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str]) -> list[str]:
    """Lines of a table with the titles `head`; the columns called in `right` are aligned to the right."""
    rows = list(rows)
    widths = [max(map(cells, column)) for column in zip(head, *rows)]
    return [
        "  ".join(
            _blanks(width, cell) + cell if title in right else cell + _blanks(width, cell)
            for cell, width, title in zip(row, widths, head)
        ).rstrip()
        for row in (head, *rows)
    ]


def _blanks(width: int, cell: str) -> str:
    return " " * (width - cells(cell))


def folded(line: str, screen: Screen | None, indent: int = 0) -> list[str]:
    """`line` in as many as the screen needs, those behind the first indented."""
    if screen is None or cells(line) <= screen.columns:
        return [line]
    room = max(screen.columns, 2 * indent + 2)
    lines, used = [""], 0
    for word in re.findall(r"\s*\S+", line):
        if used + cells(word) > room and lines[-1].strip():
            word = " " * indent + word.lstrip()
            lines.append("")
            used = 0
        while cells(word) > room:  # of one word
            lines[-1] = clipped(word, room)
            word = " " * indent + word[len(lines[-1]) :]
            lines.append("")
        lines[-1] += word
        used = cells(lines[-1])
    return lines


def folded_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    right: Collection[str],
    screen: Screen | None,
    *,
    spare: Sequence[str] = (),
) -> list[str]:
    """As `table`, no wider than the screen: names, in the first column, are shortened in the middle.

    Where that is not enough, the columns called in `spare` are left out, the first of them first.
    """
    if screen is None:
        return table(head, rows, right)
    widths = {title: max(map(cells, column)) for title, *column in zip(head, head, *rows)}
    names = widths.pop(head[0])
    room = screen.columns - sum(width + 2 for width in widths.values())
    shown = list(head)
    for title in spare:
        if room >= min(names, _NAME_CELLS):
            break
        shown.remove(title)
        room += widths[title] + 2
    kept = [at for at, title in enumerate(head) if title in shown]
    room = max(room, min(names, _NAME_CELLS))
    short = [[shortened(row[0], room), *(row[at] for at in kept[1:])] for row in rows]
    return table(shown, short, right)


def shortened(text: str, room: int) -> str:
    """The beginning and the end of `text`, in at most `room` columns."""
    if cells(text) <= room:
        return text
    tail = clipped(text[::-1], (room - 3) // 2)[::-1]
    return f"{clipped(text, room - 3 - cells(tail))}...{tail}"
