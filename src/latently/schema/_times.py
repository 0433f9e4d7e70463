"""Convert instants, dates, durations and times of day to exact integer ticks of any unit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: Nanoseconds of a tick by its unit. "D" is the unit of dates.
NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1, "D": 86_400 * 10**9}
#: Ticks below this are computed as integers, larger ones as floats. It is the largest 64-bit
#: integer minus the rounding error of its conversion to float.
_EXACT = 2**63 - 2**11


class Ticks(NamedTuple):
    """Integer ticks of a column of times.

    Attributes
    ----------
    counts : ndarray of int64, shape (n,)
        Ticks since 1970, since midnight, or of a duration. Missing cells are zero.
    observed : ndarray of bool, shape (n,)
        True for cells that hold a value.
    nanoseconds : int
        Length of a tick in nanoseconds.
    """

    counts: np.ndarray
    observed: np.ndarray
    nanoseconds: int

    def since(self, origin: int, nanoseconds: int) -> np.ndarray:
        """Return the differences from an origin, in ticks of another unit.

        Equal times give bitwise equal results in every unit. Integer ticks are subtracted before
        the conversion to float, and the remainder of a finer unit becomes a fraction.

        Parameters
        ----------
        origin : int
            Origin in ticks of ``nanoseconds``.
        nanoseconds : int
            Length of the returned ticks in nanoseconds.

        Returns
        -------
        ndarray of float64, shape (n,)
            Ticks since the origin.
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
        """Return the phase of each time in a cycle of ``seconds`` seconds, in seconds."""
        if self.nanoseconds > NANOSECONDS["s"]:
            dates: np.ndarray = self.counts * (self.nanoseconds // NANOSECONDS["s"]) % seconds
            return dates
        per_second = NANOSECONDS["s"] // self.nanoseconds
        whole, rest = np.divmod(self.counts, per_second)
        phase: np.ndarray = whole % seconds + rest / per_second
        return phase


def _difference(counts: np.ndarray, origin: int) -> np.ndarray:
    """Return counts minus an origin as floats, exact if the difference fits 64 bits."""
    rough: np.ndarray = counts.astype(np.float64) - float(origin)
    near = np.abs(rough) < _EXACT
    if near.all():
        exact: np.ndarray = (counts - origin).astype(np.float64)
        return exact
    return np.where(near, np.where(near, counts, origin) - origin, rough)


def unit_of(kind: pa.DataType) -> int:
    """Return the length of a tick of a time type in nanoseconds."""
    if kind == pa.date32():
        return NANOSECONDS["D"]
    return NANOSECONDS[getattr(kind, "unit", "ms")]


def ticks_of(column: pa.ChunkedArray) -> Ticks:
    """Return the integer ticks of a column of times in its own unit."""
    narrow = column.type in (pa.date32(), pa.time32("s"), pa.time32("ms"))
    whole = column.cast(pa.int32()) if narrow else column
    counts = pc.fill_null(whole.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    observed = column.is_valid().to_numpy(zero_copy_only=False)
    return Ticks(counts, observed, unit_of(column.type))
