"""Progress bar of a search."""

from __future__ import annotations

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latently.io._progress import progress_bar


class SearchBar:
    """Progress bar of trials, best score and time left, on stderr or below a notebook cell.

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
        self._bar = progress_bar(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[best]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            verbose=verbose,
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
