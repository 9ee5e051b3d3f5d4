"""Put results of `nnr conformance` into docs/conformance.md.

nnr conformance coverage --core . --json > coverage.json
nnr conformance run --json > ours.json
nnr conformance run --json \\
    --decoder ".venv-peer/bin/python conformance/adapters/nncodec.py {input} {output} {base}" > nncodec.json
python conformance/pages.py --coverage coverage.json --decoders nnr=ours.json "NNCodec 2.1.3=nncodec.json"
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.manifest import HERE, write_section
from nnr.conformance import Verdict

#: Groups of gaps that are named one by one in the page; of the others the page tells the number.
_NAMED = 40


def coverage_text(found: Mapping[str, Any]) -> str:
    """Table of what the vectors exercise, then what they do not, and what nothing can."""
    lines = ["| what | exercised | of | |", "| --- | ---: | ---: | ---: |"]
    for title, group in found["groups"].items():
        reached, total = group["reached"], group["total"]
        lines.append(f"| {title} | {reached:,} | {total:,} | {100 * reached / max(total, 1):.1f} % |")
    gaps = {title: group["gaps"] for title, group in found["groups"].items() if group["gaps"]}
    lines += ["", f"{found['vectors']:,} vectors. " + ("Not exercised:" if gaps else "Nothing is left out.")]
    for title, names in gaps.items():
        more = [f"* and {len(names) - _NAMED} more {title}"] if len(names) > _NAMED else []
        lines += ["", *(f"* {title}: `{name}`" for name in names[:_NAMED]), *more]
    lines += ["", "Not counted above, since no bitstream can bring it about:", ""]
    for title, group in found["groups"].items():
        reasons = Counter(group["impossible"].values())
        lines += [f"* {title}, {number}: {reason}" for reason, number in sorted(reasons.items())]
    return "\n".join(lines)


def decoders_text(results: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A row for each origin of vectors and each decoder: how many of each verdict."""
    manifest = json.loads((HERE / "manifest.json").read_text(encoding="utf-8"))
    group_of = {record["name"]: _group(record) for record in manifest["vectors"]}
    verdicts = [verdict.value for verdict in Verdict]
    lines = [f"| vectors | decoder | {' | '.join(verdicts)} |", "| --- | --- |" + " ---: |" * len(verdicts)]
    for group in [*dict.fromkeys(group_of.values()), None]:
        for decoder, rows in results.items():
            counted = Counter(
                row["verdict"] for row in rows if group is None or group_of[row["name"]] == group
            )
            cells = " | ".join(f"{counted[verdict]:,}" for verdict in verdicts)
            lines.append(f"| {group or '**all**'} | {decoder} | {cells} |")
    return "\n".join(lines)


def _group(record: Mapping[str, Any]) -> str:
    """Where a vector comes from; of the generated ones whether a decoder is to refuse it."""
    if record["tier"] == "generated":
        return "generated, to be refused" if "error" in record["expect"] else "generated, sound"
    return str(record["tier"])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--coverage", type=Path, metavar="JSON")
    parser.add_argument("--decoders", nargs="*", default=[], metavar="NAME=JSON")
    args = parser.parse_args()
    if args.coverage:
        write_section("coverage", coverage_text(json.loads(args.coverage.read_text(encoding="utf-8"))))
    if args.decoders:
        named = (item.rpartition("=") for item in args.decoders)
        results = {
            name: json.loads(Path(path).read_text(encoding="utf-8"))["results"] for name, _, path in named
        }
        write_section("decoders", decoders_text(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
