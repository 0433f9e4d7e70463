"""Generated rows have the distribution of those they imitate."""

import numpy as np
import pandas as pd
import pytest

from latently import (
    Autoencoder,
    DenseNetwork,
    LatentSampler,
    NeighborAutoencoder,
    VariationalAutoencoder,
    load,
)
from latently.exceptions import DataError, ParameterError
from latently.tasks.generation._density import fit_density
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


def test_a_kernel_density_of_the_codes_sums_to_one():
    X = np.random.default_rng(0).normal(size=(300, 3)) * [3.0, 0.1, 0.1]
    model = Autoencoder(1, network=DenseNetwork(()), max_epochs=10, engine="cpu")
    sampler = LatentSampler(autoencoder=model, density="kernel", random_state=0).fit(X)
    grid = np.outer(np.linspace(-40, 40, 8_001), [1.0, 0.0, 0.0])
    codes = sampler.autoencoder_.transform(grid)[:, 0]
    total = np.trapezoid(np.exp(sampler.score_samples(grid)), codes)
    assert abs(total) == pytest.approx(1.0, abs=0.01)


def test_a_kernel_follows_a_ring_that_one_normal_cannot():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 800)
    ring = np.column_stack([np.cos(angle), np.sin(angle)])
    held_out = np.column_stack([np.cos(angle + 0.01), np.sin(angle + 0.01)])
    kernel = fit_density(ring, "kernel", 1, 0)
    normal = fit_density(ring, "mixture", 1, 0)
    drawn = kernel.draw(2_000, np.random.default_rng(1))
    assert np.abs(np.linalg.norm(drawn, axis=1) - 1).mean() < 0.1
    assert kernel.log_density(held_out).mean() > normal.log_density(held_out).mean() + 0.5


def test_the_bandwidth_nears_that_which_is_best_for_a_normal():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1_500, 2))
    kernel = fit_density(rows, "kernel", 1, 0)
    scott = 1_500 ** (-1 / 6)
    assert 0.6 * scott < kernel.factors[0, 0, 0] / rows[:, 0].std() < 1.5 * scott


@pytest.mark.parametrize("density", ["mixture", "kernel"])
def test_rows_of_a_wanted_class_are_drawn(density, tmp_path):
    rng = np.random.default_rng(0)
    y = rng.choice(["a", "b", "c"], 300, p=[0.5, 0.3, 0.2])
    X = np.select([y == "a", y == "b"], [-5.0, 0.0], 5.0)[:, None] + rng.normal(0, 0.3, (300, 3))
    model = Autoencoder(2, network=DenseNetwork(()), max_epochs=40, engine="cpu")
    sampler = LatentSampler(
        autoencoder=model, density=density, conditional=True, random_state=0
    ).fit(X, y)

    assert sampler.sample(200, y="b", random_state=0).mean() == pytest.approx(0.0, abs=0.5)
    each = sampler.sample(3, y=["c", "a", "b"], random_state=0).mean(1)
    assert each[0] > 3 > each[2] > -3 > each[1]
    free = sampler.sample(2_000, random_state=0).mean(1)
    assert (free < -2.5).mean() == pytest.approx((y == "a").mean(), abs=0.05)

    sampler.save(tmp_path / "sampler.safetensors")
    again = load(tmp_path / "sampler.safetensors")
    assert same(again.sample(5, y="a", random_state=1), sampler.sample(5, y="a", random_state=1))
    with pytest.raises(ParameterError, match="classes that fit did not see: d"):
        sampler.sample(2, y="d")


def test_what_a_sampler_cannot_do_is_said():
    X = matrix(80)
    model = Autoencoder(2, max_epochs=1, engine="cpu")
    with pytest.raises(DataError, match="needs the class of each row"):
        LatentSampler(autoencoder=model, conditional=True).fit(X)
    with pytest.raises(DataError, match="one class a row, got 3 for 80"):
        LatentSampler(autoencoder=model, conditional=True).fit(X, [1, 2, 3])
    with pytest.raises(ParameterError, match="fitted with conditional=True"):
        LatentSampler(autoencoder=model).fit(X).sample(2, y=1)
    with pytest.raises(DataError, match="NeighborAutoencoder cannot decode codes that are drawn"):
        LatentSampler(autoencoder=NeighborAutoencoder()).fit(X)


@pytest.mark.parametrize("rows", [matrix(80), stack(30, 5, 5)], ids=["numbers", "images"])
def test_a_walk_goes_from_one_reconstruction_to_the_other(rows):
    model = VariationalAutoencoder(2, max_epochs=2, random_state=0, engine="cpu").fit(rows)

    walk = model.interpolate(rows[:1], rows[7:8], 5)

    assert walk.shape == (5, *rows.shape[1:])
    np.testing.assert_allclose(walk[[0, 4]], model.reconstruct(rows[[0, 7]]), atol=1e-9)
    middle = model.transform(rows[[0, 7]]).mean(0, keepdims=True)
    np.testing.assert_allclose(walk[2:3], model.inverse_transform(middle), atol=1e-9)


def test_a_walk_through_a_mixed_table_has_its_columns():
    table = transactions("pandas")
    model = VariationalAutoencoder(2, max_epochs=2, random_state=0, engine="cpu").fit(table)
    walk = model.interpolate(table.iloc[:1], table.iloc[7:8], 5)
    assert list(walk.columns) == list(table.columns) and len(walk) == 5


def test_a_walk_needs_two_rows_and_two_steps():
    X = matrix(80)
    model = Autoencoder(2, max_epochs=1, engine="cpu").fit(X)
    with pytest.raises(DataError, match="must be one row each, got 3 and 1"):
        model.interpolate(X[:3], X[:1])
    with pytest.raises(ParameterError, match="n_steps"):
        model.interpolate(X[:1], X[1:2], 1)


@pytest.mark.parametrize("binary", [False, True])
def test_grey_is_drawn_grey_and_coins_as_coins(binary):
    rng = np.random.default_rng(0)
    X = rng.random((200, 1)) * rng.random((200, 6))
    X.flat[:2] = 0, 1
    if binary:
        X = (X > 0.3).astype(float)
    model = VariationalAutoencoder(2, likelihood="bernoulli", max_epochs=2, engine="cpu").fit(X)
    drawn = model.sample(50, random_state=0)
    assert np.isin(drawn, (0, 1)).all() == binary
    assert drawn.min() >= 0 and drawn.max() <= 1


@pytest.mark.parametrize("density", ["mixture", "kernel"])
def test_a_class_of_one_row_is_drawn_around_that_row(density):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)) + 5 * (np.arange(60) == 59)[:, None]
    y = np.array(["many"] * 59 + ["one"])
    sampler = LatentSampler(
        autoencoder=Autoencoder(2, max_epochs=20), density=density, conditional=True, random_state=0
    ).fit(X, y)
    codes = sampler.autoencoder_.transform(sampler.sample(200, y="one", random_state=0))
    own = sampler.autoencoder_.transform(X[-1:])[0]
    assert np.isfinite(sampler.score_samples(X)).all()
    assert np.abs(codes.mean(0) - own).max() < np.abs(own).max()
    assert np.ptp(codes, axis=0).min() > 0


def test_labels_of_several_types_are_refused():
    y = [1] * 59 + ["a"]
    sampler = LatentSampler(autoencoder=Autoencoder(2, max_epochs=1), conditional=True)
    with pytest.raises(DataError, match="y must hold labels of one type"):
        sampler.fit(np.random.default_rng(0).normal(size=(60, 4)), np.array(y, dtype=object))


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ([None, "u", "v"] * 20, "must have a class for each row, got none in 20 rows"),
        ([np.nan, 1.0, 2.0] * 20, "got none in 20 rows, the first of them row 0"),
    ],
)
def test_rows_without_a_class_are_refused(classes, words):
    X = np.random.default_rng(0).normal(size=(60, 2))
    model = Autoencoder(1, max_epochs=1, random_state=0)
    with pytest.raises(DataError, match=words):
        LatentSampler(autoencoder=model, conditional=True, random_state=0).fit(X, classes)
