"""Statistics of numeric and time columns, gathered in pieces, that determine their support."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple, Self

import numpy as np

from latently.schema._calendar import Hours, Months, hours_of, months_of
from latently.schema._grid import NO_GRID, Grid, grid_of_whole
from latently.schema._support import Support
from latently.schema._times import NANOSECONDS

#: Integers below this have a float64 of their own.
_EXACT = 2.0**53
#: Largest number of digits of a grid after the first digit of the largest value, and of decimals.
_DIGITS, _MOST_DECIMALS = 7, 12
#: With fewer distinct values, the step of the grid is one unit of the last digit.
_MIN_DISTINCT = 8
#: Least share of the observed cells, and least count, of a value that is a point mass.
_MIN_SHARE, _MIN_COUNT = 0.05, 5
#: Least ratio of its share to the share of the mode of a normal distribution on the same grid.
_EXCESS = 3 / math.sqrt(2 * math.pi)
#: A column of at most this many distinct values, with this many rows each, holds only these.
_MOST_LEVELS, _ROWS_A_LEVEL = 20, 10
#: Number of rows of a piece among which distinct values are counted.
_COUNTED_ROWS = 20_000
_COLUMNS_AT_ONCE = 32
#: With fewer distinct times, all weekdays are possible.
_MIN_WEEKLY = 20
_FREE = (0.0, 0.0, 0.0, 0.0)
#: Candidate steps of times in nanoseconds.
_NATURAL = (86_400 * 10**9, 3_600 * 10**9, 60 * 10**9, 10**9, 10**6, 10**3)


class Mass(NamedTuple):
    """A point mass: a value that many cells share.

    Attributes
    ----------
    value : float
        The value.
    below, upto : float
        Shares of the observed cells below it, and up to and including it.
    before, after : float
        The next smaller and the next larger value, or the value itself if there is none.
    is_excess : bool
        True if the value is more frequent than rounding to the grid explains.
    """

    value: float
    below: float
    upto: float
    before: float
    after: float
    is_excess: bool


#: Times on a grid of at most this many steps a cycle may have a break of one step.
_COARSE_STEPS = 48
#: Probability with which uniform times have a break that counts as one.
_BREAK_BY_CHANCE = 1e-3


@dataclass
class Evidence:
    """Statistics of one column of numbers, or of times in whole ticks.

    Parameters
    ----------
    tick : int, default=0
        Length of a tick in nanoseconds, 0 for numbers.
    is_instant : bool, default=False
        True for dates and instants, which have a position in the day, the week and the month.
    """

    tick: int = 0
    is_instant: bool = False
    n_rows: int = 0
    n_values: int = 0
    low: float = math.inf
    high: float = -math.inf
    grid: list[int] | None = None
    n_distinct: int = 0
    counts: dict[float, list[float]] = field(default_factory=dict)
    hours: Hours | None = None
    weekly: Hours | None = None
    months: Months | None = None

    def update(self, values: np.ndarray, n_rows: int) -> Self:
        """Add the observed values of the next rows, as floats or int64 ticks."""
        self.n_rows += n_rows
        if not len(values):
            return self
        self.n_values += len(values)
        low, high = values.min().item(), values.max().item()
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._count(values)
        grid = grid_of_whole(values) if self.tick else _grid_of(values)
        self.grid = list(grid if self.grid is None else Grid(*self.grid).joined(grid))
        if self.is_instant:
            day = self._day
            self._add_calendar(
                hours_of(values, day), hours_of(values, 7 * day), months_of(values, day)
            )
        return self

    def _add_calendar(self, hours: Hours, weekly: Hours, months: Months) -> None:
        self.hours = hours if self.hours is None else self.hours.joined(hours)
        self.weekly = weekly if self.weekly is None else self.weekly.joined(weekly)
        self.months = months if self.months is None else self.months.joined(months)

    @property
    def _day(self) -> int:
        """Ticks of a day."""
        return NANOSECONDS["D"] // self.tick

    def state(self) -> dict[str, Any]:
        """Return the statistics as plain values."""
        return asdict(self) | {"counts": [*self.counts.items()]}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the statistics of other rows."""
        self.n_rows += state["n_rows"]
        self.n_values += state["n_values"]
        self.low, self.high = min(self.low, state["low"]), max(self.high, state["high"])
        self.n_distinct = max(self.n_distinct, state["n_distinct"])
        for value, counted in state["counts"]:
            self._add(value, *counted)
        if state["grid"] is not None:
            grid = Grid(*state["grid"])
            self.grid = list(grid if self.grid is None else Grid(*self.grid).joined(grid))
        if state["hours"] is not None:
            parts = Hours(*state["hours"]), Hours(*state["weekly"]), Months(*state["months"])
            self._add_calendar(*parts)

    def _count(self, values: np.ndarray) -> None:
        """Count the values that are frequent in these rows or in earlier ones."""
        some = values[:: math.ceil(len(values) / _COUNTED_ROWS)]
        distinct, counts = np.unique(some, return_counts=True)
        self.n_distinct = max(self.n_distinct, len(distinct))
        few = len(distinct) <= _MOST_LEVELS
        often = distinct if few else distinct[counts >= _MIN_SHARE / 2 * len(some)]
        for value in {*often.tolist(), *self.counts}:
            smaller, larger = values[values < value], values[values > value]
            n_equal = len(values) - len(smaller) - len(larger)
            before = smaller.max().item() if len(smaller) else -math.inf
            after = larger.min().item() if len(larger) else math.inf
            self._add(value, n_equal, len(smaller), before, after)

    def _add(self, value: float, equal: int, below: int, before: float, after: float) -> None:
        known = self.counts.get(value, [0, 0, -math.inf, math.inf])
        sums = known[0] + equal, known[1] + below
        self.counts[value] = [*sums, max(known[2], before), min(known[3], after)]

    @property
    def steps(self) -> Grid:
        """The grid, with a finer step if there are too few distinct values."""
        grid = NO_GRID if self.grid is None else Grid(*self.grid)
        if not grid.step or self.n_distinct >= _MIN_DISTINCT:
            return grid
        if not self.tick:
            return grid._replace(step=1)
        # Few times have the largest candidate step that fits all of them.
        natural = (n // self.tick for n in _NATURAL if n % self.tick == 0 and n >= self.tick)
        whole = math.gcd(grid.anchor, grid.step)
        return grid._replace(step=next((n for n in natural if whole % n == 0), 1))

    def _has_calendar(self, days: int, n_distinct: int = _MIN_DISTINCT) -> bool:
        """Return True for instants that span ``days`` days and have ``n_distinct`` values."""
        spans = self.hours is not None and self.high - self.low >= days * self._day
        return spans and self.n_distinct >= n_distinct

    def day(self, origin: int) -> tuple[float, float, float, float]:
        """Return length of a day, first and last time of day, and of the origin, in ticks."""
        if self.hours is None or not self._has_calendar(2):
            return _FREE
        return self._cycle(self.hours, self._day, origin)

    def week(self, origin: int) -> tuple[float, float, float, float]:
        """Return the same for a week."""
        if self.weekly is None or not self._has_calendar(28, _MIN_WEEKLY):
            return _FREE
        return self._cycle(self.weekly, 7 * self._day, origin)

    def _cycle(self, hours: Hours, length: int, origin: int) -> tuple[float, float, float, float]:
        first, last = hours.arc(length)
        # The longest of n gaps between uniform times is longer with this probability only.
        by_chance = math.log(self.n_distinct / _BREAK_BY_CHANCE) / self.n_distinct
        is_coarse = self.steps.step * _COARSE_STEPS >= length
        if not is_coarse and length - (last - first) <= by_chance * length:
            return _FREE
        return float(length), float(first), float(last), float(origin % length)

    def month(self, origin: int) -> tuple[float, float, float, float]:
        """Return step and anchor of the months, the days to add, and the day of the origin."""
        if self.months is None or not self._has_calendar(2):
            return _FREE
        shift, grid = self.months.grid()
        return float(grid.step), float(grid.anchor), float(shift), float(origin // self._day)

    def masses(self, spread: float) -> list[Mass]:
        """Return the point masses in ascending order.

        These are the values that are too frequent for a smooth distribution, or all values if
        the column has few.
        """
        if not (self.low < self.high and spread > 0):
            return []
        grid = self.steps
        least = max(_MIN_SHARE, _EXCESS * grid.step / 10**grid.decimals / spread)
        found = [
            Mass(
                value,
                below / self.n_values,
                (below + equal) / self.n_values,
                before if math.isfinite(before) else value,
                after if math.isfinite(after) else value,
                equal >= max(least * self.n_values, _MIN_COUNT),
            )
            for value, (equal, below, before, after) in sorted(self.counts.items())
        ]
        n_counted = sum(equal for equal, *_ in self.counts.values())
        levels = n_counted == self.n_values and len(found) <= _MOST_LEVELS
        if levels and self.n_values >= _ROWS_A_LEVEL * len(found):
            return found
        return [mass for mass in found if mass.is_excess]


def _grid_of(values: np.ndarray) -> Grid:
    """Return the coarsest grid of decimal numbers that holds all values."""
    largest = float(np.abs(values).max())
    if not 0 < largest < _EXACT:
        return Grid(0, 0, 1) if largest == 0 else NO_GRID
    most = min(_DIGITS - math.ceil(math.log10(largest)) + 1, _MOST_DECIMALS)
    most = max(most, 0)
    some = values[:: math.ceil(len(values) / 200)]
    # Values with few decimals have many decimals too, up to rounding at the finest ones. Most
    # columns of measurements have no grid, and are found out by three comparisons.
    finest = range(max(most - 2, 0), most + 1)
    if not any(_lies_on(some, decimals) for decimals in finest):
        return NO_GRID
    decimals = next((d for d in range(most + 1) if _lies_on(some, d)), None)
    while decimals is not None and not _lies_on(values, decimals):
        decimals = decimals + 1 if decimals < most else None
    if decimals is None or largest * 10.0**decimals >= _EXACT:
        return NO_GRID
    whole = np.rint(values * 10.0**decimals).astype(np.int64)
    return grid_of_whole(whole)._replace(decimals=decimals)


def _lies_on(values: np.ndarray, decimals: int) -> bool:
    """Return True if all values have at most ``decimals`` decimals, also after float32 rounding."""
    factor = 10.0**decimals
    rounded = np.rint(values * factor) / factor
    if np.array_equal(rounded, values):
        return True
    single = rounded.astype(np.float32)
    return np.array_equal(single, values.astype(np.float32)) and np.array_equal(
        values.astype(np.float32).astype(np.float64), values
    )


def evidence_of(matrix: np.ndarray, evidence: Sequence[Evidence] | None = None) -> list[Evidence]:
    """Return the statistics of each column of a matrix, without NaN.

    Parameters
    ----------
    matrix : ndarray of shape (n_samples, n_columns)
        The next rows.
    evidence : sequence of Evidence or None, default=None
        Statistics of the rows before, which are updated in place. None starts from no rows.

    Returns
    -------
    list of Evidence
        One per column.
    """
    found = [Evidence() for _ in matrix.T] if evidence is None else list(evidence)
    for start in range(0, len(found), _COLUMNS_AT_ONCE):
        # Copy some columns at once: those of a row-major matrix share cache lines.
        columns = matrix[:, start : start + _COLUMNS_AT_ONCE].T
        block = np.ascontiguousarray(columns, dtype=np.float64)
        for one, column in zip(found[start:], block, strict=False):
            seen = ~np.isnan(column)
            one.update(column if seen.all() else column[seen], len(matrix))
    return found


def support_of(
    evidence: Sequence[Evidence],
    origins: Sequence[int],
    spreads: np.ndarray,
    gaps: np.ndarray,
    has_masses: Sequence[bool],
) -> Support:
    """Return the support of the measured columns.

    Parameters
    ----------
    evidence : sequence of Evidence
        Statistics of each measured column, in encoded order.
    origins : sequence of int
        Origin of times in ticks, 0 for numbers.
    spreads : ndarray of shape (n_measured,)
        Standard deviation of each column in its own unit.
    gaps : ndarray of shape (n_columns,)
        Share of missing cells.
    has_masses : sequence of bool
        False for columns whose likelihood has point masses of its own.

    Returns
    -------
    Support
        Support in which outputs nearer to an excess point mass than to the neighbouring value are
        rounded to the mass.
    """
    grids = [one.steps for one in evidence]
    start = np.array(origins, dtype=np.float64)
    masses = [
        (place, mass)
        for place, one in enumerate(evidence)
        if has_masses[place]
        for mass in one.masses(float(spreads[place]))
    ]
    shares = np.array([[mass.below, mass.upto] for _, mass in masses], dtype=np.float64)
    # Subtract integer ticks before the conversion to float, which would round them.
    values = np.array(
        [
            [value - origins[place] for value in (mass.before, mass.value, mass.after)]
            for place, mass in masses
        ],
        dtype=np.float64,
    ).reshape(-1, 3)
    before, value, after = values.T.copy()
    is_excess = np.array([mass.is_excess for _, mass in masses], dtype=bool)
    return Support(
        low=_numbers(one.low if one.n_values else math.nan for one in evidence) - start,
        high=_numbers(one.high if one.n_values else math.nan for one in evidence) - start,
        factor=_numbers(10.0**grid.decimals for grid in grids),
        step=_numbers(grid.step for grid in grids),
        anchor=_numbers(
            grid.anchor - origin for grid, origin in zip(grids, origins, strict=True)
        ),
        day=_four_rows(one.day(start) for one, start in zip(evidence, origins, strict=True)),
        week=_four_rows(one.week(start) for one, start in zip(evidence, origins, strict=True)),
        month=_four_rows(one.month(start) for one, start in zip(evidence, origins, strict=True)),
        mass_column=np.array([place for place, *_ in masses], dtype=np.int64),
        masses=np.stack(
            [
                value,
                np.where(is_excess, (before + value) / 2, value),
                np.where(is_excess, (value + after) / 2, value),
            ]
        ),
        is_excess=is_excess,
        shares=shares.reshape(-1, 2).T.copy(),
        beside=np.stack([before, after]),
        gaps=gaps,
    )  # fmt: skip


def _four_rows(rows: Iterable[tuple[float, float, float, float]]) -> np.ndarray:
    return np.array(list(rows), dtype=np.float64).reshape(-1, 4).T.copy()


def _numbers(values: Iterable[float]) -> np.ndarray:
    return np.array([float(value) for value in values], dtype=np.float64)
