"""Times that are unusual for their hour, weekday or month."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from latently._layout import Layout
from latently.nn import Cells
from latently.tasks.anomaly._repair import Repaired, Repairs, cycle_elements, turn

Unit = Literal["hour", "weekday", "month"]
#: Names of the cycles by their length in seconds.
_UNITS: dict[float, Unit] = {
    86_400.0: "hour",
    7 * 86_400.0: "weekday",
    365.2425 * 86_400.0: "month",
}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
#: 1970 began on a Thursday.
_FIRST_WEEKDAY = 3


class Phase(NamedTuple):
    """Phase of a time in a cycle, and its expected range.

    Attributes
    ----------
    unit : {"hour", "weekday", "month"}
        The part of the time.
    got, low, high : float
        Share of the cycle that has passed, from 0 to 1: of the cell, and the ends of the range
        that 95 % of the training rows keep to. The range may run over the end of the cycle.
    """

    unit: Unit
    got: float
    low: float
    high: float

    def __str__(self) -> str:
        low, high = self.words(self.low), self.words(self.high)
        expected = low if low == high else f"{low} to {high}"
        return f"{self.unit} {self.words(self.got)}, expected {expected}"

    def words(self, share: float) -> str:
        """Return a share of the cycle as an hour, a weekday or a month."""
        share %= 1.0
        if self.unit == "hour":
            return f"{int(share * 24):02d}"
        if self.unit == "weekday":
            return _WEEKDAYS[(int(share * 7) + _FIRST_WEEKDAY) % 7]
        return f"{date(1970, 1, 1) + timedelta(days=share * 365):%b}"


class Cycle(NamedTuple):
    """One cycle of a column of times.

    Attributes
    ----------
    column : int
        Place of the column in encoded order.
    sine : int
        Element of the sine. The cosine is the next element.
    unit : {"hour", "weekday", "month"}
        Name of the unit.
    """

    column: int
    sine: int
    unit: Unit


def cycles_of(preprocessor: Any) -> list[Cycle]:
    """Return the cycles of all times of a table, in encoded order."""
    periods = {
        len(preprocessor.positions) + place: getattr(codec, "periods", ())
        for place, codec in enumerate(preprocessor.codecs)
    }
    return [
        Cycle(column.place, column.elements.start + 1 + 2 * number, _UNITS[period])
        for column in preprocessor.layout.columns
        for number, period in enumerate(periods.get(column.place, ()))
    ]


def outside_phases(
    repairs: Repairs, cells: Cells, repaired: Repaired, layout: Layout
) -> np.ndarray:
    """Return True for phases outside the range of 95 % of the training rows, (n, n_cycles)."""
    if repairs.turns is None:
        return np.zeros((len(cells.values), len(cycle_elements(layout))), dtype=bool)
    turned = turn(cells.values.double().flatten(1), repaired.expected, layout).numpy()
    outside: np.ndarray = (turned < repairs.turns[0]) | (turned > repairs.turns[1])
    return outside


def phases_of(
    preprocessor: Any,
    repairs: Repairs,
    cells: Cells,
    repaired: Repaired,
    guilty: np.ndarray,
    beyond: np.ndarray,
) -> list[Phase | None]:
    """Return the unit of each row's time that is to blame, or None for the time itself.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of the table.
    repairs : Repairs
        Fitted model of the normal rows.
    cells : Cells
        Encoded rows.
    repaired : Repaired
        Expected values of the rows.
    guilty : ndarray of int, shape (n,)
        Position of the column to blame in encoded order, or -1 for none.
    beyond : ndarray of bool, shape (n, n_columns)
        True where the value itself lies outside its range.

    Returns
    -------
    list of Phase or None
        One a row.
    """
    layout, cycles = preprocessor.layout, cycles_of(preprocessor)
    found: list[Phase | None] = [None] * len(guilty)
    if not cycles or repairs.turns is None:
        return found
    outside = outside_phases(repairs, cells, repaired, layout)
    blame = repairs.part_blame(cells, layout, _parts(layout, cycles)).numpy()
    starts = np.array([cycle.sine for cycle in cycles])
    of_column = np.array([cycle.column for cycle in cycles])
    values, expected = cells.values.double().flatten(1).numpy(), repaired.expected.numpy()
    got, middle = (np.arctan2(x[:, starts], x[:, starts + 1]) for x in (values, expected))
    n_columns = layout.n_columns
    for row in np.flatnonzero(np.isin(guilty, of_column)):
        own = np.flatnonzero((of_column == guilty[row]) & outside[row])
        if not len(own):
            continue
        worst = own[blame[row, n_columns + own].argmax()]
        if beyond[row, guilty[row]] and blame[row, guilty[row]] > blame[row, n_columns + worst]:
            continue
        ends = middle[row, worst] + repairs.turns[:, worst]
        shares = np.array([got[row, worst], *ends]) / (2 * math.pi)
        shares += _clock_shift(preprocessor, cycles[worst], cells, int(row))
        found[row] = Phase(cycles[worst].unit, *(shares % 1.0).tolist())
    return found


def _parts(layout: Layout, cycles: list[Cycle]) -> torch.Tensor:
    """Return the part of each element: its column, or its cycle after all columns."""
    parts = torch.empty(layout.width, dtype=torch.long)
    for column in layout.columns:
        parts[column.elements] = column.place
    for number, cycle in enumerate(cycles):
        parts[cycle.sine : cycle.sine + 2] = layout.n_columns + number
    return parts


def _clock_shift(preprocessor: Any, cycle: Cycle, cells: Cells, row: int) -> float:
    """Return by which share of a cycle the clock of the column's zone is ahead of UTC."""
    codec = preprocessor.codecs[cycle.column - len(preprocessor.positions)]
    if codec.zone is None:
        return 0.0
    own = preprocessor.layout.columns[cycle.column].elements
    elements = cells.values[row : row + 1].flatten(1).numpy()[:, own]
    seconds = codec.seconds_ahead(elements).item()
    period = next(seconds for seconds, unit in _UNITS.items() if unit == cycle.unit)
    return float(seconds / period)
