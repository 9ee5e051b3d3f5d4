"""Peak memory of decoding, measured in a process of its own."""

import subprocess
import sys

import numpy as np
import pytest

import nnr
from tests.memory import PEAK, not_sanitized

pytest.importorskip("resource", reason="the module resource, which measures memory, is not on this platform")

pytestmark = not_sanitized

CODE = PEAK + """
import numpy as np
import nnr
nnr.decode(sys.argv[3], threads=int(sys.argv[2]))  # everything that is loaded once
before = peak()
out = nnr.decode(sys.argv[1], threads=int(sys.argv[2]))
print(peak() - before, sum(a.nbytes for a in out.values()))
"""


@pytest.mark.parametrize("options", [{}, {"scan_order": 4}, {"codebook": 30}, {"dtype": "float16"}], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_a_decode_needs_its_output_and_little_else(options, threads, tmp_path):
    """Output + 1 % + 16 MB, and one tensor of int32 where the type is not 32 bits wide."""
    options = dict(options)
    dtype = options.pop("dtype", "float32")
    x = np.random.default_rng(0).laplace(0, 0.02, (2048, 3072)).astype(dtype)
    large, small = tmp_path / "large.nnr", tmp_path / "small.nnr"
    nnr.save_file({"x": x}, large, qp=-18, **options)
    nnr.save_file({"x": x[:64]}, small, qp=-18, **options)
    command = [sys.executable, "-c", CODE, str(large), str(threads), str(small)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    extra, output = map(int, done.stdout.split())
    allowed = output * 1.01 + (16 << 20) + (0 if dtype == "float32" else 4 * x.size)
    assert extra <= allowed


def test_opening_a_file_reads_headers_only(tmp_path):
    path = tmp_path / "x.nnr"
    x = np.random.default_rng(0).random((3000, 2000)).astype(np.float32)
    nnr.save_file({"raw": x, "w": np.ones((2, 2), np.float32)}, path, raw=["raw"])
    code = CODE.replace(
        "nnr.decode(sys.argv[3], threads=int(sys.argv[2]))", "nnr.open(sys.argv[1]).close()"
    ).replace(
        "out = nnr.decode(sys.argv[1], threads=int(sys.argv[2]))",
        "f = nnr.open(sys.argv[1]); out = {'w': f['w']}",
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), "1"], capture_output=True, text=True, check=True
    )
    extra, _ = map(int, done.stdout.split())
    assert path.stat().st_size > 24_000_000
    assert extra < 8 << 20
