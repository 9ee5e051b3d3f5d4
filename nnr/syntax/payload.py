"""The coded payload of a data unit (syntax 9.6 to 9.9), table by table.

Headers are read by `Reader`, payloads by the arithmetic decoder, and what a bin means depends on contexts and
states (decoding 2 to 9) of which the syntax knows nothing. So these tables need a reading with arithmetic
descriptors (``ae``, ``uae``, ``iae``, ``at``) and a `TensorCoding` that answers for one tensor. They are for
reading beside the page, for the rendered syntax and for a second opinion on the decoder, which has its own
form of them in C and in Python.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from .constants import PayloadType
from .serdes import Syntax, Values, syntax_table

if TYPE_CHECKING:
    from .stream import StreamContext

__all__ = [
    "TensorCoding",
    "cabac_tensors",
    "int_param",
    "nnr_compressed_data_unit_payload",
    "quant_tensor",
    "shift_parameter_ids",
]

_INT = int(PayloadType.NNR_PT_INT)
_RAW_FLOAT = int(PayloadType.NNR_PT_RAW_FLOAT)


class TensorCoding(Protocol):
    """What the tables ask about one tensor of a payload.

    Attributes:
        rows, cols: H and W of the tensor as a matrix.
        qp_density: QpDensity in force.
        cabac_unary_length: N.
        cb_size, cb_zero_offset: CbSize and CbZeroOffset (syntax 9.7); CbSize is 0 in profile 0.
    """

    rows: int
    cols: int
    qp_density: int
    cabac_unary_length: int
    cb_size: int
    cb_zero_offset: int

    def parameters_coded(self, hist_flag: int) -> Iterable[bool]:
        """(decoding 5) For each context in coding order, whether its parameter set is coded."""

    def positions(self, skipped: Sequence[int]) -> Iterable[int]:
        """(decoding 9.2) Positions in scan order but those in skipped rows; state is kept by the reading."""


@syntax_table("syntax 9.6")
def nnr_compressed_data_unit_payload(
    s: Syntax, v: Values, ctx: StreamContext, header: Values, tensors: Sequence[TensorCoding]
) -> None:
    """(syntax 9.6) Raw floats, row-major, or one arithmetic code word for all tensors."""
    if header.nnr_compressed_data_unit_payload_type == _RAW_FLOAT:
        for i in s.loop(math.prod(header.tensor_dimensions), "raw_float32_parameter"):
            s.flt(32, "raw_float32_parameter", i)
    else:
        s.include(cabac_tensors, ctx, header, tensors)


@syntax_table("syntax 9.6")
def cabac_tensors(
    s: Syntax, v: Values, ctx: StreamContext, header: Values, tensors: Sequence[TensorCoding]
) -> None:
    """(syntax 9.6) The tensors of the unit in payload order, then the terminate bin."""
    for tensor in tensors:
        if header.nnr_compressed_data_unit_payload_type != _INT:
            s.iae(6 + tensor.qp_density, "qp_value")
        s.table("quant_tensor", quant_tensor, ctx, header, tensor)
    s.at("end_of_data")


@syntax_table("syntax 9.7")
def quant_tensor(s: Syntax, v: Values, ctx: StreamContext, header: Values, tensor: TensorCoding) -> None:
    """(syntax 9.7) Flags and context parameters of one tensor, then its integers."""
    s.infer("hist_dep_sig_prob_enabled_flag", 0)
    s.infer("row_skip_enabled_flag", 0)
    s.infer("row_skip_list", [])
    if ctx.profile == 1 and tensor.cols > 1 and tensor.rows > 1 and tensor.cb_size != 1:
        if header.parent_node_id_present_flag == 1:
            s.uae(1, "hist_dep_sig_prob_enabled_flag")
        s.uae(1, "row_skip_enabled_flag")
        if v.row_skip_enabled_flag == 1:
            for r in s.loop(tensor.rows, "row_skip_list"):
                s.ae("row_skip_list", r)
    s.include(shift_parameter_ids, ctx, tensor.parameters_coded(v.hist_dep_sig_prob_enabled_flag))
    for _ in tensor.positions(v.row_skip_list):
        s.table("int_param", int_param, ctx, tensor)


@syntax_table("syntax 9.8")
def shift_parameter_ids(s: Syntax, v: Values, ctx: StreamContext, coded: Iterable[bool]) -> None:
    """(syntax 9.8) A parameter set for each context that the tensor uses; set 0 where it is not coded."""
    for is_coded in coded:
        if is_coded:
            s.ae("shift_idx_minus_1_present_flag")
            if v.shift_idx_minus_1_present_flag == 1:
                s.uae(3, "shift_idx_minus_1")
        s.let("context_ready", is_coded)


@syntax_table("syntax 9.9")
def int_param(s: Syntax, v: Values, ctx: StreamContext, tensor: TensorCoding) -> None:
    """(syntax 9.9, decoding 7) One integer: significance, sign, unary part, Exp-Golomb part."""
    s.let("value", 0)
    if tensor.cb_size == 1:
        return
    s.ae("sig_flag")
    if v.sig_flag == 0:
        return
    if tensor.cb_size > 0 and tensor.cb_zero_offset in (0, tensor.cb_size - 1):
        s.infer("sign_flag", 1 if tensor.cb_zero_offset != 0 else 0)
    else:
        s.ae("sign_flag")
    bound = math.inf
    if tensor.cb_size > 0:
        bound = tensor.cb_zero_offset if v.sign_flag else tensor.cb_size - 1 - tensor.cb_zero_offset
    magnitude = 1
    s.loop(0, "abs_level_greater_x", "abs_level_greater_x2")
    j = 0
    while j < tensor.cabac_unary_length and magnitude < bound:
        s.ae("abs_level_greater_x", j)
        if v.abs_level_greater_x[j] == 0:
            break
        magnitude += 1
        j += 1
    if j == tensor.cabac_unary_length and magnitude < bound:
        rem_bits = 0
        while rem_bits < 31 and magnitude + (1 << rem_bits) <= bound:
            s.ae("abs_level_greater_x2", rem_bits)
            if v.abs_level_greater_x2[rem_bits] == 0:
                break
            magnitude += 1 << rem_bits
            rem_bits += 1
        s.uae(rem_bits, "abs_remainder")
        magnitude += v.abs_remainder
    s.let("value", -magnitude if v.sign_flag else magnitude)
