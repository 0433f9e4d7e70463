"""Text files of other notations: read as in fit by every command, written as they were."""

from __future__ import annotations

import csv
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import latently
from latently.estimators import ImputationAutoencoder
from latently.io import read
from latently.schema import Notation

IDS = {
    "long": lambda n: str(12345678901234567890 + n),
    "phone": lambda n: f"+4915{n:06d}",
    "version": lambda n: f"{1 + n // 20}.{n % 20}0",
    "hash": lambda n: f"{10 + n}E4",
    "stamp": lambda n: f"2024-01-01T10:{n:02d}:00+02:00",
    "padded": lambda n: f"{n:05d}",
    "comma": lambda n: f"{n},50",
    "word": lambda n: "NA" if n % 2 else f"a{n}",
}


def write(path: Path, header: str, rows: list[str]) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def lines(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.csv, in the notation of Germany, and a detector fitted to it."""
    root = tmp_path_factory.mktemp("german")
    rng = random.Random(0)
    rows = []
    for n in range(80):
        amount = f"{1000 + rng.random() * 1000:,.2f}".translate(str.maketrans(",.", ".,"))
        code = "12" if n % 2 else f"A{n % 5}"
        rows.append(f"{n:04d};{amount};{code};{1 + n % 28:02d}.{1 + n % 12:02d}.2023")
    write(root / "train.csv", "key;amount;code;day", rows)
    from .data import done

    done("detect", root / "train.csv", "-o", root / "model.st", "--id", "key", "-q")
    return root


def test_the_model_keeps_how_columns_are_written(german):
    spec = latently.load(german / "model.st").autoencoder_.preprocessor_.spec
    notations = {name: kind.notation for name, kind in zip(spec.names, spec.types, strict=True)}
    assert notations == {
        "amount": Notation(",", "."), "code": None, "day": Notation(dates="%d.%m.%Y"),
    }  # fmt: skip


@pytest.mark.parametrize("row", ["1.234,50;12;01.02.2023", "1.234;;01.02.2023", "1500,5;A1;"])
def test_a_row_alone_is_read_as_the_model_was(run, german, tmp_path, row):
    path = write(tmp_path / "one.csv", "amount;code;day", [row])
    many = write(tmp_path / "many.csv", "amount;code;day", [row, "1.111,25;A2;31.12.2023"])
    (tmp_path / "parts").mkdir()
    write(tmp_path / "parts" / "a.csv", "amount;code;day", [row])
    first = [
        run("transform", german / "model.st", source).stdout.splitlines()[1]
        for source in (path, many, tmp_path / "parts")
    ]
    assert first[0] == first[1] == first[2]


def test_a_pipe_is_read_as_a_file(run, german, tmp_path):
    header, row = "amount;code;day", "1.234;12;01.02.2023"
    path = write(tmp_path / "one.csv", header, [row])
    piped = run("transform", german / "model.st", "-", stdin=path.read_bytes())
    assert piped.stdout == run("transform", german / "model.st", path).stdout
    assert run("score", german / "model.st", "-", stdin=path.read_bytes()).exit_code == 0


@pytest.mark.parametrize("command", ["score", "transform", "reconstruct", "explain", "report"])
def test_every_command_reads_a_batch_of_digits_as_the_models_text(run, german, tmp_path, command):
    path = write(tmp_path / "b.csv", "amount;code;day", ["1.234,5;12;01.02.2023"] * 25)
    out = tmp_path / ("o.html" if command == "report" else "o.csv")
    options = ["--all"] if command == "explain" else []
    result = run(command, german / "model.st", path, "-o", out, *options)
    assert result.exit_code == 0, result.output
    assert out.exists()


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("amount;code;day", "much;12;01.02.2023", "'much' in row 1"),
        ("amount;code;day", "1,5;12;soon", "'soon' in row 1"),
        ("amount,code,day", "1.234,12,2023-02-01", "--decimal"),
    ],
)
def test_a_cell_that_is_not_of_the_models_kind_is_refused(
    run, german, tmp_path, header, row, words
):
    result = run("score", german / "model.st", write(tmp_path / "b.csv", header, [row]))
    assert result.exit_code == 3 and words in result.stderr


def test_a_batch_in_the_other_notation_is_read_where_it_shows_it(run, german, tmp_path):
    there = write(tmp_path / "a.csv", "amount;code;day", ["1.234,5;A1;01.02.2023"])
    here = write(tmp_path / "b.csv", "amount,code,day", ["1234.5,A1,2023-02-01"])
    answers = [run("transform", german / "model.st", path) for path in (there, here)]
    assert answers[0].stdout == answers[1].stdout
    assert "another notation than in fit" in answers[1].stderr
    asked = run("transform", german / "model.st", here, "--decimal", ".")
    assert asked.stdout == answers[0].stdout


@pytest.mark.parametrize("kind", IDS)
def test_ids_come_back_as_they_stood_in_the_file(run, tmp_path, kind):
    ids = [IDS[kind](n) for n in range(40)]
    path = write(tmp_path / "a.csv", f"{kind};x", [f"{ids[n]};{n % 7}" for n in range(40)])
    model, out = tmp_path / "m.st", tmp_path / "o.csv"
    assert run("detect", path, "-o", model, "--id", kind, "-q").exit_code == 0
    assert run("score", model, path, "--id", kind, "-o", out).exit_code == 0
    assert [row[0] for row in lines(out)[1:]] == ids
    if kind != "comma":
        assert out.read_text().splitlines()[1].startswith(f"{ids[0]},")


def test_an_id_that_the_model_sees_too_is_carried_as_text(run, german, tmp_path):
    path = write(tmp_path / "a.csv", "amount;code;day", ["1.234,50;12;01.02.2023"] * 2)
    for source in (path, tmp_path):
        out = run("score", german / "model.st", source, "--id", "amount", "--id", "day").stdout
        assert out.splitlines()[1].startswith('"1.234,50",01.02.2023,')
    stored = tmp_path / "o.parquet"
    run("score", german / "model.st", path, "--id", "amount", "-o", stored)
    assert pq.read_table(stored)["amount"].to_pylist() == ["1.234,50"] * 2


@pytest.fixture
def quick(monkeypatch):
    small = {"n_networks": 2, "n_trees": 8, "batch_size": 64, "max_epochs": 2, "engine": "cpu"}
    make = lambda: ImputationAutoencoder(**small)  # noqa: E731
    monkeypatch.setattr("latently.tasks.imputation._imputer.ImputationAutoencoder", make)


def gapped(n_rows: int = 60, word: str = "") -> list[str]:
    rows = []
    for n in range(n_rows):
        amount = f"1.{n:03d},50" if n % 5 else word
        day = f"{1 + n % 28:02d}.06.2023" if n % 7 else word
        rows.append(f"{n:04d};{amount};{['red', 'NA.', 'blue'][n % 3]};{day};{n}.10")
    return rows


@pytest.mark.parametrize("word", ["", "unknown", "k. A."])
def test_cells_that_are_not_filled_are_the_bytes_they_were(run, quick, tmp_path, word):
    rows = gapped(word=word)
    path = write(tmp_path / "a.csv", "key;amount;colour;day;share", rows)
    out, options = tmp_path / "o.csv", (["--missing", word] if word else [])
    result = run("impute", path, "-o", out, "--id", "key", "-q", *options)
    assert result.exit_code == 0, result.output
    for given, found in zip((row.split(";") for row in rows), lines(out)[1:], strict=True):
        for before, after in zip(given, found, strict=True):
            assert after == before if before != word else after not in ("", word)
        assert "," in found[1] and found[3].endswith(".06.2023")


def test_a_word_for_gaps_fills_as_an_empty_cell_does_and_is_remembered(run, quick, tmp_path):
    header, model = "a,b", tmp_path / "m.st"
    rows = [f"{'unknown' if n % 5 == 0 else n / 5},{n / 10}" for n in range(100)]
    marked = write(tmp_path / "a.csv", header, rows)
    empty = write(tmp_path / "b.csv", header, [row.replace("unknown", "") for row in rows])
    out = [tmp_path / f"{name}.csv" for name in ("marked", "empty", "again")]
    run("impute", marked, "-o", out[0], "--missing", "unknown", "--save", model, "-q")
    run("impute", empty, "-o", out[1], "-q")
    new = write(tmp_path / "c.csv", header, [row.replace("unknown", "unknown") for row in rows])
    assert run("impute", model, new, "-o", out[2], "-q").exit_code == 0
    assert out[0].read_text() == out[1].read_text() == out[2].read_text()


def test_a_detector_remembers_the_word_for_gaps(run, tmp_path):
    model = tmp_path / "m.st"
    rows = [f"{'none given' if n % 9 == 0 else n},{n % 4}" for n in range(80)]
    path = write(tmp_path / "a.csv", "a,b", rows)
    run("detect", path, "-o", model, "--missing", "none given", "-q")
    new = write(tmp_path / "b.csv", "a,b", ["none given,1", "3,2"])
    empty = write(tmp_path / "c.csv", "a,b", [",1", "3,2"])
    answers = [run("score", model, source).stdout for source in (new, empty)]
    assert answers[0] == answers[1] and answers[0]
    (tmp_path / "parts").mkdir()
    table = pa.table({"a": [-1, 3], "b": [1, 2]})
    pq.write_table(table, tmp_path / "parts" / "0.parquet")
    missing = run("score", model, tmp_path / "parts", "--missing", "-1")
    assert missing.stdout == answers[0]


def test_unfilled_columns_of_typed_files_keep_their_marks(run, quick, tmp_path):
    table = pa.table({"a": [float(n) if n % 5 else -9.0 for n in range(60)],
                      "b": [float(n) if n % 4 else -9.0 for n in range(60)]})  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    out = tmp_path / "o.parquet"
    run("impute", tmp_path / "a.parquet", "-o", out, "--missing", "-9", "--column", "a", "-q")
    found = read(out)
    assert found["b"].to_pylist() == table["b"].to_pylist()
    assert min(found["a"].to_pylist()) > -9


def test_dates_that_have_two_readings_need_the_option(run, tmp_path):
    rows = [f"0{1 + n % 9}/0{1 + n % 8}/2024,{n}" for n in range(60)]
    path = write(tmp_path / "a.csv", "day,n", rows)
    model = tmp_path / "m.st"
    asked = run("detect", path, "-o", model, "-q")
    assert asked.exit_code == 3 and "--dates day-first" in asked.stderr
    assert run("detect", path, "-o", model, "--dates", "day-first", "-q").exit_code == 0
    spec = latently.load(model).autoencoder_.preprocessor_.spec
    assert spec.types[0].notation == Notation(dates="%d/%m/%Y")
    assert run("score", model, path).exit_code == 0


def test_ignored_columns_and_columns_unknown_to_the_model_are_not_judged(run, german, tmp_path):
    rows = [f"1.234,5;A1;01.02.2023;0{1 + n % 9}/02/2024" for n in range(4)]
    path = write(tmp_path / "a.csv", "amount;code;day;other", rows)
    result = run("score", german / "model.st", path)
    assert result.exit_code == 0 and "does not know are ignored: other" in result.stderr


def test_compare_reads_synthetic_rows_as_the_real_ones(run, tmp_path):
    real = write(
        tmp_path / "r.csv", "a;b", [f"{n},5;{'x' if n % 2 else n % 10}" for n in range(60)]
    )
    made = write(tmp_path / "s.csv", "a;b", [f"{n},5;{n % 10}" for n in range(60)])
    result = run("compare", real, made)
    assert result.exit_code == 0, result.output


COMMANDS = {
    *("fit", "tune", "detect", "transform", "reconstruct", "score", "explain", "report"),
    *("impute", "denoise", "compare"),
}


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_that_reads_data_has_the_options(run, command):
    shown = run(command, "--help").stdout
    assert all(option in shown for option in ("--missing", "--decimal", "--dates"))


def test_a_filled_cell_is_written_as_its_file_is_not_as_that_of_fit(run, quick, tmp_path):
    german = [f"{1 + n % 28:02d}.06.2023 10:00:00;{n},5" if n % 7 else f";{n},5" for n in range(60)]
    train = write(tmp_path / "a.csv", "day;x", german)
    run("impute", train, "-o", tmp_path / "f.csv", "--save", tmp_path / "m.st", "-q")
    new = write(tmp_path / "b.csv", "day,x", ["2023-06-03 10:00:00,1.5", ",2.5"])
    assert run("impute", tmp_path / "m.st", new, "-o", tmp_path / "o.csv", "-q").exit_code == 0
    first, second = (row[0] for row in lines(tmp_path / "o.csv")[1:])
    assert first == "2023-06-03 10:00:00"
    assert re.fullmatch(r"2023-06-\d\d \d\d:\d\d:\d\d", second)


@pytest.mark.parametrize("option", ["--ignore", "--id"])
def test_columns_to_leave_out_may_be_absent_in_what_is_compared(run, tmp_path, option):
    real = write(tmp_path / "a.csv", "key,x,y", [f"{n},{n % 7},{n % 5}.5" for n in range(60)])
    other = write(tmp_path / "b.csv", "x,y", [f"{n % 7},{n % 5}.5" for n in range(60)])
    answers = [run("compare", real, path, option, "key", "--json") for path in (other, real)]
    assert answers[0].exit_code == 0, answers[0].output
    assert answers[0].stdout == answers[1].stdout
    assert run("compare", real, other, option, "nothing").exit_code == 2
