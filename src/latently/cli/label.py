"""``latently label``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._guard import echo
from latently.cli._output import write_json, write_text


def label(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file that raised alerts.")],
    yes: Annotated[
        list[str] | None,
        typer.Option("--yes", metavar="IDS", help="Confirmed anomalies: a,b,c; repeatable."),
    ] = None,
    no: Annotated[
        list[str] | None,
        typer.Option("--no", metavar="IDS", help="False alarms: a,b,c; repeatable."),
    ] = None,
    ids_file: Annotated[
        str | None,
        typer.Option(
            "--ids-file",
            metavar="FILE",
            help="Table with the columns id and label (1 or true, 0 or false).",
        ),
    ] = None,
    show: Annotated[
        bool, typer.Option("--show", help="Show the precision of the rows with a verdict.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Keep the verdicts of analysts beside MODEL, and show the precision so far.

    They are appended to MODEL.labels.ndjson. The latest verdict about an id holds. `latently detect
    --labels FILE` fits a new detector with them.
    """
    from latently.exceptions import ParameterError
    from latently.monitoring import Verdicts

    _check_model(model)
    confirmed, denied = _split(yes), _split(no)
    if ids_file is not None:
        for name, is_anomaly in _read_ids(ids_file).items():
            (confirmed if is_anomaly else denied).append(name)
    if not (confirmed or denied or show or json):
        raise ParameterError("label must be given --yes, --no, --ids-file or --show, got none.")
    verdicts = Verdicts.beside(model)
    verdicts.add(confirmed, denied)
    if confirmed or denied:
        echo(f"added {len(confirmed) + len(denied):,} verdicts to {verdicts.path}")
    precision = verdicts.precision()
    if json:
        found = {**precision._asdict(), "precision": precision.value}
        write_json({"labels": str(verdicts.path), **found})
    elif show:
        write_text(str(precision))


def _check_model(model: str) -> None:
    from pathlib import Path

    from latently.exceptions import ParameterError

    if not Path(model).is_file():
        raise ParameterError(f"MODEL must be a model file, got {model}. Check the name.")


def _split(groups: list[str] | None) -> list[str]:
    parts = [part.strip() for group in groups or () for part in group.split(",")]
    return [part for part in parts if part]


def _read_ids(path: str) -> dict[str, bool]:
    """Return the labels of a table by id."""
    import numpy as np

    from latently.cli._data import select
    from latently.exceptions import DataError
    from latently.io import TextOptions
    from latently.io._read import read_with

    table: Any = read_with(TextOptions(text=["id"]), path)
    if not hasattr(table, "column_names"):
        raise DataError(f"{path}: a table with the columns id and label is needed. Give one.")
    select(table, ["id", "label"], "--ids-file")
    labels = table["label"].to_pylist()
    wrong = [value for value in labels if not isinstance(value, bool | int) or value not in (0, 1)]
    if wrong:
        raise DataError(
            f"{path}: labels must be 1 or true, 0 or false, got {wrong[0]!r:.40}. Recode them."
        )
    return dict(
        zip(map(str, table["id"].to_pylist()), np.array(labels, bool).tolist(), strict=True)
    )
