"""Streams of fixed inputs and their SHA-256: `python tests/golden.py` prints them, `--write` stores them.

The inputs come from integer arithmetic alone, so that they are the same everywhere. The digests say nothing
about whether a stream is right, other tests do; they say that every platform, build, version of numpy and
number of threads writes the same bytes. Who changes the encoder so that bytes change writes them anew.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

import nnr

STORED = Path(__file__).with_suffix(".json")

OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"effort": "fast"},
    "best": {"effort": "best"},
    "nearest": {"dq": False},
    "nearest with rate": {"dq": False, "lambda_scale": 0.6, "qp": -20},
    "rate": {"lambda_scale": 0.8, "qp": -20, "qp_density": 3},
    "blocks scan": {"scan_order": 2, "compat": None},
    "codebook": {"codebook": 16},
    "bit depth": {"bitdepth": 4},
    "first edition": {"profile": 0, "compat": "nncodec1"},
    "size": {"bits_per_weight": 2.5},
    "error": {"max_error": 0.01},
    "psnr": {"psnr": 35.0},
    "allocated": {"allocate": True, "qp": -22},
}


def noise(count: int, seed: int) -> np.ndarray:
    """About normal integers by a linear congruential generator: sums of four digits of 16 bits; int64."""
    state, values = seed, np.empty(count, np.int64)
    for k in range(count):
        total = 0
        for _ in range(4):
            state = (6364136223846793005 * state + 1442695040888963407) & (1 << 64) - 1
            total += state >> 48
        values[k] = total - 2 * 65535
    return values


def model() -> dict[str, np.ndarray]:
    """Tensors of several types; little-endian everywhere, since the byte order of an array is kept."""
    return {
        "conv.weight": (noise(32 * 16 * 9, 1) / 2**20).astype("<f4").reshape(32, 16, 3, 3),
        "conv.bias": (noise(32, 2) / 2**18).astype("<f4"),
        "fc.weight": (noise(100 * 90, 3) / 2**21).astype("<f4").reshape(100, 90),
        "half": (noise(60 * 50, 4) / 2**19).astype("<f2").reshape(60, 50),
        "double": (noise(33, 5) / 2**17).astype("<f8"),
        "ids": noise(200, 6).astype("<i4").reshape(20, 10),
        "wide": (noise(9, 7) << 30).astype("<i8"),
        "mask": noise(40, 8) > 0,
    }


def digests(*, threads: int | None = None) -> dict[str, str]:
    """SHA-256 of the stream, by name of the options; and of the values of the default stream, decoded."""
    tensors = model()
    found, stream = {}, b""
    for name, options in OPTIONS.items():
        data = nnr.encode(tensors, threads=threads, **options)
        found[name] = hashlib.sha256(data).hexdigest()
        stream = stream or data
    encoder = nnr.Encoder(threads=threads)
    encoder.encode(tensors)
    moved = {n: a + a.dtype.type(1) / 128 if a.dtype.kind == "f" else a for n, a in tensors.items()}
    found["update"] = hashlib.sha256(encoder.encode_update(moved)).hexdigest()
    decoded = nnr.decode(stream, threads=threads)
    values = b"".join(a.astype(a.dtype.newbyteorder("<")).tobytes() for a in decoded.values())
    found["values"] = hashlib.sha256(values).hexdigest()
    return found


if __name__ == "__main__":
    text = json.dumps(digests(), indent=1) + "\n"
    if "--write" in sys.argv[1:]:
        STORED.write_text(text)
    elif "--check" in sys.argv[1:]:
        stored, found = json.loads(STORED.read_text()), json.loads(text)
        differing = [name for name in stored if stored[name] != found.get(name)]
        if differing or len(found) != len(stored):
            sys.exit(f"digests differ: {', '.join(differing)}")
        print(f"{len(found)} digests agree")
    else:
        print(text, end="")
