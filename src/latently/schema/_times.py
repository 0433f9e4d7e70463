"""Instants, dates, durations and times of day as exact whole ticks, whatever their unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Nanoseconds of a tick, by its unit; "D" is the unit of dates.
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "D": 86_400 * 10**9}
#: Ticks are added and multiplied as whole numbers up to here, as floats beyond: the largest
#: number of 64 bits, less what rounding it to a float may add.
_EXACT = 2**63 - 2**11


class Ticks(NamedTuple):
    """Whole ticks of a column of times.

    Attributes
    ----------
    counts : ndarray of int64, shape (n,)
        Ticks since 1970, since midnight, or of a duration; zero where a cell is missing.
    observed : ndarray of bool, shape (n,)
        True where a cell holds a value.
    nanoseconds : int
        Length of a tick.
    """

    counts: np.ndarray
    observed: np.ndarray
    nanoseconds: int

    def since(self, origin: int, nanoseconds: int) -> np.ndarray:
        """Return the distances from an origin, in ticks of another unit.

        Equal times give equal bits whatever their unit: whole ticks are subtracted before they
        become floats, and the rest of a finer unit is a fraction of a tick.

        Parameters
        ----------
        origin : int
            In ticks of ``nanoseconds``.
        nanoseconds : int
            Length of a tick of the answer.

        Returns
        -------
        ndarray of float64, shape (n,)
            Ticks.
        """
        if self.nanoseconds < nanoseconds:
            whole, rest = np.divmod(self.counts, nanoseconds // self.nanoseconds)
            return _difference(whole, origin) + rest / (nanoseconds // self.nanoseconds)
        factor = self.nanoseconds // nanoseconds
        whole_origin, rest_origin = divmod(origin, factor)
        steps = _difference(self.counts, whole_origin)
        if factor == 1 or not len(steps):
            return steps
        near = np.abs(steps) < _EXACT // factor - 1
        exact = (np.where(near, self.counts, whole_origin) - whole_origin) * factor - rest_origin
        return np.where(near, exact.astype(np.float64), steps * factor - rest_origin)

    def phase(self, seconds: float) -> np.ndarray:
        """Return where in a cycle of so many seconds each time lies, in seconds."""
        if self.nanoseconds > NANOSECONDS["s"]:
            dates: np.ndarray = self.counts * (self.nanoseconds // NANOSECONDS["s"]) % seconds
            return dates
        per_second = NANOSECONDS["s"] // self.nanoseconds
        whole, rest = np.divmod(self.counts, per_second)
        phase: np.ndarray = whole % seconds + rest / per_second
        return phase


def _difference(counts: np.ndarray, origin: int) -> np.ndarray:
    """Return counts less an origin as floats; the subtraction is exact where it fits 64 bits."""
    rough: np.ndarray = counts.astype(np.float64) - float(origin)
    near = np.abs(rough) < _EXACT
    if near.all():
        exact: np.ndarray = (counts - origin).astype(np.float64)
        return exact
    return np.where(near, np.where(near, counts, origin) - origin, rough)


def unit_of(kind: pa.DataType) -> int:
    """Return the nanoseconds of a tick of an Arrow type of times."""
    if kind == pa.date32():
        return NANOSECONDS["D"]
    return NANOSECONDS[getattr(kind, "unit", "ms")]


def ticks_of(column: pa.ChunkedArray) -> Ticks:
    """Return the whole ticks of a column of times, in its own unit."""
    narrow = column.type in (pa.date32(), pa.time32("s"), pa.time32("ms"))
    whole = column.cast(pa.int32()) if narrow else column
    counts = pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    observed = column.is_valid().to_numpy(zero_copy_only=False)
    return Ticks(counts, observed, unit_of(column.type))
