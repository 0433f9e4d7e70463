"""``latently fit``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from latently._launch import launched_rank, n_restarts
from latently.cli import _engine as engines
from latently.cli import _options as options
from latently.cli._data import Marks, Source, array_kind, read_training_rows
from latently.cli._guard import echo, interrupt_code
from latently.cli._kinds import Kind, Recipe, make_autoencoder
from latently.cli._output import check_model_path, check_picture, write_json, write_picture
from latently.cli._units import bytes_of, seconds_of

_SHAPE, _TRAINING = "What to learn", "How to train"


def fit(
    data: options.Data,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="MODEL", help="Model file to write.")
    ],
    kind: Annotated[
        Kind | None,
        typer.Option(
            help="Default: autoencoder for tables, convolutional for images.",
            rich_help_panel=_SHAPE,
        ),
    ] = None,
    n_components: Annotated[
        str,
        typer.Option(metavar="N", help="Size of the code, or auto.", rich_help_panel=_SHAPE),
    ] = "auto",
    hidden_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="N,N", help="Widths of the layers; channels for images.", rich_help_panel=_SHAPE
        ),
    ] = None,
    beta: Annotated[
        float | None,
        typer.Option(help="Weight of the KL (variational).", rich_help_panel=_SHAPE),
    ] = None,
    n_active: Annotated[
        int | None,
        typer.Option(help="Active components in a row (sparse).", rich_help_panel=_SHAPE),
    ] = None,
    sparsity: Annotated[
        str | None,
        typer.Option(help="topk, batchtopk, jumprelu, l1 or kl (sparse).", rich_help_panel=_SHAPE),
    ] = None,
    refinement_steps: Annotated[
        int | None,
        typer.Option(
            help="Steps from each code to one rebuilt better (autoencoder).",
            rich_help_panel=_SHAPE,
        ),
    ] = None,
    noise: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:STRENGTH]",
            help="Corruption in training: masking, gaussian, salt, blocks or blur.",
            rich_help_panel=_SHAPE,
        ),
    ] = None,
    n_estimators: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Train N models of as many seeds and average their answers.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    max_epochs: Annotated[
        int | None, typer.Option(help="Passes over the data.", rich_help_panel=_TRAINING)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Rows in a step.", rich_help_panel=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest step size.", rich_help_panel=_TRAINING)
    ] = None,
    effort: options.Effort = None,
    max_categories: options.MaxCategories = None,
    group_by: options.Groups = None,
    no_shuffle: options.NoShuffle = False,
    refit: Annotated[
        bool,
        typer.Option(
            "--refit",
            help="Train again on all rows for the steps that were best.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    time_limit: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Train no longer than 90s, 5m or 2h.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Refuse a fit that needs more than 500MB or 4GiB.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    checkpoint: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Save the training here every half minute, until the model is written.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on from the checkpoint, if there is one; default folder MODEL.checkpoint.",
            rich_help_panel=_TRAINING,
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(help="Same seed, same model.", rich_help_panel=_TRAINING)
    ] = 0,
    device: Annotated[
        str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=_TRAINING)
    ] = "auto",
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
    plot: options.Plot = None,
    skip_bad: options.SkipBad = False,
    images: options.Images = False,
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    json: options.Json = False,
) -> None:
    """Train a model on DATA and write it to one file.

    A table larger than memory stays on disk and is read in every pass. A first Ctrl-C ends the
    training and keeps the best weights. With --resume, the same command continues from there.
    Processes of torchrun train one model together: torchrun --nproc-per-node 2 -m latently fit ...
    """
    from latently.inspection import inspect
    from latently.report import plot_history
    from latently.training import checkpointing, remove_checkpoint

    folder, is_resumed = _checkpoint_folder(output, checkpoint, resume, n_estimators)
    overwrite = overwrite or is_resumed
    check_model_path(output, overwrite)
    check_picture(plot, overwrite)
    where = engines.make_engine(engine, workers, ray_address, device)
    verbose = not quiet and sys.stderr.isatty() and launched_rank() == 0
    recipe = Recipe(
        kind, n_components, max_epochs, batch_size, learning_rate, beta, n_active, hidden_sizes,
        noise, seed, where, verbose, refinement_steps, sparsity, effort, not no_shuffle, refit,
        group_by is not None, seconds_of(time_limit), bytes_of(max_memory), n_estimators,
        max_categories,
    )  # fmt: skip
    source = Source(
        data, format, key, skip_bad, ids, own_sizes=kind is Kind.unet, images=images,
        marks=Marks(missing, decimal, dates),
    )  # fmt: skip
    beside, is_one = {"--group-by": group_by}, n_estimators is None
    rows = read_training_rows(source, ignore, beside, streams=is_one)
    groups = {} if group_by is None else {"groups": rows.beside["--group-by"]}
    made = make_autoencoder(recipe, images=rows.is_images, array_kind=array_kind(rows, source))
    with checkpointing(folder):
        model = made.fit(rows.values, **groups)
    if launched_rank():
        raise typer.Exit(interrupt_code() if model.interrupted_ else 0)
    model.save(output, overwrite=overwrite)
    if folder is not None and model.history_.stopped not in ("interrupted", "time limit"):
        remove_checkpoint(folder)
    if not quiet:
        echo(f"{model.summary()}\nwrote {output}")
    if json:
        write_json({"model": output, "interrupted": model.interrupted_, **inspect(model).to_dict()})
    if plot is not None:
        write_picture(plot_history(model), plot, overwrite)
    if model.interrupted_:
        untrained = not len(model.history_)
        note = (
            " Nothing was judged yet, so its weights are those of the start." if untrained else ""
        )
        again = "" if folder is None else " The same command with --resume goes on."
        echo(f"interrupted; the model so far is in {output}.{note}{again}")
        raise typer.Exit(interrupt_code())


def _checkpoint_folder(
    output: str, checkpoint: str | None, resume: bool, n_estimators: int | None
) -> tuple[str | None, bool]:
    """Return where to save the training, and whether there is one to go on from."""
    from latently.exceptions import ParameterError
    from latently.training import holds_checkpoint, refuse_existing

    if n_estimators is not None and (resume or checkpoint is not None):
        raise ParameterError(
            "--n-estimators trains several models at once, which is not saved on the way. Drop "
            "--checkpoint and --resume."
        )
    if checkpoint is None and not resume:
        return None, False
    folder = f"{output}.checkpoint" if checkpoint is None else checkpoint
    if not resume and not n_restarts():
        refuse_existing(folder)
    return folder, holds_checkpoint(folder)
