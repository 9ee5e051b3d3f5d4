"""Coded units on their way into a stream: in any order in, in the order of the stream out.

What a stream says first, its head, depends on all its units. So they wait here until the last one is
coded: in memory, or in a temporary file that has no name and goes with the process.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

__all__ = ["Spool"]

#: Bytes that are kept in memory before a temporary file is made.
_IN_MEMORY = 1 << 24


class Spool:
    """Units by position; iteration gives the head and then the units in order, any number of times.

    Args:
        folder: of a temporary file for what is more than a little; None to keep all in memory.
        keep: False to drop the units, where only their sizes are of interest.

    Attributes:
        head: what comes before the units.
    """

    def __init__(self, folder: str | None = None, *, keep: bool = True) -> None:
        self.head: list[bytes] = []
        self._keep = keep
        self._units: dict[int, bytes] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._file: IO[bytes] | None = None
        if folder is not None and keep:
            import tempfile  # slow to import, and seldom used

            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=folder)  # noqa: SIM115

    def put(self, position: int, unit: bytes) -> None:
        """Add the unit that stands at `position`."""
        if self._file is not None:
            self._places[position] = self._file.tell(), len(unit)
            self._file.write(unit)
        elif self._keep:
            self._units[position] = unit

    def __iter__(self) -> Iterator[bytes]:
        yield from self.head
        for position in sorted(self._units):
            yield self._units[position]
        for position in sorted(self._places):
            assert self._file is not None
            offset, size = self._places[position]
            self._file.seek(offset)
            yield self._file.read(size)

    def close(self) -> None:
        """Release the temporary file."""
        self._units, self._places = {}, {}
        if self._file is not None:
            self._file.close()
