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


def test_updates_of_one_stream_add_up_or_none_of_them_does():
    def several(*depths: int) -> bytes:
        builder = Builder(parents=True)
        for depth in depths:
            builder.raw("w", [[0.5, 0], [0, -1]], depth=depth, parent="id")
        return bytes(builder)

    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    before = decoder.state
    with pytest.raises(nnr.ConformanceError):
        decoder.decode(several(1, 2, 3, 5))
    assert decoder.state == before
    decoder.decode(several(1, 2, 3, 4))
    assert decoder.model["w"].tolist() == [[3.0, 2.0], [3.0, 0.0]]
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
    with pytest.raises(nnr.ConformanceError) as error:
        nnr.decode(data)
    assert error.value.unit_index == 2
    with nnr.open(data) as file, pytest.raises(nnr.ConformanceError) as error:
        file["a"]
    assert error.value.unit_index == 2


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


def product_of_factors(rank):
    """A stream of two matrices of 100 x `rank` ones, whose product is 100 x 100."""
    common = {
        "compressed_parameter_types": 1,
        "decomposition_rank": rank,
        "g_number_of_rows": 100,
        "tensor_dimensions": [100, 100],
    }
    ones = np.ones((100, rank), "<f4")
    return bytes(Builder().raw("w_G", ones, **common).raw("w_H", ones, **common))


@pytest.mark.parametrize("limit", ["max_output_bytes", "max_tensor_elements"])
def test_the_product_of_factors_counts_as_output(limit):
    """Two vectors of 100 elements, one matrix of 10000."""
    data = product_of_factors(1)
    with pytest.raises(nnr.LimitError, match=limit):
        nnr.decode(data, limits=nnr.Limits(**{limit: 9999}))
    assert nnr.decode(data)["w"].shape == (100, 100)


def test_multiplications_are_bounded():
    """A product of 100 x 100 elements over an inner index of 7."""
    data = product_of_factors(7)
    assert nnr.decode(data, limits=nnr.Limits(max_multiplications=70000))["w"].shape == (100, 100)
    for read in (nnr.decode, nnr.open, nnr.Decoder().decode):
        with pytest.raises(nnr.LimitError, match="max_multiplications=70000"):
            read(data, limits=nnr.Limits(max_multiplications=69999))
    assert nnr.Limits().multiplications(1000) == 1 << 32
    assert nnr.Limits().multiplications(1 << 20) == 1 << 34


@pytest.mark.parametrize(("data_format", "size"), [(7, 8), (9, 8), (8, 4), (6, 4)])
def test_output_in_a_wide_format_counts_as_what_it_takes(data_format, size):
    """Formats of eight bytes twice; the others as the four bytes that they have on the way."""
    options = {"nnr_decompressed_data_format_present_flag": 1, "nnr_decompressed_data_format": data_format}
    data = bytes(Builder().raw("x", np.zeros(1000), **options))
    assert nnr.decode(data, limits=nnr.Limits(max_output_bytes=1000 * size))["x"].itemsize <= size
    with pytest.raises(nnr.LimitError, match="max_output_bytes"):
        nnr.decode(data, limits=nnr.Limits(max_output_bytes=1000 * size - 1))


def test_an_opened_tensor_of_several_elements_is_decoded_once(monkeypatch):
    """Not anew for each element, and no array is given out twice."""
    from nnr.decoder import lazy

    mapping = {
        "concatenation_axis_index": 0,
        "split_index": list(range(1, 50)),
        "number_of_shifts": [0] * 49,
        "shift_index": [[]] * 49,
        "shift_value": [[]] * 49,
    }
    names = [f"n{k}" for k in range(50)]
    values = np.arange(100, dtype="<f4").reshape(50, 2)
    data = bytes(Builder().raw(names, values, topology_tensor_dimension_mapping=mapping).raw("x", values))
    calls = []
    decode = lazy.decode_payloads
    monkeypatch.setattr(lazy, "decode_payloads", lambda *a, **b: calls.append(1) or decode(*a, **b))
    with nnr.open(data) as file:
        found = [file[name] for name in names]
        assert len(calls) == 1
        assert [array.tolist() for array in found] == [[row] for row in values.tolist()]
        found[3][:] = 0
        assert file["n3"].tolist() == [[6, 7]]
        assert file["x"].shape == (50, 2)
        assert file["n4"].tolist() == [[8, 9]]


def test_one_id_is_one_tensor():
    """Not twice in a unit, and not in two shapes in a stream."""
    mapping = {
        "concatenation_axis_index": 0,
        "split_index": [2],
        "number_of_shifts": [0],
        "shift_index": [[]],
        "shift_value": [[]],
    }
    values = np.zeros((4, 3), "<f4")
    with pytest.raises(nnr.ConformanceError, match="twice"):
        nnr.decode(bytes(Builder().raw(["a", "a"], values, topology_tensor_dimension_mapping=mapping)))
    twice = Builder().raw("a", np.zeros((4, 3), "<f4")).raw("a", np.zeros((3, 4), "<f4"))
    with pytest.raises(nnr.ConformanceError, match="before it had") as error:
        nnr.decode(bytes(twice))
    assert error.value.unit_index == 3


def test_an_update_keeps_the_shape():
    decoder = nnr.Decoder()
    decoder.decode(base_stream())
    for other in (
        update([[1.0, 2.0, 3.0]], 1),
        bytes(Builder(parents=True).raw("w", [[1.0, 2.0, 3.0]], depth=1)),
    ):
        with pytest.raises(nnr.ConformanceError, match="before it had"):
            decoder.decode(other)
    assert decoder.model["w"].tolist() == [[1, 2], [3, 4]]


def test_a_line_break_in_a_name_does_not_break_the_message():
    coded = {"nnr_compressed_data_unit_payload_type": 1, "codebook_present_flag": 0, "dq_flag": 0}
    data = bytes(Builder().raw("two\nlines", [1.0], payload=b"\0", **coded))
    with pytest.raises(nnr.TruncatedError) as error:
        nnr.decode(data)
    assert str(error.value).isprintable()


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


def _inner(builder: Builder) -> list[bytes]:
    return builder.units[2:]


def _aggregate(units: list[bytes], *, entry_points: bool = False) -> bytes:
    """(syntax 10) An aggregate unit, every byte by hand."""
    header = bytes([6 << 2 | 2, 0, 0x80 if entry_points else 0]) + (len(units) - 2).to_bytes(2, "big")
    if entry_points:
        size = 2 + len(header) + 5 * len(units)
        for unit in units:
            header += (unit[2] >> 2 << 34 | size).to_bytes(5, "big")
            size += len(unit)
    body = header + b"".join(units)
    return (len(body) + 2).to_bytes(2, "big") + body


@pytest.mark.parametrize("entry_points", [False, True])
def test_units_inside_an_aggregate_are_decoded_as_if_outside(entry_points):
    stream = Builder().raw("a", [1.0, 2.0]).raw("b", [[3.0], [4.0]])
    flat = nnr.decode(bytes(stream))
    nested = b"".join(stream.units[:2]) + _aggregate(_inner(stream), entry_points=entry_points)
    out = nnr.decode(nested)
    assert list(out) == ["a", "b"]
    assert all(np.array_equal(out[name], flat[name]) for name in out)


def _lps(density: int, qp: int) -> bytes:
    """(syntax 5) A layer parameter set with uniform quantization, every bit by hand."""
    payload = f"0000001{0}{density:03b}{qp & 0x1FFF:013b}1".ljust(24 + 8, "0")
    body = bytes([2 << 2 | 2, 0]) + int(payload[:32], 2).to_bytes(4, "big")
    return (len(body) + 2).to_bytes(2, "big") + body


def _one_level(name: str) -> bytes:
    """A float unit whose one level is 1 at qp_value 0: bins 0 (eight times), then flags, sig "
    "1, sign 0, gtx 0."""
    from nnr import core

    level = np.ones(1, np.int32)
    row = core.new_tensors(1)
    columns = core.Tensor
    row[0, [columns.ROWS, columns.COLS, columns.CABAC_UNARY_LENGTH, columns.HAS_QP]] = 1, 1, 11, 1
    row[0, columns.QP_DENSITY] = 2
    row[0, columns.LEVELS] = core.address(level)
    unit = core.new_units(1)
    unit[0, [core.Unit.TENSOR_COUNT, core.Unit.PROFILE, core.Unit.ESCAPE_CONTEXT_COUNT]] = 1, 1, 31
    (payload,) = core.encode_units(unit, row)
    builder = Builder().raw(
        name,
        [1.0],
        payload=payload,
        nnr_compressed_data_unit_payload_type=1,
        codebook_present_flag=0,
        dq_flag=0,
    )
    return builder.units[2]


def test_a_layer_parameter_set_rules_until_the_end_of_its_aggregate():
    """(semantics 2) QP 8 at density 2 is a step of 4; the model parameter set says QP 0, a step of 1."""
    head = Builder().units[:2]
    scoped = _aggregate([_lps(2, 8), _one_level("inside")])
    out = nnr.decode(b"".join([*head, _one_level("before"), scoped, _one_level("after")]))
    assert {name: t.tolist() for name, t in out.items()} == {"before": [1.0], "inside": [4.0], "after": [1.0]}
    out = nnr.decode(b"".join([*head, _lps(2, 8), _one_level("a"), _one_level("b")]))
    assert {name: t.tolist() for name, t in out.items()} == {"a": [4.0], "b": [4.0]}


@pytest.mark.parametrize(
    ("code", "dtype", "expected"),
    [
        (0, np.int32, [2, -130, 0]),
        (1, np.float32, [1.6, -130.0, 0.25]),
        (2, np.int8, [1, -2, 0]),
        (3, np.int8, [2, -4, 0]),
        (4, np.int8, [2, -8, 0]),
        (5, np.int8, [2, -128, 0]),
        (6, np.int16, [2, -130, 0]),
        (7, np.int64, [2, -130, 0]),
        (8, np.float16, [1.6, -130.0, 0.25]),
        (9, np.float64, [1.6, -130.0, 0.25]),
    ],
)
def test_a_stream_may_ask_for_a_format(code, dtype, expected):
    """(decoding 10.6) All ten formats, on values that round and saturate."""
    fields = {"nnr_decompressed_data_format_present_flag": 1, "nnr_decompressed_data_format": code}
    out = nnr.decode(bytes(Builder().raw("x", [1.6, -130.0, 0.25], **fields)))["x"]
    assert out.dtype == dtype
    assert np.allclose(out.astype(np.float64), expected, rtol=1e-3)


def test_arrays_given_out_are_the_callers_own():
    decoder = nnr.Decoder()
    first = decoder.decode(base_stream())
    first["w"][:] = 0
    decoder.model["w"][:] = 7
    decoder.decode(update([[1, 1], [1, 1]], 1))
    assert decoder.model["w"].tolist() == [[2, 3], [4, 5]]
    base = {"w": np.array([[1, 2], [3, 4]], np.float32)}
    out = nnr.decode(update([[1, 1], [1, 1]], 1), base=base)
    out["w"][:] = 9
    assert base["w"].tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"limits": 3}, TypeError),
        ({"limits": {}}, TypeError),
        ({"threads": "2"}, TypeError),
        ({"threads": 1.5}, TypeError),
    ],
)
def test_arguments_are_named_in_their_errors(options, error):
    name = next(iter(options))
    with pytest.raises(error, match=name):
        nnr.decode(base_stream(), **options)
    with pytest.raises(error, match=name):
        nnr.open(base_stream(), **options)


def test_limits_are_numbers():
    with pytest.raises(ValueError, match="max_units"):
        nnr.Limits(max_units=-1)
    with pytest.raises(TypeError, match="max_name_bytes"):
        nnr.Limits(max_name_bytes="x")  # type: ignore[arg-type]


def test_open_refuses_what_it_cannot_read():
    for source in (3, None, 1.5):
        with pytest.raises(TypeError, match="path"):
            nnr.open(source)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="form"):
        nnr.open(base_stream(), form="zz")
    file = nnr.open(base_stream())
    file.close()
    with pytest.raises(ValueError, match="closed"):
        file["w"]


def test_open_reads_a_file_object_from_where_it_stands(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"head" + base_stream())
    with open(path, "rb") as handle:
        handle.seek(4)
        with nnr.open(handle) as file:
            assert file["b"].tolist() == [5, 6]
    with nnr.open(np.frombuffer(base_stream(), np.uint8)) as file:
        assert file["b"].tolist() == [5, 6]


def test_progress_counts_every_weight_that_is_decoded():
    seen = []
    nnr.decode(base_stream(), progress=lambda *facts: seen.append(facts))
    assert seen == [(4, 6, "w"), (6, 6, "b")]
