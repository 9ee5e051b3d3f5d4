"""What users, scripts and outside checks rely on, tried from outside: names, signatures, results, errors.

Every test is a sentence of the public contract. Nothing but the public names of the package is used.
"""

from __future__ import annotations

import concurrent.futures
import inspect
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nnr

Model = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def model() -> Model:
    """Every dtype and layout that is accepted."""
    rng = np.random.default_rng(1)
    tensors: Model = {
        "conv1.weight": rng.normal(0, 0.1, (8, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(0, 0.1, 8).astype(np.float32),
        "double": rng.normal(0, 0.1, (4, 5)),
        "half": rng.normal(0, 0.1, (4, 5)).astype(np.float16),
        "scalar": np.array(3.5, np.float32),
        "empty": np.zeros((0, 3), np.float32),
        "flags": np.array([True, False, True]),
        "fortran": np.asfortranarray(rng.normal(0, 0.1, (5, 7)).astype(np.float32)),
        "strided": rng.normal(0, 0.1, (9, 9)).astype(np.float32)[::-1, ::2],
        "swapped": rng.normal(0, 0.1, (3, 4)).astype(">f4"),
        "read only": rng.normal(0, 0.1, (3, 3)).astype(np.float32),
    }
    tensors["read only"].flags.writeable = False
    for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"):
        tensors[kind] = np.array([0, 1, np.iinfo(kind).max], kind)
    return tensors


@pytest.fixture(scope="module")
def data(model: Model) -> bytes:
    """The model as a bitstream."""
    return nnr.encode(model, qp=-38)


def same(a: Any, b: Any) -> bool:
    return list(a) == list(b) and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and np.array_equal(a[n], b[n]) for n in a
    )


def test_a_file_comes_back_with_names_shapes_and_dtypes_in_order(
    model: Model, data: bytes, tmp_path: Path
) -> None:
    report = nnr.save_file(model, tmp_path / "model.nnr", qp=-38)
    assert isinstance(report, nnr.EncodeReport)
    assert [t.name for t in report.tensors] == list(model)
    assert (tmp_path / "model.nnr").read_bytes() == data
    tensors = nnr.load_file(tmp_path / "model.nnr")
    assert isinstance(tensors, dict)
    assert list(tensors) == list(model)
    for name, array in model.items():
        assert (tensors[name].shape, tensors[name].dtype) == (array.shape, array.dtype), name
        if array.dtype.kind == "f":
            # within one step of the grid at qp -38 and density 2 (decoding 8), 2^(-38/4)
            assert np.abs(tensors[name].astype(float) - array).max(initial=0) <= 2 * 2 ** (-38 / 4), name
        else:
            assert np.array_equal(tensors[name], array), name


def test_bfloat16_comes_back_as_bfloat16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    tensors = {"w": np.arange(-8, 8).reshape(4, 4).astype(ml_dtypes.bfloat16)}
    assert nnr.decode(nnr.encode(tensors))["w"].dtype == ml_dtypes.bfloat16


def test_decode_takes_bytes_of_any_kind_and_paths(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(data)
    expected = nnr.decode(data)
    assert hasattr(expected, "report")
    for source in (bytearray(data), memoryview(data), path, str(path)):
        assert same(nnr.decode(source), expected)


def test_signatures() -> None:
    def defaults(function: Callable[..., Any]) -> dict[str, Any]:
        return {n: p.default for n, p in inspect.signature(function).parameters.items()}

    decode = {"base": None, "form": "plain", "out_of_band": None, "threads": None, "limits": None}
    assert {**decode, "backend": "c"}.items() <= defaults(nnr.decode).items()
    encode = {"config": None, "base": None, "threads": None, "executor": None, "progress": None}
    assert encode.items() <= defaults(nnr.encode).items()
    assert "backend" in defaults(nnr.decode_levels)
    assert "backend" in defaults(nnr.Decoder)


def test_defaults_of_the_encoder() -> None:
    expected = {
        "qp": -38, "qp_density": 2, "nonweight_qp": -75, "dq": True, "param_opt": True,
        "cabac_unary_length": 11, "row_skip": True, "scan_order": 0, "profile": 1,
    }  # fmt: skip
    config = nnr.EncoderConfig()
    assert {name: getattr(config, name) for name in expected} == expected
    options = {
        "qp_per_tensor", "codebook", "bitdepth", "lambda_scale", "importance", "compat", "effort",
        "nonfinite", "metadata", "pipeline", "bits_per_weight", "target_size", "max_error", "psnr",
    }  # fmt: skip
    assert options <= set(inspect.signature(nnr.EncoderConfig).parameters)


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_the_number_of_threads_changes_nothing(model: Model, data: bytes, threads: int | None) -> None:
    assert nnr.encode(model, threads=threads) == data
    assert same(nnr.decode(data, threads=threads), nnr.decode(data))


def test_any_executor_will_do(model: Model, data: bytes) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        assert nnr.encode(model, executor=executor) == data


def test_progress_is_told_of_weights() -> None:
    calls: list[tuple[int, int, str]] = []
    nnr.encode({"a": np.ones((3, 4)), "b": np.ones(5)}, progress=lambda *call: calls.append(call))
    assert calls[-1][:2] == (17, 17)
    assert {call[2] for call in calls} == {"a", "b"}
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)


def test_opened_files_are_lazy_mappings(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(data)
    expected = nnr.decode(data)
    with nnr.open(path) as file:
        assert list(file.keys()) == list(expected)
        assert np.array_equal(file["conv1.weight"], expected["conv1.weight"])
        facts = file.info("conv1.weight")
        assert (tuple(facts["shape"]), facts["dtype"], facts["qp"]) == ((8, 3, 3, 3), "float32", -38)
        assert 0 < facts["payload_bytes"] < len(data)
        assert "tools" in facts
        assert file.units[0].byte_offset == 0
        assert sum(unit.size for unit in file.units) == len(data)


def test_updates_accumulate_in_a_closed_loop() -> None:
    rng = np.random.default_rng(2)
    rounds = [{"w": rng.normal(0, 0.1, (16, 16)).astype(np.float32)}]
    for _ in range(5):
        rounds.append({"w": rounds[-1]["w"] + rng.normal(0, 0.02, (16, 16)).astype(np.float32)})
    encoder, decoder = nnr.Encoder(), nnr.Decoder()
    decoder.decode(encoder.encode(rounds[0]))
    for before, after in itertools.pairwise(rounds):
        had = decoder.model["w"]
        carried = decoder.decode(encoder.encode_update(after))
        assert np.allclose(carried["w"], after["w"] - before["w"], atol=0.01), "the update as carried"
        assert np.allclose(decoder.model["w"], had + carried["w"], atol=1e-6)
    worst = np.abs(decoder.model["w"] - rounds[-1]["w"]).max()
    assert worst <= 2 * 2 ** (-38 / 4), "errors do not add up"


@pytest.mark.parametrize("kind", ["bytes", "dict", "Decoder"])
def test_a_base_is_a_bitstream_a_dict_or_a_decoder(kind: str) -> None:
    model = {"w": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8)}
    after = {"w": model["w"] * np.float32(1.1)}
    encoder = nnr.Encoder()
    base = encoder.encode(model)
    update = encoder.encode_update(after)
    decoder = nnr.Decoder()
    decoder.decode(base)
    given = {"bytes": base, "dict": dict(nnr.decode(base)), "Decoder": decoder}[kind]
    assert np.allclose(nnr.decode(update, base=given)["w"], after["w"], atol=0.01)
    again = nnr.encode(after, base=given)
    assert kind == "dict" or again == update


def test_levels_are_int32_and_the_reference_agrees(data: bytes) -> None:
    levels = nnr.decode_levels(data)
    assert {array.dtype for array in levels.values()} == {np.dtype(np.int32)}
    reference = nnr.decode_levels(data, backend="python")
    assert same(levels, reference)
    assert same(nnr.decode(data), nnr.decode(data, backend="python"))


def test_the_coded_form_of_lone_tensors_is_the_plain_one() -> None:
    tensors = {"w": np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8), "b": np.ones(8, np.float32)}
    stream = nnr.encode(tensors)
    coded = nnr.decode(stream, form="coded")
    assert same(coded, nnr.decode(stream))
    assert list(nnr.decode_levels(stream)) == list(coded)


def test_describe_and_the_tree_of_plain_values(data: bytes) -> None:
    description = nnr.describe(data)
    json.dumps(description, allow_nan=False)
    first = description["units"][0]["elements"][0]
    assert (first["bit_offset"], first["value"]) == (0, 0)
    assert nnr.syntax.write(nnr.syntax.parse(data)) == data


def test_the_family_of_errors() -> None:
    for name in ("TruncatedError", "ConformanceError", "LimitError", "UnsupportedError"):
        assert issubclass(getattr(nnr, name), nnr.BitstreamError)
    for name in ("BitstreamError", "SyntaxValueError", "CoreError"):
        assert issubclass(getattr(nnr, name), nnr.NnrError)
    assert issubclass(nnr.SyntaxValueError, ValueError)


@pytest.mark.parametrize("end", [0, 1, 3, 40, -1])
def test_a_cut_stream_says_where(data: bytes, end: int) -> None:
    with pytest.raises(nnr.BitstreamError) as caught:
        nnr.decode(data[:end])
    for field in ("byte_offset", "bit_offset", "unit_index", "path", "clause"):
        assert hasattr(caught.value, field)
    assert caught.value.byte_offset <= len(data[:end])
    assert "\n" not in str(caught.value)


def test_a_limit_is_named(data: bytes) -> None:
    with pytest.raises(nnr.LimitError, match="max_output_bytes"):
        nnr.decode(data, limits=nnr.Limits(max_output_bytes=10))


@pytest.mark.parametrize(
    ("call", "kind", "named"),
    [
        (lambda t: nnr.encode(t, frobnicate=1), TypeError, "frobnicate"),
        (lambda t: nnr.encode(t, qp="x"), TypeError, "qp"),
        (lambda t: nnr.encode(t, qp=10**6), ValueError, "qp"),
        (lambda t: nnr.encode(t, psnr=40, bits_per_weight=3), ValueError, "psnr"),
        (lambda t: nnr.encode(t, effort="most"), ValueError, "effort"),
        (lambda t: nnr.encode(t, threads=0), ValueError, "threads"),
        (lambda t: nnr.encode(t, executor=3), TypeError, "executor"),
        (lambda t: nnr.encode({"bad": np.array([[1, np.nan]])}), ValueError, "bad"),
        (lambda t: nnr.encode({"bad": np.array(["text"])}), TypeError, "bad"),
        (lambda t: nnr.encode({3: np.ones(2)}), TypeError, "3"),
        (lambda t: nnr.encode([np.ones(2)]), TypeError, "tensors"),
        (lambda t: nnr.decode(nnr.encode(t), form="raw"), ValueError, "form"),
        (lambda t: nnr.decode(nnr.encode(t), backend="rust"), ValueError, "backend"),
        (lambda t: nnr.decode(nnr.encode(t), limits=3), TypeError, "limits"),
        (lambda t: nnr.decode(3), TypeError, "data"),
        (lambda t: nnr.load_file(b"bytes"), TypeError, "path"),
        (lambda t: nnr.Encoder(frobnicate=1), TypeError, "frobnicate"),
    ],
)
def test_a_wrong_argument_is_named(call: Callable[[Model], object], kind: type, named: str) -> None:
    with pytest.raises(kind, match=named) as caught:
        call({"w": np.ones((2, 2), np.float32)})
    assert isinstance(caught.value, (ValueError, TypeError))


@pytest.mark.parametrize("target", ["bits_per_weight", "target_size", "max_error", "psnr"])
def test_a_target_is_met(target: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    weights = {"w": rng.normal(0, 0.1, (100, 100)).astype(np.float32)}
    value = {"bits_per_weight": 3.0, "target_size": 3000, "max_error": 0.01, "psnr": 40.0}[target]
    data = nnr.encode(weights, **{target: value})
    error = nnr.decode(data)["w"].astype(float) - weights["w"]
    decibels = 20 * math.log10(np.abs(weights["w"]).max() / math.sqrt(np.mean(error**2)))
    met = {
        "bits_per_weight": 2.8 < 8 * len(data) / 10_000 <= 3.0,
        "target_size": 2800 < len(data) <= 3000,
        "max_error": 0.003 < np.abs(error).max() <= 0.01,
        "psnr": 40 <= decibels < 43,
    }
    assert met[target], (len(data), np.abs(error).max(), decibels)


def test_what_cannot_be_carried_exactly_is_said(tmp_path: Path) -> None:
    report = nnr.save_file({"w": np.ones((2, 2))}, tmp_path / "x.nnr", metadata=False)
    assert "float32" in " ".join(report.tensors[0].notes)
    assert nnr.load_file(tmp_path / "x.nnr")["w"].dtype == np.float32


def test_a_file_appears_complete_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.nnr"
    path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match="bad"):
        nnr.save_file({"good": np.ones((2, 2)), "bad": np.array([[np.inf]])}, path)
    assert path.read_bytes() == b"earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["x.nnr"]


def test_versions_and_capabilities() -> None:
    assert isinstance(nnr.__version__, str)
    assert {"editions", "tool_sets"} <= set(nnr.capabilities())


@pytest.mark.parametrize("threads", [1, 3])
def test_progress_counts_weights_of_the_model_and_not_parts_of_integers(threads: int) -> None:
    """An int64 travels in up to three tensors of 30 bits, a float64 as a bit pattern in three."""
    tensors = {
        "ids": np.arange(1000, dtype=np.int64) << 40,
        "odd": np.full((10, 10), np.pi),
        "w": np.linspace(0, 1, 5000, dtype=np.float32).reshape(50, 100),
    }
    encoded: list[tuple[int, int, str]] = []
    decoded: list[tuple[int, int, str]] = []
    data = nnr.encode(
        tensors, raw=("odd",), compat=None, threads=threads, progress=lambda *call: encoded.append(call)
    )
    nnr.decode(data, threads=threads, progress=lambda *call: decoded.append(call))
    for calls in (encoded, decoded):
        assert len(calls) > len(tensors), "parts are told of, too"
        assert {total for _, total, _ in calls} == {6100}
        assert [done for done, _, _ in calls] == sorted(done for done, _, _ in calls)
        assert calls[-1][0] == 6100
