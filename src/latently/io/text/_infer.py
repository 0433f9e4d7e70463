"""Infer the type of a text column from its cells, or read it in the type of ``fit``."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.io.text._cells import Distinct, all_match, any_true, cast_or_none, mask_of
from latently.io.text._column import ColumnPlace, Encoded, TypedColumn
from latently.io.text._date_columns import ISO, as_iso, read_clock, read_dates, read_durations
from latently.io.text._dates import ClockDraft, DateDraft
from latently.io.text._gap_words import without
from latently.io.text._number_columns import (
    COMPACT_RANGE,
    EXACT_INTEGER,
    Draft,
    PendingNumbers,
    in_fitted_type,
    read_numbers,
)
from latently.io.text._numbers import NumberDraft
from latently.schema import Notation, arrow_type

__all__ = ["as_text", "draft_column"]

# Cells that are tried first, to exclude types cheaply.
_HEAD = 100
# From this share of numbers (or dates) on, a warning names a column that stays text.
_NEARLY, _FEW_WORDS, _MANY_NUMBERS = 0.8, 3, 20

_TRUE, _FALSE = ["true", "True", "TRUE"], ["false", "False", "FALSE"]
#: Spellings of booleans in a column that was boolean in fit, in lower case. Programs write 1.0 in
#: a column with gaps.
_YES, _NO = ["true", "yes", "1", "1.0"], ["false", "no", "0", "0.0"]
_DATE_KINDS, _CLOCK_KINDS = ("date32", "date64", "timestamp"), ("time32", "time64")
_TEXT_KINDS = ("string", "large_string", "string_view", "dictionary")
_NUMBER_KINDS = (
    "halffloat",
    "float",
    "double",
    *(f"{s}int{b}" for s in ("", "u") for b in (8, 16, 32, 64)),
)
_WHOLE = r"^[-+]?\d+$"
# Numbers whose dot may separate thousands: 1.234, but not 0.234 or 12.5.
_MAYBE_THOUSANDS = r"^[-+]?(?:[1-9]\d{0,2}(?:\.\d{3})+|\d+|(?i:inf|infinity))$"
# Beginnings of numbers and dates. A column without them is text.
_PROMISING = (
    r"^(?:[^\pL]*\d|[-+]?(?i:inf|nan)|(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
    r"|mon|tue|wed|thu|fri|sat|sun)|[A-Z]{3}\s*\d|(?:US|A|C|NZ|HK|S|R)\$|Rs|kr|zł|Kč|Fr)"
)
_HEXADECIMAL = r"^0[xX][0-9a-fA-F]+$"
_UNIT = r"^[-+]?\d+(?:[.,]\d+)?\s?(?P<unit>[A-Za-z°µ²³/]{1,6})$"


def draft_column(cells: Any, place: ColumnPlace, *, quick: bool = True) -> Draft:
    """Return a text column in the type that fits all its cells, or in its type of ``fit``.

    Parameters
    ----------
    cells : pyarrow.ChunkedArray
        Strings, null for missing cells.
    place : ColumnPlace
        File, column, delimiter and options.
    quick : bool, default=True
        Try plain numbers, booleans and ISO dates first. False gives the same result more slowly.

    Returns
    -------
    Draft
        Booleans, int64, float64, dates, times or the text itself.

    Raises
    ------
    DataError
        If nearly all cells are numbers or times and one is not.
    """
    if place.kind is not None and place.kind.name in _TEXT_KINDS:
        return Draft(TypedColumn(without(as_text(cells), place.options.words(place.name))))
    if cells.null_count == len(cells):
        return _only_gaps(len(cells), place)
    found = _quick_draft(cells, place) if quick else None
    return _careful_draft(cells, place) if found is None else found


def as_text(cells: Any) -> Any:
    """Return a text column in which empty cells are missing."""
    return without(cells, [""])


def _quick_draft(cells: Any, place: ColumnPlace) -> Draft | None:
    """Return the draft of a column of plain cells, or None if it needs the slower reading."""
    kind = None if place.kind is None else place.kind.name
    head = pc.drop_null(cells)[:_HEAD]
    if kind is None or (kind in _NUMBER_KINDS and place.is_plain):
        if cast_or_none(head, pa.int64()) is not None:
            whole = cast_or_none(cells, pa.int64())
            if whole is not None:
                return _quick_whole(cells, whole, place)
        if cast_or_none(head, pa.float64()) is not None:
            real = cast_or_none(cells, pa.float64())
            if real is not None:
                return _quick_real(cells, real, place)
    if (kind is None or kind == "bool") and _is_boolean(head) and _is_boolean(pc.drop_null(cells)):
        return Draft(TypedColumn(_as_boolean(cells)))
    if (kind is None or kind in _DATE_KINDS) and all_match(head, ISO):
        days = cast_or_none(cells, pa.date32())
        if days is None and not all_match(cells, ISO):
            return None
        typed = as_iso(cells) if days is None else days
        return None if typed is None else Draft(TypedColumn(typed))
    return None


def _quick_whole(cells: Any, whole: Any, place: ColumnPlace) -> Draft | None:
    if not pc.all(pc.equal(whole.cast(pa.string()), cells)).as_py():
        return None  # leading zeros or hexadecimal numbers
    ends = pc.min_max(whole).as_py()
    if place.is_new and ends["min"] >= COMPACT_RANGE[0] and ends["max"] <= COMPACT_RANGE[1]:
        return None
    return Draft(in_fitted_type(whole, place))


def _quick_real(cells: Any, real: Any, place: ColumnPlace) -> Draft | None:
    if place.options.decimal == ",":
        return None
    ends = pc.min_max(real).as_py()
    if max(ends["max"], -ends["min"]) > EXACT_INTEGER or any_true(pc.is_nan(real)):
        return None
    if _all_match(cells, _WHOLE):
        return None  # plus signs, or too large for 64 bits
    column = in_fitted_type(real, place)
    if not _has_dot(cells):
        return Draft(column)
    column = column._replace(notation=Notation("."), is_shown=True)
    if not _all_match(cells, _MAYBE_THOUSANDS):
        return Draft(column, decimal=".")
    if place.options.decimal == ".":
        return Draft(column)
    return Draft(column, PendingNumbers(place, Encoded.of(cells, place)))


def _has_dot(cells: Any) -> bool:
    return any(any_true(pc.match_substring(part, ".")) for part in (cells[:_HEAD], cells))


def _all_match(cells: Any, pattern: str) -> bool:
    """Return True if all cells match a pattern. The first cells are tested before the rest."""
    return all_match(cells[:_HEAD], pattern) and all_match(cells, pattern)


def _careful_draft(cells: Any, place: ColumnPlace) -> Draft:
    encoded = Encoded.of(cells, place)
    if not len(encoded.rest.cells):
        more = encoded.distinct.where(encoded.is_extra).cells
        if place.is_new and any_true(pc.match_substring_regex(more, r"^[A-Za-z ]{3,}$")):
            return Draft(TypedColumn(as_text(cells)))  # the words may be values
        _note_gaps(encoded, place)
        return _only_gaps(len(cells), place)
    if place.kind is not None and place.kind.name in _READERS:
        read, noun = _READERS[place.kind.name]
        found = read(encoded, place)
        if found is None:
            raise encoded.wrong_cell(np.ones(len(encoded.rest.cells), bool), noun, place)
        return cast(Draft, found)
    promising = mask_of(pc.match_substring_regex(encoded.rest.cells, _PROMISING))
    is_promising = encoded.rest.share(promising) >= 0.5
    readers = (_read_booleans, *((read_numbers, read_dates, read_clock) if is_promising else ()))
    for read in readers:
        found = read(encoded, place)
        if found is not None:
            _note_gaps(encoded, place)
            return cast(Draft, found)
    if is_promising:
        _note_text(encoded.rest, place)
    return Draft(TypedColumn(as_text(cells) if encoded.has_empty else cells))


def _read_booleans(encoded: Encoded, place: ColumnPlace) -> Draft | None:
    distinct = encoded.rest.cells if place.is_new else pc.utf8_lower(encoded.rest.cells)
    yes, no = (_TRUE, _FALSE) if place.is_new else (_YES, _NO)
    fits = mask_of(pc.is_in(distinct, value_set=pa.array([*yes, *no])))
    if not fits.all():
        if fits.any() and not place.is_new:
            raise encoded.wrong_cell(~fits, "true or false", place)
        return None
    is_true = pc.is_in(distinct, value_set=pa.array(yes))
    return Draft(TypedColumn(encoded.spread(is_true)))


#: By the type of a column in fit: the function that reads it, and the noun of its cells.
_READERS: dict[str, tuple[Any, str]] = {
    "bool": (_read_booleans, "true or false"),
    **dict.fromkeys(_NUMBER_KINDS, (read_numbers, "number")),
    **dict.fromkeys(_DATE_KINDS, (read_dates, "date")),
    **dict.fromkeys(_CLOCK_KINDS, (read_clock, "time of day")),
    "duration": (read_durations, "duration"),
}


def _only_gaps(n_rows: int, place: ColumnPlace) -> Draft:
    """Return an empty column, in its type of ``fit`` or else float64."""
    is_number = place.kind is None or place.kind.name not in _READERS
    kind = pa.float64() if is_number or place.kind is None else arrow_type(place.kind)
    return Draft(
        TypedColumn(pa.chunked_array([pa.nulls(n_rows, kind)]), place.fitted or Notation())
    )


def _note_gaps(encoded: Encoded, place: ColumnPlace) -> None:
    gaps = encoded.distinct.where(encoded.is_extra)
    if len(gaps.cells) and place.is_new:
        place.note("words were read as missing cells", gaps.cells[0].as_py())


def _note_text(distinct: Distinct, place: ColumnPlace) -> None:
    """Add a remark on a column that stays text though most of its cells are numbers or dates."""
    cells = distinct.cells
    units = pc.extract_regex(cells, _UNIT)
    has_one_unit = units.null_count == 0 and len(pc.unique(units.field("unit"))) == 1
    if all_match(cells, _HEXADECIMAL) or (has_one_unit and len(cells) > 2):
        place.note("numbers with a unit or prefix stay text", distinct.cells[0].as_py())
        return
    with_digits = mask_of(pc.match_substring_regex(cells, r"\d"))
    if distinct.share(with_digits) < 0.5:
        return
    drafts = (
        NumberDraft(distinct).fits_any,
        DateDraft(distinct).fits_any,
        ClockDraft(distinct).is_time,
    )
    fitting = max(drafts, key=distinct.share)
    odd = ~np.logical_or.reduce(drafts)
    if odd.sum() < (~fitting).sum():
        return  # a mixture of numbers and dates is no typing error
    few = (~fitting).sum() <= _FEW_WORDS and fitting.sum() >= _MANY_NUMBERS
    share = distinct.share(fitting)
    if share < 1 and (share >= _NEARLY or (few and share >= 0.5)):
        place.note(
            "cells stay text though most are numbers or dates. Correct the others, or name a word "
            "for missing cells by --missing (missing=)",
            distinct.where(~fitting).cells[0].as_py(),
        )


def _is_boolean(cells: Any) -> bool:
    return bool(pc.all(pc.is_in(cells, value_set=pa.array([*_TRUE, *_FALSE]))).as_py())


def _as_boolean(cells: Any) -> Any:
    return pc.if_else(pc.is_valid(cells), pc.is_in(cells, value_set=pa.array(_TRUE)), None)
