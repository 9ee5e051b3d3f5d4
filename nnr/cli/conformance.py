"""Run the conformance suite against this decoder or another one, or see what the suite covers.

The vectors stand in the folder `conformance` of a checkout; `pip install ./conformance` there installs them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CommandError, UsageError
from .parser import Parser
from .text import count, print_line

if TYPE_CHECKING:
    from ..conformance.runner import Result, UnderTest
    from ..conformance.suite import Suite, Vector

__all__ = ["EXAMPLES", "SUMMARY", "add_arguments", "run"]

SUMMARY = "run the conformance suite against this decoder or another one"
EXAMPLES = (
    "nnr conformance run",
    'nnr conformance run --decoder "mydecoder {input} {output} --base={base} --side {side}" --timeout 20',
    "nnr conformance run path/to/conformance -k codebooks --json",
    "nnr conformance coverage --core path/to/checkout",
)

_RUN = """Put every vector to a decoder: what passes, fails, ends in an error, takes too long, is not
supported?

Exit status 1 if anything fails, ends in an error or takes too long. The command of --decoder has places that
are filled in for each vector:

  {input}   the bitstream
  {output}  the .npz file to write: every coded tensor under its own id
  {base}    bitstreams that come before, oldest first; the word is
            repeated for each, and left out where there are none
  {side}    a JSON file of out-of-band parameters, as for `nnr decode`
  {levels}  an .npz file that may receive the integers

The program runs in the current folder; the paths are absolute. It ends with 0, with 1 where it refuses the
bitstream, or with 3 where it does not support what is in it; anything else is an error. A command without
{base} or {side} does not support the vectors that need it."""

_COVERAGE = """What the vectors exercise: syntax elements, their values, conditions, contexts and sections of
the specification, and lines and branches of the C decoder. What is not exercised is listed by name."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr conformance`."""
    actions = parser.add_subparsers(
        metavar="ACTION", dest="action", parser_class=Parser, help="run: see `nnr conformance run --help`"
    )
    runner = actions.add_parser("run", help="put the vectors to a decoder", description=_RUN)
    _add_suite(runner)
    runner.add_argument("--decoder", metavar="COMMAND", help="the decoder under test (default: this one)")
    runner.add_argument(
        "--backend", choices=("c", "python"), default="c",
        help="of this decoder: the C core, or the readable reference (default: c)",
    )  # fmt: skip
    runner.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for one vector (default: 60)"
    )
    runner.add_argument("--jobs", type=int, default=1, metavar="N", help="vectors at a time (default: 1)")
    runner.usage = runner.short_usage()
    coverage = actions.add_parser("coverage", help="what the vectors exercise", description=_COVERAGE)
    _add_suite(coverage)
    coverage.add_argument(
        "--core", metavar="CHECKOUT", type=Path,
        help="also count lines and branches of the C decoder, built there with gcc --coverage (default: no)",
    )  # fmt: skip
    coverage.usage = coverage.short_usage()


def _add_suite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path,
        help="folder with manifest.json (default: that of the checkout, or of the package nnr-conformance)",
    )  # fmt: skip
    parser.add_argument(
        "-k", metavar="NAME", default="", help="only vectors whose name contains NAME (default: all)"
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr conformance`."""
    if args.action is None:
        raise UsageError("conformance: `run` or `coverage` is missing (see `nnr conformance --help`)")
    suite = _suite(args.folder)
    vectors = [vector for vector in suite if args.k in vector.name]
    if not vectors:
        raise CommandError(f"{suite.manifest}: no vector has {args.k!r} in its name")
    return _coverage(args, vectors) if args.action == "coverage" else _run(args, suite, vectors)


def _coverage(args: argparse.Namespace, vectors: list[Vector]) -> int:
    from ..conformance.checkout import NotACheckout
    from ..conformance.coverage import measure

    try:
        found = measure(vectors, checkout=args.core)
    except (NotACheckout, FileNotFoundError) as error:
        raise CommandError(str(error)) from None
    if args.json:
        print_line(json.dumps(found.as_dict()))
    else:
        for line in found.lines():
            print_line(line)
    return 0


def _suite(folder: Path | None) -> Suite:
    from ..conformance.suite import Suite, find_manifest

    try:
        manifest = find_manifest(folder)
        return Suite(manifest)
    except FileNotFoundError as error:
        raise CommandError(str(error)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{manifest}: not a manifest of vectors ({error})") from None


def _run(args: argparse.Namespace, suite: Suite, vectors: list[Vector]) -> int:
    from ..conformance.runner import CommandDecoder, OwnDecoder, Verdict, counts, run

    if args.jobs < 1 or not args.timeout > 0:
        raise UsageError("conformance run: --jobs and --timeout must be positive")
    decoder: UnderTest
    try:
        if args.decoder is None:
            decoder = OwnDecoder(suite, backend=args.backend)
        else:
            decoder = CommandDecoder(args.decoder)
    except ValueError as error:
        raise UsageError(f"conformance run: --decoder: {error}") from None
    results: list[Result] = []
    try:
        for result in run(vectors, decoder, timeout=args.timeout, jobs=args.jobs):
            results.append(result)
            if not args.json and result.verdict is not Verdict.PASS:
                said = ["; ".join(result.reasons)] if result.reasons else []
                print_line(": ".join([result.verdict.value, result.name, *said]))
    except ValueError as error:
        raise CommandError(str(error)) from None
    found = counts(results)
    if args.json:
        rows = [result.as_dict() for result in results]
        print_line(json.dumps({"manifest": str(suite.manifest), "counts": found, "results": rows}))
    else:
        parts = [f"{number} {verdict}" for verdict, number in found.items()]
        print_line(f"{count(len(results), 'vector')}: {', '.join(parts)}")
    bad = sum(found[verdict.value] for verdict in (Verdict.FAIL, Verdict.ERROR, Verdict.TIMEOUT))
    return 1 if bad else 0
