"""Conversion of durations and sizes with units."""

from __future__ import annotations

import re

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12,
          "ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}  # fmt: skip
_SIZE = re.compile(r"([0-9.]+)\s*([kmgt]?i?)b?", re.IGNORECASE)


def seconds_of(text: str | None) -> float | None:
    """Return the seconds of 90s, 5m, 2h or 1d. A number without a unit is seconds."""
    from latently.exceptions import ParameterError

    if text is None:
        return None
    number, unit = (text[:-1], text[-1]) if text[-1:] in _SECONDS else (text, "s")
    try:
        seconds = float(number) * _SECONDS[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ParameterError(f"--time-limit must be a time such as 90s, 5m or 2h, got {text!r}.")
    return seconds


def bytes_of(text: str | None) -> float | None:
    """Return the bytes of 500MB or 4GiB. A number without a unit is bytes."""
    from latently.exceptions import ParameterError

    if text is None:
        return None
    found = _SIZE.fullmatch(text.strip())
    try:
        size = float(found[1]) * _BYTES[found[2].lower()] if found else 0.0
    except (KeyError, ValueError):
        size = 0.0
    if not 0 < size < float("inf"):
        raise ParameterError(f"--max-memory must be a size such as 500MB or 4GiB, got {text!r}.")
    return size
