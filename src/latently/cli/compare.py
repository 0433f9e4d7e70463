"""``latently compare``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from latently.cli import _options as options
from latently.cli._data import Marks, Source, read_training_rows
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
    missing: options.Missing = None,
    decimal: options.Decimal = None,
    dates: options.Dates = None,
    format: options.InputFormat = None,
    json: options.Json = False,
) -> None:
    """Measure the fidelity and privacy of synthetic rows against real rows."""
    from latently.inspection import compare as find
    from latently.schema import table_spec_of

    source = Source(real, format, ids=ids, marks=Marks(missing, decimal, dates))
    first = read_training_rows(source, ignore).values
    # The others are read as the real rows were, whatever their own cells look like.
    like = table_spec_of(first) if hasattr(first, "column_names") else None

    def rows_of(path: str) -> Any:
        """Read other rows. Columns to leave out may be absent, such as ids in synthetic rows."""
        rows = read_training_rows(source._replace(path=path, ids=None), None, like=like).values
        aside = {*(ids or ()), *(ignore or ())}.intersection(getattr(rows, "column_names", ()))
        return rows.drop_columns(list(aside)) if aside else rows

    second, third = (None if path is None else rows_of(path) for path in (synthetic, holdout))
    found = find(first, second, holdout=third, target=target)
    if json:
        write_json(found.to_dict())
    else:
        write_text(str(found))
