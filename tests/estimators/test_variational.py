"""The evidence of a variational model, against what is known in closed form."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import nn

from latently import CustomNetwork, VariationalAutoencoder

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 4)) + 0.3 * RNG.normal(size=(300, 4))


def linear_model(**params):
    """Return a probabilistic PCA: every part of it is linear and Gaussian."""
    network = CustomNetwork(nn.Linear(4, 4), nn.Linear(2, 4))
    return VariationalAutoencoder(2, network=network, random_state=0, **params).fit(X)


@pytest.fixture(scope="module")
def model():
    return linear_model(max_epochs=60)


def exact_log_likelihood(model, X):
    """Return log p(x) of a linear Gaussian model in the encoded space."""
    values, _ = model.preprocessor_.encode(X)
    decoder = model.module_.decoder
    loading = decoder.weight.detach().double().numpy()
    noise = np.diag(np.exp(2 * model.module_.likelihood.log_scale.detach().double().numpy()))
    mean = (decoder.bias + model.module_.likelihood.offset).detach().double().numpy()
    return multivariate_normal(mean, loading @ loading.T + noise).logpdf(values)


def test_importance_sampling_reaches_the_exact_likelihood(model):
    exact = exact_log_likelihood(model, X[:40])
    estimate = model.score_samples(X[:40], n_samples=5000)
    np.testing.assert_allclose(estimate, exact, atol=0.15)


def test_every_bound_lies_below_and_more_draws_tighten_it():
    model = linear_model(max_epochs=4)  # its posterior is still far off
    exact = exact_log_likelihood(model, X).mean()
    bounds = [model.score_samples(X, n_samples=n).mean() for n in (1, 10, 200)]
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.05


def test_a_larger_beta_leaves_less_in_the_code():
    def information(beta):
        model = linear_model(max_epochs=40, beta=beta)
        cells = model.preprocessor_.encode(X)[0]
        from latently.nn import Cells

        with torch.no_grad():
            return model.module_.encode(Cells(torch.from_numpy(cells).float())).penalty.mean()

    assert information(0.5) > information(5.0)


def test_free_bits_keep_a_component_alive_that_would_collapse():
    noise = np.random.default_rng(1).normal(size=(200, 3))
    params = {"max_epochs": 30, "random_state": 0, "beta": 4.0}
    collapsed = VariationalAutoencoder(2, **params).fit(noise).transform(noise).std(0)
    kept = VariationalAutoencoder(2, free_bits=0.5, **params).fit(noise).transform(noise).std(0)
    assert collapsed.max() < 0.2 < kept.min()


def test_samples_look_like_the_rows_that_were_learnt():
    model = VariationalAutoencoder(2, random_state=0, max_epochs=150).fit(X)
    drawn = model.sample(4000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), X.mean(0), atol=0.25)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(X.T), atol=0.6)


def test_the_same_seed_draws_the_same_rows(model):
    assert np.array_equal(model.sample(5, random_state=3), model.sample(5, random_state=3))
    assert not np.array_equal(model.sample(5, random_state=3), model.sample(5, random_state=4))
