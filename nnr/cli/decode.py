"""Decode a bitstream, or a base model and its updates, to a model file.

An existing OUT is not overwritten unless -f is given.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

import nnr

from ..formats import FORMATS
from .containers import add_into, check_into, notes_on, write_container
from .errors import CommandError, UsageError, about
from .options import add_limits, add_threads, limits
from .progress import Progress
from .streams import (
    STDIO,
    add_out_of_band,
    add_output_arguments,
    bitstream_input,
    check_output,
    model_format,
    read_out_of_band,
)
from .text import count, one_line, print_line

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "decode a bitstream to a model file"
EXAMPLES = (
    "nnr decode model.nnr -o decoded.safetensors",
    "nnr decode model.nnr update1.nnr update2.nnr -o round2.npz",
    "nnr decode - -o - --format npz < model.nnr > decoded.npz",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "input, output": "the names as given; `input` is a list",
    "tensors": "an object for each tensor written: `name`, `shape`, `dtype`",
    "notes": "what was done unasked",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr decode`."""
    parser.add_argument("base", metavar="BASE", help="bitstream of a model; `-` is standard input")
    parser.add_argument("updates", metavar="UPDATE", nargs="*", help="bitstreams of its updates, in order")
    add_output_arguments(parser, f"model file to write, .{', .'.join(FORMATS)}")
    parser.add_argument("--format", choices=FORMATS, help="format of OUT (default: by its name)")
    parser.add_argument(
        "--raw", action="store_true", help="the tensors of the last bitstream as carried, not accumulated"
    )
    parser.add_argument(
        "--form", choices=("plain", "coded"), default="plain",
        help="plain: parameters as a framework loads them; coded: every coded tensor under its own id "
        "(default: plain)",
    )  # fmt: skip
    add_into(parser)
    add_out_of_band(parser)
    add_limits(parser)
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print what was decoded as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")
    add_threads(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr decode`."""
    streams = [args.base, *args.updates]
    if streams.count(STDIO) > 1:
        raise UsageError("decode: `-` can stand for one bitstream only")
    if args.output == STDIO and args.json:
        raise UsageError("decode: --json and -o - both want standard output")
    if args.form == "coded" and args.updates and not args.raw:
        raise UsageError("decode: --form coded of several bitstreams needs --raw")
    format_name = model_format(args.output, args.format)
    check_into(args, format_name)
    out_of_band = read_out_of_band(args)
    check_output(args.output, force=args.force, inputs=[*streams, *filter(None, [args.into])])
    tensors, topology = _decode(streams, args, out_of_band)
    with about(args.base):
        notes = notes_on(topology, args, format_name)
    report = getattr(tensors, "report", None)  # of a stream, not of a model
    if report is not None and report.update and not args.raw:
        notes = [*notes, f"{args.base} is an update, and its base is not given: the tensors are differences"]
    write_container(tensors, topology, args, format_name)
    if args.json:
        rows = [{"name": n, "shape": list(a.shape), "dtype": a.dtype.name} for n, a in tensors.items()]
        print_line(json.dumps({"input": streams, "output": args.output, "tensors": rows, "notes": notes}))
    elif not (args.quiet or args.output == STDIO):
        weights = sum(a.size for a in tensors.values())
        print_line(f"{args.output}: {count(len(tensors), 'tensor')}, {count(weights, 'weight')}")
        for note in notes:
            print_line(f"note: {note}")
    elif not args.quiet and sys.stderr is not None:
        for note in notes:
            print(one_line(f"nnr: note: {note}"), file=sys.stderr)
    return 0


def _decode(
    streams: list[str], args: argparse.Namespace, out_of_band: Mapping[str, Any] | None
) -> tuple[Mapping[str, np.ndarray], nnr.Topology | None]:
    """Tensors of the last stream, or the model after it, and the topology of the first."""
    topology = None
    decoder = nnr.Decoder(threads=args.threads, limits=limits(args))
    for number, name in enumerate(streams, 1):
        last = number == len(streams)
        with Progress(wanted=not (args.quiet or args.no_progress)) as progress, about(name):
            tensors = decoder.decode(
                bitstream_input(name),
                form=args.form,
                out_of_band=out_of_band if last else None,
                progress=progress,
            )
            if number == 1 and args.form == "plain" and not args.raw:
                topology = tensors.report.topology
            if number > 1 and not tensors.report.update:
                raise CommandError(
                    f"{name}: a complete model, not an update; the first bitstream is the base, "
                    "its updates follow in order"
                )
    return tensors if args.raw or len(streams) == 1 else decoder.model, topology
