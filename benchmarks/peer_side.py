"""The peer's half of the comparisons: run by the Python of an environment with NNCodec, never by ours.

Reads one job a line as JSON from standard input and answers each with one line of JSON. Only the peer's
public functions are called; for profile 0, which they do not offer, the functions they consist of. NNCodec
imports its frameworks when it is loaded; empty modules stand in for them.

    {"do": "encode", "tensors": NPZ, "names": [...], "output": FILE, "profile": 0 | 1, "args": {...}}
    {"do": "quantize", "tensors": NPZ, "names": [...], "args": {...}}
    {"do": "decode", "input": FILE, "output": NPZ, "args": {...}}
    {"do": "state", "chain": N, "output": NPZ}

NPZ files hold the arrays under t0, t1, ... in the order of `names`. Answers: {"cpu_seconds": ...}, after
decoding with `names`, or {"error": ...}.

Jobs to encode and decode with "chain": N share what the peer keeps between the updates numbered N: the
integers of the latest unit of each tensor, depths and numbers of nodes, and where a tensor was ever changed.
"state" gives the integers out as t0, t1, ... and those places as h0, h1, ...
"""

import contextlib
import json
import os
import sys
import time
import types

import numpy as np


def stand_in(name, **attributes):
    module = types.ModuleType(name)
    module.__path__ = []
    vars(module).update(attributes)
    sys.modules[name] = module


stand_in("nncodec.framework")
stand_in("nncodec.framework.pytorch_model", is_pyt_model=lambda *args: False)
stand_in("nncodec.framework.tensorflow_model", is_tef_model=lambda *args: False)
stand_in("nncodec.framework.use_case_init", use_cases={})

import nncodec.nnc as nnc  # noqa: E402
from nncodec.nnc_core import approximator, coder, nnr_model  # noqa: E402
from nncodec.nnc_core.hdsp.hdsp_tool import HdspTool  # noqa: E402

chains = {}


def chain_of(job):
    """State and history tool of a chain, made when they are first asked for."""
    device = job.get("args", {}).get("device_id", 0)
    empty = {"parameters": {}, "put_node_depth": {}, "parameter_id": {}, "device_id": device}
    return chains.setdefault(job["chain"], (empty, HdspTool(True)))


def chain_arguments(job):
    """Keywords of `nnc.compress` and `nnc.decompress` for the next stream of a chain."""
    if "chain" not in job:
        return {}
    state, history = chain_of(job)
    tool = {"hdsp_tool": history} if job.get("history", True) else {}
    return {"approx_param_base": state, "update_base_param": True, **tool}


def quantize_profile0(
    tensors,
    qp=-38,
    qp_density=2,
    nonweight_qp=-75,
    use_dq=True,
    codebook_mode=0,
    scan_order=0,
    lambda_scale=0,
    param_opt=True,
    cabac_unary_length_minus1=10,
):
    """The first half of what `nnc.compress` does, for the first edition: model, header, quantized tensors."""
    model = nnr_model.NNRModel(tensors)
    data = approximator.init_approx_data(
        tensors, model.model_info, qp_density=qp_density, scan_order=scan_order
    )
    method = "codebook" if codebook_mode else "uniform"
    info = approximator.ApproxInfo(
        data, model.model_info, method, codebook_mode, qp, False, not use_dq, cabac_unary_length_minus1,
        lambda_scale, nonweight_qp=nonweight_qp,
    ).approx_info  # fmt: skip
    header = {
        "cabac_unary_length_minus1": cabac_unary_length_minus1,
        "param_opt_flag": param_opt,
        "partial_data_counter": 0,
        "general_profile_idc": 0,
        "mps_parent_signalling_enabled_flag": 0,
        "parent_node_id_present_flag": 0,
        "node_id_present_flag": 0,
    }
    return model, header, approximator.approx(info, model.model_info, data, header)


def encode_profile0(tensors, **args):
    """What `nnc.compress` does, for the first edition."""
    model, header, approximated = quantize_profile0(tensors, **args)
    return coder.encode(enc_info=header, model_info=model.model_info, approx_data=approximated)[0]


def load(job):
    with np.load(job["tensors"]) as archive:
        return {name: archive[f"t{k}"] for k, name in enumerate(job["names"])}


def quantize(job):
    tensors = load(job)
    started = time.process_time()
    quantize_profile0(tensors, **job["args"])
    return {"cpu_seconds": time.process_time() - started}


def encode(job):
    tensors = load(job)
    started = time.process_time()
    if job["profile"] == 0:
        data = encode_profile0(tensors, **job["args"])
    else:
        args = {**job["args"], **chain_arguments(job)}
        data = nnc.compress(tensors, bitstream_path=None, return_bitstream=True, verbose=False, **args)
    seconds = time.process_time() - started
    with open(job["output"], "wb") as file:
        file.write(data)
    return {"cpu_seconds": seconds}


def decode(job):
    with open(job["input"], "rb") as file:
        data = bytearray(file.read())
    started = time.process_time()
    tensors = nnc.decompress(data, verbose=False, **job.get("args", {}), **chain_arguments(job))
    seconds = time.process_time() - started
    if "chain" in job:
        remember(job, tensors)
    np.savez(job["output"], **{f"t{k}": array for k, array in enumerate(tensors.values())})
    return {"cpu_seconds": seconds, "names": list(tensors)}


def remember(job, tensors):
    """Add to the history of a chain, which the peer's decoder leaves to its caller."""
    state, history = chain_of(job)
    present = state["parameters"]  # but for raw floats
    history.add_data_to_hist({name: present[name] for name in tensors if name in present})


def give_state(job):
    state, history = chain_of(job)
    names = list(state["parameters"])
    levels = {f"t{k}": state["parameters"][name] for k, name in enumerate(names)}
    changed = {f"h{k}": history.data_hist[name] for k, name in enumerate(names) if name in history.data_hist}
    np.savez(job["output"], **levels, **changed)
    return {"names": names}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the peer prints, from Python and from C++
    sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for line in sys.stdin:
        job = json.loads(line)
        try:
            work = {"encode": encode, "quantize": quantize, "decode": decode, "state": give_state}
            answer = work[job["do"]](job)
        except BaseException as error:  # it ends the interpreter on bad arguments
            if isinstance(error, KeyboardInterrupt):
                raise
            answer = {"error": f"{type(error).__name__}: {str(error)[:300]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
