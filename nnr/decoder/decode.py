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

from ..errors import BitstreamError, abridged
from ..limits import Limits
from ..metadata import Kind
from ..syntax.constants import PayloadType
from ..topology import Topology, find_topology
from .forms import BatchNormNames, UnitLayout, layout_of, plain_form, plain_groups
from .payload import Backend, CodedUnit, Progress, TensorContext, checked_threads, decode_payloads
from .plan import Role, UnitPlan, check_shape
from .reconstruct import apply_format, original_names, restore
from .stream import Source, Stream, checked_limits, located, read_stream, stream_bytes
from .update_tree import Node, State, advance, check_parent, dump_state, load_state, parameter_ids

__all__ = [
    "DecodeReport",
    "Decoder",
    "Form",
    "OutOfBand",
    "Tensors",
    "batch_norm_names",
    "decode",
    "decode_levels",
    "decoder_on",
]

Form = Literal["plain", "coded"]
OutOfBand = Mapping[str, Mapping[str, Any]]


@dataclass
class DecodeReport:
    """What was done beyond copying values out.

    Attributes:
        escape_context_count: 31, or 32 for a profile-0 stream of the first software (spec README D1).
        checked: the stream carries checksums, and they agree.
        update: the stream is an update, not a complete model: it signals parents.
        notes: one line for each thing that was done to a tensor.
        topology: the network that the tensors are weights of, where the stream has it.
    """

    escape_context_count: int = 31
    checked: bool = False
    update: bool = False
    notes: list[str] = field(default_factory=list)
    topology: Topology | None = field(default=None, repr=False)


class Tensors(dict[str, np.ndarray]):
    """Arrays by name, in bitstream order, with a `report` on how they came about."""

    report: DecodeReport

    def __init__(
        self, tensors: Mapping[str, np.ndarray] | Iterable[tuple[str, np.ndarray]], report: DecodeReport
    ):
        super().__init__(tensors)
        self.report = report


class Decoder:
    """Decodes a base model and then its updates, in order.

    Args:
        limits: what a stream may cost; `Limits()` by default.
        threads: worker threads; None for one per core. The result is the same for every number.
        backend: "c", or "python" for the readable reference.
        state: continue from a saved state: bytes from `state`, or the path of a file that holds them.

    Raises:
        ValueError: `state` is no saved state.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        threads: int | None = None,
        backend: Backend = "c",
        state: bytes | str | os.PathLike[str] | None = None,
    ) -> None:
        self._limits = checked_limits(limits)
        self._threads = checked_threads(threads)
        self._backend = backend
        self._state = State() if state is None else load_state(bytes(stream_bytes(state)))

    def decode(
        self,
        data: Source,
        *,
        form: Form = "plain",
        out_of_band: OutOfBand | None = None,
        threads: int | None = None,
        limits: Limits | None = None,
        backend: Backend | None = None,
        progress: Progress | None = None,
    ) -> Tensors:
        """Decode one stream and take it into `model`.

        Args:
            data: a bitstream, or the path of a file.
            form: "plain" or "coded", see `nnr.decode`.
            out_of_band: parameters that the stream leaves to its environment, by element id.
            progress: called with (done_weights, total_weights, name) as units are decoded.

        Returns:
            the tensors that this stream carries; differences if it is an update.

        Raises:
            BitstreamError: the stream cannot be decoded, or is no update of what this decoder holds; the
                decoder is as it was.
        """
        run = _Run(self, out_of_band, threads, limits, backend, progress)
        tensors, state = run.tensors(data, form, keep=True)
        self._state = state
        return tensors

    @property
    def model(self) -> dict[str, np.ndarray]:
        """The accumulated model in plain form: every parameter with all its updates added."""
        state = self._state
        own = {name: array.copy() for name, array in state.model.items()}
        plain, _ = plain_form(own, state.layouts.values())
        return plain if state.metadata is None else restore(plain, state.metadata)[0]

    @property
    def coded_model(self) -> Mapping[str, np.ndarray]:
        """The accumulated model in coded form: every coded tensor under its own id."""
        return self._state.model

    @property
    def limbs(self) -> dict[str, int]:
        """Number of limbs of each integer tensor of the model that is split into some."""
        metadata = self._state.metadata
        if metadata is None or all(record.kind != Kind.LIMBS for record in metadata.records):
            return {}
        plain, _ = plain_form(self._state.model, self._state.layouts.values())
        found = original_names(list(plain), metadata)
        return {name: record.parts for name, (_, record) in found.items() if record.kind == Kind.LIMBS}

    def node(self, element_id: str) -> Node | None:
        """The latest unit of a parameter, by the first element id of the unit."""
        return self._state.nodes.get(element_id)

    @property
    def parameter_ids(self) -> dict[str, int]:
        """parameter_id of each coded tensor whose latest unit has a node id."""
        return parameter_ids(self._state)

    @property
    def contexts(self) -> Mapping[str, TensorContext]:
        """Base levels and history of each coded tensor, for the contexts of the next update (decoding 11)."""
        return self._state.contexts

    def parameter_source(self, out_of_band: OutOfBand | None) -> Callable[[str], Mapping[str, Any] | None]:
        """(semantics 7) Out-of-band parameters by element id: those given, else those of the "
        "parent or base."""
        given, state = out_of_band or {}, self._state

        def parameters_of(element_id: str) -> Mapping[str, Any] | None:
            if element_id in given:
                return given[element_id]
            node = state.nodes.get(element_id)
            if node is not None:
                return node.parameters
            known = state.model.get(element_id)
            return None if known is None or not known.ndim else {"tensor_dimensions": list(known.shape)}

        return parameters_of

    @property
    def state(self) -> bytes:
        """Everything this decoder knows, to be saved and given to `Decoder(state=...)` in another process.

        A zip archive of JSON and plain arrays, without pickle.
        """
        return dump_state(self._state)


class _Run:
    """One stream on its way through a decoder; the decoder itself is not changed."""

    def __init__(
        self,
        decoder: Decoder,
        out_of_band: OutOfBand | None,
        threads: int | None,
        limits: Limits | None,
        backend: Backend | None,
        progress: Progress | None = None,
    ) -> None:
        self.state = decoder._state
        self.limits = decoder._limits if limits is None else checked_limits(limits)
        self.threads = decoder._threads if threads is None else checked_threads(threads)
        self.backend = backend or decoder._backend
        self.progress = progress
        self.out_of_band = out_of_band or {}
        self.parameters_of = decoder.parameter_source(out_of_band)

    def parsed(self, data: Source) -> Stream:
        return read_stream(stream_bytes(data), self.limits, self.parameters_of)

    def tensors(self, data: Source, form: Form, *, keep: bool) -> tuple[Tensors, State]:
        if form not in ("plain", "coded"):
            raise ValueError(f"form must be 'plain' or 'coded', not {form!r}")
        stream = self.parsed(data)
        if self.progress is not None:
            self.progress = _by_weights(self.progress, stream, batch_norm_names(self.out_of_band))
        keep = keep or any(plan.differential for plan in stream.plans)
        units, state, dialect = self.coded(stream, "both" if keep else "values")
        coded: dict[str, np.ndarray] = {}
        for unit in units:
            by_name = {t.plan.name: t.values for t in unit.tensors}
            for name in unit.plan.element_ids:
                values = by_name.get(name)
                if values is not None:
                    values = values.copy() if keep else values  # the decoder's own stay out of reach
                    try:
                        coded[name] = apply_format(values, unit.plan.data_format)
                    except BitstreamError as error:
                        raise located(error, unit.plan.unit) from None
        report = DecodeReport(dialect, checked=stream.metadata is not None, update=not stream.complete)
        report.topology = find_topology(stream.units, self.limits)
        if form == "coded":
            return Tensors(coded, report), state
        layouts: list[UnitLayout] = [layout_of(plan) for plan in stream.plans]
        unfold = batch_norm_names(self.out_of_band)
        plain, report.notes = plain_form(coded, layouts, unfold, stream.locate)
        for plan in stream.plans:
            shift = plan.unit.header.unit_header.get("first_tensor_dimension_shift")
            if shift:
                report.notes.append(
                    f"{abridged(plan.element_ids[0])}: first_tensor_dimension_shift is {shift}; the "
                    "dimensions are given as coded"
                )
        if stream.metadata is not None:
            try:
                plain, notes = restore(plain, stream.metadata)
            except BitstreamError as error:
                raise stream.locate_metadata(error) from None
            report.notes += notes
        return Tensors(plain, report), state

    def coded(
        self, stream: Stream, want: Literal["values", "levels", "both"]
    ) -> tuple[list[CodedUnit], State, int]:
        """Decode all payloads, in waves where units refer to earlier ones of the same stream."""
        state = self.state
        if stream.complete:
            state = replace(state.without_model(), metadata=stream.metadata)
        done: list[CodedUnit] = []
        dialect: int | None = None
        own = False
        for wave in _waves(stream.plans):
            for plan in wave:
                try:
                    check_parent(state, plan)
                except BitstreamError as error:
                    raise located(error, plan.unit) from None
            units, dialect = decode_payloads(
                wave,
                want=want,
                contexts=state.contexts,
                dialect=dialect,
                threads=self.threads,
                backend=self.backend,
                progress=self.progress,
            )
            for plan in wave:
                _check_shapes(state, plan)
            done += units
            if want == "both":
                state, own = advance(state, units, own=own), True
        return done, state, dialect or 31


def _by_weights(progress: Progress, stream: Stream, unfold: Mapping[str, BatchNormNames]) -> Progress:
    """`progress` told of weights of the model: of an integer in several limbs, each counts once."""
    limbs = (Kind.LIMBS, Kind.BITS)
    if stream.metadata is None or not any(r.kind in limbs for r in stream.metadata.records):
        return progress
    names = [n for group in plain_groups(map(layout_of, stream.plans), unfold) for n in group.names]
    try:
        found = original_names(names, stream.metadata)
    except BitstreamError:  # said when everything is decoded
        return progress
    further = {part for parts, record in found.values() if record.kind in limbs for part in parts[1:]}
    sizes = {p.element_ids[0]: p.elements for p in stream.plans if p.element_ids[0] in further}
    twice, last = 0, 0

    def told(done: int, total: int, name: str) -> None:
        nonlocal twice, last
        twice = sizes.get(name, 0) + (twice if done >= last else 0)  # a second dialect begins anew
        last = done
        progress(done - twice, total - sum(sizes.values()), name)

    return told


def _check_shapes(state: State, plan: UnitPlan) -> None:
    """What was decoded fits the model that it updates."""
    try:
        for tensor in plan.tensors:
            if tensor.name in state.model:
                check_shape(state.model[tensor.name].shape, tensor)
    except BitstreamError as error:
        raise located(error, plan.unit) from None


def batch_norm_names(out_of_band: OutOfBand) -> dict[str, BatchNormNames]:
    """Names of folded batch norms, from the entries ``"batch_norm"`` of out-of-band parameters.

    Raises:
        ValueError: an entry lacks a name or has one too many.
    """
    found = {}
    for name, parameters in out_of_band.items():
        given = parameters.get("batch_norm")
        if given is not None:
            try:
                found[name] = BatchNormNames(**given)
            except TypeError:
                raise ValueError(
                    f"out_of_band: batch_norm of {name!r} needs beta, gamma, mean and variance, "
                    "and may have bias and "
                    f"epsilon, not {given!r}"
                ) from None
    return found


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


def decoder_on(base: Source | Mapping[str, Any] | Decoder | None, **options: Any) -> Decoder:
    """A decoder that stands where `base` says; the one given is not changed."""
    decoder = Decoder(**options)
    if base is None:
        return decoder
    if isinstance(base, Decoder):
        decoder._state = base._state
    elif isinstance(base, Mapping):
        model = {name: np.array(value) for name, value in base.items()}
        layouts = {name: UnitLayout((name,), ((name, Role.WEIGHT),), a.shape) for name, a in model.items()}
        decoder._state = State(model=model, layouts=layouts)
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
    progress: Progress | None = None,
) -> Tensors:
    """Decode a bitstream.

    Args:
        data: a bitstream (bytes-like), or the path of a file.
        base: for an update: what it is an update of, as a bitstream, a dict of tensors or a `Decoder`
            (which stays as it is).
        form: "plain" for parameters that a framework can load, with their original dtype and shape; "coded"
            for every coded tensor under its own id as it stands in the stream.
        out_of_band: {"element id": {"tensor_dimensions": [...], "cabac_unary_length_minus1": n, ...}}: what
            the stream leaves to its environment (semantics 7).
        threads: worker threads; None for one per core.
        limits: what the stream may cost; `Limits()` by default.
        backend: "c", or "python" for the readable reference.
        progress: called with (done_weights, total_weights, name) as units are decoded.

    Returns:
        arrays by name, in bitstream order, with the attribute `report`. In coded form float32 or int32, or
        the format that the stream asks for. With `base` and form "plain" the updated model; in coded form
        the update as carried.

    Raises:
        BitstreamError: the stream cannot be decoded.
        OSError: the file cannot be read.
    """
    decoder = decoder_on(base, limits=limits, threads=threads, backend=backend)
    run = _Run(decoder, out_of_band, None, None, None, progress)
    tensors, state = run.tensors(data, form, keep=base is not None)
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
            codebook tensors index minus zero offset. Tensors of raw floats have no levels and are absent.

    Raises:
        BitstreamError: the stream cannot be decoded.
    """
    decoder = decoder_on(base, limits=limits, threads=threads, backend=backend)
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
            found = by_name.get(name)
            if found is not None:
                levels[name] = found.copy() if differential else found
    return levels
