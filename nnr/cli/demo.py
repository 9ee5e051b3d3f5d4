"""Encode and decode a small trained network that comes with the package, at three qualities."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import nnr

from ..formats import load_tensors

__all__ = ["EXAMPLES", "JSON", "MODEL", "QUALITIES", "SUMMARY", "add_arguments", "run"]

SUMMARY = "code a bundled network at three qualities"
EXAMPLES = (
    "nnr demo",
    "nnr demo --json",
)
#: What `--json` prints, for docs/cli.md.
JSON = {
    "model": "the file with the network",
    "rows": (
        "an object for each quality: `qp`, `bytes`, `ratio`, `bits_per_weight`, `max_error`, "
        "`rms_error`, `encode_seconds`, `decode_seconds`"
    ),
}

MODEL = Path(__file__).resolve().parent.parent / "data" / "lenet5.npz"
QUALITIES = (-38, -32, -26)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr demo`."""
    parser.add_argument("--json", action="store_true", help="print the table as JSON")


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr demo`."""
    model = load_tensors(MODEL)
    if not args.json:
        _print_head(model)
    rows = []
    for qp in QUALITIES:
        rows.append(_measure(model, qp))
        if not args.json:
            _print_row(rows[-1])
    if args.json:
        print(json.dumps({"model": str(MODEL), "rows": rows}))
    else:
        _print_hints()
    return 0


def _measure(model: Mapping[str, np.ndarray], qp: int) -> dict[str, Any]:
    original_bytes = sum(a.nbytes for a in model.values())
    weights = sum(a.size for a in model.values())
    started = time.perf_counter()
    data = nnr.encode(model, qp=qp)
    encoded = time.perf_counter()
    decoded = nnr.decode(data)
    ended = time.perf_counter()
    errors = np.concatenate([(decoded[name].astype(np.float64) - a).ravel() for name, a in model.items()])
    return {
        "qp": qp,
        "bytes": len(data),
        "ratio": original_bytes / len(data),
        "bits_per_weight": 8 * len(data) / weights,
        "max_error": float(np.abs(errors).max()),
        "rms_error": float(np.sqrt(np.mean(errors**2))),
        "encode_seconds": encoded - started,
        "decode_seconds": ended - encoded,
    }


def _print_head(model: Mapping[str, np.ndarray]) -> None:
    weights = sum(a.size for a in model.values())
    size = sum(a.nbytes for a in model.values())
    print(f"LeNet-5 trained on MNIST: {len(model)} tensors, {weights:,} weights, {size:,} bytes as float32\n")
    print(f"{'qp':>4} {'bytes':>8} {'ratio':>7} {'bits/weight':>12} {'max error':>10} {'RMS error':>10} "
          f"{'encode s':>9} {'decode s':>9}")  # fmt: skip


def _print_row(row: Mapping[str, Any]) -> None:
    print(f"{row['qp']:>4} {row['bytes']:>8,} {row['ratio']:>7.2f} {row['bits_per_weight']:>12.2f} "
          f"{row['max_error']:>10.5f} {row['rms_error']:>10.5f} "
          f"{row['encode_seconds']:>9.3f} {row['decode_seconds']:>9.3f}", flush=True)  # fmt: skip


def _print_hints() -> None:
    nnr_command = _command()
    print(
        "\nEvery row was written as a standard bitstream (ISO/IEC 15938-17) and read back. Next:\n"
        f"  {nnr_command} encode {_short(MODEL)} -o lenet5.nnr --qp -32\n"
        f"  {nnr_command} info lenet5.nnr\n"
        f"  {nnr_command} decode lenet5.nnr -o lenet5_decoded.npz\n"
        f"and your own model, with pip install 'nnr[safetensors]':\n"
        f"  {nnr_command} encode model.safetensors -o model.nnr"
    )


def _command() -> str:
    """What the user types to run this program."""
    invoked = Path(sys.argv[0])
    if invoked.name == "__main__.py":
        return f"{_short(Path(sys.executable))} -m nnr"
    found = shutil.which("nnr")
    same = found is not None and os.path.realpath(found) == os.path.realpath(invoked)
    return "nnr" if same else _short(invoked)


def _short(path: Path) -> str:
    """The path from here, where that is shorter."""
    try:
        return shlex.quote(min(os.path.relpath(path), os.fspath(path), key=len))
    except ValueError:  # on another drive
        return shlex.quote(os.fspath(path))
