"""What the encoder's tools and options cost and save, on one network.

    python benchmarks/options.py [--docs docs/encoder-tools.md] [--file resnet56_cifar10]

Quantizers are compared at equal squared error, as in `rd.py`: curves of size over squared error at many qps,
codebook sizes or bit depths, against the trellis without a rate term. The other options leave the levels as
they are, but for the scan order that a trellis follows; they are compared at one qp. Times are CPU seconds of
one thread for a whole encoding, medians, each turn right after one with the default options.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.curves import Curve, difference
from benchmarks.models import data_folder
from benchmarks.rd import accepts, load_model, our_point
from benchmarks.report import machine, markdown_table, replace_block

PLACES = (1.0, 2.0, 3.0)
QPS = tuple(range(-30, -5, 2))
#: Where the other options are compared.
QP = -20
_SIZES = (3, 4, 6, 8, 12, 16, 24, 32, 48)
QUANTIZERS: tuple[tuple[str, list[dict[str, Any]]], ...] = (
    ("`dq_trellis`, no rate term", [{"qp": qp, "lambda_scale": 0.0} for qp in QPS]),
    ("`dq_trellis`, `lambda_scale=0.4`", [{"qp": qp, "lambda_scale": 0.4} for qp in QPS]),
    ("`dq_trellis`, `lambda_scale=0.8`", [{"qp": qp, "lambda_scale": 0.8} for qp in QPS]),
    ("`uniform`, no rate term", [{"qp": qp, "dq": False, "lambda_scale": 0.0} for qp in QPS]),
    ("`uniform`, `lambda_scale=0.8`", [{"qp": qp, "dq": False, "lambda_scale": 0.8} for qp in QPS]),
    ("`codebook`, 3 to 48 entries", [{"qp": -34, "codebook": n, "lambda_scale": 0.0} for n in _SIZES]),
    ("`bit_depth`, 2 to 7 bits", [{"bitdepth": n, "lambda_scale": 0.0} for n in range(2, 8)]),
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"effort": "fast"},
    {"param_opt": False},
    {"row_skip": False},
    {"blocks": True},
    {"cabac_unary_length": 4},
    {"cabac_unary_length": 24},
    {"scan_order": 1},
    {"scan_order": 2},
    {"scan_order": 3},
    {"scan_order": 4},
    {"profile": 0},
    {"metadata": False},
    {"allocate": True},
)

Model = Mapping[str, Any]


def seconds(model: Model, options: Mapping[str, Any]) -> float:
    """CPU seconds of one encoding."""
    started = time.process_time()
    nnr.encode(model, threads=1, **options)
    return time.process_time() - started


def slowdown(model: Model, options: Mapping[str, Any], against: Mapping[str, Any], repeats: int) -> float:
    """Median ratio of the times of two kinds of encoding, in turns."""
    return statistics.median(seconds(model, options) / seconds(model, against) for _ in range(repeats))


def quantizers(model: Model, repeats: int) -> str:
    """The table of quantizers."""
    elements = sum(a.size for a in model.values())
    curves: dict[str, Curve] = {}
    plain = QUANTIZERS[0][1]
    lines = []
    for name, choices in QUANTIZERS:
        if not accepts(**choices[0]):
            continue
        others = [{k: v for k, v in choice.items() if k != "qp"} for choice in choices]
        points = [our_point(model, c.get("qp", QP), o) for c, o in zip(choices, others)]
        curves[name] = Curve.through((p["bytes"], p["squared_error"]) for p in points)
        anchor = curves[QUANTIZERS[0][0]]
        gaps = [difference([anchor], [curves[name]], bits * elements / 8) for bits in PLACES]
        middle = min(range(len(points)), key=lambda k: abs(8 * points[k]["bytes"] / elements - 2))
        against = min(plain, key=lambda o: abs(o["qp"] - QP))
        ratio = slowdown(model, choices[middle], against, repeats)
        lines.append([name, *("-" if gap != gap else f"{gap:+.1f} %" for gap in gaps), f"{ratio:.1f}"])
    head = ["quantizer", *(f"at {bits:g} bit{'s' * (bits > 1)}" for bits in PLACES), "time"]
    return markdown_table(head, lines)


def options(model: Model, repeats: int) -> str:
    """The table of the other options."""
    default = {"qp": QP}
    size = len(nnr.encode(model, **default))
    lines = []
    for choice in OPTIONS:
        if not accepts(**choice):
            continue
        changed = len(nnr.encode(model, **default, **choice))
        ratio = slowdown(model, {**default, **choice}, default, repeats)
        text = ", ".join(f"`{name}={value!r}`" for name, value in choice.items())
        lines.append([text, f"{100 * (changed / size - 1):+.2f} %", f"{ratio:.1f}"])
    return markdown_table(["option", "bytes", "time"], lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", default="resnet56_cifar10", help="file of the evaluation data")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--docs", type=Path, help="page to put the tables into")
    args = parser.parse_args()
    if not (data_folder() / f"{args.file}.safetensors").exists():
        print(f"skipped: {data_folder()} has no {args.file}.safetensors")
        return 0
    model = load_model(args.file, ())
    tables = {"quantizers": quantizers(model, args.repeats), "options": options(model, args.repeats)}
    note = f"\n\n`{args.file}`, at qp {QP}; time of a whole encoding against that with the default options, "
    note += f"{machine()['processor']}."
    for name, text in tables.items():
        print(text, end="\n\n")
        if args.docs:
            replace_block(args.docs, name, text + (note if name == "options" else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
