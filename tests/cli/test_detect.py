"""``detect`` and ``score``: alarms by the rule asked for, exit codes for nightly jobs, a pipe."""

import io
import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import latently
from latently.cli import app
from latently.datasets import make_transactions
from latently.io import read, write
from latently.tasks import LabelledScore
from tests.cli.conftest import _run as run


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with transactions, their labels among them, and a detector."""
    monkeypatch.chdir(tmp_path)
    made = make_transactions(400, random_state=0)
    write(made.data, "rows.csv")
    labelled = made.data.append_column("fraud", pa.array(made.is_fraud))
    write(labelled, "labelled.csv")
    assert run("detect", "rows.csv", "-o", "model.safetensors").exit_code == 0
    return made


def scored(*options, data="rows.csv"):
    result = run("score", "model.safetensors", data, "-o", "out.csv", "--overwrite", *options)
    assert result.exit_code == 0, result.output
    return read("out.csv")


def test_scores_come_with_p_values_and_flags(desk):
    table = scored()
    assert table.column_names == ["anomaly_score", "p_value", "is_anomaly"]
    model = latently.load("model.safetensors")
    flags = np.array(table["is_anomaly"])
    np.testing.assert_allclose(table["anomaly_score"], -model.score_samples(read("rows.csv")))
    np.testing.assert_array_equal(flags, np.array(table["anomaly_score"]) > model.threshold_.cut)
    np.testing.assert_array_equal(flags, np.array(table["p_value"]) <= model.rule_.rate)


@pytest.mark.parametrize(
    ("option", "value", "n_flagged"),
    [("--alert-budget", "7", 7), ("--contamination", "0.1", 40)],
)
def test_the_threshold_moves_with_an_option(desk, option, value, n_flagged):
    assert sum(scored(option, value)["is_anomaly"].to_pylist()) == n_flagged


def test_a_larger_rate_flags_more(desk):
    few, many = (
        sum(scored("--false-alarm-rate", rate)["is_anomaly"].to_pylist())
        for rate in ("0.02", "0.2")
    )
    assert few < many


def test_two_rules_at_once_are_refused(desk):
    result = run(
        "score", "model.safetensors", "rows.csv", "--alert-budget", "3", "--contamination", "0.1"
    )
    assert result.exit_code == 2
    assert "--alert-budget and --contamination both say what to flag" in result.stderr


def test_a_rate_that_the_rows_cannot_resolve_is_refused_with_the_smallest(desk):
    result = run("score", "model.safetensors", "rows.csv", "--false-alarm-rate", "0.0001")
    assert result.exit_code == 3
    assert "the smallest rate that they resolve is 0.00249" in result.stderr


@pytest.mark.parametrize(("budget", "code"), [("3", 10), (None, 0)])
def test_a_nightly_job_fails_on_anomalies_and_still_writes_its_answer(desk, budget, code):
    quiet = read("rows.csv").take([int(np.argmin(np.array(scored()["anomaly_score"])))])
    write(quiet, "quiet.csv")
    options = ["--alert-budget", budget] if budget else []
    data = "rows.csv" if budget else "quiet.csv"
    result = run(
        "score", "model.safetensors", data, "-o", "night.csv", "--fail-on", "anomalies", *options
    )
    assert result.exit_code == code
    assert read("night.csv").num_rows == (400 if budget else 1)


@pytest.mark.parametrize("options", [[], ["--robust"]], ids=str)
def test_labels_choose_the_threshold_and_count_in_the_score(desk, options):
    output = ["-o", "by_labels.safetensors", "--overwrite"]
    result = run("detect", "labelled.csv", *output, "--label", "fraud", *options)
    assert result.exit_code == 0, result.output
    model = latently.load("by_labels.safetensors")
    assert "fraud" not in model.feature_names_in_
    assert "best F score" in model.threshold_.reason
    assert isinstance(model.score_, LabelledScore)
    assert model.autoencoder_.robust == bool(options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--robust", "--kind", "sparse"], "--robust chooses the autoencoder"),
        (["--max-epochs", "3"], "--max-epochs needs --kind"),
        (["--score", "elbo"], "needs a VariationalAutoencoder"),
        (["--false-alarm-rate", "2"], "--false-alarm-rate"),
        (["--label", "nothing"], "--ignore|--label"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(desk, options, words):
    import re

    result = run("detect", "rows.csv", "-o", "other.safetensors", *options)
    assert result.exit_code == 2
    assert re.search(words, result.stderr)


def test_a_network_can_judge_too(desk):
    options = ["--kind", "autoencoder", "--max-epochs", "2", "--robust"]
    assert run("detect", "rows.csv", "-o", "net.safetensors", *options[:-1]).exit_code == 0
    assert type(latently.load("net.safetensors").autoencoder_).__name__ == "Autoencoder"


def test_what_each_column_contributes_stands_beside_the_score(desk):
    table = scored("--per-feature")
    rows = read("rows.csv")
    cells = latently.load("model.safetensors").cell_scores(rows)
    for place, name in enumerate(rows.column_names):
        np.testing.assert_allclose(table[f"error_{name}"], cells[:, place])


def test_a_summary_names_the_threshold(desk):
    result = run("score", "model.safetensors", "rows.csv", "--json")
    found = json.loads(result.stdout)
    assert found["threshold"] == latently.load("model.safetensors").threshold_.cut


# ------------------------------------------------------------------ a pipe
def test_rows_from_a_pipe_are_scored_as_they_come(desk):
    new, text = make_transactions(40, random_state=1).data, io.BytesIO()
    pyarrow.csv.write_csv(new, text)
    write(new, "new.csv")
    lines = text.getvalue().splitlines(keepends=True)
    command = [sys.executable, "-m", "latently", "score", "model.safetensors", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        answers = []
        process.stdin.write(lines[0])
        for line in lines[1:4]:  # each answer is there before the next row is sent
            process.stdin.write(line)
            process.stdin.flush()
            answers += [process.stdout.readline()] if answers else [
                process.stdout.readline(), process.stdout.readline()
            ]  # fmt: skip
        rest, _ = process.communicate(b"".join(lines[4:]))
    assert process.returncode == 0
    table = pyarrow.csv.read_csv(io.BytesIO(b"".join(answers) + rest))
    assert table.num_rows == 40
    expected = -latently.load("model.safetensors").score_samples(read("new.csv"))
    np.testing.assert_allclose(table["anomaly_score"], expected, rtol=1e-4, atol=1e-4)


def test_a_pipe_carries_ids_along_and_fails_on_anomalies(desk):
    table = desk.data.slice(0, 30).append_column("id", pa.array(range(30)))
    text = io.BytesIO()
    pyarrow.csv.write_csv(table, text)
    command = ["score", "model.safetensors", "-", "--id", "id", "--fail-on", "anomalies"]
    result = subprocess.run(
        [sys.executable, "-m", "latently", *command, "--false-alarm-rate", "0.5"],
        input=text.getvalue(), capture_output=True, check=False,
    )  # fmt: skip
    assert result.returncode == 10
    answer = pyarrow.csv.read_csv(io.BytesIO(result.stdout))
    assert answer.column_names == ["id", "anomaly_score", "p_value", "is_anomaly"]
    assert answer["id"].to_pylist() == list(range(30))


@pytest.mark.parametrize(
    "sent", [b"", b"\n", b"amount,items\n1,2\n"], ids=["nothing", "blank", "few"]
)
def test_a_pipe_that_brings_no_rows_is_refused_in_one_line(desk, sent):
    answer = run("score", "model.safetensors", "-", stdin=sent)
    assert answer.exit_code == 3
    assert len(answer.stderr.strip().splitlines()) <= 2


def test_the_command_is_listed():
    assert "detect" in run("--help").output
    assert app is not None


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "rows.csv", "-o", "own.st", "--max-epochs", "1", "--n-components", "1"),
        ("detect", "rows.csv", "-o", "own.st"),
        ("impute", "rows.csv", "-o", "filled.csv", "--save", "own.st", "--effort", "fast"),
    ],
)
def test_max_categories_sets_the_limit_of_a_column_of_texts(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    names = [f"n{i % 3}" for i in range(60)]
    write(pa.table({"x": np.linspace(0, 1, 60), "name": names}), "rows.csv")
    result = run(*words, "--max-categories", "2")
    assert result.exit_code == 0, result.output
    assert "holds 3 different values; the 2 most frequent are kept" in result.output
    model = latently.load("own.st")
    (codec,) = getattr(model, "autoencoder_", model).preprocessor_.codecs
    assert codec.categories == ("n0", "n1")
