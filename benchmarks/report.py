"""Results into files: JSON beside, and Markdown tables between marker comments of a page."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nnr

__all__ = ["machine", "markdown_table", "replace_block", "write_json"]


def machine() -> dict[str, Any]:
    """What the numbers depend on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "nnr": nnr.__version__,
    }


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are aligned to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def replace_block(page: Path, name: str, text: str) -> None:
    """Put `text` between ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` of a page.

    Raises:
        ValueError: the page has no such block.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page} has no block {name!r}")
    page.write_text(f"{before}{begin}\n{text.strip()}\n{end}{after}", encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write `content`, readable and ending in a newline."""
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
