"""Tables through every command: rows, order, ids and columns are kept."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import latently
from latently.io import read, write
from tests.cli.conftest import make_table

COLUMNS = ["length", "width", "colour"]


def read_text(tmp_path, text):
    path = tmp_path / "answer.csv"
    path.write_text(text)
    return read(path)


def test_transform_puts_ids_before_the_codes_in_the_order_of_the_rows(run, model, table, tmp_path):
    result = run("transform", model, table, "--id", "key")
    answer = read_text(tmp_path, result.stdout)
    assert answer.column_names == ["key", "autoencoder0", "autoencoder1"]
    assert answer["key"].to_pylist() == make_table()["key"].to_pylist()
    codes = latently.load(model).transform(make_table().select(COLUMNS))
    assert np.allclose(answer["autoencoder0"].to_numpy(), codes[:, 0])


def test_score_is_higher_for_worse_rows_and_splits_by_column(run, model, table, tmp_path):
    result = run("score", model, table, "--id", "key", "--per-feature", "--contamination", 0.1)
    answer = read_text(tmp_path, result.stdout)
    errors = [f"error_{name}" for name in COLUMNS]
    assert answer.column_names == ["key", "anomaly_score", "is_anomaly", *errors]
    scores, flags = answer["anomaly_score"].to_numpy(), answer["is_anomaly"].to_numpy()
    assert flags.sum() == 6
    assert scores[flags].min() >= scores[~flags].max()
    normal = latently.load(model).score_samples(make_table().select(COLUMNS))
    assert np.allclose(scores, -normal)


def test_score_summary_is_json_and_names_the_worst_rows(run, model, table):
    result = run("score", model, table, "--id", "key", "--json", "--contamination", 0.05)
    summary = json.loads(result.stdout)
    assert summary["n_rows"] == 60
    assert summary["n_anomalies"] == 3
    assert summary["worst"][0]["anomaly_score"] == summary["max"]
    assert summary["worst"][0]["key"] == f"k{summary['worst'][0]['row']:03d}"


def test_score_of_a_saved_detector_uses_its_threshold(run, model, table, tmp_path):
    rows = make_table().select(COLUMNS)
    detector = latently.AnomalyDetector(autoencoder=latently.load(model), contamination=0.1)
    detector.fit(rows).save(tmp_path / "detector.safetensors")
    answer = read_text(tmp_path, run("score", tmp_path / "detector.safetensors", table).stdout)
    expected = detector.predict(rows) == -1
    assert answer["is_anomaly"].to_pylist() == expected.tolist()


def test_fit_reports_in_words_to_stderr_and_in_json_to_stdout(run, table, tmp_path):
    path = tmp_path / "model.safetensors"
    result = run("fit", table, "-o", path, "--id", "key", "--max-epochs", 1, "--json")
    figures = json.loads(result.stdout)
    assert figures["name"] == "Autoencoder"
    assert figures["baselines"]["conclusion"]
    assert [column["name"] for column in figures["columns"]] == [*COLUMNS, "label"]
    assert f"wrote {path}" in result.stderr
    assert "column means" in result.stderr


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (("--kind", "variational", "--beta", "2"), "VariationalAutoencoder"),
        (("--kind", "sparse", "--n-active", "2"), "SparseAutoencoder"),
        (("--kind", "denoising", "--noise", "gaussian:0.2"), "DenoisingAutoencoder"),
        (("--hidden-sizes", "8,4", "--noise", "masking"), "Autoencoder"),
    ],
)
def test_kinds_and_their_options_reach_the_model(run, table, tmp_path, options, name):
    path = tmp_path / "model.safetensors"
    result = run("fit", table, "-o", path, "--max-epochs", 1, "--n-components", 2, *options)
    assert result.exit_code == 0, result.stderr
    assert json.loads(run("inspect", path, "--json").stdout)["name"] == name


def test_arrays_come_in_and_go_out(run, tmp_path):
    numbers = np.random.default_rng(0).normal(size=(40, 3))
    np.save(tmp_path / "numbers.npy", numbers)
    path = tmp_path / "model.safetensors"
    options = ("--n-components", 2, "--max-epochs", 1, "--quiet")
    assert run("fit", tmp_path / "numbers.npy", "-o", path, *options).exit_code == 0
    run("transform", path, tmp_path / "numbers.npy", "-o", tmp_path / "codes.npy")
    assert np.load(tmp_path / "codes.npy").shape == (40, 2)
    write(pa.table({name: numbers[:, i] for i, name in enumerate("abc")}), tmp_path / "same.csv")
    run("transform", path, tmp_path / "same.csv", "-o", tmp_path / "again.npy")
    assert np.allclose(np.load(tmp_path / "again.npy"), np.load(tmp_path / "codes.npy"))


def test_an_array_is_read_with_the_column_names_of_the_model(run, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 2))
    write(pa.table({"a": rows[:, 0], "b": rows[:, 1]}), tmp_path / "t.csv")
    np.save(tmp_path / "t.npy", rows)
    path = tmp_path / "m.safetensors"
    run("fit", tmp_path / "t.csv", "-o", path, "--n-components", 1, "--max-epochs", 1, "-q")
    named, bare = (run("score", path, tmp_path / f"t.{kind}") for kind in ("csv", "npy"))
    assert pc.equal(*(read_text(tmp_path, r.stdout)["anomaly_score"] for r in (named, bare)))
    assert bare.exit_code == 0


def test_invented_rows_are_held_against_real_ones(run, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("real", "made"):
        lines = [f"{a:.3f},{'xy'[int(a > 0)]}" for a in rng.normal(size=60)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["size,kind", *lines]) + "\n")
    files = (tmp_path / "real.csv", tmp_path / "made.csv")

    words = run("compare", *files, "--target", "kind")
    figures = run("compare", *files, "--json")

    assert words.exit_code == 0, words.stderr
    assert "60 synthetic rows beside 60 real ones" in words.stdout
    assert json.loads(figures.stdout)["n_real"] == 60
    assert run("compare", *files, "--target", "weight").exit_code == 3
