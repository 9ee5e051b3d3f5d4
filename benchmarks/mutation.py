"""Damaged streams: what nnr and NNCodec make of them, mutant by mutant, in the same run.

    python benchmarks/mutation.py [--mutants 20000] [--docs docs/conformance.md]

Streams that NNCodec wrote (vectors of `conformance/`) are damaged in five ways, the same for the same
seed. Each codec decodes each mutant in a process of its own; what comes out is compared with what the
same codec makes of the whole stream. A second set are streams of nnr with its metadata unit, which holds
checksums.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nnr
from benchmarks.peer import find_peer
from benchmarks.report import machine, markdown_table, replace_block, write_json
from nnr.conformance.suite import Suite
from nnr.syntax.stream import StreamContext, read_units

SEED = 20
BATCH = 200
MEMORY_KILOBYTES = 512 << 10
"""More than this is memory out of proportion: twice the default limit, for streams of some hundred bytes."""

VECTORS = {
    "uniform": "scan1_dq0_1",
    "dependent": "bitdepth11_dq1_0",
    "edition 1": "raw_2d_profile0_1",
    "codebook": "block_codebook_weight_2",
    "block with batch norm": "block_BN_s1_dq0_0",
    "block with bias": "block_BNBI_s1_dq0_0",
    "entry points": "scan1_dq1_3",
    "integers, row skip": "int_rowskip_0",
    "row skip": "rowskip_2d_dq0_3",
    "raw floats": "raw_3d_1",
    "network": "nn_sparsified_0",
    "temporal contexts": "seq_tca_hdsp_dq1_0/step2",
    "temporal contexts, codebook": "seq_tca_codebook_0/step1",
    "temporal contexts, block scan": "seq_tca_scan1_dq1_0/step1",
}
OUTCOMES = ("refused", "identical", "wrong", "crash", "hang", "memory")
KINDS = ("1 to 4 bytes", "one bit", "truncation", "header only", "splice")


@dataclass
class Stream:
    """A stream to damage.

    Attributes:
        before: streams that are decoded before it.
        headers: positions of bytes outside the payloads of its data units.
    """

    name: str
    data: bytes
    before: list[bytes]
    headers: list[int]


def stream_of(name: str, data: bytes, before: Sequence[bytes] = ()) -> Stream:
    """`data` with the places of its headers."""
    decoder = nnr.Decoder()
    for earlier in before:
        decoder.decode(earlier)
    inside: set[int] = set()
    for unit in read_units(data, StreamContext(decoder.parameter_source(None))):
        if unit.payload is None and not unit.contains:
            inside |= set(range(unit.payload_offset, unit.payload_offset + len(unit.payload_bytes)))
    return Stream(name, data, list(before), [at for at in range(len(data)) if at not in inside])


def vectors() -> list[Stream]:
    """The streams of NNCodec."""
    suite = Suite()
    found = []
    for name, vector in VECTORS.items():
        before = [earlier.data for earlier in suite[vector].predecessors()]
        found.append(stream_of(name, suite[vector].data, before))
    return found


def with_checksums() -> list[Stream]:
    """Streams of nnr as it writes them, with the tools of the others."""
    rng = np.random.default_rng(SEED)
    model = {
        "w": rng.laplace(0, 0.02, (12, 20)).astype(np.float32),
        "b": rng.laplace(0, 0.02, 12).astype(np.float32),
    }
    options: list[tuple[str, dict[str, Any]]] = [
        ("defaults", {}),
        ("uniform", {"dq": False}),
        ("edition 1", {"profile": 0}),
        ("codebook", {"codebook": 8, "dq": False}),
        ("coarse", {"qp": -14}),
        ("fine", {"qp": -60}),
        ("block scan, entry points", {"scan_order": 1}),
        ("no row skip", {"row_skip": False}),
        ("raw floats", {"raw": ["w"]}),
        ("half precision", {"dtype": np.float16}),
        ("short unary part", {"cabac_unary_length": 2}),
    ]
    found = []
    for name, given in options:
        dtype = given.pop("dtype", np.float32)
        tensors = {key: array.astype(dtype) for key, array in model.items()}
        found.append(stream_of(name, nnr.encode(tensors, **given)))
    encoder = nnr.Encoder(qp=-30)
    base = encoder.encode(model)
    moved = {name: array * np.float32(1.1) for name, array in model.items()}
    found.append(stream_of("update", encoder.encode_update(moved), [base]))
    return found


def mutant(stream: Stream, kind: str, rng: random.Random, others: Sequence[Stream]) -> bytes:
    """`stream` damaged in one of the ways `KINDS`; never the stream itself."""
    data = bytearray(stream.data)
    if kind == "1 to 4 bytes":
        for at in rng.sample(range(len(data)), rng.randint(1, 4)):
            data[at] ^= rng.randrange(1, 256)
    elif kind == "one bit":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "truncation":
        del data[rng.randrange(len(data)) :]
    elif kind == "header only":
        for at in rng.sample(stream.headers, rng.randint(1, 2)):
            data[at] ^= rng.randrange(1, 256)
    else:
        other = rng.choice(others).data
        data = data[: rng.randrange(1, len(data))] + other[rng.randrange(len(other)) :]
    return bytes(data) if bytes(data) != stream.data else mutant(stream, kind, rng, others)


class Side:
    """A codec in its own environment, that answers job after job; begun again if it ends."""

    def __init__(self, codec: str, python: Path) -> None:
        script = Path(__file__).with_name("mutation_side.py")
        self._command = [str(python), "-W", "ignore", str(script), codec]
        self._process: subprocess.Popen[str] | None = None

    def outcomes(self, before: Sequence[bytes], mutants: Sequence[bytes]) -> list[dict[str, Any]]:
        """What becomes of each of the mutants.

        Raises:
            RuntimeError: the codec's process ends, twice, before it has answered.
        """
        job = json.dumps({"before": _text(before), "mutants": _text(mutants)}) + "\n"
        for _ in range(2):
            if self._process is None:
                threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
                self._process = subprocess.Popen(
                    self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                    env={**os.environ, **threads, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
                )  # fmt: skip
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(job)
                self._process.stdin.flush()
                line = self._process.stdout.readline()
            except BrokenPipeError:
                line = ""
            if line:
                answer: list[dict[str, Any]] = json.loads(line)
                return answer
            self.close()
        raise RuntimeError(f"{' '.join(self._command)} ended")

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait(timeout=60)
            self._process = None


def _text(streams: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(data).decode() for data in streams]


def kind_of(outcome: dict[str, Any], whole: str) -> str:
    """One of `OUTCOMES`.

    Args:
        whole: digest of what the codec makes of the stream before it was damaged.
    """
    if "signal" in outcome:
        return "hang" if outcome["signal"] in (signal.SIGPROF, signal.SIGALRM) else "crash"
    if "status" in outcome:
        return "crash"
    if outcome["kilobytes"] > MEMORY_KILOBYTES or outcome.get("error") == "MemoryError":
        return "memory"
    if "error" in outcome:
        return "refused"
    return "identical" if outcome["digest"] == whole else "wrong"


def campaign(side: Side, streams: Sequence[Stream], count: int) -> dict[str, Any]:
    """Counts of outcomes over `count` mutants: in all, by kind of damage, by stream; errors by class."""
    counts: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    by_kind = {kind: Counter[str]() for kind in KINDS}
    by_stream = {stream.name: Counter[str]() for stream in streams}
    most = 0
    for number, stream in enumerate(streams):
        rng = random.Random(f"{SEED} {stream.name}")
        share = count * (number + 1) // len(streams) - count * number // len(streams)
        work = [(kind, mutant(stream, kind, rng, streams)) for kind, _ in zip(_forever(), range(share))]
        [whole] = side.outcomes(stream.before, [stream.data])
        if "digest" not in whole:
            raise RuntimeError(f"the stream {stream.name!r} itself is not decoded: {whole}")
        for start in range(0, share, BATCH):
            batch = work[start : start + BATCH]
            found = side.outcomes(stream.before, [data for _, data in batch])
            for (kind, _), outcome in zip(batch, found):
                what = kind_of(outcome, whole["digest"])
                counts[what] += 1
                by_kind[kind][what] += 1
                by_stream[stream.name][what] += 1
                most = max(most, outcome["kilobytes"])
                if what == "refused":
                    errors[outcome["error"]] += 1
    return {
        "mutants": count,
        "outcomes": {what: counts[what] for what in OUTCOMES},
        "errors": dict(errors.most_common()),
        "largest_megabytes": most >> 10,
        "by_kind": {kind: dict(found) for kind, found in by_kind.items()},
        "by_stream": {name: dict(found) for name, found in by_stream.items()},
    }


def _is_refusal(error: str) -> bool:
    """Whether the class of this name is one that nnr promises for bad streams."""
    found = getattr(nnr, error, None)
    return isinstance(found, type) and issubclass(found, nnr.BitstreamError)


def _forever() -> Any:
    while True:
        yield from KINDS


def report(rows: dict[str, dict[str, Any]]) -> str:
    """Tables and what they mean, as Markdown."""
    head = ["decoder", "mutants", *OUTCOMES, "most memory"]
    table = markdown_table(head, [
        [name, str(row["mutants"]), *(str(row["outcomes"][what]) for what in OUTCOMES),
         f"{row['largest_megabytes']} MB"]
        for name, row in rows.items()
    ])  # fmt: skip
    kinds = markdown_table(
        ["wrong values, by damage", *KINDS],
        [
            [name, *(str(row["by_kind"][kind].get("wrong", 0)) for kind in KINDS)]
            for name, row in rows.items()
        ],
    )
    errors = "\n".join(
        f"* {name}: " + ", ".join(f"{error} {count}" for error, count in row["errors"].items())
        for name, row in rows.items()
    )
    return f"{table}\n\n{kinds}\n\nErrors by class:\n\n{errors}"


def main() -> int:
    """Measure, print, and write what was asked for; status 1 when nnr breaks a promise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=20000, help="of each set of streams")
    parser.add_argument("--docs", type=Path, help="page to put the tables into; the JSON goes beside it")
    args = parser.parse_args()
    began = time.monotonic()
    jobs = {
        "nnr": (Side("nnr", Path(sys.executable)), vectors()),
        "nnr, its own streams with checksums": (Side("nnr", Path(sys.executable)), with_checksums()),
    }
    python = find_peer()
    if python is None:
        print("no NNCodec to compare with; `make interop` installs it, or set NNR_PEER_PYTHON")
    else:
        jobs["NNCodec 2.1.3"] = (Side("nncodec", python), vectors())
    with ThreadPoolExecutor(len(jobs)) as pool:
        futures = {
            name: pool.submit(campaign, side, streams, args.mutants) for name, (side, streams) in jobs.items()
        }
        rows = {name: future.result() for name, future in futures.items()}
    for side, _ in jobs.values():
        side.close()
    text = report(rows)
    print(text)
    print(f"seed {SEED}; {time.monotonic() - began:.0f} s")
    if args.docs:
        replace_block(args.docs, "mutation", text)
        write_json(args.docs.with_name("mutation.json"), {"machine": machine(), "seed": SEED, "rows": rows})
    ours, checked = (rows[name] for name in jobs if name.startswith("nnr"))
    broken = sum(row["outcomes"][what] for row in (ours, checked) for what in ("crash", "hang", "memory"))
    strangers = {name for row in (ours, checked) for name in row["errors"] if not _is_refusal(name)}
    # An update that is cut before its metadata unit is an update without units, and valid.
    changed = (found for kind, found in checked["by_kind"].items() if kind != "truncation")
    unnoticed = sum(found.get("wrong", 0) for found in changed)
    return 1 if broken or strangers or unnoticed else 0


if __name__ == "__main__":
    sys.exit(main())
