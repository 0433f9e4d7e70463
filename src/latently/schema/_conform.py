"""Convert a column of a batch to the type that the column had in ``fit``."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from latently._notices import warn_columns
from latently.exceptions import DataError
from latently.schema._durations import parse_durations
from latently.schema._records import ColumnType

_DATES = ("date32", "date64")
_INSTANTS = ("timestamp", *_DATES)
_TIMES_OF_DAY = ("time32", "time64")
#: Integers below this have a float64 of their own.
_EXACT = 2.0**53
#: Placeholder for a number that is none of the categories.
_NO_CATEGORY = -(2**31) + 1
#: Spellings of true and false in text.
_BOOLEANS = {"true": True, "false": False, "yes": True, "no": False, "1": True, "0": False,
           "1.0": True, "0.0": False}  # fmt: skip


def plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the values of a dictionary column, and any other column unchanged."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) else column


def is_text(kind: pa.DataType) -> bool:
    """Return True for any Arrow type of texts."""
    text: bool = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return text or kind == pa.string_view()


def is_number(kind: pa.DataType) -> bool:
    """Return True for integer, floating-point and decimal types. Booleans are no numbers."""
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )


def is_empty(column: pa.ChunkedArray) -> bool:
    """Return True if no cell holds a value. NaN counts as missing."""
    if pa.types.is_floating(column.type):
        return bool(pc.all(pc.is_null(column, nan_is_null=True)).as_py())
    return bool(plain(column).null_count == len(column))


def conform(column: pa.ChunkedArray, kind: ColumnType, name: str) -> pa.ChunkedArray:
    """Return a column of a batch in the kind of ``fit``. Its unit of time may differ.

    A column without any value is missing, whatever its type. Texts are parsed if the column held
    numbers, booleans or times in ``fit``. Times may have any unit, instants may have any zone,
    and dates are accepted for instants.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Values of the batch.
    kind : ColumnType
        Type of the column in ``fit``.
    name : str
        Name of the column, for messages.

    Returns
    -------
    pyarrow.ChunkedArray
        Numbers, booleans, texts, categories or times.

    Raises
    ------
    DataError
        If the values are of another kind.

    Warns
    -----
    DataWarning
        If instants have a zone and had none in ``fit``, or conversely.
    """
    if is_empty(column):
        return pa.chunked_array([pa.nulls(len(column))])
    if kind.name in ("dictionary", "string", "large_string"):
        return column  # the codec compares it with its categories
    values = plain(column)
    if kind.name == "bool":
        return _booleans(values, name)
    if kind.name in _INSTANTS:
        return _instants(values, kind, name)
    if kind.name == "duration" or kind.name in _TIMES_OF_DAY:
        return _durations_or_times(values, kind, name)
    return as_numbers(values, name, kind.name)


def as_float(numbers: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Return numbers that were text in the float type of ``fit``.

    0.1 in a file then equals 0.1 in a column of single precision. Numbers that overflow the type
    are returned in double precision.

    Parameters
    ----------
    numbers : pyarrow.ChunkedArray
        Numbers of any type.
    kind : str
        Name of the Arrow type in ``fit``.

    Returns
    -------
    pyarrow.ChunkedArray
        Floats.
    """
    doubles = numbers.cast(pa.float64(), safe=False)
    if kind not in ("halffloat", "float"):
        return doubles
    narrow = doubles.cast(pa.type_for_alias(kind), safe=False)
    is_lost = pc.and_(pc.is_inf(narrow.cast(pa.float64())), pc.is_finite(doubles))
    return doubles if pc.any(is_lost).as_py() else narrow


def as_numbers(values: pa.ChunkedArray, name: str, kind: str = "double") -> pa.ChunkedArray:
    """Return a column as numbers. Texts are parsed, and booleans become 0 and 1.

    Decimals become the nearest floats by way of text, as the cast of Arrow is not exact.

    Raises
    ------
    DataError
        If a value is not a number.
    """
    if pa.types.is_decimal(values.type):
        return values.cast(pa.string()).cast(pa.float64())
    if is_number(values.type) or pa.types.is_null(values.type):
        return values
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int8())
    if not is_text(values.type):
        raise _refusal(name, "numbers", values)
    return as_float(_parsed(values, pa.float64(), name, "numbers"), kind)


def _booleans(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    if pa.types.is_boolean(values.type):
        return values
    if is_number(values.type):
        known = pc.is_in(values.cast(pa.float64()), value_set=pa.array([0.0, 1.0, None]))
        if pc.all(known).as_py():
            return pc.equal(values.cast(pa.float64()), 1.0)
    if is_text(values.type):
        words = pc.utf8_lower(pc.utf8_trim_whitespace(values))
        place = pc.index_in(words, value_set=pa.array(list(_BOOLEANS)))
        if place.null_count == values.null_count:
            return pa.chunked_array(
                [pa.array(list(_BOOLEANS.values())).take(place.combine_chunks())]
            )
    raise _refusal(name, "true and false", values)


def _instants(values: pa.ChunkedArray, kind: ColumnType, name: str) -> pa.ChunkedArray:
    if is_text(values.type):
        values = _parsed_instants(values, name)
    if pa.types.is_date(values.type):
        values = values.cast(pa.timestamp("ms")) if kind.zone else values
    elif not pa.types.is_timestamp(values.type):
        raise _refusal(name, "dates", values)
    return in_zone(values, kind.zone, name)


def in_zone(values: pa.ChunkedArray, zone: str | None, name: str = "") -> pa.ChunkedArray:
    """Return instants with a time zone if ``fit`` saw one, and without one otherwise.

    If ``fit`` saw no zone, instants with a zone become the local time of that zone. If ``fit`` saw
    a zone, instants without one are taken as local time of it.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Timestamps or dates.
    zone : str or None
        Zone in ``fit``.
    name : str, default=""
        Name of the column. If it is empty, no warning is issued.

    Returns
    -------
    pyarrow.ChunkedArray
        The instants.

    Warns
    -----
    DataWarning
        If only one of batch and ``fit`` has a zone.
    """
    own = getattr(values.type, "tz", None)
    if (own is None) == (zone is None):
        return values
    if own is not None:
        if name:
            warn_columns(
                [name],
                "have a time zone and had none in fit; their local time is used",
                "Give times without a zone.",
            )
        return pc.local_timestamp(values)
    if name:
        warn_columns(
            [name],
            f"have no time zone and had one in fit; they are taken for times in {zone}",
            "Give times with their zone.",
        )
    return pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="latest")


def _durations_or_times(values: pa.ChunkedArray, kind: ColumnType, name: str) -> pa.ChunkedArray:
    noun = "durations" if kind.name == "duration" else "times of day"
    is_one = pa.types.is_duration if kind.name == "duration" else pa.types.is_time
    if is_text(values.type) and kind.name == "duration":
        return _parsed_durations(values, name)
    if is_text(values.type):
        # Arrow parses a time of day only after a date.
        dated = pc.binary_join_element_wise("1970-01-01", pc.utf8_trim_whitespace(values), " ")
        return _parsed(dated, pa.timestamp("us"), name, noun).cast(pa.time64("us"))
    if not is_one(values.type):
        raise _refusal(name, noun, values)
    return values


def _parsed_durations(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    texts = _without_gaps(values)
    found = parse_durations(texts)
    if found.null_count > texts.null_count:
        row = pc.index(pc.and_(found.is_null(), texts.is_valid()), True).as_py()
        raise _wrong_text(name, "durations", values, row)
    return found


def _without_gaps(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return trimmed texts in which empty and NaN texts are missing."""
    trimmed = pc.utf8_trim_whitespace(values)
    gaps = pc.is_in(trimmed, value_set=pa.array(["", "NaN", "nan"]))
    return pc.if_else(gaps, pa.scalar(None, trimmed.type), trimmed)


def _wrong_text(name: str, noun: str, values: pa.ChunkedArray, row: int) -> DataError:
    return DataError(
        f"Column {name!r} must hold {noun}, as in fit, got the text {values[row].as_py()!r} in "
        f"row {row}. Correct the cell, or mark it as missing."
    )


def _parsed_instants(values: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return ISO 8601 texts as instants, with a zone if they have one."""
    trimmed = pc.utf8_trim_whitespace(values)
    for target in (pa.timestamp("ns"), pa.timestamp("ns", "UTC"), pa.timestamp("us")):
        try:
            return trimmed.cast(target)
        except pa.ArrowInvalid:
            continue
    return _parsed(values, pa.timestamp("us", "UTC"), name, "dates")


def _parsed(values: pa.ChunkedArray, target: pa.DataType, name: str, noun: str) -> pa.ChunkedArray:
    """Return texts cast to a type, or raise DataError for the first that cannot be cast."""
    trimmed = _without_gaps(values)
    try:
        return trimmed.cast(target)
    except pa.ArrowInvalid:
        raise _wrong_text(name, noun, values, _first_failure(trimmed, target)) from None


def _first_failure(values: pa.ChunkedArray, target: pa.DataType) -> int:
    """Return the index of the first cell that cannot be cast, found by bisection."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            values[low:middle].cast(target)
            low = middle
        except pa.ArrowInvalid:
            high = middle
    return low


def _refusal(name: str, noun: str, values: pa.ChunkedArray) -> DataError:
    return DataError(
        f"Column {name!r} must hold {noun}, as in fit, got {values.type}. Give {noun}."
    )


def like_categories(
    values: pa.ChunkedArray, categories: tuple[str | int | float | bool, ...], name: str
) -> pa.ChunkedArray:
    """Return values in the type of the categories of ``fit``.

    Integers become texts of their digits if the categories are texts. Texts of numbers become
    numbers if the categories are numbers.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Values of the batch.
    categories : tuple
        Categories of one type, empty if ``fit`` saw no value.
    name : str
        Name of the column, for messages.

    Returns
    -------
    pyarrow.ChunkedArray
        Values of the type of the categories, null for missing cells.

    Raises
    ------
    DataError
        If the values cannot be compared with the categories.
    """
    if not categories or pa.types.is_null(values.type):
        return values
    wanted = pa.array(categories).type
    if is_text(wanted):
        return _texts(values, categories, name)
    if pa.types.is_boolean(wanted):
        return _booleans(values, name)
    if not is_number(wanted):
        if values.type != wanted:
            raise _refusal(name, f"categories of {wanted}", values)
        return values
    amounts = as_numbers(values, name).cast(pa.float64(), safe=False)
    if pa.types.is_floating(wanted):
        return amounts
    whole = pc.equal(pc.round(amounts), amounts)
    # A fraction equals no integer category: it is unknown, not missing.
    kept = pc.if_else(pc.or_kleene(whole, pc.is_null(amounts)), amounts, float(_NO_CATEGORY))
    return kept.cast(wanted, safe=False)


def _texts(
    values: pa.ChunkedArray, categories: tuple[str | int | float | bool, ...], name: str
) -> pa.ChunkedArray:
    if is_text(values.type):
        return values.cast(pa.string())
    if pa.types.is_boolean(values.type):
        spelt = ("True", "False") if {"True", "False"} & set(categories) else ("true", "false")
        return pc.if_else(values, *spelt)
    if pa.types.is_integer(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        return _digits(values)
    raise _refusal(name, "texts", values)


def _digits(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as texts. 12.0 becomes "12", as gaps turn integers into floats."""
    amounts = values.cast(pa.float64())
    if pc.any(pc.is_nan(amounts)).as_py():
        amounts = pc.if_else(pc.is_nan(amounts), None, amounts)
    whole = pc.and_(pc.equal(pc.round(amounts), amounts), pc.less(pc.abs(amounts), _EXACT))
    digits = pc.if_else(whole, amounts, 0.0).cast(pa.int64()).cast(pa.string())
    return pc.if_else(whole, digits, amounts.cast(pa.string()))
