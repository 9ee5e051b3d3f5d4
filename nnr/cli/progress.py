"""Progress on a terminal: a bar of the package tqdm where it is installed, else a percentage.

Nothing is shown anywhere else. The extra `nnr[progress]` brings tqdm.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Any

from .text import Screen, clipped, one_line, screen_of, shortened

__all__ = ["Progress"]

_INTERVAL_SECONDS = 0.1
_BAR = "{percentage:3.0f}% |{bar:10}| {n_fmt}/{total_fmt}, {rate_fmt}, {remaining} left{postfix}"
_BAR_CELLS = 64  # without the name, which is shown where there is room for so much of it:
_NAME_CELLS = 14


class Progress:
    """Shows how far a coder has come: called with (done, total, name), as `nnr.encode` calls `progress`.

    It is on standard error, on the last line of the terminal, and is gone when the work has ended. `unit` is
    what is counted. TERM=dumb, a terminal that cannot go back in its line, has none.
    """

    def __init__(self, *, wanted: bool = True, unit: str = "weight") -> None:
        self._screen = screen_of(sys.stderr) if wanted and os.environ.get("TERM") != "dumb" else None
        self.active = self._screen is not None
        self._unit = unit
        self._start = time.monotonic()
        self._shown = 0.0
        self._bar: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    def __call__(self, done: int, total: int, name: str) -> None:
        now = time.monotonic()
        if self._screen is None or now - self._shown < _INTERVAL_SECONDS:
            return
        first, self._shown = not self._shown, now
        if first:
            self._bar = _tqdm_bar(total, self._unit, self._start, self._screen)
        if self._bar is None:
            share = min(done / total, 1.0) if total > 0 else 1.0
            line = f"{share:4.0%} {done:,}/{total:,} {self._unit}s  {one_line(name)}"
            print("\r\x1b[K" + clipped(line, self._screen.columns - 1), end="", file=sys.stderr, flush=True)
        else:
            room = self._screen.columns - _BAR_CELLS
            if room >= _NAME_CELLS:
                self._bar.set_postfix_str(shortened(one_line(name), room), refresh=False)
            self._bar.n = done
            self._bar.refresh()


def _tqdm_bar(total: int, unit: str, start: float, screen: Screen) -> Any:
    """A bar with rate and time left, as if begun at `start`; None without the package."""
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    # Its own lock is one between processes; from Python 3.14 on that starts one, which keeps the terminal.
    tqdm.set_lock(threading.RLock())
    bar = tqdm(
        total=total, unit=f" {unit}s", unit_scale=True, leave=False, file=sys.stderr,
        ncols=screen.columns - 1, nrows=screen.lines,
        bar_format=_BAR, delay=_INTERVAL_SECONDS, smoothing=0, disable=False,
    )  # fmt: skip
    bar.start_t += start - time.monotonic()
    return bar
