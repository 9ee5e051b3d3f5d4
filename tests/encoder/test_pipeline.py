"""Encoder and decoder together: what comes back, what is promised, what is refused."""

import concurrent.futures

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import nnr
from nnr.decoder.quantization import step_size
from nnr.encoder.tools import QuantizedTensor, TensorJob
from nnr.syntax.constants import NnrUnitType
from nnr.syntax.stream import read_units


def model(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "conv.weight": rng.laplace(0, 0.02, (16, 8, 3, 3)).astype(np.float32),
        "conv.bias": rng.normal(0, 0.1, 16).astype(np.float32),
        "fc.weight": rng.normal(0, 0.05, (10, 64)).astype(np.float32),
        "steps": np.array(12345, np.int64),
        "half": rng.normal(0, 1, (4, 4)).astype(np.float16),
    }


SETTINGS = [
    {},
    {"dq": False},
    {"param_opt": False},
    {"qp": -20, "qp_density": 3},
    {"qp": -26, "row_skip": False},
    {"cabac_unary_length": 1},
    {"cabac_unary_length": 256},
    {"profile": 0},
    {"profile": 0, "compat": "nncodec1"},
    {"profile": 0, "dq": False, "metadata": False},
    {"scan_order": 1},
    {"scan_order": 2, "dq": False},
    {"scan_order": 4, "profile": 0},
    {"metadata": False},
    {"compat": None, "nonfinite": "raw"},
]


@pytest.mark.parametrize(
    "options", SETTINGS, ids=lambda o: ",".join(f"{k}={v}" for k, v in o.items()) or "default"
)
def test_a_model_comes_back_within_half_a_step(options):
    tensors = model()
    data = nnr.encode(tensors, **options)
    out = nnr.decode(data)
    assert list(out) == list(tensors)
    config = nnr.EncoderConfig(**options)
    for name, array in tensors.items():
        if name == "steps":
            assert int(out[name].reshape(())) == 12345
            continue
        qp = config.qp if array.ndim >= 2 else config.nonweight_qp
        # a state of dependent quantization and a parity leave every fourth multiple of the step
        bound = step_size(qp, config.qp_density) * (2.0 if config.dq else 0.5)
        error = np.abs(out[name].astype(np.float64) - array.astype(np.float64)).max()
        slack = np.finfo(array.dtype).eps * np.abs(array).max() if array.dtype != np.float32 else 1e-6
        assert error <= bound * 1.0001 + slack, name
        if config.metadata:
            assert out[name].dtype == array.dtype
            assert out[name].shape == array.shape


def test_same_input_gives_same_bytes_for_every_thread_count_and_executor():
    rng = np.random.default_rng(3)
    tensors = {f"t{k}": rng.laplace(0, 0.02, (40, 60)).astype(np.float32) for k in range(40)}
    one = nnr.encode(tensors, threads=1)
    assert nnr.encode(tensors, threads=2) == one
    assert nnr.encode(tensors, threads=8) == one
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert nnr.encode(tensors, executor=pool) == one
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert nnr.encode(tensors, executor=pool) == one
    for threads in (1, 2, 8):
        out = nnr.decode(one, threads=threads)
        assert all(np.array_equal(out[name], nnr.decode(one, threads=1)[name]) for name in tensors)


def test_input_layout_does_not_change_the_bytes():
    a = np.random.default_rng(4).normal(0, 0.1, (12, 20)).astype(np.float32)
    expected = nnr.encode({"a": a})
    fortran = np.asfortranarray(a)
    strided = np.repeat(a, 2, axis=1)[:, ::2]
    frozen = a.copy()
    frozen.setflags(write=False)
    for other in (fortran, strided, frozen):
        assert nnr.encode({"a": other}) == expected
    assert nnr.encode({"a": a.astype(np.float64)}, metadata=False) == nnr.encode({"a": a}, metadata=False)


def test_input_is_not_changed():
    tensors = model()
    before = {name: t.copy() for name, t in tensors.items()}
    nnr.encode(tensors)
    assert all(np.array_equal(tensors[name], before[name]) for name in tensors)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 7), min_size=0, max_size=5),
    st.sampled_from(["float32", "float64", "float16", "int32", "int8", "bool", "uint64"]),
    st.integers(0, 2**32),
    st.booleans(),
)
def test_every_shape_and_type_comes_back(shape, dtype, seed, dq):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 0.3, shape) if dtype.startswith("f") else rng.integers(0, 2, shape)
    array = np.asarray(values).astype(dtype)
    out = nnr.decode(nnr.encode({"x": array}, dq=dq))["x"]
    assert out.shape == array.shape
    assert out.dtype == array.dtype
    if not dtype.startswith("f"):
        assert np.array_equal(out, array)


def test_metadata_stays_within_its_budget():
    for count in (1, 10, 200):
        tensors = {f"layer{k}.weight": np.full((3, 3), k, np.float16) for k in range(count)}
        with_it, without = nnr.encode(tensors), nnr.encode(tensors, metadata=False)
        assert 0 < len(with_it) - len(without) <= 64 + 16 * count


def test_metadata_unit_is_the_first_behind_the_parameter_set():
    units = list(read_units(nnr.encode(model())))
    assert [u.unit_type for u in units[:4]] == [
        NnrUnitType.NNR_STR, NnrUnitType.NNR_MPS, NnrUnitType.NNR_TPL, NnrUnitType.NNR_NDU,
    ]  # fmt: skip
    assert units[2].header.unit_header.topology_storage_format >= 128


@pytest.mark.parametrize("position", ["head", "parameters", "first unit", "last byte"])
def test_a_flipped_bit_never_goes_unnoticed(position):
    data = bytearray(nnr.encode(model()))
    offsets = {"head": 3, "parameters": 10, "first unit": 300, "last byte": len(data) - 1}
    data[offsets[position]] ^= 0x10
    with pytest.raises(nnr.BitstreamError):
        nnr.decode(bytes(data))


def test_every_single_byte_change_is_noticed():
    data = nnr.encode({"w": np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6), "n": np.arange(3)})
    for k in range(len(data)):
        for flip in range(1, 256, 1 if k < 52 or k % 16 == 0 else 37):
            changed = bytearray(data)
            changed[k] ^= flip
            with pytest.raises(nnr.BitstreamError):
                nnr.decode(bytes(changed))


def test_a_stream_cut_anywhere_is_truncated():
    data = nnr.encode({"w": np.ones((4, 4), np.float32), "v": np.ones(3, np.float32)})
    for end in range(len(data)):
        with pytest.raises(nnr.BitstreamError):
            nnr.decode(data[:end])
    boundary = [u.byte_offset for u in read_units(data)][-1]
    with pytest.raises(nnr.TruncatedError, match="announced"):
        nnr.decode(data[:boundary])


def test_a_lone_changed_checksum_points_at_its_unit(tmp_path):
    data = bytearray(nnr.encode(model()))
    units = list(read_units(bytes(data)))
    data[units[5].byte_offset + units[5].size - 3] ^= 1
    with pytest.raises(nnr.ConformanceError) as error:
        nnr.decode(bytes(data))
    assert error.value.unit_index == 5
    path = tmp_path / "x.nnr"
    path.write_bytes(data)
    with nnr.open(path) as file:
        names = list(file)
        assert file[names[0]].shape == (16, 8, 3, 3)
        with pytest.raises(nnr.ConformanceError, match="CRC-32"):
            file[names[2]]


def test_save_file_is_atomic_and_reports(tmp_path):
    path = tmp_path / "m.nnr"
    report = nnr.save_file(model(), path, qp=-30)
    assert path.stat().st_size == report.total_bytes
    assert sum(t.coded_bytes for t in report.tensors) < report.total_bytes
    assert [t.name for t in report.tensors] == list(model())
    assert report.as_dict()["ratio"] == report.ratio
    before = path.read_bytes()
    with pytest.raises(ValueError, match="'bad'"):
        nnr.save_file({"bad": np.array([np.nan])}, path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.nnr"]


def test_progress_counts_every_weight():
    seen = []
    nnr.encode(model(), threads=2, progress=lambda done, total, name: seen.append((done, total, name)))
    total = sum(a.size for a in model().values())
    assert [name for _, _, name in seen] == list(model())
    assert seen[-1][:2] == (total, total)


def test_qp_by_name_and_pattern():
    tensors = model()
    report_qps = {}
    data = nnr.encode(tensors, qp_per_tensor={"conv.*": -12, "fc.weight": -50})
    with nnr.open(data) as file:
        for name in file:
            if name != "steps":
                report_qps[name] = file.info(name)["qp"]
    assert report_qps == {"conv.weight": -12, "conv.bias": -12, "fc.weight": -50, "half": -38}


def test_qps_beyond_the_field_move_the_base():
    tensors = {"a": np.array([[1e-20, -3e-20]], np.float32), "b": np.array([[2e-20, 1e-21]], np.float32)}
    data = nnr.encode(tensors, qp=-280)
    out = nnr.decode(data)
    assert np.allclose(out["a"], tensors["a"], atol=step_size(-280, 2))
    with pytest.raises(ValueError, match="too far apart"):
        nnr.encode(tensors, qp_per_tensor={"a": -280, "b": 100})


def test_a_large_level_range_raises_the_qp_and_says_so(tmp_path):
    array = np.array([1e4, -3.0, 0.5], np.float32)
    report = nnr.save_file({"var": array}, tmp_path / "x.nnr")
    assert report.tensors[0].qp > -75
    assert any("raised" in note for note in report.tensors[0].notes)
    assert np.abs(nnr.load_file(tmp_path / "x.nnr")["var"] - array).max() < 1e-4


def test_tools_plug_in():
    class Coarse:
        name = "coarse"

        def quantize(self, tensor: np.ndarray, job: TensorJob) -> QuantizedTensor:
            levels = np.sign(tensor).astype(np.int32)
            return QuantizedTensor(levels, 0, job.qp_density, tool=self.name)

    class Halve:
        name = "halve"

        def apply(self, tensors):
            return {name: t * np.float32(0.5) for name, t in tensors.items()}

    x = np.array([[0.3, -2, 0]], np.float32)
    assert nnr.decode(nnr.encode({"x": x}, pipeline=[Coarse()]))["x"].tolist() == [[1, -1, 0]]
    halved = nnr.decode(nnr.encode({"x": x}, pipeline=[Halve(), "uniform"], qp=-60))["x"]
    assert np.allclose(halved, x / 2, atol=1e-4)
    with pytest.raises(ValueError, match="only one quantizer"):
        nnr.encode({"x": x}, pipeline=["uniform", "dq_trellis"])
    with pytest.raises(ValueError, match="no encoder tool"):
        nnr.encode({"x": x}, pipeline=["nothing"])
    with pytest.raises(TypeError, match="neither"):
        nnr.encode({"x": x}, pipeline=[5])


def test_what_is_lost_is_said(tmp_path):
    report = nnr.save_file({"g": np.full(8, 1e-6, np.float32)}, tmp_path / "x.nnr")
    assert any("becomes zero" in note for note in report.tensors[0].notes)
    report = nnr.save_file({"z": np.zeros((9000, 9000), np.float32)}, tmp_path / "x.nnr")
    assert any("max_output_bytes" in note for note in report.notes)
    with pytest.raises(nnr.LimitError):
        nnr.load_file(tmp_path / "x.nnr")


@pytest.mark.parametrize(
    "options", [{"config": 3}, {"executor": 3}, {"progress": 3}, {"threads": "2"}], ids=str
)
def test_arguments_are_named_in_their_errors(options):
    with pytest.raises(TypeError, match=next(iter(options))):
        nnr.encode({"x": np.ones(3, np.float32)}, **options)


def test_a_shape_that_numpy_does_not_have_is_a_bitstream_error():
    from nnr.metadata import Metadata, TensorRecord, serialize
    from nnr.syntax import parse, write

    data = nnr.encode({"x": np.zeros(0, np.float32)})
    for shape in [(1,) * 65 + (0,), (2**63, 0), (2**62, 2**62, 0)]:
        tree = parse(data)
        unit = tree["units"][2]
        old = nnr.decode(data)
        assert old["x"].size == 0
        from nnr.metadata import parse as parse_metadata

        known = parse_metadata(unit["nnr_unit_payload"]["topology_data"])
        changed = Metadata(
            known.units_before, known.crc_before, known.unit_crcs, [TensorRecord(17, shape=shape)]
        )
        unit["nnr_unit_payload"]["topology_data"] = serialize(changed)
        with pytest.raises(nnr.ConformanceError):
            nnr.decode(write(tree))


def test_the_cost_of_entry_points_is_said(tmp_path):
    """The list is what the header has more than one with the same values and no entry points."""
    x = np.random.default_rng(6).laplace(0, 0.05, (300, 40)).astype(np.float32)
    report = nnr.save_file({"x": x}, tmp_path / "x.nnr", scan_order=1, metadata=False)
    (unit,) = (u for u in read_units((tmp_path / "x.nnr").read_bytes()) if u.unit_type == NnrUnitType.NNR_NDU)
    head = unit.payload_offset - unit.byte_offset
    plain = nnr.encode({"x": x}, metadata=False)
    (other,) = (u for u in read_units(plain) if u.unit_type == NnrUnitType.NNR_NDU)
    difference = head - (other.payload_offset - other.byte_offset)
    (note,) = report.notes
    assert abs(int(note.split()[-5]) - difference) <= 1
