"""What this version reads and writes, in words for people and programs."""

from __future__ import annotations

from typing import Any

from .encoder.tools import registered_tools
from .syntax.check import CAPABILITY_PROFILES

__all__ = ["capabilities"]


_BOTH_WAYS = (
    "integer payloads",
    "raw float payloads",
    "blocks",
    "uniform quantization",
    "dependent quantization",
    "codebooks",
    "row skipping",
    "block scans with entry points",
    "temporal contexts",
    "history contexts",
    "parents by node id and digest",
    "topology",
)
_DECODED = (
    "decomposed weights",
    "split tensors",
    "partial data",
    "aggregate units",
    "layer parameter sets",
    "predictive residuals",
    "decompressed data formats",
    "parameters out of band",
)


def capabilities() -> dict[str, Any]:
    """Editions, coding tools and encoder tools supported.

    Returns:
        "editions": editions of the standard by number, with the general_profile_idc of each;
        "decoder": coding tools that are decoded; "encoder": those that are written; "tool_sets": sets of
            tools that `nnr check --profile` knows; "encoder_tools": names of the registered quantizers and
            transforms.
    """
    return {
        "editions": {1: 0, 2: 1},
        "decoder": [*_BOTH_WAYS, *_DECODED],
        "encoder": list(_BOTH_WAYS),
        "tool_sets": list(CAPABILITY_PROFILES),
        "encoder_tools": list(registered_tools()),
    }
