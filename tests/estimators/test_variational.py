"""The evidence of a variational model equals closed forms."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import nn

from latently import CustomNetwork, VariationalAutoencoder
from latently.exceptions import ParameterError
from latently.nn import Cells
from latently.nn.variants import _variational

RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 4)) + 0.3 * RNG.normal(size=(300, 4))


def linear_network():
    """Return an encoder and a decoder with fixed initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CustomNetwork(nn.Linear(4, 4), nn.Linear(2, 4))


def linear_model(**params):
    """Return a probabilistic PCA, a linear Gaussian model."""
    network = linear_network()
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
    estimate = model.score_samples(X[:40], n_draws=5000)
    np.testing.assert_allclose(estimate, exact, atol=0.15)


def test_every_bound_lies_below_and_more_draws_tighten_it():
    model = linear_model(max_epochs=4)  # its posterior is still far off
    exact = exact_log_likelihood(model, X).mean()
    bounds = [model.score_samples(X, n_draws=n).mean() for n in (1, 10, 200)]
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.05


def test_a_larger_beta_leaves_less_in_the_code():
    def information(beta):
        model = linear_model(max_epochs=40, beta=beta)
        cells = model.preprocessor_.encode(X)[0]
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


def losses_of(model, n_draws, n_repeats=200):
    """Return the training loss of a batch with ``n`` draws, averaged over the noise."""
    values, _ = model.preprocessor_.encode(X[:20])
    cells = Cells(torch.from_numpy(values).float())
    module = model.module_
    module.n_importance = n_draws
    module.train()
    module.begin_step(1.0)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        found = [sum(module(cells, cells)) for _ in range(n_repeats)]
    module.eval()
    return torch.stack(found).mean(0).numpy()


def test_more_draws_in_training_lie_between_the_elbo_and_the_likelihood():
    model = linear_model(max_epochs=4)
    exact = -exact_log_likelihood(model, X[:20]).mean()
    losses = [losses_of(model, n).mean() for n in (1, 5, 50)]
    assert losses[0] > losses[1] > losses[2] > exact - 0.05


def test_draws_grow_from_one_to_all_in_the_second_half_of_the_training():
    module = linear_model(max_epochs=1, n_importance=49).module_
    counts = []
    for progress in (0.0, 0.5, 0.75, 1.0):
        module.begin_step(progress)
        counts.append(module._n_draws)
    assert counts == [1, 1, 7, 49]


def test_the_importance_weighted_fit_reaches_the_likelihood_of_the_data():
    plain, weighted = (linear_model(max_epochs=60, n_importance=n) for n in (1, 10))
    scores = [exact_log_likelihood(model, X).mean() for model in (plain, weighted)]
    assert scores[1] > scores[0] - 0.05


@pytest.mark.parametrize("n_samples", [1, 7, 64])
def test_draws_judged_at_once_are_those_judged_one_by_one(model, n_samples, monkeypatch):
    together = model.score_samples(X[:30], n_draws=n_samples)
    monkeypatch.setattr(_variational, "_ELEMENTS", 1)
    np.testing.assert_allclose(model.score_samples(X[:30], n_draws=n_samples), together)


def test_coins_are_learnt_with_the_chance_of_their_grey():
    grey = np.tile([[0.0, 0.2, 0.5, 0.9, 1.0]], (400, 1)).astype(np.float32)
    grey[::2] = grey[::2, ::-1]
    model = VariationalAutoencoder(2, binarize=True, max_epochs=30, random_state=0).fit(grey)
    rebuilt = model.reconstruct(grey)
    # A coin says less of its row than its grey does: the answer lies between grey and mean.
    assert np.abs(rebuilt.mean(0) - grey.mean(0)).max() < 0.05
    coins = (np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32)
    assert np.isfinite(model.score_samples(coins, n_draws=5)).all()


def test_numbers_are_no_coins():
    with pytest.raises(ParameterError, match="binarize=True needs pixels"):
        VariationalAutoencoder(2, binarize=True, max_epochs=1).fit(X)
