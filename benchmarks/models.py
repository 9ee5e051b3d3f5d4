"""Real models against NNCodec 2.1.3 at the same settings: size, equality of the tensors, accuracy.

    python benchmarks/models.py [--eval-python PYTHON] [--docs docs/interop.md]

For every model and qp: bytes of ours (pure stream, metadata=False) and of the peer's own stream, whether the
peer decodes ours to exactly our tensors, whether both reconstructions are equal, and the top-1 accuracy of
each. Accuracy needs a Python with torch (--eval-python); weights and images come from the shared evaluation
data (NNR_SHARED, or the folder `shared` beside the checkout). What is absent is left out and said.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.peer import Peer, PeerError, find_peer
from benchmarks.report import machine, markdown_table, replace_block, write_json
from nnr.formats import load_tensors, save_tensors

ROOT = Path(__file__).resolve().parent.parent
QPS = (-38, -32, -26, -20)
#: Model, file in the evaluation data, data set that `evaluate.py` judges it by.
MODELS = (
    ("LeNet-5", "lenet5_mnist_epoch8", "mnist"),
    ("ResNet-20", "resnet20_cifar10", "cifar10"),
    ("ResNet-56", "resnet56_cifar10", "cifar10"),
    ("MobileNetV1 0.75", "mobilenet_v1_075_imagenet", "imagenet"),
    ("SqueezeNet 1.1", "squeezenet1_1_imagenet", "imagenet"),
)
#: The peer's settings that make it the same task as ours by default.
PEER_SETTINGS = {
    "qp_density": 2, "nonweight_qp": -75, "use_dq": True, "param_opt": True, "row_skipping": True,
}  # fmt: skip
SIZE_BAR_PERCENT = 0.2


def data_folder() -> Path:
    """Folder of the evaluation data."""
    return Path(os.environ.get("NNR_SHARED") or ROOT.parent / "shared") / "data"


def same_tensors(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """Same names and the same bits, the sign of zero aside."""
    return set(a) == set(b) and all(
        a[n].shape == b[n].shape and np.array_equal(np.asarray(a[n]) + 0.0, np.asarray(b[n]) + 0.0) for n in a
    )


class Judge:
    """Top-1 accuracy by `evaluate.py`, remembered by the tensors' digest."""

    def __init__(self, python: Path | None) -> None:
        self._python = python
        self._script = data_folder() / "evaluate.py"
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def accuracy(self, tensors: Mapping[str, np.ndarray], dataset: str) -> dict[str, Any] | None:
        """What `evaluate.py --json` says of the weights, or None without a Python to ask."""
        if self._python is None or not self._script.exists():
            return None
        digest = hashlib.sha256()
        for name in sorted(tensors):
            digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
        key = digest.hexdigest(), dataset
        if key not in self._known:
            with tempfile.TemporaryDirectory() as folder:
                weights = Path(folder) / "weights.safetensors"
                save_tensors(tensors, weights)
                command = [self._python, self._script, weights, dataset, "--json", "--threads", "1"]
                result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
            if result.returncode:
                sys.exit(f"evaluate.py failed on {dataset}: {result.stderr.strip()[-300:]}")
            self._known[key] = json.loads(result.stdout)
        return self._known[key]


def measure(name: str, file: str, dataset: str, qp: int, peer: Peer, judge: Judge) -> dict[str, Any]:
    """One row: a model at a qp."""
    model = load_tensors(data_folder() / f"{file}.safetensors")
    ours = nnr.encode(model, qp=qp, metadata=False)
    reconstruction = dict(nnr.decode(ours, form="coded"))
    try:
        read_by_peer = peer.decode(ours).tensors or {}
        reads = same_tensors(reconstruction, read_by_peer)
    except PeerError as error:
        print(f"  the peer refuses our stream: {error}")
        reads = False
    theirs = peer.encode(model, qp=qp, **PEER_SETTINGS).data
    peer_reconstruction = peer.decode(theirs).tensors or {}
    return {
        "model": name,
        "qp": qp,
        "weights": sum(a.size for a in model.values()),
        "original_bytes": sum(a.nbytes for a in model.values()),
        "bytes": len(ours),
        "bytes_with_metadata": len(nnr.encode(model, qp=qp)),
        "peer_bytes": len(theirs),
        "size_difference_percent": 100 * (len(ours) / len(theirs) - 1),
        "peer_reads_ours_exactly": reads,
        "same_reconstruction": same_tensors(reconstruction, peer_reconstruction),
        "we_read_the_peer_exactly": same_tensors(peer_reconstruction, nnr.decode(theirs, form="coded")),
        "dataset": dataset,
        "accuracy_original": judge.accuracy(model, dataset),
        "accuracy": judge.accuracy(reconstruction, dataset),
        "accuracy_peer": judge.accuracy(peer_reconstruction, dataset),
    }


def failures(row: Mapping[str, Any]) -> list[str]:
    """What a row falls short of."""
    exact = ("peer_reads_ours_exactly", "we_read_the_peer_exactly")
    short = [f"{key} is false" for key in exact if not row[key]]
    if row["size_difference_percent"] > SIZE_BAR_PERCENT:
        short.append(f"{row['size_difference_percent']:+.2f} % bytes")
    if row["accuracy"] and row["accuracy"]["correct"] != row["accuracy_peer"]["correct"]:
        short.append("accuracy differs from the peer's")
    return short


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as Markdown."""

    def top1(judged: Mapping[str, Any] | None) -> str:
        return "-" if judged is None else f"{judged['top1']:.2f} %"

    head = ["model", "qp", "bits/weight", "ratio", "bytes", "NNCodec bytes", "difference",
            "NNCodec reads ours", "top-1 original", "top-1 ours", "top-1 NNCodec"]  # fmt: skip
    lines = [
        [
            row["model"],
            str(row["qp"]),
            f"{8 * row['bytes'] / row['weights']:.2f}",
            f"{row['original_bytes'] / row['bytes']:.1f}",
            f"{row['bytes']:,}",
            f"{row['peer_bytes']:,}",
            f"{row['size_difference_percent']:+.2f} %",
            "exactly" if row["peer_reads_ours_exactly"] else "NO",
            top1(row["accuracy_original"]),
            top1(row["accuracy"]),
            top1(row["accuracy_peer"]),
        ]
        for row in rows
    ]
    return markdown_table(head, lines)


def main() -> int:
    """Measure, print, and write what was asked for; status 1 when a row falls short."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eval-python", type=Path, help="a Python with torch, for the accuracies")
    parser.add_argument("--docs", type=Path, help="page to put the table into; the JSON goes beside it")
    parser.add_argument("--models", nargs="*", help="only these (file names without extension)")
    parser.add_argument("--qp", type=int, nargs="*", default=QPS)
    args = parser.parse_args()
    python = find_peer()
    if python is None:
        print("skipped: no NNCodec; `make interop` installs it, or set NNR_PEER_PYTHON")
        return 0
    if args.eval_python is None:
        print("no --eval-python: accuracies are left out")
    rows, judge, bad = [], Judge(args.eval_python), 0
    with Peer(python) as peer:
        for name, file, dataset in MODELS:
            if args.models and file not in args.models:
                continue
            if not (data_folder() / f"{file}.safetensors").exists():
                print(f"skipped: {data_folder()} has no {file}.safetensors")
                continue
            for qp in args.qp:
                row = measure(name, file, dataset, qp, peer, judge)
                rows.append(row)
                short = failures(row)
                bad += bool(short)
                print(f"{name} qp {qp}: {row['bytes']} bytes, {row['size_difference_percent']:+.3f} % "
                      f"{'; '.join(short) or 'good'}", flush=True)  # fmt: skip
    print(table(rows))
    if rows and args.eval_python is None and args.docs:
        print("the page stays as it is: it shows accuracies, which need --eval-python")
        return 1 if bad else 0
    if args.docs and rows:
        replace_block(args.docs, "models", table(rows))
        content = {"machine": machine(), "settings": PEER_SETTINGS, "rows": rows}
        write_json(args.docs.with_suffix(".json"), content)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
