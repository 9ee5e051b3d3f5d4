"""From a model to a bitstream: transforms, quantizers, units, stream.

`encode_stream` is the whole road. The work on units, `code_batch`, is a function of plain arguments without
shared state, so that any executor can run it; `Assembly` writes the units as they come and puts them in order
afterwards, which makes the bytes independent of threads.
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import accumulate
from typing import Any

import numpy as np

from ..decoder.plan import Role, matrix_shape
from ..decoder.quantization import qp_range
from ..dtypes import dtype_text
from ..limits import Limits
from ..metadata import STORAGE_FORMAT, Metadata, serialize
from ..syntax.constants import NnrUnitType, PayloadType
from ..syntax.stream import DataUnitWriter, StreamContext, write_unit
from .assemble import (
    CodedUnit,
    Link,
    Member,
    ReadyUnit,
    code_units,
    effective_scan_order,
    entry_point_bytes,
    model_parameter_set,
    raw_unit,
    ready_unit,
)
from .carry import Cargo, Carrier, Layer, carrier_qp, extract, load_cargo
from .config import EncoderConfig
from .measure import coding_error, peak_of
from .report import EncodeReport, TensorReport
from .spool import Spool
from .tools import QuantizedTensor, Quantizer, TensorJob, Transform, get_tool
from .work import completed

__all__ = [
    "Assembly",
    "Batch",
    "CodedJob",
    "EncodedStream",
    "Job",
    "Part",
    "Preparation",
    "Progress",
    "code_batch",
    "encode_stream",
    "run_jobs",
]

#: (done_weights, total_weights, name of the tensor just done)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class EncodedStream:
    """Units in order, which can be gone through any number of times, and the report on them, made when it is
    first asked for."""

    units: Iterable[bytes]
    make_report: Callable[[], EncodeReport]

    @cached_property
    def report(self) -> EncodeReport:
        return self.make_report()

    def tobytes(self) -> bytes:
        return b"".join(self.units)

    def close(self) -> None:
        """Release the temporary file that the units may be in."""
        if isinstance(self.units, Spool):
            self.units.close()


@dataclass(frozen=True, slots=True)
class Part:
    """One tensor of a unit to be made, the quantization parameter asked for, and the "
    "importance of its elements."""

    carrier: Carrier
    role: Role
    qp: int
    importance: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One data unit to be made.

    Attributes:
        parts: its tensors; several make up a block.
        link: place in the update tree; None for a stream without one.
        reference: for a difference of a lone tensor, the value that the decoder has.
        measure: report the errors too.
        dimensions: of a decomposed weight; None for others.
    """

    parts: tuple[Part, ...]
    link: Link | None = None
    reference: np.ndarray | None = None
    measure: bool = False
    dimensions: tuple[int, ...] | None = None

    @property
    def elements(self) -> int:
        parts = self.parts
        return parts[0].carrier.elements if len(parts) == 1 else sum(p.carrier.elements for p in parts)

    @property
    def weights(self) -> int:
        """Elements of the original tensors: of a 64-bit integer in several limbs, each counts once."""
        return sum(p.carrier.elements for p in self.parts if not p.carrier.limb or not p.carrier.limb[0])

    @property
    def source(self) -> str:
        return self.parts[0].carrier.source

    @property
    def held_bytes(self) -> int:
        arrays = [array for part in self.parts if (array := part.carrier.tensor.held) is not None]
        if self.reference is not None:
            arrays.append(self.reference)
        return sum(array.nbytes for array in arrays)

    @property
    def working_bytes(self) -> int:
        """Levels beside values, and the payload: about 9 bytes for each element of the largest part."""
        return max((9 * p.carrier.elements for p in self.parts if p.carrier.tensor.held is None), default=0)


@dataclass(slots=True)
class CodedPart:
    """What came of one tensor of a job.

    Attributes:
        qp: as coded; None for integers and raw floats.
        bits: of the payload.
        squared_error, max_error, peak: NaN where they were not measured.
    """

    qp: int | None
    tool: str
    notes: tuple[str, ...] = ()
    bits: int = 0
    squared_error: float = math.nan
    max_error: float = math.nan
    peak: float = math.nan


@dataclass(frozen=True, slots=True)
class CodedJob:
    """What came of a job: the unit (None where a difference is zero and needs none), and each part."""

    unit: CodedUnit | None
    parts: tuple[CodedPart, ...]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is kept of a coded job once its unit is written.

    Attributes:
        size: bytes of the unit; 0 where there is none.
        crc: CRC-32 of the unit.
        entry_point_bytes: of the unit's header.
    """

    parts: tuple[CodedPart, ...]
    seconds: float = 0.0
    size: int = 0
    crc: int = 0
    entry_point_bytes: int = 0


class Preparation:
    """A model ready to be encoded, as often as a search needs: carriers decided, transforms applied.

    Args:
        tensors: arrays by name.
        threads: worker threads; None for one per core.
        executor: run the work on single units there instead.
        memory: bytes that tensors read one by one may take at a time.
        spool: folder for a temporary file of coded units; None to keep them in memory.
        node_ids: give every unit its place in an update tree, for updates to come.

    Raises:
        ValueError, TypeError: a tensor or an option cannot be coded; the message names it.

    Attributes:
        cargo: how the tensors travel.
        qps: quantization parameters by tensor name, where they are not those of the options.
    """

    def __init__(
        self,
        tensors: Mapping[str, Any],
        config: EncoderConfig,
        *,
        threads: int | None = None,
        executor: Executor | None = None,
        memory: int | None = None,
        spool: str | None = None,
        node_ids: bool = False,
    ) -> None:
        if not isinstance(tensors, Mapping):
            raise TypeError(f"tensors must be a mapping of names to arrays, not {type(tensors).__name__}")
        config = config.resolved()
        transforms, self.quantizer = select_tools(config)
        for transform in transforms:
            tensors = transform.apply(tensors)
        if not tensors and not config.metadata:
            raise ValueError(
                "tensors: without metadata a model of no tensors cannot be told from a stream cut short"
            )
        self.config = config
        self.cargo = load_cargo(tensors, config)
        self.threads = threads
        self.executor = executor
        self.memory = memory
        self.spool = spool
        self.node_ids = node_ids
        self.qps: dict[str, int] = {}

    def parts(self, layer: Layer, qps: Mapping[str, int] | None = None) -> tuple[Part, ...]:
        """The parts of a unit with their quantization parameters."""
        chosen = self.qps if qps is None else {**self.qps, **qps}
        found = parts_of(layer, self.config)
        if not chosen:
            return found
        return tuple(replace(part, qp=chosen.get(part.carrier.source, part.qp)) for part in found)

    def quantized(self) -> list[Part]:
        """The tensors that are quantized, with the qp that the options give them."""
        parts = [part for layer in self.cargo.layers for part in self.parts(layer)]
        return [part for part in parts if part.carrier.how == "quantize"]

    def encode(
        self,
        qps: Mapping[str, int] | None = None,
        *,
        config: EncoderConfig | None = None,
        progress: Progress | None = None,
        measure: bool = False,
        keep: bool = True,
    ) -> EncodedStream:
        """The stream.

        Args:
            qps: quantization parameters by tensor name, in place of those of the options.
            config: other options than the model was prepared with, for the density and the rate weight.
            measure: put the errors into the report.
            keep: False for the report alone; the stream has no units then.
        """
        started = time.perf_counter()
        config = config or self.config
        quantizer = self.quantizer if config is self.config else select_tools(config)[1]
        jobs = []
        for k, layer in enumerate(self.cargo.layers):
            parts = self.parts(layer, qps)
            link = Link(k, 0) if self.node_ids else None
            jobs.append(Job(parts, link, measure=measure, dimensions=layer.dimensions))
        base_qp = common_base_qp(jobs, config)
        assembly = Assembly(config, base_qp, Spool(self.spool, keep=keep))
        for position, coded in run_jobs(
            jobs,
            quantizer,
            config,
            base_qp,
            threads=self.threads,
            executor=self.executor,
            memory=self.memory,
            progress=progress,
        ):
            assembly.add(position, coded)
        return assembly.stream(self.cargo, started)


def encode_stream(
    tensors: Mapping[str, Any],
    config: EncoderConfig,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
    spool: str | None = None,
    progress: Progress | None = None,
    measure: bool = False,
    node_ids: bool = False,
) -> EncodedStream:
    """Encode a model as one absolute stream; arguments and errors as of `Preparation`.

    Args:
        progress: called after each tensor; with a target, the counts begin anew with each attempt.
        measure: put the errors into the report.
    """
    from . import allocation, rate_control

    prepared = Preparation(
        tensors,
        config,
        threads=threads,
        executor=executor,
        memory=memory,
        spool=spool,
        node_ids=node_ids,
    )
    if config.allocate:
        prepared.qps = allocation.allocate(prepared)
    if config.target is None:
        return prepared.encode(progress=progress, measure=measure)
    return rate_control.reach_target(prepared, progress=progress, measure=measure)


def parts_of(layer: Layer, config: EncoderConfig) -> tuple[Part, ...]:
    """The parts of a unit with the quantization parameters that the options give them."""
    given = config.importance or {}
    return tuple(Part(c, role, carrier_qp(c, config), given.get(c.source)) for c, role in layer.members)


def select_tools(config: EncoderConfig) -> tuple[list[Transform], Quantizer]:
    """Transforms and the quantizer of a pipeline; by default one quantizer as the options say.

    Raises:
        ValueError: an unknown tool, or more than one quantizer.
    """
    tools = [get_tool(tool)() if isinstance(tool, str) else tool for tool in config.pipeline or ()]
    for tool in tools:
        if not isinstance(tool, Quantizer | Transform):
            raise TypeError(f"pipeline: {tool!r} is neither a transform nor a quantizer")
    quantizers = [tool for tool in tools if isinstance(tool, Quantizer)]
    if len(quantizers) > 1:
        raise ValueError(f"pipeline: only one quantizer can be used, not {quantizers}")
    transforms = [tool for tool in tools if not isinstance(tool, Quantizer)]
    return transforms, quantizers[0] if quantizers else default_quantizer(config)


class _WeightsOnly:
    """A quantizer for tensors of two or more dimensions, with another for vectors."""

    def __init__(self, weights: Quantizer, vectors: Quantizer) -> None:
        self.name = weights.name
        self.weights = weights
        self.vectors = vectors

    def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
        return (self.weights if len(job.shape) >= 2 else self.vectors).quantize(tensor, job)


def default_quantizer(config: EncoderConfig) -> Quantizer:
    """The quantizer that the options ask for."""
    config = config.resolved()
    uniform_or_dq: Quantizer = get_tool("dq_trellis" if config.dq else "uniform")(config.lambda_scale or 0.0)
    if config.codebook:
        return _WeightsOnly(get_tool("codebook")(config.codebook), uniform_or_dq)
    if config.bitdepth:
        return _WeightsOnly(get_tool("bit_depth")(config.bitdepth), uniform_or_dq)
    return uniform_or_dq


def common_base_qp(jobs: Iterable[Job], config: EncoderConfig) -> int:
    """(encoding 2) mps_quantization_parameter: 0 unless a qp is beyond what qp_value can say.

    Raises:
        ValueError: two tensors whose qp are too far apart.
    """
    low, high = qp_range(config.qp_density)
    parts = [part for job in jobs for part in job.parts if part.carrier.how == "quantize"]
    qps = {part.carrier.source: part.qp for part in parts}
    if not qps or (low <= min(qps.values()) and max(qps.values()) <= high):
        return 0
    lowest, highest = min(qps, key=qps.__getitem__), max(qps, key=qps.__getitem__)
    if qps[highest] - qps[lowest] > high - low:
        raise ValueError(
            f"qp {qps[lowest]} of tensor {lowest!r} and {qps[highest]} of {highest!r} are too far apart: "
            f"with qp_density {config.qp_density} they can differ by {high - low}"
        )
    return max(-4096, min(4095, (qps[lowest] + qps[highest]) // 2))


#: Elements of a job that is small, and jobs of a batch.
_SMALL, _MOST_TOGETHER = 1 << 12, 64


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that are done together: one, or some so small that calls would cost more than the work."""

    jobs: tuple[Job, ...]

    @property
    def elements(self) -> int:
        return sum(job.elements for job in self.jobs)

    @property
    def held_bytes(self) -> int:
        return sum(job.held_bytes for job in self.jobs)

    @property
    def working_bytes(self) -> int:
        return sum(job.working_bytes for job in self.jobs)


def batches_of(jobs: Sequence[Job]) -> list[Batch]:
    """Jobs in their order; neighbours that are small stand together."""
    groups: list[list[Job]] = []
    room = 0
    for job in jobs:
        elements = job.elements
        if not groups or elements > min(room, _SMALL) or len(groups[-1]) == _MOST_TOGETHER:
            groups.append([])
            room = _MOST_TOGETHER * _SMALL // 4 if elements <= _SMALL else 0
        groups[-1].append(job)
        room -= elements
    return [Batch(tuple(group)) for group in groups]


@dataclass(slots=True)
class _Quantized:
    """A job whose payload is to be made."""

    job: Job
    members: list[Member]
    facts: list[CodedPart]
    payload_type: PayloadType
    seconds: float


def code_batch(batch: Batch, quantizer: Quantizer, config: EncoderConfig, base_qp: int) -> list[CodedJob]:
    """Quantize and entropy-code the units of some jobs."""
    found = [_quantize(job, quantizer, config, base_qp) for job in batch.jobs]
    waiting = [one for one in found if isinstance(one, _Quantized)]
    started = time.perf_counter()
    units = iter(_payloads(waiting, config, base_qp))
    each = (time.perf_counter() - started) / max(1, sum(one.job.elements for one in waiting))
    coded = []
    for one in found:
        if isinstance(one, _Quantized):
            unit = next(units)
            for fact, member in zip(one.facts, one.members, strict=True):
                fact.bits = unit.bits[member.element_id]
            one = CodedJob(unit, tuple(one.facts), one.seconds + each * one.job.elements)
        coded.append(one)
    return coded


def _payloads(waiting: Sequence[_Quantized], config: EncoderConfig, base_qp: int) -> list[CodedUnit]:
    """Units with and without temporal contexts where there is a base for them: whichever are smaller."""

    def ready(one: _Quantized, *, temporal: bool) -> ReadyUnit:
        link = None if one.job.link is None else replace(one.job.link, temporal=temporal)
        return ready_unit(one.members, one.payload_type, config, base_qp, link, one.job.dimensions)

    if not waiting:
        return []
    units = code_units([ready(one, temporal=False) for one in waiting])
    aided = [k for k, one in enumerate(waiting) if one.job.link is not None and one.job.link.temporal]
    if aided:
        again = code_units([ready(waiting[k], temporal=True) for k in aided])
        for k, unit in zip(aided, again, strict=True):
            units[k] = min(units[k], unit, key=lambda unit: len(unit.payload))
    return units


def _quantize(job: Job, quantizer: Quantizer, config: EncoderConfig, base_qp: int) -> CodedJob | _Quantized:
    """What comes before the payload; all of the job where there is none to code."""
    started = time.perf_counter()
    first = job.parts[0].carrier
    if first.how == "raw":
        values = extract(first)
        raw = CodedPart(
            None, "raw", (), 32 * values.size, 0.0, 0.0, peak_of(values) if job.measure else math.nan
        )
        unit = raw_unit(first.name, values, config, job.link)
        return CodedJob(unit, (raw,), time.perf_counter() - started)
    members: list[Member] = []
    facts: list[CodedPart] = []
    for part in job.parts:
        values = extract(part.carrier)
        peak = peak_of(values) if job.measure else None  # of the tensor, also where a difference is coded
        if job.reference is not None:
            values = values - job.reference
        if part.carrier.how == "integer":
            quantized = QuantizedTensor(values, 0, config.qp_density, tool="integer")
        else:
            tool, context = quantizer, None
            if job.link is not None and job.link.temporal:
                context = job.link.contexts[part.carrier.name].base
            if (
                members and part.role is not Role.H
            ):  # the unit has one dq_flag, and a codebook is the weight's alone (decoding 10.3)
                tool = get_tool("dq_trellis" if members[0].quantized.dq_flag else "uniform")()
            told = tensor_job(part, config, base_qp, context, is_difference=job.reference is not None)
            quantized = tool.quantize(values, told)
        members.append(Member(part.carrier.name, part.role, quantized))
        facts.append(_facts(values, quantized, part.carrier.how, peak, job.reference is not None))
        del values  # the payload needs room
    if _is_zero_update(job, members[0].quantized):
        return CodedJob(None, tuple(facts), time.perf_counter() - started)
    if first.how == "integer":
        payload_type = PayloadType.NNR_PT_INT
    else:
        payload_type = PayloadType.NNR_PT_BLOCK if len(members) > 1 else PayloadType.NNR_PT_FLOAT
    return _Quantized(job, members, facts, payload_type, time.perf_counter() - started)


def _facts(
    values: np.ndarray, quantized: QuantizedTensor, how: str, peak: float | None, is_difference: bool
) -> CodedPart:
    """What became of `values`; errors only where the `peak` of the tensor was measured."""
    exact, qp, notes = how == "integer", quantized.qp, quantized.notes
    lost = quantized.codebook is None and not quantized.levels.any() and values.any()
    if lost and not exact and not is_difference:
        notes = (*notes, f"all values are too small for qp {qp}: the tensor becomes zero")
    part = CodedPart(None if exact else qp, quantized.tool, notes)
    if peak is None:
        return part
    squared, largest = (0.0, 0.0) if exact else coding_error(values, quantized)
    return replace(part, squared_error=squared, max_error=largest, peak=peak)


def _is_zero_update(job: Job, quantized: QuantizedTensor) -> bool:
    """(README D28) A difference whose values are all zero needs no unit."""
    if job.reference is None:
        return False
    if quantized.codebook is None:
        return not quantized.levels.any()
    book = quantized.codebook
    return all(book.entries[i + book.zero_offset] == 0 for i in np.unique(quantized.levels).tolist())


def tensor_job(
    part: Part,
    config: EncoderConfig,
    base_qp: int = 0,
    base: np.ndarray | None = None,
    *,
    is_difference: bool = False,
) -> TensorJob:
    """What the quantizer of a part is told."""
    low, high = qp_range(config.qp_density)
    carrier = part.carrier
    rows, cols = matrix_shape(carrier.shape)
    importance = part.importance
    if importance is not None:
        importance = np.ascontiguousarray(importance, np.float32).reshape(carrier.shape)
    return TensorJob(
        carrier.name,
        carrier.shape,
        rows,
        cols,
        effective_scan_order(carrier.shape, config.scan_order),
        part.qp,
        config.qp_density,
        (base_qp + low, base_qp + high),
        config.profile,
        config.cabac_unary_length,
        importance,
        base,
        None if is_difference else carrier.largest,
    )


def run_jobs(
    jobs: Sequence[Job],
    quantizer: Quantizer,
    config: EncoderConfig,
    base_qp: int,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, CodedJob]]:
    """Do all jobs; positions and results as they are done."""
    total = sum(job.weights for job in jobs)
    done = 0
    # what each job needs of these is in its parts; importances of a whole model would go to every process
    config = config.replace(importance=None, qp_per_tensor=None, topology=None)
    work = partial(code_batch, quantizer=quantizer, config=config, base_qp=base_qp)
    batches = batches_of(jobs)
    firsts = list(accumulate((len(batch.jobs) for batch in batches), initial=0))
    for k, results in completed(work, batches, threads=threads, executor=executor, memory=memory):
        for position, coded in enumerate(results, firsts[k]):
            yield position, coded
            done += jobs[position].weights
            if progress is not None:
                progress(done, total, jobs[position].source)


class Assembly:
    """Units written as they are coded, in any order; then the stream: start unit, parameter set, metadata,
    data units.

    Args:
        parents: the stream is an update.
    """

    def __init__(
        self, config: EncoderConfig, base_qp: int, spool: Spool | None = None, *, parents: bool = False
    ) -> None:
        self._config = config
        self._base_qp = base_qp
        self._parents = parents
        self._spool = spool or Spool()
        self._codebooks = False
        self._outcomes: dict[int, Outcome] = {}
        context = StreamContext()
        self._head(context)
        self._writer = DataUnitWriter(context)

    def add(self, position: int, coded: CodedJob) -> None:
        """Write the unit that stands at `position` of the stream, if the job gave one."""
        unit = coded.unit
        if unit is None:
            self._outcomes[position] = Outcome(coded.parts, coded.seconds)
            return
        self._codebooks |= "integer_codebook" in unit.header
        data = self._writer.write(
            unit.header,
            unit.payload,
            independently_decodable_flag=1 - unit.header.get("parent_node_id_present_flag", 0),
        )
        self._spool.put(position, data)
        self._outcomes[position] = Outcome(
            coded.parts, coded.seconds, len(data), zlib.crc32(data), entry_point_bytes(unit.header)
        )

    def has_unit(self, position: int) -> bool:
        """True when a unit stands at `position`."""
        return position in self._outcomes and self._outcomes[position].size > 0

    def stream(self, cargo: Cargo, started: float) -> EncodedStream:
        """The whole stream, when the jobs of all layers are done; layers without a job are unchanged.

        Args:
            started: when the work began, of `time.perf_counter`.
        """
        outcomes = [self._outcomes.get(k, _UNCHANGED) for k in range(len(cargo.layers))]
        context = StreamContext()
        head = self._head(context)
        topology = self._config.topology
        between = [] if topology is None else [write_unit(*topology.unit(), context)]
        if self._config.metadata:
            metadata = Metadata(
                units_before=len(head),
                crc_before=zlib.crc32(b"".join(head)),
                unit_crcs=[*map(zlib.crc32, between), *(outcome.crc for outcome in outcomes if outcome.size)],
                records=cargo.records,
                order=cargo.order,
            )
            formats = {"topology_storage_format": STORAGE_FORMAT, "topology_compression_format": 0}
            data = {"topology_data": serialize(metadata)}
            head.append(write_unit(NnrUnitType.NNR_TPL, formats, data, context))
        head += between
        self._spool.head = head
        total = sum(map(len, head)) + sum(outcome.size for outcome in outcomes)
        seconds = time.perf_counter() - started
        return EncodedStream(self._spool, lambda: report_of(cargo, outcomes, total, seconds))

    def _head(self, context: StreamContext) -> list[bytes]:
        """Start unit and parameter set. Whether there are codebooks changes nothing for other units."""
        parameters = model_parameter_set(
            self._config,
            codebooks=self._codebooks,
            base_qp=self._base_qp,
            topology=self._config.metadata or self._config.topology is not None,
            parents=self._parents,
        )
        profile = {"general_profile_idc": self._config.profile}
        return [
            write_unit(NnrUnitType.NNR_STR, profile, None, context),
            write_unit(NnrUnitType.NNR_MPS, {}, parameters, context),
        ]


_UNCHANGED = Outcome((CodedPart(None, "unchanged"),))


def report_of(cargo: Cargo, outcomes: Sequence[Outcome], total: int, seconds: float) -> EncodeReport:
    """The report on a stream of `total` bytes: one entry for each original tensor, in their order."""
    tensors: dict[str, TensorReport] = {}
    for layer, outcome in zip(cargo.layers, outcomes, strict=True):
        shares = _shares(outcome.size, [part.bits for part in outcome.parts])
        for (carrier, _), part, share in zip(layer.members, outcome.parts, shares, strict=True):
            known = tensors.get(carrier.source)
            if known is not None:
                known.coded_bytes += share
                known.seconds += outcome.seconds
                continue
            tensor = carrier.tensor
            tensors[carrier.source] = TensorReport(
                name=carrier.source,
                shape=tuple(tensor.shape),
                dtype=dtype_text(tensor.dtype),
                weights=tensor.size,
                original_bytes=tensor.nbytes,
                coded_bytes=share,
                tool=part.tool if outcome.size else "unchanged",
                qp=part.qp,
                seconds=outcome.seconds if carrier is layer.members[0][0] else 0.0,
                squared_error=part.squared_error,
                max_error=part.max_error,
                peak=part.peak,
                notes=tuple(cargo.notes.get(carrier.source, [])) + part.notes,
            )
    for name, original in cargo.ties.items():
        other = tensors[original]
        tensors[name] = replace(
            other,
            name=name,
            coded_bytes=0,
            tool="tied",
            squared_error=0.0,
            seconds=0.0,
            notes=(f"tied to {original}",),
        )
    notes = []
    entry_points = sum(outcome.entry_point_bytes for outcome in outcomes)
    if entry_points:
        notes.append(f"entry points for parallel decoding take {entry_points} bytes of the headers")
    output = sum(4 * carrier.elements for carrier in cargo.carriers)
    if output > Limits().output_bytes(total):
        notes.append(
            f"decoders with default limits refuse the stream, since {total} bytes become {output}: "
            f"decode it with limits=nnr.Limits(max_output_bytes={output})"
        )
    ordered = [tensors[name] for name in cargo.names if name in tensors]
    return EncodeReport(ordered, total_bytes=total, seconds=seconds, notes=notes)


def _shares(size: int, bits: Sequence[int]) -> list[int]:
    """Bytes of a unit by the bits of its tensors; what belongs to none goes to the first."""
    shares = [b // 8 for b in bits]
    shares[0] += size - sum(shares)
    return shares
