"""How far a search is, and the best so far."""

from __future__ import annotations

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from latently.io import progress_bar


class SearchBar:
    """A bar on stderr, or below the cell of a notebook: trials, best figure so far, the time left.

    Parameters
    ----------
    n_trials : int or None
        Trials to come; None counts time.
    seconds : float or None
        Time to come, where trials are not counted.
    verbose : bool
        False shows nothing.
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
        """Say how many trials are over, after how long, and the best figure."""
        self._bar.update(
            self._task, completed=n_ended if self._counts else seconds,
            description=f"trial {n_ended:,}", best=f"best so far {best:.4f}",
        )  # fmt: skip

    def note(self, what: str) -> None:
        """Say what is being done beside trials."""
        self._bar.update(self._task, description=what)
