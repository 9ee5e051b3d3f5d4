"""Seeded generators of vectors, one function for each family; importing this fills `FAMILIES`."""

from . import data_units, payloads, units, updates  # noqa: F401
from .stream import FAMILIES

__all__ = ["FAMILIES"]
