"""List every syntax element of a bitstream: bit offset, width in bits, path, descriptor, value.

A broken stream is listed as far as it can be read, with its violations at the end, and the exit status is 1.
"""

from __future__ import annotations

import argparse

from ..decoder.bins import trace_bins
from ..decoder.decode import Decoder
from ..decoder.entropy import BinEvent
from ..syntax.describe import describe, trace_lines
from ..syntax.stream import NnrUnit
from .errors import CommandError, UsageError, about, as_limits
from .options import add_limits, limits
from .streams import add_out_of_band, read_bitstream, read_out_of_band
from .text import print_json, print_line

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "list every syntax element with its place"
EXAMPLES = (
    "nnr trace model.nnr",
    "nnr trace model.nnr --bins | head -n 40",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "size": "bytes",
    "units": (
        "an object for each: `index`, `name`, `type`, `byte_offset`, `size`, `depth`, `elements`; an "
        "element has `name`, `bit_offset`, `width`, `descriptor`, `value`, `clause`, or is a "
        "structure with `elements` of its own"
    ),
    "problems": "an object for each violation, with `message` and its place",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr trace`."""
    parser.add_argument("file", metavar="FILE", help="bitstream; `-` is standard input")
    parser.add_argument("--json", action="store_true", help="nested, as `nnr.describe` gives it")
    parser.add_argument(
        "--bins",
        action="store_true",
        help="every bin of the arithmetic code instead: position, registers, context, element, value "
        "(slow: the readable reference decodes)",
    )
    parser.add_argument(
        "--base",
        metavar="FILE",
        nargs="+",
        default=[],
        help="with --bins: the streams before an update, in order (default: none)",
    )
    parser.add_argument(
        "--legacy",
        action="store_true",
        help="with --bins: profile 0 as the first software wrote it (32 escape flags)",
    )
    add_out_of_band(parser)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr trace`."""
    if args.bins and args.json:
        raise UsageError("trace: --json is for syntax elements; --bins lists its bins as lines only")
    if (args.base or args.legacy) and not args.bins:
        raise UsageError("trace: --base and --legacy need --bins")
    data = read_bitstream(args.file)
    out_of_band = read_out_of_band(args)
    problem = None
    if args.bins:
        return _bins(args, data)
    with about(args.file):
        if args.json:
            description = describe(data, out_of_band=out_of_band, limits=limits(args))
            print_json(description)
            problem = next((found["message"] for found in description["problems"]), None)
        else:
            for line in trace_lines(data, out_of_band=out_of_band, limits=limits(args)):
                line = as_limits(line)
                print_line(line)
                if line.startswith("! ") and problem is None:
                    problem = line[2:]
    if problem is not None:
        raise CommandError(f"{args.file}: {as_limits(problem)}")
    return 0


def _bins(args: argparse.Namespace, data: bytes) -> int:
    """One line for each bin of every data unit."""
    out_of_band = read_out_of_band(args)
    base = Decoder(limits=limits(args))
    for path in args.base:
        with about(path):
            base.decode(read_bitstream(path), out_of_band=out_of_band)

    def show(unit: NnrUnit, event: BinEvent) -> None:
        if event.number == 0:
            print_line(f"# unit {unit.index} {unit.name}")
            print_line("# bin P range offset context s0,s1 lps mps element = value")
        estimators = "-" if event.estimators is None else "{},{}".format(*event.estimators)
        lps, mps = ("-", "-") if event.lps is None else (event.lps, event.mps)
        where = event.context or event.kind
        cells = (event.number, event.P, event.range, event.offset, where, estimators, lps, mps)
        print_line(f"{' '.join(map(str, cells))} {event.element} = {event.value}")

    with about(args.file):
        trace_bins(
            data,
            show,
            base=base,
            out_of_band=out_of_band,
            escape_context_count=32 if args.legacy else 31,
            limits=limits(args),
        )
    return 0
