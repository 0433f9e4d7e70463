"""``latently watch``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latently.cli import _alarms as alarms
from latently.cli import _options as options
from latently.cli._guard import echo, interrupt_code
from latently.cli.score import ANOMALIES, DRIFT

if TYPE_CHECKING:
    from latently.monitoring import AlertRules, Watch, WatchReport

_SQL, _ALERTS = "A database", "Alerts"
#: Unanswered queries in a row after which `--once` fails.
_MOST_TRIES = 5


class PerName(StrEnum):
    """Periods of an alert budget."""

    hour = "hour"
    day = "day"


class FormatName(StrEnum):
    """Formats of rows that arrive."""

    csv = "csv"
    tsv = "tsv"
    ndjson = "ndjson"
    parquet = "parquet"


def watch(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file of `detect`.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="CSV, TSV or NDJSON file that grows; folder of Parquet files; URL of a database, "
            "with --query; - is stdin.",
        ),
    ],
    alerts: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File that alerts are appended to, one JSON object a line; - is stdout. Default: "
            "stdout, if there is no --webhook.",
            rich_help_panel=_ALERTS,
        ),
    ] = None,
    webhook: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Send each alert there by POST, too.", rich_help_panel=_ALERTS
        ),
    ] = None,
    webhook_time_limit: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Longest time for one POST.", rich_help_panel=_ALERTS),
    ] = 10.0,
    budget: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Most alerts of each hour or day, by --per. Further flagged rows are counted.",
            rich_help_panel=_ALERTS,
        ),
    ] = None,
    per: Annotated[
        PerName | None,
        typer.Option(help="Period of --budget; default day.", rich_help_panel=_ALERTS),
    ] = None,
    dedupe: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Raise one alert for each value of this column within --for.",
            rich_help_panel=_ALERTS,
        ),
    ] = None,
    dedupe_for: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="With --dedupe: such as 30m, 1h or 2d; default 1h.",
            rich_help_panel=_ALERTS,
        ),
    ] = None,
    quiet_hours: Annotated[
        str | None,
        typer.Option(
            metavar="HOURS",
            help="Hold alerts in these hours of the local clock, such as 22-06, and send them at "
            "their end.",
            rich_help_panel=_ALERTS,
        ),
    ] = None,
    false_alarm_rate: alarms.FalseAlarmRate = None,
    scores: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Append the score of every row to this NDJSON file."),
    ] = None,
    state: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="State file. Default: MODEL.watch.json."),
    ] = None,
    bad_rows: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Set rows aside that cannot be used. Default: stop before the first.",
        ),
    ] = None,
    once: Annotated[
        bool,
        typer.Option(
            "--once",
            help=f"Score what is new and exit: with code {DRIFT} after a drift, else with code "
            f"{ANOMALIES} after an alert.",
        ),
    ] = False,
    poll: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time between two looks at SOURCE.")
    ] = 1.0,
    window: Annotated[
        int, typer.Option(metavar="N", help="Latest scores that calibrate the threshold.")
    ] = 2_000,
    id: Annotated[
        str | None,
        typer.Option("--id", metavar="COL", help="Column that identifies rows in alerts."),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="SELECT with :last for the last key, ordered by --key.",
            rich_help_panel=_SQL,
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Unique key that grows with each row.", rich_help_panel=_SQL
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="VALUE", help="Value of :last to begin after; default 0.", rich_help_panel=_SQL
        ),
    ] = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: Annotated[
        FormatName | None, typer.Option(help="Of SOURCE, if its name does not echo.")
    ] = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Write lines instead of a live view on a terminal.")
    ] = False,
) -> None:
    """Score the new rows of SOURCE as they arrive, each once, and write alerts with reasons.

    The position is kept in a state file, so that a restart neither repeats nor loses a row.
    """
    from latently.cli._watch_view import view_of
    from latently.io import TextOptions
    from latently.monitoring import Watch, Webhook
    from latently.persistence import load

    rule = alarms.chosen_rule(false_alarm_rate, None, None, None)
    rules = _rules(budget, per, dedupe, dedupe_for, quiet_hours)
    rows = _source(source, format, query, key, start, once)
    detector = load(model)
    if rule is not None and hasattr(detector, "calibration_"):
        detector.set_threshold(rule)
    prints = alerts == "-" or (alerts is None and webhook is None)
    found = Watch(
        detector=detector,
        source=rows,
        state=state or f"{model}.watch.json",
        alerts=None if alerts == "-" else alerts,
        scores=scores,
        bad_rows=bad_rows,
        print_alerts=prints,
        webhook=None if webhook is None else Webhook(webhook, webhook_time_limit),
        rules=rules,
        id=id,
        options=TextOptions(missing or (), dates=dates, decimal=decimal),  # type: ignore[arg-type]
        window=window,
        notify=echo,
    )
    with view_of(found, plain):
        report = _run(found, once, poll)
    echo(_summary(report))
    if once and report.drifted:
        raise typer.Exit(DRIFT)
    if once and report.n_alerts:
        raise typer.Exit(ANOMALIES)


def _run(watch: Watch, once: bool, poll: float) -> WatchReport:
    try:
        return watch.run(once=once, poll=poll)
    except KeyboardInterrupt:
        watch.notify(f"interrupted; the position is kept in {watch.state}.")
        raise typer.Exit(interrupt_code()) from None


def _summary(report: WatchReport) -> str:
    bad = f", {report.n_bad:,} set aside" if report.n_bad else ""
    drift = ". The scores drifted" if report.drifted else ""
    return f"{report.n_rows:,} new rows, {report.n_alerts:,} alerts{bad}{drift}."


def _rules(
    budget: int | None,
    per: PerName | None,
    dedupe: str | None,
    dedupe_for: str | None,
    quiet_hours: str | None,
) -> AlertRules:
    from latently.exceptions import ParameterError
    from latently.monitoring import AlertRules, parse_duration, parse_hours

    if per is not None and budget is None:
        raise ParameterError(f"--per must be given with --budget, got {per.value} alone. Drop it.")
    if dedupe_for is not None and dedupe is None:
        raise ParameterError(f"--for must be given with --dedupe, got {dedupe_for} alone. Drop it.")
    rules = AlertRules(
        budget,
        "day" if per is None else per.value,
        dedupe,
        parse_duration(dedupe_for or "1h"),
        None if quiet_hours is None else parse_hours(quiet_hours),
    )
    rules.check()
    return rules


def _source(
    source: str,
    format: FormatName | None,
    query: str | None,
    key: str | None,
    start: str | None,
    once: bool,
) -> Any:
    """Return the source that the options name."""
    from latently.exceptions import DataError, ParameterError
    from latently.io._bytes import is_folder
    from latently.monitoring import FileSource, FolderSource, PipeSource, QuerySource

    if "://" in source:
        if query is None or key is None or format is not None:
            raise ParameterError(
                "A database must be given with --query and --key, without --format. Try --query "
                "'SELECT * FROM events WHERE id > :last ORDER BY id' --key id."
            )
        first = start if start is not None and not _is_whole(start) else int(start or 0)
        return QuerySource(source, query, key, first, _MOST_TRIES if once else None)
    given = {"--query": query, "--key": key, "--start": start}
    wrong = [name for name, value in given.items() if value is not None]
    if wrong:
        raise ParameterError(f"{wrong[0]} must be given with the URL of a database. Drop it.")
    name = None if format is None else format.value
    if source == "-":
        import sys

        if name == "parquet":
            raise ParameterError("--format must be csv, tsv or ndjson for stdin, got parquet.")
        return PipeSource(sys.stdin.buffer, name or "csv")
    is_parquet = name == "parquet" or (name is None and is_folder(source))
    found = FolderSource(source) if is_parquet else FileSource(source, name)
    if not found.path.exists():
        if once:
            raise DataError(f"{source}: it does not exist. Check the name, or leave --once out.")
        echo(f"{source} does not exist yet. It is waited for.")
    return found


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()
