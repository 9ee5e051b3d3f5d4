"""What of a model file is not its tensors: carried in the bitstream, or taken from a file."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import nnr

from ..formats import format_of, save_tensors, topology_for, topology_of
from .errors import CommandError, UsageError, about
from .streams import STDIO, about_output, write_model, write_stdout

__all__ = ["add_into", "add_with_topology", "check_into", "notes_on", "with_container", "write_container"]

#: Logarithm of a step size of which most arguments of operations are multiples.
_EXACT_OCTAVES = -19


def add_with_topology(parser: argparse.ArgumentParser) -> None:
    """`--with-topology` and `--key`."""
    parser.add_argument(
        "--with-topology", action="store_true",
        help="carry all of IN in the bitstream, so that decode gives a whole model: the graph of an ONNX or "
        "NNEF model, the configuration of a Keras model, the containers and metadata of a checkpoint "
        "(default: tensors only)",
    )  # fmt: skip
    add_key(parser, "of a nested checkpoint (.pt), the part to encode (default: all of it)")


def add_key(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--key", metavar="KEY", help=f"{what}: its keys joined by /, as state_dict")


def add_into(parser: argparse.ArgumentParser) -> None:
    """`--into`."""
    parser.add_argument(
        "--into", metavar="ORIGINAL",
        help="a model file of the format of OUT: write a copy of it with the decoded tensors in it (default: "
        "what the bitstream carries of the model, else the tensors alone)",
    )  # fmt: skip
    add_key(parser, "of a nested checkpoint ORIGINAL (.pt), the part with the tensors (default: all of it)")


def check_into(args: argparse.Namespace, format_name: str) -> None:
    """Refuse, before long work, an original of another format than the output."""
    if args.into is None:
        if args.key is not None:
            raise UsageError("decode: --key is of use only with --into")
        return
    with about(args.into):
        found = format_of(args.into)
        os.stat(args.into)
    if found != format_name:
        raise CommandError(f"{args.into}: a .{found} file, and OUT is to be a .{format_name} file")


def with_container(
    config: nnr.EncoderConfig, args: argparse.Namespace, tensors: Mapping[str, np.ndarray]
) -> tuple[nnr.EncoderConfig, list[str]]:
    """Options for a model file, beyond those given: its topology, and what must not be quantized.

    Returns:
        the options, and one line for each thing done unasked.
    """
    notes = list(getattr(tensors, "notes", ()))
    chosen: dict[str, Any] = {}
    if args.with_topology:
        if not os.path.exists(args.input) or not (os.path.isfile(args.input) or os.path.isdir(args.input)):
            raise UsageError("encode: --with-topology needs the name of a file, not a stream")
        with about(args.input):
            topology = topology_of(args.input, args.format, key=args.key)
            if not hasattr(args, "config_compat"):
                try:
                    topology.for_compat(config.compat)
                except ValueError:
                    chosen["compat"] = None
                    notes.append(f"NNCodec cannot read a topology stored as {topology.storage_format.name}")
            config = config.replace(topology=topology, **chosen)
    exact = list(getattr(tensors, "exact", ()))
    if exact:
        how = "exactly"
        if config.compat is None or len(exact) == 1:
            config = config.replace(raw=(*config.raw, *exact))
        else:  # NNCodec reads one tensor of raw floats at most
            how = "to a step of 2^-19"
            fine = dict.fromkeys(exact, _EXACT_OCTAVES * (1 << config.qp_density))
            config = config.replace(qp_per_tensor={**(config.qp_per_tensor or {}), **fine})
        notes.append(f"kept {how}, as arguments of operations: {', '.join(exact)}")
    return config, notes


def write_container(
    tensors: Mapping[str, np.ndarray],
    topology: nnr.Topology | None,
    args: argparse.Namespace,
    format_name: str,
) -> None:
    """Write the model file: a copy of `--into`, else what the topology says, else tensors alone."""
    given: dict[str, Any] = {"like": args.into, "topology": topology}
    if args.key is not None:
        given["key"] = args.key
    if args.into is None and topology_for(topology, format_name) is None:
        write_model(tensors, args.output, format_name, force=args.force)
    elif args.output != STDIO:
        with about_output(args.output):
            save_tensors(tensors, args.output, format_name, overwrite=args.force, **given)
    else:
        with tempfile.TemporaryDirectory() as folder, about(args.output):
            made = Path(folder, "model")
            save_tensors(tensors, made, format_name, **given)
            if made.is_dir() or len(os.listdir(folder)) > 1:
                raise CommandError("-: the model takes more than one file: give a name")
            write_stdout(made.read_bytes())


def notes_on(topology: nnr.Topology | None, args: argparse.Namespace, format_name: str) -> list[str]:
    """What the reader of the output should know."""
    if args.into is not None or topology_for(topology, format_name) is not None:
        return []
    if format_name in ("onnx", "nnef"):
        return ["the file holds the weights alone, without a graph: --into ORIGINAL puts them into a model"]
    return []
