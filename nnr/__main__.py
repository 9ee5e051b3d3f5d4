"""The command `nnr`, also as `python -m nnr`; it is made of the package `nnr.cli`."""

from __future__ import annotations

import sys

from .cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
