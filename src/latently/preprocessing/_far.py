"""Extreme numbers, whose squares would overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._notices import warn
from latently.preprocessing._columns import number_matrix
from latently.schema import arrow_table

__all__ = ["FAR", "compress_far", "warn_of_far_rows"]

#: Standard deviations from which on numbers are compressed to a logarithmic scale. The fourth power
#: of this number is finite in single precision, and that of any compressed one in double precision.
FAR = 1e9
#: A training cell is far if its ratio to the median size of its column exceeds the first number.
#: Columns with all numbers below the second are skipped, and so are columns with numbers above
#: the third, whose squares overflow: these raise an error later.
_TIMES_MEDIAN, _LEAST_FAR, _REFUSED = 1e12, 1e9, 1e150


def compress_far(
    scaled: np.ndarray, numbers: np.ndarray, center: np.ndarray, scale: np.ndarray
) -> None:
    """Compress numbers beyond ``FAR`` to a logarithmic scale, in place and in order.

    Parameters
    ----------
    scaled : ndarray of shape (n, n_columns)
        Numbers in standard deviations of their columns, infinite after an overflow.
    numbers : ndarray of shape (n, n_columns)
        The finite numbers before scaling.
    center, scale : ndarray of shape (n_columns,)
        Of the columns.
    """
    far = np.nonzero(np.abs(scaled) > FAR)
    signed, column = scaled[far].astype(np.float64), far[1]
    logs = np.log(np.abs(signed))
    lost = np.isinf(logs)
    # Halves, because the difference of two large numbers may overflow, too.
    halves = numbers[far][lost].astype(np.float64) / 2 - center[column[lost]] / 2
    logs[lost] = np.log(np.abs(halves)) - np.log(scale[column[lost]] / 2)
    scaled[far] = np.copysign(FAR * (1 + logs - np.log(FAR)), signed)


def warn_of_far_rows(data: np.ndarray | nw.DataFrame[Any]) -> None:
    """Warn of a training row with a number far larger than all others of its column.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Training rows. Images are not checked.
    """
    for name, numbers in _large_columns(data):
        size = np.abs(numbers)
        typical = float(np.nanmedian(np.where(size == 0, np.nan, size)))
        far = np.flatnonzero(size > _TIMES_MEDIAN * typical)
        if len(far) and np.nanmax(size) < _REFUSED:
            warn(
                f"Row {far[0]:,} holds {numbers[far[0]]:g} in column {name}, "
                f"{size[far[0]] / typical:.0e} times the median size of its numbers; the column "
                "is scaled by it, so that its other numbers are all alike. Correct the cell, or "
                "mark it as missing (NaN)."
            )
            return


def _large_columns(data: np.ndarray | nw.DataFrame[Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and the numbers of each column that holds a large number."""
    if not isinstance(data, np.ndarray):
        yield from _large_columns_of_frame(arrow_table(data))
        return
    if data.ndim != 2 or data.dtype.kind not in "iuf" or data.dtype == np.float16:
        return
    ends = np.fmin.reduce(data, axis=0), np.fmax.reduce(data, axis=0)
    for place in np.flatnonzero((ends[0] < -_LEAST_FAR) | (ends[1] > _LEAST_FAR)):
        yield str(place), data[:, place].astype(np.float64)


def _large_columns_of_frame(table: pa.Table) -> Iterator[tuple[str, np.ndarray]]:
    for place, field in enumerate(table.schema):
        kind = field.type
        if not (
            pa.types.is_float32(kind) or pa.types.is_float64(kind) or pa.types.is_integer(kind)
        ):
            continue  # half precision holds no large number
        ends = pc.min_max(table.column(place)).as_py()
        if any(abs(end) > _LEAST_FAR for end in ends.values() if end is not None):
            yield repr(field.name), number_matrix(table, np.array([place]))[:, 0]
