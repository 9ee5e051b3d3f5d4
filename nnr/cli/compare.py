"""Compare two models, tensor by tensor. Exit status 1 if they differ.

A and B are bitstreams or model files of any supported format. Without --tolerance, everything must be equal:
names, shapes, dtypes and values; a NaN equals a NaN. With it, values may be off by that much, and dtypes may
differ.

Bytes are those of the payload in a bitstream, and of the array otherwise. The peak of the PSNR is the largest
magnitude in A.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import nnr

from ..comparison import Errors, TensorComparison, model_size, open_model
from .errors import UsageError, about
from .options import add_limits, limits, number
from .progress import Progress
from .streams import STDIO, model_source
from .text import count, decibels, folded, folded_table, one_line, print_line, screen_of, shape_text

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "compare two models tensor by tensor"
EXAMPLES = (
    "nnr compare model.safetensors model.nnr",
    "nnr compare model.safetensors decoded.safetensors --tolerance 0.01",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "a, b, tolerance": "names as given; null without a tolerance",
    "same, equal": "within the tolerance; equal in all respects",
    "size_a, size_b": "bytes of the files",
    "only_a, only_b": "names of tensors that only one has",
    "total": (
        "differences of all tensors together: `elements`, `finite` (those finite in both), "
        "`nonfinite` (NaN or infinite in one and not the same in the other), `max_error`, "
        "`rms_error`, `psnr` (dB), `cosine`; null stands for a number that is not finite, as the psnr "
        "without error"
    ),
    "tensors": (
        "an object for each name: `name`, `shape_a`, `shape_b`, `dtype_a`, `dtype_b`, `bytes_a`, "
        "`bytes_b` (null for the one that lacks it), `equal`, `errors` (as `total`; null where "
        "nothing can be subtracted)"
    ),
}

_HEAD = (
    "tensor", "shape", "dtype", "bytes A", "bytes B", "max error", "RMS error", "PSNR dB", "cosine", "result",
)  # fmt: skip
_RIGHT = {"bytes A", "bytes B", "max error", "RMS error", "PSNR dB", "cosine"}
_SPARE = ("dtype", "cosine", "shape", "RMS error", "bytes A", "bytes B")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr compare`."""
    parser.add_argument("a", metavar="A", help="bitstream or model file; `-` is standard input")
    parser.add_argument("b", metavar="B", help="bitstream or model file that is held against it")
    parser.add_argument(
        "--tolerance", metavar="X", type=_tolerance,
        help="largest absolute difference that still counts as the same (default: none, all must be equal)",
    )  # fmt: skip
    parser.add_argument("--all", action="store_true", help="all tensors, also if the terminal is too short")
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing but errors; the exit status tells"
    )
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")
    add_limits(parser)


def _tolerance(text: str) -> float:
    value = number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a difference of 0 or more")
    return value


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr compare`."""
    if args.a == args.b == STDIO:
        raise UsageError("compare: `-` can stand for one model only")
    with contextlib.ExitStack() as stack:
        sources, models = [], []
        for name in (args.a, args.b):
            with about(name):
                sources.append(model_source(name))
                models.append(_Model(name, stack.enter_context(open_model(sources[-1], limits=limits(args)))))
        with Progress(wanted=not (args.quiet or args.no_progress), unit="tensor") as progress:
            report = nnr.compare(*models, progress=progress)
    report.size_a = model_size(sources[0], report.size_a)
    report.size_b = model_size(sources[1], report.size_b)
    same = report.within(args.tolerance)
    if args.json:
        facts = {"a": args.a, "b": args.b, "tolerance": args.tolerance, "same": same, **report.as_dict()}
        print_line(json.dumps(facts))
    elif not args.quiet:
        _print_report(report, args)
    return 0 if same else 1


class _Model(Mapping[str, Any]):
    """Tensors of a file, whose name is in the errors of reading them."""

    def __init__(self, name: str, tensors: Mapping[str, Any]) -> None:
        self._name, self._tensors = name, tensors

    def __getitem__(self, name: str) -> Any:
        with about(self._name):
            return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def info(self, name: str) -> Mapping[str, Any]:
        """What the file says of a tensor."""
        info = getattr(self._tensors, "info", None)
        return {} if info is None else info(name)


def _print_report(report: nnr.CompareReport, args: argparse.Namespace) -> None:
    screen = screen_of(sys.stdout)
    closing = [
        part
        for line in (
            f"A           {args.a}: {count(report.size_a, 'byte')}",
            f"B           {args.b}: {count(report.size_b, 'byte')}",
            f"result      {_conclusion(report, args.tolerance)}",
        )
        for part in folded(line, screen, 12)
    ]
    tensors, hidden = report.tensors, 0
    if screen is not None and not args.all:
        room = screen.lines - len(closing) - 4  # titles, the rest, the total, and the next prompt
        tensors = _worst(report.tensors, args.tolerance, max(5, room))
        hidden = len(report.tensors) - len(tensors)
    rows = [_row(tensor, args.tolerance) for tensor in tensors]
    if hidden:
        rows.append([f"... {hidden:,} no worse; --all", *[""] * (len(_HEAD) - 1)])
    total = _errors_cells(report.total if any(t.errors for t in report.tensors) else None)
    bytes_a, bytes_b = (sum(getattr(t, side) or 0 for t in report.tensors) for side in ("bytes_a", "bytes_b"))
    rows.append(["total", f"{report.total.elements:,}", "", f"{bytes_a:,}", f"{bytes_b:,}", *total, ""])
    for line in folded_table(_HEAD, rows, _RIGHT, screen, spare=_SPARE):
        print_line(line)
    for line in closing:
        print_line(line)


def _worst(tensors: list[TensorComparison], tolerance: float | None, room: int) -> list[TensorComparison]:
    """At most `room` of the tensors, in their order: those that differ, then those of the largest error."""

    def rank(at: int) -> tuple[bool, float, int]:
        errors = tensors[at].errors
        size = math.inf if errors is None or errors.nonfinite else errors.max_error
        return tensors[at].within(tolerance), -size, at

    shown = sorted(range(len(tensors)), key=rank)[:room]
    return [tensors[at] for at in sorted(shown)]


def _row(tensor: TensorComparison, tolerance: float | None) -> list[str]:
    return [
        one_line(tensor.name),
        _both(tensor.shape_a, tensor.shape_b, shape_text),
        _both(tensor.dtype_a, tensor.dtype_b, str),
        *("-" if size is None else f"{size:,}" for size in (tensor.bytes_a, tensor.bytes_b)),
        *_errors_cells(tensor.errors),
        _result(tensor, tolerance),
    ]


def _both(a: Any, b: Any, text: Any) -> str:
    """What the two have, once where it is the same or only one has it."""
    if a is None or b is None or a == b:
        return str(text(b if a is None else a))
    return f"{text(a)} / {text(b)}"


def _errors_cells(errors: Errors | None) -> list[str]:
    if errors is None:
        return ["-"] * 4
    cosine = "-" if math.isnan(errors.cosine) else f"{errors.cosine:.6f}"
    return [f"{errors.max_error:.4g}", f"{errors.rms_error:.4g}", decibels(errors.psnr), cosine]


def _result(tensor: TensorComparison, tolerance: float | None) -> str:
    if tensor.equal:
        return "equal"
    if tensor.shape_b is None or tensor.shape_a is None:
        return "only in A" if tensor.shape_b is None else "only in B"
    if tensor.shape_a != tensor.shape_b:
        return "other shape"
    if tensor.errors is not None and tensor.errors.nonfinite:
        return f"{tensor.errors.nonfinite:,} NaN or inf"
    if tensor.within(tolerance):
        return "within"
    if tensor.errors is not None and tensor.errors.max_error == 0:
        return "other dtype"
    return "differs"


def _conclusion(report: nnr.CompareReport, tolerance: float | None) -> str:
    equal = sum(t.equal for t in report.tensors)
    differ = sum(not t.within(tolerance) for t in report.tensors)
    parts = [f"{equal:,} equal"]
    if tolerance is not None:
        parts.append(f"{len(report.tensors) - equal - differ:,} within {tolerance:g}")
    parts.append(f"{differ:,} different")
    sides = f" ({len(report.only_a):,} only in A, {len(report.only_b):,} only in B)"
    shown = sides if report.only_a or report.only_b else ""
    return f"{count(len(report.tensors), 'tensor')}: {', '.join(parts)}{shown}"
