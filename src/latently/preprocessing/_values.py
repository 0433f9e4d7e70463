"""Cells of a table as plain Python values, for reports and messages."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.schema import arrow_table, plain


def cell_lists(data: np.ndarray | nw.DataFrame[Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return the cells of each column as Python values. Missing cells of a frame are None.

    Parameters
    ----------
    data : ndarray or narwhals.DataFrame
        Rows.
    names : tuple of str
        Names of the columns of an array.

    Returns
    -------
    dict of str to list
        Cells by column name. Times are cut to microseconds.
    """
    if isinstance(data, np.ndarray):
        return {name: data[:, place].tolist() for place, name in enumerate(names)}
    table = arrow_table(data)
    return {name: python_values(table[name]) for name in table.column_names}


def python_values(column: pa.ChunkedArray) -> list[Any]:
    """Return the cells of an Arrow column as Python values, with None for missing cells."""
    values = plain(column)
    kind = values.type
    if pa.types.is_floating(kind):
        values = pc.if_else(pc.is_nan(values), None, values)
    elif getattr(kind, "unit", None) == "ns":
        values = values.cast(_in_microseconds(kind), safe=False)
    try:
        found: list[Any] = values.to_pylist()
    except (OverflowError, ValueError):  # dates beyond the year 9999
        found = values.cast(pa.string()).to_pylist()
    return found


def is_missing(value: Any) -> bool:
    """Return True for None, NaN, and NA and NaT of pandas."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # NA of pandas, or an array
        return type(value).__name__ == "NAType"


def _in_microseconds(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.duration("us") if pa.types.is_duration(kind) else pa.time64("us")
