"""Faults around the codec: full disks, closed folders, processes that die, files that change.

What was there before survives, what is half done is removed or never seen, and one clear error says what
happened. Signals, devices and pipes of the command line are tested in `tests/cli/test_errors.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import nnr
from nnr.formats import load_tensors, save_tensors
from tests.memory import not_sanitized
from tests.shared import ROOT, reads_everything

resource = pytest.importorskip("resource", reason="limits of processes are set as POSIX has them")

OLD = {"w": np.zeros((3, 4), np.float32)}
NEW = {"w": np.random.default_rng(0).laplace(0, 1, (300, 400)).astype(np.float32)}
TARGETS = ("model.nnr", "model.npz")


def write(tensors: dict[str, np.ndarray], path: Path) -> None:
    if path.suffix == ".nnr":
        nnr.save_file(tensors, path)
    else:
        save_tensors(tensors, path)


def read(path: Path) -> dict[str, np.ndarray]:
    return nnr.load_file(path) if path.suffix == ".nnr" else load_tensors(path)


def assert_old(path: Path) -> None:
    """The earlier file is whole, and nothing lies beside it."""
    assert {name: array.tolist() for name, array in read(path).items()} == {"w": OLD["w"].tolist()}
    assert os.listdir(path.parent) == [path.name]


def python(code: str, *arguments: object, limits: str = "") -> subprocess.CompletedProcess[str]:
    """A process of its own; `limits` are statements that bound it before the codec is loaded."""
    command = [sys.executable, "-c", f"import resource, sys\n{limits}\n{code}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)


@contextlib.contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Path]:
    """A file system of its own on `folder`; the test is skipped where it may not be mounted."""
    folder.mkdir(exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a file system here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --------------------------------------------------------------------------------------------------- writing


@pytest.mark.parametrize("name", TARGETS)
def test_a_size_that_may_not_be_exceeded_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: writing fails in the middle, as on a full disk."""
    path = tmp_path / name
    write(OLD, path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError) as error:
            write(NEW, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert error.value.filename is not None
    assert_old(path)


@pytest.mark.parametrize("name", TARGETS)
def test_a_full_disk_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=64k", "tmpfs") as disk:
        path = disk / name
        write(OLD, path)
        with pytest.raises(OSError, match="No space left") as error:
            write(NEW, path)
        assert str(path) in str(error.value)
        assert_old(path)


@pytest.mark.parametrize("name", TARGETS)
def test_a_read_only_file_system_is_named_before_the_work(name: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=1m", "tmpfs") as disk:
        path = disk / name
        write(OLD, path)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        with pytest.raises(OSError) as error:
            write(NEW, path)
        assert str(disk) in str(error.value)
        assert_old(path)


@pytest.mark.skipif(reads_everything(), reason="this user may write everywhere")
@pytest.mark.parametrize("name", TARGETS)
def test_a_read_only_folder_is_named_before_the_work(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write(OLD, path)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError, match=str(tmp_path)):
            write(NEW, path)
        assert_old(path)
    finally:
        tmp_path.chmod(0o700)


KILLED = """
import os, signal
import numpy as np
import nnr, nnr.formats.atomic as atomic
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(os, sys.argv[2], die)
nnr.save_file({"w": np.ones((300, 400), np.float32)}, sys.argv[1])
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_process_that_is_killed_leaves_the_old_file(moment: str, tmp_path: Path) -> None:
    """What is left besides is a temporary file that no name of a model is mistaken for."""
    path = tmp_path / "model.nnr"
    write(OLD, path)
    assert python(KILLED, path, moment).returncode == -signal.SIGKILL
    assert read(path)["w"].shape == (3, 4)
    left = [name for name in os.listdir(tmp_path) if name != path.name]
    assert all(name.startswith(".") and name.endswith(".tmp") for name in left)
    write(NEW, path)
    assert read(path)["w"].shape == (300, 400)


def test_ctrl_c_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.nnr"
    write(OLD, path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nnr.save_file(NEW, path, progress=interrupt)
    assert_old(path)
    code = "import nnr.cli.run as run, nnr.files, sys\ndef stop(*_, **__): raise KeyboardInterrupt\n"
    code += "import nnr\nnnr.load_file = nnr.decode = nnr.open = nnr.Decoder.decode = stop\n"
    code += "sys.exit(run.main(['decode', sys.argv[1], '-o', sys.argv[2], '--force']))"
    output = tmp_path / "out" / "model.npz"
    output.parent.mkdir()
    write(OLD, output)
    done = python(code, path, output)
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert_old(output)


WRITER = """
import numpy as np
import nnr
for turn in range(40):
    nnr.save_file({"w": np.full((40, 50), float(sys.argv[2]), np.float32)}, sys.argv[1])
"""


def test_two_processes_that_write_one_name(tmp_path: Path) -> None:
    """At every moment the file is that of the one or of the other, whole."""
    path = tmp_path / "model.nnr"
    nnr.save_file({"w": np.full((40, 50), 1.0, np.float32)}, path)
    command = [sys.executable, "-c", f"import sys\n{WRITER}", str(path)]
    writers = [subprocess.Popen([*command, value], cwd=ROOT) for value in ("1", "2")]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        values = np.unique(nnr.load_file(path)["w"].round())
        assert values.size == 1
        seen.add(float(values[0]))
    assert [writer.wait() for writer in writers] == [0, 0]
    assert seen <= {1.0, 2.0}
    assert os.listdir(tmp_path) == ["model.nnr"]


# --------------------------------------------------------------------------------------------------- reading


def large(path: Path) -> None:
    """Several pages, so that the end of the file can go."""
    rng = np.random.default_rng(0)
    tensors = {f"w{k}": rng.laplace(0, 1, (200, 200)).astype(np.float32) for k in range(4)}
    nnr.save_file(tensors, path, qp=-60)


@pytest.mark.parametrize("profile", [0, 1])
@pytest.mark.parametrize("size", [0, 5000])
def test_a_file_that_is_cut_while_it_is_open_is_an_error(profile: int, size: int, tmp_path: Path) -> None:
    """Not a signal: in a process of its own, so that one would be seen."""
    path = tmp_path / "model.nnr"
    rng = np.random.default_rng(0)
    tensors = {f"w{k}": rng.laplace(0, 1, (200, 200)).astype(np.float32) for k in range(4)}
    nnr.save_file(tensors, path, qp=-60, profile=profile)
    code = """
import os, nnr
with nnr.open(sys.argv[1]) as file:
    names = list(file)
    os.truncate(sys.argv[1], int(sys.argv[2]))
    for look in (lambda: file["w3"], lambda: file["w1"], lambda: file.info("w3"), lambda: file.units,
                 lambda: file.topology):
        try:
            look()
        except nnr.TruncatedError as error:
            print(error)
        else:
            print("nothing")
"""
    done = python(code, path, size)
    assert done.returncode == 0, (done.returncode, done.stderr)
    lines = done.stdout.splitlines()
    assert len(lines) == 5
    assert all("shorter since it was opened" in line and "byte" in line for line in lines)


def test_a_file_that_is_cut_while_its_headers_are_indexed_is_an_error(tmp_path: Path) -> None:
    """Between any two reads, and while slices of its units are read."""
    path = tmp_path / "model.nnr"
    large(path)
    code = """
import os, nnr
from nnr.decoder import lazy
content = open(sys.argv[1], "rb").read()
plain = lazy._pread
reads = 0
cut_at = None
def pread(descriptor, size, offset):
    global reads
    reads += 1
    if reads == cut_at:
        os.truncate(sys.argv[1], len(content) // 3)
    return plain(descriptor, size, offset)
lazy._pread = pread
def look():
    with nnr.open(sys.argv[1]) as file:
        units = file.units
        return [bytes(unit.payload_bytes[-4:]) for unit in units]
whole = look()
total = reads
for cut_at in range(1, total + 1):
    reads = 0
    open(sys.argv[1], "wb").write(content)
    try:
        found = look()
    except nnr.TruncatedError as error:
        print(error)
    else:
        print("the same" if found == whole else "other bytes")
print(total)
"""
    done = python(code, path)
    assert done.returncode == 0, (done.returncode, done.stderr)
    *lines, total = done.stdout.splitlines()
    assert len(lines) == int(total) > 5
    assert "shorter since it was opened" in lines[0]
    assert set(lines) - {"the same"} <= {line for line in lines if "shorter since it was opened" in line}


def test_units_of_an_opened_file_keep_it_for_themselves(tmp_path: Path) -> None:
    path = tmp_path / "model.nnr"
    large(path)
    content = path.read_bytes()
    with nnr.open(path) as file:
        unit = next(unit for unit in file.units if "w2" in unit.name)
    assert isinstance(unit.payload_bytes, memoryview)
    end = unit.byte_offset + unit.size
    assert unit.payload_bytes == content[unit.payload_offset : end]
    os.truncate(path, end - 1)
    with pytest.raises(nnr.TruncatedError, match="shorter since it was opened"):
        unit.payload_bytes  # noqa: B018


def test_where_there_is_no_pread_a_file_is_read_where_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from nnr.decoder import lazy

    path = tmp_path / "model.nnr"
    large(path)
    whole = nnr.load_file(path)
    monkeypatch.setattr(lazy, "_pread", lazy._pread_by_seeking)
    with open(path, "rb") as source:
        with nnr.open(source) as file:
            assert all(np.array_equal(file[name], whole[name]) for name in file)
        assert source.tell() == 0
        assert source.read(4) == path.read_bytes()[:4]


def test_a_file_that_changes_while_it_is_open_is_noticed(tmp_path: Path) -> None:
    """By the checksum of the unit; a file put in its place is another file, and not looked at."""
    path = tmp_path / "model.nnr"
    large(path)
    whole = nnr.load_file(path)
    with nnr.open(path) as file:
        unit = next(unit for unit in file.units if "w2" in unit.name)
        with open(path, "r+b") as changed:
            changed.seek(unit.payload_offset + 1000)
            changed.write(b"changed")
        with pytest.raises(nnr.ConformanceError, match="the file was changed"):
            file["w2"]
        assert np.array_equal(file["w1"], whole["w1"])
    large(path)
    with nnr.open(path) as file:
        nnr.save_file(OLD, path)
        assert np.array_equal(file["w2"], whole["w2"])


def test_a_file_that_is_cut_while_it_is_decoded_or_read(tmp_path: Path) -> None:
    """A whole decode reads the file first; what it has read stays."""
    path = tmp_path / "model.nnr"
    large(path)
    stop = threading.Event()
    content = path.read_bytes()

    def cut() -> None:
        while not stop.is_set():
            os.truncate(path, 3000)
            path.write_bytes(content)
            time.sleep(0.001)

    other = threading.Thread(target=cut)
    other.start()
    try:
        for _ in range(20):
            try:
                assert list(nnr.load_file(path)) == ["w0", "w1", "w2", "w3"]
            except nnr.BitstreamError as error:
                assert error.byte_offset is not None
    finally:
        stop.set()
        other.join()


# ------------------------------------------------------------------------------------------- threads, memory

SMALL_SPACE = "resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[3]) << 20,) * 2)"


def test_more_threads_than_work_or_memory(tmp_path: Path) -> None:
    """As many threads as there are jobs are begun, and not as many as were asked for."""
    path = tmp_path / "model.nnr"
    large(path)
    data = path.read_bytes()
    expected = nnr.decode(data, threads=1)
    assert all(np.array_equal(a, expected[name]) for name, a in nnr.decode(data, threads=1 << 20).items())
    tensors = {name: np.asarray(array) for name, array in expected.items()}
    assert nnr.encode(tensors, threads=1 << 20) == nnr.encode(tensors, threads=1)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS does not bound memory on this system")
@not_sanitized
def test_too_little_memory_is_an_error_that_leaves_the_old_file(tmp_path: Path) -> None:
    path, output = tmp_path / "model.nnr", tmp_path / "out" / "model.npz"
    output.parent.mkdir()
    write(OLD, output)
    nnr.save_file({"w": np.zeros((6000, 10000), np.float32)}, path)
    code = "from nnr.cli.run import main\n"
    code += f"{SMALL_SPACE}\n"
    code += "sys.exit(main(['decode', sys.argv[1], '-o', sys.argv[2], '--force', '--threads', '1']))"
    free = python("import nnr.cli.run, nnr.decoder.decode\nprint(open('/proc/self/statm').read().split()[0])")
    pages = int(free.stdout)
    limit = (pages * os.sysconf("SC_PAGE_SIZE") >> 20) + 120
    done = python(code, path, output, limit)
    assert done.returncode == 1, done.stderr
    assert "memory" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert_old(output)
