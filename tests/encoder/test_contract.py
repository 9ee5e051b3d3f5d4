"""What every registered quantizer must keep to, whatever it is; a new one gets these tests for nothing."""

import numpy as np
import pytest

import nnr
from nnr.decoder.plan import Role
from nnr.encoder.carry import Carrier
from nnr.encoder.measure import dequantized
from nnr.encoder.pipeline import Part, tensor_job
from nnr.encoder.tools import get_tool, registered_tools

QUANTIZERS = [name for name, tool in registered_tools().items() if hasattr(tool, "quantize")]


def variants(name):
    """A tool with its defaults, and with a weight on the rate where it knows one."""
    tool = get_tool(name)
    return [tool()] + ([tool(lambda_scale=0.8)] if name in ("uniform", "dq_trellis") else [])


def tensors():
    rng = np.random.default_rng(7)
    normal = rng.normal(0, 0.3, (24, 18)).astype(np.float32)
    sparse = normal * (rng.random(normal.shape) < 0.05)
    sparse[5:15] = 0
    return {
        "0-d": np.float32(0.7),
        "1-d": rng.normal(0, 1, 50).astype(np.float32),
        "one element": np.array([[-0.4]], np.float32),
        "3-d": rng.normal(0, 1, (9, 4, 5)).astype(np.float32),
        "6-d": rng.normal(0, 1, (3, 2, 1, 4, 2, 3)).astype(np.float32),
        "constant": np.full((12, 13), 0.37, np.float32),
        "zero": np.zeros((10, 11), np.float32),
        "sparse": sparse.astype(np.float32),
        "huge range": (normal * np.exp(rng.normal(0, 4, normal.shape))).astype(np.float32),
        "tiny": normal * np.float32(1e-20),
        "not contiguous": np.repeat(normal, 3, axis=1)[::-1, ::3],
        "fortran": np.asfortranarray(normal),
        "none": np.zeros((0, 4), np.float32),
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"profile": 0},
        {"scan_order": 1},
        {"scan_order": 3},
        {"row_skip": False},
        {"qp_density": 5, "qp": -100},
        {"cabac_unary_length": 1},
        {"param_opt": False},
        {"blocks": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", QUANTIZERS)
def test_what_is_decoded_is_what_the_tool_promised(name, options):
    options = {"qp": -14, "nonweight_qp": -14} | options
    options["nonweight_qp"] = options["qp"]
    model = tensors()
    for tool in variants(name):
        data = nnr.encode(model, pipeline=[tool], **options)
        assert nnr.encode(model, pipeline=[tool], **options) == data
        out, levels = nnr.decode(data), nnr.decode_levels(data)
        assert list(out) == list(model)
        config = nnr.EncoderConfig(pipeline=[tool], **options)
        for key, array in model.items():
            assert out[key].shape == np.shape(array)
            if not np.size(array):
                continue
            values = np.ascontiguousarray(array).reshape(np.shape(array) or (1,))
            carrier = Carrier(key, key, values, values.shape, "quantize")
            promised = tool.quantize(values, tensor_job(Part(carrier, Role.WEIGHT, options["qp"]), config))
            assert promised.levels.dtype == np.int32
            assert np.array_equal(levels[key], promised.levels), key
            assert np.array_equal(out[key].reshape(values.shape), dequantized(promised)), key


@pytest.mark.parametrize("name", QUANTIZERS)
def test_updates_with_contexts(name):
    """Differences by every tool, in a chain with temporal and history contexts."""
    rng = np.random.default_rng(8)
    for tool in variants(name):
        encoder = nnr.Encoder(pipeline=[tool], qp=-20, nonweight_qp=-20)
        decoder = nnr.Decoder()
        model = {"w": rng.normal(0, 0.3, (30, 20)).astype(np.float32)}
        decoder.decode(encoder.encode(model))
        mask = rng.random((30, 20)) < 0.3
        for _ in range(3):
            model = {"w": model["w"] + (mask * rng.normal(0, 0.2, mask.shape)).astype(np.float32)}
            decoder.decode(encoder.encode_update(model))
            assert np.array_equal(decoder.model["w"], encoder.model["w"])
        assert np.abs(decoder.model["w"] - model["w"]).max() < 0.5


@pytest.mark.parametrize("name", QUANTIZERS)
def test_the_configuration_is_shown(name):
    for tool in variants(name):
        for argument, value in vars(tool).items():
            assert f"{argument}={value}" in repr(tool)
