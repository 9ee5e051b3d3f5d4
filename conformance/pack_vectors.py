"""Make `manifest.json` and `vectors/third_party.zip` from third-party vectors and those of the specification.

    python conformance/pack_vectors.py [SHARED]          # writes both, deterministically
    python conformance/pack_vectors.py [SHARED] --check  # exit 1 if they are not what this would write

SHARED holds the folders `vectors` and `spec`; default: NNR_SHARED, or `shared` beside the checkout. Streams
go into the archive as they are; of decoded tensors only digests are kept (`suite.tensor_digest`).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conformance.manifest import (
    HERE,
    Record,
    expected_tensor,
    profile_fields,
    requires_field,
    stream_fields,
    write_part,
)

ARCHIVE = "vectors/third_party.zip"

#: Sections that a feature of the third-party vectors exercises; a feature that starts with the key counts.
CLAUSES = {
    "": ("syntax 2", "decoding 2", "decoding 3"),
    "block": ("semantics 5",),
    "block_DC": ("semantics 6", "decoding 10.4"),
    "cabac_unary_length": ("decoding 4", "decoding 7"),
    "codebook": ("syntax 9.2", "decoding 10.3"),
    "dq": ("decoding 8",),
    "entry_points": ("syntax 9.4", "decoding 9.3"),
    "hdsp": ("decoding 11.5",),
    "large_levels": ("decoding 7",),
    "long_unit_size": ("syntax 2.2",),
    "unit_size_boundary": ("syntax 2.2",),
    "mps_": ("syntax 4",),
    "node_id": ("syntax 9.1", "decoding 11.2"),
    "parent_node_id": ("syntax 9.1", "decoding 11.2"),
    "out_of_band": ("semantics 7",),
    "param_opt": ("decoding 5",),
    "performance_map": ("syntax 6",),
    "pt_int": ("decoding 10.7",),
    "pt_raw_float": ("decoding 10.8",),
    "qp_": ("decoding 10.1",),
    "row_skip": ("decoding 5", "decoding 9.2"),
    "scan_order": ("decoding 9.1", "decoding 9.2"),
    "skipped_ndu": ("decoding 11.1",),
    "tca": ("decoding 6", "decoding 11.3"),
    "topology": ("syntax 7",),
    "uniform": ("decoding 10.2",),
    "edition1": ("README D1", "README D2"),
}

# ----------------------------------------------------------------------------------------------------
# The three sources


def third_party(folder: Path, streams: dict[str, bytes]) -> Iterator[Record]:
    """Records of the vectors that other software wrote, sequences step by step; fills `streams`."""
    listing = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    for entry in listing["vectors"]:
        path = folder / entry["path"]
        facts = json.loads(path.read_text(encoding="utf-8"))
        common = {
            "tier": facts["tier"],
            "source": f"third-party vectors, {entry['path']}",
            "producer": facts["peer"],
            "basis": "independent software",
        }
        if facts["kind"] == "single":
            file = facts["bitstream"]["file"]
            yield {
                "name": facts["name"],
                **_stream(streams, f"{facts['tier']}/{file}", (path.parent / file).read_bytes()),
                **common,
                **profile_fields(facts["general_profile_idc"]),
                **_features(facts["features"]),
                **_out_of_band(facts),
                "expect": {"tensors": _tensors(facts["tensors"], path.parent / facts["npz"])},
            }
            continue
        before: list[str] = []
        for step in facts["steps"]:
            name = f"{facts['name']}/{Path(step['file']).stem}"
            data = (path.parent / step["file"]).read_bytes()
            yield {
                "name": name,
                **_stream(streams, f"{facts['tier']}/{facts['name']}/{step['file']}", data),
                **common,
                **profile_fields(step.get("general_profile_idc", facts["general_profile_idc"])),
                **_features(facts["features"]),
                **requires_field(list(before)),
                **_out_of_band(step),
                "expect": {"tensors": _tensors(step["tensors"], path.parent / step["npz"])},
            }
            before.append(name)


def quirks(folder: Path, streams: dict[str, bytes]) -> Iterator[Record]:
    """Records of the streams on which their own software fails or surprises.

    Where it decodes a stream, its output is expected. For the others `quirks.json` beside this file says what
    is: the digests are of what NNCodec 2.1.3 gives for the stream after the `edit` named there, which takes
    away what it stumbles over and leaves the coded data alone.
    """
    others = json.loads((HERE / "quirks.json").read_text(encoding="utf-8"))
    for facts in json.loads((folder / "quirks.json").read_text(encoding="utf-8")):
        if not facts.get("stream"):
            continue
        data = (folder / facts["stream"]).read_bytes()
        if facts.get("peer_decoder") == "decodes":
            rest: Record = {
                "basis": "independent software",
                "expect": {"tensors": _tensors(facts["tensors"], folder / facts["npz"])},
            }
        else:
            rest = others[facts["id"]]
        yield {
            "name": f"quirks/{facts['id']}",
            **_stream(streams, f"quirks/{facts['stream']}", data),
            "tier": "quirks",
            "source": f"third-party vectors, quirks/{facts['stream']}",
            "producer": facts["peer"],
            "note": facts["title"],
            **profile_fields(data[3]),
            **rest,
        }


#: The stream of the worked example, with the integers and values that its text derives bit by bit.
WORKED_EXAMPLE = bytes.fromhex(
    "00 04 02 01  00 08 06 81 00 40 00 80  00 06 0e 00 00 00"
    "00 19 16 09 77 00 d0 40 c1 20 e1 00 60 80  f4 06 20 03 9d 84 55 db a3 70 c0"
)
WORKED_EXAMPLE_LEVELS = [[2, -1, 0, 4], [0, 0, 0, 0], [-2, 1, 9, -19]]


def specification(file: Path, streams: dict[str, bytes]) -> Iterator[Record]:
    """Records of the streams that stand in the specification itself."""
    levels = np.array(WORKED_EXAMPLE_LEVELS, np.int32)
    common = {"tier": "spec", "producer": "specification"}
    yield {
        "name": "spec/worked_example",
        **_stream(streams, "spec/worked_example.nnr", WORKED_EXAMPLE),
        **common,
        "source": "specification, worked_example",
        "producer": "NNCodec 2.1.3",
        "basis": "hand computation",
        "clauses": ["syntax 2", "decoding 2", "decoding 3", "decoding 5", "decoding 6", "decoding 7"],
        **profile_fields(1),
        "expect": {
            "tensors": [
                expected_tensor("w", "uniform", levels.astype(np.float32) * np.float32(0.125), levels)
            ]
        },
    }
    for entry in json.loads(file.read_text(encoding="utf-8"))["vectors"]:
        data = bytes.fromhex(entry["hex"])
        yield {
            "name": f"spec/{entry['name']}",
            **_stream(streams, f"spec/{entry['name']}.nnr", data),
            **common,
            "source": "specification, vectors.json",
            "basis": "independent software",
            "note": entry["description"],
            **profile_fields(data[3]),
            **requires_field([f"spec/{required}" for required in entry.get("requires", ())]),
            "expect": {"tensors": [_spec_tensor(name, t) for name, t in entry["tensors"].items()]},
        }


# ----------------------------------------------------------------------------------------------------
# Parts of a record


def _stream(streams: dict[str, bytes], file: str, data: bytes) -> Record:
    return stream_fields(streams, ARCHIVE, file, data)


def _out_of_band(facts: Record) -> Record:
    return {"out_of_band": facts["out_of_band"]} if facts.get("out_of_band") else {}


def _features(features: list[str]) -> Record:
    sections: set[str] = set()
    for start, found in CLAUSES.items():
        if any(feature.startswith(start) for feature in features):
            sections.update(found)
    return {"features": features, "clauses": sorted(sections)}


def _tensors(facts: list[Record], arrays: Path) -> list[Record]:
    """The expectations for the tensors of one stream; the digests of the source are checked on the way."""
    with np.load(arrays) as loaded:
        found = {key: loaded[key] for key in loaded.files}
    result = []
    for tensor in facts:
        array = found[tensor["key"]]
        if hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest() != tensor["sha256"]:
            raise ValueError(f"{arrays}: {tensor['name']} is damaged")
        levels = found[tensor["level_key"]].reshape(array.shape) if "level_key" in tensor else None
        method = tensor.get("method", "raw_float")
        method = "integer" if method == "skip" else method
        more = {key: tensor[key] for key in ("qp", "qp_density", "dq_flag", "scan_order") if key in tensor}
        result.append(expected_tensor(tensor["name"], method, array, levels, more=more))
    return result


def _spec_tensor(name: str, facts: Mapping[str, Any]) -> Record:
    shape = facts["dims"]
    levels = np.array(facts["integers"], np.int32).reshape(shape) if "integers" in facts else None
    if "reconstructed_int" in facts:
        values = np.array(facts["reconstructed_int"], np.int32).reshape(shape)
        return expected_tensor(name, "integer", values, levels)
    values = np.frombuffer(bytes.fromhex(facts["reconstructed_f32_hex"]), "<f4").reshape(shape)
    return expected_tensor(name, "raw_float" if levels is None else "quantized", values, levels)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    default = os.environ.get("NNR_SHARED") or HERE.parent.parent / "shared"
    parser.add_argument("shared", nargs="?", type=Path, default=Path(default))
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a difference")
    options = parser.parse_args(arguments)

    streams: dict[str, bytes] = {}
    records = [
        *specification(options.shared / "spec" / "vectors.json", streams),
        *third_party(options.shared / "vectors", streams),
        *quirks(options.shared / "vectors" / "quirks", streams),
    ]
    tiers = {"spec", "main", "assembled", "edition1", "quirks"}
    same = write_part(tiers, records, ARCHIVE, streams, check=options.check)
    if options.check:
        print("up to date" if same else "the packed vectors differ from their source")
        return 0 if same else 1
    print(f"{len(records)} vectors")
    return 0


if __name__ == "__main__":
    sys.exit(main())
