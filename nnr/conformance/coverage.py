"""What vectors exercise: elements and values of the syntax, conditions, contexts, sections, lines of the C
core.

Headers are parsed with a listener, payloads read through the syntax tables; both use the tables with
counters of `tables.py`. Sections are counted where a function that realises one is entered while the
reference decodes.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import nnr
import nnr.decoder

from ..decoder.clauses import registry
from ..decoder.entropy import Context
from ..decoder.payload import Dialect, reference_parameters
from ..decoder.stream import read_stream
from ..errors import BitstreamError
from ..limits import Limits
from ..syntax.constants import PayloadType
from ..syntax.listen import Element, Listener, ListeningReader
from ..syntax.stream import StreamContext, walk_units
from .own import judge
from .payloads import read_payload
from .suite import Vector
from .tables import Tables

__all__ = ["Coverage", "Group", "measure"]

#: Vectors up to this size go through the payload tables and the reference, which take long.
_SMALL = 6000
_UNARY = 11  # the N that the contexts of GTX are listed for

_TWO_UNITS = "an aggregate unit holds two units or more"
_TWO_IDS = "a list holds two ids or more"
#: What no stream can bring about, and why.
IMPOSSIBLE = {
    "nnr_aggregate_unit_header: for loop(count, 'nnr_unit_type', 'nnr_unit_entry_point') never": _TWO_UNITS,
    "nnr_aggregate_unit_header: for loop(count, *(('quant_bitdepth', 'ctu_scan_order') if unification else "
    "('quant_bitdepth',))) never": _TWO_UNITS,
    "topology_elements_ids_list: for loop(count_topology_elements_minus2 + 2, 'topology_elem_id_list', "
    "listed=True) never": _TWO_IDS,
    "topology_elements_ids_list: for loop(count_topology_elements_minus2 + 2, 'topology_elem_id_index_list', "
    "listed=True) never": _TWO_IDS,
    "topology_tensor_dimension_mapping: for loop(count_topology_elements_minus2 + 1, 'split_index', "
    "'number_of_shifts', 'shift_index', 'shift_value', listed=True) never": _TWO_IDS,
    "tensor_dimensions_list: for loop(count_tensor_dimensions, 'tensor_dimensions') never":
        "a tensor has one dimension or more",
    "nnr_unit_payload: if nnr_unit_type in UNIT_PAYLOADS no": "the payloads of other types are not parsed",
    "cabac_tensors: for tensors never": "a unit has one tensor or more",
    "quant_tensor: for loop(rows, 'row_skip_list') never": "the list is there for two rows or more",
    "shift_parameter_ids: for coded never": "every tensor has contexts",
}  # fmt: skip
#: Tables that the reader takes in steps of its own, so that their functions are not entered.
_IN_STEPS = ("nnr_aggregate_unit_payload", "nnr_unit")
#: Sections of the form that is given to applications, whose arithmetic is not specified to the bit.
_PLAIN_FORM = "belongs to the plain form, not specified to the bit; vectors hold the coded form"


@dataclass
class Group:
    """One kind of thing to cover: all there are, those reached, and those that cannot be with the reason."""

    everything: list[str]
    reached: set[str] = field(default_factory=set)
    impossible: dict[str, str] = field(default_factory=dict)

    @property
    def gaps(self) -> list[str]:
        """What should be reached and is not."""
        return [one for one in self.everything if one not in self.reached and one not in self.impossible]

    @property
    def total(self) -> int:
        """Number of things that can be reached."""
        return sum(one not in self.impossible for one in self.everything)


@dataclass
class Coverage:
    """Groups by title, and the vectors that exercise each section."""

    vectors: int
    groups: dict[str, Group] = field(default_factory=dict)
    sections: dict[str, list[str]] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "vectors": self.vectors,
            "groups": {
                title: {
                    "reached": group.total - len(group.gaps),
                    "total": group.total,
                    "gaps": group.gaps,
                    "impossible": {k: v for k, v in group.impossible.items() if k in group.everything},
                }
                for title, group in self.groups.items()
            },
            "sections": self.sections,
        }

    def lines(self) -> Iterator[str]:
        """For people: a table, then the gaps by name."""
        width = max(len(title) for title in self.groups)
        for title, group in self.groups.items():
            reached = group.total - len(group.gaps)
            share = 100 * reached / group.total if group.total else 100.0
            yield f"{title:{width}}  {reached:5} of {group.total:5}  {share:5.1f} %"
        for title, group in self.groups.items():
            for gap in group.gaps:
                yield f"not exercised: {title}: {gap}"
            for name, reason in group.impossible.items():
                if name in group.everything and name not in group.reached:
                    yield f"cannot be: {title}: {name}: {reason}"


def measure(vectors: Iterable[Vector], *, checkout: Path | None = None) -> Coverage:
    """What `vectors` exercise; with `checkout` also lines and branches of its C core.

    Raises:
        NotACheckout: `checkout` cannot be built with gcc.
    """
    chosen = list(vectors)
    found = _Measurement()
    for vector in chosen:
        found.take(vector)
    coverage = Coverage(len(chosen), found.groups(), {k: sorted(v) for k, v in found.sections.items()})
    if checkout is not None:
        from .gcov import core_groups

        coverage.groups |= core_groups(chosen, checkout)
    return coverage


class _Seen(Listener):
    """Elements and their values."""

    def __init__(self) -> None:
        self.elements: dict[tuple[str, str], set[Any]] = {}

    def element(self, element: Element) -> None:
        value = element.value if isinstance(element.value, int) else None
        self.elements.setdefault((element.clause, element.name), set()).add(value)


class _Measurement:
    """Everything that is counted, vector after vector."""

    def __init__(self) -> None:
        self.tables = Tables.made()
        self.seen = _Seen()
        self.contexts: set[str] = set()
        self.parameter_sets: set[str] = set()
        self.states: set[str] = set()
        self.layouts: set[str] = set()
        self.sections: dict[str, set[str]] = {}
        for module in pkgutil.iter_modules(nnr.decoder.__path__):
            importlib.import_module(f"nnr.decoder.{module.name}")
        self._by_code: dict[Any, list[str]] = {}
        for section, names in registry().items():
            for name in names:
                self._by_code.setdefault(_code_of(name), []).append(section)

    def take(self, vector: Vector) -> None:
        """One vector."""
        decoder = nnr.Decoder()
        for earlier in vector.predecessors():
            decoder.decode(earlier.data, form="coded", out_of_band=earlier.out_of_band)
        source = decoder.parameter_source(vector.out_of_band)
        reader = ListeningReader(vector.data, listener=self.seen)
        reader.tables = self.tables.functions
        self.tables.entered.clear()
        try:
            for unit in walk_units(reader, StreamContext(source, Limits())):
                if unit.payload is not None and "map_layout" in unit.payload:
                    self.layouts.add(f"layout {unit.payload['map_layout']} of the maps")
        except BitstreamError:
            pass
        entered = set(self.tables.entered)
        if len(vector.data) <= _SMALL:
            self._payloads(vector, decoder)
            entered |= self.tables.entered | self._entered(vector)
        for section in entered:
            self.sections.setdefault(section, set()).add(vector.name)

    def _payloads(self, vector: Vector, decoder: nnr.Decoder) -> None:
        try:
            stream = read_stream(
                memoryview(vector.data), Limits(), decoder.parameter_source(vector.out_of_band), check=False
            )
            dialect = self._dialect(vector)
            for plan in stream.plans:
                if plan.payload_type == PayloadType.NNR_PT_RAW_FLOAT:
                    self.seen.elements.setdefault(("syntax 9.6", "raw_float32_parameter"), set()).add(None)
                    header = plan.unit.header.unit_header
                    self._raw(header)
                    continue
                unit, tensors = reference_parameters(plan, decoder.contexts, dialect)
                read_payload(
                    plan.payload, plan.profile, plan.unit.header.unit_header, unit, tensors,
                    self.tables.functions, self._coded,
                )  # fmt: skip
        except BitstreamError:
            pass

    @staticmethod
    def _dialect(vector: Vector) -> Dialect:
        """(README D1) Number of escape contexts of a stream."""
        if vector.record["profile"] == 1 or vector.predecessors():
            return 31
        decoded = nnr.decode(vector.data, form="coded", out_of_band=vector.out_of_band)
        return 32 if decoded.report.escape_context_count == 32 else 31

    def _raw(self, header: Any) -> None:
        label = "nnr_compressed_data_unit_payload: "
        for condition, outcome in self.tables.outcomes:
            if condition.startswith(label + "if"):
                if outcome == "yes":
                    self.tables.seen.add((condition, outcome))
            elif condition.startswith(label + "for"):
                empty = 0 in header.tensor_dimensions
                if (outcome == "never") == empty:
                    self.tables.seen.add((condition, outcome))

    def _coded(self, name: str, value: int, context: Context | None, coding: Any) -> None:
        self.seen.elements.setdefault((_PAYLOAD_CLAUSES[name], name), set()).add(value)
        if context is None:
            return
        self.contexts.add(f"{_context_name(context, coding)} = {value}")
        if name == "sig_flag":
            self.parameter_sets.add(f"set {context.parameter_set}")
            if coding.unit.dq_flag:
                self.states.add(f"state {coding.state}")

    def _entered(self, vector: Vector) -> set[str]:
        """Sections whose functions the reference entered."""
        entered: set[str] = set()
        by_code = self._by_code

        def profile(frame: FrameType, event: str, argument: Any) -> None:
            if event == "call" and frame.f_code in by_code:
                entered.update(by_code[frame.f_code])

        sys.setprofile(profile)
        try:
            judge(vector, backend="python", threads=1)
        finally:
            sys.setprofile(None)
        return entered

    def groups(self) -> dict[str, Group]:
        """The result."""
        facts = self.tables.elements
        elements = Group(list(dict.fromkeys(f"{fact.name} ({fact.clause})" for fact in facts)))
        values = Group(list(dict.fromkeys(f"{f.name} = {v} ({f.clause})" for f in facts for v in f.values)))
        for (clause, name), found in self.seen.elements.items():
            elements.reached.add(f"{name} ({clause})")
            values.reached |= {f"{name} = {value} ({clause})" for value in found}
        conditions = Group([f"{c} {o}" for c, o in self.tables.outcomes if c.split(":")[0] not in _IN_STEPS])
        conditions.reached = {f"{condition} {outcome}" for condition, outcome in self.tables.seen}
        conditions.impossible = dict(IMPOSSIBLE)
        layouts = [f"layout {n} of the maps" for n in range(8)]
        parameter_sets = [f"set {k}" for k in range(9)]
        states = [f"state {k}" for k in range(8)]
        sections = Group(_all_sections(), set(self.sections))
        sections.impossible = dict.fromkeys(("semantics 9", "decoding 10.4", "decoding 10.5"), _PLAIN_FORM)
        sections.impossible |= dict.fromkeys(("syntax 2.1", "syntax 10.2"), "read by the steps of the parser")
        return {
            "syntax elements": elements,
            "values of flags and enumerations": values,
            "conditions, both ways": conditions,
            "layouts of the maps": Group(layouts, self.layouts),
            "contexts, both bins": Group(list(_all_contexts()), self.contexts),
            "parameter sets of contexts": Group(parameter_sets, self.parameter_sets),
            "states of dependent quantization": Group(states, self.states),
            "sections of the specification": sections,
        }


_PAYLOAD_CLAUSES = {
    "qp_value": "syntax 9.6",
    "end_of_data": "syntax 9.6",
    "hist_dep_sig_prob_enabled_flag": "syntax 9.7",
    "row_skip_enabled_flag": "syntax 9.7",
    "row_skip_list": "syntax 9.7",
    "shift_idx_minus_1_present_flag": "syntax 9.8",
    "shift_idx_minus_1": "syntax 9.8",
    "sig_flag": "syntax 9.9",
    "sign_flag": "syntax 9.9",
    "abs_level_greater_x": "syntax 9.9",
    "abs_level_greater_x2": "syntax 9.9",
    "abs_remainder": "syntax 9.9",
}


def _code_of(name: str) -> Any:
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:cut]))
        if module is not None:
            found: Any = module
            for part in parts[cut:]:
                found = getattr(found, part)
            return found.__code__
    raise LookupError(name)


def _all_sections() -> list[str]:
    from ..syntax.serdes import TABLES

    found = set(registry()) | {t.clause for t in TABLES.values() if t.__module__.startswith("nnr.")}  # type: ignore[attr-defined]
    order = ("syntax", "semantics", "decoding", "encoding", "README")

    def natural(section: str) -> tuple[int, list[int]]:
        document, number = section.split(" ")
        return order.index(document), [int(part) for part in number.split(".") if part.isdigit()]

    return sorted((s for s in found if not s.startswith(("encoding", "README"))), key=natural)


def _context_name(context: Context, coding: Any) -> str:
    """As in `_all_contexts`: GTX by number of the flag, since N differs."""
    name = str(context)
    if not name.startswith("GTX["):
        return name
    index, n = int(name[4:-1]), coding.cabac_unary_length
    kind = "temporal, " if index >= 2 * n else ""
    index -= 2 * n if index >= 2 * n else 0
    return f"GTX[{kind}{index // 2}, class {index % 2}]"


def _all_contexts() -> Iterator[str]:
    names = [f"SIG[{k}]" for k in range(48)] + [f"SIGN[{k}]" for k in range(5)]
    names += [f"GTX[{j}, class {c}]" for j in range(_UNARY) for c in (0, 1)]
    # a base that is there is 1 or more, so that its magnitude is below j from j = 2 on
    names += [f"GTX[temporal, {j}, class {c}]" for j in range(_UNARY) for c in ((0, 1) if j > 1 else (0,))]
    names += [f"GTX2[{k}]" for k in range(30)] + ["SHIFT", "SKIP"]
    for name in names:
        for value in (0, 1):
            yield f"{name} = {value}"
    yield "GTX2[30] = 0"  # a 1 would stand for 2^31 and more
