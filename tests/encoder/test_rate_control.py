"""Targets in place of a qp."""

import numpy as np
import pytest

import nnr


def model(count=4, seed=0):
    rng = np.random.default_rng(seed)
    tensors = {f"w{k}": rng.laplace(0, 0.02 * (k + 1), (40, 50)).astype(np.float32) for k in range(count)}
    tensors["bias"] = rng.normal(0, 0.1, 40).astype(np.float32)
    tensors["count"] = np.arange(5)
    return tensors


@pytest.mark.parametrize("size", [1500, 2600, 3000, 6000])
@pytest.mark.parametrize("options", [{}, {"dq": False}, {"scan_order": 1}], ids=str)
def test_size_is_reached_and_never_exceeded(size, options):
    data = nnr.encode(model(), target_size=size, **options)
    assert size - max(0.005 * size, 64) <= len(data) <= size
    assert nnr.decode(data).keys() == model().keys()


def test_size_of_a_lone_tensor():
    tensors = {"w": np.random.default_rng(1).laplace(0, 0.02, (200, 300)).astype(np.float32)}
    for size in (10_000, 17_000, 40_000):
        data = nnr.encode(tensors, target_size=size)
        assert 0.995 * size <= len(data) <= size


def test_bits_per_weight():
    tensors = model()
    weights = sum(t.size for t in tensors.values())
    data = nnr.encode(tensors, bits_per_weight=3.0)
    assert 2.9 <= 8 * len(data) / weights <= 3.0


def test_a_size_out_of_reach_names_the_smallest():
    with pytest.raises(ValueError, match="smallest size that can is") as error:
        nnr.encode(model(), target_size=100)
    smallest = int(str(error.value).split()[-2])
    data = nnr.encode(model(), target_size=smallest)
    assert len(data) <= smallest
    assert len(nnr.encode({"n": np.arange(9)}, target_size=10_000)) < 1000


def test_a_size_larger_than_needed_gives_the_finest():
    tensors = model(1)
    out = nnr.decode(nnr.encode(tensors, target_size=10**6))
    assert np.abs(out["w0"] - tensors["w0"]).max() < 1e-6


@pytest.mark.parametrize("bound", [0.05, 0.001])
@pytest.mark.parametrize("dq", [True, False])
def test_largest_error(bound, dq, tmp_path):
    tensors = model()
    report = nnr.save_file(tensors, tmp_path / "x.nnr", max_error=bound, dq=dq)
    out = nnr.load_file(tmp_path / "x.nnr")
    worst = max(float(np.abs(out[name] - tensors[name]).max()) for name in tensors)
    assert bound / 8 < worst <= bound
    assert report.max_error == pytest.approx(worst, rel=1e-5)


@pytest.mark.parametrize("target", [20.0, 45.5])
def test_signal_to_noise_ratio(target, tmp_path):
    tensors = model()
    report = nnr.save_file(tensors, tmp_path / "x.nnr", psnr=target)
    out = nnr.load_file(tmp_path / "x.nnr")
    for row in report.tensors:
        if row.tool == "integer":
            continue
        a = tensors[row.name].astype(np.float64)
        mse = ((out[row.name] - a) ** 2).mean()
        psnr = 10 * np.log10(np.abs(a).max() ** 2 / mse)
        assert psnr == pytest.approx(row.psnr, abs=0.01)
        assert target <= psnr < target + 3


def test_zero_and_empty_tensors_have_no_say():
    tensors = {"z": np.zeros((3, 4), np.float32), "e": np.zeros((0, 2), np.float32), "w": model()["w0"]}
    for options in ({"psnr": 30.0}, {"max_error": 0.01}, {"target_size": 900}, {"bits_per_weight": 3.0}):
        out = nnr.decode(nnr.encode(tensors, **options))
        assert not out["z"].any()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"psnr": 30.0, "max_error": 0.1}, ValueError),
        ({"target_size": 0}, ValueError),
        ({"target_size": 1.5}, TypeError),
        ({"bits_per_weight": float("nan")}, ValueError),
        ({"max_error": "small"}, TypeError),
    ],
)
def test_targets_are_checked(options, error):
    with pytest.raises(error, match=next(iter(options))):
        nnr.EncoderConfig(**options)


def test_a_target_takes_the_place_of_qp():
    tensors = {"w": np.ones((4, 4), np.float32)}
    for options in ({"psnr": 30.0}, {"target_size": 900}):
        with pytest.raises(ValueError, match=r"qp and (psnr|target_size) exclude each other"):
            nnr.encode(tensors, qp=-30, **options)
    assert nnr.encode(tensors, qp=-30, psnr=None)


def test_targets_do_not_depend_on_threads():
    assert nnr.encode(model(), target_size=4000, threads=1) == nnr.encode(
        model(), target_size=4000, threads=4
    )


def test_vectors_keep_their_quality_while_weights_make_room():
    tensors = model()
    for options in ({"target_size": 4000}, {"bits_per_weight": 4.0}, {"target_size": 3000, "allocate": True}):
        out = nnr.decode(nnr.encode(tensors, **options))
        assert np.abs(out["bias"] - tensors["bias"]).max() <= 2.1 * 2.0 ** (-75 / 4), options
