"""Rows that come one by one are scored as in a batch, and the calibration follows them."""

import json

import numpy as np
import pytest

from latently import AlertBudget, AnomalyDetector, FalseAlarmRate
from latently.datasets import make_transactions
from latently.exceptions import DataError, ParameterError
from tests.contract.samples import matrix


@pytest.fixture(scope="module")
def detector():
    return AnomalyDetector(threshold=FalseAlarmRate(0.05), random_state=0).fit(matrix(400))


def test_a_row_scores_in_a_stream_as_in_a_batch(detector):
    X = matrix(30, seed=1)
    stream = detector.stream()
    scores = [stream.score(row).anomaly_score for row in X]
    np.testing.assert_allclose(scores, -detector.score_samples(X), rtol=1e-4, atol=1e-5)
    assert stream.n_rows == 30


def test_the_first_p_value_is_that_of_the_detector(detector):
    row = matrix(1, seed=2)
    assert detector.stream().score(row[0]).p_value == pytest.approx(detector.p_values(row)[0])


@pytest.mark.parametrize("as_frame", ["pandas", "polars", "pyarrow"])
def test_rows_with_names_come_as_mappings_sequences_or_frames(as_frame):
    fitted = AnomalyDetector(random_state=0).fit(
        make_transactions(200, random_state=0, as_frame=as_frame).data
    )
    table = make_transactions(3, random_state=1, as_frame="pyarrow").data
    new = make_transactions(3, random_state=1, as_frame=as_frame).data
    expected = -fitted.score_samples(new)
    by_name = [fitted.stream().score(row).anomaly_score for row in table.slice(0, 3).to_pylist()]
    shuffled = dict(reversed(table.slice(0, 1).to_pylist()[0].items()))
    np.testing.assert_allclose(by_name, expected, rtol=1e-4)
    for row in (shuffled, list(shuffled.values())[::-1], table.slice(0, 1)):
        assert fitted.stream().score(row).anomaly_score == pytest.approx(expected[0], rel=1e-4)


def test_anomalies_raise_alarms_and_hardly_move_the_cut(detector):
    stream = detector.stream(window=300)
    answers = [stream.score(30 * row) for row in matrix(20, seed=1)]
    assert all(answer.is_anomaly and answer.p_value == 1 / 301 for answer in answers)
    assert stream.n_anomalies == 20
    assert stream._running.frozen().scores[-1] < 0.5 * min(a.anomaly_score for a in answers)


def test_the_cut_follows_a_slow_drift_and_the_drift_is_told():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(2, 5))

    def rows(n, noise):
        return rng.normal(size=(n, 2)) @ mixing + noise * rng.normal(size=(n, 5))

    rule = FalseAlarmRate(0.05)
    fitted = AnomalyDetector(threshold=rule, random_state=0).fit(rows(400, 0.1))
    stream, cut = fitted.stream(window=200), fitted.threshold_.cut
    flags = [stream.score_rows(rows(50, 0.1 + 0.1 * step / 60))[2].mean() for step in range(60)]
    assert stream.cut > cut
    assert np.mean(flags[-10:]) < 0.12
    assert (fitted.decision_function(rows(500, 0.2)) < 0).mean() > 0.2
    assert stream.drift().drifted and stream.drift().higher


@pytest.mark.filterwarnings("ignore:AlertBudget:latently.exceptions.DataWarning")
def test_a_rule_about_a_batch_keeps_its_cut():
    fitted = AnomalyDetector(threshold=AlertBudget(5), random_state=0).fit(matrix(200))
    stream = fitted.stream(window=20)
    for row in matrix(60, seed=1):
        stream.score(row)
    assert stream.cut == fitted.threshold_.cut


def test_rows_that_cannot_be_used_are_refused(detector):
    with pytest.raises(DataError, match="fitted on an array"):
        detector.stream().score({"a": 1.0})
    with pytest.raises(DataError, match="features"):
        detector.stream().score([1.0, 2.0])
    table = make_transactions(60, random_state=0).data
    stream = AnomalyDetector(random_state=0).fit(table).stream()
    with pytest.raises(DataError, match="lacks the columns amount"):
        stream.score({name: None for name in table.column_names if name != "amount"})
    with pytest.raises(DataError, match="The row has 1 values, the model 13 columns"):
        stream.score([1.0])
    with pytest.raises(ParameterError, match="window"):
        detector.stream(window=0)


def test_a_stream_continues_from_its_state(detector):
    first, whole = detector.stream(window=50), detector.stream(window=50)
    for stream in (first, whole):
        stream.score_rows(matrix(30, seed=1))
    second = detector.stream(window=50)
    second.restore(json.loads(json.dumps(first.state())))
    answers = [stream.score_rows(matrix(40, seed=2)) for stream in (second, whole)]
    for got, expected in zip(*answers, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert second.state() == whole.state()


def test_a_damaged_state_is_refused(detector):
    state = detector.stream(window=50).state()
    for wrong in ({}, {**state, "running": {**state["running"], "ring": []}}):
        with pytest.raises(DataError, match="state of a stream must be"):
            detector.stream(window=50).restore(wrong)
    with pytest.raises(DataError, match="for a window of 20"):
        detector.stream(window=20).restore(state)
