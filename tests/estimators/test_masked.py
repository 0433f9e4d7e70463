"""``ImputationAutoencoder`` recovers the truth, ignores noise, and reports unbiased errors."""

import numpy as np
import pytest

from latently import ImputationAutoencoder
from latently.estimators import filled_of, fitted_of
from latently.exceptions import DataError, ParameterError
from tests.contract.samples import matrix, stack

QUICK = {"n_networks": 2, "n_trees": 8, "batch_size": 128, "random_state": 0, "engine": "cpu"}


def holed(X, rate=0.25, seed=1):
    gaps = np.random.default_rng(seed).random(X.shape) < rate
    return np.where(gaps, np.nan, X), gaps


def fill(model, X):
    return model.preprocessor_.decode(fitted_of(model).infer(X, filled_of))


def relative_error(filled, X, gaps):
    """Return the squared error of fills, divided by the error of the column means."""
    scaled = (filled - X) / X.std(0)
    return float(np.square(scaled[gaps]).mean())


def bent(n_rows, seed=0):
    """Return columns with nonlinear relations only."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, n_rows))
    return np.column_stack([a, b, a**2, np.sign(a * b), np.abs(b)])


def test_a_linear_relation_is_recovered():
    given, gaps = holed(matrix(400, 6, noise=0.05))
    model = ImputationAutoencoder(**QUICK, max_epochs=10).fit(given)
    assert relative_error(fill(model, given), matrix(400, 6, noise=0.05), gaps) < 0.25


def test_a_bent_relation_is_recovered_where_the_normal_distribution_sees_nothing():
    X = bent(600)
    given, gaps = holed(X, 0.15)
    only = np.where(np.arange(5) >= 2, gaps, False)
    given = np.where(only, np.nan, X)
    model = ImputationAutoencoder(**QUICK, max_epochs=20).fit(given)
    assert relative_error(fill(model, given), X, only) < 0.25
    weights = model.module_.weights[2:]
    assert float(weights[:, 1:].sum()) > 3 * float(weights[:, 0].sum())


def test_pure_noise_is_filled_hardly_worse_than_by_the_mean():
    X = np.random.default_rng(0).normal(size=(500, 6))
    given, gaps = holed(X)
    model = ImputationAutoencoder(**QUICK, max_epochs=10).fit(given)
    assert relative_error(fill(model, given), X, gaps) < 1.03


def test_the_error_of_held_out_cells_is_that_of_hidden_ones():
    X = matrix(1_500, 6, noise=0.5)
    given, gaps = holed(X)
    model = ImputationAutoencoder(**QUICK, max_epochs=10).fit(given)
    found = np.sqrt(
        [np.square((fill(model, given) - X)[g, j]).mean() for j, g in enumerate(gaps.T)]
    )
    expected = model.module_.error.numpy() * np.nanstd(given, 0)
    np.testing.assert_allclose(found, expected, rtol=0.25)


def test_new_rows_are_filled_as_well_as_those_of_fit():
    X = matrix(900, 6, noise=0.3)
    given, gaps = holed(X)
    model = ImputationAutoencoder(**QUICK, max_epochs=10).fit(given[:600])
    seen = relative_error(fill(model, given[:600]), X[:600], gaps[:600])
    new = relative_error(fill(model, given[600:]), X[600:], gaps[600:])
    assert new < 1.15 * seen


def test_columns_lean_on_those_that_explain_them():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 400))
    X = np.column_stack([a, b, a + 0.01 * rng.normal(size=400), rng.normal(size=400)])
    reliance = ImputationAutoencoder(**QUICK, max_epochs=2).fit(X).module_.reliance.numpy()
    assert reliance[0].argmax() == 2 and reliance[2].argmax() == 0
    assert reliance[2, 0] > 0.8
    np.testing.assert_array_equal(reliance.diagonal(), 0.0)


def test_partial_fit_goes_on_and_keeps_the_columns():
    X = matrix(300)
    model = ImputationAutoencoder(**QUICK, max_epochs=2).partial_fit(holed(X)[0])
    before = model.module_.encoder.first.weight.clone()
    trees = model.module_.forest.right.clone()
    model.partial_fit(holed(matrix(200, seed=3))[0])
    assert not bool((model.module_.encoder.first.weight == before).all())
    assert bool((model.module_.forest.right == trees).all())


def test_few_rows_hold_out_nothing_and_are_filled_all_the_same():
    X = matrix(12)
    X[3, 2] = np.nan
    model = ImputationAutoencoder(**QUICK, max_epochs=1).fit(X)
    assert np.isnan(model.module_.error.numpy()).all()
    assert np.isfinite(fill(model, X)).all()
    assert "no cell was held out" in model.summary()


def test_wide_tables_are_described_by_factors_and_filled():
    X = matrix(200, 50, noise=0.3)
    given, gaps = holed(X, 0.2)
    model = ImputationAutoencoder(**QUICK, max_epochs=5).fit(given)
    assert relative_error(fill(model, given), X, gaps) < 0.35


def test_images_are_refused_and_the_way_out_is_named():
    with pytest.raises(DataError, match="Use DenoisingAutoencoder for images"):
        ImputationAutoencoder(**QUICK).fit(stack(10, 4, 4))


@pytest.mark.parametrize(
    "name, value", [("n_trees", 2), ("hidden_size", 0), ("validation_fraction", 0.7)]
)
def test_wrong_parameters_are_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=name):
        ImputationAutoencoder(**{**QUICK, name: value}).fit(matrix())
