"""How tensors travel: carriers, records, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nnr.encoder.carry as carry
from nnr.decoder.reconstruct import restore
from nnr.encoder.carry import extract, load_cargo
from nnr.encoder.config import EncoderConfig
from nnr.metadata import Kind, Metadata, parse, serialize

ml_dtypes = pytest.importorskip("ml_dtypes")

EXACT = EncoderConfig(raw=("*",), compat=None)


def travel(tensors, config=EXACT):
    """Through carriers and back without coding: what a lossless codec would give."""
    cargo = load_cargo(tensors, config)
    coded = {c.name: extract(c) for c in cargo.carriers}
    assert len(coded) == len(cargo.carriers), "names of coded tensors must differ"
    for array in coded.values():
        assert array.dtype in (np.int32, np.float32)
        assert array.flags.c_contiguous
    metadata = parse(serialize(Metadata(2, 0, [0] * len(coded), cargo.records, cargo.order)))
    return restore(coded, metadata)[0]


def same(a, b):
    return list(a) == list(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(a.values(), b.values(), strict=True)
    )


INTEGERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


@given(st.data())
def test_integers_of_every_type_travel_exactly(data):
    dtype = np.dtype(data.draw(st.sampled_from(INTEGERS)))
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    values = data.draw(st.lists(st.integers(int(low), int(high)), min_size=1, max_size=6))
    tensors = {"x": np.array(values, dtype)}
    assert same(travel(tensors, EncoderConfig()), tensors)


@pytest.mark.parametrize(
    "value", [2**31 - 1, -(2**31), 2**31, 2**62, -(2**63), 2**63 - 1, 2**29, -(2**29) - 1]
)
def test_the_borders_of_limbs(value):
    tensors = {"x": np.array([value, 0, -1], np.int64)}
    assert same(travel(tensors, EncoderConfig()), tensors)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "bfloat16", "float8_e4m3fn", "float8_e5m2"]
)
def test_floats_that_must_stay_exact_keep_every_bit(dtype):
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    size = kind.itemsize
    patterns = np.random.default_rng(1).integers(0, 256, 64 * size, np.uint8).view(f"u{size}")
    tensors = {"x": patterns.view(kind).reshape(8, 8)}
    assert same(travel(tensors), tensors)


def test_big_endian_strided_zero_dimensional_and_empty_arrays():
    grid = np.arange(24, dtype=np.int32).reshape(4, 6)
    tensors = {
        "big": np.arange(5, dtype=">i2"),
        "strided": grid[::2, ::-3],
        "transposed": grid.T,
        "scalar": np.array(7, np.int8),
        "float scalar": np.array(0.5, np.float64),
        "none": np.zeros((0,), np.float32),
        "none of many": np.zeros((3, 0, 2), np.uint16),
        "read only": np.frombuffer(b"\1\2\3", np.uint8),
        "": np.array([1], np.int64),
    }
    assert same(travel(tensors), tensors)


def test_tied_tensors_are_coded_once_and_come_back_tied():
    a = np.arange(6, dtype=np.int32)
    tensors = {"a": a, "b": a.copy(), "c": a, "d": a.reshape(2, 3)}
    cargo = load_cargo(tensors, EncoderConfig())
    assert [c.name for c in cargo.carriers] == ["a", "b", "d"]
    out = travel(tensors, EncoderConfig())
    assert list(out) == ["a", "b", "c", "d"]
    assert out["c"] is out["a"]
    pure = load_cargo(tensors, EncoderConfig(metadata=False))
    assert [c.name for c in pure.carriers] == ["a", "b", "c", "d"]


def test_names_that_collide_with_parts_are_left_alone():
    big = np.array([2**62, 1], np.int64)
    tensors = {"x": big, "x#1": big + 1, "x##2": np.array([1], np.int32)}
    assert same(travel(tensors, EncoderConfig()), tensors)


def test_large_raw_tensors_are_cut_into_pieces(monkeypatch):
    monkeypatch.setattr(carry, "MAX_RAW_ELEMENTS", 5)
    tensors = {"x": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.ones(2, np.float32)}
    cargo = load_cargo(tensors, EXACT)
    assert [(c.name, c.shape) for c in cargo.carriers] == [
        ("x", (5,)),
        ("x#1", (5,)),
        ("x#2", (2,)),
        ("y", (2,)),
    ]
    assert cargo.records[0].kind == Kind.PIECES
    assert same(travel(tensors), tensors)


def test_raw_floats_come_last_where_the_reader_needs_it():
    tensors = {"r": np.array([np.nan], np.float32), "w": np.ones((2, 2), np.int32), "s": np.ones(3, np.int8)}
    config = EncoderConfig(nonfinite="raw")
    cargo = load_cargo(tensors, config)
    assert [c.name for c in cargo.carriers] == ["w", "s", "r"]
    assert same(travel(tensors, config), tensors)
    two = tensors | {"q": np.array([np.inf], np.float32)}
    with pytest.raises(ValueError, match="'q'"):
        load_cargo(two, config)
    assert same(travel(two, EncoderConfig(nonfinite="raw", compat=None)), two)


@pytest.mark.parametrize(
    ("tensors", "error", "words"),
    [
        ({"x": np.array([1, np.nan], np.float32)}, ValueError, "'x'.*NaN.*nonfinite='raw'"),
        ({"x": np.array([-np.inf], np.float16)}, ValueError, "'x'"),
        ({"x": np.array([1e300])}, ValueError, "'x'"),
        ({"a\0b": np.ones(1)}, ValueError, "NUL"),
        ({"\ud800": np.ones(1)}, ValueError, "UTF-8"),
        ({5: np.ones(1)}, TypeError, "strings"),
        ({"x": np.ones(1, complex)}, TypeError, "'x'.*complex"),
        ({"x": np.array(["a"])}, TypeError, "'x'"),
        ({"x": np.array([None])}, TypeError, "'x'"),
        ({"x": np.zeros(2, "datetime64[s]")}, TypeError, "'x'"),
        ({"x": np.zeros(2, [("a", "i4")])}, TypeError, "'x'"),
        ([np.ones(1)], TypeError, "mapping"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(tensors, error, words):
    with pytest.raises(error, match=words):
        load_cargo(tensors, EncoderConfig())


@pytest.mark.parametrize("array", [np.array([2**40]), np.array([1e-300], np.float64)])
def test_what_only_metadata_can_say_is_refused_without_it(array):
    with pytest.raises(ValueError, match=r"'x'.*metadata=True"):
        load_cargo({"x": array}, EncoderConfig(metadata=False, raw=("x",)))


def test_without_metadata_the_report_says_what_is_lost():
    cargo = load_cargo({"x": np.float16(1), "y": np.ones(3, np.float32)}, EncoderConfig(metadata=False))
    assert cargo.notes.keys() == {"x"}
    assert any("float16" in note for note in cargo.notes["x"])
    assert any("shape" in note for note in cargo.notes["x"])


def test_a_range_without_a_sensible_step_size_is_refused_or_raw():
    array = np.array([1e30, 1.0], np.float32)
    with pytest.raises(ValueError, match="too large for qp"):
        nnr_quantize(array)
    (carrier,) = load_cargo({"x": array}, EncoderConfig(nonfinite="raw")).carriers
    assert carrier.how == "raw"


def nnr_quantize(array):
    from nnr.encoder.pipeline import encode_stream

    return encode_stream({"x": array}, EncoderConfig())


def test_ties_end_where_the_treatment_differs():
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    cargo = load_cargo({"a": x, "b": x}, EncoderConfig(raw=("b",)))
    assert {c.name: c.how for c in cargo.carriers} == {"a": "quantize", "b": "raw"}
    cargo = load_cargo({"a": x, "b": x}, EncoderConfig(qp_per_tensor={"b": -60}))
    assert len(cargo.carriers) == 2
    assert len(load_cargo({"a": x, "b": x}, EncoderConfig(raw=("*",))).carriers) == 1


def test_brackets_in_names_are_no_wildcards():
    x = np.ones((2, 2), np.float32)
    config = EncoderConfig(raw=("l[0].w",), qp_per_tensor={"l[1].*": -10}, compat=None)
    cargo = load_cargo({"l[0].w": x, "l[1].w": x + 1, "l0.w": x + 2}, config)
    assert [c.how for c in cargo.carriers] == ["raw", "quantize", "quantize"]
    assert carry.tensor_qp("l[1].w", 2, config) == -10
    assert carry.tensor_qp("l1.w", 2, config) == -38


@pytest.mark.parametrize("options", [{"raw": ("typo",)}, {"qp_per_tensor": {"typo": -3}}])
def test_a_name_that_matches_nothing_is_refused(options):
    with pytest.raises(ValueError, match="'typo'"):
        load_cargo({"x": np.ones(3, np.float32)}, EncoderConfig(**options))
    load_cargo({"x": np.ones(3, np.float32)}, EncoderConfig(raw=("typo*",)))


def test_masks_and_ragged_lists_and_endless_names_are_refused():
    with pytest.raises(TypeError, match=r"'x'.*mask"):
        load_cargo({"x": np.ma.masked_array([1.0, 2.0], [0, 1])}, EncoderConfig())
    with pytest.raises(TypeError, match="'x'"):
        load_cargo({"x": [[1], [1, 2]]}, EncoderConfig())
    with pytest.raises(ValueError, match="70000 bytes"):
        load_cargo({"n" * 70000: np.ones(1)}, EncoderConfig())


def test_a_finite_value_beyond_float32_is_called_that():
    with pytest.raises(ValueError, match="beyond the range of float32"):
        load_cargo({"x": np.array([1e39])}, EncoderConfig())
