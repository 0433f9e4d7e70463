"""Which flagged rows become alerts: deduplication, quiet hours and a budget for each period."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from latently.exceptions import ParameterError

Outcome = Literal["sent", "held", "repeat", "budget"]
_PERIODS = {"hour": "%Y-%m-%dT%H%z", "day": "%Y-%m-%d"}


@dataclass(frozen=True)
class AlertRules:
    """Which flagged rows become alerts.

    Parameters
    ----------
    budget : int or None, default=None
        Most alerts of a period, first come, first served. None sets no limit.
    per : {"hour", "day"}, default="day"
        Period of the budget, by the local clock.
    dedupe : str or None, default=None
        Column. Further flagged rows with the same value are no alerts for a while.
    dedupe_for : timedelta, default=1 hour
        How long.
    quiet : tuple of int or None, default=None
        First and last hour of the quiet hours, such as ``(22, 6)``. Alerts are held until they
        end, and are then sent with the smallest p-value first.

    Examples
    --------
    >>> rules = AlertRules(budget=1, per="hour")
    >>> state, now = {}, datetime(2026, 1, 1, 12).astimezone()
    >>> rules.outcome(None, now, state), rules.outcome(None, now, state)
    ('sent', 'budget')
    """

    budget: int | None = None
    per: Literal["hour", "day"] = "day"
    dedupe: str | None = None
    dedupe_for: timedelta = timedelta(hours=1)
    quiet: tuple[int, int] | None = None

    def check(self) -> None:
        """Raise ParameterError if a parameter has a wrong value."""
        if self.budget is not None and self.budget < 1:
            raise ParameterError(f"budget must be at least 1, got {self.budget}. Try 20.")
        if self.per not in _PERIODS:
            raise ParameterError(f"per must be hour or day, got {self.per!r}. Use one of these.")
        if self.quiet is not None and not all(0 <= hour <= 24 for hour in self.quiet):
            raise ParameterError(
                f"quiet hours must lie between 0 and 24, got {self.quiet}. Try (22, 6)."
            )
        if self.dedupe_for <= timedelta(0):
            raise ParameterError(
                f"dedupe_for must be positive, got {self.dedupe_for}. Try one hour."
            )

    def is_quiet(self, now: datetime) -> bool:
        """Return True within the quiet hours.

        Parameters
        ----------
        now : datetime
            Local time.

        Returns
        -------
        bool
            False without quiet hours.
        """
        if self.quiet is None:
            return False
        start, end = self.quiet
        if start <= end:
            return start <= now.hour < end
        return now.hour >= start or now.hour < end

    def outcome(self, value: str | None, now: datetime, state: dict[str, Any]) -> Outcome:
        """Decide about one flagged row.

        Parameters
        ----------
        value : str or None
            Value of the column ``dedupe``.
        now : datetime
            Local time with its offset.
        state : dict
            Changed in place.

        Returns
        -------
        {"sent", "held", "repeat", "budget"}
            What becomes of the alert.
        """
        if self.dedupe is not None and value is not None:
            seen = state.setdefault("seen", {})
            _drop_old(seen, now - self.dedupe_for)
            if value in seen:
                return "repeat"
            if self.is_quiet(now) or self._has_budget(now, state):
                seen[value] = now.isoformat()
        if self.is_quiet(now):
            return "held"
        return self.spend(now, state)

    def spend(self, now: datetime, state: dict[str, Any]) -> Outcome:
        """Take one alert from the budget of the period.

        Parameters
        ----------
        now : datetime
            Local time with its offset.
        state : dict
            Changed in place.

        Returns
        -------
        {"sent", "budget"}
            "budget" if it is spent.
        """
        if not self._has_budget(now, state):
            return "budget"
        state["sent"] = state.get("sent", 0) + 1
        return "sent"

    def _has_budget(self, now: datetime, state: dict[str, Any]) -> bool:
        period = now.strftime(_PERIODS[self.per])
        if state.get("period") != period:
            state.update(period=period, sent=0)
        return self.budget is None or state["sent"] < self.budget


def _drop_old(seen: dict[str, str], oldest: datetime) -> None:
    for value in [v for v, time in seen.items() if datetime.fromisoformat(time) <= oldest]:
        del seen[value]


def parse_hours(text: str) -> tuple[int, int]:
    """Return the quiet hours of a text such as ``22-06``.

    Parameters
    ----------
    text : str
        Two hours with a dash between.

    Returns
    -------
    tuple of int
        First and last hour.

    Raises
    ------
    ParameterError
        If the text is no such pair.
    """
    first, _, last = text.partition("-")
    if not (first.strip().isdigit() and last.strip().isdigit()):
        raise ParameterError(f"quiet hours must be two hours, got {text[:30]!r}. Try 22-06.")
    return int(first), int(last)


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as ``90s``, ``30m``, ``1h`` or ``2d``.

    Parameters
    ----------
    text : str
        A number and a unit.

    Returns
    -------
    timedelta
        The duration.

    Raises
    ------
    ParameterError
        If the text is no duration.
    """
    number, unit = text[:-1].strip(), text[-1:]
    if unit not in _UNITS or not number.isdigit() or len(number) > 6:
        raise ParameterError(
            f"a duration must be a number and s, m, h or d, got {text[:30]!r}. Try 1h."
        )
    return timedelta(**{_UNITS[unit]: int(number)})
