"""Output formats, limbs and the types of the metadata unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.decoder.reconstruct import LIMB_BITS, apply_format, cast_float, join_limbs, restore
from nnr.errors import ConformanceError
from nnr.metadata import Kind, Metadata, TensorRecord
from nnr.syntax.constants import DataFormat


@pytest.mark.parametrize(
    ("data_format", "values", "expected", "dtype"),
    [
        (DataFormat.TENSOR_INT2, [-9.0, -1.5, 0.4, 9.0], [-2, -2, 0, 1], np.int8),
        (DataFormat.TENSOR_INT3, [-9.0, 2.5, 3.6], [-4, 2, 3], np.int8),
        (DataFormat.TENSOR_INT4, [-9.0, 7.4, 8.0], [-8, 7, 7], np.int8),
        (DataFormat.TENSOR_INT8, [-200.0, 127.4, 300.0], [-128, 127, 127], np.int8),
        (DataFormat.TENSOR_INT16, [1e9, -1e9], [32767, -32768], np.int16),
        (DataFormat.TENSOR_INT32, [3e9, -3e9, 5.5], [2**31 - 1, -(2**31), 6], np.int32),
        (DataFormat.TENSOR_INT64, [1e30, -1e30, 2.0], [2**63 - 1, -(2**63), 2], np.int64),
        (DataFormat.TENSOR_FLOAT16, [1.0, 1e9], [1.0, np.inf], np.float16),
        (DataFormat.TENSOR_FLOAT64, [0.1], [float(np.float32(0.1))], np.float64),
        (DataFormat.TENSOR_FLOAT32, [0.5], [0.5], np.float32),
    ],
)
def test_floats_become_the_format_asked_for(data_format, values, expected, dtype):
    out = apply_format(np.array(values, np.float32), data_format)
    assert out.dtype == dtype
    assert out.tolist() == expected


def test_integers_saturate():
    out = apply_format(np.array([300, -300, 5], np.int32), DataFormat.TENSOR_INT4)
    assert out.tolist() == [7, -8, 5]


def test_nan_has_no_integer():
    with pytest.raises(ConformanceError):
        apply_format(np.array([np.nan], np.float32), DataFormat.TENSOR_INT8)


@given(st.lists(st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=5))
def test_limbs_join_to_the_integer_modulo_2_64(values):
    mask = (1 << LIMB_BITS) - 1
    limbs = [
        np.array([v & mask for v in values], np.int32),
        np.array([v >> LIMB_BITS & mask for v in values], np.int32),
        np.array([v >> 2 * LIMB_BITS for v in values], np.int32),
    ]
    assert [v % 2**64 for v in join_limbs(limbs).tolist()] == [v % 2**64 for v in values]


def test_finite_values_never_become_infinite_in_a_narrow_type():
    out = cast_float(np.array([7e4, -7e4, np.inf, 1.0], np.float32), np.dtype(np.float16))
    assert out.tolist() == [65504.0, -65504.0, np.inf, 1.0]


def _metadata(*records: TensorRecord, order: list[int] | None = None) -> Metadata:
    return Metadata(2, 0, [], list(records), order or [])


def test_ties_share_the_array_and_order_comes_back():
    coded = {"a": np.arange(2, dtype=np.int32), "b": np.arange(3, dtype=np.int32)}
    metadata = _metadata(
        TensorRecord(3), TensorRecord(1), TensorRecord(3, Kind.TIED, 0, None, 0, "c"), order=[2, 0, 1]
    )
    tensors, notes = restore(coded, metadata)
    assert list(tensors) == ["b", "c", "a"]
    assert tensors["c"] is tensors["a"]
    assert tensors["b"].dtype == np.int8
    assert any("tied to a" in note for note in notes)


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(_metadata(), id="fewer"),
        pytest.param(_metadata(TensorRecord(3), TensorRecord(3)), id="more"),
        pytest.param(_metadata(TensorRecord(3, shape=(7,))), id="shape"),
        pytest.param(_metadata(TensorRecord(17)), id="float for integers"),
        pytest.param(_metadata(TensorRecord(3, Kind.PIECES, 0)), id="no pieces"),
    ],
)
def test_metadata_of_other_tensors_is_a_conformance_error(metadata):
    with pytest.raises(ConformanceError):
        restore({"a": np.arange(2, dtype=np.int32)}, metadata)
