"""Show what a bitstream holds: units, tensors, tools, bits. Payloads are not decoded."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import nnr

from ..errors import BitstreamError
from ..metadata import is_metadata
from ..syntax.constants import NnrUnitType
from ..syntax.info import info
from ..syntax.stream import NnrUnit
from .errors import about, one_line
from .options import add_limits, limits
from .streams import add_out_of_band, read_bitstream, read_out_of_band

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "show units, tensors and tools of a bitstream"

_HEAD = ("tensor", "shape", "dtype", "payload", "qp", "bits/weight", "bytes", "tools")
_RIGHT = {"qp", "bits/weight", "bytes"}
_NAME_CELLS = 40


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
        facts = info(data, out_of_band=out_of_band, limits=limits(args))
        facts["metadata"], facts["originals"] = _originals(data, out_of_band, limits(args))
    if args.json:
        print(json.dumps(facts))
        return 0
    lines = _head_lines(args.file, facts)
    originals = {tensor["name"]: tensor for tensor in facts["originals"]}
    rows = [_row(tensor, originals.get(tensor["name"], tensor)) for tensor in facts["tensors"]]
    room = len(rows)
    if sys.stdout.isatty() and not args.all:
        room = max(5, shutil.get_terminal_size().lines - len(lines) - 4)
    lines += ["", *_table(rows[:room])] if rows else []
    if room < len(rows):
        lines.append(f"... and {len(rows) - room} more; --all shows them")
    for line in lines:
        print(one_line(line))
    return 0


def _originals(
    data: bytes, out_of_band: Mapping[str, Any] | None, bounds: nnr.Limits
) -> tuple[bool, list[dict[str, Any]]]:
    """Whether there is a metadata unit, and original name, dtype and shape of each tensor as it says them."""
    try:
        with nnr.open(data, out_of_band=out_of_band, limits=bounds) as file:
            if not any(map(_is_metadata, file.units)):
                return False, []
            facts = {name: file.info(name) for name in file}
    except BitstreamError:  # what is wrong shows when the stream is decoded or checked
        return False, []
    rows = [{"name": n, "shape": list(f["shape"]), "dtype": f["dtype"]} for n, f in facts.items()]
    return True, rows


def _is_metadata(unit: NnrUnit) -> bool:
    if unit.unit_type != NnrUnitType.NNR_TPL or unit.payload is None:
        return False
    header = unit.header.unit_header
    formats = (header.topology_storage_format, header.topology_compression_format)
    return is_metadata(formats, unit.payload.topology_data)


def _head_lines(name: str, facts: Mapping[str, Any]) -> list[str]:
    tensors, elements = len(facts["tensors"]), facts["elements"]
    bits = f", {facts['bits_per_weight']:.3f} bits per weight" if facts["bits_per_weight"] else ""
    editions = " and ".join(f"profile {p} (edition {p + 1})" for p in dict.fromkeys(facts["profiles"]))
    units = ", ".join(f"{n['count']} {kind} ({n['bytes']:,})" for kind, n in facts["units"].items())
    lines = [
        f"{name}: {facts['size']:,} bytes, {tensors} tensors, {elements:,} weights{bits}",
        f"edition     {editions}; dialect: {facts['dialect']}",
        f"units       {units} bytes",
        f"tools       {', '.join(facts['tools']) or 'none'}",
    ]
    for network in facts["networks"]:
        settings = [f"{key} {value}" for key, value in network.items() if key != "general_profile_idc"]
        lines.append(f"parameters  {', '.join(settings)}")
    if facts["capability_sets"]:
        lines.append(f"fits        {', '.join(facts['capability_sets'])}")
    carried = "dtypes and shapes of the model, CRC-32 of every unit"
    lines.append(f"metadata    {carried if facts['metadata'] else 'none, and no checksums'}")
    return lines


def _row(tensor: Mapping[str, Any], original: Mapping[str, Any]) -> list[str]:
    shape, bits, size = original["shape"], tensor["bits_per_weight"], tensor["payload_bytes"]
    role = f" ({tensor['role']})" if tensor["role"] not in ("", "tensor") else ""
    name = one_line(tensor["name"]) + role
    return [
        name if len(name) <= _NAME_CELLS else f"{name[: _NAME_CELLS - 3]}...",
        "-" if shape is None else "x".join(map(str, shape)) or "scalar",
        original["dtype"] or "-",
        tensor["payload_type"].removeprefix("NNR_PT_").lower(),
        "-" if tensor["qp"] is None else str(tensor["qp"]),
        "-" if bits is None else f"{bits:.2f}",
        "-" if size is None else f"{size:,}",
        ", ".join(tensor["tools"]),
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows)]
    return [
        "  ".join(
            cell.rjust(width) if title in _RIGHT else cell.ljust(width)
            for cell, width, title in zip(row, widths, _HEAD)
        ).rstrip()
        for row in (_HEAD, *rows)
    ]
