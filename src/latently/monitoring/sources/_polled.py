"""The common part of sources that are looked at again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from latently.io import TextOptions


class PolledSource:
    """A source of rows that is looked at again and again."""

    _options = TextOptions()
    _columns: Sequence[str] = ()

    @property
    def ended(self) -> bool:
        """False, because new rows may come."""
        return False

    @property
    def is_pending(self) -> bool:
        """True while a single run must wait for further rows."""
        return False

    def open(
        self, options: TextOptions, columns: Sequence[str], notify: Callable[[str], None]
    ) -> None:
        """Prepare reading of some columns.

        Parameters
        ----------
        options : TextOptions
            Options of reading.
        columns : sequence of str
            Columns that each row must have.
        notify : callable
            Receives messages.
        """
        self._options, self._columns, self._notify = options, columns, notify

    def wait(self, seconds: float) -> None:
        """Wait before the next look.

        Parameters
        ----------
        seconds : float
            Longest time to wait.
        """
        time.sleep(seconds)

    def close(self) -> None:
        """Release files and connections after a run."""
