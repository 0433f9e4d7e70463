"""Which rows calibrate a detector: none of them may have seen itself, or a copy of itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np

from latently._validation import MIN_ROWS
from latently.preprocessing import canonical_order

#: Scores that calibration keeps: enough to resolve one false alarm in twenty thousand.
MAX_CALIBRATION_ROWS = 20_000
#: Fraction of the rows held out to calibrate a network.
_CALIBRATION_SHARE = 0.2
#: Up to so many rows a memory is calibrated by folds: scaling and ranks know each of its rows.
_MAX_CROSS_FITTED, _N_FOLDS = 500, 5
#: Of so few rows a fifth is missed: memories of nine tenths score more like the whole one.
_FEW_ROWS, _MANY_FOLDS = 100, 10
#: Up to so many rows a memory is calibrated by its own, each left out; beyond, it can spare some.
_MAX_OWN_ROWS = 2_500


class Holding(NamedTuple):
    """Rows in a random order that does not depend on the order they came in, copies side by side.

    Attributes
    ----------
    order : ndarray of int, shape (n_rows,)
        Places of the rows by their content.
    shuffled : ndarray of int, shape (n_rows,)
        The same places in random order, with the copies of a row next to each other.
    starts : ndarray of int, shape (n_units + 1,)
        Start of each unit of copies in ``shuffled``. The last entry is the number of rows.
    """

    order: np.ndarray
    shuffled: np.ndarray
    starts: np.ndarray

    @classmethod
    def of(cls, data: Any, units: np.ndarray, seed: int) -> Self:
        """Shuffle rows.

        Parameters
        ----------
        data : ndarray or narwhals.DataFrame
            Rows.
        units : ndarray of int, shape (n_rows,)
            Copies of one observation have the same number.
        seed : int
            Of the random order.

        Returns
        -------
        Holding
            Units of more copies than usual come last: they are held out last.
        """
        order = canonical_order(data).places
        shuffled = order[np.random.default_rng(seed).permutation(len(order))]
        _, place, inverse, counts = np.unique(
            units[shuffled], return_index=True, return_inverse=True, return_counts=True
        )
        many = counts > np.median(counts)
        by_unit = np.lexsort((place[inverse], many[inverse]))
        ordered = inverse[by_unit]
        changes = np.flatnonzero(np.diff(ordered, prepend=-1))
        return cls(order, shuffled[by_unit], np.append(changes, len(order)))

    @property
    def n_units(self) -> int:
        """Rows, the copies of a row counted once."""
        return len(self.starts) - 1

    def n_spared(self, *, judges_own_rows: bool) -> int:
        """Return the number of units held out from training for calibration."""
        n_held = max(1, min(round(_CALIBRATION_SHARE * self.n_units), MAX_CALIBRATION_ROWS))
        spares_none = judges_own_rows and self.n_units <= _MAX_OWN_ROWS
        return 0 if spares_none or self.n_units - n_held < MIN_ROWS else n_held

    def learnt(self, n_held: int) -> np.ndarray:
        """Return the places of the rows that are not held out, by their content."""
        held = self.shuffled[: self.starts[n_held]]
        return self.order[~np.isin(self.order, held)]

    def first_of_units(self, n_units: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the place of one row of each of the first units, and the sizes of the units."""
        starts = self.starts[: min(n_units, self.n_units) + 1]
        return self.shuffled[starts[:-1]], np.diff(starts)

    def is_cross_fitted(self, *, is_exact: bool) -> bool:
        """Return True if rows are calibrated by folds instead of by being left out.

        Parameters
        ----------
        is_exact : bool
            True if a row that is left out affects nothing but the scaling and the ranks. It is
            then left out, unless the rows are so few that these count.
        """
        most = _MAX_CROSS_FITTED if is_exact else _MAX_OWN_ROWS
        return _N_FOLDS * MIN_ROWS <= self.n_units <= most

    def folds(self, *, has_forest: bool = False) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield places of the rows to fit to, and of one row of each unit to score.

        Parameters
        ----------
        has_forest : bool, default=False
            True if the score has a forest, which scores rows lower the more rows it is fitted to.
            Ten folds are used then, as for few rows.
        """
        is_small = self.n_units <= _FEW_ROWS or has_forest
        many = is_small and self.n_units >= _MANY_FOLDS * MIN_ROWS
        n_folds = _MANY_FOLDS if many else _N_FOLDS
        for fold in np.array_split(np.arange(self.n_units), n_folds):
            held = slice(self.starts[fold[0]], self.starts[fold[-1] + 1])
            others = np.delete(self.shuffled, held)
            yield others, self.shuffled[self.starts[fold]]
