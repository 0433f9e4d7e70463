"""Parse dates, instants and times of day from text, in any order of day, month and year."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.io.text._cells import Distinct, Readings
from latently.schema import DateOrder

__all__ = ["ORDERS", "DateDraft", "ClockDraft", "compact_dates"]

ORDERS: tuple[DateOrder, ...] = get_args(DateOrder)
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
    r"\s?(?P<half>[AaPp]\.?[Mm]\.?)?"
)
_ZONE = r"\s?(?P<zone>Z|UTC|[-+]\d{2}:?(?:\d{2})?)?"
_TAIL = rf"(?:[T\s,:]+{_CLOCK}{_ZONE})?$"
_WEEKDAY = r"^(?:(?P<weekday>[A-Za-z]{3,9})\.?,?\s+)?"
_TRIPLE = r"^(?P<one>\d{1,4})(?P<sign>[-./])(?P<two>\d{1,2})[-./](?P<three>\d{1,4})" + _TAIL
_NAME, _DAY = r"(?P<name>[A-Za-z]{3,9})\.?", r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
#: Dates of which each part is known to be the day, the month or the year.
_CERTAIN = (
    rf"{_WEEKDAY}{_DAY}[-\s./]*{_NAME}[-\s./,]*(?P<year>\d{{4}}|\d{{2}}){_TAIL}",
    rf"{_WEEKDAY}{_NAME}\s+{_DAY},?\s+(?P<year>\d{{4}}){_TAIL}",
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})T(?P<hour>\d{2})(?P<minute>\d{2})"
    r"(?P<second>\d{2})(?P<zone>Z)?$",
    r"^(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})$",
    rf"^{_NAME}[-\s/]+(?P<year>\d{{4}})$",
    r"^(?P<year>\d{4})-(?P<month>\d{2})$",
    r"^(?P<month>\d{1,2})/(?P<year>\d{4})$",
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_FULL_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july", "august", "september"),
    *("october", "november", "december"),
)
_PLACES: dict[DateOrder, tuple[str, str, str]] = {
    "day-first": ("day", "month", "year"),
    "month-first": ("month", "day", "year"),
    "year-first": ("year", "month", "day"),
}
_DIRECTIVES = {
    "day": "%d", "month": "%m", "hour": "%H", "minute": "%M", "second": "%S", "fraction": "%f",
    "half": "%p", "zone": "Z",
}  # fmt: skip
#: Two-digit years from here on are 19xx, as in POSIX.
_PIVOT = 69
_DAY_TICKS = 86_400_000_000


class DateDraft(Readings[DateOrder]):
    """Distinct cells parsed as dates in each order of day, month and year.

    Parameters
    ----------
    distinct : Distinct
        Trimmed texts.
    """

    def __init__(self, distinct: Distinct) -> None:
        triple = pc.extract_regex(distinct.cells, _TRIPLE)
        found = [pc.extract_regex(distinct.cells, pattern) for pattern in _CERTAIN]
        self.is_certain = np.logical_or.reduce([_valid(one) for one in found])
        self._clock = _Clock([triple, *found])
        self.days: dict[DateOrder, np.ndarray] = {}
        super().__init__(distinct, {})
        certain = _certain_days(found)
        for order in ORDERS:
            days, fits = _triple_days(triple, order)
            self.days[order] = np.where(certain[1], certain[0], days)
            self.fits[order] = (fits | certain[1]) & self._clock.fits

    @cached_property
    def candidates(self) -> list[DateOrder]:
        """The orders in which every cell is a date. Orders that give equal dates count once."""
        found = self.fitting
        same = [o for o in found[1:] if np.array_equal(self.days[o], self.days[found[0]])]
        return [order for order in found if order not in same]

    @property
    def mixes_zones(self) -> bool:
        """Return True if some cells name a zone and others do not."""
        return self._clock.mixes_zones

    def convert(self, order: DateOrder) -> pa.Array:
        """Return the distinct cells as dates, or as instants if one has a time of day."""
        gone = ~self.fits[order]
        days = np.where(gone, 0, self.days[order])
        if not self._clock.is_shown:
            return pa.array(days.astype(np.int32), pa.int32(), mask=gone).cast(pa.date32())
        kind = pa.timestamp("us", "UTC" if self._clock.has_zone else None)
        return pa.array(days * _DAY_TICKS + self._clock.ticks, pa.int64(), mask=gone).cast(kind)

    def format(self, order: DateOrder) -> str:
        """Return the ``strftime`` format of the first cell."""
        index = int(np.flatnonzero(self.fits[order])[0])
        return _format(self.distinct.cells[index].as_py(), (_TRIPLE, *_CERTAIN), order)


class ClockDraft:
    """Distinct cells parsed as times of day.

    Parameters
    ----------
    distinct : Distinct
        Trimmed texts.
    """

    pattern = rf"^{_CLOCK}$"

    def __init__(self, distinct: Distinct) -> None:
        self.distinct = distinct
        found = pc.extract_regex(distinct.cells, self.pattern)
        self._clock = _Clock([found])
        self.is_time = _valid(found) & self._clock.fits

    def convert(self) -> pa.Array:
        """Return the distinct cells as times of day in microseconds."""
        ticks = pa.array(self._clock.ticks, pa.int64(), mask=~self.is_time)
        return ticks.cast(pa.time64("us"))

    def format(self) -> str:
        """Return the format of the first cell, empty for ISO 8601."""
        found = _format(self.distinct.cells[0].as_py(), (self.pattern,), "day-first")
        return found if "%p" in found else ""


class _Clock:
    """The times of day in cells that match one of several patterns."""

    def __init__(self, found: list[Any]) -> None:
        hour, minute, second = (_number(_text_of(found, n)) for n in ("hour", "minute", "second"))
        half = pc.utf8_lower(_text_of(found, "half"))
        late = np.asarray(pc.starts_with(half, "p"))
        halved = np.asarray(pc.not_equal(half, ""))
        written = _text_of(found, "fraction")
        ticks = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(written, 6, "0"), 0, 6))
        self.fits = (hour < 24) & (minute < 60) & (second < 60)
        self.fits &= _number(pc.utf8_slice_codeunits(written, 6)) == 0
        self.fits &= ~halved | ((hour >= 1) & (hour <= 12))
        hour = np.where(halved, hour % 12 + 12 * late, hour)
        self.is_shown = bool(pc.any(pc.not_equal(_text_of(found, "hour"), "")).as_py())
        zone = _text_of(found, "zone")
        named = np.asarray(pc.not_equal(zone, ""))
        self.has_zone = bool(named.any())
        self.mixes_zones = self.has_zone and not named.all()
        seconds = hour * 3600 + minute * 60 + second - _offset(zone)
        self.ticks = seconds * 1_000_000 + ticks


def _offset(zone: Any) -> np.ndarray:
    """Return the offset of a zone from UTC in seconds."""
    digits = pc.replace_substring_regex(zone, r"[^\d]", "")
    hours, minutes = (_number(pc.utf8_slice_codeunits(digits, s, s + 2)) for s in (0, 2))
    sign = np.where(np.asarray(pc.starts_with(zone, "-")), -1, 1)
    seconds: np.ndarray = sign * (hours * 3600 + minutes * 60)
    return seconds


def _triple_days(triple: Any, order: DateOrder) -> tuple[np.ndarray, np.ndarray]:
    texts = dict(zip(_PLACES[order], (_group(triple, n) for n in ("one", "two", "three")),
                     strict=True))  # fmt: skip
    if order == "year-first":  # 31.12.23 is never a year, a month and a day
        dotted = pc.match_substring_regex(texts["year"], r"^\d{1,2}$")
        found = pc.fill_null(pc.equal(triple.field("sign"), "."), False)
        years = pc.if_else(pc.and_(dotted, found), "0", texts["year"])
        texts["year"] = years
    short = [_length(texts[name]) <= 2 for name in ("day", "month")]
    days, fits = _days(_year(texts["year"]), _number(texts["month"]), _number(texts["day"]))
    return days, fits & short[0] & short[1] & _valid(triple)


def _certain_days(found: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    n_cells = len(found[0])
    days, fits = np.zeros(n_cells, np.int64), np.zeros(n_cells, bool)
    for one in found:
        names = {field.name for field in one.type}
        month = _month(_group(one, "name")) if "name" in names else _number(_group(one, "month"))
        day = _number(_group(one, "day")) if "day" in names else np.ones(n_cells, np.int64)
        own, fitting = _days(_year(_group(one, "year")), month, day)
        fitting &= _valid(one)
        days, fits = np.where(fitting, own, days), fits | fitting
    return days, fits


def _month(names: Any) -> np.ndarray:
    """Return the number of each month from its English name, and 0 for any other word."""
    lower = pc.utf8_lower(names)
    found = [
        np.asarray(pc.fill_null(pc.index_in(lower, value_set=pa.array(words)), -1)) + 1
        for words in (_MONTHS, _FULL_MONTHS)
    ]
    september = np.asarray(pc.equal(lower, "sept")) * 9
    answer: np.ndarray = np.maximum(np.maximum(*found), september).astype(np.int64)
    return answer


def _year(text: Any) -> np.ndarray:
    """Return years from 2 or 4 digits, two-digit years as 1969 to 2068; -1 for other lengths."""
    year, length = _number(text), _length(text)
    recent = np.where(year < _PIVOT, 2000 + year, 1900 + year)
    return np.where(length == 4, year, np.where(length == 2, recent, -1))


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return days since 1970, and True for dates that exist."""
    fits = (year > 0) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(fits, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    return first + day - 1, fits & (day <= length)


def compact_dates(numbers: pa.Array) -> pa.Array | None:
    """Return integers such as 20240301 as dates.

    The result is None unless all of them are dates and at least three are distinct.
    """
    whole = pc.drop_null(numbers).to_numpy()
    days, fits = _days(whole // 10_000, whole // 100 % 100, whole % 100)
    if not fits.all() or len(np.unique(whole)) < 3:
        return None
    found = np.zeros(len(numbers), np.int32)
    found[np.asarray(numbers.is_valid())] = days
    return pa.array(found, pa.int32(), mask=np.asarray(numbers.is_null())).cast(pa.date32())


def _format(cell: str, patterns: tuple[str, ...], order: DateOrder) -> str:
    """Return the ``strftime`` format of a cell."""
    match = next(m for m in (re.match(pattern, cell) for pattern in patterns) if m)
    places = dict(zip(("one", "two", "three"), _PLACES[order], strict=True))
    written = {name for name, part in match.groupdict().items() if part and name != "sign"}
    spans = sorted((match.span(name), places.get(name, name)) for name in written)
    halved = bool(match.groupdict().get("half"))
    parts, end = [], 0
    for (start, stop), name in spans:
        parts += [cell[end:start], _directive(name, cell[start:stop], halved)]
        end = stop
    return "".join([*parts, cell[end:]])


def _directive(name: str, text: str, halved: bool) -> str:
    if name == "year":
        return "%Y" if len(text) == 4 else "%y"
    if name == "name":
        return "%b" if len(text) == 3 else "%B"
    if name == "weekday":
        return "%a" if len(text) == 3 else "%A"
    return "%I" if name == "hour" and halved else _DIRECTIVES[name]


def _valid(found: Any) -> np.ndarray:
    valid: np.ndarray = np.asarray(found.is_valid())
    return valid


def _group(found: Any, name: str) -> Any:
    return pc.fill_null(pc.if_else(found.is_valid(), found.field(name), ""), "")


def _text_of(found: list[Any], name: str) -> Any:
    """Return the named group of the first pattern that captured it, or "" if none did."""
    answer = pa.array([""] * len(found[0]))
    for one in found:
        if any(field.name == name for field in one.type):
            own = _group(one, name)
            answer = pc.if_else(pc.equal(answer, ""), own, answer)
    return answer


def _number(text: Any) -> np.ndarray:
    numbers: np.ndarray = pc.if_else(pc.equal(text, ""), "0", text).cast(pa.int64()).to_numpy()
    return numbers


def _length(text: Any) -> np.ndarray:
    return np.asarray(pc.utf8_length(text))
