"""Which function realises which section of the specification.

`@clause("decoding 7")` enters the function in a registry, from which the clause index of the documentation is
rendered; a section that no function names is a gap. Sections are those of our own specification: the name of
the file and the number, ``decoding 9.2``, ``syntax 2.3``, ``semantics 5``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["clause", "registry"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_SECTION = re.compile(r"(syntax|semantics|decoding|encoding|README) [A-Z]?\d+(\.\d+)*")
_REGISTRY: dict[str, list[str]] = {}


def clause(*sections: str) -> Callable[[_Function], _Function]:
    """Mark a function (or class) as the place where `sections` of the specification are realised.

    Raises:
        ValueError: a section is not written as ``decoding 9.2``.
    """
    for section in sections:
        if not _SECTION.fullmatch(section):
            raise ValueError(f"{section!r} does not name a section of the specification")

    def mark(function: _Function) -> _Function:
        name = f"{function.__module__}.{function.__qualname__}"
        for section in sections:
            names = _REGISTRY.setdefault(section, [])
            if name not in names:
                names.append(name)
        return function

    return mark


def registry() -> dict[str, tuple[str, ...]]:
    """Section -> dotted names of the functions marked so far, sections in natural order."""

    def natural(section: str) -> tuple[str, list[tuple[str, int]]]:
        document, number = section.split(" ")
        parts = [re.fullmatch(r"([A-Z]?)(\d+)", part) for part in number.split(".")]
        return document, [(part[1], int(part[2])) for part in parts if part]

    return {section: tuple(_REGISTRY[section]) for section in sorted(_REGISTRY, key=natural)}
