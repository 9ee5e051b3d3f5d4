"""Time of the public functions on a model of four million weights, ours against NNCodec 2.1.3's.

    python benchmarks/end_to_end.py [--docs docs/interop.md]

One thread each, the same settings, in one run and in turns, so that both meet the same machine; CPU time,
medians, as ratios. The weights are synthetic, with the shapes and the spread of a convolutional network.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.models import PEER_SETTINGS, same_tensors
from benchmarks.peer import Peer, find_peer
from benchmarks.report import machine, markdown_table, replace_block, write_json

ENCODE_BAR, DECODE_BAR = 3.0, 2.0
SHAPES = (
    (64, 3, 7, 7), (64,), (64, 64, 3, 3), (64,), (128, 64, 3, 3), (128,), (128, 128, 3, 3), (128,),
    (256, 128, 3, 3), (256,), (256, 256, 3, 3), (256,), (512, 256, 3, 3), (512,), (512, 256, 3, 3), (512,),
    (1000, 512), (1000,),
)  # fmt: skip


def synthetic_model(seed: int = 1) -> dict[str, np.ndarray]:
    """Laplacian weights, their spread falling with the number of inputs, as trained convolutions have."""
    rng = np.random.default_rng(seed)
    model = {}
    for k, shape in enumerate(SHAPES):
        inputs = int(np.prod(shape[1:])) or 1
        model[f"layer{k}"] = rng.laplace(0, 0.5 / np.sqrt(inputs), shape).astype(np.float32)
    return model


def measure(peer: Peer, qp: int, repeats: int) -> dict[str, Any]:
    """CPU seconds of both codecs at one qp; every time a list over the repeats."""
    model = synthetic_model()
    times: dict[str, list[float]] = {"encode": [], "peer_encode": [], "decode": [], "peer_decode": []}
    data, theirs = b"", b""
    for _ in range(repeats):
        started = time.process_time()
        data = nnr.encode(model, qp=qp, threads=1)
        times["encode"].append(time.process_time() - started)
        answer = peer.encode(model, qp=qp, **PEER_SETTINGS)
        theirs = answer.data
        times["peer_encode"].append(answer.cpu_seconds)
        started = time.process_time()
        decoded = nnr.decode(theirs, threads=1)
        times["decode"].append(time.process_time() - started)
        answer = peer.decode(theirs)
        times["peer_decode"].append(answer.cpu_seconds)
        assert same_tensors(answer.tensors or {}, decoded)
    median = {key: statistics.median(values) for key, values in times.items()}
    weights = sum(a.size for a in model.values())
    return {
        "qp": qp,
        "weights": weights,
        "bits_per_weight": 8 * len(theirs) / weights,
        "bytes": len(data),
        "peer_bytes": len(theirs),
        "seconds": median,
        "spread": {key: [min(values), max(values)] for key, values in times.items()},
        "encode_ratio": median["peer_encode"] / median["encode"],
        "decode_ratio": median["peer_decode"] / median["decode"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""
    faster = "times as fast"
    head = ["qp", "bits/weight", "encode s", "NNCodec s", faster, "decode s", "NNCodec s", faster]
    return markdown_table(head, [
        [str(r["qp"]), f"{r['bits_per_weight']:.2f}", f"{r['seconds']['encode']:.3f}",
         f"{r['seconds']['peer_encode']:.3f}", f"{r['encode_ratio']:.2f}", f"{r['seconds']['decode']:.3f}",
         f"{r['seconds']['peer_decode']:.3f}", f"{r['decode_ratio']:.2f}"] for r in rows
    ])  # fmt: skip


def main() -> int:
    """Measure, print, and write what was asked for; status 1 when a ratio falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--qp", type=int, nargs="*", default=(-38, -26))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--docs", type=Path, help="page to put the table into; the JSON goes beside it")
    args = parser.parse_args()
    python = find_peer()
    if python is None:
        print("skipped: no NNCodec; `make interop` installs it, or set NNR_PEER_PYTHON")
        return 0
    with Peer(python) as peer:
        rows = [measure(peer, qp, args.repeats) for qp in args.qp]
    text = table(rows)
    here = machine()
    print(text)
    print(f"CPU seconds, medians of {args.repeats}; {here['processor']}, Python {here['python']}")
    if args.docs:
        note = f"\n\nCPU seconds on one thread, medians of {args.repeats} turns; {here['processor']}."
        replace_block(args.docs, "end_to_end", text + note)
        write_json(args.docs.with_name("end_to_end.json"), {"machine": here, "rows": rows})
    short = [r for r in rows if r["encode_ratio"] < ENCODE_BAR or r["decode_ratio"] < DECODE_BAR]
    for row in short:
        print(f"short of {ENCODE_BAR:g} and {DECODE_BAR:g}: qp {row['qp']}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
