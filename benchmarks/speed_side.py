"""The peer's half of `speed.py`: NNCodec's C++ core, called directly. Run by the Python of its environment.

Reads one job a line as JSON from standard input, answers each with one line of JSON.

    {"do": "load", "case": N, "input": NPZ}
        w0, w1, ... float32 weights; l0, ... int32 levels; p0, ... uint8 payloads
    {"do": "decode" | "encode", "case": N, "dq": 0 | 1, "param_opt": 0 | 1}
    {"do": "quantize", "case": N, "dq": 0 | 1, "qp": N, "lambda_scale": X}

Answers: {"seconds": CPU seconds of this thread, "bytes": of all payloads, "same": the levels are l0, ...}.
"""

import json
import sys
import time
import types

import numpy as np

for _name in ("nncodec.framework", "nncodec.framework.pytorch_model", "nncodec.framework.tensorflow_model",
              "nncodec.framework.use_case_init"):  # fmt: skip
    _module = types.ModuleType(_name)
    _module.__path__ = []
    sys.modules[_name] = _module
sys.modules["nncodec.framework.pytorch_model"].is_pyt_model = lambda *args: False
sys.modules["nncodec.framework.tensorflow_model"].is_tef_model = lambda *args: False
sys.modules["nncodec.framework.use_case_init"].use_cases = {}

from nncodec.extensions import deepCABAC  # noqa: E402
from nncodec.nnc_core.hdsp.hdsp_tool import HDSP_OPTS_OFF  # noqa: E402

UNARY_LENGTH, QP_DENSITY = 11, 2
loaded = {}


def arrays(job, kind):
    case = loaded[job["case"]]
    return [case[f"{kind}{k}"] for k in range(sum(name.startswith(kind) for name in case))]


def touched(arrays):
    """Memory for levels of arrays that the system has handed out already: it was written to."""
    return [np.full(array.shape, 0, np.int32) for array in arrays]


def load(job):
    with np.load(job["input"]) as archive:
        loaded[job["case"]] = {name: archive[name] for name in archive.files}
    return {}


def decode(job):
    payloads, levels = arrays(job, "p"), arrays(job, "l")
    found = touched(levels)
    off = HDSP_OPTS_OFF()
    started = time.thread_time()
    for payload, out in zip(payloads, found):
        decoder = deepCABAC.Decoder()
        decoder.setStream(payload)
        decoder.iae_v(6 + QP_DENSITY)
        decoder.initCtxModels(UNARY_LENGTH)
        decoder.decodeLayer(out, job["dq"], 0, 1, 0, *off, 0, 0)
        decoder.finish()
    seconds = time.thread_time() - started
    same = all(np.array_equal(a, b) for a, b in zip(levels, found))
    return {"seconds": seconds, "same": same, "bytes": sum(len(p) for p in payloads)}


def encode(job):
    levels = arrays(job, "l")
    off = HDSP_OPTS_OFF()
    total = 0
    started = time.thread_time()
    for array in levels:
        encoder = deepCABAC.Encoder()
        encoder.iae_v(6 + QP_DENSITY, 0)
        encoder.initCtxModels(UNARY_LENGTH, job["param_opt"])
        encoder.encodeLayer(array, job["dq"], 0, 1, 0, 0, np.zeros(array.shape[0], np.int32), *off, 0, 0)
        total += len(encoder.finish())
    return {"seconds": time.thread_time() - started, "bytes": total}


def quantize(job):
    weights = arrays(job, "w")
    found = touched(weights)
    encoder = deepCABAC.Encoder()
    started = time.thread_time()
    for array, out in zip(weights, found):
        encoder.initCtxModels(UNARY_LENGTH - 1, 0)
        encoder.quantLayer(
            array, out, job["dq"], QP_DENSITY, job["qp"], job["lambda_scale"], UNARY_LENGTH - 1, 0, 1
        )
    seconds = time.thread_time() - started
    return {"seconds": seconds, "same": all(np.array_equal(a, b) for a, b in zip(arrays(job, "l"), found))}


JOBS = {"load": load, "decode": decode, "encode": encode, "quantize": quantize}
for _line in sys.stdin:
    _job = json.loads(_line)
    print(json.dumps(JOBS[_job["do"]](_job)), flush=True)
