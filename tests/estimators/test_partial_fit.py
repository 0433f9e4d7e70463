"""Training chunk by chunk."""

import numpy as np
import pytest
import torch
from sklearn.base import clone

from latently import Autoencoder, DenseNetwork
from latently.exceptions import DataError, DataWarning, DivergenceError
from tests.contract.estimators import AUTOENCODERS
from tests.contract.samples import matrix, same, transactions

QUICK = {"random_state": 0, "engine": "cpu"}


def error(model, X):
    return model.reconstruction_error(X).mean()


# A large beta presses the code away at first, and with it what is rebuilt.
UNPRESSED = [model for model in AUTOENCODERS if getattr(model, "beta", 1) == 1]


@pytest.mark.parametrize("model", UNPRESSED, ids=str)
def test_passing_over_chunks_lowers_the_error(model):
    X = matrix(600)
    fitted = clone(model).partial_fit(X[:100])
    first = error(fitted, X)
    for _ in range(6):
        for chunk in np.split(X, 6):
            fitted.partial_fit(chunk)
    assert error(fitted, X) < 0.9 * first


def test_chunks_reach_what_a_whole_fit_reaches():
    X = matrix(600)
    whole = Autoencoder(2, max_epochs=20, **QUICK).fit(X)
    model = Autoencoder(2, **QUICK)
    for _ in range(20):
        for chunk in np.split(X, 3):
            model.partial_fit(chunk)
    assert error(model, X) < 2 * error(whole, X)


def test_the_momentum_of_the_optimiser_is_kept():
    X = matrix(100)
    model = Autoencoder(2, batch_size=50, **QUICK).partial_fit(X)
    steps = [float(state["step"]) for state in model._optimizer_state["state"].values()]
    assert set(steps) == {2.0}
    model.partial_fit(X)
    assert {float(state["step"]) for state in model._optimizer_state["state"].values()} == {4.0}


def test_forgetting_the_momentum_gives_another_model():
    X = matrix(100)
    kept, forgot = (Autoencoder(2, **QUICK).partial_fit(X) for _ in range(2))
    forgot._optimizer_state = None
    assert not same(kept.partial_fit(X).transform(X), forgot.partial_fit(X).transform(X))


def test_chunk_by_chunk_is_repeatable():
    X = matrix(200)
    one, other = (
        Autoencoder(2, **QUICK).partial_fit(X[:100]).partial_fit(X[100:]) for _ in range(2)
    )
    assert same(one.transform(X), other.transform(X))


def test_the_first_chunk_sets_columns_and_scale_for_good():
    X = matrix(200)
    model = Autoencoder(2, **QUICK).partial_fit(X)
    center = model.preprocessor_.center.copy()
    model.partial_fit(X + 100)
    assert same(model.preprocessor_.center, center)
    with pytest.raises(DataError, match="expecting 5"):
        model.partial_fit(matrix(n_columns=4))


def test_a_word_of_a_later_chunk_counts_as_unknown():
    table = transactions("pandas", complete=True)
    model = Autoencoder(2, **QUICK).partial_fit(table)
    model.partial_fit(table)
    with pytest.warns(DataWarning, match="'country'"):
        model.score_samples(table.assign(country="Atlantis"))


def test_a_fitted_model_can_be_trained_further():
    X = matrix(300)
    model = Autoencoder(2, max_epochs=3, **QUICK).fit(X)
    before = error(model, X)
    for _ in range(10):
        model.partial_fit(X)
    assert error(model, X) < before


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_chunk_may_be_as_small_as_one_row(n_rows):
    model = Autoencoder(2, **QUICK).partial_fit(matrix(50)).partial_fit(matrix(n_rows, seed=1))
    assert np.isfinite(model.score_samples(matrix(50))).all()


def test_rows_of_weight_zero_teach_nothing():
    X = matrix(100)
    weights = np.r_[np.ones(50), np.zeros(50)]
    strange = np.vstack([X[:50], 30 + X[50:]])
    one = Autoencoder(2, batch_size=100, **QUICK).partial_fit(X)
    other = Autoencoder(2, batch_size=100, **QUICK).partial_fit(X)
    one.partial_fit(np.vstack([X[:50], X[50:]]), sample_weight=weights)
    other.partial_fit(strange, sample_weight=weights)
    learnt = [model.module_.decoder[0].weight for model in (one, other)]
    torch.testing.assert_close(*learnt, rtol=1e-4, atol=1e-6)


def test_history_and_summary_are_those_of_the_last_chunk():
    model = Autoencoder(2, network=DenseNetwork((4,)), batch_size=10, **QUICK).partial_fit(
        matrix(40)
    )
    assert model.history_["step"].tolist() == [4]
    assert "trained for 4 steps" in model.summary()
    assert model.interrupted_ is False


@pytest.mark.parametrize("learning_rate", [1e20, 1e38, 1e308])
@pytest.mark.parametrize("n_rows", [12, 200])
def test_a_chunk_that_diverges_in_its_last_step_leaves_the_model_as_it_was(learning_rate, n_rows):
    model = Autoencoder(2, max_epochs=2, random_state=0).fit(matrix(200))
    before = model.transform(matrix(200))
    model.set_params(learning_rate=learning_rate)
    with pytest.raises(DivergenceError, match="learning_rate ten times smaller"):
        model.partial_fit(matrix(n_rows))
    np.testing.assert_array_equal(model.transform(matrix(200)), before)
