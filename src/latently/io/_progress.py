"""Progress bar over the rows of a table that is processed in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

__all__ = ["watched"]


class HasRows(Protocol):
    """A piece of a table."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...


Counted = TypeVar("Counted", bound=HasRows)


def watched(pieces: Iterable[Counted], title: str, n_rows: int, verbose: bool) -> Iterator[Counted]:
    """Yield pieces of a table, with a progress bar on stderr that counts their rows.

    Parameters
    ----------
    pieces : iterable of piece
        The pieces, in order.
    title : str
        Label of the bar.
    n_rows : int
        Number of rows of all pieces.
    verbose : bool
        If False, no bar is shown.

    Yields
    ------
    piece
        The same pieces.
    """
    if not verbose:
        yield from pieces
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    with Progress(
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft(),
        console=Console(stderr=True),
    ) as progress:  # fmt: skip
        task = progress.add_task(title, total=n_rows)
        for piece in pieces:
            yield piece
            progress.advance(task, piece.num_rows)
