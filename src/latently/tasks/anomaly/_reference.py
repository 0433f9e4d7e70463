"""Summaries of the columns that a detector was fitted on, with which later rows are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.preprocessing import (
    ColumnValues,
    TablePreprocessor,
    canonical_order,
    column_values,
    measured_and_listed,
)

Level = str | int | float | bool

#: Largest number of rows summarised. Of more rows, a sample is drawn by their content.
_MAX_ROWS = 50_000
#: Cuts of a column of numbers, at least and at most, and of all columns together.
_MIN_CUTS, _MAX_CUTS, _ALL_CUTS = 18, 258, 200_000
#: Levels of a column of categories that are kept, the most frequent first.
_MAX_LEVELS = 200
#: Relative difference of numbers due to rounding, such as in single precision.
_ROUNDING = 1e-6
#: Largest sum of numbers, and number of rows.
_LARGEST, _MOST_ROWS = 1e300, 2**53


class Counts(NamedTuple):
    """Counts of the values of some rows.

    Attributes
    ----------
    n_rows, n_units : int
        Rows, and rows with copies of one observation counted once.
    n_values : ndarray of shape (n_columns,)
        Observed cells of each column in encoded order.
    below : ndarray of shape (n_measured, n_cuts)
        Numbers up to each cut.
    totals : ndarray of shape (n_measured,)
        Sums of the numbers.
    levels : tuple of Counter
        How often each truth or category occurs.
    """

    n_rows: int
    n_units: int
    n_values: np.ndarray
    below: np.ndarray
    totals: np.ndarray
    levels: tuple[Counter[Level], ...]

    def plus(self, other: Counts) -> Counts:
        """Return the counts of all rows of both."""
        levels = tuple(a + b for a, b in zip(self.levels, other.levels, strict=True))
        return Counts(
            self.n_rows + other.n_rows,
            self.n_units + other.n_units,
            self.n_values + other.n_values,
            self.below + other.below,
            self.totals + other.totals,
            levels,
        )


@dataclass(frozen=True, eq=False)
class Reference:
    """Summaries of the rows of ``fit``: enough to compare later rows with, and not the rows.

    Parameters
    ----------
    n_rows, n_units : int
        Rows, and rows with copies of one observation counted once.
    n_values : ndarray of shape (n_columns,)
        Observed cells of each column in encoded order.
    cuts : ndarray of shape (n_measured, n_cuts)
        Ascending numbers between neighbouring values of a column and beyond both ends. The last
        is repeated if there are fewer.
    below : ndarray of shape (n_measured, n_cuts)
        How many values lie up to each cut.
    totals : ndarray of shape (n_measured,)
        Sums of the numbers.
    levels : tuple of tuple
        Truths or categories of each listed column, at most 200, the most frequent first.
    counts : ndarray of shape (n_levels,)
        How often each of them occurs, one column after the other.
    n_different : ndarray of shape (n_listed,)
        How many different values each listed column holds.
    """

    n_rows: int
    n_units: int
    n_values: np.ndarray
    cuts: np.ndarray
    below: np.ndarray
    totals: np.ndarray
    levels: tuple[tuple[Level, ...], ...]
    counts: np.ndarray
    n_different: np.ndarray

    @classmethod
    def of(cls, preprocessor: TablePreprocessor, data: Any, n_units: int) -> Self:
        """Summarise rows.

        Parameters
        ----------
        preprocessor : TablePreprocessor
            Of the fitted model.
        data : ndarray or narwhals.DataFrame
            Normal rows. Of more than 50,000, so many are drawn, whatever their order.
        n_units : int
            Rows with copies of one observation counted once.

        Returns
        -------
        Reference
            Of these rows.
        """
        if len(data) > _MAX_ROWS:
            order = canonical_order(data).places
            drawn = order[np.random.default_rng(0).permutation(len(order))[:_MAX_ROWS]]
            data = data[drawn] if isinstance(data, np.ndarray) else data[drawn.tolist()]
        values = column_values(preprocessor, data)
        n_measured = values.measured.shape[1]
        n_cuts = int(np.clip(_ALL_CUTS // max(n_measured, 1), _MIN_CUTS, _MAX_CUTS))
        cuts = np.array([cuts_of(column, n_cuts) for column in values.measured.T])
        cuts = cuts.reshape(n_measured, n_cuts)
        found = count(values, cuts, min(n_units, len(data)))
        return cls._of_counts(cuts, found)

    @classmethod
    def _of_counts(cls, cuts: np.ndarray, found: Counts) -> Self:
        ranked = [
            sorted(one.items(), key=lambda pair: (-pair[1], str(pair[0])))[:_MAX_LEVELS]
            for one in found.levels
        ]
        return cls(
            found.n_rows,
            found.n_units,
            found.n_values,
            cuts,
            found.below,
            found.totals,
            tuple(tuple(level for level, _ in pairs) for pairs in ranked),
            np.array([n for pairs in ranked for _, n in pairs], dtype=np.int64),
            np.array([len(one) for one in found.levels], dtype=np.int64),
        )

    def check_consistent(self) -> None:
        """Raise DataError if the parts of a file contradict each other."""
        n_measured, n_listed = len(self.cuts), len(self.levels)
        lengths = [len(levels) for levels in self.levels]
        counted = [
            (self.n_values, self.n_values.shape[:1]),
            (self.below, self.cuts.shape),
            (self.counts, (sum(lengths),)),
            (self.n_different, (n_listed,)),
        ]
        sound = (
            0 < self.n_units <= self.n_rows < _MOST_ROWS
            and all(part.shape == shape and part.dtype.kind in "iu" for part, shape in counted)
            and all(bool(((part >= 0) & (part <= self.n_rows)).all()) for part, _ in counted)
            and self.cuts.ndim == 2
            and self.totals.shape == (n_measured,)
            and all(part.dtype == np.float64 for part in (self.cuts, self.totals))
            and all(bool(np.isfinite(part).all()) for part in (self.cuts, self.totals))
            and not any((np.diff(part, axis=1) < 0).any() for part in (self.cuts, self.below))
            and all(len(set(levels)) == len(levels) for levels in self.levels)
            and bool((self.n_different >= lengths).all())
        )
        if not sound:
            raise DataError("The model's reference_ does not fit together.")

    def check_fits(self, preprocessor: TablePreprocessor) -> None:
        """Raise DataError unless the columns are those of a preprocessor."""
        measured, listed = measured_and_listed(preprocessor)
        found = (len(self.n_values), len(self.cuts), len(self.levels))
        if found != (len(preprocessor.order), len(measured), len(listed)):
            raise DataError("The model's reference_ is of other columns.")

    def as_counts(self) -> Counts:
        """Return the statistics of the rows, without rare categories."""
        ends = np.cumsum([len(levels) for levels in self.levels])
        parts = np.split(self.counts, ends[:-1]) if len(ends) else []
        levels = tuple(
            Counter(dict(zip(names, part.tolist(), strict=True)))
            for names, part in zip(self.levels, parts, strict=True)
        )
        return Counts(self.n_rows, self.n_units, self.n_values, self.below, self.totals, levels)

    def extended(self, preprocessor: TablePreprocessor, data: Any) -> Self:
        """Return the summaries of these rows and further ones, at the same cuts.

        Parameters
        ----------
        preprocessor : TablePreprocessor
            Of the fitted model.
        data : ndarray or narwhals.DataFrame
            Further normal rows.

        Returns
        -------
        Reference
            Of all rows.
        """
        found = count(column_values(preprocessor, data), self.cuts, len(data))
        both = self.as_counts().plus(found)
        made = self._of_counts(self.cuts, both)
        return replace(made, n_different=np.maximum(made.n_different, self.n_different))


def cuts_of(values: np.ndarray, n_cuts: int, slack: float = 0.0) -> np.ndarray:
    """Return numbers that lie between the values of a column, spread as the values are.

    A distribution that is compared at these numbers is not troubled by rounding. Any choice of
    numbers leaves the Kolmogorov-Smirnov test valid, for its statistic is the largest gap anywhere.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN where a cell is missing.
    n_cuts : int
        Numbers to return, at least three.
    slack : float, default=0.0
        Values that differ by no more are equal, as are those that differ by a millionth.

    Returns
    -------
    ndarray of shape (n_cuts,)
        Ascending. The first and the last lie beyond all values.
    """
    ordered = np.sort(values[~np.isnan(values)].astype(np.float64))
    if not len(ordered):
        return np.zeros(n_cuts)
    size = np.abs(ordered)
    with np.errstate(over="ignore"):
        apart = np.diff(ordered) > _ROUNDING * np.maximum(size[1:], size[:-1]) + slack
    between = np.flatnonzero(apart)
    if len(between) > n_cuts - 2:
        wanted = np.linspace(between[0], between[-1], n_cuts - 2)
        between = between[np.unique(np.searchsorted(between, wanted).clip(0, len(between) - 1))]
    middles = ordered[between] / 2 + ordered[between + 1] / 2
    ends = ordered[[0, -1]] + (_ROUNDING * size[[0, -1]] + slack + 1e-300) * [-1, 1]
    cuts = np.clip([ends[0], *middles, ends[1]], -np.finfo(float).max, np.finfo(float).max)
    return np.concatenate([cuts, np.full(n_cuts - len(cuts), cuts[-1])])


def below_cuts(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Return how many of a column's values, NaN left out, lie up to each cut."""
    ordered = np.sort(values[~np.isnan(values)])
    counts: np.ndarray = np.searchsorted(ordered, cuts, side="right")
    return counts


def count(values: ColumnValues, cuts: np.ndarray, n_units: int) -> Counts:
    """Count the cells of some rows.

    Parameters
    ----------
    values : ColumnValues
        The rows.
    cuts : ndarray of shape (n_measured, n_cuts)
        Of a reference.
    n_units : int
        Rows with copies of one observation counted once.

    Returns
    -------
    Counts
        Of these rows.
    """
    columns: Sequence[np.ndarray] = list(values.measured.T)
    below = [below_cuts(column, line) for column, line in zip(columns, cuts, strict=True)]
    with np.errstate(over="ignore"):
        totals = np.nan_to_num(
            np.nansum(values.measured, axis=0), posinf=_LARGEST, neginf=-_LARGEST
        )
    return Counts(
        len(values.observed),
        n_units,
        values.observed.sum(0),
        np.array(below, dtype=np.int64).reshape(cuts.shape),
        totals,
        tuple(_counter(column) for column in values.listed),
    )


def _counter(column: pa.ChunkedArray) -> Counter[Level]:
    if pa.types.is_null(column.type):
        return Counter()
    found = pc.value_counts(column.drop_null())
    return Counter(
        dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))
    )
