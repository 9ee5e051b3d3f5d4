"""Encoder of updates: closed loop, absent units, contexts, parents."""

import numpy as np
import pytest

import nnr
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.stream import read_units


def rounds(count=4, seed=0):
    """A model that trains: every round moves some rows of some tensors."""
    rng = np.random.default_rng(seed)
    model = {
        "a": rng.normal(0, 0.1, (30, 40)).astype(np.float32),
        "b": rng.normal(0, 0.1, (12, 3, 3, 3)).astype(np.float32),
        "bias": rng.normal(0, 0.1, 12).astype(np.float32),
        "steps": np.array(5, np.int64),
        "half": rng.normal(0, 1, (6, 6)).astype(np.float16),
    }
    yield model
    moves = rng.random((30, 1)) < 0.4
    for k in range(1, count):
        model = dict(model)
        model["a"] = model["a"] + (moves * rng.normal(0, 0.02, (30, 40))).astype(np.float32)
        if k % 2:
            model["b"] = model["b"] + rng.normal(0, 0.02, (12, 3, 3, 3)).astype(np.float32)
        model["steps"] = model["steps"] + np.int64(100)
        yield model


OPTIONS = [
    {},
    {"dq": False},
    {"compat": None},
    {"scan_order": 1},
    {"parent_id": "sha256"},
    {"parent_id": "sha512"},
    {"metadata": False},
    {"row_skip": False},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_chain_of_updates_follows_the_model(options):
    encoder, decoder = nnr.Encoder(qp=-26, **options), nnr.Decoder()
    for k, model in enumerate(rounds()):
        data = encoder.encode(model) if k == 0 else encoder.encode_update(model)
        carried = decoder.decode(data)
        assert encoder.model.keys() == decoder.model.keys() == model.keys()
        for name, array in model.items():
            assert np.array_equal(encoder.model[name], decoder.model[name])
            if name == "steps":
                assert int(decoder.model[name].reshape(())) == int(array)
            else:
                error = np.abs(decoder.model[name].astype(np.float64) - array.astype(np.float64)).max()
                assert error < 0.06, (k, name)  # step size 2^-6.5, at most two of them, without piling up
        if k == 2:
            assert "b" not in carried, "what did not move needs no unit"
    assert encoder.report is not None
    assert encoder.report.total_bytes == len(data)


def test_updates_are_smaller_than_the_model():
    encoder = nnr.Encoder(qp=-26)
    models = list(rounds())
    base = encoder.encode(models[0])
    assert len(encoder.encode_update(models[1])) < len(base) / 2


def test_an_unchanged_model_is_an_empty_update():
    encoder, decoder = nnr.Encoder(qp=-26), nnr.Decoder()
    model = next(rounds())
    decoder.decode(encoder.encode(model))
    data = encoder.encode_update(encoder.model)
    assert not [u for u in read_units(data) if u.unit_type == NnrUnitType.NNR_NDU]
    before = decoder.model
    assert decoder.decode(data) == {}
    assert all(np.array_equal(decoder.model[name], before[name]) for name in before)


def test_contexts_are_used_where_they_save_bytes():
    rng = np.random.default_rng(1)
    mask = rng.random((60, 80)) < 0.1
    encoder = nnr.Encoder(qp=-30)
    model = {"w": rng.normal(0, 1, (60, 80)).astype(np.float32)}
    encoder.encode(model)
    flags = []
    for _ in range(3):
        model = {"w": model["w"] + (mask * rng.normal(0, 0.1, mask.shape)).astype(np.float32)}
        (unit,) = (u for u in read_units(encoder.encode_update(model)) if u.unit_type == NnrUnitType.NNR_NDU)
        flags.append(unit.header.unit_header.temporal_context_modeling_flag)
        assert unit.header.independently_decodable_flag == 0
    assert flags == [0, 1, 1]  # under compat the first update has no base


def test_update_against_a_given_base():
    models = list(rounds(2))
    base = nnr.encode(models[0], qp=-26)
    data = nnr.encode(models[1], base=base, qp=-26)
    assert len(data) < len(base)
    out = nnr.decode(data, base=base)
    assert np.abs(out["a"] - models[1]["a"]).max() < 0.06
    assert out["half"].dtype == np.float16
    decoder = nnr.Decoder()
    decoder.decode(base)
    assert nnr.encode(models[1], base=decoder, qp=-26) == data
    plain = nnr.encode(models[1], base={**nnr.decode(base, form="coded")}, qp=-26)
    assert np.array_equal(nnr.decode(plain, base=nnr.decode(base, form="coded"))["a"], out["a"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: {**m, "new": np.ones(2, np.float32)}, "'new'.*not in the base"),
        (lambda m: {k: v for k, v in m.items() if k != "bias"}, "'bias'.*missing"),
        (lambda m: {**m, "a": np.ones((3, 3), np.float32)}, r"'a'.*\[3, 3\]"),
        (lambda m: {**m, "a": np.ones((30, 40), np.int32)}, "'a'.*integer"),
    ],
)
def test_an_update_must_fit_its_base(change, words):
    encoder = nnr.Encoder()
    model = next(rounds())
    encoder.encode(model)
    before = encoder.model
    with pytest.raises(ValueError, match=words):
        encoder.encode_update(change(model))
    assert all(np.array_equal(encoder.model[name], before[name]) for name in before)


def test_profile_0_has_no_updates():
    with pytest.raises(ValueError, match="profile"):
        nnr.Encoder(profile=0)


def headers(data):
    units = (unit for unit in read_units(data) if unit.unit_type == NnrUnitType.NNR_NDU)
    return [unit.header.unit_header for unit in units]


@pytest.mark.parametrize("blocks", [False, True])
def test_an_update_has_the_numbers_of_its_parents(blocks):
    """(decoding 11.2) The parent of a unit is the node of the same parameter_id, whatever the order."""
    rng = np.random.default_rng(1)
    model = {
        "one.weight": rng.normal(0, 0.1, (8, 9)).astype(np.float32),
        "one.bias": rng.normal(0, 0.1, 8).astype(np.float32),
        "two.weight": rng.normal(0, 0.1, (5, 8)).astype(np.float32),
    }
    encoder = nnr.Encoder(blocks=blocks)
    base = headers(encoder.encode(model))
    number = {name: header.parameter_id for header in base for name in header.element_ids}
    assert len(set(number.values())) == len(base) == (2 if blocks else 3)
    for depth in (1, 2):
        changed = {name: array + np.float32(0.01 * depth) for name, array in reversed(model.items())}
        updates = headers(encoder.encode_update(changed))
        assert {header.topology_elem_id: header.parameter_id for header in updates} == number
        assert all(header.put_node_depth == depth for header in updates)


def test_a_base_without_node_ids_gets_numbers_that_stay():
    rng = np.random.default_rng(2)
    model = {name: rng.normal(0, 0.1, (4, 5)).astype(np.float32) for name in "abc"}
    encoder = nnr.Encoder(base=nnr.encode(model))
    model = encoder.model
    model["b"] = model["b"] + np.float32(0.1)
    (first,) = headers(encoder.encode_update(model))
    model = {name: array + np.float32(0.1) for name, array in reversed(model.items())}
    second = {
        header.topology_elem_id: header.parameter_id for header in headers(encoder.encode_update(model))
    }
    assert second["b"] == first.parameter_id
    assert len(set(second.values())) == 3


def test_wide_integers_keep_their_limbs():
    encoder, decoder = nnr.Encoder(), nnr.Decoder()
    values = [np.array(v, np.int64) for v in ([2**40, -(2**62)], [5, 7], [-(2**61), 3], [2**63 - 1, 0])]
    decoder.decode(encoder.encode({"n": values[0]}))
    for value in values[1:]:
        decoder.decode(encoder.encode_update({"n": value}))
        assert np.array_equal(decoder.model["n"], value)
        assert decoder.model["n"].dtype == np.int64


def test_the_report_on_an_update_has_the_errors_of_the_model():
    """Squared error and largest error of what a decoder then has; the peak is that of the tensor."""
    first, second, *_ = rounds()
    encoder = nnr.Encoder(qp=-26, dq=False)  # what did not move is then within half a step
    encoder = nnr.Encoder(qp=-26, dq=False, base=encoder.encode(first))  # which knows nothing of `first`
    encoder.encode_update(second)
    rows = {t.name: t for t in encoder.report.tensors}
    for name in ("a", "b"):
        error = encoder.model[name].astype(np.float64) - second[name].astype(np.float64)
        assert rows[name].squared_error == pytest.approx((error**2).sum(), rel=1e-4)
        assert rows[name].max_error == pytest.approx(np.abs(error).max(), rel=1e-4)
        assert rows[name].peak == np.abs(second[name]).max()
        assert rows[name].psnr > 20
    assert rows["half"].tool == "unchanged"
    assert not rows["half"].notes, "the difference becomes zero, not the tensor"


def test_exact_tensors_do_not_make_the_psnr_of_all_better():
    model = {"w": np.linspace(-1, 1, 300, dtype=np.float32).reshape(15, 20)}
    counted = {**model, "steps": np.array(1 << 60, np.int64)}
    found = []
    for tensors in (model, counted):
        encoder = nnr.Encoder(qp=-20)
        encoder.encode(tensors)
        found.append(encoder.report)
    assert found[0].psnr == found[1].psnr == found[1].tensors[0].psnr < 60
