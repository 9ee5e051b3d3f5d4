"""Our decoder as a program under test, an example of the interface:

nnr conformance run --decoder "python ours.py {input} {output} --base={base} --side {side} --levels {levels}"
"""

from __future__ import annotations

import argparse
import json
import sys

import nnr
from nnr.formats import npz


def main() -> int:
    """Exit code 0, 1 for a bitstream that is refused, 3 for one that is not supported."""
    parser = argparse.ArgumentParser()
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--base", action="append", default=[])
    parser.add_argument("--side")
    parser.add_argument("--levels")
    args = parser.parse_args()
    side = None
    if args.side:
        with open(args.side, encoding="utf-8") as file:
            side = json.load(file)
    decoder = nnr.Decoder()
    try:
        for base in args.base:
            decoder.decode(base)
        if args.levels:
            npz.save(nnr.decode_levels(args.input, base=decoder, out_of_band=side), args.levels)
        npz.save(decoder.decode(args.input, form="coded", out_of_band=side), args.output)
    except nnr.UnsupportedError as error:
        print(error, file=sys.stderr)
        return 3
    except nnr.BitstreamError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
