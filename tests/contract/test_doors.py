"""Equal cells give bitwise equal results in any library, type or file."""

import datetime as dt
import string

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from latently import AnomalyDetector, Autoencoder, TableDataset, VariationalAutoencoder
from latently.io import read, write

FIRST, LAST = dt.datetime(2020, 1, 1), dt.datetime(2024, 12, 31)


def frame(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    moment = pd.to_datetime("2022-03-01") + pd.to_timedelta(rng.integers(0, 9**8, n_rows), unit="s")
    return pd.DataFrame(
        {
            "number": rng.normal(size=n_rows).round(3),
            "count": rng.integers(0, 40, n_rows),
            "flag": rng.random(n_rows) < 0.4,
            "code": rng.choice(["12", "7", "A3"], n_rows),
            "moment": moment,
            "day": moment.date,
            "took": pd.to_timedelta(rng.integers(0, 9_999, n_rows), unit="s"),
            "zero": np.where(rng.random(n_rows) < 0.8, 0.0, rng.gamma(2, 10, n_rows).round(2)),
        }
    )


@pytest.fixture(scope="module")
def model():
    return Autoencoder(3, max_epochs=3, random_state=0).fit(frame(200))


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(random_state=0).fit(frame(200))


cells = {
    "number": st.floats(-5, 5).map(lambda x: round(x, 3)),
    "count": st.integers(0, 60),
    "flag": st.booleans(),
    "code": st.sampled_from(["12", "7", "A3", "new"]),
    "moment": st.datetimes(FIRST, LAST).map(lambda t: t.replace(microsecond=0)),
    "day": st.dates(FIRST.date(), LAST.date()),
    "took": st.integers(0, 99_999).map(lambda s: dt.timedelta(seconds=s)),
    "zero": st.sampled_from([0.0, 1.25, 80.0]),
}
TYPES = {
    "number": pa.float64(), "count": pa.int64(), "flag": pa.bool_(), "code": pa.string(),
    "moment": pa.timestamp("ns"), "day": pa.date32(), "took": pa.duration("ns"),
    "zero": pa.float64(),
}  # fmt: skip
batches = st.lists(
    st.fixed_dictionaries({name: st.none() | cell for name, cell in cells.items()}),
    min_size=1,
    max_size=6,
).map(lambda rows: pa.Table.from_pylist(rows, pa.schema(list(TYPES.items()))))


def retyped(table, **types):
    fields = [pa.field(f.name, types.get(f.name, f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def in_unit(unit):
    return lambda table: retyped(table, moment=pa.timestamp(unit), took=pa.duration(unit))


def as_text(*names):
    return lambda table: retyped(table, **dict.fromkeys(names, pa.string()))


DOORS = {
    **{unit: in_unit(unit) for unit in ("s", "ms", "us")},
    "pandas": lambda table: table.to_pandas(),
    "nullable": lambda table: table.to_pandas().convert_dtypes(),
    "arrow dtypes": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.from_arrow,
    "objects": lambda table: pd.DataFrame(table.to_pydict(), dtype=object),
    "categories": lambda table: table.set_column(3, "code", table["code"].dictionary_encode()),
    "narrow": lambda table: retyped(table, count=pa.int8()),
    "floats": lambda table: retyped(table, count=pa.float64()),
    "large text": lambda table: retyped(table, code=pa.large_string()),
    "texts": as_text("number", "count", "flag", "moment", "day", "zero"),
    "date64": lambda table: retyped(table, day=pa.date64()),
    "day as an instant": lambda table: retyped(table, day=pa.timestamp("us")),
}


@pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")
@pytest.mark.parametrize("door", DOORS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=12)
@given(table=batches)
def test_equal_cells_have_equal_answers_in_any_frame(model, detector, door, table):
    other = DOORS[door](table)
    assert np.array_equal(model.transform(other), model.transform(table))
    assert np.array_equal(detector.score_samples(other), detector.score_samples(table))


@pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(table=batches)
@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow"])
def test_equal_cells_have_equal_answers_in_a_file_a_folder_and_a_stream(
    model, detector, name, table, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("doors")
    write(table, folder / name)
    expected = model.transform(table)
    assert np.array_equal(model.transform(read(folder / name)), expected)
    assert np.array_equal(model.transform(TableDataset(folder)), expected)
    stream, again = detector.stream(), detector.stream()
    scores = stream.score_rows(table)[0]
    assert np.array_equal(again.score_rows(table.to_pandas())[0], scores)


def test_files_of_a_folder_may_differ_in_their_units(model, tmp_path):
    table = pa.Table.from_pandas(frame(30, seed=1), preserve_index=False)
    write(in_unit("ms")(table.slice(0, 10)), tmp_path / "1.parquet")
    write(in_unit("us")(table.slice(10)), tmp_path / "2.parquet")
    assert np.array_equal(model.transform(TableDataset(tmp_path)), model.transform(table))


def test_a_zone_changes_no_instant():
    rows = frame(120)
    rows["moment"] = rows.moment.dt.tz_localize("UTC")
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(rows)
    for zone in ("Europe/Berlin", "Asia/Kolkata", "America/New_York"):
        moved = rows.assign(moment=rows.moment.dt.tz_convert(zone))
        assert np.array_equal(model.transform(moved), model.transform(rows))


# ---------------------------------------------------------------- answers
def within(answer, rows):
    """Assert that results are values that the training columns can hold."""
    for name in ("number", "count", "moment", "day", "took", "zero"):
        found = answer[name].dropna()
        assert found.between(rows[name].min(), rows[name].max()).all(), name
    assert set(answer.code.dropna()) <= set(rows.code)
    assert answer["count"].dropna().mod(1).eq(0).all()
    assert np.array_equal(answer.number.round(3), answer.number, equal_nan=True)
    assert answer.took.dropna().dt.total_seconds().mod(1).eq(0).all()
    assert answer.moment.dropna().dt.microsecond.eq(0).all()


@pytest.mark.filterwarnings("ignore::latently.exceptions.DataWarning")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(
    table=batches,
    codes=st.lists(st.tuples(*[st.floats(-1e6, 1e6)] * 3), min_size=1, max_size=5),
)
def test_every_answer_lies_within_the_support(model, table, codes):
    rows = frame(200)
    within(model.reconstruct(table.to_pandas()), rows)
    within(model.inverse_transform(np.array(codes)), rows)
    within(model.interpolate(table.slice(0, 1), table.slice(0, 1), 3), rows)


@pytest.mark.parametrize("kind", [Autoencoder, VariationalAutoencoder])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_samples_have_the_gaps_and_zeros_of_the_training_rows(kind, share):
    rows = frame(600)
    rows["number"] = rows.number.mask(np.random.default_rng(1).random(600) < share)
    rows["count"] = rows["count"].astype("Int64").mask(rows.number.isna() & (rows["count"] > 20))
    model = kind(3, max_epochs=20, random_state=0).fit(rows)
    drawn = model.sample(2_000, random_state=0)
    within(drawn, rows)
    assert (drawn.dtypes == rows.dtypes).all()
    for name in rows:
        gaps = rows[name].isna().mean()
        assert drawn[name].isna().mean() == pytest.approx(gaps, abs=0.035), name
    assert (drawn.zero == 0).mean() == pytest.approx((rows.zero == 0).mean(), abs=0.035)


def test_columns_come_back_constant_and_those_without_values_empty():
    rows = frame(80).assign(same=3.5, year=2024, noon=dt.time(12), none=None)
    rows["start"] = pd.Timestamp("2024-02-29 12:00:01")
    with pytest.warns(UserWarning, match="no value at all"):
        model = VariationalAutoencoder(2, max_epochs=2, random_state=0).fit(rows)
    drawn = model.sample(20, random_state=0)
    for name in ("same", "year", "noon", "start"):
        assert (drawn[name] == rows[name][0]).all(), name
    assert drawn.none.isna().all()


@pytest.mark.parametrize("levels", [list(string.ascii_lowercase[:5]), [10, 20, 30], [2.5, 7.0]])
@pytest.mark.parametrize("ordered", [False, True])
def test_categories_keep_their_dtype_and_their_unused_levels(levels, ordered):
    rng = np.random.default_rng(0)
    column = pd.Categorical(rng.choice(levels[:-1], 60), levels, ordered=ordered)
    rows = pd.DataFrame({"level": column, "x": rng.normal(size=60)})
    model = Autoencoder(1, max_epochs=2, random_state=0).fit(rows)
    for answer in (model.sample(10, random_state=0), model.reconstruct(rows)):
        assert answer.level.dtype == rows.level.dtype


def test_free_answers_are_expected_values_and_scores_are_the_same(model):
    rows = frame(60, seed=3)
    free = model.reconstruct(rows, support="free")
    held = model.reconstruct(rows)
    assert not np.array_equal(free.number, held.number)
    assert np.abs(free.number.clip(-9, 9) - held.number).max() < 0.2
    with pytest.raises(ValueError, match="support"):
        model.reconstruct(rows, support="loose")
