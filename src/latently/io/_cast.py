"""From a column of text to the type its cells share: whole columns at a time, never a cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from latently._notices import warn_of_column
from latently.exceptions import DataError
from latently.io._say import clip, refuse

__all__ = ["ColumnPlace", "as_text", "cast_column"]

# From this share of numbers (or dates) on, another cell is a slip of the pen, not a category.
SLIP_SHARE = 0.95
# Beyond 2**53 neighbouring integers become one as floating-point numbers.
EXACT_INTEGER = 2**53

_TRUE = ["true", "True", "TRUE"]
_FALSE = ["false", "False", "FALSE"]
_EXPONENT = r"([eE][+-]?\d+)?"
_NUMBER = rf"^[+-]?((\d+\.?\d*|\.\d+){_EXPONENT}|(?i:inf|infinity))$"
_DECIMAL_COMMA = rf"^[+-]?(\d+,?\d*|,\d+){_EXPONENT}$"
_THOUSANDS = r"^[+-]?\d{1,3}(([,' ]\d{3})+(\.\d+)?|([.' ]\d{3})+(,\d+)?|(\.\d+)?)$"
_DRESSED = r"^([$€£¥]\s?[+-]?[\d.,]+|[+-]?[\d.,]+\s?([$€£¥%]|EUR|USD|GBP)|0[xX][0-9a-fA-F]+)$"
_TIME = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_TIME_TYPES = (
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "UTC"),
)


class ColumnPlace(NamedTuple):
    """Where a column stands, for messages and for the decimal sign it may use."""

    source: str | Path
    name: str
    delimiter: str

    def refuse(self, wrong: str, remedy: str) -> DataError:
        """A DataError that names file and column."""
        return refuse(self.source, f"column {clip(self.name)} {wrong}", remedy)

    def warn(self, what: str) -> None:
        """A DataWarning that names the column."""
        warn_of_column(clip(self.name), what)


def cast_column(cells: Any, place: ColumnPlace, missing: Sequence[str]) -> Any:
    """Give a column of text the type that all its cells share.

    Parameters
    ----------
    cells : pyarrow.ChunkedArray
        Strings; null where a cell was missing.
    place : ColumnPlace
        File, column and delimiter.
    missing : sequence of str
        Further cells that count as missing in a column of numbers, truths or times.

    Returns
    -------
    pyarrow.ChunkedArray
        Booleans, int64, double, dates, times or the text itself.

    Raises
    ------
    DataError
        If nearly all cells are numbers or times and one is not.
    """
    text = as_text(cells)
    plain = _without(pc.utf8_trim_whitespace(text), ["", *missing])
    if plain.null_count == len(plain):
        return _cast(plain, pa.float64())
    for attempt in (_as_bool, _as_number, _as_time):
        typed = attempt(plain, place)
        if typed is not None:
            return typed
    return text


def as_text(cells: Any) -> Any:
    """Leave a column as text; empty cells are missing."""
    return _without(cells, [""])


def _without(cells: Any, tokens: Sequence[str]) -> Any:
    gone = pc.is_in(cells, value_set=pa.array(tokens, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), cells)


def _cast(cells: Any, target: Any) -> Any:
    """The cast column, or None when a cell does not fit."""
    try:
        return pc.cast(cells, target)
    except pa.ArrowInvalid:
        return None


def _as_bool(cells: Any, place: ColumnPlace) -> Any:
    known = pc.is_in(pc.drop_null(cells), value_set=pa.array([*_TRUE, *_FALSE]))
    if not pc.all(known).as_py():
        return None
    return pc.if_else(pc.is_valid(cells), pc.is_in(cells, value_set=pa.array(_TRUE)), None)


def _as_number(cells: Any, place: ColumnPlace) -> Any:
    whole = _cast(cells, pa.int64())
    # Arrow reads 0x1F as an integer; here it stays text.
    if whole is not None and not _any(pc.match_substring(cells, "x", ignore_case=True)):
        return _judge_whole(cells, whole, place)
    real = _cast(cells, pa.float64())
    if real is not None:
        return _judge_real(cells, real, place)
    return _as_untidy_number(cells, place)


def _judge_whole(cells: Any, numbers: Any, place: ColumnPlace) -> Any:
    if _has_leading_zeros(cells):
        place.warn("has numbers with leading zeros; it looks like an identifier and stays text")
        return cells
    ends = pc.min_max(numbers).as_py()
    if max(ends["max"], -ends["min"]) > EXACT_INTEGER:
        place.warn("has integers beyond 2**53; their last digits are lost in computing")
    return numbers


def _judge_real(cells: Any, numbers: Any, place: ColumnPlace) -> Any:
    if _any(pc.greater(pc.abs(numbers), float(EXACT_INTEGER))) and _all(cells, r"^[+-]?\d+$"):
        if _has_leading_zeros(cells):
            place.warn("has long numbers with leading zeros and stays text")
            return cells
        place.warn("has integers too large for 64 bits; they became less precise decimals")
    return numbers


def _has_leading_zeros(cells: Any) -> bool:
    return _any(pc.match_substring_regex(cells, r"^-?0\d"))


def _as_untidy_number(cells: Any, place: ColumnPlace) -> Any:
    if _all(cells, _NUMBER):
        return _cast_or_refuse(pc.replace_substring_regex(cells, r"^\+", ""), place)
    if place.delimiter != "," and _all(cells, _DECIMAL_COMMA):
        place.warn("has a comma within its numbers; it was read as the decimal sign")
        return _cast_or_refuse(pc.replace_substring(cells, ",", "."), place)
    _refuse_slip(cells, _NUMBER, "number", place)
    if place.delimiter != ",":
        _refuse_slip(cells, _DECIMAL_COMMA, "number", place)
    _refuse_thousands(cells, place)
    if _share(cells, _DRESSED) >= SLIP_SHARE:
        example = clip(pc.drop_null(cells)[0])
        place.warn(f"has numbers with a unit or prefix ({example}) and stays text")
    return None


def _cast_or_refuse(cells: Any, place: ColumnPlace) -> Any:
    whole = _cast(cells, pa.int64())
    if whole is not None:
        return whole
    real = _cast(cells, pa.float64())
    if real is None:
        raise _slip(cells, _first_failure(cells, pa.float64()), "number", place)
    return real


def _refuse_thousands(cells: Any, place: ColumnPlace) -> None:
    if _share(cells, _THOUSANDS) >= SLIP_SHARE:
        shown = pc.filter(cells, pc.invert(pc.match_substring_regex(cells, r"^[+-]?[\d.]+$")))
        example = clip(pc.drop_null(shown)[0]) if len(pc.drop_null(shown)) else "'1.000.000'"
        raise place.refuse(
            f"has numbers with a thousands separator, for example {example}",
            "Write them without it, as 1000",
        )


def _as_time(cells: Any, place: ColumnPlace) -> Any:
    share = _share(cells, _TIME)
    if share < SLIP_SHARE:
        return None
    _refuse_slip(cells, _TIME, "date", place)
    for target in _TIME_TYPES:
        typed = _cast(cells, target)
        if typed is not None:
            return typed
    raise _slip(cells, _first_failure(cells, pa.timestamp("ns")), "date", place)


def _refuse_slip(cells: Any, pattern: str, noun: str, place: ColumnPlace) -> None:
    """Refuse a column in which nearly every cell, but not every one, fits the pattern."""
    if SLIP_SHARE <= _share(cells, pattern) < 1:
        fits = pc.fill_null(pc.match_substring_regex(cells, pattern), True)
        raise _slip(cells, pc.index(fits, False).as_py(), noun, place)


def _slip(cells: Any, index: int, noun: str, place: ColumnPlace) -> DataError:
    return place.refuse(
        f"holds {clip(cells[index])} in row {index + 1} (the first after the header is 1), "
        f"where a {noun} was expected",
        "Mend the cell, leave it empty, or list it as missing",
    )


def _first_failure(cells: Any, target: Any) -> int:
    """The index of the first cell that cannot be cast, found by halving."""
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        if _cast(cells[low:middle], target) is None:
            high = middle
        else:
            low = middle
    return low


def _share(cells: Any, pattern: str) -> float:
    return float(pc.mean(pc.match_substring_regex(cells, pattern)).as_py())


def _all(cells: Any, pattern: str) -> bool:
    return _share(cells, pattern) == 1.0


def _any(mask: Any) -> bool:
    return bool(pc.any(mask).as_py())
