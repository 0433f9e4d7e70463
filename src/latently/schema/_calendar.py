"""Hours of the day and days of the month that times keep to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from latently.schema._grid import NO_GRID, Grid, grid_of_whole

#: Parts of a day whose ends are kept; shorter breaks between times are not seen.
_PARTS = 48
#: Days that turn the first or the last day of a month into a first one.
_SHIFTS = (0, 1)


class Hours(NamedTuple):
    """The first and the last time in each half-hour of the day, in ticks since midnight.

    Attributes
    ----------
    first, last : list of int
        One a half-hour; the length of a day and -1 where no time lies in it.
    """

    first: list[int]
    last: list[int]

    def joined(self, other: Hours) -> Hours:
        """Return the hours of both."""
        return Hours(
            np.minimum(self.first, other.first).tolist(), np.maximum(self.last, other.last).tolist()
        )

    def arc(self, day: int) -> tuple[int, int]:
        """Return the ends of the hours that occur, around the longest break.

        Parameters
        ----------
        day : int
            Ticks of a day.

        Returns
        -------
        first, last : int
            Ticks since midnight; hours that run over midnight end beyond the length of a day.
        """
        held = [place for place, last in enumerate(self.last) if last >= 0]
        firsts, lasts = [self.first[place] for place in held], [self.last[place] for place in held]
        breaks = np.array([*firsts[1:], firsts[0] + day]) - lasts
        # Of equal breaks, the one over midnight.
        longest = len(breaks) - 1 - int(breaks[::-1].argmax())
        if longest == len(breaks) - 1:
            return firsts[0], lasts[-1]
        return firsts[longest + 1], lasts[longest] + day


def hours_of(ticks: np.ndarray, day: int) -> Hours:
    """Return the hours of times in ticks since 1970."""
    phase = ticks % day
    part = phase * _PARTS // day
    first, last = np.full(_PARTS, day), np.full(_PARTS, -1)
    np.minimum.at(first, part, phase)
    np.maximum.at(last, part, phase)
    return Hours(first.tolist(), last.tolist())


class Months(NamedTuple):
    """Months of times that all are the first, or all the last day of their month.

    Attributes
    ----------
    first, last : list of int
        The grid of the months since 1970; that of the month after each for last days. Its step is
        zero where times lie on other days.
    """

    first: list[int]
    last: list[int]

    def joined(self, other: Months) -> Months:
        """Return the months of both."""
        return Months(*(list(Grid(*a).joined(Grid(*b))) for a, b in zip(self, other, strict=True)))

    def grid(self) -> tuple[int, Grid]:
        """Return the days to add, and the grid of the months that start then."""
        found = ((shift, Grid(*grid)) for shift, grid in zip(_SHIFTS, self, strict=True))
        return next((pair for pair in found if pair[1].step), (0, NO_GRID))


def months_of(ticks: np.ndarray, day: int) -> Months:
    """Return the months of times in ticks since 1970."""
    grids = []
    days, rest = np.divmod(ticks, day)
    for shift in _SHIFTS:
        months = _month(days + shift)
        on_first = not rest.any() and np.array_equal(_first_day(months), days + shift)
        grids.append(list(grid_of_whole(months) if on_first else NO_GRID))
    return Months(*grids)


def to_months(days: np.ndarray, step: int, anchor: int, rounding: str) -> np.ndarray:
    """Return days moved to first days of months.

    Parameters
    ----------
    days : ndarray of int64, shape (n,)
        Since 1970.
    step, anchor : int
        Months between two of them, and one of them, since 1970.
    rounding : {"nearest", "down", "up"}
        To which.

    Returns
    -------
    ndarray of int64, shape (n,)
        Since 1970.
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
