"""Anomalies rank first, alarms come at the rate asked for, and thresholds move without training."""

import copy
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.covariance import ledoit_wolf
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

import latently
from latently import (
    AlertBudget,
    AnomalyDetector,
    Autoencoder,
    Contamination,
    ConvolutionalAutoencoder,
    CostRatio,
    DenseNetwork,
    FalseAlarmRate,
    MaxFScore,
    NeighborAutoencoder,
    VariationalAutoencoder,
)
from latently.datasets import make_transactions
from latently.exceptions import DataError, DriftWarning, NotFittedError, ParameterError
from tests.contract.samples import TWINS, matrix

QUICK = {"max_epochs": 2, "engine": "cpu"}


def network(**options):
    return Autoencoder(2, **{**QUICK, **options})


def detector(contamination="auto", **options):
    return AnomalyDetector(
        autoencoder=network(**options), contamination=contamination, random_state=0
    )


@pytest.mark.parametrize("contamination", [0.01, 0.05, 0.1, 0.25, 0.5])
def test_the_share_asked_for_is_flagged(contamination):
    X = matrix(400)
    flags = detector(contamination).fit(X).predict(X)
    assert set(flags) <= {-1, 1}
    assert abs((flags == -1).sum() - contamination * 400) <= 1


def test_one_normal_row_in_a_hundred_raises_an_alarm_when_nothing_is_asked():
    fitted = AnomalyDetector(random_state=0).fit(matrix(1000))
    assert fitted.rule_.rate == 0.01
    assert (fitted.calibration_.p_values(fitted.calibration_.scores) <= 0.01).sum() == 9
    few = AnomalyDetector(random_state=0).fit(matrix(40))
    assert few.rule_.rate == few.calibration_.smallest_rate == 1 / 41


@pytest.mark.parametrize("contamination", ["auto", 0.1])
def test_flags_follow_the_sign_of_the_decision(contamination):
    X = matrix(300)
    fitted = detector(contamination).fit(X)
    decision = fitted.decision_function(X)
    np.testing.assert_array_equal(decision, fitted.score_samples(X) - fitted.offset_)
    np.testing.assert_array_equal(fitted.predict(X), np.where(decision < 0, -1, 1))
    np.testing.assert_array_equal(detector(contamination).fit_predict(X), fitted.predict(X))


def test_planted_outliers_rank_first():
    X = matrix(300, 6)
    rng = np.random.default_rng(1)
    planted = rng.normal(scale=X.std(0), size=(6, 6)) * 3
    fitted = detector(0.02, network=DenseNetwork(()), max_epochs=60).fit(np.vstack([X, planted]))
    worst = fitted.score_samples(np.vstack([X, planted])).argsort()[:6]
    assert len(set(worst) & set(range(300, 306))) >= 5


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize(("robust", "least"), [(False, 0.9), (True, 0.75)])
def test_frauds_in_a_mixed_table_score_worse_than_honest_rows(library, robust, least):
    drawn = make_transactions(600, fraud_fraction=0.05, as_frame=library, random_state=0)
    scores = (
        -AnomalyDetector(robust=robust, random_state=0).fit(drawn.data).score_samples(drawn.data)
    )
    assert roc_auc_score(drawn.is_fraud, scores) > least


@pytest.mark.filterwarnings(TWINS)
def test_equal_rows_are_not_flagged():
    X = np.repeat(matrix(4), 20, axis=0)
    flags = detector(0.1).fit(X).predict(np.repeat(X[:1], 5, axis=0))
    assert len(set(flags)) == 1


@pytest.mark.parametrize("contamination", [0, 0.6, 1, -0.1, "some", None, float("nan")])
def test_a_share_that_is_none_is_refused(contamination):
    with pytest.raises(ParameterError, match="contamination"):
        detector(contamination).fit(matrix())


# ------------------------------------------------------------------ alarms
def skewed(n, rng, mixing):
    return np.exp(0.5 * rng.standard_t(4, size=(n, 5)) @ mixing)


@pytest.mark.parametrize("n", [60, 300])
@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_normal_rows_raise_alarms_at_the_rate_asked_for_or_below(n, rate):
    shares = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(5, 5)) / 2
        model = AnomalyDetector(random_state=0, threshold=FalseAlarmRate(rate))
        model.fit(skewed(n, rng, mixing))
        shares.append((model.decision_function(skewed(500, rng, mixing)) < 0).mean())
    assert np.mean(shares) <= rate + 2 * np.std(shares) / 30**0.5
    assert np.mean(shares) > 0.4 * rate


def test_a_network_is_calibrated_on_rows_that_it_did_not_see():
    rng = np.random.default_rng(0)
    # As many weights as it takes to learn 100 rows by heart.
    model = Autoencoder(8, max_epochs=300, random_state=0)
    fitted = AnomalyDetector(autoencoder=model, random_state=0, threshold=FalseAlarmRate(0.1)).fit(
        rng.normal(size=(120, 10))
    )
    assert len(fitted.calibration_.scores) == 24
    assert (fitted.decision_function(rng.normal(size=(1000, 10))) < 0).mean() < 0.2


@pytest.mark.parametrize(("n", "n_calibration"), [(400, 400), (1_000, 1_000), (3_000, 600)])
def test_a_memory_spares_rows_where_it_has_plenty(n, n_calibration):
    fitted = AnomalyDetector(random_state=0).fit(matrix(n))
    assert len(fitted.calibration_.scores) == n_calibration
    assert fitted.autoencoder_.n_components_ == min(n, 2_000)


def test_a_fitted_autoencoder_is_calibrated_on_all_rows_given():
    inner = network(random_state=0).fit(matrix(200))
    fitted = AnomalyDetector(autoencoder=inner).fit(matrix(150, seed=1))
    assert fitted.autoencoder_ is inner
    assert len(fitted.calibration_.scores) == 150


def test_the_share_of_false_discoveries_is_kept():
    shares, power = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mixing = rng.normal(size=(5, 5)) / 2
        model = AnomalyDetector(random_state=0).fit(skewed(400, rng, mixing))
        batch = np.vstack([skewed(180, rng, mixing), rng.uniform(50, 90, size=(20, 5))])
        found = model.discover(batch, false_discovery_rate=0.2) == -1
        shares.append(found[:180].sum() / max(found.sum(), 1))
        power.append(found[180:].mean())
    assert np.mean(shares) <= 0.2 + 2 * np.std(shares) / 20**0.5
    assert np.mean(power) > 0.9


def test_a_threshold_moves_and_nothing_is_trained_again():
    X = matrix(300)
    fitted = AnomalyDetector(random_state=0).fit(X)
    autoencoder, scores = fitted.autoencoder_, fitted.score_samples(X)
    labels = scores < np.sort(scores)[12]
    assert (fitted.set_threshold(AlertBudget(7), X).predict(X) == -1).sum() == 7
    assert (fitted.set_threshold(Contamination(0.1), X).predict(X) == -1).sum() == 30
    assert (fitted.set_threshold(MaxFScore(), X, labels).predict(X) == -1).sum() == 12
    assert (fitted.set_threshold(CostRatio(), X, labels).predict(X) == -1).sum() == 12
    assert fitted.set_threshold(FalseAlarmRate(0.05)).rule_.rate == 0.05
    assert fitted.autoencoder_ is autoencoder
    np.testing.assert_array_equal(fitted.score_samples(X), scores)


def test_labels_choose_the_threshold_in_fit():
    X = np.vstack([matrix(200), 9 + matrix(6)])
    y = np.r_[np.zeros(200, int), np.ones(6, int)]
    model = AnomalyDetector(autoencoder=network(), threshold=MaxFScore(), random_state=0)
    np.testing.assert_array_equal(model.fit(X, y).predict(X) == -1, y == 1)


def test_drift_is_warned_of():
    X = matrix(400)
    fitted = AnomalyDetector(random_state=0).fit(X)
    assert not fitted.drift(X).drifted
    with pytest.warns(DriftWarning, match=r"200 rows lie higher .*Look at the rows"):
        fitted.predict(matrix(200, seed=3) * 2)


def test_a_slow_drift_is_followed():
    X, moved = matrix(500), matrix(500, seed=1) + 2 * matrix(500).std(0)
    fitted = AnomalyDetector(random_state=0).fit(X)
    before = (fitted.decision_function(moved) < 0).mean()
    for start in range(0, 2_000, 50):
        chunk = X[:50] + (moved[:50] - X[:50]) * start / 2_000
        fitted.partial_fit(np.roll(chunk, start, axis=0) + 0.1 * matrix(50, seed=start))
    assert (fitted.decision_function(moved) < 0).mean() < 0.6 * before
    assert len(fitted.calibration_.scores) >= 100


def test_following_leaves_the_users_autoencoder_alone():
    inner = NeighborAutoencoder(random_state=0).fit(matrix(200))
    scores = inner.score_samples(matrix(50))
    AnomalyDetector(autoencoder=inner).fit(matrix(200)).partial_fit(matrix(50, seed=2))
    np.testing.assert_array_equal(inner.score_samples(matrix(50)), scores)


# ------------------------------------------------------------------ scores
def test_energy_is_the_mahalanobis_length_of_the_residual_and_its_cells_add_up():
    X = matrix(400)
    inner = network(random_state=0).fit(X)
    fitted = AnomalyDetector(autoencoder=inner, scoring="energy").fit(X)
    residuals = (
        inner.preprocessor_.encode(X)[0] - inner.preprocessor_.encode(inner.reconstruct(X))[0]
    )
    precision = np.linalg.inv(ledoit_wolf(residuals, assume_centered=True)[0])
    energy = np.einsum("ni,ij,nj->n", residuals, precision, residuals) / X.shape[1]
    scores = -fitted.score_samples(X)
    np.testing.assert_allclose(scores, energy, rtol=1e-3)
    np.testing.assert_allclose(fitted.cell_scores(X).mean(1), scores, rtol=1e-9)


def test_each_scoring_is_what_its_name_says():
    X = matrix(100)
    model = VariationalAutoencoder(2, random_state=0, **QUICK).fit(X)

    def scores(scoring):
        return AnomalyDetector(autoencoder=model, scoring=scoring).fit(X).score_samples(X)

    np.testing.assert_array_equal(scores("elbo"), model.score_samples(X))
    np.testing.assert_array_equal(scores("reconstruction"), -model.reconstruction_error(X))
    np.testing.assert_array_equal(scores("auto"), scores("energy"))


@pytest.mark.parametrize(
    ("model", "share"), [(AnomalyDetector(random_state=0), 0.95), (detector(max_epochs=20), 0.8)]
)
def test_the_cell_that_was_spoilt_is_blamed(model, share):
    X = matrix(500, 6)
    fitted = clone(model).fit(X)
    spoilt, columns = X[:60].copy(), np.arange(60) % 6
    spoilt[np.arange(60), columns] += 8 * X.std(0)[columns]
    assert (fitted.cell_scores(spoilt).argmax(1) == columns).mean() > share


def test_blame_is_in_the_users_order_of_columns_and_missing_cells_have_none():
    drawn = make_transactions(400, random_state=0, as_frame="pandas").data
    cells = AnomalyDetector(random_state=0).fit(drawn).cell_scores(drawn)
    assert cells.shape == drawn.shape
    np.testing.assert_array_equal(cells[drawn.isna().to_numpy()], 0.0)


@pytest.mark.parametrize("digit", [0, 3, 8])
def test_another_digit_is_an_anomaly_and_the_map_has_the_images_shape(digit):
    images, labels = load_digits(return_X_y=False).images, load_digits().target
    own = np.flatnonzero(labels == digit)
    fitted = AnomalyDetector(random_state=0).fit(images[own[::2]])
    others = np.concatenate([own[1::2], np.flatnonzero(labels != digit)])
    scores = -fitted.score_samples(images[others])
    assert roc_auc_score(labels[others] != digit, scores) > 0.96
    assert fitted.cell_scores(images[:5]).shape == (5, 8, 8)


def test_a_convolutional_detector_maps_the_error():
    images = load_digits().images[:200]
    inner = ConvolutionalAutoencoder(4, random_state=0, **QUICK)
    fitted = AnomalyDetector(autoencoder=inner, random_state=0).fit(images)
    spoilt = images[:20].copy()
    spoilt[:, 0, 0] = 16.0  # a corner that is always black
    cells = fitted.cell_scores(spoilt)
    assert cells.shape == (20, 8, 8)
    assert (cells.reshape(20, -1).argmax(1) == 0).mean() > 0.8


# ------------------------------------------------------------------ refusals
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"threshold": FalseAlarmRate(), "contamination": 0.1}, "both say what to flag"),
        ({"robust": True, "autoencoder": network()}, "robust=True chooses"),
        ({"scoring": "elbo"}, "needs a VariationalAutoencoder"),
        ({"scoring": "surprise", "autoencoder": network()}, "needs a NeighborAutoencoder"),
        ({"scoring": "distance"}, "scoring"),
        ({"threshold": 0.1}, "threshold"),
        ({"threshold": FalseAlarmRate(2)}, "rate"),
    ],
    ids=str,
)
def test_parameters_that_do_not_go_together_are_refused(options, words):
    with pytest.raises(ParameterError, match=words):
        AnomalyDetector(**options).fit(matrix(60))


def test_too_few_rows_for_the_rate_are_refused_with_the_smallest_rate():
    with pytest.raises(DataError, match=r"at least 999 calibration rows, got 60.*0\.0164"):
        AnomalyDetector(threshold=FalseAlarmRate(0.001)).fit(matrix(60))


def test_a_detector_whose_fit_was_refused_is_not_fitted():
    fitted = AnomalyDetector(random_state=0).fit(matrix(60))
    with pytest.raises(DataError):
        fitted.set_params(threshold=FalseAlarmRate(0.001)).fit(matrix(80))
    with pytest.raises(NotFittedError):
        fitted.predict(matrix(60))


def test_rare_categories_among_rows_kept_back_are_no_news():
    letters = [*"ab" * 1_500, *(f"rare {i}" for i in range(40))]
    table = pa.table({"letter": letters, "size": np.arange(3_040.0)})
    fitted = AnomalyDetector(random_state=0).fit(table)  # warnings are errors here
    assert len(fitted.calibration_.scores) == 608


@pytest.mark.parametrize("ask", ["p_values", "discover", "drift", "cell_scores", "predict"])
def test_an_unfitted_detector_answers_nothing(ask):
    with pytest.raises(NotFittedError):
        getattr(AnomalyDetector(), ask)(matrix())


def test_a_threshold_of_an_unfitted_detector_is_refused():
    with pytest.raises(NotFittedError):
        AnomalyDetector().set_threshold(FalseAlarmRate())
    with pytest.raises(NotFittedError):
        AnomalyDetector().stream()


def test_a_rule_that_flags_every_row_is_refused_and_the_threshold_stays():
    X = matrix(60)
    fitted = AnomalyDetector(random_state=0).fit(X)
    before = fitted.threshold_
    with pytest.raises(DataError, match=r"AlertBudget\(n_alerts=99\) would flag all 60 rows"):
        fitted.set_threshold(AlertBudget(99), X)
    assert fitted.threshold_ is before


def test_labels_of_one_kind_are_refused():
    with pytest.raises(DataError, match="both kinds"):
        AnomalyDetector(threshold=MaxFScore()).fit(matrix(60), np.zeros(60, int))


def with_five_labelled():
    X = np.vstack([matrix(100), 9 + matrix(5)])
    return X, np.r_[np.zeros(100, int), np.ones(5, int)]


@cache
def fitted_with_labels(robust):
    return AnomalyDetector(robust=robust, random_state=0).fit(*with_five_labelled())


@pytest.mark.filterwarnings("ignore:AlertBudget:latently.exceptions.DataWarning")
@pytest.mark.parametrize(
    "rule", [FalseAlarmRate(0.05), AlertBudget(3), CostRatio(4), MaxFScore()], ids=str
)
@pytest.mark.parametrize("robust", [False, True])
def test_a_detector_comes_back_from_its_file_with_its_threshold(tmp_path, rule, robust):
    X, y = with_five_labelled()
    fitted = copy.deepcopy(fitted_with_labels(robust)).set_threshold(rule, X, y)
    fitted.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.p_values(X), fitted.p_values(X))
    assert loaded.threshold_ == fitted.threshold_
    assert repr(loaded.rule_) == repr(rule)
    assert loaded.stream().score(X[0]) == fitted.stream().score(X[0])
