"""Paths of the core beside the plain one, for `speed.py`: contexts by other data, block scans, codebooks."""

from __future__ import annotations

import math
import multiprocessing
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import nnr
from benchmarks.peer import Peer
from nnr import core
from nnr.core import ParamOpt, Unit
from nnr.encoder.tools import TensorJob
from nnr.encoder.tools.codebook import CodebookQuantizer

#: The goal: no path takes more than this many times what the plain path takes.
MOST_TIMES_PLAIN = 1.5


@dataclass
class PathCase:
    """One tensor that is coded twice, with what its path needs."""

    name: str
    dq_flag: int
    levels: np.ndarray
    scan_order: int = 0
    codebook: tuple[int, int] = (0, 0)  # size, zero offset
    base: np.ndarray | None = None
    history: np.ndarray | None = None
    row_skip_flag: int = 0

    def _tensor(self, levels: np.ndarray) -> list[int]:
        base = 0 if self.base is None else core.address(self.base)
        history = 0 if self.history is None else core.address(self.history)
        return [
            *levels.shape, 11, self.scan_order, *self.codebook, 1, 0, 2, 0,
            core.address(levels), base, history, 0, 0, 0, int(self.history is not None), self.row_skip_flag,
        ]  # fmt: skip

    def _unit(self, number: int, payload: Any, param_opt: int) -> list[int]:
        parent = int(self.base is not None or self.history is not None)
        place = [core.address(payload), len(payload)] if len(payload) else [0, 0]
        return [*place, number, 1, 1, self.dq_flag, parent, int(self.base is not None), 31, param_opt]

    def encode(self, param_opt: int) -> tuple[float, bytes]:
        """CPU seconds, payload."""
        tensors = core.new_tensors([self._tensor(self.levels)])
        units = core.new_units([self._unit(0, b"", param_opt)])
        started = time.thread_time()
        [payload] = core.encode_units(units, tensors)
        return time.thread_time() - started, payload

    def decode(self, payload: np.ndarray, copies: int) -> float:
        """CPU seconds a copy, all in one call."""
        found = [np.empty(self.levels.shape, np.int32) for _ in range(copies)]
        tensors = core.new_tensors([self._tensor(levels) for levels in found])
        units = core.new_units([self._unit(k, payload, 0) for k in range(copies)])
        started = time.thread_time()
        core.decode_units(units, tensors)
        seconds = time.thread_time() - started
        assert not units[:, Unit.STATUS].any()
        assert all(np.array_equal(levels, self.levels) for levels in found)
        return seconds / copies


def path_cases(dq_flag: int, step: float) -> list[PathCase]:
    """The same weights on every path; the plain one first."""
    rng = np.random.default_rng(7)
    weights = rng.laplace(0, math.sqrt(0.5), (512, 512)).astype(np.float32)

    def levels_of(scan_order: int = 0) -> np.ndarray:
        if dq_flag:
            return core.quantize_trellis(weights, step, *weights.shape, scan_order)
        return core.quantize_nearest(weights, step)

    plain = levels_of()
    guess = np.clip(plain, -2, 2).astype(np.int32)
    guess[rng.random(plain.shape) < 0.1] = 0
    was_coded = ((plain != 0) & (rng.random(plain.shape) < 0.8)).astype(np.uint8)
    cases = [
        PathCase("plain", dq_flag, plain),
        PathCase("temporal contexts", dq_flag, plain, base=guess),
        PathCase("history", dq_flag, plain, history=was_coded),
        PathCase("block scan, side 8", dq_flag, levels_of(1), scan_order=1),
        PathCase("block scan, side 64", dq_flag, levels_of(4), scan_order=4),
    ]
    if not dq_flag:
        low, high = int(plain.min()), int(plain.max())
        skipped = plain.copy()
        skipped[::4] = 0
        cases.append(PathCase("row skip, every fourth", 0, skipped, row_skip_flag=1))
        cases.append(PathCase("codebook", 0, plain, codebook=(high - low + 1, -low)))
    return cases


PATH_TASKS = ("decode, alone", "decode, batch", "encode, exact search", "encode, fast search")


def path_rows(turns: int) -> list[dict[str, Any]]:
    """Time of each path by that of the plain path on the same weights in the same turn, medians."""
    groups = [
        path_cases(dq_flag, step) for dq_flag in (0, 1) for step in ((1.6, 0.5) if dq_flag else (1.2, 0.35))
    ]
    payloads = [
        [np.frombuffer(case.encode(ParamOpt.EXACT)[1], np.uint8) for case in cases] for cases in groups
    ]
    times: list[list[dict[str, list[float]]]] = [
        [{task: [] for task in PATH_TASKS} for _ in cases] for cases in groups
    ]
    for _ in range(turns):
        for cases, datas, found in zip(groups, payloads, times, strict=True):
            for case, payload, spent in zip(cases, datas, found, strict=True):
                spent["decode, alone"].append(case.decode(payload, 1))
                spent["decode, batch"].append(case.decode(payload, 4))
                spent["encode, exact search"].append(case.encode(ParamOpt.EXACT)[0])
                spent["encode, fast search"].append(case.encode(ParamOpt.FAST)[0])
    rows = []
    for cases, datas, found in zip(groups, payloads, times, strict=True):
        for case, payload, spent in zip(cases, datas, found, strict=True):
            row: dict[str, Any] = {"path": case.name, "dq": case.dq_flag}
            row["bits/weight"] = 8 * len(payload) / case.levels.size
            for task in PATH_TASKS:
                row[task] = statistics.median(
                    ours / plain for ours, plain in zip(spent[task], found[0][task], strict=True)
                )
            rows.append(row)
    return rows


def codebook_rows(peer: Peer, turns: int) -> list[dict[str, Any]]:
    """Quantization with a codebook of all values on the grid, so that both codecs lose the same.

    NNCodec's time is that of its encoder with a codebook less that without one.
    """
    rng = np.random.default_rng(6)
    weights = rng.laplace(0, 0.05, (128, 512)).astype(np.float32)
    model, size, qp = {"w": weights}, 4096, -26
    job = TensorJob("w", weights.shape, *weights.shape, scan_order=0, qp=qp, qp_density=2)
    quantizer = CodebookQuantizer(size)

    def ours() -> float:
        started = time.process_time()
        quantizer.quantize(weights, job)
        return time.process_time() - started

    def theirs(mode: int) -> tuple[float, bytes]:
        answer = peer.encode(model, qp=qp, use_dq=False, codebook_mode=mode)
        return answer.cpu_seconds, answer.data

    times: dict[str, list[float]] = {"with": [], "without": [], "ours": []}
    their_data = b""
    for _ in range(turns):
        times["without"].append(theirs(0)[0])
        seconds, their_data = theirs(1)
        times["with"].append(seconds)
        times["ours"].append(statistics.median(ours() for _ in range(5)))
    peer_seconds = statistics.median(times["with"]) - statistics.median(times["without"])
    seconds = statistics.median(times["ours"])

    def best(**how: Any) -> bytes:
        return nnr.encode(model, qp=qp, dq=False, lambda_scale=0.0, threads=1, metadata=False, **how)

    data = best(codebook=size)
    same = np.array_equal(nnr.decode(data)["w"], nnr.decode(their_data)["w"])
    return [{
        "weights": weights.size, "NNCodec s": peer_seconds, "nnr s": seconds, "ratio": peer_seconds / seconds,
        "NNCodec bytes": len(their_data), "nnr bytes": len(data), "same values": same,
    }]  # fmt: skip


def path_shortfalls(rows: list[dict[str, Any]]) -> list[str]:
    """Paths that take more than MOST_TIMES_PLAIN of the plain path's time."""
    return [
        f"{task}, {row['path']}, dq {row['dq']}, {row['bits/weight']:.2f} bits: "
        f"{row[task]:.2f} times the plain path, not {MOST_TIMES_PLAIN:g}"
        for row in rows for task in PATH_TASKS if row[task] > MOST_TIMES_PLAIN
    ]  # fmt: skip


def thread_rows(
    encode: Callable[[int], object], decode: Callable[[int], object], turns: int
) -> list[dict[str, Any]]:
    """Elapsed time of one thread by that of two, medians; means something on idle cores alone.

    What the machine itself has to give: twice the time of one thread by that of two processes at once.
    """
    rows = []
    for name, task in (("encode", encode), ("decode", decode)):
        times: dict[int, list[float]] = {1: [], 2: []}
        both: list[float] = []
        for _ in range(turns):
            for threads, found in times.items():
                started = time.perf_counter()
                task(threads)
                found.append(time.perf_counter() - started)
            both.append(_elapsed_side_by_side(task))
        one, two = statistics.median(times[1]), statistics.median(times[2])
        machine = 2 * one / statistics.median(both)
        rows.append({"task": name, "one thread s": one, "two threads s": two, "ratio": one / two,
                     "of two processes": machine})  # fmt: skip
    return rows


def _elapsed_side_by_side(task: Callable[[int], object]) -> float:
    """Seconds that a task with one thread takes in each of two processes at once: the mean of both."""
    context = multiprocessing.get_context("fork")
    start = context.Barrier(2)
    found = context.SimpleQueue()

    def work() -> None:
        start.wait()
        started = time.perf_counter()
        task(1)
        found.put(time.perf_counter() - started)

    processes = [context.Process(target=work) for _ in range(2)]
    for process in processes:
        process.start()
    seconds = [found.get() for _ in processes]
    for process in processes:
        process.join()
    return statistics.fmean(seconds)
