"""Coverage of confidence intervals, and advice of learning curves."""

import numpy as np
import pytest
from scipy.stats import t as student
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression

from latently import Autoencoder, NeighborAutoencoder, learning_curve, repeated_score
from latently.exceptions import DataError, ParameterError
from latently.tuning import LearningCurve
from tests.contract.samples import matrix

QUICK = Autoencoder(2, max_epochs=5, random_state=0)


def test_an_interval_is_that_of_nadeau_and_bengio():
    found = repeated_score(QUICK, matrix(100), n_splits=5, n_repeats=2, random_state=0)
    scores = np.array(found.scores)
    error = np.sqrt(scores.var(ddof=1) * (1 / 10 + 20 / 80))
    half = student.ppf(0.975, 9) * error
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))
    assert found.mean == pytest.approx(scores.mean())


def test_intervals_of_a_linear_model_cover_its_true_score():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=3)

    def rows(n):
        inputs = rng.normal(size=(n, 3))
        return inputs, inputs @ weights + rng.normal(size=n)

    fresh = rows(20_000)
    covered = []
    for seed in range(40):
        inputs, y = rows(100)
        found = repeated_score(LinearRegression(), inputs, y, random_state=seed)
        truth = LinearRegression().fit(inputs, y).score(*fresh)
        covered.append(found.low <= truth <= found.high)
    assert np.mean(covered) >= 0.85


def test_groups_are_in_one_fold():
    groups = np.repeat(np.arange(20), 5)
    found = repeated_score(QUICK, matrix(100), groups=groups, n_repeats=2, random_state=0)
    assert len(found.scores) == 10
    with pytest.raises(DataError, match="fewer splits"):
        repeated_score(QUICK, matrix(100), groups=groups, n_splits=30)


def test_any_scoring_of_sklearns_is_taken():
    found = repeated_score(PCA(2), matrix(100), scoring=lambda m, X, y=None: m.score(X))
    assert found.low < found.mean < found.high
    assert "95% interval" in str(found)


@pytest.mark.parametrize("change", [{"n_splits": 1}, {"n_repeats": 0}, {"confidence": 1.0}])
def test_what_makes_no_interval_is_refused(change):
    with pytest.raises(ParameterError):
        repeated_score(QUICK, matrix(100), **change)


def test_more_rows_rebuild_more():
    rng = np.random.default_rng(0)
    rows = np.tanh(rng.normal(size=(400, 3)) @ rng.normal(size=(3, 10)))
    model = Autoencoder(3, random_state=0, effort="fast")
    curve = learning_curve(model, rows, shares=(0.1, 1.0), n_repeats=2, random_state=0)
    test = np.median(curve.test, 1)
    assert curve.sizes == (32, 320) and curve.n_test == 80
    assert test[1] > test[0]
    assert "rows" in str(curve) and curve.to_dict()["conclusion"] == curve.conclusion


@pytest.mark.parametrize(
    ("train", "test", "words"),
    [
        ((0.9, 0.9), (0.5, 0.7), "overfits; more rows would help"),
        ((0.9, 0.9), (0.7, 0.7), "fewer components"),
        ((0.8, 0.8), (0.7, 0.78), "still rises"),
        ((0.8, 0.8), (0.78, 0.785), "flat"),
    ],
)
def test_a_curve_says_what_would_help(train, test, words):
    curve = LearningCurve(
        (100, 200), *(tuple((value,) for value in part) for part in (train, test, test)), 50
    )
    assert words in curve.conclusion


@pytest.mark.parametrize("change", [{"n_repeats": 0}, {"shares": ()}, {"test_fraction": 0}])
def test_what_makes_no_curve_is_refused(change):
    with pytest.raises(ParameterError):
        learning_curve(QUICK, matrix(100), **change)


def test_what_has_no_score_is_refused():
    with pytest.raises(ParameterError, match="must have a score method"):
        learning_curve(NeighborAutoencoder(), matrix(100))
    with pytest.raises(ParameterError, match="Give a scoring"):
        repeated_score(NeighborAutoencoder(), matrix(100))


def test_too_few_rows_make_no_point():
    with pytest.raises(DataError, match="at least 20 rows each"):
        learning_curve(QUICK, matrix(100), shares=(0.1,))
