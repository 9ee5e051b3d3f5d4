"""The members of a block: which tensors a unit of a whole layer holds (semantics 5)."""

from __future__ import annotations

from enum import Enum

from .constants import CompressedParameterTypes as Cpt

__all__ = ["BATCH_NORM", "Role", "member_roles"]


class Role(Enum):
    """What a coded tensor is to its layer (semantics 5)."""

    WEIGHT = "weight"
    G = "G"
    H = "H"
    LOCAL_SCALING = "local scaling"
    BN_BETA = "bn beta"
    BN_GAMMA = "bn gamma"
    BN_MEAN = "bn mean"
    BN_VARIANCE = "bn variance"
    BIAS = "bias"


BATCH_NORM = (Role.BN_BETA, Role.BN_GAMMA, Role.BN_MEAN, Role.BN_VARIANCE)


def member_roles(types: int) -> list[Role]:
    """(semantics 5) Roles of a block's members in the order of the ids, from compressed_parameter_types."""
    weight = [Role.G, Role.H] if types & Cpt.NNR_CPT_DC else [Role.WEIGHT]
    scaling = [Role.LOCAL_SCALING] if types & Cpt.NNR_CPT_LS else []
    batch_norm = list(BATCH_NORM) if types & Cpt.NNR_CPT_BN else []
    bias = [Role.BIAS] if types & Cpt.NNR_CPT_BI else []
    return weight + scaling + batch_norm + bias
