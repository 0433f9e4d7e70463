"""``latently transform``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from latently.cli import _engine as engines
from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, as_colors, autoencoder_of, read_matched_rows
from latently.cli._large import answer_large
from latently.cli._output import Target, check_picture, check_target, write_picture, write_table

if TYPE_CHECKING:
    import pyarrow as pa
    from matplotlib.figure import Figure


def transform(
    model: options.Model,
    data: options.Data,
    output: options.Output = "-",
    ids: options.Ids = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    color: Annotated[
        str | None,
        typer.Option(metavar="COL", help="Column of DATA that colours the --plot."),
    ] = None,
    skip_bad: options.SkipBad = False,
    overwrite: options.Overwrite = False,
    engine: engines.Engine = engines.EngineName.local,
    workers: engines.Workers = None,
    ray_address: engines.Address = None,
    resume: engines.Resume = False,
) -> None:
    """Write the code of each row: one column a component.

    For a folder or a pattern of tables, -o FOLDER/ gets a file for each of them.
    """
    from latently.persistence import BatchPredictor, load

    source = Source(data, format, key, skip_bad, ids, color, marks=Marks(missing, decimal, dates))
    if engines.is_partitioned(source, output, engine, resume):
        engines.refuse_with_folder(plot=plot, color=color, overwrite=overwrite)
        where = engines.make_engine(engine, workers, ray_address)
        predictor = BatchPredictor(model, "transform", ids or ())
        engines.answer_files(predictor, source, output, where, resume)
        return
    target = Target(output, output_format, overwrite)
    check_target(target, images=False)
    check_picture(plot, overwrite)
    _check_color(color, plot)
    autoencoder = autoencoder_of(load(model))
    if plot is None and answer_large(source, autoencoder, target, lambda r: _codes(autoencoder, r)):
        return
    rows = read_matched_rows(source, autoencoder)
    write_table(_codes(autoencoder, rows), rows, target)
    if plot is not None:
        write_picture(_map(autoencoder, rows, color), plot, overwrite)


def _codes(autoencoder: Any, rows: Rows) -> pa.Table:
    import pyarrow as pa

    from latently.tasks import codes

    return pa.table(codes(autoencoder, rows.values))


def _check_color(color: str | None, plot: str | None) -> None:
    from latently.exceptions import ParameterError

    if color is not None and plot is None:
        raise ParameterError("--color colours the picture of --plot. Add --plot map.png.")


def _map(autoencoder: Any, rows: Rows, color: str | None) -> Figure:
    from latently.report import plot_map

    y = None if rows.colors is None else as_colors(rows.colors)
    return plot_map(autoencoder, rows.values, y, label=color)
