"""What this version reads and writes, in words for people and programs."""

from __future__ import annotations

from typing import Any

from .encoder.tools import registered_tools

__all__ = ["capabilities"]


def capabilities() -> dict[str, Any]:
    """Editions, coding tools and encoder tools supported.

    Returns:
        "editions": editions of the standard by number, with the general_profile_idc of each;
        "decoder": coding tools that are decoded; "encoder": those that are written; "encoder_tools": names
            of the registered quantizers and transforms.
    """
    return {
        "editions": {1: 0, 2: 1},
        "decoder": [
            "integer payloads",
            "raw float payloads",
            "blocks",
            "uniform quantization",
            "dependent quantization",
            "codebooks",
            "row skipping",
            "block scans",
            "temporal contexts",
            "history contexts",
        ],
        "encoder": [
            "integer payloads",
            "raw float payloads",
            "uniform quantization",
            "dependent quantization",
            "row skipping",
            "block scans",
        ],
        "encoder_tools": list(registered_tools()),
    }
