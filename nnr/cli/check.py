"""Check whether a bitstream conforms: every violation, with section and place. Exit status 1 if there is any.

Headers are checked against the specification, and the payloads are decoded, which also compares the checksums
that streams of nnr carry; those of an update only with --base. With --profile, tools outside the list of that
capability profile count too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

import nnr

from ..errors import BitstreamError, LimitError, UnsupportedError
from ..syntax.check import CAPABILITY_PROFILES, CheckReport, Finding, check
from ..syntax.stream import StreamContext, read_units
from .errors import about, as_limits, describe
from .options import add_limits, limits
from .streams import add_out_of_band, bitstream_input, read_bitstream, read_out_of_band
from .text import count, print_line

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "check whether a bitstream conforms"
EXAMPLES = (
    "nnr check model.nnr",
    "nnr check update1.nnr --base model.nnr",
    "nnr check model.nnr --profile 3gpp-ims-full",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "file": "name as given",
    "ok": "no violation, and nothing outside the profile asked for",
    "violations, notes, outside_profile": (
        "lists of objects: `found`, `allowed`, `clause`, `unit_index`, `unit`, `byte_offset`, "
        "`bit_offset`, `path`"
    ),
    "profile": "the list of tools asked for, or null",
    "units": "number of units",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr check`."""
    parser.add_argument("file", metavar="FILE", help="bitstream; `-` is standard input")
    known = ", ".join(CAPABILITY_PROFILES)
    parser.add_argument(
        "--profile", choices=list(CAPABILITY_PROFILES), metavar="NAME",
        help=f"also check that only tools of a list are used: {known} (default: none)",
    )  # fmt: skip
    parser.add_argument(
        "--base",
        metavar="BASE",
        nargs="+",
        default=[],
        help="the bitstreams before an update, in order (default: none)",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing but errors; the exit status tells"
    )
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    add_out_of_band(parser)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr check`."""
    data = read_bitstream(args.file)
    out_of_band = read_out_of_band(args)
    decoder = nnr.Decoder(limits=limits(args))
    for name in args.base:
        with about(name):
            decoder.decode(bitstream_input(name))
    with about(args.file):
        parameters = decoder.parameter_source(out_of_band)
        report = check(data, profile=args.profile, out_of_band=parameters, limits=limits(args))
        if not report.violations:
            _check_payloads(data, out_of_band, decoder, limits(args), report, update=bool(args.base))
    if args.json:
        print_line(json.dumps({"file": args.file, **report.as_dict()}))
    elif not args.quiet:
        _print_report(report, args)
    return 0 if report.ok else 1


def _print_report(report: CheckReport, args: argparse.Namespace) -> None:
    for kind, findings in (
        ("violation", report.violations),
        (f"outside {report.profile}", report.outside_profile),
        ("note", report.notes),
    ):
        for finding in findings:
            print_line(f"{args.file}: {kind}: {as_limits(str(finding))}")
    conclusion = "conforms" if not report.violations else count(len(report.violations), "violation")
    if report.profile is not None and not report.violations:
        fits = "fits" if not report.outside_profile else "does not fit"
        conclusion += f", {fits} {report.profile}"
    units, notes = count(report.units, "unit"), count(len(report.notes), "note")
    print_line(f"{args.file}: {conclusion}; {units}, {notes}")


def _check_payloads(
    data: bytes,
    out_of_band: Mapping[str, Any] | None,
    decoder: nnr.Decoder,
    bounds: nnr.Limits,
    report: CheckReport,
    *,
    update: bool,
) -> None:
    """Decode the stream; what fails is a violation, what cannot be done here a note."""
    try:
        units = read_units(data, StreamContext(decoder.parameter_source(out_of_band), bounds))
        if not update and any(unit.header.unit_header.get("parent_node_id_present_flag") for unit in units):
            report.notes.append(Finding("payloads of an update are not decoded without --base", "", None))
            return
        decoded = decoder.decode(data, form="coded", out_of_band=out_of_band)
        if not decoded.report.checked:
            report.notes.append(Finding("no checksums: a changed payload can go unnoticed", "", None))
    except (UnsupportedError, LimitError) as error:
        report.notes.append(Finding(f"payloads were not decoded: {describe(error)}", "", None))
    except BitstreamError as error:
        report.violations.append(
            Finding(
                error.reason,
                "",
                error.clause,
                error.unit_index,
                error.unit,
                error.byte_offset,
                error.bit_offset,
                error.path,
            )
        )
