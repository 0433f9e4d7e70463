"""The commands watch and label."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from latently import load
from latently.cli import app
from latently.monitoring import BatchReport, Verdicts

from .conftest import HEADER, ids, line, rows


def run(*words: object, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words], input=stdin)
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.csv"
    path.write_text(HEADER + "".join(rows(6)))
    return path


def test_a_nightly_watch_ends_with_code_10_after_alerts_and_0_without(model, new, tmp_path):
    alerts, state = tmp_path / "alerts.ndjson", tmp_path / "state.json"
    command = ("watch", model, new, "--alerts", alerts, "--state", state, "--id", "id", "--once")
    assert run(*command).exit_code == 10
    assert ids(alerts) == ["r0000", "r0003"]
    assert run(*command).exit_code == 0
    assert ids(alerts) == ["r0000", "r0003"]


def test_a_nightly_watch_ends_with_code_11_after_a_drift(model, tmp_path):
    path = tmp_path / "new.csv"
    path.write_text(HEADER + "".join(line(number, 60 + number % 5) for number in range(250)))
    given = ("--alerts", tmp_path / "a", "--state", tmp_path / "s", "--once", "--budget", 1)
    result = run("watch", model, path, *given)
    assert result.exit_code == 11 and "drifted" in result.stderr


def test_a_nightly_watch_of_a_missing_file_fails(model, tmp_path):
    result = run("watch", model, tmp_path / "no.csv", "--state", tmp_path / "s", "--once")
    assert result.exit_code == 3 and "does not exist" in result.stderr


def test_a_model_of_arrays_or_without_calibration_is_refused(new, tmp_path):
    import numpy as np

    from latently import NeighborAutoencoder

    plain = tmp_path / "plain.safetensors"
    NeighborAutoencoder().fit(np.random.default_rng(0).normal(size=(30, 2))).save(plain)
    result = run("watch", plain, new, "--state", tmp_path / "s", "--once")
    assert result.exit_code == 2 and "detector must be fitted on a table" in result.stderr


def test_alerts_go_to_stdout_by_default(model, new, tmp_path):
    result = run("watch", model, new, "--state", tmp_path / "state.json", "--once")
    assert [json.loads(text)["place"] for text in result.stdout.splitlines()] == [
        "line 2",
        "line 5",
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        ("--per", "day"),
        ("--for", "1h"),
        ("--query", "SELECT"),
        ("--quiet-hours", "late"),
        ("--webhook", "ftp://x"),
        ("--format", "parquet", "--key", "id"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(model, new, tmp_path, wrong):
    result = run("watch", model, new, "--state", tmp_path / "state.json", "--once", *wrong)
    assert result.exit_code == 2 and result.stderr.startswith("error: ")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_keeps_the_position(model, new, tmp_path, number, code):
    state, scores = tmp_path / "state.json", tmp_path / "scores.ndjson"
    command = [
        sys.executable, "-m", "latently", "watch", model, new, "--state", state, "--scores",
        scores, "--id", "id", "--poll", "0.01",
    ]  # fmt: skip
    with subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the first alert: the batch is recorded
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
    assert process.returncode == code
    assert "the position is kept in" in words
    assert run("watch", model, new, "--state", state, "--scores", scores, "--once").exit_code == 0
    assert ids(scores) == [f"r{place:04d}" for place in range(6)]


def test_verdicts_are_kept_and_shown_as_precision(model):
    run("label", model, "--yes", "r1,r2", "--no", "r3")
    result = run("label", model, "--no", "r2", "--show")
    assert "Precision so far: 0.33 (1 of 3" in result.stdout
    assert "Precision so far: 0.33" in run("inspect", model).stdout
    assert json.loads(run("inspect", model, "--json").stdout)["verdicts"]["n_yes"] == 1
    Verdicts.beside(model).path.unlink()


def test_verdicts_of_a_table_are_added(model, tmp_path):
    (tmp_path / "ids.csv").write_text("id,label\n007,1\n8,0\n")
    assert run("label", model, "--ids-file", tmp_path / "ids.csv").exit_code == 0
    verdicts = Verdicts.beside(model)
    assert verdicts.read() == {"007": True, "8": False}
    verdicts.path.unlink()


def test_an_interrupted_verdict_is_dropped_by_the_next(tmp_path):
    verdicts = Verdicts(tmp_path / "labels.ndjson")
    verdicts.add(yes=["a"])
    with verdicts.path.open("a") as file:
        file.write('{"id": "b", "lab')
    assert verdicts.read() == {"a": True}
    verdicts.add(no=["c"])
    assert verdicts.read() == {"a": True, "c": False}


def test_detect_learns_from_verdicts_joined_by_id(tmp_path):
    path, labels = tmp_path / "table.csv", tmp_path / "labels.ndjson"
    path.write_text(HEADER + "".join(rows(120, every=20)))
    Verdicts(labels).add(yes=["r0000", "r0020"], no=["r0001", "missing"])
    fitted = tmp_path / "new.safetensors"
    given = ("--id", "id", "--labels", labels, "-o", fitted)
    result = run("detect", path, *given)
    assert result.exit_code == 0, result.output
    assert "3 rows have a verdict, of 4 ids" in result.stderr
    assert type(load(fitted).score_).__name__ == "LabelledScore"
    assert run("detect", path, "--labels", labels, "-o", tmp_path / "x").exit_code == 2


def test_the_view_shows_the_rate_the_p_values_and_the_last_alerts():
    import numpy as np
    from rich.console import Console

    from latently.cli._watch_view import View

    view = View()
    alert = {
        "kind": "anomaly", "id": "r7", "p_value": 0.005, "reasons": ["amount 9,000"],
        "time": "2026-01-01T12:00:00",
    }  # fmt: skip
    view.add(BatchReport(np.array([0.005, 0.55, 1.0]), [alert]))
    console = Console(record=True, width=100, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(view.render())
    text = console.export_text()
    console.file.close()
    assert "rows 3" in text and "12:00:00 r7 p=0.005 amount 9,000" in text
