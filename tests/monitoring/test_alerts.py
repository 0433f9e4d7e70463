"""Rules about alerts, and their delivery."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from latently import FalseAlarmRate
from latently.exceptions import DataError, ParameterError
from latently.monitoring import AlertRules, Webhook, parse_duration, parse_hours

from .conftest import HEADER, Make, ids, line, read_lines, rows

NOON = datetime(2026, 1, 1, 12).astimezone()


@contextmanager
def server(statuses: list[int]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with statuses in turn, the last for ever. 0 hangs without an answer."""
    got: list[dict[str, Any]] = []
    release = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            if status == 0:
                release.wait(30)
                return
            got.append({**body, "header": self.headers["Idempotency-Key"], "status": status})
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{httpd.server_address[1]}/alerts", got
        finally:
            release.set()
            httpd.shutdown()


def test_a_budget_counts_the_alerts_of_each_hour():
    rules, state = AlertRules(budget=2, per="hour"), {}
    times = [NOON, NOON, NOON, NOON + timedelta(hours=1)]
    outcomes = [rules.outcome(None, time, state) for time in times]
    assert outcomes == ["sent", "sent", "budget", "sent"]


def test_equal_keys_raise_one_alert_within_the_time():
    rules, state = AlertRules(dedupe="card", dedupe_for=timedelta(minutes=30)), {}
    given = [("a", 0), ("a", 29), ("b", 29), ("a", 30)]
    found = [rules.outcome(key, NOON + timedelta(minutes=m), state) for key, m in given]
    assert found == ["sent", "repeat", "sent", "sent"]


@pytest.mark.parametrize(("hour", "quiet"), [(21, False), (22, True), (3, True), (6, False)])
def test_quiet_hours_may_span_midnight(hour: int, quiet: bool):
    assert AlertRules(quiet=parse_hours("22-06")).is_quiet(NOON.replace(hour=hour)) is quiet


def test_durations_and_hours_are_read_or_refused():
    assert parse_duration("90m") == timedelta(minutes=90)
    for wrong in ("1 hour", "h", ""):
        with pytest.raises(ParameterError):
            parse_duration(wrong)
    with pytest.raises(ParameterError):
        parse_hours("22")


def test_quiet_hours_hold_alerts_and_release_the_worst_within_the_budget(
    watch: Make, tmp_path: Path
):
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(9)))
    rules = AlertRules(quiet=(22, 6), budget=2)
    night = watch(rules=rules, clock=lambda: NOON.replace(hour=23))
    assert night.run(once=True).n_alerts == 3
    assert ids(tmp_path / "alerts.ndjson") == []
    watch(rules=rules).run(once=True)
    assert len(ids(tmp_path / "alerts.ndjson")) == 2
    watch(rules=rules).run(once=True)
    assert len(ids(tmp_path / "alerts.ndjson")) == 2


def test_flagged_rows_beyond_the_budget_are_counted_in_the_next_alert(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(12)))
    watch(rules=AlertRules(budget=1, per="hour")).run(once=True)
    with (tmp_path / "new.csv").open("a") as file:
        file.write(line(99, 9_000))
    later = lambda: NOON + timedelta(hours=2)  # noqa: E731
    watch(rules=AlertRules(budget=1, per="hour"), clock=later).run(once=True)
    assert [a["suppressed"] for a in read_lines(tmp_path / "alerts.ndjson")] == [0, 3]
    kept = [entry["alert"] for entry in read_lines(tmp_path / "scores.ndjson")]
    assert kept.count("budget") == 3 and kept.count("sent") == 2


def test_failed_posts_are_repeated_in_order_with_the_same_key(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(6)))
    with server([500, 200, 429, 200]) as (url, got):
        watch(webhook=Webhook(url)).run(once=True)
    assert [(entry["id"], entry["status"]) for entry in got] == [
        ("r0000", 500), ("r0000", 200), ("r0003", 429), ("r0003", 200)
    ]  # fmt: skip
    assert all(entry["header"] == entry["key"] for entry in got)


def test_alerts_outlive_a_server_that_hangs(watch: Make, tmp_path: Path):
    said: list[str] = []
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(6)))
    with server([0]) as (url, got):
        report = watch(webhook=Webhook(url, 0.05), notify=said.append).run(once=True)
    assert report.n_alerts == 2 and not got
    assert any("timed out" in text and "stay in" in text for text in said)
    with server([200]) as (url, got):
        watch(webhook=Webhook(url)).run(once=True)
    assert [entry["id"] for entry in got] == ["r0000", "r0003"]


def test_an_alert_that_the_server_refuses_is_set_aside(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(6)))
    with server([422, 200]) as (url, got):
        watch(webhook=Webhook(url)).run(once=True)
    assert [entry["status"] for entry in got] == [422, 200]
    assert ids(tmp_path / "state.json.webhook.refused") == ["r0000"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "x", "http://a:b@c/", "http://["]
)
def test_other_urls_are_refused(url: str):
    with pytest.raises(ParameterError, match="webhook must"):
        Webhook(url)


def test_two_watches_of_one_state_are_refused(watch: Make, tmp_path: Path):
    path = tmp_path / "new.csv"
    path.write_text(HEADER + line(1))

    def start_another(_: object) -> None:
        with pytest.raises(DataError, match="in use by another watch"):
            watch().run(once=True)

    assert watch(on_batch=start_another).run(once=True).n_rows == 1


def test_the_running_calibration_continues_after_a_restart(watch: Make, tmp_path: Path):
    text = rows(60, every=7)
    (tmp_path / "new.csv").write_text(HEADER + "".join(text[:30]))
    watch(batch_size=10).run(once=True)
    (tmp_path / "new.csv").write_text(HEADER + "".join(text))
    watch(batch_size=10).run(once=True)
    split = read_lines(tmp_path / "scores.ndjson")
    whole = tmp_path / "whole.ndjson"
    watch(batch_size=10, state=tmp_path / "other.json", scores=whole, alerts=None).run(once=True)
    assert split == read_lines(whole)


def test_another_model_keeps_the_position_and_starts_a_new_calibration(
    watch: Make, tmp_path: Path, detector: Any
):
    said: list[str] = []
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(6)))
    watch().run(once=True)
    (tmp_path / "new.csv").write_text(HEADER + "".join(rows(8)))
    other = copy.copy(detector).set_threshold(FalseAlarmRate(0.02))
    assert watch(detector=other, notify=said.append).run(once=True).n_rows == 2
    assert "The running calibration starts anew" in said[0]


def test_a_drift_is_reported_once(watch: Make, tmp_path: Path):
    path, said = tmp_path / "new.csv", []
    path.write_text(HEADER + "".join(line(number, 60 + number % 5) for number in range(250)))
    assert watch(notify=said.append).run(once=True).drifted
    with path.open("a") as file:
        file.write("".join(line(number, 60 + number % 5) for number in range(250)))
    assert watch(notify=said.append).run(once=True).drifted
    assert sum("lie higher" in text for text in said) == 1
    assert [a["kind"] for a in read_lines(tmp_path / "alerts.ndjson")].count("drift") == 1


def test_a_damaged_or_foreign_state_is_refused(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text(HEADER + line(1))
    watch().run(once=True)
    state = tmp_path / "state.json"
    state.write_text(state.read_text().replace("new.csv", "old.csv"))
    with pytest.raises(DataError, match="must hold the state of"):
        watch().run(once=True)
    state.write_text("{")
    with pytest.raises(DataError, match="no state file of a watch"):
        watch().run(once=True)
