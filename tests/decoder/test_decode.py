"""Decoder, updates and forms, with streams assembled by hand and results worked out from the "
"specification."""

import hashlib

import numpy as np
import pytest

import nnr
from nnr.decoder.forms import multiply
from tests.build import Builder


def base_stream() -> bytes:
    return bytes(
        Builder(parents=True).raw("w", [[1.0, 2.0], [3.0, 4.0]], depth=0).raw("b", [5.0, 6.0], depth=0)
    )


def update(values, depth, **options) -> bytes:
    return bytes(Builder(parents=True, **options).raw("w", values, depth=depth, parent="id"))


def test_raw_floats_come_back_bit_for_bit():
    odd = np.array([np.nan, -0.0, np.inf, 1e-45], np.float32)
    odd[0] = np.array([0x7FC12345], np.uint32).view(np.float32)[0]
    out = nnr.decode(bytes(Builder().raw("x", odd)))["x"]
    assert out.tobytes() == odd.tobytes()


def test_updates_add_up_and_absent_units_change_nothing():
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    carried = decoder.decode(update([[0.5, 0], [0, -1]], 1))
    assert list(carried) == ["w"]
    assert carried["w"].tolist() == [[0.5, 0], [0, -1]]
    decoder.decode(update([[1, 1], [1, 1]], 2))
    assert decoder.model["w"].tolist() == [[2.5, 3], [4, 4]]
    assert decoder.model["b"].tolist() == [5, 6]


def test_predictive_residuals_are_differences_to_the_previous_update():
    """(decoding 11.4) update_2 = update_1 + decoded, new = old + update_2."""
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    decoder.decode(update([[1, 0], [0, 0]], 1, predictive=True))
    decoder.decode(update([[0.5, 2], [0, 0]], 2, predictive=True))
    assert decoder.model["w"].tolist() == [[1 + 1 + 1.5, 2 + 2], [3, 4]]


@pytest.mark.parametrize("depth", [1, 3], ids=["twice", "one missing"])
def test_an_update_of_the_wrong_depth_is_refused_and_changes_nothing(depth):
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    decoder.decode(update([[1, 1], [1, 1]], 1))
    before = decoder.state
    with pytest.raises(nnr.ConformanceError) as error:
        decoder.decode(update([[1, 1], [1, 1]], depth))
    assert error.value.clause == "decoding 11.2"
    assert error.value.unit_index == 2
    assert decoder.state == before


def test_parents_are_found_by_the_digest_of_their_payload():
    payload = np.array([[1, 2], [3, 4]], "<f4").tobytes()
    good = bytes(Builder(parents=True).raw("w", [[1, 0], [0, 0]], parent=payload))
    bad = bytes(Builder(parents=True).raw("w", [[1, 0], [0, 0]], parent=payload[::-1]))
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    with pytest.raises(nnr.ConformanceError, match=hashlib.sha256(payload).hexdigest()[:16]):
        decoder.decode(bad)
    decoder.decode(good)
    assert decoder.model["w"].tolist() == [[2, 2], [3, 4]]
    with pytest.raises(nnr.ConformanceError):
        decoder.decode(good)  # the parent is now the update itself


def test_an_update_of_an_unknown_parameter_by_digest_is_for_another_base():
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    with pytest.raises(nnr.ConformanceError, match="of which the decoder has none"):
        decoder.decode(bytes(Builder(parents=True).raw("v", [1.0], parent=b"anything")))


def test_a_chain_may_start_without_its_base():
    """(decoding 11.2) Differential units of depth 1 whose base model was never sent can be decoded."""
    assert nnr.decode(update([[1, 1], [1, 1]], 1))["w"].tolist() == [[1, 1], [1, 1]]


def test_dimensions_of_an_update_may_come_from_its_base():
    stream = Builder(parents=True).raw(
        "w",
        [[1, 1], [1, 1]],
        depth=1,
        parent="id",
    )
    with_dims = bytes(stream)
    fields = nnr.decode(base_stream(), form="coded")
    assert nnr.decode(with_dims, base=base_stream())["w"].tolist() == [[2, 3], [4, 5]]
    assert nnr.decode(with_dims, base=fields)["w"].tolist() == [[2, 3], [4, 5]]


def test_a_decoder_given_as_base_stays_as_it_is():
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    before = decoder.state
    out = nnr.decode(update([[1, 1], [1, 1]], 1), base=decoder)
    assert out["w"].tolist() == [[2, 3], [4, 5]]
    assert out["b"].tolist() == [5, 6]
    carried = nnr.decode(update([[1, 1], [1, 1]], 1), base=decoder, form="coded")
    assert list(carried) == ["w"]
    assert decoder.state == before


def test_state_survives_a_process(tmp_path):
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    decoder.decode(update([[1, 1], [1, 1]], 1, predictive=True))
    path = tmp_path / "state"
    path.write_bytes(decoder.state)
    other = nnr.Decoder(state=path)
    assert other.state == decoder.state
    for d in (decoder, other):
        d.decode(update([[0, 0], [0, 1]], 2, predictive=True))
    assert other.model["w"].tolist() == decoder.model["w"].tolist() == [[3, 4], [5, 7]]


@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"x" * 100])
def test_other_bytes_are_no_state(data):
    with pytest.raises(ValueError, match="state"):
        nnr.Decoder(state=data)


def test_parts_of_a_unit_are_put_together():
    """(semantics 1) The counter starts at the number of parts, 1 marks the last; payloads are "
    "concatenated."""
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    data = values.tobytes()
    parts = [data[:5], data[5:20], data[20:]]
    stream = Builder()
    for k, piece in enumerate(parts):
        stream.raw("w", values, part=3 - k, payload=piece)
    assert nnr.decode(bytes(stream))["w"].tolist() == values.tolist()

    cut = b"".join(stream.units[:-1])
    with pytest.raises(nnr.TruncatedError, match="last 1 parts"):
        nnr.decode(cut)
    swapped = b"".join([*stream.units[:2], stream.units[3], stream.units[2], stream.units[4]])
    with pytest.raises(nnr.ConformanceError) as error:
        nnr.decode(swapped)
    assert error.value.clause == "semantics 1"


def test_a_tensor_of_several_elements_is_taken_apart():
    """(semantics 9) The coded tensor is the concatenation of its elements along an axis."""
    values = np.arange(12, dtype="<f4").reshape(2, 6)
    mapping = {
        "concatenation_axis_index": 1,
        "split_index": [1, 4],
        "number_of_shifts": [0, 1],
        "shift_index": [[], [0]],
        "shift_value": [[], [1]],
    }
    data = bytes(Builder().raw(["a", "b", "c"], values, topology_tensor_dimension_mapping=mapping))
    plain = nnr.decode(data)
    assert {name: t.tolist() for name, t in plain.items()} == {
        "a": values[:, :1].tolist(),
        "b": values[:, 1:4].T.tolist(),
        "c": values[:, 4:].tolist(),
    }
    coded = nnr.decode(data, form="coded")
    assert coded["a"].tolist() == values.tolist()
    assert any("taken apart" in note for note in plain.report.notes)


def test_boundaries_that_do_not_fit_are_a_conformance_error():
    values = np.zeros((2, 6), "<f4")
    mapping = {
        "concatenation_axis_index": 1,
        "split_index": [9],
        "number_of_shifts": [0],
        "shift_index": [[]],
        "shift_value": [[]],
    }
    data = bytes(Builder().raw(["a", "b"], values, topology_tensor_dimension_mapping=mapping))
    with pytest.raises(nnr.ConformanceError):
        nnr.decode(data)


def test_separate_factors_are_multiplied_out():
    """(semantics 6, decoding 10.4) Two units with the DC bit: first G, then H."""
    g = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], "<f4")
    h = np.array([[1, 0, 2], [0, 1, -1]], "<f4")
    common = {
        "compressed_parameter_types": 1,
        "decomposition_rank": 2,
        "g_number_of_rows": 4,
        "tensor_dimensions": [2, 2, 3],
    }
    data = bytes(Builder().raw("w_G", g, **common).raw("w_H", h, **common).raw("b", [1.0]))
    plain = nnr.decode(data)
    assert list(plain) == ["w", "b"]
    assert plain["w"].shape == (2, 2, 3)
    assert plain["w"].reshape(4, 3).tolist() == (g @ h).tolist()
    assert list(nnr.decode(data, form="coded")) == ["w_G", "w_H", "b"]


def test_products_are_added_in_order_in_binary64():
    g = np.array([[1e8, 1.0, -1e8]], np.float32)
    h = np.ones((3, 1), np.float32)
    assert multiply(g, h).tolist() == [[1.0]]
    assert multiply(np.zeros((0, 3), np.float32), h).shape == (0, 1)


def test_raw_floats_of_the_wrong_size():
    with pytest.raises(nnr.TruncatedError):
        nnr.decode(bytes(Builder().raw("x", [1.0, 2.0], payload=b"\0" * 7)))
    with pytest.raises(nnr.ConformanceError):
        nnr.decode(bytes(Builder().raw("x", [1.0, 2.0], payload=b"\0" * 9)))


def test_limits_are_checked_before_memory_is_taken():
    coded = {"nnr_compressed_data_unit_payload_type": 1, "codebook_present_flag": 0, "dq_flag": 0}
    huge = Builder().raw(
        "x", [1.0], tensor_dimensions=[1 << 26, 4], first_tensor_dimension_shift=0, scan_order=0, **coded
    )
    with pytest.raises(nnr.LimitError, match="max_output_bytes"):
        nnr.decode(bytes(huge))
    with pytest.raises(nnr.LimitError, match="max_tensor_elements"):
        nnr.decode(bytes(Builder().raw("x", [1.0, 2.0])), limits=nnr.Limits(max_tensor_elements=1))


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"form": "other"}, ValueError),
        ({"threads": 0}, ValueError),
        ({"backend": "cuda"}, ValueError),
        ({"colour": 1}, TypeError),
    ],
)
def test_arguments_are_checked(options, error):
    with pytest.raises(error):
        nnr.decode(base_stream(), **options)


def test_data_must_be_bytes_or_a_path(tmp_path):
    with pytest.raises(TypeError, match="bytes-like"):
        nnr.decode(5)
    path = tmp_path / "m.nnr"
    path.write_bytes(base_stream())
    assert nnr.decode(path).keys() == nnr.decode(str(path)).keys() == nnr.load_file(path).keys()


def test_open_reads_single_tensors(tmp_path):
    path = tmp_path / "m.nnr"
    path.write_bytes(base_stream())
    with nnr.open(path) as file:
        assert list(file) == ["w", "b"]
        assert "w" in file
        assert len(file) == 2
        assert file["b"].tolist() == [5, 6]
        assert [u.byte_offset for u in file.units][:2] == [0, 4]
        with pytest.raises(KeyError):
            file["nothing"]
    with open(path, "rb") as handle, nnr.open(handle) as file:
        assert file["w"].tolist() == [[1, 2], [3, 4]]
    with nnr.open(base_stream()) as file:
        assert file["w"].shape == (2, 2)
