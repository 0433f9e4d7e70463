"""The watch: new rows in, alerts out, one recorded state between."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from latently.exceptions import DataError, ParameterError
from latently.io import TextOptions
from latently.io._atomic import standard_output
from latently.monitoring._ledger import check_ledger
from latently.monitoring._rules import AlertRules
from latently.monitoring._run import BatchReport, Run, WatchReport
from latently.monitoring._webhook import Webhook
from latently.monitoring.sources._chunks import Source


def _print(line: bytes) -> None:
    with standard_output() as stream:
        stream.write(line)


def _ignore(_: Any) -> None:
    pass


def _now() -> datetime:
    return datetime.now().astimezone()


@dataclass(kw_only=True, eq=False)
class Watch:
    """Score the new rows of a source, each once, and write alerts.

    After each batch the position of the source, the running calibration and the lengths of the
    output files are recorded in one state file, which is replaced atomically. Output beyond the
    recorded lengths stems from a batch that was interrupted. It is overwritten after a restart, as
    its rows are scored again. So the files hold each row once, whenever the process is killed. A
    receiver of ``webhook`` or ``print_alerts`` may get the last alerts twice, with the same key.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted on a table with column names.
    source : FileSource, FolderSource, QuerySource or PipeSource
        Source of the rows.
    state : str or Path
        State file. It is created by the first batch. Its name begins those of the spools.
    alerts : str, Path or None, default=None
        File that alerts are appended to, one JSON object a line.
    scores : str, Path or None, default=None
        File that the score of every row is appended to.
    bad_rows : str, Path or None, default=None
        File for rows that cannot be used. None stops at the first, with the position before it.
    print_alerts : bool, default=False
        True writes alerts to standard output.
    webhook : Webhook or None, default=None
        Receiver of alerts.
    rules : AlertRules, default=AlertRules()
        Which flagged rows become alerts.
    id : str or None, default=None
        Column of identifiers. None identifies rows by their place in the source.
    options : TextOptions, default=TextOptions()
        Gap words, decimal sign and order of dates.
    window : int, default=2_000
        Latest normal scores that calibrate p-values and the threshold.
    batch_size : int, default=1_000
        Most rows that are scored between two records of the state.
    notify : callable, optional
        Receives each message once.
    on_batch : callable, optional
        Receives the scores and the alerts of each batch.
    clock : callable, optional
        Returns the local time with its offset.
    send : callable, optional
        Replaces writing to standard output, with ``print_alerts``.
    retry_after : float, default=1.0
        Seconds before a failed delivery is tried again. They double up to 60.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import pyarrow as pa
    >>> from latently import AnomalyDetector
    >>> from latently.monitoring import FileSource
    >>> normal = pa.table({"x": [i / 7 for i in range(200)]})
    >>> detector = AnomalyDetector(random_state=0).fit(normal)
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "new.csv").write_text("x\\n7.0\\n8000.0\\n")
    >>> watch = Watch(
    ...     detector=detector, source=FileSource(folder / "new.csv"), state=folder / "state.json",
    ...     alerts=folder / "alerts.ndjson",
    ... )
    >>> report = watch.run(once=True)
    >>> report.n_rows, report.n_alerts
    (2, 1)
    >>> watch.run(once=True).n_rows
    0
    """

    detector: Any
    source: Source
    state: str | Path
    alerts: str | Path | None = None
    scores: str | Path | None = None
    bad_rows: str | Path | None = None
    print_alerts: bool = False
    webhook: Webhook | None = None
    rules: AlertRules = field(default_factory=AlertRules)
    id: str | None = None
    options: TextOptions = field(default_factory=TextOptions)
    window: int = 2_000
    batch_size: int = 1_000
    notify: Callable[[str], None] = _ignore
    on_batch: Callable[[BatchReport], None] = _ignore
    clock: Callable[[], datetime] = _now
    send: Callable[[bytes], None] = _print
    retry_after: float = 1.0

    def run(self, *, once: bool = False, poll: float = 1.0) -> WatchReport:
        """Score new rows until the source ends.

        Parameters
        ----------
        once : bool, default=False
            True scores what is there and returns. False waits for more.
        poll : float, default=1.0
            Seconds between two looks at the source.

        Returns
        -------
        WatchReport
            Counts of this run.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value.
        DataError
            If a row cannot be used and ``bad_rows`` is None. All rows before it are recorded.
        """
        with self._started() as run:
            while run.step() or not self._is_over(once):
                if not run.is_busy:
                    self.source.wait(poll)
            run.finish()
            return run.report()

    def _is_over(self, once: bool) -> bool:
        return self.source.ended or (once and not self.source.is_pending)

    @contextmanager
    def _started(self) -> Iterator[Run]:
        self._check()
        path = check_ledger(self.state, "state")
        try:
            with FileLock(f"{path}.lock", timeout=0), closing(self.source):
                yield Run(self, path)
        except Timeout:
            raise DataError(
                f"{path} is in use by another watch. Stop it, or name another --state."
            ) from None

    def _check(self) -> None:
        self.rules.check()
        for name in ("batch_size", "window"):
            value = getattr(self, name)
            if value < 1:
                raise ParameterError(f"{name} must be at least 1, got {value}. Leave it out.")
