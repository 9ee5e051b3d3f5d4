"""Encode a model file as an NNR bitstream."""

from __future__ import annotations

import argparse
import json

import nnr

from ..formats import FORMATS
from .errors import UsageError, about
from .options import add_config_options, add_threads, make_config
from .progress import Progress
from .streams import STDIO, add_output_arguments, check_output, read_model, write_stdout

__all__ = ["SUMMARY", "add_arguments", "run"]

SUMMARY = "encode a model file as a bitstream"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `nnr encode`."""
    parser.add_argument("input", metavar="IN", help="model file, .npz or .safetensors; `-` is standard input")
    add_output_arguments(parser, "bitstream to write, usually NAME.nnr")
    parser.add_argument("--format", choices=FORMATS, help="format of IN (default: by its name)")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar on a terminal")
    add_threads(parser)
    add_config_options(parser, nnr.EncoderConfig)


def run(args: argparse.Namespace) -> int:
    """Carry out `nnr encode`."""
    to_stdout = args.output == STDIO
    if to_stdout and args.json:
        raise UsageError("encode: --json and -o - both want standard output")
    config = make_config(args, nnr.EncoderConfig)
    check_output(args.output, force=args.force)
    tensors = read_model(args.input, args.format)
    progress = Progress(wanted=not (args.quiet or args.no_progress))
    options = {"threads": args.threads, "progress": progress}
    if to_stdout:
        with progress, about(args.input):
            data = nnr.encode(tensors, config, **options)
        write_stdout(data)
        return 0
    with progress, about(args.input):
        report = nnr.save_file(tensors, args.output, config, **options)
    if args.json:
        print(json.dumps({"input": args.input, "output": args.output, **report.as_dict()}))
    elif not args.quiet:
        print(f"{args.output}: {report}")
    return 0
