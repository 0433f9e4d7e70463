"""Rows that break the relations between columns are flagged, in the share asked for."""

import numpy as np
import pytest

from latently import AnomalyDetector, Autoencoder, DenseNetwork
from latently.datasets import make_transactions
from latently.exceptions import ParameterError
from tests.contract.samples import matrix

QUICK = {"max_epochs": 2, "engine": "cpu"}


def detector(contamination="auto", **options):
    model = Autoencoder(2, **{**QUICK, **options})
    return AnomalyDetector(autoencoder=model, contamination=contamination, random_state=0)


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


def test_frauds_in_a_mixed_table_score_worse_than_honest_rows():
    drawn = make_transactions(600, fraud_rate=0.05, as_frame="pandas")
    scores = detector(0.05, max_epochs=15).fit(drawn.data).score_samples(drawn.data)
    frauds, honest = scores[drawn.is_fraud], scores[~drawn.is_fraud]
    share_of_pairs_in_order = (frauds[:, None] < honest).mean()
    assert share_of_pairs_in_order > 0.7


def test_equal_rows_are_not_flagged():
    X = np.repeat(matrix(4), 20, axis=0)
    flags = detector(0.1).fit(X).predict(np.repeat(X[:1], 5, axis=0))
    assert len(set(flags)) == 1


@pytest.mark.parametrize("contamination", [0, 0.6, 1, -0.1, "some", None, float("nan")])
def test_a_share_that_is_none_is_refused(contamination):
    with pytest.raises(ParameterError, match="contamination"):
        detector(contamination).fit(matrix())
