"""Peak memory of a process of its own, for tests."""

__all__ = ["PEAK"]

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
