"""The columns of the rows, in the user's units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from latently._validation import Input
from latently.explorer._blob import Blob
from latently.schema import arrow_table, plain

#: Most decimals that are shown, and the largest number that single precision keeps whole.
_MAX_DECIMALS, _EXACT = 6, 2.0**23


def columns_of(rows: Input, names: Sequence[str], blob: Blob) -> Iterator[dict[str, Any]]:
    """Yield the columns of a table, each with its name, kind and data.

    Parameters
    ----------
    rows : ndarray or narwhals.DataFrame
        A table.
    names : sequence of str
        Names of the columns.
    blob : Blob
        Takes the data.

    Yields
    ------
    dict
        Ready for JSON.
    """
    if isinstance(rows, np.ndarray):
        for name, values in zip(names, rows.T, strict=True):
            yield number_column(name, values.astype(np.float64), blob)
        return
    table = arrow_table(rows)
    for name in names:
        yield arrow_column(name, table[name], blob)


def any_column(name: str, values: Any, blob: Blob) -> dict[str, Any]:
    """Return a column of labels or identifiers from any library."""
    return arrow_column(name, as_arrow(values), blob)


def as_arrow(values: Any) -> pa.ChunkedArray:
    """Return values from any library as an Arrow array, as texts if their types are mixed."""
    if isinstance(values, pa.ChunkedArray):
        return values
    if isinstance(values, pa.Array):
        return pa.chunked_array([values])
    if nw.dependencies.is_into_series(values):
        values = nw.from_native(values, series_only=True).to_list()
    listed = values.tolist() if isinstance(values, np.ndarray) else list(values)
    try:
        return pa.chunked_array([pa.array(listed, from_pandas=True)])
    except (pa.ArrowException, OverflowError):
        return pa.chunked_array([pa.array(["" if v is None else str(v) for v in listed])])


def arrow_column(name: str, column: pa.ChunkedArray, blob: Blob) -> dict[str, Any]:
    """Return a column by its type: number, time or category."""
    column = plain(column)
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return number_column(name, _floats(column), blob)
    if pa.types.is_temporal(kind):
        return _time_column(name, column, blob)
    return _category_column(name, column, blob)


def number_column(name: str, values: NDArray[np.float64], blob: Blob) -> dict[str, Any]:
    """Return a column of numbers, in double precision only where single precision is too coarse."""
    decimals = _decimals(values)
    largest = float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values)))
    is_coarse = decimals is not None and largest * 10.0**decimals > _EXACT
    dtype = np.float64 if is_coarse or largest > 1e38 else np.float32
    data = blob.add(values.astype(dtype))
    return {"name": name, "kind": "number", "decimals": decimals, "data": data}


def _floats(column: pa.ChunkedArray) -> NDArray[np.float64]:
    numbers = column.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(numbers, np.nan).to_numpy())


def _decimals(values: NDArray[np.float64]) -> int | None:
    """Return how many decimals write all values, None if more than six."""
    finite = values[np.isfinite(values)]
    for decimals in range(_MAX_DECIMALS + 1):
        slack = 1e-9 + 4 * np.spacing(np.abs(finite))
        if (np.abs(np.round(finite, decimals) - finite) <= slack).all():
            return decimals
    return None


def _time_column(name: str, column: pa.ChunkedArray, blob: Blob) -> dict[str, Any]:
    """Return a column of dates, instants, times of day or durations, in seconds."""
    kind, unit = column.type, "instant"
    if pa.types.is_date(kind):
        unit, column = "date", column.cast(pa.timestamp("s"), safe=False)
    elif pa.types.is_duration(kind):
        unit = "duration"
    elif pa.types.is_time(kind):
        unit = "time"
    ticks = _floats(column.cast(_integers(column.type), safe=False))
    seconds = ticks * _SECONDS[getattr(column.type, "unit", "s")]
    return {"name": name, "kind": "time", "unit": unit, "data": blob.add(seconds)}


_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def _integers(kind: pa.DataType) -> pa.DataType:
    return pa.int32() if kind == pa.time32("s") or kind == pa.time32("ms") else pa.int64()


def _category_column(name: str, column: pa.ChunkedArray, blob: Blob) -> dict[str, Any]:
    """Return a column of categories, as positions among its words. The last one is a gap."""
    words = column.cast(pa.string(), safe=False) if column.type != pa.string() else column
    encoded = words.combine_chunks().dictionary_encode()
    labels = encoded.dictionary.to_pylist()
    dtype = np.uint8 if len(labels) < 255 else np.uint16 if len(labels) < 65_535 else np.uint32
    places = pc.fill_null(encoded.indices, len(labels)).to_numpy(zero_copy_only=False)
    data = blob.add(places.astype(dtype))
    return {"name": name, "kind": "category", "labels": labels, "data": data}
