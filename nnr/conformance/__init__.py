"""The conformance suite: vectors, a runner for any decoder, and what the vectors cover.

The vectors are not in here: they stand in the folder `conformance` of a checkout, or in the package
`nnr-conformance`.
"""

from .runner import Result, Verdict, run
from .suite import Suite, SuiteNotFound, Vector, find_manifest

__all__ = ["Result", "Suite", "SuiteNotFound", "Vector", "Verdict", "find_manifest", "run"]
