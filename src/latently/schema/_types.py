"""Arrow types that a column may have, by name, and advice for all others."""

from __future__ import annotations

import re

import pyarrow as pa

from latently.schema._records import ColumnType

_PLAIN_TYPES: dict[str, pa.DataType] = {
    "bool": pa.bool_(),
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "null": pa.null(),
    "date32": pa.date32(),
    "date64": pa.date64(),
    "halffloat": pa.float16(),
    "float": pa.float32(),
    "double": pa.float64(),
    **{
        f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")()
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
}
#: Bits of the narrowest decimals that Arrow computes with.
_WIDE_DECIMAL = 128
_DECIMAL = re.compile(r"(decimal(?:32|64|128|256))\((\d+), (-?\d+)\)")
_TIME_TYPES = ("timestamp", "duration", "time32", "time64")


def has_name(name: str) -> bool:
    """Return True for the name of a type in which a column can be returned."""
    return name in (*_PLAIN_TYPES, *_TIME_TYPES) or _DECIMAL.fullmatch(name) is not None


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type of a column. The levels of a dictionary must be known."""
    if kind.levels is not None:
        values, places = (_PLAIN_TYPES[word] for word in kind.levels)
        return pa.dictionary(places, values, ordered=kind.ordered)
    if kind.name == "timestamp":
        return pa.timestamp(kind.unit, tz=kind.zone)
    if kind.name in _TIME_TYPES:
        return getattr(pa, kind.name)(kind.unit)
    decimal = _DECIMAL.fullmatch(kind.name)
    if decimal:
        return getattr(pa, decimal[1])(int(decimal[2]), int(decimal[3]))
    return _PLAIN_TYPES[kind.name]


def plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column in a type that Arrow can count and select from."""
    kind = column.type
    if kind == pa.string_view():
        return column.cast(pa.large_string())
    if pa.types.is_decimal(kind) and kind.bit_width < _WIDE_DECIMAL:
        return column.cast(pa.decimal128(kind.precision, kind.scale))
    return column


def is_usable(kind: pa.DataType) -> bool:
    """Return True for a type that can be encoded."""
    if pa.types.is_dictionary(kind):
        return _is_level(kind.value_type)
    rest = pa.types.is_null(kind) or pa.types.is_decimal(kind) or pa.types.is_temporal(kind)
    return _is_level(kind) or bool(rest and not pa.types.is_interval(kind))


def _is_level(kind: pa.DataType) -> bool:
    """Return True for types that a category can have: text, number or boolean."""
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return bool(text or number or pa.types.is_null(kind))


def advice_for(kind: pa.DataType) -> str:
    """Return the advice for a column of a type that cannot be encoded."""
    tests = pa.types
    if tests.is_dictionary(kind):
        return "Make the categories texts or numbers, such as by astype(str)"
    if tests.is_list(kind) or tests.is_large_list(kind) or tests.is_fixed_size_list(kind):
        return "Spread the lists over columns of their own, one for each place"
    if tests.is_struct(kind) or tests.is_map(kind):
        return "Make columns of their fields"
    if tests.is_run_end_encoded(kind):
        return "Decode them by pyarrow.compute.run_end_decode"
    if "binary" in str(kind):
        return "Decode them to texts"
    return "Turn them into numbers, texts or dates"
