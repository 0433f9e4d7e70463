"""A progress bar that stays readable in a saved notebook."""

from __future__ import annotations

import io
import time
from typing import Any

from IPython.display import display
from rich.console import Console
from rich.progress import Progress, TaskID

#: Letters of the bar's line, and seconds between two states of it.
_WIDTH, _PAUSE = 100, 0.5


class NotebookBar(Progress):
    """One output of a cell, replaced as work goes on: a saved notebook has its last state.

    rich itself needs ipywidgets in a notebook; without it, each refresh leaves a warning.
    """

    _output: Any = None
    _shown_at = 0.0

    def start(self) -> None:
        """Add the output to the cell."""
        if not self.disable:
            show: Any = display
            self._output = show({"text/plain": ""}, raw=True, display_id=True)
            self.refresh()

    def stop(self) -> None:
        """Show the last state."""
        self.refresh()
        self._output = None

    def update(self, task_id: TaskID, **state: Any) -> None:
        """Set the state of a task; show it unless the last one is half a second old."""
        super().update(task_id, **state)
        if time.monotonic() - self._shown_at >= _PAUSE:
            self.refresh()

    def refresh(self) -> None:
        """Show the state."""
        if self._output is None:
            return
        self._shown_at = time.monotonic()
        page = Console(file=io.StringIO(), width=_WIDTH, force_jupyter=False, color_system=None)
        with page.capture() as text:
            page.print(self.get_renderable())
        self._output.update({"text/plain": text.get().rstrip()}, raw=True)
