"""Answers in a folder, a file for each file of the table; and engines that are asked for."""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from latently import AutoencoderImputer
from latently.io import read

from .conftest import make_table
from .test_large import COLUMNS, QUICK


def of_folder(folder):
    paths = sorted(folder.rglob("*.parquet"))
    return pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])


def test_files_of_answers_lie_as_those_of_the_table(run, parts, detector, tmp_path):
    done = run("score", detector, parts / "parts", "-o", tmp_path / "out", "--id", "key")
    assert done.exit_code == 0, done.output
    assert "wrote 120 rows in 4 files" in done.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [
        "0.parquet",
        "1.parquet",
        "2.parquet",
        "3.parquet",
        "_SUCCESS",
        "_latently.json",
    ]
    run("score", detector, parts / "whole.parquet", "-o", tmp_path / "one.parquet", "--id", "key")
    found, expected = of_folder(tmp_path / "out"), read(tmp_path / "one.parquet")
    assert found.column_names == expected.column_names
    for name in ("key", "anomaly_score", "is_anomaly"):
        assert found[name].to_pylist() == pytest.approx(expected[name].to_pylist(), abs=1e-6)
    assert read(tmp_path / "out").num_rows == 120


def test_a_job_that_was_ended_goes_on(run, parts, detector, tmp_path):
    command = ["score", detector, parts / "parts", "-o", f"{tmp_path}/out/", "--per-feature"]
    assert run(*command).exit_code == 0
    before = (tmp_path / "out" / "0.parquet").stat().st_mtime_ns
    whole = (tmp_path / "out" / "2.parquet").read_bytes()
    (tmp_path / "out" / "2.parquet").unlink()
    refused = run(*command)
    assert refused.exit_code == 2 and "the folder exists" in refused.stderr
    done = run(*command, "--resume")
    assert done.exit_code == 0 and "3 files were there" in done.stderr
    assert (tmp_path / "out" / "2.parquet").read_bytes() == whole
    assert (tmp_path / "out" / "0.parquet").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", [["--id", "key"], ["--false-alarm-rate", "0.2"]])
def test_answers_to_another_question_are_not_gone_on_with(run, parts, detector, tmp_path, change):
    command = ["score", detector, parts / "parts", "-o", tmp_path / "out"]
    assert run(*command).exit_code == 0
    refused = run(*command, *change, "--resume")
    assert refused.exit_code == 2 and "another model, method or table" in refused.stderr


def test_a_folder_of_something_else_stays_as_it_is(run, parts, detector, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    for more in ([], ["--resume"]):
        refused = run("score", detector, parts / "parts", "-o", tmp_path / "out", *more)
        assert refused.exit_code == 2 and "the folder exists" in refused.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_flags_are_counted_over_all_files(run, parts, detector, tmp_path):
    command = ["score", detector, parts / "parts", "--false-alarm-rate", "0.2"]
    done = run(*command, "-o", tmp_path / "out", "--fail-on", "anomalies")
    assert done.exit_code == 10
    n_flagged = sum(of_folder(tmp_path / "out")["is_anomaly"].to_pylist())
    assert f"flagged: {n_flagged}" in done.stderr and n_flagged > 0


def test_rules_about_all_rows_need_one_file(run, parts, detector, tmp_path):
    refused = run("score", detector, parts / "parts", "-o", tmp_path / "out", "--alert-budget", "3")
    assert refused.exit_code == 2 and "look at all rows at once" in refused.stderr
    assert not (tmp_path / "out").exists()


def test_codes_and_fills_go_to_folders_too(run, parts, tmp_path):
    model = tmp_path / "m.safetensors"
    assert run("fit", parts / "parts", "-o", model, *COLUMNS, *QUICK).exit_code == 0
    assert run("transform", model, parts / "parts", "-o", tmp_path / "codes").exit_code == 0
    run("transform", model, parts / "whole.parquet", "-o", tmp_path / "codes.parquet")
    assert of_folder(tmp_path / "codes").equals(read(tmp_path / "codes.parquet"))
    columns = read(parts / "whole.parquet").select(["length", "width", "colour"])
    imputer = AutoencoderImputer(random_state=0, effort="fast").fit(columns)
    imputer.save(tmp_path / "imputer.safetensors")
    done = run("impute", tmp_path / "imputer.safetensors", parts / "parts", "-o", tmp_path / "full")
    assert done.exit_code == 0, done.output
    assert of_folder(tmp_path / "full")["width"].null_count == 0
    refused = run("impute", model, parts / "parts", "-o", tmp_path / "no")
    assert refused.exit_code == 2 and "needs an imputer's file" in refused.stderr
    refused = run("impute", parts / "parts", "-o", tmp_path / "no")
    assert refused.exit_code == 2 and "needs MODEL" in refused.stderr


def test_folders_named_key_value_are_columns_and_stay_folders(run, tmp_path):
    for year in (2025, 2026):
        (tmp_path / "rows" / f"year={year}").mkdir(parents=True)
        pq.write_table(make_table(40).drop_columns(["key", "label"]),
                       tmp_path / "rows" / f"year={year}" / "a.parquet")  # fmt: skip
    model = tmp_path / "m.safetensors"
    assert run("fit", tmp_path / "rows", "-o", model, *QUICK).exit_code == 0
    assert run("transform", model, tmp_path / "rows", "-o", tmp_path / "out").exit_code == 0
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("a.*"))
    assert names == ["year=2025/a.parquet", "year=2026/a.parquet"]


def test_nothing_is_half_written_where_a_file_is_damaged(run, parts, detector, tmp_path):
    (tmp_path / "rows").mkdir()
    for name in ("0", "1"):
        raw = bytearray((parts / "parts" / f"{name}.parquet").read_bytes())
        if name == "1":
            raw[8:60] = bytes(52)
        (tmp_path / "rows" / f"{name}.parquet").write_bytes(raw)
    refused = run("score", detector, tmp_path / "rows", "-o", tmp_path / "out")
    assert refused.exit_code == 3 and "1.parquet" in refused.stderr
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["0.parquet", "_latently.json"]
    assert json.loads((tmp_path / "out" / "_latently.json").read_text())["n_files"] == 2


# ------------------------------------------------------------------ engines
@pytest.mark.parametrize("command", ["fit", "tune", "score", "transform", "impute"])
def test_without_ray_the_line_to_install_it_is_told(
    run,
    parts,
    detector,
    tmp_path,
    monkeypatch,
    command,
):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = [] if command in ("fit", "tune") else [detector]
    refused = run(command, *words, parts / "parts", "-o", tmp_path / "o", "--engine", "ray")
    assert refused.exit_code == 6, refused.output
    assert "pip install 'latently[ray]'" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_options_of_ray_need_ray(run, parts, detector, tmp_path):
    for option in (["--n-workers", "3"], ["--ray-address", "auto"]):
        refused = run("score", detector, parts / "parts", "-o", tmp_path / "o", *option)
        assert refused.exit_code == 2 and "belongs to --engine ray" in refused.stderr


def test_ray_writes_folders_only(run, parts, detector, tmp_path):
    for output in ("-", tmp_path / "one.parquet"):
        refused = run("score", detector, parts / "parts", "-o", output, "--engine", "ray")
        assert refused.exit_code == 2 and "Give -o FOLDER/" in refused.stderr


def test_commands_other_than_fit_are_not_done_by_several(run, parts, detector, monkeypatch):
    told = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    refused = run("score", detector, parts / "parts")
    assert refused.exit_code == 2 and "torchrun started 2" in refused.stderr


def test_a_table_may_lie_on_another_file_system(run, parts, tmp_path):
    here, there = tmp_path / "here.safetensors", tmp_path / "there.safetensors"
    assert run("fit", parts / "parts", "-o", here, *COLUMNS, *QUICK).exit_code == 0
    done = run("fit", f"file://{parts}/parts", "-o", there, *COLUMNS, *QUICK)
    assert done.exit_code == 0, done.output
    assert here.read_bytes() == there.read_bytes()
    refused = run("fit", f"file://{parts}/nothing", "-o", tmp_path / "no", *QUICK)
    assert refused.exit_code == 3 and "it cannot be read" in refused.stderr
