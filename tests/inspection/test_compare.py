"""Synthetic rows beside real ones: what is like is found like, and what is not, not."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import compare
from latently.exceptions import DataError, DataWarning


def people(n_rows, seed):
    """Return rows whose income goes with their trade and age."""
    rng = np.random.default_rng(seed)
    trade = rng.choice(["baker", "clerk", "pilot"], n_rows, p=[0.5, 0.3, 0.2])
    age = rng.integers(20, 60, n_rows)
    income = 10 * (trade == "pilot") + 0.2 * age + rng.normal(0, 1, n_rows)
    income[rng.random(n_rows) < 0.1] = np.nan
    return pd.DataFrame({"trade": trade, "age": age, "income": income})


@pytest.fixture(scope="module")
def real():
    return people(1_000, 0)


def test_rows_of_the_same_source_are_alike(real):
    found = compare(real, people(1_000, 1), holdout=people(1_000, 2), target="income")
    assert max(column.distance for column in found.columns) < 0.08
    assert found.dependence < 0.05
    assert 0.4 < found.discriminator < 0.6
    assert found.privacy.too_near == pytest.approx(0.05, abs=0.03)
    assert found.utility.synthetic == pytest.approx(found.utility.real, abs=0.05)
    assert found.utility.real > 0.8 and found.utility.measure == "R2"


def test_shuffled_columns_keep_their_margins_and_lose_their_ties(real):
    rng = np.random.default_rng(3)
    shuffled = real.apply(lambda column: rng.permutation(column))
    found = compare(real, shuffled, target="trade")
    assert max(column.distance for column in found.columns) < 1e-9
    assert found.dependence > 0.2
    assert found.discriminator > 0.7
    assert found.utility.synthetic < found.utility.real - 0.15


def test_copies_are_caught():
    real, other, held = (people(1_200, seed).dropna() for seed in (0, 4, 5))
    half = len(other) // 2
    found = compare(real, pd.concat([real.iloc[:half], other.iloc[:half]]), holdout=held)
    assert found.privacy.copies == pytest.approx(0.5, abs=0.01)
    assert found.privacy.too_near == pytest.approx(0.5 + 0.05 / 2, abs=0.03)
    assert compare(real, other, holdout=held).privacy.copies == 0


def test_the_column_that_differs_comes_first(real):
    moved = people(1_000, 6)
    moved["age"] += 15
    moved.loc[:400, "trade"] = "diver"  # unknown to the real rows
    found = compare(real, moved)
    assert found.columns[0].name == "age"
    trade = next(column for column in found.columns if column.name == "trade")
    assert trade.distance == pytest.approx(0.4, abs=0.05)
    assert found.discriminator > 0.9


def test_a_constant_column_and_arrays_are_compared():
    rng = np.random.default_rng(0)
    one, other = (np.column_stack([rng.normal(size=200), np.ones(200)]) for _ in range(2))
    found = compare(one, other)
    assert {column.name for column in found.columns} == {"x0", "x1"}
    assert np.isfinite(found.dependence)


def test_figures_are_plain_data_and_read_as_text(real):
    found = compare(real, people(300, 7), target="trade")
    assert json.loads(json.dumps(found.to_dict()))["n_synthetic"] == 300
    assert "300 synthetic rows beside 1,000 real ones" in str(found)
    assert "trade: accuracy" in str(found)


def test_what_cannot_be_compared_is_said(real):
    with pytest.raises(DataError, match="target must name a column, got 'height'"):
        compare(real, real, target="height")
    with pytest.raises(DataError, match="minimum of 10"):
        compare(real, real.iloc[:3])
    with pytest.raises(DataError, match="feature names"):
        compare(real, real.rename(columns={"age": "years"}))
    with pytest.raises(DataError, match="compare takes tables"):
        compare(np.ones((20, 4, 4)), np.ones((20, 4, 4)))


def mixed(n_rows=120, seed=0):
    """Return a number and a category."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(size=n_rows), "k": rng.choice(["x", "y"], n_rows)})


def figures(found):
    """Return all numbers of a comparison."""
    told = found.to_dict()
    near = [number for number in told["privacy"].values() if number is not None]
    numbers = [found.shape, found.trend, found.dependence, found.discriminator, *near]
    for column in told["columns"]:
        numbers += [column["distance"], *column["missing"]]
    return numbers


COLUMNS = {
    "constant": 1.0,
    "true": True,
    "huge": np.linspace(1e120, 2e120, 120),
    "tiny": np.linspace(1e-300, 2e-300, 120),
    "nullable": pd.array([1, None, 3] * 40, dtype="Int64"),
    "nullable truths": pd.array([True, None, False] * 40, dtype="boolean"),
    "ordered": pd.Categorical(["lo", "mid", "hi"] * 40, ["lo", "mid", "hi"], ordered=True),
    "one value only": [1.0] + [np.nan] * 119,
    "one text only": ["x"] + [None] * 119,
    "zones": pd.date_range("2024", periods=120, freq="h", tz="Europe/Berlin"),
    "durations": pd.to_timedelta(np.arange(120), unit="s"),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_any_column_beside_itself_differs_in_nothing(name):
    table = mixed().assign(own=COLUMNS[name])
    found = compare(table, table)
    assert np.isfinite(figures(found)).all()
    assert max(column.distance for column in found.columns) == 0
    assert "nan" not in str(found)


@pytest.mark.parametrize(
    "empty",
    [np.nan, None, pd.NaT, pd.array([pd.NA] * 120, dtype="Int64"), pd.Categorical([None] * 120)],
)
@pytest.mark.parametrize("side", ["real", "synthetic", "both"])
def test_a_column_without_values_is_compared_by_its_gaps(empty, side):
    full = mixed().assign(own=np.linspace(0, 1, 120))
    blank = mixed().assign(own=empty)
    real, synthetic = (full, blank) if side == "synthetic" else (blank, full)
    with pytest.warns(DataWarning, match="holds no value of 'own'.*Only the shares of missing"):
        found = compare(real, blank if side == "both" else synthetic)
    column = next(column for column in found.columns if column.name == "own")
    assert column.distance == (0 if side == "both" else 1)
    assert column.missing == {"real": (1, 0), "synthetic": (0, 1), "both": (1, 1)}[side]
    assert np.isfinite(figures(found)).all()
    assert found.discriminator < 0.6 if side == "both" else found.discriminator > 0.99


def test_texts_may_lack_values_in_either_table():
    blank = mixed().assign(k=None)
    with pytest.warns(DataWarning, match="real holds no value of 'k'. Only"):
        found = compare(blank, mixed())
    assert found.columns[0].name == "k" and found.columns[0].distance == 1


@pytest.mark.parametrize(
    ("real", "synthetic", "words"),
    [
        (1.5, "word", r"'own' holds numbers \(double\) in real and texts .* in synthetic"),
        ("word", pd.Timestamp("2024"), "'own' holds texts .* in real and dates or times"),
        (pd.Timestamp("2024"), 7, "'own' holds dates or times .* in real and numbers"),
        (True, 7, "'own' holds booleans .* in real and numbers"),
        (pd.Timedelta(5), 7, "'own' holds durations .* in real and numbers"),
    ],
)
def test_columns_of_unlike_kinds_are_refused(real, synthetic, words):
    with pytest.raises(DataError, match=words):
        compare(mixed().assign(own=real), mixed().assign(own=synthetic))


DAYS = ["2024-01-01", "2024-01-02", "2024-01-05"]


@pytest.mark.parametrize(
    ("real", "synthetic"),
    [
        ([1, 2, 3], ["1", "2", "3"]),
        (["1", "2", "3"], [1, 2, 3]),
        ([True, False, True], [1, 0, 1]),
        ([1, 0, 1], [True, False, True]),
        ([True, False, True], ["true", "false", "true"]),
        (pd.to_datetime(DAYS), DAYS),
    ],
)
def test_the_same_values_of_another_kind_are_the_same_where_nothing_is_lost(real, synthetic):
    one = mixed().assign(own=list(real) * 40)
    if not isinstance(real, list):
        one["own"] = pd.to_datetime(one["own"])
    other = mixed().assign(own=list(synthetic) * 40)
    found = compare(one, other)
    assert max(column.distance for column in found.columns) == 0
    assert found.privacy.copies == 1


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("own", ["s", "us"])
def test_times_of_any_unit_are_the_same_instants(unit, own):
    rng = np.random.default_rng(0)
    when = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 9_999, 120), unit="h")
    real = mixed().assign(t=when.astype(f"datetime64[{own}]"))
    found = compare(real, real.astype({"t": f"datetime64[{unit}]"}))
    assert max(column.distance for column in found.columns) == 0
    assert found.privacy.copies == 1


def test_zones_are_the_same_instants_and_times_without_one_are_warned_of():
    aware = mixed().assign(t=pd.date_range("2024", periods=120, freq="h", tz="Europe/Berlin"))
    elsewhere = aware.assign(t=aware["t"].dt.tz_convert("Asia/Tokyo"))
    assert compare(aware, elsewhere).privacy.copies == 1
    naive = aware.assign(t=aware["t"].dt.tz_localize(None))
    with pytest.warns(DataWarning, match="'t' of synthetic has times without a zone"):
        assert compare(aware, naive).privacy.copies == 1
    with pytest.warns(DataWarning, match="'t' of synthetic has times with a zone"):
        assert compare(naive, aware).privacy.copies == 1


@pytest.mark.parametrize("library", [pl.from_pandas, lambda t: pa.Table.from_pandas(t)])
def test_tables_of_two_libraries_and_other_orders_of_columns_are_compared(library):
    table = mixed()
    found = compare(table, library(table[["k", "a"]]))
    assert found.privacy.copies == 1


def test_levels_of_which_one_table_has_none_differ_by_at_most_one():
    order = ["lowest", "low", "mid", "high", "highest"]
    low, high = (
        mixed().assign(own=pd.Categorical([level] * 120, order, ordered=True))
        for level in ("lowest", "highest")
    )
    assert compare(low, high).columns[0].distance == 1
    other = mixed().assign(own=pd.Categorical(["other"] * 120, ordered=True))
    with pytest.warns(DataWarning, match="never seen in fit"):
        assert compare(low, other).columns[0].distance == 1


def test_what_is_not_alike_in_shape_is_said():
    table = mixed()
    with pytest.raises(DataError, match="only real has 'a', 'k'; only synthetic has 'b'"):
        compare(table, pd.DataFrame({"b": np.arange(20.0)}))
    with pytest.raises(DataError, match="only synthetic has 'more'"):
        compare(table, table.assign(more=1))
    with pytest.raises(DataError, match="same columns, got 2 and 3"):
        compare(np.ones((20, 2)), np.ones((20, 3)))
    with pytest.raises(DataError, match=r"'k' of real holds texts.*Give two frames"):
        compare(table, np.ones((20, 2)))
    with pytest.raises(DataError, match=r"synthetic: .*infinity at row 3"):
        compare(table[["a"]], pd.DataFrame({"a": [0.0, 1, 2, np.inf] * 5}))
    for n_rows in (0, 1, 2, 9):
        with pytest.raises(
            DataError, match=rf"synthetic must have a minimum of 10 rows, got {n_rows}"
        ):
            compare(table, table.iloc[:n_rows])


@pytest.mark.parametrize("value", [np.nan, [1.0] + [np.nan] * 119])
@pytest.mark.filterwarnings("ignore:.*holds no value:latently.exceptions.DataWarning")
def test_a_target_without_values_is_refused(value):
    table = mixed().assign(own=value)
    with pytest.raises(DataError, match="target 'own' must hold at least 2 values"):
        compare(table, table, target="own")


def test_a_target_may_be_the_only_column_or_have_one_class():
    one = mixed()[["a"]]
    assert np.isfinite(compare(one, one, target="a").utility.real)
    constant = mixed().assign(k="x")
    assert compare(constant, constant, target="k").utility.real == 1
    assert compare(constant, constant, target=np.int64(1)).utility.target == "k"


def test_dates_beside_times_are_the_same_instants_and_far_ones_are_refused():
    days = pa.array(range(20), pa.int32())
    dates = pa.table({"t": days.cast(pa.date32())})
    found = compare(dates, pa.table({"t": days.cast(pa.date32()).cast(pa.timestamp("ns"))}))
    assert found.privacy.copies == 1
    far = pa.table({"t": pa.array(range(10**11, 10**11 + 20)).cast(pa.timestamp("s"))})
    with pytest.raises(DataError, match=r"'t' of real holds dates or times beyond the range"):
        compare(far, pa.table({"t": pa.array(range(20)).cast(pa.timestamp("ns"))}))


def test_a_table_that_is_none_is_refused():
    with pytest.raises(DataError, match="real: "):
        compare(None, mixed())


def test_copies_of_the_training_rows_are_judged_by_the_holdout():
    rng = np.random.default_rng(0)
    real, holdout = rng.normal(size=(2, 400, 4))
    copies = rng.permutation(real)
    alone, judged = compare(real, copies), compare(real, copies, holdout=holdout)
    assert alone.discriminator < 0.4
    assert "below it, synthetic rows repeat the real ones" in str(alone)
    assert judged.discriminator == pytest.approx(0.5, abs=0.1)
    assert "(0.5 is best)" in str(judged)
    assert judged.privacy.copies == 1


def test_shape_and_trend_have_the_closed_forms_of_their_definitions():
    half = np.repeat([0.0, 1.0], 50)
    real = pd.DataFrame({"a": half, "k": np.where(half > 0, "x", "y"), "b": half})
    mixed_up = real.assign(b=half[::-1].copy())
    found = compare(real, mixed_up)
    assert found.shape == pytest.approx(1)
    # a and b: correlations 1 and -1; a and k: alike; b and k: joint frequencies are disjoint.
    assert found.trend == pytest.approx((0 + 1 + 0) / 3)
    assert compare(real, real).trend == pytest.approx(1)


def test_copies_of_the_training_rows_lie_nearer_to_them_than_to_the_holdout():
    real, other, held = (people(800, seed).dropna() for seed in (0, 4, 5))
    copied = compare(real, real, holdout=held).privacy
    fresh = compare(real, other, holdout=held).privacy
    assert copied.dcr_share > 0.95 and fresh.dcr_share == pytest.approx(0.5, abs=0.06)
    assert copied.adversarial_accuracy < 0.1 < 0.4 < fresh.adversarial_accuracy < 0.6
    assert copied.privacy_loss > 0.3 and fresh.privacy_loss == pytest.approx(0, abs=0.06)


def test_rows_that_lie_apart_are_told_by_their_nearest_neighbour(real):
    moved = real.assign(age=real["age"] + 500)
    assert compare(real, moved).privacy.adversarial_accuracy == 1
    assert compare(real, moved).privacy.dcr_share is None
