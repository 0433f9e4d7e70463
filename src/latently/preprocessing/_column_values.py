"""The cells of a table, column by column, in the units and types of ``fit``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from latently.preprocessing._columns import BooleanCodec, TimeCodec, number_matrix, observed_cells
from latently.preprocessing._table import Table, TablePreprocessor
from latently.schema import arrow_table, conform, like_categories, plain

#: Times that are measured from a fixed zero; instants move on with every day.
_SPANS = ("duration", "time32", "time64")


class ColumnValues(NamedTuple):
    """The cells of a table.

    Attributes
    ----------
    measured : ndarray of shape (n, n_measured)
        Numbers in the user's units, then durations and times of day in seconds; NaN where a cell
        is missing.
    listed : tuple of pyarrow.ChunkedArray
        Truths and categories, in the type of the categories of ``fit``.
    observed : ndarray of bool, shape (n, n_columns)
        Cells that hold a value, in encoded order.
    """

    measured: np.ndarray
    listed: tuple[pa.ChunkedArray, ...]
    observed: np.ndarray


def measured_and_listed(preprocessor: TablePreprocessor) -> tuple[list[int], list[int]]:
    """Return the encoded places of the columns of numbers, and of those of truths and categories.

    Instants are neither.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of a fitted model.

    Returns
    -------
    measured, listed : list of int
        In the order of ``ColumnValues``.
    """
    n_numbers = len(preprocessor.positions)
    measured, listed = list(range(n_numbers)), []
    for place, codec in enumerate(preprocessor.codecs, n_numbers):
        if not isinstance(codec, TimeCodec):
            listed.append(place)
        elif _is_span(preprocessor, codec):
            measured.append(place)
    return measured, listed


def column_values(preprocessor: TablePreprocessor, table: Table) -> ColumnValues:
    """Read a table into the columns of ``fit``.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of a fitted model.
    table : ndarray or narwhals.DataFrame
        Rows with the columns of ``fit``.

    Returns
    -------
    ColumnValues
        Of each row.

    Raises
    ------
    DataError
        If a column holds values of another kind.
    """
    if isinstance(table, np.ndarray):
        numbers = table.astype(np.float64)
        return ColumnValues(numbers, (), ~np.isnan(numbers))
    arrow = arrow_table(table)
    numbers = number_matrix(arrow, preprocessor.positions, preprocessor.spec.types)
    spans: list[np.ndarray] = []
    listed: list[pa.ChunkedArray] = []
    observed = list((~np.isnan(numbers)).T)
    for codec in preprocessor.codecs:
        column = conform(
            arrow.column(codec.position), preprocessor.spec.types[codec.position], codec.name
        )
        observed.append(observed_cells(column))
        if not isinstance(codec, TimeCodec):
            listed.append(_as_listed(codec, column))
        elif _is_span(preprocessor, codec):
            spans.append(_seconds(codec, column))
    return ColumnValues(
        np.column_stack([numbers, *spans]), tuple(listed), np.column_stack(observed)
    )


def _is_span(preprocessor: TablePreprocessor, codec: TimeCodec) -> bool:
    return preprocessor.spec.types[codec.position].name in _SPANS


def _as_listed(codec: Any, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(codec, BooleanCodec):
        return column
    return like_categories(plain(column), codec.categories, codec.name)


def _seconds(codec: TimeCodec, column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    elements, seen = codec.encode(column, fitting=True)
    since = elements[:, 0] * codec.scale + codec.center
    seconds: np.ndarray = np.where(seen, since + codec.origin * codec.seconds_per_tick, np.nan)
    return seconds
