"""Mark and fill missing cells of the user's rows without changing any other cell."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.preprocessing._columns import dictionary_values
from latently.schema import (
    TableSpec,
    arrow_table,
    arrow_type,
    in_zone,
    native_frame,
    plain,
    rounded,
    table_spec,
)


def mark_missing(X: Any, value: Any) -> Any:
    """Return rows in which cells equal to given values are missing.

    Parameters
    ----------
    X : ndarray, DataFrame or Table
        Rows.
    value : number, str, bool or sequence of them
        Values that denote a missing cell. Columns of other types do not change. If a value is a
        text, columns of texts whose remaining cells are all numbers become numbers.

    Returns
    -------
    ndarray or Table
        An array as floats with NaN, a frame as an Arrow table with nulls.
    """
    values = _listed(value)
    if isinstance(X, np.ndarray):
        numbers = X if X.dtype.kind == "f" else X.astype(np.float64)
        wanted = [one for one in values if not isinstance(one, str)]
        return np.where(np.isin(numbers, wanted), np.nan, numbers)
    words = [one for one in values if isinstance(one, str)]
    named = _without_words(X, words)
    table = arrow_table(nw.from_native(named, eager_only=True))
    for place, column in enumerate(table.columns):
        marked = column
        for one in values:
            marked = _marked(marked, one)
        if marked is not column:
            table = table.set_column(place, _field_of(X, table, place, marked), marked)
    return table


def _listed(value: Any) -> list[Any]:
    is_listed = isinstance(value, Sequence) and not isinstance(value, str)
    return list(value) if is_listed else [value]


def _field_of(X: Any, table: pa.Table, place: int, column: Any) -> pa.Field:
    """Return the field of a marked column, with the metadata of an Arrow table."""
    own = X.schema if isinstance(X, pa.Table) else table.schema
    return own.field(place).with_type(column.type)


def _without_words(X: Any, words: list[str]) -> Any:
    """Return a pandas frame whose object columns become numbers if all other cells are words."""
    if not words or not hasattr(X, "assign"):
        return X
    objects = [name for name, kind in X.dtypes.items() if str(kind) == "object"]
    cleared = {name: X[name].where(~X[name].isin(words)).infer_objects() for name in objects}
    numbers = {n: c for n, c in cleared.items() if c.dtype.kind in "iufb"}
    return X.assign(**numbers)


def _marked(column: pa.ChunkedArray, value: Any) -> pa.ChunkedArray:
    values = plain(column)
    if not _can_hold(values.type, value):
        return column
    try:
        wanted = pa.scalar(value).cast(values.type)
    except pa.ArrowInvalid:  # a whole number cannot be 0.5
        return column
    found = pc.fill_null(pc.equal(values, wanted), False)
    if not pc.any(found).as_py():
        return column
    kept = pc.if_else(found, pa.scalar(None, values.type), values)
    if isinstance(value, str) and not pa.types.is_dictionary(column.type):
        return _as_numbers(kept)
    return _as_categories(kept, column) if pa.types.is_dictionary(column.type) else kept


def _as_numbers(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as numbers if all of them are numbers, and unchanged otherwise."""
    try:
        numbers = texts.cast(pa.float64())
    except pa.ArrowInvalid:
        return texts
    return texts if numbers.null_count == len(numbers) else numbers


def _can_hold(kind: pa.DataType, value: Any) -> bool:
    """Return True if a column type can hold a value: 0 is neither False nor a date."""
    if isinstance(value, str):
        return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
    if isinstance(value, bool):
        return bool(pa.types.is_boolean(kind))
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def fill_missing(X: Any, filled: Any, columns: Collection[int] | None = None) -> Any:
    """Return ``X`` with its missing cells replaced by cells of ``filled``.

    Parameters
    ----------
    X : ndarray, DataFrame or Table
        Rows with missing cells.
    filled : like X
        The same rows without missing cells.
    columns : collection of int or None, default=None
        Positions of the columns to fill. None fills all columns.

    Returns
    -------
    ndarray, DataFrame or Table
        Rows in the library and types of ``X``.
    """
    if isinstance(X, np.ndarray):
        return _filled_array(X, filled, columns)
    frame = nw.from_native(X, eager_only=True)
    gaps = arrow_table(frame)
    whole = arrow_table(nw.from_native(filled, eager_only=True))
    spec = table_spec(frame, gaps)
    chosen = range(gaps.num_columns) if columns is None else columns
    filled_columns = {
        name: _filled_column(gaps[name], whole[name], kind.ordered)
        if place in chosen
        else gaps[name]
        for place, (name, kind) in enumerate(zip(gaps.column_names, spec.types, strict=True))
    }
    return _given_back(filled_columns, spec, X)


def restore(X: Any, filled: Any, value: Any = ()) -> Any:
    """Return filled rows in the library and types of ``X``, with unfilled cells as in ``X``.

    Parameters
    ----------
    X : ndarray, DataFrame or Table
        Rows before cells were marked as missing.
    filled : ndarray or Table
        The marked rows after filling.
    value : number, str, bool or sequence of them, default=()
        Values that were marked as missing.

    Returns
    -------
    ndarray, DataFrame or Table
        Filled rows. Numbers are rounded in integer columns.
    """
    if isinstance(X, np.ndarray):
        whole = rounded(filled, X.dtype) if X.dtype.kind in "iu" else filled.astype(X.dtype)
        return np.where(np.isnan(filled), X, whole)
    named = _without_words(X, [one for one in _listed(value) if isinstance(one, str)])
    frame = nw.from_native(named, eager_only=True)
    table = arrow_table(frame)
    spec = table_spec(frame, table)
    columns = {
        name: _filled_column(filled[name], table[name], kind.ordered)
        for name, kind in zip(table.column_names, spec.types, strict=True)
    }
    answer = _given_back(columns, spec, X)
    return answer if named is X else _with_words(answer, X, named)


def _given_back(columns: Mapping[str, pa.ChunkedArray], spec: TableSpec, like: Any) -> Any:
    """Return columns in the library of the user, with decimals cast back to their width."""
    own = {
        name: column.cast(arrow_type(kind)) if kind.name.startswith("decimal") else column
        for (name, column), kind in zip(columns.items(), spec.types, strict=True)
    }
    assert spec.container != "numpy"
    return native_frame(pa.table(own), spec, spec.container, like)


def _with_words(answer: Any, given: Any, named: Any) -> Any:
    """Return a pandas frame in which cleared words are restored if they were not filled."""
    for name in named.columns[(named.dtypes != given.dtypes).to_numpy()]:
        left = answer[name].isna() & given[name].notna()
        if left.any():
            answer[name] = answer[name].astype(object).where(~left, given[name])
    return answer


def _filled_array(X: np.ndarray, filled: Any, columns: Collection[int] | None) -> np.ndarray:
    if X.dtype.kind != "f":
        return X
    gaps = np.isnan(X)
    if columns is not None:
        gaps &= np.isin(np.arange(X.shape[1]), list(columns))
    return np.where(gaps, filled, X).astype(X.dtype)


def _filled_column(gaps: pa.ChunkedArray, whole: pa.ChunkedArray, ordered: bool) -> Any:
    values = plain(gaps)
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    if values.null_count == 0:
        return gaps
    if pa.types.is_null(values.type):
        return whole
    answer = pc.if_else(values.is_valid(), values, _in_type(plain(whole), values.type))
    if not pa.types.is_dictionary(gaps.type):
        return answer
    return _as_categories(answer, gaps, ordered)


def _in_type(values: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    """Return values in the type of the cells that they fill, with the same local times."""
    if pa.types.is_timestamp(values.type) and pa.types.is_timestamp(target):
        values = in_zone(values, target.tz)
    return values.cast(target, safe=False)


def _as_categories(
    values: pa.ChunkedArray, like: pa.ChunkedArray, ordered: bool | None = None
) -> pa.DictionaryArray:
    """Return values as a dictionary with the categories of ``like``.

    Filled values that are not among its categories are appended to them.
    """
    categories, joined = dictionary_values(like), values.combine_chunks()
    present = pc.unique(joined).drop_null().cast(categories.type)
    new = present.filter(pc.invert(pc.is_in(present, value_set=categories)))
    categories = pa.concat_arrays([categories, new])
    codes = pc.index_in(joined.cast(categories.type), value_set=categories)
    if len(categories) <= 2 ** (like.type.index_type.bit_width - 1):
        codes = codes.cast(like.type.index_type)
    is_ordered = like.type.ordered if ordered is None else ordered
    return pa.DictionaryArray.from_arrays(codes, categories, ordered=is_ordered)
