"""What the package does to the process it is in: imports, forks."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nnr

HEAVY = (
    "bitstring", "concurrent.futures.process", "email", "h5py", "importlib.metadata", "keras", "ml_dtypes",
    "multiprocessing", "onnx", "safetensors", "torch", "tqdm",
)  # fmt: skip


def test_importing_the_package_imports_nothing_heavy():
    code = f"import nnr, sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_fork_after_threads_were_used_works():
    tensors = {f"t{k}": np.full((200, 200), 0.1 * k, np.float32) for k in range(4)}
    data = nnr.encode(tensors, threads=2)
    nnr.decode(data, threads=2)
    child = os.fork()
    if child == 0:
        same = nnr.encode(tensors, threads=2) == data
        decoded = nnr.decode(data, threads=2)
        os._exit(0 if same and list(decoded) == list(tensors) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
