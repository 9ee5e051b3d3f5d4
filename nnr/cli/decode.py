"""Decode a bitstream, or a base model and its updates, to a model file.

An existing OUT is not overwritten unless -f is given.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

import nnr

from ..decoder.lazy import File
from ..formats import FORMATS, LazyTensors
from ..formats.tensors import Stored, stored_of
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
    report_line,
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
    parser.add_argument(
        "updates", metavar="UPDATE", nargs="*", default=[], help="bitstreams of its updates, in order"
    )
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
    if args.form == "coded" and args.updates and not args.raw:
        raise UsageError("decode: --form coded of several bitstreams needs --raw")
    format_name = model_format(args.output, args.format)
    check_into(args, format_name)
    out_of_band = read_out_of_band(args)
    check_output(args.output, force=args.force, inputs=[*streams, *filter(None, [args.into])])
    with contextlib.ExitStack() as stack:
        tensors, report = _decode(streams, args, out_of_band, format_name, stack)
        topology = report.topology if args.form == "plain" and not args.raw else None
        with about(args.base):
            notes = notes_on(topology, args, format_name)
        if report.update and len(streams) == 1 and not args.raw:
            notes = [
                *notes, f"{args.base} is an update, and its base is not given: the tensors are differences"
            ]  # fmt: skip
        write_container(tensors, topology, args, format_name)
        stored = {name: stored_of(tensors, name) for name in tensors}
    if args.json:
        rows = [{"name": n, "shape": list(t.shape), "dtype": t.dtype.name} for n, t in stored.items()]
        facts = {"input": streams, "output": args.output, "tensors": rows, "notes": notes}
        report_line(json.dumps(facts), args.output)
    elif not (args.quiet or args.output == STDIO):
        weights = sum(t.size for t in stored.values())
        print_line(f"{args.output}: {count(len(stored), 'tensor')}, {count(weights, 'weight')}")
        for note in notes:
            print_line(f"note: {note}")
    elif not args.quiet and sys.stderr is not None:
        for note in notes:
            print(one_line(f"nnr: note: {note}"), file=sys.stderr)
    return 0


class _Decoding(LazyTensors):
    """The tensors of a bitstream, decoded while they are written; errors name the bitstream."""

    def __init__(self, file: File, known: Mapping[str, Any], args: argparse.Namespace) -> None:
        super().__init__(
            {
                name: Stored(shape, dtype, partial(file.__getitem__, name))
                for name, (shape, dtype) in known.items()
            }
        )
        self._file = file
        self._args = args
        self._weights = sum(self.stored(name).size for name in self)
        self._done = 0

    def each(self, names: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        """Tensors in this order, decoded by all threads."""
        wanted = not (self._args.quiet or self._args.no_progress)
        with Progress(wanted=wanted) as progress, about(self._args.base):
            for name, array in self._file.decoded(names):
                self._done += array.size
                progress(self._done, self._weights, name)
                yield name, array
                del array  # before the next one is decoded


def _decode(
    streams: list[str],
    args: argparse.Namespace,
    out_of_band: Mapping[str, Any] | None,
    format_name: str,
    stack: contextlib.ExitStack,
) -> tuple[Mapping[str, np.ndarray], nnr.DecodeReport]:
    """Tensors of the last stream, or the model after it, and the report on the first stream.

    A complete model is decoded tensor by tensor where OUT is written so and the stream can be read so.

    Args:
        stack: holds files open until OUT is written.
    """
    one_by_one = format_name in ("safetensors", "npz") and args.form == "plain"
    if one_by_one and len(streams) == 1 and os.path.isfile(args.base):
        with about(args.base):
            file = stack.enter_context(
                nnr.open(args.base, out_of_band=out_of_band, limits=limits(args), threads=args.threads)
            )
            known, report = file.announced(), nnr.DecodeReport(topology=file.topology)
        if known is not None:
            return _Decoding(file, known, args), report
        stack.close()
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
            if number == 1:
                report = tensors.report
            if number > 1 and not tensors.report.update:
                raise CommandError(
                    f"{name}: a complete model, not an update; the first bitstream is the base, "
                    "its updates follow in order"
                )
    return tensors if args.raw or len(streams) == 1 else decoder.model, report
