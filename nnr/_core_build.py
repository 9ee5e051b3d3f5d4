"""Recipes for `nnr._core`, the C core behind `nnr.core`, and its second build. They run only at build time.

The declarations are read from `c_core/nnr_core.h`, between its two marker comments, so they exist once.
`nnr._core_bmi2` is the same code for x86-64 processors with BMI2; decoding takes a fifth less time with it.
Variables of the environment: NNR_NO_SIMD=1, one build without instructions beyond the machine's base set
and without assembly; NNR_BASE_ONLY=1, no second build. Results are the same in all.
"""

from __future__ import annotations

import os
import re
import sysconfig
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
FREE_THREADED = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
SOURCES = [
    "model.c",
    "processor.c",
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
    """Optimised; no contraction of a*b + c: results are the same everywhere. No traps are asked for.

    Debugging information, three quarters of a file, is there only if CFLAGS asks for it.
    """
    if sysconfig.get_platform().startswith("win"):
        return ["/O2", "/fp:precise"]
    debugging = [] if "-g" in os.environ.get("CFLAGS", "").split() else ["-g0"]
    return ["-std=c99", "-O3", "-ffp-contract=off", "-fno-trapping-math", *debugging]


def has_bmi2_build() -> bool:
    """There is a second build for x86-64 processors with BMI2, chosen at run time (`nnr.core`)."""
    if "1" in (os.environ.get("NNR_NO_SIMD"), os.environ.get("NNR_BASE_ONLY")):
        return False
    return re.fullmatch(r"(linux|macosx).*[-_]x86_64", sysconfig.get_platform()) is not None


def builder(name: str, *flags: str) -> FFI:
    """The recipe of a build of the core."""
    ffi = FFI()
    ffi.cdef(public_api())
    ffi.set_source(
        name,
        '#include "nnr_core.h"',
        sources=[f"c_core/{source}" for source in SOURCES],
        include_dirs=["c_core"],
        depends=[f"c_core/{path.name}" for path in sorted((ROOT / "c_core").glob("*.h"))],
        extra_compile_args=[*compile_args(), *flags],
        define_macros=[("NNR_NO_SIMD", "1")] if os.environ.get("NNR_NO_SIMD") == "1" else [],
        py_limited_api=not FREE_THREADED,  # which has no limited API
    )
    return ffi


ffibuilder = builder("nnr._core")
ffibuilder_bmi2 = builder("nnr._core_bmi2", "-mlzcnt", "-mbmi", "-mbmi2")

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
