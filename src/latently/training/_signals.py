"""Deferred signals, so that a training stops between two steps, where it can be resumed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

#: Windows has no SIGHUP.
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


@contextmanager
def deferred_signals() -> Iterator[Callable[[], None]]:
    """Defer the first SIGINT, SIGTERM or SIGHUP until the yielded function is called.

    A second signal is handled at once. A signal that is still deferred at the end is handled then.
    Signals are handled by the previous handlers. Python's default handler of SIGINT raises
    KeyboardInterrupt. Signals without a Python handler are not deferred.
    """
    if threading.current_thread() is not threading.main_thread():
        yield _nothing
        return
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    waiting: list[tuple[int, FrameType | None]] = []

    def let_go() -> None:
        if waiting:
            number, frame = waiting.pop()
            handler = handlers[signal.Signals(number)]
            if callable(handler):
                handler(number, frame)

    def hold(number: int, frame: FrameType | None) -> None:
        is_second = bool(waiting)
        waiting.append((number, frame))
        if is_second:
            let_go()

    held = [number for number in _SIGNALS if callable(handlers[number])]
    for number in held:
        signal.signal(number, hold)
    try:
        yield let_go
    finally:
        for number in held:
            signal.signal(number, handlers[number])
        let_go()


def _nothing() -> None:
    pass
