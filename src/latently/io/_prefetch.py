"""Read ahead in a background thread while the current item is processed."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["prefetched"]

Item = TypeVar("Item")

#: Seconds after which a waiting thread checks again if it is still needed.
_WATCH = 0.1


class _Failure:
    """An error of the thread, to be raised by the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


@contextmanager
def prefetched(items: Iterable[Item], depth: int = 1) -> Iterator[Iterator[Item]]:
    """Compute items ahead in a background thread, which ends with the ``with`` block.

    Parameters
    ----------
    items : iterable
        Read by the thread only. An error raised while reading is raised again by the iterator.
    depth : int, default=1
        Number of items that may wait, in addition to the one being computed and the one in use.

    Yields
    ------
    iterator
        The same items in the same order.

    Examples
    --------
    >>> with prefetched(range(3)) as numbers:
    ...     list(numbers)
    [0, 1, 2]
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    unwanted = threading.Event()
    # Python waits for non-daemon threads before it exits. A daemon thread that runs C++ code at
    # that moment aborts the process.
    thread = threading.Thread(
        target=_work, args=(items, waiting, unwanted), name="latently-prefetch", daemon=False
    )
    if not _starts(thread):
        yield iter(items)
        return
    try:
        yield _handed_over(waiting)
    finally:
        unwanted.set()
        thread.join()


def _work(items: Iterable[object], waiting: queue.Queue[object], unwanted: threading.Event) -> None:
    """Put items into a queue until they end or are no longer needed."""
    try:
        for item in items:
            if not _put(item, waiting, unwanted):
                return
        _put(_END, waiting, unwanted)
    except BaseException as error:  # raised again by the reader
        _put(_Failure(error), waiting, unwanted)
    finally:
        close = getattr(items, "close", None)
        if close is not None:
            close()


def _put(item: object, waiting: queue.Queue[object], unwanted: threading.Event) -> bool:
    """Return True once an item is in the queue, and False if there is no reader any more."""
    # If a reader was never closed, the main thread may have ended.
    while not unwanted.is_set() and threading.main_thread().is_alive():
        try:
            waiting.put(item, timeout=_WATCH)
        except queue.Full:
            continue
        return True
    return False


def _handed_over(waiting: queue.Queue[object]) -> Iterator[Item]:
    while (item := waiting.get()) is not _END:
        if isinstance(item, _Failure):
            raise item.error
        yield item  # type: ignore[misc]  # put there by the thread


def _starts(thread: threading.Thread) -> bool:
    """Start a thread and return True, or return False if the system refuses it."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True
