"""Labels and amounts that colour the rows of a picture, from any library."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from latently.exceptions import DataError
from latently.preprocessing import is_missing, python_values
from latently.schema import plain

#: Microseconds of a year and of a day.
_YEAR = 365.2425 * 86_400e6
_DAY = 86_400e6


def read_labels(values: Any, n_rows: int, name: str = "y") -> NDArray[Any]:
    """Return one label or amount a row.

    Parameters
    ----------
    values : array-like, Series or Arrow array of shape (n_rows,)
        Numbers, booleans, texts, dates or any objects.
    n_rows : int
        How many there must be.
    name : str, default="y"
        The parameter, for messages.

    Returns
    -------
    ndarray of shape (n_rows,)
        Numbers with NaN for missing values, dates as years, booleans, or an object array of strings
        with None for missing values.

    Raises
    ------
    DataError
        If there is not one value a row.
    """
    found = as_labels(values)
    if found.shape != (n_rows,):
        raise DataError(
            f"{name} must have one value a row, got shape {found.shape} for {n_rows:,} rows. "
            "Give a flat list."
        )
    return found


def label_name(values: Any) -> str | None:
    """Return the name of a Series, or None if it has no name."""
    name = getattr(values, "name", None)
    return None if name is None or callable(name) or str(name) == "" else str(name)


def are_dates(values: Any) -> bool:
    """Return True if labels are dates or instants, which ``as_labels`` returns as years."""
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return bool(pa.types.is_timestamp(values.type) or pa.types.is_date(values.type))
    if nw.dependencies.is_into_series(values):
        kind = nw.from_native(values, series_only=True).dtype
        return isinstance(kind, nw.Datetime | nw.Date)
    return bool(np.asarray(values).dtype.kind == "M")


def days_of(years: NDArray[Any]) -> NDArray[np.float64]:
    """Return dates as days since 1970, as matplotlib has them, from years."""
    return np.asarray((years - 1970) * _YEAR / _DAY)


def as_labels(values: Any) -> NDArray[Any]:
    """Return labels or amounts as an array, in one of the kinds that ``read_labels`` names."""
    if isinstance(values, pa.Array):
        values = pa.chunked_array([values])
    elif nw.dependencies.is_into_series(values) and not isinstance(values, pa.ChunkedArray):
        values = _series_values(values)
    if isinstance(values, pa.ChunkedArray):
        return _of_arrow(plain(values))
    array = np.asarray(values)
    if array.ndim != 1:
        array = array.ravel() if array.size == max(array.shape, default=0) else array
    if array.dtype.kind in "fiub":
        return array
    if array.dtype.kind in "mM":
        return _of_arrow(pa.chunked_array([pa.array(array)]))
    return _of_objects(array.tolist()) if array.ndim == 1 else array


def _series_values(series: Any) -> Any:
    """Return a pandas or polars series as an Arrow array, or as objects where it mixes types."""
    try:
        column = nw.from_native(series, series_only=True).to_arrow()
    except (pa.ArrowException, OverflowError, TypeError):
        return np.array(series.to_list(), dtype=object)
    return pa.chunked_array([column]) if isinstance(column, pa.Array) else column


def _of_arrow(column: pa.ChunkedArray) -> NDArray[Any]:
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        days = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64()).cast(pa.float64())
        return np.asarray(1970 + days.to_numpy(zero_copy_only=False) / _YEAR)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        whole = pa.types.is_integer(kind) and column.null_count == 0
        numbers = column if whole else column.cast(pa.float64(), safe=False)
        return np.asarray(numbers.to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(kind) and column.null_count == 0:
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=bool)
    return _of_objects(python_values(column))


def _of_objects(values: list[Any]) -> NDArray[Any]:
    """Return floats if all values are numbers, else strings with None for missing values."""
    missing = [is_missing(value) for value in values]
    kept = [value for value, gone in zip(values, missing, strict=True) if not gone]
    if kept and all(_is_number(value) for value in kept):
        pairs = zip(values, missing, strict=True)
        return np.array([np.nan if gone else float(value) for value, gone in pairs])
    words = np.empty(len(values), dtype=object)
    words[:] = [None if gone else str(v) for v, gone in zip(values, missing, strict=True)]
    return words


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
