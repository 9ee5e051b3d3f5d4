"""The C core: arrays in, arrays out, codes to exceptions. The only importer of its builds (`nnr._core`).

A batch of payloads is decoded by one call. Units and tensors are rows of two int64 arrays whose columns are
named by `Unit` and `Tensor`; buffers are passed by address (`address`), so the caller keeps them alive until
the call returns. What the C side writes back stands in columns of the same rows.

The engine is also there step by step (`EngineDecoder`), for tests and for traces.
"""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Sequence
from enum import IntEnum
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from nnr._core import lib as base_lib

from .errors import (
    BitstreamError,
    ConformanceError,
    CoreError,
    NnrError,
    SyntaxValueError,
    TruncatedError,
)

__all__ = [
    "BUILD",
    "CONTEXT_COUNT",
    "EngineDecoder",
    "ParamOpt",
    "Status",
    "Tensor",
    "Unit",
    "address",
    "decode_units",
    "encode_units",
    "new_tensors",
    "new_units",
    "price_tensor",
    "quantize_nearest",
    "quantize_nearest_rate",
    "quantize_trellis",
    "quantize_trellis_rate",
    "unit_error",
]


def _chosen_build() -> str:
    """The fastest build for this processor; NNR_CORE=base or bmi2 in the environment asks for one of them."""
    asked = os.environ.get("NNR_CORE", "")
    if asked not in ("", "base", "bmi2"):
        raise ImportError(f"NNR_CORE={asked}: the builds of the core are base and bmi2")
    # beside this file: an editable installation would find that of another checkout
    is_there = PathFinder.find_spec("nnr._core_bmi2", [str(Path(__file__).parent)]) is not None
    if is_there and asked != "base" and base_lib.nnr_processor_has_bmi2():
        return "bmi2"
    if asked == "bmi2":
        reason = "the processor has no BMI2" if is_there else "it was not built"
        raise ImportError(f"NNR_CORE=bmi2: {reason}")
    return "base"


#: the build of the core in use, "base" or "bmi2"; results are the same
BUILD = _chosen_build()
_module = importlib.import_module("nnr._core" if BUILD == "base" else "nnr._core_bmi2")
ffi, lib = _module.ffi, _module.lib

Int64Array = npt.NDArray[np.int64]


class Unit(IntEnum):
    """Columns of a unit (struct nnr_unit of `c_core/nnr_core.h`, where each is explained)."""

    PAYLOAD = 0
    PAYLOAD_SIZE = 1
    FIRST_TENSOR = 2
    TENSOR_COUNT = 3
    PROFILE = 4
    DQ_FLAG = 5
    PARENT_NODE_ID_PRESENT_FLAG = 6
    TEMPORAL_CONTEXT_MODELING_FLAG = 7
    ESCAPE_CONTEXT_COUNT = 8
    PARAM_OPT = 9
    STATUS = 10
    BITS_CONSUMED = 11
    FAILED_TENSOR = 12


class Tensor(IntEnum):
    """Columns of a tensor (struct nnr_tensor of `c_core/nnr_core.h`, where each is explained)."""

    ROWS = 0
    COLS = 1
    CABAC_UNARY_LENGTH = 2
    SCAN_ORDER = 3
    CODEBOOK_SIZE = 4
    CODEBOOK_ZERO_OFFSET = 5
    HAS_QP = 6
    BASE_QP = 7
    QP_DENSITY = 8
    DEQUANTIZE = 9
    LEVELS = 10
    BASE = 11
    HISTORY = 12
    SKIP_LIST = 13
    ENTRY_LIST = 14
    QP = 15
    HIST_FLAG = 16
    ROW_SKIP_FLAG = 17
    BITS_BEGIN = 18
    BITS_SAMPLES = 19


UNIT_COLUMNS, TENSOR_COLUMNS = len(Unit), len(Tensor)


class Status(IntEnum):
    """Results of the C core."""

    OK = 0
    ARGUMENT = -1
    MEMORY = -2
    TRUNCATED = -3
    TERMINATE = -4
    STOP_BIT = -5
    ALIGNMENT = -6
    TRAILING = -7
    LEVEL = -8
    CODEBOOK_INDEX = -9
    OFFSET = -10
    STATE_PATH = -11
    QP = -12


class ParamOpt(IntEnum):
    """(encoding 3) How the encoder chooses context parameters."""

    OFF = 0
    EXACT = 1
    REFERENCE = 2
    FAST = 3


_MEANING: dict[Status, tuple[type[BitstreamError], str, str]] = {
    Status.TRUNCATED: (TruncatedError, "the payload ends before its tensors do", "decoding 2.6"),
    Status.TERMINATE: (ConformanceError, "the coded data go on behind the last tensor", "decoding 2.5"),
    Status.STOP_BIT: (ConformanceError, "the stop bit behind the coded data is 0", "decoding 2.6"),
    Status.ALIGNMENT: (ConformanceError, "a bit between stop bit and end of byte is not 0", "decoding 2.6"),
    Status.TRAILING: (ConformanceError, "bytes follow the end of the coded data", "decoding 2.6"),
    Status.LEVEL: (ConformanceError, "an integer does not fit 32 bits", "decoding 7"),
    Status.CODEBOOK_INDEX: (ConformanceError, "an index lies outside the codebook", "decoding 7"),
    Status.OFFSET: (ConformanceError, "the arithmetic decoder's offset is not below its range", "decoding 2"),
}


def _check_layout() -> None:
    """The enums above must say what the compiler says."""
    for columns, struct in ((Unit, "nnr_unit"), (Tensor, "nnr_tensor")):
        names = [name.upper() for name, _ in ffi.typeof(struct).fields]
        offsets = [ffi.offsetof(struct, column.name.lower()) for column in columns]
        if names != [column.name for column in columns] or offsets != [8 * column for column in columns]:
            raise CoreError(f"columns of {struct} differ between nnr/core.py and the compiled core")
        if ffi.sizeof(struct) != 8 * len(columns):
            raise CoreError(f"size of {struct} differs between nnr/core.py and the compiled core")
    for option in ParamOpt:
        if getattr(lib, f"NNR_PARAM_OPT_{option.name}") != option:
            raise CoreError(f"NNR_PARAM_OPT_{option.name} differs between nnr/core.py and the compiled core")
    for status in Status:
        name = "NNR_OK" if status == Status.OK else f"NNR_ERR_{status.name}"
        if getattr(lib, name) != status:
            raise CoreError(f"{name} differs between nnr/core.py and the compiled core")


_check_layout()

#: number of contexts of an engine handle; their numbering is that of `c_core/contexts.h`
CONTEXT_COUNT: int = lib.NNR_CONTEXT_COUNT


class _Handles(threading.local):
    """One handle of each kind a thread, made when it is needed: tables, contexts, scratch memory."""

    _decoder: Any = None
    _encoder: Any = None

    @property
    def decoder(self) -> Any:
        if self._decoder is None:
            self._decoder = _new_decoder()
        return self._decoder

    @property
    def encoder(self) -> Any:
        if self._encoder is None:
            encoder = lib.nnr_encoder_new()
            if encoder == ffi.NULL:
                raise MemoryError("no memory for an encoder")
            self._encoder = ffi.gc(encoder, lib.nnr_encoder_free)
        return self._encoder


def _new_decoder() -> Any:
    decoder = lib.nnr_decoder_new()
    if decoder == ffi.NULL:
        raise MemoryError("no memory for a decoder")
    return ffi.gc(decoder, lib.nnr_decoder_free)


_handles = _Handles()


def address(buffer: Any) -> int:
    """Address of the first byte of a C-contiguous buffer (array, bytes, memoryview); 0 when it is empty.

    Raises BufferError or TypeError for a buffer that is not contiguous. The caller keeps it alive.
    """
    view = ffi.from_buffer(buffer)
    return int(ffi.cast("intptr_t", view)) if len(view) else 0


def new_units(rows: Sequence[Sequence[int]] | int) -> Int64Array:
    """int64[n][len(Unit)]: zeros for a number n, or one row for each sequence (missing columns are 0)."""
    return _new_rows(rows, UNIT_COLUMNS)


def new_tensors(rows: Sequence[Sequence[int]] | int) -> Int64Array:
    """int64[n][len(Tensor)]: zeros for a number n, or one row for each sequence (missing columns are 0)."""
    return _new_rows(rows, TENSOR_COLUMNS)


def _new_rows(rows: Sequence[Sequence[int]] | int, columns: int) -> Int64Array:
    if isinstance(rows, int):
        return np.zeros((rows, columns), dtype=np.int64)
    given = np.array(rows, dtype=np.int64)
    if given.ndim == 2 and given.shape[1] == columns:
        return given
    table = np.zeros((len(rows), columns), dtype=np.int64)
    if len(rows):
        table[:, : given.shape[1]] = given
    return table


def _checked(table: Int64Array, columns: int) -> Any:
    if table.dtype != np.int64 or table.ndim != 2 or table.shape[1] != columns:
        raise ValueError(f"int64 rows of {columns} columns are needed, not {table.dtype}{list(table.shape)}")
    if not table.flags.c_contiguous or not table.flags.writeable:
        raise ValueError("the rows must be contiguous and writable")
    return table


def decode_units(units: Int64Array, tensors: Int64Array, *, plainly: bool = False) -> None:
    """(decoding 2 to 10.2) Decode the payloads of `units` into the levels of `tensors`.

    units: int64[n][len(Unit)], tensors: int64[m][len(Tensor)]; the columns that are results are overwritten.
    Levels are int32 in matrix order, doubled integers (decoding 8) under dependent quantization, or float32
    values in the same memory where DEQUANTIZE is 1. Where a unit fails, the failing tensor and those behind
    it are all zero. Never raises for what a bitstream contains: see the column STATUS and `unit_error`.
    plainly: one sample after the other, without the fast paths, whose results are the same.
    """
    _checked(units, UNIT_COLUMNS)
    _checked(tensors, TENSOR_COLUMNS)
    status = (lib.nnr_decode_units_plainly if plainly else lib.nnr_decode_units)(
        _handles.decoder,
        ffi.from_buffer("nnr_unit[]", units),
        len(units),
        ffi.from_buffer("nnr_tensor[]", tensors),
        len(tensors),
    )
    if status != Status.OK:
        raise CoreError(f"decode_units: {Status(status).name}")


def unit_error(unit: Int64Array, *, payload_offset: int = 0) -> NnrError | MemoryError | None:
    """The exception for a row of `units` after `decode_units`, or None for success.

    payload_offset: byte offset of the payload in the stream, for the place in the message.
    """
    status = Status(int(unit[Unit.STATUS]))
    if status == Status.OK:
        return None
    if status == Status.MEMORY:
        return MemoryError("no memory for the list of skipped rows")
    if status == Status.ARGUMENT:
        return CoreError("a unit was handed to the core with values that it cannot have")
    error, text, clause = _MEANING[status]
    failed, count = int(unit[Unit.FAILED_TENSOR]), int(unit[Unit.TENSOR_COUNT])
    where = f" (tensor {failed + 1} of {count} in the payload)" if count > 1 and 0 <= failed < count else ""
    bits = min(int(unit[Unit.BITS_CONSUMED]), 8 * int(unit[Unit.PAYLOAD_SIZE]))
    return error(text + where, bit_offset=8 * payload_offset + bits, clause=clause)


_CANNOT_WRITE: dict[Status, str] = {
    Status.CODEBOOK_INDEX: "an index lies outside the codebook",
    Status.STATE_PATH: "a level is not one of the quantizer that dependent quantization has at its place",
    Status.QP: "the quantization parameter is too far from the base of the parameter set for qp_value",
}


def encode_units(units: Int64Array, tensors: Int64Array, *, plainly: bool = False) -> list[bytes]:
    """(encoding 1 to 4) Payloads of `units` from the levels of `tensors`, stop bit and zeros included.

    The rows are those of `decode_units`, read the other way: QP is given; HIST_FLAG and ROW_SKIP_FLAG are
    given as 0 (never), 1 (always where the syntax has the tool) or 2 (if it saves bytes) and return the
    choice; PARAM_OPT is one of `ParamOpt`. Levels are int32; with dependent quantization they are the doubled
    integers of decoding 8. SKIP_LIST and ENTRY_LIST receive what the header has to say.

    plainly: one decision after the other, without the fast paths, whose results are the same.

    Raises SyntaxValueError for levels or a QP that cannot be written, with the number of unit and tensor.
    """
    _checked(units, UNIT_COLUMNS)
    _checked(tensors, TENSOR_COLUMNS)
    encoder = _handles.encoder
    status = (lib.nnr_encode_units_plainly if plainly else lib.nnr_encode_units)(
        encoder,
        ffi.from_buffer("nnr_unit[]", units),
        len(units),
        ffi.from_buffer("nnr_tensor[]", tensors),
        len(tensors),
    )
    if status != Status.OK:
        raise CoreError(f"encode_units: {Status(status).name}")
    payloads = []
    for number, unit in enumerate(units.tolist()):
        if unit[Unit.STATUS]:
            _raise_unwritable(number, units[number])
        payloads.append(ffi.buffer(ffi.cast("char *", unit[Unit.PAYLOAD]), unit[Unit.PAYLOAD_SIZE])[:])
    return payloads


def price_tensor(units: Int64Array, tensors: Int64Array) -> float:
    """(encoding 3) About how many bits one tensor would take, without coding it.

    The arrays have one row each, as for `encode_units`, but PARAM_OPT does not matter: context parameters are
    those of the fast search, which looks at a part of a large tensor. Row skip and history are not tried.

    Raises SyntaxValueError for levels that cannot be written.
    """
    _checked(units, UNIT_COLUMNS)
    _checked(tensors, TENSOR_COLUMNS)
    price = ffi.new("int64_t *")
    arguments = ffi.from_buffer("nnr_unit[]", units), ffi.from_buffer("nnr_tensor[]", tensors)
    status = Status(lib.nnr_price_tensor(_handles.encoder, *arguments, price))
    if status in _CANNOT_WRITE:
        raise SyntaxValueError(_CANNOT_WRITE[status])
    if status != Status.OK:
        raise CoreError(f"price_tensor: {status.name}")
    return price[0] / 32768


def _raise_unwritable(number: int, unit: Int64Array) -> None:
    status = Status(int(unit[Unit.STATUS]))
    if status == Status.MEMORY:
        raise MemoryError("no memory for the payload")
    if status not in _CANNOT_WRITE:
        raise CoreError(f"encode_units: unit {number}: {status.name}")
    tensor = int(unit[Unit.FAILED_TENSOR])
    raise SyntaxValueError(f"unit {number}, tensor {tensor} of the payload: {_CANNOT_WRITE[status]}")


def _quantized(status: int) -> None:
    if status == Status.LEVEL:
        raise ValueError("a weight divided by the step does not fit 32 bits, or is not a number")
    if status == Status.MEMORY:
        raise MemoryError("no memory for the decisions of the trellis")
    if status != Status.OK:
        raise ValueError("shape, scan order or step out of range")


def _weights(tensor: npt.ArrayLike) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(tensor, dtype=np.float32)


def quantize_nearest(tensor: npt.ArrayLike, step: float) -> npt.NDArray[np.int32]:
    """(encoding 5.2) Levels round(float32(w * float32(1/step))), halves away from zero; int32, same shape.

    tensor: float32 (others are converted); step: rounded to float32. Raises ValueError for levels of more
    than 32 bits and for weights that are not numbers.
    """
    weights = _weights(tensor)
    levels = np.empty(weights.shape, dtype=np.int32)
    _quantized(lib.nnr_quantize_nearest(*_buffers(weights, levels), weights.size, step))
    return levels


def quantize_trellis(
    tensor: npt.ArrayLike, step: float, rows: int, cols: int, scan_order: int = 0
) -> npt.NDArray[np.int32]:
    """(encoding 5.4) Doubled integers of dependent quantization with the smallest squared error.

    tensor: float32 of rows*cols elements; the samples have to be coded in the same `scan_order`. Returns
    int32 in the tensor's shape; memory needed besides: one byte a weight. Raises as `quantize_nearest`.
    """
    weights = _weights(tensor)
    if weights.size != rows * cols:
        raise ValueError(f"{rows} x {cols} is not the size of a tensor of shape {weights.shape}")
    levels = np.empty(weights.shape, dtype=np.int32)
    _quantized(lib.nnr_quantize_trellis(*_buffers(weights, levels), rows, cols, scan_order, step))
    return levels


def quantize_trellis_rate(
    tensor: npt.ArrayLike,
    qp: int,
    qp_density: int,
    rows: int,
    cols: int,
    scan_order: int = 0,
    *,
    lambda_scale: float,
    importance: npt.ArrayLike | None = None,
    cabac_unary_length: int = 11,
    profile: int = 1,
    base: npt.NDArray[np.int32] | None = None,
    history: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.int32]:
    """(encoding 5.4) Doubled integers q of dependent quantization with a price on the rate.

    Minimises the sum of importance * (w/step - q)^2 + lambda_scale * 0.3235 * bits, as near as adaptive
    contexts allow, with the step of `qp` and `qp_density` (decoding 10.1).

    Args:
        tensor: float32 of rows*cols elements (others are converted).
        scan_order, cabac_unary_length, profile: as the levels will be coded.
        lambda_scale: 0 minimises the error alone.
        importance: weight of the squared error, float32 of the tensor's size; None for 1 everywhere.
        base: int32 levels of the parent, rows*cols, when the unit will use temporal contexts.
        history: uint8, rows*cols, when the unit will use history contexts.

    Returns:
        int32 in the tensor's shape. Two bytes a weight are needed besides.

    Raises as `quantize_nearest`.
    """
    return _quantize_rate(
        lib.nnr_quantize_trellis_rate, 1, tensor, (rows, cols, cabac_unary_length, scan_order),
        (qp, qp_density), lambda_scale, importance, profile, base, history,
    )  # fmt: skip


def quantize_nearest_rate(
    tensor: npt.ArrayLike,
    qp: int,
    qp_density: int,
    rows: int,
    cols: int,
    scan_order: int = 0,
    *,
    lambda_scale: float,
    importance: npt.ArrayLike | None = None,
    cabac_unary_length: int = 11,
    profile: int = 1,
    base: npt.NDArray[np.int32] | None = None,
    history: npt.NDArray[np.uint8] | None = None,
) -> npt.NDArray[np.int32]:
    """(encoding 5.3) Uniform levels k with a price on the rate.

    Minimises the sum of importance * (w/step - k)^2 + lambda_scale * 0.1155 * bits, as near as adaptive
    contexts allow. The factor ln 2 / 6 is the slope of error against rate at high rates, so lambda_scale
    means about what it means to `quantize_trellis_rate`. Arguments, result and errors are those of
    `quantize_trellis_rate`, but lambda_scale 0 gives exactly the levels of `quantize_nearest` (whatever the
    importance), and no memory is needed besides.
    """
    return _quantize_rate(
        lib.nnr_quantize_nearest_rate, 0, tensor, (rows, cols, cabac_unary_length, scan_order),
        (qp, qp_density), lambda_scale, importance, profile, base, history,
    )  # fmt: skip


def _quantize_rate(
    function: Any,
    dq_flag: int,
    tensor: npt.ArrayLike,
    shape: tuple[int, int, int, int],
    qps: tuple[int, int],
    lambda_scale: float,
    importance: npt.ArrayLike | None,
    profile: int,
    base: npt.NDArray[np.int32] | None,
    history: npt.NDArray[np.uint8] | None,
) -> npt.NDArray[np.int32]:
    """Both of them; shape: rows, cols, cabac_unary_length, scan_order; qps: QP and its density."""
    rows, cols = shape[:2]
    qp, qp_density = qps
    weights = _weights(tensor)
    if weights.size != rows * cols:
        raise ValueError(f"{rows} x {cols} is not the size of a tensor of shape {weights.shape}")
    factors = None if importance is None else _weights(importance)
    if factors is not None and factors.size != weights.size:
        raise ValueError(f"importance has {factors.size} elements, the tensor {weights.size}")
    for name, array, dtype in (("base", base, np.int32), ("history", history, np.uint8)):
        if array is not None and (array.dtype != dtype or array.size != weights.size):
            raise ValueError(f"{name} must be {np.dtype(dtype)} and of the tensor's size")
    levels = np.empty(weights.shape, dtype=np.int32)
    parent, temporal = int(base is not None or history is not None), int(base is not None)
    places = [0 if array is None else address(array) for array in (base, history)]
    unit = new_units([[0, 0, 0, 1, profile, dq_flag, parent, temporal, 31]])
    row = [*shape, 0, 0, 1, qp, qp_density, 0, address(levels), *places]
    described = new_tensors([[*row, 0, 0, qp, int(history is not None)]])
    _quantized(
        function(
            _handles.encoder,
            ffi.from_buffer("nnr_unit[]", unit),
            ffi.from_buffer("nnr_tensor[]", described),
            ffi.from_buffer("float[]", weights),
            ffi.NULL if factors is None else ffi.from_buffer("float[]", factors),
            lambda_scale,
        )
    )
    return levels


def _buffers(weights: npt.NDArray[np.float32], levels: npt.NDArray[np.int32]) -> tuple[Any, Any]:
    return ffi.from_buffer("float[]", weights), ffi.from_buffer("int32_t[]", levels)


class EngineDecoder:
    """(decoding 2, 3) The arithmetic decoder of the C core, one step at a time.

    For tests and traces; contexts have the numbers of `c_core/contexts.h`. Reading beyond the end gives zeros
    and raises TruncatedError.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._decoder = _new_decoder()
        self._data = memoryview(data)  # kept alive, not copied
        self._done(lib.nnr_decoder_start(self._decoder, ffi.from_buffer(self._data), len(self._data)))

    @staticmethod
    def _done(status: int) -> None:
        if status == Status.ARGUMENT:
            raise ValueError("argument out of range")
        if status != Status.OK:
            error, text, clause = _MEANING[Status(status)]
            raise error(text, clause=clause)

    @property
    def state(self) -> tuple[int, int, int]:
        """range, offset, bit position P (decoding 2)."""
        state = ffi.new("int64_t[3]")
        lib.nnr_decoder_state(self._decoder, state)
        return state[0], state[1], state[2]

    def estimators(self, ctx: int) -> tuple[int, int]:
        """s0, s1 of a context (decoding 3.1)."""
        pair = ffi.new("int64_t[2]")
        self._done(lib.nnr_decoder_estimators(self._decoder, ctx, pair))
        return pair[0], pair[1]

    def set_context(self, ctx: int, parameter_set: int) -> None:
        """Initialise a context with one of the nine parameter sets (decoding 3.4)."""
        self._done(lib.nnr_decoder_set_context(self._decoder, ctx, parameter_set))

    def read_bin(self, ctx: int) -> int:
        """(decoding 2.2) A context-coded bin."""
        number = ffi.new("int64_t *")
        self._done(lib.nnr_decoder_read_bin(self._decoder, ctx, number))
        return int(number[0])

    def read_uae(self, bits: int) -> int:
        """(decoding 2.3) `bits` bypass bins (0 to 32), most significant first."""
        number = ffi.new("int64_t *")
        self._done(lib.nnr_decoder_read_uae(self._decoder, bits, number))
        return int(number[0])

    def read_iae(self, bits: int) -> int:
        """(decoding 2.3) The same as a signed number."""
        number = ffi.new("int64_t *")
        self._done(lib.nnr_decoder_read_iae(self._decoder, bits, number))
        return int(number[0])

    def read_tensor(self, unit: Int64Array, tensor: Int64Array) -> None:
        """qp_value and quant_tensor (decoding 5 to 9) for one row of each kind; no end-of-unit check."""
        _checked(unit.reshape(1, -1), len(Unit))
        _checked(tensor.reshape(1, -1), len(Tensor))
        self._done(
            lib.nnr_decoder_read_tensor(
                self._decoder,
                ffi.from_buffer("nnr_unit[]", unit),
                ffi.from_buffer("nnr_tensor[]", tensor),
            )
        )

    def open_tensor(self, unit: Int64Array, tensor: Int64Array) -> None:
        """As `read_tensor`, up to the first sample."""
        _checked(unit.reshape(1, -1), len(Unit))
        _checked(tensor.reshape(1, -1), len(Tensor))
        self._done(
            lib.nnr_decoder_open_tensor(
                self._decoder,
                ffi.from_buffer("nnr_unit[]", unit),
                ffi.from_buffer("nnr_tensor[]", tensor),
            )
        )

    def read_block_rows(
        self, opened: EngineDecoder, first: int, count: int, entry: Sequence[int]
    ) -> tuple[int, int, int]:
        """(decoding 9.3) Block rows of the tensor that stands open in another decoder (or in this one).

        Args:
            opened: stays as it is; its data and the tensor's buffers must live.
            first, count: which block rows.
            entry: where the first of them starts: position P, offset register, quantizer state.

        Returns:
            position, offset and state behind the last of them, to be compared with the next entry point.
        """
        self._data = opened._data
        place = ffi.new("int64_t[3]", list(entry))
        self._done(lib.nnr_decoder_read_block_rows(self._decoder, opened._decoder, first, count, place))
        self._done(lib.nnr_decoder_entry(self._decoder, place))
        return place[0], place[1], place[2]

    def reset_range(self) -> None:
        """(decoding 2.4)"""
        self._done(lib.nnr_decoder_reset_range(self._decoder))

    def finish(self) -> None:
        """(decoding 2.5, 2.6) Raises unless the payload ends exactly here."""
        self._done(lib.nnr_decoder_finish(self._decoder))
