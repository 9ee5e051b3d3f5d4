"""Whether a stream conforms: every violation at once, and the capability sets it fits.

In: the bytes of a stream. Out: a `CheckReport`. Ranges, reserved values and constraints stand in the syntax
tables and are collected there; this module adds the rules that span units (syntax 2.4, semantics 1 to 9) and
the tool lists of capability profiles. Notes are remarks on what is legal but unusual; they do not make a
stream fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import BitstreamError, LimitError, UnsupportedError, abridged
from ..limits import Limits
from .bits import Buffer, byte_view
from .constants import (
    AggregateUnitType,
    CompressedParameterTypes,
    DataFormat,
    NnrUnitType,
    PayloadType,
    QuantizationMethodFlags,
    TopologyCompressionFormat,
    TopologyStorageFormat,
)
from .info import payload_head
from .listen import ListeningReader
from .serdes import Values
from .stream import NnrUnit, OutOfBand, StreamContext, check_begin, unit_ends, unit_name, walk_units

__all__ = ["CAPABILITY_PROFILES", "CheckReport", "Finding", "check", "fitting_profiles"]

PayloadFlags = Callable[[NnrUnit], Mapping[str, int] | None]

_STR = int(NnrUnitType.NNR_STR)
_MPS = int(NnrUnitType.NNR_MPS)
_LPS = int(NnrUnitType.NNR_LPS)
_TPL = int(NnrUnitType.NNR_TPL)
_QNT = int(NnrUnitType.NNR_QNT)
_NDU = int(NnrUnitType.NNR_NDU)
_AGG = int(NnrUnitType.NNR_AGG)
_FLOAT = int(PayloadType.NNR_PT_FLOAT)
_BLOCK = int(PayloadType.NNR_PT_BLOCK)
_DC = int(CompressedParameterTypes.NNR_CPT_DC)

CAPABILITY_PROFILES = {
    "3gpp-ims-full": (
        "whole models for IMS (S4-260200): edition 2, blocks with local scaling and batch norm, "
        "dependent quantization or codebook, optimised context initialisation"
    ),
    "3gpp-ims-incremental": (
        "updates for IMS (S4-260200): in addition parent signalling and ids, row skip, predictive residual, "
        "history-dependent significance, temporal contexts, scan orders above 0"
    ),
}
"""Tool lists proposed to 3GPP SA4. Our reading: integer, float and raw-float units and bias vectors belong to
every list; decomposition, split tensors, partial data, layer parameter sets, quantization and aggregate units
do to
none, as the lists do not name them."""

_INCREMENTAL = "3gpp-ims-incremental"


@dataclass(frozen=True)
class Finding:
    """One violation or note, with its place.

    Attributes:
        found, allowed: what stands there, and what the clause allows.
        clause: section of the specification.
        unit_index, unit: number and short name of the unit; None for the stream as a whole.
        byte_offset, bit_offset: from the start of the stream.
        path: element, such as ``nnr_unit_header.unit_header.scan_order``.
    """

    found: str
    allowed: str
    clause: str | None
    unit_index: int | None = None
    unit: str | None = None
    byte_offset: int | None = None
    bit_offset: int | None = None
    path: str | None = None

    def __str__(self) -> str:
        error = BitstreamError(
            f"{self.found}; allowed: {self.allowed}" if self.allowed else self.found,
            byte_offset=self.byte_offset,
            unit_index=self.unit_index,
            unit=self.unit,
            path=self.path,
            clause=self.clause,
        )
        bit = f" (bit {self.bit_offset})" if self.bit_offset is not None else ""
        return f"{error}{bit}"


@dataclass
class CheckReport:
    """What `check` found.

    Attributes:
        violations: what the specification forbids, in the order of the stream.
        notes: what is legal but unusual, or could not be checked.
        profile: the capability profile that was asked for, or None.
        outside_profile: uses of tools that this profile does not have.
        units: number of units seen.
    """

    violations: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    profile: str | None = None
    outside_profile: list[Finding] = field(default_factory=list)
    units: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no violation, and no tool outside the profile."""
        return not self.violations and not self.outside_profile

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"ok": self.ok, **asdict(self)}


def _finding(error: BitstreamError) -> Finding:
    return Finding(
        getattr(error, "found", error.reason),
        getattr(error, "allowed", ""),
        error.clause,
        error.unit_index,
        error.unit,
        error.byte_offset,
        error.bit_offset
        if error.bit_offset is not None or error.byte_offset is None
        else 8 * error.byte_offset,
        error.path,
    )


def check(
    data: Buffer,
    *,
    profile: str | None = None,
    out_of_band: OutOfBand | None = None,
    limits: Limits | None = None,
    payload_flags: PayloadFlags | None = None,
) -> CheckReport:
    """Every violation of a stream, each with clause and place; with `profile`, every tool outside that list.

    `payload_flags` gives for a data unit ``row_skip_enabled_flag`` and ``hist_dep_sig_prob_enabled_flag``,
    for instance from decoding it; without it they are read from the head of the payload, which blocks keep
    them out of: that is noted. Payloads are not decoded here. Raises ValueError for an unknown profile,
    LimitError.
    """
    if profile is not None and profile not in CAPABILITY_PROFILES:
        raise ValueError(f"profile {profile!r} is unknown; there are {', '.join(CAPABILITY_PROFILES)}")
    view = byte_view(data)
    report = CheckReport(profile=profile)
    try:
        check_begin(view)
    except BitstreamError as error:
        report.violations.append(_finding(error))
        return report
    problems: list[BitstreamError] = []
    rules = _Rules(report)

    def on_error(unit: NnrUnit, error: BitstreamError) -> bool:
        if isinstance(error, LimitError):
            return False
        if isinstance(error, UnsupportedError):
            report.notes.append(_finding(error))
        else:
            problems.append(error)
        return True

    reader = ListeningReader(view, limits=limits, problems=problems)
    for unit in walk_units(reader, StreamContext(out_of_band, limits), on_error):
        report.units += 1
        report.violations += map(_finding, problems)
        problems.clear()
        if unit.unit_type < 0:
            continue
        rules.unit(unit)
        if profile is not None:
            _check_tools(report, unit, profile, payload_flags)
    rules.end_network()
    rules.end_aggregates(0)
    return report


def fitting_profiles(
    data: Buffer,
    *,
    out_of_band: OutOfBand | None = None,
    limits: Limits | None = None,
    payload_flags: PayloadFlags | None = None,
) -> list[str]:
    """Capability profiles whose tools are enough for the stream, whatever else `check` says of it."""
    return [
        name
        for name in CAPABILITY_PROFILES
        if not check(
            data, profile=name, out_of_band=out_of_band, limits=limits, payload_flags=payload_flags
        ).outside_profile
    ]


class _Rules:
    """Rules that span units; one object follows one stream."""

    def __init__(self, report: CheckReport) -> None:
        self.report = report
        self.aggregates: list[tuple[int, NnrUnit, list[NnrUnit]]] = []
        self.begin_network()

    def begin_network(self) -> None:
        self.started: NnrUnit | None = None
        self.mps_unit: NnrUnit | None = None
        self.topologies = 0
        self.ids: dict[str, int] = {}
        self.methods = 0
        self.g_unit: NnrUnit | None = None
        self.parts: dict[str, int] = {}
        self.self_contained_lps: Values | None = None

    def _add(
        self, where: list[Finding], unit: NnrUnit, path: str, found: str, allowed: str, clause: str
    ) -> None:
        where.append(
            Finding(
                found,
                allowed,
                clause,
                unit.index,
                unit.name,
                unit.byte_offset,
                8 * unit.byte_offset,
                path or None,
            )
        )

    def wrong(self, unit: NnrUnit, path: str, found: str, allowed: str, clause: str) -> None:
        self._add(self.report.violations, unit, path, found, allowed, clause)

    def note(self, unit: NnrUnit, path: str, found: str, allowed: str, clause: str) -> None:
        self._add(self.report.notes, unit, path, found, allowed, clause)

    def unit(self, unit: NnrUnit) -> None:
        """Rules about one unit in its place."""
        self.end_aggregates(unit.depth)
        if self.aggregates:
            self.aggregates[-1][2].append(unit)
        kind = unit.unit_type
        if kind == _STR:
            self.end_network()
            self.begin_network()
            self.started = unit
        elif kind == _MPS:
            self._model_parameter_set(unit)
        elif kind == _LPS:
            assert unit.payload is not None
            self.methods |= unit.payload.lps_quantization_method_flags
            if unit.header.unit_header.lps_self_contained_flag:
                self.self_contained_lps = unit.payload
        elif kind == _TPL:
            self._topology(unit)
        elif kind == _QNT:
            self._reserved_format(unit, "quantization_compression_format")
        elif kind == _NDU:
            self._data_unit(unit)
        elif kind == _AGG:
            self._aggregate(unit)
        elif 7 <= kind <= 31:
            self.wrong(
                unit,
                "nnr_unit_header.nnr_unit_type",
                f"nnr_unit_type is {kind}, which is reserved",
                "0..6, 32..63",
                "syntax 2.3",
            )
        if kind != _NDU and kind != _AGG:
            self._end_g(unit)
        if unit.trailing:
            self.note(
                unit,
                "",
                f"{len(unit.trailing)} bytes stand behind the known syntax and are ignored",
                "none",
                "semantics 1",
            )

    def _model_parameter_set(self, unit: NnrUnit) -> None:
        assert unit.payload is not None
        if self.topologies and self.mps_unit is None:
            self.wrong(unit, "", "the NNR_MPS comes after an NNR_TPL", "before", "syntax 2.4")
        self.mps_unit = unit
        self.methods |= unit.payload.mps_quantization_method_flags
        if unit.payload.get("map_layout"):
            self.note(
                unit,
                "nnr_unit_payload",
                f"the performance maps fit only layout {unit.payload.map_layout}",
                "layout 0",
                "syntax 6.5",
            )

    def _topology(self, unit: NnrUnit) -> None:
        self.topologies += 1
        header: Values = unit.header.unit_header
        storage = header.topology_storage_format
        if storage not in TopologyStorageFormat._value2member_map_ and storage < 128:
            self.wrong(
                unit,
                "nnr_unit_header.unit_header.topology_storage_format",
                f"topology_storage_format is {storage}, which is reserved",
                "0..6, 128..255",
                "syntax 7.1",
            )
        self._reserved_format(unit, "topology_compression_format")

    def _reserved_format(self, unit: NnrUnit, name: str) -> None:
        value = unit.header.unit_header[name]
        if value not in TopologyCompressionFormat._value2member_map_ and value < 128:
            self.wrong(
                unit,
                f"nnr_unit_header.unit_header.{name}",
                f"{name} is {value}, which is reserved",
                "0, 1, 128..255",
                "syntax 7.1",
            )

    def _data_unit(self, unit: NnrUnit) -> None:
        header: Values = unit.header.unit_header
        path = "nnr_unit_header.unit_header"
        payload_type = header.nnr_compressed_data_unit_payload_type
        self._ids(unit, header)
        if payload_type in (_FLOAT, _BLOCK) and unit.mps is not None and unit.quantization is None:
            self.wrong(
                unit,
                f"{path}.nnr_compressed_data_unit_payload_type",
                f"a {PayloadType(payload_type).name} unit while no parameter set has a quantization method",
                "NNR_QSU or NNR_QCB in the NNR_MPS or an NNR_LPS",
                "semantics 2",
            )
        if header.temporal_context_modeling_flag:
            self._self_contained(unit, f"{path}.temporal_context_modeling_flag")
        if header.codebook_present_flag and not self.methods & QuantizationMethodFlags.NNR_QCB:
            self.note(
                unit,
                f"{path}.codebook_present_flag",
                "a codebook, though no parameter set announces NNR_QCB",
                "NNR_QCB among the quantization method flags",
                "semantics 2",
            )
        if header.parent_node_id_present_flag and unit.header.independently_decodable_flag:
            self.note(
                unit,
                "nnr_unit_header.independently_decodable_flag",
                "independently_decodable_flag is 1 in a unit with a parent",
                "0",
                "semantics 1",
            )
        if header.get("first_tensor_dimension_shift"):
            self.note(
                unit,
                f"{path}.first_tensor_dimension_shift",
                f"first_tensor_dimension_shift is {header.first_tensor_dimension_shift} (unconfirmed)",
                "0",
                "semantics 4",
            )
        if header.scan_order and (
            header.tensor_dimensions[0] == 1 or math.prod(header.tensor_dimensions[1:]) == 1
        ):
            self.note(
                unit,
                f"{path}.scan_order",
                f"scan_order is {header.scan_order} for a tensor of one row or column",
                "0",
                "spec README D5",
            )
        if header.decomposition_role == "H":
            self.g_unit = None
        else:
            self._end_g(unit)
            if header.decomposition_role == "G":
                self.g_unit = unit

    def _self_contained(self, unit: NnrUnit, path: str) -> None:
        """(semantics 2, 9) Temporal contexts need an earlier unit; what is self-contained has none."""
        found = "temporal contexts, which need an earlier update"
        for _, around, _ in self.aggregates:
            if around.header.unit_header.nnr_aggregate_unit_type == AggregateUnitType.NNR_AGG_SLF:
                self.wrong(
                    unit, path, f"{found}, in an aggregate of type NNR_AGG_SLF", "no such unit", "semantics 9"
                )
        if unit.lps is not None and unit.lps is self.self_contained_lps:
            self.wrong(unit, path, f"{found}, under a self-contained NNR_LPS", "no such unit", "semantics 2")

    def _ids(self, unit: NnrUnit, header: Values) -> None:
        counter = unit.header.partial_data_counter
        names = header.element_ids
        before = [self.ids[name] for name in names if name in self.ids]
        for name in names:
            self.ids[name] = unit.index
        key = names[0] if names else ""
        expected = self.parts.pop(key, 0)
        if counter:
            if expected and counter != expected:
                self.wrong(
                    unit,
                    "nnr_unit_header.partial_data_counter",
                    f"partial_data_counter is {counter}",
                    f"only {expected}, as it counts down",
                    "semantics 1",
                )
            if counter > 1:
                self.parts[key] = counter - 1
        elif expected:
            self.wrong(
                unit,
                "nnr_unit_header.partial_data_counter",
                f"a complete unit, though {expected} parts of the element are missing",
                f"only {expected}",
                "semantics 1",
            )
        if before and not expected and header.decomposition_role != "H":
            self.wrong(
                unit,
                "nnr_unit_header.unit_header.element_ids",
                f"the element id {abridged(names[0])!r} was used before, in unit {before[0]}",
                "one unit per element",
                "semantics 4",
            )

    def _end_g(self, unit: NnrUnit) -> None:
        if self.g_unit is not None:
            self.wrong(
                unit,
                "",
                f"{unit.name} follows a unit with G ({self.g_unit.name})",
                "the unit with H follows at once",
                "syntax 2.4",
            )
            self.g_unit = None

    def _aggregate(self, unit: NnrUnit) -> None:
        if unit.contains:
            self.aggregates.append((unit.depth, unit, []))
        header: Values = unit.header.unit_header
        if header.nnr_aggregate_unit_type not in AggregateUnitType._value2member_map_:
            self.note(
                unit,
                "nnr_unit_header.unit_header.nnr_aggregate_unit_type",
                f"nnr_aggregate_unit_type is {header.nnr_aggregate_unit_type}, reserved or unspecified",
                "0 NNR_AGG_GEN, 1 NNR_AGG_SLF",
                "syntax 10.1",
            )

    def end_aggregates(self, depth: int) -> None:
        """Entry points of the aggregate units that end before a unit of this depth."""
        while self.aggregates and self.aggregates[-1][0] >= depth:
            _, unit, inside = self.aggregates.pop()
            header: Values = unit.header.unit_header
            if not header.entry_points_present_flag:
                continue
            direct = [one for one in inside if one.depth == unit.depth + 1]
            ends = unit_ends(unit.payload_bytes, 0, len(unit.payload_bytes)) or []
            for i, start in enumerate([0, *ends[:-1]]):
                offset = unit.payload_offset - unit.byte_offset + start
                if header.nnr_unit_entry_point[i] != offset:
                    self.wrong(
                        unit,
                        f"nnr_unit_header.unit_header.nnr_unit_entry_point[{i}]",
                        f"nnr_unit_entry_point[{i}] is {header.nnr_unit_entry_point[i]}",
                        f"only {offset}",
                        "semantics 9",
                    )
                kind = direct[i].unit_type if i < len(direct) else header.nnr_unit_type[i]
                if header.nnr_unit_type[i] != kind:
                    self.wrong(
                        unit,
                        f"nnr_unit_header.unit_header.nnr_unit_type[{i}]",
                        f"nnr_unit_type[{i}] is {header.nnr_unit_type[i]}",
                        f"only {kind}, the type of contained unit {i}",
                        "syntax 10.1",
                    )

    def end_network(self) -> None:
        """Rules about a network as a whole."""
        start = self.started
        if start is None:
            return
        self._end_g_at_end(start)
        if self.mps_unit is None:
            self.wrong(start, "", "the network has no NNR_MPS", "exactly one", "syntax 2.4")
        elif self.mps_unit.payload is not None:
            carriage = self.mps_unit.payload.topology_carriage_flag
            if carriage and not self.topologies:
                self.note(
                    self.mps_unit,
                    "nnr_unit_payload.topology_carriage_flag",
                    "topology_carriage_flag is 1, but no NNR_TPL follows",
                    "an NNR_TPL",
                    "semantics 2",
                )
            if not carriage and self.topologies:
                self.note(
                    self.mps_unit,
                    "nnr_unit_payload.topology_carriage_flag",
                    "topology_carriage_flag is 0, but there is an NNR_TPL",
                    "1",
                    "semantics 2",
                )
        for name, missing in self.parts.items():
            self.wrong(
                start,
                "nnr_unit_header.partial_data_counter",
                f"{missing} parts of the element {abridged(name)!r} are missing",
                "all parts",
                "semantics 1",
            )

    def _end_g_at_end(self, start: NnrUnit) -> None:
        if self.g_unit is not None:
            self.wrong(
                self.g_unit,
                "",
                f"no unit with H follows {self.g_unit.name}",
                "the unit with H follows at once",
                "syntax 2.4",
            )
            self.g_unit = None


def _check_tools(
    report: CheckReport, unit: NnrUnit, profile: str, payload_flags: PayloadFlags | None
) -> None:
    """Tools of a unit that a capability profile does not have."""
    incremental = profile == _INCREMENTAL

    def outside(path: str, found: str, allowed: str) -> None:
        report.outside_profile.append(
            Finding(
                found,
                allowed,
                profile,
                unit.index,
                unit.name,
                unit.byte_offset,
                8 * unit.byte_offset,
                path or None,
            )
        )

    kind = unit.unit_type
    if kind == _STR:
        if unit.profile != 1:
            outside(
                "nnr_unit_header.unit_header.general_profile_idc",
                f"general_profile_idc is {unit.profile}",
                "only 1",
            )
        return
    if kind in (_LPS, _QNT, _AGG):
        outside(
            "nnr_unit_header.nnr_unit_type", f"an {unit_name(unit.header)} unit", "NNR_STR, MPS, TPL and NDU"
        )
        return
    if kind == _MPS and unit.payload is not None and not incremental:
        for name, what in (
            ("mps_parent_signalling_enabled_flag", "parent signalling"),
            ("nnr_pre_flag", "predictive residual"),
        ):
            if unit.payload.get(name):
                outside(f"nnr_unit_payload.{name}", f"{what} ({name} is 1)", "0")
    if kind != _NDU:
        return
    header: Values = unit.header.unit_header
    path = "nnr_unit_header.unit_header"
    if header.decomposition_role or (
        header.nnr_compressed_data_unit_payload_type == _BLOCK and header.compressed_parameter_types & _DC
    ):
        outside(
            f"{path}.compressed_parameter_types",
            "decomposition (NNR_CPT_DC)",
            "local scaling, batch norm, bias",
        )
    if "topology_tensor_dimension_mapping" in header:
        outside(f"{path}.topology_tensor_dimension_mapping", "a tensor split over elements", "one element")
    if unit.header.partial_data_counter:
        outside("nnr_unit_header.partial_data_counter", "partial data", "complete units")
    if header.get("nnr_decompressed_data_format") not in (
        None,
        DataFormat.TENSOR_INT32,
        DataFormat.TENSOR_FLOAT32,
    ):
        outside(f"{path}.nnr_decompressed_data_format", "a decompressed data format", "int32 or float32")
    if incremental:
        return
    for name, what in (
        ("parent_node_id_present_flag", "a parent"),
        ("temporal_context_modeling_flag", "temporal contexts"),
        ("scan_order", "a block scan"),
    ):
        if header[name]:
            outside(f"{path}.{name}", f"{what} ({name} is {header[name]})", "0")
    flags = payload_flags(unit) if payload_flags is not None else payload_head(unit)
    for name, what in (
        ("row_skip_enabled_flag", "row skip"),
        ("hist_dep_sig_prob_enabled_flag", "history-dependent significance"),
    ):
        if (flags or {}).get(name):
            outside(f"nnr_unit_payload.{name}", f"{what} ({name} is 1)", "0")
    if header.nnr_compressed_data_unit_payload_type == _BLOCK and payload_flags is None:
        report.notes.append(
            Finding(
                "row skip inside a block is not looked for, as its payload was not decoded",
                "",
                profile,
                unit.index,
                unit.name,
                unit.byte_offset,
                8 * unit.byte_offset,
                "nnr_unit_payload",
            )
        )
