"""A stream on its way to the decoder: units parsed, checksums compared, limits checked, units planned.

Nothing here touches the content of a payload. In: bytes, or a path. Out: a `Stream`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BitstreamError, ConformanceError, TruncatedError
from ..limits import Limits
from ..metadata import CLAUSE, HEAD_BYTES, Metadata, is_metadata, looks_like_metadata
from ..metadata import parse as parse_metadata
from ..syntax.bits import FileBytes
from ..syntax.constants import DataFormat, NnrUnitType
from ..syntax.stream import NnrUnit, StreamContext, read_units
from .clauses import clause
from .plan import UnitPlan, check_shape, plan_unit
from .reconstruct import restored_bytes

__all__ = ["Source", "Stream", "checked_limits", "located", "read_stream", "stream_bytes"]

#: Formats of eight bytes.
_WIDE = frozenset([DataFormat.TENSOR_INT64, DataFormat.TENSOR_FLOAT64])

Source = bytes | bytearray | memoryview | str | os.PathLike[str]


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

    def locate(self, error: BitstreamError, first_id: str) -> BitstreamError:
        """`error` with its place: the unit whose first element has this id."""
        unit = next((plan.unit for plan in self.plans if plan.element_ids[0] == first_id), None)
        return error if unit is None else located(error, unit)

    def locate_metadata(self, error: BitstreamError) -> BitstreamError:
        """`error` with its place: the metadata unit."""
        unit = next((unit for unit in reversed(self.units) if _metadata_content(unit) is not None), None)
        return error if unit is None else located(error, unit)

    @property
    def complete(self) -> bool:
        """(spec README 3) The stream is a complete model, not an update: it does not signal parents."""
        return not any(
            unit.mps is not None and unit.mps.mps_parent_signalling_enabled_flag for unit in self.units
        )


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


def checked_limits(limits: Limits | None) -> Limits:
    """`limits`, or the default ones.

    Raises:
        TypeError: it is something else.
    """
    if limits is None:
        return Limits()
    if not isinstance(limits, Limits):
        raise TypeError(f"limits must be nnr.Limits, not {limits!r}")
    return limits


def read_stream(
    data: memoryview | FileBytes,
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
    units, entries = [], 0
    for unit in read_units(data, context):
        units.append(unit)
        if unit.unit_type == NnrUnitType.NNR_NDU and unit.header.unit_header.codebook_present_flag:
            entries += unit.header.unit_header.integer_codebook.codebook_size
            limits.check("max_list_entries", entries, "number of entries of all codebooks")
    metadata, crcs = _metadata(data, units, check)
    if all(unit.unit_type in (NnrUnitType.NNR_STR, NnrUnitType.NNR_MPS) for unit in units):
        last = units[-1]
        if not (last.mps is not None and last.mps.mps_parent_signalling_enabled_flag):
            # Not in spec: an update may have no units (README D28), a model that has none was cut
            raise located(
                TruncatedError("the stream ends before its first tensor", clause="syntax 2.4"), last
            )
    plans = _plans([unit for unit in units if unit.unit_type == NnrUnitType.NNR_NDU], limits)
    sizes = (
        max(plan.elements, plan.plain_elements) * (8 if plan.data_format in _WIDE else 4) for plan in plans
    )
    output = max(sum(sizes), restored_bytes(plans, metadata))
    limits.check(
        "max_output_bytes",
        output,
        "size of the decoded tensors in bytes",
        allowed=limits.output_bytes(len(data)),
    )
    limits.check(
        "max_multiplications",
        sum(plan.multiplications for plan in plans),
        "number of multiplications for the decomposed weights",
        allowed=limits.multiplications(len(data)),
    )
    return Stream(units, plans, metadata, crcs)


def _metadata(
    data: memoryview | FileBytes, units: list[NnrUnit], check: bool
) -> tuple[Metadata | None, dict[int, int]]:
    """Metadata of the last network and the checksums of all units that have one, compared if `check`."""
    starts = [k for k, unit in enumerate(units) if unit.unit_type == NnrUnitType.NNR_STR] or [0]
    found: Metadata | None = None
    crcs: dict[int, int] = {}
    for first, end in zip(starts, [*starts[1:], len(units)], strict=True):
        found = None
        for k in range(first, end):
            unit = units[k]
            content = _metadata_content(unit)
            if content is None:
                if unit.unit_type != NnrUnitType.NNR_NDU and looks_like_metadata(
                    data[unit.byte_offset : unit.byte_offset + min(unit.size, HEAD_BYTES)], unit.trailing
                ):
                    raise located(ConformanceError("the metadata unit is damaged", clause=CLAUSE), unit)
                continue
            try:
                found = parse_metadata(content)
                _check_announced(data, units, found, first, k, end, check)
            except BitstreamError as error:
                at = error.unit_index if error.unit_index is not None and error.unit_index < len(units) else k
                error.unit_index = at
                raise located(error, units[at]) from None
            crcs.update(zip(range(k + 1, end), found.unit_crcs, strict=True))
            break
    return found, crcs


def _metadata_content(unit: NnrUnit) -> memoryview | None:
    """topology_data of a metadata unit; None for every other unit."""
    if unit.unit_type != NnrUnitType.NNR_TPL or unit.payload is None:
        return None
    content: memoryview | None = unit.payload.get("topology_data")
    header = unit.header
    as_written = header.independently_decodable_flag, header.partial_data_counter_present_flag
    if content is None or as_written != (1, 0):
        return None
    formats = header.unit_header.topology_storage_format, header.unit_header.topology_compression_format
    return content if is_metadata(formats, content) else None


def _check_announced(
    data: memoryview | FileBytes,
    units: list[NnrUnit],
    metadata: Metadata,
    first: int,
    own: int,
    end: int,
    check: bool,
) -> None:
    """Units and checksums around the metadata unit `own` of the network `first`..`end`."""
    if own - first != metadata.units_before:
        raise ConformanceError(
            f"{metadata.units_before} units are announced before the metadata unit, {own - first} are there",
            clause=CLAUSE,
        )
    metadata.verify_before(bytes(data[units[first].byte_offset : units[own].byte_offset]))
    after = units[own + 1 : end]
    if check:
        metadata.verify_units([data[u.byte_offset : u.byte_offset + u.size] for u in after], own + 1)
    metadata.verify_count(len(after), own + 1)


def _plans(units: list[NnrUnit], limits: Limits) -> list[UnitPlan]:
    """Plans of the data units, the parts of divided ones put together (semantics 1)."""
    plans: list[UnitPlan] = []
    parts: list[NnrUnit] = []
    shapes: dict[str, tuple[int, ...]] = {}
    for unit in units:
        try:
            counter = unit.header.partial_data_counter
            if counter or parts:
                _check_part(unit, parts, counter)
                parts.append(unit)
                if counter > 1:
                    continue
            plan = plan_unit(parts[0] if parts else unit)
            if parts:
                plan.payload = memoryview(b"".join(part.payload_bytes for part in parts))
                parts = []
            for tensor in plan.tensors:
                if tensor.elements > limits.max_tensor_elements:
                    what = f"number of elements of tensor {tensor.name!r}"
                    limits.check("max_tensor_elements", tensor.elements, what)
                check_shape(shapes.setdefault(tensor.name, tensor.shape), tensor)
            if plan.plain_elements > limits.max_tensor_elements:
                what = f"number of elements of {unit.name}"
                limits.check("max_tensor_elements", plan.plain_elements, what)
        except BitstreamError as error:
            raise located(error, unit) from None
        plans.append(plan)
    if parts:
        missing = parts[-1].header.partial_data_counter - 1
        raise located(
            TruncatedError(f"the last {missing} parts of the unit are missing", clause="semantics 1"),
            parts[-1],
        )
    return plans


@clause("semantics 1")
def _check_part(unit: NnrUnit, parts: list[NnrUnit], counter: int) -> None:
    """(semantics 1) partial_data_counter counts down to 1, for one element at a time; unconfirmed."""
    if not parts:
        return
    first = parts[0].header.unit_header
    expected = parts[-1].header.partial_data_counter - 1
    if unit.header.unit_header.element_ids != first.element_ids or counter != expected:
        raise ConformanceError(
            f"partial_data_counter is {counter} for {unit.name}, after the part {expected + 1} "
            f"of {parts[0].name}: "
            f"the part {expected} of it must follow",
            clause="semantics 1",
        )


def located(error: BitstreamError, unit: NnrUnit) -> BitstreamError:
    """`error` with its place: a unit."""
    return error.locate(unit_index=unit.index, byte_offset=unit.byte_offset, unit=unit.name)
