"""Callbacks: told of every evaluation, unable to change what is learnt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latently.io import progress_bar
from latently.training._history import History, Record


class Callback(Protocol):
    """Told when training begins, after each evaluation, and when it ends."""

    def on_train_begin(self, n_steps: int) -> None:
        """Hear how many steps are planned."""
        ...

    def on_evaluation(self, record: Record) -> None:
        """Hear an evaluation."""
        ...

    def on_train_end(self, history: History) -> None:
        """Hear the whole history."""
        ...


#: Callbacks of whoever has trainings run somewhere below it.
_LISTENERS: ContextVar[tuple[Callback, ...]] = ContextVar("listeners", default=())


@contextmanager
def listening(callback: Callback) -> Iterator[None]:
    """Let a callback hear every training that is run within, of whatever estimator or task.

    An exception that it raises ends the training and goes up to whoever asked for it.

    Parameters
    ----------
    callback : Callback
        Told of every evaluation.
    """
    token = _LISTENERS.set((*_LISTENERS.get(), callback))
    try:
        yield
    finally:
        _LISTENERS.reset(token)


def listeners() -> tuple[Callback, ...]:
    """Return the callbacks that hear the trainings of this context."""
    return _LISTENERS.get()


class ProgressBar:
    """A bar with both losses and the time left: on stderr, in a notebook below the cell."""

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
        """Stop the bar and say why training ended."""
        self._progress.update(self._task, description=f"{self._title}: {history.stopped}")
        self._progress.stop()
