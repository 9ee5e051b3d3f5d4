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


def printed(code):
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def test_the_whole_of_the_package_imports_nothing_heavy():
    code = f"from nnr import *; import sys; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert printed(code) == "[]"


def test_coding_loads_no_more_than_it_uses():
    code = (
        "import nnr, numpy as np, sys; nnr.decode(nnr.encode({'w': np.ones(9, np.float32)}));"
        "print([name for name in ('nnr.decoder.entropy', 'tempfile', 'zipfile') if name in sys.modules])"
    )
    assert printed(code) == "[]"


def test_the_progress_bar_needs_no_process():
    """From Python 3.14 on a lock between processes, as tqdm makes one, starts a process."""
    pytest.importorskip("tqdm")
    code = (
        "import sys; from nnr.cli.progress import _tqdm_bar; from nnr.cli.text import Screen;"
        "bar = _tqdm_bar(9, 'weight', 0.0, Screen(80, 24));"
        "print(type(bar).__name__, 'multiprocessing' in sys.modules)"
    )
    assert printed(code) == "tqdm False"


def test_importing_the_package_loads_what_is_used():
    assert (
        printed("import nnr, sys; print('numpy' in sys.modules, nnr.Limits().max_units > 0)") == "False True"
    )
    assert printed("import nnr; print(nnr.syntax.parse.__name__, nnr.formats.FORMATS[0])") == "parse npz"


def test_public_names_are_there_before_and_after_their_use():
    code = "import nnr; print(set(nnr.__all__) <= set(dir(nnr)), all(hasattr(nnr, n) for n in nnr.__all__))"
    assert printed(code) == "True True"
    code = (
        "import nnr, nnr.cli.compare, nnr.features; print(callable(nnr.compare), callable(nnr.capabilities))"
    )
    assert printed(code) == "True True"
    with pytest.raises(AttributeError, match="'nnr' has no attribute 'encod'"):
        nnr.encod  # noqa: B018


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
