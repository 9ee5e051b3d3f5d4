"""Run the conformance suite against a decoder, or see what the suite covers.

`nnr conformance run` puts every vector to this decoder, or with --decoder to any other program, and counts
what passes, fails, ends in an error, takes too long, and is not supported. Exit status 1 if anything fails,
ends
in an error or takes too long.

The command of --decoder has places that are filled in for each vector: {input} the bitstream; {output} the
.npz file to write, every coded tensor under its own id; {base} the bitstreams that come before, oldest first
(the word
is repeated for each, and is left out where there are none); {side} a JSON file of out-of-band parameters;
{levels} an .npz file that may receive the integers before dequantization. The program ends with 0, with 1 if
it refuses
the bitstream, or with 3 if it does not support what is in it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..conformance import Suite, find_manifest
from ..conformance import run as run_vectors
from ..conformance.coverage import measure
from ..conformance.runner import CommandDecoder, OwnDecoder, Result, UnderTest, Verdict, counts
from .errors import CommandError, UsageError, about
from .text import count, print_line

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "run the conformance suite against this decoder or another one"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr conformance`."""
    actions = parser.add_subparsers(metavar="ACTION", dest="action", parser_class=type(parser))
    runner = actions.add_parser("run", help="put the vectors to a decoder", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    _add_suite(runner)
    runner.add_argument(
        "--decoder", metavar="COMMAND", help='"cmd {input} {output} {base} {side}"; default: ours'
    )
    runner.add_argument(
        "--backend", choices=("c", "python"), default="c",
        help="ours: the C core, or the readable reference (default: c)",
    )  # fmt: skip
    runner.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for one vector (default: 60)"
    )
    runner.add_argument("--jobs", type=int, default=1, metavar="N", help="vectors at a time (default: 1)")
    coverage = actions.add_parser(
        "coverage", help="what the vectors exercise",
        description="What the vectors exercise: syntax elements, values, conditions, contexts and sections of the "
        "specification, with the gaps by name. With --core also lines and branches of the C decoder.",
    )  # fmt: skip
    _add_suite(coverage)
    coverage.add_argument(
        "--core", metavar="CHECKOUT", type=Path,
        help="a checkout of nnr: build its C core with gcc --coverage and count lines and branches",
    )  # fmt: skip


def _add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path,
        help="folder with manifest.json (default: that of the checkout, or of the package nnr-conformance)",
    )  # fmt: skip
    parser.add_argument("-k", metavar="NAME", default="", help="only vectors whose name contains NAME")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr conformance`."""
    if args.action is None:
        raise UsageError("conformance: run or coverage? (see `nnr conformance --help`)")
    where = str(args.folder or "conformance")
    with about(where):
        suite = _suite(args.folder)
    vectors = [vector for vector in suite if args.k in vector.name]
    if not vectors:
        raise CommandError(f"{where}: no vector has {args.k!r} in its name")
    if args.action == "coverage":
        found = measure(vectors, checkout=args.core)
        print_line(json.dumps(found.as_dict(), indent=1) if args.json else "\n".join(found.lines()))
        return 0
    if args.jobs < 1 or args.timeout <= 0:
        raise UsageError("conformance run: --jobs and --timeout must be positive")
    decoder: UnderTest
    try:
        decoder = CommandDecoder(args.decoder) if args.decoder else OwnDecoder(suite, backend=args.backend)
    except ValueError as error:
        raise UsageError(f"conformance run: --decoder: {error}") from None
    results = []
    for result in run_vectors(vectors, decoder, timeout=args.timeout, jobs=args.jobs):
        results.append(result)
        if not args.json and result.verdict is not Verdict.PASS:
            print_line(_line(result))
    found_counts = counts(results)
    if args.json:
        print_line(json.dumps({"counts": found_counts, "results": [result.as_dict() for result in results]}))
    else:
        parts = [f"{number} {verdict}" for verdict, number in found_counts.items()]
        print_line(f"{count(len(results), 'vector')}: {', '.join(parts)}")
    bad = sum(found_counts[verdict.value] for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.TIMEOUT))
    return 1 if bad else 0


def _suite(folder: Path | None) -> Suite:
    try:
        return Suite(find_manifest(folder))
    except FileNotFoundError as error:
        raise CommandError(str(error)) from None


def _line(result: Result) -> str:
    return f"{result.verdict.value}: {result.name}: {'; '.join(result.reasons)}"
