"""Gaps are filled from the other columns; what was seen stays as it was."""

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import (
    Autoencoder,
    AutoencoderImputer,
    DenoisingAutoencoder,
    DenseNetwork,
    ImputationAutoencoder,
    load,
    pool_estimates,
)
from latently.exceptions import DataWarning, ParameterError
from tests.contract.samples import LIBRARIES, columns, matrix, stack, transactions


def with_gaps(X, rate=0.2, seed=0):
    holed = X.copy()
    holed[np.random.default_rng(seed).random(X.shape) < rate] = np.nan
    return holed


def imputer(n_iterations=1, **options):
    model = DenoisingAutoencoder(2, **{"max_epochs": 40, "engine": "cpu", **options})
    return AutoencoderImputer(autoencoder=model, n_iterations=n_iterations, random_state=0)


def test_correlated_columns_fill_gaps_better_than_column_means():
    X = matrix(300, 6)
    holed = with_gaps(X)
    gaps = np.isnan(holed)
    filled = imputer().fit_transform(holed)
    by_means = np.where(gaps, np.nanmean(holed, 0), holed)
    assert np.square(filled - X)[gaps].mean() < 0.3 * np.square(by_means - X)[gaps].mean()


def test_a_word_is_filled_from_the_word_that_goes_with_it():
    place = np.random.default_rng(0).integers(0, 3, 300)
    table = pd.DataFrame({"city": np.array(["Rome", "Bonn", "Lyon"])[place],
                          "land": np.array(["IT", "DE", "FR"])[place]})  # fmt: skip
    holed = table.copy()
    holed.loc[::5, "land"] = None
    filled = imputer(max_epochs=30).fit_transform(holed)
    assert (filled["land"] == table["land"]).mean() > 0.98
    assert filled["city"].equals(table["city"])


def test_rows_without_gaps_come_back_as_they_were():
    X = matrix(100)
    filled = imputer(max_epochs=1).fit(with_gaps(X)).transform(X)
    np.testing.assert_array_equal(filled, X)


@pytest.mark.parametrize("n_iterations", [1, 2, 5])
def test_every_number_of_passes_fills_all_gaps_and_keeps_what_was_seen(n_iterations):
    holed = with_gaps(matrix(100))
    filled = imputer(n_iterations, max_epochs=2).fit_transform(holed)
    seen = ~np.isnan(holed)
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(filled[seen], holed[seen])


def test_more_passes_help_a_model_that_never_saw_a_gap():
    X = matrix(400, 6, noise=0.05)
    model = Autoencoder(
        2, network=DenseNetwork(()), max_epochs=60, random_state=0, engine="cpu"
    ).fit(X)
    holed = with_gaps(X, 0.15)
    gaps = np.isnan(holed)
    imputers = [AutoencoderImputer(autoencoder=model, n_iterations=n).fit(X) for n in (1, 20)]
    with pytest.warns(DataWarning, match="lacked none in fit"):
        errors = [np.square(fitted.transform(holed) - X)[gaps].mean() for fitted in imputers]
    assert errors[1] < 0.7 * errors[0]


def test_the_second_pass_sees_what_the_first_one_filled():
    holed = with_gaps(matrix(100))
    once, twice = (imputer(n, max_epochs=2).fit(holed) for n in (1, 2))
    seen_again = once.autoencoder_.reconstruct(once.transform(holed))
    expected = np.where(np.isnan(holed), seen_again, holed)
    np.testing.assert_array_equal(twice.transform(holed), expected)


def test_a_column_without_any_value_stays_missing_and_is_named():
    X = matrix(60)
    X[:, 2] = np.nan
    with pytest.warns(DataWarning, match=r"hold no value at all: 2"):
        fitted = imputer(max_epochs=1).fit(X)
    filled = fitted.transform(X)
    assert np.isnan(filled[:, 2]).all()
    assert np.isfinite(np.delete(filled, 2, axis=1)).all()


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_types_that_cannot_have_gaps_pass_through(dtype):
    X = (matrix() * 10).astype(dtype)
    filled = imputer(max_epochs=1).fit_transform(X)
    assert filled.dtype == X.dtype
    np.testing.assert_array_equal(filled, X)


@pytest.mark.parametrize("n_iterations", [0, -1, 1.5, "many"])
def test_a_wrong_number_of_passes_is_refused(n_iterations):
    with pytest.raises(ParameterError, match="n_iterations"):
        imputer(n_iterations).fit(matrix())


# ---------------------------------------------------------------- the masked autoencoder
def masked(**options):
    quick = {"n_networks": 2, "n_trees": 8, "batch_size": 128, "max_epochs": 5, "engine": "cpu"}
    return AutoencoderImputer(autoencoder=ImputationAutoencoder(**quick), random_state=0, **options)


def holed_transactions(library="pandas", n_rows=200):
    return transactions(library, n_rows)


def test_the_default_of_a_table_is_masked_and_that_of_images_denoising():
    X, images = with_gaps(matrix(40)), stack(24, 5, 6)
    assert isinstance(AutoencoderImputer()._fresh(None, X), ImputationAutoencoder)
    assert isinstance(AutoencoderImputer()._fresh(None, images), DenoisingAutoencoder)


@pytest.mark.parametrize("library", LIBRARIES)
def test_draws_differ_in_the_gaps_and_nowhere_else(library):
    table = holed_transactions(library)
    imputer = masked().fit(table)
    one, other = imputer.impute(table, 2, random_state=0)
    assert type(one) is type(table)
    for name, before in columns(table).items():
        pairs = zip(columns(one)[name], columns(other)[name], before, strict=True)
        assert all(a == b == seen for a, b, seen in pairs if seen is not None)
        assert None not in columns(one)[name]
    assert columns(one) != columns(other)


def test_the_same_seed_draws_the_same_tables():
    X = with_gaps(matrix(120))
    imputer = masked().fit(X)
    first, again = (imputer.impute(X, 3, random_state=5) for _ in range(2))
    other = imputer.impute(X, 3, random_state=6)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert not (first[0] == other[0]).all()


def test_without_draws_impute_is_transform():
    X = with_gaps(matrix(60))
    imputer = masked().fit(X)
    np.testing.assert_array_equal(imputer.impute(X), imputer.transform(X))


def test_draws_of_one_row_depend_on_each_other_as_the_columns_do():
    rng = np.random.default_rng(0)
    a = rng.normal(size=600)
    X = np.column_stack([a, a + 0.3 * rng.normal(size=600), rng.normal(size=600)])
    X[:300, :2] = np.nan
    drawn = masked().fit(X).impute(X, 1, random_state=0)[0][:300]
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] > 0.6
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1]) < 0.3


def test_a_mean_pooled_from_draws_allows_for_the_gaps():
    X = matrix(600, 4, noise=0.5)
    holed = X.copy()
    holed[np.random.default_rng(0).random(600) < 0.5, 0] = np.nan
    draws = masked().fit(holed).impute(holed, 20, random_state=0)
    means, squares = zip(*((d[:, 0].mean(), d[:, 0].var() / 600) for d in draws), strict=True)
    pooled = pool_estimates(means, squares)
    assert pooled.variance > pooled.within
    assert abs(pooled.estimate - X[:, 0].mean()) < 4 * np.sqrt(pooled.variance)


@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_intervals_hold_hidden_cells_as_often_as_they_say(coverage):
    X = matrix(1_500, 8, noise=0.5)
    holed = with_gaps(X)
    gaps = np.isnan(holed)
    lower, upper = masked().fit(holed).interval(holed, coverage)
    inside = (lower <= X) & (upper >= X)
    assert inside[~gaps].all()
    assert abs(inside[gaps].mean() - coverage) < 0.05


def test_between_categories_without_an_order_there_is_no_interval():
    table = holed_transactions()
    lower, upper = masked().fit(table).interval(table, 0.9)
    for end in (lower, upper):
        assert end["merchant"].isna().equals(table["merchant"].isna())
        assert end["amount"].notna().all() and end["timestamp"].notna().all()
        assert end.dtypes.equals(table.dtypes)
    gaps = table["amount"].isna()
    assert (lower["amount"][gaps] < upper["amount"][gaps]).all()


def test_short_numbers_come_back_short_in_draws():
    rng = np.random.default_rng(0)
    X = rng.integers(0, 9, (300, 8)) * 0.05
    holed = with_gaps(X)
    drawn = masked().fit(holed).impute(holed, 1, random_state=0)[0]
    # A quarter of what is drawn from are values of other rows, the rest lie about expected ones.
    assert 0.15 < np.isin(drawn[np.isnan(holed)], np.unique(X)).mean() < 0.8


@pytest.mark.parametrize("ask", [lambda m, X: m.impute(X, 2), lambda m, X: m.interval(X)])
def test_draws_and_intervals_need_a_distribution(ask):
    X = with_gaps(matrix(60))
    with pytest.raises(ParameterError, match="needs an ImputationAutoencoder"):
        ask(imputer(max_epochs=1).fit(X), X)


@pytest.mark.parametrize("coverage", [0, 1, 2.0, -1])
def test_a_coverage_that_is_no_chance_is_refused(coverage):
    X = with_gaps(matrix(60))
    with pytest.raises(ParameterError, match="coverage must be between 0 and 1"):
        masked().fit(X).interval(X, coverage)


@pytest.mark.parametrize("n_draws", [0, -1, 1.5])
def test_a_wrong_number_of_draws_is_refused(n_draws):
    X = with_gaps(matrix(60))
    with pytest.raises(ParameterError, match="n_draws"):
        masked().fit(X).impute(X, n_draws)


# ---------------------------------------------------------------- which cells are filled
def test_only_the_columns_asked_for_are_filled():
    table = holed_transactions()
    filled = masked(columns=["amount", 4]).fit_transform(table)
    assert filled["amount"].notna().all() and filled[table.columns[4]].notna().all()
    rest = [c for c in table if c not in ("amount", table.columns[4])]
    assert filled[rest].equals(table[rest])


@pytest.mark.parametrize("wrong", [["nothing"], [99], [-1]])
def test_columns_that_are_not_there_are_named(wrong):
    with pytest.raises(ParameterError, match="columns that X does not have"):
        masked(columns=wrong).fit(holed_transactions())


@pytest.mark.parametrize("dtype", ["int64", "float64", "float32"])
def test_a_number_that_stands_for_a_gap_is_filled(dtype):
    X = np.rint(matrix(120) * 10).astype(dtype)
    gaps = np.random.default_rng(0).random(X.shape) < 0.1
    holed = np.where(gaps, -999, X).astype(dtype)
    filled = masked(missing_values=-999).fit_transform(holed)
    assert filled.dtype == dtype
    assert not (filled == -999).any()
    np.testing.assert_array_equal(filled[~gaps], X[~gaps])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("mark", [-1, "?"])
def test_a_mark_stands_for_a_gap_in_the_columns_that_can_hold_it(mark, library):
    numbers = [-1, *range(1, 40)]
    words = ["?", *["left", "right", "left"] * 13]
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library]
    table = make({"n": numbers, "w": words})
    filled = masked(missing_values=mark).fit_transform(table)
    assert type(filled) is type(table)
    found = columns(filled)
    assert (found["n"][0] == -1) == (mark == "?")
    assert (found["w"][0] == "?") == (mark == -1)
    assert found["n"][1:] == numbers[1:] and found["w"][1:] == words[1:]
    assert str(nw.from_native(filled).schema) == str(nw.from_native(table).schema)


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_indicator_says_where_gaps_were(library):
    table = holed_transactions(library)
    imputer = masked(add_indicator=True).fit(table)
    found, given = columns(imputer.transform(table)), columns(table)
    assert list(found) == list(imputer.get_feature_names_out())
    for name, values in given.items():
        if None in values:
            assert found[f"missingindicator_{name}"] == [value is None for value in values]
        else:
            assert f"missingindicator_{name}" not in found


def test_an_indicator_of_an_array_is_a_column_of_its_type():
    X = matrix(60).astype("float32")
    X[::7, 1] = np.nan
    filled = masked(add_indicator=True).fit_transform(X)
    assert filled.shape == (60, 6) and filled.dtype == np.float32
    np.testing.assert_array_equal(filled[:, 5], np.isnan(X[:, 1]))


@pytest.mark.parametrize("options", [{}, {"missing_values": -9.0}, {"columns": [1]}])
def test_columns_called_by_numbers_keep_their_names(options):
    X = with_gaps(matrix(100, 8))
    table = pd.DataFrame(X, columns=range(10, 18), index=range(5, 105))
    shown = table.fillna(-9.0) if "missing_values" in options else table
    filled = masked(**options).fit_transform(shown)
    assert filled.columns.equals(table.columns) and filled.index.equals(table.index)
    assert filled[11].notna().all() and not (filled[11] == -9.0).any()


def test_zero_stands_for_no_false_and_no_date():
    table = pd.DataFrame(
        {"n": [0, 1, 2] * 20, "b": [True, False] * 30, "d": pd.to_datetime([0, 1] * 30)}
    )
    filled = masked(missing_values=0).fit_transform(table)
    assert filled[["b", "d"]].equals(table[["b", "d"]])
    assert (filled["n"] != 0).any()


# ---------------------------------------------------------------- gaps of every kind
def test_a_row_without_any_value_is_filled_with_what_is_usual_and_counted():
    X = matrix(200)
    X[3] = X[8] = np.nan
    imputer = masked()
    with pytest.warns(DataWarning, match="2 rows hold no value at all"):
        filled = imputer.fit(X).transform(X)
    assert np.abs(filled[3] - np.nanmean(X, 0)).max() < np.nanstd(X, 0).max()


def test_a_column_that_lacks_cells_only_later_is_filled_and_named():
    X = matrix(120)
    X[0, 0] = np.nan
    imputer = masked().fit(X)
    later = matrix(20, seed=1)
    later[:5, 3] = np.nan
    with pytest.warns(DataWarning, match="1 columns lack cells and lacked none in fit: 'x3'"):
        assert np.isfinite(imputer.transform(later)).all()


@pytest.mark.parametrize("kind", ["float64", "boolean", "str", "category", "datetime64[ns]"])
def test_a_column_without_any_value_stays_as_it_was(kind):
    table = pd.DataFrame({"n": np.arange(30.0), "empty": pd.Series([None] * 30, dtype=kind)})
    imputer = masked()
    with pytest.warns(DataWarning, match="hold no value at all"):
        imputer.fit(table)
    filled = imputer.transform(table)
    assert filled.dtypes.equals(table.dtypes)
    assert filled["empty"].isna().all()


def test_a_category_never_seen_in_fit_is_counted_and_its_row_filled():
    table = pd.DataFrame({"w": ["a", "b"] * 30, "n": [1.0, 2.0] * 30})
    table.loc[0, "n"] = np.nan
    imputer = masked().fit(table)
    later = pd.DataFrame({"w": ["c", "a"], "n": [np.nan, np.nan]})
    with pytest.warns(DataWarning, match="1 values never seen in fit, for example 'c'"):
        filled = imputer.transform(later)
    assert filled["w"].tolist() == ["c", "a"]
    assert filled["n"].notna().all()


def test_a_category_that_new_rows_do_not_list_can_still_fill_them():
    table = pd.DataFrame({"w": pd.Categorical(["a", "b"] * 30), "n": [1.0, 9.0] * 30})
    table.loc[0, "w"] = None
    imputer = masked().fit(table)
    later = pd.DataFrame({"w": pd.Categorical(["a", None], ["a"]), "n": [1.0, 9.0]})
    assert imputer.transform(later)["w"].tolist() == ["a", "b"]


def test_rows_without_gaps_pass_through_untouched():
    table = transactions("pandas", complete=True)
    assert masked().fit(table).transform(table).equals(table)


# ---------------------------------------------------------------- sets of categories
def noisy_names(n_rows=2_000):
    """Return a category of three that a number predicts in part, an ordered one and a boolean."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=n_rows)
    place = np.digitize(a + 0.7 * rng.normal(size=n_rows), [-0.5, 0.7])
    sizes = pd.Categorical.from_codes(place, ["s", "m", "l"], ordered=True)
    table = pd.DataFrame({"a": a, "name": np.array(["x", "y", "z"])[place[::-1]]})
    return table.assign(size=sizes, big=a + rng.normal(size=n_rows) > 0, b=a[::-1])


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_of_categories_hold_the_true_one_as_often_as_promised(coverage):
    table = noisy_names()
    gaps = np.random.default_rng(1).random((len(table), 3)) < 0.25
    given = table.copy()
    for place, name in enumerate(["name", "size", "big"]):
        given[name] = given[name].astype(object).mask(gaps[:, place])
    given["size"] = pd.Categorical(given["size"], ["s", "m", "l"], ordered=True)
    found = masked().fit(given).prediction_sets(given, coverage)
    for place, name in enumerate(["name", "size", "big"]):
        sets, rows = found[name], gaps[:, place]
        codes = np.array([sets.categories.index(value) for value in table[name]])
        held = sets.members[np.arange(len(table)), codes]
        assert coverage - 0.06 < held[rows].mean() < coverage + 0.09
        assert held[~rows].all() and (sets.members[~rows].sum(1) == 1).all()
        np.testing.assert_allclose(sets.probabilities.sum(1), 1, atol=0.01)
        chances = sets.probabilities[np.arange(len(table)), codes][rows]
        assert abs(chances.mean() - np.square(sets.probabilities[rows]).sum(1).mean()) < 0.05


def test_sets_of_categories_need_a_distribution():
    with pytest.raises(ParameterError, match="prediction_sets needs an ImputationAutoencoder"):
        imputer().fit(with_gaps(matrix(60))).prediction_sets(matrix(60))


# ---------------------------------------------------------------- the report
def test_the_report_is_in_the_columns_and_units_of_the_user():
    table = holed_transactions("pandas", 400)
    report = masked().fit(table).fill_report_
    assert report.names == tuple(table.columns)
    np.testing.assert_allclose(report.share_missing, table.isna().mean())
    units = dict(zip(report.names, report.units, strict=True))
    assert (units["timestamp"], units["amount"], units["merchant"]) == ("days", "", "wrong")
    errors = dict(zip(report.names, report.expected_error, strict=True))
    assert 0 < errors["amount"] < 2 * table["amount"].std()
    assert 0 <= errors["merchant"] <= 1
    explained = dict(zip(report.names, report.explained, strict=True))
    assert explained["card_present"] > 0.8  # the channel says it
    leaned_on = dict(zip(report.names, report.leaned_on, strict=True))
    assert leaned_on["card_present"][0] == "channel"
    assert pd.DataFrame(report.to_dict()).shape == (len(report.names), 7)


def test_the_report_is_sorted_by_gaps_and_names_the_columns_without_any_last():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(300, 4)), columns=list("abcd"))
    for name, share in (("b", 0.1), ("d", 0.3)):
        table[name] = table[name].mask(rng.random(300) < share)
    report = masked().fit(table).fill_report_
    assert report.to_dict()["column"] == ["d", "b", "a", "c"]
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["d", "b"]
    assert lines[3] == "without gaps: a, c"


def test_the_error_is_also_given_as_a_share_of_the_spread():
    X = with_gaps(matrix(400, 6, noise=0.3))
    report = masked().fit(X).fill_report_
    shares = report.expected_error / np.nanstd(X, 0)
    np.testing.assert_allclose(report.relative_error, shares, rtol=1e-3)


def test_a_column_leans_on_what_predicts_it_and_not_on_a_rare_one():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_000)
    rare = np.where(rng.random(1_000) < 0.008, rng.choice(list("xyz"), 1_000), None)
    table = pd.DataFrame({"a": a, "b": a + 0.5 * rng.normal(size=1_000), "rare": rare})
    table["b"] = table["b"].mask(rng.random(1_000) < 0.2)
    report = masked(unfillable="leave").fit(table).fill_report_
    assert report.leaned_on[1] == ("a",)


def mostly_missing():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(400, 2)), columns=["a", "b"])
    table["note"] = np.where(rng.random(400) < 0.1, rng.choice(list("xyyy"), 400), None)
    table["rare"] = np.where(rng.random(400) < 0.05, rng.normal(size=400), np.nan)
    return table


def test_a_column_that_cannot_be_filled_is_warned_of():
    with pytest.warns(DataWarning, match=r"cannot be filled: .*'rare'"):
        fitted = masked().fit(mostly_missing())
    assert not fitted.transform(mostly_missing()).isna().any().any()


def test_a_column_that_cannot_be_filled_is_left(tmp_path):
    fitted = masked(unfillable="leave").fit(mostly_missing())
    assert fitted.unfilled_.tolist() == [2, 3]
    fitted.save(tmp_path / "model")
    for imputer in (fitted, load(tmp_path / "model")):
        filled = imputer.transform(mostly_missing())
        assert filled[["note", "rare"]].equals(mostly_missing()[["note", "rare"]])


def test_a_column_that_cannot_be_filled_gets_its_mean_or_mode():
    table = mostly_missing()
    imputer = masked(unfillable="marginal", support="free").fit(table)
    filled = imputer.transform(table)
    assert (filled["note"][table["note"].isna()] == "y").all()
    means = filled["rare"][table["rare"].isna()]
    np.testing.assert_allclose(means, table["rare"].mean(), rtol=1e-6)


def test_a_column_that_is_predicted_is_filled_however_much_is_missing():
    rng = np.random.default_rng(0)
    a = rng.normal(size=1_500)
    table = pd.DataFrame({"a": a, "b": np.where(rng.random(1_500) < 0.3, a, np.nan)})
    assert len(masked(unfillable="leave").fit(table).unfilled_) == 0


def test_any_autoencoder_is_judged_on_hidden_cells():
    X = with_gaps(matrix(300, 6))
    report = imputer().fit(X).fill_report_
    assert (report.expected_error < np.nanstd(X, 0)).all()
    assert report.leaned_on == ((),) * 6


def test_the_report_is_kept_in_the_model_file(tmp_path):
    fitted = masked(add_indicator=True).fit(holed_transactions())
    fitted.save(tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert str(loaded.fill_report_) == str(fitted.fill_report_)
    assert list(loaded.get_feature_names_out()) == list(fitted.get_feature_names_out())
