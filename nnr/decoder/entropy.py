"""From the payload of a data unit to its integers: the plain reference of decoding 2 to 9.

Written to be read beside the specification, section by section: arithmetic decoder (2), probability model
(3), context set (4), start of a tensor (5), context selection (6), binarization (7), dependent quantization
(8), scan and entry points (9), and last the unit that holds them together (syntax 9.6). One bit is read at a
time and nothing is clever; the C core is the fast twin and is tested against this module.

In: the payload bytes of one unit and what its header says (`UnitParams`, one `TensorParams` a tensor, in
payload order). Out: per tensor the int32 levels before dequantization, the QP, the tool flags and the entry
points that the stream implies, and the number of bits read. A listener can follow every bin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import BitstreamError, ConformanceError, TruncatedError
from .clauses import clause
from .quantization import next_state
from .tables import ADAPTATION_CURVE, RANGE_LPS, SHIFT_PARAMETER_SETS

__all__ = [
    "ArithmeticDecoder",
    "BinEvent",
    "Binarization",
    "Context",
    "ContextSet",
    "EntryPoint",
    "TensorParams",
    "TensorResult",
    "UnitParams",
    "UnitResult",
    "decode_tensor",
    "decode_unit",
]

_INT32_MIN, _INT32_MAX = -(1 << 31), (1 << 31) - 1
_NO_BOUND = 1 << 62  # stands for "unbounded" in the comparisons of decoding 7; no magnitude gets near it


# ----------------------------------------------------------------------------------------------------
# What goes in and what comes out


@dataclass(frozen=True)
class UnitParams:
    """What holds for all tensors of a data unit.

    Attributes:
        profile: general_profile_idc, 0 or 1.
        dq_flag: dependent quantization; ignored for tensors without a QP, that is integers (README D30).
        parent_node_id_present_flag: the unit is a difference to a parent (profile 1).
        temporal_context_modeling_flag: every tensor of the unit has a `base` (profile 1).
        escape_context_count: 31; or 32 for the legacy dialect, which also resets the range before a single
            block row (README D1, D2).
        payload_offset: byte offset of the payload in the stream; only gives errors their place.
    """

    profile: int = 1
    dq_flag: int = 0
    parent_node_id_present_flag: int = 0
    temporal_context_modeling_flag: int = 0
    escape_context_count: int = 31
    payload_offset: int = 0

    def __post_init__(self) -> None:
        if self.profile not in (0, 1):
            raise ValueError(f"profile is {self.profile}; 0 and 1 are defined")
        if self.escape_context_count not in (31, 32):
            raise ValueError(f"escape_context_count is {self.escape_context_count}; 31 and 32 are defined")

    @property
    def legacy(self) -> bool:
        """The stream is in the dialect of README D1 and D2."""
        return self.escape_context_count == 32

    @property
    def temporal(self) -> int:
        """`tca` of the specification: temporal_context_modeling_flag, which profile 0 does not have."""
        return self.temporal_context_modeling_flag if self.profile == 1 else 0


@dataclass(frozen=True)
class TensorParams:
    """What holds for one tensor.

    Attributes:
        rows, cols: H and W of the tensor as a matrix; a vector has one column.
        cabac_unary_length: N, that is cabac_unary_length_minus1 + 1; 1 to 256.
        scan_order: 0 to 4.
        codebook_size: entries of the codebook, 0 for a tensor without one.
        codebook_zero_offset: CbZeroOffset, the entry that index 0 stands for.
        has_qp: the tensor starts with a qp_value (all but integer payloads).
        base_qp, qp_density: of the parameter set in force; used when `has_qp`.
        base: int32, rows*cols elements, levels of the parent (decoding 11.3); needed with temporal contexts.
        history: uint8 or bool, rows*cols elements, non-zero where an earlier update was (decoding 11.5); None
            means nowhere.
    """

    rows: int
    cols: int
    cabac_unary_length: int = 10
    scan_order: int = 0
    codebook_size: int = 0
    codebook_zero_offset: int = 0
    has_qp: bool = True
    base_qp: int = 0
    qp_density: int = 2
    base: np.ndarray | None = field(default=None, repr=False, compare=False)
    history: np.ndarray | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("rows", 0, None),
            ("cols", 0, None),
            ("cabac_unary_length", 1, 256),
            ("scan_order", 0, 4),
            ("codebook_size", 0, None),
            ("codebook_zero_offset", 0, max(0, self.codebook_size - 1)),
            ("qp_density", 0, 7),
        ):
            value = getattr(self, name)
            if value < low or (high is not None and value > high):
                raise ValueError(f"{name} is {value}; {low} to {'any' if high is None else high} is allowed")
        for name in ("base", "history"):
            array = getattr(self, name)
            if array is not None and array.size != self.rows * self.cols:
                raise ValueError(f"{name} has {array.size} elements, the tensor {self.rows}x{self.cols}")


@dataclass(frozen=True)
class EntryPoint:
    """(decoding 9.3) Where a block row other than the first starts.

    Attributes:
        bit_offset: BitOffset, bits between the start of the block row before and this one.
        cabac_offset: cabac_offset_list, the offset register.
        dq_state: dq_state_list, the state of dependent quantization.
    """

    bit_offset: int
    cabac_offset: int
    dq_state: int


@dataclass
class TensorResult:
    """One decoded tensor.

    Attributes:
        levels: int32, rows*cols, row-major. With dependent quantization the doubled integers (decoding 8),
            with a codebook the index minus the zero offset.
        qp: base QP plus qp_value; None for an integer payload.
        hist_dep_sig_prob_enabled_flag, row_skip_enabled_flag: as decoded, 0 where absent.
        entry_points: one for each block row after the first, derived from the sequential decoding.
    """

    levels: np.ndarray
    qp: int | None = None
    hist_dep_sig_prob_enabled_flag: int = 0
    row_skip_enabled_flag: int = 0
    entry_points: list[EntryPoint] = field(default_factory=list)


@dataclass
class UnitResult:
    """A decoded unit: its tensors in payload order, and P after the terminate bin (bits of payload read)."""

    tensors: list[TensorResult]
    bits_consumed: int


@dataclass(frozen=True)
class BinEvent:
    """One bin as the arithmetic decoder saw it: the registers before and after.

    Attributes:
        number: bins of the unit are counted from 0.
        element: syntax element the bin belongs to, such as ``sig_flag`` or ``abs_level_greater_x[1]``;
            context parameters name the context they are for, ``shift_idx_minus_1[SIG[2]]``.
        kind: ``context``, ``bypass`` or ``terminate``.
        context: name of the context, such as ``SIG[2]``; None for a bin without one.
        value: the bin.
        range, offset, P: registers before the bin; P is the number of payload bits read.
        lps, mps: width of the less probable interval and the more probable value; None without a context.
        estimators: (s0, s1) of the context before the bin; None without a context.
        range_after, offset_after, P_after, estimators_after: the same after the bin.
    """

    number: int
    element: str
    kind: str
    context: str | None
    value: int
    range: int
    offset: int
    P: int
    lps: int | None
    mps: int | None
    estimators: tuple[int, int] | None
    range_after: int
    offset_after: int
    P_after: int
    estimators_after: tuple[int, int] | None


# ----------------------------------------------------------------------------------------------------
# 2  Arithmetic decoder


class ArithmeticDecoder:
    """(decoding 2) The decoder of one payload: `range`, `offset` and the bit position `P`.

    Between bins `range` is 256..510 and `offset` is below it.

    Args:
        payload: bytes-like; the coded bytes of one unit.
        payload_offset: byte offset of the payload in the stream, for errors.

    Raises:
        TruncatedError: from every method that reads, when a bit beyond the payload is asked for.
    """

    @clause("decoding 2.1")
    def __init__(self, payload: bytes | bytearray | memoryview, *, payload_offset: int = 0) -> None:
        self._payload = memoryview(payload).cast("B")
        self._payload_offset = payload_offset
        self.P = 0
        self.range = 510
        self.offset = 0
        for _ in range(9):
            self.offset = 2 * self.offset + self._next_bit()
        if self.offset >= self.range:
            reason = f"the payload starts with offset {self.offset}; it must be below {self.range}"
            raise self.error("decoding 2.1", reason)

    def error(self, section: str, reason: str) -> ConformanceError:
        """A ConformanceError at the present bit position."""
        return ConformanceError(reason, bit_offset=8 * self._payload_offset + self.P, clause=section)

    def _next_bit(self) -> int:
        byte, bit = divmod(self.P, 8)
        if byte >= len(self._payload):
            raise TruncatedError(
                f"the payload of {len(self._payload)} bytes ends inside its coded data",
                bit_offset=8 * (self._payload_offset + len(self._payload)),
                clause="decoding 2",
            )
        self.P += 1
        return (self._payload[byte] >> (7 - bit)) & 1

    @clause("decoding 2.2")
    def decode_bin(self, context: Context, element: str = "", of: object = None) -> int:
        """(decoding 2.2) One context-coded bin; adapts `context`. `element`, `of` name it for a listener."""
        lps, mps = context.split(self.range)
        self.range -= lps
        if self.offset >= self.range:
            value = 1 - mps
            self.offset -= self.range
            self.range = lps
        else:
            value = mps
        while self.range < 256:
            self.range *= 2
            self.offset = 2 * self.offset + self._next_bit()
        context.update(value)
        return value

    @clause("decoding 2.3")
    def decode_bypass(self, element: str = "", of: object = None) -> int:
        """(decoding 2.3) One bin of probability 1/2; `range` stays."""
        self.offset = 2 * self.offset + self._next_bit()
        if self.offset >= self.range:
            self.offset -= self.range
            return 1
        return 0

    @clause("decoding 2.3", "syntax 1")
    def uae(self, n: int, element: str = "", of: object = None) -> int:
        """(decoding 2.3) Unsigned integer of `n` bypass bins, most significant first; 0 when `n` is 0."""
        value = 0
        for _ in range(n):
            value = 2 * value + self.decode_bypass(element, of)
        return value

    @clause("decoding 2.3", "syntax 1")
    def iae(self, n: int, element: str = "") -> int:
        """(decoding 2.3) Two's-complement integer of `n` bypass bins."""
        value = self.uae(n, element)
        return value - (1 << n) if n and value >> (n - 1) else value

    @clause("decoding 2.4")
    def reset_range(self) -> None:
        """(decoding 2.4) `range` = 256 where a block row starts.

        Raises:
            ConformanceError: `offset` is not below 256, which no encoder brings about.
        """
        if self.offset >= 256:
            reason = f"offset is {self.offset} where a block row starts; it must be below 256"
            raise self.error("decoding 2.4", reason)
        self.range = 256

    @clause("decoding 2.5")
    def terminate(self) -> int:
        """(decoding 2.5) The terminate bin, read once, after the last tensor of a unit. Returns 1.

        Raises:
            ConformanceError: the bin is 0. (Nothing may follow it, so there is nothing to renormalise for.)
        """
        self.range -= 2
        if self.offset < self.range:
            raise self.error("decoding 2.5", "the terminate bin after the last tensor is 0; it must be 1")
        return 1

    @clause("decoding 2.6")
    def finish(self, size: int) -> None:
        """(decoding 2.6) Check what follows the terminate bin: stop bit, zero bits, length.

        Args:
            size: bytes from the start of the payload to the end of the unit.

        Raises:
            ConformanceError: the last bit read is not the stop bit 1, the rest of its byte is not 0, or the
                payload does not end with that byte.
        """
        last = self.P - 1
        rest = self._payload[last // 8] & (0xFF >> (last % 8))
        stop_bit = 0x80 >> (last % 8)
        if not rest & stop_bit:
            raise self.error("decoding 2.6", "the stop bit after the coded data is 0; it must be 1")
        if rest != stop_bit:
            raise self.error("decoding 2.6", "the bits after the stop bit are not all 0")
        used = (self.P + 7) // 8
        if used != size:
            raise self.error("decoding 2.6", f"the coded data end after {used} bytes, the unit after {size}")


class _ListenedDecoder(ArithmeticDecoder):
    """An arithmetic decoder that reports every bin to a listener."""

    def __init__(
        self,
        payload: bytes | bytearray | memoryview,
        on_bin: Callable[[BinEvent], None],
        *,
        payload_offset: int = 0,
    ) -> None:
        super().__init__(payload, payload_offset=payload_offset)
        self._on_bin = on_bin
        self._number = 0

    def decode_bin(self, context: Context, element: str = "", of: object = None) -> int:
        before, estimators = (self.range, self.offset, self.P), (context.s0, context.s1)
        lps, mps = context.split(self.range)
        value = super().decode_bin(context, element, of)
        after = (context.s0, context.s1)
        self._report(_named(element, of), "context", str(context), value, before, lps, mps, estimators, after)
        return value

    def decode_bypass(self, element: str = "", of: object = None) -> int:
        before = (self.range, self.offset, self.P)
        value = super().decode_bypass(element, of)
        self._report(_named(element, of), "bypass", None, value, before)
        return value

    def terminate(self) -> int:
        before = (self.range, self.offset, self.P)
        value = super().terminate()
        self._report("end_of_data", "terminate", None, value, before)
        return value

    def _report(
        self,
        element: str,
        kind: str,
        context: str | None,
        value: int,
        before: tuple[int, int, int],
        lps: int | None = None,
        mps: int | None = None,
        estimators: tuple[int, int] | None = None,
        estimators_after: tuple[int, int] | None = None,
    ) -> None:
        registers = (*before, lps, mps, estimators, self.range, self.offset, self.P, estimators_after)
        self._on_bin(BinEvent(self._number, element, kind, context, value, *registers))
        self._number += 1


def _named(element: str, of: object) -> str:
    return element if of is None else f"{element}[{of}]"


# ----------------------------------------------------------------------------------------------------
# 3  Probability model


class Context:
    """(decoding 3.1) A context variable: two estimators, fast `s0` and slow `s1`, and their rates.

    Positive estimators mean that 1 is likely. A new context has parameter set 0.
    """

    __slots__ = ("_group", "_index", "parameter_set", "s0", "s1", "shift0", "shift1")

    def __init__(self, group: str, index: int | None = None) -> None:
        self._group = group
        self._index = index
        self.initialise(0)

    def __str__(self) -> str:
        """Group and index, such as ``SIG[2]``; SHIFT and SKIP stand alone."""
        return self._group if self._index is None else f"{self._group}[{self._index}]"

    @clause("decoding 3.4")
    def initialise(self, k: int) -> None:
        """(decoding 3.4) Take rates and estimators of parameter set `k`, 0 to 8."""
        self.parameter_set = k
        self.shift0, self.shift1, self.s0, self.s1 = SHIFT_PARAMETER_SETS[k]

    @clause("decoding 3.1")
    def reset(self) -> None:
        """(decoding 3.1) Estimators back to those of the parameter set chosen for this tensor."""
        self.initialise(self.parameter_set)

    @clause("decoding 3.2")
    def split(self, range_: int) -> tuple[int, int]:
        """(decoding 3.2) Width of the less probable interval within `range_`, and the more probable value."""
        sum_ = 16 * self.s0 + self.s1
        mps = 1 if sum_ >= 0 else 0
        # shift first, then the absolute value: a sum of -1 belongs to column 1
        return RANGE_LPS[(range_ >> 5) & 7][abs(sum_ >> 7)], mps

    @clause("decoding 3.3")
    def update(self, value: int) -> None:
        """(decoding 3.3) Adapt to the bin `value`."""
        d = 1 if value else -1
        self.s0 += d * (ADAPTATION_CURVE[16 + ((d * self.s0) >> 3)] >> self.shift0)
        self.s1 += d * (ADAPTATION_CURVE[16 + ((d * self.s1) >> 7)] >> self.shift1)


# ----------------------------------------------------------------------------------------------------
# 4  Context set of one tensor


class ContextSet:
    """(decoding 4) The contexts of one tensor, all new: they do not outlive it.

    Attributes:
        sig, sign, gtx, gtx2: the groups SIG, SIGN, GTX and GTX2.
        shift: SHIFT, the presence flag of the context parameters.
        skip: SKIP, the row skip list.
    """

    @clause("decoding 4")
    def __init__(self, unit: UnitParams, cabac_unary_length: int) -> None:
        temporal_too = 2 if unit.profile == 1 else 1
        self.sig = [Context("SIG", k) for k in range(48 if unit.profile == 1 else 24)]
        self.sign = [Context("SIGN", k) for k in range(5 if unit.profile == 1 else 3)]
        self.gtx = [Context("GTX", k) for k in range(2 * cabac_unary_length * temporal_too)]
        # Errata: README D1, 32 in the legacy dialect
        self.gtx2 = [Context("GTX2", k) for k in range(unit.escape_context_count)]
        self.shift = Context("SHIFT")
        self.skip = Context("SKIP")

    def reset(self) -> None:
        """(decoding 9.2) Reset the contexts of the samples, where a block row starts."""
        for group in (self.sig, self.sign, self.gtx, self.gtx2):
            for context in group:
                context.reset()


# ----------------------------------------------------------------------------------------------------
# 5  Start of quant_tensor


@dataclass(frozen=True)
class Binarization:
    """What binarization and context selection need to know of a tensor (names of decoding 4, 5 and 7)."""

    n: int  # N, unary magnitude flags
    cb_size: int  # CbSize
    cb_zero_offset: int  # CbZeroOffset

    @classmethod
    def of(cls, unit: UnitParams, tensor: TensorParams) -> Binarization:
        """The facts of one tensor."""
        # profile 0 codes the indices of a codebook without using its size
        cb_size = tensor.codebook_size if unit.profile == 1 else 0
        return cls(tensor.cabac_unary_length, cb_size, tensor.codebook_zero_offset)

    @property
    def one_sided(self) -> bool:
        """The codebook has entries on one side of zero at most."""
        return self.cb_size > 0 and self.cb_zero_offset in (0, self.cb_size - 1)

    def bound(self, negative: bool) -> int:
        """B: the largest magnitude that an index of this sign can have."""
        if self.cb_size == 0:
            return _NO_BOUND
        return self.cb_zero_offset if negative else self.cb_size - 1 - self.cb_zero_offset


@clause("decoding 5", "syntax 9.8")
def _context_parameters(
    contexts: ContextSet, unit: UnitParams, binarization: Binarization, hist_flag: int
) -> Iterator[tuple[Context, bool]]:
    """(decoding 5) The contexts that have a parameter set, in coding order, and whether it is coded."""
    n, cb_size = binarization.n, binarization.cb_size
    m = max(binarization.bound(True), binarization.bound(False))
    tca = unit.temporal
    some = cb_size != 1
    for k in range(24 if unit.dq_flag else 3):
        yield contexts.sig[k], some
    if tca:
        for k in range(24, 40 if unit.dq_flag else 26):
            yield contexts.sig[k], some
    if hist_flag:
        for k in range(40, 48 if unit.dq_flag else 41):
            yield contexts.sig[k], some
    for k in range(5 if tca else 3):
        yield contexts.sign[k], some and not binarization.one_sided
    for a in range(2 * n):
        yield contexts.gtx[a], cb_size == 0 or a < 2 * m
    if tca:
        for a in range(2 * n, 4 * n):
            yield contexts.gtx[a], cb_size == 0 or a < 2 * n + 2 * (m - 1)
    for a, context in enumerate(contexts.gtx2):
        yield context, cb_size == 0 or n - 2 + (1 << (a + 1)) < m


@clause("decoding 5", "syntax 9.8")
def shift_parameter_ids(
    engine: ArithmeticDecoder,
    contexts: ContextSet,
    unit: UnitParams,
    binarization: Binarization,
    hist_flag: int,
) -> None:
    """(decoding 5) Read the parameter sets of the contexts and initialise them."""
    for context, coded in _context_parameters(contexts, unit, binarization, hist_flag):
        k = 0
        if coded and engine.decode_bin(contexts.shift, "shift_idx_minus_1_present_flag", context):
            k = 1 + engine.uae(3, "shift_idx_minus_1", context)
        context.initialise(k)


# ----------------------------------------------------------------------------------------------------
# 6  Context selection


def _neighbour_class(nb: int) -> int:
    return 0 if nb == 0 else 1 if nb < 0 else 2


@clause("decoding 6")
def sig_index(state: int, nb: int, base: int, h: int) -> int:
    """(decoding 6) Index in SIG: state of dependent quantization, neighbour, base level, history bit."""
    if h:
        return 40 + state
    if base:
        return 24 + 2 * state + (1 if abs(base) > 1 else 0)
    return 3 * state + _neighbour_class(nb)


@clause("decoding 6")
def sign_index(nb: int, base: int) -> int:
    """(decoding 6) Index in SIGN."""
    if base:
        return 3 + (1 if base > 0 else 0)
    return _neighbour_class(nb)


@clause("decoding 6")
def gtx_index(j: int, negative: bool, base: int, n: int) -> int:
    """(decoding 6) Index in GTX of abs_level_greater_x[j]; `negative` is the sign just decoded, `n` is N."""
    if base:
        return 2 * n + 2 * j + (0 if abs(base) >= j else 1)
    return 2 * j + (1 if negative else 0)


# ----------------------------------------------------------------------------------------------------
# 7  Binarization of one integer


@clause("decoding 7", "syntax 9.9")
def int_param(
    engine: ArithmeticDecoder,
    contexts: ContextSet,
    binarization: Binarization,
    state: int,
    nb: int,
    base: int,
    h: int,
) -> int:
    """(decoding 7) One integer; `state`, `nb`, `base` and `h` as in decoding 6.

    Raises:
        ConformanceError: the magnitude goes beyond the codebook.
    """
    if binarization.cb_size == 1:
        return 0
    if not engine.decode_bin(contexts.sig[sig_index(state, nb, base, h)], "sig_flag"):
        return 0
    if binarization.one_sided:
        negative = binarization.cb_zero_offset != 0
    else:
        negative = engine.decode_bin(contexts.sign[sign_index(nb, base)], "sign_flag") == 1
    b = binarization.bound(negative)
    v = 1
    if b > 1:
        j = 0
        while True:
            context = contexts.gtx[gtx_index(j, negative, base, binarization.n)]
            g = engine.decode_bin(context, "abs_level_greater_x", j)
            v += g
            j += 1
            if not g or j == binarization.n or v >= b:
                break
        if g and v < b:
            v = _escape(engine, contexts, v, b)
    return -v if negative else v


@clause("decoding 7", "syntax 9.9")
def _escape(engine: ArithmeticDecoder, contexts: ContextSet, v: int, b: int) -> int:
    """(decoding 7) The magnitude after N flags of 1: group `r` covers the ``2**r`` magnitudes from `v` on."""
    r = 0
    for j, context in enumerate(contexts.gtx2):
        if not engine.decode_bin(context, "abs_level_greater_x2", j):
            break
        v += 1 << r
        r += 1
        if v + (1 << r) > b:
            break
    v += engine.uae(r, "abs_remainder")
    if v > b:
        raise engine.error("decoding 7", f"magnitude {v} where the codebook ends at {b}")
    return v


# ----------------------------------------------------------------------------------------------------
# 8  Dependent quantization


@clause("decoding 8")
def level_of_index(k: int, state: int, dq_flag: int) -> int:
    """(decoding 8) Level q of the coded index `k`: twice the index, one nearer to zero in odd states."""
    if not dq_flag or k == 0:
        return k
    return 2 * k - (state & 1) if k > 0 else 2 * k + (state & 1)


@clause("decoding 9.2")
def _state_behind_skipped(state: int, cols: int) -> int:
    """(decoding 9.2) State after a skipped segment: W steps of parity 0, however wide the segment is.

    The cycles of parity 0 have the lengths 1, 2 and 4, so W modulo 4 steps are W steps.
    """
    for _ in range(cols % 4):  # Errata: README D6
        state = next_state(state, 0)
    return state


# ----------------------------------------------------------------------------------------------------
# 9  Scan and entry points


@clause("decoding 9.1")
def scan_segments(rows: int, cols: int, scan_order: int) -> Iterator[tuple[int, int, int, int]]:
    """(decoding 9.1) The matrix in coding order, cut into runs within one row of one block.

    Yields:
        block row, row, first column, column behind the last.
    """
    if scan_order == 0:
        for row in range(rows):
            yield 0, row, 0, cols
        return
    side = 4 << scan_order
    for top in range(0, rows, side):
        for left in range(0, cols, side):
            for row in range(top, min(top + side, rows)):
                yield top // side, row, left, min(left + side, cols)


@clause("decoding 5", "decoding 9.2", "syntax 9.7")
def decode_tensor(engine: ArithmeticDecoder, unit: UnitParams, tensor: TensorParams) -> TensorResult:
    """(decoding 5 to 9) One tensor: qp_value if it has one, then quant_tensor(), decoded sequentially.

    Args:
        engine: stands where the tensor starts; stands behind it afterwards.

    Raises:
        TruncatedError: the payload ends inside the tensor.
        ConformanceError: the payload is corrupt.
        ValueError: temporal contexts without a base.
    """
    if unit.temporal and tensor.base is None:
        raise ValueError("temporal_context_modeling_flag is 1, but the tensor has no base")
    if not tensor.has_qp:
        unit = replace(unit, dq_flag=0)  # Errata: README D30
    rows, cols = tensor.rows, tensor.cols
    matrix = rows > 1 and cols > 1
    binarization = Binarization.of(unit, tensor)
    result = TensorResult(np.zeros(rows * cols, np.int32))

    if tensor.has_qp:
        result.qp = tensor.base_qp + engine.iae(6 + tensor.qp_density, "qp_value")
    contexts = ContextSet(unit, tensor.cabac_unary_length)
    skip: list[int] = []
    if unit.profile == 1 and matrix and binarization.cb_size != 1:
        if unit.parent_node_id_present_flag:
            result.hist_dep_sig_prob_enabled_flag = engine.uae(1, "hist_dep_sig_prob_enabled_flag")
        result.row_skip_enabled_flag = engine.uae(1, "row_skip_enabled_flag")
        if result.row_skip_enabled_flag:
            skip = [engine.decode_bin(contexts.skip, "row_skip_list", row) for row in range(rows)]
    shift_parameter_ids(engine, contexts, unit, binarization, result.hist_dep_sig_prob_enabled_flag)

    scan_order = tensor.scan_order if matrix else 0
    several_block_rows = scan_order > 0 and rows > 4 << scan_order
    levels = result.levels.data
    base = _view(tensor.base, np.int32) if unit.temporal else None
    history = _view(tensor.history, np.uint8) if result.hist_dep_sig_prob_enabled_flag else None

    nb = state = block_row = 0
    last_start = engine.P
    if several_block_rows or (unit.legacy and scan_order > 0):  # Errata: README D2, legacy: also a single one
        engine.reset_range()
    for this_block_row, row, first, end in scan_segments(rows, cols, scan_order):
        if this_block_row != block_row:
            block_row = this_block_row
            result.entry_points.append(_entry_point(engine, last_start, state))
            last_start = engine.P
            contexts.reset()
            nb = 0
            engine.reset_range()
        if skip and skip[row]:
            if unit.dq_flag:
                state = _state_behind_skipped(state, cols)
            continue
        for pos in range(row * cols + first, row * cols + end):
            q_base = base[pos] if base is not None else 0
            h = history[pos] if history is not None else 0
            k = int_param(engine, contexts, binarization, state, nb, q_base, h)
            q = level_of_index(k, state, unit.dq_flag)
            if not _INT32_MIN <= q <= _INT32_MAX:
                raise engine.error("decoding 7", f"level {q} does not fit 32 bits")
            levels[pos] = q
            nb = k
            if unit.dq_flag:
                state = next_state(state, k)
    return result


@clause("decoding 9.3")
def _entry_point(engine: ArithmeticDecoder, last_start: int, state: int) -> EntryPoint:
    """(decoding 9.3) Entry point of a block row that starts now; the one before started at `last_start`."""
    return EntryPoint(engine.P - last_start, engine.offset, state)


def _view(array: np.ndarray | None, dtype: type) -> memoryview | None:
    """The elements in row-major order, as plain integers."""
    return None if array is None else np.ascontiguousarray(array, dtype).reshape(-1).data


# ----------------------------------------------------------------------------------------------------
# The unit


@clause("decoding 1", "syntax 9.6")
def decode_unit(
    payload: bytes | bytearray | memoryview,
    unit: UnitParams,
    tensors: Sequence[TensorParams],
    on_bin: Callable[[BinEvent], None] | None = None,
) -> UnitResult:
    """(syntax 9.6) cabac_tensors(): the tensors of a unit, one after another with one arithmetic decoder.

    Args:
        payload: bytes-like; from the byte after the unit header to the end of the unit.
        tensors: in payload order.
        on_bin: called for every bin, the terminate bin included.

    Raises:
        TruncatedError: bits that are needed lie beyond the payload.
        ConformanceError: the payload is corrupt, or does not end where the unit ends.
    """
    engine: ArithmeticDecoder
    if on_bin is None:
        engine = ArithmeticDecoder(payload, payload_offset=unit.payload_offset)
    else:
        engine = _ListenedDecoder(payload, on_bin, payload_offset=unit.payload_offset)
    results = []
    for i, tensor in enumerate(tensors):
        try:
            results.append(decode_tensor(engine, unit, tensor))
        except BitstreamError as error:
            error.locate(path=f"cabac_tensors.quant_tensor[{i}]")
            raise
    engine.terminate()
    engine.finish(memoryview(payload).nbytes)
    return UnitResult(results, engine.P)
