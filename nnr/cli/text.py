"""Lines of text for the user: on one line each, aligned, and to a standard output that can fail."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence

__all__ = ["OutputError", "count", "one_line", "print_line", "table"]


class OutputError(Exception):
    """Standard output cannot be written; the text says why."""


def one_line(text: str) -> str:
    """`text` without control characters and line ends, so that a tensor's name cannot break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def count(number: int, what: str) -> str:
    """`1 tensor`, `2,000 tensors`."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def print_line(text: str) -> None:
    """Print one line to standard output, whatever `text` contains.

    Raises:
        BrokenPipeError: nobody reads any more.
        OutputError: it cannot be written; a kind of its own, since a file may just be read meanwhile.
    """
    if sys.stdout is None:
        raise OutputError("closed")
    try:
        print(one_line(text))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.strerror or str(error)) from error


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str]) -> list[str]:
    """Lines of a table with the titles `head`; the columns called in `right` are aligned to the right."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(head, *rows)]
    return [
        "  ".join(
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(row, widths, head)
        ).rstrip()
        for row in (head, *rows)
    ]
