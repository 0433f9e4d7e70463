"""``tune``: settings on stderr, a model, a picture, JSON; refusals of one sentence."""

import json

import numpy as np
import pyarrow as pa
import pytest

import latently
from latently.datasets import make_transactions
from latently.io import write
from tests.cli.conftest import _run as run

QUICK = ("--n-trials", "2", "--max-epochs", "2", "--n-components", "2")


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch):
    """A folder with two tables."""
    monkeypatch.chdir(tmp_path)
    made = make_transactions(200, fraud_fraction=0.1, random_state=0)
    write(made.data.append_column("fraud", pa.array(made.is_fraud.astype(int))), "rows.csv")
    rng = np.random.default_rng(0)
    columns = {f"x{i}": rng.normal(size=80) for i in range(4)}
    write(pa.table({**columns, "who": np.arange(80) // 8}), "small.csv")
    return tmp_path


def test_a_search_leaves_a_model_a_picture_and_figures(desk):
    result = run(
        "tune", "small.csv", "-o", "best.st", "--plot", "search.png", "--json", "--ignore", "who",
        *QUICK,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert [one["name"] for one in found["standings"]] == ["tuned", "default", "PCA"]
    assert found["conclusion"] in result.stderr and "best settings" in result.stderr
    assert latently.load("best.st").n_components_ == 2
    assert (desk / "search.png").stat().st_size > 10_000


def test_a_search_goes_on_from_its_file():
    options = ("--storage", "search.db", "--ignore", "who", "--max-epochs", "2")
    assert run("tune", "small.csv", *options, "--n-trials", "1").exit_code == 0
    result = run("tune", "small.csv", *options, "--n-trials", "2")
    assert result.exit_code == 0 and "2 trials" in result.stderr
    other = run("tune", "small.csv", *options, "--n-trials", "2", "--seed", "1")
    assert other.exit_code == 2 and "another search" in other.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("small.csv", "--group-by", "who"),
        ("small.csv", "--ignore", "who", "--no-shuffle"),
        ("small.csv", "--label", "who", "--objective", "downstream"),
        ("rows.csv", "--label", "fraud", "--objective", "anomaly"),
        ("rows.csv", "--objective", "imputation", "--kind", "denoising"),
        ("small.csv", "--time-limit", "60s"),
    ],
    ids=lambda options: " ".join(options),
)
def test_labels_groups_and_time_are_options(options):
    result = run("tune", *options, *QUICK)
    assert result.exit_code == 0, result.output
    assert "outer" in result.stderr


def test_a_space_is_read_from_json(desk):
    (desk / "space.json").write_text(
        '{"batch_size": [16], "network__hidden_sizes": [[8], [8, 4]], '
        '"learning_rate": {"low": 0.001, "high": 0.01, "log": true}}'
    )
    result = run("tune", "small.csv", "--space", "space.json", "--json", *QUICK)
    assert result.exit_code == 0, result.output
    settings = json.loads(result.stdout)["settings"]
    assert set(settings) <= {"batch_size", "network__hidden_sizes", "learning_rate"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--time-limit", "soon"), "such as 90s, 5m or 2h"),
        (("--time-limit", "-5m"), "such as 90s, 5m or 2h"),
        (("--n-trials", "0"), "n_trials"),
        (("--space", "none.json"), "no JSON object"),
        (("--space", "list.json"), "no JSON object"),
        (("--space", "unknown.json"), "Did you mean 'learning_rate'"),
        (("--label", "no"), "--label names columns"),
        (("--objective", "beauty"), "objective must be one of"),
        (("--effort", "heroic"), "effort"),
        (("--storage", "none/search.db"), "cannot be used"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_makes_no_search_is_refused_in_a_sentence(desk, options, words):
    (desk / "list.json").write_text("[1, 2]")
    (desk / "unknown.json").write_text('{"learning_rat": [1, 2]}')
    result = run("tune", "small.csv", "-o", "best.st", *options)
    assert result.exit_code == 2 and words in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 3
    assert not (desk / "best.st").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--group-by", "who"),
        ("--ignore", "who", "--no-shuffle", "--refit"),
        ("--ignore", "who", "--effort", "thorough", "--max-epochs", "2"),
    ],
    ids=lambda options: " ".join(options),
)
def test_fit_takes_groups_time_effort_and_a_refit(options):
    result = run("fit", "small.csv", "-o", "model.st", "--n-components", "2", *options)
    assert result.exit_code == 0, result.output
    assert "effort: " in result.stderr
    assert "who" not in latently.load("model.st").feature_names_in_
    assert ("trained again" in result.stderr) is ("--refit" in options)


def test_a_u_net_holds_nothing_out():
    result = run("fit", "small.csv", "-o", "m.st", "--kind", "unet", "--group-by", "who")
    assert result.exit_code == 2 and "holds no images out" in result.stderr


def test_a_column_of_groups_must_be_there():
    result = run("fit", "small.csv", "-o", "model.st", "--group-by", "whom")
    assert result.exit_code == 2 and "--group-by names columns" in result.stderr


@pytest.mark.parametrize("command", ["detect", "impute"])
def test_other_commands_take_an_effort(command):
    out = "out.safetensors" if command == "detect" else "out.csv"
    result = run(command, "small.csv", "-o", out, "--effort", "fast")
    assert result.exit_code == 0, result.output
