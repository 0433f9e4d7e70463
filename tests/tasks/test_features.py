"""Codes as features: what they are, what they are called."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from latently import (
    Autoencoder,
    CustomNetwork,
    DenseNetwork,
    FeatureExtractor,
    VariationalAutoencoder,
)
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


@pytest.mark.parametrize("linear_path", [False, True])
def test_hidden_layers_stand_before_the_code(linear_path):
    X = matrix().astype(np.float32)
    network = DenseNetwork((7, 5), linear_path=linear_path)
    model = Autoencoder(2, network=network, **QUICK)
    fitted = FeatureExtractor(autoencoder=model, layers="all").fit(X)

    features = fitted.transform(X)

    assert features.shape == (60, 7 + 5 + 2)
    assert same(features[:, 12:].copy(), fitted.autoencoder_.transform(X))
    names = list(fitted.get_feature_names_out())
    assert names[0] == "hidden0" and names[11:] == ["hidden11", "autoencoder0", "autoencoder1"]
    encoder = fitted.autoencoder_.module_.encoder
    layers = encoder[1].paths[0] if linear_path else encoder[1:]
    centered = torch.tensor(fitted.autoencoder_.preprocessor_.encode(X)[0])
    first = layers[1](layers[0](centered - fitted.autoencoder_.module_.center))
    np.testing.assert_allclose(features[:, :7], first.detach(), atol=1e-5)


@pytest.mark.parametrize("bend", [torch.nn.GELU, torch.nn.SiLU])
def test_hidden_layers_of_a_network_of_the_users_are_found(bend):
    encoder = torch.nn.Sequential(torch.nn.Linear(5, 7), bend(), torch.nn.Linear(7, 2))
    network = CustomNetwork(encoder, torch.nn.Linear(2, 5))
    model = Autoencoder(2, network=network, **QUICK)
    fitted = FeatureExtractor(autoencoder=model, layers="all").fit(matrix())
    assert fitted.transform(matrix()).shape == (60, 7 + 2)


def test_an_activated_code_is_bent_like_the_layers_before_it():
    X = matrix()
    network = DenseNetwork((8,), activation="relu", activate_code=True)
    codes = Autoencoder(6, network=network, **QUICK).fit(X).transform(X)
    assert (codes >= 0).all() and (codes == 0).any() and (codes > 0).any()


def test_the_default_is_a_wide_code_that_tells_digits_by_few_labels():
    X, y = load_digits(return_X_y=True)
    features = FeatureExtractor(random_state=0).fit(X[:1000])
    codes, raw = features.transform(X), X / 16
    assert codes.shape[1] == 512

    def accuracy(given):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, max_iter=500))
        return model.fit(given[:100], y[:100]).score(given[1000:], y[1000:])

    assert accuracy(codes) > accuracy(raw)
