"""What a checkpoint costs on many workers: measured per tensor, then simulated for 1, 8 and 64 of them.

Encodes matrices of several sizes on one thread, and lays the tensors of a large checkpoint on workers as
`nnr.encoder.work` does: the largest first, each to the worker that is free first. The simulation leaves out
what storage, a network and a scheduler add; the bytes that would move are counted.

    python benchmarks/scaling.py --json docs/scaling.json --docs docs/scaling.md
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np

import nnr

WORKERS = (1, 8, 64)

#: Matrices of a model of seven billion weights, as (tensors, rows, columns).
CHECKPOINT = ((1, 32000, 4096), (1, 32000, 4096), (320, 4096, 4096), (96, 11008, 1024), (320, 4096, 256))


def weights(rows: int, cols: int, seed: int) -> np.ndarray:
    """float16 [rows, cols], Laplacian as trained weights are."""
    return np.random.default_rng(seed).laplace(0, 0.02, (rows, cols)).astype(np.float16)


def measured(folder: Path, repeats: int) -> list[dict[str, Any]]:
    """Processor time and bits per weight at three sizes, the best of `repeats`."""
    points = []
    for rows, cols in ((256, 1024), (1024, 1024), (2048, 2048)):
        model = {"w": weights(rows, cols, rows)}
        seconds = []
        for _ in range(repeats):
            started = time.process_time()
            report = nnr.save_file(model, folder / "scaling.nnr", threads=1)
            seconds.append(time.process_time() - started)
        points.append(
            {
                "weights": report.weights,
                "nanoseconds_per_weight": 1e9 * min(seconds) / report.weights,
                "bits_per_weight": report.bits_per_weight,
            }
        )
    return points


def makespan(seconds: list[float], workers: int) -> float:
    """Time until all are done, the longest first, each on the worker that is free first."""
    free = [0.0] * workers
    for duration in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + duration)
    return max(free)


def simulated(points: list[dict[str, Any]]) -> dict[str, Any]:
    """The checkpoint on several numbers of workers."""
    cost = points[-1]["nanoseconds_per_weight"] * 1e-9
    counts = [rows * cols for number, rows, cols in CHECKPOINT for _ in range(number)]
    seconds = [cost * count for count in counts]
    total, alone = sum(counts), makespan(seconds, 1)
    return {
        "tensors": len(counts),
        "weights": total,
        "read_bytes": 2 * total,
        "returned_bytes": math.ceil(points[-1]["bits_per_weight"] * total / 8),
        "seconds_per_billion_weights": cost * 1e9,
        "workers": [
            {
                "workers": n,
                "seconds": makespan(seconds, n),
                "speedup": alone / makespan(seconds, n),
                "longest_tensor_seconds": max(seconds),
            }
            for n in WORKERS
        ],
    }


def table(result: dict[str, Any]) -> str:
    """The tables of docs/scaling.md."""
    lines = ["| weights in the tensor | ns per weight | bits per weight |", "|---|---|---|"]
    lines += [
        f"| {p['weights']:,} | {p['nanoseconds_per_weight']:.0f} | {p['bits_per_weight']:.2f} |"
        for p in result["measured"]
    ]
    found = result["simulated"]
    lines += [
        "",
        f"Simulated: {found['tensors']} tensors, {found['weights'] / 1e9:.2f} billion weights, "
        f"{found['seconds_per_billion_weights']:.0f} s of one thread per billion; "
        f"{found['read_bytes'] / 1e9:.1f} GB are read by the workers, "
        f"{found['returned_bytes'] / 1e9:.2f} GB come back.",
        "",
        "| workers | time | speedup | efficiency |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {w['workers']} | {w['seconds']:.0f} s | {w['speedup']:.1f} | {w['speedup'] / w['workers']:.0%} |"
        for w in found["workers"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, simulate, and write where the options say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="write all numbers there")
    parser.add_argument("--docs", type=Path, help="put the tables between the marks of this page")
    parser.add_argument("--repeats", type=int, default=3, help="measurements of each size (default: 3)")
    parser.add_argument("--folder", type=Path, default=Path(), help="for a temporary file (default: here)")
    args = parser.parse_args()
    points = measured(args.folder, args.repeats)
    (args.folder / "scaling.nnr").unlink()
    result = {"measured": points, "simulated": simulated(points)}
    text = table(result)
    print(text)
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    if args.docs:
        begin, end = "<!-- scaling: begin -->\n", "<!-- scaling: end -->"
        page = args.docs.read_text()
        head, rest = page.split(begin)
        args.docs.write_text(head + begin + "\n" + text + "\n" + end + rest.split(end)[1])


if __name__ == "__main__":
    main()
