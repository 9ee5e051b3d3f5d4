"""What coarser steps for vectors do to accuracy and cross entropy, all weights being the original ones.

    python benchmarks/vectors.py --eval-python PYTHON [--docs docs/rate-distortion.md] [--models NAME ...]

Vectors are those of a stream of `effort="best"`, which fits their steps to their values; their bytes are
compared with those at the fixed fine qp, the other options being the same. PYTHON needs torch, safetensors
and Pillow. Accuracies are kept in build/benchmarks.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.accuracy import MODELS, Experiment
from benchmarks.models import Judge, data_folder
from benchmarks.report import markdown_table, replace_block, write_json
from nnr.encoder.pipeline import encode_stream

#: As in accuracy.py, and one whose batch norms are folded.
NETWORKS = (*MODELS, ("MobileNetV2", "mobilenet_v2_imagenet", "imagenet", "imagenet"))
#: Coarser than weights need for 0.5 points, so that it bounds no vector.
QP = -20


def measure(network: tuple[str, str, str, str], judge: Judge, python: Path) -> dict[str, Any]:
    """Sizes of the vectors with both kinds of steps, and what the coarser do."""
    work = Experiment(*network, judge, python)
    sizes = {}
    for bits in (0, 12):
        config = nnr.EncoderConfig(effort="best", qp=QP, vector_bits=bits)
        stream = encode_stream(work.model, config)
        rows = [t for t in stream.report.tensors if len(t.shape) < 2]
        sizes[bits] = sum(t.coded_bytes for t in rows)
    decoded = nnr.decode(stream.tobytes())
    mixed = {n: decoded[n] if a.ndim < 2 else a for n, a in work.model.items()}
    return {
        "model": work.name, "dataset": work.dataset, "values": sum(t.weights for t in rows),
        "bytes": sizes, "original": work.original, "vectors": work.accuracy(mixed),
    }  # fmt: skip


def table(entries: list[dict[str, Any]]) -> str:
    """One network a line."""
    lines = []
    for entry in entries:
        before, after = entry["original"], entry["vectors"]
        bits = [f"{8 * entry['bytes'][k] / entry['values']:.1f}" for k in (0, 12)]
        lines.append([
            entry["model"], f"{entry['values']:,}", *bits,
            f"{before['top1']:.2f} -> {after['top1']:.2f} %", f"{before['loss']:.5f} -> {after['loss']:.5f}",
        ])  # fmt: skip
    head = ["model", "values in vectors", "bits each, qp -75", "bits each, effort best"]
    return markdown_table([*head, "top-1", "cross entropy"], lines)


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eval-python", type=Path, required=True, help="a Python with torch")
    parser.add_argument("--models", nargs="*", help="only these (file names without extension)")
    parser.add_argument("--docs", type=Path, help="page to put the table into; JSON goes beside it")
    args = parser.parse_args()
    judge, entries = Judge(args.eval_python), []
    for network in NETWORKS:
        if args.models and network[1] not in args.models:
            continue
        if not (data_folder() / f"{network[1]}.safetensors").exists():
            print(f"skipped: {data_folder()} has no {network[1]}.safetensors")
            continue
        entries.append(measure(network, judge, args.eval_python))
        print(table(entries[-1:]), flush=True)
    if args.docs:
        replace_block(args.docs, "vectors", table(entries))
        write_json(args.docs.with_name("vectors.json"), {"models": entries})
    return 0


if __name__ == "__main__":
    sys.exit(main())
