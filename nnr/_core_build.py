"""Recipe for `nnr._core`, the C core behind `nnr.core`. Runs only at build time.

The declarations are read from `c_core/nnr_core.h`, between its two marker comments, so they exist once.
With NNR_NO_SIMD=1 in the environment the core is built without vector instructions of its own; results
are the same.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
SOURCES = [
    "model.c",
    "layout.c",
    "decode.c",
    "interleave.c",
    "dequantize.c",
    "tokenise.c",
    "prices.c",
    "search.c",
    "encode.c",
    "quantize.c",
    "trellis.c",
    "trellis_plain.c",
    "trellis_avx2.c",
    "rate_model.c",
    "rate_nearest.c",
    "rate_trellis.c",
]


def public_api() -> str:
    """The part of the public header that cffi can read."""
    header = (ROOT / "c_core" / "nnr_core.h").read_text(encoding="utf-8")
    return header.split("/* -- public API begin -- */")[1].split("/* -- public API end -- */")[0]


def compile_args() -> list[str]:
    """Optimised; no contraction of a*b + c: results are the same everywhere. No traps are asked for."""
    if sysconfig.get_platform().startswith("win"):
        return ["/O2", "/fp:precise"]
    return ["-std=c99", "-O3", "-ffp-contract=off", "-fno-trapping-math"]


ffibuilder = FFI()
ffibuilder.cdef(public_api())
ffibuilder.set_source(
    "nnr._core",
    '#include "nnr_core.h"',
    sources=[f"c_core/{name}" for name in SOURCES],
    include_dirs=["c_core"],
    depends=[f"c_core/{path.name}" for path in sorted((ROOT / "c_core").glob("*.h"))],
    extra_compile_args=compile_args(),
    define_macros=[("NNR_NO_SIMD", "1")] if os.environ.get("NNR_NO_SIMD") == "1" else [],
    py_limited_api=not FREE_THREADED,  # which has no limited API
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
