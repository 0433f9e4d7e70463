"""Alignment of tables to the same columns and types before they are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator

from latently._notices import warn
from latently._validation import Input, read_input
from latently.exceptions import DataError
from latently.schema import arrow_table, plain

Tables = dict[str, Input]

#: Pairs of kinds between which cells are converted if every value has a counterpart.
_CONVERTED = {
    ("number", "boolean"), ("number", "text"), ("boolean", "number"), ("boolean", "text"),
    ("text", "number"), ("time", "text"),
}  # fmt: skip


def read_alike(given: Mapping[str, Any], min_rows: int) -> Tables:
    """Validate tables and convert all others to the columns and types of the first.

    Parameters
    ----------
    given : mapping of str to array-like, DataFrame or Table
        Tables by the names used in error messages.
    min_rows : int
        Smallest number of rows of each table.

    Returns
    -------
    dict of str to ndarray or narwhals.DataFrame
        Either all arrays or all frames, with the same columns in the same order.

    Raises
    ------
    DataError
        If a table cannot be used, or has other columns or kinds of values than the first.
    """
    tables = {name: _read(name, rows, min_rows) for name, rows in given.items()}
    frames = {name: rows for name, rows in tables.items() if not isinstance(rows, np.ndarray)}
    if len(frames) < len(tables):
        arrays = {n: _as_array(n, t) if n in frames else t for n, t in tables.items()}
        _check_width(arrays)
        return arrays
    return _frames_alike(frames)


def given_cells(data: Input) -> np.ndarray:
    """Return True where a cell holds a value, (n_rows, n_columns) in the order of the columns."""
    if isinstance(data, np.ndarray):
        given: np.ndarray = ~np.isnan(data) if data.dtype.kind == "f" else np.ones(data.shape, bool)
        return given
    table = arrow_table(data)
    return np.column_stack([_given(column) for column in table.columns])


def _given(column: pa.ChunkedArray) -> np.ndarray:
    is_float = pa.types.is_floating(plain(column).type)
    missing = pc.is_null(plain(column), nan_is_null=is_float)
    given: np.ndarray = ~missing.to_numpy(zero_copy_only=False).astype(bool)
    return given


class Compared(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Holds the names of the columns while a table is read."""


def _read(name: str, rows: Any, min_rows: int) -> Input:
    with _named(name):
        data = read_input(Compared(), rows, reset=True, min_rows=0)
    if isinstance(data, np.ndarray) and data.ndim > 2:
        raise DataError(
            f"compare takes tables, {name} has images of shape {data.shape}. Flatten them."
        )
    if len(data) < min_rows:
        raise DataError(
            f"{name} must have a minimum of {min_rows} rows, got {len(data)}. Compare more rows."
        )
    return data


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Prepend the name of a table to errors about its rows."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{name}: {error}") from None


def _as_array(name: str, rows: Any) -> np.ndarray:
    """Return a frame of numbers as an array, to compare it with an array."""
    table = arrow_table(rows)
    wrong = [n for n in table.column_names if _kind(table[n]) not in ("number", "boolean", "none")]
    if wrong:
        kind = _words(_kind(table[wrong[0]]))
        raise DataError(
            f"Column {wrong[0]!r} of {name} holds {kind}, the other table is an array of numbers. "
            "Give two frames."
        )
    columns = [_numbers(table[n]) for n in table.column_names]
    return np.column_stack(columns)


def _numbers(column: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    values: np.ndarray = plain(column).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values


def _check_width(arrays: Tables) -> None:
    widths = {name: array.shape[1] for name, array in arrays.items()}
    (first, width), *others = widths.items()
    for name, own in others:
        if own != width:
            raise DataError(
                f"{first} and {name} must have the same columns, got {width} and {own}. Give "
                "arrays of one width."
            )


def _frames_alike(frames: Mapping[str, nw.DataFrame[Any]]) -> Tables:
    tables = {}
    for name, frame in frames.items():
        with _named(name):
            tables[name] = arrow_table(frame)
    (first, model), *others = tables.items()
    for name, table in others:
        _check_names(first, model, name, table)
    names = model.column_names
    wanted = {column: _common_type(column, tables) for column in names}
    changed: Tables = {}
    for name, table in tables.items():
        columns = {c: _converted(table[c], wanted[c], c, name, first, model[c]) for c in names}
        kept = all(columns[c] is table[c] for c in names) and table.column_names == names
        changed[name] = frames[name] if kept else nw.from_native(pa.table(columns), eager_only=True)
    return changed


def _check_names(first: str, model: pa.Table, name: str, table: pa.Table) -> None:
    missing = [column for column in model.column_names if column not in table.column_names]
    extra = [column for column in table.column_names if column not in model.column_names]
    if missing or extra:
        parts = [f"only {owner} has {', '.join(map(repr, names[:5]))}"
                 for owner, names in ((first, missing), (name, extra)) if names]  # fmt: skip
        raise DataError(
            f"{first} and {name} must have the same columns (feature names): {'; '.join(parts)}. "
            "Rename or drop them."
        )


def _common_type(column: str, tables: Mapping[str, pa.Table]) -> pa.DataType | None:
    """Return the common type of a column in all tables, or None if no conversion is needed."""
    columns = [table[column] for table in tables.values()]
    kinds = [_kind(one) for one in columns]
    held = next((one for one, kind in zip(columns, kinds, strict=True) if kind != "none"), None)
    if held is None:
        return None
    wanted = plain(held).type
    if _kind(held) not in ("time", "duration", "time of day"):
        alike = all(kind in (_kind(held), "none") for kind in kinds)
        return None if alike and "none" not in kinds else wanted
    types = [one.type for one, kind in zip(columns, kinds, strict=True) if kind == _kind(held)]
    return _finest(types)


def _finest(types: list[pa.DataType]) -> pa.DataType:
    """Return the finest time type of all tables, in the time zone of the first."""
    zone = getattr(types[0], "tz", None)
    if len({str(kind) for kind in types}) > 1:
        types = [pa.timestamp("s") if pa.types.is_date(kind) else kind for kind in types]
    bare = [pa.timestamp(kind.unit) if pa.types.is_timestamp(kind) else kind for kind in types]
    fields = [pa.schema([pa.field("x", kind)]) for kind in bare]
    finest = pa.unify_schemas(fields, promote_options="permissive").field("x").type
    if zone is None:
        return finest
    return pa.timestamp(finest.unit if pa.types.is_timestamp(finest) else "s", zone)


def _converted(
    cells: pa.ChunkedArray,
    wanted: pa.DataType | None,
    column: str,
    name: str,
    first: str,
    model: pa.ChunkedArray,
) -> pa.ChunkedArray:
    """Convert a column to a common type, and raise an error for another kind of values."""
    if wanted is None or cells.type == wanted:
        return cells
    kind, other = _kind(cells), _kind(pa.chunked_array([pa.nulls(0, wanted)]), empty=True)
    if kind == "none":
        return pa.chunked_array([pa.nulls(len(cells), wanted)])
    if kind == other and kind in ("number", "text", "boolean"):
        return cells
    if kind == other or (other, kind) in _CONVERTED:
        try:
            return _cast(_on_clock(plain(cells), wanted, column, name), wanted)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            if kind == other:
                raise DataError(
                    f"Column {column!r} of {name} holds {_words(kind)} beyond the range of "
                    f"{wanted}, the finest unit of the tables. Give all tables a coarser unit."
                ) from None
    raise DataError(
        f"Column {column!r} holds {_words(_kind(model))} ({plain(model).type}) in {first} and "
        f"{_words(kind)} ({plain(cells).type}) in {name}. Give both tables the same kind of values."
    )


def _on_clock(
    cells: pa.ChunkedArray, wanted: pa.DataType, column: str, name: str
) -> pa.ChunkedArray:
    """Return times with or without a zone, as a model reads those of a batch."""
    if not (pa.types.is_timestamp(wanted) and pa.types.is_timestamp(cells.type)):
        return cells
    if wanted.tz and not cells.type.tz:
        warn(
            f"Column {column!r} of {name} has times without a zone; they are taken as clock "
            f"times in {wanted.tz}."
        )
        return pc.assume_timezone(cells, wanted.tz, ambiguous="earliest", nonexistent="latest")
    if cells.type.tz and not wanted.tz:
        warn(
            f"Column {column!r} of {name} has times with a zone; the time on their own clock is "
            "taken."
        )
        return pc.local_timestamp(cells)
    return cells


def _cast(cells: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    """Convert cells to a type, and raise ArrowInvalid if a value would change."""
    from_text = pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)
    if pa.types.is_boolean(wanted) and not pa.types.is_boolean(cells.type) and not from_text:
        numbers = cells.cast(pa.float64())
        if not pc.all(pc.is_in(numbers.drop_null(), value_set=pa.array([0.0, 1.0]))).as_py():
            raise pa.ArrowInvalid("neither 0 nor 1")
        return pc.equal(numbers, 1.0)
    if pa.types.is_boolean(cells.type) and not pa.types.is_boolean(wanted):
        return cells.cast(pa.int8()).cast(wanted)
    if pa.types.is_decimal(wanted) or pa.types.is_integer(wanted):
        wanted = pa.float64()
    return cells.cast(wanted)


def _kind(column: pa.ChunkedArray, *, empty: bool = False) -> str:
    """Return the kind of the values of a column, "none" where it has no value."""
    kind = plain(column).type
    if pa.types.is_null(kind) or not (empty or _given(column).any()):
        return "none"
    tests = (
        ("boolean", pa.types.is_boolean),
        ("time", lambda t: pa.types.is_timestamp(t) or pa.types.is_date(t)),
        ("time of day", pa.types.is_time),
        ("duration", pa.types.is_duration),
        ("text", lambda t: pa.types.is_string(t) or pa.types.is_large_string(t)),
    )
    return next((name for name, test in tests if test(kind)), "number")


def _words(kind: str) -> str:
    plurals = {"time": "dates or times", "time of day": "times of day", "none": "no value"}
    return plurals.get(kind, f"{kind}s")
