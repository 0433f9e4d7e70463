"""``latently tune``."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from latently.cli import _engine as engines
from latently.cli import _options as options
from latently.cli._data import Marks, Source, array_kind, read_training_rows
from latently.cli._guard import echo, interrupt_code
from latently.cli._kinds import Kind, Recipe, make_autoencoder
from latently.cli._output import check_model_path, check_picture, write_json, write_picture
from latently.cli._search import read_space, setting_words
from latently.cli._units import seconds_of

_SEARCH = "How to search"


def tune(
    data: options.Data,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="MODEL", help="Model file to write, of the best settings."
        ),
    ] = None,
    kind: Annotated[
        Kind | None,
        typer.Option(help="Default: autoencoder for tables, convolutional for images."),
    ] = None,
    n_components: Annotated[
        str, typer.Option(metavar="N", help="Size of the code, or auto.")
    ] = "auto",
    objective: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="reconstruction, downstream, anomaly or imputation.",
            rich_help_panel=_SEARCH,
        ),
    ] = "reconstruction",
    label: Annotated[
        str | None,
        typer.Option(
            metavar="COL",
            help="Column of labels (downstream); 1 anomaly, 0 normal, -1 not known (anomaly).",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="About how long, as 90s, 5m or 2h.", rich_help_panel=_SEARCH
        ),
    ] = None,
    n_trials: Annotated[
        int | None,
        typer.Option(help="Trials; 20 where no time is given.", rich_help_panel=_SEARCH),
    ] = None,
    space: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="A JSON file with the search space, see the docs.",
            rich_help_panel=_SEARCH,
        ),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="SQLite file: a killed search goes on.", rich_help_panel=_SEARCH
        ),
    ] = None,
    n_jobs: Annotated[
        int, typer.Option(help="Processes; -1 is one a core.", rich_help_panel=_SEARCH)
    ] = 1,
    n_seeds: Annotated[
        int,
        typer.Option(
            help="Trainings of a trial, from as many seeds: it counts by their mean.",
            rich_help_panel=_SEARCH,
        ),
    ] = 1,
    max_epochs: Annotated[
        int | None, typer.Option(help="Passes over the data, of every training.")
    ] = None,
    effort: options.Effort = None,
    group_by: options.Groups = None,
    no_shuffle: options.NoShuffle = False,
    seed: Annotated[int, typer.Option(help="Same seed, same search.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    engine: engines.Engine = engines.EngineName.local,
    workers: engines.Workers = None,
    ray_address: engines.Address = None,
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
    images: options.Images = False,
    plot: options.Plot = None,
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    json: options.Json = False,
) -> None:
    """Search for the best settings for DATA and report their score on held-out rows.

    A first Ctrl-C ends the search and keeps the best so far.
    """
    from latently.report import plot_search
    from latently.tuning import AutoencoderSearchCV

    if output is not None:
        check_model_path(output, overwrite)
    check_picture(plot, overwrite)
    where = engines.make_engine(engine, workers, ray_address, device)
    seconds = seconds_of(time_limit)
    marks = Marks(missing, decimal, dates)
    source = Source(data, format, key, False, ids, images=images, marks=marks)
    rows = read_training_rows(source, ignore, {"--label": label, "--group-by": group_by})
    recipe = Recipe(
        kind, n_components, max_epochs, None, None, None, None, None, None, seed, where, False
    )
    if n_trials is None and seconds is None:
        n_trials = 20
    search: Any = AutoencoderSearchCV(
        make_autoencoder(recipe, images=rows.is_images, array_kind=array_kind(rows, source)),
        read_space(space),
        objective=objective,  # type: ignore[arg-type]  # judged by the search
        n_trials=n_trials, time_limit=seconds, shuffle=not no_shuffle, n_jobs=n_jobs,
        n_seeds=n_seeds, storage=storage, effort=effort,  # type: ignore[arg-type]
        refit=output is not None, random_state=seed, verbose=not quiet and sys.stderr.isatty(),
    )  # fmt: skip
    search.fit(rows.values, rows.beside.get("--label"), groups=rows.beside.get("--group-by"))
    settings = setting_words(search.best_params_)
    if not quiet:
        words = ", ".join(f"{name}={value}" for name, value in settings.items())
        echo(f"best settings: {words or 'those of the default'}\n{search.report_}")
    if output is not None:
        search.best_estimator_.save(output, overwrite=overwrite)
        echo(f"wrote {output}")
    if json:
        found = {"settings": settings, "interrupted": search.interrupted_}
        write_json({"model": output, **found, **search.report_.to_dict()})
    if plot is not None:
        write_picture(plot_search(search), plot, overwrite)
    if search.interrupted_:
        raise typer.Exit(interrupt_code())
