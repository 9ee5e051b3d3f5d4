"""Vectors of data unit headers and of what they say about tensors (syntax 9.1 to 9.6, semantics 4 to 8)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nnr.syntax.data_unit import entry_point_elements

from .stream import BI, BLOCK, BN, DC, FLOAT, INT, LS, RAW, Book, Case, Member, Stream, family, indices

_W = np.array([[2, -1, 0], [0, 3, -2]])


@family("syntax 9.1", "syntax 9.6", "decoding 10.7", "decoding 10.8", "decoding 10.2")
def payload_types(rng: np.random.Generator) -> Iterator[Case]:
    """Integers, quantized floats and raw floats in both profiles, from one element to six dimensions."""
    for profile in (0, 1):
        s = Stream(profile)
        for number, shape in enumerate(
            [(1,), (7,), (1, 1), (1, 5), (5, 1), (3, 2, 1, 2), (1, 2, 1, 2, 1, 2)]
        ):
            s.tensor(f"int{number}", indices(rng, shape, 90.0), INT)
            s.tensor(f"float{number}", indices(rng, shape), FLOAT, qp=-number)
            s.raw(f"raw{number}", rng.normal(size=shape).astype(np.float32))
        yield s.case(f"shapes_p{profile}")
    s = Stream()
    special = np.array([[0.0, -0.0, np.inf, -np.inf], [1e-45, -3e-39, 3.4e38, np.nan]], np.float32)
    s.raw("special", special)
    yield s.case("raw_special_values")
    s = Stream()
    s.tensor("float", np.zeros(0, np.int64))
    s.tensor("dq", np.zeros(0, np.int64), dq=1)
    s.tensor("int", np.zeros(0, np.int64), INT)
    s.raw("raw", np.zeros(0, np.float32))
    yield s.case("no_elements")


@family("syntax 9.1", "semantics 4", "syntax 1")
def identifiers(rng: np.random.Generator) -> Iterator[Case]:
    """Ids of any UTF-8 text, also empty and long, and lists of ids of blocks by string and by index."""
    s = Stream()
    for name in ("", "a b", "émile/λ.weight", "…" * 300, "\n\t", "w" * 5000):
        s.tensor(name, _W)
    yield s.case("strings")
    for profile in (0, 1):
        s = Stream(profile, {"mps_topology_indexed_reference_flag": 1})
        s.unit(
            3,
            {"topology_storage_format": 6, "topology_compression_format": 0},
            {"topology_elem_id_list": ["w", "s", "b"]},
        )
        vectors = [Member("s", indices(rng, (4,)), -20), Member("b", indices(rng, (4,)), -21)]
        s.block(LS | BI, (4, 3), [*vectors, Member("w", indices(rng, (4, 3)))])
        yield s.case(f"block_by_index_p{profile}")


@family("syntax 9.1", "semantics 4", "decoding 11.2")
def node_identifiers(rng: np.random.Generator) -> Iterator[Case]:
    """Node ids in streams without parents; every length of their Exp-Golomb codes."""
    s = Stream()
    for k, (device, number, depth) in enumerate(
        [(0, 0, 0), (1, 1, 1), (7, 31, 15), (300, 5000, 70), (2**20, 2**24, 16)]
    ):
        node = {
            "node_id_present_flag": 1,
            "device_id": device,
            "parameter_id": number,
            "put_node_depth": depth,
        }
        s.tensor(f"w{k}", _W, changes=node)
    yield s.case("without_parents")
    s = Stream(1, {"mps_parent_signalling_enabled_flag": 1})
    s.tensor(
        "w", _W, changes={"node_id_present_flag": 1, "device_id": 3, "parameter_id": 0, "put_node_depth": 9}
    )
    s.tensor("v", _W)
    yield s.case("signalling_but_no_parent")


@family("decoding 10.6", "syntax 9.1")
def output_formats(rng: np.random.Generator) -> Iterator[Case]:
    """Every nnr_decompressed_data_format, with values that round, tie, and saturate; edition 1 has two."""
    formats = ["int32", "float32", 2, 3, 4, 8, 16, 64, "float16", "float64"]
    k = np.array([[0, 1, -1, 2, -2, 3], [4, 5, -5, 7, -9, 127], [130, -130, 40_000, -40_000, 9, 15]])
    big = np.array([[2**31 - 1, -(2**31) + 1, 2**25 + 1, 70_000, -70_000, 32_767]])
    for code, target in enumerate(formats):
        for profile in (0, 1) if code < 2 else (1,):
            s = Stream(profile)
            asked: dict[str, Any] = {
                "nnr_decompressed_data_format_present_flag": 1,
                "nnr_decompressed_data_format": code,
            }
            s.tensor("halves", k, qp=-4, changes=asked)  # step 1/2
            s.tensor("large", big, qp=4, changes=asked)  # step 2
            s.tensor("int", k * 3, INT, changes=asked)
            s.raw("raw", (k / np.float32(8)).astype(np.float32), changes=asked)
            for tensor in s.tensors:
                tensor.values = _formatted(tensor.values, target)
            yield s.case(f"format_{code}_p{profile}")


def _formatted(values: np.ndarray, target: str | int) -> np.ndarray:
    """(decoding 10.6) Round to nearest, ties to even, and saturate; or convert."""
    if isinstance(target, str) and target != "int32":
        with np.errstate(over="ignore"):
            return values.astype(target)
    bits = 32 if target == "int32" else int(target)
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    exact = [min(max(round(float(v)), low), high) for v in values.reshape(-1)]
    return np.array(exact, f"int{max(8, bits)}").reshape(values.shape)


def _block_members(
    rng: np.random.Generator,
    types: int,
    dims: tuple[int, ...],
    *,
    book: Book | None = None,
    second: Book | None = None,
    rank: int = 3,
    g_rows: int | None = None,
) -> list[Member]:
    """Members of a block in payload order, with a QP of their own each."""
    rows = dims[0]
    names = (
        ["s"] * bool(types & LS)
        + ["b"] * bool(types & BI)
        + ["beta", "gamma", "mean", "var"] * bool(types & BN)
    )
    members = [Member(name, indices(rng, (rows,), 6.0), -30 - k) for k, name in enumerate(names)]
    shapes = [dims]
    if types & DC:
        g_rows = g_rows or rows
        shapes = [(g_rows, rank), (rank, math.prod(dims) // g_rows)]
    for k, (shape, one) in enumerate(zip(shapes, (book, second))):
        drawn = indices(rng, shape)
        if one is not None:
            drawn = np.clip(drawn, -one.zero, len(one.entries) - 1 - one.zero)
        members.append(Member("w" + ("_G", "_H")[k] if types & DC else "w", drawn, -9 - k, one))
    return members


@family("semantics 5", "semantics 6", "decoding 10.5", "decoding 10.4")
def blocks(rng: np.random.Generator) -> Iterator[Case]:
    """All fifteen sets of compressed_parameter_types in both profiles: order of ids and order of the
    payload.
    """
    for types, profile in itertools.product(range(1, 16), (0, 1)):
        s = Stream(profile)
        for dq in (0, 1):
            members = _block_members(rng, types, (6, 5, 2))
            for m in members:
                m.name += str(dq)
            s.block(types, (6, 5, 2), members, dq=dq, unary=4)
        yield s.case(f"types_{types}_p{profile}")


@family("syntax 9.1", "syntax 9.2", "decoding 10.3")
def blocks_with_codebooks(rng: np.random.Generator) -> Iterator[Case]:
    """A codebook belongs to the weight of a block, or to G, and a second one to H; vectors stay uniform."""
    one, two = Book([-9, -4, -1, 0, 2, 5, 60], 3), Book([-300, 0, 1, 7], 1)
    for types, profile in itertools.product((LS, LS | BN | BI, DC, DC | LS | BI), (0, 1)):
        s = Stream(profile)
        s.block(
            types, (6, 10), _block_members(rng, types, (6, 10), book=one, second=two if types & DC else None)
        )
        yield s.case(f"types_{types}_p{profile}")


@family("syntax 9.4", "decoding 9.1", "decoding 9.2", "decoding 9.3")
def block_scans(rng: np.random.Generator) -> Iterator[Case]:
    """All scan orders with one, two and three block rows, cut at both borders, with their entry points."""
    for scan_order, dq, profile in itertools.product((1, 2, 3, 4), (0, 1), (0, 1)):
        side = 4 << scan_order
        for rows, cols in ((side - 3, side + 5), (side, side), (side + 1, 5), (2 * side + 3, side + 2)):
            s = Stream(profile)
            s.tensor("w", indices(rng, (rows, cols), 1.0, 0.7), scan_order=scan_order, dq=dq, unary=2)
            yield s.case(f"order_{scan_order}_dq{dq}_{rows}x{cols}_p{profile}")
    s = Stream()
    for scan_order in (1, 2):
        s.tensor(f"int{scan_order}", indices(rng, (20, 11)), INT, scan_order=scan_order)
    yield s.case("integers")


@family("syntax 9.4", "decoding 9.1", "README D5", "README D23", "README D3")
def entry_points_ignored(rng: np.random.Generator) -> Iterator[Case]:
    """Entry points that are there although nothing is scanned in blocks, and some that are wrong."""
    points = [(5, 1, 0), (3, 255, 0)]
    s = Stream()
    s.tensor("column", indices(rng, (20, 1)), changes=_listed(points))
    s.tensor("row", indices(rng, (1, 20)), changes=_listed([]))
    s.tensor("dq", indices(rng, (9, 1)), dq=1, changes=_listed([(9, 9, 5)], dq=1))
    yield s.case("vectors_as_matrices")
    s = Stream()
    s.raw("r", rng.normal(size=(20, 3)).astype(np.float32), changes=_listed(points))
    yield s.case("raw_floats")
    s = Stream()
    s.tensor("w", indices(rng, (30, 9)), scan_order=1, changes=_listed([(1, 2, 0), (2000, 3, 0), (0, 4, 0)]))
    yield s.case("wrong_points")


def _listed(points: list[tuple[int, int, int]], dq: int = 0) -> dict[str, Any]:
    bits, offsets = [p for p, _, _ in points], [o for _, o, _ in points]
    return {"scan_order": 1} | entry_point_elements(bits, offsets, [s for _, _, s in points] if dq else None)


@family("semantics 6", "syntax 9.4", "decoding 9.3")
def decompositions(rng: np.random.Generator) -> Iterator[Case]:
    """G and H in a block and in two units, with every relation of their sizes, scans and codebooks."""
    for profile, scan_order, dq in itertools.product((0, 1), (0, 1), (0, 1)):
        s = Stream(profile)
        members = _block_members(rng, DC, (20, 12), rank=9, g_rows=40)
        s.block(DC, (20, 12), members, dq=dq, scan_order=scan_order)
        g, h = indices(rng, (20, 10)), indices(rng, (10, 12))
        more = {"compressed_parameter_types": DC, "decomposition_rank": 10, "g_number_of_rows": 20}
        s.tensor("v_G", g, dims=(20, 4, 3), scan_order=scan_order, dq=dq, changes=more)
        s.tensor("v_H", h, dims=(20, 4, 3), scan_order=scan_order, dq=dq, changes=more)
        s.tensor("v_bias", indices(rng, (20,)), changes=more)
        s.tensor("v_i", indices(rng, (20,)), INT, changes=more)
        yield s.case(f"p{profile}_order_{scan_order}_dq{dq}")
    s = Stream()
    s.block(DC, (6, 4), _block_members(rng, DC, (6, 4), rank=1))
    yield s.case("rank_1")


@family("syntax 9.2", "decoding 10.3", "decoding 5", "decoding 7")
def codebooks(rng: np.random.Generator) -> Iterator[Case]:
    """Sizes 1 to 300 with zero at either end and between, every codebook_egk, and indices at both bounds.

    In profile 1 the bounds shorten binarization and context parameters; in profile 0 they do not.
    """
    for profile, size in itertools.product((0, 1), (1, 2, 3, 5, 12, 13, 14, 15, 40, 300)):
        for zero in sorted({0, 1, size // 2, size - 2, size - 1} & set(range(size))):
            entries = np.cumsum(rng.integers(1, 6, size)) - 50
            k = rng.integers(-zero, size - zero, (7, 11))
            k.flat[:4] = (-zero, size - 1 - zero, 0, -zero)
            s = Stream(profile)
            for unary in (1, 2, 11):
                s.tensor(f"w{unary}", k, unary=unary, book=Book(entries.tolist(), zero))
            yield s.case(f"size_{size}_zero_{zero}_p{profile}")
    s = Stream()
    for egk in range(16):
        s.tensor(f"w{egk}", np.array([[0, 1, -1], [2, -2, 0]]), book=Book([-70_000, -3, -2, 9, 1000], 2, egk))
    yield s.case("codebook_egk")
    s = Stream()
    ends = [-(2**31) + 1, -5, 2**31 - 1]
    s.tensor("w", np.array([[0, 1], [-1, 0]]), qp=-41, book=Book(ends, 1))
    s.tensor("v", np.array([[0, 1], [-1, 0]]), qp=127, book=Book(ends, 1))
    s.tensor(
        "u", np.array([[0, 1], [-1, 0]]), qp=3, book=Book([-(2**24) - 1, 0, 2**24 + 1], 1)
    )  # rounded once
    yield s.case("large_entries")
    s = Stream(1, {"mps_quantization_method_flags": 2})
    s.tensor("w", np.array([[0, 1], [-1, 0]]), book=Book([-1, 0, 1], 1))
    yield s.case("method_codebook")
    s = Stream()
    k = rng.integers(-20, 20, (20, 19))
    for order in (1, 2):
        s.tensor(f"w{order}", k, scan_order=order, book=Book(list(range(-20, 20)), 20))
    yield s.case("block_scans")


@family("semantics 7", "semantics 4")
def out_of_band(rng: np.random.Generator) -> Iterator[Case]:
    """Parameters that are not in the stream: each flag, each kind of unit; the unary length has a default."""
    for profile in (0, 1):
        table: dict[str, dict[str, Any]] = {
            "dims": {"tensor_dimensions": [4, 3]},
            "shape": {"tensor_dimensions": [4, 3]},
            "both": {"tensor_dimensions": [4, 3], "cabac_unary_length_minus1": 2},
            "vector": {"tensor_dimensions": [5], "count_tensor_dimensions": 1},
            "unary": {"cabac_unary_length_minus1": 4},
            "w": {
                "tensor_dimensions": [4, 6],
                "cabac_unary_length_minus1": 1,
                "compressed_parameter_types": LS,
            },
            "x_G": {
                "tensor_dimensions": [4, 6],
                "compressed_parameter_types": DC,
                "decomposition_rank": 2,
                "g_number_of_rows": 4,
            },
        }
        s = Stream(profile, out_of_band=table)
        k = indices(rng, (4, 3), 5.0)
        absent = {
            "input_parameters_present_flag": 0,
            "tensor_dimensions": None,
            "tensor_dimensions_flag": None,
            "cabac_unary_length_flag": None,
            "cabac_unary_length_minus1": None,
            "compressed_parameter_types": None,
        }
        s.tensor("dims", k, unary=10, changes=absent)
        s.tensor("both", k, unary=3, changes=absent)
        s.tensor(
            "vector",
            indices(rng, (5,)),
            unary=10,
            changes=absent | {"scan_order": None, "first_tensor_dimension_shift": None},
        )
        s.tensor(
            "unary", k, unary=5, changes={"cabac_unary_length_flag": 0, "cabac_unary_length_minus1": None}
        )
        s.tensor(
            "inferred", k, unary=10, changes={"cabac_unary_length_flag": 0, "cabac_unary_length_minus1": None}
        )
        s.tensor("shape", k, unary=7, changes={"tensor_dimensions_flag": 0, "tensor_dimensions": None})
        members = _block_members(rng, LS, (4, 6))
        s.block(LS, (4, 6), members, unary=2, changes=absent)
        decomposed = absent | {"decomposition_rank": None, "g_number_of_rows": None}
        members = [Member("x_G", indices(rng, (4, 2))), Member("x_H", indices(rng, (2, 6)))]
        s.block(DC, (4, 6), members, unary=10, changes=decomposed)
        if profile == 1:
            s.raw(
                "r",
                np.ones((2, 2), np.float32),
                changes={"cabac_unary_length_flag": 0, "cabac_unary_length_minus1": None},
            )
        yield s.case(f"p{profile}")


@family("syntax 9.5", "semantics 9")
def split_tensors(rng: np.random.Generator) -> Iterator[Case]:
    """A tensor made of several elements, with and without moves of dimensions; coded form gives it whole."""
    for profile, kind in itertools.product((0, 1), (INT, FLOAT, RAW)):
        s = Stream(profile)
        mapping = {
            "concatenation_axis_index": 0,
            "split_index": [2, 5],
            "number_of_shifts": [0, 2],
            "shift_index": [[], [1, 0]],
            "shift_value": [[], [1, -1]],
        }
        ids = ["a", "b", "c"]
        if kind == RAW:
            values = rng.normal(size=(6, 4)).astype(np.float32)
            s.raw("a", values, ids=ids, changes={"topology_tensor_dimension_mapping": mapping})
        else:
            payload, _ = s.code(kind, [Member("a", indices(rng, (6, 4)))])
            s.unit(
                5,
                s.header(kind, ids, (6, 4), changes={"topology_tensor_dimension_mapping": mapping}),
                payload,
            )
        yield s.case(f"kind_{kind}_p{profile}")


@family("semantics 4", "README D20")
def dimension_shift(rng: np.random.Generator) -> Iterator[Case]:
    """first_tensor_dimension_shift has no effect on the coded form."""
    for shift in (0, 1, 2, 6):
        s = Stream()
        s.tensor("w", indices(rng, (3, 4, 2)), changes={"first_tensor_dimension_shift": shift})
        yield s.case(f"shift_{shift}")


@family("syntax 9.1", "syntax 9.2", "syntax 9.3", "semantics 4", "semantics 5", "semantics 6", "semantics 7")
def broken_headers(rng: np.random.Generator) -> Iterator[Case]:
    """Reserved values, impossible sizes, and codebooks that contradict themselves."""
    k = indices(rng, (6, 4))

    def loose(name: str, clause: str, error: str = "ConformanceError", **changes: Any) -> Case:
        s = Stream()
        s.tensor("w", k)
        s.parts.pop()
        s.unit(5, s.header(FLOAT, ["w"], (6, 4)) | changes, s.payload, strict=False)
        return s.refused(name, clause, error)

    for value in (4, 31):
        yield _patched(f"payload_type_{value}", value, k)
    for code in (10, 127):
        yield loose(
            f"format_{code}",
            "syntax 9.1",
            nnr_decompressed_data_format_present_flag=1,
            nnr_decompressed_data_format=code,
        )
    s = Stream(0)
    s.tensor("w", k)
    s.parts.pop()
    header = s.header(FLOAT, ["w"], (6, 4)) | {
        "nnr_decompressed_data_format_present_flag": 1,
        "nnr_decompressed_data_format": 5,
    }
    s.unit(5, header, s.payload, strict=False)
    yield s.refused("format_of_edition_2_in_profile_0", "syntax 9.1")
    for order in (5, 15):
        yield loose(f"scan_order_{order}", "syntax 9.1", scan_order=order)
    s = Stream()
    s.unit(5, s.header(FLOAT, ["w"], [3]) | {"tensor_dimensions": []}, b"\0\0", strict=False)
    yield s.refused("no_dimensions", "syntax 9.3")
    for change in (
        {"decomposition_rank": 0, "g_number_of_rows": 6},
        {"decomposition_rank": 2, "g_number_of_rows": 0},
    ):
        name = f"rank_{change['decomposition_rank']}_rows_{change['g_number_of_rows']}"
        yield loose(name, "syntax 9.1", compressed_parameter_types=DC, **change)
    yield loose(
        "rows_that_do_not_divide",
        "semantics 4",
        compressed_parameter_types=DC,
        decomposition_rank=2,
        g_number_of_rows=5,
    )
    bad = {"codebook_egk": 0, "codebook_zero_value": 0, "codebook_delta_left": [], "codebook_delta_right": []}
    yield loose(
        "codebook_of_size_0",
        "syntax 9.2",
        codebook_present_flag=1,
        integer_codebook=bad | {"codebook_size": 0, "codebook_centre_offset": 0},
    )
    for offset in (-2, 2):
        book = bad | {"codebook_size": 2, "codebook_centre_offset": offset}
        yield loose(f"codebook_centre_{offset}", "syntax 9.2", codebook_present_flag=1, integer_codebook=book)
    yield loose(
        "codebook_with_dq",
        "syntax 9.1",
        dq_flag=1,
        codebook_present_flag=1,
        integer_codebook=Book([-1, 0, 1], 1).elements(),
    )
    s = Stream(out_of_band={"w": {"tensor_dimensions": [2, 3]}})
    s.tensor("w", _W, changes={"tensor_dimensions_flag": 0, "tensor_dimensions": None})
    s.out_of_band = None  # the decoder is told nothing
    yield s.refused("dimensions_from_nowhere", "semantics 7", "UnsupportedError")
    s = Stream()
    members = _block_members(rng, LS, (4, 6))
    s.block(LS, (4, 6), members)
    s.parts.pop()
    header = s.header(BLOCK, ["w", "s", "b"], (4, 6)) | {"compressed_parameter_types": LS}
    s.unit(5, header, s.payload, strict=False)
    yield s.refused("more_ids_than_members", "syntax 9.1")
    s = Stream()
    s.raw("r", np.ones((3, 2), np.float32))
    unit = s.parts.pop()
    s.parts.append((len(unit) - 1).to_bytes(2, "big") + unit[2:-1])
    yield s.refused("raw_too_short", "syntax 9.6", "TruncatedError")
    s.parts[-1] = (len(unit) + 1).to_bytes(2, "big") + unit[2:] + b"\0"
    yield s.refused("raw_too_long", "syntax 9.6")
    s = Stream()
    s.tensor("w", k)
    unit = bytearray(s.parts.pop())
    at = unit.index(s.payload) - 1
    unit[at] ^= 1
    s.parts.append(bytes(unit))
    yield s.refused("alignment_bits", "syntax 1")


def _patched(name: str, payload_type: int, k: np.ndarray) -> Case:
    """The payload type stands in the first five bits behind the unit header."""
    s = Stream()
    s.tensor("w", k)
    unit = bytearray(s.parts.pop())
    unit[3] = payload_type << 3 | unit[3] & 7
    s.parts.append(bytes(unit))
    return s.refused(name, "syntax 9.1")
