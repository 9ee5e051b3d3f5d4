"""Two models beside each other: what differs, tensor by tensor, and by how much.

In: two models, each a mapping of arrays, the path of a file of any supported format, or a bitstream. Out: a
`CompareReport`. Tensors are read one at a time, so that models larger than memory can be compared where their
formats give single tensors.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from .decoder.lazy import File, open_file
from .dtypes import WIDE, dtype_code, is_float, is_integer
from .encoder.report import psnr_of
from .errors import BitstreamError, FormatError, LimitError
from .formats import format_of, open_source
from .formats.shards import weight_map
from .limits import Limits

__all__ = ["CompareReport", "Errors", "Source", "TensorComparison", "compare", "model_size", "open_model"]

Source = Mapping[str, Any] | str | os.PathLike[str] | bytes | bytearray | memoryview

_INDEX, _NNR_INDEX = ".index.json", ".nnr.index.json"
_CHUNK = 1 << 18  # elements; the float64 copies of a chunk stay in the cache


@dataclass(slots=True)
class Errors:
    """How far the elements of B are from those of A, over the elements that are finite in both.

    Attributes:
        elements: all elements.
        finite: those that are finite in both.
        nonfinite: those that are NaN or infinite in one of the two, and not the same in the other.
        max_error: largest absolute difference; 0 where nothing was compared.
        squared_error: sum of squared differences.
        peak: largest magnitude in A.
        dot, square_a, square_b: sums of the products of A and B, of the squares of A, of those of B.
    """

    elements: int = 0
    finite: int = 0
    nonfinite: int = 0
    max_error: float = 0.0
    squared_error: float = 0.0
    peak: float = 0.0
    dot: float = 0.0
    square_a: float = 0.0
    square_b: float = 0.0

    def add(self, other: Errors) -> None:
        """Take the elements of `other` in."""
        self.elements += other.elements
        self.finite += other.finite
        self.nonfinite += other.nonfinite
        self.max_error = max(self.max_error, other.max_error)
        self.squared_error += other.squared_error
        self.peak = max(self.peak, other.peak)
        self.dot += other.dot
        self.square_a += other.square_a
        self.square_b += other.square_b

    @property
    def rms_error(self) -> float:
        """Root of the mean squared difference."""
        if not self.finite:
            return 0.0
        least = self.max_error / math.sqrt(self.finite)  # squares of very large or small numbers fail
        return min(max(math.sqrt(self.squared_error / self.finite), least), self.max_error)

    @property
    def psnr(self) -> float:
        """Peak signal-to-noise ratio in dB, the peak being the largest magnitude of A; inf without error."""
        return psnr_of(self.peak, self.rms_error)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between A and B as vectors; NaN if one of them is zero."""
        norms = math.sqrt(self.square_a) * math.sqrt(self.square_b)
        return max(-1.0, min(1.0, self.dot / norms)) if 0 < norms < math.inf else math.nan

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has neither NaN nor infinities: null stands for them."""
        values = {
            "elements": self.elements, "finite": self.finite, "nonfinite": self.nonfinite,
            "max_error": self.max_error, "rms_error": self.rms_error, "psnr": self.psnr,
            "cosine": self.cosine,
        }  # fmt: skip
        return {key: value if math.isfinite(value) else None for key, value in values.items()}


@dataclass(slots=True)
class TensorComparison:
    """One name of either model; what is of a model that lacks it is None.

    Attributes:
        bytes_a, bytes_b: size: of the coded payload in a bitstream, else of the array.
        equal: same shape, dtype and values; a NaN equals a NaN, and 0 equals -0.
        errors: the differences; None where the shapes differ or the type has no numbers.
    """

    name: str
    shape_a: tuple[int, ...] | None = None
    shape_b: tuple[int, ...] | None = None
    dtype_a: str | None = None
    dtype_b: str | None = None
    bytes_a: int | None = None
    bytes_b: int | None = None
    equal: bool = False
    errors: Errors | None = None

    def within(self, tolerance: float | None) -> bool:
        """Equal, or with a `tolerance`: the same shape, and no element further off than that."""
        if self.equal or tolerance is None or self.errors is None:
            return self.equal
        return self.errors.nonfinite == 0 and self.errors.max_error <= tolerance

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "shape_a": None if self.shape_a is None else list(self.shape_a),
            "shape_b": None if self.shape_b is None else list(self.shape_b),
            "dtype_a": self.dtype_a,
            "dtype_b": self.dtype_b,
            "bytes_a": self.bytes_a,
            "bytes_b": self.bytes_b,
            "equal": self.equal,
            "errors": None if self.errors is None else self.errors.as_dict(),
        }


@dataclass(slots=True)
class CompareReport:
    """All tensors of two models: those of A in its order, then those that only B has.

    Attributes:
        size_a, size_b: size in bytes, of the file or folder where there is one, else of all arrays.
    """

    size_a: int
    size_b: int
    tensors: list[TensorComparison] = field(default_factory=list)

    @property
    def only_a(self) -> list[str]:
        """Names that only A has."""
        return [t.name for t in self.tensors if t.shape_b is None]

    @property
    def only_b(self) -> list[str]:
        """Names that only B has."""
        return [t.name for t in self.tensors if t.shape_a is None]

    @property
    def total(self) -> Errors:
        """The differences of all tensors that both have, taken as one."""
        total = Errors()
        for tensor in self.tensors:
            if tensor.errors is not None:
                total.add(tensor.errors)
        return total

    @property
    def equal(self) -> bool:
        """Same names, and every tensor equal."""
        return all(t.equal for t in self.tensors)

    def within(self, tolerance: float | None) -> bool:
        """Same names, and every tensor within `tolerance`."""
        return all(t.within(tolerance) for t in self.tensors)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "equal": self.equal, "size_a": self.size_a, "size_b": self.size_b, "only_a": self.only_a,
            "only_b": self.only_b, "total": self.total.as_dict(),
            "tensors": [t.as_dict() for t in self.tensors],
        }  # fmt: skip


def compare(
    a: Source,
    b: Source,
    *,
    limits: Limits | None = None,
    progress: Callable[[int, int, str], object] | None = None,
) -> CompareReport:
    """Compare two models, tensor by tensor.

    Args:
        a, b: a mapping of arrays by name (also what `nnr.open` gives), the path of a bitstream or of a model
            file, or the bytes of a bitstream.
        limits: what the decoding of a bitstream may cost.
        progress: called with (done_tensors, all_tensors, name) after each tensor.

    Returns:
        every tensor of either model, and totals. Differences are computed in float64, between integers of 64
        bits exactly.

    Raises:
        BitstreamError, FormatError: a file cannot be read.
        OSError: a file cannot be opened.
    """
    with open_model(a, limits=limits) as model_a, open_model(b, limits=limits) as model_b:
        names_a, names_b = dict.fromkeys(model_a), dict.fromkeys(model_b)
        names = names_a | names_b
        report = CompareReport(0, 0)
        for done, name in enumerate(names, 1):
            sides = (m if name in has else None for m, has in ((model_a, names_a), (model_b, names_b)))
            report.tensors.append(_compare_one(name, *sides))
            if progress is not None:
                progress(done, len(names), name)
    report.size_a = model_size(a, sum(t.bytes_a or 0 for t in report.tensors))
    report.size_b = model_size(b, sum(t.bytes_b or 0 for t in report.tensors))
    return report


@contextlib.contextmanager
def open_model(source: Source, *, limits: Limits | None = None) -> Iterator[Mapping[str, Any]]:
    """Tensors by name, read when they are asked for where the format allows that.

    A path is a bitstream or a model file by its extension; a bitstream may have any other, too.

    Raises:
        FormatError: the extension is of no supported format.
    """
    if isinstance(source, Mapping):
        yield source
    elif _is_path(source, _NNR_INDEX):
        with contextlib.ExitStack() as stack:
            shards = weight_map(source)
            files = {
                shard: stack.enter_context(open_file(Path(source).with_name(shard), limits=limits))
                for shard in dict.fromkeys(shards.values())
            }
            yield _Sharded({name: files[shard] for name, shard in shards.items()})
    elif isinstance(source, (str, os.PathLike)) and not _is_bitstream(source, limits):
        yield open_source(source)
    else:
        with open_file(source, limits=limits) as file:
            yield file


class _Sharded(Mapping[str, np.ndarray]):
    """Tensors of several bitstreams, each by the file that holds it."""

    def __init__(self, files: Mapping[str, File]) -> None:
        self._files = files

    def __getitem__(self, name: str) -> np.ndarray:
        try:
            return self._files[name][name]
        except KeyError:
            raise FormatError(f"the file that the index names for tensor {name!r} does not hold it") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def info(self, name: str) -> dict[str, Any]:
        """What `File.info` tells."""
        return self._files[name].info(name)


def _is_path(source: Source, ending: str) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(source, (str, os.PathLike)) and os.fspath(source).lower().endswith(ending)


def _is_bitstream(path: str | os.PathLike[str], limits: Limits | None) -> bool:
    """By its extension, or where that says nothing, by its content."""
    if Path(path).suffix.lower() == ".nnr":
        return True
    try:
        format_of(path)
    except FormatError as error:
        try:
            open_file(path, limits=limits).close()
        except LimitError:
            return True
        except BitstreamError:
            raise FormatError(str(error).replace("supported are ", "supported are .nnr, ")) from None
        return True
    return False


def _compare_one(
    name: str, model_a: Mapping[str, Any] | None, model_b: Mapping[str, Any] | None
) -> TensorComparison:
    row = TensorComparison(name)
    a = b = None
    if model_a is not None:  # asking a mapping whether it has a name may read the tensor
        a = np.asanyarray(model_a[name])
        row.shape_a, row.dtype_a, row.bytes_a = a.shape, a.dtype.name, _bytes(model_a, name, a)
    if model_b is not None:
        b = np.asanyarray(model_b[name])
        row.shape_b, row.dtype_b, row.bytes_b = b.shape, b.dtype.name, _bytes(model_b, name, b)
    if a is None or b is None or a.shape != b.shape:
        return row
    if _is_number(a.dtype) and _is_number(b.dtype):
        row.errors = _errors(a.reshape(-1), b.reshape(-1))
        row.equal = a.dtype.name == b.dtype.name and row.errors.max_error == 0 == row.errors.nonfinite
    else:
        row.equal = a.dtype == b.dtype and bool(np.array_equal(a, b))
    return row


def _is_number(dtype: np.dtype[Any]) -> bool:
    return is_float(dtype) or is_integer(dtype)


def _errors(a: np.ndarray, b: np.ndarray) -> Errors:
    """Differences of two flat arrays of one length."""
    total = Errors()
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, a.size, _CHUNK):
            total.add(_chunk_errors(a[begin : begin + _CHUNK], b[begin : begin + _CHUNK]))
    return total


def _chunk_errors(a: np.ndarray, b: np.ndarray) -> Errors:
    x, y = a.astype(np.float64), b.astype(np.float64)
    difference = _exact_difference(a, b) if _is_wide(a.dtype) and _is_wide(b.dtype) else x - y
    errors = Errors(elements=a.size)
    usable = np.isfinite(x) & np.isfinite(y)
    if not usable.all():
        same = (x == y) | (np.isnan(x) & np.isnan(y))
        errors.nonfinite = int(np.count_nonzero(~usable & ~same))
        x, y, difference = x[usable], y[usable], difference[usable]
    errors.finite = x.size
    if x.size:
        errors.peak = float(np.abs(x).max())
        errors.max_error = float(np.abs(difference).max())
        errors.squared_error = _dot(difference, difference)
        errors.dot, errors.square_a, errors.square_b = _dot(x, y), _dot(x, x), _dot(y, y)
    return errors


def _dot(x: np.ndarray, y: np.ndarray) -> float:
    """Sum of products, the same for any number of threads, which that of a BLAS is not."""
    return float(np.multiply(x, y).sum())


def _is_wide(dtype: np.dtype[Any]) -> bool:
    """Integers that float64 does not hold exactly."""
    code = dtype_code(dtype)
    return code is not None and is_integer(dtype) and code & 0x3F in WIDE


def _exact_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Differences of 64-bit integers, signed or not, rounded once: zero only where the two are equal."""
    high_a, high_b = (x >> x.dtype.type(32) for x in (a, b))
    low_a, low_b = ((x & x.dtype.type(0xFFFFFFFF)).astype(np.int64) for x in (a, b))
    high = high_a.astype(np.int64) - high_b.astype(np.int64)
    return high.astype(np.float64) * 2.0**32 + (low_a - low_b).astype(np.float64)


def _bytes(model: Mapping[str, Any], name: str, array: np.ndarray) -> int:
    info = getattr(model, "info", None)  # of an `nnr.File`
    return array.nbytes if info is None else int(info(name).get("payload_bytes", array.nbytes))


def model_size(source: Source, arrays: int) -> int:
    """Bytes of the bitstream, of the file with its shards, or of the folder; else `arrays`."""
    if isinstance(source, Mapping):
        return arrays
    if isinstance(source, (bytes, bytearray, memoryview)):
        return memoryview(source).nbytes
    if os.path.isdir(source):
        return sum(path.stat().st_size for path in Path(source).rglob("*") if path.is_file())
    size = os.stat(source).st_size
    if _is_path(source, _INDEX):
        size += sum(Path(source).with_name(s).stat().st_size for s in set(weight_map(source).values()))
    return size
