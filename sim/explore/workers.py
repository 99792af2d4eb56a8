"""Work shared among the cores: the same function on many items, with what they have in common."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

__all__ = ["cores", "spread"]

Common = TypeVar("Common")
Item = TypeVar("Item")
Result = TypeVar("Result")

_job: tuple[Callable[[Any, Any], Any], Any]
"""In a worker: the function, and what the items have in common."""


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def spread(
    work: Callable[[Common, Item], Result], common: Common, items: Sequence[Item]
) -> Iterator[tuple[int, Result]]:
    """Yield (place, `work(common, item)`) of every item as it is done, in any order.

    What is not begun when the caller leaves is dropped. `work` is a function of a module.
    """
    count = min(cores(), len(items))
    if count <= 1:
        for place, item in enumerate(items):
            yield place, work(common, item)
        return
    # A fork shares what is in common without a copy; elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context("fork" if sys.platform == "linux" else None)
    pool = ProcessPoolExecutor(count, context, _start, (work, common))
    try:
        with warnings.catch_warnings():
            # NumPy's threads do nothing here, and the workers start none.
            warnings.filterwarnings("ignore", ".*multi-threaded", DeprecationWarning)
            places: dict[Future[Result], int] = {
                pool.submit(_do, item): place for place, item in enumerate(items)
            }
        for future in as_completed(places):
            yield places.pop(future), future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _start(work: Callable[[Any, Any], Any], common: Any) -> None:
    """Get a worker ready: it leaves an interrupt to its parent, and ends when that does."""
    global _job
    _job = work, common
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _do(item: Any) -> Any:
    work, common = _job
    return work(common, item)
