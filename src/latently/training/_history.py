"""What happened in training, evaluation by evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np

StopReason = Literal["running", "finished", "early stopping", "interrupted", "diverged"]


class Record(NamedTuple):
    """One evaluation. Losses are nats a column, penalty included."""

    step: int
    epoch: float
    train_loss: float
    valid_loss: float
    learning_rate: float


@dataclass
class History:
    """The record of one fit.

    ``history["valid_loss"]`` is a column as an array; iterating gives the records.

    Attributes
    ----------
    records : list of Record
        One an evaluation, oldest first.
    events : list of str
        What happened besides: roll-backs after a diverged loss.
    stopped : str
        Why training ended: "finished", "early stopping", "interrupted" or "diverged".
    best_step : int
        The step whose weights were kept.
    seconds : list of float
        Since the start, at each record; not saved with a model, and equal fits may differ in it.
    """

    records: list[Record] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    stopped: StopReason = "running"
    best_step: int = 0
    seconds: list[float] = field(default_factory=list, compare=False)

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "seconds":
            return np.array(self.seconds)
        if name not in Record._fields:
            raise KeyError(f"no column {name!r} in the history; there are {list(Record._fields)}")
        return np.array([getattr(record, name) for record in self.records])

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def last_step(self) -> int:
        """The step of the last evaluation, 0 before any."""
        return self.records[-1].step if self.records else 0

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and strings, without the clock: equal fits give equal records.

        Returns
        -------
        dict
            One list a column, then "events", "stopped" and "best_step".
        """
        columns = {name: self[name].tolist() for name in Record._fields}
        rest = {"events": self.events, "stopped": self.stopped, "best_step": self.best_step}
        return {**columns, **rest}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> History:
        """Rebuild a history from ``to_dict``.

        Parameters
        ----------
        state : dict
            What ``to_dict`` returned.

        Returns
        -------
        History
            An equal history.
        """
        columns = [state[name] for name in Record._fields]
        records = [Record(*row) for row in zip(*columns, strict=True)]
        return cls(records, list(state["events"]), state["stopped"], state["best_step"])
