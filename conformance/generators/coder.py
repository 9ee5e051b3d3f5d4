"""Payloads written from the specification alone, so that what a decoder must find in them is known.

Nothing of `nnr` is used here: the tables come from `docs/spec/tables.json`, the rest is decoding 2 to 9
turned round. The arithmetic coder keeps its interval as one large integer, without carries or pending bits,
so it
shares no idea with the one of the C core either.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

__all__ = ["Coded", "Coder", "TensorCode", "code_tensor", "codebook_values", "step_size", "uniform_values"]

_TABLES = json.loads(
    (Path(__file__).parents[2] / "docs" / "spec" / "tables.json").read_text(encoding="utf-8")
)
_RANGE_LPS = _TABLES["range_lps"]["values"]
_CURVE = _TABLES["adaptation_curve"]["values"]
_SETS = _TABLES["shift_parameter_sets"]
_TRANSITION = _TABLES["dq_transition"]["values"]


class Context:
    """(decoding 3) One context variable."""

    def __init__(self, k: int = 0) -> None:
        self.k = k
        self.reset()

    def reset(self) -> None:
        """(decoding 3.1) Back to the values of its parameter set."""
        values = _SETS[self.k]
        self.s0, self.s1 = values["s0_init"], values["s1_init"]
        self.shift0, self.shift1 = values["shift0"], values["shift1"]

    def adapt(self, value: int) -> None:
        """(decoding 3.3)"""
        d = 1 if value else -1
        self.s0 += d * (_CURVE[16 + ((d * self.s0) >> 3)] >> self.shift0)
        self.s1 += d * (_CURVE[16 + ((d * self.s1) >> 7)] >> self.shift1)


class Coder:
    """(decoding 2 turned round) The interval [low, low + range) of all codes that decode to the bins so far.

    Both are integers in units of the last bit that a decoder has read, which is bit `P` - 1.
    """

    def __init__(self) -> None:
        self.low, self.range, self.P = 0, 510, 9
        self.is_over = False  # nothing after this can be decoded, nor needs to be coded

    def _shift(self) -> None:
        self.low *= 2
        self.P += 1

    def bin(self, context: Context, value: int) -> None:
        """(decoding 2.2) A bin with a context."""
        if self.is_over:
            return
        total = 16 * context.s0 + context.s1
        lps = _RANGE_LPS[(self.range >> 5) & 7][abs(total >> 7)]
        self.range -= lps
        if value != (total >= 0):
            self.low += self.range
            self.range = lps
        while self.range < 256:
            self.range *= 2
            self._shift()
        context.adapt(value)

    def bypass(self, value: int) -> None:
        """(decoding 2.3) A bin of probability 1/2."""
        if self.is_over:
            return
        self._shift()
        self.low += self.range * value

    def uae(self, n: int, value: int) -> None:
        """(decoding 2.3) `n` bypass bins, most significant first; negative numbers in two's complement."""
        for k in reversed(range(n)):
            self.bypass(value >> k & 1)

    def reset_range(self, *, bad: bool = False) -> None:
        """(decoding 2.4); a bad one makes a code whose offset is 256 or more there."""
        if bad:
            assert self.range > 256, "no such code"
            self.low += 256
            self.is_over = True
        else:
            self.range = 256

    def finish(self, *, terminate: int = 1, stop_bit: int = 1, rest: str = "") -> tuple[bytes, int]:
        """(decoding 2.5, 2.6) The payload, and its code as an integer of `P` bits.

        Other arguments than these make payloads that must be refused: a terminate bin of 0, a stop bit of 0,
        bits after it that are not 0.
        """
        self.range -= 2
        code = self.low
        if terminate and not self.is_over:
            code += self.range
            code += code & 1 != stop_bit
        bits = f"{code:0{self.P}b}" + rest
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big"), code


@dataclass(frozen=True)
class TensorCode:
    """How one tensor is coded.

    Attributes:
        rows, cols: H and W.
        unary: N.
        codebook: (size, zero offset) where indices are bounded by them, that is in profile 1.
        base, history: of the parent, row-major; None where not in use.
        hist_flag: value of hist_dep_sig_prob_enabled_flag where it is coded.
        skip: row_skip_list; None for a row_skip_enabled_flag of 0.
        sets: parameter set of each context, by group and index; 0 by default.
        escapes: 31; 32 for the dialect of README D1.
        qp_value, qp_bits: None for integer payloads.
        bad_reset: number of the block row at whose start the code is invalid.
    """

    rows: int
    cols: int
    profile: int = 1
    dq: int = 0
    unary: int = 11
    scan_order: int = 0
    codebook: tuple[int, int] | None = None
    parent: int = 0
    base: Sequence[int] | None = None
    history: Sequence[int] | None = None
    hist_flag: int = 0
    skip: Sequence[int] | None = None
    sets: Callable[[str, int], int] = field(default=lambda group, k: 0)
    escapes: int = 31
    qp_value: int | None = 0
    qp_bits: int = 8
    bad_reset: int | None = None


@dataclass
class Coded:
    """What coding a tensor gives: its levels (decoding 8), row-major, and (P, low, state) of each block row.
    """

    levels: list[int]
    starts: list[tuple[int, int, int]]


class _Contexts:
    """(decoding 4, 5) The contexts of a tensor; those that have a parameter set, in coding order."""

    def __init__(self, t: TensorCode) -> None:
        self.shift, self.skip = Context(), Context()
        groups = {"SIG": 48, "SIGN": 5, "GTX": 4 * t.unary, "GTX2": t.escapes}
        self.of = {group: [Context() for _ in range(n)] for group, n in groups.items()}
        self.listed = list(self._listed(t))

    @staticmethod
    def _listed(t: TensorCode) -> Iterator[tuple[str, int, bool]]:
        size, zero = t.codebook or (0, 0)
        most = max(zero, size - 1 - zero)
        tca = t.base is not None
        for k in range(24 if t.dq else 3):
            yield "SIG", k, size != 1
        for k in range(24, (40 if t.dq else 26) if tca else 24):
            yield "SIG", k, size != 1
        for k in range(40, (48 if t.dq else 41) if t.hist_flag else 40):
            yield "SIG", k, size != 1
        for k in range(5 if tca else 3):
            yield "SIGN", k, size != 1 and not (size and zero in (0, size - 1))
        for k in range(2 * t.unary):
            yield "GTX", k, not size or k < 2 * most
        for k in range(2 * t.unary, (4 if tca else 2) * t.unary):
            yield "GTX", k, not size or k < 2 * t.unary + 2 * (most - 1)
        for k in range(t.escapes):
            yield "GTX2", k, not size or t.unary - 2 + 2 ** (k + 1) < most

    def code_sets(self, coder: Coder, sets: Callable[[str, int], int]) -> None:
        """(decoding 5) shift_parameter_ids()"""
        for group, k, coded in self.listed:
            chosen = sets(group, k) if coded else 0
            if coded:
                coder.bin(self.shift, int(chosen > 0))
                if chosen:
                    coder.uae(3, chosen - 1)
            self.of[group][k] = Context(chosen)

    def reset(self) -> None:
        """(decoding 9.2)"""
        for group in self.of.values():
            for context in group:
                context.reset()


def _segments(t: TensorCode) -> Iterator[tuple[int, int, int, int]]:
    """(decoding 9.1) Block row, row, first column, end of each run of positions."""
    if t.scan_order == 0 or t.rows == 1 or t.cols == 1:
        for row in range(t.rows):
            yield 0, row, 0, t.cols
        return
    side = 4 << t.scan_order
    for top in range(0, t.rows, side):
        for left in range(0, t.cols, side):
            for row in range(top, min(top + side, t.rows)):
                yield top // side, row, left, min(left + side, t.cols)


def _class(number: int) -> int:
    return 0 if number == 0 else 1 if number < 0 else 2


def _code_integer(
    coder: Coder, c: _Contexts, t: TensorCode, k: int, state: int, nb: int, base: int, h: int
) -> None:
    """(decoding 6, 7) One index; one beyond the bound of its codebook is written as far as the syntax goes.
    """
    size, zero = t.codebook or (0, 0)
    if size == 1:
        return
    if h:
        sig = 40 + state
    elif base:
        sig = 24 + 2 * state + (abs(base) > 1)
    else:
        sig = 3 * state + _class(nb)
    coder.bin(c.of["SIG"][sig], int(k != 0))
    if k == 0:
        return
    if not (size and zero in (0, size - 1)):
        coder.bin(c.of["SIGN"][3 + (base > 0) if base else _class(nb)], int(k < 0))
    bound = math.inf if not size else zero if k < 0 else size - 1 - zero
    magnitude, v, j = abs(k), 1, 0
    if bound <= 1:
        return
    while True:
        greater = int(magnitude > v)
        index = 2 * t.unary + 2 * j + (abs(base) < j) if base else 2 * j + (k < 0)
        coder.bin(c.of["GTX"][index], greater)
        v += greater
        j += 1
        if not greater or j == t.unary or v >= bound:
            break
    if not greater or v >= bound:
        return
    r = 0
    for context in c.of["GTX2"]:
        more = int(magnitude >= v + 2**r and v + 2**r <= bound)
        coder.bin(context, more)
        if not more:
            break
        v += 2**r
        r += 1
        if v + 2**r > bound:
            break
    coder.uae(r, magnitude - v)


def code_tensor(coder: Coder, t: TensorCode, indices: Sequence[int]) -> Coded:
    """(decoding 5 to 9) Code the indices k of a tensor, row-major; under a skipped row they must be 0."""
    if t.qp_value is not None:
        coder.uae(t.qp_bits, t.qp_value)
    c = _Contexts(t)
    if t.profile == 1 and t.rows > 1 and t.cols > 1 and (t.codebook or (0, 0))[0] != 1:
        if t.parent:
            coder.uae(1, t.hist_flag)
        coder.uae(1, int(t.skip is not None))
        for skipped in t.skip or ():
            coder.bin(c.skip, skipped)
    c.code_sets(coder, t.sets)
    levels = [0] * (t.rows * t.cols)
    nb = state = block_row = 0
    starts = [(coder.P, coder.low, 0)]
    matrix = t.rows > 1 and t.cols > 1
    if t.scan_order and matrix and (t.rows > 4 << t.scan_order or t.escapes == 32):
        coder.reset_range(bad=t.bad_reset == 0)
    for this, row, first, end in _segments(t):
        if this != block_row:
            block_row, nb = this, 0
            starts.append((coder.P, coder.low, state))
            c.reset()
            coder.reset_range(bad=t.bad_reset == block_row)
        if t.skip and t.skip[row]:
            for _ in range(t.cols if t.dq else 0):
                state = _TRANSITION[state][0]
            continue
        for pos in range(row * t.cols + first, row * t.cols + end):
            k = int(indices[pos])
            base = int(t.base[pos]) if t.base is not None else 0
            h = int(t.history[pos]) if t.hist_flag and t.history is not None else 0
            _code_integer(coder, c, t, k, state, nb, base, h)
            nb = k
            levels[pos] = k
            if t.dq:
                levels[pos] = 2 * k - (k > 0) * (state & 1) + (k < 0) * (state & 1)
                state = _TRANSITION[state][k & 1]
    return Coded(levels, starts)


# ----------------------------------------------------------------------------------------------------
# 10  Values


def step_size(qp: int, density: int) -> float:
    """(decoding 10.1) As binary64, which holds every step exactly, but those beyond all of binary32."""
    unit = 2**density
    exponent = qp // unit - density
    return math.ldexp(unit + qp % unit, exponent) if exponent < 1000 else math.inf


def uniform_values(levels: np.ndarray, qp: int, density: int) -> np.ndarray:
    """(decoding 10.2) The product of two binary32 numbers is exact in binary64, and is rounded once more."""
    with np.errstate(all="ignore"):
        step = float(np.float32(step_size(qp, density)))
        return (step * levels.astype(np.float32).astype(np.float64)).astype(np.float32)


def codebook_values(
    indices: np.ndarray, entries: Sequence[int], zero: int, qp: int, density: int
) -> np.ndarray:
    """(decoding 10.3) Exact in binary64, then rounded to binary32."""
    with np.errstate(all="ignore"):
        book = np.array(entries, np.float64) * step_size(qp, density)
        return book[indices.astype(np.int64) + zero].astype(np.float32)


def entry_points(
    coded: Mapping[int, Coded] | Sequence[Coded], code: int, P: int, dq: int
) -> list[tuple[int, int, int]]:
    """(decoding 9.3) BitOffset, offset register and state of each block row but the first, tensor by tensor.
    """
    points = []
    for tensor in coded.values() if isinstance(coded, Mapping) else coded:
        for (before, _, _), (at, low, state) in zip(tensor.starts, tensor.starts[1:]):
            points.append((at - before, (code >> (P - at)) - low, state if dq else 0))
    return points
