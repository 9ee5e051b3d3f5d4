"""Steps of vectors that follow their values."""

import numpy as np
import pytest

import nnr
from nnr.decoder.quantization import step_size
from nnr.encoder.pipeline import encode_stream
from nnr.encoder.vectors import vector_qp

_RNG = np.random.default_rng(5)
_MODEL = {
    "weight": _RNG.normal(size=(64, 32)).astype(np.float32),
    "bias": _RNG.normal(size=64).astype(np.float32),
    "variance": (_RNG.random(64) + 0.25).astype(np.float32),
    "zero": np.zeros(64, np.float32),
}


@pytest.mark.parametrize("density", [0, 2, 7])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e20])
def test_the_step_is_the_coarsest_that_keeps_its_bounds(density, scale):
    signed = np.array([-3.0, 0.0, 1.0, 2.0]) * scale  # mean magnitude of the three others: 2
    positive = np.array([0.5, 3.5]) * scale  # mean 2, smallest 0.5
    for values, bound in ((signed, 2 * scale / 1024), (positive, min(2 / 1024, 0.5 / 32) * scale)):
        qp = vector_qp(values, 10, density)
        assert step_size(qp, density) <= bound * (1 + 1e-12) < step_size(qp + 1, density) * (1 + 2e-12)
    small = np.array([0.001, 4.0]) * scale
    assert step_size(vector_qp(small, 10, density), density) <= 0.001 * scale / 32 * (1 + 1e-12)


def test_zeros_have_no_step():
    assert vector_qp(np.zeros(5, np.float32), 10, 2) is None


def test_errors_of_vectors_keep_to_the_bounds():
    decoded = nnr.decode(nnr.encode(_MODEL, effort="best", qp=-20))
    for name, bound in (("bias", 2.0**-12), ("variance", 2.0**-12)):
        mean = np.abs(_MODEL[name]).mean()
        assert 0 < np.abs(decoded[name] - _MODEL[name]).max() <= 2 * bound * mean  # dq: up to two steps
    assert not decoded["zero"].any()


def test_neither_finer_than_nonweight_qp_nor_coarser_than_qp():
    tiny = {**_MODEL, "bias": _MODEL["bias"] * np.float32(1e-9)}
    for model, qp, expected in ((tiny, -20, -75), (_MODEL, -70, -70)):
        report = encode_stream(model, nnr.EncoderConfig(effort="best", qp=qp)).report
        assert next(t.qp for t in report.tensors if t.name == "bias") == expected


def test_what_is_stated_counts():
    options = {"effort": "best", "qp": -20}
    fine = nnr.encode(_MODEL, **options, vector_bits=0)
    assert len(nnr.encode(_MODEL, **options)) < len(fine)
    assert nnr.encode(_MODEL, **options, qp_per_tensor={"*i*a*": -75, "zero": -75, "weight": -20}) == fine
    same = nnr.encode(_MODEL, **options, nonweight_qp=-76)
    assert same == nnr.encode(_MODEL, **options, nonweight_qp=-76, vector_bits=0)


@pytest.mark.parametrize(
    ("value", "error"), [(-1, ValueError), (25, ValueError), (True, TypeError), (1.5, TypeError)]
)
def test_bad_values_are_named(value, error):
    with pytest.raises(error, match="vector_bits"):
        nnr.EncoderConfig(vector_bits=value)


def test_an_update_of_vectors_is_closed_loop():
    encoder = nnr.Encoder(effort="best", qp=-20)
    receiver = nnr.Decoder()
    receiver.decode(encoder.encode(_MODEL))
    moved = {n: a + np.float32(0.01) * (a != 0) for n, a in _MODEL.items()}
    got = receiver.decode(encoder.encode(moved))
    error = np.abs(np.asarray(got["bias"]) - moved["bias"]).max()
    assert error <= 2 * 2.0**-12 * np.abs(moved["bias"]).mean()
