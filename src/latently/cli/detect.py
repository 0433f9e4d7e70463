"""``latently detect``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _alarms as alarms
from latently.cli import _options as options
from latently.cli._data import Marks, Rows, Source, array_kind, read_training_rows
from latently.cli._guard import echo
from latently.cli._kinds import Kind, Recipe, make_autoencoder
from latently.cli._output import check_model_path, check_picture, write_json, write_picture


def detect(
    data: options.Data,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", help="Model file to write.")
    ],
    kind: Annotated[
        Kind | None,
        typer.Option(help="Autoencoder to judge by. Default: a memory of rows, the best found."),
    ] = None,
    score: Annotated[
        str,
        typer.Option(metavar="NAME", help="auto, surprise, energy, reconstruction or elbo."),
    ] = "auto",
    robust: Annotated[
        bool, typer.Option("--robust", help="DATA holds many anomalies already.")
    ] = False,
    false_alarm_rate: alarms.FalseAlarmRate = None,
    alert_budget: alarms.AlertBudget = None,
    contamination: alarms.Contamination = None,
    cost_ratio: alarms.CostRatio = None,
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of labels: 1 or true for an anomaly, 0 or false for a normal row (or -1 "
            "and 1), empty where unknown. Rows like the known anomalies score higher.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Verdicts that `latently label` keeps, joined with DATA by the column of --id.",
        ),
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, with --kind.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Same seed, same model.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    effort: options.Effort = None,
    max_categories: options.MaxCategories = None,
    ids: options.Ids = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COL", help="Column to leave out; repeatable."),
    ] = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    images: options.Images = False,
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No summary.")] = False,
    json: options.Json = False,
) -> None:
    """Fit an anomaly detector to DATA and write it to one file.

    By default at most 1 % of normal rows raise a false alarm, if DATA has enough rows for it.
    """
    from latently.inspection import inspect
    from latently.report import plot_anomalies
    from latently.tasks import AnomalyDetector

    check_model_path(output, overwrite)
    check_picture(plot, overwrite)
    rule = alarms.chosen_rule(false_alarm_rate, alert_budget, contamination, cost_ratio)
    marks = Marks(missing, decimal, dates)
    source = Source(data, format, key, skip_bad, ids, images=images, marks=marks)
    rows = read_training_rows(source, ignore, {"--label": label})
    known = rows.beside.get("--label") if labels is None else _verdicts(labels, label, ids, rows)
    detector = AnomalyDetector(
        autoencoder=_autoencoder(kind, rows, max_epochs, seed, device, robust, max_categories),
        scoring=score,  # type: ignore[arg-type]  # judged by the detector
        threshold=rule or _labelled_rule(rows.beside.get("--label")),
        random_state=seed,
        kind=array_kind(rows, source),  # type: ignore[arg-type]
        effort=effort,  # type: ignore[arg-type]
    ).fit(rows.values, known)
    detector.save(output, overwrite=overwrite)
    if not quiet:
        echo(f"{detector.summary()}\nwrote {output}")
    if json:
        write_json({"model": output, **inspect(detector).to_dict()})
    if plot is not None:
        write_picture(plot_anomalies(detector, rows.values, known), plot, overwrite)


def _autoencoder(
    kind: Kind | None,
    rows: Rows,
    max_epochs: int | None,
    seed: int,
    device: str,
    robust: bool,
    max_categories: int | None,
) -> Any:
    from latently.estimators import NeighborAutoencoder
    from latently.exceptions import ParameterError
    from latently.preprocessing import MAX_CATEGORIES

    if kind is None:
        if max_epochs is not None:
            raise ParameterError("--max-epochs needs --kind: a memory is not trained. Drop it.")
        most = max_categories or MAX_CATEGORIES
        return NeighborAutoencoder(robust=robust, engine=device, max_categories=most)
    if robust:
        raise ParameterError("--robust chooses the autoencoder. Leave --kind out.")
    recipe = Recipe(
        kind,
        "auto",
        max_epochs,
        None,
        None,
        None,
        None,
        None,
        None,
        seed,
        device,
        False,
        max_categories=max_categories,
    )
    return make_autoencoder(recipe, images=rows.is_images)


def _verdicts(path: str, label: str | None, ids: list[str] | None, rows: Rows) -> Any:
    """Return the verdicts of a file about rows, None if it holds none about them."""
    from latently.exceptions import DataError, ParameterError
    from latently.monitoring import Verdicts

    if label is not None:
        raise ParameterError("--label and --labels both name labels. Give one of them.")
    if ids is None or len(ids) != 1 or rows.ids is None:
        raise ParameterError("--labels must be given with one --id, the column to join by.")
    found = Verdicts(path)
    verdicts = found.read()
    if not verdicts:
        raise DataError(f"{path}: there is no verdict. Add some with `latently label`.")
    known = found.labels(rows.ids[ids[0]].to_pylist())
    n_known = sum(value is not None for value in known)
    echo(f"{n_known:,} rows have a verdict, of {len(verdicts):,} ids in {path}.")
    return known if n_known else None


def _labelled_rule(known: Any) -> Any:
    from latently.tasks import MaxFScore

    return None if known is None else MaxFScore()
