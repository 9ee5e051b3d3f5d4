"""Options: defaults of the contract, ranges, and messages that name the option."""

import dataclasses

import pytest

from nnr.encoder.config import EncoderConfig


def test_defaults_are_those_of_the_contract():
    config = EncoderConfig()
    assert (config.qp, config.qp_density, config.nonweight_qp) == (-38, 2, -75)
    assert (config.dq, config.param_opt, config.row_skip, config.metadata) == (True, True, True, True)
    assert (config.cabac_unary_length, config.scan_order, config.profile) == (11, 0, 1)
    assert config.resolved().lambda_scale == 0
    assert config.nonfinite == "error"


def test_every_option_has_a_help_text():
    assert all(f.metadata["help"] for f in dataclasses.fields(EncoderConfig))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"qp": 1.5}, TypeError),
        ({"qp": True}, TypeError),
        ({"qp": 10**6}, ValueError),
        ({"qp_density": 8}, ValueError),
        ({"dq": 1}, TypeError),
        ({"scan_order": 5}, ValueError),
        ({"profile": 2}, ValueError),
        ({"compat": "other"}, ValueError),
        ({"compat": "nncodec1"}, ValueError),
        ({"cabac_unary_length": 0}, ValueError),
        ({"cabac_unary_length": 257}, ValueError),
        ({"nonfinite": "zero"}, ValueError),
        ({"raw": "name"}, TypeError),
        ({"qp_per_tensor": {"x": "5"}}, TypeError),
        ({"lambda_scale": -1.0}, ValueError),
    ],
)
def test_a_wrong_value_is_named(options, error):
    with pytest.raises(error, match=next(iter(options))):
        EncoderConfig(**options)


def test_an_unknown_option_is_a_type_error_that_lists_the_known():
    with pytest.raises(TypeError, match=r"'speed'.*\bqp\b"):
        EncoderConfig().replace(speed=3)


@pytest.mark.parametrize(
    "options",
    [
        {"raw": 5},
        {"raw": (1,)},
        {"pipeline": "uniform"},
        {"pipeline": 5},
        {"qp_per_tensor": [("a", 1)]},
        {"importance": 3},
        {"qp_per_tensor": {1: 2}},
        {"lambda_scale": False},
    ],
    ids=str,
)
def test_a_wrong_type_is_named(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        EncoderConfig(**options)


def test_integers_of_numpy_are_integers():
    import numpy as np

    assert EncoderConfig(qp=np.int64(-30), qp_density=np.uint8(3)).qp == -30


def test_effort_fills_in_what_is_not_given():
    best = EncoderConfig(effort="best").resolved()
    assert (best.lambda_scale, best.blocks, best.vector_bits) == (1.0, True, 12)
    assert EncoderConfig(effort="best", nonweight_qp=-80).resolved().vector_bits == 0
    assert EncoderConfig(effort="best", lambda_scale=0.0).resolved().lambda_scale == 0.0
    assert EncoderConfig(effort="fast", blocks=True).resolved().blocks is True
    with pytest.raises(ValueError, match="effort"):
        EncoderConfig(effort="much")
