"""Convert frames of any library to Arrow tables, and back to the types of the user."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.schema._notation import notations_of
from latently.schema._pandas import ARROW, pandas_word, with_pandas_types, with_plain_texts
from latently.schema._records import ColumnType, Container, Label, TableSpec
from latently.schema._types import advice_for, arrow_type, has_name, is_usable, plain_column

Frames = Literal["pandas", "polars", "pyarrow"]


def arrow_table(frame: nw.DataFrame[Any]) -> pa.Table:
    """Return a frame as an Arrow table.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The user's frame.

    Returns
    -------
    pyarrow.Table
        The same columns, with null for NaN of pandas.

    Raises
    ------
    DataError
        If a column mixes types, or holds infinity, lists, structs or bytes.
    """
    names = text_names(frame.columns)
    columns = {
        text: plain_column(_arrow_column(text, frame.get_column(name)))
        for text, name in zip(names, frame.columns, strict=True)
    }
    for name, column in columns.items():
        _check_finite(name, column)
    unusable = [name for name, column in columns.items() if not is_usable(column.type)]
    if unusable:
        kinds = sorted({str(columns[name].type)[:60] for name in unusable})
        raise DataError(
            f"Columns {unusable[:5]} hold {', '.join(kinds[:3])}, which cannot be used. "
            f"{advice_for(columns[unusable[0]].type)}, or leave them out."
        )
    return pa.table(columns)


def text_names(names: Iterable[Any]) -> list[str]:
    """Return the names of columns as texts.

    Parameters
    ----------
    names : iterable of hashable
        Texts, or labels of pandas such as 0 and 1.

    Returns
    -------
    list of str
        Texts unchanged, and other labels as text.
    """
    return [name if type(name) is str else str(name) for name in names]


def _arrow_column(name: str, series: nw.Series[Any]) -> pa.ChunkedArray:
    try:
        native = series.to_native()
        if str(getattr(native, "dtype", "")).startswith("Sparse["):
            series = nw.from_native(native.sparse.to_dense(), series_only=True)
        column = series.to_arrow()
        _check_dates(native, column)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        types = sorted({type(v).__name__ for v in series.to_list() if v is not None})
        if types == ["int"]:
            raise DataError(
                f"Column {name!r} holds integers beyond 64 bits. Convert it to float64."
            ) from error
        raise DataError(
            f"Column {name!r} holds values of types {', '.join(types[:4])}, which do not fit "
            "together or are too large. Make them of one type, such as all numbers or all texts."
        ) from error
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])


def _check_dates(native: Any, column: pa.ChunkedArray) -> None:
    """Raise TypeError for a mixture of dates and instants, whose time of day Arrow would drop."""
    if column.type == pa.date32() and str(getattr(native, "dtype", "")) == "object":
        days = column.to_pandas(date_as_object=True).to_numpy()
        if not (native.isna().to_numpy() | (native.to_numpy() == days)).all():
            raise TypeError("dates mixed with instants")


def plain_frame(X: Any) -> Any:
    """Return a frame whose rows can be selected, with large strings for string views.

    Parameters
    ----------
    X : DataFrame or Table
        The user's frame.

    Returns
    -------
    DataFrame or Table
        A frame of the same library.
    """
    if not isinstance(X, pa.Table):
        return with_plain_texts(X) if hasattr(getattr(X, "dtypes", None), "items") else X
    for position, field in enumerate(X.schema):
        if field.type == pa.string_view():
            column = plain_column(X.column(position))
            X = X.set_column(position, field.with_type(column.type), column)
    return X


def _check_finite(name: str, column: pa.ChunkedArray) -> None:
    if not pa.types.is_floating(column.type):
        return
    row = pc.index(pc.is_inf(column), True).as_py()
    if row >= 0:
        raise DataError(
            f"Input X contains infinity at row {row}, column {name!r}. Mark it as missing (NaN) or "
            "correct it."
        )


def table_spec(frame: nw.DataFrame[Any], table: pa.Table) -> TableSpec:
    """Return the container, column names and types of a frame."""
    container = container_of(frame.to_native())
    series = [frame.get_column(name) for name in frame.columns]
    types = tuple(
        _column_type(one, column.type, container)
        for one, column in zip(series, table.columns, strict=True)
    )
    names = tuple(table.column_names)
    if container == "pyarrow" and (found := notations_of(frame.to_native().schema)):
        pairs = zip(names, types, strict=True)
        types = tuple(replace(kind, notation=found.get(name)) for name, kind in pairs)
    return TableSpec(container, "float64", names, types, _labels_of(frame.columns))


def _labels_of(names: Sequence[Any]) -> tuple[Label, ...] | None:
    """Return column labels that are not texts, or None if a model file cannot store them."""
    if all(isinstance(name, str) for name in names):
        return None
    labels = tuple(_plain_label(name) for name in names)
    return labels if all(_is_label(label) for label in labels) else None


def _plain_label(name: Any) -> Any:
    if isinstance(name, tuple):
        return tuple(_plain_label(level) for level in name)
    return name.item() if isinstance(name, np.generic) else name


def _is_label(label: Any) -> bool:
    levels = label if isinstance(label, tuple) else (label,)
    return all(type(level) in (int, str) for level in levels)


def table_spec_of(table: pa.Table) -> TableSpec:
    """Return the container, column names and types of an Arrow table."""
    return table_spec(nw.from_native(table, eager_only=True), table)


def container_of(data: Any) -> Container:
    """Return the library of rows. Libraries such as modin count as pandas."""
    if not nw.dependencies.is_into_dataframe(data):
        return "numpy"
    implementation = nw.from_native(data, eager_only=True).implementation
    if implementation.is_polars():
        return "polars"
    return "pyarrow" if implementation.is_pyarrow() else "pandas"


def _column_type(series: nw.Series[Any], kind: pa.DataType, container: Container) -> ColumnType:
    own = series.to_native()
    native = pandas_word(own.dtype) if container == "pandas" else None
    # The original type, if the column was converted while reading.
    word = {"pyarrow": "type", "pandas": "pyarrow_dtype"}.get(container, "")
    kind = getattr(own if container == "pyarrow" else own.dtype, word, kind)
    if pa.types.is_dictionary(kind):
        ordered = bool(kind.ordered) or series.dtype == nw.Enum
        levels = (str(kind.value_type), str(kind.index_type))
        is_arrow = container == "pyarrow" or native == ARROW
        found = {"levels": levels} if is_arrow else {"values": levels[0]}
        return ColumnType("dictionary", native, ordered=ordered, **found)
    unit = getattr(kind, "unit", None)
    zone = getattr(kind, "tz", None)
    name = str(kind).partition("[")[0] if pa.types.is_temporal(kind) else str(kind)
    return ColumnType(name if has_name(name) else "double", native, unit, zone)


def typed_column(values: pa.Array, kind: ColumnType, categories: tuple[Any, ...]) -> pa.Array:
    """Return decoded values in the type that the column had in ``fit``."""
    if kind.name == "null":
        return pa.nulls(len(values))
    if kind.name == "dictionary":
        levels = pa.array(categories, values.type)
        codes = pc.index_in(values, value_set=levels)
        if kind.levels is None:
            return pa.DictionaryArray.from_arrays(codes, levels, ordered=kind.ordered)
        own = arrow_type(kind)
        if pa.types.is_null(own.value_type):
            return pa.nulls(len(values), own)
        codes, levels = codes.cast(own.index_type), levels.cast(own.value_type)
        return pa.DictionaryArray.from_arrays(codes, levels, ordered=kind.ordered)
    target = arrow_type(kind)
    if pa.types.is_integer(target) and pa.types.is_floating(values.type):
        return whole_numbers(values, target)
    if pa.types.is_decimal(target) and pa.types.is_floating(values.type):
        return _decimals(values, target)
    if kind.name in ("date32", "time32"):
        return values.cast(pa.int32()).cast(target)
    return values.cast(target)


def _decimals(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Return numbers as decimals, rounded to their scale and clipped to their range."""
    numbers = values.to_numpy(zero_copy_only=False)
    # The largest float below the first number that has too many digits.
    most = np.nextafter(10.0 ** (target.precision - target.scale), 0) - 0.5 * 10.0**-target.scale
    clipped = pa.array(np.clip(numbers, -most, most), mask=np.isnan(numbers))
    wide = pa.decimal256(target.precision, target.scale)
    return clipped.cast(wide, safe=False).cast(target)


def whole_numbers(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Return numbers as integers, rounded and clipped to the range of their type."""
    numbers = values.to_numpy(zero_copy_only=False)
    return pa.array(rounded(numbers, np.dtype(str(target))), target, mask=np.isnan(numbers))


def rounded(numbers: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Return numbers rounded and clipped to an integer type, with zero for NaN."""
    info = np.iinfo(dtype)
    # float64 cannot hold the largest 64-bit integers. The next smaller float can be cast safely.
    high = np.nextafter(float(info.max), 0) if info.bits == 64 else float(info.max)
    whole = np.clip(np.rint(np.nan_to_num(numbers, nan=0.0)), float(info.min), high)
    answer: np.ndarray = whole.astype(dtype)
    return answer


def native_frame(table: pa.Table, spec: TableSpec, container: Frames, like: Any = None) -> Any:
    """Return an Arrow table as a frame of the user's library.

    Parameters
    ----------
    table : pyarrow.Table
        Typed columns.
    spec : TableSpec
        Types of the columns in the container that ``fit`` saw.
    container : {"pandas", "polars", "pyarrow"}
        Library of the returned frame.
    like : object or None, default=None
        A frame of pandas whose index, and labels of as many columns, are copied.

    Returns
    -------
    DataFrame or Table
        A frame of the user's library.
    """
    if container == "pyarrow":
        return table
    if container == "polars":
        return _with_enums(nw.from_arrow(table, backend=container), table).to_native()
    is_typed = spec.container == "pandas"
    # In a column with gaps, a large integer would lose its last digits as a float.
    native = table.to_pandas(integer_object_nulls=is_typed)
    if is_typed:
        native = with_pandas_types(native, spec)
    if hasattr(like, "columns") and native.shape[1] == len(like.columns):
        native = native.set_axis(like.columns, axis=1)
    elif spec.labels is not None:
        native = native.set_axis(list(spec.labels), axis=1)
    index = getattr(like, "index", None)
    return native if index is None else native.set_axis(index, axis=0)


def frame_like(numbers: np.ndarray, like: Any) -> Any:
    """Return a matrix as a frame with the column names, index and library of ``like``."""
    container = container_of(like)
    assert container != "numpy"
    table = pa.table({f"x{i}": column for i, column in enumerate(numbers.T)})
    native = native_frame(table, TableSpec("numpy", str(numbers.dtype)), container, like)
    if container == "pandas":
        return native.set_axis(like.columns, axis=1)
    frame = nw.from_native(native, eager_only=True)
    names = dict(zip(frame.columns, nw.from_native(like, eager_only=True).columns, strict=True))
    return frame.rename(names).to_native()


def _with_enums(frame: nw.DataFrame[Any], table: pa.Table) -> nw.DataFrame[Any]:
    ordered = [f.name for f in table.schema if pa.types.is_dictionary(f.type) and f.type.ordered]
    casts = [
        nw.col(name).cast(nw.Enum(table[name].chunk(0).dictionary.to_pylist())) for name in ordered
    ]
    return frame.with_columns(casts) if casts else frame
