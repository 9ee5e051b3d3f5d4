"""The vector suite: reading `manifest.json` and its archives, digests, and comparing what a decoder gives.

A vector is one bitstream with the tensors it must decode to, or the error it must cause. Streams stand in zip
archives; expectations are digests, so nothing large is stored. `manifest.json` is described in the README of
the vectors.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import threading
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Suite", "SuiteNotFound", "Vector", "canonical", "compare", "find_manifest", "tensor_digest"]

_PACKAGE = "nnr_conformance"
_CHECKOUT = Path(__file__).resolve().parents[2] / "conformance"


class SuiteNotFound(FileNotFoundError):
    """There are no vectors where they were looked for; the message says how to get them."""


def find_manifest(folder: Path | None = None) -> Path:
    """`manifest.json` of the vectors: in `folder`, or in the checkout, or in the package nnr-conformance.

    Raises:
        SuiteNotFound: it is in none of these.
    """
    if folder is not None:
        found = folder / "manifest.json"
        if not found.is_file():
            raise SuiteNotFound(f"{folder}: holds no manifest.json, so no vectors")
        return found
    spec = importlib.util.find_spec(_PACKAGE)
    installed = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for place in (_CHECKOUT, *installed):
        if (place / "manifest.json").is_file():
            return place / "manifest.json"
    raise SuiteNotFound(
        "the vectors are not installed: run `pip install ./conformance` in a checkout of nnr, or give its "
        "folder `conformance` as DIR"
    )


def canonical(array: np.ndarray, dtype: str, *, exact_zeros: bool = False) -> np.ndarray:
    """An array in the form in which it is compared: `dtype`, little-endian, C order, zeros positive, one NaN.

    Float tensors are compared as `dtype` says, whatever precision a decoder computes in. The sign of a zero
    and the bits of a NaN come from no coded integer, so they are dropped, unless `exact_zeros` (raw floats).

    Args:
        array: any shape; float for a float `dtype`, integer for an integer one.
        dtype: name of a numpy dtype.

    Raises:
        TypeError: floats where integers are expected or the other way round.
        OverflowError: an integer does not fit `dtype`.
    """
    wanted = np.dtype(dtype)
    kind = "iu" if wanted.kind in "iu" else wanted.kind
    if array.dtype.kind not in kind:
        raise TypeError(f"{array.dtype} where {dtype} is expected")
    with np.errstate(over="ignore", invalid="ignore"):
        result = np.array(array, dtype=wanted.newbyteorder("<"), order="C")
    if wanted.kind in "iu" and not np.array_equal(result, array):
        raise OverflowError(f"values of {array.dtype} do not fit {dtype}")
    if wanted.kind == "f" and not exact_zeros:
        result[result == 0] = 0
        result[np.isnan(result)] = np.nan
    return result


def tensor_digest(name: str, array: np.ndarray) -> str:
    """SHA-256, in hex, over name, dtype, shape and the bytes of an array in canonical form.

    Three parts are UTF-8 text ended by a zero byte: name, numpy's name of the dtype, dimensions in decimal
    with commas between. The fourth is the elements, little-endian, in C order.
    """
    shape = ",".join(map(str, array.shape))
    digest = hashlib.sha256(f"{name}\0{array.dtype.name}\0{shape}\0".encode())
    digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Vector:
    """One record of the manifest.

    Attributes:
        name: unique in the suite.
        record: the record itself, see `README.md`.
        suite: where it comes from.
    """

    name: str
    record: Mapping[str, Any]
    suite: Suite = field(repr=False)

    @cached_property
    def data(self) -> bytes:
        """The stream; its digest is checked.

        Raises:
            ValueError: the archive holds other bytes than the manifest says.
        """
        data = self.suite.read(self.record["archive"], self.record["file"])
        if hashlib.sha256(data).hexdigest() != self.record["sha256"]:
            raise ValueError(f"{self.record['archive']}: {self.record['file']} is damaged")
        return data

    @property
    def out_of_band(self) -> Mapping[str, Any] | None:
        """Parameters that the stream leaves to its environment, by element id."""
        return self.record.get("out_of_band")

    @property
    def tensors(self) -> list[dict[str, Any]] | None:
        """The tensors expected, in stream order; None where an error is."""
        return self.record["expect"].get("tensors")

    @property
    def error(self) -> str | None:
        """Name of the error class expected, None where tensors are."""
        return self.record["expect"].get("error")

    @property
    def or_error(self) -> str | None:
        """Name of an error class that is as good as the tensors, where the specification leaves room."""
        return self.record["expect"].get("or_error")

    @property
    def tier(self) -> str:
        """Part of the suite: main, assembled, edition1, spec, quirks or generated."""
        return str(self.record["tier"])

    def predecessors(self) -> list[Vector]:
        """Streams that a decoder must have decoded before, oldest first."""
        return [self.suite[name] for name in self.record.get("requires", ())]


class Suite:
    """The vectors of a manifest, by name and in order."""

    def __init__(self, manifest: Path | None = None) -> None:
        self.manifest = find_manifest() if manifest is None else manifest
        manifest = self.manifest
        self.folder = manifest.parent
        document = json.loads(manifest.read_text(encoding="utf-8"))
        if document.get("format") != 1:
            raise ValueError(f"{manifest}: format {document.get('format')!r} is not known")
        records = document["vectors"]
        self._vectors = {record["name"]: Vector(record["name"], record, self) for record in records}
        if len(self._vectors) != len(records):
            raise ValueError(f"{manifest}: two vectors have the same name")
        self._archives: dict[str, dict[str, bytes]] = {}
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[Vector]:
        return iter(self._vectors.values())

    def __len__(self) -> int:
        return len(self._vectors)

    def __getitem__(self, name: str) -> Vector:
        return self._vectors[name]

    def read(self, archive: str, file: str) -> bytes:
        """One file of an archive; the archive is read once and kept."""
        with self._lock:
            if archive not in self._archives:
                with zipfile.ZipFile(self.folder / archive) as opened:
                    self._archives[archive] = {name: opened.read(name) for name in opened.namelist()}
        return self._archives[archive][file]


def compare(
    vector: Vector,
    values: Mapping[str, np.ndarray] | None = None,
    levels: Mapping[str, np.ndarray] | None = None,
) -> list[str]:
    """What is wrong with the output of a decoder for a vector that has tensors; empty for nothing.

    Args:
        values: decoded tensors in coded form, by name.
        levels: integers before dequantization, by name; only those that the manifest knows are looked at.
    """
    problems: list[str] = []
    expected = vector.tensors or []
    if values is not None:
        names = {tensor["name"] for tensor in expected}
        problems += [f"unexpected tensor {name!r}" for name in values if name not in names]
        problems += _differences(expected, values, "values")
    if levels is not None:
        problems += _differences(expected, levels, "levels")
    return problems


def _differences(
    expected: Iterable[Mapping[str, Any]], found: Mapping[str, np.ndarray], what: str
) -> Iterator[str]:
    for tensor in expected:
        if what not in tensor:
            continue
        name, shape = tensor["name"], tuple(tensor["shape"])
        if name not in found:
            yield f"no {what} of {name!r}"
            continue
        array = np.asarray(found[name])
        if array.shape != shape:
            yield f"{what} of {name!r} have shape {array.shape}, not {shape}"
            continue
        dtype = tensor["dtype"] if what == "values" else "int32"
        try:
            array = canonical(array, dtype, exact_zeros=tensor["method"] == "raw_float")
        except (TypeError, OverflowError) as error:
            yield f"{what} of {name!r}: {error}"
            continue
        if tensor_digest(name, array) != tensor[what]:
            yield f"{what} of {name!r} differ"
