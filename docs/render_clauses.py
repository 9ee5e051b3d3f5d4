"""Makes docs/clause-index.md: sections of the specification, functions that realise them, vectors that exercise them.

python docs/render_clauses.py            # rewrites the page
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
from pathlib import Path

import nnr.decoder
import nnr.syntax
from nnr.decoder.clauses import registry
from nnr.syntax.serdes import TABLES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "clause-index.md"

HEAD = """# Sections of the specification, functions and vectors

Made by `docs/render_clauses.py`. A section is one of our own specification of the bitstream: *syntax*, *semantics* and
*decoding*. "Vectors" counts the streams of `conformance/manifest.json` whose tools exercise the section, and names the smallest
two. Doubts and decisions are in [errata](errata.md); every syntax element is in [syntax](syntax.md).

| section | realised by | vectors |
|---|---|---|
"""


def realised() -> dict[str, list[str]]:
    """Section -> dotted names of functions, decoder and syntax tables together."""
    for package in (nnr.decoder, nnr.syntax):  # importing a module fills the registries
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{package.__name__}.{module.name}")
    found = {section: list(names) for section, names in registry().items()}
    for name, function in TABLES.items():
        if not function.__module__.startswith("nnr."):
            continue
        found.setdefault(function.clause, []).append(f"{function.__module__}.{name}")  # type: ignore[attr-defined]
    return found


def exercised() -> dict[str, list[tuple[int, str]]]:
    """Section -> (size, name) of the vectors that exercise it."""
    manifest = json.loads((ROOT / "conformance" / "manifest.json").read_text(encoding="utf-8"))
    found: dict[str, list[tuple[int, str]]] = {}
    for vector in manifest["vectors"]:
        for section in vector.get("clauses", []):
            found.setdefault(section, []).append((vector["bytes"], vector["name"]))
    return found


def _natural(section: str) -> tuple[int, list[int]]:
    document, number = section.split(" ")
    return ("syntax", "semantics", "decoding").index(document), [int(n) for n in re.findall(r"\d+", number)]


def _vectors(section: str, found: dict[str, list[tuple[int, str]]]) -> str:
    """Vectors of a section, and of its subsections where the manifest names only those."""
    exact = found.get(section) or sorted(
        {v for s, vs in found.items() if s.startswith(section + ".") for v in vs}
    )
    parent = section
    while not exact and "." in parent:
        parent = parent.rpartition(".")[0]
        exact = found.get(parent, [])
    if not exact:
        return "none"
    names = ", ".join(f"`{name}`" for _, name in sorted(exact)[:2])
    return f"{len(exact)}: {names}"


def render() -> str:
    """The page."""
    functions, vectors = realised(), exercised()
    rows = []
    for section in sorted(functions, key=_natural):
        names = ", ".join(f"`{name.removeprefix('nnr.')}`" for name in sorted(functions[section]))
        rows.append(f"| {section} | {names} | {_vectors(section, vectors)} |")
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
