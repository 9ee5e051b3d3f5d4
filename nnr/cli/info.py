"""Show what a bitstream holds: units, tensors, tools, bits. Payloads are not decoded.

A damaged stream is shown up to the first unit that cannot be read, and the exit status is 1; `nnr check`
looks closer.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import nnr

from ..errors import BitstreamError, LimitError, UnsupportedError
from ..metadata import is_metadata
from ..syntax.constants import NnrUnitType
from ..syntax.info import info
from ..syntax.serdes import Reader
from ..syntax.stream import NnrUnit, StreamContext, read_units, walk_units
from .errors import CommandError, about, describe
from .options import add_limits, limits
from .streams import add_out_of_band, read_bitstream, read_out_of_band
from .text import count, folded, folded_table, one_line, print_line, screen_of, shape_text

__all__ = ["EXAMPLES", "JSON", "SUMMARY", "add_arguments", "run"]

SUMMARY = "show units, tensors and tools of a bitstream"
EXAMPLES = (
    "nnr info model.nnr",
    "nnr info model.nnr --json",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "file, size": "name as given, bytes",
    "profiles, dialect": ("general_profile_idc of each network; `standard` or `legacy` reading of profile 0"),
    "networks": "a list of the parameters that each model parameter set gives",
    "units": "by unit type: `count`, `bytes`",
    "elements, bits_per_weight": "weights, and bits of the data units for each; null without weights",
    "tools, capability_sets": (
        "names of the tools in use, and of the tool lists (`nnr check --profile`) that the stream keeps to"
    ),
    "tensors": (
        "an object for each coded tensor: `name`, `role`, `shape`, `elements`, `dtype`, "
        "`payload_type`, `qp`, `tools`, `scan_order`, `unit` (its number), `payload_bytes`, "
        "`bits_per_weight`; null for what cannot be told from headers"
    ),
    "damaged, problem": "whether it is damaged, and how, or null; other values are of the whole units",
    "metadata, metadata_problem": "whether there is a metadata unit; what keeps it from being read, or null",
    "originals": "an object for each tensor of the model: `name`, `shape`, `dtype`",
}

_HEAD = ("tensor", "shape", "dtype", "payload", "qp", "bits/weight", "bytes", "tools")
_RIGHT = {"qp", "bits/weight", "bytes"}
_HEAD_CELLS = 12  # of the words in front of the lines about the stream
_SPARE = ("payload", "tools", "dtype", "qp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr info`."""
    parser.add_argument("file", metavar="FILE", help="bitstream; `-` is standard input")
    parser.add_argument("--json", action="store_true", help="everything, as JSON")
    parser.add_argument("--all", action="store_true", help="all tensors, also if the terminal is too short")
    add_out_of_band(parser)
    add_limits(parser)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr info`."""
    data = read_bitstream(args.file)
    out_of_band = read_out_of_band(args)
    with about(args.file):
        readable = _readable(data, out_of_band, limits(args))
        facts = info(readable.data, out_of_band=out_of_band, limits=limits(args))
        originals = _originals(readable.data, out_of_band, limits(args))
    problem = readable.problem or (originals.problem if originals.damaged else None)
    facts |= {"size": len(data), "metadata": originals.present, "metadata_problem": originals.problem}
    facts |= {"damaged": problem is not None, "problem": problem, "originals": originals.rows}
    if args.json:
        print_line(json.dumps({"file": args.file, **facts}))
    else:
        _print_facts(args, facts)
    if problem is not None:
        raise CommandError(f"{args.file}: {problem}")
    return 0


class _Readable(NamedTuple):
    """The units of a stream as far as their headers can be read, and what ends them before the end."""

    data: bytes
    problem: str | None


def _readable(data: bytes, out_of_band: Mapping[str, Any] | None, bounds: nnr.Limits) -> _Readable:
    end = 0
    try:
        for unit in walk_units(Reader(data, limits=bounds), StreamContext(out_of_band, bounds), _needs_more):
            if unit.depth == 0:
                end = unit.byte_offset + unit.size
    except BitstreamError as error:
        if end:
            return _Readable(data[:end], describe(error))
    return _Readable(data, None)


def _needs_more(unit: NnrUnit, error: BitstreamError) -> bool:
    """A unit that leaves its dimensions to the environment can be shown without them."""
    return isinstance(error, UnsupportedError) and error.clause == "semantics 7"


def _print_facts(args: argparse.Namespace, facts: Mapping[str, Any]) -> None:
    screen = screen_of(sys.stdout)
    lines = [part for line in _head_lines(args.file, facts) for part in folded(line, screen, _HEAD_CELLS)]
    originals = {tensor["name"]: tensor for tensor in facts["originals"]}
    rows = [_row(tensor, originals.get(tensor["name"], tensor)) for tensor in facts["tensors"]]
    room = len(rows)
    if screen is not None and not args.all:
        room = max(5, screen.lines - len(lines) - 4)
    lines += ["", *folded_table(_HEAD, rows[:room], _RIGHT, screen, spare=_SPARE)] if rows else []
    if room < len(rows):
        lines.append(f"... and {len(rows) - room:,} more; --all shows them")
    for line in lines:
        print_line(line)


@dataclass
class _Originals:
    """What the metadata unit says.

    Attributes:
        present: there is such a unit.
        rows: original name, dtype and shape of each tensor; the dtype is None where it cannot be told.
        problem: what is wrong with it, or keeps it from being read; None if nothing does.
        damaged: the problem is the stream's.
    """

    present: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    problem: str | None = None
    damaged: bool = False


def _originals(data: bytes, out_of_band: Mapping[str, Any] | None, bounds: nnr.Limits) -> _Originals:
    found = _Originals()
    try:
        with nnr.open(data, out_of_band=out_of_band, limits=bounds) as file:
            found.present = any(map(_is_metadata, file.units))
            if found.present:
                found.rows = [_original(file, name, found) for name in file]
    except BitstreamError as error:
        found.present = _has_metadata(data, out_of_band, bounds)
        found.damaged = not isinstance(error, (UnsupportedError, LimitError))
        if found.present or found.damaged:  # without the unit, nothing was to be told
            found.problem = describe(error)
    return found


def _has_metadata(data: bytes, out_of_band: Mapping[str, Any] | None, bounds: nnr.Limits) -> bool:
    """Whether there is a metadata unit, as far as the stream can be read."""
    try:
        return any(map(_is_metadata, read_units(data, StreamContext(out_of_band, bounds))))
    except BitstreamError:
        return False


def _original(file: Any, name: str, found: _Originals) -> dict[str, Any]:
    try:
        facts = file.info(name)
    except UnsupportedError as error:  # a type that needs a package: the others can still be told
        found.problem = found.problem or describe(error)
        return {"name": name, "shape": None, "dtype": None}
    return {"name": name, "shape": list(facts["shape"]), "dtype": facts["dtype"]}


def _is_metadata(unit: NnrUnit) -> bool:
    if unit.unit_type != NnrUnitType.NNR_TPL or unit.payload is None:
        return False
    header = unit.header.unit_header
    formats = (header.topology_storage_format, header.topology_compression_format)
    return is_metadata(formats, unit.payload.topology_data)


def _head_lines(name: str, facts: Mapping[str, Any]) -> list[str]:
    tensors, elements = count(len(facts["tensors"]), "tensor"), count(facts["elements"], "weight")
    bits = f", {facts['bits_per_weight']:.3f} bits per weight" if facts["bits_per_weight"] else ""
    editions = " and ".join(f"profile {p} (edition {p + 1})" for p in dict.fromkeys(facts["profiles"]))
    units = ", ".join(f"{n['count']} {kind} ({n['bytes']:,})" for kind, n in facts["units"].items())
    lines = [
        f"{name}: {facts['size']:,} bytes, {tensors}, {elements}{bits}",
        f"edition     {editions}; dialect: {facts['dialect']}",
        f"units       {units} bytes",
        f"tools       {', '.join(facts['tools']) or 'none'}",
    ]
    for network in facts["networks"]:
        settings = [f"{key} {value}" for key, value in network.items() if key != "general_profile_idc"]
        lines.append(f"parameters  {', '.join(settings)}")
    if facts["capability_sets"]:
        lines.append(f"fits        {', '.join(facts['capability_sets'])}")
    lines.append(f"metadata    {_metadata_line(facts)}")
    return lines


def _metadata_line(facts: Mapping[str, Any]) -> str:
    problem = facts["metadata_problem"]
    if problem is None:
        carried = "dtypes and shapes of the model, CRC-32 of every unit"
        return carried if facts["metadata"] else "none, and no checksums"
    state = "damaged" if facts["damaged"] else "not read in full"
    return f"{'' if facts['metadata'] else 'none; '}{state}: {problem}"


def _row(tensor: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    shape = tensor["shape"] if original["shape"] is None else original["shape"]
    bits, size = tensor["bits_per_weight"], tensor["payload_bytes"]
    role = f" ({tensor['role']})" if tensor["role"] not in ("", "tensor") else ""
    name = one_line(tensor["name"]) + role
    return [
        name,
        shape_text(shape),
        original["dtype"] or ("-" if original is tensor else "?"),
        tensor["payload_type"].removeprefix("NNR_PT_").lower(),
        "-" if tensor["qp"] is None else str(tensor["qp"]),
        "-" if bits is None else f"{bits:.2f}",
        "-" if size is None else f"{size:,}",
        ", ".join(tensor["tools"]),
    ]
