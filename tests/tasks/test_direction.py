"""Anomaly scores have one direction everywhere: higher = more unusual."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from latently import AnomalyDetector, Autoencoder, FalseAlarmRate, load, plot_anomalies
from latently.datasets import make_transactions
from latently.exceptions import NotFittedError
from latently.report import make_report
from latently.tasks import score_rows
from tests.contract.samples import matrix


@pytest.fixture(scope="module")
def today():
    return make_transactions(600, fraud_fraction=0.03, random_state=1)


@pytest.fixture(scope="module")
def detector():
    past = make_transactions(1500, fraud_fraction=0.0, random_state=0).data
    return AnomalyDetector(threshold=FalseAlarmRate(0.02), random_state=0).fit(past)


def test_the_first_auroc_of_a_new_user_is_high(detector, today):
    assert roc_auc_score(today.is_fraud, detector.anomaly_score(today.data)) > 0.9


@pytest.mark.parametrize("scoring", ["surprise", "energy", "reconstruction"])
def test_the_anomaly_score_is_minus_the_score_of_scikit_learn(scoring):
    network = None if scoring == "surprise" else Autoencoder(2, max_epochs=2, engine="cpu")
    X = matrix(200)
    fitted = AnomalyDetector(autoencoder=network, scoring=scoring, random_state=0).fit(X)
    scores = fitted.anomaly_score(X)
    np.testing.assert_array_equal(scores, -fitted.score_samples(X))
    np.testing.assert_allclose(fitted.decision_function(X), fitted.threshold_.cut - scores)
    np.testing.assert_array_equal(fitted.predict(X) == -1, scores > fitted.threshold_.cut)


def test_the_threshold_cuts_the_anomaly_score_wherever_rows_are_scored(detector, today, tmp_path):
    scores, cut = detector.anomaly_score(today.data), detector.threshold_.cut
    flagged = scores > cut
    assert 0 < flagged.sum() < 60
    detector.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.predict(today.data) == -1, flagged)
    found = score_rows(again, today.data, cut)
    np.testing.assert_array_equal(found.columns()["anomaly_score"], scores)
    np.testing.assert_array_equal(found.flags, flagged)
    # Another batch rounds otherwise.
    streamed = detector.stream(window=100_000).score_rows(today.data)
    np.testing.assert_allclose(streamed.anomaly_score, scores, rtol=1e-6)
    np.testing.assert_array_equal(streamed.is_anomaly, flagged)


def test_explanations_reports_and_plots_show_the_anomaly_score(detector, today):
    scores = detector.anomaly_score(today.data)
    worst = int(scores.argmax())
    reasons = detector.explain(today.data.slice(worst, 1))
    assert reasons[0].anomaly_score == pytest.approx(scores[worst], rel=1e-6)
    assert reasons.to_dict()["anomaly_score"][0] == reasons[0].anomaly_score
    assert f"anomaly score {scores[worst]:.3g}" in str(reasons)
    told = make_report(detector, today.data).to_dict()
    assert told["worst"][0]["row"] == worst
    assert told["worst"][0]["anomaly_score"] == pytest.approx(scores[worst], rel=1e-6)
    axes = plot_anomalies(detector, today.data).axes[0]
    assert "higher = more unusual" in axes.get_xlabel()
    assert f"{int((scores > detector.threshold_.cut).sum())} of 600" in axes.get_title("left")


def test_words_about_scores_say_the_direction(detector, today):
    assert str(detector.threshold_).startswith("flags anomaly scores above ")
    far = today.data.set_column(
        today.data.column_names.index("amount"), "amount", [np.full(600, 1e6)]
    )
    assert "anomaly score  higher (more unusual)" in str(detector.drift(far))


def test_no_score_without_a_fit():
    with pytest.raises(NotFittedError):
        AnomalyDetector().anomaly_score(matrix(20))
