"""Which tensors a compressed data unit carries, in what order, shape and coding.

In: one parsed unit (`NnrUnit`). Out: a `UnitPlan` with one `TensorPlan` for each coded tensor, in payload
order. Entropy decoding, reconstruction and the encoder's `assemble` all read this answer, so the order of
block members, the dimensions of G and H and the codebook rules stand here and nowhere else (semantics 4 to
6, syntax 9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import ConformanceError
from ..syntax.block import BATCH_NORM, Role, member_roles
from ..syntax.constants import CompressedParameterTypes as Cpt
from ..syntax.constants import DataFormat, PayloadType
from .clauses import clause

if TYPE_CHECKING:
    from ..syntax.serdes import Values
    from ..syntax.stream import NnrUnit

__all__ = [
    "Codebook",
    "Role",
    "TensorPlan",
    "UnitPlan",
    "block_roles",
    "check_shape",
    "matrix_shape",
    "plan_unit",
]

#: Members by value: a call of the class takes longer, and there is one for each unit.
_PAYLOAD_TYPES = {int(kind): kind for kind in PayloadType}
_PARAMETER_TYPES = tuple(Cpt(bits) for bits in range(16))
#: (semantics 5) Order of a block's members in the payload.
_PAYLOAD_ORDER = (Role.LOCAL_SCALING, Role.BIAS, *BATCH_NORM, Role.WEIGHT, Role.G, Role.H)


@dataclass(frozen=True, slots=True)
class Codebook:
    """Codebook entries (integers on the grid of the step size) and the position of index 0."""

    entries: Sequence[int]
    zero_offset: int


@dataclass(slots=True)
class TensorPlan:
    """One coded tensor.

    Attributes:
        name: its topology element id.
        shape: dimensions of the array that is given out.
        rows, cols: H and W of the matrix that is scanned (spec README 1).
        scan_order: the effective one, 0 for vectors (decoding 9.1).
        codebook: None for uniform quantization.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    rows: int
    cols: int
    scan_order: int
    codebook: Codebook | None = None

    @property
    def elements(self) -> int:
        return self.rows * self.cols


@dataclass(slots=True)
class UnitPlan:
    """Everything that decoding the payload of one unit needs.

    Attributes:
        tensors: coded tensors in payload order.
        element_ids: ids in the order of the header, which is the order tensors are given out.
        qp_density, base_qp: from the layer parameter set in force, else the model parameter set.
        data_format: the format asked for by the stream, or None (decoding 10.6).
        predictive: the difference is one to the previous update (decoding 11.4).
        payload: coded bytes, of all parts of the unit; `lazy` reads those of a file before they are decoded.
    """

    unit: NnrUnit
    payload_type: PayloadType
    profile: int
    tensors: list[TensorPlan]
    element_ids: list[str]
    dq_flag: int
    cabac_unary_length: int
    differential: bool
    temporal: bool
    qp_density: int
    base_qp: int
    data_format: DataFormat | None
    tensor_dimensions: tuple[int, ...] = ()
    compressed_parameter_types: Cpt = field(default=Cpt(0))
    predictive: bool = False
    payload: Any = field(default=memoryview(b""))

    @property
    def elements(self) -> int:
        tensors = self.tensors
        return tensors[0].rows * tensors[0].cols if len(tensors) == 1 else sum(t.elements for t in tensors)

    @property
    def plain_elements(self) -> int:
        """Elements in plain form, in which the factors of a weight are multiplied out (decoding 10.4)."""
        if self.tensors[0].role is Role.WEIGHT or not any(t.role is Role.H for t in self.tensors):
            return self.elements
        factors = sum(t.elements for t in self.tensors if t.role in (Role.G, Role.H))
        return self.elements - factors + math.prod(self.tensor_dimensions)

    @property
    def multiplications(self) -> int:
        """(decoding 10.4) Multiplications that make a weight of its factors, 0 for a unit without H."""
        rank = next((t.rows for t in self.tensors if t.role is Role.H), 0)
        return rank * math.prod(self.tensor_dimensions) if rank else 0


@clause("decoding 9.1")
def matrix_shape(dims: Sequence[int]) -> tuple[int, int]:
    """(spec README 1) H and W of a tensor seen as a matrix: first dimension by all others."""
    rows = dims[0]
    return rows, math.prod(dims[1:])


@clause("semantics 5")
def block_roles(types: Cpt) -> tuple[list[Role], list[Role]]:
    """(semantics 5) Roles of a block's members: in the order of the ids, and in the order of the payload."""
    roles = member_roles(types)
    return roles, sorted(roles, key=_PAYLOAD_ORDER.index)


@clause("semantics 6")
def member_dimensions(role: Role, dims: Sequence[int], rank: int, g_rows: int) -> tuple[int, ...]:
    """(semantics 5, 6) Dimensions of a block member.

    Args:
        dims: tensor_dimensions of the weight before decomposition.
        rank, g_rows: decomposition_rank and g_number_of_rows, 0 without decomposition.

    Raises:
        ConformanceError: g_number_of_rows does not divide the number of elements.
    """
    if role is Role.WEIGHT:
        return tuple(dims)
    if role is Role.G:
        return g_rows, rank
    if role is Role.H:
        total = math.prod(dims)
        if g_rows == 0 or total % g_rows:
            raise ConformanceError(
                f"g_number_of_rows is {g_rows}, which does not divide the {total} elements of the weight",
                clause="semantics 4",
            )
        return rank, total // g_rows
    return (dims[0],)


def check_shape(known: tuple[int, ...], tensor: TensorPlan) -> None:
    """A tensor that comes again, as an update or in its place, has the shape that it had.

    Not in spec: nothing else could be added to it, or stand in the block that it is a member of.

    Args:
        known: the shape that it had.

    Raises:
        ConformanceError: it has another one.
    """
    if known != tensor.shape:
        raise ConformanceError(
            f"tensor {tensor.name!r} has the shape {list(tensor.shape)}, before it had {list(known)}",
            clause="decoding 11.1",
        )


def plan_unit(unit: NnrUnit) -> UnitPlan:
    """Read one NNR_NDU unit.

    Args:
        unit: a parsed unit of type NNR_NDU.

    Raises:
        ConformanceError: the header contradicts itself or the parameter sets in force.
    """
    h = unit.header.unit_header
    payload_type = _PAYLOAD_TYPES[h.nnr_compressed_data_unit_payload_type]
    dims = tuple(h.tensor_dimensions)
    types = _PARAMETER_TYPES[h.compressed_parameter_types]
    density, base_qp = _quantization_base(unit, payload_type)
    plan = UnitPlan(
        unit=unit,
        payload_type=payload_type,
        profile=unit.profile,
        tensors=[],
        element_ids=list(h.element_ids),
        dq_flag=h.dq_flag if payload_type in (PayloadType.NNR_PT_FLOAT, PayloadType.NNR_PT_BLOCK) else 0,
        cabac_unary_length=h.cabac_unary_length_minus1 + 1,
        differential=bool(h.parent_node_id_present_flag),
        temporal=bool(h.temporal_context_modeling_flag),
        qp_density=density,
        base_qp=base_qp,
        data_format=(
            DataFormat(h.nnr_decompressed_data_format)
            if h.nnr_decompressed_data_format_present_flag
            else None
        ),
        tensor_dimensions=dims,
        compressed_parameter_types=types,
        predictive=bool(unit.mps is not None and unit.mps.get("nnr_pre_flag")),
        payload=unit.coded,
    )
    if len(plan.element_ids) > 1 and len(set(plan.element_ids)) != len(plan.element_ids):
        raise ConformanceError("an id is listed twice in one unit", clause="semantics 5")
    if payload_type == PayloadType.NNR_PT_BLOCK:
        ids, payload_order = block_roles(types)
        if len(ids) != len(plan.element_ids):
            raise ConformanceError(
                f"a block with compressed_parameter_types {int(types)} has {len(ids)} members, "
                f"{len(plan.element_ids)} ids are listed",
                clause="semantics 5",
            )
        names = dict(zip(ids, plan.element_ids, strict=True))
        members = [(role, names[role]) for role in payload_order]
    else:
        role = Role(h.decomposition_role) if h.decomposition_role else Role.WEIGHT
        members = [(role, plan.element_ids[0])]
    codebooks = _codebooks(h)
    rank, g_rows = h.get("decomposition_rank", 0), h.get("g_number_of_rows", 0)
    for role, name in members:
        shape = member_dimensions(role, dims, rank, g_rows)
        rows, cols = matrix_shape(shape)
        scan_order = h.scan_order if rows > 1 and cols > 1 else 0
        plan.tensors.append(TensorPlan(name, role, shape, rows, cols, scan_order, codebooks.get(role)))
    if plan.temporal and payload_type == PayloadType.NNR_PT_RAW_FLOAT:
        plan.temporal = False
    return plan


def _codebooks(h: Values) -> dict[Role, Codebook]:
    """(decoding 10.3) The codebook of a unit belongs to its weight or G, a second one to H."""
    first = h.get("integer_codebook")
    if first is None:
        return {}
    book = Codebook(first.codebook, first.cb_zero_offset)
    books = {Role.WEIGHT: book, Role.G: book, Role.H: book}
    second = h.get("integer_codebook_second")
    if second is not None:
        books[Role.H] = Codebook(second.codebook, second.cb_zero_offset)
    return books


def _quantization_base(unit: NnrUnit, payload_type: PayloadType) -> tuple[int, int]:
    """(semantics 2) QpDensity and base QP in force."""
    in_force = unit.quantization
    if in_force is not None:
        return in_force
    if payload_type in (PayloadType.NNR_PT_FLOAT, PayloadType.NNR_PT_BLOCK):
        raise ConformanceError(
            "a quantized unit needs a QpDensity and a base QP, but no parameter set in force has a "
            "quantization method",
            clause="semantics 2",
        )
    return 0, 0
