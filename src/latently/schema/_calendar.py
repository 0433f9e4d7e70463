"""Times of day, days of the week and days of the month that occur in a column."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latently.schema._grid import NO_GRID, Grid, grid_of_whole

#: Number of parts of a cycle. Breaks within one part are not detected.
_PARTS = 48
#: Days to add to first days and to last days of months, to get first days.
_SHIFTS = (0, 1)


class Hours(NamedTuple):
    """The first and the last time in each part of a cycle, in ticks since its start.

    A part is half an hour of a day, or 3.5 hours of a week.

    Attributes
    ----------
    first, last : list of int
        One entry per part. Parts without a time have the length of the cycle and -1.
    """

    first: list[int]
    last: list[int]

    def joined(self, other: Hours) -> Hours:
        """Return the hours of two sets of rows."""
        return Hours(
            np.minimum(self.first, other.first).tolist(), np.maximum(self.last, other.last).tolist()
        )

    def arc(self, day: int) -> tuple[int, int]:
        """Return the shortest interval of the cycle that holds all times.

        Parameters
        ----------
        day : int
            Length of the cycle in ticks.

        Returns
        -------
        first, last : int
            Ticks since the start of the cycle. If the interval wraps around, ``last`` is larger
            than the length of the cycle.
        """
        held = [place for place, last in enumerate(self.last) if last >= 0]
        firsts, lasts = [self.first[place] for place in held], [self.last[place] for place in held]
        breaks = np.array([*firsts[1:], firsts[0] + day]) - lasts
        # Of equally long breaks, the one at the end of the cycle is taken.
        longest = len(breaks) - 1 - int(breaks[::-1].argmax())
        if longest == len(breaks) - 1:
            return firsts[0], lasts[-1]
        return firsts[longest + 1], lasts[longest] + day


def hours_of(ticks: np.ndarray, day: int) -> Hours:
    """Return the hours of times, given in ticks since 1970, in a cycle of ``day`` ticks."""
    phase = ticks % day
    part = phase * _PARTS // day
    first, last = np.full(_PARTS, day), np.full(_PARTS, -1)
    np.minimum.at(first, part, phase)
    np.maximum.at(last, part, phase)
    return Hours(first.tolist(), last.tolist())


class Months(NamedTuple):
    """Grids of months, for times that are all the first or all the last day of a month.

    Attributes
    ----------
    first, last : list of int
        Decimals, anchor and step of the grid of months since 1970, for first and for last days.
        For last days it is the grid of the following months. The step is zero if any time is on
        another day.
    """

    first: list[int]
    last: list[int]

    def joined(self, other: Months) -> Months:
        """Return the months of two sets of rows."""
        return Months(*(list(Grid(*a).joined(Grid(*b))) for a, b in zip(self, other, strict=True)))

    def grid(self) -> tuple[int, Grid]:
        """Return the days to add to reach first days, and the grid of their months."""
        found = ((shift, Grid(*grid)) for shift, grid in zip(_SHIFTS, self, strict=True))
        return next((pair for pair in found if pair[1].step), (0, NO_GRID))


def months_of(ticks: np.ndarray, day: int) -> Months:
    """Return the months of times, given in ticks since 1970."""
    grids = []
    days, rest = np.divmod(ticks, day)
    for shift in _SHIFTS:
        months = _month(days + shift)
        on_first = not rest.any() and np.array_equal(_first_day(months), days + shift)
        grids.append(list(grid_of_whole(months) if on_first else NO_GRID))
    return Months(*grids)


def to_months(days: np.ndarray, step: int, anchor: int, rounding: str) -> np.ndarray:
    """Return days rounded to first days of the months of a grid.

    Parameters
    ----------
    days : ndarray of int64, shape (n,)
        Days since 1970.
    step, anchor : int
        Step of the grid in months, and one of its months since 1970.
    rounding : {"nearest", "down", "up"}
        Direction of rounding.

    Returns
    -------
    ndarray of int64, shape (n,)
        Days since 1970.
    """
    months = anchor + (_month(days) - anchor) // step * step
    before, after = _first_day(months), _first_day(months + step)
    is_after = {
        "nearest": after - days < days - before,
        "down": np.zeros(len(days), dtype=bool),
        "up": days > before,
    }[rounding]
    return np.where(is_after, after, before)


def _month(days: np.ndarray) -> np.ndarray:
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


def _first_day(months: np.ndarray) -> np.ndarray:
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
