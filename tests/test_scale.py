"""Models larger than memory: read tensor by tensor, coded anywhere, the same bytes in the end."""

import concurrent.futures
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest

import nnr
from nnr.encoder.work import completed
from nnr.formats import LazyTensors
from nnr.formats.tensors import Stored


def model():
    rng = np.random.default_rng(5)
    tied = rng.laplace(0, 0.05, (30, 20)).astype(np.float32)
    return {
        "conv.weight": rng.laplace(0, 0.02, (16, 8, 3, 3)).astype(np.float32),
        "conv.bias": rng.normal(0, 0.1, 16).astype(np.float32),
        "embedding": tied,
        "half": rng.normal(0, 1, (40, 50)).astype(np.float16),
        "double": rng.normal(0, 1, 7),
        "steps": np.array(12345678901, np.int64),
        "ids": rng.integers(-100, 100, (9, 11)).astype(np.int32),
        "flags": np.array([True, False]),
        "none": np.zeros((0, 3), np.float32),
        "head": tied,
        "big": rng.laplace(0, 0.05, (300, 300)).astype(np.float32),
    }


def read(array):
    """A module-level function, so that it can be pickled."""
    return array.copy()


def lazily(tensors, ties=None):
    entries = {name: Stored(a.shape, a.dtype, partial(read, a)) for name, a in tensors.items()}
    return LazyTensors(entries, ties=ties)


OPTIONS = [
    {},
    {"dq": False, "qp_per_tensor": {"head": -20}},
    {"effort": "best"},
    {"nonfinite": "raw"},
    {"raw": ("half", "double", "big"), "compat": None},
    {"codebook": 8},
    {"allocate": True},
    {"bits_per_weight": 3.0},
    {"psnr": 40.0},
    {"metadata": False, "raw": ("big",)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_tensors_read_one_by_one_give_the_same_bytes(options, tmp_path):
    tensors = model()
    if not options.get("metadata", True):
        del tensors["steps"]
    source = lazily(tensors, ties={"head": "embedding"})
    expected = nnr.encode(tensors, **options)
    assert nnr.encode(source, **options) == expected
    path = tmp_path / "model.nnr"
    report = nnr.save_file(source, path, memory=1, threads=3, **options)
    assert path.read_bytes() == expected
    assert report.total_bytes == len(expected)
    assert [t.name for t in report.tensors] == list(tensors)
    assert os.listdir(tmp_path) == ["model.nnr"], "no temporary file may stay"


def test_updates_of_tensors_read_one_by_one_are_the_same():
    base, new = model(), {name: a + a for name, a in model().items()}
    new["head"] = new["embedding"]
    chains = []
    for wrap in (dict, partial(lazily, ties={"head": "embedding"})):
        encoder = nnr.Encoder()
        chains.append((encoder.encode(wrap(base)), encoder.encode_update(wrap(new))))
    assert chains[0] == chains[1]


def test_a_large_stream_waits_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("nnr.encoder.spool._IN_MEMORY", 100)
    tensors = model()
    nnr.save_file(lazily(tensors, {"head": "embedding"}), tmp_path / "a.nnr", threads=2)
    assert (tmp_path / "a.nnr").read_bytes() == nnr.encode(tensors)


def test_what_cannot_be_quantized_is_refused_when_it_is_read(tmp_path):
    tensors = {"good": np.ones((300, 300), np.float32), "bad": np.array([[1, np.nan]], np.float32)}
    path = tmp_path / "model.nnr"
    path.write_bytes(b"earlier")
    for threads in (1, 2):
        with pytest.raises(ValueError, match=r"'bad' contains NaN.*nonfinite='raw'"):
            nnr.save_file(lazily(tensors), path, threads=threads)
    assert path.read_bytes() == b"earlier"
    assert os.listdir(tmp_path) == ["model.nnr"]


def test_a_tensor_that_is_not_as_announced_is_refused():
    entries = {"w": Stored((2, 3), np.dtype(np.float32), partial(np.zeros, (3, 2), np.float32))}
    with pytest.raises(ValueError, match=r"'w'.*\[3, 2\].*was read, \[2, 3\] .* announced"):
        nnr.encode(LazyTensors(entries))


def test_nothing_is_read_before_its_turn():
    reads = []

    def reader(name, array):
        reads.append(name)
        return array

    tensors = {f"t{k}": np.full((300, 300), 0.1, np.float16) for k in range(4)}
    entries = {n: Stored(a.shape, a.dtype, partial(reader, n, a)) for n, a in tensors.items()}
    seen = []
    nnr.encode(LazyTensors(entries), threads=1, progress=lambda done, total, name: seen.append(list(reads)))
    assert seen == [["t0"], ["t0", "t1"], ["t0", "t1", "t2"], ["t0", "t1", "t2", "t3"]]


# ---------------------------------------------------------------------------------------------- executors


def test_every_executor_gives_the_same_bytes(tmp_path):
    tensors = model()
    expected = nnr.encode(tensors)
    source = lazily(tensors, {"head": "embedding"})
    for pool in (concurrent.futures.ThreadPoolExecutor(3), concurrent.futures.ProcessPoolExecutor(2)):
        with pool:
            assert nnr.encode(source, executor=pool) == expected
            assert nnr.encode(tensors, executor=pool, threads=1) == expected
            nnr.save_file(source, tmp_path / "x.nnr", executor=pool, memory=1)
            assert (tmp_path / "x.nnr").read_bytes() == expected


class Counting(concurrent.futures.ThreadPoolExecutor):
    """Remembers how much it had to do at a time."""

    def __init__(self):
        super().__init__(1)
        self.items, self.order = [], []
        self.most, self.most_bytes = 0, 0

    def submit(self, function, item):
        self.items.append(item)
        self.order.append(item)
        self.most = max(self.most, len(self.items))
        self.most_bytes = max(self.most_bytes, sum(i.held_bytes for i in self.items))
        future = super().submit(function, item)
        future.add_done_callback(lambda _: self.items.remove(item))
        return future


class Item:
    def __init__(self, elements, held_bytes=0, working_bytes=0):
        self.elements, self.held_bytes, self.working_bytes = elements, held_bytes, working_bytes


def dawdle(item):
    time.sleep(0.002)
    return item.elements


def test_an_executor_has_no_more_in_its_hands_than_allowed():
    items = [Item(k, held_bytes=10) for k in range(40)]
    with Counting() as pool:
        assert dict(completed(dawdle, items, executor=pool, threads=3)) == {k: k for k in range(40)}
        assert pool.order == items[::-1], "the largest first"
        assert pool.most <= 3
    with Counting() as pool:
        assert dict(completed(dawdle, items, executor=pool, memory=55)) == {k: k for k in range(40)}
        assert pool.most_bytes <= 50
    with Counting() as pool:
        assert len(dict(completed(dawdle, items, executor=pool, memory=5))) == 40
        assert pool.most == 1, "one that is larger than all memory allowed is done alone"


def test_threads_take_no_more_memory_than_allowed():
    running, most = [], []
    lock = threading.Lock()

    def work(item):
        with lock:
            running.append(item)
            most.append(sum(i.working_bytes for i in running))
        time.sleep(0.002)
        with lock:
            running.remove(item)

    items = [Item(1 << 16, working_bytes=10) for _ in range(30)]
    list(completed(work, items, threads=8, memory=25))
    assert max(most) <= 20


def test_an_error_ends_the_work():
    items = [Item(1 << 16) for _ in range(200)]
    begun = []

    def fail(item):
        begun.append(item)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        list(completed(fail, items, threads=2))
    assert len(begun) < 20


def test_a_job_ships_neither_tensors_to_be_read_nor_options_of_others():
    """What goes to another process is the place of the tensor, not the tensor."""
    shipped = []

    class Spy(concurrent.futures.ThreadPoolExecutor):
        def submit(self, function, item):
            shipped.append(len(pickle.dumps((function, item))))
            return super().submit(*pickle.loads(pickle.dumps((function, item))))

    shape, dtype = (100, 100), np.dtype(np.float32)
    entries = {f"t{k}": Stored(shape, dtype, partial(np.full, shape, 0.1, dtype)) for k in range(3)}
    expected = nnr.encode({name: np.full(shape, 0.1, dtype) for name in entries})
    with Spy(1) as pool:
        assert nnr.encode(LazyTensors(entries), executor=pool) == expected
    assert max(shipped) < 3000
    shipped.clear()
    importance = {"t0": np.ones((100, 100), np.float32)}
    with Spy(1) as pool:
        nnr.encode(LazyTensors(entries), executor=pool, importance=importance)
    assert sum(size > 40000 for size in shipped) == 1


def test_dask_gives_the_same_bytes():
    distributed = pytest.importorskip("distributed", reason="dask[distributed] is not installed")
    tensors = model()
    source = lazily(tensors, {"head": "embedding"})
    options = {"processes": True, "n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor() as pool,
    ):
        assert nnr.encode(source, executor=pool) == nnr.encode(tensors)


# ------------------------------------------------------------------------------------------------- memory

MEASURE = """
import json, sys
import nnr, nnr.formats, nnr.formats.safetensors, nnr.cli.run

def status(key):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(key))

nnr.decode(nnr.encode({"warm": __import__("numpy").ones((300, 300), "f4")}))
before = status("VmRSS")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
%s
print(json.dumps((status("VmHWM") - before) / 1e6))
"""


def megabytes(code, *arguments):
    """Peak memory above the interpreter's baseline of a process that runs `code`."""
    command = [sys.executable, "-c", MEASURE % code, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def checkpoint(folder, *, shards, tensors, rows, dtype):
    """A checkpoint of `shards` files, each of some matrices with 4096 columns and a few vectors."""
    package = pytest.importorskip("safetensors.numpy")
    rng = np.random.default_rng(1)
    weight_map = {}
    for shard in range(shards):
        held = {}
        for k in range(tensors):
            values = rng.standard_normal((rows, 4096), np.float32)
            values *= 0.02
            held[f"layer{shard}.{k}.weight"] = values.astype(dtype)
            held[f"layer{shard}.{k}.norm"] = np.ones(4096, dtype)
        name = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        package.save_file(held, folder / name)
        weight_map.update(dict.fromkeys(held, name))
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return index


ENCODE = "nnr.save_file(nnr.formats.open_source(sys.argv[1]), sys.argv[2], effort='fast', dq=False)"
DECODE_ONE = "with nnr.open(sys.argv[1]) as f: f[sys.argv[2]]"
COMMAND = "assert nnr.cli.run.main(sys.argv[1:]) == 0"

on_linux = pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="peak memory is read from /proc"
)


@on_linux
def test_memory_does_not_grow_with_the_model(tmp_path):
    """67 MB in tensors of 1 MB."""
    index = checkpoint(tmp_path, shards=4, tensors=16, rows=64, dtype=np.float32)
    assert megabytes(ENCODE, index, tmp_path / "a.nnr") < 40
    assert megabytes(DECODE_ONE, tmp_path / "a.nnr", "layer2.3.weight") < 20
    flags = ("--effort", "fast", "--no-dq")
    assert megabytes(COMMAND, "encode", index, "-o", tmp_path / "b.nnr", *flags) < 40
    assert (tmp_path / "a.nnr").read_bytes() == (tmp_path / "b.nnr").read_bytes()
    for name in ("c.safetensors", "c.npz", "c.safetensors.index.json"):
        assert megabytes(COMMAND, "decode", tmp_path / "a.nnr", "-T2", "-o", tmp_path / name) < 40
    expected = nnr.decode(tmp_path / "a.nnr")
    for name in ("c.safetensors", "c.npz"):
        found = nnr.formats.load_tensors(tmp_path / name)
        assert all(np.array_equal(found[key], array) for key, array in expected.items())


@on_linux
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_two_gigabytes_pass_through_600_megabytes(dtype, tmp_path):
    """Tensors of 100 MB, in shards of 500 MB."""
    rows = 100_000_000 // 4096 // np.dtype(dtype).itemsize
    index = checkpoint(tmp_path, shards=4, tensors=5, rows=rows, dtype=dtype)
    assert megabytes(ENCODE.replace(", effort='fast', dq=False", ""), index, tmp_path / "a.nnr") < 600
    assert megabytes(DECODE_ONE, tmp_path / "a.nnr", "layer2.3.weight") < 400
    out = tmp_path / "out.safetensors"
    assert megabytes(COMMAND, "decode", tmp_path / "a.nnr", "-T1", "-o", out) < 420
    one = out.read_bytes()
    assert megabytes(COMMAND, "decode", tmp_path / "a.nnr", "-T2", "-f", "-o", out) < 800
    assert out.read_bytes() == one
