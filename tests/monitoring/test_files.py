"""Rows of files that grow, are rotated, or hold rows that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from latently.exceptions import DataError
from latently.monitoring import FileSource

from .conftest import HEADER, Make, ids, line, read_lines, rows


def test_new_rows_are_scored_once_as_in_a_batch(watch: Make, tmp_path: Path, detector):
    path = tmp_path / "new.csv"
    path.write_text(HEADER + "".join(rows(10)))
    assert watch().run(once=True)[:3] == (10, 4, 0)
    with path.open("a") as file:
        file.write("".join(rows(10, first=10)))
    assert watch().run(once=True).n_rows == 10
    assert watch().run(once=True).n_rows == 0
    assert ids(tmp_path / "scores.ndjson") == [f"r{number:04d}" for number in range(20)]
    table = FileSource(path)
    table.open(*_opened(detector))
    expected = detector.anomaly_score(table.read(None, 20).read(0, 20).select(["code", "amount"]))
    assert [entry["score"] for entry in read_lines(tmp_path / "scores.ndjson")] == list(expected)


def _opened(detector):
    from latently.io import TextOptions
    from latently.tasks import spec_of

    return TextOptions(like=spec_of(detector)), ["code", "amount"], print


def test_an_alert_names_the_row_its_reasons_and_its_columns(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text(HEADER + line(7, 9_000))
    watch().run(once=True)
    [alert] = read_lines(tmp_path / "alerts.ndjson")
    assert (alert["id"], alert["place"]) == ("r0007", "line 2")
    assert alert["columns"] == {"code": "007", "amount": 9_000}
    assert alert["p_value"] <= 0.01 and alert["score"] > alert["threshold"]
    assert alert["reasons"][0].startswith("amount 9,000, expected ")


def test_a_line_without_its_end_waits(watch: Make, tmp_path: Path):
    path = tmp_path / "new.csv"
    path.write_text(HEADER + line(1) + "r0002,002,90")
    assert watch().run(once=True).n_rows == 1
    with path.open("a") as file:
        file.write("00\n")
    assert watch().run(once=True).n_rows == 1
    assert read_lines(tmp_path / "alerts.ndjson")[0]["columns"]["amount"] == 9_000


@pytest.mark.parametrize("number", ["007", "7"])
def test_json_lines_are_read_as_the_text_of_a_table(watch: Make, tmp_path: Path, number: str):
    path = tmp_path / "new.ndjson"
    record = {"id": "a", "code": number, "amount": 9_000, "more": [1]}
    path.write_text(json.dumps(record) + "\n" + json.dumps({**record, "amount": None}) + "\n")
    assert watch(source=FileSource(path)).run(once=True).n_rows == 2
    assert read_lines(tmp_path / "alerts.ndjson")[0]["columns"] == {"code": number, "amount": 9_000}


def test_a_quoted_line_end_is_part_of_its_row(watch: Make, tmp_path: Path):
    path = tmp_path / "new.csv"
    path.write_bytes(HEADER.encode() + b'"a\nb",001,12\r\nr2,002,"9000"\r\n')
    assert watch().run(once=True).n_rows == 2
    assert ids(tmp_path / "alerts.ndjson") == ["r2"]
    assert read_lines(tmp_path / "alerts.ndjson")[0]["place"] == "line 4"


def test_the_rest_of_a_rotated_file_is_read_first(watch: Make, tmp_path: Path):
    path, said = tmp_path / "new.csv", []
    path.write_text(HEADER + "".join(rows(3)))
    watch().run(once=True)
    with path.open("a") as file:
        file.write("".join(rows(3, first=3)))
    path.rename(tmp_path / "new.csv.1")
    path.write_text(HEADER + "".join(rows(3, first=6)))
    assert watch(notify=said.append).run(once=True).n_rows == 6
    assert ids(tmp_path / "scores.ndjson") == [f"r{number:04d}" for number in range(9)]
    assert "was rotated" in said[0]


def test_a_truncated_file_is_read_from_its_start_and_reported(watch: Make, tmp_path: Path):
    path, said = tmp_path / "new.csv", []
    path.write_text(HEADER + "".join(rows(3)))
    watch().run(once=True)
    path.write_text(HEADER + line(3))
    assert watch(notify=said.append).run(once=True).n_rows == 1
    assert "was truncated or replaced after line 4" in said[0]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("r0002,002,abc\n", "new.csv, line 4: column 'amount' holds 'abc', where a number"),
        ("r0002,002,1,2\n", "new.csv, line 4: the row has 4 cells, the header has 3"),
    ],
)
def test_an_unusable_row_stops_the_watch_before_it(watch: Make, tmp_path: Path, bad, message):
    path = tmp_path / "new.csv"
    text = HEADER + line(0) + line(1)
    path.write_text(text + bad + line(3))
    for _ in range(2):  # the position stays before the row
        with pytest.raises(DataError) as refused:
            watch().run(once=True)
        assert message in str(refused.value)
        assert ids(tmp_path / "scores.ndjson") == ["r0000", "r0001"]
    path.write_text(text + line(2) + line(3))
    watch().run(once=True)
    assert ids(tmp_path / "scores.ndjson") == ["r0000", "r0001", "r0002", "r0003"]


def test_unusable_rows_are_set_aside_on_request(watch: Make, tmp_path: Path):
    path, bad = tmp_path / "new.ndjson", tmp_path / "bad.ndjson"
    good = [{"id": f"r{number}", "code": "001", "amount": 12} for number in range(6)]
    texts = [json.dumps(record) for record in good]
    texts[1] = '{"id": "r1", "code": "001"}'
    texts[3] = "no json"
    texts[4] = json.dumps({**good[4], "amount": "much"})
    path.write_text("\n".join(texts) + "\n")
    report = watch(source=FileSource(path), bad_rows=bad).run(once=True)
    assert (report.n_rows, report.n_bad) == (3, 3)
    assert ids(tmp_path / "scores.ndjson") == ["r0", "r2", "r5"]
    found = read_lines(bad)
    assert [entry["place"] for entry in found] == ["line 2", "line 4", "line 5"]
    assert found[1]["row"] == "no json" and "lacks the columns amount" in found[0]["error"]


def test_a_file_without_the_columns_of_fit_is_refused(watch: Make, tmp_path: Path):
    (tmp_path / "new.csv").write_text("id,code\nr1,001\n")
    with pytest.raises(DataError, match="line 1: the header lacks the columns amount"):
        watch(bad_rows=tmp_path / "bad.ndjson").run(once=True)
