"""Atheris target: the whole decoder, guided by coverage of the Python code.

Half of the mutations know the syntax.

    python fuzz/decoder.py [libFuzzer options] CORPUS SEEDS

Needs the package atheris (CPython 3.11 to 3.13 on Linux).
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import atheris

with atheris.instrument_imports(include=["nnr"]):
    import nnr.decoder.entropy
    import nnr.syntax.check
    import nnr.syntax.fast  # noqa: F401

from fuzz.promises import hold
from fuzz.structure import mutated


def one_input(data: bytes) -> None:
    """Every promise, for one input."""
    hold(data)


def mutate(data: bytes, most: int, seed: int) -> bytes:
    """A mutation of values or of bytes."""
    rng = random.Random(seed)
    changed = mutated(data, rng) if rng.random() < 0.5 else atheris.Mutate(data, most)
    return changed if len(changed) <= most else data


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input, custom_mutator=mutate)
    atheris.Fuzz()
