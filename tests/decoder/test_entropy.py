"""The readable reference of decoding 2 to 9, against the worked example and codes made by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from nnr.decoder import entropy, tables
from nnr.decoder.clauses import clause, registry
from nnr.decoder.entropy import (
    ArithmeticDecoder,
    Binarization,
    BinEvent,
    Context,
    ContextSet,
    TensorParams,
    UnitParams,
    decode_unit,
)
from nnr.errors import BitstreamError, ConformanceError, TruncatedError
from tests.shared import shared_path

# ----------------------------------------------------------------------------------------------------
# The worked example: a 3x4 tensor, N = 2, row skipping


PAYLOAD = bytes.fromhex("f4 06 20 03 9d 84 55 db a3 70 c0")
UNIT = UnitParams(profile=1)
TENSOR = TensorParams(rows=3, cols=4, cabac_unary_length=2, base_qp=0, qp_density=2)
LEVELS = [2, -1, 0, 4, 0, 0, 0, 0, -2, 1, 9, -19]


@pytest.fixture(scope="module")
def events() -> list[BinEvent]:
    found: list[BinEvent] = []
    decode_unit(PAYLOAD, UNIT, [TENSOR], found.append)
    return found


def _expected_bins() -> list[dict[str, str]]:
    path = Path(__file__).with_name("worked_example_bins.csv")
    with path.open(encoding="ascii", newline="") as file:
        return list(csv.DictReader(file))


def _label(event: BinEvent) -> str:
    """The name that the table of the worked example has for a bin."""
    element, _, index = event.element.partition("[")
    index = index.removesuffix("]")
    if element == "shift_idx_minus_1_present_flag":
        group, _, number = index.partition("[")
        number = number.removesuffix("]")
        return "param flag " + {"SIG": "sig", "SIGN": "sign", "GTX": "gtx ", "GTX2": "rem"}[group] + number
    return {
        "sig_flag": "sig",
        "sign_flag": "sign",
        "abs_level_greater_x": f"gtx {index}",
        "abs_level_greater_x2": f"esc {index}",
    }.get(element, element)


def _row(event: BinEvent) -> dict[str, str]:
    before, after = event.estimators or ("", ""), event.estimators_after or ("", "")
    row = {
        "bin": event.number,
        "element": _label(event),
        "kind": event.kind,
        "range": event.range,
        "offset": event.offset,
        "P": event.P,
        "s0": before[0],
        "s1": before[1],
        "lps": "" if event.lps is None else event.lps,
        "mps": "" if event.mps is None else event.mps,
        "value": event.value,
        "range_after": event.range_after,
        "offset_after": event.offset_after,
        "P_after": event.P_after,
        "s0_after": after[0],
        "s1_after": after[1],
    }
    return {name: str(value) for name, value in row.items()}


def test_worked_example_bin_by_bin(events: list[BinEvent]) -> None:
    expected = _expected_bins()
    assert len(expected) == 97
    assert len(events) == 98
    for event, row in zip(events, expected):
        assert _row(event) == row


def test_worked_example_ends_with_the_terminate_bin(events: list[BinEvent]) -> None:
    last = events[-1]
    assert (last.element, last.kind, last.value) == ("end_of_data", "terminate", 1)
    assert (last.range, last.offset, last.P) == (370, 369, 82)
    assert (last.range_after, last.offset_after, last.P_after) == (368, 369, 82)


def test_worked_example_uses_the_contexts_that_its_text_names(events: list[BinEvent]) -> None:
    expected = (
        "SIG[0] SIGN[0] GTX[0] GTX[2] | SIG[2] SIGN[2] GTX[1] | SIG[1] |"
        "SIG[0] SIGN[0] GTX[0] GTX[2] GTX2[0] GTX2[1] | SIG[2] SIGN[2] GTX[1] GTX[3] |"
        "SIG[1] SIGN[1] GTX[0] |"
        "SIG[2] SIGN[2] GTX[0] GTX[2] GTX2[0] GTX2[1] GTX2[2] |"
        "SIG[2] SIGN[2] GTX[1] GTX[3] GTX2[0] GTX2[1] GTX2[2] GTX2[3] GTX2[4]"
    ).replace("|", " ")
    assert [e.context for e in events[53:] if e.context] == expected.split()
    assert {e.context for e in events[9:12]} == {"SKIP"}
    assert {e.context for e in events[12:53]} == {"SHIFT"}


def test_worked_example_gives_its_levels_and_qp() -> None:
    result = decode_unit(PAYLOAD, UNIT, [TENSOR])
    (tensor,) = result.tensors
    assert result.bits_consumed == 82
    assert tensor.levels.dtype == np.int32
    assert tensor.levels.tolist() == LEVELS
    assert (tensor.qp, tensor.row_skip_enabled_flag, tensor.hist_dep_sig_prob_enabled_flag) == (-12, 1, 0)
    assert tensor.entry_points == []


def test_a_listener_changes_nothing() -> None:
    heard = decode_unit(PAYLOAD, UNIT, [TENSOR], lambda event: None)
    plain = decode_unit(PAYLOAD, UNIT, [TENSOR])
    assert heard.bits_consumed == plain.bits_consumed
    assert heard.tensors[0].levels.tolist() == plain.tensors[0].levels.tolist()


# ----------------------------------------------------------------------------------------------------
# Corrupt payloads


def _error(payload: bytes) -> BitstreamError:
    with pytest.raises(BitstreamError) as caught:
        decode_unit(payload, UnitParams(profile=1, payload_offset=100), [TENSOR])
    return caught.value


@pytest.mark.parametrize("size", range(len(PAYLOAD)))
def test_every_truncation_is_a_truncated_error(size: int) -> None:
    error = _error(PAYLOAD[:size])
    assert isinstance(error, TruncatedError)
    assert error.byte_offset == 100 + size


def test_stop_bit_of_0_is_rejected() -> None:
    # bit 81 belongs to the register (worked example: offset 369); with 368 the terminate bin is still 1
    error = _error(PAYLOAD[:-1] + b"\x80")
    assert isinstance(error, ConformanceError)
    assert error.clause == "decoding 2.6"
    assert "stop bit" in error.reason


def test_terminate_bin_of_0_is_rejected() -> None:
    # 0x40: bit 80 is 0, so the register ends below 368
    error = _error(PAYLOAD[:-1] + b"\x40")
    assert isinstance(error, ConformanceError)
    assert error.clause == "decoding 2.5"
    assert error.bit_offset == 800 + 82


@pytest.mark.parametrize("last", [0xC1, 0xE0, 0xFF])
def test_alignment_bits_must_be_0(last: int) -> None:
    error = _error(PAYLOAD[:-1] + bytes([last]))
    assert isinstance(error, ConformanceError)
    assert error.clause == "decoding 2.6"


def test_bytes_behind_the_payload_are_rejected() -> None:
    error = _error(PAYLOAD + b"\0")
    assert isinstance(error, ConformanceError)
    assert error.clause == "decoding 2.6"
    assert "11 bytes" in error.reason
    assert "12" in error.reason


@pytest.mark.parametrize("start", [b"\xff\x00", b"\xff\x80"])
def test_offset_not_below_the_range_at_the_start_is_rejected(start: bytes) -> None:
    with pytest.raises(ConformanceError) as caught:
        ArithmeticDecoder(start)
    assert caught.value.clause == "decoding 2.1"
    assert ArithmeticDecoder(b"\xfe\x80").offset == 509


def test_an_error_inside_a_tensor_names_the_tensor() -> None:
    with pytest.raises(TruncatedError) as caught:
        decode_unit(PAYLOAD, UNIT, [TENSOR, TENSOR])
    assert caught.value.path == "cabac_tensors.quant_tensor[1]"


# ----------------------------------------------------------------------------------------------------
# 2 and 3: arithmetic decoder, probability model


def test_bypass_integers_are_most_significant_bit_first() -> None:
    # With range 510 and offset o, n bypass bins are the quotient of o * 2^n + next bits by 510.
    bits = int.from_bytes(PAYLOAD, "big") >> (88 - 9 - 6)
    engine = ArithmeticDecoder(PAYLOAD)
    assert engine.uae(6) == bits // 510
    assert engine.offset == bits % 510
    assert engine.P == 15
    assert engine.range == 510


def test_two_s_complement_integers() -> None:
    assert ArithmeticDecoder(PAYLOAD).iae(8) == -12
    assert ArithmeticDecoder(PAYLOAD).uae(8) == 256 - 12
    assert ArithmeticDecoder(PAYLOAD).iae(0) == 0
    assert ArithmeticDecoder(b"\x10" + PAYLOAD).iae(4) == 1


def test_range_reset_keeps_offset_and_position() -> None:
    engine = ArithmeticDecoder(b"\x7f\x80\x00")
    engine.reset_range()
    assert (engine.range, engine.offset, engine.P) == (256, 255, 9)
    engine = ArithmeticDecoder(b"\x80\x00\x00")
    with pytest.raises(ConformanceError) as caught:
        engine.reset_range()
    assert caught.value.clause == "decoding 2.4"


@pytest.mark.parametrize(
    ("s0", "s1", "column", "mps"), [(0, 0, 0, 1), (0, 127, 0, 1), (0, 128, 1, 1), (0, -1, 1, 0)]
)
def test_the_column_is_shifted_before_it_is_made_positive(s0: int, s1: int, column: int, mps: int) -> None:
    context = Context("SIG", 0)
    context.s0, context.s1 = s0, s1
    assert context.split(300) == (tables.RANGE_LPS[1][column], mps)


def test_long_runs_saturate_where_the_specification_says() -> None:
    """(tables) The sum saturates at 3840 to 3889 with sets 0 to 6, at about 1800 to 2400 with 7 and 8."""
    for k in range(9):
        for value in (0, 1):
            context = Context("SIG", 0)
            context.initialise(k)
            for _ in range(5000):
                context.update(value)
                context.split(256)  # the column stays within the table
            total = abs(16 * context.s0 + context.s1)
            assert (3840 <= total <= 3889) if k < 7 else (1790 <= total <= 2400)
            context.reset()
            assert (context.s0, context.s1) == tables.SHIFT_PARAMETER_SETS[k][2:]


def test_tables_have_the_sums_of_the_specification() -> None:
    assert sum(map(sum, tables.RANGE_LPS)) == 11348
    assert sum(tables.ADAPTATION_CURVE) == 17600
    assert tables.RANGE_LPS[0][0] == 128
    assert tables.RANGE_LPS[7][31] == 4
    assert [16 * s.s0_init + s.s1_init for s in tables.SHIFT_PARAMETER_SETS] == [
        *(0, -1310, 3039, 0, 962, 3039, -673, 0, 962)
    ]


def test_tables_are_those_of_the_specification() -> None:
    spec = json.loads(shared_path("spec", "tables.json").read_text(encoding="utf-8"))
    assert [list(row) for row in tables.RANGE_LPS] == spec["range_lps"]["values"]
    assert list(tables.ADAPTATION_CURVE) == spec["adaptation_curve"]["values"]
    names = ("shift0", "shift1", "s0_init", "s1_init")
    sets = [tuple(entry[name] for name in names) for entry in spec["shift_parameter_sets"]]
    assert [tuple(entry) for entry in tables.SHIFT_PARAMETER_SETS] == sets


# ----------------------------------------------------------------------------------------------------
# 4 to 7: contexts and binarization, with an engine that plays given bins


class ScriptedEngine(ArithmeticDecoder):
    """Gives out the bins of a string; notes the contexts they were asked with, ``-`` for bypass."""

    def __init__(self, bins: str) -> None:
        super().__init__(bytes(2))
        self._bins = iter(bins.replace(" ", ""))
        self.asked: list[str] = []

    def decode_bin(self, context: Context, element: str = "", of: object = None) -> int:
        self.asked.append(str(context))
        return int(next(self._bins))

    def decode_bypass(self, element: str = "", of: object = None) -> int:
        self.asked.append("-")
        return int(next(self._bins))

    def left(self) -> int:
        return len(list(self._bins))


def _integer(
    bins: str, n: int, size: int = 0, zero: int = 0, *, nb: int = 0, base: int = 0
) -> tuple[int, list[str]]:
    """The integer that `bins` stand for, and the contexts used."""
    engine = ScriptedEngine(bins)
    contexts = ContextSet(UNIT, n)
    k = entropy.int_param(engine, contexts, Binarization(n, size, zero), 0, nb, base, 0)
    assert engine.left() == 0
    return k, engine.asked


@pytest.mark.parametrize(
    ("bins", "value"),
    [
        # decoding 7: "Unbounded codes (N = 2)"
        ("0", 0),
        ("1 0 0", 1),
        ("1 1 0", -1),
        ("1 0 10", 2),
        ("1 0 11 0", 3),
        ("1 0 11 10 0", 4),
        ("1 0 11 10 1", 5),
        ("1 0 11 110 00", 6),
        ("1 0 11 110 11", 9),
        ("1 1 11 11110 0001", -19),  # the last sample of the worked example
    ],
)
def test_unbounded_codes(bins: str, value: int) -> None:
    assert _integer(bins, n=2)[0] == value


@pytest.mark.parametrize(
    ("bins", "value", "size", "zero"),
    [
        # codebook of 7, zero in the middle: magnitudes up to 3, where the bound ends the code
        ("0", 0, 7, 3),
        ("1 0 0", 1, 7, 3),
        ("1 0 10", 2, 7, 3),
        ("1 0 11", 3, 7, 3),
        ("1 1 11", -3, 7, 3),
        # 2 entries below zero, 1 above: a positive index needs no flag at all, a negative one flag
        ("1 0", 1, 4, 2),
        ("1 1 0", -1, 4, 2),
        ("1 1 1", -2, 4, 2),
        # one-sided: no sign
        ("1 0", 1, 3, 0),
        ("1 1", 2, 3, 0),
        ("1 0", -1, 3, 2),
        ("1 1", -2, 3, 2),
        ("1", 1, 2, 0),
        ("1", -1, 2, 1),
        # 7 above zero: the flags reach 3, then groups of 1 (3), 2 (4 5), and 6 7 of the group of 4, cut off:
        # after two escape flags of 1, 6 + 4 > 7 ends the prefix without a 0, and the remainder has two bits
        ("1 11 0", 3, 8, 0),
        ("1 11 10 1", 5, 8, 0),
        ("1 11 11 00", 6, 8, 0),
        ("1 11 11 01", 7, 8, 0),
        # 6 above zero: 4 + 2 is not above 6, so the prefix of 4 and 5 ends with its 0
        ("1 11 10 0", 4, 7, 0),
        ("1 11 10 1", 5, 7, 0),
        ("1 11 11 00", 6, 7, 0),
        # 5 above zero: after one escape flag of 1, 4 + 2 > 5
        ("1 11 1 0", 4, 6, 0),
        ("1 11 1 1", 5, 6, 0),
    ],
)
def test_codes_bounded_by_the_codebook(bins: str, value: int, size: int, zero: int) -> None:
    assert _integer(bins, n=2, size=size, zero=zero)[0] == value


def test_codebook_of_one_entry_codes_nothing() -> None:
    assert _integer("", n=2, size=1) == (0, [])


def test_magnitude_behind_the_end_of_the_codebook_is_rejected() -> None:
    with pytest.raises(ConformanceError) as caught:
        _integer("1 11 11 10", n=2, size=8, zero=0)
    assert caught.value.clause == "decoding 7"


def test_flag_contexts_by_sign_neighbour_and_base() -> None:
    assert _integer("1 0 10", 2)[1] == ["SIG[0]", "SIGN[0]", "GTX[0]", "GTX[2]"]
    assert _integer("1 1 10", 2, nb=-5)[1] == ["SIG[1]", "SIGN[1]", "GTX[1]", "GTX[3]"]
    assert _integer("1 1 10", 2, nb=5)[1] == ["SIG[2]", "SIGN[2]", "GTX[1]", "GTX[3]"]
    # a temporal base replaces neighbour and sign: classes by |base| > 1, base > 0, |base| >= j; 2N = 6
    assert _integer("1 0 110", 3, nb=5, base=-1)[1] == ["SIG[24]", "SIGN[3]", "GTX[6]", "GTX[8]", "GTX[11]"]
    assert _integer("1 1 110", 3, nb=5, base=2)[1] == ["SIG[25]", "SIGN[4]", "GTX[6]", "GTX[8]", "GTX[10]"]


def test_significance_contexts_by_state() -> None:
    assert [entropy.sig_index(s, 0, 0, 0) for s in range(8)] == list(range(0, 24, 3))
    assert [entropy.sig_index(s, 9, -1, 0) for s in range(8)] == list(range(24, 40, 2))
    assert [entropy.sig_index(s, 9, -2, 1) for s in range(8)] == list(range(40, 48))


def _parameter_list(
    unit: UnitParams, n: int, size: int = 0, zero: int = 0, hist_flag: int = 0
) -> tuple[list[str], list[str]]:
    """Names of the contexts in the list, and of those whose flag is coded."""
    engine = ScriptedEngine("0" * 2000)
    contexts = ContextSet(unit, n)
    listed = list(entropy._context_parameters(contexts, unit, Binarization(n, size, zero), hist_flag))
    entropy.shift_parameter_ids(engine, contexts, unit, Binarization(n, size, zero), hist_flag)
    coded = [str(context) for context, is_coded in listed if is_coded]
    assert engine.asked == ["SHIFT"] * len(coded)
    return [str(context) for context, _ in listed], coded


def test_number_of_context_parameter_flags() -> None:
    for profile in (0, 1):
        assert len(_parameter_list(UnitParams(profile), 11)[1]) == 3 + 3 + 22 + 31
        assert len(_parameter_list(UnitParams(profile, dq_flag=1), 11)[1]) == 24 + 3 + 22 + 31
    assert len(_parameter_list(UnitParams(0, escape_context_count=32), 11)[1]) == 3 + 3 + 22 + 32
    update = UnitParams(1, 1, 1, 1)
    assert len(_parameter_list(update, 5)[1]) == 24 + 16 + 5 + 20 + 31
    assert len(_parameter_list(update, 5, hist_flag=1)[1]) == 24 + 16 + 8 + 5 + 20 + 31
    plain = UnitParams(1, 0, 1, 1)
    groups = {"SIG": (0, 1, 2, 24, 25, 40), "SIGN": range(5), "GTX": range(4), "GTX2": range(31)}
    names = [f"{group}[{k}]" for group, indices in groups.items() for k in indices]
    assert _parameter_list(plain, 1, hist_flag=1)[0] == names


def test_codebook_bound_leaves_out_context_parameters() -> None:
    sig, sign = ["SIG[0]", "SIG[1]", "SIG[2]"], ["SIGN[0]", "SIGN[1]", "SIGN[2]"]
    # M = 3 of 7 entries, N = 2: all four GTX (a < 6); GTX2[a] only if 2^(a+1) < 3
    four = [f"GTX[{a}]" for a in range(4)]
    assert _parameter_list(UNIT, 2, 7, 3)[1] == [*sig, *sign, *four, "GTX2[0]"]
    # M = 1: GTX a < 2
    assert _parameter_list(UNIT, 2, 3, 1)[1] == [*sig, *sign, "GTX[0]", "GTX[1]"]
    # one-sided, M = 2
    assert _parameter_list(UNIT, 2, 3, 0)[1] == [*sig, *four]
    # a single entry has M = 0 and codes nothing at all
    assert _parameter_list(UNIT, 2, 1, 0)[1] == []
    # profile 0 does not know the bound
    tensor = TensorParams(1, 1, 2, codebook_size=7, codebook_zero_offset=3)
    assert Binarization.of(UnitParams(0), tensor) == Binarization(2, 0, 3)
    # temporal contexts, M = 3, N = 2: GTX[4 .. 4 + 2 * 2 - 1]
    names = _parameter_list(UnitParams(1, 0, 1, 1), 2, 7, 3)[1]
    assert [name for name in names if name.startswith("GTX[")] == [f"GTX[{a}]" for a in range(8)]
    names = _parameter_list(UnitParams(1, 0, 1, 1), 2, 5, 2)[1]
    assert [name for name in names if name.startswith("GTX[")] == [f"GTX[{a}]" for a in (0, 1, 2, 3, 4, 5)]


def test_parameter_sets_are_taken_from_three_bits() -> None:
    engine = ScriptedEngine("0 1 111 1 000" + "0" * 100)
    contexts = ContextSet(UNIT, 1)
    entropy.shift_parameter_ids(engine, contexts, UNIT, Binarization(1, 0, 0), 0)
    assert [context.parameter_set for context in contexts.sig[:4]] == [0, 8, 1, 0]
    assert engine.asked[:9] == ["SHIFT", "SHIFT", "-", "-", "-", "SHIFT", "-", "-", "-"]


# ----------------------------------------------------------------------------------------------------
# 8 and 9: dependent quantization, scan, skipped rows


def test_dependent_quantization_doubles_the_index() -> None:
    assert [entropy.level_of_index(k, 0, 1) for k in (-2, -1, 0, 1, 2)] == [-4, -2, 0, 2, 4]
    assert [entropy.level_of_index(k, 3, 1) for k in (-2, -1, 0, 1, 2)] == [-3, -1, 0, 1, 3]
    assert [entropy.level_of_index(k, 0, 0) for k in (-2, 0, 2)] == [-2, 0, 2]


def test_skipped_segment_is_as_many_steps_as_the_matrix_is_wide() -> None:
    for state in range(8):
        expected = state
        for cols in range(40):
            assert entropy._state_behind_skipped(state, cols) == expected
            expected = entropy.next_state(expected, 0)


def _positions(rows: int, cols: int, scan_order: int) -> Iterator[tuple[int, int, int]]:
    for block_row, row, first, end in entropy.scan_segments(rows, cols, scan_order):
        for col in range(first, end):
            yield block_row, row, col


@pytest.mark.parametrize(("scan_order", "side"), [(1, 8), (2, 16), (3, 32), (4, 64)])
def test_block_scan_order(scan_order: int, side: int) -> None:
    rows, cols = 2 * side + 3, side + 5
    expected = sorted(
        ((row // side, row, col) for row in range(rows) for col in range(cols)),
        key=lambda p: (p[1] // side, p[2] // side, p[1] % side, p[2] % side),
    )
    assert list(_positions(rows, cols, scan_order)) == expected


def test_row_scan_order() -> None:
    assert list(_positions(2, 3, 0)) == [(0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0), (0, 1, 1), (0, 1, 2)]
    assert list(_positions(0, 1, 0)) == []


class _Samples(ScriptedEngine):
    """Plays bins for a 1-flag code, and offers what else decode_tensor asks for."""

    resets = 0

    def reset_range(self) -> None:
        self.resets += 1
        self.asked.append("reset")


def _samples(unit: UnitParams, tensor: TensorParams, bins: str) -> tuple[list[int], _Samples]:
    engine = _Samples(bins)
    result = entropy.decode_tensor(engine, unit, tensor)
    assert engine.left() == 0
    return result.levels.tolist(), engine


def test_neighbour_crosses_rows_and_skipped_rows_and_restarts_with_the_tensor() -> None:
    tensor = TensorParams(3, 2, 1, has_qp=False)
    flags = "1 0 1 0" + "0" * (3 + 3 + 2 + 31)  # row_skip_enabled_flag, list (row 1), context parameters
    levels, engine = _samples(UNIT, tensor, flags + "0" + "1 1 0" + "0 0")
    assert levels == [0, -1, 0, 0, 0, 0]
    sig = [name for name in engine.asked if name.startswith("SIG[")]
    assert sig == ["SIG[0]", "SIG[0]", "SIG[1]", "SIG[0]"]


@pytest.mark.parametrize(("rows", "resets"), [(9, 2), (17, 3), (8, 0)])
def test_range_resets_of_block_scans(rows: int, resets: int) -> None:
    tensor = TensorParams(rows, 2, 1, scan_order=1, has_qp=False)
    _, engine = _samples(UnitParams(0), tensor, "0" * (39 + 2 * rows))
    assert engine.resets == resets


def test_legacy_streams_reset_the_range_before_a_single_block_row_of_a_matrix() -> None:
    legacy = UnitParams(0, escape_context_count=32)
    cases = ((8, 2, 1, 1), (8, 1, 1, 0), (1, 8, 1, 0), (8, 2, 0, 0), (9, 2, 1, 2))
    for rows, cols, scan_order, resets in cases:
        tensor = TensorParams(rows, cols, 1, scan_order=scan_order, has_qp=False)
        assert _samples(legacy, tensor, "0" * (40 + rows * cols))[1].resets == resets


def test_vectors_have_no_block_scan() -> None:
    tensor = TensorParams(20, 1, 1, scan_order=1, has_qp=False)
    assert _samples(UNIT, tensor, "0" * (39 + 20))[1].resets == 0


def test_block_row_start_forgets_neighbour_but_not_state() -> None:
    """(decoding 9.2) Sample 17 of a 9x2 tensor has the state behind 16 samples and neighbour class 0."""
    tensor = TensorParams(9, 2, 1, scan_order=1)
    unit = UnitParams(0, dq_flag=1)
    flags = "0" * 8 + "0" * (24 + 3 + 2 + 31)
    levels, engine = _samples(unit, tensor, flags + "1 0 0" + "0" * 14 + "1 0 0" + "0" + "0")
    assert levels[0] == 2
    state = 2
    for _ in range(14):
        state = entropy.next_state(state, 0)
    assert levels[15] == 2 - (state & 1)
    state = entropy.next_state(state, 1)
    sig = [name for name in engine.asked if name.startswith("SIG[")]
    assert sig[16] == f"SIG[{3 * state}]"
    assert engine.asked.count("reset") == 2
    # and the neighbour would have been positive
    assert sig[17] == f"SIG[{3 * entropy.next_state(state, 0)}]"


def test_integer_payloads_know_no_dependent_quantization() -> None:
    """(README D30) A dq_flag of 1 is ignored: 3 significance contexts, levels are the indices."""
    tensor = TensorParams(1, 2, 1, has_qp=False)
    assert _samples(UnitParams(1, dq_flag=1), tensor, "0" * 39 + "1 0 0" + "1 1 0")[0] == [1, -1]


def test_levels_beyond_32_bits_are_rejected() -> None:
    tensor = TensorParams(1, 1, 1, has_qp=False)
    flags = "0" * 39
    # sig, sign, one flag of 1, then k escape flags: 2 + 2^k - 1 plus k bits
    top = flags + "1 0 1" + "1" * 30 + "0" + format((1 << 30) - 2, "030b")
    assert _samples(UNIT, tensor, top)[0] == [(1 << 31) - 1]
    bottom = flags + "1 1 1" + "1" * 30 + "0" + format((1 << 30) - 1, "030b")
    assert _samples(UNIT, tensor, bottom)[0] == [-(1 << 31)]
    beyond = flags + "1 0 1" + "1" * 30 + "0" + format((1 << 30) - 1, "030b")
    with pytest.raises(ConformanceError) as caught:
        _samples(UNIT, tensor, beyond)
    assert caught.value.clause == "decoding 7"
    with pytest.raises(ConformanceError):
        _samples(UNIT, tensor, flags + "1 0 1" + "1" * 31 + "0" * 31)


def test_empty_tensors_have_parameters_and_no_samples() -> None:
    """(semantics 4) qp_value and the context parameters are there, samples are not."""
    levels, engine = _samples(UNIT, TensorParams(0, 1, 1), "0" * 8 + "0" * 39)
    assert levels == []
    assert engine.asked == ["-"] * 8 + ["SHIFT"] * 39


def test_temporal_contexts_need_a_base() -> None:
    with pytest.raises(ValueError, match="base"):
        _samples(UnitParams(1, 0, 1, 1), TensorParams(1, 1, 1), "0" * 100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": -1},
        {"cabac_unary_length": 0},
        {"cabac_unary_length": 257},
        {"scan_order": 5},
        {"codebook_zero_offset": 3, "codebook_size": 3},
        {"qp_density": 8},
        {"base": np.zeros(3, np.int32)},
        {"history": np.zeros(5, np.uint8)},
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TensorParams(**{"rows": 2, "cols": 2, **wrong})  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------
# The register of sections


def test_every_section_of_decoding_2_to_9_has_a_function() -> None:
    sections = {
        *(f"decoding {n}" for n in (4, 5, 6, 7, 8)),
        *(f"decoding 2.{n}" for n in range(1, 7)),
        *(f"decoding 3.{n}" for n in range(1, 5)),
        *(f"decoding 9.{n}" for n in range(1, 4)),
    }
    assert sections <= set(registry())
    assert "nnr.decoder.entropy.int_param" in registry()["decoding 7"]


def test_sections_are_listed_in_natural_order() -> None:
    numbers = [tuple(map(int, s.split()[1].split("."))) for s in registry() if s.startswith("decoding")]
    assert numbers == sorted(numbers)


def test_a_section_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="section"):
        clause("9.2")
