"""Peak memory of a process of its own, for tests."""

import os

import pytest

__all__ = ["PEAK", "not_sanitized"]

#: For tests of memory: `fuzz/sanitize.sh` sets the variable.
not_sanitized = pytest.mark.skipif("NNR_SANITIZED" in os.environ, reason="a sanitizer takes memory itself")

#: Source of `peak()`, in bytes. On Linux the maximum of `getrusage` begins with that of the process that
#: started this one, so that growth below it is not seen.
PEAK = """
import resource, sys
def peak():
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
