"""Size against squared error on real models, ours and NNCodec 2.1.3's, and the time that it takes.

    python benchmarks/rd.py [--docs docs/rate-distortion.md] [--models NAME ...] [--qps N ...]

Both codecs code the same tensors with the same kind of settings at many quantization parameters, NNCodec with
its default (no rate term) and with several weights of the rate. They are compared at equal squared error,
never at equal qp: the logarithm of the size is interpolated over the logarithm of the squared error.
Sizes are of complete streams without metadata; the squared error is the sum over all float tensors after
decoding. Vectors (fewer than two dimensions) have the same fine qp in all curves but that of effort="best",
and hardly any error, so that they add nearly the same bytes to both; effort="best" is shown with that qp too,
and figures for the units of the other tensors alone are given beside.

Single results are kept in build/benchmarks, so that a run that was stopped goes on; ours are measured again
whenever the package has changed. Times are CPU seconds of one thread, both codecs in turns, never kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.cache import CODE, FOLDER, Cache
from benchmarks.curves import Curve, bd_rate, difference, envelope
from benchmarks.models import PEER_SETTINGS, data_folder, same_tensors
from benchmarks.peer import Peer, find_peer
from benchmarks.plot import Panel, write_svg
from benchmarks.report import machine, markdown_table, replace_block
from nnr.encoder.pipeline import Preparation, encode_stream, extract, tensor_job
from nnr.formats import load_tensors
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.stream import read_units

#: Model, file in the evaluation data, tensors left out.
MODELS = (
    ("LeNet-5", "lenet5_mnist_epoch8", ()),
    ("ResNet-20", "resnet20_cifar10", ()),
    ("ResNet-56", "resnet56_cifar10", ()),
    ("ResNet-56, CIFAR-100", "resnet56_cifar100", ()),
    ("SqueezeNet 1.1", "squeezenet1_1_imagenet", ()),
    ("MobileNetV1 0.75", "mobilenet_v1_075_imagenet", ()),
    ("MobileNetV2", "mobilenet_v2_imagenet", ("fc.weight",)),  # it is no original: 227 distinct values
)
PEER = "NNCodec 2.1.3"
LAMBDAS = (0.25, 0.5, 0.75, 1.0)
#: Curves, each the best of several variants at each error.
PEER_DEFAULT, PEER_BEST = "NNCodec, default", "NNCodec, its best lambda"
OURS_PLAIN, OURS_BEST = "nnr, no rate term", "nnr, its best lambda"
#: Bits per weight of NNCodec's default between which a difference is averaged, and at which it is tabulated.
RANGE = (0.7, 2.5)
PLACES = (0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
#: Of a point on a curve: sizes and errors of a stream, and of its tensors of two or more dimensions alone.
FIELDS = ("qp", "bytes", "weight_bytes", "squared_error", "weight_squared_error")
_FINEST_BITS, _COARSEST_BITS, _QP_STEP = 4.6, 0.42, 2

Model = Mapping[str, np.ndarray]


# ---------------------------------------------------------------------------------------------- variants


def accepts(**options: Any) -> bool:
    """Whether this version's encoder has these options and takes these values."""
    try:
        nnr.EncoderConfig(**options)
    except (TypeError, ValueError):
        return False
    return True


def our_variants(extra: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Options by name: no rate term, the default, presets, weights of the rate, and what was asked for."""
    variants: dict[str, dict[str, Any]] = {OURS_PLAIN: {"lambda_scale": 0.0}}
    if accepts(lambda_scale=0.5):
        variants |= {f"nnr, lambda {x:g}": {"lambda_scale": x} for x in LAMBDAS}
    if accepts(effort="best"):
        variants["nnr, effort best"] = {"effort": "best"}
    if accepts(effort="best", vector_bits=0):
        variants["nnr, effort best, vectors at qp -75"] = {"effort": "best", "vector_bits": 0}
    for text in extra:
        name, _, options = text.partition("=")
        variants[name] = json.loads(options)
    return variants


def curve_groups(variants: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names of the curves that are compared, and the variants of which each is the best."""
    peer = {PEER_DEFAULT: [PEER_DEFAULT], PEER_BEST: [f"NNCodec, lambda {x:g}" for x in (0.0, *LAMBDAS)]}
    lambdas = [f"nnr, lambda {x:g}" for x in LAMBDAS]
    ours = {name: [name] for name in variants if name not in lambdas}
    if lambdas[0] in variants:
        ours[OURS_BEST] = [OURS_PLAIN, *lambdas]
    return peer | ours


# -------------------------------------------------------------------------------------------- measuring


def load_model(file: str, left_out: Sequence[str]) -> dict[str, np.ndarray]:
    """The float tensors of a model."""
    tensors = load_tensors(data_folder() / f"{file}.safetensors")
    return {n: a for n, a in tensors.items() if a.dtype.kind == "f" and n not in left_out}


def squared_errors(model: Model, decoded: Model) -> tuple[float, float]:
    """Sum of squared errors of all tensors, and of those with two or more dimensions."""
    every = weights = 0.0
    for name, array in model.items():
        error = (array.astype(np.float64) - decoded[name]).reshape(-1)
        every += float(error @ error)
        weights += float(error @ error) if array.ndim >= 2 else 0.0
    return every, weights


def point(model: Model, data: bytes, qp: int, weight_bytes: int) -> dict[str, Any]:
    """A stream as a point: sizes and errors."""
    every, weights = squared_errors(model, nnr.decode(data))
    errors = (float(f"{error:.6g}") for error in (every, weights))
    return dict(zip(FIELDS, (qp, len(data), weight_bytes, *errors)))


def our_point(model: Model, qp: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """A stream of ours; of a block, each tensor's share counts."""
    stream = encode_stream(model, nnr.EncoderConfig(qp=qp, metadata=False, **options))
    shares = sum(t.coded_bytes for t in stream.report.tensors if len(t.shape) >= 2)
    return point(model, stream.tobytes(), qp, shares)


def peer_point(model: Model, data: bytes, qp: int) -> dict[str, Any]:
    """A stream of NNCodec's, which has one unit for each tensor."""
    sizes = [
        unit.size
        for unit in read_units(data)
        if unit.unit_type == NnrUnitType.NNR_NDU and len(unit.header.unit_header.tensor_dimensions) >= 2
    ]
    return point(model, data, qp, sum(sizes))


def choose_qps(model: Model) -> list[int]:
    """Quantization parameters from about 4.6 down to 0.4 bits per weight of the plain trellis."""
    elements = sum(a.size for a in model.values())

    def bits(qp: int) -> float:
        return 8 * len(nnr.encode(model, qp=qp, lambda_scale=0.0, metadata=False)) / elements

    vectors = sum(a.size for a in model.values() if a.ndim < 2)
    floor = bits(40)  # all weights zero: what remains are vectors and headers
    low, high = -60, 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if bits(middle) > _FINEST_BITS else (low, middle)
    qps = [high]
    while bits(qps[-1]) > max(_COARSEST_BITS, floor + 0.02) and vectors < elements and len(qps) < 24:
        qps.append(qps[-1] + _QP_STEP)
    return qps


def measure_points(
    name: str, file: str, model: Model, qps: Sequence[int], variants: Mapping[str, dict[str, Any]],
    peer: Peer | None, cache: Cache,
) -> dict[str, list[dict[str, Any]]]:  # fmt: skip
    """Points by variant."""
    content = hashlib.sha256(b"".join(n.encode() + a.tobytes() for n, a in model.items())).hexdigest()[:12]
    points: dict[str, list[dict[str, Any]]] = {}
    for variant, options in variants.items():
        points[variant] = []
        for qp in qps:
            key = (content, CODE, options, qp)
            known = cache.get(*key)
            if known is None:
                known = cache.put(our_point(model, qp, options), *key)
            points[variant].append(known)
        print(f"{name}: {variant}", flush=True)
    for scale in (0.0, *LAMBDAS):
        variant = f"NNCodec, lambda {scale:g}"
        points[variant] = []
        for k, qp in enumerate(qps):
            key = (content, PEER, PEER_SETTINGS, scale, qp)
            known = cache.get(*key)
            if known is None:
                if peer is None:
                    break
                data = peer.encode(model, qp=qp, lambda_scale=scale, **PEER_SETTINGS).data
                known = cache.put(peer_point(model, data, qp), *key)
                if k == len(qps) // 2 and not same_tensors(
                    peer.decode(data).tensors or {}, nnr.decode(data, form="coded")
                ):
                    sys.exit(f"{name}: the two decoders differ on {variant} at qp {qp}")
            points[variant].append(known)
        print(f"{name}: {variant}", flush=True)
    points[PEER_DEFAULT] = points["NNCodec, lambda 0"]
    return points


def peer_reads(model: Model, qps: Sequence[int], variants: Mapping[str, dict[str, Any]], peer: Peer) -> bool:
    """Whether NNCodec decodes a stream of each variant to what our decoder makes of it."""
    for options in variants.values():
        data = nnr.encode(model, qp=qps[len(qps) // 2], metadata=False, **options)
        if not same_tensors(peer.decode(data).tensors or {}, nnr.decode(data, form="coded")):
            return False
    return True


def quantize_seconds(model: Model, options: Mapping[str, Any]) -> float:
    """CPU seconds of our quantizer alone."""
    prepared = Preparation(model, nnr.EncoderConfig(**options), threads=1)
    seconds = 0.0
    for part in prepared.quantized():
        values, job = extract(part.carrier), tensor_job(part, prepared.config)
        started = time.thread_time()
        prepared.quantizer.quantize(values, job)
        seconds += time.thread_time() - started
    return seconds


def measure_times(model: Model, qps: Sequence[int], peer: Peer, repeats: int) -> list[dict[str, Any]]:
    """Nanoseconds per weight of both codecs, with and without a rate term, at several qps."""
    elements = sum(a.size for a in model.values())
    ours = {"plain": {"lambda_scale": 0.0}}
    if accepts(lambda_scale=0.5):
        ours["rate"] = {"lambda_scale": 0.5}
    rows = []
    for qp in qps:
        seconds: dict[str, list[float]] = {}

        def took(what: str, value: float, seconds: dict[str, list[float]] = seconds) -> None:
            seconds.setdefault(what, []).append(value)

        bits = 0.0
        for _ in range(repeats):
            for kind, scale in (("plain", 0.0), ("rate", 0.5)):
                answer = peer.encode(model, qp=qp, lambda_scale=scale, **PEER_SETTINGS)
                took(f"peer_{kind}", answer.cpu_seconds)
                took(f"peer_{kind}_quantizer", peer.quantize(model, qp=qp, lambda_scale=scale))
                if kind == "plain":
                    bits = 8 * len(answer.data) / elements
                if kind in ours:
                    started = time.thread_time()
                    nnr.encode(model, qp=qp, threads=1, metadata=False, **ours[kind])
                    took(kind, time.thread_time() - started)
                    took(f"{kind}_quantizer", quantize_seconds(model, {"qp": qp, **ours[kind]}))
        nanoseconds = {what: 1e9 * statistics.median(values) / elements for what, values in seconds.items()}
        rows.append({"qp": qp, "bits_per_weight": bits, "repeats": repeats, "nanoseconds": nanoseconds})
    return rows


# ---------------------------------------------------------------------------------------------- results


def load_entries(path: Path) -> dict[str, Any]:
    """What an earlier run wrote, by model."""
    if not path.exists():
        return {}
    entries: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["models"]
    for entry in entries.values():
        for name, rows in entry["points"].items():
            entry["points"][name] = [dict(zip(FIELDS, row)) for row in rows]
    return entries


def save_entries(path: Path, entries: Mapping[str, Any]) -> None:
    """All entries as JSON, a point of a curve in one line."""
    models = {}
    for name, entry in entries.items():
        points = {n: [[p[field] for field in FIELDS] for p in rows] for n, rows in entry["points"].items()}
        models[name] = {**entry, "points": points}
    settings = {"peer_settings": PEER_SETTINGS, "range": RANGE, "places": PLACES, "point": FIELDS}
    text = json.dumps({**settings, "models": models}, indent=1)
    text = re.sub(r"\[\s+([^][{}]*?)\s+\]", lambda m: f"[{' '.join(m[1].split())}]", text)
    path.write_text(text + "\n", encoding="utf-8")


def curves_of(entry: Mapping[str, Any], names: Sequence[str], part: str = "") -> list[Curve]:
    """The curves of some variants of a model; `part` is empty, or "weight_" for those tensors alone."""
    return [
        Curve.through((p[f"{part}bytes"], p[f"{part}squared_error"]) for p in entry["points"][name])
        for name in names
    ]


def compare(entry: Mapping[str, Any], groups: Mapping[str, list[str]]) -> dict[str, Any]:
    """Differences in size at equal squared error, for each curve, against NNCodec's default and best."""
    result: dict[str, Any] = {}
    for name, members in groups.items():
        found: dict[str, Any] = {}
        for part, elements in (("", entry["elements"]), ("weight_", entry["weights"])):
            tested = curves_of(entry, members, part)
            anchors = {"default": curves_of(entry, [PEER_DEFAULT], part)}
            anchors["best"] = anchors["default"] + curves_of(entry, groups[PEER_BEST], part)
            sizes = (RANGE[0] * elements / 8, RANGE[1] * elements / 8)
            for anchor, curves in anchors.items():
                bd, share = bd_rate(curves, tested, sizes)
                found[f"{part}bd_{anchor}"], found[f"{part}share"] = _plain(bd), share
                found[f"{part}at_{anchor}"] = [
                    _plain(difference(curves, tested, b * elements / 8)) for b in PLACES
                ]
        found["worst"] = worst(entry, members)
        result[name] = found
    return result


def worst(entry: Mapping[str, Any], members: Sequence[str]) -> float | None:
    """The largest difference in size of any measured point to NNCodec's default at its error, in percent."""
    anchor = curves_of(entry, [PEER_DEFAULT])[0]
    tested = curves_of(entry, members)
    errors = np.array([math.log(p["squared_error"]) for name in members for p in entry["points"][name]])
    gap = envelope(tested, errors) - anchor(errors)
    known = gap[~np.isnan(gap)]
    return 100 * math.expm1(float(known.max())) if known.size else None


def _plain(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)


def percent(value: float | None, share: float = 1.0) -> str:
    """For a table, with a star where curves reach only a share of the range."""
    return "-" if value is None else f"{value:+.1f} %{'*' if share < 0.98 else ''}"


def ordered(entries: Mapping[str, Any]) -> list[Any]:
    """Entries in the order of `MODELS`."""
    return [entries[name] for name, _, _ in MODELS if name in entries]


def summary_table(entries: Mapping[str, Any]) -> str:
    """Mean differences in size, one model a line."""
    rows = ordered(entries)
    names = list(dict.fromkeys(n for e in rows for n in e["compared"] if n != PEER_DEFAULT))
    head = ["model", "weights", *names]
    lines = []
    for entry in rows:
        compared = entry["compared"]
        cells = [
            f"{percent(compared[n]['bd_default'], compared[n]['share'])} "
            f"({percent(compared[n]['weight_bd_default'], compared[n]['weight_share'])})"
            if n in compared else "-" for n in names
        ]  # fmt: skip
        lines.append([entry["model"], f"{entry['elements']:,}", *cells])
    return markdown_table(head, lines)


def against_best_table(entries: Mapping[str, Any]) -> str:
    """Ours against the best of NNCodec's at each error."""
    rows = ordered(entries)
    names = list(dict.fromkeys(n for e in rows for n in e["compared"] if not n.startswith("NNCodec")))
    lines = []
    for entry in rows:
        compared = entry["compared"]
        cells = [
            percent(compared[n]["bd_best"], compared[n]["share"]) if n in compared else "-" for n in names
        ]
        lines.append([entry["model"], *cells])
    return markdown_table(["model", *names], lines)


def places_table(entries: Mapping[str, Any]) -> str:
    """Differences at fixed sizes of NNCodec's default, one model and curve a line."""
    lines = []
    for entry in ordered(entries):
        for name, found in entry["compared"].items():
            if name != PEER_DEFAULT:
                lines.append([entry["model"], name, *map(percent, found["at_default"])])
    return markdown_table(["model", "curve", *(f"{b:g}" for b in PLACES)], lines)


def times_table(entries: Mapping[str, Any]) -> str:
    """Nanoseconds per weight and their ratios."""
    lines = []
    for entry in ordered(entries):
        for row in entry.get("times", ()):
            ns = row["nanoseconds"]
            line = [entry["model"], f"{row['bits_per_weight']:.2f}"]
            for kind in ("plain", "rate"):
                for what in (kind, f"{kind}_quantizer"):
                    mine, theirs = ns.get(what), ns[f"peer_{what}"]
                    line += [f"{theirs:,.0f}", "-", "-"] if mine is None else [
                        f"{theirs:,.0f}", f"{mine:,.0f}", f"{theirs / mine:.1f}"
                    ]  # fmt: skip
            lines.append(line)
    head = ["model", "bits/weight"]
    for what in ("encode", "quantize", "encode, rate term", "quantize, rate term"):
        head += [f"{what}: NNCodec", "nnr", "times as fast"]
    return markdown_table(head, lines)


def plots(entries: Mapping[str, Any], page: Path) -> None:
    """Two pictures beside the page: the curves, and the differences at equal squared error."""
    absolute, relative = [], []
    for entry in ordered(entries):
        elements, groups = entry["elements"], entry["groups"]
        default = curves_of(entry, [PEER_DEFAULT])[0]
        error = np.linspace(default.error[0], default.error[-1], 120)
        lines: dict[str, list[tuple[float, float]]] = {}
        gaps: dict[str, list[tuple[float, float]]] = {}
        anchor = np.exp(default(error)) * 8 / elements
        for name, members in groups.items():
            bits = np.exp(envelope(curves_of(entry, members), error)) * 8 / elements
            good = ~np.isnan(bits) & (anchor <= 4) & (anchor >= 0.5)
            per_weight = np.exp(error) / entry["energy"]
            lines[name] = [(100 * e, b) for e, b, g in zip(per_weight, bits, good) if g and 0.25 <= b <= 4]
            change = 100 * (bits / anchor - 1)
            gaps[name] = [(a, c) for a, c, g in zip(anchor, change, good) if g and -40 <= c <= 10]
        shares = [x for line in lines.values() for x, _ in line]
        decades = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
        ticks = [t for t in decades if min(shares) / 3 < t < max(shares) * 3]
        absolute.append(Panel(entry["model"], lines, ticks, (0.25, 0.5, 1, 2, 4), y_log=True))
        places = (0.5, 0.75, 1, 1.5, 2, 3, 4)
        relative.append(Panel(entry["model"], gaps, places, (-40, -30, -20, -10, 0, 10)))
    write_svg(
        page.with_name("rate-distortion-curves.svg"), absolute,
        "squared error, % of the weights' energy", "bits per weight",
    )  # fmt: skip
    write_svg(
        page.with_name("rate-distortion-difference.svg"), relative,
        "bits per weight of NNCodec's default at the same error", "size against it, %",
    )  # fmt: skip


def main() -> int:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="*", help="only these (file names without extension)")
    parser.add_argument("--qps", type=int, nargs="*", help="these instead of those found for each model")
    parser.add_argument(
        "--ours", action="append", default=[], metavar="NAME=JSON",
        help='another variant, as in \'dead zone={"pipeline": ["dead_zone"]}\'',
    )  # fmt: skip
    parser.add_argument("--repeats", type=int, default=3, help="of the times; 0 keeps earlier ones")
    parser.add_argument("--docs", type=Path, help="page to put tables into; JSON and plots go beside it")
    args = parser.parse_args()
    python = find_peer()
    if python is None:
        print("skipped: no NNCodec; `make interop` installs it, or set NNR_PEER_PYTHON")
        return 0
    cache, variants = Cache(FOLDER / "rd.jsonl"), our_variants(args.ours)
    groups = curve_groups(variants)
    path = args.docs.with_suffix(".json") if args.docs else None
    entries = load_entries(path) if path else {}
    new: dict[str, Any] = {}
    with Peer(python) as peer:
        for name, file, left_out in MODELS:
            if args.models and file not in args.models:
                continue
            if not (data_folder() / f"{file}.safetensors").exists():
                print(f"skipped: {data_folder()} has no {file}.safetensors")
                continue
            model = load_model(file, left_out)
            qps = args.qps or choose_qps(model)
            entry: dict[str, Any] = {
                "model": name, "file": file, "left_out": list(left_out), "machine": machine(), "qps": qps,
                "elements": sum(a.size for a in model.values()),
                "weights": sum(a.size for a in model.values() if a.ndim >= 2),
                "energy": squared_errors(model, {n: np.zeros_like(a) for n, a in model.items()})[1],
                "variants": variants, "groups": groups,
            }  # fmt: skip
            entry["points"] = measure_points(name, file, model, qps, variants, peer, cache)
            entry["peer_reads_ours_exactly"] = peer_reads(model, qps, variants, peer)
            entry["compared"] = compare(entry, groups)
            if args.repeats:
                thirds = [qps[len(qps) * k // 8] for k in (2, 4, 6)]
                entry["times"] = measure_times(model, thirds, peer, args.repeats)
            elif "times" in entries.get(name, {}):
                entry["times"] = entries[name]["times"]
            new[name] = entry
            if path:
                entries[name] = entry
                save_entries(path, entries)
    entries |= new
    shown = entries if args.docs else new
    for text in (summary_table(shown), against_best_table(shown), places_table(shown), times_table(shown)):
        print(text, end="\n\n")
    for entry in new.values():
        worst_of_ours = {n: percent(f["worst"]) for n, f in entry["compared"].items() if "NNCodec" not in n}
        print(f"{entry['model']}: largest point against NNCodec's default at equal error: {worst_of_ours}; "
              f"NNCodec reads ours: {entry['peer_reads_ours_exactly']}")  # fmt: skip
    if args.docs and entries:
        replace_block(args.docs, "bd", summary_table(entries))
        replace_block(args.docs, "against_best", against_best_table(entries))
        replace_block(args.docs, "places", places_table(entries))
        replace_block(args.docs, "times", times_table(entries))
        plots(entries, args.docs)
    return 0 if all(e["peer_reads_ours_exactly"] for e in new.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
