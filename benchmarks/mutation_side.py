"""One codec that is given damaged streams, run by the Python of its environment, with the name of the codec.

Reads one job a line as JSON from standard input, {"before": [...], "mutants": [...]}, streams in base64, and
answers each with one line, a list of outcomes. The streams before are decoded once, a mutant in a process of
its own, forked, so that nothing it does reaches the next one. An outcome is {"digest": ...} of the tensors,
{"error": name of the class}, {"signal": number}, or {"status": of an exit that Python did not see}; and
"kilobytes", the memory taken.
"""

import base64
import contextlib
import hashlib
import json
import os
import resource
import signal
import sys

import numpy as np

SECONDS = 10
"""Of CPU time, after which a mutant counts as a hang, however busy the machine is."""

MOST_SECONDS = 30 * SECONDS
"""On the clock, for a mutant that waits."""

MOST_BYTES = 2 << 30
"""Address space that a mutant may take beyond what its process began with."""


class Ours:
    """nnr: a decoder, or for a stream that stands alone the function."""

    def __init__(self, before):
        import nnr

        self.nnr = nnr
        self.decoder = nnr.Decoder(threads=1)
        self.before = before
        for data in before:
            self.decoder.decode(data)

    def decode(self, data):
        if self.before:
            return self.decoder.decode(data, form="coded")
        return self.nnr.decode(data, form="coded", threads=1)


class Theirs:
    """NNCodec, with what it keeps between the streams of a chain."""

    def __init__(self, before):
        import peer_side  # the peer is loaded with it

        self.side = peer_side
        self.job = {"chain": id(self), "history": True} if before else {}
        for data in before:
            self.decode(data)

    def decode(self, data):
        arguments = self.side.chain_arguments(self.job)
        tensors = self.side.nnc.decompress(bytearray(data), verbose=False, **arguments)
        if self.job:
            self.side.remember(self.job, tensors)
        return tensors


def digest(tensors):
    """Of names, dtypes, shapes and bytes, whatever their order."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        found.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode(errors="replace"))
        found.update(array.tobytes())
    return found.hexdigest()


def kilobytes(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{name}:"))


def in_child(codec, data, answer):
    """Decode in this process, which ends with it."""
    began = kilobytes("VmRSS")
    most = 1024 * kilobytes("VmSize") + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.alarm(MOST_SECONDS)
    try:
        outcome = {"digest": digest(codec.decode(data))}
    except BaseException as error:  # NNCodec ends the interpreter on some inputs
        outcome = {"error": type(error).__name__}
    outcome["kilobytes"] = kilobytes("VmHWM") - began
    os.write(answer, json.dumps(outcome).encode())
    os._exit(0)


def outcome_of(codec, data):
    """What becomes of one mutant."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        in_child(codec, data, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status), "kilobytes": 0}
    return json.loads(answer) if answer else {"status": os.WEXITSTATUS(status), "kilobytes": 0}


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # NNCodec prints, from Python and from C++
    os.dup2(1, 2)
    codec_type = {"nnr": Ours, "nncodec": Theirs}[sys.argv[1]]
    for line in sys.stdin:
        job = json.loads(line)
        codec = codec_type([base64.b64decode(data) for data in job["before"]])
        outcomes = [outcome_of(codec, base64.b64decode(data)) for data in job["mutants"]]
        answers.write(json.dumps(outcomes) + "\n")
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
