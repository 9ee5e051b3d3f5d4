"""The metadata unit: layout, checks, and hostile content (docs/metadata.md)."""

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnr.errors import BitstreamError, ConformanceError, TruncatedError, UnsupportedError
from nnr.metadata import STORAGE_FORMAT, Kind, Metadata, TensorRecord, is_metadata, parse, serialize

crc = st.integers(0, 0xFFFFFFFF)
shapes = st.none() | st.lists(st.integers(0, 1 << 40), max_size=5).map(tuple)


@st.composite
def contents(draw):
    plain = st.builds(
        lambda code, kind, parts, shape: TensorRecord(code, kind, 1 if kind == Kind.PLAIN else parts, shape),
        st.integers(0, 0x7F),
        st.sampled_from([Kind.PLAIN, Kind.LIMBS, Kind.BITS, Kind.PIECES]),
        st.integers(1, 1000),
        shapes,
    )
    records = draw(st.lists(plain, max_size=6))
    if records:
        tied = st.builds(
            lambda code, original, name: TensorRecord(code, Kind.TIED, 0, None, original, name),
            st.integers(0, 0x7F),
            st.integers(0, len(records) - 1),
            st.text(max_size=8).filter(lambda s: s.encode("utf-8", "ignore").decode() == s),
        )
        records += draw(st.lists(tied, max_size=3))
    order = draw(st.just([]) | st.permutations(range(len(records)))) if records else []
    return Metadata(
        draw(st.integers(0, 1 << 20)), draw(crc), draw(st.lists(crc, max_size=6)), records, list(order)
    )


@given(contents())
def test_what_is_written_is_read(metadata):
    data = serialize(metadata)
    assert parse(data) == metadata
    assert data.endswith(b"\0")
    assert b"\0" not in data[:-1]
    assert data.isascii()


def test_layout_worked_by_hand():
    """One float32 tensor behind a start unit and an MPS, written out from docs/metadata.md."""
    body = (
        bytes([0]) + bytes([2]) + b"\x78\x56\x34\x12" + bytes([1]) + b"\xef\xbe\xad\xde" + bytes([1, 17, 0])
    )
    body += zlib.crc32(body).to_bytes(4, "little")
    by_hand = b"nnr1" + base64.b85encode(body) + b"\0"
    metadata = Metadata(2, 0x12345678, [0xDEADBEEF], [TensorRecord(17)])
    assert serialize(metadata) == by_hand
    assert parse(by_hand) == metadata


def test_a_later_layout_is_unsupported_not_wrong():
    data = b"nnr2" + serialize(Metadata(2, 0, [], []))[4:]
    assert is_metadata((STORAGE_FORMAT, 0), data)
    with pytest.raises(UnsupportedError, match="nnr2"):
        parse(data)


def test_other_topology_data_is_not_ours():
    assert not is_metadata((0, 0), b"nnr1")
    assert not is_metadata((STORAGE_FORMAT, 0), b"onnx")


def _with_crc(body: bytes) -> bytes:
    return b"nnr1" + base64.b85encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\2", id="no checksum"),
        pytest.param(b"\0\2\0\0\0\0\xff\xff\xff\xff\x0f", id="more checksums than bytes"),
        pytest.param(b"\0" + b"\xff" * 11, id="endless number"),
        pytest.param(b"\0\2\0\0\0\0\0\1\x11\3\0\0", id="tied to itself"),
        pytest.param(b"\0\2\0\0\0\0\0\2\x11\0\x11\3\5\0", id="tied to nothing"),
        pytest.param(b"\1\2\0\0\0\0\0\2\x11\0\x11\0\1\1", id="order is no permutation"),
        pytest.param(b"\0\2\0\0\0\0\0\2\x11\0\x11\3\0\1\xff", id="name is not UTF-8"),
    ],
)
def test_damaged_content_is_a_conformance_error(body):
    with pytest.raises(ConformanceError):
        parse(_with_crc(body))


@pytest.mark.parametrize("body", [b"\x80\2\0\0\0\0\0\0", b"\0\2\0\0\0\0\0\1\x11\x77"])
def test_unknown_flags_and_kinds_are_unsupported(body):
    with pytest.raises(UnsupportedError):
        parse(_with_crc(body))


@given(st.binary(max_size=60))
def test_any_bytes_give_content_or_a_bitstream_error(body):
    for data in (b"nnr1" + body, _with_crc(body)):
        try:
            parse(data)
        except BitstreamError:
            pass


def test_dimensions_are_as_many_as_arrays_have():
    most = Metadata(0, 0, [0], [TensorRecord(17, Kind.PLAIN, 1, (1,) * 64)])
    assert parse(serialize(most)) == most
    beyond = Metadata(0, 0, [0], [TensorRecord(17, Kind.PLAIN, 1, (1,) * 65)])
    with pytest.raises(ConformanceError, match="65 dimensions"):
        parse(serialize(beyond))


def test_checksums_and_counts_are_compared():
    before, units = b"head", [b"one", b"two"]
    metadata = Metadata(2, zlib.crc32(before), [zlib.crc32(u) for u in units], [])
    metadata.verify_before(before)
    metadata.verify_units(units, 3)
    metadata.verify_count(2, 3)
    with pytest.raises(ConformanceError):
        metadata.verify_before(b"haed")
    with pytest.raises(ConformanceError) as changed:
        metadata.verify_units([b"one", b"tvo"], 3)
    assert changed.value.unit_index == 4
    with pytest.raises(TruncatedError) as missing:
        metadata.verify_count(1, 3)
    assert missing.value.unit_index == 4
    with pytest.raises(ConformanceError):
        metadata.verify_count(3, 3)
