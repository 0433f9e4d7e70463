"""Read columns of dates, instants, times of day and durations, in the order of their dates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.io._messages import clip
from latently.io.text._cells import all_match, any_true, cast_or_none, mask_of
from latently.io.text._column import TYPO_SHARE, ColumnPlace, Encoded, TypedColumn
from latently.io.text._dates import ClockDraft, DateDraft
from latently.io.text._number_columns import Draft
from latently.schema import DateOrder, Notation, parse_durations

__all__ = ["ISO", "as_iso", "read_clock", "read_dates", "read_durations"]

ISO = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?$"
_LIKE_DATES = r"^(?:\d{1,2}[-./]\d{1,2}[-./][12]\d{3}|[12]\d{3}[-./]\d{1,2}[-./]\d{1,2})(?:$|[ T])"
_ISO_TYPES = (
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "UTC"),
)


def read_dates(encoded: Encoded, place: ColumnPlace) -> Draft | None:
    """Read a column of dates or instants. Parameters are as in ``read_numbers``."""
    distinct = encoded.rest
    iso = mask_of(pc.match_substring_regex(distinct.cells, ISO))
    if iso.all():
        return Draft(TypedColumn(encoded.spread(_sound_iso(encoded, place))))
    with_digits = mask_of(pc.match_substring_regex(distinct.cells, r"\d"))
    if distinct.share(with_digits) < TYPO_SHARE and place.is_new:
        return None
    draft = DateDraft(distinct)
    is_date = draft.fits_any | iso
    share = distinct.share(is_date)
    looks_so = share >= 0.5 and all_match(distinct.cells, _LIKE_DATES)
    if share == 0 or (place.is_new and share < TYPO_SHARE and not looks_so):
        return None
    if share < 1:
        raise encoded.wrong_cell(~is_date, "date", place)
    if draft.mixes_zones:
        raise _mixed_zones(place)
    order = _order(draft, encoded, place)
    if isinstance(order, DataError):
        return Draft(TypedColumn(encoded.trimmed(), problem=order))
    form = draft.format(order)
    fitted = None if place.fitted is None else place.fitted.date_order
    if place.is_new and place.options.dates != order:
        remark = "cells were read as dates" + ("" if draft.is_certain.all() else f", {order}")
        place.note(remark, distinct.cells[0].as_py())
    elif not place.is_new and fitted not in (None, order) and not draft.is_certain.all():
        place.note(f"dates were read {order}; in fit they were {fitted}")
    return Draft(TypedColumn(encoded.spread(draft.convert(order)), Notation(dates=form), True))


def _order(draft: DateDraft, encoded: Encoded, place: ColumnPlace) -> DateOrder | DataError:
    """Return the order of the dates, or the error of an ambiguous order."""
    fits = draft.fitting
    if not fits:
        raise _mixed_orders(draft, encoded, place)
    asked = place.options.dates
    fitted = None if place.fitted is None else place.fitted.date_order
    if asked in fits:
        return asked
    if asked is not None and asked != "year-first" and fits != ["year-first"]:
        example, row = encoded.first(~draft.fits[asked])
        raise place.refuse(
            f"holds {clip(example)} in row {row}, which is not {asked}",
            "Give another --dates (dates=), or leave it out",
        )
    if fitted in fits:
        return fitted
    found = draft.candidates
    if len(found) == 1:
        return found[0]
    return place.refuse(
        f"has dates that may be {' or '.join(found)}, for example "
        f"{clip(draft.distinct.cells[0].as_py())}",
        f"Give --dates {found[0]} or --dates {found[1]} (dates=)",
    )


def _mixed_orders(draft: DateDraft, encoded: Encoded, place: ColumnPlace) -> DataError:
    fitting = draft.fits[draft.best]
    if draft.distinct.share(fitting) >= TYPO_SHARE:
        return encoded.wrong_cell(~fitting, "date", place)
    one, other = (encoded.first(mask)[0] for mask in (fitting, ~fitting))
    return place.refuse(
        f"holds dates in two orders, {clip(one)} and {clip(other)}", "Write all in one order"
    )


def _mixed_zones(place: ColumnPlace) -> DataError:
    return place.refuse("mixes times with and without a zone", "Write all with a zone, or none")


def read_clock(encoded: Encoded, place: ColumnPlace) -> Draft | None:
    """Read a column of times of day. Parameters are as in ``read_numbers``."""
    distinct = encoded.rest
    if place.is_new and not any_true(pc.match_substring(distinct.cells, ":")):
        return None
    draft = ClockDraft(distinct)
    share = distinct.share(draft.is_time)
    if share == 0 or (place.is_new and share < TYPO_SHARE):
        return None
    if share < 1:
        raise encoded.wrong_cell(~draft.is_time, "time of day", place)
    if place.is_new:
        place.note("cells were read as times of day", distinct.cells[0].as_py())
    return Draft(TypedColumn(encoded.spread(draft.convert()), Notation(dates=draft.format())))


def read_durations(encoded: Encoded, place: ColumnPlace) -> Draft | None:
    """Read a column that held durations in ``fit``. Parameters are as in ``read_numbers``."""
    found = parse_durations(encoded.rest.cells)
    is_wrong = mask_of(found.is_null())
    if is_wrong.any():
        raise encoded.wrong_cell(is_wrong, "duration such as 1 days 02:03:04", place)
    return Draft(TypedColumn(encoded.spread(found)))


def as_iso(cells: Any) -> Any:
    """Return ISO dates or instants in the narrowest type, or None if one does not exist."""
    found = (cast_or_none(cells, target) for target in _ISO_TYPES)
    return next((typed for typed in found if typed is not None), None)


def _sound_iso(encoded: Encoded, place: ColumnPlace) -> Any:
    cells = encoded.rest.cells
    typed = as_iso(cells)
    if typed is not None:
        return typed
    zoned = mask_of(pc.match_substring_regex(cells, r"(Z|:\d\d[+-][\d:]+)$"))
    if zoned.any() and not zoned.all():
        raise _mixed_zones(place)
    row = _first_failure(cells, pa.timestamp("ns", "UTC" if zoned.any() else None))
    raise encoded.wrong_cell(np.arange(len(cells)) == row, "date", place)


def _first_failure(cells: Any, target: Any) -> int:
    """Return the index of the first cell that cannot be cast, found by bisection."""
    low, high = 0, len(cells)
    while high - low > 1:
        middle = (low + high) // 2
        if cast_or_none(cells[low:middle], target) is None:
            high = middle
        else:
            low = middle
    return low
