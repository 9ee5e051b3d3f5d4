"""NNCodec 2.1.3 as the peer: started once in an environment of its own, asked many times.

`make interop` builds the environment in `.venv-peer`; the variable NNR_PEER_PYTHON names another one.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["Peer", "PeerChain", "PeerError", "PeerResult", "PeerState", "find_peer"]

_ROOT = Path(__file__).resolve().parent.parent


class PeerError(Exception):
    """The peer refused a job, or died on it."""


@dataclass
class PeerResult:
    """One answer: the bitstream or the tensors, and the CPU time of the peer's call in seconds."""

    cpu_seconds: float
    data: bytes = b""
    tensors: dict[str, np.ndarray] | None = None


@dataclass
class PeerState:
    """What the peer keeps between updates, by tensor name.

    Attributes:
        levels: integers of the latest unit, int32.
        history: 1 wherever an integer of any update was not 0, int8; absent for tensors without one.
    """

    levels: dict[str, np.ndarray]
    history: dict[str, np.ndarray]


def find_peer() -> Path | None:
    """The Python of an environment with NNCodec, or None where there is none."""
    named = os.environ.get("NNR_PEER_PYTHON")
    candidates = [Path(named)] if named else [_ROOT / ".venv-peer" / "bin" / "python"]
    return next((path for path in candidates if path.exists()), None)


class Peer:
    """A running peer; use it as a context manager.

    Args:
        python: the Python of an environment with NNCodec.
    """

    def __init__(self, python: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="nnr-peer-")
        script = Path(__file__).with_name("peer_side.py")
        self._process = subprocess.Popen(
            [str(python), "-W", "ignore", str(script)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=self._folder.name,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        self._chains = 0

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process and remove its files."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def chain(self, *, history: bool = True) -> PeerChain:
        """A new chain of updates, either to encode or to decode.

        Args:
            history: the encoder may use history contexts.
        """
        self._chains += 1
        return PeerChain(self, {"chain": self._chains, "history": history})

    def encode(self, tensors: Mapping[str, np.ndarray], *, profile: int = 1, **args: Any) -> PeerResult:
        """Encode float32 and int32 arrays; `args` are keywords of the peer's `compress`.

        Raises:
            PeerError: the peer refuses.
        """
        return self._encode(tensors, profile, args, {})

    def _encode(
        self,
        tensors: Mapping[str, np.ndarray],
        profile: int,
        args: Mapping[str, Any],
        chain: Mapping[str, Any],
    ) -> PeerResult:
        source, target = self._path("in.npz"), self._path("out.nnr")
        np.savez(source, **{f"t{k}": array for k, array in enumerate(tensors.values())})
        job = {"tensors": str(source), "names": list(tensors), "output": str(target), "profile": profile}
        answer = self._ask({"do": "encode", **job, "args": args, **chain})
        return PeerResult(answer["cpu_seconds"], data=target.read_bytes())

    def quantize(self, tensors: Mapping[str, np.ndarray], **args: Any) -> float:
        """CPU seconds of quantization alone; arguments as of `encode`, of the first edition.

        Raises:
            PeerError: the peer refuses.
        """
        source = self._path("in.npz")
        np.savez(source, **{f"t{k}": array for k, array in enumerate(tensors.values())})
        job = {"do": "quantize", "tensors": str(source), "names": list(tensors), "args": args}
        return float(self._ask(job)["cpu_seconds"])

    def decode(self, data: bytes, **args: Any) -> PeerResult:
        """Decode a bitstream; `args` are keywords of the peer's `decompress`.

        Raises:
            PeerError: the peer refuses, or dies.
        """
        return self._decode(data, args, {})

    def _decode(self, data: bytes, args: Mapping[str, Any], chain: Mapping[str, Any]) -> PeerResult:
        source, target = self._path("in.nnr"), self._path("out.npz")
        source.write_bytes(data)
        job = {"do": "decode", "input": str(source), "output": str(target), "args": args}
        answer = self._ask({**job, **chain})
        with np.load(target) as archive:
            tensors = {name: archive[f"t{k}"] for k, name in enumerate(answer["names"])}
        return PeerResult(answer["cpu_seconds"], tensors=tensors)

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name

    def _ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerError(f"the peer died with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer


class PeerChain:
    """A chain of updates, for which the peer keeps its state; made by `Peer.chain`.

    The peer's base model stays outside: it counts the streams of a chain itself, from the first update on.
    """

    def __init__(self, peer: Peer, job: Mapping[str, Any]) -> None:
        self._peer = peer
        self._job = job

    def encode(self, tensors: Mapping[str, np.ndarray], **args: Any) -> PeerResult:
        """Encode the next update, as `Peer.encode`."""
        return self._peer._encode(tensors, 1, args, self._job)

    def decode(self, data: bytes, **args: Any) -> PeerResult:
        """Decode the next update, as `Peer.decode`: the differences that it carries."""
        return self._peer._decode(data, args, self._job)

    def state(self) -> PeerState:
        """What the peer knows after the latest stream."""
        target = self._peer._path("state.npz")
        answer = self._peer._ask({"do": "state", **self._job, "output": str(target)})
        with np.load(target) as archive:
            names = list(enumerate(answer["names"]))
            levels = {name: archive[f"t{k}"] for k, name in names}
            history = {name: archive[f"h{k}"] for k, name in names if f"h{k}" in archive}
        return PeerState(levels, history)
