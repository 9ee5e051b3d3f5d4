"""Names, types and bytes of npz files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nnr.errors import FormatError
from nnr.formats import load_tensors, save_tensors
from nnr.formats.npz import read, write

ODD_NAMES = [
    "", ".", "..", "../../etc/passwd", "/abs", "a/b", "a\\b", "a//b/", "file", "allow_pickle", "args",
    "arr_0", "x.npy", "x.npy.npy", "ü", "日本", "new\nline", "tab\t", " ", "CON", "a:b", "a" * 5000,
]  # fmt: skip


def assert_same(expected: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def test_every_name_comes_back_exactly_and_numpy_reads_the_same(tmp_path: Path) -> None:
    tensors = {name: np.full((2, i + 1), i, np.float32) for i, name in enumerate(ODD_NAMES)}
    path = tmp_path / "names.npz"
    save_tensors(tensors, path)
    assert_same(tensors, load_tensors(path))
    with np.load(path) as archive:
        assert archive.files == ODD_NAMES
        # numpy takes a key that is a member's full name for that member, even where a tensor has that name
        for name in set(ODD_NAMES) - {"x.npy.npy"}:
            assert np.array_equal(archive[name], tensors[name]), name


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "n" * 70000, 7])
def test_a_name_that_zip_cannot_carry_is_refused_and_leaves_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="tensor name"):
        save_tensors({name: np.zeros(1)}, tmp_path / "x.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">f4", ">i2", "c8"]
)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (2, 3, 4)])
def test_types_and_shapes_come_back(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    buffer = io.BytesIO()
    write({"t": values}, buffer)
    assert_same({"t": values}, read(buffer))


def test_layouts_come_back_by_value() -> None:
    base = np.arange(24.0).reshape(4, 6)
    tensors = {"fortran": np.asfortranarray(base), "strided": base[::2, ::3], "back": base[::-1], "t": base.T}
    buffer = io.BytesIO()
    write(tensors, buffer)
    found = read(buffer)
    for name, array in tensors.items():
        assert np.array_equal(found[name], array)


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "int4"])
def test_types_that_numpy_lacks_come_back_and_numpy_loads_their_bits(tmp_path: Path, name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    dtype = np.dtype(getattr(ml_dtypes, name))
    values = np.arange(6).reshape(2, 3).astype(dtype)
    tensors = {"w": values, "scalar": np.array(1, dtype), "none": np.zeros((0, 2), dtype)}
    save_tensors(tensors, tmp_path / "x.npz")
    assert_same(tensors, load_tensors(tmp_path / "x.npz"))
    with np.load(tmp_path / "x.npz") as archive:
        assert np.array_equal(archive["w"].view(dtype), tensors["w"])


def test_bfloat16_saved_by_numpy_itself_is_read(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    array = np.array([1.0, -2.5], ml_dtypes.bfloat16)
    np.savez(tmp_path / "x.npz", w=array)
    assert_same({"w": array}, load_tensors(tmp_path / "x.npz"))


def test_opaque_elements_of_unknown_type_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.zeros(3, "V1"))
    with pytest.raises(FormatError, match=r"'w'.*unknown type"):
        load_tensors(tmp_path / "x.npz")


def test_bytes_depend_only_on_the_tensors(tmp_path: Path) -> None:
    tensors = {"b": np.arange(5.0), "a": np.arange(3)}
    save_tensors(tensors, tmp_path / "1.npz")
    save_tensors(tensors, tmp_path / "2.npz")
    assert (tmp_path / "1.npz").read_bytes() == (tmp_path / "2.npz").read_bytes()


def test_a_pipe_can_be_written() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:  # type: ignore[no-untyped-def,override]
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    tensors = {"a": np.arange(1000.0), "b": np.arange(3)}
    write(tensors, pipe)  # type: ignore[arg-type]
    assert_same(tensors, read(io.BytesIO(bytes(pipe.data))))


def test_python_objects_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FormatError, match="never unpickled"):
        load_tensors(tmp_path / "x.npz")
    with pytest.raises(FormatError, match="'w'"):
        save_tensors({"w": np.array([object()])}, tmp_path / "y.npz")


def _archive(name: str, content: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer


def test_a_member_that_is_no_array_is_named() -> None:
    with pytest.raises(FormatError, match=r"readme\.txt"):
        read(_archive("readme.txt", b"hello"))


def _npy(shape: tuple[int, ...], data: bytes) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "magic"),
        (b"not an array at all", "magic"),
        (_npy((2,), b"\0" * 8)[:30], "w"),
        (_npy((2,), b"\0" * 7), "shorter"),
        (_npy((2,), b"\0" * 9), "longer"),
        (_npy((10**12,), b"\0" * 8), "shorter"),
        (_npy((-1,), b"\0" * 8), "no array"),
        (_npy((1 << 40, 1 << 40), b"\0" * 8), "no array"),
        (b"\x93NUMPY\x03\x00" + _npy((2,), b"")[8:], "version"),
    ],
)
def test_a_member_that_lies_is_refused_before_memory_is_taken(content: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(_archive("w.npy", content))


def test_every_truncation_and_single_byte_change_gives_arrays_or_one_error() -> None:
    buffer = io.BytesIO()
    write({"w": np.arange(4, dtype=np.float32), "b": np.arange(3)}, buffer)
    data = buffer.getvalue()
    refused = 0
    for mutant in [data[:n] for n in range(0, len(data), 3)] + [
        data[:i] + bytes([data[i] ^ 0x41]) + data[i + 1 :] for i in range(len(data))
    ]:
        try:
            read(io.BytesIO(mutant))
        except FormatError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > len(data) // 2
