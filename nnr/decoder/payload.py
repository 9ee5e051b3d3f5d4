"""From payload bytes to levels or values, a whole stream at a time.

In: unit plans in stream order. Out: for each unit a `CodedUnit`. Two backends realise the entropy decoding of
sections 2 to 9: the C core, and the readable reference in `entropy`. This module groups units into jobs for
threads, hands out memory, and settles the dialect of a profile-0 stream (spec README D1): the decision is one
for the whole stream, and nothing is given out before it is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from .. import core
from ..errors import BitstreamError, ConformanceError, TruncatedError
from ..syntax.constants import PayloadType
from .clauses import clause
from .plan import Role, TensorPlan, UnitPlan
from .quantization import check_indices, codebook_values, uniform_values

if TYPE_CHECKING:
    from . import entropy

__all__ = ["Backend", "CodedTensor", "CodedUnit", "Dialect", "Progress", "TensorContext", "decode_payloads"]

Backend = Literal["c", "python"]

#: (done_weights, total_weights, name of the parameter just decoded)
Progress = Callable[[int, int, str], None]

#: Number of context-parameter flags of the escape contexts: 31, or 32 in streams of the first software.
Dialect = int
DIALECT: Dialect = 31
LEGACY_DIALECT: Dialect = 32

_ARENA_ELEMENTS = 1 << 18  # small tensors share buffers of at most 1 MiB
_JOB_BYTES = 1 << 16  # payload that is worth a thread of its own
_WIDE_BYTES = 1 << 18  # payload of one tensor that is worth several threads
_PIECE = 1 << 18  # elements that are dequantized at a time
_SERIAL_BYTES = 1 << 22  # payload between two looks at Ctrl-C


@dataclass(slots=True)
class TensorContext:
    """What earlier units left for one tensor (decoding 11.3, 11.5).

    Attributes:
        base: int32 levels of the latest unit of the same parameter, flat, or None.
        history: uint8 map, 1 where an earlier differential unit was non-zero, flat, or None.
    """

    base: np.ndarray | None = None
    history: np.ndarray | None = None


@dataclass(slots=True)
class CodedTensor:
    """One decoded tensor.

    Attributes:
        levels: int32 in the tensor's shape, or None when only values were asked for.
        values: float32 or int32 in the tensor's shape, or None when only levels were asked for.
        qp: base QP and qp_value together, or None for integers and raw floats.
    """

    plan: TensorPlan
    qp: int | None = None
    levels: np.ndarray | None = None
    values: np.ndarray | None = None
    hist_flag: int = 0


@dataclass(slots=True)
class CodedUnit:
    """The decoded tensors of one unit, in payload order."""

    plan: UnitPlan
    tensors: list[CodedTensor] = field(default_factory=list)


def checked_threads(threads: int | None) -> int:
    """Number of worker threads: `threads`, or one per core.

    Raises:
        TypeError, ValueError: no positive integer.
    """
    if threads is None:
        return os.cpu_count() or 1
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"threads must be an integer or None, not {threads!r}")
    if threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    return threads


def decode_payloads(
    plans: Sequence[UnitPlan],
    *,
    want: Literal["values", "levels", "both"] = "values",
    contexts: Mapping[str, TensorContext] | None = None,
    dialect: Dialect | None = None,
    threads: int | None = None,
    backend: Backend = "c",
    progress: Progress | None = None,
) -> tuple[list[CodedUnit], Dialect]:
    """Decode the payloads of units that do not depend on each other.

    Args:
        plans: units in stream order.
        want: what to give out; "values" rewrites levels in place and needs the least memory.
        contexts: by element id, for units with temporal contexts or history.
        dialect: number of escape contexts when it is known; None to find out (profile 0 only).
        threads: worker threads; None for one per core.
        progress: called with (done_weights, total_weights, name) as units are decoded.

    Returns:
        the decoded units in stream order and the dialect they were written in.

    Raises:
        BitstreamError: of the first unit in stream order that fails. When a profile-0 stream fails in both
            dialects, the error of the dialect that came further.
    """
    if backend not in ("c", "python"):
        raise ValueError(f"backend must be 'c' or 'python', not {backend!r}")
    run = _run_c if backend == "c" else _run_python
    contexts = contexts or {}

    def attempt(number: Dialect) -> list[CodedUnit]:
        return _decode_all(plans, run, want, contexts, number, threads, progress)

    if dialect is not None:
        return attempt(dialect), dialect
    try:
        return attempt(DIALECT), DIALECT
    except BitstreamError as error:
        if all(plan.profile != 0 or plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT for plan in plans):
            raise
        try:
            return attempt(LEGACY_DIALECT), LEGACY_DIALECT
        except BitstreamError as legacy_error:
            further = max(error, legacy_error, key=lambda e: -1 if e.unit_index is None else e.unit_index)
            raise further from None


_Run = Callable[[list[UnitPlan], str, Mapping[str, TensorContext], Dialect], list[CodedUnit]]


def _decode_all(
    plans: Sequence[UnitPlan],
    run: _Run,
    want: str,
    contexts: Mapping[str, TensorContext],
    dialect: Dialect,
    threads: int | None,
    progress: Progress | None,
) -> list[CodedUnit]:
    workers = checked_threads(threads)
    total = sum(len(plan.payload) for plan in plans)
    weights, done = sum(plan.elements for plan in plans), 0

    def finished(decoded: Sequence[UnitPlan]) -> None:
        nonlocal done
        for plan in decoded:
            done += plan.elements
            if progress is not None:
                progress(done, weights, plan.element_ids[0])

    parallel = workers > 1 and total > 2 * _JOB_BYTES
    units: list[CodedUnit] = []
    if parallel and run is _run_c:
        plans, units = _decode_wide(plans, want, contexts, dialect, workers)
        finished([unit.plan for unit in units])
    jobs = _parallel_jobs(plans, workers) if parallel else _jobs(plans, _SERIAL_BYTES)
    results: list[list[CodedUnit] | BitstreamError]

    def guarded(job: list[UnitPlan]) -> list[CodedUnit] | BitstreamError:
        try:
            return run(job, want, contexts, dialect)
        except BitstreamError as error:
            return error

    if parallel and len(jobs) > 1:
        with ThreadPoolExecutor(min(workers, len(jobs))) as pool:
            futures = {pool.submit(guarded, job): job for job in jobs}
            results = []
            for future in as_completed(futures):
                results.append(future.result())
                finished(futures[future])
    else:
        results = []
        for job in jobs:
            results.append(guarded(job))
            if isinstance(results[-1], BitstreamError):
                break
            finished(job)
    errors = [r for r in results if isinstance(r, BitstreamError)]
    if errors:
        raise min(errors, key=lambda e: -1 if e.unit_index is None else e.unit_index)
    units += [unit for result in results if not isinstance(result, BitstreamError) for unit in result]
    units.sort(key=lambda unit: unit.plan.unit.index)
    return units


def _decode_wide(
    plans: Sequence[UnitPlan],
    want: str,
    contexts: Mapping[str, TensorContext],
    dialect: Dialect,
    workers: int,
) -> tuple[list[UnitPlan], list[CodedUnit]]:
    """Decode the units that are worth all threads for themselves; the others are given back."""
    wide = [plan for plan in plans if len(plan.payload) >= _WIDE_BYTES and _has_entry_points(plan)]
    if not wide:
        return list(plans), []
    done: list[CodedUnit] = []
    with ThreadPoolExecutor(workers) as pool:
        for plan in wide:
            done += _run_block_rows(plan, want, contexts, dialect, pool, workers) or []
    decoded = {id(unit.plan) for unit in done}
    return [plan for plan in plans if id(plan) not in decoded], done


def _has_entry_points(plan: UnitPlan) -> bool:
    """The last tensor of the payload is the weight, and every block row of it but the first "
    "has an entry point."""
    weight = plan.tensors[-1]
    if weight.scan_order == 0 or plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT or weight.role is Role.H:
        return False
    header = plan.unit.header.unit_header
    if plan.dq_flag and "dq_state_list" not in header:
        return False
    return 0 < len(header.get("bit_offset") or ()) == -(-weight.rows // (4 << weight.scan_order)) - 1


def _jobs(plans: Sequence[UnitPlan], job_bytes: int, pair_bytes: int = 0) -> list[list[UnitPlan]]:
    """Units in their order, until a job has so many bytes; up to `pair_bytes` it has two at least."""
    jobs: list[list[UnitPlan]] = []
    size, is_full = 0, True
    for plan in plans:
        if is_full:
            jobs.append([])
            size = 0
        jobs[-1].append(plan)
        size += len(plan.payload)
        is_full = size >= job_bytes and (len(jobs[-1]) > 1 or size > pair_bytes)
    return jobs


def _parallel_jobs(plans: Sequence[UnitPlan], workers: int) -> list[list[UnitPlan]]:
    """The largest payloads first.

    Two together are decoded faster than one after the other. A payload that is a large part of what a worker
    gets stays alone all the same, lest the others wait for it.
    """
    total = sum(len(plan.payload) for plan in plans)
    order = sorted(plans, key=lambda plan: len(plan.payload), reverse=True)
    return _jobs(order, _JOB_BYTES, 3 * total // (5 * workers))


class _Memory:
    """Int32 buffers for the tensors of one job: small tensors share arenas, large ones have their own."""

    def __init__(self, plans: Sequence[UnitPlan]) -> None:
        sizes = [t.elements for plan in plans for t in plan.tensors]
        self._left = sum(n for n in sizes if n < _ARENA_ELEMENTS)
        self._arena = np.empty(0, np.int32)
        self._address = 0
        self._used = 0

    def take(self, elements: int) -> tuple[np.ndarray, int]:
        """A flat int32 array and its address."""
        if elements >= _ARENA_ELEMENTS:
            own = np.empty(elements, np.int32)
            return own, own.__array_interface__["data"][0]
        if self._used + elements > self._arena.size:
            self._arena = np.empty(max(elements, min(self._left, _ARENA_ELEMENTS)), np.int32)
            self._address = self._arena.__array_interface__["data"][0]
            self._used = 0
        start = self._used
        self._used += elements
        self._left -= elements
        return self._arena[start : start + elements], self._address + 4 * start


def context_of(plan: UnitPlan, tensor: TensorPlan, contexts: Mapping[str, TensorContext]) -> TensorContext:
    """What entropy decoding of `tensor` may look at.

    Raises:
        ConformanceError: temporal contexts without a base of the same size (spec README D24).
    """
    if not plan.differential:
        return TensorContext()
    known = contexts.get(tensor.name, TensorContext())
    base = known.base if plan.temporal else None
    if plan.temporal and base is None:
        raise _located(
            ConformanceError(
                f"tensor {tensor.name!r} uses temporal contexts, but the unit it refers to was never decoded",
                clause="decoding 11.3",
            ),
            plan,
        )
    if base is not None and base.size != tensor.elements:
        raise _located(
            ConformanceError(
                f"tensor {tensor.name!r} has {tensor.elements} elements, its base for temporal "
                f"contexts {base.size}",
                clause="decoding 11.3",
            ),
            plan,
        )
    history = known.history if known.history is not None and known.history.size == tensor.elements else None
    return TensorContext(base, history)


def _located(error: BitstreamError, plan: UnitPlan, bits: int | None = None) -> BitstreamError:
    byte = plan.unit.payload_offset + (bits or 0) // 8
    return error.locate(unit_index=plan.unit.index, byte_offset=byte, unit=plan.unit.name)


def _raw_floats(plan: UnitPlan) -> np.ndarray:
    """(decoding 10.8) Row-major little-endian binary32."""
    need, found = 4 * plan.tensors[0].elements, len(plan.payload)
    if found < need:
        raise _located(
            TruncatedError(f"raw floats need {need} bytes, the unit holds {found}", clause="decoding 10.8"),
            plan,
        )
    if found > need:
        raise _located(
            ConformanceError(f"raw floats need {need} bytes, the unit holds {found}", clause="decoding 10.8"),
            plan,
        )
    values = np.frombuffer(plan.payload, "<f4").astype(np.float32)
    return values.reshape(plan.tensors[0].shape)


def _finish(coded: CodedTensor, unit: UnitPlan, want: str) -> None:
    """Check levels, and make values of them where they are wanted and the core has not (decoding 10)."""
    if coded.levels is None:
        return
    book, levels, qp = coded.plan.codebook, coded.levels, coded.qp
    if book is not None:
        try:
            check_indices(levels, len(book.entries), book.zero_offset)
        except ConformanceError as error:
            raise _located(error, unit) from None
    if want == "levels":
        return
    if qp is None:
        coded.values = levels
    else:
        flat = levels.reshape(-1)
        # values may take the place of the levels: each piece is read before it is written
        values = flat.view(np.float32) if want == "values" else np.empty(flat.shape, np.float32)
        for start in range(0, flat.size, _PIECE):
            piece = flat[start : start + _PIECE]
            values[start : start + _PIECE] = (
                uniform_values(piece, qp, unit.qp_density)
                if book is None
                else codebook_values(piece, book.entries, book.zero_offset, qp, unit.qp_density)
            )
        coded.values = values.reshape(levels.shape)
    if want == "values":
        coded.levels = None


class _CoreJob:
    """Units on their way through the C core: rows that describe them, memory for their tensors."""

    def __init__(
        self, plans: list[UnitPlan], want: str, contexts: Mapping[str, TensorContext], dialect: Dialect
    ) -> None:
        self.plans = plans
        self.want = want
        self.coded_plans = [plan for plan in plans if plan.payload_type != PayloadType.NNR_PT_RAW_FLOAT]
        self.buffers: list[np.ndarray] = []
        self._alive: list[TensorContext] = []
        memory = _Memory(self.coded_plans)
        unit_rows: list[tuple[int, ...]] = []
        tensor_rows: list[tuple[int, ...]] = []
        for plan in self.coded_plans:
            has_qp = int(plan.payload_type != PayloadType.NNR_PT_INT)
            unit_rows.append(
                (
                    core.address(plan.payload),
                    len(plan.payload),
                    len(tensor_rows),
                    len(plan.tensors),
                    plan.profile,
                    plan.dq_flag,
                    int(plan.differential),
                    int(plan.temporal),
                    dialect,
                )
            )
            for tensor in plan.tensors:
                buffer, address = memory.take(tensor.elements)
                self.buffers.append(buffer)
                book = tensor.codebook
                base = history = 0
                if plan.differential:
                    known = context_of(plan, tensor, contexts)
                    self._alive.append(known)
                    base = 0 if known.base is None else core.address(known.base)
                    history = 0 if known.history is None else core.address(known.history)
                tensor_rows.append(
                    (
                        tensor.rows,
                        tensor.cols,
                        plan.cabac_unary_length,
                        tensor.scan_order,
                        len(book.entries) if book is not None and plan.profile == 1 else 0,
                        book.zero_offset if book is not None and plan.profile == 1 else 0,
                        has_qp,
                        plan.base_qp,
                        plan.qp_density,
                        int(want == "values" and has_qp and book is None),
                        address,
                        base,
                        history,
                    )
                )
        self.units = core.new_units(unit_rows)
        self.tensors = core.new_tensors(tensor_rows)

    def results(self) -> list[CodedUnit]:
        """The decoded units.

        Raises:
            BitstreamError: of the first unit that failed.
        """
        if self.units[:, core.Unit.STATUS].any():
            for row, plan in zip(self.units, self.coded_plans, strict=True):
                failure = core.unit_error(row, payload_offset=plan.unit.payload_offset)
                if isinstance(failure, BitstreamError):
                    raise _located(failure, plan)
                if failure is not None:
                    raise failure
        qps = self.tensors[:, core.Tensor.QP].tolist()
        hist_flags = self.tensors[:, core.Tensor.HIST_FLAG].tolist()
        dequantized = self.tensors[:, core.Tensor.DEQUANTIZE].tolist()
        done: list[CodedUnit] = []
        k = 0
        for plan in self.plans:
            unit = CodedUnit(plan)
            if plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT:
                unit.tensors.append(CodedTensor(plan.tensors[0], values=_raw_floats(plan)))
            else:
                is_int = plan.payload_type == PayloadType.NNR_PT_INT
                for tensor in plan.tensors:
                    coded = CodedTensor(tensor, None if is_int else qps[k], hist_flag=hist_flags[k])
                    if dequantized[k]:
                        coded.values = self.buffers[k].view(np.float32).reshape(tensor.shape)
                    else:
                        coded.levels = self.buffers[k].reshape(tensor.shape)
                        _finish(coded, plan, self.want)
                    unit.tensors.append(coded)
                    k += 1
            done.append(unit)
        return done


def _run_c(
    plans: list[UnitPlan], want: str, contexts: Mapping[str, TensorContext], dialect: Dialect
) -> list[CodedUnit]:
    """Decode a job with the C core: one call for all its units."""
    job = _CoreJob(plans, want, contexts, dialect)
    core.decode_units(job.units, job.tensors)
    return job.results()


@clause("decoding 9.3")
def _run_block_rows(
    plan: UnitPlan,
    want: str,
    contexts: Mapping[str, TensorContext],
    dialect: Dialect,
    pool: ThreadPoolExecutor,
    workers: int,
) -> list[CodedUnit] | None:
    """(decoding 9.3) Decode the weight of one unit from its entry points, runs of block rows at a time.

    Returns:
        None when anything is not as the entry points say; they may lie (README D3, D4), and sequential
        decoding decides.
    """
    job = _CoreJob([plan], want, contexts, dialect)
    row = len(plan.tensors) - 1  # vectors come before the weight
    job.tensors[row, core.Tensor.DEQUANTIZE] = 0
    header = plan.unit.header.unit_header
    opened = core.EngineDecoder(plan.payload)
    try:
        for tensor in job.tensors[:row]:
            opened.read_tensor(job.units[0], tensor)
        opened.open_tensor(job.units[0], job.tensors[row])
    except BitstreamError:
        return None
    _, offset, start = opened.state
    states = header.dq_state_list if plan.dq_flag else [0] * len(header.bit_offset)
    entries = [(start, offset, 0)]
    for distance, register, state in zip(header.bit_offset, header.cabac_offset_list, states, strict=True):
        entries.append((entries[-1][0] + distance, register, state))
    count = len(entries)
    cuts = [count * k // workers for k in range(workers)] + [count]
    runs = [(first, end) for first, end in pairwise(cuts) if end > first]

    def read(run: tuple[int, int]) -> tuple[core.EngineDecoder, tuple[int, int, int]] | None:
        decoder = core.EngineDecoder(plan.payload)
        try:
            return decoder, decoder.read_block_rows(opened, run[0], run[1] - run[0], entries[run[0]])
        except (BitstreamError, ValueError):
            return None

    results = list(pool.map(read, runs))
    for result, (_, end) in zip(results, runs, strict=True):
        if result is None or (end < count and result[1] != entries[end]):
            return None
    last = results[-1]
    assert last is not None
    try:
        last[0].finish()
    except BitstreamError:
        return None
    return job.results()


def _run_python(
    plans: list[UnitPlan], want: str, contexts: Mapping[str, TensorContext], dialect: Dialect
) -> list[CodedUnit]:
    """Decode a job with the readable reference."""
    return [_reference_unit(plan, want, contexts, dialect) for plan in plans]


def reference_parameters(
    plan: UnitPlan, contexts: Mapping[str, TensorContext], dialect: Dialect
) -> tuple[entropy.UnitParams, list[entropy.TensorParams]]:
    """What the readable reference needs to decode the payload of `plan`."""
    from . import entropy  # a tenth of what it takes to import the decoder, which has no other need of it

    unit = entropy.UnitParams(
        profile=plan.profile,
        dq_flag=plan.dq_flag,
        parent_node_id_present_flag=int(plan.differential),
        temporal_context_modeling_flag=int(plan.temporal),
        escape_context_count=dialect,
        payload_offset=plan.unit.payload_offset,
    )
    tensors = []
    for tensor in plan.tensors:
        known = context_of(plan, tensor, contexts)
        book = tensor.codebook
        tensors.append(
            entropy.TensorParams(
                rows=tensor.rows,
                cols=tensor.cols,
                cabac_unary_length=plan.cabac_unary_length,
                scan_order=tensor.scan_order,
                codebook_size=len(book.entries) if book is not None and plan.profile == 1 else 0,
                codebook_zero_offset=book.zero_offset if book is not None and plan.profile == 1 else 0,
                has_qp=plan.payload_type != PayloadType.NNR_PT_INT,
                base_qp=plan.base_qp,
                qp_density=plan.qp_density,
                base=known.base,
                history=known.history,
            )
        )
    return unit, tensors


def _reference_unit(
    plan: UnitPlan, want: str, contexts: Mapping[str, TensorContext], dialect: Dialect
) -> CodedUnit:
    if plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT:
        return CodedUnit(plan, [CodedTensor(plan.tensors[0], values=_raw_floats(plan))])
    from . import entropy

    unit, tensors = reference_parameters(plan, contexts, dialect)
    try:
        result = entropy.decode_unit(plan.payload, unit, tensors)
    except BitstreamError as error:
        raise _located(error, plan) from None
    done = CodedUnit(plan)
    for tensor, found in zip(plan.tensors, result.tensors, strict=True):
        coded = CodedTensor(
            tensor, found.qp, found.levels.reshape(tensor.shape), None, found.hist_dep_sig_prob_enabled_flag
        )
        _finish(coded, plan, want)
        done.tensors.append(coded)
    return done
