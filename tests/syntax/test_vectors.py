"""Third-party streams: all of them parse, and are written back byte for byte."""

from __future__ import annotations

import gc
import json
import mmap
import time
from pathlib import Path
from typing import Any

import pytest

from nnr.errors import BitstreamError, ConformanceError
from nnr.syntax import StreamContext, parse, read_units, write, write_unit
from nnr.syntax.check import check
from nnr.syntax.describe import describe
from nnr.syntax.info import info
from tests.shared import shared_path

# Streams that are malformed, and what the parse says of them.
MALFORMED = {
    "name_with_nul": ("codebook_size is 0", "nnr_unit_header.unit_header.integer_codebook.codebook_size", 24)
}


def _streams() -> list[Path]:
    return sorted(shared_path("vectors").rglob("*.nnr"))


def _out_of_band(path: Path) -> Any:
    described = path.with_suffix(".json")
    return json.loads(described.read_text()).get("out_of_band") if described.exists() else None


def test_every_third_party_stream_is_written_back_byte_for_byte() -> None:
    paths = _streams()
    assert len(paths) > 700
    for path in paths:
        data = path.read_bytes()
        if path.stem in MALFORMED:
            continue
        tree = parse(data)
        assert write(tree) == data, path
        pinned = [
            name for unit in tree["units"] for name in ("nnr_unit_size", "nnr_unit_size_flag") if name in unit
        ]
        assert not pinned, path
        full = parse(data, out_of_band=_out_of_band(path))
        assert write(full) == data, path


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_stream_is_refused_with_its_place_and_still_written_back(name: str) -> None:
    message, place, byte_offset = MALFORMED[name]
    data = shared_path("vectors", "quirks", f"{name}.nnr").read_bytes()
    with pytest.raises(ConformanceError, match=message) as caught:
        parse(data)
    assert (caught.value.path, caught.value.byte_offset) == (place, byte_offset)
    tree = parse(data, strict=False)
    assert message in tree["problems"][0]
    assert write(tree) == data


def test_headers_agree_with_the_descriptions_of_the_vectors() -> None:
    checked = 0
    for path in _streams():
        if not path.with_suffix(".json").exists() or path.stem in MALFORMED:
            continue
        described = json.loads(path.with_suffix(".json").read_text())
        tensors = {tensor["name"]: tensor for tensor in described.get("tensors", []) if "name" in tensor}
        found = info(path.read_bytes(), out_of_band=described.get("out_of_band"))
        if described.get("general_profile_idc") is not None:
            assert found["profiles"] == [described["general_profile_idc"]]
        for tensor in found["tensors"]:
            expected = tensors.get(tensor["name"])
            if expected is None or tensor["shape"] is None:
                continue
            shape = expected["shape"] or [1]
            assert tensor["shape"] == shape, (path.name, tensor["name"])
            if tensor["qp"] is not None:
                assert tensor["qp"] == expected["qp"], (path.name, tensor["name"])
            if "scan_order" in expected:
                assert tensor["scan_order"] == expected["scan_order"]
            checked += 1
    assert checked > 2000


def test_units_stand_where_the_descriptions_of_the_vectors_say() -> None:
    checked = 0
    for path in _streams():
        if not path.with_suffix(".json").exists() or path.stem in MALFORMED:
            continue
        described = json.loads(path.with_suffix(".json").read_text())
        listed = described.get("units", {})
        listed = listed.get("list", []) if isinstance(listed, dict) else []
        if not listed:
            continue
        context = StreamContext(described.get("out_of_band"))
        places = {one.byte_offset: one for one in read_units(path.read_bytes(), context)}
        for unit in listed:
            if "offset" not in unit:
                continue
            one = places[unit["offset"]]
            assert (one.size, one.name.split()[0]) == (unit["size"], unit["type"])
            assert one.nnr_unit_size_flag == int(unit["long_size_field"])
            checked += 1
    assert checked > 1000


def test_third_party_streams_conform() -> None:
    broken = {"name_with_nul", "partial_data_counter"}
    for path in _streams():
        report = check(path.read_bytes(), out_of_band=_out_of_band(path))
        assert bool(report.violations) == (path.stem in broken), (path, report.violations)


def test_descriptions_cover_every_bit() -> None:
    for path in _streams()[::40]:
        data = path.read_bytes()
        description = describe(data, out_of_band=_out_of_band(path))
        at = 0

        def walk(elements: list[dict[str, Any]]) -> None:
            nonlocal at
            for entry in elements:
                if "elements" in entry:
                    walk(entry["elements"])
                elif "descriptor" in entry:
                    assert entry["bit_offset"] == at
                    at += entry["width"]

        for unit in description["units"]:
            walk(unit["elements"])
        assert at == 8 * len(data), path


def test_truncated_third_party_streams_are_errors_with_a_place() -> None:
    data = shared_path("vectors", "cb1_1d_0.nnr").read_bytes()
    for size in range(1, len(data)):
        try:
            list(read_units(data[:size]))
        except BitstreamError as error:
            assert error.byte_offset is not None
            assert error.byte_offset <= size


def _thousand() -> bytes:
    """A stream of 1000 data units with small payloads."""
    context = StreamContext()
    parts = [write_unit(0, {"general_profile_idc": 1}, None, context)]
    flags = {
        "topology_carriage_flag": 0,
        "mps_sparsification_flag": 0,
        "mps_pruning_flag": 0,
        "mps_unification_flag": 0,
        "mps_decomposition_performance_map_flag": 0,
        "mps_quantization_method_flags": 1,
        "mps_topology_indexed_reference_flag": 0,
        "base_model_id_present_flag": 0,
        "validation_set_performance_present_flag": 0,
        "metric_type_performance_map_valid_flag": 0,
        "mps_parent_signalling_enabled_flag": 0,
        "mps_qp_density": 2,
        "mps_quantization_parameter": 0,
    }
    parts.append(write_unit(1, {}, flags, context))
    for index in range(1000):
        header = {
            "nnr_compressed_data_unit_payload_type": 1,
            "nnr_multiple_topology_elements_present_flag": 0,
            "nnr_decompressed_data_format_present_flag": 0,
            "input_parameters_present_flag": 1,
            "topology_elem_id": f"model.layers.{index}.weight",
            "node_id_present_flag": 1,
            "device_id": 0,
            "parameter_id": index,
            "put_node_depth": 0,
            "codebook_present_flag": 0,
            "dq_flag": 1,
            "tensor_dimensions_flag": 1,
            "cabac_unary_length_flag": 1,
            "compressed_parameter_types": 0,
            "tensor_dimensions": [64, 32, 3, 3],
            "cabac_unary_length_minus1": 10,
            "first_tensor_dimension_shift": 0,
            "scan_order": 0,
        }
        parts.append(write_unit(5, header, bytes(100), context))
    return b"".join(parts)


@pytest.mark.slow
def test_the_headers_of_a_thousand_tensors_parse_in_25_ms() -> None:
    data = _thousand()
    best = min(_seconds(data) for _ in range(20))
    assert best < 0.025, f"{best * 1000:.1f} ms"


def _seconds(data: bytes) -> float:
    begin = time.perf_counter()
    assert sum(1 for _ in read_units(data)) == 1002
    return time.perf_counter() - begin


def test_a_file_of_a_gigabyte_is_parsed_without_reading_its_payload(tmp_path: Path) -> None:
    """The file is a hole but for its headers; to read it would take a second or more, and a gigabyte."""
    small = _thousand()
    unit = list(read_units(small))[2]
    head = small[unit.byte_offset + 2 : unit.payload_offset]
    size = 1 << 30
    path = tmp_path / "large.nnr"
    with path.open("wb") as file:
        file.write(small[: unit.byte_offset] + (0x80000000 | size).to_bytes(4, "big") + head)
        file.truncate(unit.byte_offset + size)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        begin = time.perf_counter()
        found = list(read_units(mapped))[2]  # type: ignore[arg-type]
        assert time.perf_counter() - begin < 0.2
        assert len(found.payload_bytes) == size - 4 - len(head)
        found.payload_bytes.release()
        del found
        gc.collect()
