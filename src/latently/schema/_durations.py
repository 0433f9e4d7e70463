"""Parse and write durations such as ``1 days 02:03:04``, ``1 day, 2:03:04`` and ``P1DT2H3M4S``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# The numbers of digits are those of 64-bit nanoseconds.
_CLOCK = (
    r"^(?P<sign>[-+])?(?:(?P<days>\d{1,5}) days?(?P<comma>,)? ?)?"
    r"(?:(?P<plus>[-+])?(?P<hours>\d{1,5}):(?P<minutes>\d{2}):(?P<seconds>\d{2})"
    r"(?:\.(?P<fraction>\d{1,9}))?)?$"
)
_ISO = (
    r"^(?P<sign>[-+])?P(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,6})M)?"
    r"(?:(?P<seconds>\d{1,8})(?:\.(?P<fraction>\d{1,9}))?S)?)?$"
)
_PARTS = {"days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}
_DAY = 86_400 * 10**6


def parse_durations(cells: Any) -> Any:
    """Return texts as durations, null for texts that are no duration.

    As in pandas, the sign of the days applies to the clock time unless that has its own sign.
    After a comma the clock time is positive, as Python writes it.

    Parameters
    ----------
    cells : pyarrow.Array or ChunkedArray
        Trimmed texts.

    Returns
    -------
    pyarrow.Array or ChunkedArray
        Durations in microseconds, or in nanoseconds if a cell has more than six decimals.
    """
    clock, iso = (pc.extract_regex(cells, pattern) for pattern in (_CLOCK, _ISO))
    found = [_group(clock, iso, name) for name in (*_PARTS, "fraction")]
    texts = dict(zip((*_PARTS, "fraction"), found, strict=True))
    days, *others = (pc.multiply(_number(texts[name]), seconds) for name, seconds in _PARTS.items())
    rest = pc.add(pc.add(others[0], others[1]), others[2])
    digits = 9 if pc.any(pc.greater(pc.utf8_length(texts["fraction"]), 6)).as_py() else 6
    fraction = _number(pc.utf8_slice_codeunits(pc.utf8_rpad(texts["fraction"], digits, "0"), 0, 9))
    sign, own = _group(clock, iso, "sign"), pc.fill_null(_field(clock, "plus"), "")
    ahead = pc.or_(pc.equal(own, "+"), pc.equal(pc.fill_null(_field(clock, "comma"), ""), ","))
    behind = pc.or_(pc.equal(own, "-"), pc.and_(pc.equal(sign, "-"), pc.invert(ahead)))
    unit = 10**digits
    clock_ticks = pc.multiply(pc.add(pc.multiply(rest, unit), fraction), _signs(behind))
    ticks = pc.add(pc.multiply(pc.multiply(days, unit), _signs(pc.equal(sign, "-"))), clock_ticks)
    written = [pc.not_equal(texts[name], "") for name in _PARTS]
    is_one = pc.or_(pc.or_(written[0], written[1]), pc.or_(written[2], written[3]))
    kept = pc.if_else(is_one, ticks, pa.scalar(None, pa.int64()))
    return kept.cast(pa.duration("us" if digits == 6 else "ns"))


def write_durations(column: Any) -> Any:
    """Return durations as text in the format of pandas, such as ``-1 days +23:59:00``.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Durations in any unit.

    Returns
    -------
    pyarrow.ChunkedArray
        Large strings.
    """
    is_fine = column.type.unit == "ns"
    unit, per_day = ("ns", 1000 * _DAY) if is_fine else ("us", _DAY)
    ticks = column.cast(pa.duration(unit)).cast(pa.int64())
    whole = np.asarray(pc.fill_null(ticks, 0))
    gone = np.asarray(ticks.is_null())
    days, rest = (pa.array(part, mask=gone) for part in np.divmod(whole, per_day))
    clock = rest.cast(pa.time64(unit)).cast(pa.string())
    clock = pc.replace_substring_regex(clock, r"\.?0*$|(\.\d*[1-9])0*$", r"\1")
    between = pc.if_else(pc.less(days, 0), " days +", " days ")
    text = pc.binary_join_element_wise(days.cast(pa.string()), between, clock, "")
    return pa.chunked_array([text.cast(pa.large_string())])


def _field(found: Any, name: str) -> Any:
    return pc.struct_field(found, [found.type.get_field_index(name)])


def _group(clock: Any, iso: Any, name: str) -> Any:
    return pc.fill_null(pc.coalesce(_field(clock, name), _field(iso, name)), "")


def _number(texts: Any) -> Any:
    return pc.if_else(pc.equal(texts, ""), "0", texts).cast(pa.int64())


def _signs(is_negative: Any) -> Any:
    return pc.if_else(is_negative, -1, 1)
