"""Equal cells give bitwise equal results in a frame and in text of any notation."""

import datetime as dt
import gzip
import io
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import AnomalyDetector, load
from latently.exceptions import DataError
from latently.io import read, read_csv, stream_csv, write
from latently.schema import ColumnType, TableSpec, table_spec_of

pytestmark = pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")
GAPPED = ["amount", "moment", "code", "level", "grade"]


def frame(n_rows=70):
    rng = np.random.default_rng(0)
    seconds = pd.to_timedelta(rng.integers(0, 9**8, n_rows), unit="s")
    moment = pd.Series(pd.Timestamp("2022-03-13") + seconds).astype("datetime64[ns]")
    rows = pd.DataFrame(
        {
            "amount": rng.integers(100, 5_000_000, n_rows) / 1000,
            "single": (rng.integers(0, 999, n_rows) / 1000).astype(np.float32),
            "count": rng.integers(0, 4000, n_rows),
            "flag": rng.random(n_rows) < 0.4,
            "code": rng.choice(["007", "7", "12"], n_rows),
            "moment": moment,
            "day": moment.dt.date,
            "noon": moment.dt.time,
            "level": pd.Categorical(rng.choice([1.5, 20.25, 3000.5], n_rows)),
            "grade": pd.Categorical(rng.choice([10, 20], n_rows)),
            "money": [Decimal(int(cents)) / 100 for cents in rng.integers(0, 10**6, n_rows)],
            "words": rng.choice(["x, y", 'q"uote', "a;b", "é 😀"], n_rows),
        }
    )
    rows.loc[0, "amount"], rows.loc[0, "moment"] = 1234.567, pd.Timestamp("2022-03-13 10:30:05")
    rows.loc[0, "day"] = dt.date(2022, 3, 13)
    for place, name in enumerate(GAPPED, 1):
        rows[name] = rows[name].mask(np.arange(n_rows) % 23 == place)
    return rows


def iso(value):
    return str(value)


def german(value):
    if isinstance(value, dt.date):
        return value.strftime("%d.%m.%Y %H:%M:%S" if isinstance(value, dt.datetime) else "%d.%m.%Y")
    if isinstance(value, float | np.floating | Decimal):
        return f"{value:,}".translate(str.maketrans(",.", ".,"))
    return str(value)


def american(value):
    if isinstance(value, dt.datetime):
        return value.strftime("%m/%d/%Y %I:%M:%S %p")
    return value.strftime("%m/%d/%Y") if isinstance(value, dt.date) else str(value)


NOTATIONS = {
    "iso": (iso, ","),
    "german": (german, ";"),
    "tabs": (american, "\t"),
    "bar": (iso, "|"),
}


def text_of(rows, notation, end="\n"):
    """Return rows as text, with missing cells as empty ones."""
    write, mark = NOTATIONS[notation]
    cells = {
        name: ["" if value is None or pd.isna(value) else write(value) for value in rows[name]]
        for name in rows
    }
    table = pd.DataFrame(cells)
    return table.to_csv(sep=mark, index=False, lineterminator=end).encode()


def in_folder(text, spec, folder):
    lines = text.splitlines(keepends=True)
    (folder / "1.csv").write_bytes(b"".join(lines[:50]))
    (folder / "2.csv.gz").write_bytes(gzip.compress(b"".join([lines[0], *lines[50:]])))
    return read(folder, like=spec)


def in_file(text, spec, folder):
    (folder / "a.csv").write_bytes(text)
    return read_csv(folder / "a.csv", like=spec)


def in_pieces(text, spec, folder):
    return pa.concat_tables(stream_csv(io.BytesIO(text), like=spec, piece_bytes=4000))


def with_mark(text, spec, folder):
    text = b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")
    return in_file(text, spec, folder)


@pytest.fixture(scope="module", params=["pandas", "iso", "german"])
def detector(request, tmp_path_factory):
    """Return a loaded detector that was fitted to a frame or to text."""
    folder = tmp_path_factory.mktemp("model")
    rows = frame()
    if request.param != "pandas":
        rows["single"] = rows.single.astype(str).astype(float)
        rows = in_file(text_of(rows, request.param), None, folder)
    AnomalyDetector(random_state=0).fit(rows).save(folder / "model.st")
    return load(folder / "model.st")


@pytest.fixture(scope="module")
def expected(detector):
    """Return the reference rows and their scores."""
    rows, spec = frame(), detector.autoencoder_.preprocessor_.spec
    if spec.types[1].name == "double":
        rows["single"] = rows.single.astype(str).astype(float)
    return rows, detector.score_samples(rows)


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("door", [in_file, with_mark, in_pieces, in_folder])
def test_text_has_the_scores_of_the_frame(detector, expected, notation, door, tmp_path):
    rows, scores = expected
    spec = detector.autoencoder_.preprocessor_.spec
    table = door(text_of(rows, notation), spec, tmp_path)
    assert np.array_equal(detector.score_samples(table), scores)
    assert np.array_equal(-detector.stream().score_rows(table)[0], scores)


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_row_alone_is_read_as_the_row_in_its_table(detector, expected, notation, tmp_path):
    rows, _ = expected
    spec = detector.autoencoder_.preprocessor_.spec
    alone = in_file(text_of(rows.head(1), notation), spec, tmp_path)
    scores = detector.score_samples(rows.head(1))
    assert np.array_equal(detector.score_samples(alone), scores)


@pytest.mark.parametrize("as_frame", [pl.from_pandas, lambda rows: rows.convert_dtypes()])
def test_other_frames_have_the_scores_of_the_frame(detector, expected, as_frame):
    rows, scores = expected
    assert np.array_equal(detector.score_samples(as_frame(rows)), scores)


def test_numbers_below_a_thousand_are_read_in_the_notation_of_fit(tmp_path):
    table = in_file(b"a;b\n" + b"1.234,567;1\n12,5;2\n" * 30, None, tmp_path)
    spec = AnomalyDetector(random_state=0).fit(table).autoencoder_.preprocessor_.spec
    assert in_file(b"a;b\n788,125;1\n", spec, tmp_path)["a"].to_pylist() == [788.125]


@pytest.mark.parametrize("values", [[1.5, 3000.0], [10, 3000]])
def test_categories_of_numbers_are_read_as_numbers(values, tmp_path):
    rows = pd.DataFrame({"level": pd.Categorical(values * 30), "x": np.arange(60) % 7 + 0.5})
    spec = AnomalyDetector(random_state=0).fit(rows).autoencoder_.preprocessor_.spec
    table = in_file(b"level;x\n3.000,0;1,25\n", spec, tmp_path)
    assert table["level"].to_pylist() == [3000]


def test_decimals_are_the_numbers_that_their_digits_name():
    cents = np.random.default_rng(0).integers(0, 10**6, 200)
    decimals = pa.array([Decimal(int(n)) / 100 for n in cents], pa.decimal128(8, 2))
    texts = decimals.cast(pa.string())
    rows = pa.table({"money": decimals, "x": cents % 7})
    detector = AnomalyDetector(random_state=0).fit(rows)
    answers = [detector.score_samples(rows.set_column(0, "money", c)) for c in (decimals, texts)]
    assert np.array_equal(*answers)


def test_numbers_in_texts_have_the_precision_of_fit():
    rows = pd.DataFrame({"x": (np.arange(60) % 9 / 10).astype("f4"), "y": np.arange(60) % 7})
    detector = AnomalyDetector(random_state=0).fit(rows)
    texts = rows.assign(x=rows.x.astype(str))
    assert np.array_equal(detector.score_samples(texts), detector.score_samples(rows))


def test_a_number_beyond_single_precision_is_no_infinity(tmp_path):
    spec = TableSpec("pandas", "float64", ("x",), (ColumnType("float"),))
    assert in_file(b"x\n1e300\n0.5\n", spec, tmp_path)["x"].to_pylist() == [1e300, 0.5]


@pytest.mark.parametrize("written", [str, lambda span: f"PT{span.seconds}S"])
def test_durations_are_read_where_fit_saw_some(written, tmp_path):
    rows = pd.DataFrame({"took": pd.to_timedelta(np.arange(60) * 37 % 999, unit="s")})
    rows["took"] = rows.took.mask(rows.index % 9 == 4)
    rows["x"] = rows.index % 7
    detector = AnomalyDetector(random_state=0).fit(rows)
    spec, scores = detector.autoencoder_.preprocessor_.spec, detector.score_samples(rows)
    texts = rows.assign(took=[None if pd.isna(span) else written(span) for span in rows.took])
    table = in_file(texts.to_csv(index=False).encode(), spec, tmp_path)
    for door in (texts, table):
        assert np.array_equal(detector.score_samples(door), scores)
    with pytest.raises(DataError, match=r"'90' in row 1 .* duration"):
        in_file(b"took,x\n90,1\n", spec, tmp_path)
    with pytest.raises(DataError, match=r"must hold durations, .* the text '90' in row 0"):
        detector.score_samples(texts.assign(took="90"))


def test_a_file_of_durations_is_read_as_it_was_written(tmp_path):
    rows = pa.table({"took": pa.array([90, -60, None], pa.duration("s")), "x": [1, 2, 3]})
    write(rows, tmp_path / "a.csv")
    spec = table_spec_of(rows)
    assert read_csv(tmp_path / "a.csv", like=spec)["took"].to_pylist() == rows["took"].to_pylist()


@pytest.mark.parametrize("words", [("true", "false"), ("Yes", "NO"), ("1", "0"), ("1.0", "0.0")])
def test_truths_of_fit_are_read_in_every_spelling(words, tmp_path):
    truths = np.arange(60) % 3 == 0
    rows = pd.DataFrame({"flag": truths, "x": np.arange(60) % 7})
    detector = AnomalyDetector(random_state=0).fit(rows)
    texts = rows.assign(flag=np.where(truths, *words))
    spec, scores = detector.autoencoder_.preprocessor_.spec, detector.score_samples(rows)
    table = in_file(texts.to_csv(index=False).encode(), spec, tmp_path)
    for door in (texts, table):
        assert np.array_equal(detector.score_samples(door), scores)


ROWS = "".join(f"{n},k{n % 3}\n" for n in range(40))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n" + ROWS,
        "\n \na,b\n" + ROWS,
        ("a,b\n" + ROWS).replace("\n", "\r"),
        ("sep=,\na,b\n" + ROWS).replace("\n", "\r"),
        "\ufeffsep=,\r\na,b\r\n" + ROWS,
        '"a\nx",b\n' + ROWS,
        '5" disk,b\n' + ROWS,
    ],
)
def test_a_stream_has_the_rows_and_names_of_the_file(text, tmp_path):
    raw = text.encode()
    pieces = list(stream_csv(io.BytesIO(raw), piece_bytes=64))
    assert pa.concat_tables(pieces).equals(in_file(raw, None, tmp_path))


def test_a_stream_without_rows_is_refused():
    with pytest.raises(DataError, match="a header line but no rows"):
        list(stream_csv(io.BytesIO(b"a,b\n")))
