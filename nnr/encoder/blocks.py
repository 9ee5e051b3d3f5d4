"""Layers found in a model: which tensors can share a block unit (NNR_PT_BLOCK).

By names and shapes alone: a weight with its bias, and with the batch norm that follows it. A caller who
knows better states the layers instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..decoder.plan import Role

__all__ = ["BATCH_NORM_ROLES", "Stated", "find_blocks", "layers", "stated_blocks"]

BATCH_NORM_ROLES = (Role.BN_BETA, Role.BN_GAMMA, Role.BN_MEAN, Role.BN_VARIANCE)

# last parts of names: PyTorch, then TensorFlow and Keras, then ONNX exports
_BATCH_NORM_NAMES = (
    ("bias", "weight", "running_mean", "running_var"),
    ("beta", "gamma", "moving_mean", "moving_variance"),
    ("beta", "gamma", "mean", "var"),
    ("bias", "scale", "mean", "var"),
)
_WEIGHT_NAMES = ("weight", "kernel", "depthwise_kernel", "weights", "w")
_STATED_ROLES = {
    "H": Role.H,
    "bias": Role.BIAS,
    "scaling": Role.LOCAL_SCALING,
    "beta": Role.BN_BETA,
    "gamma": Role.BN_GAMMA,
    "mean": Role.BN_MEAN,
    "variance": Role.BN_VARIANCE,
}


def _split(name: str) -> tuple[str, str, str]:
    """A name as prefix, separator and last part."""
    for k in range(len(name) - 1, -1, -1):
        if name[k] in "./":
            return name[:k], name[k], name[k + 1 :]
    return "", "", name


def find_blocks(shapes: Mapping[str, Sequence[int]]) -> dict[str, dict[Role, str]]:
    """Layers by the names of their weights.

    A bias has the prefix of the weight. The batch norm of a weight is the first one behind it in the order
    of the model, with no other weight between, whose four vectors have the length of the weight's first
    dimension.

    Args:
        shapes: of the tensors that can be in a block, in the order of the model.

    Returns:
        role -> tensor name, for each weight that has at least one companion; the weight itself is not in it.
    """
    found: dict[str, dict[Role, str]] = {}
    weight: str | None = None
    for name, shape in shapes.items():
        prefix, mark, last = _split(name)
        if len(shape) >= 2:
            weight = name if last in _WEIGHT_NAMES else None
            bias = f"{prefix}{mark}bias"
            if weight is not None and tuple(shapes.get(bias, ())) == (shape[0],):
                found.setdefault(name, {})[Role.BIAS] = bias
        elif weight is not None:
            norm = _batch_norm(prefix + mark, last, shapes, (shapes[weight][0],))
            if norm is not None and norm[Role.BN_BETA] not in found.get(weight, {}).values():
                found.setdefault(weight, {}).update(norm)
                weight = None
    return found


def _batch_norm(
    prefix: str, last: str, shapes: Mapping[str, Sequence[int]], vector: tuple[int, ...]
) -> dict[Role, str] | None:
    """The batch norm that a vector called `last` belongs to, if it is one of the right length."""
    for endings in _BATCH_NORM_NAMES:
        names = [prefix + ending for ending in endings]
        if last in endings and all(tuple(shapes.get(name, ())) == vector for name in names):
            return dict(zip(BATCH_NORM_ROLES, names, strict=True))
    return None


@dataclass(frozen=True)
class Stated:
    """One layer: role -> tensor name of all but the weight (or G), and dimensions where they "
    "are not the weight's."""

    roles: Mapping[Role, str]
    dimensions: tuple[int, ...] | None = None


def stated_blocks(
    blocks: Mapping[str, Mapping[str, Any]], shapes: Mapping[str, Sequence[int]]
) -> dict[str, Stated]:
    """Layers as the caller states them.

    Args:
        blocks: by the name of the weight, names of its companions: "bias", "scaling", and of a batch norm
            "beta", "gamma", "mean" and "variance". For a decomposed weight by the name of G, with "H" and,
            where they are not those of the product, "dimensions".

    Raises:
        ValueError: a tensor that is not there, has the wrong shape, is used twice, or has an unknown role.
    """
    used: set[str] = set()
    found: dict[str, Stated] = {}
    for weight, stated in blocks.items():
        shape = tuple(shapes.get(weight, ()))
        if len(shape) < 2:
            raise ValueError(f"blocks: {weight!r} is no quantized tensor of two or more dimensions")
        members = dict(stated)
        dimensions = _dimensions(weight, members.pop("dimensions", None), members.get("H"), shapes)
        roles: dict[Role, str] = {}
        for key, name in members.items():
            if key not in _STATED_ROLES:
                raise ValueError(f"blocks: {key!r} is none of {', '.join(_STATED_ROLES)}, dimensions")
            if key != "H" and tuple(shapes.get(name, ())) != (dimensions or shape)[:1]:
                raise ValueError(
                    f"blocks: {name!r} is no quantized vector of length {(dimensions or shape)[0]}"
                )
            roles[_STATED_ROLES[key]] = name
        for name in (weight, *roles.values()):
            if name in used:
                raise ValueError(f"blocks: tensor {name!r} is used twice")
            used.add(name)
        if 0 < len(set(BATCH_NORM_ROLES) & set(roles)) < 4:
            raise ValueError(f"blocks: the batch norm of {weight!r} needs beta, gamma, mean and variance")
        if roles:
            found[weight] = Stated(roles, dimensions)
    return found


def _dimensions(
    weight: str, stated: Sequence[int] | None, h: str | None, shapes: Mapping[str, Sequence[int]]
) -> tuple[int, ...] | None:
    """(semantics 6) Dimensions of a decomposed weight; None for a weight of one piece."""
    if h is None:
        if stated is not None:
            raise ValueError(f"blocks: dimensions of {weight!r} are for a decomposed weight, which has an H")
        return None
    g_shape, h_shape = tuple(shapes[weight]), tuple(shapes.get(h, ()))
    if len(g_shape) != 2 or len(h_shape) != 2 or g_shape[1] != h_shape[0]:
        raise ValueError(
            f"blocks: {weight!r} {list(g_shape)} and {h!r} {list(h_shape)} are no factors of a matrix"
        )
    dimensions = tuple(stated) if stated is not None else (g_shape[0], h_shape[1])
    if math.prod(dimensions) != g_shape[0] * h_shape[1]:
        raise ValueError(f"blocks: the product of {weight!r} and {h!r} has no dimensions {list(dimensions)}")
    return dimensions


def layers(
    blocks: bool | Mapping[str, Mapping[str, Any]], shapes: Mapping[str, Sequence[int]]
) -> dict[str, Stated]:
    """Layers as the option `blocks` asks for them."""
    if not isinstance(blocks, bool):
        return stated_blocks(blocks, shapes)
    return {name: Stated(roles) for name, roles in find_blocks(shapes).items()} if blocks else {}
