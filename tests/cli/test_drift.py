"""``drift``, ``--fail-on drift`` and budgets of each day, from files, large tables and pipes."""

import json
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import latently
from latently.io import read, write
from tests.cli.conftest import _run as run

N = 240


def rows(seed, n=N):
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n)
    start = datetime(2026, 3, 2)
    return pa.table(
        {
            "when": [start + timedelta(hours=place * 96 / n) for place in range(n)],
            "size": size,
            "weight": 2 * size + 0.1 * rng.normal(size=n),
            "kind": rng.choice(["a", "b"], n),
        }
    )


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with a detector, and rows like those of its fit and others; four days each."""
    root = tmp_path_factory.mktemp("desk")
    write(rows(0), root / "past.csv")
    write(rows(1), root / "same.csv")
    write(rows(1), root / "same.parquet")
    moved = rows(1)
    far = pa.array(np.array(moved["weight"]) * 1000)
    write(moved.set_column(2, "weight", far), root / "moved.csv")
    command = ("detect", root / "past.csv", "-o", root / "m.safetensors", "--ignore", "when", "-q")
    assert run(*command).exit_code == 0
    return root


def ask(command, root, data, *options, **more):
    data = data if data == "-" else root / data
    return run(command, root / "m.safetensors", data, *options, **more)


def test_the_table_names_what_drifted(desk):
    result = ask("drift", desk, "moved.csv")
    assert result.exit_code == 0, result.output
    assert "distributions drifted (240 rows against 240 of fit" in result.stdout
    assert any(line.startswith("weight ") for line in result.stdout.splitlines())
    assert ask("drift", desk, "same.csv").stdout.startswith("no drift in 3 columns")


def test_figures_tables_and_pictures_are_written(desk, tmp_path):
    out, picture = tmp_path / "drift.csv", tmp_path / "drift.png"
    found = json.loads(ask("drift", desk, "moved.csv", "--json").stdout)
    assert found["drifted"] and found["n_rows"] == N
    result = ask("drift", desk, "moved.csv", "-o", out, "--plot", picture)
    assert result.exit_code == 0, result.output
    table = read(out)
    assert table["column"].to_pylist() == [entry["column"] for entry in found["changes"]]
    assert picture.stat().st_size > 5_000
    assert ask("drift", desk, "moved.csv", "-o", out).exit_code == 2


def test_a_model_without_calibration_is_refused(desk, tmp_path):
    quick = ("--max-epochs", 1, "--ignore", "when", "--quiet")
    run("fit", desk / "past.csv", "-o", tmp_path / "plain.safetensors", *quick)
    for command in (("drift",), ("score", "--fail-on", "drift")):
        result = run(command[0], tmp_path / "plain.safetensors", desk / "same.csv", *command[1:])
        assert result.exit_code == 2 and "latently detect" in result.stderr
    wrong = ask("drift", desk, "same.csv", "--level", "2")
    assert wrong.exit_code == 2 and "level" in wrong.stderr


@pytest.mark.parametrize(("data", "code"), [("same.csv", 0), ("moved.csv", 11)])
@pytest.mark.parametrize("way", ["file", "large", "pipe"])
def test_a_nightly_job_fails_on_drift(desk, tmp_path, monkeypatch, data, code, way):
    if way == "large":
        monkeypatch.setattr("latently.io._bytes.DEFAULT_MAX_BYTES", 100)
    sent = (desk / data).read_bytes() if way == "pipe" else None
    options = () if way == "pipe" else ("-o", tmp_path / "out.csv")
    result = ask(
        "score", desk, "-" if way == "pipe" else data, *options, "--fail-on", "drift", stdin=sent
    )
    assert result.exit_code == code, result.output
    assert ("distributions drifted" in result.stderr) == (code == 11)
    written = result.stdout.splitlines()[1:] if way == "pipe" else range(read(options[1]).num_rows)
    assert len(written) == N


def test_a_large_table_is_compared_piece_by_piece(desk, monkeypatch):
    whole = json.loads(ask("drift", desk, "same.parquet", "--json").stdout)
    monkeypatch.setattr("latently.io._bytes.DEFAULT_MAX_BYTES", 100)
    pieces = json.loads(ask("drift", desk, "same.parquet", "--json").stdout)
    for one, other in zip(whole["changes"], pieces["changes"], strict=True):
        assert one["column"] == other["column"]
        assert one["p_value"] == pytest.approx(other["p_value"])


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("data", ["same.csv", "same.parquet"])
def test_each_day_has_its_own_budget(desk, tmp_path, monkeypatch, data, large):
    if large:
        monkeypatch.setattr("latently.io._bytes.DEFAULT_MAX_BYTES", 100)
    budget = ("--alert-budget", 3, "--per", "day", "--time", "when")
    out = tmp_path / "out.csv"
    result = ask("score", desk, data, "-o", out, "--id", "when", *budget)
    assert result.exit_code == 0, result.output
    assert "ignored" not in result.stderr
    table = read(out)
    assert table.column_names == ["when", "anomaly_score", "p_value", "is_anomaly"]
    flags, scores = (np.array(table[name]) for name in ("is_anomaly", "anomaly_score"))
    for day in range(4):
        here = slice(60 * day, 60 * day + 60)
        assert flags[here].sum() == 3
        assert scores[here][flags[here]].min() > scores[here][~flags[here]].max()
    summary = json.loads(ask("score", desk, data, "--json", *budget).stdout)
    assert summary["n_anomalies"] == 12 and summary["threshold"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--per", "day", "--time", "when"), "must be given together"),
        (("--alert-budget", 3, "--per", "day"), "must be given together"),
        (("--alert-budget", 3, "--time", "when"), "must be given together"),
        (("--alert-budget", 3, "--per", "day", "--time", "nothing"), "--time names columns"),
    ],
    ids=str,
)
def test_parts_of_a_budget_that_do_not_fit_are_refused(desk, options, words):
    result = ask("score", desk, "same.csv", *options)
    assert result.exit_code == 2 and words in result.stderr


def test_a_column_without_times_is_refused(desk):
    budget = ("--alert-budget", 3, "--per", "day", "--time", "size")
    result = ask("score", desk, "same.csv", *budget)
    assert result.exit_code == 3 and "dates or times, got double" in result.stderr


def test_a_pipe_that_is_answered_at_once_has_no_budget(desk, tmp_path):
    sent = (desk / "same.csv").read_bytes()
    budget = ("--alert-budget", 3, "--per", "day", "--time", "when")
    refused = ask("score", desk, "-", *budget, stdin=sent)
    assert refused.exit_code == 2 and "a pipe is answered as it comes" in refused.stderr
    whole = ask("score", desk, "-", "-o", tmp_path / "out.csv", *budget, stdin=sent)
    assert whole.exit_code == 0, whole.output
    assert sum(read(tmp_path / "out.csv")["is_anomaly"].to_pylist()) == 12


def test_a_budget_of_detect_says_that_it_became_a_fixed_cut(desk, tmp_path):
    options = ("--ignore", "when", "--alert-budget", 5)
    result = run("detect", desk / "past.csv", "-o", tmp_path / "b.safetensors", *options)
    assert result.exit_code == 0 and "became a fixed cut" in result.stderr
    assert latently.load(tmp_path / "b.safetensors").rule_.n_alerts == 5
