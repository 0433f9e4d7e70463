"""Frames of any library <-> Arrow tables, with the user's own types on the way back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.schema._notation import notations_of
from latently.schema._records import ColumnType, Container, TableSpec

_PLAIN_TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "null": pa.null(),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "float": pa.float32(),
    "double": pa.float64(),
    **{
        f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
Frames = Literal["pandas", "polars", "pyarrow"]
_TIME_TYPES = ("timestamp", "duration", "time32", "time64")


def arrow_table(frame: nw.DataFrame[Any]) -> pa.Table:
    """Return a frame as an Arrow table; name the first column that cannot be.

    Parameters
    ----------
    frame : narwhals.DataFrame
        The user's frame.

    Returns
    -------
    pyarrow.Table
        Column by column, NaN of pandas as null.

    Raises
    ------
    DataError
        If a column mixes types, or holds infinity, lists, structs or bytes.
    """
    native = frame.to_native()
    if isinstance(native, pa.Table):
        columns = dict(zip(native.column_names, native.columns, strict=True))
    else:
        columns = {name: _arrow_column(name, frame[name]) for name in frame.columns}
    for name, column in columns.items():
        _check_finite(name, column)
    unusable = [name for name, column in columns.items() if not _is_usable(column.type)]
    if unusable:
        kinds = sorted({str(columns[name].type) for name in unusable})
        raise DataError(
            f"Columns {unusable[:5]} hold {', '.join(kinds)}, which cannot be used. Turn them into "
            "numbers, texts or dates, or leave them out."
        )
    return pa.table(columns)


def _arrow_column(name: str, series: nw.Series[Any]) -> pa.ChunkedArray:
    try:
        column = series.to_arrow()
    except (pa.ArrowException, OverflowError, TypeError) as error:
        types = sorted({type(v).__name__ for v in series.to_list() if v is not None})
        raise DataError(
            f"Column {name!r} holds values of types {', '.join(types[:4])}, which do not fit "
            "together or are too large. Make them all numbers or all texts."
        ) from error
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    return column.cast(pa.large_string()) if column.type == pa.string_view() else column


def _check_finite(name: str, column: pa.ChunkedArray) -> None:
    if not pa.types.is_floating(column.type):
        return
    row = pc.index(pc.is_inf(column), True).as_py()
    if row >= 0:
        raise DataError(
            f"Input X contains infinity at row {row}, column {name!r}. Mark it as missing (NaN) or "
            "correct it."
        )


def _is_usable(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_usable(kind.value_type)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    rest = pa.types.is_boolean(kind) or pa.types.is_null(kind) or pa.types.is_temporal(kind)
    rest = rest and not pa.types.is_interval(kind)
    return bool(text or number or rest)


def table_spec(frame: nw.DataFrame[Any], table: pa.Table) -> TableSpec:
    """Return the record of a frame's container, column names and types."""
    container = container_of(frame.to_native())
    types = tuple(_column_type(frame[name], table[name].type, container) for name in frame.columns)
    if container == "pyarrow" and (found := notations_of(frame.to_native().schema)):
        pairs = zip(frame.columns, types, strict=True)
        types = tuple(replace(kind, notation=found.get(name)) for name, kind in pairs)
    return TableSpec(container, "float64", tuple(frame.columns), types)


def table_spec_of(table: pa.Table) -> TableSpec:
    """Return the record of an Arrow table."""
    return table_spec(nw.from_native(table, eager_only=True), table)


def container_of(data: Any) -> Container:
    """Return the library that rows come from; modin and the like come back as pandas."""
    if not nw.dependencies.is_into_dataframe(data):
        return "numpy"
    implementation = nw.from_native(data, eager_only=True).implementation
    if implementation.is_polars():
        return "polars"
    return "pyarrow" if implementation.is_pyarrow() else "pandas"


def _column_type(series: nw.Series[Any], kind: pa.DataType, container: Container) -> ColumnType:
    native = str(series.to_native().dtype) if container == "pandas" else None
    if pa.types.is_dictionary(kind):
        ordered = bool(kind.ordered) or series.dtype == nw.Enum
        return ColumnType("dictionary", native, ordered=ordered)
    unit = getattr(kind, "unit", None)
    zone = getattr(kind, "tz", None)
    name = str(kind).partition("[")[0] if pa.types.is_temporal(kind) else str(kind)
    return ColumnType(
        name if name in (*_PLAIN_TYPES, *_TIME_TYPES) else "double", native, unit, zone
    )


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type of a column, except for dictionaries."""
    if kind.name == "timestamp":
        return pa.timestamp(kind.unit, tz=kind.zone)
    if kind.name in _TIME_TYPES:
        return getattr(pa, kind.name)(kind.unit)
    return _PLAIN_TYPES[kind.name]


def typed_column(values: pa.Array, kind: ColumnType, categories: tuple[Any, ...]) -> pa.Array:
    """Return decoded values in the type that the column had in ``fit``."""
    if kind.name == "null":
        return pa.nulls(len(values))
    if kind.name == "dictionary":
        codes = pc.index_in(values, value_set=pa.array(categories, values.type))
        return pa.DictionaryArray.from_arrays(
            codes, pa.array(categories, values.type), ordered=kind.ordered
        )
    target = arrow_type(kind)
    if pa.types.is_integer(target) and pa.types.is_floating(values.type):
        return whole_numbers(values, target)
    if kind.name in ("date32", "time32"):
        return values.cast(pa.int32()).cast(target)
    return values.cast(target)


def whole_numbers(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Round to whole numbers within the range of their type; a missing number stays missing."""
    numbers = values.to_numpy(zero_copy_only=False)
    return pa.array(rounded(numbers, np.dtype(str(target))), target, mask=np.isnan(numbers))


def rounded(numbers: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    """Round and clip to a whole-number type; NaN becomes zero."""
    info = np.iinfo(dtype)
    # float64 cannot hold the largest 64-bit integers: the next float below can be cast safely.
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
        The columns' own types in the container that ``fit`` saw.
    container : {"pandas", "polars", "pyarrow"}
        The library wanted.
    like : object or None, default=None
        A frame whose row index the answer takes over (pandas).

    Returns
    -------
    DataFrame or Table
        In the user's library.
    """
    if container == "pyarrow":
        return table
    frame = nw.from_arrow(table, backend=container)
    if container == "polars":
        return _with_enums(frame, table).to_native()
    native = frame.to_native()
    if spec.container == "pandas":
        words = dict(zip(spec.names or (), spec.types, strict=True))
        keep = {n: words[n].native for n in table.column_names if words[n].name != "dictionary"}
        try:
            native = native.astype(keep)
        except TypeError as error:
            raise DataError(
                f"A column cannot be given back in its type of fit ({str(error)[:100]}). Fit with "
                "this version of pandas."
            ) from None
    index = getattr(like, "index", None)
    return native if index is None else native.set_axis(index, axis=0)


def frame_like(numbers: np.ndarray, like: Any) -> Any:
    """Return a matrix as a frame with the names, the index and the library of ``like``."""
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
