"""Labels count: known anomalies are not learnt, however they are marked."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.metrics import roc_auc_score

from latently import (
    AlertBudget,
    AnomalyDetector,
    Autoencoder,
    Contamination,
    CostRatio,
    FalseAlarmRate,
    MaxFScore,
)
from latently.exceptions import DataError, DataWarning
from latently.tasks.scores._labels import read_labels
from tests.contract.samples import matrix

RULES = [None, FalseAlarmRate(0.05), AlertBudget(5), Contamination(0.1), CostRatio(5), MaxFScore()]


def labelled(n=200, n_anomalies=12, seed=0):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 4)), np.arange(n) < n_anomalies
    X[y] += 6
    return X, y


@pytest.mark.parametrize(
    "y",
    [
        [True, False, False],
        [1, 0, 0],
        [-1, 1, 1],
        np.array([1.0, 0.0, 0.0]),
        np.array([1, 0, 0], dtype=object),
        pd.Series([1, 0, 0], index=[7, 8, 9]),
        pd.Series([True, False, False], dtype="boolean"),
        pd.Series([True, False, False], dtype="bool[pyarrow]"),
        pl.Series([True, False, False]),
        pa.chunked_array([[True], [False, False]]),
    ],
    ids=lambda y: type(y).__module__ + str(getattr(y, "dtype", "")),
)
def test_anomalies_are_recognised_however_they_are_marked(y):
    np.testing.assert_array_equal(read_labels(y, 3).anomalies, [True, False, False])


@pytest.mark.parametrize(
    "y",
    [
        [1, 0, None],
        [-1, 1, float("nan")],
        [True, False, None],
        pd.Series([1, 0, None], dtype="Int64"),
        pd.Series([True, False, pd.NA], dtype="boolean"),
        pl.Series([True, False, None]),
        pa.array([True, False, None]),
        np.ma.array([1, 0, 0], mask=[False, False, True]),
    ],
    ids=lambda y: type(y).__module__ + str(getattr(y, "dtype", "")),
)
def test_rows_may_be_without_a_label(y):
    found = read_labels(y, 3)
    np.testing.assert_array_equal(found.anomalies, [True, False, False])
    np.testing.assert_array_equal(found.known, [True, True, False])


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["bad", "good", "good"], "got bad, good"),
        (np.array(["0", "1", "1"]), "got 0, 1"),
        ([1, 0], "3 rows"),
        ([[1], [0], [0]], "one label a row"),
        ([-1, 0, 1], "-1 and 0 among them"),
        ([-1, 0, 0], "-1 and 0 among them"),
        ([1, 1, 1], "got only 1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_labels_that_are_none_are_refused_whatever_the_rule(y, words, rule):
    with pytest.raises(DataError, match=words):
        AnomalyDetector(threshold=rule, random_state=0).fit(matrix(3), y)


def test_other_numbers_are_ignored_with_one_warning_and_refused_where_labels_are_needed():
    X = matrix(60)
    classes = np.arange(60) % 3
    with pytest.warns(DataWarning, match="y is ignored.* got 0, 1, 2") as caught:
        fitted = AnomalyDetector(random_state=0).fit(X, classes)
    assert len(caught) == 1
    plain = AnomalyDetector(random_state=0).fit(X)
    np.testing.assert_array_equal(fitted.score_samples(X), plain.score_samples(X))
    with pytest.raises(DataError, match="got 0, 1, 2"):
        AnomalyDetector(threshold=MaxFScore()).fit(X, classes)
    with pytest.raises(DataError, match="got 0, 1, 2"):
        plain.set_threshold(FalseAlarmRate(0.1), X, classes)


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("robust", [False, True])
@pytest.mark.filterwarnings("ignore:AlertBudget:latently.exceptions.DataWarning")
def test_known_anomalies_are_not_learnt_whatever_the_rule(rule, robust):
    X, y = labelled()
    fitted = AnomalyDetector(threshold=rule, robust=robust, random_state=0).fit(X, y)
    without = AnomalyDetector(robust=robust, random_state=0).fit(X[~y])
    new, anomalous = labelled(seed=1)
    by_memory, expected = (model.autoencoder_.score_samples(new) for model in (fitted, without))
    np.testing.assert_array_equal(by_memory, expected)
    assert len(fitted.calibration_.scores) == len(without.calibration_.scores) == (~y).sum()
    assert roc_auc_score(anomalous, -fitted.score_samples(new)) > 0.99


def test_a_network_is_not_trained_on_known_anomalies():
    X, y = labelled()
    network = Autoencoder(2, max_epochs=3, random_state=0, engine="cpu")
    fitted = AnomalyDetector(autoencoder=network, random_state=0).fit(X, y)
    without = AnomalyDetector(autoencoder=network, random_state=0).fit(X[~y])
    np.testing.assert_array_equal(
        fitted.autoencoder_.score_samples(X), without.autoencoder_.score_samples(X)
    )


@pytest.mark.parametrize("as_frame", [pd.DataFrame, pl.DataFrame, pa.Table.from_pandas])
def test_frames_and_both_conventions_agree(as_frame):
    X, y = labelled()
    named = pd.DataFrame(X, columns=list("abcd"))
    frame = named if as_frame is pd.DataFrame else as_frame(named)
    fits = [
        AnomalyDetector(random_state=0).fit(frame, labels).score_samples(frame)
        for labels in (y, y.astype(int), np.where(y, -1, 1), pd.Series(y, index=np.arange(200) + 9))
    ]
    for scores in fits[1:]:
        np.testing.assert_array_equal(scores, fits[0])


def test_rows_without_a_label_are_learnt_and_do_not_choose_the_cut():
    X, y = labelled()
    some = y.astype(float)
    some[100:] = np.nan
    fitted = AnomalyDetector(threshold=MaxFScore(), random_state=0).fit(X, some)
    assert "100 labelled rows" in fitted.threshold_.reason
    assert fitted.autoencoder_.n_components_ == 188


def test_too_few_rows_that_are_not_anomalies_are_refused():
    X, y = labelled(20, 19)
    with pytest.raises(DataError, match=r"At least 2 rows must not be labelled .* got 1 of 20"):
        AnomalyDetector().fit(X, y)


def test_known_anomalies_are_left_out_of_what_follows_too():
    X, y = labelled()
    new, known = labelled(seed=1)
    fitted = AnomalyDetector(random_state=0).partial_fit(X, y).partial_fit(new, known)
    without = AnomalyDetector(random_state=0).partial_fit(X, y).partial_fit(new[~known])
    np.testing.assert_array_equal(fitted.score_samples(new), without.score_samples(new))
    assert fitted.threshold_ == without.threshold_
    assert len(fitted.calibration_.scores) == len(without.calibration_.scores)


@pytest.mark.parametrize("known", [None, np.zeros(200, int)], ids=["none", "one kind"])
def test_a_cut_chosen_by_labels_stays_where_new_rows_have_none(known):
    X, y = labelled()
    fitted = AnomalyDetector(threshold=MaxFScore(), random_state=0).fit(X, y)
    before = fitted.threshold_
    fitted.partial_fit(labelled(200, 0, seed=1)[0], known)
    assert fitted.threshold_ == before


def test_labels_without_rows_are_refused():
    fitted = AnomalyDetector(random_state=0).fit(matrix(60))
    with pytest.raises(DataError, match="y without X"):
        fitted.set_threshold(MaxFScore(), y=np.ones(60, bool))
