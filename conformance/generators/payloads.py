"""Vectors of coded payloads: contexts, binarization, dependent quantization, ends (decoding 2 to 8, syntax
9.6).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from .stream import DC, FLOAT, INT, LS, Book, Case, Member, Stream, family, indices

_W = np.array([[2, -1, 0], [0, 3, -2]])


@family("decoding 4", "decoding 7", "syntax 9.9")
def unary_lengths(rng: np.random.Generator) -> Iterator[Case]:
    """N from 1 to 256 with magnitudes around N, where the unary part gives way to the escape code."""
    for profile, dq in itertools.product((0, 1), (0, 1)):
        s = Stream(profile)
        for unary in (1, 2, 3, 4, 5, 10, 13, 23, 24, 25, 64, 255, 256):
            near = rng.integers(-unary - 4, unary + 5, (6, 9))
            s.tensor(f"n{unary}", near, unary=unary, dq=dq)
        yield s.case(f"p{profile}_dq{dq}")


@family("decoding 7", "decoding 8", "syntax 9.9")
def escapes(rng: np.random.Generator) -> Iterator[Case]:
    """Magnitudes at both ends of every escape group, up to the largest that 32 bits hold, of either sign."""
    for dq, unary in itertools.product((0, 1), (1, 2, 11)):
        s = Stream()
        most = 2**30 if dq else 2**31 - 1
        ends = sorted({min(unary + 2**r + d, most) for r in range(31) for d in (-1, 0, 1)})
        k = np.array([[sign * v for sign in (1, -1)] for v in ends]).reshape(-1, 2)
        if dq:
            k[k == most] -= 1
        s.tensor("w", k, unary=unary, dq=dq, qp=-128)
        s.tensor("i", np.clip(k, -(2**31), 2**31 - 1), INT, unary=unary)
        yield s.case(f"dq{dq}_n{unary}")
    s = Stream()
    s.tensor("most", np.array([2**31 - 1, -(2**31), 0, 1]), INT)
    s.tensor("odd", np.array([1, 1, 2**30, 0]), dq=1)
    s.tensor("even", np.array([-(2**30), 0, 2]), dq=1)
    yield s.case("ends_of_32_bits")


@family("decoding 3.1", "decoding 3.2", "decoding 3.3", "decoding 3.4", "decoding 5", "syntax 9.8")
def parameter_sets(rng: np.random.Generator) -> Iterator[Case]:
    """Each of the nine parameter sets for each context, with bins that confirm it and bins that contradict
    it.
    """
    for chosen, profile in itertools.product(range(9), (0, 1)):
        s = Stream(profile)
        for name, spread, zeros in (("dense", 9.0, 0.0), ("sparse", 0.6, 0.95), ("zero", 0.1, 1.0)):
            for dq in (0, 1):
                k = indices(rng, (14, 30), spread, zeros)
                s.tensor(f"{name}{dq}", k, dq=dq, unary=4, sets=lambda group, n, one=chosen: one)
        yield s.case(f"set_{chosen}_p{profile}")
    for dq, scan_order in itertools.product((0, 1), (0, 1)):
        s = Stream()
        drawn = rng.integers(0, 9, 400)
        s.tensor(
            "w",
            indices(rng, (40, 25), 4.0),
            dq=dq,
            scan_order=scan_order,
            unary=3,
            sets=lambda group, n, d=drawn: int(d[(n + 50 * len(group)) % 400]),
        )
        yield s.case(f"mixed_dq{dq}_order_{scan_order}")


@family("decoding 3.3", "decoding 2.2")
def long_runs(rng: np.random.Generator) -> Iterator[Case]:
    """Contexts driven into saturation on either side and out of it again, with every parameter set."""
    for chosen in range(9):
        s = Stream()
        k = np.zeros(900, np.int64)
        k[300:600] = 1
        k[600:640] = np.arange(40) % 3 - 1
        s.tensor("w", k, unary=1, sets=lambda group, n, one=chosen: one)
        s.tensor("m", -k * 3, unary=6, sets=lambda group, n, one=chosen: one)
        yield s.case(f"set_{chosen}")


@family("decoding 8", "decoding 6")
def dependent_quantization(rng: np.random.Generator) -> Iterator[Case]:
    """All eight states with both parities and signs, vectors, matrices and several tensors of a unit."""
    for profile in (0, 1):
        s = Stream(profile)
        s.tensor("vector", indices(rng, (64,), 2.0), dq=1)
        s.tensor("ones", np.ones((9, 9), np.int64), dq=1)
        s.tensor("alternating", np.tile([1, -2, 0, 3], (8, 4)), dq=1)
        s.tensor("integers", indices(rng, (5, 6)), INT, told_dq=1)
        s.block(LS, (8, 8), [Member("s", indices(rng, (8,))), Member("w", indices(rng, (8, 8)))], dq=1)
        yield s.case(f"p{profile}")


@family("syntax 9.7", "decoding 5", "decoding 9.2", "README D6", "README D29")
def row_skip(rng: np.random.Generator) -> Iterator[Case]:
    """Skipped rows at the start, in the middle and at the end, all and none, under every width modulo 4 and
    scan.
    """
    for dq, scan_order, cols in itertools.product((0, 1), (0, 1), (5, 6, 7, 8, 23)):
        s = Stream()
        rows = 19
        lists = {"some": rng.random(rows) < 0.5, "none": np.zeros(rows, bool), "all": np.ones(rows, bool)}
        lists["first"] = np.arange(rows) == 0
        lists["last"] = np.arange(rows) == rows - 1
        lists["starts"] = np.arange(rows) % 8 == 0
        for name, rows_skipped in lists.items():
            k = indices(rng, (rows, cols))
            k[rows_skipped] = 0
            s.tensor(name, k, dq=dq, scan_order=scan_order, skip=rows_skipped.astype(int).tolist(), unary=3)
        yield s.case(f"dq{dq}_order_{scan_order}_cols_{cols}")
    s = Stream()
    k = rng.integers(-3, 4, (9, 8))
    k[2:5] = 0
    skip = [0, 0, 1, 1, 1, 0, 0, 0, 0]
    s.tensor("codebook", k, book=Book(list(range(-3, 4)), 3), skip=skip)
    s.tensor("int", k, INT, skip=skip)
    yield s.case("codebook_and_integers")


@family("decoding 6", "decoding 9.2")
def many_weights(rng: np.random.Generator) -> Iterator[Case]:
    """Tensors of thousands of weights, of equal and of different kinds, several in a stream and in a unit."""
    s = Stream()
    for number, (rows, cols) in enumerate([(70, 66), (1, 300), (4500, 1), (33, 129)]):
        s.tensor(f"uniform{number}", indices(rng, (rows, cols), 1.0, 0.8))
        s.tensor(f"dependent{number}", indices(rng, (rows, cols), 3.0, 0.2), dq=1)
    yield s.case("uniform_and_dependent")
    s = Stream()
    for number, unary in enumerate((11, 11, 3, 24, 25, 1)):
        skipped = (rng.random(40) < 0.4).astype(int).tolist()
        k = indices(rng, (40, 31), 4.0)
        k[np.array(skipped, bool)] = 0
        k.flat[7 + 31 * skipped.index(0)] = 100_000 * (-1) ** number
        s.tensor(f"w{number}", k, unary=unary, dq=number & 1, skip=skipped)
    yield s.case("unary_lengths_and_skipped_rows")
    for dq in (0, 1):
        s = Stream(dq)
        for unit in range(3):
            vectors = [Member(f"s{unit}", indices(rng, (300,), 30.0), -40)]
            s.block(LS, (300, 6), [*vectors, Member(f"w{unit}", indices(rng, (300, 6)))], dq=dq)
            s.tensor(f"b{unit}", rng.integers(-2, 3, (20, 20)), book=Book([-5, -2, 0, 1, 9], 2))
            s.tensor(f"c{unit}", indices(rng, (20, 20)), scan_order=1, dq=dq)
        yield s.case(f"units_of_many_kinds_dq{dq}")
    s = Stream()
    for number in range(4):
        s.tensor(f"none{number}", np.zeros(0, np.int64))
        s.tensor(f"dense{number}", rng.integers(-40, 41, (30, 30)), dq=1, unary=2)
    yield s.case("dense")


@family("decoding 7", "decoding 10.3", "decoding 2")
def many_indices(rng: np.random.Generator) -> Iterator[Case]:
    """Units of hundreds of codebook indices, of one side, of both, of one entry, beyond the end; units that
    end behind their first bits.
    """
    books = {
        "right": Book([0, 1, 5, 70], 0),
        "left": Book([-70, -6, 0], 2),
        "one": Book([7], 0),
        "two": Book([-9, -3, 0, 1, 2, 40], 2),
        "long": Book(list(range(-40, 41)), 40),
    }
    for profile, unary in itertools.product((0, 1), (1, 11)):
        s = Stream(profile)
        for name, book in books.items():
            k = rng.integers(-book.zero, len(book.entries) - book.zero, (20, 20))
            s.tensor(name, k, book=book, unary=unary)
        yield s.case(f"sides_p{profile}_n{unary}")
    for zero, index in ((0, 11), (5, 6), (5, -6), (10, -11)):
        s = Stream()
        book = Book(list(range(11)), zero)
        for name in ("w", "v"):
            k = np.zeros((20, 20), np.int64)
            if name == "w":
                k.flat[150] = index
            s.tensor(name, k, unary=1, book=book)
        yield s.refused(f"beyond_index_{index}_zero_{zero}", "decoding 7")
    for length, dq in itertools.product((2, 3), (0, 1)):
        s = Stream()
        s.tensor("w", indices(rng, (20, 20)), dq=dq)
        s.parts[-1] = _cut(s.parts[-1], len(s.payload) - length)
        s.tensor("v", indices(rng, (20, 20)), dq=dq)
        yield s.refused(f"cut_to_{length}_dq{dq}", "decoding 2", "TruncatedError")


@family("syntax 9.6", "semantics 4", "decoding 2.6")
def no_weights(rng: np.random.Generator) -> Iterator[Case]:
    """Vectors of no element, alone and between large tensors; their units end as all others."""
    for profile, dq in itertools.product((0, 1), (0, 1)):
        s = Stream(profile)
        for number in range(3):
            s.tensor(f"none{number}", np.zeros(0, np.int64), dq=dq)
            s.tensor(f"w{number}", indices(rng, (20, 20)), dq=dq)
            s.tensor(f"i{number}", np.zeros(0, np.int64), INT)
        yield s.case(f"p{profile}_dq{dq}")
    for many in (False, True):
        s = Stream()
        s.tensor("none", np.zeros(0, np.int64), end={"rest": "0" * 8})
        if many:
            s.tensor("w", indices(rng, (20, 20)))
            s.tensor("v", indices(rng, (20, 20)))
        yield s.refused(f"a_byte_more_{'many' if many else 'alone'}", "decoding 2.6")
    for length in (1, 2):
        s = Stream()
        s.tensor("none", np.zeros(0, np.int64))
        s.parts[-1] = _cut(s.parts[-1], len(s.payload) - length)
        yield s.refused(f"cut_to_{length}", "decoding 2", "TruncatedError")


@family("README D1", "README D2")
def legacy_dialect(rng: np.random.Generator) -> Iterator[Case]:
    """Streams of profile 0 with 32 escape flags, whose block scans reset the range before a single block row
    too.
    """
    for dq, scan_order in itertools.product((0, 1), (0, 1)):
        s = Stream(0)
        for number, (rows, cols) in enumerate([(6, 9), (17, 9), (40, 10)]):
            more: dict[str, Any] = {"sets": lambda group, n: 1 + n % 8}
            s.tensor(
                f"w{number}",
                indices(rng, (rows, cols), 3.0),
                dq=dq,
                scan_order=scan_order,
                escapes=32,
                **more,
            )
        yield s.case(f"dq{dq}_order_{scan_order}")


@family("decoding 2.1", "decoding 2.4", "decoding 2.5", "decoding 2.6", "decoding 7", "decoding 10.3")
def broken_payloads(rng: np.random.Generator) -> Iterator[Case]:
    """Payloads that end early or late, with wrong last bits, impossible registers, levels or indices."""
    k = indices(rng, (12, 9))

    def damaged(
        name: str, clause: str, payload_of: Any, error: str = "ConformanceError", **more: Any
    ) -> Case:
        s = Stream()
        s.tensor("w", k, **more)
        s.parts.pop()
        s.unit(5, s.header(FLOAT, ["w"], k.shape, dq=more.get("dq", 0)), payload_of(s.payload))
        s.tensor("v", _W)
        return s.refused(name, clause, error)

    for dq in (0, 1):
        for cut in (1, 2, 10):
            yield damaged(
                f"cut_by_{cut}_dq{dq}", "decoding 2", lambda p, c=cut: p[:-c], "TruncatedError", dq=dq
            )
        for length in (0, 1, 2):
            yield damaged(
                f"cut_to_{length}_dq{dq}", "decoding 2", lambda p, n=length: p[:n], "TruncatedError", dq=dq
            )
        yield damaged(f"a_byte_more_dq{dq}", "decoding 2.6", lambda p: p + b"\0", dq=dq)
    yield damaged("offset_510", "decoding 2", lambda p: b"\xff\x00" + p[2:])
    yield damaged("offset_511", "decoding 2", lambda p: b"\xff\xff" + p[2:])
    for name, end, clause in (
        ("terminate_bin_0", {"terminate": 0, "rest": "1"}, "decoding 2.5"),
        ("stop_bit_0", {"stop_bit": 0}, "decoding 2.6"),
        ("bits_after_the_stop_bit", {"rest": "1"}, "decoding 2.6"),
        ("a_byte_after_the_end", {"rest": "0" * 8}, "decoding 2.6"),
    ):
        s = Stream()
        s.tensor("w", _odd_length(rng), end=end)
        yield s.refused(name, clause)
    for dq, value in ((0, 2**31), (0, -(2**31) - 1), (0, 2**32), (1, 2**30 + 1), (1, -(2**30) - 1)):
        for kind in (FLOAT, INT) if not dq else (FLOAT,):
            for many in (False, True):
                s = Stream()
                drawn = indices(rng, (20, 20) if many else (3,))
                drawn.flat[2] = value
                drawn.flat[:2] = 0
                s.tensor("w", drawn, kind, dq=dq)
                s.tensor("v", indices(rng, (20, 20)), dq=dq)
                yield s.refused(f"level_{value}_dq{dq}_kind_{kind}_{'many' if many else 'few'}", "decoding 7")
    for unary, zero, size in ((1, 5, 11), (2, 5, 12), (1, 0, 11), (1, 10, 11)):
        s = Stream()
        drawn = np.zeros((4, 3), np.int64)
        drawn.flat[1] = (size - 1 - zero) + 1 if zero < size - 1 else -zero - 1
        s.tensor("w", drawn, unary=unary, book=Book(list(range(size)), zero))
        yield s.refused(f"index_beyond_the_codebook_n{unary}_zero_{zero}", "decoding 7")
    for index in (-3, 3, 100):
        s = Stream(0)
        drawn = np.zeros((4, 3), np.int64)
        drawn.flat[1] = index
        s.tensor("w", drawn, book=Book([-4, -1, 0, 1, 9], 2))
        yield s.refused(f"index_{index}_in_profile_0", "decoding 10.3")
    s = Stream()
    s.tensor("a", indices(rng, (30, 30)))
    s.tensor("w", indices(rng, (30, 30)))
    s.parts[2] = _cut(s.parts[2])
    yield s.refused("first_of_two_large", "decoding 2", "TruncatedError")
    s = Stream()
    members = [Member("w_G", indices(rng, (9, 4))), Member("w_H", indices(rng, (4, 9)))]
    s.block(DC, (9, 9), members)
    s.parts[-1] = _cut(s.parts[-1])
    yield s.refused("block", "decoding 2", "TruncatedError")
    s = Stream()
    skipped = [1, 0] * 10
    drawn = indices(rng, (20, 3))
    drawn[::2] = 0
    s.tensor("w", drawn, skip=skipped)
    s.parts[-1] = _cut(s.parts[-1], len(s.payload) - 3)
    yield s.refused("cut_in_the_skip_list", "decoding 2", "TruncatedError")
    for block_row, dq in itertools.product((0, 1, 2), (0, 1)):
        s = Stream()
        s.tensor("w", indices(rng, (20, 9)), scan_order=1, dq=dq, bad_reset=block_row)
        yield s.refused(f"offset_where_block_row_{block_row}_starts_dq{dq}", "decoding 2")


def _odd_length(rng: np.random.Generator) -> np.ndarray:
    """A tensor whose payload does not fill its last byte, so that bits remain behind the stop bit."""
    while True:
        k = indices(rng, (7, 5))
        s = Stream()
        s.tensor("w", k)
        if s.payload[-1] & 0x7F and not s.payload[-1] & 1:
            return k


def _cut(unit: bytes, by: int = 1) -> bytes:
    return (len(unit) - by).to_bytes(2, "big") + unit[2:-by]
