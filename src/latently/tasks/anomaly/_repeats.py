"""Rows that occur more than once: copies of one observation, or values that coincide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import narwhals as nw
import numpy as np

from latently.preprocessing import canonical_order, content_matrix

#: Rows that differ by less in every column, in standard deviations, are near copies if that is also
#: less than a share of the local spacing of rows; those that differ by rounding are always equal.
_EQUAL, _SHARE_OF_SPACING, _ROUNDING = 1e-5, 0.03, 1e-9
#: Steps between sorted rows, on either side, that the local spacing is the mean of.
_N_STEPS = 16
#: Rows in which values of a column are counted, share of them that is few, and weight of columns of
#: few values.
_N_SAMPLED, _FEW_VALUES, _FAR_APART = 1_000, 0.1, 1e4
#: Fewer distinct rows, each as often as that or more, are not a sample that was copied.
_MIN_DISTINCT, _MANY_TIMES = 10, 10
#: A row that makes up more of the table than this, and so many times the mean, is a point mass.
_POINT_MASS, _TIMES_MEAN = 0.05, 4
#: Elements of a table in which near copies, and rows that differ in one column, are searched for.
_MAX_ELEMENTS, _MAX_COMPARED = 1 << 24, 1 << 21
#: Gaps of a grid are whole multiples of the smallest, but for this.
_OFF_GRID = 1e-3


@dataclass(frozen=True, eq=False)
class Repeats:
    """Which rows of a table count once in a calibration, and which on their own.

    Copies of one observation form a unit. Equal rows of a table whose values coincide anyway
    (answers, flags, categories, counts) do not: each is a unit of its own.

    Parameters
    ----------
    kept : ndarray of int, shape (n_kept,)
        Places of the rows that remain once repetitions of the whole table are left out, ascending.
    units : ndarray of int, shape (n_kept,)
        The unit of each of them.
    n_times : int
        Number of repetitions of the whole table, 1 if it is not repeated.
    """

    kept: np.ndarray
    units: np.ndarray
    n_times: int = 1

    @classmethod
    def of(cls, data: np.ndarray | nw.DataFrame[Any]) -> Self:
        """Find the units of a table.

        Parameters
        ----------
        data : ndarray or narwhals.DataFrame
            Rows.

        Returns
        -------
        Repeats
            Units are numbered in no particular order.
        """
        groups, table = _grouped(data)
        counts = np.bincount(groups)
        everything = np.arange(len(groups))
        if len(counts) == len(groups):
            return cls(everything, groups)
        n_times = int(np.gcd.reduce(counts)) if len(counts) >= _MIN_DISTINCT else 1
        kept = np.flatnonzero(_nth_of_group(groups) < counts[groups] // n_times)
        groups = groups[kept]
        apart = _values(np.bincount(groups), table, np.unique(groups, return_index=True)[1], kept)
        # Rows of no unit are numbered from the number of groups on.
        units = np.where(apart[groups], len(counts) + np.arange(len(kept)), groups)
        return cls(kept, units, n_times)

    def at_most(self, n_copies: int) -> Repeats:
        """Return the same with no more than so many rows a unit."""
        _, units = np.unique(self.units, return_inverse=True)
        few = _nth_of_group(units) < n_copies
        return Repeats(self.kept[few], self.units[few], self.n_times)

    @property
    def firsts(self) -> np.ndarray:
        """Places of the first row of each unit, ascending."""
        return np.sort(self.kept[np.unique(self.units, return_index=True)[1]])

    @property
    def n_copies(self) -> int:
        """Rows that are a copy of another, beside repetitions of the whole table."""
        return len(self.units) - len(np.unique(self.units))


def _grouped(data: np.ndarray | nw.DataFrame[Any]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the group of equal rows of each row, and the table as numbers unless it is large."""
    if len(data) * int(np.prod(data.shape[1:])) <= _MAX_ELEMENTS:
        table = _standardized(content_matrix(data))
        return _near(table), table
    order = canonical_order(data)
    groups = np.empty(len(order.places), dtype=np.int64)
    groups[order.places] = order.content
    return groups, None


def _standardized(table: np.ndarray) -> np.ndarray:
    """Return columns in standard deviations, with gaps far from all numbers."""
    missing = ~np.isfinite(table)
    numbers = np.where(missing, 0.0, table)
    # In units of the largest number of a column: the square of any other may overflow.
    numbers /= np.maximum(abs(numbers).max(0, initial=0.0), np.finfo(float).tiny)
    count = np.maximum((~missing).sum(0), 1)
    centered = np.where(missing, 0.0, numbers - numbers.sum(0) / count)
    spread = np.sqrt(np.square(centered).sum(0) / count)
    scaled = centered / np.where(spread > 0, spread, 1.0)
    return np.where(missing, 2 * abs(scaled).max(initial=1.0), scaled)


def _near(table: np.ndarray) -> np.ndarray:
    """Number rows so that rows which are equal but for rounding have the same number.

    Rows are sorted along a random direction: equal ones come next to each other. Columns of few
    values weigh so much that rows of other flags or categories do not come in between.
    """
    direction = np.asarray(np.random.default_rng(0).normal(size=table.shape[1]))
    sample = np.sort(table[:: max(1, len(table) // _N_SAMPLED)], axis=0)
    n_values = 1 + (np.diff(sample, axis=0) > _ROUNDING).sum(0)
    direction[n_values <= _FEW_VALUES * len(sample)] *= _FAR_APART
    order = np.argsort((table * direction).sum(1), kind="stable")
    steps = np.abs(np.diff(table[order], axis=0)).max(1, initial=0.0)
    groups = np.empty(len(table), dtype=np.int64)
    groups[order] = np.concatenate([[0], np.cumsum(~_are_copies(steps))])
    return groups


def _are_copies(steps: np.ndarray) -> np.ndarray:
    """Return True for steps between sorted rows that are equal, or near copies.

    Spacings of independent rows are exponential: by chance, a share ``c`` of them is less than
    ``c`` times the local spacing. Near copies must be more than twice as many as that.
    """
    equal: np.ndarray = steps <= _ROUNDING
    if equal.all():
        return equal
    sums = np.concatenate([[0.0], np.cumsum(steps)])
    places = np.arange(len(steps))
    starts = np.maximum(places - _N_STEPS, 0)
    ends = np.minimum(places + _N_STEPS + 1, len(steps))
    spacing = (sums[ends] - sums[starts]) / (ends - starts)
    least = np.minimum(_EQUAL, _SHARE_OF_SPACING * spacing)
    near = ~equal & (steps <= least)
    by_chance = (least / np.maximum(spacing, _ROUNDING)).sum()
    return equal | near if near.sum() > 2 * by_chance + 3 * np.sqrt(by_chance) else equal


def _nth_of_group(groups: np.ndarray) -> np.ndarray:
    """Return how many rows of the same group come before each row."""
    order = np.argsort(groups, kind="stable")
    counts = np.bincount(groups)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    places = np.empty(len(groups), dtype=np.int64)
    places[order] = np.arange(len(groups)) - np.repeat(starts, counts)
    return places


def _values(
    counts: np.ndarray, table: np.ndarray | None, first: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Return True for groups that are values of the table, not copies of an observation."""
    if len(counts) < _MIN_DISTINCT and counts.mean() >= _MANY_TIMES:
        return np.ones(len(counts), dtype=bool)
    share = counts / counts.sum()
    values: np.ndarray = share > np.maximum(_POINT_MASS, _TIMES_MEAN / len(counts))
    if table is None or counts.max() == 1:
        return values
    distinct = table[kept[first]]
    varies = np.ptp(distinct, axis=0) > _EQUAL
    values |= _coincide(distinct[:, varies], counts > 1)
    return values


def _coincide(table: np.ndarray, repeated: np.ndarray) -> np.ndarray:
    """Return True for distinct rows whose equals may be there by coincidence.

    The values of such a row occur in other rows too, and another row differs from it in one
    column only. Of a single column, all numbers lie on a grid.
    """
    if table.shape[1] < 2:
        return np.full(len(table), not table.size or _is_grid(table[:, 0]))
    found = np.zeros(len(table), dtype=bool)
    chosen = _chosen(repeated, max(1, _MAX_COMPARED // table.shape[1]))
    codes = np.column_stack([_near(column[:, None]) for column in table[chosen].T])
    shared, neighbors = np.ones(len(codes), dtype=bool), np.zeros(len(codes), dtype=bool)
    keys = _keys(codes)
    whole = keys.sum(1)
    for column, key in zip(codes.T, keys.T, strict=True):
        shared &= np.bincount(column)[column] > 1
        _, place, count = np.unique(whole - key, return_inverse=True, return_counts=True)
        neighbors |= count[place] > 1
    found[chosen] = shared & neighbors
    return found


def _chosen(repeated: np.ndarray, n_most: int) -> np.ndarray:
    """Return places of so many rows, repeated ones first, in a random order."""
    order = np.random.default_rng(0).permutation(len(repeated))
    chosen: np.ndarray = order[np.argsort(~repeated[order], kind="stable")][:n_most]
    return chosen


def _keys(codes: np.ndarray) -> np.ndarray:
    """Return a pseudo-random 64-bit number for each code of each column."""
    odd = np.random.default_rng(1).integers(2**63, size=(2, codes.shape[1]), dtype=np.uint64)
    mixed = (codes.astype(np.uint64) + np.uint64(1)) * (odd[0] | np.uint64(1)) + odd[1]
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    keys: np.ndarray = mixed ^ (mixed >> np.uint64(32))
    return keys


def _is_grid(column: np.ndarray) -> bool:
    """Return True if all numbers are whole steps apart."""
    gaps = np.diff(np.sort(column))
    steps = gaps / gaps.min()
    return bool((abs(steps - np.rint(steps)) < _OFF_GRID).all())
