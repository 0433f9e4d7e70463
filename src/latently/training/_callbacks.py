"""Callbacks, which are called at every evaluation and cannot change the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latently.io._progress import progress_bar
from latently.training._history import History, Record


class Callback(Protocol):
    """An object that is called when training begins, after each evaluation, and when it ends."""

    def on_train_begin(self, n_steps: int) -> None:
        """Start with the planned number of steps."""
        ...

    def on_evaluation(self, record: Record) -> None:
        """Process the record of an evaluation."""
        ...

    def on_train_end(self, history: History) -> None:
        """Process the complete history."""
        ...


#: Callbacks for every training of the current context.
_CONTEXT_CALLBACKS: ContextVar[tuple[Callback, ...]] = ContextVar("context_callbacks", default=())


@contextmanager
def using_callback(callback: Callback) -> Iterator[None]:
    """Call a callback in every training of this context, for all estimators and tasks.

    An exception that it raises ends the training and propagates to the caller of ``fit``.

    Parameters
    ----------
    callback : Callback
        Called when training begins, at every evaluation, and when it ends.
    """
    token = _CONTEXT_CALLBACKS.set((*_CONTEXT_CALLBACKS.get(), callback))
    try:
        yield
    finally:
        _CONTEXT_CALLBACKS.reset(token)


def context_callbacks() -> tuple[Callback, ...]:
    """Return the callbacks of the current context."""
    return _CONTEXT_CALLBACKS.get()


class ProgressBar:
    """A progress bar with both losses and the time left, on stderr or below a notebook cell."""

    def __init__(self, title: str) -> None:
        self._progress = progress_bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._title = title
        self._task = self._progress.add_task(title, total=None, losses="")

    def on_train_begin(self, n_steps: int) -> None:
        """Start the bar."""
        self._progress.update(self._task, total=n_steps)
        self._progress.start()

    def on_evaluation(self, record: Record) -> None:
        """Advance the bar."""
        losses = f"train {record.train_loss:.4g}  valid {record.valid_loss:.4g}"
        self._progress.update(self._task, completed=record.step, losses=losses)

    def on_train_end(self, history: History) -> None:
        """Stop the bar and show why training ended."""
        self._progress.update(self._task, description=f"{self._title}: {history.stopped}")
        self._progress.stop()
