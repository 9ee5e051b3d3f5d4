"""NNCodec 2.1.3 as a program under test, run by the Python of an environment that has it.

In a checkout, where `make interop` makes one:

nnr conformance run --decoder ".venv-peer/bin/python conformance/adapters/nncodec.py {input} {output} {base}"

Streams before the input go into the state that NNCodec keeps for a chain of updates. It counts them from the
first update on and wants the base model left out; so a stream whose first data unit names no parent is
decoded, but does not enter the state.
"""

import argparse
import os
import sys
import zipfile
from pathlib import Path

import numpy as np

# in the place of this folder, where a module called nncodec would be found: this one
sys.path[0] = str(Path(__file__).resolve().parents[2] / "benchmarks")

try:
    import peer_side
except ImportError as error:
    sys.exit(print(f"no NNCodec here: {error}", file=sys.stderr) or 2)  # 1 would be a refusal


def is_update(path):
    """Whether the first data unit of a stream names a parent; True where NNCodec finds no data unit."""
    try:
        header = peer_side.coder.decode_ndu_unit_header(path.read_bytes(), {})
    except Exception:
        header = None
    return header is None or bool(header.get("parent_node_id_present_flag"))


def decode(path, output, chain):
    """Names of the tensors of one stream, which `output` holds as t0, t1, ..."""
    job = {"input": str(path), "output": str(output), **(chain if chain and is_update(path) else {})}
    return peer_side.decode(job)["names"]


def main():
    """Exit code 0, or 1 where NNCodec raises, on a stream before too; what it prints goes nowhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("base", nargs="*", type=Path)
    args = parser.parse_args()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    work = args.output.with_suffix(".part.npz")
    chain = {"chain": 1} if args.base else {}
    for path in (*args.base, args.input):
        try:
            names = decode(path, work, chain)
        except Exception as error:
            print(f"{path.name}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
    with np.load(work) as found, zipfile.ZipFile(args.output, "w") as archive:
        for k, name in enumerate(names):  # numpy.savez cannot take every name
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, found[f"t{k}"], allow_pickle=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
