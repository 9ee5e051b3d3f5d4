"""What is promised for any bytes (docs/security.md), as one function that raises where a promise is broken.

Used by the fuzzers, by the replay of what they found, and by the mutation benchmark's own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import nnr
from nnr.syntax.check import check
from nnr.syntax.describe import trace_lines
from nnr.syntax.info import info

__all__ = ["LIMITS", "BrokenPromise", "hold"]

#: Small enough that an input takes milliseconds; that larger ones are kept is tested apart.
LIMITS = nnr.Limits(max_output_bytes=1 << 20, max_list_entries=1 << 12, max_units=1 << 10)
_REFERENCE_ELEMENTS = 1 << 10  # the readable reference takes a microsecond a bin and more


class BrokenPromise(AssertionError):
    """Something that docs/security.md excludes has happened."""


def hold(data: bytes, out_of_band: dict[str, Any] | None = None) -> dict[str, np.ndarray] | None:
    """Read `data` in every way there is; the tensors in coded form, or None where they cannot be decoded.

    Raises:
        BrokenPromise: an error without a place, two readings that differ, a state that an error changed.
        Exception: any error of another family than `nnr.BitstreamError`.
    """
    options: dict[str, Any] = {"limits": LIMITS, "out_of_band": out_of_band}
    coded = _read(lambda: nnr.decode(data, form="coded", threads=1, **options))
    plain = _read(lambda: nnr.decode(data, threads=1, **options))
    levels = _read(lambda: nnr.decode_levels(data, threads=1, **options))
    # not the other way round: there may be no value in the output format that a level could become
    _expect(coded is None or levels is not None, "levels can be decoded where values can")
    _same_again(data, coded, options)
    _one_by_one(data, plain, options)
    _state(data, out_of_band)
    _headers(data, options)
    return coded


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise BrokenPromise(what)


def _read(reading: Callable[[], Any]) -> Any:
    """The result of a reading, None for an error with a place."""
    try:
        return reading()
    except nnr.BitstreamError as error:
        _expect(error.byte_offset is not None or isinstance(error, nnr.LimitError), f"no place: {error!r}")
        _expect(str(error).isprintable(), f"not one line: {error!r}")
        return None


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return list(one) == list(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one.values(), other.values())
    )


def _same_again(data: bytes, coded: dict[str, np.ndarray] | None, options: dict[str, Any]) -> None:
    """Memory that is used again has other content by then: what was not written would differ."""
    again = _read(lambda: nnr.decode(data, form="coded", threads=2, **options))
    _expect((again is None) == (coded is None), "two decodes end alike")
    if coded is None or again is None:
        return
    _expect(_equal(coded, again), "two decodes give the same")
    if sum(array.size for array in coded.values()) <= _REFERENCE_ELEMENTS:
        reference = _read(lambda: nnr.decode(data, form="coded", backend="python", **options))
        _expect(reference is not None and _equal(coded, reference), "the readable reference gives the same")


def _one_by_one(data: bytes, plain: dict[str, np.ndarray] | None, options: dict[str, Any]) -> None:
    opened = _read(lambda: nnr.open(data, threads=1, **options))
    if opened is None:
        _expect(plain is None, "what can be decoded can be opened")
        return
    with opened as file:
        single = {}
        for name in file:
            file.info(name)
            single[name] = _read(lambda name=name: file[name])
    if plain is not None:
        _expect(all(array is not None for array in single.values()), "each tensor can be read by itself")
        _expect(_equal(plain, {name: single[name] for name in plain}), "each tensor alone is the same")


def _state(data: bytes, out_of_band: dict[str, Any] | None) -> None:
    """An error leaves a decoder as it was, with a model and with an earlier update in it."""
    decoder = nnr.Decoder(limits=LIMITS, threads=1)
    for before in _BASE:
        decoder.decode(before)
    state = decoder.state
    if _read(lambda: decoder.decode(data, out_of_band=out_of_band)) is None:
        _expect(decoder.state == state, "an error leaves a decoder as it was")
    else:
        nnr.Decoder(state=decoder.state)


def _base() -> list[bytes]:
    weights = {"w": np.linspace(-1, 1, 24, dtype=np.float32).reshape(4, 6), "b": np.ones(4, np.float32)}
    encoder = nnr.Encoder(qp=-12)
    first = encoder.encode(weights)
    return [first, encoder.encode_update({name: array + np.float32(0.25) for name, array in weights.items()})]


_BASE = _base()


def _headers(data: bytes, options: dict[str, Any]) -> None:
    _read(lambda: nnr.describe(data, **options))
    _read(lambda: list(trace_lines(data, **options)))
    _read(lambda: check(data, **options))
    _read(lambda: info(data, **options))
    tree = _read(lambda: nnr.syntax.parse(data, **options))
    if tree is not None:
        written = nnr.syntax.write(tree, out_of_band=options["out_of_band"])
        _expect(written == data, "what is parsed is written back")
