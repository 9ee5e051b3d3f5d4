"""Make the generated vectors: `vectors/generated.zip` and their records in `manifest.json`.

python conformance/generate.py          # writes both, deterministically
python conformance/generate.py --check  # exit 1 if they are not what this would write
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.generators import FAMILIES
from conformance.generators.stream import Case, Family
from conformance.manifest import (
    Record,
    expected_tensor,
    profile_fields,
    requires_field,
    stream_fields,
    write_part,
)

ARCHIVE = "vectors/generated.zip"


def record_of(case: Case, family: Family, streams: dict[str, bytes]) -> Record:
    """The record of one vector."""
    expect: Record
    if case.tensors is None:
        expect = {"error": case.error} | ({"clause": case.clause} if case.clause else {})
    else:
        expect = {
            "tensors": [
                expected_tensor(t.name, t.method, t.values, t.levels, dtype=t.values.dtype.name)
                for t in case.tensors
            ]
        }
        if case.or_error:
            expect["or_error"] = case.or_error
    return {
        "name": case.name,
        **stream_fields(streams, ARCHIVE, f"{case.name}.nnr", case.data),
        "tier": "generated",
        "source": f"generator {family.name}",
        "producer": "conformance/generators",
        "basis": "hand computation",
        "note": family.about,
        **profile_fields(case.profile),
        "clauses": list(case.clauses),
        **requires_field(case.requires),
        **({"out_of_band": dict(case.out_of_band)} if case.out_of_band else {}),
        "expect": expect,
    }


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a difference")
    options = parser.parse_args(arguments)
    streams: dict[str, bytes] = {}
    records = [record_of(case, family, streams) for family in FAMILIES.values() for case in family.cases()]
    same = write_part({"generated"}, records, ARCHIVE, streams, check=options.check)
    if options.check:
        print("up to date" if same else "the generated vectors are stale: run conformance/generate.py")
        return 0 if same else 1
    print(f"{len(records)} vectors of {len(FAMILIES)} families")
    return 0


if __name__ == "__main__":
    sys.exit(main())
