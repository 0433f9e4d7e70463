"""Progress bar of a search."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class SearchBar:
    """Progress bar on stderr with the number of trials, the best score and the time left.

    Parameters
    ----------
    n_trials : int or None
        Number of trials. None measures the progress by time.
    seconds : float or None
        Time limit in seconds, used if ``n_trials`` is None.
    verbose : bool
        If False, show nothing.
    """

    def __init__(self, n_trials: int | None, seconds: float | None, verbose: bool) -> None:
        self._counts = n_trials is not None
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[best]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not verbose,
        )
        self._task = self._bar.add_task("search", total=n_trials or seconds, best="default")

    def __enter__(self) -> SearchBar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, n_ended: int, seconds: float, best: float) -> None:
        """Show the number of ended trials, the elapsed seconds and the best score."""
        self._bar.update(
            self._task, completed=n_ended if self._counts else seconds,
            description=f"trial {n_ended:,}", best=f"best so far {best:.4f}",
        )  # fmt: skip

    def note(self, text: str) -> None:
        """Show a description of the current step."""
        self._bar.update(self._task, description=text)
