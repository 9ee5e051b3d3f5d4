"""Peak memory of encoding, measured in a process of its own."""

import subprocess
import sys

import pytest

from tests.memory import PEAK, not_sanitized

pytest.importorskip("resource", reason="the module resource, which measures memory, is not on this platform")

pytestmark = not_sanitized

CODE = PEAK + """
import ast
import numpy as np
import nnr
options, threads = ast.literal_eval(sys.argv[1]), int(sys.argv[2])
rng = np.random.default_rng(0)
model = {f"{k}.weight": rng.standard_normal((2048, 2048), np.float32) for k in range(3)}
nnr.encode({"x": model["0.weight"][:64]}, threads=threads, **options)  # everything that is loaded once
before = peak()
nnr.encode(model, qp=-8, threads=threads, **options)
print(peak() - before, model["0.weight"].nbytes)
"""


@pytest.mark.parametrize(
    "options", [{}, {"effort": "fast"}, {"effort": "best"}, {"dq": False}, {"codebook": 16}], ids=str
)
@pytest.mark.parametrize("threads", [1, 2])
def test_an_encode_needs_twice_the_largest_tensor_for_each_thread(options, threads):
    """And 16 MB; the input is not counted."""
    command = [sys.executable, "-c", CODE, repr(options), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    extra, largest = map(int, done.stdout.split())
    assert extra <= 2 * threads * largest + (16 << 20)
