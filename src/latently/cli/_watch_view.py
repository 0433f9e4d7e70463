"""Live view of a watch on a terminal, or plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from latently.cli._guard import echo

if TYPE_CHECKING:
    from rich.console import RenderableType

    from latently.monitoring import BatchReport, Watch

_N_BINS, _N_ALERTS, _BAR = 10, 8, 40
#: Seconds over which the rate of rows is averaged.
_RATE_SECONDS = 60.0


@contextmanager
def view_of(watch: Watch, plain: bool) -> Iterator[None]:
    """Show the batches of a watch while a block runs.

    Parameters
    ----------
    watch : Watch
        Its callbacks are replaced.
    plain : bool
        True writes lines even on a terminal.

    Yields
    ------
    None
        Within the block the view is shown.
    """
    is_shared = watch.print_alerts and sys.stdout.isatty()
    if plain or not sys.stderr.isatty():
        if not watch.print_alerts:
            watch.on_batch = _echo_batch
        yield
        return
    from rich.console import Console
    from rich.live import Live

    view = View()
    with Live(get_renderable=view.render, console=Console(stderr=True)) as live:
        watch.on_batch = view.add
        watch.notify = lambda text: live.console.print(text, markup=False, highlight=False)
        if is_shared:  # the view shows them
            watch.send = lambda _: None
        yield


def _echo_batch(batch: BatchReport) -> None:
    for alert in batch.alerts:
        echo(words_of(alert))


def words_of(alert: dict[str, Any]) -> str:
    """Return an alert as one line."""
    clock = datetime.fromisoformat(alert["time"]).strftime("%H:%M:%S")
    reasons = "; ".join(alert["reasons"]) or "no column stands out"
    if alert["kind"] != "anomaly":
        return f"{clock} {alert['kind']}: {reasons}"
    return f"{clock} {alert['id']} p={alert['p_value']:.2g} {reasons}"


class View:
    """Counts and pictures of the latest rows."""

    def __init__(self) -> None:
        self.n_rows = self.n_alerts = 0
        self.bins = [0] * _N_BINS
        self.latest: deque[str] = deque(maxlen=_N_ALERTS)
        self._times: deque[tuple[float, int]] = deque()

    def add(self, batch: BatchReport) -> None:
        """Add a batch."""
        now = time.monotonic()
        self.n_rows += len(batch.p_values)
        self.n_alerts += len(batch.alerts)
        self._times.append((now, len(batch.p_values)))
        for value in batch.p_values.tolist():
            self.bins[min(int(value * _N_BINS), _N_BINS - 1)] += 1
        self.latest.extend(map(words_of, batch.alerts))

    def rate(self) -> float:
        """Return the rows of a second, averaged over the last minute."""
        now = time.monotonic()
        while self._times and now - self._times[0][0] > _RATE_SECONDS:
            self._times.popleft()
        return sum(n_rows for _, n_rows in self._times) / _RATE_SECONDS

    def render(self) -> RenderableType:
        """Return the view as text."""
        from rich.text import Text

        head = f"rows {self.n_rows:,} ({self.rate():.1f} / s)  alerts {self.n_alerts:,}"
        return Text("\n".join([head, "p-values", *self._histogram(), "last alerts", *self.latest]))

    def _histogram(self) -> list[str]:
        most = max(1, *self.bins)
        return [
            f"{place / _N_BINS:4.1f} {'█' * round(_BAR * count / most)} {count:,}"
            for place, count in enumerate(self.bins)
        ]
