"""Values that numeric and time columns can hold: bounds, grids and point masses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np

from latently.exceptions import DataError
from latently.schema._calendar import to_months

#: Direction in which outputs are rounded to the values of a column. "free" does not round.
Rounding = Literal["nearest", "down", "up", "free"]

#: Values farther from the grid than this share of a step are off the grid.
_OFF_GRID = 1e-4
#: Numbers of a model file must be smaller.
_MOST = 1e300


@dataclass(frozen=True, eq=False)
class Support:
    """Values that the measured columns of a table can hold.

    Measured columns are numbers, in the user's units, and times, in ticks since the origin of the
    column.

    Parameters
    ----------
    low, high : ndarray of shape (n_measured,)
        Smallest and largest value of the training rows, NaN for a column without values.
    factor, step, anchor : ndarray of shape (n_measured,)
        The grid. Values times ``factor`` are ``anchor`` plus multiples of ``step``, and all three
        are whole numbers. A step of zero means no grid.
    day : ndarray of shape (4, n_measured)
        Length of a day, first and last time of day, and time of day of the origin, in ticks. An
        interval over midnight ends beyond the length of a day. Zeros allow any time of day.
    week : ndarray of shape (4, n_measured)
        The same for a week, which starts on a Thursday as 1970 did.
    month : ndarray of shape (4, n_measured)
        Step and anchor of the grid of months since 1970, days to add to reach the first day of a
        month, and day of the origin. Zeros allow any day of the month.
    mass_column : ndarray of int, shape (n_masses,)
        Columns of the point masses, which are values that many training rows share.
    is_excess : ndarray of bool, shape (n_masses,)
        True for masses that are more frequent than rounding to the grid explains.
    masses : ndarray of shape (3, n_masses)
        Value of each mass, and both ends of the interval of outputs that are rounded to it.
    shares : ndarray of shape (2, n_masses)
        Shares of the observed cells below each mass, and up to and including it.
    beside : ndarray of shape (2, n_masses)
        Next smaller and next larger value in the training rows, or the mass itself if none.
    gaps : ndarray of shape (n_columns,)
        Share of missing cells of each column, in encoded order.
    """

    low: np.ndarray
    high: np.ndarray
    factor: np.ndarray
    step: np.ndarray
    anchor: np.ndarray
    day: np.ndarray
    week: np.ndarray
    month: np.ndarray
    mass_column: np.ndarray
    is_excess: np.ndarray
    masses: np.ndarray
    shares: np.ndarray
    beside: np.ndarray
    gaps: np.ndarray

    def check_consistent(self) -> None:
        """Raise DataError if the arrays are inconsistent, as in a damaged model file."""
        n, m, c = self.low.shape[:1], self.mass_column.shape[:1], self.gaps.shape[:1]
        columns = (self.low, self.high, self.factor, self.step, self.anchor)
        parts = [
            *((part, n) for part in columns),
            *((part, (4, *n)) for part in (self.day, self.week, self.month)),
            (self.masses, (3, *m)), (self.shares, (2, *m)), (self.beside, (2, *m)), (self.gaps, c),
        ]  # fmt: skip
        finite = (*columns[2:], self.day, self.week, self.month, self.shares, self.beside)
        column = self.mass_column
        sound = (
            all(part.shape == shape and part.dtype.kind == "f" for part, shape in parts)
            and column.dtype.kind in "iu"
            and column.shape == m
            and self.is_excess.dtype.kind == "b"
            and self.is_excess.shape == m
            and bool(((column >= 0) & (column < self.low.size)).all())
            and not (self.low > self.high).any()
            and bool((np.isnan(self.low) == np.isnan(self.high)).all())
            and not np.isnan(self.masses).any()
            and all(bool((np.abs(part) < _MOST).all()) for part in finite)
            and not any((np.abs(part) == np.inf).any() for part in (self.low, self.high))
            and bool((self.factor > 1 / _MOST).all() and (self.step >= 0).all())
            and self._has_sound_masses()
            and self._has_sound_days()
            and bool(((self.gaps >= 0) & (self.gaps <= 1)).all())
        )
        if not sound:
            raise DataError("The model's columns do not fit together: their support is wrong.")

    def _has_sound_masses(self) -> bool:
        """Return True if masses are finite and lie between their neighbours, and shares ascend."""
        values, shares = self.masses[0], self.shares
        beside = bool(((self.beside[0] <= values) & (self.beside[1] >= values)).all())
        ordered = bool(((shares[0] >= 0) & (shares[0] <= shares[1]) & (shares[1] <= 1)).all())
        return beside and ordered and bool(np.isfinite(values).all())

    def _has_sound_days(self) -> bool:
        """Return True if hours and weekdays cover at most one cycle."""
        for cycle in (self.day, self.week):
            length, first, last, _ = cycle[:, cycle[0] > 0]
            if not ((first >= 0) & (first <= length) & (first <= last)).all():
                return False
            if not (last <= first + length).all():
                return False
        return True

    def snapped(self, values: np.ndarray, rounding: Rounding = "nearest") -> np.ndarray:
        """Return outputs rounded to values that their columns can hold.

        Parameters
        ----------
        values : ndarray of shape (n, n_measured)
            Outputs in the units of the support. NaN stays NaN.
        rounding : {"nearest", "down", "up", "free"}, default="nearest"
            "nearest" rounds to point masses and to the grid. "down" and "up" round the ends of
            intervals outwards to the grid. "free" returns the outputs unchanged.

        Returns
        -------
        ndarray of shape (n, n_measured)
            Values within the support.
        """
        if rounding == "free":
            return values
        answer = values.copy()
        if rounding == "nearest":
            self._to_masses(values, answer)
        self._to_grid(answer, rounding)
        with np.errstate(invalid="ignore"):
            self._to_months(answer, rounding)
            _to_hours(answer, self.week)
            _to_hours(answer, self.day)
            within: np.ndarray = np.clip(answer, self.low, self.high)
        return within

    def _to_masses(self, values: np.ndarray, answer: np.ndarray) -> None:
        for column, (value, low, high) in zip(self.mass_column, self.masses.T, strict=True):
            answer[(values[:, column] >= low) & (values[:, column] <= high), column] = value
        for column, value in zip(self.mass_column, self.masses[0], strict=True):
            answer[values[:, column] == value, column] = value

    def _to_grid(self, answer: np.ndarray, rounding: Rounding) -> None:
        columns = np.flatnonzero(self.step > 0)
        if not len(columns):
            return
        factor, step, anchor = self.factor[columns], self.step[columns], self.anchor[columns]
        steps = (answer[:, columns] * factor - anchor) / step
        if rounding == "nearest":
            steps = np.rint(steps)
        else:
            # Values on the grid stay, up to the rounding error of scaling and its inverse.
            near = np.rint(steps)
            outward = np.floor(steps) if rounding == "down" else np.ceil(steps)
            steps = np.where(np.abs(steps - near) < 1e-6, near, outward)
        answer[:, columns] = (anchor + step * steps) / factor

    def _to_months(self, answer: np.ndarray, rounding: Rounding) -> None:
        """Round times of columns with first or last days of months to such days, in place."""
        for column in np.flatnonzero(self.month[0] > 0):
            step, anchor, shift, origin = self.month[:, column].astype(np.int64).tolist()
            length, offset = self.day[[0, 3], column]
            within = np.clip(answer[:, column], self.low[column], self.high[column])
            seen = ~np.isnan(within)
            days = np.rint((within[seen] + offset) / length).astype(np.int64) + origin + shift
            moved = to_months(days, step, anchor, rounding) - origin - shift
            answer[seen, column] = moved * length - offset

    def extended(self, values: np.ndarray, slack: np.ndarray) -> Self:
        """Return the support of the training rows and further rows.

        Bounds and hours are widened. A column with a value off its grid loses the grid. Point
        masses and shares of gaps do not change.

        Parameters
        ----------
        values : ndarray of shape (n, n_measured)
            Further rows in the units of the support, NaN for missing cells.
        slack : ndarray of shape (n_measured,)
            Differences up to this count as rounding errors.

        Returns
        -------
        Support
            The extended support.
        """
        seen = ~np.isnan(values)
        on_grid = self.step > 0
        steps = (values * self.factor - self.anchor) / np.where(on_grid, self.step, 1.0)
        with np.errstate(invalid="ignore"):
            off = (np.abs(steps - np.rint(steps)) > _OFF_GRID) & seen
            step = np.where(off.any(0), 0.0, self.step)
            near = np.where(
                on_grid, (self.anchor + np.rint(steps) * self.step) / self.factor, values
            )
            exact = np.where(off, values, near)
            low, high = np.fmin.reduce(exact, axis=0), np.fmax.reduce(exact, axis=0)
            low = np.where(self.low - low > slack, low, np.fmin(self.low, high))
            high = np.where(high - self.high > slack, high, np.fmax(self.high, low))
        found = replace(self, low=low, high=high, step=step, day=_wider_hours(exact, self.day),
                        week=_wider_hours(exact, self.week))  # fmt: skip
        moved = exact.copy()
        found._to_months(moved, "nearest")
        off_days = (np.abs(moved - exact) > slack).any(0)
        return replace(found, month=np.where(off_days, 0.0, self.month))

    def widened(self, values: np.ndarray, slack: np.ndarray) -> Self:
        """Return the support with bounds that include some values, rounded to the grid.

        Parameters
        ----------
        values : ndarray of shape (n, n_measured)
            Values in the units of the support.
        slack : ndarray of shape (n_measured,)
            Differences up to this count as rounding errors.

        Returns
        -------
        Support
            The same grids, hours and point masses.
        """
        endless = np.full_like(self.low, np.inf)
        rounded = replace(self, low=-endless, high=endless).snapped(values)
        low, high = np.fmin.reduce(rounded, axis=0), np.fmax.reduce(rounded, axis=0)
        return replace(
            self,
            low=np.where(self.low - low > slack, low, self.low),
            high=np.where(high - self.high > slack, high, self.high),
        )

    def calibrated(self, values: np.ndarray, *, generated: bool = False) -> Self:
        """Return the support with calibrated intervals of outputs that are rounded to each mass.

        An interval reaches from the quantile ``shares[0]`` of the outputs to the quantile
        ``shares[1]``. A mass is then as frequent in the outputs as in the training rows.

        Parameters
        ----------
        values : ndarray of shape (n, n_measured)
            Reconstructed training rows, or generated rows, in the units of the support.
        generated : bool, default=False
            If True, calibrate all masses. If False, calibrate excess masses only. Their intervals
            then exclude outputs nearer to another excess mass, and include outputs nearer to the
            mass than to the neighbouring values.

        Returns
        -------
        Support
            The same values with new intervals.
        """
        masses = self.masses.copy()
        chosen = np.ones_like(self.is_excess) if generated else self.is_excess
        for place in np.flatnonzero(chosen).tolist():
            answers = values[:, self.mass_column[place]]
            answers = np.sort(answers[~np.isnan(answers)])
            if len(answers):
                masses[1:, place] = self._quantiles(place, answers)
                if not generated:
                    masses[1:, place] = self._limited(place, *masses[1:, place])
        return replace(self, masses=masses)

    def _quantiles(self, place: int, answers: np.ndarray) -> tuple[float, float]:
        """Return the quantiles of sorted outputs at both shares of a mass."""
        (below, upto), n = self.shares[:, place], len(answers)
        first, last = round(below * n), round(upto * n) - 1
        if last < first:
            return np.inf, np.inf
        low = -np.inf if first <= 0 else answers[first]
        return low, np.inf if last >= n - 1 else answers[last]

    def _limited(self, place: int, low: float, high: float) -> tuple[float, float]:
        """Return an interval limited by the neighbouring masses, and wide enough for rounding."""
        value = self.masses[0, place]
        nearest = (value + self.beside[:, place]) / 2
        low, high = min(low, nearest[0]), max(high, nearest[1])
        others = self.masses[0, (self.mass_column == self.mass_column[place]) & self.is_excess]
        smaller, larger = others[others < value], others[others > value]
        if len(smaller):
            low = max(low, (value + smaller.max()) / 2)
        if len(larger):
            high = min(high, (value + larger.min()) / 2)
        return low, high


def _to_hours(answer: np.ndarray, cycle: np.ndarray) -> None:
    """Move times outside the hours of a cycle to the nearer end of the hours, in place."""
    columns = np.flatnonzero(cycle[0] > 0)
    if not len(columns):
        return
    length, first, last, offset = cycle[:, columns]
    turn, since = np.divmod(answer[:, columns] + offset - first, length)
    # The break is split in the middle between its two ends.
    open_for = last - first
    nearer = np.where(since < (open_for + length) / 2, open_for, length)
    since = np.where(since > open_for, nearer, since)
    answer[:, columns] = turn * length + since + first - offset


def _wider_hours(values: np.ndarray, cycle: np.ndarray) -> np.ndarray:
    """Return the hours of a cycle, extended at the nearer end to further rows."""
    length, first, last, offset = cycle
    with np.errstate(invalid="ignore"):
        since = (values + offset - first) % np.where(length > 0, length, 1.0)
        open_for = last - first
        early = since >= (open_for + length) / 2
        before = np.nanmax(np.where(early, length - since, 0.0), axis=0, initial=0.0)
        after = np.nanmax(np.where(early, 0.0, since), axis=0, initial=0.0)
    open_for = np.minimum(np.maximum(open_for, after) + before, length)
    first = (first - before) % np.where(length > 0, length, 1.0)
    wider: np.ndarray = np.stack([length, first, first + open_for, offset])
    return np.where(length > 0, wider, 0.0)
