"""List every syntax element of a bitstream: bit offset, width in bits, path, descriptor, value.

A broken stream is listed as far as it can be read, with its violations at the end, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json

from ..syntax.describe import describe, trace_lines
from .errors import CommandError, about, one_line
from .streams import add_out_of_band, read_bitstream, read_out_of_band

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "list every syntax element with its place"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr trace`."""
    parser.add_argument("file", metavar="FILE", help="bitstream; `-` is standard input")
    parser.add_argument("--json", action="store_true", help="nested, as `nnr.describe` gives it")
    add_out_of_band(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr trace`."""
    data = read_bitstream(args.file)
    out_of_band = read_out_of_band(args)
    problem = None
    with about(args.file):
        if args.json:
            description = describe(data, out_of_band=out_of_band)
            print(json.dumps(description))
            problem = next((found["message"] for found in description["problems"]), None)
        else:
            for line in trace_lines(data, out_of_band=out_of_band):
                print(one_line(line))
                if line.startswith("! ") and problem is None:
                    problem = line[2:]
    if problem is not None:
        raise CommandError(f"{args.file}: {problem}")
    return 0
