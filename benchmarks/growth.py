"""Time and memory for a weight as models grow, 10^4 to 10^9 weights, through files and public functions.

    python benchmarks/growth.py [--most 1e9] [--docs docs/performance.md]

Laplacian weights at about two bits, in tensors of at most four million, read one by one from a source that
holds none of them (`nnr.formats.LazyTensors`), written with `nnr.save_file` and decoded tensor by tensor with
`nnr.open`. One thread; CPU seconds of the process; small models are coded often enough to be measured. All
sizes take their turns three times, and medians count; that of 10^9 weights has one turn, in the middle. Each
task has a process of its own: memory is what its peak has above the state after a small model. Bins are
counted from the levels: significance, sign, and one for each step of the magnitude.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.plot import Panel, write_svg
from benchmarks.report import machine, markdown_table, replace_block, write_json
from nnr.formats import LazyTensors
from nnr.stored import Stored

TASKS = ("encode", "encode fast", "decode")
QP = -2
#: Nanoseconds that a bin takes at the least on the processor of the project's notes on performance.
LIMIT_NS = 2.4
_LARGEST = 4_000_000
_COLUMNS = 1000
_ENOUGH = 0.5  # CPU seconds
TURNS = 3
_OFTEN = 10**8  # the largest size with all turns


def block(count: int) -> np.ndarray:
    """`count` weights, the first of always the same ones."""
    if _LARGEST not in _held:
        _held[_LARGEST] = np.random.default_rng(4).laplace(0, 0.5**0.5, _LARGEST).astype(np.float32)
    return _held[_LARGEST][:count].reshape(-1, min(count, _COLUMNS))


_held: dict[int, np.ndarray] = {}


def model(weights: int) -> LazyTensors:
    """A model that holds nothing."""
    sizes = [_LARGEST] * (weights // _LARGEST) + ([weights % _LARGEST] if weights % _LARGEST else [])
    return LazyTensors({
        f"layer{k}.weight": Stored(
            (size // min(size, _COLUMNS), min(size, _COLUMNS)), np.dtype(np.float32), partial(block, size)
        )
        for k, size in enumerate(sizes)
    })  # fmt: skip


def peak() -> int:
    """Largest resident memory of this process so far, in bytes (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def decode(path: Path) -> None:
    """Every tensor, one at a time."""
    with nnr.open(path, threads=1) as file:
        for name in file.keys():  # noqa: SIM118
            file[name]


def measure(task: str, weights: int, path: Path) -> dict[str, Any]:
    """CPU nanoseconds a weight and memory of one task; runs in a process of its own."""
    effort = "fast" if task == "encode fast" else "default"
    save = partial(nnr.save_file, qp=QP, threads=1, effort=effort)
    small = path.with_name("small.nnr")
    save(model(10_000), small)
    decode(small)
    source = model(weights)
    work: Callable[[], Any] = partial(decode, path) if task == "decode" else partial(save, source, path)
    if task != "decode":
        block(_LARGEST)  # the weights that are read are not counted
    before, count, started = peak(), 0, time.process_time()
    while not count or time.process_time() - started < _ENOUGH:
        work()
        count += 1
    seconds = (time.process_time() - started) / count
    return {"ns": 1e9 * seconds / weights, "memory": peak() - before, "bytes": path.stat().st_size}


def bins_of(weights: int, path: Path) -> float:
    """Bins a weight of the first tensor of a stream, escape codes left out."""
    count = min(weights, _LARGEST)
    nnr.save_file(model(count), path, qp=QP)
    (levels,) = nnr.decode_levels(path).values()
    magnitudes = (np.abs(levels) + 1) >> 1  # the doubled integers of dependent quantization
    return float(np.where(magnitudes == 0, 1, 2 + np.minimum(magnitudes, 11)).mean())


def turn_of(weights: int, folder: Path) -> dict[str, Any]:
    """All tasks on one size, once."""
    row: dict[str, Any] = {"weights": weights, "bins": bins_of(weights, folder / "bins.nnr")}
    path = folder / "model.nnr"
    for task in TASKS:
        command = [sys.executable, __file__, "--task", task, "--weights", str(weights), "--file", str(path)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout)
        row[task] = found["ns"]
        row[f"{task} memory"] = found["memory"]
        row["bytes"] = found["bytes"]
    return row


def row_of(turns: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of times and the largest memory of the turns of one size."""
    row = dict(turns[0])
    for task in TASKS:
        row[task] = statistics.median(turn[task] for turn in turns)
        row[f"{task} memory"] = max(turn[f"{task} memory"] for turn in turns)
    return row


def table(rows: list[dict[str, Any]]) -> str:
    """One line a size."""
    head = ["weights", "bits/weight", "bins/weight", *(f"{task}, ns" for task in TASKS)]
    head += ["decode, share of limit", *(f"{task}, MB" for task in TASKS)]
    lines = [
        [
            f"{row['weights']:,}", f"{8 * row['bytes'] / row['weights']:.2f}", f"{row['bins']:.2f}",
            *(f"{row[task]:.1f}" for task in TASKS), f"{100 * LIMIT_NS * row['bins'] / row['decode']:.0f} %",
            *(f"{row[f'{task} memory'] / 1e6:.0f}" for task in TASKS),
        ]
        for row in rows
    ]  # fmt: skip
    flat = [row for row in rows if row["weights"] >= 10**6]
    spread = {
        task: max(row[task] for row in flat) / min(row[task] for row in flat) - 1 for task in TASKS if flat
    }
    words = "; ".join(f"{task} {100 * value:.0f} %" for task, value in spread.items())
    note = f"Largest over smallest time from 10^6 weights on, less one: {words}."
    return f"{markdown_table(head, lines)}\n\n{note}"


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=float, default=1e9, help="largest number of weights")
    parser.add_argument("--docs", type=Path, help="page to put the table into; JSON and plot go beside it")
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(measure(args.task, args.weights, args.file)))
        return 0
    sizes = [10**exponent for exponent in range(4, 10) if 10**exponent <= args.most]
    turns: dict[int, list[dict[str, Any]]] = {weights: [] for weights in sizes}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(TURNS):
            for weights in sizes:
                if weights <= _OFTEN or number == TURNS // 2:
                    turns[weights].append(turn_of(weights, Path(folder)))
                    print(json.dumps(turns[weights][-1]), flush=True)
    rows = [row_of(found) for found in turns.values()]
    print(table(rows))
    if args.docs:
        replace_block(args.docs, "growth", table(rows))
        write_json(args.docs.with_name("growth.json"), {"machine": machine(), "rows": rows})
        ticks = [row["weights"] for row in rows]
        times = {task: [(row["weights"], row[task]) for row in rows] for task in TASKS}
        memory = {task: [(row["weights"], row[f"{task} memory"] / 1e6) for row in rows] for task in TASKS}
        highest = max(value for line in memory.values() for _, value in line)
        panels = [
            Panel("CPU nanoseconds a weight", times, ticks, [0, 20, 40, 60, 80]),
            Panel("memory above the interpreter's, MB", memory, ticks, [0, highest / 2, highest]),
        ]
        write_svg(args.docs.with_name("growth.svg"), panels, "weights", "")
    return 0


if __name__ == "__main__":
    sys.exit(main())
