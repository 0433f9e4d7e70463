"""Codes as features: what they are, what they are called."""

import numpy as np
import pytest

from latently import Autoencoder, FeatureExtractor, VariationalAutoencoder
from latently.exceptions import DataError, ParameterError
from tests.contract.samples import matrix, same, stack, transactions

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}


@pytest.mark.parametrize(
    "rows", [matrix(), stack(30, 4, 4), transactions("pandas")], ids=["numbers", "images", "table"]
)
def test_the_features_are_the_codes_of_the_autoencoder(rows):
    fitted = FeatureExtractor(autoencoder=Autoencoder(3, **QUICK)).fit(rows)
    assert same(fitted.transform(rows), fitted.autoencoder_.transform(rows))
    assert list(fitted.get_feature_names_out()) == ["autoencoder0", "autoencoder1", "autoencoder2"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_error_of_the_row_is_the_last_column_when_asked_for(dtype):
    X = matrix().astype(dtype)
    fitted = FeatureExtractor(autoencoder=Autoencoder(2, **QUICK), include_error=True).fit(X)
    features = fitted.transform(X)
    assert features.dtype == X.dtype
    assert same(features[:, :2].copy(), fitted.autoencoder_.transform(X))
    assert same(features[:, 2].copy(), fitted.autoencoder_.reconstruction_error(X))
    assert list(fitted.get_feature_names_out()) == [
        "autoencoder0",
        "autoencoder1",
        "reconstruction_error",
    ]


def test_labels_are_not_looked_at():
    X, y = matrix(), np.arange(60)
    model = FeatureExtractor(autoencoder=VariationalAutoencoder(2, **QUICK))
    assert same(model.fit(X, y).transform(X), model.fit(X).transform(X))


def test_names_are_held_against_those_of_fit():
    fitted = FeatureExtractor(autoencoder=Autoencoder(2, **QUICK)).fit(transactions("pandas"))
    with pytest.raises((DataError, ValueError), match="order"):
        fitted.transform(transactions("pandas").iloc[:, ::-1])


def test_a_wrong_wish_for_the_error_is_refused():
    with pytest.raises(ParameterError, match="include_error"):
        FeatureExtractor(include_error="yes").fit(matrix())
