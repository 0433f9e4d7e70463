"""``latently explain``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Rows, Source, read_matched_rows
from latently.cli._guard import say
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
        int, typer.Option("--reasons", metavar="N", help="Most guilty columns named of a row.")
    ] = 3,
    every: Annotated[
        bool, typer.Option("--all", help="Explain every row, not only those that are flagged.")
    ] = False,
    ids: options.Ids = None,
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
    """Say why rows were flagged: guilty columns, what they hold and what they should.

    A line a reason, the worst first; of images, the patch that stands out.
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
            f"{model} holds a {type(loaded).__name__}, which flags nothing. Fit a detector with "
            "`latently detect`."
        )
    rows = read_matched_rows(Source(data, format, key, skip_bad, ids), loaded)
    chosen = _chosen(loaded, rows, every)
    if not len(chosen):
        say("no row is flagged: give --all to explain every one")
        return
    some = rows.take(chosen)
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


def _chosen(model: Any, rows: Rows, every: bool) -> list[int]:
    """Return the places of the rows to explain."""
    flags = model.predict(rows.values)
    return [row for row, flag in enumerate(flags.tolist()) if every or flag == -1]
