"""The suite as the package has it, under its former place."""

from nnr.conformance.suite import Suite, Vector, canonical, compare, tensor_digest

__all__ = ["Suite", "Vector", "canonical", "compare", "tensor_digest"]
