"""Does the suite notice a wrong decoder? Fifty faults, one at a time, in copies of this one.

    python conformance/planted_faults.py [-k NAME] [--docs]

Each fault is a small edit of a source file that changes what is decoded: in the C core, which is built anew,
in the readable reference, which then decodes, or in what both share. An edit whose place is no longer there
ends the run,
and so does a copy without a fault that does not pass. `--docs` writes the table of docs/conformance.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from conformance.manifest import write_section  # noqa: E402
from nnr.conformance import Suite, Vector, Verdict, run  # noqa: E402
from nnr.conformance.checkout import build_core, copy_checkout, replace_once  # noqa: E402
from nnr.conformance.runner import OwnDecoder, Result  # noqa: E402

__all__ = ["FAULTS", "Fault", "check_places", "verdict_of"]

_DECODE, _INTERLEAVE, _LAYOUT = "c_core/decode.c", "c_core/interleave.c", "c_core/layout.c"


@dataclass(frozen=True)
class Fault:
    """One edit: what it does, where; `backend` has it; `survives` says why it may go unnoticed."""

    what: str
    file: str
    old: str
    new: str
    backend: str = "c"
    survives: str = ""

    @property
    def in_core(self) -> bool:
        """Whether the C core must be built anew."""
        return self.file.startswith("c_core/")


def _reference(what: str, old: str, new: str, file: str = "nnr/decoder/entropy.py") -> Fault:
    return Fault(f"reference: {what}", file, old, new, "python")


FAULTS = (
    # -- the C core
    Fault(
        "significance: context of the temporal base by the wrong magnitude",
        _DECODE,
        "base_size > 1 ? AID_LARGE_BASE : AID_SMALL_BASE",
        "base_size > 2 ? AID_LARGE_BASE : AID_SMALL_BASE",
    ),
    Fault(
        "sign: context of the temporal base swapped",
        _DECODE,
        "sign = CTX_SIGN_BASE + (base_level > 0);",
        "sign = CTX_SIGN_BASE + (base_level < 0);",
    ),
    Fault(
        "significance: history contexts dropped",
        _DECODE,
        "if (aux && history && history[col])",
        "if (0 && history && history[col])",
    ),
    Fault(
        "neighbour not cleared behind a zero",
        _DECODE,
        "                    levels[col] = 0;\n                    neighbour = 0;",
        "                    levels[col] = 0;",
    ),
    Fault(
        "neighbour classes of signs swapped",
        _DECODE,
        "neighbour = 2 - (unsigned)(negative & 1);",
        "neighbour = 1 + (unsigned)(negative & 1);",
    ),
    Fault(
        "state of dependent quantization not advanced by a zero",
        _DECODE,
        "                    if (dq)\n                        state = next_state(state, 0);\n"
        "                    continue;",
        "                    continue;",
    ),
    Fault(
        "dependent quantization: odd states not one nearer to zero",
        _DECODE,
        "level = 2 * magnitude - (int64_t)(state & 1);",
        "level = 2 * magnitude;",
    ),
    Fault(
        "escape groups grow by one too much",
        _DECODE,
        "magnitude += (int64_t)1 << exponent;\n            exponent++;",
        "magnitude += ((int64_t)1 << exponent) + 1;\n            exponent++;",
    ),
    Fault(
        "escape: bound of the codebook off by one",
        _DECODE,
        "magnitude + ((int64_t)1 << exponent) <= limit",
        "magnitude + ((int64_t)1 << exponent) < limit",
    ),
    Fault(
        "levels beyond 32 bits accepted",
        _DECODE,
        "if (magnitude > nnr_largest_magnitude(dq ? (int)(state & 1) : -1, (int)(negative & 1))) {",
        "if (0) {",
    ),
    Fault("indices beyond the codebook accepted", _DECODE, "if (bounded && magnitude > limit) {", "if (0) {"),
    Fault(
        "one-sided codebook: sign inverted",
        _DECODE,
        "negative = layout->limit[0] > 0 ? 0 : ~(uint64_t)0;",
        "negative = layout->limit[0] > 0 ? ~(uint64_t)0 : 0;",
    ),
    Fault(
        "skipped segment: state advances by its own width",
        _DECODE,
        "state_after_zeros(decoder->state, layout->cols)",
        "state_after_zeros(decoder->state, width)",
    ),
    Fault(
        "contexts not reset where a block row starts",
        _DECODE,
        "    reset_contexts(decoder, layout);\n",
        "",
    ),
    Fault(
        "neighbour not reset where a block row starts",
        _DECODE,
        "    decoder->neighbour = 0;\n    if ((layout->rows > layout->side",
        "    if ((layout->rows > layout->side",
    ),
    Fault(
        "range reset before a single block row too",
        _DECODE,
        "layout->rows > layout->side || layout->legacy",
        "1",
    ),
    Fault(
        "parameter sets off by one",
        _DECODE,
        "set = 1 + (unsigned)decode_uae(&decoder->arithmetic, 3);",
        "set = (unsigned)decode_uae(&decoder->arithmetic, 3);",
    ),
    Fault(
        "qp_value one bit short",
        _DECODE,
        "decode_iae(d, 6 + (int)tensor->qp_density)",
        "decode_iae(d, 5 + (int)tensor->qp_density)",
    ),
    Fault(
        "terminate bin not checked", _DECODE, "if (!decode_terminate(d))", "decode_terminate(d);\n    if (0)"
    ),
    Fault("bits behind the stop bit not checked", _DECODE, "if (last != 0x80)", "if (0)"),
    Fault(
        "bytes behind the payload not checked",
        _DECODE,
        "return (end + 7) >> 3 == d->size ? NNR_OK : NNR_ERR_TRAILING;",
        "return NNR_OK;",
    ),
    Fault(
        "context list: temporal flags bounded like plain ones", _LAYOUT, "k < 2 * (most - 1)", "k < 2 * most"
    ),
    Fault(
        "context list: bound of the escape flags off by one",
        _LAYOUT,
        "n - 2 + ((int64_t)2 << k) < most",
        "n - 2 + ((int64_t)2 << k) <= most",
    ),
    Fault("fast path: unary part one flag short", _INTERLEAVE, "if (j == n)", "if (j + 1 == n)"),
    Fault(
        "fast path: state behind an escape code by the wrong parity",
        _INTERLEAVE,
        "next_state(state, (unsigned)magnitude & 1) : 0) + 2 - negative];",
        "next_state(state, (unsigned)level & 1) : 0) + 2 - negative];",
    ),
    Fault(
        "step size: fraction of the QP lost",
        "c_core/dequantize.c",
        "(double)(unit + fraction) * power_of_two(exponent)",
        "(double)unit * power_of_two(exponent)",
    ),
    # -- the readable reference
    _reference(
        "first offset of 510 accepted",
        '        if self.offset >= self.range:\n            reason = f"the payload starts',
        '        if self.offset > self.range:\n            reason = f"the payload starts',
    ),
    _reference(
        "less probable bin at the wrong end",
        "        if self.offset >= self.range:\n            value = 1 - mps",
        "        if self.offset > self.range:\n            value = 1 - mps",
    ),
    _reference("probability column by the absolute value first", "abs(sum_ >> 7)", "abs(sum_) >> 7"),
    _reference(
        "slow estimator adapted at the rate of the fast one",
        "((d * self.s1) >> 7)] >> self.shift1)",
        "((d * self.s1) >> 7)] >> self.shift0)",
    ),
    _reference(
        "temporal magnitude class compared strictly",
        "(0 if abs(base) >= j else 1)",
        "(0 if abs(base) > j else 1)",
    ),
    _reference(
        "contexts not reset where a block row starts",
        "            contexts.reset()\n            nb = 0",
        "            nb = 0",
    ),
    _reference(
        "a transition of dependent quantization goes to the wrong state",
        "(2, 0), (5, 7), (3, 1)",
        "(2, 0), (7, 5), (3, 1)",
        "nnr/decoder/quantization.py",
    ),
    _reference(
        "neighbour cleared by a skipped row",
        "                state = _state_behind_skipped(state, cols)\n            continue",
        "                state = _state_behind_skipped(state, cols)\n            nb = 0\n"
        "            continue",
    ),
    # -- headers, plans, reconstruction, updates
    Fault(
        "blocks: payload order of bias and batch norm swapped",
        "nnr/decoder/plan.py",
        "Role.LOCAL_SCALING, Role.BIAS, *BATCH_NORM,",
        "Role.LOCAL_SCALING, *BATCH_NORM, Role.BIAS,",
    ),
    Fault(
        "blocks: second codebook ignored",
        "nnr/decoder/plan.py",
        "    if second is not None:",
        "    if False and second is not None:",
    ),
    Fault(
        "history flag of updates not read",
        _LAYOUT,
        "layout->parent = unit->parent_node_id_present_flag != 0;",
        "layout->parent = 0;",
    ),
    Fault(
        "codebook values rounded twice",
        "nnr/decoder/quantization.py",
        "(np.array(codebook, dtype=np.float64) * step_size(qp, qp_density)).astype(np.float32)",
        "np.array(codebook, dtype=np.float32) * np.float32(step_size(qp, qp_density))",
    ),
    Fault(
        "codebook indices of profile 0 not checked",
        "nnr/decoder/quantization.py",
        "if low < -cb_zero_offset or high >= codebook_size - cb_zero_offset:",
        "if False:",
    ),
    Fault(
        "integer formats truncate instead of rounding",
        "nnr/decoder/reconstruct.py",
        "wide = np.rint(values.astype(np.float64))",
        "wide = np.trunc(values.astype(np.float64))",
    ),
    Fault(
        "integer formats saturate symmetrically",
        "nnr/decoder/reconstruct.py",
        "low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1\n    if values",
        "low, high = -(1 << (bits - 1)) + 1, (1 << (bits - 1)) - 1\n    if values",
    ),
    Fault(
        "history forgets positions that are zero again",
        "nnr/decoder/update_tree.py",
        "history = moved if history is None or history.size != moved.size else history | moved",
        "history = moved",
    ),
    Fault(
        "depth of the parent not compared",
        "nnr/decoder/update_tree.py",
        "depth != known.depth + 1:",
        "depth < known.depth:",
    ),
    Fault(
        "digest of the parent not compared",
        "nnr/decoder/update_tree.py",
        "if asked != (known.sha512 if wide else known.sha256):",
        "if False:",
    ),
    Fault(
        "layer parameter set not in force",
        "nnr/syntax/stream.py",
        'for prefix, source in (("lps", lps), ("mps", mps)):',
        'for prefix, source in (("mps", mps), ("lps", lps)):',
    ),
    Fault(
        "layer parameter set stays behind its aggregate unit",
        "nnr/syntax/stream.py",
        "_, ctx.lps = around.pop()",
        "around.pop()",
    ),
    Fault("parts of a unit: counter not compared", "nnr/decoder/stream.py", " or counter != expected:", ":"),
    Fault(
        "codebook: half of an odd size rounded up",
        "nnr/syntax/data_unit.py",
        "half = v.codebook_size >> 1\n",
        "half = v.codebook_size + 1 >> 1\n",
    ),
    Fault(
        "entry points: rows of H counted by those of G",
        "nnr/syntax/data_unit.py",
        'rows_to_points(v["g_number_of_rows"]) + rows_to_points(v["decomposition_rank"])',
        'rows_to_points(v["g_number_of_rows"]) * 2',
    ),
    Fault(
        "performance maps: only the first layout tried",
        "nnr/syntax/stream.py",
        "for layout in range(MAP_LAYOUTS):",
        "for layout in range(1):",
    ),
)


def check_places() -> None:
    """Raise NotACheckout where the place of a fault is not in the sources just once."""
    with tempfile.TemporaryDirectory() as name:
        for number, fault in enumerate(FAULTS):
            file = Path(name) / f"{number}-{Path(fault.file).name}"
            file.write_text((ROOT / fault.file).read_text(encoding="utf-8"), encoding="utf-8")
            replace_once(file, fault.old, fault.new)


def verdict_of(fault: Fault | None, suite: Suite) -> Result | None:
    """The first vector that a copy of the checkout with this fault does not pass; None if it passes all."""
    with tempfile.TemporaryDirectory(prefix="nnr-fault-") as name:
        copy = Path(name)
        copy_checkout(ROOT, copy)
        if fault is not None:
            replace_once(copy / fault.file, fault.old, fault.new)
            if fault.in_core:
                build_core(copy, ("-O0",))
        backend = "c" if fault is None else fault.backend
        decoder = OwnDecoder(suite, backend=backend, path=copy)
        results = run(
            _vectors(suite, backend),
            decoder,
            timeout=20,
            until=lambda result: result.verdict is not Verdict.PASS,
        )
        return next((result for result in results if result.verdict is not Verdict.PASS), None)


def _vectors(suite: Suite, backend: str) -> list[Vector]:
    """Small ones first; the reference is not given large ones, which take it long."""
    vectors = sorted(suite, key=lambda vector: int(vector.record["bytes"]))
    return [v for v in vectors if backend == "c" or v.record["bytes"] <= 3000]


def table(found: Iterable[tuple[Fault, Result | None]]) -> str:
    """The table of the documentation."""
    rows = list(found)
    caught = sum(result is not None for _, result in rows)
    lines = [
        f"{caught} of {len(rows)} faults were noticed.",
        "",
        "| fault | in | noticed by |",
        "|---|---|---|",
    ]
    for fault, result in rows:
        noticed = f"`{result.name}`" if result else f"not noticed: {fault.survives}"
        lines.append(f"| {fault.what} | `{fault.file}` | {noticed} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("-k", metavar="NAME", default="", help="only faults whose text contains NAME")
    parser.add_argument("--docs", action="store_true", help="write the table of docs/conformance.md")
    options = parser.parse_args(arguments)
    check_places()
    suite = Suite(ROOT / "conformance" / "manifest.json")
    if (wrong := verdict_of(None, suite)) is not None:
        print(f"without a fault: {wrong.verdict.value}: {wrong.name}: {'; '.join(wrong.reasons)}")
        return 1
    found = []
    for number, fault in enumerate(FAULTS, 1):
        if options.k not in fault.what:
            continue
        result = verdict_of(fault, suite)
        found.append((fault, result))
        print(f"{number:2} {'NOT NOTICED' if result is None else result.name}: {fault.what}", flush=True)
    caught = sum(result is not None for _, result in found)
    print(f"{caught} of {len(found)} noticed")
    if options.docs:
        write_section("planted faults", table(found))
    return 0 if caught >= len(found) - 2 else 1


if __name__ == "__main__":
    sys.exit(main())
