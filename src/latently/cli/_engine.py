"""Where a command computes: in this process, in those of torchrun, or in the workers of Ray."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from latently.cli._data import Source, is_image_folder, spec_of
from latently.cli._guard import echo

if TYPE_CHECKING:
    from latently.persistence import BatchPredictor

_PANEL = "Where to compute"


class EngineName(StrEnum):
    """Engines with a name. The engine of torchrun is detected automatically."""

    local = "local"
    ray = "ray"


Engine = Annotated[
    EngineName,
    typer.Option("--engine", help="ray: in the workers of a cluster.", rich_help_panel=_PANEL),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--n-workers", min=1, help="Processes of the engine ray; default 2.", rich_help_panel=_PANEL
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        metavar="HOST:PORT",
        help="Cluster to join; default RAY_ADDRESS, or one started here.",
        rich_help_panel=_PANEL,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Score only the files without a result in the folder OUT.",
        rich_help_panel=_PANEL,
    ),
]


def make_engine(
    engine: EngineName, workers: int | None, address: str | None, device: str = "auto"
) -> Any:
    """Return the value of an estimator's `engine` parameter: a device name or an engine.

    Parameters
    ----------
    engine : EngineName
        Asked for.
    workers : int or None
        Processes of Ray.
    address : str or None
        Of Ray's cluster.
    device : str, default="auto"
        Of a process.

    Returns
    -------
    str or RayEngine
        For the parameter `engine`.

    Raises
    ------
    ParameterError
        If options of another engine are given.
    """
    from latently.exceptions import ParameterError
    from latently.training import RayEngine, import_ray

    if engine is EngineName.ray:
        import_ray()
        on = "cuda" if device.startswith("cuda") else "cpu"
        return RayEngine(workers or 2, address, on)
    given = {"--n-workers": workers, "--ray-address": address}
    for option, value in given.items():
        if value is not None:
            raise ParameterError(f"{option} belongs to --engine ray. Add it, or drop {option}.")
    return device


def is_partitioned(source: Source, output: str, engine: EngineName, resume: bool) -> bool:
    """Return True if answers go to a folder, a file for each file of DATA.

    Raises
    ------
    ParameterError
        If an engine, or going on, is asked for and the answers do not go to a folder.
    """
    from pathlib import Path

    from latently.exceptions import ParameterError
    from latently.io._read import holds_tables

    has_files = source.path != "-" and holds_tables(source.path, source.format)
    names_folder = output.endswith("/") or Path(output).is_dir() or not Path(output).suffix
    if has_files and output != "-" and names_folder:
        return True
    if engine is EngineName.ray and is_image_folder(source):
        raise ParameterError("--engine ray answers about tables, the data are images. Drop it.")
    if engine is EngineName.ray and output != "-" and names_folder:
        return True
    if engine is EngineName.ray or resume:
        option = "--resume" if resume else "--engine ray"
        raise ParameterError(f"{option} writes a folder of files. Give -o FOLDER/.")
    return False


def answer_files(
    predictor: BatchPredictor, source: Source, output: str, engine: Any, resume: bool
) -> int:
    """Write one output file per file of DATA, and return the number of flagged rows."""
    import sys

    from latently.io import TableDataset
    from latently.persistence import BatchJob

    _ = predictor.model  # what is wrong with it is said before workers are started
    dataset = TableDataset(source.path, source.format, source.options(spec_of(predictor.model)))
    job = BatchJob(predictor, dataset, output.rstrip("/"), resume)
    found = job.run(None if isinstance(engine, str) else engine, verbose=sys.stderr.isatty())
    before = f"; {found.n_before:,} files were there" if found.n_before else ""
    echo(f"wrote {found.n_rows:,} rows in {found.n_files:,} files to {output}{before}")
    return found.n_anomalies


def refuse_with_folder(**options: Any) -> None:
    """Raise ParameterError if options are given that do not apply to output in a folder."""
    from latently.exceptions import ParameterError

    for name, value in options.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise ParameterError(f"{option} needs answers in one file. Drop it, or give -o FILE.")
