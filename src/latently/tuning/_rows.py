"""Inner and outer rows of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from latently.estimators import split_rule
from latently.exceptions import DataError
from latently.schema import plain_rows, unmasked

#: Minimum number of rows, so that each of three parts has some.
_MIN_ROWS = 10
#: Maximum number of distinct numeric labels that are classes.
_MAX_CLASSES = 50


@dataclass(frozen=True)
class Rows:
    """Rows with their labels and groups, if there are any."""

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
    """Validate rows with their labels and groups."""
    X = plain_rows(X)
    X = X if hasattr(X, "shape") else np.asarray(X)
    n_rows = X.shape[0] if len(X.shape) else 0
    if n_rows < _MIN_ROWS:
        raise DataError(
            f"At least {_MIN_ROWS} rows are needed, got {n_rows} samples. Give more rows, or call "
            "fit of the model."
        )
    columns = {"y": y, "groups": groups}
    found = {
        name: None if given is None else unmasked(given, name) for name, given in columns.items()
    }
    for name, values in found.items():
        if values is not None and values.shape != (n_rows,):
            raise DataError(
                f"{name} must have one value per row, got shape {values.shape} for {n_rows:,} "
                "rows. Give as many values as rows."
            )
    return Rows(X, found["y"], found["groups"])


def _taken(X: Any, places: np.ndarray) -> Any:
    if isinstance(X, np.ndarray):
        return X[places]
    frame = nw.from_native(X, eager_only=True)
    return frame[places.tolist()].to_native()


def split_rows(rows: Rows, share: float, shuffle: bool, seed: int) -> tuple[Rows, Rows]:
    """Split rows into training and held-out rows.

    With groups, whole groups are drawn. Without ``shuffle``, the last rows are held out. Classes
    are stratified.
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
    """Return True for labels that are classes, not numbers of a regression."""
    if y.dtype.kind == "f" and not np.array_equal(y, np.rint(y)):
        return False
    return y.dtype.kind in "OUSb" or len(np.unique(y)) <= _MAX_CLASSES
