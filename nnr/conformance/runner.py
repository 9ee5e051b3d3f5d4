"""Running vectors against a decoder: ours in a process of its own, or any program.

A decoder under test decides nothing about the verdict: it gives arrays or refuses, and `suite.compare` looks.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from ..errors import FormatError
from ..formats.npz import load
from .suite import Suite, Vector, compare

__all__ = ["CommandDecoder", "OwnDecoder", "Result", "UnderTest", "Verdict", "counts", "run"]

REFUSED, NOT_SUPPORTED = 1, 3
"""Exit codes of a decoder under test, besides 0."""

_SAID, _LONGEST_LINE = "stderr", 1000


class Verdict(str, Enum):
    """What came of one vector."""

    PASS = "pass"
    FAIL = "fail"
    ERROR = "error"
    TIMEOUT = "timeout"
    NOT_SUPPORTED = "not supported"


@dataclass
class Result:
    """The verdict on one vector, why, and the seconds it took."""

    name: str
    verdict: Verdict
    reasons: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "verdict": self.verdict.value,
            "reasons": self.reasons,
            "seconds": round(self.seconds, 3),
        }


class UnderTest(Protocol):
    """A decoder under test; called from several threads."""

    def judge(self, vector: Vector, timeout: float) -> Result:
        """Decode a vector and what it builds on, and compare."""

    def close(self) -> None:
        """End what was started."""


def run(
    vectors: Iterable[Vector],
    decoder: UnderTest,
    *,
    timeout: float = 60.0,
    jobs: int = 1,
    until: Callable[[Result], bool] = lambda result: False,
) -> Generator[Result, None, None]:
    """Verdicts in the order of the vectors; what is in work when the generator is closed is ended.

    Args:
        timeout: seconds for one vector; may be infinite.
        jobs: vectors at a time.
        until: stop after a result for which this is true; vectors in work are still finished.
    """
    stopped = threading.Event()
    timeout = min(timeout, threading.TIMEOUT_MAX)

    def one(vector: Vector) -> Result | None:
        if stopped.is_set():
            return None
        started = time.monotonic()
        result = decoder.judge(vector, timeout)
        result.seconds = time.monotonic() - started
        if until(result):
            stopped.set()
        return result

    try:
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for result in pool.map(one, vectors):
                    if result is not None:
                        yield result
            except BaseException:  # the caller or the user has enough: what is in work is not waited for
                stopped.set()
                decoder.close()
                raise
            finally:
                stopped.set()
    finally:
        decoder.close()


def counts(results: Iterable[Result]) -> dict[str, int]:
    """Number of results by verdict, every verdict included."""
    found = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    for result in results:
        found[result.verdict.value] += 1
    return found


# ----------------------------------------------------------------------------------------------------
# Any program


class CommandDecoder:
    """A program that is started once for each vector, in the current folder; its files are elsewhere.

    Args:
        command: as for a shell, with the places `{input}` (the bitstream), `{output}` (the `.npz` file to
            write), and where the decoder has them `{base}` (bitstreams that come before, oldest first: the
            word is repeated for each, so it may vanish), `{side}` (a JSON file with out-of-band parameters,
            `{}` where there are none) and `{levels}` (an `.npz` file that may receive the integers). All
            are absolute paths.

    Raises:
        ValueError: a place that must be there is not, or the quotes of the command do not match.
    """

    def __init__(self, command: str) -> None:
        self.words = shlex.split(command)
        self._running: set[subprocess.Popen[bytes]] = set()
        for place in ("{input}", "{output}"):
            if place not in command:
                raise ValueError(f"the command needs {place}")

    def close(self) -> None:
        """End the programs that still run."""
        for process in tuple(self._running):
            _end(process)

    def judge(self, vector: Vector, timeout: float) -> Result:
        """Write the files, run the program, look at its exit code and its output."""
        for place, needed in (("{base}", vector.predecessors()), ("{side}", vector.out_of_band)):
            if needed and not any(place in word for word in self.words):
                return Result(vector.name, Verdict.NOT_SUPPORTED, [f"the command has no {place}"])
        with tempfile.TemporaryDirectory(prefix="nnr-conformance-") as name:
            folder = Path(name)
            words = self._words(vector, folder)
            try:
                code = self._ended(words, folder, timeout)
            except subprocess.TimeoutExpired:
                return Result(vector.name, Verdict.TIMEOUT, [f"no end after {timeout:g} seconds"])
            except OSError as error:
                return Result(vector.name, Verdict.ERROR, [f"{words[0]}: {error.strerror}"])
            return self._verdict(vector, folder, code)

    def _ended(self, words: Sequence[str], folder: Path, timeout: float) -> int:
        """The exit code of the program; what it writes to standard error is in a file of `folder`."""
        with open(folder / _SAID, "wb") as said:
            process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        self._running.add(process)
        try:
            return process.wait(timeout)
        finally:
            _end(process)
            self._running.discard(process)

    def _words(self, vector: Vector, folder: Path) -> list[str]:
        places = {name: folder / name for name in ("input.nnr", "output.npz", "levels.npz", "side.json")}
        places["input.nnr"].write_bytes(vector.data)
        places["side.json"].write_text(json.dumps(vector.out_of_band or {}), encoding="utf-8")
        bases = []
        for number, earlier in enumerate(vector.predecessors()):
            bases.append(folder / f"base{number}.nnr")
            bases[-1].write_bytes(earlier.data)
        words: list[str] = []
        for word in self.words:
            for name, path in places.items():
                word = word.replace("{" + name.partition(".")[0] + "}", str(path))
            words += [word.replace("{base}", str(path)) for path in bases] if "{base}" in word else [word]
        return words

    def _verdict(self, vector: Vector, folder: Path, code: int) -> Result:
        said = _last_line(folder / _SAID)
        if code == NOT_SUPPORTED:
            return Result(vector.name, Verdict.NOT_SUPPORTED, said)
        if code == REFUSED:
            allowed = vector.error is not None or vector.or_error is not None
            return (
                Result(vector.name, Verdict.PASS)
                if allowed
                else Result(vector.name, Verdict.FAIL, ["refused", *said])
            )
        if code != 0:
            what = f"ended by signal {-code}" if code < 0 else f"exit code {code}"
            return Result(vector.name, Verdict.ERROR, [what, *said])
        if vector.error is not None:
            return Result(vector.name, Verdict.FAIL, [f"decoded, where {vector.error} is expected"])
        try:
            values = load(folder / "output.npz")
            levels = load(folder / "levels.npz") if (folder / "levels.npz").exists() else None
        except (OSError, FormatError) as error:
            return Result(vector.name, Verdict.ERROR, [f"its output cannot be read: {error}"])
        problems = compare(vector, values, levels)
        return Result(vector.name, Verdict.FAIL if problems else Verdict.PASS, problems)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs and, where there are groups of processes, what it has started."""
    if process.poll() is None:
        if os.name == "posix":
            with contextlib.suppress(OSError):  # it has just ended
                os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _last_line(file: Path) -> list[str]:
    """The last line of a text file that may be long and may be no text; nothing where it is empty."""
    with open(file, "rb") as opened:
        opened.seek(max(0, file.stat().st_size - _LONGEST_LINE))
        return opened.read().decode("utf-8", "replace").strip().splitlines()[-1:]


# ----------------------------------------------------------------------------------------------------
# Ours


class OwnDecoder:
    """The decoder of this package, in worker processes: one that dies or hangs costs one vector.

    Args:
        suite: where the vectors are from; workers open it themselves.
        backend: "c", or "python" for the readable reference.
        python, path: interpreter, and a folder before all others on its path, to test another installation.
    """

    def __init__(
        self, suite: Suite, *, backend: str = "c", python: str = sys.executable, path: Path | None = None
    ) -> None:
        environment = dict(os.environ)
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        command = [python, "-m", "nnr.conformance.own", str(suite.manifest), backend]
        self._start = lambda: _Worker(command, environment, path)
        self._local = threading.local()
        self._all: list[_Worker] = []

    def judge(self, vector: Vector, timeout: float) -> Result:
        """Ask the worker of this thread."""
        worker: _Worker | None = getattr(self._local, "worker", None)
        if worker is None or not worker.alive:
            worker = self._local.worker = self._start()
            self._all.append(worker)
        try:
            answer = worker.ask(vector.name, timeout)
        except queue.Empty:
            worker.kill()
            return Result(vector.name, Verdict.TIMEOUT, [f"no end after {timeout:g} seconds"])
        if answer is None:
            return Result(vector.name, Verdict.ERROR, [f"the process ended with status {worker.kill()}"])
        return Result(vector.name, Verdict(answer["verdict"]), list(answer["reasons"]))

    def close(self) -> None:
        """End all workers."""
        for worker in self._all:
            worker.kill()


class _Worker:
    """A process that gets names of vectors and answers each with a line of JSON."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path | None) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(environment),
            encoding="utf-8",
            cwd=folder,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.alive = True

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def ask(self, name: str, timeout: float) -> dict[str, Any] | None:
        """The answer, None where the process ended; raises queue.Empty where it takes too long."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(name) + "\n")
            self._process.stdin.flush()
        except OSError:
            return None
        line = self._lines.get(timeout=timeout)
        return json.loads(line) if line else None

    def kill(self) -> int:
        """End the process; its status."""
        self.alive = False
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            return self._process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            return self._process.wait()
