"""Gaps are filled from the other columns; what was seen stays as it was."""

import numpy as np
import pandas as pd
import pytest

from latently import Autoencoder, AutoencoderImputer, DenoisingAutoencoder, DenseNetwork
from latently.exceptions import DataWarning, ParameterError
from tests.contract.samples import matrix


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
    with pytest.warns(DataWarning, match=r"hold no value at all \(2\)"):
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
