"""How fast the core and the public functions are, ours against NNCodec 2.1.3's, as ratios.

    python benchmarks/speed.py [--docs docs/performance.md] [--quick] [--callgrind]

Every row is measured in turns, NNCodec and ours in the same run, so that both meet the same machine: CPU
time of one thread, medians, and the spread of the ratio over the turns. A turn goes through all rows before
the next begins, so that a burst of other work meets few turns of a row. In a turn each side is kept at work
for 30 ms: whoever has slept starts with a cold processor, and short tasks suffer most by it. Beside the ratio
of medians stands that of the fastest turns of both, which is nearer to a machine without other guests.

The core rows call NNCodec's C++ core directly (`speed_side.py`), the rows below them the public functions of
both packages (`peer.py`). Data: Laplacian weights in tensors of 262144, and the convolution and linear
weights of ResNet-56 where the evaluation data are there.
"""

from __future__ import annotations

import argparse
import bz2
import json
import lzma
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.models import PEER_SETTINGS, data_folder
from benchmarks.peer import Peer, find_peer
from benchmarks.report import machine, markdown_table, replace_block, write_json
from benchmarks.speed_paths import codebook_rows, path_rows, path_shortfalls, thread_rows
from nnr import core
from nnr.core import ParamOpt, Unit
from nnr.formats import load_tensors

UNARY_LENGTH, QP_DENSITY = 11, 2
#: What is required of a row, and what is aimed at (issue "The hot loop at the limit").
BARS: dict[str, tuple[float, float]] = {
    "decode": (2.8, 5.0),
    "decode, one payload": (2.3, 3.0),
    "encode, no search": (3.0, 4.0),
    "encode, exact search": (4.0, 6.0),
    "encode, fast search": (7.0, 10.0),
    "trellis": (12.0, 20.0),
    "trellis with rate": (10.0, 15.0),
}
#: The same where tensors are small.
SMALL_BARS: dict[str, tuple[float, float]] = {"encode, fast search": (4.5, 7.0)}
SMALL = 65536  # weights of a tensor
#: What is required of the public functions: decode, encode, encode fast.
PUBLIC_BARS: dict[str, tuple[float, float, float]] = {
    "8 of 524288": (3.2, 4.0, 8.0), "1000 of 1000": (1.8, 25.0, 40.0), "1000 of 10": (1.5, 40.0, 40.0),
}  # fmt: skip
PUBLIC_TASKS = ("decode", "encode", "encode fast")
ALIKE = 1.15  # ratios of two runs that agree
ENOUGH = 0.03  # CPU seconds of a task in a turn


# ---- data and our half ---------------------------------------------------------------------------------


@dataclass
class Case:
    """Weights quantized once, by the plain quantizers of both codecs alike."""

    name: str
    dq_flag: int
    qp: int
    weights: list[np.ndarray]
    levels: list[np.ndarray] = field(default_factory=list)
    payloads: list[bytes] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Weights in all."""
        return sum(array.size for array in self.weights)

    @property
    def bits_per_weight(self) -> float:
        """Of the exact search."""
        return 8 * sum(map(len, self.payloads)) / self.count


def step_size(qp: int) -> float:
    """(decoding 10.1)"""
    return ((1 << QP_DENSITY) + (qp & 3)) * 2.0 ** ((qp >> QP_DENSITY) - QP_DENSITY)


def units_and_tensors(
    arrays: Sequence[np.ndarray], dq_flag: int, payloads: Sequence[Any], param_opt: int, dequantize: int = 0
) -> tuple[Any, Any]:
    """Rows for the core, one unit for each array."""
    units = core.new_units([
        [core.address(p) if len(p) else 0, len(p), k, 1, 1, dq_flag, 0, 0, 31, param_opt]
        for k, p in enumerate(payloads)
    ])  # fmt: skip
    tensors = core.new_tensors([
        [*a.shape, UNARY_LENGTH, 0, 0, 0, 1, 0, QP_DENSITY, dequantize, core.address(a)] for a in arrays
    ])  # fmt: skip
    return units, tensors


def encode(case: Case, param_opt: int) -> tuple[float, list[bytes]]:
    """CPU seconds, payloads."""
    units, tensors = units_and_tensors(case.levels, case.dq_flag, [b""] * len(case.levels), param_opt)
    started = time.thread_time()
    payloads = core.encode_units(units, tensors)
    return time.thread_time() - started, payloads


def touched(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Memory for levels of arrays that the system has handed out already: it was written to."""
    return [np.full(array.shape, 0, np.int32) for array in arrays]


def decode(case: Case, *, alone: bool) -> float:
    """CPU seconds; `alone`: one call for each payload, so that none has another beside it."""
    buffers = [np.frombuffer(payload, np.uint8) for payload in case.payloads]
    found = touched(case.levels)
    units, tensors = units_and_tensors(found, case.dq_flag, buffers, 0)
    started = time.thread_time()
    if alone:
        for k in range(len(units)):
            core.decode_units(units[k : k + 1], tensors)
    else:
        core.decode_units(units, tensors)
    seconds = time.thread_time() - started
    assert not units[:, Unit.STATUS].any()
    assert all(map(np.array_equal, found, case.levels))
    return seconds


def quantize(case: Case, lambda_scale: float) -> tuple[float, list[np.ndarray]]:
    """CPU seconds, levels."""
    found = touched(case.weights)
    started = time.thread_time()
    for number, array in enumerate(case.weights):
        if lambda_scale:
            rate = core.quantize_trellis_rate if case.dq_flag else core.quantize_nearest_rate
            found[number] = rate(array, case.qp, QP_DENSITY, *array.shape, lambda_scale=lambda_scale)
        elif case.dq_flag:
            status = core.lib.nnr_quantize_trellis(
                core.ffi.from_buffer("float[]", array), core.ffi.from_buffer("int32_t[]", found[number]),
                *array.shape, 0, step_size(case.qp),
            )  # fmt: skip
            assert status == 0
        else:
            found[number] = core.quantize_nearest(array, step_size(case.qp))
    return time.thread_time() - started, found


def complete(case: Case) -> Case:
    """Levels and payloads."""
    case.levels = quantize(case, 0)[1]
    case.payloads = encode(case, ParamOpt.EXACT)[1]
    return case


def laplacian(count: int) -> list[np.ndarray]:
    """Weights of deviation 1."""
    rng = np.random.default_rng(1)
    return [rng.laplace(0, math.sqrt(0.5), (256, 1024)).astype(np.float32) for _ in range(count)]


def matrices(name: str) -> list[np.ndarray] | None:
    """Weights of two dimensions and more of a model in the evaluation data."""
    path = data_folder() / f"{name}.safetensors"
    if not path.exists():
        return None
    tensors = (np.asarray(tensor) for tensor in load_tensors(path).values())
    return [np.ascontiguousarray(t.reshape(t.shape[0], -1), np.float32) for t in tensors if t.ndim >= 2]


def at_rate(name: str, dq_flag: int, weights: list[np.ndarray], wanted: float) -> Case:
    """The qp that comes nearest to a number of bits per weight."""
    low, high = -60, 20
    while low < high:
        middle = (low + high) // 2
        if complete(Case(name, dq_flag, middle, weights)).bits_per_weight > wanted:
            low = middle + 1
        else:
            high = middle
    return complete(Case(name, dq_flag, low, weights))


# ---- the core in turns ----------------------------------------------------------------------------------


class PeerCore:
    """NNCodec's C++ core in a process of its own."""

    def __init__(self, python: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nnr-speed-")
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(Path(__file__).with_name("speed_side.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._folder.name,
        )  # fmt: skip

    def __enter__(self) -> PeerCore:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=20)
        self._folder.cleanup()

    def ask(self, **job: Any) -> dict[str, Any]:
        """One answer of the other side."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer

    def load(self, number: int, case: Case) -> None:
        """Give it the arrays of a case, under a number."""
        path = Path(self._folder.name) / "case.npz"
        named = {f"w{k}": array for k, array in enumerate(case.weights)}
        named |= {f"l{k}": array for k, array in enumerate(case.levels)}
        named |= {f"p{k}": np.frombuffer(data, np.uint8) for k, data in enumerate(case.payloads)}
        np.savez(path, **named)
        self.ask(do="load", case=number, input=str(path))


def steady(run: Callable[[], float]) -> float:
    """Seconds of a task by a process that has slept, while the other one worked, and is awake again.

    Short tasks are repeated, and their first run does not count.
    """
    first = run()
    if first > ENOUGH:
        return first
    times: list[float] = []
    while sum(times) < ENOUGH:
        times.append(run())
    return statistics.fmean(times)


@dataclass
class Row:
    """Times of one task on one case, turn by turn."""

    task: str
    case: Case
    run_peer: Callable[[], float]
    run_ours: Callable[[], float]
    note_of: Callable[[], str] = str
    peer: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    def turn(self) -> None:
        """Both, one after the other."""
        self.peer.append(steady(self.run_peer))
        self.ours.append(steady(self.run_ours))

    @property
    def ratio(self) -> float:
        """NNCodec's time by ours, medians."""
        return statistics.median(self.peer) / statistics.median(self.ours)

    @property
    def fastest(self) -> float:
        """The same of the fastest turn of either."""
        return min(self.peer) / min(self.ours)

    @property
    def bars(self) -> tuple[float, float]:
        """What is required and what is aimed at; zeros without."""
        small = max(array.size for array in self.case.weights) < SMALL
        return (small and SMALL_BARS.get(self.task)) or BARS.get(self.task, (0.0, 0.0))

    @property
    def spread(self) -> tuple[float, float]:
        """Least and largest ratio of a turn."""
        ratios = [a / b for a, b in zip(self.peer, self.ours, strict=True)]
        return min(ratios), max(ratios)

    def values(self) -> dict[str, Any]:
        """For the JSON."""
        return {
            "task": self.task, "data": self.case.name, "dq_flag": self.case.dq_flag, "qp": self.case.qp,
            "weights": self.case.count, "bits_per_weight": self.case.bits_per_weight,
            "ns_per_weight": 1e9 * statistics.median(self.ours) / self.case.count,
            "peer_ns_per_weight": 1e9 * statistics.median(self.peer) / self.case.count,
            "ratio": self.ratio, "fastest": self.fastest, "spread": self.spread, "note": self.note_of(),
        }  # fmt: skip


def core_rows(peer: PeerCore, number: int, case: Case) -> list[Row]:
    """All tasks of the core on one case, to be measured."""
    dq = case.dq_flag
    peer.load(number, case)
    sizes: dict[str, int] = {}
    unequal: set[str] = set()

    def theirs(task: str, **job: Any) -> Callable[[], float]:
        def run() -> float:
            answer = peer.ask(case=number, dq=dq, **job)
            sizes["peer " + task] = answer.get("bytes", 0)
            if not answer.get("same", True):
                unequal.add(task)
            return float(answer["seconds"])

        return run

    def encoded(task: str, param_opt: int, theirs: Callable[[], float], against: str = "") -> Row:
        def run() -> float:
            seconds, payloads = encode(case, param_opt)
            sizes[task] = sum(map(len, payloads))
            return seconds

        def note() -> str:
            return f"{100 * (sizes[task] / sizes['peer ' + against] - 1):+.3f} % bytes" if against else ""

        return Row(task, case, theirs, run, note)

    def same_levels(task: str) -> Callable[[], str]:
        return lambda: "levels differ" if task in unequal else "same levels"

    exact = "encode, exact search"
    searched = theirs(exact, do="encode", param_opt=1)
    decoded = theirs("decode", do="decode")
    rated = {"do": "quantize", "qp": case.qp, "lambda_scale": 0.8}
    rows = [
        Row("decode", case, decoded, lambda: decode(case, alone=False), same_levels("decode")),
        Row("decode, one payload", case, decoded, lambda: decode(case, alone=True)),
        encoded("encode, no search", ParamOpt.OFF, theirs("encode, no search", do="encode", param_opt=0)),
        encoded(exact, ParamOpt.EXACT, searched, exact),
        encoded("encode, fast search", ParamOpt.FAST, searched, exact),
    ]
    if not dq:
        task = "uniform with rate"
        return [*rows, Row(task, case, theirs(task, **rated), lambda: quantize(case, 0.8)[0])]
    plain = theirs("trellis", do="quantize", qp=case.qp, lambda_scale=0)
    rows.append(Row("trellis", case, plain, lambda: quantize(case, 0)[0], same_levels("trellis")))
    task = "trellis with rate"
    return [*rows, Row(task, case, theirs(task, **rated), lambda: quantize(case, 0.8)[0])]


def geometric_mean(rows: Sequence[Row]) -> float:
    """Of their ratios."""
    return statistics.geometric_mean(row.ratio for row in rows)


# ---- public functions -----------------------------------------------------------------------------------


def small_tensors(count: int, size: int) -> dict[str, np.ndarray]:
    """A model of many small vectors as matrices of two rows."""
    rng = np.random.default_rng(2)
    return {f"t{k}": rng.laplace(0, 0.05, (2, size // 2)).astype(np.float32) for k in range(count)}


def public_rows(peer: Peer, turns: int, *, quick: bool) -> list[dict[str, Any]]:
    """CPU seconds of encode and decode of both packages, default and `fast`."""
    rng = np.random.default_rng(3)
    big = {f"w{k}": rng.laplace(0, 0.02, (512, 1024)).astype(np.float32) for k in range(2 if quick else 8)}
    models = [(f"{len(big)} of 524288", big, -26), ("1000 of 1000", small_tensors(1000, 1000), -26)]
    models.append(("1000 of 10", small_tensors(1000, 10), -26))
    keys = ("peer encode", "encode", "encode fast", "peer decode", "decode")
    times: dict[str, dict[str, list[float]]] = {name: {key: [] for key in keys} for name, _, _ in models}
    sizes: dict[str, dict[str, int]] = {name: {} for name, _, _ in models}
    for _ in range(turns):
        for name, model, qp in models:
            answer = peer.encode(model, qp=qp, **PEER_SETTINGS)
            theirs = answer.data
            sizes[name]["peer encode"] = len(theirs)
            times[name]["peer encode"].append(answer.cpu_seconds)
            for key, effort in (("encode", "default"), ("encode fast", "fast")):
                started = time.process_time()
                data = nnr.encode(model, qp=qp, threads=1, effort=effort, metadata=False)
                times[name][key].append(time.process_time() - started)
                sizes[name][key] = len(data)
            times[name]["peer decode"].append(peer.decode(theirs).cpu_seconds)
            started = time.process_time()
            nnr.decode(theirs, threads=1)
            times[name]["decode"].append(time.process_time() - started)
    rows = []
    for name, model, qp in models:
        weights = sum(array.size for array in model.values())
        for key in PUBLIC_TASKS:
            peers, ours = times[name]["peer decode" if key == "decode" else "peer encode"], times[name][key]
            ratios = [a / b for a, b in zip(peers, ours, strict=True)]
            rows.append({
                "model": name, "task": key, "qp": qp, "weights": weights,
                "bits_per_weight": 8 * sizes[name]["peer encode"] / weights,
                "seconds": statistics.median(ours), "peer_seconds": statistics.median(peers),
                "ratio": statistics.median(peers) / statistics.median(ours),
                "spread": (min(ratios), max(ratios)),
                "bytes": sizes[name].get(key), "peer_bytes": sizes[name]["peer encode"],
            })  # fmt: skip
    return rows


def threads_of_public_functions(turns: int) -> list[dict[str, Any]]:
    """Of `nnr.encode` at the default effort and `nnr.decode`, four million weights."""
    rng = np.random.default_rng(3)
    model = {f"w{k}": rng.laplace(0, 0.02, (512, 1024)).astype(np.float32) for k in range(8)}
    data = nnr.encode(model, qp=-26, metadata=False)
    return thread_rows(
        lambda threads: nnr.encode(model, qp=-26, threads=threads, metadata=False),
        lambda threads: nnr.decode(data, threads=threads),
        turns,
    )


# ---- general compressors, instructions ------------------------------------------------------------


def compressor_rows(case: Case, turns: int) -> list[dict[str, Any]]:
    """General compressors on the same levels as bytes; zstd where Python has a module for it."""
    raw = b"".join(np.clip(array, -128, 127).astype(np.int8).tobytes() for array in case.levels)
    tools: list[tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]] = [
        ("bzip2 -9", bz2.compress, bz2.decompress), ("xz -6", lzma.compress, lzma.decompress),
    ]  # fmt: skip
    try:
        import zstandard
    except ImportError:
        pass
    else:
        tools.append(("zstd -19", zstandard.ZstdCompressor(level=19).compress, zstandard.decompress))
    rows = []
    for name, pack, unpack in tools:
        packed = pack(raw)
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(turns):
            started = time.thread_time()
            pack(raw)
            times[0].append(time.thread_time() - started)
            started = time.thread_time()
            unpack(packed)
            times[1].append(time.thread_time() - started)
        rows.append((name, len(packed), *map(statistics.median, times)))
    exact = [encode(case, ParamOpt.EXACT)[0] for _ in range(turns)]
    ours = [decode(case, alone=False) for _ in range(turns)]
    rows.append(("nnr", sum(map(len, case.payloads)), statistics.median(exact), statistics.median(ours)))
    return [
        {"tool": name, "bits_per_weight": 8 * size / case.count, "encode": 1e9 * a / case.count,
         "decode": 1e9 * b / case.count} for name, size, a, b in rows
    ]  # fmt: skip


CALLGRIND_TASKS = {
    "decode, two payloads": ("nnr_decode_units", "speed.decode(case, alone=False)"),
    "decode, one payload": ("nnr_decode_units", "speed.decode(case, alone=True)"),
    "encode, no search": ("nnr_encode_units", "speed.encode(case, 0)"),
    "encode, exact search": ("nnr_encode_units", "speed.encode(case, 1)"),
    "trellis": ("nnr_quantize_trellis", "speed.quantize(case, 0)"),
    "trellis with rate": ("nnr_quantize_trellis_rate", "speed.quantize(case, 0.8)"),
}


def callgrind_rows() -> list[dict[str, Any]]:
    """Instructions a weight inside the C core: two tensors of 32768 weights at about 2 bits.

    They do not depend on what else the machine does.
    """
    if not shutil.which("valgrind"):
        return []
    rows = []
    for task, (function, call) in CALLGRIND_TASKS.items():
        script = (
            "import numpy as np\nfrom benchmarks import speed\n"
            "rng = np.random.default_rng(5)\n"
            "w = [rng.laplace(0, 0.5 ** 0.5, (64, 512)).astype(np.float32) for _ in range(2)]\n"
            f"case = speed.complete(speed.Case('', 1, -2, w))\n{call}\n"
        )
        counts = []
        for text in (script, script.replace(f"\n{call}\n", "\n")):
            with tempfile.TemporaryDirectory() as folder:
                result = subprocess.run(
                    ["valgrind", "--tool=callgrind", f"--toggle-collect={function}",
                     f"--callgrind-out-file={folder}/out", sys.executable, "-c", text],
                    capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}, check=True,
                )  # fmt: skip
            found = re.search(r"Collected : (\d+)", result.stderr)
            counts.append(int(found[1]) if found else 0)
        rows.append({"task": task, "instructions_per_weight": (counts[0] - counts[1]) / 65536})
    return rows


# ---- tables -----------------------------------------------------------------------------------------------


def summary_table(rows: Sequence[Row]) -> str:
    """A line for each task: geometric mean, least and largest ratio, and what is asked for."""
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        chosen = [row for row in rows if row.task == task]
        required, aim = (sorted({row.bars[k] for row in chosen}, reverse=True) for k in (0, 1))
        ratios = [row.ratio for row in chosen]
        lines.append([
            task, f"{geometric_mean(chosen):.1f}", f"{min(ratios):.1f}", f"{max(ratios):.1f}",
            f"{statistics.geometric_mean(row.fastest for row in chosen):.1f}",
            ", ".join(f"{bar:g}" for bar in required if bar) or "-",
            ", ".join(f"{bar:g}" for bar in aim if bar) or "-",
        ])  # fmt: skip
    return markdown_table([
        "task", "geometric mean", "least", "largest", "mean of fastest turns", "required", "aim",
    ], lines)  # fmt: skip


def core_table(rows: Sequence[Row]) -> str:
    """A line for each row."""
    lines = []
    for row in rows:
        v = row.values()
        low, high = row.spread
        lines.append([
            f"{row.task}", row.case.name, str(row.case.dq_flag), f"{v['bits_per_weight']:.2f}",
            f"{v['peer_ns_per_weight']:.1f}", f"{v['ns_per_weight']:.1f}",
            f"{row.ratio:.1f}", f"{low:.1f} to {high:.1f}", f"{row.fastest:.1f}", v["note"],
        ])  # fmt: skip
    head = ["task", "data", "dq", "bits/weight", "NNCodec ns", "nnr ns", "ratio", "of single turns"]
    return markdown_table([*head, "of fastest turns", ""], lines)


def public_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A line for each model and task."""
    return markdown_table(["model", "task", "NNCodec s", "nnr s", "ratio", "of single turns", "bytes"], [
        [r["model"], r["task"], f"{r['peer_seconds']:.3f}", f"{r['seconds']:.3f}", f"{r['ratio']:.1f}",
         f"{r['spread'][0]:.1f} to {r['spread'][1]:.1f}",
         f"{100 * (r['bytes'] / r['peer_bytes'] - 1):+.2f} %" if r["bytes"] else ""] for r in rows
    ])  # fmt: skip


def plain_table(rows: Sequence[Mapping[str, Any]], digits: int = 1) -> str:
    """Any rows with the same keys."""
    head = list(rows[0])
    return markdown_table(head, [
        [f"{r[key]:.{digits}f}" if isinstance(r[key], float) else str(r[key]) for key in head] for r in rows
    ])  # fmt: skip


def shortfalls(rows: Sequence[Row], others: Sequence[str]) -> str:
    """Rows below what is required, by name."""
    short = [row for row in rows if row.ratio < row.bars[0]]
    if not short and not others:
        return "No row is below what is required of it."
    lines = [
        f"* {row.task}, {row.case.name}, dq {row.case.dq_flag}, {row.case.bits_per_weight:.2f} bits: "
        f"{row.ratio:.2f} instead of {row.bars[0]:g}" for row in short
    ]  # fmt: skip
    decoded = [row for row in rows if row.task == "decode"]
    if geometric_mean(decoded) < 3.5:
        lines.append(f"* decode, geometric mean: {geometric_mean(decoded):.2f} instead of 3.5")
    lines += [f"* {text}" for text in others]
    return "Below what is required in this run:\n\n" + "\n".join(lines)


def agreement(earlier: Mapping[str, Any], core: Sequence[Row], public: Sequence[Mapping[str, Any]]) -> str:
    """How far the ratios of an earlier run are from those of this one."""
    then = {(r["task"], r["data"], r["dq_flag"], r["qp"]): r["ratio"] for r in earlier["core"]}
    then |= {(r["task"], r["model"]): r["ratio"] for r in earlier["public"]}
    now = {(r["task"], r["data"], r["dq_flag"], r["qp"]): r["ratio"] for r in (row.values() for row in core)}
    now |= {(r["task"], r["model"]): r["ratio"] for r in public}
    apart = {key: max(then[key] / now[key], now[key] / then[key]) for key in now if key in then}
    means = []
    for task in dict.fromkeys(row.task for row in core):
        chosen = [key for key in apart if key[0] == task and len(key) == 4]
        if chosen:
            means.append(f"{task} {statistics.geometric_mean(then[key] for key in chosen):.1f}")
    near = sum(value <= ALIKE for value in apart.values())
    lines = [
        f"The run of {earlier['when']} had the means {', '.join(means)}. {near} of {len(apart)} ratios of "
        f"single rows are within {100 * (ALIKE - 1):.0f} % of it; the others:",
        "",
    ]
    for key, value in apart.items():
        if value > ALIKE:
            lines.append(f"* {', '.join(map(str, key))}: {then[key]:.1f} then, {now[key]:.1f} now")
    return "\n".join(lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller cases")
    parser.add_argument("--callgrind", action="store_true", help="count instructions too (a minute)")
    parser.add_argument("--docs", type=Path, help="page to put the tables into; the JSON goes beside it")
    parser.add_argument("--against", type=Path, help="JSON of an earlier run, to be compared with this one")
    args = parser.parse_args()
    python = find_peer()
    if python is None:
        print("skipped: no NNCodec; `make interop` installs it, or set NNR_PEER_PYTHON")
        return 0

    synthetic = laplacian(2)
    real = matrices("resnet56_cifar10")
    rates, real_rates = ((2.0,), (2.0,)) if args.quick else ((0.3, 1.0, 2.0, 3.5), (0.9, 2.0, 3.6))
    cases = []
    for dq_flag in (0, 1):
        cases += [at_rate("Laplacian", dq_flag, synthetic, rate) for rate in rates]
        if real is not None:
            cases += [at_rate("ResNet-56", dq_flag, real, rate) for rate in real_rates]
    with PeerCore(python) as peer_core:
        rows = [row for number, case in enumerate(cases) for row in core_rows(peer_core, number, case)]
        for turn in range(args.turns):
            for row in rows:
                row.turn()
            print(f"turn {turn + 1} of {args.turns}", file=sys.stderr, flush=True)
    with Peer(python) as peer:
        public = public_rows(peer, max(3, args.turns // 3), quick=args.quick)
        books = codebook_rows(peer, 1 if args.quick else 3)
    paths = path_rows(2 * args.turns)
    threads = threads_of_public_functions(args.turns)
    compressors = compressor_rows(next(c for c in cases if c.bits_per_weight > 1.5), max(3, args.turns // 3))
    counts = callgrind_rows() if args.callgrind else []

    here = machine()
    where = f"{here['processor']}, {here['cores']} cores, {here['system']}, Python {here['python']}."
    if args.quick:
        where += " A quick run: fewer and smaller cases."
    if real is None:
        where += " The evaluation data were absent, so no real weights."
    others = path_shortfalls(paths)
    for r in books:
        if r["ratio"] < 500:
            others.append(f"codebook quantization: {r['ratio']:.0f} instead of 500")
        if r["nnr bytes"] > r["NNCodec bytes"]:
            larger = r["nnr bytes"] / r["NNCodec bytes"] - 1
            others.append(f"codebook quantization: {100 * larger:+.2f} % bytes, not fewer")
    for r in threads:
        if r["ratio"] < 1.8:
            others.append(f"two threads, {r['task']}: {r['ratio']:.2f} instead of 1.8")
    for r in public:
        bar = PUBLIC_BARS.get(r["model"], (0.0, 0.0, 0.0))[PUBLIC_TASKS.index(r["task"])]
        if r["ratio"] < bar:
            others.append(f"public functions, {r['task']}, {r['model']}: {r['ratio']:.1f} instead of {bar:g}")
    tables = f"{summary_table(rows)}\n\nMedians of {args.turns} turns. {where}"
    blocks = {
        "summary": f"{tables}\n\n{shortfalls(rows, others)}",
        "paths": plain_table(paths, digits=2),
        "codebook": plain_table(books, digits=4),
        "threads": plain_table(threads, digits=3),
        "core": core_table(rows),
        "public": public_table(public),
        "compressors": plain_table(compressors),
    }
    if counts:
        blocks["callgrind"] = plain_table(counts)
    if args.against:
        blocks["agreement"] = agreement(json.loads(args.against.read_text(encoding="utf-8")), rows, public)
    for name, text in blocks.items():
        print(f"\n{name}\n{text}")
        if args.docs:
            replace_block(args.docs, name, text)
    if args.docs:
        content = {
            "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
            "machine": here, "turns": args.turns, "core": [row.values() for row in rows], "public": public,
            "paths": paths, "codebook": books, "threads": threads,
            "compressors": compressors, "callgrind": counts,
        }  # fmt: skip
        write_json(args.docs.with_suffix(".json"), content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
