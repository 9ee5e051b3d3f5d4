"""Seeds of the fuzzers, from the vectors of `conformance/`: whole streams, and payloads for the C targets.

    python fuzz/seeds.py FOLDER      makes FOLDER/streams and FOLDER/payloads

Files are named by their digest, so that running it twice changes nothing.
"""

from __future__ import annotations

import hashlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nnr import NnrError
from nnr.conformance.suite import Suite
from nnr.decoder.plan import UnitPlan
from nnr.decoder.stream import read_stream
from nnr.limits import Limits
from nnr.syntax.constants import PayloadType

MOST_STREAM_BYTES = 4096
MOST_PAYLOAD_BYTES = 700
MOST_ELEMENTS = 1 << 11  # as in input.h


def streams() -> Iterator[bytes]:
    """Vectors that are small, valid or not."""
    for vector in Suite():
        if len(vector.data) <= MOST_STREAM_BYTES:
            yield vector.data


def payloads() -> Iterator[bytes]:
    """Coded payloads of the vectors, each behind a description of its tensors as `input.h` reads it."""
    for vector in Suite():
        supplied = vector.out_of_band or {}
        try:
            plans = read_stream(memoryview(vector.data), Limits(), supplied.get).plans
        except NnrError:
            continue
        for plan in plans:
            if plan.payload_type != PayloadType.NNR_PT_RAW_FLOAT and _fits(plan):
                yield _described(plan)


def _fits(plan: UnitPlan) -> bool:
    small = all(t.elements <= MOST_ELEMENTS and t.rows < 1 << 16 and t.cols < 256 for t in plan.tensors)
    return small and len(plan.payload) <= MOST_PAYLOAD_BYTES and len(plan.tensors) <= 3


def _described(plan: UnitPlan) -> bytes:
    flags = plan.profile | plan.dq_flag << 1 | plan.differential << 2 | plan.temporal << 3 | 1 << 5
    described = struct.pack("<BBBH", 0, flags, len(plan.tensors) - 1, len(plan.payload))
    for tensor in plan.tensors:
        book = tensor.codebook
        used = 1 if plan.payload_type != PayloadType.NNR_PT_INT else 0
        used |= 4 * plan.differential | 8 | 16 | 128 * plan.temporal
        described += struct.pack(
            "<HHBBHHhhBB",
            tensor.rows,
            tensor.cols,
            plan.cabac_unary_length - 1,
            tensor.scan_order,
            len(book.entries) if book else 0,
            book.zero_offset if book else 0,
            plan.base_qp,
            plan.base_qp,
            plan.qp_density,
            used,
        )
    return described + bytes(plan.payload)


def write(folder: Path, items: Iterator[bytes]) -> int:
    """Each item as a file; how many there are."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {hashlib.sha1(item).hexdigest(): item for item in items}
    for name, item in found.items():
        (folder / name).write_bytes(item)
    return len(found)


if __name__ == "__main__":
    root = Path(sys.argv[1])
    print(write(root / "streams", streams()), "streams,", write(root / "payloads", payloads()), "payloads")
