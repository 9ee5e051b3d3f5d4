"""Writing the suite: records of `manifest.json`, and the archives beside it."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from nnr.conformance.suite import canonical, tensor_digest  # noqa: E402

__all__ = [
    "HERE",
    "Record",
    "expected_tensor",
    "profile_fields",
    "requires_field",
    "stream_fields",
    "write_part",
    "write_section",
]

Record = dict[str, Any]
MANIFEST = HERE / "manifest.json"

_HEAD = {
    "format": 1,
    "standard": "ISO/IEC 15938-17",
    "digest": (
        "SHA-256 of name, dtype, shape (decimal, commas), each ended by a zero byte, then little-endian "
        "C-order bytes; floats as float32, zeros positive except in raw_float tensors; levels as int32"
    ),
}


def stream_fields(streams: dict[str, bytes], archive: str, file: str, data: bytes) -> Record:
    """Where a stream is and what it is; it is put among `streams`."""
    if file in streams:
        raise ValueError(f"two streams are called {file}")
    streams[file] = data
    return {"archive": archive, "file": file, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def profile_fields(general_profile_idc: int) -> Record:
    """Edition and profile."""
    return {"edition": 1 + general_profile_idc, "profile": general_profile_idc}


def requires_field(names: list[str]) -> Record:
    """The streams that come before, if any."""
    return {"requires": names} if names else {}


def expected_tensor(
    name: str,
    method: str,
    values: np.ndarray,
    levels: np.ndarray | None,
    *,
    dtype: str | None = None,
    more: Record | None = None,
) -> Record:
    """One tensor among those expected; `dtype` is int32 or float32 unless given."""
    dtype = dtype or ("int32" if values.dtype.kind in "iu" else "float32")
    raw = method == "raw_float"
    record = {"name": name, "shape": list(values.shape), "dtype": dtype, "method": method, **(more or {})}
    if levels is not None:
        record["levels"] = tensor_digest(name, canonical(levels, "int32"))
    record["values"] = tensor_digest(name, canonical(values, dtype, exact_zeros=raw))
    return record


def write_part(
    tiers: Collection[str], records: list[Record], archive: str, streams: Mapping[str, bytes], *, check: bool
) -> bool:
    """Put the records of `tiers` into the manifest, those of other tiers staying, and make their archive.

    Returns:
        whether nothing had to be changed; with `check` nothing is written either.
    """
    packed, path = _packed(streams), HERE / archive
    held = MANIFEST.read_text(encoding="utf-8") if MANIFEST.exists() else ""
    others = [r for r in json.loads(held)["vectors"] if r["tier"] not in tiers] if held else []
    before = [r for r in others if r["tier"] != "generated"]
    text = _text([*before, *records, *others[len(before) :]])
    same = text == held and path.exists() and _content(path) == dict(streams)
    if not check and not same:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed)
        MANIFEST.write_text(text, encoding="utf-8", newline="\n")
    return same


def _text(records: list[Record]) -> str:
    """The manifest, one vector a line."""
    lines = [json.dumps(record, ensure_ascii=False, separators=(",", ":")) for record in records]
    return json.dumps(_HEAD, indent=1)[:-2] + ',\n "vectors": [\n' + ",\n".join(lines) + "\n ]\n}\n"


def _packed(streams: Mapping[str, bytes]) -> bytes:
    """A zip archive of the streams that depends on nothing but them (and zlib)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(streams):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr = 3, 0o100644 << 16
            archive.writestr(info, streams[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def _content(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_section(name: str, text: str) -> None:
    """Put made text into docs/conformance.md, between the marks of a section."""
    page = HERE.parent / "docs" / "conformance.md"
    begin, end = f"<!-- {name}: made -->\n", f"\n<!-- {name}: end -->"
    whole = page.read_text(encoding="utf-8")
    before, found, rest = whole.partition(begin)
    _, found_end, after = rest.partition(end)
    if not (found and found_end):
        raise ValueError(f"{page}: the marks of {name!r} are missing")
    page.write_text(before + begin + text + end + after, encoding="utf-8", newline="\n")
