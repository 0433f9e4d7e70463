"""Tables too large for memory: every command takes them, with the answers of the whole."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently.io import _bytes, read

from .conftest import make_table


@pytest.fixture
def small_memory(monkeypatch):
    """Let any table be too large."""
    monkeypatch.setattr(_bytes, "DEFAULT_MAX_BYTES", 100)


COLUMNS = ("--id", "key", "--ignore", "label")
QUICK = ("--n-components", 2, "--max-epochs", 2)


def test_fit_streams_and_scores_are_those_of_the_model(run, parts, tmp_path, small_memory):
    model = tmp_path / "model.safetensors"
    assert run("fit", parts / "parts", "-o", model, *COLUMNS, *QUICK).exit_code == 0
    for verb in ("score", "transform", "reconstruct", "denoise"):
        out = tmp_path / f"{verb}.parquet"
        result = run(verb, model, parts / "parts", "-o", out, "--id", "key")
        assert result.exit_code == 0, result.output
        assert "wrote 120 rows" in result.stderr
        assert read(out)["key"].to_pylist() == read(parts / "whole.parquet")["key"].to_pylist()


@pytest.mark.parametrize("verb", ["score", "transform", "reconstruct", "denoise"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "arrow"])
def test_pieces_give_what_the_whole_gives(run, parts, model, tmp_path, monkeypatch, verb, ending):
    outputs = []
    for limit in (1 << 30, 100):
        monkeypatch.setattr(_bytes, "DEFAULT_MAX_BYTES", limit)
        out = tmp_path / f"{limit}.{ending}"
        result = run(verb, model, parts / "parts", "-o", out, "--id", "key")
        assert result.exit_code == 0, result.output
        outputs.append(out.read_bytes() if ending == "csv" else read(out).to_pydict())
    assert outputs[0] == outputs[1]


def test_text_goes_to_stdout_as_it_comes(run, parts, model, small_memory):
    result = run("score", model, parts / "parts", "--id", "key")
    lines = result.stdout.splitlines()
    assert lines[0] == '"key","anomaly_score"' and len(lines) == 121


@pytest.mark.parametrize(
    "rule", [(), ("--alert-budget", 5), ("--contamination", 0.1), ("--false-alarm-rate", 0.05)]
)
def test_flags_and_summaries_are_those_of_the_whole(
    run, parts, detector, tmp_path, monkeypatch, rule
):
    summaries, tables = [], []
    for limit in (1 << 30, 100):
        monkeypatch.setattr(_bytes, "DEFAULT_MAX_BYTES", limit)
        out, picture = tmp_path / f"{limit}.parquet", tmp_path / f"{limit}.png"
        result = run(
            "score", detector, parts / "parts", "-o", out, "--id", "key", "--json", "--plot",
            picture, *rule,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        summaries.append(json.loads(result.stdout))
        tables.append(read(out).to_pydict())
        assert picture.stat().st_size > 1_000
    assert summaries[0] == summaries[1] and tables[0] == tables[1]
    assert summaries[0]["worst"][0]["key"].startswith("k")


def test_flagged_rows_of_a_large_table_are_explained(run, parts, detector, tmp_path, monkeypatch):
    tables = []
    for limit in (1 << 30, 100):
        monkeypatch.setattr(_bytes, "DEFAULT_MAX_BYTES", limit)
        out = tmp_path / f"{limit}.csv"
        assert run("explain", detector, parts / "parts", "-o", out, "--id", "key").exit_code == 0
        tables.append(out.read_text())
    assert tables[0] == tables[1] and len(tables[0].splitlines()) > 1


def test_every_row_of_a_large_table_is_not_explained(run, parts, detector, small_memory):
    result = run("explain", detector, parts / "parts", "--all")
    assert result.exit_code == 2 and "--all needs rows in memory" in result.stderr


def test_detect_learns_from_a_sample_and_says_so(run, parts, tmp_path, small_memory):
    out = tmp_path / "detector.safetensors"
    result = run("detect", parts / "parts", "-o", out, *COLUMNS, "--quiet")
    assert result.exit_code == 0, result.output
    assert "120 of its 120 rows, drawn at random, are used" in result.stderr


def test_several_models_learn_from_a_sample_too(run, parts, tmp_path, small_memory):
    options = ("--n-estimators", 2, "--n-components", 2, "--max-epochs", 2, "--id", "key")
    answer = run("fit", parts, "-o", tmp_path / "model.safetensors", *options)
    assert answer.exit_code == 0
    assert "2 members" in answer.stderr


def test_gaps_of_many_files_are_filled(run, parts, tmp_path):
    out = tmp_path / "full.parquet"
    result = run("impute", parts / "parts", "-o", out, "--id", "key", "--quiet")
    assert result.exit_code == 0, result.output
    assert read(out).num_rows == 120 and read(out)["width"].null_count == 0


def test_groups_of_a_large_table_are_held_out_whole(run, parts, tmp_path, small_memory):
    columns = ("--id", "key", "--group-by", "colour", "--max-epochs", 2, "--n-components", 2)
    result = run("fit", parts / "parts", "-o", tmp_path / "m.safetensors", *columns, "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    # One of two colours judges, and none is a column of the model.
    assert told["baselines"]["n_rows"] > 0.3 * 120
    assert "colour" not in [column["name"] for column in told["columns"]]


def test_a_pattern_is_a_table(run, parts, model):
    result = run("score", model, parts / "parts" / "[01].parquet", "--id", "key")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 61


def test_a_file_with_other_columns_is_named_and_nothing_is_written(run, parts, model, tmp_path):
    for place in range(2):
        columns = ["key", "length"] if place else ["key", "length", "width", "colour"]
        pq.write_table(make_table(20).select(columns), tmp_path / f"{place}.parquet")
    out = tmp_path / "out" / "scores.parquet"
    out.parent.mkdir()
    result = run("score", model, tmp_path / "[01].parquet", "-o", out)
    assert result.exit_code == 3 and "1.parquet: its columns are not those of" in result.stderr
    assert not list(out.parent.iterdir())


def test_a_bad_value_midway_leaves_no_output(run, model, tmp_path, small_memory):
    table = make_table(60)
    bad = np.where(np.arange(60) == 45, np.inf, table["length"].to_numpy())
    pq.write_table(table, tmp_path / "0.parquet")
    pq.write_table(table.set_column(1, "length", pa.array(bad)), tmp_path / "1.parquet")
    out = tmp_path / "out" / "scores.parquet"
    out.parent.mkdir()
    result = run("score", model, tmp_path / "[01].parquet", "-o", out, "--id", "key")
    assert result.exit_code == 3
    assert "row 45, column 'length'" in result.stderr
    assert not list(out.parent.iterdir())


def test_a_small_text_is_read_once(run, model, folder, monkeypatch):
    from latently.io import _files

    reads = []
    read_csv = _files.read_csv
    monkeypatch.setattr(_files, "read_csv", lambda *a, **k: reads.append(a) or read_csv(*a, **k))
    assert run("score", model, folder / "table.csv", "--id", "key").exit_code == 0
    assert len(reads) == 1
