"""Inputs and outputs as the command line names them: paths, or `-` for a standard stream."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from ..errors import FormatError
from ..formats import FORMATS, LazyTensors, check_target, format_module, format_of, open_source, sniff
from .errors import CommandError, UsageError, about
from .text import print_line

__all__ = [
    "STDIO", "about_output", "add_out_of_band", "add_output_arguments", "bitstream_input", "check_output",
    "model_format", "model_source", "read_bitstream", "read_model", "read_out_of_band", "report_line",
    "write_model", "write_stdout",
]  # fmt: skip

STDIO = "-"


def add_output_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """`-o` and `-f`."""
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, type=_output_name,
        help=f"{what}; `-`: standard output",
    )  # fmt: skip
    parser.add_argument(
        "-f", "--force", action="store_true", help="overwrite OUT; without it, a file that exists is kept"
    )


def _output_name(name: str) -> str:
    """`-` for every name of standard output, where nothing else may be printed then."""
    return STDIO if name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1") else name


def add_out_of_band(parser: argparse.ArgumentParser) -> None:
    """`--out-of-band`."""
    parser.add_argument(
        "--out-of-band", metavar="FILE.json",
        help="parameters that the last bitstream leaves to its environment, as JSON: "
        '{"tensor id": {"tensor_dimensions": [...], ...}, ...} (default: none)',
    )  # fmt: skip


def read_out_of_band(args: argparse.Namespace) -> Mapping[str, Any] | None:
    """Content of the file given with `--out-of-band`, or None."""
    name = args.out_of_band
    if name is None:
        return None
    try:
        with about(name), open(name, encoding="utf-8") as file:
            table = json.load(file)
    except CommandError as error:
        if isinstance(error.__cause__, ValueError):
            raise CommandError(f"{name}: not JSON: {error.__cause__}") from error
        raise
    if not isinstance(table, dict) or not all(isinstance(entry, dict) for entry in table.values()):
        raise CommandError(f'{name}: must be an object of objects, {{"tensor id": {{"name": value}}}}')
    return table


def read_bitstream(name: str) -> bytes:
    """The bytes of a bitstream file, or of standard input."""
    if name == STDIO:
        return _stdin()
    with about(name), open(name, "rb") as file:
        return file.read()


def bitstream_input(name: str) -> str | bytes:
    """What the decoding functions take: the path, or the bytes of standard input."""
    return name if name != STDIO else _stdin()


def check_output(name: str, *, force: bool, inputs: Sequence[str] = ()) -> None:
    """Find out before long work that the output can be written, and that it is none of the `inputs`."""
    if name == STDIO:
        stdout = _stdout()
        if stdout.isatty() and not force:
            raise CommandError("standard output is a terminal: bytes are not for reading; use -o FILE, or -f")
        return
    for other in filter(os.path.isfile, inputs):
        if other != STDIO and os.path.isfile(name) and os.path.samefile(other, name):
            raise CommandError(f"{name}: is an input too, and is not overwritten")
    with about_output(name):
        check_target(name, overwrite=force)


def write_stdout(data: bytes | memoryview) -> None:
    """Write bytes to standard output."""
    stdout = _stdout()
    stdout.write(data)
    stdout.flush()


def report_line(text: str, output: str) -> None:
    """Print a report of one line: to standard output, or where that carries `output`, to standard error."""
    if output != STDIO:
        print_line(text)
    elif sys.stderr is not None:
        print(text, file=sys.stderr)


def model_format(name: str, given: str | None, *, option: str = "--format") -> str:
    """The format of the model file `name`: the one given, else by its extension."""
    if given is not None:
        return given
    if name == STDIO:
        raise UsageError(f"a standard stream has no extension: {option} {{{','.join(FORMATS)}}} is needed")
    with about(name):
        return format_of(name)


def read_model(name: str, given_format: str | None, *, key: str | None = None) -> Mapping[str, np.ndarray]:
    """Tensors of a model file, to be read one by one where its format allows it.

    Of standard input or a pipe, all tensors; there the first bytes tell the format.
    """
    with about(name):
        if name != STDIO and (not os.path.exists(name) or os.path.isfile(name) or os.path.isdir(name)):
            return open_source(name, given_format, key=key)
        data = _stdin() if name == STDIO else read_bitstream(name)  # a pipe has no extension either
        if given_format is None:
            given_format = sniff(data)
        piped: dict[str, np.ndarray] = format_module(given_format).read(io.BytesIO(data))
        return piped


def model_source(name: str) -> str | bytes | Mapping[str, np.ndarray]:
    """What `nnr.compare` takes for the model `name`: its path; of a pipe the bitstream, or the tensors."""
    if name != STDIO and (not os.path.exists(name) or os.path.isfile(name) or os.path.isdir(name)):
        return name
    data = _stdin() if name == STDIO else read_bitstream(name)
    try:
        format_name = sniff(data)
    except FormatError:
        return data
    tensors: Mapping[str, np.ndarray] = format_module(format_name).read(io.BytesIO(data))
    return tensors


def write_model(tensors: Mapping[str, np.ndarray], name: str, format_name: str, *, force: bool) -> None:
    """Write a model file, complete or not at all, or standard output."""
    if name == STDIO:
        # nothing of it is seen before all of it is there; what is read one by one does not wait in memory
        kind: Any = tempfile.TemporaryFile if isinstance(tensors, LazyTensors) else io.BytesIO
        with kind() as waiting:
            with about(name):
                format_module(format_name).write(tensors, waiting)
            waiting.seek(0)
            while piece := waiting.read(1 << 24):
                write_stdout(piece)
        return
    with about_output(name):
        format_module(format_name).save(tensors, name, overwrite=force)


@contextlib.contextmanager
def about_output(name: str) -> Iterator[None]:
    """As `about`, for the file that a command writes."""
    try:
        with about(name):
            yield
    except CommandError as error:
        if isinstance(error.__cause__, FileExistsError):
            raise CommandError(f"{name}: already exists; -f overwrites it") from None
        raise


def _stdin() -> bytes:
    if sys.stdin is None:
        raise CommandError("-: standard input is closed")
    with about(STDIO):
        return sys.stdin.buffer.read()


def _stdout() -> BinaryIO:
    if sys.stdout is None:
        raise CommandError("-: standard output is closed")
    return sys.stdout.buffer
