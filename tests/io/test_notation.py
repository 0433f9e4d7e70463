"""Numbers, dates and gaps in the notations of other countries and programs."""

from __future__ import annotations

import gzip
import warnings
from datetime import date, datetime, time
from pathlib import Path

import pyarrow as pa
import pytest

from latently.exceptions import DataError, DataWarning, ParameterError
from latently.io import TableDataset, read, read_csv, stream_csv
from latently.schema import Notation, notations_of

NUMBERS = {
    "decimal comma and dots": (["1.234,56", "812,50"], [1234.56, 812.5]),
    "several dots": (["1.234.567", "812"], [1234567, 812]),
    "spaces": (["1 234,5", "12,5"], [1234.5, 12.5]),
    "no-break spaces": (["1\u00a0234", "12"], [1234, 12]),
    "narrow spaces": (["1\u202f234,5", "12"], [1234.5, 12.0]),
    "apostrophes": (["1'234.50", "12.00"], [1234.5, 12.0]),
    "round apostrophes": (["1’234.50", "12.00"], [1234.5, 12.0]),
    "several commas": (["1,234,567", "812"], [1234567, 812]),
    "commas and a dot": (["1,234.5", "812.5"], [1234.5, 812.5]),
    "groups of India": (["12,34,567", "1,23,456", "99"], [1234567, 123456, 99]),
    "minus behind": (["13.1-", "2.5"], [-13.1, 2.5]),
    "brackets": (["(13.10)", "2.50"], [-13.1, 2.5]),
    "negative thousands": (["-1.234,5", "(2.345,5)"], [-1234.5, -2345.5]),
    "percent": (["5%", "6.5 %"], [5.0, 6.5]),
    "dollars": (["$5", "-$6.50"], [5.0, -6.5]),
    "euros": (["5 €", "6,50 €"], [5.0, 6.5]),
    "letters of a currency": (["USD 5", "USD 7.5"], [5.0, 7.5]),
    "limits": (["<0.01", "0.5", "1.2"], [0.01, 0.5, 1.2]),
    "exponents": (["1e5", "2,5e3"], [100000.0, 2500.0]),
}
QUIET = {
    "minus sign of typographers": (["\u221213.1", "2"], [-13.1, 2.0]),
    "zero before the dot": (["0.234", "5.678"], [0.234, 5.678]),
    "points of the computer": (["1.5", "2.25"], [1.5, 2.25]),
}
DATES = {
    "dots": (["31.12.2023", "01.02.2023"], [date(2023, 12, 31), date(2023, 2, 1)]),
    "month first": (["12/31/2023", "1/2/2023"], [date(2023, 12, 31), date(2023, 1, 2)]),
    "year first": (["2024/03/01", "2024/3/2"], [date(2024, 3, 1), date(2024, 3, 2)]),
    "short months": (["01-Mar-2024", "15-Apr-2024"], [date(2024, 3, 1), date(2024, 4, 15)]),
    "long months": (["March 1, 2024", "April 15, 2024"], [date(2024, 3, 1), date(2024, 4, 15)]),
    "months": (["2024-03", "2024-04"], [date(2024, 3, 1), date(2024, 4, 1)]),
    "short years": (["31.12.23", "01.02.69"], [date(2023, 12, 31), date(1969, 2, 1)]),
    "no delimiter": (["20240301", "20240302", "20240415"],
                     [date(2024, 3, 1), date(2024, 3, 2), date(2024, 4, 15)]),
    "the last year": (["31.12.9999", "01.01.2024"], [date(9999, 12, 31), date(2024, 1, 1)]),
    "moments": (["31.12.2023 10:30", "01.02.2023 00:00"],
                [datetime(2023, 12, 31, 10, 30), datetime(2023, 2, 1)]),
    "midnights": (["31.12.2023 00:00", "01.02.2023 00:00"],
                  [datetime(2023, 12, 31), datetime(2023, 2, 1)]),
    "hours": (["10:30", "9:45"], [time(10, 30), time(9, 45)]),
    "parts of a second": (["10:30:15.5", "11:45:00"], [time(10, 30, 15, 500_000), time(11, 45)]),
    "halves of the day": (["10:30 PM", "12:15 am"], [time(22, 30), time(0, 15)]),
}  # fmt: skip
TEXTS = {
    "versions": ["1.10.3", "1.2.0"],
    "addresses": ["192.168.1.1", "10.0.0.1"],
    "ranges": ["12-34", "56-78"],
    "ages": ["<18", ">=18", "<18"],
    "fractions": ["1/2", "3/4"],
    "social security": ["123-45-6789", "123-45-6780"],
    "grades": ["1", "2", "A", "B"],
}
IDENTIFIERS = {
    "leading zeros": ["007", "012"],
    "phones": ["+4915112345678", "+4915112345679"],
    "groups alike": ["555 123 456", "555 123 457", "555 123 458"],
    "units": ["5 kg", "6 kg", "7 kg"],
}
REFUSED = {
    "thousands or decimals, dot": (["1.234", "5.678"], "--decimal"),
    "thousands or decimals, comma": (["1,234", "5,678"], "--decimal"),
    "day or month": (["01/02/2024", "03/04/2024"], "--dates day-first or --dates month-first"),
    "day or year": (["23/12/31", "24/01/30"], "--dates day-first or --dates year-first"),
    "two orders": (["31/12/2024", "12/31/2024"], "two orders"),
    "two families": (["31.12.2023", "2024-03-01"], "two orders"),
    "two notations": (["1,5", "1.5"], "two notations"),
    "a day that is none": (["31/02/2024", "03/04/2024"], "'31/02/2024' in row 1"),
    "two currencies": (["$5", "€6"], "several units"),
    "percent and none": (["5%", "6"], "with and without"),
    "zones and none": (["2024-03-01T10:00Z", "2024-03-01T10:00"], "with and without a zone"),
}


def place(folder: Path, content: str | bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def column(folder: Path, cells: list[str], **options: str) -> pa.ChunkedArray:
    rows = "".join(f"{cell};x\n" for cell in cells)
    return read_csv(place(folder, f"v;w\n{rows}"), **options)["v"]


@pytest.mark.parametrize("case", [*NUMBERS, *DATES])
def test_numbers_and_dates_of_other_notations_are_read_and_spoken_of(case, tmp_path):
    cells, expected = {**NUMBERS, **DATES}[case]
    with pytest.warns(DataWarning, match="In column 'v'"):
        assert column(tmp_path, cells).to_pylist() == expected


@pytest.mark.parametrize("case", QUIET)
def test_numbers_that_have_one_reading_are_read_without_a_word(case, tmp_path):
    cells, expected = QUIET[case]
    assert column(tmp_path, cells).to_pylist() == expected


@pytest.mark.parametrize("case", TEXTS)
def test_what_only_looks_like_numbers_stays_text(case, tmp_path):
    assert column(tmp_path, TEXTS[case]).to_pylist() == TEXTS[case]


@pytest.mark.parametrize("case", IDENTIFIERS)
def test_identifiers_stay_text_with_a_word(case, tmp_path):
    with pytest.warns(DataWarning, match="stay text"):
        assert column(tmp_path, IDENTIFIERS[case]).to_pylist() == IDENTIFIERS[case]


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_two_readings_is_refused_with_what_to_do(case, tmp_path):
    cells, words = REFUSED[case]
    with pytest.raises(DataError, match=words) as caught:
        column(tmp_path, cells)
    assert len(str(caught.value)) <= 300 and "table.csv: column 'v'" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "cells", "expected"),
    [
        ({"decimal": "."}, ["1.234", "5.678"], [1.234, 5.678]),
        ({"decimal": ","}, ["1.234", "5.678"], [1234, 5678]),
        ({"decimal": ","}, ["1,234", "5,678"], [1.234, 5.678]),
        ({"decimal": "."}, ["1,234", "5,678"], [1234, 5678]),
        ({"dates": "day-first"}, ["01/02/2024"], [date(2024, 2, 1)]),
        ({"dates": "month-first"}, ["01/02/2024"], [date(2024, 1, 2)]),
        ({"dates": "year-first"}, ["01/02/24"], [date(2001, 2, 24)]),
    ],
)
def test_the_caller_decides_between_two_readings(options, cells, expected, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert column(tmp_path, cells, **options).to_pylist() == expected


@pytest.mark.parametrize(
    ("options", "cells"),
    [
        ({"decimal": ","}, ["1.5"]),
        ({"decimal": "."}, ["1,55"]),
        ({"dates": "month-first"}, ["31/12/2024"]),
    ],
)
def test_an_option_that_the_cells_contradict_is_refused(options, cells, tmp_path):
    with pytest.raises(DataError, match="Give another --"):
        column(tmp_path, cells, **options)


@pytest.mark.parametrize("options", [{"decimal": "x"}, {"dates": "dmy"}, {"missing": "unknown"}])
def test_options_are_checked(options, tmp_path):
    with pytest.raises(ParameterError, match="must be"):
        read(place(tmp_path, "a\n1\n"), **options)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;b\n1.234;12,5\n5.678;13,25\n", {"a": [1234, 5678], "b": [12.5, 13.25]}),
        ("a;b\n1.234;12.5\n5.678;13.25\n", {"a": [1.234, 5.678], "b": [12.5, 13.25]}),
        ("a;b\n1,234;1.5\n2,345;2.5\n", {"a": [1234, 2345], "b": [1.5, 2.5]}),
        ("a,b\n1.234,x\n5.678,y\n", {"a": [1.234, 5.678], "b": ["x", "y"]}),
        ("a\tb\n1.234\t1\n", {"a": [1.234], "b": [1]}),
    ],
)
def test_other_columns_and_the_delimiter_show_the_decimal_sign(content, expected, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        assert read_csv(place(tmp_path, content)).to_pydict() == expected


GAP_WORDS = ["#N/A", "#DIV/0!", ".", "n/a", "<NA>", "unknown", "\\N", "--", "nil", "NAN", "–"]


@pytest.mark.parametrize(
    "cells", [["1.5", "2.25"], ["2024-01-05", "2024-02-05"], ["true", "false"]]
)
@pytest.mark.parametrize("word", GAP_WORDS)
def test_words_for_gaps_are_gaps_among_numbers_dates_and_truths(word, cells, tmp_path):
    with pytest.warns(DataWarning, match="read as missing cells"):
        found = column(tmp_path, [cells[0], word, word, cells[1], word])
    assert found.is_null().to_pylist() == [False, True, True, False, True]
    assert not pa.types.is_string(found.type)


def test_words_for_gaps_stay_in_a_column_of_text(tmp_path):
    cells = ["unknown", "red", "n/a"]
    assert column(tmp_path, cells).to_pylist() == cells


def test_a_column_of_nothing_but_marks_of_errors_is_empty(tmp_path):
    with pytest.warns(DataWarning, match="missing cells"):
        assert column(tmp_path, ["#N/A", "#N/A"]).null_count == 2


def test_a_word_of_the_caller_adds_to_those_that_are_known(tmp_path):
    path = place(tmp_path, "a,b\n-999,gone\n-999.0,NA\n1.5,x\n")
    found = read_csv(path, missing=["gone", "-999"])
    assert found.to_pydict() == {"a": [None, None, 1.5], "b": [None, None, "x"]}
    assert notations_of(found.schema)["b"] == Notation(missing=("gone", "-999"))


def test_no_word_but_an_empty_cell_is_a_gap_where_the_caller_says_so(tmp_path):
    found = read_csv(place(tmp_path, "country,n\nNA,1\nDE,2\n,3\n"), missing=None)
    assert found["country"].to_pylist() == ["NA", "DE", None]


def test_a_column_that_is_nearly_numbers_is_spoken_of(tmp_path):
    cells = [str(n) if n % 10 else "abc" for n in range(60)]
    with pytest.warns(DataWarning, match="stay text though most are numbers.*'abc'"):
        assert column(tmp_path, cells).to_pylist() == cells


def test_columns_of_one_kind_share_one_warning(tmp_path):
    names = [f"c{n}" for n in range(7)]
    content = ";".join(names) + "\n" + ";".join(["1,5"] * 7) + "\n"
    with pytest.warns(DataWarning) as caught:
        read_csv(place(tmp_path, content))
    assert len(caught) == 1
    assert "'c0', 'c1', 'c2', 'c3', 'c4' and 2 more" in str(caught[0].message)


LAYOUTS = {
    "first line of Excel": "sep=;\r\na;b\r\n1,5;2\r\n",
    "with its byte order mark": b"\xef\xbb\xbfsep=;\r\na;b\r\n1,5;2\r\n",
    "packed": gzip.compress(b"a;b\n1,5;2\n", mtime=0),
    "tabs": "a\tb\n1,5\t2\n",
    "commas in quotes": 'a,b\n"1,5",2\n',
    "spaces": "a b\n1,5 2\n",
    "runs of spaces": "  a     b\n  1,5   2\n",
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_the_delimiter_is_found(case, tmp_path):
    with pytest.warns(DataWarning, match="decimal sign"):
        found = read_csv(place(tmp_path, LAYOUTS[case]))
    assert found.to_pydict() == {"a": [1.5], "b": [2]}


def test_a_comma_in_a_name_is_not_the_delimiter(tmp_path):
    content = "Price, EUR;Day\n1,5;31.12.2023\n2,5;30.12.2023\n"
    with pytest.warns(DataWarning):
        assert read_csv(place(tmp_path, content)).column_names == ["Price, EUR", "Day"]


def test_a_lone_column_of_decimal_commas_is_one_column(tmp_path):
    with pytest.warns(DataWarning, match="decimal sign"):
        assert read_csv(place(tmp_path, "v\n1,5\n2,5\n"))["v"].to_pylist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("content", "words"),
    [("a b c\n1 2 3\n4 5\n", "separated by spaces"), ("a\n1;2\n3;4\n", "line 2 has 2 cells")],
)
def test_cells_that_do_not_fit_the_header_are_not_read_as_one_column(content, words, tmp_path):
    with pytest.raises(DataError, match=words):
        read_csv(place(tmp_path, content))


def test_words_with_spaces_are_one_column(tmp_path):
    found = read_csv(place(tmp_path, "first name\nAnn Lee\nBob Ray\n"))
    assert found.to_pydict() == {"first name": ["Ann Lee", "Bob Ray"]}


def test_the_notation_stays_with_the_column(tmp_path):
    rows = "".join(f"1.{n:03d},5;31.12.2023;{n} €;x\n" for n in range(20))
    with pytest.warns(DataWarning):
        table = read_csv(place(tmp_path, f"a;b;c;d\n{rows}"))
    expected = {
        "a": Notation(",", "."), "b": Notation(dates="%d.%m.%Y"), "c": Notation(suffix=" €"),
    }  # fmt: skip
    taken = table.take([1, 2]).slice(1).select(["d", "c", "b", "a"]).drop_columns(["d"])
    for one in (
        table,
        taken,
        pa.concat_tables([table, table]),
        table.filter(pa.array([True] * 20)),
    ):
        assert notations_of(one.schema) == expected


def test_metadata_of_other_programs_are_no_notation():
    for content in (b"{", b"[1]", b'{"decimal": 5}', b'{"other": "x"}', b'{"missing": 3}'):
        assert Notation.from_metadata({b"latently.notation": content}) is None
    assert Notation.from_metadata(None) is None


def test_a_folder_is_read_in_types_that_hold_the_cells_of_all_files(tmp_path):
    folder = tmp_path / "rows"
    folder.mkdir()
    contents = ["code,n,day\n12,1,2024-01-01\n", "code,n,day\nA1,2.5,2024-01-02 10:00\n",
                "code,n,day\n7,,\n"]  # fmt: skip
    for number, content in enumerate(contents):
        (folder / f"{number}.csv").write_text(content)
    found = read(folder)
    assert found["code"].to_pylist() == ["12", "A1", "7"]
    assert found["n"].to_pylist() == [1.0, 2.5, None]
    assert found["day"].to_pylist() == [datetime(2024, 1, 1), datetime(2024, 1, 2, 10), None]


def test_one_file_of_a_folder_shows_how_dates_of_the_others_are_read(tmp_path):
    for number, day in enumerate(["01/02/2024", "31/12/2024"]):
        (tmp_path / f"{number}.csv").write_text(f"day,n\n{day},{number}\n")
    with pytest.warns(DataWarning, match="day-first"):
        found = read(tmp_path)
    assert found["day"].to_pylist() == [date(2024, 2, 1), date(2024, 12, 31)]


def test_words_for_gaps_count_in_every_format(tmp_path):
    table = pa.table({"a": [1.0, -999.0], "b": ["x", "gone"]})
    pa.parquet.write_table(table, tmp_path / "t.parquet")
    for source in (tmp_path / "t.parquet", tmp_path):
        found = read(source, missing=["-999", "gone"])
        assert found.to_pydict() == {"a": [1.0, None], "b": ["x", None]}
        assert notations_of(found.schema)["a"].missing == ("-999", "gone")


def test_options_of_text_are_refused_where_there_is_none(tmp_path):
    pa.parquet.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    with pytest.raises(ParameterError, match="decimal must be left out"):
        read(tmp_path / "t.parquet", decimal=",")


class Stream:
    """A pipe whose pieces come one by one."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def readline(self) -> bytes:
        return self.pieces.pop(0)

    def read(self, size: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def test_a_pipe_finds_the_delimiter_as_a_file_does():
    tables = list(stream_csv(Stream(b"a;b, c\n", b"1;2\n", b"3;4\n")))
    assert [table.to_pydict() for table in tables] == [
        {"a": [1], "b, c": [2]},
        {"a": [3], "b, c": [4]},
    ]


def test_a_text_larger_than_memory_is_read_alike_in_all_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("latently.io.dataset._discovery.DEFAULT_MAX_BYTES", 1000)
    monkeypatch.setattr("latently.io.dataset._staging._PIECE", 4000)
    rows = "".join(
        f"{1 + n % 12:02d}/{1 + n // 12 % 28:02d}/2024;1.{n % 1000:03d}{',5' if n > 900 else ''};"
        f"{'12' if n < 600 else 'A'}\n"
        for n in range(1200)
    )
    with pytest.warns(DataWarning) as caught:
        table = TableDataset(place(tmp_path, f"day;v;code\n{rows}")).to_table()
    assert table.schema.types == [pa.date32(), pa.float64(), pa.string()]
    assert table["day"][20].as_py() == date(2024, 9, 2) and table["v"][20].as_py() == 1020.0
    assert table["code"][0].as_py() == "12" and table["v"][1000].as_py() == 1000.5
    assert len({str(entry.message) for entry in caught}) == len(caught)


def test_a_blank_line_is_no_row(tmp_path):
    with pytest.warns(DataWarning, match="1 blank line"):
        found = read_csv(place(tmp_path, "a,b,c\n1.0,2.0,x\n\n1.0,2.0,x\n"))
    assert found.num_rows == 2
