"""Hostile streams by shape, and what it costs to read them: time in proportion to the bytes, memory too.

    python fuzz/attack.py                 every shape, every reading, 16 to 128 KiB: about ten minutes
    python fuzz/attack.py --shape codebook --reading describe --sizes 64 128 256

Each shape makes the most of something of which a stream can have much for few bytes. A reading may refuse it,
with a `nnr.BitstreamError`; what counts is the cost until then. A line for each shape and reading says

    time      CPU seconds at the largest size
    growth    factor of the time per doubling of the size, over the last two doublings; 2 is linear
    memory    peak in bytes for each byte of the stream, without arrays that are given out

and the exit status is 1 where growth is above 2.6 or memory above its bound (`MEMORY`).
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import itertools
import math
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import nnr
from conformance.generators.stream import DC, INT, RAW, Book, Stream
from nnr.dtypes import dtype_code
from nnr.metadata import STORAGE_FORMAT, Kind, Metadata, TensorRecord, serialize
from nnr.syntax.check import check
from nnr.syntax.describe import trace_lines
from nnr.syntax.info import info

__all__ = ["GROWTH", "MEMORY", "READINGS", "SHAPES", "peak"]

GROWTH = 2.6
"""Most that the time may grow by when the stream doubles."""
SHORTEST = 0.02
"""CPU seconds below which a growth says nothing."""
_NAME = 60_000
"""Bytes of a long name; `Limits.max_name_bytes` is a little more."""
_EMPTY_UNIT = bytes([0, 3, 63 << 2])
"""A unit of a private type without content: the shortest there is."""

Shape = Callable[[int], bytes]
SHAPES: dict[str, Shape] = {}


def _shape(make: Shape) -> Shape:
    SHAPES[make.__name__] = make
    return make


def _filled(s: Stream, size: int, unit: bytes) -> bytes:
    """The stream, and the unit as often as fits into `size` bytes."""
    begin = s.data
    return begin + unit * max((size - len(begin)) // len(unit), 1)


def _indexed(*names: str, known: Sequence[str] = ()) -> Stream:
    """A stream in which elements have an index among `names`; those `known` have one element."""
    s = Stream(
        1,
        {"mps_topology_indexed_reference_flag": 1, "topology_carriage_flag": 1},
        {name: {"tensor_dimensions": [1]} for name in known},
    )
    s.unit(
        3,
        {"topology_storage_format": 6, "topology_compression_format": 0},
        {"topology_elem_id_list": list(names)},
    )
    return s


def _parent(depth: int) -> dict[str, int]:
    """Elements of a unit that is the update of number `depth` of its parameter."""
    return {
        "node_id_present_flag": 1,
        "device_id": 0,
        "parameter_id": 0,
        "put_node_depth": depth,
        "parent_node_id_present_flag": 1,
        "parent_node_id_type": 0,
        "temporal_context_modeling_flag": 0,
        "parent_device_id": 0,
    }


# ---------------------------------------------------------------------------------------------------- units


@_shape
def empty_units(size: int) -> bytes:
    """Units of three bytes."""
    return _filled(Stream(), size, _EMPTY_UNIT)


@_shape
def reserved_units(size: int) -> bytes:
    """Units each of which is a violation for `check`."""
    return _filled(Stream(), size, bytes([0, 3, 31 << 2]))


@_shape
def broken_units(size: int) -> bytes:
    """Data units that end within their header: each an error that a lenient reading collects."""
    return _filled(Stream(), size, bytes([0, 4, 5 << 2, 0xFF]))


@_shape
def parameter_sets(size: int) -> bytes:
    """A network begins anew with every few bytes."""
    return _filled(Stream(), size, Stream().data)


@_shape
def aggregates(size: int) -> bytes:
    """Aggregate units as deep as `Limits.max_recursion` allows, around as many units as fit."""
    s = Stream()
    inner = _EMPTY_UNIT * max((size - 200) // 3, 2)
    number = len(inner) // 3
    for _ in range(8):
        # `write_unit` takes the contained units over into the context; here only the bytes count.
        twin = Stream()
        header = {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0}
        if number > 65537:
            header["num_of_nnr_units_minus2"] = 65535
        inner = twin.unit(6, header, inner) + _EMPTY_UNIT
        number = 2
    return s.data + inner


@_shape
def aggregate_entry_points(size: int) -> bytes:
    """One aggregate unit that lists all its units."""
    s = Stream()
    header = {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 1}
    s.unit(6, header, _EMPTY_UNIT * min(max((size - 60) // 8, 2), 65537))
    return s.data


@_shape
def small_aggregates(size: int) -> bytes:
    """Aggregate units whose sizes fit neither layout, so that each is read three times."""
    s = Stream()
    header = {"nnr_aggregate_unit_type": 0, "entry_points_present_flag": 0, "num_of_nnr_units_minus2": 7}
    return _filled(s, size, Stream().unit(6, header, _EMPTY_UNIT * 40, strict=False))


# ---------------------------------------------------------------------------------------------------- names


@_shape
def long_names(size: int) -> bytes:
    """Tensors with names as long as they may be."""
    s = Stream()
    k = 0
    while not k or len(s.data) + min(_NAME, size) < size:
        s.raw(f"{k}" + "n" * min(_NAME, size // 2), np.zeros(1, np.float32))
        k += 1
    return s.data


@_shape
def names_of_no_text(size: int) -> bytes:
    """Names that are no UTF-8: a violation each."""
    s = Stream()
    unit = Stream().raw("A" * 8, np.zeros(1, np.float32)).replace(b"A" * 8, b"\xff" * 8)
    return _filled(s, size, unit)


@_shape
def repeated_long_name(size: int) -> bytes:
    """One long name, which many tensors have by its index: one element, given again and again."""
    s = _indexed("n" * min(_NAME, size // 4), "m")
    twin = _indexed("n", "m")
    return _filled(s, size, twin.raw("n", np.zeros(1, np.float32)))


@_shape
def long_name_without_shape(size: int) -> bytes:
    """The same without dimensions: each unit an error that names its element."""
    s = _indexed("n" * min(_NAME, size // 4), "m")
    twin = _indexed("n", "m", known=["n"])
    header = twin.header(INT, ["n"], None)
    del header["scan_order"], header["first_tensor_dimension_shift"]
    return _filled(s, size, twin.unit(5, header, bytes(1)))


@_shape
def long_name_in_notes(size: int) -> bytes:
    """The same with a dimension shift, of which a decoder makes a note each."""
    s = _indexed("n" * min(_NAME, size // 4), "m")
    changes = {"first_tensor_dimension_shift": 1}
    return _filled(s, size, _indexed("n", "m").raw("n", np.zeros((1, 1), np.float32), changes=changes))


@_shape
def index_lists(size: int) -> bytes:
    """A unit whose ids are indices of one byte, all of one long name, and no dimensions."""
    long = "n" * min(_NAME, size // 4)
    s = _indexed(long, "m", known=[long])
    indices = [0] * max(size - len(s.data) - 40, 2)
    header = s.header(RAW, [long, "m"], None, unary=None)
    header |= {"topology_elem_id_index_list": indices, "input_parameters_present_flag": 0}
    for name in ("tensor_dimensions_flag", "cabac_unary_length_flag", "compressed_parameter_types"):
        del header[name]
    del header["scan_order"], header["first_tensor_dimension_shift"]
    s.unit(5, header, bytes(4), strict=False)
    return s.data


# -------------------------------------------------------------------------------------------------- headers


def _booked(s: Stream, entries: int) -> bytes:
    """A unit with a codebook whose entries take a bit each."""
    book = Book(list(range(-(entries // 2), entries - entries // 2)), entries // 2, 0)
    return s.tensor("w", np.zeros(1, np.int64), book=book)


@_shape
def codebook(size: int) -> bytes:
    """A codebook with entries of one bit."""
    s = Stream(1, {"mps_quantization_method_flags": 3})
    _booked(s, min(8 * (size - 80), 1 << 20))
    return s.data


@_shape
def small_codebooks(size: int) -> bytes:
    """Many codebooks of 256 entries."""
    s, twin = Stream(1, {"mps_quantization_method_flags": 3}), Stream(1, {"mps_quantization_method_flags": 3})
    return _filled(s, size, _booked(twin, 256))


@_shape
def entry_points(size: int) -> bytes:
    """Entry points of as many block rows as fit, for a tensor of two columns."""
    return nnr.encode({"w": np.zeros((8 * (size // 4), 2), np.int32)}, scan_order=1, metadata=False)


@_shape
def many_dimensions(size: int) -> bytes:
    """Tensors of 64 dimensions."""
    s, twin = Stream(), Stream()
    return _filled(s, size, twin.unit(5, twin.header(RAW, ["w"], [1] * 64), bytes(4)))


@_shape
def huge_dimensions(size: int) -> bytes:
    """More elements than there may be."""
    s, twin = Stream(), Stream()
    return _filled(s, size, twin.unit(5, twin.header(RAW, ["w"], [0xFFFFFFFF] * 64), bytes(4), strict=False))


@_shape
def performance_maps(size: int) -> bytes:
    """Maps that fit only the last of eight layouts, in as many layer parameter sets as fit."""
    s = Stream()
    numbers = [0.5] * 64
    maps = {
        "count_reshaped_tensor_dimension": [1],
        "reshaped_tensor_dimensions": [[1]],
        "count_super_block_dimension": [1],
        "super_block_dimensions": [[1]],
        "count_block_dimension": [1],
        "block_dimensions": [[1]],
        "unification_threshold": [0.5],
        "upm_nn_accuracy": [0.5],
        "upm_count_classes": [64],
        "upm_class_bitmask": [0],
        "upm_nn_class_accuracy": [numbers],
    }
    values = {"lps_unification_flag": 1, "unification_performance_map": maps, "map_layout": 6}
    return _filled(s, size, Stream().lps(0, **values))


@_shape
def broken_maps(size: int) -> bytes:
    """Maps that fit no layout."""
    s = Stream()
    unit = bytes([0, 24, 2 << 2, 0, 0b01110000]) + bytes([255]) * 19
    return _filled(s, size, unit)


@_shape
def one_map(size: int) -> bytes:
    """A decomposition map of as many classes as fit, twice in each layout that is tried."""
    count = min(max((size - 100) // 4, 1), 65535)
    maps = {
        "mse_threshold": [0.5],
        "dpm_nn_accuracy": [0.5],
        "nn_reduction_ratio": [0.5],
        "dpm_count_classes": [count],
        "dpm_nn_class_accuracy": [[0.5] * count],
    }
    changes = {"mps_decomposition_performance_map_flag": 1, "decomposition_performance_map": maps}
    s = Stream(1, changes | {"map_layout": 2})
    s.raw("w", np.zeros(1, np.float32))
    return s.data


@_shape
def reference_list(size: int) -> bytes:
    """A list of ids of one byte and their end."""
    s = Stream()
    names = ["n"] * max((size - 30) // 2, 2)
    header = {"topology_storage_format": 6, "topology_compression_format": 0}
    s.unit(3, header, {"topology_elem_id_list": names})
    return s.data


@_shape
def pruning_container(size: int) -> bytes:
    """A dictionary of pruned elements."""
    s = _indexed("a", "b")
    count = max((size - 60) // 4, 1)
    container = {
        "nnr_rep_type": 1,
        "prune_flag": 1,
        "order_flag": 0,
        "sparse_flag": 0,
        "element_id_index": [0] * count,
        "dim": [[1]] * count,
    }
    header = {"topology_storage_format": 5, "topology_compression_format": 0}
    s.unit(3, header, {"nnr_pruning_topology_container": container}, strict=False)
    return s.data


@_shape
def bit_mask(size: int) -> bytes:
    """A mask of as many bits as fit."""
    s = Stream()
    mask = {"count_bits": 8 * (size - 40), "bit_mask_value": "10" * (4 * (size - 40))}
    container = {"nnr_rep_type": 0, "prune_flag": 1, "order_flag": 0, "sparse_flag": 0}
    container["prune_bit_mask"] = mask
    header = {"topology_storage_format": 5, "topology_compression_format": 0}
    s.unit(3, header, {"nnr_pruning_topology_container": container}, strict=False)
    return s.data


@_shape
def deflate_bomb(size: int) -> bytes:
    """A topology that inflates to a thousand times its size."""
    s = Stream(1, {"topology_carriage_flag": 1})
    data = zlib.compress(bytes(1000 * size), 9)[:size]
    s.unit(3, {"topology_storage_format": 2, "topology_compression_format": 1}, {"topology_data": data})
    s.raw("w", np.zeros(1, np.float32))
    return s.data


# -------------------------------------------------------------------------------------------------- tensors


def _numbered(begin: bytes, size: int, unit: bytes) -> bytes:
    """As many units as fit, each with a name of its own in the place of AAAAA."""
    count = max((size - len(begin)) // len(unit), 1)
    return begin + b"".join(unit.replace(b"AAAAA", f"{k:05}".encode()) for k in range(count))


@_shape
def small_tensors(size: int) -> bytes:
    """Coded tensors of one element, each with a name of its own."""
    return _numbered(Stream().data, size, Stream().tensor("AAAAA", np.zeros(1, np.int64)))


@_shape
def empty_payloads(size: int) -> bytes:
    """Coded tensors whose payload ends at once, in profile 0, where each failure is tried again."""
    s, twin = Stream(0), Stream(0)
    return _filled(s, size, twin.unit(5, twin.header(INT, ["w"], [100]), b"\0\0"))


@_shape
def zeros(size: int) -> bytes:
    """Many tensors of a thousand zeros each."""
    return _numbered(Stream().data, size, Stream().tensor("AAAAA", np.zeros((32, 32), np.int64)))


@_shape
def skipped_rows(size: int) -> bytes:
    """Many tensors of a thousand rows of two zeros each, all of them skipped."""
    unit = Stream().tensor("AAAAA", np.zeros((1024, 2), np.int64), skip=[1] * 1024)
    return _numbered(Stream().data, size, unit)


@_shape
def decompositions(size: int) -> bytes:
    """Factors whose product takes as many multiplications as the limits allow."""
    s = Stream()
    side = int(math.sqrt(40 * size))
    rank = min(side, 360)
    more = {"compressed_parameter_types": DC, "decomposition_rank": rank, "g_number_of_rows": side}
    for name, shape in (("w_G", (side, rank)), ("w_H", (rank, side))):
        made = nnr.encode({"w": np.zeros(shape, np.int32)}, metadata=False, row_skip=False)
        payload = nnr.open(made).units[-1].payload_bytes
        s.unit(5, s.header(INT, [name], [side, side], changes=more), payload)
    return _filled(s, size, _EMPTY_UNIT)


@_shape
def split_tensor(size: int) -> bytes:
    """A tensor that stands for as many elements as fit, each one row of it."""
    s = Stream()
    count = max((size - 100) // 15, 2)
    names = [f"{k:06}" for k in range(count)]
    header = s.header(RAW, names, [count])
    header["topology_tensor_dimension_mapping"] = {
        "concatenation_axis_index": 0,
        "split_index": list(range(1, count)),
        "number_of_shifts": [0] * (count - 1),
        "shift_index": [[]] * (count - 1),
        "shift_value": [[]] * (count - 1),
    }
    s.unit(5, header, bytes(4 * count))
    return s.data


@_shape
def partial_data(size: int) -> bytes:
    """Tensors in 255 parts of no bytes."""
    s, twin = Stream(), Stream()
    header = twin.header(RAW, ["w"], [1])
    parts = [twin.unit(5, header, bytes(4 * (k == 1)), partial_data_counter=k) for k in range(255, 0, -1)]
    return _filled(s, size, b"".join(parts))


@_shape
def updates(size: int) -> bytes:
    """One tensor and a chain of updates of it, each the child of the one before."""
    s = Stream(1, {"mps_parent_signalling_enabled_flag": 1})
    s.raw("w", np.zeros(1, np.float32))
    size -= len(s.data)
    parts = [s.data]
    for depth in itertools.count(1):
        if size <= 0:
            return b"".join(parts)
        parts.append(Stream.raw(s, "w", np.ones(1, np.float32), changes=_parent(depth)))
        s.parts.clear()
        s.tensors.clear()
        size -= len(parts[-1])
    raise AssertionError


@_shape
def wide_updates(size: int) -> bytes:
    """Many tensors, and updates of the first alone, each a wave of its own."""
    s = Stream(1, {"mps_parent_signalling_enabled_flag": 1})
    begin, value = s.data, np.ones(1, np.float32)
    data = _numbered(begin, size // 2, s.raw("AAAAA", value))
    child = {
        "parent_node_id_present_flag": 1,
        "parent_node_id_type": 1,
        "temporal_context_modeling_flag": 0,
        "parent_node_payload_sha256": int(hashlib.sha256(value.tobytes()).hexdigest(), 16),
    }
    update = s.raw("00000", value, changes=child)
    return data + update * max(size // 2 // len(update), 1)


# ------------------------------------------------------------------------------------------------- metadata


_FLOAT32 = dtype_code(np.dtype(np.float32)) or 0


def _with_metadata(records: list[TensorRecord], name: str = "w") -> bytes:
    s = Stream()
    crc = zlib.crc32(s.data)
    twin = Stream()
    unit = twin.raw(name, np.zeros(1, np.float32))
    data = serialize(Metadata(2, crc, [zlib.crc32(unit)], records))
    s.unit(
        3,
        {"topology_storage_format": STORAGE_FORMAT, "topology_compression_format": 0},
        {"topology_data": data},
    )
    return s.data + unit


@_shape
def long_shape(size: int) -> bytes:
    """Metadata that give a tensor very many dimensions, each very large."""
    count = max(8 * size // 100, 1)
    return _with_metadata([TensorRecord(_FLOAT32, shape=((1 << 63) - 1,) * count)])


@_shape
def tied_tensors(size: int) -> bytes:
    """Metadata that tie very many tensors to one."""
    name = "n" * min(_NAME, size // 4)
    ties = [TensorRecord(_FLOAT32, Kind.TIED, 0, name=f"{k:04x}") for k in range(max(size // 17, 1))]
    return _with_metadata([TensorRecord(_FLOAT32), *ties], name)


# ------------------------------------------------------------------------------------------------- readings


def _limits(data: bytes) -> nnr.Limits:
    """The default ones, but output and multiplications are in proportion to a small stream too."""
    return nnr.Limits(max_output_bytes=512 * len(data), max_multiplications=len(data) << 14)


def _sizes(arrays: Any) -> int:
    return sum(array.nbytes for array in arrays)


def _decode(data: bytes) -> int:
    return _sizes(nnr.decode(data, limits=_limits(data), threads=1).values())


def _decoder(data: bytes) -> int:
    decoder = nnr.Decoder(limits=_limits(data), threads=1)
    decoder.decode(_BASE)
    return _sizes(decoder.decode(data).values())


def _describe(data: bytes) -> int:
    nnr.describe(data)
    return 0


def _trace(data: bytes) -> int:
    for line in trace_lines(data):
        len(line)
    return 0


def _parse(data: bytes) -> int:
    nnr.syntax.parse(data)
    return 0


def _lenient(data: bytes) -> int:
    nnr.syntax.parse(data, strict=False)
    return 0


def _open(data: bytes) -> int:
    most = 0
    with nnr.open(data, limits=_limits(data), threads=1) as file:
        for name in file:
            most = max(most, file[name].nbytes)
            file.info(name)
        topology = file.topology
    return most if topology is None else max(most, len(topology.data))


def _check(data: bytes) -> int:
    check(data, profile="3gpp-ims-full").as_dict()
    return 0


def _info(data: bytes) -> int:
    info(data)
    return 0


READINGS: dict[str, Callable[[bytes], int]] = {
    "decode": _decode,
    "Decoder": _decoder,
    "open": _open,
    "describe": _describe,
    "trace": _trace,
    "parse": _parse,
    "lenient parse": _lenient,
    "check": _check,
    "info": _info,
}
"""Ways of reading a stream; each gives the bytes of arrays, or of a topology, that it gives out at a time."""

MEMORY: dict[str, int] = {
    "decode": 600,
    "Decoder": 1000,
    "open": 600,
    "describe": 700,
    "trace": 700,
    "parse": 400,
    "lenient parse": 1000,
    "check": 700,
    "info": 700,
}
"""Most bytes of memory for each byte of the stream, besides four times the arrays that are given out."""
FIXED = 1 << 20
"""Bytes of memory that are not counted: what is loaded when it is first used, and tables."""

_BASE = nnr.encode({"base": np.zeros((4, 4), np.float32)})


def outcome(reading: Callable[[bytes], int], data: bytes) -> tuple[int, str]:
    """Bytes of the arrays given out, and how it ended: "read", or the class of the error."""
    try:
        return reading(data), "read"
    except nnr.BitstreamError as error:
        return 0, type(error).__name__


def cpu(reading: Callable[[bytes], int], data: bytes) -> float:
    """CPU seconds, the least of two readings, or of some more that are short."""
    taken: list[float] = []
    while len(taken) < 2 or (len(taken) < 7 and sum(taken) < 0.3):
        gc.collect()
        start = time.process_time()
        outcome(reading, data)
        taken.append(time.process_time() - start)
    return min(taken)


def peak(reading: Callable[[bytes], int], data: bytes) -> tuple[int, int, str]:
    """Peak bytes of memory, bytes of the arrays given out, and how it ended."""
    gc.collect()
    tracemalloc.start()
    try:
        output, end = outcome(reading, data)
        return tracemalloc.get_traced_memory()[1], output, end
    finally:
        tracemalloc.stop()


def growth(times: Sequence[float]) -> float:
    """Factor of the time per doubling, over the last two; 0 where the times are too short to say."""
    first, last = times[-3:][0], times[-1]
    if last <= SHORTEST or first <= SHORTEST / 20:
        return 0.0
    return float((last / first) ** (1 / max(len(times[-3:]) - 1, 1)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say whether anything is above its bound."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, held in (("shape", SHAPES), ("reading", READINGS)):
        parser.add_argument(
            f"--{name}", nargs="+", choices=held, default=list(held), metavar=name.upper(),
            help=f"{', '.join(held)} (default: all)",
        )  # fmt: skip
    parser.add_argument(
        "--sizes", nargs="+", type=int, default=[16, 32, 64, 128], metavar="KIB",
        help="sizes of the streams in KiB, each twice the one before (default: 16 32 64 128)",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    above = False
    print(f"{'shape':24} {'reading':14} {'time':>8} {'growth':>7} {'memory':>8}  end")
    for shape in options.shape:
        streams = [SHAPES[shape](size << 10) for size in options.sizes]
        for name in options.reading:
            reading = READINGS[name]
            times = [cpu(reading, data) for data in streams]
            used, output, end = peak(reading, streams[-1])
            memory = max(used - 4 * output - FIXED, 0) / len(streams[-1])
            wrong = growth(times) > GROWTH or memory > MEMORY[name]
            above |= wrong
            mark = "  ABOVE ITS BOUND" if wrong else ""
            cells = f"{times[-1]:8.3f} {growth(times):7.2f} {memory:8.0f}"
            print(f"{shape:24} {name:14} {cells}  {end}{mark}", flush=True)
    return int(above)


if __name__ == "__main__":
    sys.exit(main())
