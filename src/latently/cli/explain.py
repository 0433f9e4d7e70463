"""``latently explain``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, open_large, read_matched_rows, spec_of, together
from latently.cli._guard import echo
from latently.cli._large import matched_pieces
from latently.cli._output import (
    Target,
    check_picture,
    check_target,
    write_json,
    write_picture,
    write_table,
)


def explain(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    n_reasons: Annotated[
        int,
        typer.Option("--reasons", metavar="N", help="Maximum number of columns listed per row."),
    ] = 3,
    every: Annotated[
        bool, typer.Option("--all", help="Explain every row, not only those that are flagged.")
    ] = False,
    ids: options.Ids = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    json: Annotated[
        bool, typer.Option("--json", help="Write nested JSON to stdout instead of the table.")
    ] = False,
) -> None:
    """Explain flagged rows: the columns responsible, their values and the expected values.

    The table has one line per reason, the worst first. Images are explained by their worst patch.
    """
    from latently.exceptions import ParameterError
    from latently.persistence import load
    from latently.report import plot_explanation

    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    check_picture(plot, overwrite)
    loaded = load(model)
    if not hasattr(loaded, "explain"):
        raise ParameterError(
            f"{model} holds {type(loaded).__name__}, which flags nothing. Fit a detector with "
            "`latently detect`."
        )
    some, chosen = _chosen(
        loaded,
        Source(data, format, key, skip_bad, ids, marks=Marks(missing, decimal, dates)),
        every,
    )
    if not len(chosen):
        echo("no row is flagged: give --all to explain every one")
        return
    found = loaded.explain(some.values, n_reasons=n_reasons)
    reasons = found.to_dict()
    places = reasons["row"]
    reasons["row"] = [chosen[place] for place in places]
    if json:
        write_json(reasons)
    if not json or output != "-":
        write_table(reasons, some.take(places), target)
    if plot is not None:
        write_picture(plot_explanation(found, rows=chosen), plot, overwrite)


def _chosen(model: Any, source: Source, every: bool) -> tuple[Rows, list[int]]:
    """Return the rows to explain, and their places."""
    from latently.exceptions import ParameterError

    dataset = open_large(source, source.options(spec_of(model)))
    if dataset is None:
        rows = read_matched_rows(source, model)
        flags = model.predict(rows.values)
        places = [row for row, flag in enumerate(flags.tolist()) if every or flag == -1]
        return rows.take(places), places
    if every:
        raise ParameterError(
            f"--all needs rows in memory, {source.path} is too large. Leave --all out, or give a "
            "part of the rows."
        )
    return _flagged(model, matched_pieces(dataset, model, source))


def _flagged(model: Any, pieces: Iterator[Rows]) -> tuple[Rows, list[int]]:
    """Return the flagged rows of a table that comes in pieces, and their places."""
    found: list[Rows] = []
    places: list[int] = []
    start = 0
    for rows in pieces:
        here = (model.decision_function(rows.values) < 0).nonzero()[0].tolist()
        found.append(rows.take(here))
        places += [start + place for place in here]
        start += len(rows.values)
    return together(found), places
