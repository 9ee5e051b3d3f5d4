"""Who does the work on single units: the calling thread, threads of our own, or an executor.

Results come as they are done. No more work is handed out than the memory allows, so that a model of any
size goes through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from typing import Protocol, TypeVar

from ..decoder.payload import checked_threads

__all__ = ["Work", "completed"]

#: Items in the hands of an executor, whose number of workers is not known.
_IN_FLIGHT = 256

#: Bytes that the items in flight may take, at least, and for each thread.
_MEMORY, _MEMORY_PER_THREAD = 1 << 29, 1 << 28

#: Elements below which threads cost more than they gain.
_FEW = 1 << 16


class Work(Protocol):
    """An item of work by what it costs."""

    @property
    def elements(self) -> int: ...

    @property
    def held_bytes(self) -> int:
        """Bytes of arrays in memory, which go to another process with the item."""
        ...

    @property
    def working_bytes(self) -> int:
        """Bytes of memory that the work takes for arrays that have to be read first."""
        ...


_Item = TypeVar("_Item", bound=Work)
_Result = TypeVar("_Result")


def completed(
    function: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    threads: int | None = None,
    executor: Executor | None = None,
    memory: int | None = None,
) -> Iterator[tuple[int, _Result]]:
    """Positions and results of all items, as they are done, the largest begun first.

    Args:
        threads: worker threads, None for one per core; of an executor, the items in its hands at a time,
            None for 256.
        executor: does the work instead of threads.
        memory: bytes that items in flight may take; a single one is done whatever it takes. None for 512 MiB,
            or 256 MiB for each thread where that is more.
    """
    workers = checked_threads(threads)
    if executor is None and (workers == 1 or len(items) < 2 or sum(i.elements for i in items) < _FEW):
        for k, item in enumerate(items):
            yield k, function(item)
        return
    own = ThreadPoolExecutor(min(workers, len(items))) if executor is None else None
    pool = executor or own
    assert pool is not None
    slots = 2 * workers if own is not None else (_IN_FLIGHT if threads is None else workers)
    room = memory if memory is not None else max(_MEMORY, workers * _MEMORY_PER_THREAD)
    waiting = sorted(range(len(items)), key=lambda k: items[k].elements)
    running: dict[Future[_Result], tuple[int, int]] = {}
    used = 0
    try:
        while waiting or running:
            while waiting and len(running) < slots:
                item = items[waiting[-1]]
                cost = item.working_bytes if own is not None else item.held_bytes
                if running and used + cost > room:
                    break
                running[pool.submit(function, item)] = waiting.pop(), cost
                used += cost
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                k, cost = running.pop(future)
                used -= cost
                yield k, future.result()
    finally:
        for future in running:
            future.cancel()
        if own is not None:
            own.shutdown(wait=True)
