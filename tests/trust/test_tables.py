"""From a file to the end of a command: a right answer, a counted warning, or one plain sentence.

The numbers are those of the list in ``docs/trust.md``; rows that come as frames are in
``tests/contract/test_bad_input.py``.
"""

import gzip
import io
import os
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from latently.cli import app

pytestmark = pytest.mark.trust("tables")

ROWS = [(f"{0.5 * i:.1f}", f"{(i * 7) % 11}.25", "xyz"[i % 3]) for i in range(40)]
PLAIN = "a,b,c\n" + "".join(f"{a},{b},{c}\n" for a, b, c in ROWS)


class Said(NamedTuple):
    """What a command must end with: its code, and words on stderr."""

    code: int
    words: str = ""


WORKS = Said(0)


def warned(words):
    return Said(0, words)


def refused(words):
    return Said(3, words)


def run(*words):
    """Run a command; hold whatever it says against the rules for all of them."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output and "internal error" not in result.output
    for line in result.stderr.splitlines():
        assert len(line) <= 320  # "error: " and the like included
    return result


def hold(result, said, outcome, path=None):
    stderr = " ".join(result.stderr.split())
    assert result.exit_code == said.code, stderr
    assert said.words in stderr
    if said == WORKS:
        assert "warning" not in stderr
    if said.code and path is not None:
        assert path.name in stderr
    outcome("refused" if said.code else "warned" if said.words else "worked")


def lines(*more, header="a,b,c", end="\n"):
    return end.join([header, *(",".join(row) for row in ROWS), *more]) + end


def spread(delimiter, decimal="."):
    rows = [[a.replace(".", decimal), b.replace(".", decimal), c] for a, b, c in ROWS]
    return "".join(delimiter.join(row) + "\n" for row in [["a", "b", "c"], *rows])


def with_column(values, name="d"):
    rows = [*zip(*([iter(values)] * 1), strict=True)]
    body = "".join(f"{','.join(row)},{value[0]}\n" for row, value in zip(ROWS, rows, strict=True))
    return f"a,b,c,{name}\n{body}"


def cycle(*values):
    return [values[i % len(values)] for i in range(len(ROWS))]


TEXTS = {
    "1 zero bytes": ("", refused("empty")),
    "2 header only": ("a,b,c\n", refused("no rows")),
    "3 only line ends": ("\n\n\n", refused("empty")),
    "4 no header": ("1,2\n3,4\n5,6\n", refused("only numbers")),
    "5 a name twice": (PLAIN.replace("a,b,c", "a,b,a", 1), refused("'a'")),
    "6 an empty name": (PLAIN.replace("a,b,c", "a,,c", 1), warned("1 column without a name")),
    "7 trailing commas": (PLAIN.replace("\n", ",\n"), warned("dropped")),
    "8 fewer fields": (lines("1.0"), warned("2 cells became missing")),
    "9 more fields": (lines("1.0,2.0,x,4"), refused("line 42 has 4 cells")),
    "10 semicolons": (spread(";"), WORKS),
    "11 semicolons and decimal commas": (spread(";", ","), warned("decimal sign")),
    "12 thousands": (with_column(cycle('"1,000"', '"2,500"')), refused("thousands")),
    "13 a byte order mark": ("\ufeff" + PLAIN, WORKS),
    "14 line ends of DOS": (lines(end="\r\n"), WORKS),
    "15 Latin-1": (PLAIN.replace("x", "é").encode("latin-1"), refused("byte ")),
    "16 NUL": (lines("1.0,\0,x"), refused("line 42 holds a NUL")),
    "17 quoted line ends": (with_column(cycle('"x\ny"', "z")), WORKS),
    "18 an open quote": (lines('1.0,2.0,"x', "1.0,2.0,y"), refused("line 42")),
    "19 blank lines": (lines("", "1.0,2.0,x"), warned("1 blank line")),
    "20 gzip named .csv": (gzip.compress(PLAIN.encode()), WORKS),
    "21 PNG": (b"\x89PNG\r\n\x1a\n" + bytes(99), refused("looks like a PNG")),
    "21 ZIP": (b"PK\x03\x04" + bytes(99), refused("looks like a ZIP")),
    "21 HTML": (b"<!doctype html>" + bytes(99), refused("looks like an HTML")),
    "22 words for missing": (with_column(cycle("1.5", "NA", "?", "null", "-")), WORKS),
    "23 a surname Null": (with_column(cycle('"Null"', "Smith", "Ng")), WORKS),
    "25 1e400": (with_column(["1e400", *cycle("1.0")[1:]]), refused("inf")),
    "26 beyond 2^53": (with_column(cycle("9007199254740993", "1")), warned("2**53")),
    "26 beyond 2^63": (with_column(cycle("99999999999999999999", "1")), warned("too large")),
    "27 a word among numbers": (with_column([*cycle("1.5")[1:], "oops"]), refused("'oops'")),
    "28 leading zeros": (with_column(cycle("007", "010")), warned("leading zeros")),
    "29 percent": (with_column(cycle("5%", "6%")), warned("unit")),
    "29 hexadecimal": (with_column(cycle("0x1F", "0x20")), warned("prefix")),
    "30 words of truth": (with_column(cycle("true", "FALSE")), WORKS),
    "32 dates": (with_column(cycle("2024-01-02", "2024-02-03")), WORKS),
    "32 an impossible date": (with_column(cycle("2024-01-02", "2024-02-30")), refused("row 2")),
    "39 a column of nothing": (with_column(cycle("")), warned("no value")),
    "40 a constant column": (with_column(cycle("5")), WORKS),
    "41 all constant": ("a,b\n" + "1,2\n" * 40, WORKS),
    "43 1e30": (with_column(["1e30", *cycle("1.0", "2.0")[1:]]), warned("Row 0 holds 1e+30")),
    "43 1e300": (with_column(["1e300", *cycle("1.0", "2.0")[1:]]), refused("too large")),
    "45 one row": ("a,b\n1,2\n", refused("1 sample")),
    "45 two rows": ("a,b\n1,2\n3,5\n", WORKS),
    "46 one column": ("a\n" + "".join(f"{i}\n" for i in range(40)), WORKS),
    "52 names with blanks and signs": (PLAIN.replace("a,b,c", '"a b","€,",c', 1), WORKS),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(case, tmp_path, outcome):
    content, said = TEXTS[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    model = tmp_path / "m"
    result = run("fit", path, "-o", model, "--n-components", 1, "--max-epochs", 1, "--quiet")
    hold(result, said, outcome)
    assert model.exists() == (said.code == 0)
    if said.code == 0:
        scored = run("score", model, path, "-o", tmp_path / "scores.csv")
        assert scored.exit_code == 0
        scores = pyarrow.csv.read_csv(tmp_path / "scores.csv")["anomaly_score"].to_numpy()
        assert np.isfinite(scores).all()


# ---------------------------------------------------------------- other files
def parquet(table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


NUMBERS = pa.table({"a": np.arange(4000.0), "b": np.arange(4000.0) ** 2})


def bomb():
    """Return 200,000,000 rows in well under a megabyte."""
    sink = io.BytesIO()
    values = pa.DictionaryArray.from_arrays(pa.array(np.zeros(10**7, np.int8)), pa.array([1.5]))
    table = pa.table({"a": values})
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(table)
    return sink.getvalue()


def flipped(raw):
    return raw[:200] + bytes([raw[200] ^ 4]) + raw[201:]


def npz(**arrays):
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


FILES = {
    "62 lists": ("t.parquet", lambda: parquet(pa.table({"a": [[1], [2]]})), refused("'a'")),
    "62 structs": ("t.parquet", lambda: parquet(pa.table({"a": [{"x": 1}]})), refused("'a'")),
    "63 a column twice": (
        "t.parquet",
        lambda: parquet(pa.table([[1.0], [2.0]], names=["a", "a"])),
        refused("'a'"),
    ),
    "64 truncated": ("t.parquet", lambda: parquet(NUMBERS)[:-20], refused("cut short")),
    "64 text renamed": ("t.parquet", lambda: PLAIN.encode(), refused("it is not Parquet")),
    "65 a flipped bit": (
        "t.parquet",
        lambda: flipped(parquet(NUMBERS, write_page_checksum=True, compression="none")),
        refused("damaged"),
    ),
    "67 a bomb of NPZ": ("t.npz", lambda: npz(X=np.zeros((14_000, 10_000))), refused("max_bytes")),
    "68 several arrays": (
        "t.npz",
        lambda: npz(p=np.zeros((9, 2)), q=np.zeros((9, 2))),
        refused("key"),
    ),
    "68 objects": ("t.npz", lambda: npz(X=np.array([{}])), refused("not plain numbers")),
    "69 pickle named .npy": ("t.npy", lambda: b"\x80\x04\x95" + bytes(99), refused("pickle")),
}


@pytest.mark.parametrize("case", FILES)
def test_files(case, tmp_path, outcome):
    name, content, said = FILES[case]
    (tmp_path / name).write_bytes(content())
    result = run("fit", tmp_path / name, "-o", tmp_path / "m", "--max-epochs", 1, "--quiet")
    hold(result, said, outcome, tmp_path / name)
    assert not (tmp_path / "m").exists()


def test_66_a_bomb_is_judged_by_its_rows(tmp_path, outcome):
    from latently.exceptions import DataError
    from latently.io import read

    (tmp_path / "t.parquet").write_bytes(bomb())
    assert (tmp_path / "t.parquet").stat().st_size < 10**6
    with pytest.raises(DataError, match=r"t\.parquet: .*max_bytes"):
        read(tmp_path / "t.parquet")
    outcome("refused")


@pytest.mark.parametrize(
    "place", ["absent.csv", "folder.csv", "fifo.csv", "t.xlsx", "n" * 300, "n" * 300 + "*"]
)
def test_69_places_that_are_no_tables(place, tmp_path, outcome):
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "fifo.csv")
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    hold(run("fit", tmp_path / place, "-o", tmp_path / "m"), refused(""), outcome)
    assert not (tmp_path / "m").exists()


# ---------------------------------------------------------------- rows that come later
@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "t.csv").write_text(PLAIN)
    words = ["fit", folder / "t.csv", "-o", folder / "m", "--n-components", 1, "--max-epochs", 2]
    assert run(*words, "--quiet").exit_code == 0
    run("score", folder / "m", folder / "t.csv", "-o", folder / "scores.csv")
    return folder


def turned():
    return "".join(f"{c},{b},{a}\n" for a, b, c in [("a", "b", "c"), *ROWS])


LATER = {
    "35 an unknown category": (PLAIN.replace(",x", ",w"), warned("never seen in fit")),
    "38 missing cells": (PLAIN.replace("0.5,", ",", 1), WORKS),
    "44 no rows": ("a,b,c\n", refused("no rows")),
    "53 columns in another order": (turned(), WORKS),
    "54 a renamed column": (PLAIN.replace("a,b,c", "a,B,c", 1), refused("missing")),
    "55 a further column": (with_column(cycle("1")), warned("ignored")),
    "55 a missing column": ("a,b\n1,2\n", refused("missing")),
    "57 text where numbers were": (PLAIN.replace(".25,", "th,"), refused("'b'")),
    "59 infinity": (PLAIN.replace("0.5,", "1e999,", 1), refused("inf")),
}


@pytest.mark.parametrize("case", LATER)
def test_later(case, fitted, tmp_path, outcome):
    content, said = LATER[case]
    (tmp_path / "later.csv").write_text(content)
    result = run("score", fitted / "m", tmp_path / "later.csv", "-o", tmp_path / "s.csv")
    hold(result, said, outcome)
    assert (tmp_path / "s.csv").exists() == (said.code == 0)
    if case.startswith(("53", "55 a f")):
        assert (tmp_path / "s.csv").read_text() == (fitted / "scores.csv").read_text()


def test_70_an_output_that_exists_or_is_the_input(fitted, tmp_path, outcome):
    (tmp_path / "t.csv").write_text(PLAIN)
    (tmp_path / "s.csv").write_text("mine")
    for target in ("s.csv", "t.csv"):
        result = run("score", fitted / "m", tmp_path / "t.csv", "-o", tmp_path / target)
        hold(result, Said(2, "exists"), outcome)
    assert (tmp_path / "s.csv").read_text() == "mine"
    assert (tmp_path / "t.csv").read_text() == PLAIN


@pytest.mark.parametrize(
    ("n_columns", "n_hidden"),
    [(2 * 10**4, 5 * 10**6), pytest.param(10**6, 10**5, marks=pytest.mark.slow)],
)
def test_60_a_million_columns_are_refused_before_the_network_is_allocated(
    n_columns, n_hidden, outcome
):
    from latently import Autoencoder, DenseNetwork
    from latently.exceptions import ResourceError

    X = np.random.default_rng(0).normal(size=(3, n_columns))
    model = Autoencoder(2, network=DenseNetwork((n_hidden,)), max_epochs=1)
    with pytest.raises(ResourceError, match=r"network of 200,.* parameters needs about .* GiB"):
        model.fit(X)
    outcome("refused")
