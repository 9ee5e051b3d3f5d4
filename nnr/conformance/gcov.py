"""Lines and branches of the C decoder that vectors reach, counted by gcov.

In: a checkout. The core is built in a copy with ``gcc --coverage``, the vectors run through it with one
thread and with two, and gcov is asked. What no bitstream can reach is listed by function, with the reason.
"""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .checkout import NotACheckout, build_core, copy_checkout
from .runner import OwnDecoder, run
from .suite import Suite, Vector

if TYPE_CHECKING:
    from .coverage import Group

__all__ = ["FILES", "UNREACHABLE", "core_groups"]

FILES = ("decode.c", "interleave.c", "layout.c", "model.c", "dequantize.c")

_STEPS = "the engine step by step, for tests and traces; decoding does not call it"
_ARGUMENTS = "refuses arguments that Python never hands over; nnr.core checks them before"
_MEMORY = "memory runs out"
_TESTS = "asked for by tests only"
#: Function: why a bitstream cannot reach all of it.
UNREACHABLE = {
    "nnr_decoder_start": _STEPS,
    "nnr_decoder_set_context": _STEPS,
    "nnr_decoder_read_bin": _STEPS,
    "nnr_decoder_read_uae": _STEPS,
    "nnr_decoder_read_iae": _STEPS,
    "nnr_decoder_read_tensor": _STEPS,
    "nnr_decoder_open_tensor": _STEPS,
    "nnr_decoder_read_block_rows": _STEPS,
    "nnr_decoder_entry": _STEPS,
    "nnr_decoder_reset_range": _STEPS,
    "nnr_decoder_finish": _STEPS,
    "nnr_decoder_state": _STEPS,
    "nnr_decoder_estimators": _STEPS,
    "nnr_model_estimators": _STEPS,
    "step_status": _STEPS,
    "is_context": _STEPS,
    "put_entry": _TESTS,
    "nnr_unit_is_sound": _ARGUMENTS,
    "nnr_tensor_is_sound": _ARGUMENTS,
    "are_arguments": _ARGUMENTS,
    "nnr_decoder_new": _MEMORY,
    "nnr_decoder_free": _MEMORY,
}
#: Part of a source line, or of it and the one before: why no bitstream reaches it, or all its branches.
UNREACHABLE_LINES = {
    "if (!nnr_unit_is_sound(unit, tensor_count))": _ARGUMENTS,
    "if (!nnr_tensor_is_sound(unit, &tensors[unit->first_tensor + t])) {": _ARGUMENTS,
    "if (!are_arguments(decoder, units, unit_count, tensors, tensor_count))": _ARGUMENTS,
    "if (!nnr_begin_unit(": _ARGUMENTS,
    "NNR_ERR_ARGUMENT;": _ARGUMENTS,
    "if (!decoder->skip) {": _MEMORY,
    "NNR_ERR_MEMORY": _MEMORY,
    "decode_skip_list(decoder, layout);\nif (decoder->status != NNR_OK)": _MEMORY,
    "if (walk->entries)": _TESTS,
    "if (tensor->skip_list)": _TESTS,
    "memcpy(pointer_of(tensor->skip_list)": _TESTS,
}


def core_groups(vectors: Iterable[Vector], checkout: Path) -> dict[str, Group]:
    """Groups "lines of decode.c" and "branches of decode.c" for each file of the C decoder.

    Raises:
        NotACheckout: `checkout` cannot be built with gcc, or gcov does not understand it.
    """
    chosen = list(vectors)
    with tempfile.TemporaryDirectory(prefix="nnr-gcov-") as name:
        copy = Path(name)
        copy_checkout(checkout, copy)
        build_core(copy, ("-O0", "--coverage", "-DNNR_COVERAGE"))
        for _ in run(chosen, OwnDecoder(Suite(chosen[0].suite.manifest), path=copy), timeout=120):
            pass
        groups: dict[str, Group] = {}
        for file in FILES:
            groups |= _groups_of(file, copy)
        return groups


def _groups_of(file: str, copy: Path) -> dict[str, Group]:
    from .coverage import Group

    (data,) = _one(copy, file.replace(".c", ".gcda"))
    asked = ["gcov", "--branch-probabilities", "--json-format", "--stdout", str(data)]
    answer = subprocess.run(asked, cwd=copy, capture_output=True, check=False)
    if answer.returncode:
        raise NotACheckout(f"gcov: {answer.stderr.decode('utf-8', 'replace').strip()}")
    raw = answer.stdout
    document = json.loads(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
    source = (copy / "c_core" / file).read_text(encoding="utf-8").splitlines()
    lines, branches = Group([]), Group([])
    for record in document["files"]:
        if Path(record["file"]).name != file:
            continue
        for line in sorted(record["lines"], key=lambda one: one["line_number"]):
            number = line["line_number"]
            reason = UNREACHABLE.get(line.get("function_name", "")) or _reason_at(source, number - 1)
            _count(line, source[number - 1].strip(), reason, lines, branches)
    return {f"lines of {file}": lines, f"branches of {file}": branches}


def _one(copy: Path, name: str) -> list[Path]:
    found = list(copy.rglob(name))
    if len(found) != 1:
        raise NotACheckout(f"the build left {len(found)} files {name}; gcc with --coverage leaves one")
    return found


def _reason_at(source: list[str], at: int) -> str | None:
    """Why a line cannot be reached: itself, or since it stands behind a condition that cannot be met."""
    text = source[at]
    both = f"{source[at - 1].strip()}\n{text.strip()}"
    found = (why for part, why in UNREACHABLE_LINES.items() if part in (both if "\n" in part else text))
    reason = next(found, None)
    if reason or at == 0:
        return reason
    before = source[at - 1]
    deeper = len(text) - len(text.lstrip()) > len(before) - len(before.lstrip())
    leaves = text.strip().startswith(("return", "continue")) and not before.strip().endswith("}")
    return _reason_at(source, at - 1) if text.strip() and (deeper or leaves) else None


def _count(line: dict[str, Any], text: str, reason: str | None, lines: Group, branches: Group) -> None:
    """Functions may be counted in several places; a line is reached if it is in one of them."""
    label = f"{line['line_number']}: {text}"
    if label not in lines.everything:
        lines.everything.append(label)
    if line["count"]:
        lines.reached.add(label)
    elif reason:
        lines.impossible[label] = reason
    for name, taken in _outcomes(label, line["branches"]):
        if name not in branches.everything:
            branches.everything.append(name)
        if taken:
            branches.reached.add(name)
        elif reason:
            branches.impossible[name] = reason
    for group in (lines, branches):
        group.impossible = {n: why for n, why in group.impossible.items() if n not in group.reached}


def _outcomes(label: str, found: list[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    for number, branch in enumerate(found):
        if not branch["throw"]:
            yield f"{label} [branch {number}]", branch["count"]


def stale_entries(checkout: Path) -> list[str]:
    """Names in `UNREACHABLE` and `UNREACHABLE_LINES` that the sources no longer have."""
    text = "\n".join((checkout / "c_core" / file).read_text(encoding="utf-8") for file in FILES)
    functions = [name for name in UNREACHABLE if not re.search(rf"\b{name}\(", text)]
    lines = "\n".join(line.strip() for line in text.splitlines())
    return functions + [part for part in UNREACHABLE_LINES if part not in lines]
