"""``latently report``."""

from __future__ import annotations

from typing import Annotated

import typer

from latently.cli import _options as options
from latently.cli._data import Marks, Source, as_colors, read_matched_rows
from latently.cli._guard import echo
from latently.cli._output import write_json


def report(
    model: options.Model,
    data: options.Data,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The HTML page to write, or a .json file with its contents.",
        ),
    ] = "report.html",
    color: Annotated[
        str | None,
        typer.Option("--color", metavar="COL", help="Column of DATA that colours the map."),
    ] = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    key: options.Key = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    json: Annotated[
        bool,
        typer.Option("--json", help="Write the contents as JSON to stdout instead of the page."),
    ] = False,
) -> None:
    """Write an HTML report on a model and some rows: quality, health checks and outliers.

    The pictures are embedded, so the file needs no network access.
    """
    from latently.io._atomic import check_output
    from latently.persistence import load
    from latently.report import make_report

    if not json:
        check_output(output, overwrite)
    loaded = load(model)
    rows = read_matched_rows(
        Source(data, format, key, skip_bad, color=color, marks=Marks(missing, decimal, dates)),
        loaded,
    )
    colors = None if rows.colors is None else as_colors(rows.colors)
    made = make_report(loaded, rows.values, color=colors, label=color)
    if json:
        write_json(made.to_dict())
        return
    made.save(output, overwrite=overwrite)
    echo(f"{made}\nwrote {output}")
