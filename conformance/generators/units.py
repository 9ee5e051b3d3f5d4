"""Vectors of units, parameter sets, maps, topology and aggregates (syntax 2 to 8 and 10)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nnr.syntax import write_unit
from nnr.syntax.constants import TopologyStorageFormat

from .stream import Case, Stream, family, indices, refused

_W = np.array([[2, -1, 0], [0, 3, -2]])


def _end(stream: Stream, name: str, **more: Any) -> Case:
    """A small tensor at the end shows that everything before it was understood."""
    stream.tensor("w", _W)
    return stream.case(name, **more)


def _plain_bytes(size: int, kind: int, body: bytes = b"") -> bytes:
    return size.to_bytes(2, "big") + bytes([kind << 2 | 2]) + body


@family("syntax 2.1", "syntax 2.2", "syntax 2.3", "semantics 1")
def unit_types(rng: np.random.Generator) -> Iterator[Case]:
    """Reserved and private unit types are skipped by their size, wherever they stand, short or long."""
    for kind in (7, 20, 31, 32, 63):
        s = Stream()
        s.unit(kind, None, bytes([kind, 0xFF, 0x00]))
        s.unit(kind, None, b"")
        s.unit(kind, None, bytes(5), nnr_unit_size_flag=1, independently_decodable_flag=0)
        yield _end(s, f"type_{kind}")
    s = Stream()
    s.tensor("w", _W, unit={"nnr_unit_size_flag": 1})
    yield s.case("long_size_of_a_small_unit")
    s = Stream()
    s.tensor("w", _W, unit={"independently_decodable_flag": 0})
    yield s.case("not_independently_decodable")
    s = Stream()
    s.unit(40, None, bytes(40_000))
    yield _end(s, "long_size_of_a_large_unit")


@family("syntax 2.4", "semantics 1")
def trailing_bytes(rng: np.random.Generator) -> Iterator[Case]:
    """Bytes between the known syntax and the end of a unit are ignored in units that are no data units."""
    s = Stream(mps=None)
    mps = bytes.fromhex("81 00 40 00 80")  # uniform quantization, QpDensity 2, base QP 0
    s.parts.append(_plain_bytes(3 + len(mps) + 2, 1, mps + b"\xaa\xbb"))
    s.context.assign(Stream().context)
    yield _end(s, "model_parameter_set")
    s = Stream()
    s.parts.append(_plain_bytes(3 + 7, 2, bytes.fromhex("00 02 40 00 80 01 02")))
    yield _end(s, "layer_parameter_set")


@family("syntax 2.4", "syntax 3")
def networks(rng: np.random.Generator) -> Iterator[Case]:
    """A second NNR_STR begins a new network with its own profile and parameter set; nothing else stays."""
    for first, second in itertools.product((0, 1), repeat=2):
        s = Stream(first, {"mps_quantization_parameter": 4})
        s.tensor("a", _W, qp=7)
        t = Stream(second, {"mps_qp_density": 3, "mps_quantization_parameter": -9})
        t.tensor("b", _W + 1, qp=-20)
        tensors = s.tensors + t.tensors
        yield Case(f"profile_{first}_then_{second}", s.data + t.data, tensors, profile=first)


@family("syntax 4", "syntax 4.1", "semantics 2")
def model_parameter_sets(rng: np.random.Generator) -> Iterator[Case]:
    """Every flag of the model parameter set, both strings and the metric value, in both profiles."""
    for profile in (0, 1):
        yield _end(Stream(profile, {"topology_carriage_flag": 1}), f"topology_p{profile}")
        for methods in (0, 1, 2, 3):
            s = Stream(profile, {"mps_quantization_method_flags": methods})
            if methods:
                yield _end(s, f"methods_{methods}_p{profile}")
            else:
                s.tensor("i", _W, 0)
                s.raw("r", _W / 7)
                yield s.case(f"methods_0_p{profile}")
    for model, value, metric in itertools.product((0, 1), repeat=3):
        flags: dict[str, Any] = {
            "base_model_id_present_flag": model,
            "validation_set_performance_present_flag": value,
            "metric_type_performance_map_valid_flag": metric,
        }
        if model:
            flags["base_model_id"] = "urn:model:Ω"
        if value or metric:
            flags["performance_metric_type"] = "top-1"
        if value:
            flags["validation_set_performance"] = 71.875
        yield _end(Stream(1, flags), f"strings_{model}{value}{metric}")
    for pre in (0, 1):
        s = Stream(1, {"mps_parent_signalling_enabled_flag": 1, "nnr_pre_flag": pre})
        yield _end(s, f"parent_signalling_pre_{pre}")


@family("syntax 4.1", "decoding 10.1", "decoding 10.2")
def step_sizes(rng: np.random.Generator) -> Iterator[Case]:
    """Every density with base QPs at the ends of i(13) and qp_values at the ends of their field.

    Steps reach from 0 and subnormal numbers of binary32 to infinity, and products round to the nearest even.
    """
    k = np.array([[0, 1, -1], [3, -7, 1000]])
    for density in range(8):
        for base in (-4096, -1, 0, 4095):
            s = Stream(1, {"mps_qp_density": density, "mps_quantization_parameter": base})
            half = 1 << (5 + density)
            for name, value in (("low", -half), ("zero", 0), ("high", half - 1)):
                s.tensor(name, k, qp=base + value)
            yield s.case(f"density_{density}_base_{base}")
    for qp in (-600, -597, -590, -512, -505, 500, 508, 511, 512):
        s = Stream(1, {"mps_quantization_parameter": qp})
        s.tensor("w", k, qp=qp, unary=2)
        yield s.case(f"extreme_{qp}")
    s = Stream()
    large = np.array([[2**24 + 1, 2**24 + 3], [-(2**25) - 2, 2**31 - 1]])
    s.tensor("w", large, qp=-40 + 3)
    s.tensor("v", large, qp=-40 + 1)
    yield s.case("rounded_twice")


@family("syntax 5", "semantics 2")
def layer_parameter_sets(rng: np.random.Generator) -> Iterator[Case]:
    """An NNR_LPS overrides density and base QP for what follows it, up to the next; without methods it does
    not.
    """
    for methods, header in itertools.product((0, 1, 2, 3), (0, 1)):
        s = Stream(1, {"mps_quantization_parameter": -3})
        s.tensor("before", _W, qp=-8)
        s.lps(methods, 4, -60, header)
        s.tensor("inside", _W, qp=-50)
        s.lps(1, 1, 17)
        s.tensor("later", _W, qp=20)
        yield s.case(f"methods_{methods}_self_contained_{header}")
    s = Stream(1, {"mps_quantization_method_flags": 0})
    s.lps(1, 3, -70)
    yield _end(s, "supplies_what_the_mps_has_not")
    s = Stream(0)
    s.lps(1, 5, -200)
    s.tensor("w", _W, qp=-190)
    yield s.case("profile_0")
    s = Stream()
    for density in range(8):
        s.lps(1 + density % 3, density, -density)
        s.tensor(f"w{density}", _W, qp=-3 * density)
    yield s.case("densities")


def _maps(layout: int, count: int = 2) -> dict[str, dict[str, Any]]:
    """(syntax 6) One map of each kind with `count` entries and different numbers of classes."""
    full, dims = bool(layout & 2), bool(layout & 4)
    upm = [3, 1][:count] if layout & 1 else [2, 0][:count]

    def rows(lengths: list[int]) -> list[list[float]]:
        return [[k + j / 8 for j in range(n)] for k, n in enumerate(lengths)]

    floats = [k + 0.25 for k in range(count)]
    number = count + (not full)
    lengths, size = [2, 0][:count], [int(not dims)] * count
    shape = [[5, 70], [1]][:count]
    counted = [len(one) + add for one, add in zip(shape, size)]
    return {
        "sparsification": {
            "spm_count_thresholds": number,
            "sparsification_threshold": floats,
            "non_zero_ratio": floats,
            "spm_nn_accuracy": floats,
            "spm_count_classes": lengths,
            "spm_class_bitmask": [300, 1][:count],
            "spm_nn_class_accuracy": rows(lengths),
        },
        "pruning": {
            "ppm_count_pruning_ratios": number,
            "pruning_ratio": floats,
            "ppm_nn_accuracy": floats,
            "ppm_count_classes": lengths,
            "ppm_class_bitmask": [2, 200][:count],
            "ppm_nn_class_accuracy": rows(lengths),
        },
        "unification": {
            "upm_count_thresholds": number,
            "count_reshaped_tensor_dimension": counted,
            "reshaped_tensor_dimensions": shape,
            "count_super_block_dimension": counted,
            "super_block_dimensions": shape,
            "count_block_dimension": counted,
            "block_dimensions": shape,
            "unification_threshold": floats,
            "upm_nn_accuracy": floats,
            "upm_count_classes": [2, 0][:count],
            "upm_class_bitmask": [3, 1][:count],
            "upm_nn_class_accuracy": rows(upm),
        },
        "decomposition": {
            "dpm_count_thresholds": number,
            "mse_threshold": floats,
            "dpm_nn_accuracy": floats,
            "nn_reduction_ratio": floats,
            "dpm_count_classes": lengths,
            "dpm_nn_class_accuracy": rows(lengths),
        },
    }


def _map_elements(prefix: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    elements: dict[str, Any] = {}
    for kind, values in kinds.items():
        flag = (
            "mps_decomposition_performance_map_flag" if kind == "decomposition" else f"{prefix}_{kind}_flag"
        )
        elements |= {flag: 1, f"{kind}_performance_map": values}
    return elements


@family("syntax 6.1", "syntax 6.2", "syntax 6.3", "syntax 6.4", "syntax 6.5", "semantics 3")
def performance_maps(rng: np.random.Generator) -> Iterator[Case]:
    """Each map alone and all together, in all eight layouts of syntax 6.5, with no, one and two entries."""
    for layout in range(8):
        maps = _maps(layout)
        for kind in maps if layout in (0, 7) else ("unification",):
            changes = _map_elements("mps", {kind: maps[kind]}) | {"map_layout": layout}
            yield _end(Stream(1, changes), f"{kind}_layout_{layout}")
        yield _end(Stream(1, _map_elements("mps", maps) | {"map_layout": layout}), f"all_layout_{layout}")
    for profile in (0, 1):
        maps = _maps(0)
        s = Stream(profile)
        del maps["decomposition"]
        s.lps(1, 2, 0, **(_map_elements("lps", maps)))
        yield _end(s, f"layer_parameter_set_p{profile}")
        yield _end(Stream(profile, _map_elements("mps", _maps(0, 1))), f"one_entry_p{profile}")
        yield _end(Stream(profile, _map_elements("mps", _maps(0, 0))), f"no_entry_p{profile}")
    unification = _maps(0, 1)["unification"]
    for name, count in (("reshaped_tensor", 1), ("super_block", 1), ("block", 1)):
        unification |= {f"count_{name}_dimension": [count], f"{name}_dimensions": [[]]}
    yield _end(Stream(1, _map_elements("mps", {"unification": unification})), "no_dimensions")


@family("syntax 7", "syntax 7.1", "syntax 7.2", "semantics 9")
def topologies(rng: np.random.Generator) -> Iterator[Case]:
    """Storage and compression formats, named, reserved and unspecified; what they hold is opaque."""
    for storage in (0, 1, 2, 3, 4, 7, 127, 128, 255):
        for compression in (0, 1, 2, 128) if storage == 2 else (storage & 1,):
            for profile in (0, 1) if storage == 1 else (1,):
                s = Stream(profile, {"topology_carriage_flag": 1})
                header = {"topology_storage_format": storage, "topology_compression_format": compression}
                s.unit(3, header, {"topology_data": bytes(range(storage % 5 * 4))})
                yield _end(s, f"storage_{storage}_compression_{compression}_p{profile}")


@family("syntax 7.2", "semantics 2")
def reference_lists(rng: np.random.Generator) -> Iterator[Case]:
    """Elements named by index into the list of an NNR_TPL unit; the latest list counts."""
    names = ["conv.weight", "conv.bias", "ü", "", *(f"n{k}" for k in range(130))]
    header = {
        "topology_storage_format": int(TopologyStorageFormat.NNR_TPL_REFLIST),
        "topology_compression_format": 0,
    }
    for profile in (0, 1):
        s = Stream(profile, {"mps_topology_indexed_reference_flag": 1})
        s.unit(3, header, {"topology_elem_id_list": names})
        for name in ("conv.weight", "n129", ""):
            s.tensor(name, indices(rng, (3, 4)))
        s.unit(3, header, {"topology_elem_id_list": ["other", "names"]})
        s.tensor("names", _W)
        yield s.case(f"indices_p{profile}")


@family("syntax 7.3", "semantics 9")
def pruning_containers(rng: np.random.Generator) -> Iterator[Case]:
    """Both representations, every flag, ids as strings and as indices; no influence on the tensors."""
    header = {
        "topology_storage_format": int(TopologyStorageFormat.NNR_TPL_PRUN),
        "topology_compression_format": 0,
    }
    reference = {"topology_storage_format": 6, "topology_compression_format": 0}
    for rep, prune, order, sparse in itertools.product((0, 1), repeat=4):
        for indexed in (0, 1) if rep and prune else (0,):
            s = Stream(1, {"mps_topology_indexed_reference_flag": indexed})
            s.unit(3, reference, {"topology_elem_id_list": ["w", "v"]})
            content: dict[str, Any] = {"nnr_rep_type": rep, "prune_flag": prune, "order_flag": order}
            content["sparse_flag"] = sparse
            if prune and not rep:
                content["prune_bit_mask"] = {"bit_mask_value": "1011001" * (1 + order)}
            elif prune:
                ids = {"element_id_index": [1, 0]} if indexed else {"element_id": ["v", "w"]}
                content |= ids | {"dim": [[4, 300], []]}
            if sparse:
                content["sparse_bit_mask"] = {"bit_mask_value": "0110" * order}
            s.unit(3, header, {"nnr_pruning_topology_container": content})
            yield _end(s, f"type_{rep}_flags_{prune}{order}{sparse}_indexed_{indexed}")
    s = Stream()
    content = {
        "nnr_rep_type": 1,
        "prune_flag": 1,
        "order_flag": 0,
        "sparse_flag": 0,
        "element_id": [],
        "dim": [],
    }
    s.unit(3, header, {"nnr_pruning_topology_container": content})
    yield _end(s, "empty_dictionary")
    s = Stream()
    names = [f"n{k}" for k in range(130)]  # a count that leaves the first id between bytes
    content |= {"element_id": names, "dim": [[k] for k in range(130)]}
    s.unit(3, header, {"nnr_pruning_topology_container": content})
    yield _end(s, "long_dictionary")


@family("syntax 8")
def quantization_units(rng: np.random.Generator) -> Iterator[Case]:
    """Storage and compression formats of NNR_QNT units; the data are opaque."""
    for storage, compression in ((0, 0), (1, 1), (2, 0), (3, 2), (200, 255)):
        s = Stream(storage & 1)
        header = {"quantization_storage_format": storage, "quantization_compression_format": compression}
        s.unit(4, header, {"quantization_data": bytes(storage % 7)})
        yield _end(s, f"storage_{storage}_compression_{compression}")


@family("semantics 1")
def partial_data(rng: np.random.Generator) -> Iterator[Case]:
    """A data unit in one, two or five parts, whose counters count down to 1; a counter of 0 is a whole unit.
    """
    for profile, parts in itertools.product((0, 1), (0, 1, 2, 5)):
        s = Stream(profile)
        k = indices(rng, (9, 7))
        if parts == 0:
            s.tensor("w", k, unit={"partial_data_counter": 0})
        else:
            s.tensor("w", k)
            s.parts.pop()
            header = s.header(1, ["w"], k.shape)
            cuts = [len(s.payload) * j // parts for j in range(parts + 1)]
            for j in range(parts):
                s.unit(5, header, s.payload[cuts[j] : cuts[j + 1]], partial_data_counter=parts - j)
        s.tensor("v", _W)
        yield s.case(f"parts_{parts}_p{profile}")
    s = Stream()
    values = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    s.raw("r", values)
    s.parts.pop()
    for j in range(3):
        s.unit(5, s.header(2, ["r"], (3, 4)), s.payload[16 * j : 16 * j + 16], partial_data_counter=3 - j)
    yield s.case("raw_floats")


@family("syntax 10.1", "syntax 10.2", "semantics 2", "semantics 9")
def aggregates(rng: np.random.Generator) -> Iterator[Case]:
    """Aggregate units of both types, with and without entry points, nested, and in the layout of drafts.

    An NNR_LPS inside is in force up to the end of the aggregate unit.
    """
    for kind, entries in itertools.product((0, 1), repeat=2):
        s = Stream()
        inner = s.context.copy()
        outer, s.context, s.parts = s.context, inner, []
        s.lps(1, 2, -12)
        s.tensor("a", _W, qp=-20)
        s.tensor("b", _W, qp=-30)
        units = s.parts
        s.context = outer
        plain = Stream()
        s.parts = plain.parts
        s.unit(6, {"nnr_aggregate_unit_type": kind, "entry_points_present_flag": entries}, units)
        s.density, s.base_qp = 2, 0
        s.tensor("c", _W, qp=-10)
        yield s.case(f"type_{kind}_entry_points_{entries}")
    s = Stream()
    inner, s.parts = s.context.copy(), []
    outer, s.context = s.context, inner
    s.tensor("a", _W)
    s.tensor("b", _W + 2)
    pair = write_unit(
        6, {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0}, s.parts, outer.copy()
    )
    s.parts = []
    s.tensor("c", _W)
    units = [pair, *s.parts]
    s.context, s.parts = outer, Stream().parts
    s.unit(6, {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 1}, units)
    yield s.case("nested")
    for unification in (0, 1):
        changes = _map_elements("mps", {"unification": _maps(0)["unification"]}) if unification else {}
        s = Stream(1, changes)
        head, outer, s.context, s.parts = s.parts, s.context, s.context.copy(), []
        s.tensor("a", _W)
        s.tensor("b", _W - 1)
        units, s.parts, s.context = s.parts, head, outer
        s.context.aggregate_layout = 1
        header: dict[str, Any] = {
            "nnr_aggregate_unit_type": 0,
            "entry_points_present_flag": 0,
            "quant_bitdepth": [8, 5],
        }
        if unification:
            header["ctu_scan_order"] = [1, 0]
        s.unit(6, header, units)
        s.context.aggregate_layout = 0
        yield s.case(f"draft_layout_unification_{unification}")
    s = Stream()
    head, outer, s.context, s.parts = s.parts, s.context, s.context.copy(), []
    for name in "abcdefgh":  # eight times five bits need no alignment
        s.tensor(name, _W)
    units, s.parts, s.context = s.parts, head, outer
    s.context.aggregate_layout = 1
    s.unit(
        6,
        {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0, "quant_bitdepth": list(range(8))},
        units,
    )
    s.context.aggregate_layout = 0
    yield s.case("draft_layout_eight_units")


@family("syntax 2.2", "syntax 2.4", "semantics 1", "syntax 3")
def broken_units(rng: np.random.Generator) -> Iterator[Case]:
    """Sizes that do not fit, units in the wrong order, reserved profiles and bits, missing and repeated
    parts.
    """
    good = Stream()
    good.tensor("w", _W)
    start, mps, ndu = good.parts
    yield refused("empty", b"", "syntax 2.4", "TruncatedError")
    yield refused("only_a_start", start, "syntax 2.4", "TruncatedError")
    yield refused("no_tensor", start + mps, "syntax 2.4", "TruncatedError")
    yield refused("no_start", mps + ndu, "syntax 2.4")
    yield refused("no_model_parameter_set", start + ndu, "syntax 2.4")
    yield refused("two_model_parameter_sets", start + mps + mps + ndu, "syntax 2.4")
    yield refused("cut_in_a_unit", start + mps + ndu[:-1], "syntax 2.2", "TruncatedError")
    yield refused("cut_in_a_size", start + mps + ndu[:1], "syntax 2.2", "TruncatedError")
    for size in (0, 1, 2):
        yield refused(f"size_{size}", start + mps + size.to_bytes(2, "big") + ndu[2:], "semantics 1")
    yield refused("long_size_4", start + mps + b"\x80\0\0\4" + ndu[2:], "semantics 1")
    yield refused("long_size_cut", start + mps + b"\x80\0\0", "syntax 2.2", "TruncatedError")
    yield refused("header_cut", start + mps + b"\0\4\x16\x09", "syntax 9.1", "TruncatedError")
    for profile in (2, 255):
        yield refused(f"profile_{profile}", start[:3] + bytes([profile]) + mps + ndu, "syntax 3")
    yield refused("size_beyond_the_end", start + mps + b"\x7f\xff" + ndu[2:], "syntax 2.2", "TruncatedError")
    for name, counters, clause, error in (
        ("part_missing", (3, 1), "semantics 1", "ConformanceError"),
        ("part_repeated", (2, 2, 1), "semantics 1", "ConformanceError"),
        ("last_part_missing", (3, 2), "semantics 1", "TruncatedError"),
    ):
        s = Stream()
        s.tensor("w", _W)
        s.parts.pop()
        header = s.header(1, ["w"], _W.shape)
        for counter in counters:
            s.unit(5, header, s.payload, partial_data_counter=counter)
        yield s.refused(name, clause, error)
    s = Stream()
    s.tensor("w", _W)
    payload = s.payload
    s.parts.pop()
    s.unit(5, s.header(1, ["w"], _W.shape), payload[:4], partial_data_counter=2)
    s.unit(5, s.header(1, ["v"], _W.shape), payload[4:], partial_data_counter=1)
    yield s.refused("part_of_another_element", "semantics 1")


@family("syntax 4.1", "syntax 5", "syntax 7.3", "syntax 10.1", "semantics 2", "syntax 1")
def broken_parameter_sets(rng: np.random.Generator) -> Iterator[Case]:
    """Reserved bits and values, alignment bits, indices without or beyond a reference list."""
    loose = {"strict": False}
    for profile, element in (
        (0, "nnr_reserved_zero_7bits"),
        (1, "nnr_reserved_zero_1bit"),
        (1, "nnr_reserved_zero_2bits"),
    ):
        s = Stream(profile, None)
        s.mps({element: 1}, **loose)
        s.tensor("w", _W)
        yield s.refused(f"{element}_p{profile}", "syntax 4.1")
    s = Stream(1, None)
    s.mps({"mps_quantization_method_flags": 5}, **loose)
    s.tensor("w", _W)
    yield s.refused("reserved_method_of_the_mps", "syntax 4.1")
    s = Stream(1, {"mps_quantization_method_flags": 0})
    s.tensor("w", _W)
    yield s.refused("no_quantization_method", "semantics 2")
    for offset, bit in ((3, 0x01), (4, 0x80), (4, 0x01)):
        s = Stream()
        s.lps(1)
        unit = bytearray(s.parts[-1])
        unit[offset] |= bit
        s.parts[-1] = bytes(unit)
        s.tensor("w", _W)
        yield s.refused(f"lps_reserved_bit_{offset}_{bit}", "syntax 5")
    s = Stream()
    s.unit(
        2,
        {"lps_self_contained_flag": 0},
        {
            "lps_sparsification_flag": 0,
            "lps_pruning_flag": 0,
            "lps_unification_flag": 0,
            "lps_quantization_method_flags": 5,
            "lps_qp_density": 2,
            "lps_quantization_parameter": 0,
        },
        strict=False,
    )
    s.tensor("w", _W)
    yield s.refused("reserved_method_of_the_lps", "syntax 5")
    s = Stream()
    s.parts[1] = s.parts[1][:-1] + b"\x81"
    s.tensor("w", _W)
    yield s.refused("alignment_bits", "syntax 1")
    s = Stream()
    s.parts[1] = bytes.fromhex("00 07 06 81 40 01 80")
    yield s.refused("string_without_an_end", "syntax 4.1", "TruncatedError")
    s = Stream(1, {"mps_topology_indexed_reference_flag": 1})
    header = s.header(1, ["w"], _W.shape) | {"topology_elem_id_index": 0}
    s.unit(5, header, b"\0\0", strict=False)
    yield s.refused("index_without_a_list", "semantics 2")
    s = Stream(1, {"mps_topology_indexed_reference_flag": 1})
    s.unit(
        3,
        {"topology_storage_format": 6, "topology_compression_format": 0},
        {"topology_elem_id_list": ["a", "b"]},
    )
    s.unit(5, s.header(1, ["w"], _W.shape) | {"topology_elem_id_index": 2}, b"\0\0", strict=False)
    yield s.refused("index_beyond_the_list", "semantics 2")
    for name, change in (("type_2", {"nnr_rep_type": 2}), ("reserved_bits", {"nnr_reserved_zero_3bits": 1})):
        s = Stream()
        content = {"nnr_rep_type": 0, "prune_flag": 0, "order_flag": 0, "sparse_flag": 0, **change}
        header = {"topology_storage_format": 5, "topology_compression_format": 0}
        s.unit(3, header, {"nnr_pruning_topology_container": content}, strict=False)
        s.tensor("w", _W)
        yield s.refused(f"pruning_{name}", "syntax 7.3")
    s = Stream(1, _map_elements("mps", {"pruning": _maps(0)["pruning"]}))
    s.parts[1] = s.parts[1][:-9] + s.parts[1][-8:]
    s.parts[1] = (len(s.parts[1])).to_bytes(2, "big") + s.parts[1][2:]
    s.tensor("w", _W)
    yield s.refused("maps_that_fit_in_no_layout", None, "BitstreamError")
    s = Stream()
    head, outer, s.context, s.parts = s.parts, s.context, s.context.copy(), []
    s.tensor("a", _W)
    s.tensor("b", _W)
    units, s.parts, s.context = s.parts, head, outer
    header = {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0}
    s.unit(6, {**header, "nnr_reserved_zero_7bits": 1}, units, strict=False)
    yield s.refused("aggregate_reserved_bits", "syntax 10.1")
    s.parts.pop()
    s.unit(6, {**header, "num_of_nnr_units_minus2": 1}, units, strict=False)
    yield s.refused("aggregate_with_another_number", "syntax 10.2")
