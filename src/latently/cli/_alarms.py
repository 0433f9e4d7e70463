"""Options that choose which rows are flagged."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import typer

_PANEL = "What to flag (one of them)"

FalseAlarmRate = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE", help="At most this share of normal rows.", rich_help_panel=_PANEL
    ),
]
AlertBudget = Annotated[
    int | None,
    typer.Option(metavar="N", help="The N worst rows of DATA.", rich_help_panel=_PANEL),
]
Contamination = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="This worst share of DATA.", rich_help_panel=_PANEL),
]


class PeriodName(StrEnum):
    """Periods of the calendar that a budget may be for."""

    hour = "hour"
    day = "day"
    week = "week"
    month = "month"


Per = Annotated[
    PeriodName | None,
    typer.Option(
        "--per",
        help="With --alert-budget and --time: the N worst rows of each such period of DATA.",
        rich_help_panel=_PANEL,
    ),
]
Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="COL",
        help="With --per: column of dates or times of DATA; the model need not know it.",
        rich_help_panel=_PANEL,
    ),
]
CostRatio = Annotated[
    float | None,
    typer.Option(
        metavar="R",
        help="As is cheapest, if a missed anomaly costs R false alarms.",
        rich_help_panel=_PANEL,
    ),
]


def chosen_rule(
    false_alarm_rate: float | None,
    alert_budget: int | None,
    contamination: float | None,
    cost_ratio: float | None,
    per: PeriodName | None = None,
    time: str | None = None,
) -> Any:
    """Return the threshold rule of the options, or None if none is given.

    Parameters
    ----------
    false_alarm_rate, alert_budget, contamination, cost_ratio : number or None
        The options.
    per : PeriodName or None, default=None
        Period that the budget is for.
    time : str or None, default=None
        Column that shows the periods.

    Returns
    -------
    rule or None
        A rule of ``latently``.

    Raises
    ------
    ParameterError
        If two options are given, or one has a wrong value.
    """
    from latently import tasks
    from latently.exceptions import ParameterError

    given: dict[str, tuple[Any, float | None]] = {
        "--false-alarm-rate": (tasks.FalseAlarmRate, false_alarm_rate),
        "--alert-budget": (_budget(per, time), alert_budget),
        "--contamination": (tasks.Contamination, contamination),
        "--cost-ratio": (tasks.CostRatio, cost_ratio),
    }
    if (per is None) != (time is None) or (per is not None and alert_budget is None):
        raise ParameterError(
            "--alert-budget, --per and --time must be given together for a budget of each period, "
            f"got {alert_budget}, {None if per is None else per.value} and {time}. Try "
            "--alert-budget 20 --per day --time COL."
        )
    asked = {name: rule for name, rule in given.items() if rule[1] is not None}
    if len(asked) > 1:
        raise ParameterError(f"{' and '.join(asked)} both say what to flag. Give one of them.")
    for name, (make, value) in asked.items():
        rule = make(value)
        try:
            rule.check()
        except ParameterError as error:
            raise ParameterError(f"{name}: {error}") from None
        return rule
    return None


def _budget(per: PeriodName | None, time: str | None) -> Any:
    from latently import tasks

    return lambda n: tasks.AlertBudget(n, None if per is None else per.value, time)
