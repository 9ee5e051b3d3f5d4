"""From a model to a bitstream: transforms, quantizers, units, stream.

`encode` is the whole road. The work on one tensor, `code_carrier`, is a function of plain arguments without
shared state, so that any executor can run it; the stream is put together in order afterwards, which makes
the bytes independent of threads.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..decoder.plan import Role, matrix_shape
from ..decoder.quantization import qp_range
from ..metadata import STORAGE_FORMAT, Metadata, serialize
from ..syntax.constants import NnrUnitType, PayloadType
from ..syntax.stream import StreamContext, write_unit
from .assemble import CodedUnit, Member, code_unit, effective_scan_order, model_parameter_set, raw_unit
from .carry import Cargo, Carrier, extract, load_cargo, tensor_qp
from .config import EncoderConfig
from .report import EncodeReport, TensorReport
from .tools import QuantizedTensor, Quantizer, TensorJob, Transform, get_tool

__all__ = ["EncodedStream", "code_carrier", "encode_stream"]

#: (done_weights, total_weights, name of the tensor just done)
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class EncodedStream:
    """Units in order, and the report on them."""

    units: list[bytes]
    report: EncodeReport

    def tobytes(self) -> bytes:
        return b"".join(self.units)


def encode_stream(
    tensors: Mapping[str, Any],
    config: EncoderConfig,
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> EncodedStream:
    """Encode a model as one absolute stream.

    Args:
        tensors: arrays by name.
        threads: worker threads; None for one per core.
        executor: run the work on single tensors there instead.

    Raises:
        ValueError, TypeError: a tensor or an option cannot be coded; the message names it.
    """
    started = time.perf_counter()
    transforms, quantizer = _tools(config)
    for transform in transforms:
        tensors = transform.apply(tensors)
    if not tensors and not config.metadata:
        raise ValueError(
            "tensors: without metadata a model of no tensors cannot be told from a stream cut short"
        )
    cargo = load_cargo(tensors, config)
    base_qp = _base_qp(cargo.carriers, config)
    total = sum(carrier.elements for carrier in cargo.carriers)
    coded: list[CodedCarrier] = []
    done = 0
    for carrier, result in zip(
        cargo.carriers, _run(cargo.carriers, quantizer, config, base_qp, threads, executor), strict=True
    ):
        coded.append(result)
        done += carrier.elements
        if progress is not None:
            progress(done, total, carrier.source)
    units, first_data_unit = _stream(coded, cargo, config, base_qp)
    report = _report(cargo, coded, units, first_data_unit, time.perf_counter() - started)
    return EncodedStream(units, report)


def _tools(config: EncoderConfig) -> tuple[list[Transform], Quantizer]:
    """Transforms and the quantizer of a pipeline; by default one quantizer as the options say.

    Raises:
        ValueError: an unknown tool, or more than one quantizer.
    """
    if config.pipeline is None:
        return [], get_tool("dq_trellis" if config.dq else "uniform")()
    tools = [get_tool(tool)() if isinstance(tool, str) else tool for tool in config.pipeline]
    for tool in tools:
        if not isinstance(tool, Quantizer | Transform):
            raise TypeError(f"pipeline: {tool!r} is neither a transform nor a quantizer")
    quantizers = [tool for tool in tools if isinstance(tool, Quantizer)]
    if len(quantizers) > 1:
        raise ValueError(f"pipeline: only one quantizer can be used, not {quantizers}")
    transforms = [tool for tool in tools if not isinstance(tool, Quantizer)]
    return transforms, quantizers[0] if quantizers else get_tool("dq_trellis" if config.dq else "uniform")()


def _base_qp(carriers: Iterable[Carrier], config: EncoderConfig) -> int:
    """(encoding 2) mps_quantization_parameter: 0 unless a qp is beyond what qp_value can say.

    Raises:
        ValueError: two tensors whose qp are too far apart.
    """
    low, high = qp_range(config.qp_density)
    qps = {c.source: tensor_qp(c.source, len(c.array.shape), config) for c in carriers if c.how == "quantize"}
    if not qps or (low <= min(qps.values()) and max(qps.values()) <= high):
        return 0
    lowest, highest = min(qps, key=qps.__getitem__), max(qps, key=qps.__getitem__)
    if qps[highest] - qps[lowest] > high - low:
        raise ValueError(
            f"qp {qps[lowest]} of tensor {lowest!r} and {qps[highest]} of {highest!r} are too "
            "far apart: with qp_density "
            f"{config.qp_density} they can differ by {high - low}"
        )
    return max(-4096, min(4095, (qps[lowest] + qps[highest]) // 2))


@dataclass(frozen=True, slots=True)
class CodedCarrier:
    """One carrier's unit and the facts for the report."""

    coded: CodedUnit
    qp: int | None
    tool: str
    notes: tuple[str, ...]
    seconds: float


def code_carrier(carrier: Carrier, quantizer: Quantizer, config: EncoderConfig, base_qp: int) -> CodedCarrier:
    """Quantize and entropy-code one carrier."""
    started = time.perf_counter()
    values = extract(carrier)
    if carrier.how == "raw":
        coded = raw_unit(carrier.name, values, config)
        return CodedCarrier(coded, None, "raw", (), time.perf_counter() - started)
    if carrier.how == "integer":
        quantized, payload_type = (
            QuantizedTensor(values, 0, config.qp_density, tool="integer"),
            PayloadType.NNR_PT_INT,
        )
    else:
        quantized, payload_type = (
            quantizer.quantize(values, _tensor_job(carrier, config)),
            PayloadType.NNR_PT_FLOAT,
        )
    coded = code_unit([Member(carrier.name, Role.WEIGHT, quantized)], payload_type, config, base_qp)
    qp = quantized.qp if payload_type == PayloadType.NNR_PT_FLOAT else None
    return CodedCarrier(coded, qp, quantized.tool, quantized.notes, time.perf_counter() - started)


def _tensor_job(carrier: Carrier, config: EncoderConfig) -> TensorJob:
    rows, cols = matrix_shape(carrier.shape)
    qp = tensor_qp(carrier.source, carrier.array.ndim, config)
    scan_order = effective_scan_order(carrier.shape, config.scan_order)
    return TensorJob(carrier.name, carrier.shape, rows, cols, scan_order, qp, config.qp_density)


def _run(
    carriers: list[Carrier],
    quantizer: Quantizer,
    config: EncoderConfig,
    base_qp: int,
    threads: int | None,
    executor: Executor | None,
) -> Iterator[CodedCarrier]:
    """Coded carriers in order; the largest are started first."""
    workers = os.cpu_count() or 1 if threads is None else threads
    if workers < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")
    total = sum(carrier.elements for carrier in carriers)
    if executor is None and (workers == 1 or len(carriers) < 2 or total < 1 << 16):
        for carrier in carriers:
            yield code_carrier(carrier, quantizer, config, base_qp)
        return
    own = ThreadPoolExecutor(min(workers, len(carriers))) if executor is None else None
    pool: Executor = own if executor is None else executor  # type: ignore[assignment]
    futures: list[Future[CodedCarrier] | None] = [None] * len(carriers)
    try:
        for k in sorted(range(len(carriers)), key=lambda k: -carriers[k].elements):
            futures[k] = pool.submit(code_carrier, carriers[k], quantizer, config, base_qp)
        for future in futures:
            assert future is not None
            yield future.result()
    finally:
        for future in futures:
            if future is not None:
                future.cancel()
        if own is not None:
            own.shutdown(wait=True)


def _stream(
    coded: list[CodedCarrier], cargo: Cargo, config: EncoderConfig, base_qp: int
) -> tuple[list[bytes], int]:
    """All units in order, and the index of the first data unit."""
    context = StreamContext()
    codebooks = any("integer_codebook" in item.coded.header for item in coded)
    parameters = model_parameter_set(config, codebooks=codebooks, base_qp=base_qp, topology=config.metadata)
    head = [
        write_unit(NnrUnitType.NNR_STR, {"general_profile_idc": config.profile}, None, context),
        write_unit(NnrUnitType.NNR_MPS, {}, parameters, context),
    ]
    data_units = [write_unit(NnrUnitType.NNR_NDU, c.coded.header, c.coded.payload, context) for c in coded]
    if not config.metadata:
        return head + data_units, len(head)
    metadata = Metadata(
        units_before=len(head),
        crc_before=zlib.crc32(b"".join(head)),
        unit_crcs=[zlib.crc32(unit) for unit in data_units],
        records=cargo.records,
        order=cargo.order,
    )
    topology_header = {"topology_storage_format": STORAGE_FORMAT, "topology_compression_format": 0}
    head.append(
        write_unit(NnrUnitType.NNR_TPL, topology_header, {"topology_data": serialize(metadata)}, context)
    )
    return head + data_units, len(head)


def _report(
    cargo: Cargo, coded: list[CodedCarrier], units: list[bytes], first_data_unit: int, seconds: float
) -> EncodeReport:
    tensors: dict[str, TensorReport] = {}
    for carrier, item, unit in zip(cargo.carriers, coded, units[first_data_unit:], strict=True):
        known = tensors.get(carrier.source)
        if known is None:
            array = carrier.array
            tensors[carrier.source] = TensorReport(
                name=carrier.source,
                shape=tuple(array.shape),
                dtype=str(array.dtype),
                weights=int(array.size),
                original_bytes=int(array.nbytes),
                coded_bytes=len(unit),
                tool=item.tool,
                qp=item.qp,
                seconds=item.seconds,
                notes=tuple(cargo.notes.get(carrier.source, [])) + item.notes,
            )
        else:
            known.coded_bytes += len(unit)
            known.seconds += item.seconds
    return EncodeReport(list(tensors.values()), total_bytes=sum(map(len, units)), seconds=seconds)


def as_arrays(tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Plain arrays of whatever can be seen as an array."""
    return {name: np.asarray(value) for name, value in tensors.items()}
