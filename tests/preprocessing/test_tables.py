"""Encoding and decoding are inverse; each column takes the likelihood of its kind."""

import datetime as dt
from decimal import Decimal

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently.exceptions import DataWarning
from latently.preprocessing import TablePreprocessor, fill_missing
from tests.contract.samples import LIBRARIES, matrix, same, to_arrow, transactions

SEEDS = range(8)


def random_table(seed, n_rows=40):
    """Return a table of every kind of column, of random content."""
    rng = np.random.default_rng(seed)
    start = np.datetime64("1990-01-01", "s") + int(rng.integers(0, 10**9))
    units = ["ns", "us", "ms", "s"]
    return pa.table(
        {
            "real": rng.normal(10.0 ** rng.integers(-3, 6), 1, n_rows),
            "single": rng.normal(size=n_rows).astype("float32"),
            "whole": rng.integers(-50, 50, n_rows),
            "byte": rng.integers(0, 256, n_rows).astype("uint8"),
            "truth": rng.random(n_rows) < 0.5,
            "word": rng.choice(["ant", "bee", "cat", "dög"], n_rows),
            "size": pa.DictionaryArray.from_arrays(
                rng.integers(0, 3, n_rows).astype("int32"), ["S", "M", "L"], ordered=True
            ),
            "kind": pa.array(rng.choice(["x", "y"], n_rows)).dictionary_encode(),
            "moment": pa.array(start + rng.integers(0, 10**8, n_rows)).cast(
                pa.timestamp(units[seed % 4], "UTC")
            ),
            "day": pa.array(start.astype("M8[D]") + rng.integers(0, 900, n_rows)),
            "span": pa.array(rng.integers(0, 10**6, n_rows), pa.duration("s")),
            "clock": pa.array(rng.integers(0, 86_400, n_rows).astype("int32"), pa.time32("s")),
        }
    )  # fmt: skip


def read(table):
    return nw.from_native(table, eager_only=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_of_column_comes_back_as_it_was(seed):
    table = random_table(seed)
    preprocessor = TablePreprocessor.fit(read(table))
    values, observed = preprocessor.encode(read(table))
    decoded = preprocessor.decode(values)
    assert observed is None
    assert decoded.schema == table.schema
    for name in set(table.column_names) - {"real", "single"}:
        assert decoded[name].to_pylist() == table[name].to_pylist(), name
    np.testing.assert_allclose(decoded["real"], table["real"], rtol=1e-12)
    np.testing.assert_allclose(decoded["single"], table["single"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_complete_table_of_each_library_comes_back(library):
    table = transactions(library, complete=True)
    preprocessor = TablePreprocessor.fit(read(table))
    decoded = preprocessor.decode(preprocessor.encode(read(table))[0])
    before, after = to_arrow(table), to_arrow(decoded)
    for name in set(before.column_names) - {"amount", "distance_km"}:
        assert after[name].to_pylist() == before[name].to_pylist(), name


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint16", "int64", "bool"])
def test_an_array_comes_back_in_its_type(dtype):
    X = (matrix() * 20).astype(dtype)
    preprocessor = TablePreprocessor.fit(X)
    decoded = preprocessor.decode(preprocessor.encode(X)[0])
    assert decoded.dtype == X.dtype
    np.testing.assert_allclose(decoded.astype(float), X.astype(float), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_widths_of_the_layout_add_up(seed):
    table = random_table(seed)
    preprocessor = TablePreprocessor.fit(read(table))
    values, _ = preprocessor.encode(read(table))
    layout = preprocessor.layout
    assert layout.width == values.shape[1] == sum(b.width * b.n_columns for b in layout.blocks)
    assert layout.n_columns == table.num_columns == sum(b.n_columns for b in layout.blocks)
    assert sorted(preprocessor.order) == list(range(table.num_columns))
    assert preprocessor.column_names == tuple(table.column_names)


@pytest.mark.parametrize("seed", SEEDS)
def test_gaps_are_marked_where_they_are_and_read_as_zero(seed):
    table, rng = random_table(seed), np.random.default_rng(seed)
    gaps = rng.random((len(table), table.num_columns)) < 0.3
    places = np.arange(len(table))
    holed = pa.table(
        {
            name: table[name].combine_chunks().take(pa.array(places, mask=gaps[:, i]))
            for i, name in enumerate(table.column_names)
        }
    )
    preprocessor = TablePreprocessor.fit(read(table))
    values, observed = preprocessor.encode(read(holed))
    assert (preprocessor.in_order(observed) == ~gaps).all()
    assert np.isfinite(values).all()
    decoded = preprocessor.decode(values)
    for i, name in enumerate(table.column_names):
        kept = np.flatnonzero(~gaps[:, i])
        if name not in ("real", "single"):
            assert decoded[name].take(kept).to_pylist() == table[name].take(kept).to_pylist(), name


def test_numbers_are_scaled_to_mean_zero_and_deviation_one():
    values, _ = (p := TablePreprocessor.fit(matrix() * 1e6 + 3)).encode(matrix() * 1e6 + 3)
    assert p.number_likelihood == "gaussian"
    np.testing.assert_allclose(values.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(values.std(0), 1)


UNIT = np.random.default_rng(0).random((60, 4))
PIXELS = np.clip(UNIT * [1.0, 0.5, 0.9, 1.0], 0, 1)
PIXELS[0], PIXELS[1] = 0.0, [1.0, 0.5, 0.9, 1.0]


@pytest.mark.parametrize(
    ("numbers", "likelihood"),
    [
        (PIXELS, "bernoulli"),
        (np.round(UNIT), "bernoulli"),
        (np.round(UNIT).astype(int), "bernoulli"),
        ((UNIT - UNIT.min(0)) / np.ptp(UNIT, 0), "gaussian"),
        (UNIT, "gaussian"),
        (UNIT * 1.5, "gaussian"),
        (UNIT - 0.5, "gaussian"),
        (matrix(), "gaussian"),
        (np.zeros((60, 2)), "gaussian"),
        (np.ones((60, 2)), "gaussian"),
        (PIXELS * 255, "gaussian"),
        (np.where(UNIT < 0.1, np.nan, np.round(UNIT)), "bernoulli"),
    ],
    ids=["pixels", "binary", "whole binary", "min-max scaled", "shares", "beyond 1", "below 0",
         "normal", "zeros", "ones", "bytes", "binary with gaps"],
)  # fmt: skip
def test_the_likelihood_of_numbers_follows_their_range(numbers, likelihood):
    preprocessor = TablePreprocessor.fit(numbers)
    assert preprocessor.number_likelihood == likelihood
    assert preprocessor.layout.blocks[0].likelihood == likelihood


@pytest.mark.parametrize("choice", ["gaussian", "bernoulli"])
def test_a_chosen_likelihood_is_taken(choice):
    assert TablePreprocessor.fit(PIXELS, choice).number_likelihood == choice


def test_bernoulli_numbers_are_left_as_they_are_and_clipped_with_a_count():
    preprocessor = TablePreprocessor.fit(PIXELS)
    assert same(preprocessor.encode(PIXELS)[0], PIXELS)
    with pytest.warns(DataWarning, match=r"2 values lie outside \[0, 1\]"):
        values, _ = preprocessor.encode(np.array([[0.5, -1.0, 0.5, 2.0]]))
    assert values.tolist() == [[0.5, 0.0, 0.5, 1.0]]


@pytest.mark.parametrize(
    ("column", "likelihood", "width"),
    [
        (np.arange(60.0), "gaussian", 1),
        ([True, False] * 30, "bernoulli", 1),
        (["a", "b", "c"] * 20, "categorical", 4),
        (pd.Categorical(["a", "b"] * 30), "categorical", 3),
        (pd.Categorical(["a", "b", "c"] * 20, ordered=True), "bernoulli", 2),
        (pd.Categorical(["a"] * 60, ordered=True), "bernoulli", 1),
        (pd.to_timedelta(np.arange(60), unit="s"), "gaussian", 1),
    ],
    ids=["number", "truth", "word", "category", "ordered", "one step", "duration"],
)
def test_each_kind_of_column_has_its_likelihood_and_width(column, likelihood, width):
    (block,) = TablePreprocessor.fit(read(pd.DataFrame({"x": column}))).layout.blocks
    assert (block.likelihood, block.width, block.n_columns) == (likelihood, width, 1)


@pytest.mark.parametrize(
    ("span", "n_cycles"),
    [
        (pd.date_range("2024-01-01", periods=60, freq="min"), 0),
        (pd.date_range("2024-01-01", periods=60, freq="h"), 1),
        (pd.date_range("2024-01-01", periods=60, freq="D"), 1),
        (pd.date_range("2024-01-01", periods=60, freq="7h"), 2),
        (pd.date_range("2020-01-01", periods=60, freq="30D"), 2),
        (pd.date_range("2020-01-01", periods=60, freq="701h"), 3),
    ],
    ids=["minutes", "hours", "days", "two weeks of hours", "years of days", "years of hours"],
)
def test_dates_show_the_cycles_that_they_run_through(span, n_cycles):
    preprocessor = TablePreprocessor.fit(read(pd.DataFrame({"x": span})))
    values, _ = preprocessor.encode(read(pd.DataFrame({"x": span})))
    assert preprocessor.layout.width == 1 + 2 * n_cycles
    np.testing.assert_allclose(np.square(values[:, 1:]).sum(1), n_cycles)


def test_the_same_hour_of_every_day_has_the_same_phase():
    days = pd.DataFrame({"x": pd.date_range("2024-01-01 06:00", periods=40, freq="12h")})
    preprocessor = TablePreprocessor.fit(read(days))
    values, _ = preprocessor.encode(read(days))
    np.testing.assert_allclose(values[::2, 1:3], np.tile(values[0, 1:3], (20, 1)), atol=1e-9)
    np.testing.assert_allclose(values[0, 1:3], -values[1, 1:3], atol=1e-9)


def test_a_date_before_1970_keeps_its_phase():
    days = [dt.datetime(1960, 1, 1, 6), dt.datetime(1975, 5, 5, 18), dt.datetime(1980, 1, 1, 7)]
    table = pl.DataFrame({"x": days})
    preprocessor = TablePreprocessor.fit(read(table))
    values, _ = preprocessor.encode(read(table))
    assert values[0, 1:3] == pytest.approx([1.0, 0.0], abs=1e-9)
    assert preprocessor.decode(values)["x"].to_list() == days


def test_an_ordered_category_is_a_thermometer():
    sizes = pd.Categorical(["S", "M", "L", "XL"] * 3, ["S", "M", "L", "XL"], ordered=True)
    preprocessor = TablePreprocessor.fit(read(pd.DataFrame({"x": sizes})))
    values, _ = preprocessor.encode(read(pd.DataFrame({"x": sizes})))
    assert values[:4].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_an_ordered_category_is_read_off_by_its_height():
    sizes = pd.Categorical(["S", "M", "L"] * 3, ["S", "M", "L"], ordered=True)
    preprocessor = TablePreprocessor.fit(read(pd.DataFrame({"x": sizes})))
    decoded = preprocessor.decode(np.array([[0.2, 0.1], [0.9, 0.3], [0.8, 0.7]]))
    assert decoded["x"].tolist() == ["S", "M", "L"]


def test_a_category_is_the_most_probable_of_those_known():
    preprocessor = TablePreprocessor.fit(read(pl.DataFrame({"x": ["a", "b"] * 5})))
    decoded = preprocessor.decode(np.array([[0.3, 0.2, 0.5], [0.1, 0.2, 0.7]]))
    assert decoded["x"].to_list() == ["a", "b"]


def test_rare_words_beyond_the_hundredth_count_as_unknown():
    words = [f"w{i:03}" for i in range(100)] * 2 + [f"rare{i}" for i in range(20)]
    with pytest.warns(
        DataWarning,
        match="'x' holds 120 different values; the 100 most frequent are kept, 20 cells",
    ):
        preprocessor = TablePreprocessor.fit(read(pl.DataFrame({"x": words})))
    values, observed = preprocessor.encode(read(pl.DataFrame({"x": words})), fitting=True)
    assert preprocessor.layout.width == 101
    assert observed is None
    assert values[:, -1].sum() == 20


def test_the_words_that_are_kept_do_not_depend_on_the_order_of_the_rows():
    words = [f"w{i:03}" for i in range(130)]
    with pytest.warns(DataWarning):
        one = TablePreprocessor.fit(read(pl.DataFrame({"x": words})))
    with pytest.warns(DataWarning):
        other = TablePreprocessor.fit(read(pl.DataFrame({"x": words[::-1]})))
    assert one.codecs == other.codecs


@pytest.mark.parametrize("value", [0.0, 7.0, -1e-9, 0.1, 1.7e18, 1e30])
@pytest.mark.parametrize("n_rows", [30, 999])
def test_a_constant_column_has_scale_one_and_is_encoded_as_nothing(value, n_rows):
    preprocessor = TablePreprocessor.fit(np.full((n_rows, 1), value))
    values, _ = preprocessor.encode(np.full((n_rows, 1), value))
    assert preprocessor.scale.tolist() == [1.0]
    assert np.abs(values).max() < 1e-9


def test_a_spread_that_is_lost_in_rounding_is_none():
    X = 1e15 + np.array([[0.0], [0.125]] * 20)
    preprocessor = TablePreprocessor.fit(X)
    assert preprocessor.scale.tolist() == [1.0]


NARROW = [pa.decimal32(7, 2), pa.decimal64(12, 2)]


@pytest.mark.parametrize("in_pandas", [False, True])
@pytest.mark.parametrize("kind", NARROW, ids=str)
def test_narrow_decimals_come_back_as_such_and_filled(kind, in_pandas):
    """Arrow computes with wider ones."""
    prices = pa.array([Decimal("1.25"), None, Decimal("7.50")] * 10).cast(kind)
    table = pa.table({"price": prices, "x": np.arange(30.0)})
    rows = table.to_pandas(types_mapper=pd.ArrowDtype) if in_pandas else table
    frame = nw.from_native(rows, eager_only=True)
    preprocessor = TablePreprocessor.fit(frame)
    rebuilt = preprocessor.decode(preprocessor.encode(frame)[0])
    for answer in (rebuilt, fill_missing(rows, rebuilt)):
        native = answer["price"].dtype.pyarrow_dtype if in_pandas else answer["price"].type
        assert native == kind
        assert nw.from_native(answer, eager_only=True)["price"].null_count() == 0


CATEGORIES = {
    "nullable texts": pd.array(["b", "a", "z"], dtype="string"),
    "objects": pd.Index(["b", "a", "z"], dtype=object),
    "bytes": np.array([3, 1, 9], dtype="int8"),
    "nullable numbers": pd.array([3, 1, 9], dtype="Int64"),
    "single precision": np.array([0.5, 1.5, 9], dtype="float32"),
    "truths": np.array([True, False]),
}


@pytest.mark.parametrize("levels", CATEGORIES)
def test_categories_keep_their_own_type(levels):
    known = pd.Index(CATEGORIES[levels])
    codes = np.array([0, 1, -1] * 10)
    kinds = pd.Categorical.from_codes(codes, known, ordered=True)
    rows = pd.DataFrame({"kind": kinds, "x": np.arange(30.0)})
    frame = nw.from_native(rows, eager_only=True)
    preprocessor = TablePreprocessor.fit(frame)
    rebuilt = preprocessor.decode(preprocessor.encode(frame)[0])
    for answer in (rebuilt, fill_missing(rows, rebuilt)):
        assert answer["kind"].dtype == rows["kind"].dtype
        assert (answer["kind"].cat.codes.to_numpy() == codes)[codes >= 0].all()
