"""``latently compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from latently.cli import _options as options
from latently.cli._data import Source, read_training_rows
from latently.cli._output import write_json, write_text


def compare(
    real: Annotated[str, typer.Argument(metavar="REAL", help="The rows that were imitated.")],
    synthetic: Annotated[str, typer.Argument(metavar="SYNTHETIC", help="The rows made up.")],
    holdout: Annotated[
        str | None, typer.Option(metavar="DATA", help="Real rows that the generator did not see.")
    ] = None,
    target: Annotated[
        str | None, typer.Option(metavar="COL", help="Column that models shall predict.")
    ] = None,
    ids: options.Ids = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", metavar="COL", help="Column to leave out; repeatable."),
    ] = None,
    format: options.InputFormat = None,
    json: options.Json = False,
) -> None:
    """Say how like the real rows synthetic ones are, and whether they give any away."""
    from latently.inspection import compare as find

    tables = [
        None if path is None else read_training_rows(Source(path, format, ids=ids), ignore).values
        for path in (real, synthetic, holdout)
    ]
    found = find(tables[0], tables[1], holdout=tables[2], target=target)
    if json:
        write_json(found.to_dict())
    else:
        write_text(str(found))
