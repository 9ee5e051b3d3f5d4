"""Results of single measurements, kept as they come, so that a benchmark goes on where it was stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nnr

__all__ = ["CODE", "FOLDER", "Cache"]

#: Below `build`, which git ignores and `make clean` removes.
FOLDER = Path(__file__).resolve().parent.parent / "build" / "benchmarks"


class Cache:
    """JSON values by key, one a line; a line that was cut short is measured again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._known: dict[str, Any] = {}
        if path.exists():
            text = path.read_text(encoding="utf-8")
            if text and not text.endswith("\n"):
                path.write_text(text + "\n", encoding="utf-8")
            for line in text.splitlines():
                try:
                    key, value = json.loads(line)
                except ValueError:
                    continue
                self._known[key] = value

    def get(self, *key: Any) -> Any:
        """The value, or None."""
        return self._known.get(json.dumps(key))

    def put(self, value: Any, *key: Any) -> Any:
        """Keep a value and give it back."""
        text = json.dumps(key)
        self._known[text] = value
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([text, value]) + "\n")
        return value


def _code_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(nnr.__file__).parent.rglob("*")):
        if path.suffix in (".py", ".so", ".pyd"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


#: Digest of the package as it was loaded, C core included: what our own results depend on.
CODE = _code_digest()
