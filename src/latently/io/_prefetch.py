"""Read ahead: the next piece is made while this one is worked on."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["prefetched"]

Item = TypeVar("Item")

#: How often a thread that waits looks whether it is still wanted, in seconds.
_WATCH = 0.1


class _Failure:
    """What went wrong in the thread, on its way to the reader."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


def prefetched(items: Iterable[Item], depth: int = 1) -> Iterator[Item]:
    """Yield items in their order, made ahead by a background thread.

    Parameters
    ----------
    items : iterable
        Read by the thread only; an error of its own is raised where the items are read.
    depth : int, default=1
        Items that may wait, beside the one that is being made and the one in hand.

    Yields
    ------
    object
        The items. Closing the iterator ends the thread.
    """
    waiting: queue.Queue[object] = queue.Queue(depth)
    unwanted = threading.Event()

    def hand_over(item: object) -> bool:
        while not unwanted.is_set():
            try:
                waiting.put(item, timeout=_WATCH)
            except queue.Full:
                continue
            return True
        return False

    def work() -> None:
        try:
            for item in items:
                if not hand_over(item):
                    return
            hand_over(_END)
        except BaseException as error:  # raised again by the reader
            hand_over(_Failure(error))

    thread = threading.Thread(target=work, name="latently-prefetch", daemon=True)
    if not _starts(thread):
        yield from items
        return
    try:
        while (item := waiting.get()) is not _END:
            yield _unwrapped(item)  # type: ignore[misc]  # put there by the thread
    finally:
        unwanted.set()
        thread.join()


def _starts(thread: threading.Thread) -> bool:
    """Start a thread; return False if the system grants none."""
    try:
        thread.start()
    except RuntimeError:
        return False
    return True


def _unwrapped(item: object) -> object:
    """Return an item, or raise what went wrong instead of it."""
    if isinstance(item, _Failure):
        raise item.error
    return item
