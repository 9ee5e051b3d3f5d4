"""Our decoder under test: the judge of one vector, and the worker process of the runner.

    python -m nnr.conformance.own MANIFEST [BACKEND]

reads names of vectors from standard input, JSON strings, one a line, and answers each with its verdict.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nnr

from .runner import Result, Verdict
from .suite import Suite, Vector, compare

__all__ = ["judge"]


def judge(vector: Vector, **options: Any) -> Result:
    """The verdict on what `nnr.decode` and `nnr.decode_levels` make of a vector.

    Args:
        options: of `nnr.Decoder`: `backend`, `threads`, `limits`.
    """
    try:
        values, levels = _decoded(vector, options)
    except nnr.BitstreamError as error:
        return _refused(vector, error)
    except Exception as error:  # whatever a stream can cause and should not
        return Result(vector.name, Verdict.ERROR, [f"{type(error).__name__}: {error}"])
    if vector.error is not None:
        return Result(vector.name, Verdict.FAIL, [f"decoded, where {vector.error} is expected"])
    problems = compare(vector, values, levels)
    return Result(vector.name, Verdict.FAIL if problems else Verdict.PASS, problems)


def _decoded(vector: Vector, options: dict[str, Any]) -> tuple[Any, Any]:
    if not vector.predecessors():
        given = {**options, **_out_of_band(vector)}
        return nnr.decode(vector.data, form="coded", **given), nnr.decode_levels(vector.data, **given)
    decoder = nnr.Decoder(**options)
    for earlier in vector.predecessors():
        decoder.decode(earlier.data, form="coded", **_out_of_band(earlier))
    # levels first: decoding takes the stream into the decoder
    levels = nnr.decode_levels(vector.data, base=decoder, **options, **_out_of_band(vector))
    return decoder.decode(vector.data, form="coded", **_out_of_band(vector)), levels


def _out_of_band(vector: Vector) -> dict[str, Any]:
    return {"out_of_band": vector.out_of_band} if vector.out_of_band else {}


def _refused(vector: Vector, error: nnr.BitstreamError) -> Result:
    expected = vector.error or vector.or_error
    if expected is None:
        kind = Verdict.NOT_SUPPORTED if isinstance(error, nnr.UnsupportedError) else Verdict.FAIL
        return Result(vector.name, kind, [f"{type(error).__name__}: {error}"])
    problems = []
    if not isinstance(error, getattr(nnr, expected)):
        problems.append(f"{type(error).__name__} ({error}), not {expected}")
    clause = vector.record["expect"].get("clause")
    if clause is not None and not f"{error.clause}.".startswith(f"{clause}."):
        problems.append(f"clause {error.clause}, not {clause}")
    return Result(vector.name, Verdict.FAIL if problems else Verdict.PASS, problems)


def main() -> None:
    """The worker process."""
    suite = Suite(Path(sys.argv[1]))
    backend = sys.argv[2] if len(sys.argv) > 2 else "c"
    for line in sys.stdin:
        result = judge(suite[json.loads(line)], backend=backend)
        print(json.dumps({"verdict": result.verdict.value, "reasons": result.reasons}), flush=True)


if __name__ == "__main__":
    main()
