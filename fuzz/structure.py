"""Mutation that knows the syntax: a stream is parsed, values are changed, and it is written again.

What comes out has sound sizes and counts around the values that do not belong, so that it gets past the first
checks; bytes changed at random seldom do.

    python fuzz/structure.py SECONDS [SEED]      mutates and reads the vectors until the time is up
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from fuzz.promises import hold
from nnr.limits import Limits

__all__ = ["changed_bytes", "mutated"]

_NUMBERS = [0, 1, 2, 3, 7, 8, 9, 31, 63, 255, 256, 32767, 65535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1]
_LIMITS = Limits(max_output_bytes=1 << 22, max_list_entries=1 << 12)

_Place = tuple[Any, Any]  # a container and a key in it


def mutated(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """`data` with one to four values changed; with bytes changed where it cannot be parsed.

    Args:
        other: a stream whose units may be put into this one.
    """
    try:
        tree = nnr.syntax.parse(data, limits=_LIMITS)
    except nnr.NnrError:
        return changed_bytes(data, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if rng.random() < 0.2:
            _change_units(tree["units"], rng, other)
            continue
        places = list(_places(tree["units"]))
        if places:
            _change(*rng.choice(places), rng)
    try:
        return nnr.syntax.write(tree)
    except nnr.NnrError:
        return changed_bytes(data, rng)


def changed_bytes(data: bytes, rng: random.Random) -> bytes:
    """`data` with some bytes changed, cut out or doubled."""
    held = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        if not held:
            return bytes([rng.randrange(256)])
        at = rng.randrange(len(held))
        kind = rng.randrange(5)
        if kind == 0:
            held[at] = rng.randrange(256)
        elif kind == 1:
            held[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del held[at : at + rng.randrange(1, 9)]
        elif kind == 3:
            held[at:at] = held[at : at + rng.randrange(1, 9)]
        else:
            del held[at:]
    return bytes(held)


def _places(held: Any) -> Iterator[_Place]:
    """Where a number, a text, bytes or a list of them stands."""
    pairs = held.items() if isinstance(held, dict) else enumerate(held)
    for key, value in pairs:
        if isinstance(value, (dict, list)):
            if isinstance(value, list):
                yield held, key
            yield from _places(value)
        else:
            yield held, key


def _change(held: Any, key: Any, rng: random.Random) -> None:
    value = held[key]
    if isinstance(value, list):
        _change_list(value, rng)
    elif isinstance(value, (bytes, memoryview)):
        held[key] = changed_bytes(bytes(value), rng)
    elif isinstance(value, str):
        held[key] = rng.choice([value + "x", value[1:], "", "\n", "ä" * 40, value * 2])
        if value and set(value) <= {"0", "1"}:
            held[key] = rng.choice([value + "1", value[:-1], value[::-1]])
    elif isinstance(value, float):
        held[key] = rng.choice([0.0, -0.0, 1e38, float("inf"), float("nan"), -value])
    elif isinstance(value, int):
        near = (value + 1, max(value - 1, 0), value ^ 1, value ^ 1 << rng.randrange(8), -value)
        held[key] = rng.choice(near if rng.random() < 0.6 else _NUMBERS)


def _change_list(held: list[Any], rng: random.Random) -> None:
    at = rng.randrange(len(held)) if held else 0
    kind = rng.randrange(3)
    if kind == 0 and held:
        del held[at]
    elif kind == 1 and held:
        held.insert(at, held[at])
    else:
        rng.shuffle(held)


def _change_units(units: list[Any], rng: random.Random, other: bytes) -> None:
    if other and rng.random() < 0.5:
        try:
            units.insert(rng.randrange(len(units) + 1), rng.choice(nnr.syntax.parse(other)["units"]))
        except nnr.NnrError:
            pass
        return
    _change_list(units, rng)


def main(seconds: float, seed: int) -> None:
    """Mutate and read until the time is up; the first broken promise ends it, its input saved."""
    from fuzz.seeds import streams

    rng = random.Random(seed)
    seeds = list(dict.fromkeys(streams()))
    pool = list(seeds)
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutated(rng.choice(pool), rng, rng.choice(seeds))
        if len(data) > 1 << 14:
            continue
        try:
            decoded = hold(data)
        except BaseException:
            found = Path(f"broken-{seed}-{count}.nnr")
            found.write_bytes(data)
            print(f"kept as {found}", file=sys.stderr)
            raise
        count += 1
        if decoded is not None and rng.random() < 0.2:  # mutations of mutations go further
            pool.append(data)
            if len(pool) > 4 * len(seeds):
                pool = seeds + pool[2 * len(seeds) :]
    print(f"structure: {count} streams, seed {seed}")


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time()))
