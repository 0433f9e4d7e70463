"""``latently impute``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from latently.cli import _engine as engines
from latently.cli import _options as options
from latently.cli._data import (
    Marks,
    Source,
    array_kind,
    autoencoder_of,
    is_image_folder,
    match_rows,
    names_of_fit,
    read_matched_rows,
    read_rows,
    select,
    shown_names,
)
from latently.cli._fills import as_it_was, known_columns, options_of
from latently.cli._guard import echo
from latently.cli._large import write_large
from latently.cli._output import (
    Target,
    answers_images,
    check_model_path,
    check_picture,
    check_target,
    with_ids,
    write_picture,
    write_rows,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: Rows that an imputer is fitted to where there are more.
_FIT_ROWS = 100_000
_LEARNING, _ANSWER = "Learning", "Answer"


class Wanted(NamedTuple):
    """Outputs for each piece of a table."""

    n_draws: int | None = None
    coverage: float | None = None
    random_state: np.random.RandomState | None = None


def impute(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]", help="Model file; left out, an imputer is fitted to DATA."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="Table, array or folder of images; - is stdin."),
    ] = None,
    output: options.Output = "-",
    draws: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Fill so many times at random; a first column says which.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    interval: Annotated[
        float | None,
        typer.Option(
            metavar="COVERAGE",
            help="Add NAME_low and NAME_high, which hold the true value this often, for each "
            "column that had gaps when the imputer learned.",
            rich_help_panel=_ANSWER,
        ),
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="COL",
            help="Fill only these; repeatable.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    add_indicator: Annotated[
        bool,
        typer.Option(
            "--add-indicator",
            help="Add columns that say where gaps were.",
            rich_help_panel=_LEARNING,
        ),
    ] = False,
    unfillable: Annotated[
        str | None,
        typer.Option(
            metavar="CHOICE",
            help="Columns that cannot be filled: warn and fill (the default), leave or marginal.",
            rich_help_panel=_LEARNING,
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="Keep the imputer in this file.", rich_help_panel=_LEARNING
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Same seed, same fills.", rich_help_panel=_LEARNING)
    ] = 0,
    effort: options.Effort = None,
    max_categories: options.MaxCategories = None,
    ids: options.Ids = None,
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    key: options.Key = None,
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    images: options.Images = False,
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no report.")] = False,
    engine: engines.Engine = engines.EngineName.local,
    workers: engines.Workers = None,
    ray_address: engines.Address = None,
    resume: engines.Resume = False,
) -> None:
    """Fill missing cells and leave all others unchanged.

    Without MODEL an imputer learns from DATA itself. Parquet files are filled piece by piece, so
    that they may be larger than memory. With MODEL, -o FOLDER/ gets a file for each table of a
    folder or a pattern.
    """
    from latently.exceptions import ParameterError
    from latently.io import TableDataset
    from latently.persistence import load
    from latently.report import plot_fills
    from latently.tasks import AutoencoderImputer, default_autoencoder

    marks = Marks(missing, decimal, dates)
    path = model if data is None else data
    source = Source(path, format, key, skip_bad, ids, images=images, marks=marks)
    if engines.is_partitioned(source, output, engine, resume):
        engines.refuse_with_folder(
            draws=draws, interval=interval, column=columns, save=save, plot=plot,
            add_indicator=add_indicator, overwrite=overwrite, unfillable=unfillable,
        )  # fmt: skip
        where = engines.make_engine(engine, workers, ray_address)
        _impute_files(None if data is None else model, source, output, where, resume)
        return
    target = Target(output, output_format, overwrite)
    imputer: Any = AutoencoderImputer(
        columns=columns, missing_values=_values(missing), add_indicator=add_indicator,
        random_state=seed, effort=effort,  # type: ignore[arg-type]  # judged by the imputer
        unfillable=unfillable or "warn",  # type: ignore[arg-type]
    )  # fmt: skip
    loaded = None if data is None else load(model)
    check_target(
        target, images=is_image_folder(source) if loaded is None else answers_images(loaded)
    )
    check_picture(plot, overwrite)
    if save is not None:
        check_model_path(save, overwrite)
    learns = bool(columns or add_indicator or max_categories or unfillable)
    _check_options(loaded, interval, learns)
    if max_categories is not None:
        own = default_autoencoder(imputer).set_params(max_categories=max_categories)
        imputer.set_params(autoencoder=own)
    if not _streams(source, loaded):
        if draws is not None or interval is not None:
            raise ParameterError(
                f"--draws and --interval need a table with column names, {source.path} has none. "
                "Leave them out."
            )
        imputer = _impute_whole(loaded, imputer, source, target)
    else:
        pieces = TableDataset(source.path, source.format, options_of(source, loaded, target))
        verbose = not quiet and sys.stderr.isatty()
        imputer = _fitted(loaded, imputer, pieces, source, seed, verbose)
        chance = None if draws is None else _stream_of(seed)
        n_filled = _fill(pieces, imputer, source, target, Wanted(draws, interval, chance), verbose)
        echo(f"filled {n_filled:,} missing cells")
        if not quiet and loaded is None:
            echo(str(imputer.fill_report_))
    if save is not None:
        imputer.save(save, overwrite=overwrite)
    if plot is not None:
        write_picture(plot_fills(imputer), plot, overwrite)


def _impute_files(model: str | None, source: Source, output: str, where: Any, resume: bool) -> None:
    """Fill each file of DATA in a file of its own."""
    from latently.exceptions import ParameterError
    from latently.persistence import BatchPredictor

    if model is None:
        raise ParameterError("A folder of answers needs MODEL, an imputer's file. Name both.")
    predictor = BatchPredictor(model, "impute", source.ids or ())
    engines.answer_files(predictor, source, output, where, resume)


def _check_options(model: Any, coverage: float | None, learns: bool) -> None:
    """Refuse options that do not fit the model."""
    from latently.exceptions import ParameterError

    if coverage is not None and not 0 < coverage < 1:
        raise ParameterError(f"coverage must be between 0 and 1, got {coverage}. Try 0.9.")
    if hasattr(model, "impute") and learns:
        raise ParameterError(
            "--column, --add-indicator, --max-categories and --unfillable are kept in an imputer's "
            "file. Leave "
            "them or MODEL out."
        )


def _streams(source: Source, model: Any) -> bool:
    """Return True for tables with names, which go through piece by piece."""
    from latently.io._formats import find_format
    from latently.io._read import holds_tables

    if model is not None and names_of_fit(model) is None:
        return False
    if is_image_folder(source):
        return False
    many = source.path != "-" and holds_tables(source.path, source.format)
    return many or find_format(source.path, source.format).kind == "table"


def _impute_whole(model: Any, imputer: Any, source: Source, target: Target) -> Any:
    """Fill arrays and images, which are read whole, and return the fitted imputer."""
    if model is None:  # the imputer knows the words for gaps itself, and leaves others alone
        marks = source.marks._replace(missing=None)
        rows = read_rows(source._replace(marks=marks))
    else:
        rows = read_matched_rows(source, model)
    if hasattr(model, "impute"):
        imputer = model
    else:
        given = None if model is None else autoencoder_of(model)
        kind = "auto" if model is not None else array_kind(rows, source)
        imputer.set_params(autoencoder=given, kind=kind).fit(rows.values)
    write_rows(imputer.transform(rows.values), rows, imputer, target)
    echo(f"filled {_count_missing(rows.values):,} missing cells")
    return imputer


def _fitted(model: Any, imputer: Any, pieces: Any, source: Source, seed: int, verbose: bool) -> Any:
    """Return the imputer in a model file, one around its autoencoder, or one fitted to DATA."""
    from sklearn.base import clone

    from latently.tasks import default_autoencoder

    if model is None:
        given = imputer.autoencoder
        watched = clone(given or default_autoencoder(imputer)).set_params(verbose=verbose)
        imputer.set_params(autoencoder=watched)
        imputer.fit(_unnamed(pieces.sample(_FIT_ROWS, seed), source.ids))
        return imputer.set_params(autoencoder=given)
    # Says which columns the model does not know, once.
    first = match_rows(next(iter(pieces)), model, source)
    if hasattr(model, "impute"):
        return model
    return imputer.set_params(autoencoder=autoencoder_of(model)).fit(first.values)


def _unnamed(table: pa.Table, ids: Any) -> pa.Table:
    """Return a table without the columns that are only carried along."""
    select(table, ids or (), "--id")
    kept = [name for name in shown_names(table.column_names) if name not in (ids or ())]
    return table.select(kept)


def _stream_of(seed: int) -> np.random.RandomState:
    """Return a generator that continues from piece to piece."""
    import numpy as np

    return np.random.RandomState(seed)


def _values(words: list[str] | None) -> list[float | str] | None:
    """Return the missing-value markers, converted to numbers where they are numeric."""
    return [_value(word) for word in words] if words else None


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _fill(
    pieces: Any, imputer: Any, source: Source, target: Target, wanted: Wanted, verbose: bool
) -> int:
    """Fill and write the data in pieces, and return the number of missing cells."""
    from latently.io._prefetch import prefetched
    from latently.io._progress import watched

    n_filled, known = 0, known_columns(pieces, imputer, source)

    def answers() -> Iterator[pa.Table]:
        nonlocal n_filled
        with prefetched(known) as ahead:
            for piece in watched(ahead, "filling", pieces.n_rows, verbose):
                rows = match_rows(piece, imputer, source)
                n_filled += _count_missing(rows.values)
                for table in _answered(imputer, rows.values, wanted):
                    yield with_ids(as_it_was(table, rows.values, piece, imputer), rows)

    write_large(answers(), pieces.n_rows * (wanted.n_draws or 1), target)
    return n_filled


def _answered(imputer: Any, table: pa.Table, wanted: Wanted) -> Iterator[pa.Table]:
    """Yield the filled tables of one piece."""
    import pyarrow as pa

    if wanted.n_draws is None:
        answers = [imputer.transform(table)]
    else:
        drawn = imputer.impute(table, wanted.n_draws, random_state=wanted.random_state)
        answers = [
            filled.add_column(0, "draw", pa.array([draw] * filled.num_rows, pa.int32()))
            for draw, filled in enumerate(drawn, 1)
        ]
    if wanted.coverage is None:
        yield from answers
        return
    bounds = imputer.interval(table, wanted.coverage)
    names = _with_gaps(imputer)
    for filled in answers:
        for end, values in zip(("low", "high"), bounds, strict=True):
            for name in names:
                filled = filled.append_column(f"{name}_{end}", values[name])
        yield filled


def _with_gaps(imputer: Any) -> list[str]:
    """Return the columns that had gaps in ``fit``, or all columns if none had."""
    report = imputer.fill_report_
    missing = zip(report.names, report.share_missing, strict=True)
    return [name for name, share in missing if share > 0] or list(report.names)


def _count_missing(values: Any) -> int:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if hasattr(values, "column_names"):
        return sum(
            int(pc.sum(pc.is_null(column, nan_is_null=pa.types.is_floating(column.type))).as_py())
            for column in values.columns
        )
    return int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0
