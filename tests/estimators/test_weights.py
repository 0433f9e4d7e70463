"""The effect of sample weights on a fit."""

import numpy as np
import pytest
from sklearn.base import clone

from latently import Autoencoder, DenseNetwork
from tests.contract.estimators import AUTOENCODERS
from tests.contract.samples import matrix, same

QUICK = {"random_state": 0, "engine": "cpu"}


def two_groups(n_rows=200):
    """Return rows along one direction, then rows along another."""
    rng = np.random.default_rng(0)
    ways = np.array([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    along = rng.normal(size=(n_rows, 1))
    return along * np.repeat(ways, n_rows // 2, axis=0) + 0.01 * rng.normal(size=(n_rows, 4))


@pytest.mark.parametrize("heavy", [0, 1])
def test_the_group_of_larger_weight_is_rebuilt_better(heavy):
    X = two_groups()
    groups = np.repeat([0, 1], 100)
    weights = np.where(groups == heavy, 7.5, 0.1)
    model = Autoencoder(1, network=DenseNetwork(()), max_epochs=40, **QUICK)
    errors = model.fit(X, sample_weight=weights).reconstruction_error(X)
    assert errors[groups == heavy].mean() < 0.3 * errors[groups != heavy].mean()


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
@pytest.mark.parametrize(
    "weights",
    [np.r_[np.ones(40), np.zeros(20)], np.r_[np.full(40, 1.5), np.zeros(20)]],
    ids=["whole", "real"],
)
def test_rows_of_weight_zero_are_as_good_as_absent(model, weights):
    X = matrix()
    strange = np.vstack([X[:40], 1e6 * X[40:]])
    with_zeros = clone(model).fit(strange, sample_weight=weights)
    without = clone(model).fit(X[:40], sample_weight=weights[:40])
    assert same(with_zeros.transform(X), without.transform(X))


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
@pytest.mark.parametrize("weight", [1, 1.0, True])
def test_weights_of_one_are_no_weights(model, weight):
    X = matrix()
    weighted = clone(model).fit(X, sample_weight=np.full(60, weight))
    assert same(weighted.transform(X), clone(model).fit(X).transform(X))


def test_only_the_proportion_of_weights_counts():
    X, weights = matrix(), np.random.default_rng(0).random(60) + 0.1
    model = Autoencoder(2, max_epochs=2, **QUICK)
    one = clone(model).fit(X, sample_weight=weights)
    other = clone(model).fit(X, sample_weight=8 * weights)
    np.testing.assert_allclose(one.transform(X), other.transform(X), rtol=1e-4, atol=1e-5)


def test_real_weights_near_whole_ones_give_nearly_the_same_fit():
    X = matrix(300)
    weights = np.random.default_rng(0).integers(1, 4, 300).astype(float)
    model = Autoencoder(2, network=DenseNetwork(()), max_epochs=40, **QUICK)
    whole = clone(model).fit(X, sample_weight=weights)
    real = clone(model).fit(X, sample_weight=weights + 1e-3)
    assert real.reconstruction_error(X).mean() == pytest.approx(
        whole.reconstruction_error(X).mean(), rel=0.2
    )


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1e12])
def test_very_small_and_very_large_weights_do_no_harm(scale):
    X = matrix()
    weights = scale * (0.5 + np.random.default_rng(0).random(60))
    model = Autoencoder(2, max_epochs=1, **QUICK).fit(X, sample_weight=weights)
    assert np.isfinite(model.score_samples(X)).all()


def test_a_single_number_weighs_all_rows_alike():
    X = matrix()
    model = Autoencoder(2, max_epochs=1, **QUICK)
    assert same(
        clone(model).fit(X, sample_weight=2.5).transform(X),
        clone(model).fit(X, sample_weight=np.full(60, 2.5)).transform(X),
    )


def test_large_whole_weights_do_not_blow_up_the_table():
    X = matrix()
    model = Autoencoder(2, max_epochs=1, batch_size=16, **QUICK)
    model.fit(X, sample_weight=np.r_[10**9, np.ones(59)])
    assert model.history_.last_step <= 4
