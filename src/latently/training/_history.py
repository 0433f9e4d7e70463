"""What happened in training, evaluation by evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import repeat
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np

from latently._tabular import Tabular

StopReason = Literal[
    "running", "finished", "early stopping", "interrupted", "time limit", "diverged"
]


class Record(NamedTuple):
    """One evaluation. Losses are nats a column, penalty included; metrics are the model's own."""

    step: int
    epoch: float
    train_loss: float
    valid_loss: float
    learning_rate: float
    metrics: Mapping[str, float] = MappingProxyType({})


#: What every record has, and what a history has beside its records.
_COLUMNS = tuple(name for name in Record._fields if name != "metrics")
_REST = ("events", "stopped", "best_step")


@dataclass(repr=False)
class History(Tabular):
    """The record of one fit.

    ``history["valid_loss"]`` is a column as an array, ``history["l0"]`` a metric of a sparse model;
    iterating gives the records.

    Attributes
    ----------
    records : list of Record
        One an evaluation, oldest first.
    events : list of str
        What happened besides: roll-backs after a diverged loss.
    stopped : str
        Why training ended: "finished", "early stopping", "interrupted", "time limit" or
        "diverged".
    best_step : int
        The step whose weights were kept.
    steps : str
        How steps were taken: "recorded", without Python between operations, or "eager" and why.
    seconds : list of float
        Since the start, at each record; not saved with a model, and equal fits may differ in it.
    """

    records: list[Record] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    stopped: StopReason = "running"
    best_step: int = 0
    steps: str = field(default="", compare=False)
    seconds: list[float] = field(default_factory=list, compare=False)

    def __getitem__(self, name: str) -> np.ndarray:
        if name == "seconds":
            return np.array(self.seconds)
        if name in self.metric_names:
            return np.array([record.metrics[name] for record in self.records])
        if name not in _COLUMNS:
            columns = [*_COLUMNS, "seconds", *self.metric_names]
            raise KeyError(f"no column {name!r} in the history; there are {columns}")
        return np.array([getattr(record, name) for record in self.records])

    def columns(self) -> dict[str, list[Any]]:
        """Return one list a column and metric.

        Returns
        -------
        dict of str to list
            An entry an evaluation.
        """
        return {name: self[name].tolist() for name in (*_COLUMNS, *self.metric_names)}

    def caption(self) -> str:
        best = f"stopped: {self.stopped}, best step {self.best_step:,}"
        return "\n".join([best, *self.events])

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Figures of its own that the kind of model leaves at each evaluation."""
        return tuple(self.records[0].metrics) if self.records else ()

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
            One list a column and metric, then "events", "stopped" and "best_step".
        """
        rest = {"events": self.events, "stopped": self.stopped, "best_step": self.best_step}
        return {**self.columns(), **rest}

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
        rows = zip(*(state[name] for name in _COLUMNS), strict=True)
        own = [name for name in state if name not in (*_COLUMNS, *_REST)]
        figures = zip(*(state[name] for name in own), strict=True) if own else repeat(())
        records = [
            Record(*row)._replace(metrics=dict(zip(own, metrics, strict=True)))
            for row, metrics in zip(rows, figures, strict=False)
        ]
        return cls(records, list(state["events"]), state["stopped"], state["best_step"])
