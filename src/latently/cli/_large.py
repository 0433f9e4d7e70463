"""Tables larger than memory: a sample of them, or answers piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from latently.cli._data import (
    Rows,
    Source,
    id_names,
    match_rows,
    names_of_fit,
    open_large,
    shown_names,
    spec_of,
)
from latently.cli._output import Target, announce, with_ids

if TYPE_CHECKING:
    import pyarrow as pa

    from latently.io import TableDataset


def answer_large(
    source: Source, model: Any, target: Target, answer: Callable[[Rows], pa.Table]
) -> bool:
    """Write answers about a table larger than memory, piece by piece.

    Parameters
    ----------
    source : Source
        Where rows come from.
    model : estimator
        Whose columns are picked.
    target : Target
        Where the answers go.
    answer : callable
        From some rows to a table of as many.

    Returns
    -------
    bool
        False if the table fits into memory: nothing was done.
    """
    dataset = open_large(source, source.options(spec_of(model)))
    if dataset is None:
        return False
    pieces = (with_ids(answer(rows), rows) for rows in matched_pieces(dataset, model, source))
    write_large(pieces, dataset.n_rows, target)
    return True


def matched_pieces(dataset: TableDataset, model: Any, source: Source) -> Iterator[Rows]:
    """Yield a dataset as the model's columns, with ids, read ahead and counted by a bar."""
    import sys

    from latently.io._prefetch import prefetched
    from latently.io._progress import watched

    # Says which columns the model does not know, once.
    match_rows(dataset.schema.empty_table(), model, source)
    fitted = names_of_fit(model)
    if fitted is not None:
        known = [*fitted, *id_names(dataset.column_names, source), source.time]
        dataset = dataset.select([name for name in dataset.column_names if name in known])
    with prefetched(dataset) as pieces:
        for piece in watched(pieces, "rows", dataset.n_rows, sys.stderr.isatty()):
            yield match_rows(piece, model, source)


def known_columns(dataset: TableDataset, model: Any, source: Source) -> TableDataset:
    """Return the model's columns of a dataset, or all except ids for a model of arrays."""
    fitted = names_of_fit(model)
    if fitted is None:
        names = shown_names(dataset.column_names)
        beside = {*(source.ids or ()), source.time}
        fitted = tuple(name for name in names if name not in beside)
    return dataset.select(list(fitted))


def write_large(pieces: Iterator[pa.Table], n_rows: int, target: Target) -> None:
    """Write the answers about so many rows as they come."""
    from latently.io.dataset._pieces import write_pieces

    written = write_pieces(
        pieces, target.path, target.format_name, overwrite=target.overwrite, n_rows=n_rows
    )
    announce(target, f"{written:,} rows")
