"""Delimited text: what is read rightly, what is read with a warning, and what is refused."""

import gzip
import io
import re
import sys
import warnings
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from latently.exceptions import DataError, DataWarning, ParameterError
from latently.io import read, read_csv, write

GOOD = {
    "comma": (b"a,b\n1,x\n2,y\n", {"a": [1, 2], "b": ["x", "y"]}),
    "semicolon": (b"a;b\n1;2\n", {"a": [1], "b": [2]}),
    "pipe": (b"a|b\n1|2\n", {"a": [1], "b": [2]}),
    "byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", {"a": [1], "b": [2]}),
    "windows line ends": (b"a,b\r\n1,2\r\n", {"a": [1], "b": [2]}),
    "old mac line ends": (b"a,b\r1,2\r3,4\r", {"a": [1, 3], "b": [2, 4]}),
    "no last line end": (b"a\n1\n2", {"a": [1, 2]}),
    "blank last lines": (b"a\n1\n\n\n", {"a": [1]}),
    "gzip": (gzip.compress(b"a\n1\n", mtime=0), {"a": [1]}),
    "line end in quotes": (b'a,b\n"x\ny","q""r"\n', {"a": ["x\ny"], "b": ['q"r']}),
    "inner quotes": (b'a\n5" pipe\n6" pipe\n', {"a": ['5" pipe', '6" pipe']}),
    "delimiter in a quoted name": (b'"a;b;c",d\n1,2\n', {"a;b;c": [1], "d": [2]}),
    "missing tokens": (b"a,b\n1,?\nNA,x\n-,None\n", {"a": [1, None, None], "b": [None, "x", None]}),
    "a quoted NA is text": (b'a,b\n"NA",1\nx,"NA"\n', {"a": ["NA", "x"], "b": [1, None]}),
    "all missing": (b"a,b\n1,\n2,NA\n", {"a": [1, 2], "b": [None, None]}),
    "truth words": (b'a\ntrue\nFALSE\n""\n', {"a": [True, False, None]}),
    "zeros and ones are numbers": (b"a\n0\n1\n", {"a": [0, 1]}),
    "decimals": (b"a\n1.\n.5\n+2e1\n", {"a": [1.0, 0.5, 20.0]}),
    "plus signs": (b"a\n+1\n+2\n", {"a": [1, 2]}),
    "infinity is left to the validation": (b"a\n1e400\n-inf\n", {"a": [np.inf, -np.inf]}),
    "spaces around numbers": (b"a, b\n1, 2\n3, 4\n", {"a": [1, 3], "b": [2, 4]}),
    "dates": (b'a\n2024-02-29\n""\n', {"a": [date(2024, 2, 29), None]}),
    "times": (
        b"a\n2024-01-02 10:11:12.5\n2024-01-02T10:11\n",
        {"a": [datetime(2024, 1, 2, 10, 11, 12, 500_000), datetime(2024, 1, 2, 10, 11)]},
    ),
    "few numbers among text": (b"a\n1\nx\ny\n", {"a": ["1", "x", "y"]}),
}

WARNED = {
    "empty name": (b"a,,c\n1,2,3\n", {"a": [1], "column_2": [2], "c": [3]}, "1 column"),
    "trailing comma": (b"a,b,\n1,2,\n", {"a": [1], "b": [2]}, "1 column .* dropped"),
    "empty extra cells": (b"a,b\n1,2,\n", {"a": [1], "b": [2]}, "dropped from 1 row"),
    "short rows": (b"a,b,c\n1\n3,4,5\n", {"a": [1, 3], "b": [None, 4], "c": [None, 5]}, "2 cells"),
    "blank lines": (b"a\n1\n\n2\n", {"a": [1, 2]}, "1 blank line"),
    "decimal comma": (b"a;b\n1,5;2\n2,5;3\n", {"a": [1.5, 2.5], "b": [2, 3]}, "decimal sign"),
    "leading zeros": (b"a\n007\n010\n", {"a": ["007", "010"]}, "leading zeros"),
    "beyond int64": (b"a\n99999999999999999999\n1\n", {"a": [1e20, 1.0]}, "too large"),
    "beyond 2**53": (b"a\n9007199254740993\n", {"a": [9007199254740993]}, r"2\*\*53"),
    "percent": (b"a\n5%\n6%\n", {"a": [5, 6]}, "without units"),
    "hexadecimal": (b"a\n0x1F\n0x20\n", {"a": ["0x1F", "0x20"]}, "prefix"),
}

NUMBERS = b"a,n\n" + b"x,1.5\n" * 20_000

BAD = {
    "zero bytes": (b"", "empty"),
    "only line ends": (b"\n\n\n", "empty"),
    "header only": (b"a,b\n", "no rows"),
    "numbers as header": (b"1,2\n3,4\n", "only numbers"),
    "repeated names": (b"a,b,a\n1,2,3\n", "'a'"),
    "too many cells": (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells"),
    "open quote": (b'a,b\n1,x\n2,"y\n3,z\n', "line 3"),
    "open quote before others": (b'a,b\n1,"x\n2,"y"\n4,"z"\n', "line 2"),
    "Latin-1": ("a,b\nx,é\n".encode("latin-1"), r"byte 6 \(line 2\)"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "not UTF-8 at byte 0"),
    "NUL byte": (b"a,b\n1,2\n1,\x00\n", "line 3 holds a NUL"),
    "PNG": (b"\x89PNG\r\n\x1a\n", "looks like a PNG image"),
    "ZIP": (b"PK\x03\x04abc", "looks like a ZIP"),
    "PDF": (b"%PDF-1.7", "looks like a PDF"),
    "HTML": (b"\n<!DOCTYPE html><html>", "looks like an HTML page"),
    "cut gzip": (gzip.compress(b"a\n1\n" * 99, mtime=0)[:20], "gzip"),
    "a word after 20,000 numbers": (NUMBERS + b"x,oops\n", "'n' holds 'oops' in row 20001"),
    "a word first": (b"n\noops\n" + b"1\n" * 99, "'oops' in row 1 "),
    "an impossible date": (b"d\n2024-01-02\n2024-02-30\n", "'2024-02-30' in row 2 "),
    "a word among dates": (b"d\n" + b"2024-01-02\n" * 40 + b"soon\n", "'soon' in row 41 "),
    "thousands": (b'a\n"1,000"\n"2,500"\n', "thousands.*'1,000'"),
}


def place(folder: Path, content: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", GOOD)
def test_a_sound_file_is_read_without_a_warning(case: str, tmp_path: Path) -> None:
    content, expected = GOOD[case]
    assert read(place(tmp_path, content)).to_pydict() == expected


@pytest.mark.parametrize("case", WARNED)
def test_a_file_that_is_not_read_quite_as_it_came_gives_a_counted_warning(
    case: str, tmp_path: Path
) -> None:
    content, expected, words = WARNED[case]
    with pytest.warns(DataWarning, match=words):
        table = read(place(tmp_path, content))
    assert table.to_pydict() == expected


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_refused_by_name_and_place(case: str, tmp_path: Path) -> None:
    content, words = BAD[case]
    with pytest.raises(DataError, match=words) as caught:
        read(place(tmp_path, content))
    message = str(caught.value)
    assert len(message) <= 300 and "table.csv: " in message and message.count(". ") >= 1
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (b"1", pa.int64()),
        (b"1.5", pa.float64()),
        (b"true", pa.bool_()),
        (b"2024-01-02", pa.date32()),
        (b"2024-01-02 10:00", pa.timestamp("us")),
        (b"2024-01-02T10:00Z", pa.timestamp("us", "UTC")),
        (b"2024-01-02T10:00:00.123456789", pa.timestamp("ns")),
        (b"x", pa.string()),
        (b"NA", pa.float64()),
    ],
)
def test_the_type_of_a_column_follows_its_cells(cells: bytes, kind: object, tmp_path: Path) -> None:
    table = read(place(tmp_path, b"a,b\n" + cells + b",\n,1\n"))
    assert table.schema.field("a").type == kind


def test_the_caller_may_name_delimiter_and_missing_cells(tmp_path: Path) -> None:
    path = place(tmp_path, b"a:b\n1:gone\n2:3\n")
    table = read_csv(path, delimiter=":", missing=["gone"])
    assert table.to_pydict() == {"a": [1, 2], "b": [None, 3]}


def test_a_delimiter_must_be_one_character(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="delimiter"):
        read(place(tmp_path, b"a\n1\n"), delimiter="::")


@pytest.mark.parametrize(
    "content", [b"a\n" + b"1\n" * 999, gzip.compress(b"a\n" + b"1\n" * 9999, mtime=0)]
)
def test_the_size_cap_holds_for_packed_and_plain_files(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="max_bytes"):
        read(place(tmp_path, content), max_bytes=1000)


def test_standard_input_is_read_as_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"a\n1\n")))
    assert read("-").to_pydict() == {"a": [1]}


def test_an_error_from_standard_input_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"")))
    with pytest.raises(DataError, match="standard input: the file is empty"):
        read("-")


def test_long_names_and_cells_are_clipped_in_messages(tmp_path: Path) -> None:
    name, cell = b"n" * 500, b"o" * 500
    path = tmp_path / ("f" * 200 + ".csv")
    path.write_bytes(name + b"\n" + b"1\n" * 50 + cell + b"\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert len(str(caught.value)) <= 300


def test_no_byte_damage_escapes_as_another_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sound = b'id,name,when\n1,"a ""b"" c",2024-01-02\n2,"d\ne",2024-01-03\n3,f,\n'
    path = tmp_path / "table.csv"
    for _ in range(400):
        content = bytearray(sound)
        for spot in rng.integers(0, len(sound), 2):
            content[spot] = rng.choice(list(b'",\n\r\x00\xff;a0 '))
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            try:
                read(path)
            except DataError as error:
                assert re.search(r"\.csv: .*\. .*\.$", str(error)) and len(str(error)) <= 300


def test_text_that_looks_missing_survives_the_round_trip(tmp_path: Path) -> None:
    table = pa.table({"country": ["NA", None, "DE"], "note": ['say "x"', "a,b", "c\nd"]})
    write(table, tmp_path / "t.csv")
    assert read(tmp_path / "t.csv").to_pydict() == table.to_pydict()
