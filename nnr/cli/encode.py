"""Encode a model file as an NNR bitstream, or as an update of what earlier bitstreams hold.

An existing OUT is not overwritten unless -f is given. With --base, only the differences to the model that the
given bitstreams decode to are coded:

    nnr encode NEW.npz --base BASE.nnr [UPDATE.nnr ...] -o OUT.nnr
    nnr decode BASE.nnr [UPDATE.nnr ...] OUT.nnr -o BACK.npz
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import nnr

from ..encoder.pipeline import EncodedStream, encode_stream
from ..encoder.report import EncodeReport, TensorReport
from ..errors import FormatError
from ..formats import FORMATS, atomic_output, folder_for_scratch, format_of
from .containers import add_with_topology, with_container
from .errors import CommandError, UsageError, about, as_flags, as_limits, describe
from .options import add_config_options, add_limits, add_threads, limits, make_config
from .progress import Progress
from .streams import (
    STDIO,
    about_output,
    add_output_arguments,
    bitstream_input,
    check_output,
    read_model,
    report_line,
    write_stdout,
)
from .text import count, decibels, folded, folded_table, one_line, print_line, screen_of, shape_text

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "encode a model file as a bitstream"
EXAMPLES = (
    "nnr encode model.safetensors -o model.nnr",
    "nnr encode model.safetensors -o model.nnr --target-size 1.2MB",
    "nnr encode round1.npz --base model.nnr -o update1.nnr",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "input, output": "the names as given",
    "total_bytes, original_bytes": "size of the bitstream, of the tensors in memory",
    "weights, bits_per_weight, ratio": (
        "number of weights, 8 total_bytes / weights, original_bytes / total_bytes"
    ),
    "squared_error, max_error, psnr": (
        "sum of squared differences, largest difference, peak signal-to-noise ratio in dB of all "
        "tensors together, the last of those with errors; null without any"
    ),
    "seconds": "time of encoding",
    "notes": "what was done unasked, for the stream as a whole",
    "tensors": (
        "an object for each: `name`, `shape`, `dtype`, `weights`, `original_bytes`, `coded_bytes` "
        "(headers included), `tool`, `qp` (null where nothing was quantized), `seconds`, "
        "`squared_error`, `max_error`, `peak` (largest magnitude), `bits_per_weight`, `psnr`, `notes`"
    ),
}

_HEAD = ("tensor", "shape", "tool", "qp", "bits/weight", "PSNR dB", "bytes")
_RIGHT = {"qp", "bits/weight", "PSNR dB", "bytes"}
_SPARE = ("qp", "shape", "tool", "PSNR dB")
_NOTES_SHOWN = 10
_ROWS_WITHOUT_SCREEN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr encode`."""
    known = f"model file, .{', .'.join(FORMATS)}"
    parser.add_argument("input", metavar="IN", help=f"{known}; `-` is standard input")
    add_output_arguments(parser, "bitstream to write, usually NAME.nnr")
    parser.add_argument("--format", choices=FORMATS, help="format of IN (default: by its name)")
    parser.add_argument(
        "--base", metavar="BASE", nargs="+", default=[],
        help="behind IN: encode an update of these bitstreams, a model and its earlier updates in order "
        "(default: none)",
    )  # fmt: skip
    add_limits(parser)
    amount = parser.add_mutually_exclusive_group()
    amount.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    amount.add_argument(
        "-v", "--verbose", action="store_true",
        help="print all tensors and all notes, not the largest tensors and first notes only",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")
    add_with_topology(parser)
    add_threads(parser)
    add_config_options(parser, nnr.EncoderConfig)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr encode`."""
    to_stdout = args.output == STDIO
    if [args.input, *args.base].count(STDIO) > 1:
        raise UsageError("encode: `-` can stand for one input only")
    config = make_config(args, nnr.EncoderConfig)
    if args.format is None and args.input.lower().endswith(".nnr") and os.path.isfile(args.input):
        raise CommandError(f"{args.input}: a bitstream, not a model file; `nnr decode` makes one of it")
    check_output(args.output, force=args.force, inputs=[args.input, *args.base])
    base = _base(args)
    tensors = read_model(args.input, args.format, key=args.key)
    config, unasked = with_container(config, args, tensors)
    if args.base:
        _check_update(config)
    with Progress(wanted=not (args.quiet or args.no_progress)) as progress, about(args.input):
        measure = args.json or _wants_table(args)
        spool = tempfile.gettempdir() if to_stdout else folder_for_scratch(args.output)
        stream = _encode(
            tensors, config, base, threads=args.threads, progress=progress, measure=measure, spool=spool
        )
    stream.report.notes[:0] = unasked
    with contextlib.closing(stream):
        if to_stdout:
            for unit in stream.units:
                write_stdout(unit)
        else:
            with about_output(args.output), atomic_output(args.output, overwrite=args.force) as file:
                file.writelines(stream.units)
    if args.json:
        report_line(
            json.dumps({"input": args.input, "output": args.output, **stream.report.as_dict()}), args.output
        )
    elif not args.quiet:
        if _looks_like_model(args.output):
            stream.report.notes.append("OUT is a bitstream, whatever its name says; NAME.nnr is usual")
        _print_report(stream.report, args)
    return 0


def _looks_like_model(name: str) -> bool:
    try:
        return bool(format_of(name))
    except FormatError:
        return False


def _check_update(config: nnr.EncoderConfig) -> None:
    try:
        nnr.Encoder(config)
    except (ValueError, TypeError) as error:
        raise UsageError(f"encode: --base: {describe(error)}") from error


def _base(args: argparse.Namespace) -> nnr.Decoder | None:
    """A decoder that has decoded the streams of `--base`, or None."""
    if not args.base:
        return None
    decoder = nnr.Decoder(threads=args.threads, limits=limits(args))
    for name in args.base:
        with about(name):
            decoder.decode(bitstream_input(name))
    return decoder


def _encode(
    tensors: Mapping[str, np.ndarray],
    config: nnr.EncoderConfig,
    base: nnr.Decoder | None,
    *,
    threads: int | None,
    progress: Progress,
    measure: bool,
    spool: str,
) -> EncodedStream:
    """What `nnr.encode` does, with the report."""
    if base is not None:
        return nnr.Encoder(config, base=base, threads=threads).stream_update(tensors, progress=progress)
    return encode_stream(tensors, config, threads=threads, progress=progress, measure=measure, spool=spool)


def _report_stream(args: argparse.Namespace) -> Any:
    """Standard output, or where that carries the bitstream, standard error."""
    return sys.stderr if args.output == STDIO else sys.stdout


def _wants_table(args: argparse.Namespace) -> bool:
    """Beside a stream in a pipe, only what was done unasked is said."""
    beside = args.output == STDIO and screen_of(sys.stderr) is None
    return not args.quiet and (args.verbose or not beside)


def _print_report(report: EncodeReport, args: argparse.Namespace) -> None:
    """Table, summary and notes; beside a stream in a pipe, only the notes, on standard error."""
    notes = [f"note: {as_flags(as_limits(note))}" for note in report.notes]
    notes += [f"note: tensor {t.name!r}: {note}" for t in report.tensors for note in t.notes]
    if not args.verbose and len(notes) > _NOTES_SHOWN:
        hidden = len(notes) - _NOTES_SHOWN
        notes[_NOTES_SHOWN:] = [f"note: ... and {count(hidden, 'more note')}; -v shows all"]
    if args.output == STDIO:
        lines = [f"nnr: {line}" for line in notes]
        if _wants_table(args):
            lines = [*_tensor_table(report, args), f"nnr: {_summary(report)}", *lines]
        if sys.stderr is not None:
            for line in lines:
                print(one_line(line), file=sys.stderr)
        return
    for line in _tensor_table(report, args) if _wants_table(args) else []:
        print_line(line)
    for line in folded(f"{args.output}: {_summary(report)}", screen_of(sys.stdout), 2):
        print_line(line)
    for line in notes:
        print_line(line)


def _summary(report: EncodeReport) -> str:
    return (
        f"{count(len(report.tensors), 'tensor')}, {count(report.weights, 'weight')}: "
        f"{report.original_bytes:,} -> {count(report.total_bytes, 'byte')} "
        f"({report.ratio:.2f} times smaller, {report.bits_per_weight:.3f} bits per weight) "
        f"in {report.seconds:.2f} s"
    )


def _tensor_table(report: EncodeReport, args: argparse.Namespace) -> list[str]:
    """A line for each tensor, or on a short screen for the largest and one for the rest; the total."""
    screen = screen_of(_report_stream(args))
    shown = report.tensors
    if not args.verbose:
        shown = _largest(report.tensors, max(5, screen.lines - 8) if screen else _ROWS_WITHOUT_SCREEN)
    rows = [
        [one_line(t.name), shape_text(t.shape), t.tool, "-" if t.qp is None else str(t.qp), *_cells([t])]
        for t in shown
    ]
    if len(shown) < len(report.tensors):
        kept = {t.name for t in shown}
        rest = [t for t in report.tensors if t.name not in kept]
        weights = sum(t.weights for t in rest)
        rows.append([f"... {len(rest):,} smaller; -v", f"{weights:,}", "", "", *_cells(rest)])
    rows.append(["total", f"{report.weights:,}", "", "", *_cells(report.tensors)])
    return folded_table(_HEAD, rows, _RIGHT, screen, spare=_SPARE)


def _largest(tensors: list[TensorReport], room: int) -> list[TensorReport]:
    """At most `room` tensors, those of the most bytes, in their order."""
    if len(tensors) <= room:
        return tensors
    order = sorted(range(len(tensors)), key=lambda at: -tensors[at].coded_bytes)
    return [tensors[at] for at in sorted(order[:room])]


def _cells(tensors: Sequence[TensorReport]) -> list[str]:
    """Bits per weight, PSNR and bytes of the tensors together."""
    group = EncodeReport(list(tensors), total_bytes=sum(t.coded_bytes for t in tensors), seconds=0.0)
    return [f"{group.bits_per_weight:.3f}", decibels(group.psnr), f"{group.total_bytes:,}"]
