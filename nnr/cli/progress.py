"""A progress bar on a terminal; nothing anywhere else."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType

from .text import one_line

__all__ = ["Progress"]

_INTERVAL_SECONDS = 0.1
_BAR_CELLS = 24


class Progress:
    """Shows how far a coder has come: called with (done, total, name), as `nnr.encode` calls `progress`.

    The bar is on standard error, on the last line of the terminal, and is gone when the work has ended.
    """

    def __init__(self, *, wanted: bool = True) -> None:
        terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self.active = wanted and terminal
        self._start = time.monotonic()
        self._shown = 0.0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.active and self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int, name: str) -> None:
        now = time.monotonic()
        if not self.active or now - self._shown < _INTERVAL_SECONDS:
            return
        self._shown = now
        width = max(20, shutil.get_terminal_size().columns - 1)
        print("\r\x1b[K" + self._line(done, total, name, now)[:width], end="", file=sys.stderr, flush=True)

    def _line(self, done: int, total: int, name: str, now: float) -> str:
        share = min(done / total, 1.0) if total > 0 else 1.0
        filled = int(share * _BAR_CELLS)
        bar = "#" * filled + "-" * (_BAR_CELLS - filled)
        elapsed = now - self._start
        rate = f" {done / elapsed / 1e6:.1f} M/s" if elapsed > 0.5 else ""
        left = f" {elapsed * (1 - share) / share:.0f} s left" if elapsed > 2 and share > 0.01 else ""
        return f"{share:4.0%} [{bar}] {done:,}/{total:,}{rate}{left}  {one_line(name)}"
