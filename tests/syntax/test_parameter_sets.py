"""Start unit, parameter sets and performance maps, bit by bit from syntax 3 to 6."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from nnr.errors import ConformanceError, SyntaxValueError, TruncatedError
from nnr.syntax import StreamContext, read_units, write_unit
from nnr.syntax.stream import NnrUnit
from tests.syntax.by_hand import MPS_1, START_0, START_1, from_bits, plain, unit


def one_f(value: float) -> str:
    """A float as its 32 bits, least significant byte first."""
    return "".join(f"{byte:08b}" for byte in struct.pack("<f", value))


def last_unit(data: bytes) -> NnrUnit:
    return list(read_units(data))[-1]


def rewritten(data: bytes) -> bytes:
    """`data` read and written again, unit by unit."""
    context = StreamContext()
    parts = []
    for one in read_units(data):
        payload = one.payload if one.payload is not None else one.payload_bytes
        parts.append(write_unit(one.unit_type, one.header.get("unit_header"), payload, context))
    return b"".join(parts)


def test_the_start_unit_is_four_bytes() -> None:
    start = last_unit(START_1)
    assert (start.size, start.profile, start.header.unit_header.general_profile_idc) == (4, 1, 1)
    assert write_unit(0, {"general_profile_idc": 1}, None, StreamContext()) == START_1


def test_a_reserved_profile_is_refused_with_the_values_allowed() -> None:
    with pytest.raises(ConformanceError, match="general_profile_idc is 2, which is reserved") as caught:
        list(read_units(bytes.fromhex("00 04 02 02")))
    assert caught.value.clause == "syntax 3"
    assert caught.value.path == "nnr_unit_header.unit_header.general_profile_idc"
    assert (caught.value.byte_offset, caught.value.unit) == (3, "NNR_STR")


def test_model_parameter_set_of_profile_0() -> None:
    body = from_bits("1 0 0 0 0 011 1", "0000000", "101", "1111111111111", "10000000")
    mps = last_unit(START_0 + unit(1, body)).payload
    assert mps is not None
    assert plain(mps) == {
        "topology_carriage_flag": 1,
        "mps_sparsification_flag": 0,
        "mps_pruning_flag": 0,
        "mps_unification_flag": 0,
        "mps_decomposition_performance_map_flag": 0,
        "mps_quantization_method_flags": 3,
        "mps_topology_indexed_reference_flag": 1,
        "nnr_reserved_zero_7bits": 0,
        "mps_parent_signalling_enabled_flag": 0,
        "nnr_pre_flag": 0,
        "mps_qp_density": 5,
        "mps_quantization_parameter": -1,
    }
    assert rewritten(START_0 + unit(1, body)) == START_0 + unit(1, body)


def test_model_parameter_set_of_profile_1_with_names_and_performance() -> None:
    body = from_bits(
        "0 0 0 0 0 000 0", "1 1 0 1 1 00", f"{ord('m'):08b} 00000000", f"{ord('t'):08b} 00000000"
    )
    body += struct.pack("<f", 0.75) + b"\x80"
    data = START_1 + unit(1, body)
    mps = last_unit(data).payload
    assert mps is not None
    assert (mps.base_model_id, mps.performance_metric_type, mps.validation_set_performance) == (
        "m",
        "t",
        0.75,
    )
    assert (mps.mps_parent_signalling_enabled_flag, mps.nnr_pre_flag) == (1, 1)
    assert "mps_qp_density" not in mps
    assert rewritten(data) == data
    assert last_unit(data).quantization is None


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ("1 0 0 0 0 100 0 0000000 10000000", "mps_quantization_method_flags", "is 4; allowed: 0..3"),
        ("1 0 0 0 0 000 0 0000001 10000000", "nnr_reserved_zero_7bits", "is 1; allowed: only 0"),
        ("1 0 0 0 0 000 0 0000000 11000000", "byte_alignment", "are 11000000; allowed: only 10000000"),
    ],
)
def test_reserved_bits_of_the_model_parameter_set_are_refused(body: str, path: str, message: str) -> None:
    with pytest.raises(ConformanceError, match=message) as caught:
        list(read_units(START_0 + unit(1, from_bits(body))))
    assert caught.value.path == f"nnr_unit_payload.{path}"


def test_layer_parameter_set_overrides_and_keeps_what_it_does_not_set() -> None:
    # Header: self-contained. Payload: flags 0 0 0 0, NNR_QSU, reserved, density 3, QP -5.
    lps = unit(2, from_bits("1 0000000", "0 0 0 0 001 0", "011", "1111111111011", "10000000"))
    empty = unit(2, from_bits("0 0000000", "0 0 0 0 000 0", "10000000"))
    data = START_1 + MPS_1 + lps + empty
    units = list(read_units(data))
    assert [one.quantization for one in units] == [None, (2, 0), (3, -5), (2, 0)]
    assert units[2].header.unit_header.lps_self_contained_flag == 1
    assert units[2].payload is not None
    assert plain(units[2].payload.nnr_reserved_zero_1bit) == [0, 0]
    assert rewritten(data) == data


def mps_with_maps(flags: str, maps: str) -> bytes:
    """A profile-1 stream whose MPS has these four map flags and these maps."""
    bits = f"0 {flags} 000 0 0 0 0 0 0 00" + maps
    return START_1 + unit(1, from_bits(bits, padding(bits)))


def padding(bits: str) -> str:
    """byte_alignment() behind `bits`."""
    return "1" + "0" * (-(len(bits.replace(" ", "")) + 1) % 8)


def map_of(data: bytes, name: str) -> Any:
    payload = last_unit(data).payload
    assert payload is not None
    return plain(payload[name])


def test_sparsification_map_has_one_entry_fewer_than_its_count() -> None:
    entry = one_f(0.5) + one_f(0.25) + one_f(0.125) + f"{2:08b}" + "1 0000011" + one_f(1.0) + one_f(-2.0)
    data = mps_with_maps("1000", f"{2:08b}" + entry)
    assert map_of(data, "sparsification_performance_map") == {
        "spm_count_thresholds": 2,
        "sparsification_threshold": [0.5],
        "non_zero_ratio": [0.25],
        "spm_nn_accuracy": [0.125],
        "spm_count_classes": [2],
        "spm_class_bitmask": [3],
        "spm_nn_class_accuracy": [[1.0, -2.0]],
    }
    assert rewritten(data) == data


def test_pruning_and_decomposition_maps() -> None:
    pruning = f"{2:08b}" + one_f(0.5) + one_f(0.25) + f"{0:08b}" + "1 0000001"
    decomposition = f"{2:08b}" + one_f(3.0) + one_f(4.0) + one_f(5.0) + f"{1:016b}" + one_f(6.0)
    data = mps_with_maps("0101", pruning + decomposition)
    assert map_of(data, "pruning_performance_map") == {
        "ppm_count_pruning_ratios": 2,
        "pruning_ratio": [0.5],
        "ppm_nn_accuracy": [0.25],
        "ppm_count_classes": [0],
        "ppm_class_bitmask": [1],
        "ppm_nn_class_accuracy": [[]],
    }
    assert map_of(data, "decomposition_performance_map") == {
        "dpm_count_thresholds": 2,
        "mse_threshold": [3.0],
        "dpm_nn_accuracy": [4.0],
        "nn_reduction_ratio": [5.0],
        "dpm_count_classes": [1],
        "dpm_nn_class_accuracy": [[6.0]],
    }
    assert rewritten(data) == data


def unification(classes: int, bitmask: int, accuracies: int, *, dimensions: int = 1) -> str:
    """One entry; two counts that announce one dimension each in the count - 1 form."""
    # The flags of the MPS end a byte, the count of thresholds is one: count ue(1) 2 = 0100, 8 bits, then 4.
    reshaped = "0100" + "1 0000111" * dimensions
    align = "1" + "0" * (-(len(reshaped.replace(" ", "")) + 1) % 8)
    blocks = f"{2:08b}" + f"{9:08b}" * dimensions + f"{1:08b}" + (f"{9:08b}" if dimensions > 1 else "")
    figures = one_f(0.5) + one_f(0.25) + f"{classes:08b}" + f"1 {bitmask:07b}"
    return reshaped + align + blocks + figures + one_f(1.0) * accuracies


def test_unification_map_in_the_standard_layout() -> None:
    data = mps_with_maps("0010", f"{2:08b}" + unification(2, 3, 2))
    assert map_of(data, "unification_performance_map") == {
        "upm_count_thresholds": 2,
        "count_reshaped_tensor_dimension": [2],
        "reshaped_tensor_dimensions": [[7]],
        "count_super_block_dimension": [2],
        "super_block_dimensions": [[9]],
        "count_block_dimension": [1],
        "block_dimensions": [[]],
        "unification_threshold": [0.5],
        "upm_nn_accuracy": [0.25],
        "upm_count_classes": [2],
        "upm_class_bitmask": [3],
        "upm_nn_class_accuracy": [[1.0, 1.0]],
    }
    assert map_of(data, "map_layout") == 0
    assert rewritten(data) == data


@pytest.mark.parametrize(
    ("layout", "maps"),
    [
        (1, f"{2:08b}" + unification(2, 3, 3)),
        (2, f"{1:08b}" + unification(2, 3, 2)),
        (3, f"{1:08b}" + unification(2, 3, 3)),
        (4, f"{2:08b}" + unification(2, 3, 2, dimensions=2)),
        (5, f"{2:08b}" + unification(2, 3, 3, dimensions=2)),
        (6, f"{1:08b}" + unification(2, 3, 2, dimensions=2)),
        (7, f"{1:08b}" + unification(2, 3, 3, dimensions=2)),
    ],
)
def test_maps_are_read_in_the_first_layout_that_fits(layout: int, maps: str) -> None:
    data = mps_with_maps("0010", maps)
    assert map_of(data, "map_layout") == layout
    assert len(map_of(data, "unification_performance_map")["unification_threshold"]) == 1
    assert rewritten(data) == data


def test_a_count_of_zero_gives_no_entry() -> None:
    assert map_of(mps_with_maps("1000", f"{0:08b}"), "sparsification_performance_map") == {
        "spm_count_thresholds": 0,
        **{
            name: []
            for name in (
                "sparsification_threshold",
                "non_zero_ratio",
                "spm_nn_accuracy",
                "spm_count_classes",
                "spm_class_bitmask",
                "spm_nn_class_accuracy",
            )
        },
    }


def test_maps_that_fit_no_layout_are_refused() -> None:
    with pytest.raises(TruncatedError) as caught:
        list(read_units(mps_with_maps("1000", f"{9:08b}")))
    assert caught.value.path == "nnr_unit_payload.sparsification_performance_map.sparsification_threshold[0]"
    # No entry, a right alignment, then two bytes too many.
    with pytest.raises(ConformanceError, match="the maps end 2 bytes before the unit") as found:
        list(read_units(mps_with_maps("1000", f"{1:08b} 10000000 00000000")))
    assert found.value.clause == "syntax 6.5"


def test_writing_derives_the_counts_of_maps() -> None:
    context = StreamContext()
    write_unit(0, {"general_profile_idc": 0}, None, context)
    flags = {
        "topology_carriage_flag": 0,
        "mps_sparsification_flag": 0,
        "mps_pruning_flag": 1,
        "mps_unification_flag": 0,
        "mps_decomposition_performance_map_flag": 0,
        "mps_quantization_method_flags": 0,
        "mps_topology_indexed_reference_flag": 0,
    }
    entries = {
        "pruning_ratio": [0.5, 0.75],
        "ppm_nn_accuracy": [0.25, 0.5],
        "ppm_class_bitmask": [1, 2],
        "ppm_nn_class_accuracy": [[], [1.0]],
    }
    data = write_unit(1, {}, {**flags, "pruning_performance_map": entries}, context)
    found = map_of(START_0 + data, "pruning_performance_map")
    assert (found["ppm_count_pruning_ratios"], found["ppm_count_classes"]) == (3, [0, 1])
    with pytest.raises(SyntaxValueError, match="values are announced"):
        write_unit(
            1, {}, {**flags, "pruning_performance_map": {**entries, "pruning_ratio": [1.0]}}, context_of(0)
        )


def context_of(profile: int) -> StreamContext:
    context = StreamContext()
    context.begin_network(profile)
    return context
