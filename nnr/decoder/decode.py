"""Units in order, tensors out: the decoding process as a whole.

Section 1 and 11 of the decoding specification. `Decoder` holds what outlives a stream (the parameter update
tree: model, context bases, history); `decode` and `decode_levels` are its one-shot forms. A stream is decoded
completely before any state changes, so that a failure leaves a decoder as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from ..errors import BitstreamError, ConformanceError
from ..limits import Limits
from ..metadata import Metadata, is_metadata
from ..metadata import parse as parse_metadata
from ..syntax.constants import NnrUnitType, PayloadType
from ..syntax.stream import NnrUnit, StreamContext, read_units
from .clauses import clause
from .payload import Backend, CodedUnit, TensorContext, decode_payloads
from .plan import UnitPlan, plan_unit
from .reconstruct import apply_format, restore, restored_bytes

__all__ = ["DecodeReport", "Decoder", "Form", "Stream", "Tensors", "decode", "decode_levels", "stream_bytes"]

Form = Literal["plain", "coded"]
Source = bytes | bytearray | memoryview | str | os.PathLike[str]
OutOfBand = Mapping[str, Mapping[str, Any]]


@dataclass
class DecodeReport:
    """What was done beyond copying values out.

    Attributes:
        escape_context_count: 31, or 32 for a profile-0 stream of the first software (spec README D1).
        checked: the stream carries checksums, and they agree.
        notes: one line for each thing that was done to a tensor.
    """

    escape_context_count: int = 31
    checked: bool = False
    notes: list[str] = field(default_factory=list)


class Tensors(dict[str, np.ndarray]):
    """Arrays by name, in bitstream order, with a `report` on how they came about."""

    report: DecodeReport

    def __init__(
        self, tensors: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]], report: DecodeReport
    ):
        super().__init__(tensors)
        self.report = report


@dataclass(frozen=True)
class _State:
    """What a decoder keeps between streams; replaced as a whole, its arrays are never written to."""

    model: Mapping[str, np.ndarray] = field(default_factory=dict)  # accumulated, coded form
    contexts: Mapping[str, TensorContext] = field(default_factory=dict)
    parameters: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict
    )  # source of out-of-band parameters
    metadata: Metadata | None = None


@dataclass
class Stream:
    """One parsed stream.

    Attributes:
        units: all units in order.
        plans: plans of the data units.
        metadata: content of the metadata unit of the last network, or None.
        crcs: announced CRC-32 by unit index.
    """

    units: list[NnrUnit]
    plans: list[UnitPlan]
    metadata: Metadata | None
    crcs: dict[int, int]


def stream_bytes(data: Source) -> memoryview:
    """The bytes of a stream given as bytes or as the path of a file.

    Raises:
        TypeError: neither.
        OSError: the file cannot be read.
    """
    if isinstance(data, str | os.PathLike):
        with open(data, "rb") as file:
            return memoryview(file.read())
    try:
        return memoryview(data).cast("B")
    except TypeError:
        raise TypeError(f"data must be bytes-like or a path, not {type(data).__name__}") from None


def read_stream(
    data: memoryview,
    limits: Limits,
    out_of_band: Callable[[str], Mapping[str, Any] | None],
    *,
    check: bool = True,
) -> Stream:
    """Parse all headers and check the limits; payloads are touched only to compare checksums.

    Args:
        check: compare the checksums of all units now.

    Raises:
        BitstreamError: see the subclasses.
    """
    context = StreamContext(out_of_band=out_of_band, limits=limits)
    units = list(read_units(data, context))
    metadata, crcs = _metadata(data, units, check)
    plans: list[UnitPlan] = []
    output = 0
    for unit in units:
        if unit.unit_type != NnrUnitType.NNR_NDU:
            continue
        try:
            plan = plan_unit(unit)
            for tensor in plan.tensors:
                limits.check(
                    "max_tensor_elements", tensor.elements, f"number of elements of tensor {tensor.name!r}"
                )
        except BitstreamError as error:
            raise error.locate(unit_index=unit.index, byte_offset=unit.byte_offset, unit=unit.name) from None
        output += 4 * plan.elements
        plans.append(plan)
    output = max(output, restored_bytes(plans, metadata))
    limits.check(
        "max_output_bytes",
        output,
        "size of the decoded tensors in bytes",
        allowed=limits.output_bytes(len(data)),
    )
    return Stream(units, plans, metadata, crcs)


def _metadata(data: memoryview, units: list[NnrUnit], check: bool) -> tuple[Metadata | None, dict[int, int]]:
    """Metadata of the last network and the checksums of all units that have one, compared if `check`."""
    starts = [k for k, unit in enumerate(units) if unit.unit_type == NnrUnitType.NNR_STR] or [0]
    found: Metadata | None = None
    crcs: dict[int, int] = {}
    for first, end in zip(starts, [*starts[1:], len(units)], strict=True):
        found = None
        for k in range(first, end):
            unit = units[k]
            if unit.unit_type != NnrUnitType.NNR_TPL or unit.payload is None:
                continue
            content = unit.payload.get("topology_data")
            if content is None or not is_metadata(unit.header.unit_header.topology_storage_format, content):
                continue
            try:
                found = parse_metadata(content)
                _check_announced(data, units, found, first, k, end, check)
            except BitstreamError as error:
                at = error.unit_index if error.unit_index is not None and error.unit_index < len(units) else k
                place = units[at]
                raise error.locate(unit_index=at, byte_offset=place.byte_offset, unit=place.name) from None
            crcs.update(zip(range(k + 1, end), found.unit_crcs, strict=True))
            break
    return found, crcs


def _check_announced(
    data: memoryview, units: list[NnrUnit], metadata: Metadata, first: int, own: int, end: int, check: bool
) -> None:
    """Units and checksums around the metadata unit `own` of the network `first`..`end`."""
    if own - first != metadata.units_before:
        raise ConformanceError(
            f"{metadata.units_before} units are announced before the metadata unit, {own - first} are there",
            clause="docs/metadata.md",
        )
    metadata.verify_before(bytes(data[units[first].byte_offset : units[own].byte_offset]))
    after = units[own + 1 : end]
    if check:
        metadata.verify_units([data[u.byte_offset : u.byte_offset + u.size] for u in after], own + 1)
    metadata.verify_count(len(after), own + 1)


class Decoder:
    """Decodes a base model and then its updates, in order.

    Args:
        limits: what a stream may cost; `Limits()` by default.
        threads: worker threads; None for one per core. The result is the same for every number.
        backend: "c", or "python" for the readable reference.
    """

    def __init__(
        self, *, limits: Limits | None = None, threads: int | None = None, backend: Backend = "c"
    ) -> None:
        self._limits = limits or Limits()
        self._threads = threads
        self._backend = backend
        self._state = _State()

    def decode(
        self,
        data: Source,
        *,
        form: Form = "plain",
        out_of_band: OutOfBand | None = None,
        threads: int | None = None,
        limits: Limits | None = None,
        backend: Backend | None = None,
    ) -> Tensors:
        """Decode one stream and take it into `model`.

        Args:
            data: a bitstream, or the path of a file.
            form: "plain" or "coded", see `nnr.decode`.
            out_of_band: parameters that the stream leaves to its environment, by element id.

        Returns:
            the tensors that this stream carries; differences if it is an update.

        Raises:
            BitstreamError: the stream cannot be decoded; the decoder is as it was.
        """
        run = _Run(self, out_of_band, threads, limits, backend)
        tensors, state = run.tensors(data, form, keep=True)
        self._state = state
        return tensors

    @property
    def model(self) -> dict[str, np.ndarray]:
        """The accumulated model: every parameter with all its updates added."""
        state = self._state
        if state.metadata is None:
            return dict(state.model)
        return restore(state.model, state.metadata)[0]


class _Run:
    """One stream on its way through a decoder; the decoder itself is not changed."""

    def __init__(
        self,
        decoder: Decoder,
        out_of_band: OutOfBand | None,
        threads: int | None,
        limits: Limits | None,
        backend: Backend | None,
    ) -> None:
        self.state = decoder._state
        self.limits = limits or decoder._limits
        self.threads = decoder._threads if threads is None else threads
        self.backend = backend or decoder._backend
        self.out_of_band = out_of_band or {}

    def parameters_of(self, element_id: str) -> Mapping[str, Any] | None:
        """(semantics 7) Out-of-band parameters: those given, else those of the parent or base."""
        given = self.out_of_band.get(element_id)
        return given if given is not None else self.state.parameters.get(element_id)

    def parsed(self, data: Source) -> Stream:
        return read_stream(stream_bytes(data), self.limits, self.parameters_of)

    def tensors(self, data: Source, form: Form, *, keep: bool) -> tuple[Tensors, _State]:
        if form not in ("plain", "coded"):
            raise ValueError(f"form must be 'plain' or 'coded', not {form!r}")
        stream = self.parsed(data)
        keep = keep or any(plan.differential for plan in stream.plans)
        units, state, dialect = self.coded(stream, "both" if keep else "values")
        coded: dict[str, np.ndarray] = {}
        for unit in units:
            by_name = {t.plan.name: t.values for t in unit.tensors}
            for name in unit.plan.element_ids:
                values = by_name[name]
                assert values is not None
                coded[name] = apply_format(values, unit.plan.data_format)
        report = DecodeReport(dialect, checked=stream.metadata is not None)
        plain: Mapping[str, np.ndarray] = coded
        if form == "plain" and stream.metadata is not None:
            plain, report.notes = restore(coded, stream.metadata)
        return Tensors(plain, report), state

    def coded(
        self, stream: Stream, want: Literal["values", "levels", "both"]
    ) -> tuple[list[CodedUnit], _State, int]:
        """Decode all payloads, in waves where units refer to earlier ones of the same stream."""
        state = self.state
        if stream.metadata is not None:
            state = replace(state, metadata=stream.metadata)
        done: list[CodedUnit] = []
        dialect: int | None = None
        waves = _waves(stream.plans)
        for wave in waves:
            units, found = decode_payloads(
                wave,
                want=want,
                contexts=state.contexts,
                dialect=dialect,
                threads=self.threads,
                backend=self.backend,
            )
            dialect = found
            done += units
            if want == "both":
                state = _advance(state, units)
        return done, state, dialect or 31


def _waves(plans: list[UnitPlan]) -> list[list[UnitPlan]]:
    """Runs of units in which no parameter comes twice; one run where nothing can refer to an earlier unit."""
    if not any(plan.differential for plan in plans):
        return [plans] if plans else []
    waves: list[list[UnitPlan]] = []
    seen: set[str] = set()
    for plan in plans:
        if not waves or not seen.isdisjoint(plan.element_ids):
            waves.append([])
            seen = set()
        waves[-1].append(plan)
        seen.update(plan.element_ids)
    return waves


@clause("decoding 11.1", "decoding 11.3", "decoding 11.5")
def _advance(state: _State, units: Iterable[CodedUnit]) -> _State:
    """(decoding 11) State after units were decoded: model, context bases, history, parameters."""
    model, contexts, parameters = dict(state.model), dict(state.contexts), dict(state.parameters)
    for unit in units:
        plan = unit.plan
        for tensor in unit.tensors:
            name, values = tensor.plan.name, tensor.values
            assert values is not None
            if not plan.differential:
                model[name] = values
            elif name in model and model[name].shape == values.shape:
                model[name] = model[name] + values
            if tensor.levels is not None:
                known = contexts.get(name, TensorContext())
                history = known.history
                if plan.differential:
                    moved = (tensor.levels.reshape(-1) != 0).view(np.uint8)
                    fits = history is not None and history.size == moved.size
                    history = history | moved if fits and history is not None else moved
                contexts[name] = TensorContext(tensor.levels.reshape(-1), history)
        header = plan.unit.header.unit_header
        parameters[plan.element_ids[0]] = {
            "tensor_dimensions": list(plan.tensor_dimensions),
            "cabac_unary_length_minus1": plan.cabac_unary_length - 1,
            "compressed_parameter_types": int(plan.compressed_parameter_types),
            "decomposition_rank": header.get("decomposition_rank"),
            "g_number_of_rows": header.get("g_number_of_rows"),
        }
    return replace(state, model=model, contexts=contexts, parameters=parameters)


def _decoder_on(base: Source | Mapping[str, Any] | Decoder | None, **options: Any) -> Decoder:
    """A decoder that stands where `base` says; the one given is not changed."""
    decoder = Decoder(**options)
    if base is None:
        return decoder
    if isinstance(base, Decoder):
        decoder._state = base._state
    elif isinstance(base, Mapping):
        model = {name: np.asarray(value) for name, value in base.items()}
        parameters = {name: {"tensor_dimensions": list(a.shape)} for name, a in model.items() if a.ndim}
        decoder._state = _State(model=model, parameters=parameters)
    else:
        decoder.decode(base)
    return decoder


def decode(
    data: Source,
    *,
    base: Source | Mapping[str, Any] | Decoder | None = None,
    form: Form = "plain",
    out_of_band: OutOfBand | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
    backend: Backend = "c",
) -> Tensors:
    """Decode a bitstream.

    Args:
        data: a bitstream (bytes-like), or the path of a file.
        base: for an update: what it is an update of, as a bitstream, a dict of tensors or a `Decoder`
        (which stays
            as it is).
        form: "plain" for parameters that a framework can load, with their original dtype and shape;
        "coded" for
            every coded tensor under its own id as it stands in the stream.
        out_of_band: {"element id": {"tensor_dimensions": [...], "cabac_unary_length_minus1": n, ...}}:
        what the
            stream leaves to its environment (semantics 7).
        threads: worker threads; None for one per core.
        limits: what the stream may cost; `Limits()` by default.
        backend: "c", or "python" for the readable reference.

    Returns:
        arrays by name, in bitstream order, with the attribute `report`. In coded form float32 or int32, or
        the format
        that the stream asks for. With `base` and form "plain" the updated model; in coded form the update
        as carried.

    Raises:
        BitstreamError: the stream cannot be decoded.
        OSError: the file cannot be read.
    """
    decoder = _decoder_on(base, limits=limits, threads=threads, backend=backend)
    tensors, state = _Run(decoder, out_of_band, None, None, None).tensors(data, form, keep=base is not None)
    if base is None or form == "coded":
        return tensors
    decoder._state = state
    return Tensors(decoder.model, tensors.report)


def decode_levels(
    data: Source,
    *,
    base: Source | Mapping[str, Any] | Decoder | None = None,
    out_of_band: OutOfBand | None = None,
    threads: int | None = None,
    limits: Limits | None = None,
    backend: Backend = "c",
) -> dict[str, np.ndarray]:
    """The integers of a bitstream before dequantization, coded form.

    Args: as for `decode`.

    Returns:
        int32 arrays by element id: with dependent quantization the doubled integers (decoding 8), for
        codebook
        tensors index minus zero offset. Tensors of raw floats have no levels and are absent.

    Raises:
        BitstreamError: the stream cannot be decoded.
    """
    decoder = _decoder_on(base, limits=limits, threads=threads, backend=backend)
    run = _Run(decoder, out_of_band, None, None, None)
    stream = run.parsed(data)
    differential = any(plan.differential for plan in stream.plans)
    units, _, _ = run.coded(stream, "both" if differential else "levels")
    levels: dict[str, np.ndarray] = {}
    for unit in units:
        if unit.plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT:
            continue
        by_name = {t.plan.name: t.levels for t in unit.tensors}
        for name in unit.plan.element_ids:
            tensor_levels = by_name[name]
            assert tensor_levels is not None
            levels[name] = tensor_levels
    return levels
