"""Complete tables, and the holes that are made in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

MECHANISMS = ("MCAR", "MAR", "MNAR")
#: The generator of a mechanism's holes.
_STREAMS = {"MCAR": 1, "MAR": 2, "MNAR": 3}


class Holed(NamedTuple):
    """A table with holes, and what stood in them.

    Attributes
    ----------
    X : ndarray of shape (n, d)
        Complete; numbers from 0 to 1, categories as codes.
    holes : ndarray of bool, shape (n, d)
        True where a cell is hidden.
    is_category : ndarray of bool, shape (d,)
        Which columns hold codes.
    """

    X: np.ndarray
    holes: np.ndarray
    is_category: np.ndarray

    @property
    def given(self) -> np.ndarray:
        """The table with NaN in its holes."""
        return np.where(self.holes, np.nan, self.X)

    @property
    def scale(self) -> np.ndarray:
        """Standard deviation of each column of the complete table."""
        spread = self.X.std(0)
        return np.where(spread > 0, spread, 1.0)

    def take(self, rows: np.ndarray) -> Holed:
        """Return some of the rows."""
        return self._replace(X=self.X[rows], holes=self.holes[rows])


def load_table(path: Path, max_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a complete table and which of its columns are categories."""
    with np.load(path) as data:
        X, is_category = data["X"].astype(np.float64), data["is_cat"].astype(bool)
    if len(X) > max_rows:
        X = X[np.sort(np.random.default_rng(0).choice(len(X), max_rows, replace=False))]
        varied = np.ptp(X, axis=0) > 0
        X, is_category = X[:, varied], is_category[varied]
    numbers = ~is_category
    X[:, numbers] = (X[:, numbers] - X[:, numbers].min(0)) / np.ptp(X[:, numbers], axis=0)
    return X, is_category


def make_holes(
    X: np.ndarray, is_category: np.ndarray, mechanism: str, rate: float, seed: int
) -> Holed:
    """Hide cells: at random, or by what the others hold.

    MCAR hides every cell with the same chance. MAR leaves half of the columns complete, and they
    say by a logistic model what is hidden of the others. MNAR does so too, and hides cells of the
    first half at random, so that what they say is hidden as well.
    """
    rng = np.random.default_rng([seed, _STREAMS[mechanism]])
    n_rows, n_columns = X.shape
    if mechanism == "MCAR":
        return Holed(X, rng.random(X.shape) < rate, is_category)
    drivers = rng.choice(n_columns, max(n_columns // 2, 1), replace=False)
    driven = np.setdiff1d(np.arange(n_columns), drivers)
    holes = np.zeros(X.shape, dtype=bool)
    standard = (X - X.mean(0)) / np.where(X.std(0) > 0, X.std(0), 1.0)
    chance = _logistic(standard[:, drivers], len(driven), rate, rng)
    holes[:, driven] = rng.random((n_rows, len(driven))) < chance
    if mechanism == "MNAR":
        holes[:, drivers] = rng.random((n_rows, len(drivers))) < rate
    return Holed(X, holes, is_category)


def _logistic(Z: np.ndarray, n_out: int, rate: float, rng: np.random.Generator) -> np.ndarray:
    """Return chances with this mean, a sigmoid of random projections, by bisection."""
    score = Z @ rng.random((Z.shape[1], n_out))
    score = (score - score.mean(0)) / np.where(score.std(0) > 0, score.std(0), 1.0)
    low, high = np.full(n_out, -50.0), np.full(n_out, 50.0)
    for _ in range(60):
        middle = (low + high) / 2
        above = (1 / (1 + np.exp(-(score + middle)))).mean(0) > rate
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    return 1 / (1 + np.exp(-(score + (low + high) / 2)))


def as_table(X: np.ndarray, is_category: np.ndarray) -> pa.Table:
    """Return codes as categories of text, as a user would bring them."""
    columns: dict[str, Any] = {}
    for place, (column, coded) in enumerate(zip(X.T, is_category, strict=True)):
        gaps = np.isnan(column)
        if coded:
            codes = pa.array(np.nan_to_num(column).astype(np.int32), mask=gaps)
            n_levels = int(np.nanmax(column)) + 1
            levels = pa.array([str(level) for level in range(n_levels)])
            columns[f"c{place}"] = pa.DictionaryArray.from_arrays(codes, levels)
        else:
            columns[f"c{place}"] = pa.array(column, mask=gaps)
    return pa.table(columns)


def as_codes(table: pa.Table, is_category: np.ndarray) -> np.ndarray:
    """Return a table's texts as the codes that they stand for."""
    columns = [
        np.array([float(value) for value in column.to_pylist()])
        if coded
        else column.to_numpy(zero_copy_only=False)
        for column, coded in zip(table.columns, is_category, strict=True)
    ]
    return np.column_stack(columns)
