"""Joint fits of several seeds or sizes equal separate fits."""

import numpy as np
import pytest
from sklearn.base import clone

from latently import (
    Autoencoder,
    ConvolutionalAutoencoder,
    DenseNetwork,
    NeighborAutoencoder,
    SparseAutoencoder,
    VariationalAutoencoder,
    fit_seeds,
    fit_sizes,
)
from latently.exceptions import DivergenceError, ParameterError
from latently.inspection import stability

RNG = np.random.default_rng(0)
X = np.tanh(RNG.normal(size=(400, 2)) @ RNG.normal(size=(2, 6))) + 0.05 * RNG.normal(size=(400, 6))
X[RNG.random(X.shape) < 0.02] = np.nan
LONG = {"max_epochs": 30, "random_state": 0, "engine": "cpu"}


def same_models(one, other, tolerance):
    assert one.history_.last_step == other.history_.last_step
    assert one.history_.best_step == other.history_.best_step
    np.testing.assert_allclose(one.transform(X), other.transform(X), atol=tolerance)
    assert one.baselines_.autoencoder == pytest.approx(other.baselines_.autoencoder, abs=tolerance)
    losses = [[r.train_loss for r in model.history_.records] for model in (one, other)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.parametrize("patience", [None, 3])
def test_each_model_is_the_one_of_its_seed(patience):
    model = Autoencoder(2, patience=patience, **LONG)
    several = fit_seeds(model, X, [3, 4])
    for seed, one in zip([3, 4], several, strict=True):
        assert one.history_.steps == "recorded, 2 models at once"
        same_models(clone(model).set_params(random_state=seed).fit(X), one, 1e-4)
    assert not hasattr(model, "module_")


@pytest.mark.parametrize(
    "model",
    [VariationalAutoencoder(2, **LONG), Autoencoder(2, corruption=lambda v, o: (v, o), **LONG)],
    ids=["variational", "corrupted"],
)
def test_kinds_that_draw_at_random_are_trained_at_once_too(model):
    one, other = fit_seeds(model, X, 2)
    assert one.history_.steps == "recorded, 2 models at once"
    assert 0.3 < one.score(X) != other.score(X) > 0.3


@pytest.mark.parametrize(
    ("model", "rows"),
    [
        (SparseAutoencoder(8, n_active=2, max_epochs=2, random_state=0), X),
        (ConvolutionalAutoencoder(2, max_epochs=1, random_state=0), RNG.random((30, 6, 6))),
        (Autoencoder(2, max_epochs=2, random_state=0), X[:60]),
    ],
    ids=["sparse", "images", "few steps"],
)
def test_where_models_cannot_be_batched_each_is_fitted(model, rows):
    for seed, one in enumerate(fit_seeds(model, rows, [0, 1])):
        alone = clone(model).set_params(random_state=seed).fit(rows)
        np.testing.assert_array_equal(one.transform(rows), alone.transform(rows))


def test_all_take_the_size_that_the_first_finds():
    sizes = {one.n_components_ for one in fit_seeds(Autoencoder(**LONG), X, 3)}
    assert len(sizes) == 1


def test_a_model_that_ends_early_leaves_the_group_and_the_others_go_on():
    model = Autoencoder(2, max_epochs=60, patience=2, random_state=0, engine="cpu")
    several = fit_seeds(model, X, 4)
    lasts = [one.history_.last_step for one in several]
    assert len(set(lasts)) > 1
    assert {one.history_.stopped for one in several} <= {"early stopping", "finished"}


def test_models_are_saved_and_loaded_as_any(tmp_path):
    import latently

    one = fit_seeds(Autoencoder(2, **LONG), X, 2)[1]
    one.save(tmp_path / "one.safetensors")
    again = latently.load(tmp_path / "one.safetensors")
    np.testing.assert_array_equal(again.transform(X), one.transform(X))


def test_stability_reads_them():
    assert stability(fit_seeds(Autoencoder(2, **LONG), X, 3), X).correlation[0] > 0.5


def test_a_loss_that_runs_away_is_said():
    model = Autoencoder(2, learning_rate=30.0, gradient_clip=None, **LONG)
    with pytest.raises(DivergenceError, match="diverged 4 times"):
        fit_seeds(model, X, 2)


@pytest.mark.parametrize("given", [0, []])
def test_no_seed_is_refused(given):
    with pytest.raises(ParameterError, match="random_states"):
        fit_seeds(Autoencoder(2), X, given)


def test_a_model_without_training_is_refused():
    with pytest.raises(ParameterError, match="got NeighborAutoencoder"):
        fit_seeds(NeighborAutoencoder(), X)


@pytest.mark.parametrize(
    "kind", [{}, {"corruption": lambda v, o: (v, o)}], ids=["plain", "corrupted"]
)
def test_each_size_is_the_model_of_that_size(kind):
    model = Autoencoder(network=DenseNetwork((16, 8), linear_path=True), **LONG, **kind)
    several = fit_sizes(model, X, [3, 1, 4])
    for size, one in zip([3, 1, 4], several, strict=True):
        assert one.history_.steps == "recorded, 3 models at once"
        assert one.n_components_ == size
        alone = clone(model).set_params(n_components=size).fit(X)
        same_models(alone, one, 1e-4)
        shapes = [[p.shape for p in each.module_.parameters()] for each in (alone, one)]
        assert shapes[0] == shapes[1]


def test_sizes_that_end_early_leave_the_others_as_they_are():
    model = Autoencoder(max_epochs=60, patience=2, random_state=0, engine="cpu")
    several = fit_sizes(model, X, [5, 2, 1, 3])
    assert len({one.history_.last_step for one in several}) > 1
    for size, one in zip([5, 2, 1, 3], several, strict=True):
        same_models(clone(model).set_params(n_components=size).fit(X), one, 1e-3)


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(network=DenseNetwork((8,), activation="sigmoid", activate_code=True), **LONG),
        VariationalAutoencoder(**LONG),
    ],
    ids=["zeros that are trained", "codes that are drawn"],
)
def test_codes_that_are_no_part_of_a_larger_one_are_fitted_alone(model):
    for size, one in zip([1, 3], fit_sizes(model, X, [1, 3]), strict=True):
        alone = clone(model).set_params(n_components=size).fit(X)
        assert one.history_.steps == alone.history_.steps
        np.testing.assert_array_equal(one.transform(X), alone.transform(X))


def test_no_size_is_refused():
    with pytest.raises(ParameterError, match="must name at least one size"):
        fit_sizes(Autoencoder(), X, [])
    with pytest.raises(ParameterError, match="n_components"):
        fit_sizes(Autoencoder(), X, [2, 0])
