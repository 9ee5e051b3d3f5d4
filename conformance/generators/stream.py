"""Streams with known content: headers through `nnr.syntax`, payloads by `coder`, expectations on the way."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnr.syntax import StreamContext, write_unit
from nnr.syntax.data_unit import codebook_elements, entry_point_elements

from .coder import (
    Coded,
    Coder,
    TensorCode,
    code_tensor,
    codebook_values,
    entry_points,
    uniform_values,
)

__all__ = ["FAMILIES", "Book", "Case", "Expected", "Member", "Stream", "family", "indices", "refused"]

#: By the author's own computation: levels are what the generator coded, values follow from the formulas.
COMPUTED = "hand computation"

INT, FLOAT, RAW, BLOCK = range(4)
DC, LS, BN, BI = 1, 2, 4, 8


@dataclass
class Expected:
    """One tensor of a vector: float32 or integer values, and int32 levels where it has any."""

    name: str
    method: str
    values: np.ndarray
    levels: np.ndarray | None = None


@dataclass
class Case:
    """One vector.

    Attributes:
        tensors: what it decodes to; None where `error` is expected instead.
        error, clause: class of the error, and the section that is violated.
        or_error: an error that is as good as the tensors, where the specification leaves room.
        requires: names of cases that come before, oldest first.
    """

    name: str
    data: bytes
    tensors: list[Expected] | None = None
    error: str | None = None
    clause: str | None = None
    or_error: str | None = None
    requires: list[str] = field(default_factory=list)
    out_of_band: Mapping[str, Any] | None = None
    profile: int = 1
    clauses: tuple[str, ...] = ()


@dataclass
class Family:
    """Vectors made by one function; its docstring says what they test."""

    name: str
    clauses: tuple[str, ...]
    make: Callable[[np.random.Generator], Iterator[Case]]

    @property
    def about(self) -> str:
        """The docstring as one line."""
        return " ".join((self.make.__doc__ or "").split())

    def cases(self) -> list[Case]:
        """The vectors, the same every time."""
        seed = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big")
        cases = list(self.make(np.random.default_rng(seed)))
        for case in cases:
            case.name = f"{self.name}/{case.name}"
            case.requires = [f"{self.name}/{name}" for name in case.requires]
            case.clauses = case.clauses or self.clauses
        return cases


FAMILIES: dict[str, Family] = {}


def family(*clauses: str) -> Callable[[Callable[[np.random.Generator], Iterator[Case]]], Any]:
    """Enter a function that makes vectors for sections `clauses`."""

    def enter(make: Callable[[np.random.Generator], Iterator[Case]]) -> Any:
        FAMILIES[make.__name__] = Family(make.__name__, clauses, make)
        return make

    return enter


def indices(
    rng: np.random.Generator, shape: Sequence[int], spread: float = 1.5, zeros: float = 0.4
) -> np.ndarray:
    """Small integers around zero, int64."""
    drawn = np.rint(rng.laplace(0, spread, shape)).astype(np.int64)
    return np.where(rng.random(shape) < zeros, 0, drawn)


def refused(name: str, data: bytes, clause: str | None, error: str = "ConformanceError", **more: Any) -> Case:
    """A vector that must be refused."""
    return Case(name, data, error=error, clause=clause, **more)


@dataclass
class Book:
    """A codebook: strictly increasing integers, and the position that index 0 stands for."""

    entries: list[int]
    zero: int
    egk: int | None = None

    def elements(self) -> dict[str, Any]:
        """(syntax 9.2)"""
        if self.egk is None:
            return codebook_elements(self.entries, self.zero)
        return codebook_elements(self.entries, self.zero) | {"codebook_egk": self.egk}


@dataclass
class Member:
    """One tensor of a unit, in payload order: indices k as they are coded, in its shape."""

    name: str
    indices: np.ndarray
    qp: int = -8
    book: Book | None = None
    base: np.ndarray | None = None
    history: np.ndarray | None = None
    hist_flag: int = 0
    skip: Sequence[int] | None = None
    sets: Callable[[str, int], int] = field(default=lambda group, k: 0)
    bad_reset: int | None = None


class Stream:
    """Units one after the other, and what they must decode to.

    Args:
        mps: elements of the model parameter set that differ from those of a plain one; None leaves it out.
    """

    def __init__(
        self,
        profile: int = 1,
        mps: Mapping[str, Any] | None = {},
        out_of_band: Mapping[str, Any] | None = None,
    ) -> None:
        self.profile = profile
        self.context = StreamContext(out_of_band)
        self.out_of_band = out_of_band
        self.parts: list[bytes] = []
        self.tensors: list[Expected] = []
        self.levels: dict[str, np.ndarray] = {}
        self.payload = b""
        self.parents = 0
        self.density, self.base_qp = 2, 0
        self.unit(0, {"general_profile_idc": profile}, {})
        if mps is not None:
            self.mps(mps)

    @property
    def data(self) -> bytes:
        """The stream so far."""
        return b"".join(self.parts)

    def case(self, name: str, **more: Any) -> Case:
        """The stream as a vector that decodes."""
        given = {"profile": self.profile, "out_of_band": self.out_of_band}
        return Case(name, self.data, tensors=self.tensors, **{**given, **more})

    def refused(self, name: str, clause: str | None, error: str = "ConformanceError", **more: Any) -> Case:
        """The stream as a vector that must be refused."""
        given = {"profile": self.profile, "out_of_band": self.out_of_band}
        return refused(name, self.data, clause, error, **{**given, **more})

    def unit(self, kind: int, header: Mapping[str, Any] | None, payload: Any, **more: Any) -> bytes:
        """Append a unit."""
        self.parts.append(write_unit(kind, header, payload, self.context, **more))
        return self.parts[-1]

    def mps(self, changes: Mapping[str, Any] = {}, **more: Any) -> None:
        """Append a model parameter set: uniform, QpDensity 2, base QP 0, unless `changes` say otherwise."""
        values: dict[str, Any] = {
            "topology_carriage_flag": 0,
            "mps_sparsification_flag": 0,
            "mps_pruning_flag": 0,
            "mps_unification_flag": 0,
            "mps_decomposition_performance_map_flag": 0,
            "mps_quantization_method_flags": 1,
            "mps_topology_indexed_reference_flag": 0,
        }
        if self.profile == 1:
            values |= {
                "base_model_id_present_flag": 0,
                "validation_set_performance_present_flag": 0,
                "metric_type_performance_map_valid_flag": 0,
                "mps_parent_signalling_enabled_flag": 0,
            }
        values |= changes
        if values["mps_quantization_method_flags"] & 3:
            values = {"mps_qp_density": 2, "mps_quantization_parameter": 0} | values
            self.density, self.base_qp = values["mps_qp_density"], values["mps_quantization_parameter"]
        if values.get("mps_parent_signalling_enabled_flag"):
            values.setdefault("nnr_pre_flag", 0)
        self.unit(1, {}, values, **more)

    def lps(self, methods: int, density: int = 2, qp: int = 0, header: int = 0, **changes: Any) -> bytes:
        """Append a layer parameter set."""
        values: dict[str, Any] = {
            "lps_sparsification_flag": 0,
            "lps_pruning_flag": 0,
            "lps_unification_flag": 0,
            "lps_quantization_method_flags": methods,
        }
        if methods & 3:
            values |= {"lps_qp_density": density, "lps_quantization_parameter": qp}
            self.density, self.base_qp = density, qp
        return self.unit(2, {"lps_self_contained_flag": header}, values | changes)

    def code(
        self,
        kind: int,
        members: Sequence[Member],
        *,
        dq: int = 0,
        unary: int = 11,
        scan_order: int = 0,
        parent: int = 0,
        escapes: int = 31,
        terminate: int = 1,
        stop_bit: int = 1,
        rest: str = "",
    ) -> tuple[bytes, list[tuple[int, int, int]]]:
        """(syntax 9.6) The payload of a unit, its entry points, and its tensors among those expected."""
        coder = Coder()
        coded: list[Coded] = []
        for m in members:
            shape = m.indices.shape
            rows, cols = shape[0], math.prod(shape[1:])
            half = 1 << (5 + self.density)
            assert kind == INT or -half <= m.qp - self.base_qp < half, "qp_value does not fit"
            book = m.book
            tensor = TensorCode(
                rows,
                cols,
                self.profile,
                dq if kind != INT else 0,
                unary,
                scan_order,
                (len(book.entries), book.zero) if book and self.profile == 1 else None,
                parent,
                None if m.base is None else m.base.reshape(-1).tolist(),
                None if m.history is None else m.history.reshape(-1).tolist(),
                m.hist_flag,
                m.skip,
                m.sets,
                escapes,
                None if kind == INT else m.qp - self.base_qp,
                6 + self.density,
                m.bad_reset,
            )
            coded.append(code_tensor(coder, tensor, m.indices.reshape(-1).tolist()))
            levels = np.array(coded[-1].levels, np.int64).reshape(shape)
            self.expect(kind, m, levels)
        payload, code = coder.finish(terminate=terminate, stop_bit=stop_bit, rest=rest)
        points = entry_points(coded, code, coder.P, dq if kind != INT else 0)
        return payload, [
            (bits, offset & 255, state) for bits, offset, state in points
        ] if coder.is_over else points

    def expect(self, kind: int, m: Member, levels: np.ndarray) -> None:
        """(decoding 10) Take a tensor among those expected."""
        fits = np.abs(levels).max(initial=0) <= 2**31
        levels = levels.astype(np.int32) if fits else np.zeros(levels.shape, np.int32)
        if kind == INT:
            expected = Expected(m.name, "integer", levels, levels)
        elif m.book is not None:
            inside = np.clip(levels, -m.book.zero, len(m.book.entries) - 1 - m.book.zero)
            values = codebook_values(inside, m.book.entries, m.book.zero, m.qp, self.density)
            expected = Expected(m.name, "codebook", values, levels)
        else:
            expected = Expected(m.name, "uniform", uniform_values(levels, m.qp, self.density), levels)
        self.tensors.append(expected)
        self.levels[m.name] = levels

    def header(
        self,
        kind: int,
        ids: Sequence[str],
        dims: Sequence[int] | None,
        *,
        dq: int = 0,
        unary: int | None = 11,
        scan_order: int = 0,
        points: Sequence[tuple[int, int, int]] = (),
        book: Book | None = None,
        changes: Mapping[str, Any] = {},
    ) -> dict[str, Any]:
        """(syntax 9.1) Elements of the header; a value of None among `changes` takes an element away."""
        several = kind == BLOCK or len(ids) > 1
        header: dict[str, Any] = {
            "nnr_compressed_data_unit_payload_type": kind,
            "nnr_multiple_topology_elements_present_flag": int(several),
            "nnr_decompressed_data_format_present_flag": 0,
            "input_parameters_present_flag": 1,
            "tensor_dimensions_flag": int(dims is not None),
            "cabac_unary_length_flag": int(unary is not None),
            "compressed_parameter_types": 0,
            "dq_flag": dq,
        }
        if kind == RAW:
            del header["dq_flag"]
        if self.context.mps_topology_indexed_reference_flag:
            names = self.context.reference_list or []
            numbers = [names.index(name) if name in names else len(names) for name in ids]
            header |= (
                {"topology_elem_id_index_list": numbers}
                if several
                else {"topology_elem_id_index": numbers[0]}
            )
        else:
            header |= {"topology_elem_id_list": list(ids)} if several else {"topology_elem_id": ids[0]}
        if dims is not None:
            header["tensor_dimensions"] = list(dims)
        if unary is not None:
            header["cabac_unary_length_minus1"] = unary - 1
        if kind in (FLOAT, BLOCK):
            header["codebook_present_flag"] = int(book is not None)
            if book is not None:
                header["integer_codebook"] = book.elements()
        if self.profile == 1:
            header["node_id_present_flag"] = 0
            if self.context.mps_parent_signalling_enabled_flag:
                header["parent_node_id_present_flag"] = 0
        if dims is None or len(dims) > 1:
            header["scan_order"] = scan_order
            if self.profile == 1:
                header["first_tensor_dimension_shift"] = 0
        if scan_order:
            header |= entry_point_elements(
                [p for p, _, _ in points],
                [o for _, o, _ in points],
                [s for _, _, s in points] if dq else None,
            )
        header |= changes
        return {name: value for name, value in header.items() if value is not None}

    def tensor(
        self,
        name: str,
        k: np.ndarray,
        kind: int = FLOAT,
        *,
        dq: int = 0,
        unary: int = 11,
        scan_order: int = 0,
        changes: Mapping[str, Any] = {},
        unit: Mapping[str, Any] = {},
        told_dq: int | None = None,
        dims: Sequence[int] | None = None,
        parent: int = 0,
        end: Mapping[str, Any] = {},
        escapes: int = 31,
        **member: Any,
    ) -> bytes:
        """Append a data unit of one tensor.

        Args:
            changes: elements of its header; `unit`: arguments of `write_unit`; `end`: of `Coder.finish`.
            told_dq: dq_flag of the header where it is not that of the coding.
        """
        m = Member(name, np.asarray(k), **member)
        self.payload, points = self.code(
            kind, [m], dq=dq, unary=unary, scan_order=scan_order, parent=parent, escapes=escapes, **end
        )
        header = self.header(
            kind,
            [name],
            m.indices.shape if dims is None else dims,
            dq=dq if told_dq is None else told_dq,
            unary=unary,
            scan_order=scan_order,
            points=points,
            book=m.book,
            changes=changes,
        )
        return self.unit(5, header, self.payload, **unit)

    def raw(
        self,
        name: str,
        values: np.ndarray,
        *,
        changes: Mapping[str, Any] = {},
        ids: Sequence[str] = (),
        **unit: Any,
    ) -> bytes:
        """Append a data unit of raw floats; `ids` where it has several."""
        values = values.astype("<f4")
        self.tensors.append(Expected(name, "raw_float", values))
        self.payload = values.tobytes()
        return self.unit(
            5, self.header(RAW, ids or [name], values.shape, changes=changes), self.payload, **unit
        )

    def block(
        self,
        types: int,
        dims: Sequence[int],
        members: Sequence[Member],
        *,
        dq: int = 0,
        unary: int = 11,
        scan_order: int = 0,
        changes: Mapping[str, Any] = {},
        ids: Sequence[str] | None = None,
        parent: int = 0,
        unit: Mapping[str, Any] = {},
    ) -> bytes:
        """Append a block unit; `members` in payload order (semantics 5), `ids` in that of the header."""
        first = len(self.tensors)
        self.payload, points = self.code(
            BLOCK, members, dq=dq, unary=unary, scan_order=scan_order, parent=parent
        )
        weights = 2 if types & DC else 1
        names = [m.name for m in members]
        vectors = names[:-weights]
        scaling, bias = vectors[: bool(types & LS)], vectors[bool(types & LS) :][: bool(types & BI)]
        rest = vectors[len(scaling) + len(bias) :]
        order = list(ids) if ids is not None else names[-weights:] + scaling + rest + bias
        book = members[-weights].book
        more: dict[str, Any] = {"compressed_parameter_types": types}
        if types & DC:
            g = members[-2].indices.shape
            more |= {"g_number_of_rows": g[0], "decomposition_rank": g[1]}
            if members[-1].book is not None:
                more["integer_codebook_second"] = members[-1].book.elements()
        if ids is None:
            self.tensors[first:] = sorted(self.tensors[first:], key=lambda tensor: order.index(tensor.name))
        header = self.header(
            BLOCK,
            order,
            dims,
            dq=dq,
            unary=unary,
            scan_order=scan_order,
            points=points,
            book=book,
            changes={**more, **changes},
        )
        return self.unit(5, header, self.payload, **unit)
