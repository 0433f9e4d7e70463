"""``latently drift``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, open_large, read_matched_rows, spec_of
from latently.cli._large import matched_pieces
from latently.cli._output import (
    Target,
    check_picture,
    check_target,
    write_json,
    write_picture,
    write_table,
    write_text,
)


def drift(
    model: options.Model,
    data: options.Data,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="OUT", help="Table to write, a row for each column."
        ),
    ] = None,
    level: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Chance of any false alarm over all columns and scores, at most."
        ),
    ] = 0.05,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    json: options.Json = False,
) -> None:
    """Compare the columns and anomaly scores of DATA with those of the rows of the fit.

    Lists each drift with the kind of change, its size and its p-value. `latently score --fail-on
    drift` fails a nightly job.
    """
    from latently.exceptions import ParameterError
    from latently.persistence import load
    from latently.report import plot_drift

    target = None if output is None else Target(output, output_format, overwrite)
    if target is not None:
        check_target(target, images=False)
    check_picture(plot, overwrite)
    loaded = load(model)
    if not hasattr(loaded, "calibration_"):
        raise ParameterError(
            f"{model} holds {type(loaded).__name__}, which keeps no rows to compare with. Fit a "
            "detector with `latently detect`."
        )
    source = Source(data, format, key, skip_bad, marks=Marks(missing, decimal, dates))
    found = _found(loaded, source, level)
    if target is not None:
        write_table(found.columns(), Rows(None), target)
    if json:
        write_json(found.to_dict())
    elif output != "-":
        write_text(str(found))
    if plot is not None:
        write_picture(plot_drift(found), plot, overwrite)


def _found(model: Any, source: Source, level: float) -> Any:
    """Compare rows, those of a large table as they are read."""
    from latently.tasks import DriftTally, anomaly_scores

    dataset = open_large(source, source.options(spec_of(model)))
    if dataset is None:
        return model.drift(read_matched_rows(source, model).values, level=level)
    tally = DriftTally(model)
    for rows in matched_pieces(dataset, model, source):
        tally.add(rows.values, anomaly_scores(model, rows.values))
    return tally.result(level)
