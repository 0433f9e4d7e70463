"""``explain`` and ``report``: reasons of flagged rows as a table, a page as a file."""

import json
from pathlib import Path

import numpy as np
import pytest

import latently
from latently.datasets import make_transactions
from latently.io import read, write, write_images
from tests.cli.conftest import _run as run


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A folder with transactions of which one is spoilt, and a detector."""
    monkeypatch.chdir(tmp_path)
    made = make_transactions(400, random_state=0).data.to_pandas()
    assert run("fit", "--help").exit_code == 0
    write(make_transactions(400, random_state=0).data, "rows.csv")
    assert run("detect", "rows.csv", "-o", "model.safetensors").exit_code == 0
    return made


def test_flagged_rows_are_explained_a_line_a_reason(desk):
    result = run("explain", "model.safetensors", "rows.csv", "-o", "why.csv", "--plot", "why.png")
    assert result.exit_code == 0, result.output
    table = read("why.csv").to_pandas()
    heads = ["row", "anomaly_score", "p_value", "rank", "column", "part", "got", "expected"]
    assert list(table.columns) == [*heads, "low", "high", "blame"]
    model = latently.load("model.safetensors")
    flagged = np.flatnonzero(model.predict(desk) == -1)
    assert set(table.row) == set(flagged.tolist())
    found = model.explain(desk.iloc[flagged])
    named = table.column[table["rank"] > 0].tolist()
    assert named == [r.column for one in found for r in one.reasons]


def test_ids_are_carried_along_and_all_rows_on_demand(desk):
    name = desk.columns[0]
    result = run("explain", "model.safetensors", "rows.csv", "--all", "--reasons", 1, "--id", name,
                 "-o", "why.csv")  # fmt: skip
    assert result.exit_code == 0, result.output
    table = read("why.csv").to_pandas()
    assert table.columns[0] == name and len(table) == 400
    known = desk[name].notna()
    assert (table[name][known].astype(str) == desk[name][known].astype(str)).all()


def test_reasons_come_as_json(desk):
    result = run("explain", "model.safetensors", "rows.csv", "--json")
    found = json.loads(result.stdout)
    assert len(found["row"]) == len(found["got"]) > 0


def test_images_are_explained_by_their_worst_patch(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(100, 130, (60, 16, 16), dtype=np.uint8)
    write_images(pixels, "pictures", [f"{place:02d}.png" for place in range(60)])
    assert run("detect", "pictures", "-o", "model.safetensors").exit_code == 0
    pixels[7, 4:8, 10:14] = 255
    write_images(pixels[:12], "new", [f"{place:02d}.png" for place in range(12)])
    result = run("explain", "model.safetensors", "new", "--all", "-o", "why.csv")
    assert result.exit_code == 0, result.output
    table = read("why.csv").to_pandas()
    worst = table.loc[table.anomaly_score.idxmax()]
    assert worst.file == "07.png" and 4 <= worst.top < 8 and 10 <= worst.left < 14


def test_a_report_is_one_page(desk):
    result = run("report", "model.safetensors", "rows.csv", "-o", "page.html", "--color",
                 desk.columns[1])  # fmt: skip
    assert result.exit_code == 0, result.output
    page = read_text("page.html")
    assert page.startswith("<!doctype html>") and "rows" in result.output
    assert run("report", "model.safetensors", "rows.csv", "-o", "page.html").exit_code == 2
    told = json.loads(run("report", "model.safetensors", "rows.csv", "--json").stdout)
    assert told["n_rows"] == 400 and told["conclusion"] in page


def read_text(name):
    return Path(name).read_text(encoding="utf-8")


def test_what_cannot_be_explained_is_refused_in_a_sentence(desk, tmp_path):
    quick = ("--n-components", 2, "--max-epochs", 1, "--quiet")
    assert run("fit", "rows.csv", "-o", "plain.safetensors", *quick).exit_code == 0
    result = run("explain", "plain.safetensors", "rows.csv")
    assert result.exit_code == 2 and "latently detect" in result.output
    write(read("rows.csv").slice(0, 5), "few.csv")
    result = run("report", "model.safetensors", "few.csv")
    assert result.exit_code == 3 and "20 rows at least, got 5" in result.output
    assert not (tmp_path / "report.html").exists()
