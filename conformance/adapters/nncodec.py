"""NNCodec 2.1.3 as a program under test, run by the Python of an environment that has it.

`make interop` makes one; PYTHON is its interpreter, and paths are absolute:

nnr conformance run --decoder "PYTHON conformance/adapters/nncodec.py {input} {output}"

Updates with streams before them are left out: they count as not supported, since the adapter keeps no chains.
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


def main():
    """Exit code 0, or 1 where NNCodec raises; what it prints goes nowhere."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("output")
    args = parser.parse_args()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    work = Path(args.output).with_suffix(".part.npz")
    try:
        names = peer_side.decode({"input": args.input, "output": str(work)})["names"]
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    with np.load(work) as found, zipfile.ZipFile(args.output, "w") as archive:
        for k, name in enumerate(names):  # numpy.savez cannot take every name
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, found[f"t{k}"], allow_pickle=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
