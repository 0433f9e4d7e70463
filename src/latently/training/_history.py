"""The history of a training, with one record for each evaluation."""

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
    """One evaluation of the training.

    Attributes
    ----------
    step : int
        Number of steps taken.
    epoch : float
        Number of passes over the training rows.
    train_loss, valid_loss : float
        Mean losses in nats per column, including the penalty.
    learning_rate : float
        Learning rate of the last step.
    metrics : mapping of str to float
        Further metrics of the model.
    """

    step: int
    epoch: float
    train_loss: float
    valid_loss: float
    learning_rate: float
    metrics: Mapping[str, float] = MappingProxyType({})


#: The columns of every record, and the entries of ``to_dict`` that are no columns.
_COLUMNS = tuple(name for name in Record._fields if name != "metrics")
_REST = ("events", "stopped", "best_step")


@dataclass(repr=False)
class History(Tabular):
    """The record of one fit.

    ``history["valid_loss"]`` returns a column as an array, and ``history["l0"]`` a metric of a
    sparse model. Iteration yields the records.

    Attributes
    ----------
    records : list of Record
        Records of the evaluations, oldest first.
    events : list of str
        Descriptions of roll-backs after a diverged loss, and of skipped steps.
    stopped : str
        Reason why training ended: "finished", "early stopping", "interrupted", "time limit" or
        "diverged"; "running" before the end.
    best_step : int
        Step of the weights that were kept.
    steps : str
        "recorded" if steps were replayed from a recording, or "eager" with the reason.
    seconds : list of float
        Seconds from the start to each record. They are not saved with a model, and are ignored when
        histories are compared.
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
            raise KeyError(f"column must be one of {columns}, got {name!r}")
        return np.array([getattr(record, name) for record in self.records])

    def columns(self) -> dict[str, list[Any]]:
        """Return the history as one list for each column and metric.

        Returns
        -------
        dict of str to list
            Lists with one entry for each evaluation.
        """
        return {name: self[name].tolist() for name in (*_COLUMNS, *self.metric_names)}

    def caption(self) -> str:
        best = f"stopped: {self.stopped}, best step {self.best_step:,}"
        return "\n".join([best, *self.events])

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Names of the metrics that the model adds to each record."""
        return tuple(self.records[0].metrics) if self.records else ()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    @property
    def last_step(self) -> int:
        """The step of the last evaluation, or 0 before the first one."""
        return self.records[-1].step if self.records else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the history as plain lists and strings, without ``seconds`` and ``steps``.

        Returns
        -------
        dict
            One list for each column and metric, and "events", "stopped" and "best_step".
        """
        rest = {"events": self.events, "stopped": self.stopped, "best_step": self.best_step}
        return {**self.columns(), **rest}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> History:
        """Rebuild a history from ``to_dict``.

        Parameters
        ----------
        state : dict
            The result of ``to_dict``.

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
