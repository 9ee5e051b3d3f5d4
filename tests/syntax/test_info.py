"""What a stream holds, told from headers and the first bits of payloads."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from nnr.syntax import read_units
from nnr.syntax.info import PayloadHead, block_members, head_qp, info, payload_head
from tests.syntax.by_hand import MPS_1, MPS_1_PARENT, START_0, START_1, from_bits, padded, unit

TPL = unit(3, b"\0\0\0")
WORKED = bytes.fromhex(
    "00 04 02 01 00 08 06 81 00 40 00 80 00 06 0e 00 00 00"
    "00 19 16 09 77 00 d0 40 c1 20 e1 00 60 80 f4 06 20 03 9d 84 55 db a3 70 c0"
)


def test_the_head_of_the_worked_example_gives_its_qp_and_row_skip_flag() -> None:
    last = list(read_units(WORKED))[-1]
    assert payload_head(last) == {"qp": -12, "row_skip_enabled_flag": 1}
    assert head_qp(last) == -12


def test_base_qp_and_density_of_the_layer_parameter_set_count() -> None:
    # Density 0: six bits, of which the worked payload has 111101 = -3; base QP 5.
    lps = unit(2, from_bits("0 0000000", "0 0 0 0 001 0", "000", f"{5:013b}", "10000000"))
    data = WORKED[:18] + lps + WORKED[18:]
    assert head_qp(list(read_units(data))[-1]) == 5 - 3


@given(st.binary(min_size=4, max_size=4), st.integers(1, 13))
def test_bypass_bins_are_a_division_by_the_range(payload: bytes, count: int) -> None:
    bits = int.from_bytes(payload, "big") >> (32 - 9 - count)
    if int.from_bytes(payload[:2], "big") >> 7 >= 510:
        return
    head = PayloadHead(payload)
    assert [head.bin() for _ in range(count)] == [bits // 510 >> (count - 1 - i) & 1 for i in range(count)]


def test_a_stream_in_one_screen() -> None:
    found = json.loads(json.dumps(info(WORKED)))
    assert (found["size"], found["profiles"], found["dialect"]) == (43, [1], "standard")
    assert found["units"] == {
        "NNR_STR": {"count": 1, "bytes": 4},
        "NNR_MPS": {"count": 1, "bytes": 8},
        "NNR_TPL": {"count": 1, "bytes": 6},
        "NNR_NDU": {"count": 1, "bytes": 25},
    }
    assert found["tensors"] == [
        {
            "name": "w",
            "role": "tensor",
            "shape": [3, 4],
            "elements": 12,
            "dtype": "float32",
            "payload_type": "NNR_PT_FLOAT",
            "qp": -12,
            "tools": ["uniform quantization", "row skip"],
            "scan_order": 0,
            "unit": 3,
            "payload_bytes": 11,
            "bits_per_weight": 8 * 11 / 12,
        }
    ]
    assert found["bits_per_weight"] == 8 * 43 / 12
    assert found["networks"] == [
        {
            "general_profile_idc": 1,
            "mps_qp_density": 2,
            "mps_quantization_parameter": 0,
            "mps_parent_signalling_enabled_flag": 0,
            "nnr_pre_flag": 0,
        }
    ]
    assert found["tools"] == ["uniform quantization", "row skip"]
    assert found["capability_sets"] == ["3gpp-ims-incremental"]


def test_the_dialect_of_profile_0_is_open_before_decoding() -> None:
    assert info(START_0 + unit(1, bytes.fromhex("81 00 40 00 80")))["dialect"] == "not known before decoding"


def test_members_of_a_block_with_their_shapes() -> None:
    names = "".join(
        f"{byte:08b}" for name in ("g", "h", "s", "b", "c", "m", "v", "o") for byte in name.encode() + b"\0"
    )
    ids = f"1 {6:07b} 10000000" + names
    header = padded(
        "00011 1 0 1",
        ids,
        "0",
        "0 1",
        "1 1 1111",
        "1 010",
        "1 100",
        "0100 1 0001000 1 0001001",
        "00000011",
        "10 0000",
    )
    one = list(read_units(START_1 + MPS_1 + unit(5, header + b"\0\0")))[-1]
    assert block_members(one.header.unit_header) == [
        ("g", "G", [4, 2]),
        ("h", "H", [2, 18]),
        ("s", "local scaling", [8]),
        ("b", "bn beta", [8]),
        ("c", "bn gamma", [8]),
        ("m", "bn mean", [8]),
        ("v", "bn variance", [8]),
        ("o", "bias", [8]),
    ]
    found = info(START_1 + MPS_1 + unit(5, header + b"\0\0"))["tensors"]
    assert [tensor["name"] for tensor in found if tensor["qp"] is not None] == ["s"]
    assert found[0]["tools"] == [
        "dependent quantization", "block", "local scaling", "batch norm", "bias", "decomposition",
    ]  # fmt: skip


def test_tools_of_an_update_and_units_without_dimensions() -> None:
    parent = padded(
        "00001 0 0 1 01100001 00000000",
        "0",
        "1 00 1 10 1 00000 1 0001",
        "0 1",
        "1 1 0000",
        "0100 1 0000011 1 0000100",
        "00000011",
        "10 0000",
    )
    bare = padded("00001 0 0 0 01100010 00000000", "0", "0", "0 0", "10 0000")
    data = START_1 + MPS_1_PARENT + unit(5, parent + b"\0\0\0\0") + unit(5, bare + b"\0\0")
    found = info(data)
    assert found["tensors"][0]["tools"] == ["dependent quantization", "parent", "temporal contexts"]
    assert (found["tensors"][1]["name"], found["tensors"][1]["shape"]) == ("b", None)
    assert found["tensors"][1]["tools"] == ["out of band"]
    full = info(data, out_of_band={"b": {"tensor_dimensions": [2, 2]}})
    assert full["tensors"][1]["shape"] == [2, 2]
