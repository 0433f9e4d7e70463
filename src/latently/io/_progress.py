"""Progress bar over the rows of a table that is processed in pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

__all__ = ["progress_bar", "watched"]


class HasRows(Protocol):
    """A piece of a table."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        ...


Counted = TypeVar("Counted", bound=HasRows)


def progress_bar(*columns: ProgressColumn, verbose: bool = True) -> Progress:
    """Return a progress bar on stderr, or one output of a cell in a notebook.

    Parameters
    ----------
    *columns : ProgressColumn
        Parts of the line, as rich has them.
    verbose : bool, default=True
        False shows nothing.

    Returns
    -------
    Progress
        Not started.
    """
    from rich.console import Console
    from rich.progress import Progress

    console, kind = Console(stderr=True), Progress
    if console.is_jupyter:
        from latently.io._notebook_bar import NotebookBar as kind
    return kind(*columns, console=console, disable=not verbose)


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    with progress_bar(
        TextColumn("[bold]{task.description}"), BarColumn(), MofNCompleteColumn(), TimeLeft(),
    ) as progress:  # fmt: skip
        task = progress.add_task(title, total=n_rows)
        for piece in pieces:
            yield piece
            progress.advance(task, piece.num_rows)
