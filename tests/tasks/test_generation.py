"""Generated rows have the distribution of those they imitate."""

import numpy as np
import pandas as pd
import pytest

from latently import Autoencoder, DenseNetwork, LatentSampler, VariationalAutoencoder
from latently.exceptions import ParameterError
from tests.contract.samples import matrix, same, stack, transactions

COVARIANCE = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.3], [0.0, 0.3, 1.0]])
MEAN = np.array([1.0, -2.0, 5.0])


@pytest.fixture(scope="module")
def gaussian_rows():
    return np.random.default_rng(0).multivariate_normal(MEAN, COVARIANCE, 2_000)


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(3, network=DenseNetwork(()), max_epochs=40, engine="cpu"),
        VariationalAutoencoder(3, network=DenseNetwork(()), max_epochs=150, engine="cpu"),
    ],
    ids=str,
)
def test_samples_have_mean_and_covariance_of_a_normal_source(model, gaussian_rows):
    sampler = LatentSampler(autoencoder=model, n_modes=1, random_state=0).fit(gaussian_rows)
    drawn = sampler.sample(20_000, random_state=0)
    np.testing.assert_allclose(drawn.mean(0), MEAN, atol=0.1)
    np.testing.assert_allclose(np.cov(drawn.T), COVARIANCE, atol=0.15)


def test_two_clusters_are_both_drawn_and_nothing_between():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(-5, 0.3, (200, 2)), rng.normal(5, 0.3, (600, 2))])
    model = Autoencoder(2, network=DenseNetwork(()), max_epochs=30, engine="cpu")
    drawn = LatentSampler(autoencoder=model, random_state=0).fit(X).sample(2_000, random_state=0)
    assert (np.abs(np.abs(drawn) - 5) < 2).mean() > 0.98
    assert (drawn[:, 0] < 0).mean() == pytest.approx(0.25, abs=0.05)


def test_categories_are_drawn_in_proportion():
    rng = np.random.default_rng(0)
    words = rng.choice(["rare", "some", "often"], 1_000, p=[0.1, 0.3, 0.6])
    number = np.select([words == "rare", words == "some"], [-3.0, 0.0], 3.0) + rng.normal(
        0, 0.2, 1_000
    )
    table = pd.DataFrame({"word": words, "number": number})
    model = Autoencoder(2, max_epochs=20, engine="cpu")
    drawn = (
        LatentSampler(autoencoder=model, random_state=0).fit(table).sample(4_000, random_state=0)
    )
    shares = drawn["word"].value_counts(normalize=True)
    for word, share in {"rare": 0.1, "some": 0.3, "often": 0.6}.items():
        assert shares[word] == pytest.approx(share, abs=0.06)


def test_typical_rows_are_denser_than_strange_ones():
    X = matrix(300)
    model = Autoencoder(2, network=DenseNetwork(()), max_epochs=20, engine="cpu")
    sampler = LatentSampler(autoencoder=model, random_state=0).fit(X)
    assert sampler.score_samples(X).mean() > sampler.score_samples(6 * X).mean() + 3


def test_the_density_of_the_codes_sums_to_one():
    X = np.random.default_rng(0).normal(size=(400, 3)) * [3.0, 0.1, 0.1]
    model = Autoencoder(1, network=DenseNetwork(()), max_epochs=10, engine="cpu")
    sampler = LatentSampler(autoencoder=model, n_modes=3, random_state=0).fit(X)
    grid = np.outer(np.linspace(-40, 40, 8_001), [1.0, 0.0, 0.0])
    codes = sampler.autoencoder_.transform(grid)[:, 0]
    total = np.trapezoid(np.exp(sampler.score_samples(grid)), codes)
    assert abs(total) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(
    ("n_rows", "n_modes", "expected"), [(60, 10, 3), (30, 10, 1), (400, 4, 4), (4, 10, 1)]
)
def test_every_mode_has_twenty_rows_to_explain(n_rows, n_modes, expected):
    model = Autoencoder(2, max_epochs=1, engine="cpu")
    sampler = LatentSampler(autoencoder=model, n_modes=n_modes, random_state=0).fit(matrix(n_rows))
    assert sampler.weights_.shape == (expected,)
    assert sampler.means_.shape == (expected, 2)
    assert sampler.factors_.shape == (expected, 2, 2)
    assert sampler.weights_.sum() == pytest.approx(1.0)


@pytest.mark.parametrize(
    "rows", [stack(30, 4, 4, dtype="uint8"), transactions("polars")], ids=["images", "table"]
)
def test_samples_are_of_the_kind_that_was_learnt(rows):
    sampler = LatentSampler(
        autoencoder=Autoencoder(2, max_epochs=1, engine="cpu"), random_state=0
    ).fit(rows)
    drawn = sampler.sample(7, random_state=0)
    assert type(drawn) is type(rows)
    assert len(drawn) == 7
    assert same(drawn, sampler.sample(7, random_state=0))


@pytest.mark.parametrize("wrong", [0, -1, 2.5, "ten"])
def test_a_wrong_number_of_modes_is_refused(wrong):
    with pytest.raises(ParameterError, match="n_modes"):
        LatentSampler(n_modes=wrong).fit(matrix())
