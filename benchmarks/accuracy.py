"""Top-1 accuracy against size on real networks, with and without importance, and against bzip2, xz and zstd.

    python benchmarks/accuracy.py --eval-python PYTHON [--docs docs/rate-distortion.md] [--models NAME ...]

For each network and each way of encoding it: the coarsest qp that loses no more than 0.5 points, to an
eighth of an octave, and the qps that were tried on the way to it. Sizes are of whole files, checksums and
headers included; accuracies are of the decoded weights, nothing retrained. Importance is the Fisher diagonal
that `nnr.torch` estimates from images (not those of the test, where there are others), and a share of its
mean, so that no weight is free.

Where accuracies are counted in few images, which file just passes is a matter of luck. So the ways are
compared at equal cross entropy too: the logarithm of the size interpolated over its logarithm, at the cross
entropy of the first way's file.

The levels of one file are given to bzip2, xz and zstd: those of all tensors one after another, each tensor in
the smallest integers that hold it. Levels of dependent quantization are given as the indices that are coded,
half as large as the doubled integers.

PYTHON needs torch, safetensors, Pillow, and for the importance what nnr needs (bitstring, cffi). Accuracies
are kept in build/benchmarks by the digest of the weights, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import bz2
import hashlib
import json
import lzma
import math
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.cache import FOLDER, Cache
from benchmarks.curves import Curve
from benchmarks.models import Judge, data_folder
from benchmarks.plot import Panel, write_svg
from benchmarks.rd import accepts
from benchmarks.report import machine, markdown_table, replace_block, write_json
from nnr.formats import load_tensors
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.stream import read_units

#: Model, file, data set of the test, data set whose images give the importance.
MODELS = (
    ("LeNet-5", "lenet5_mnist_epoch8", "mnist", "mnist-train"),
    ("ResNet-20", "resnet20_cifar10", "cifar10", "cifar10-train"),
    ("ResNet-56", "resnet56_cifar10", "cifar10", "cifar10-train"),
    ("MobileNetV1 0.75", "mobilenet_v1_075_imagenet", "imagenet", "imagenet"),
    ("SqueezeNet 1.1", "squeezenet1_1_imagenet", "imagenet", "imagenet"),
)
#: Points of top-1 that may be lost.
MOST_POINTS_LOST = 0.5
PLAIN, RATE, IMPORTANCE = "no rate term", "rate term", "rate term and importance"
LAMBDAS = (0.3, 0.8)
#: What is added to the Fisher diagonal, in parts of its mean, with the other options.
IMPORTANCES = (
    (1.0, {"lambda_scale": 0.3}),
    (0.05, {"lambda_scale": 0.8, "allocate": True}),
)
SAMPLES = 512
#: Eighths of an octave: qps of density 3, of which the first is tried first.
_START, _FINEST, _COARSEST, _OCTAVE = -40, -96, 0, 8
_FIXED = {"qp_density": 3, "nonweight_qp": -150}

Model = Mapping[str, np.ndarray]


class Experiment:
    """One network: encode it, judge what comes back, remember."""

    def __init__(self, name: str, file: str, dataset: str, images: str, judge: Judge, python: Path) -> None:
        self.name, self.dataset, self._images = name, dataset, images
        self._weights, self._python, self._judge = data_folder() / f"{file}.safetensors", python, judge
        self._cache = Cache(FOLDER / "accuracy.jsonl")
        self.model: Model = load_tensors(self._weights)
        self.original_bytes = sum(a.nbytes for a in self.model.values())
        self.original = self.accuracy(self.model)
        self._fisher: dict[str, np.ndarray] | None = None

    def accuracy(self, tensors: Model) -> dict[str, Any]:
        """What `evaluate.py` says of weights."""
        digest = hashlib.sha256()
        for name in sorted(tensors):
            digest.update(name.encode() + np.ascontiguousarray(tensors[name]).tobytes())
        key = digest.hexdigest(), self.dataset
        known = self._cache.get(*key)
        return known or self._cache.put(self._judge.accuracy(tensors, self.dataset), *key)

    def importance(self, share: float) -> dict[str, np.ndarray]:
        """The Fisher diagonal of the weights plus a share of its mean, scaled to the mean 1."""
        if self._fisher is None:
            output = FOLDER / f"{self._weights.stem}-{SAMPLES}.npz"
            if not output.exists():
                script = Path(__file__).with_name("fisher_side.py")
                unfinished = output.with_suffix(".tmp.npz")
                command = [self._python, script, self._weights, self._images, SAMPLES, unfinished]
                subprocess.run(list(map(str, command)), check=True)
                unfinished.replace(output)
            with np.load(output) as archive:
                self._fisher = {n: archive[n] for n in archive.files if archive[n].ndim >= 2}
        arrays = self._fisher.values()
        mean = sum(float(a.sum()) for a in arrays) / sum(a.size for a in arrays)
        return {n: ((a / mean + share) / (1 + share)).astype(np.float32) for n, a in self._fisher.items()}

    def point(self, qp: int, options: Mapping[str, Any]) -> dict[str, Any]:
        """One file: size, accuracy, points lost."""
        arrays = {"importance": self.importance(options["importance"])} if "importance" in options else {}
        data = nnr.encode(self.model, qp=qp, **{**_FIXED, **options, **arrays})
        judged = self.accuracy(dict(nnr.decode(data)))
        lost = round(self.original["top1"] - judged["top1"], 2)
        print(f"  {self.name} {options} qp {qp}: {len(data)} bytes, {judged['top1']:.2f} %", flush=True)
        return {"qp": qp, "options": dict(options), "bytes": len(data), "accuracy": judged, "lost": lost}

    def coarsest(self, options: Mapping[str, Any], start: int) -> list[dict[str, Any]]:
        """Points tried on the way to the coarsest qp that loses no more than allowed."""
        low, high, position = _FINEST, _COARSEST, start
        tried = []
        while high - low > 1:
            tried.append(self.point(position, options))
            low, high = (position, high) if good(tried[-1]) else (low, position)
            if high == _COARSEST:
                position = min(low + _OCTAVE, (low + high + 1) // 2)
            elif low == _FINEST:
                position = max(high - _OCTAVE, (low + high) // 2)
            else:
                position = (low + high) // 2
        return tried


def good(point: Mapping[str, Any]) -> bool:
    """Whether a point loses no more than allowed."""
    return bool(point["lost"] <= MOST_POINTS_LOST)


def best(points: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The smallest file that loses no more than allowed."""
    return min(filter(good, points), key=lambda p: p["bytes"], default=None)


def ways() -> dict[str, list[dict[str, Any]]]:
    """Options to be tried, by the way of encoding: those that this version has."""
    found = {PLAIN: [{"lambda_scale": 0.0}]}
    if accepts(lambda_scale=0.5):
        found[RATE] = [{"lambda_scale": x} for x in LAMBDAS]
    if accepts(lambda_scale=0.5, importance={}):
        choices = [{**options, "importance": share} for share, options in IMPORTANCES]
        found[IMPORTANCE] = [c for c in choices if accepts(**{**c, "importance": {}})]
    return found


# ------------------------------------------------------------------------------------ other compressors


def level_bytes(data: bytes) -> bytes:
    """The levels of all tensors as the smallest integers, one tensor after another."""
    dependent = {
        name
        for unit in read_units(data)
        if unit.unit_type == NnrUnitType.NNR_NDU and unit.header.unit_header.get("dq_flag")
        for name in unit.header.unit_header.element_ids
    }
    pieces = []
    for name, levels in nnr.decode_levels(data).items():
        if name in dependent:
            levels = np.sign(levels) * ((np.abs(levels) + 1) >> 1)
        low, high = (int(levels.min()), int(levels.max())) if levels.size else (0, 0)
        kinds = (np.int8, np.int16, np.int32)
        kind = next(k for k in kinds if np.iinfo(k).min <= low and high <= np.iinfo(k).max)
        pieces.append(levels.astype(np.dtype(kind).newbyteorder("<")).tobytes())
    return b"".join(pieces)


def compressors() -> dict[str, Any]:
    """Functions from bytes to bytes, each at its highest level."""
    found: dict[str, Any] = {
        "bzip2 -9": lambda data: bz2.compress(data, 9),
        "xz -9e": lambda data: lzma.compress(data, preset=9 | lzma.PRESET_EXTREME),
    }
    try:
        import zstandard

        found["zstd -22"] = zstandard.ZstdCompressor(level=22).compress
    except ImportError:
        program = shutil.which("zstd")
        if program is not None:
            command = [program, "--ultra", "-22", "-q", "-c"]

            def zstd(data: bytes) -> bytes:
                return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout

            found["zstd -22"] = zstd
    return found


def against_others(model: Model, point: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes of the units of one file, and of its levels from the other compressors."""
    data = nnr.encode(model, qp=point["qp"], **{**_FIXED, **options, "metadata": False})
    raw = level_bytes(data)
    return {"nnr": len(data), "levels": len(raw)} | {n: len(f(raw)) for n, f in compressors().items()}


# ---------------------------------------------------------------------------------------------- results


def measure(name: str, file: str, dataset: str, images: str, judge: Judge, python: Path) -> dict[str, Any]:
    """All of one network."""
    work = Experiment(name, file, dataset, images, judge, python)
    points: dict[str, list[dict[str, Any]]] = {}
    start = _START
    for way, choices in ways().items():
        points[way] = []
        for options in choices:
            points[way] += work.coarsest(options, start)
            found = best(points[way])
            start = start if found is None else found["qp"]
    entry = {
        "model": name, "file": file, "dataset": dataset, "machine": machine(), "original": work.original,
        "original_bytes": work.original_bytes, "samples": SAMPLES, "importance_from": images,
        "points": points, "best": {way: best(tried) for way, tried in points.items()},
    }  # fmt: skip
    chosen = entry["best"].get(RATE) or entry["best"][PLAIN]
    if chosen is not None:
        entry["others"] = against_others(work.model, chosen, chosen["options"])
    return entry


def readme_table(entries: Mapping[str, Any]) -> str:
    """For each network the smallest file of all ways."""
    lines = []
    for entry in ordered(entries):
        found = best([p for p in entry["best"].values() if p is not None])
        if found is not None:
            lines.append([
                f"{entry['model']}, {entry['dataset']}", f"{entry['original_bytes']:,}",
                f"{found['bytes']:,}", f"{entry['original_bytes'] / found['bytes']:.1f}",
                f"{entry['original']['top1']:.2f} %", f"{found['accuracy']['top1']:.2f} %", setting(found),
            ])  # fmt: skip
    head = ["model, test images", "float32 bytes", ".nnr bytes", "times smaller", "top-1 before"]
    return markdown_table([*head, "top-1 after", "options"], lines)


def setting(point: Mapping[str, Any]) -> str:
    """Options as they are written."""
    options = {"qp": point["qp"] / 2} | {k: v for k, v in point["options"].items() if v not in (0.0, None)}
    return ", ".join(f"Fisher + {v:g}" if k == "importance" else f"{k}={v}" for k, v in options.items())


def ways_table(entries: Mapping[str, Any]) -> str:
    """For each network the smallest file of each way."""
    lines = []
    for entry in ordered(entries):
        for way, found in entry["best"].items():
            if found is None:
                lines.append([entry["model"], way, *["-"] * 6])
                continue
            change = at_equal_loss(entry, way)
            bits = 32 * found["bytes"] / entry["original_bytes"]
            lines.append([
                entry["model"], way, setting(found), f"{found['bytes']:,}", f"{bits:.2f}",
                f"{entry['original_bytes'] / found['bytes']:.1f}",
                f"{entry['original']['top1']:.2f} -> {found['accuracy']['top1']:.2f} %",
                "-" if change is None else f"{change:+.0f} %",
            ])  # fmt: skip
    head = ["model", "way", "options", ".nnr bytes", "bits/weight", "times smaller", "top-1", "at equal loss"]
    return markdown_table(head, lines)


def at_equal_loss(entry: Mapping[str, Any], way: str) -> float | None:
    """Size against the first way's smallest file, in percent, where the cross entropy is that of the file."""
    first = entry["best"][PLAIN]
    if first is None:
        return None
    curve = Curve.through((p["bytes"], p["accuracy"]["loss"]) for p in entry["points"][way])
    size = float(curve(np.log([first["accuracy"]["loss"]]))[0])
    return None if math.isnan(size) else 100 * (math.exp(size) / first["bytes"] - 1)


def others_table(entries: Mapping[str, Any]) -> str:
    """Sizes of the same levels."""
    rows = [entry for entry in ordered(entries) if "others" in entry]
    names = list(dict.fromkeys(n for e in rows for n in e["others"] if n not in ("nnr", "levels")))
    lines = []
    for entry in rows:
        sizes = entry["others"]
        more = {n: 100 * (sizes[n] / sizes["nnr"] - 1) for n in names if n in sizes}
        cells = [f"{sizes[n]:,} ({more[n]:+.0f} %)" if n in sizes else "-" for n in names]
        lines.append([entry["model"], f"{sizes['levels']:,}", f"{sizes['nnr']:,}", *cells])
    return markdown_table(["model", "levels, bytes", "nnr", *names], lines)


def ordered(entries: Mapping[str, Any]) -> list[Any]:
    """Entries in the order of `MODELS`."""
    return [entries[name] for name, *_ in MODELS if name in entries]


def plot(entries: Mapping[str, Any], path: Path) -> None:
    """Accuracy against size, one network a panel; of each way the files that no smaller one beats."""
    panels = []
    for entry in ordered(entries):
        top = entry["original"]["top1"]
        floor = top - 10
        lines: dict[str, list[tuple[float, float]]] = {"original": [(0.5, top), (8, top)]}
        for way, points in entry["points"].items():
            line: list[tuple[float, float]] = []
            for point in sorted(points, key=lambda p: p["bytes"]):
                x, y = 32 * point["bytes"] / entry["original_bytes"], point["accuracy"]["top1"]
                if y >= floor and 0.5 <= x <= 8 and (not line or y > line[-1][1]):
                    line.append((x, y))
            lines[way] = line
        ticks = [round(top) + k for k in (-10, -8, -6, -4, -2, 0, 1)]
        panels.append(Panel(entry["model"], lines, (0.5, 1, 2, 4, 8), ticks))
    write_svg(path, panels, "bits per weight of the whole file", "top-1, %")


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--eval-python", type=Path, required=True, help="a Python with torch")
    parser.add_argument("--models", nargs="*", help="only these (file names without extension)")
    parser.add_argument("--docs", type=Path, help="page to put tables into; JSON and plot go beside it")
    parser.add_argument("--readme", type=Path, help="page to put the first table into")
    args = parser.parse_args()
    path = args.docs.with_name("accuracy.json") if args.docs else None
    entries = json.loads(path.read_text())["models"] if path and path.exists() else {}
    judge, new = Judge(args.eval_python), {}
    for name, file, dataset, images in MODELS:
        if args.models and file not in args.models:
            continue
        if not (data_folder() / f"{file}.safetensors").exists():
            print(f"skipped: {data_folder()} has no {file}.safetensors")
            continue
        new[name] = entries[name] = measure(name, file, dataset, images, judge, args.eval_python)
        if path:
            write_json(path, {"most_points_lost": MOST_POINTS_LOST, "models": entries})
    shown = entries if args.docs else new
    for text in (readme_table(shown), ways_table(shown), others_table(shown)):
        print(text, end="\n\n")
    if args.docs and entries:
        replace_block(args.docs, "smallest", ways_table(entries))
        replace_block(args.docs, "others", others_table(entries))
        plot(entries, args.docs.with_name("accuracy.svg"))
    if args.readme and entries:
        replace_block(args.readme, "summary", readme_table(entries))
    return 0


if __name__ == "__main__":
    sys.exit(main())
