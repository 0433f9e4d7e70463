"""Rows of a table as the inputs of a graph."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.export._columns import ARRAY, ExportedColumn, exported_columns, is_array
from latently.preprocessing import TablePreprocessor, TimeCodec, number_matrix
from latently.schema import arrow_table, conform, plain, ticks_of


def inputs_of(preprocessor: TablePreprocessor, rows: Any) -> dict[str, np.ndarray]:
    """Return rows of a table as the inputs of its exported graph.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of the exported model.
    rows : array, DataFrame or Table
        Rows with the columns of ``fit``.

    Returns
    -------
    dict of str to ndarray
        One array for each column, or one for all columns of an array.
    """
    if is_array(preprocessor):
        return {ARRAY: np.asarray(rows, dtype=np.float64)}
    table = arrow_table(nw.from_native(rows, eager_only=True))
    times = {codec.name: codec for codec in preprocessor.codecs if isinstance(codec, TimeCodec)}
    given = {}
    for place, column in enumerate(exported_columns(preprocessor)):
        kind = preprocessor.spec.types[place]
        values = conform(table.column(column.name), kind, column.name)
        given[column.input] = _input(column, values, table, place, times.get(column.name))
    return given


def _input(
    column: ExportedColumn,
    values: pa.ChunkedArray,
    table: pa.Table,
    place: int,
    codec: TimeCodec | None,
) -> np.ndarray:
    if codec is not None:
        return _ticks(codec, values, int(column.missing or 0))
    if column.kind == "number":
        return number_matrix(table, np.array([place]))[:, 0]
    if column.kind == "boolean":
        numbers = values.cast(pa.int8()).cast(pa.float64())
        array: np.ndarray = pc.fill_null(numbers, np.nan).to_numpy()
        return array
    return _texts(values, str(column.missing))


def _texts(values: pa.ChunkedArray, missing: str) -> np.ndarray:
    cells = plain(values).to_pylist()
    return np.array([missing if cell is None else str(cell) for cell in cells], dtype=object)


def _ticks(codec: TimeCodec, values: pa.ChunkedArray, missing: int) -> np.ndarray:
    if pa.types.is_null(values.type):
        return np.full(len(values), missing)
    ticks = ticks_of(values)
    if ticks.nanoseconds >= codec.nanoseconds:
        counts = ticks.counts * (ticks.nanoseconds // codec.nanoseconds)
    else:
        counts = ticks.counts // (codec.nanoseconds // ticks.nanoseconds)
    return np.where(ticks.observed, counts, missing)
