"""One run of a watch: batches from the source to the outputs, and the record of each."""

from __future__ import annotations

import hashlib
import json
import re
import time
import warnings
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from latently.exceptions import DataError, LatentlyWarning, ParameterError
from latently.io import text_name
from latently.monitoring._ledger import Ledger, check_ledger
from latently.monitoring._outbox import Outbox
from latently.monitoring._rules import Outcome
from latently.monitoring._state import State, check_source, fingerprint, read_state
from latently.monitoring.sources._chunks import Chunk, as_json, at_place
from latently.tasks import ScoredRows, spec_of

if TYPE_CHECKING:
    from latently.monitoring._watch import Watch

#: Rows between two tests for drift.
_DRIFT_EVERY = 200
#: Failed deliveries in a row after which the end of a run leaves the rest for the next.
_MOST_TRIES = 4
#: Seconds after which a message is repeated.
_REPEATED = 600.0
_VARIABLE = re.compile(r"'[^']*'|\d+")


class WatchReport(NamedTuple):
    """Result of a run of a watch.

    Parameters
    ----------
    n_rows : int
        Rows scored in this run.
    n_alerts : int
        Alerts raised in this run, with those held for the end of the quiet hours.
    n_bad : int
        Rows set aside in this run.
    drifted : bool
        True if the latest scores are not spread as those of the fit.
    """

    n_rows: int
    n_alerts: int
    n_bad: int
    drifted: bool


class BatchReport(NamedTuple):
    """Result of one batch.

    Parameters
    ----------
    p_values : ndarray of shape (n_rows,)
        Share of recent normal rows at least as unusual as each row.
    alerts : list of dict
        The alerts, as they are written.
    """

    p_values: np.ndarray
    alerts: list[dict[str, Any]]


class _Unusable(Exception):
    """A row cannot be read or scored, and there is no file for such rows."""

    def __init__(self, row: int, error: DataError) -> None:
        super().__init__(str(error))
        self.row, self.error = row, error


class _Row(NamedTuple):
    """A flagged row that becomes an alert."""

    row: int
    outcome: Outcome
    head: dict[str, Any]


class _Batch:
    """Lines and counts of a batch that is not recorded yet."""

    def __init__(self) -> None:
        self.scores: list[bytes] = []
        self.bad: list[bytes] = []
        self.held: list[bytes] = []
        self.alerts: list[dict[str, Any]] = []
        self.p_values: list[np.ndarray] = []
        self.n_alerts = 0


class Run:
    """A run of a watch between its start and its end.

    Parameters
    ----------
    watch : Watch
        Parameters.
    path : Path
        State file, locked by the caller.
    """

    def __init__(self, watch: Watch, path: Path) -> None:
        self._watch, self._path = watch, path
        self._said: dict[str, float] = {}
        self._names = _names_of(watch.detector)
        self._stream = watch.detector.stream(window=watch.window)
        self._state = self._open_state()
        self._ledgers = self._open_ledgers()
        self._outboxes = self._open_outboxes()
        self._start = self._counts()
        self.is_busy = False
        extra = [name for name in (watch.id, watch.rules.dedupe) if name is not None]
        columns = list(dict.fromkeys([*self._names, *extra]))
        watch.source.open(_options(watch, self._names, extra), columns, self.notify)

    def notify(self, message: str) -> None:
        """Pass on a message, unless it was passed on in the last ten minutes."""
        now = time.monotonic()
        if now - self._said.get(message, -_REPEATED) >= _REPEATED:
            self._said[message] = now
            self._watch.notify(message)

    def step(self) -> bool:
        """Take the next batch, and deliver what is due.

        Returns
        -------
        bool
            True if there was something to do.
        """
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", LatentlyWarning)
            try:
                self.is_busy = self._step()
            finally:
                self._pass_on(found)
        return self.is_busy

    def finish(self) -> None:
        """Test for drift, and try to deliver all alerts."""
        if self._state.n_rows > self._state.tested:
            self._record_drift()
        for outbox in self._outboxes.values():
            while not outbox.is_empty and outbox.backoff.n_failures < _MOST_TRIES:
                time.sleep(outbox.backoff.remaining())
                if outbox.deliver(self.notify):
                    self._commit()

    def report(self) -> WatchReport:
        """Return the counts of this run."""
        rows, alerts, bad = np.subtract(self._counts(), self._start).tolist()
        return WatchReport(rows, alerts, bad, self._state.drifted)

    def _counts(self) -> tuple[int, int, int]:
        return self._state.n_rows, self._state.n_alerts, self._state.n_bad

    def _step(self) -> bool:
        chunk = self._watch.source.read(self._state.position, self._watch.batch_size)
        if chunk is not None:
            self._take(chunk)
        self._release_held()
        return self._deliver() or chunk is not None

    # -- start ------------------------------------------------------------------------------------

    def _open_state(self) -> State:
        source, model = self._watch.source.identity, fingerprint(self._watch.detector)
        state = read_state(self._path)
        if state is None:
            return State(source, model)
        check_source(state, source, self._path)
        window = len((state.stream or {}).get("running", {}).get("ring", ()))
        if state.model != model or window > self._watch.window:
            self.notify("The model or the window changed. The running calibration starts anew.")
            state.model, state.stream, state.drifted = model, None, False
        if state.stream is not None:
            self._stream.restore(state.stream)
        return state

    def _open_ledgers(self) -> dict[str, Ledger]:
        watch = self._watch
        paths = {"alerts": watch.alerts, "scores": watch.scores, "bad_rows": watch.bad_rows}
        found = {
            name: Ledger(check_ledger(path, name))
            for name, path in paths.items()
            if path is not None
        }
        found["held"] = Ledger(Path(f"{self._path}.held"))
        for name, ledger in found.items():
            ledger.open_at(self._recorded(name, ledger), self.notify)
        return found

    def _recorded(self, name: str, ledger: Ledger) -> int | None:
        """Return the recorded length of a file, None for a file that is new to the state."""
        own = name == "held" or name not in ("alerts", "scores", "bad_rows")
        key = name if own else f"{name} {ledger.path.resolve()}"
        return self._state.lengths.get(key, 0 if own else None)

    def _open_outboxes(self) -> dict[str, Outbox]:
        watch = self._watch
        senders = {"stdout": watch.send if watch.print_alerts else None, "webhook": watch.webhook}
        found = {}
        for name, send in senders.items():
            spool, refused = (Path(f"{self._path}.{name}{end}") for end in ("", ".refused"))
            if send is not None:
                outbox = found[name] = Outbox(spool, refused, send)
                outbox.backoff.first = watch.retry_after
                outbox.spool.open_at(self._state.lengths.get(name, 0), self.notify)
                outbox.delivered = self._state.delivered.get(name, 0)
        return found

    # -- one batch --------------------------------------------------------------------------------

    def _take(self, chunk: Chunk) -> None:
        """Score a chunk and record it. Rows after an unusable one stay in the source."""
        batch, error, n_rows = _Batch(), None, len(chunk)
        try:
            self._score(chunk, 0, len(chunk), batch)
        except _Unusable as found:
            error, n_rows = found.error, found.row
        if n_rows:
            self._write(batch, chunk.after(n_rows))
        if error is not None:
            raise error

    def _score(self, chunk: Chunk, start: int, stop: int, batch: _Batch) -> None:
        """Score some rows in order. Unusable ones are found by halving."""
        try:
            table = chunk.read(start, stop)
            cut = self._stream.cut
            scored = self._stream.score_rows(table.select(self._names))
        except DataError as error:
            if stop - start == 1:
                self._set_aside(chunk, start, error, batch)
                return
            middle = (start + stop) // 2
            self._score(chunk, start, middle, batch)
            self._score(chunk, middle, stop, batch)
            return
        self._note(table, scored, cut, [chunk.place(row) for row in range(start, stop)], batch)

    def _set_aside(self, chunk: Chunk, row: int, error: DataError, batch: _Batch) -> None:
        name, place = getattr(chunk, "name", "source"), chunk.place(row)
        error = at_place(error, name, place)
        if "bad_rows" not in self._ledgers:
            raise _Unusable(row, error) from None
        batch.bad.append(_line({"place": place, "error": str(error), "row": chunk.raw(row)}))
        self.notify(f"{error} The row is set aside.")

    def _note(
        self,
        table: pa.Table,
        scored: ScoredRows,
        cut: float,
        places: Sequence[str],
        batch: _Batch,
    ) -> None:
        """Decide about flagged rows, and write the lines of all of them."""
        now = self._watch.clock()
        ids = _texts(table, self._watch.id) or places
        values = _texts(table, self._watch.rules.dedupe)
        rows: list[_Row] = []
        first = self._state.n_rows + self._state.n_bad + len(batch.scores) + len(batch.bad)
        for row, flag in enumerate(scored.is_anomaly.tolist()):
            outcome = None
            if flag:
                value = None if values is None else values[row]
                outcome = self._watch.rules.outcome(value, now, self._state.rules)
            head = {
                "id": ids[row],
                "place": places[row],
                "score": as_json(float(scored.anomaly_score[row])),
                "p_value": float(scored.p_value[row]),
            }
            batch.scores.append(_line({**head, "is_anomaly": flag, "alert": outcome}))
            if outcome in ("sent", "held"):
                key = self._key(first + row)
                head = {"kind": "anomaly", "key": key, **head}
                rows.append(_Row(row, outcome, self._counted(head) if outcome == "sent" else head))
            elif outcome is not None:
                self._state.rules["suppressed"] = self._state.rules.get("suppressed", 0) + 1
        batch.p_values.append(scored.p_value)
        self._explain(table.select(self._names), rows, cut, now, batch)

    def _explain(
        self, table: pa.Table, rows: list[_Row], cut: float, now: datetime, batch: _Batch
    ) -> None:
        if not rows:
            return
        some = table.take([row.row for row in rows])
        found = self._watch.detector.explain(some)
        for row, reasons, columns in zip(rows, found, some.to_pylist(), strict=True):
            alert = {
                **row.head,
                "time": now.isoformat(timespec="seconds"),
                "threshold": as_json(float(cut)),
                "reasons": [str(reason) for reason in reasons.reasons],
                "columns": as_json(columns),
            }
            batch.n_alerts += 1
            if row.outcome == "held":
                batch.held.append(_line(alert))
            else:
                batch.alerts.append(alert)

    def _counted(self, alert: dict[str, Any]) -> dict[str, Any]:
        """Add the number of flagged rows since the last alert that became none."""
        return {**alert, "suppressed": self._state.rules.pop("suppressed", 0)}

    def _key(self, number: int) -> str:
        """Return the idempotency key of an alert: the same after a restart."""
        text = f"{self._state.source}\0{self._state.model}\0{number}"
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    # -- outputs ----------------------------------------------------------------------------------

    def _write(self, batch: _Batch, position: dict[str, Any]) -> None:
        """Append the lines of a batch to the files, then record the new lengths."""
        state = self._state
        state.position, state.stream = position, self._stream.state()
        state.n_rows += len(batch.scores)
        state.n_alerts += batch.n_alerts
        state.n_bad += len(batch.bad)
        for name in ("scores", "bad_rows"):
            if name in self._ledgers:
                lines = batch.scores if name == "scores" else batch.bad
                self._ledgers[name].append(b"".join(lines))
        self._ledgers["held"].append(b"".join(batch.held))
        if state.n_rows - state.tested >= _DRIFT_EVERY:
            batch.alerts += self._drift_alerts()
        self._emit(batch.alerts)
        self._commit()
        p_values = np.concatenate(batch.p_values) if batch.p_values else np.empty(0)
        self._watch.on_batch(BatchReport(p_values, batch.alerts))

    def _emit(self, alerts: list[dict[str, Any]]) -> None:
        lines = b"".join(map(_line, alerts))
        if "alerts" in self._ledgers:
            self._ledgers["alerts"].append(lines)
        for outbox in self._outboxes.values():
            outbox.spool.append(lines)

    def _commit(self) -> None:
        """Record the position and the lengths of all files: from here on they count."""
        for name, ledger in self._ledgers.items():
            key = name if name == "held" else f"{name} {ledger.path.resolve()}"
            self._state.lengths[key] = ledger.length
        for name, outbox in self._outboxes.items():
            self._state.lengths[name] = outbox.spool.length
            self._state.delivered[name] = outbox.delivered
        self._state.save(self._path)

    def _release_held(self) -> None:
        """Send the alerts of the quiet hours after their end, the smallest p-value first."""
        held, now = self._ledgers["held"], self._watch.clock()
        if not held.length or self._watch.rules.is_quiet(now):
            return
        alerts = sorted(map(json.loads, held.read_from(0)), key=lambda alert: alert["p_value"])
        sent = [a for a in alerts if self._watch.rules.spend(now, self._state.rules) == "sent"]
        n_lost = len(alerts) - len(sent)
        self._state.rules["suppressed"] = self._state.rules.get("suppressed", 0) + n_lost
        sent = [self._counted(alert) for alert in sent]
        held.length = 0
        self._emit(sent)
        self._commit()
        self._watch.on_batch(BatchReport(np.empty(0), sent))

    def _deliver(self) -> bool:
        changed = [outbox.deliver(self.notify) for outbox in self._outboxes.values()]
        if any(changed):
            self._commit()
        return any(changed)

    def _record_drift(self) -> None:
        self._emit(self._drift_alerts())
        self._commit()

    def _drift_alerts(self) -> list[dict[str, Any]]:
        """Test the latest scores, and return an alert if a drift begins."""
        state, found = self._state, self._stream.drift()
        began = found.drifted and not state.drifted
        state.tested, state.drifted = state.n_rows, bool(found.drifted)
        if not began:
            return []
        self.notify(str(found))
        now = self._watch.clock().isoformat(timespec="seconds")
        key = self._key(-state.n_rows)
        return [
            {"kind": "drift", "key": key, "time": now, "p_value": found.p_value,
             "reasons": [str(found)]}
        ]  # fmt: skip

    def _pass_on(self, found: Sequence[warnings.WarningMessage]) -> None:
        for warning in found:
            text = " ".join(str(warning.message).split())
            kind = _VARIABLE.sub("", text)
            if kind not in self._said:
                self._said[kind] = 0.0
                self._watch.notify(text)


def _names_of(detector: Any) -> list[str]:
    """Return the columns of a detector of tables, or raise ParameterError."""
    spec = spec_of(detector)
    if not hasattr(detector, "calibration_") or spec is None:
        raise ParameterError(
            f"detector must be fitted on a table with column names, got "
            f"{type(detector).__name__}. Fit one with `latently detect`."
        )
    return [str(name) for name in spec.names or ()]


def _options(watch: Watch, names: Sequence[str], extra: Sequence[str]) -> Any:
    """Return how to read the source: as the model's table, further columns as text."""
    from dataclasses import replace

    return replace(
        watch.options,
        like=spec_of(watch.detector),
        text=[name for name in extra if name not in names],
        beside=[name for name in extra if name in names],
    ).check()


def _texts(table: pa.Table, name: str | None) -> list[str] | None:
    """Return the texts of a column, None without a name."""
    if name is None:
        return None
    own = text_name(name) if text_name(name) in table.column_names else name
    return ["" if value is None else str(value) for value in table[own].to_pylist()]


def _line(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False).encode() + b"\n"
