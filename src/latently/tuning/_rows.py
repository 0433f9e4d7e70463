"""Rows for a search: those that choose, and those that report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from latently.estimators import split_rule
from latently.exceptions import DataError
from latently.schema import plain_rows, unmasked

#: Fewest rows that are worth a search: each of three parts needs some to judge by.
_MIN_ROWS = 10
#: More distinct labels than this are amounts, not classes.
_MAX_CLASSES = 50


@dataclass(frozen=True)
class Rows:
    """Some rows, with labels and groups where there are any."""

    X: Any
    y: np.ndarray | None = None
    groups: np.ndarray | None = None

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def take(self, places: np.ndarray) -> Rows:
        """Return some of the rows."""
        y = None if self.y is None else self.y[places]
        groups = None if self.groups is None else self.groups[places]
        return Rows(_taken(self.X, places), y, groups)


def read_rows(X: Any, y: Any, groups: Any) -> Rows:
    """Judge rows and what belongs to each of them."""
    X = plain_rows(X)
    X = X if hasattr(X, "shape") else np.asarray(X)
    n_rows = X.shape[0] if len(X.shape) else 0
    if n_rows < _MIN_ROWS:
        raise DataError(
            f"At least {_MIN_ROWS} rows are needed, got {n_rows} samples. Use fit alone."
        )
    beside = {"y": y, "groups": groups}
    found = {
        name: None if given is None else unmasked(given, name) for name, given in beside.items()
    }
    for name, values in found.items():
        if values is not None and values.shape != (n_rows,):
            raise DataError(
                f"{name} must have one value a row, got shape {values.shape} for {n_rows:,} rows."
            )
    return Rows(X, found["y"], found["groups"])


def _taken(X: Any, places: np.ndarray) -> Any:
    if isinstance(X, np.ndarray):
        return X[places]
    frame = nw.from_native(X, eager_only=True)
    return frame[places.tolist()].to_native()


def split_rows(rows: Rows, share: float, shuffle: bool, seed: int) -> tuple[Rows, Rows]:
    """Part rows into those to learn from and those to judge by.

    Whole groups are drawn where there are groups, the last rows taken where ``shuffle`` is off;
    classes are in both parts in the same shares.
    """
    n_rows = len(rows)
    if rows.y is not None and rows.groups is None and shuffle and is_classes(rows.y):
        _, classes, counts = np.unique(rows.y, return_inverse=True, return_counts=True)
        if counts.min() > 1 and share * n_rows >= len(counts):
            splitter = StratifiedShuffleSplit(1, test_size=share, random_state=seed)
            train, valid = next(splitter.split(classes, classes))
            return rows.take(train), rows.take(valid)
    if rows.groups is not None:
        rule = split_rule(share, shuffle, None, rows.groups, n_rows)
        split = rule.split(np.arange(n_rows), n_rows, seed)
        return rows.take(split.train.numpy()), rows.take(split.valid.numpy())
    order = np.random.default_rng(seed).permutation(n_rows) if shuffle else np.arange(n_rows)
    n_learnt = n_rows - max(1, round(share * n_rows))
    return rows.take(order[:n_learnt]), rows.take(order[n_learnt:])


def is_classes(y: np.ndarray) -> bool:
    """Return True for labels that are classes rather than amounts."""
    if y.dtype.kind == "f" and not np.array_equal(y, np.rint(y)):
        return False
    return y.dtype.kind in "OUSb" or len(np.unique(y)) <= _MAX_CLASSES
