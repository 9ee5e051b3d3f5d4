"""From coded tensors to parameters that a framework can load: the plain form.

Section 10.4 and 10.5 of the decoding specification and semantics 9. In: coded tensors by element id, and
the `UnitLayout` of each unit. Out: decomposed weights multiplied out, local scaling applied, tensors that
stand for several elements taken apart, and a note on each of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConformanceError, UnsupportedError
from .clauses import clause
from .plan import Role

if TYPE_CHECKING:
    from .plan import UnitPlan

__all__ = ["Split", "UnitLayout", "layout_of", "multiply", "plain_form", "split_elements"]

_ROWS = 1 << 16  # elements of the product that are in work at a time


@dataclass(frozen=True)
class Split:
    """(syntax 9.5) How a coded tensor is divided among its elements; details unconfirmed.

    Attributes:
        axis: concatenation_axis_index.
        boundaries: split_index, the start along the axis of each element but the first.
        shifts: for each element but the last, pairs of (shift_index, shift_value).
    """

    axis: int
    boundaries: tuple[int, ...]
    shifts: tuple[tuple[tuple[int, int], ...], ...]


@dataclass(frozen=True)
class UnitLayout:
    """What the plain form must know of a unit.

    Attributes:
        element_ids: in the order of the header.
        roles: (element id, role) of each coded tensor.
        tensor_dimensions: of the weight before decomposition.
        split: for a tensor that stands for several elements.
        differential: the unit carries differences; products and scalings of differences have no meaning.
    """

    element_ids: tuple[str, ...]
    roles: tuple[tuple[str, Role], ...]
    tensor_dimensions: tuple[int, ...]
    split: Split | None = None
    differential: bool = False

    def named(self, role: Role) -> str | None:
        """Id of the member with `role`, or None."""
        return next((name for name, r in self.roles if r is role), None)


def layout_of(plan: UnitPlan) -> UnitLayout:
    """The layout of one data unit."""
    mapping = plan.unit.header.unit_header.get("topology_tensor_dimension_mapping")
    split = None
    if mapping is not None:
        shifts = tuple(
            tuple(zip(indices, values, strict=True))
            for indices, values in zip(mapping.shift_index, mapping.shift_value, strict=True)
        )
        split = Split(mapping.concatenation_axis_index, tuple(mapping.split_index), shifts)
    return UnitLayout(
        tuple(plan.element_ids),
        tuple((t.name, t.role) for t in plan.tensors),
        plan.tensor_dimensions,
        split,
        plan.differential,
    )


@clause("decoding 10.4")
def multiply(g: np.ndarray, h: np.ndarray) -> np.ndarray:
    """(decoding 10.4) The matrix product of G and H.

    The products of each element are added in binary64 in the order of the inner index and rounded once, so
    that the result is the same everywhere.

    Args:
        g: float32, rows x rank.
        h: float32, rank x columns.

    Returns:
        float32, rows x columns.
    """
    rows, rank = g.shape
    cols = h.shape[1]
    out = np.empty((rows, cols), np.float32)
    step = max(1, _ROWS // max(cols, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, rows, step):
            part = g[start : start + step].astype(np.float64)
            total = np.zeros((part.shape[0], cols), np.float64)
            for k in range(rank):
                total += part[:, k : k + 1] * h[k].astype(np.float64)
            out[start : start + step] = total
    return out


@clause("decoding 10.5")
def scale_rows(weight: np.ndarray, scaling: np.ndarray) -> np.ndarray:
    """(decoding 10.5) Slice c of the first dimension times scaling[c], in float32."""
    with np.errstate(over="ignore", invalid="ignore"):
        return weight * scaling.reshape(-1, *(1 for _ in weight.shape[1:]))


@clause("syntax 9.5", "semantics 9")
def split_elements(tensor: np.ndarray, layout: UnitLayout) -> dict[str, np.ndarray]:
    """(semantics 9) The elements that a tensor is the concatenation of; details unconfirmed.

    Raises:
        ConformanceError: boundaries or shifts that do not fit the tensor.
    """
    split, names = layout.split, layout.element_ids
    if split is None:
        if len(names) == 1:
            return {names[0]: tensor}
        raise UnsupportedError(
            f"a tensor of {len(names)} elements has no topology_tensor_dimension_mapping", clause="syntax 9.5"
        )
    bounds = (0, *split.boundaries)
    if split.axis >= tensor.ndim or len(bounds) != len(names) or list(bounds) != sorted(set(bounds)):
        raise ConformanceError(
            f"split_index {list(split.boundaries)} along axis {split.axis} does not divide a tensor of shape "
            f"{list(tensor.shape)} into {len(names)} elements",
            clause="syntax 9.5",
        )
    if bounds[-1] >= tensor.shape[split.axis]:
        raise ConformanceError(
            f"split_index {bounds[-1]} is beyond dimension {split.axis} of {list(tensor.shape)}",
            clause="syntax 9.5",
        )
    parts = np.split(tensor, split.boundaries, axis=split.axis)
    out: dict[str, np.ndarray] = {}
    for k, (name, part) in enumerate(zip(names, parts, strict=True)):
        for index, value in split.shifts[k] if k < len(split.shifts) else ():
            if not (0 <= index < part.ndim and 0 <= index + value < part.ndim):
                raise ConformanceError(
                    f"dimension {index} cannot be moved by {value} in a tensor of {part.ndim} dimensions",
                    clause="syntax 9.5",
                )
            part = np.moveaxis(part, index, index + value)
        out[name] = np.ascontiguousarray(part)
    return out


def plain_form(
    coded: Mapping[str, np.ndarray], layouts: Iterable[UnitLayout]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Parameters that a framework can load.

    Args:
        coded: tensors by element id, in bitstream order; a tensor of several elements under the first id.
        layouts: of the units they came in, in bitstream order.

    Returns:
        the parameters, and one line for each thing that was done.
    """
    tensors: dict[str, np.ndarray] = {}
    notes: list[str] = []
    pending: tuple[str, UnitLayout] | None = None  # G of a decomposed weight in two units
    for layout in layouts:
        if any(name not in coded for name, _ in layout.roles):
            continue  # an element of an update that was left out
        roles = {role for _, role in layout.roles}
        if layout.differential:
            tensors.update((name, coded[name]) for name in layout.element_ids if name in coded)
            if roles & {Role.G, Role.LOCAL_SCALING}:
                notes.append(f"{layout.element_ids[0]}: differences of factors are given as they are")
        elif len(roles) == 1 and Role.G in roles:
            pending = (layout.element_ids[0], layout)
        elif len(roles) == 1 and Role.H in roles and pending is not None:
            name = _weight_name(pending[0])
            tensors[name] = multiply(coded[pending[0]], coded[layout.element_ids[0]]).reshape(
                layout.tensor_dimensions
            )
            notes.append(f"{name}: multiplied out of {pending[0]} and {layout.element_ids[0]}")
            pending = None
        elif len(layout.roles) == 1 and len(layout.element_ids) > 1:
            parts = split_elements(coded[layout.roles[0][0]], layout)
            tensors.update(parts)
            notes.append(
                f"{', '.join(parts)}: taken apart along axis {layout.split.axis if layout.split else 0}"
            )
        else:
            _block(coded, layout, tensors, notes)
    return tensors, notes


def _block(
    coded: Mapping[str, np.ndarray], layout: UnitLayout, tensors: dict[str, np.ndarray], notes: list[str]
) -> None:
    """The members of one block, or one lone tensor."""
    g, h, scaling = layout.named(Role.G), layout.named(Role.H), layout.named(Role.LOCAL_SCALING)
    name = layout.element_ids[0]
    weight = coded[name]
    if g is not None and h is not None:
        name = _weight_name(g)
        weight = multiply(coded[g], coded[h]).reshape(layout.tensor_dimensions)
        notes.append(f"{name}: multiplied out of {g} and {h}")
    if scaling is not None:
        weight = scale_rows(weight, coded[scaling])
        notes.append(f"{name}: scaled by {scaling}")
    tensors[name] = weight
    for element in layout.element_ids:
        if element not in (layout.element_ids[0], g, h, scaling):
            tensors[element] = coded[element]


def _weight_name(g_name: str) -> str:
    """Name of a decomposed weight: that of G without the ending that NNCodec gives it (semantics 5)."""
    return g_name[:-2] if g_name.endswith("_G") and len(g_name) > 2 else g_name
