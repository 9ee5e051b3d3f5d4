"""From coded tensors to parameters that a framework can load: the plain form.

Section 10.4 and 10.5 of the decoding specification and semantics 9. In: coded tensors by element id, and
the `UnitLayout` of each unit. Out: decomposed weights multiplied out, local scaling applied, tensors that
stand for several elements taken apart, and a note on each of these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BitstreamError, ConformanceError, UnsupportedError, abridged
from .clauses import clause
from .plan import Role

if TYPE_CHECKING:
    from .plan import UnitPlan

__all__ = [
    "BatchNormNames",
    "Group",
    "Split",
    "UnitLayout",
    "layout_of",
    "multiply",
    "plain_form",
    "plain_groups",
    "split_elements",
]

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
class BatchNormNames:
    """What the batch norm behind a layer was called before it was folded into the layer (encoding 5.12).

    Attributes:
        bias: the layer's own bias, if it had one.
        epsilon: what the framework adds to the variance.
    """

    beta: str
    gamma: str
    mean: str
    variance: str
    bias: str | None = None
    epsilon: float = 1e-5


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


@dataclass(frozen=True)
class Group:
    """Units that give parameters only together, and the names of these; nearly always one unit."""

    layouts: tuple[UnitLayout, ...]
    names: tuple[str, ...]


def plain_groups(layouts: Iterable[UnitLayout], unfold: Mapping[str, BatchNormNames]) -> list[Group]:
    """The parameters that units stand for, in bitstream order.

    Args:
        unfold: names of folded batch norms, by the first id of the block.
    """
    groups: list[Group] = []
    for layout in layouts:
        before = groups[-1].layouts if groups else ()
        if _lone(layout) is Role.H and len(before) == 1 and _lone(before[0]) is Role.G:
            groups[-1] = Group((*before, layout), (_weight_name(before[0].element_ids[0]),))
        else:
            groups.append(Group((layout,), _names(layout, unfold)))
    return groups


def _lone(layout: UnitLayout) -> Role | None:
    """Role of the only tensor of a unit; None for blocks and differences, which are given as they are."""
    return layout.roles[0][1] if len(layout.roles) == 1 and not layout.differential else None


def _names(layout: UnitLayout, unfold: Mapping[str, BatchNormNames]) -> tuple[str, ...]:
    if _lone(layout) is Role.WEIGHT:
        return layout.element_ids
    g, h, scaling = layout.named(Role.G), layout.named(Role.H), layout.named(Role.LOCAL_SCALING)
    first = layout.element_ids[0]
    if layout.differential:
        return tuple(name for name, _ in layout.roles)
    if _is_folded(layout, unfold):
        names = unfold[first]
        weight = first if g is None else _weight_name(g)
        rest = (names.beta, names.gamma, names.mean, names.variance)
        return (weight, *rest, names.bias) if names.bias is not None else (weight, *rest)
    if g is not None and h is not None:
        others = [name for name in layout.element_ids if name not in (g, h, scaling)]
        return (_weight_name(g), *others)
    return tuple(name for name in layout.element_ids if name != scaling)


def _is_folded(layout: UnitLayout, unfold: Mapping[str, BatchNormNames]) -> bool:
    roles = {role for _, role in layout.roles}
    return (
        layout.element_ids[0] in unfold
        and {Role.LOCAL_SCALING, Role.BIAS} <= roles
        and Role.BN_MEAN not in roles
        and not layout.differential
    )


def plain_form(
    coded: Mapping[str, np.ndarray],
    layouts: Iterable[UnitLayout],
    unfold: Mapping[str, BatchNormNames] | None = None,
    locate: Callable[[BitstreamError, str], BitstreamError] | None = None,
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Parameters that a framework can load.

    Args:
        coded: tensors by element id, in bitstream order; a tensor of several elements under the first id.
        layouts: of the units they came in, in bitstream order.
        unfold: names of folded batch norms, by the first id of the block.
        locate: gives an error its place, by the first id of the unit.

    Returns:
        the parameters, and one line for each thing that was done.

    Raises:
        ConformanceError: a tensor cannot be taken apart as its unit says.
    """
    tensors: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for group in plain_groups(layouts, unfold or {}):
        if all(name in coded for layout in group.layouts for name, _ in layout.roles):
            try:
                tensors.update(_plain_group(coded, group, unfold or {}, notes))
            except BitstreamError as error:
                raise error if locate is None else locate(error, group.layouts[0].element_ids[0]) from None
    return tensors, notes


def _plain_group(
    coded: Mapping[str, np.ndarray],
    group: Group,
    unfold: Mapping[str, BatchNormNames],
    notes: list[str],
) -> dict[str, np.ndarray]:
    layout = group.layouts[0]
    first = layout.element_ids[0]
    if layout.differential:
        if {role for _, role in layout.roles} & {Role.G, Role.LOCAL_SCALING}:
            notes.append(f"{abridged(first)}: differences of factors are given as they are")
        return {name: coded[name] for name in group.names}
    if len(layout.roles) == 1 and len(layout.element_ids) > 1:
        parts = split_elements(coded[layout.roles[0][0]], layout)
        axis = layout.split.axis if layout.split else 0
        notes.append(f"{', '.join(parts)}: taken apart along axis {axis}")
        return parts
    name, weight = group.names[0], coded[first]
    if _lone(layout) is Role.WEIGHT:
        return {name: weight}
    g, scaling = layout.named(Role.G), layout.named(Role.LOCAL_SCALING)
    h = group.layouts[-1].named(Role.H)
    if g is not None and h is not None:
        weight = multiply(coded[g], coded[h]).reshape(layout.tensor_dimensions)
        notes.append(f"{abridged(name)}: multiplied out of {abridged(g)} and {abridged(h)}")
    if scaling is not None and _is_folded(layout, unfold):
        bias = layout.named(Role.BIAS)
        assert bias is not None
        notes.append(f"{name}: batch norm {unfold[first].gamma} unfolded from {scaling} and {bias}")
        return {name: weight} | unfolded_batch_norm(coded[scaling], coded[bias], unfold[first])
    if scaling is not None:
        weight = scale_rows(weight, coded[scaling])
        notes.append(f"{abridged(name)}: scaled by {abridged(scaling)}")
    return {name: weight} | {other: coded[other] for other in group.names[1:]}


@clause("decoding 10.5")
def unfolded_batch_norm(
    scaling: np.ndarray, bias: np.ndarray, names: BatchNormNames
) -> dict[str, np.ndarray]:
    """(decoding 10.5) The batch norm that scales by `scaling` and adds `bias`: mean 0, variance 1 less
    epsilon.

    A bias of the layer itself was folded in too, and becomes zero.
    """
    variance = np.full_like(scaling, 1.0 - names.epsilon)
    found = {
        names.beta: bias,
        names.gamma: scaling,
        names.mean: np.zeros_like(scaling),
        names.variance: variance,
    }
    return found if names.bias is None else found | {names.bias: np.zeros_like(bias)}


def _weight_name(g_name: str) -> str:
    """Name of a decomposed weight: that of G without the ending that NNCodec gives it (semantics 5)."""
    return g_name[:-2] if g_name.endswith("_G") and len(g_name) > 2 else g_name
