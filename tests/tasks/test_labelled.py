"""Known anomalies count in the score, and the rate of false alarms still holds."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

import latently
from latently import AnomalyDetector, Autoencoder, FalseAlarmRate, MaxFScore, load
from latently.exceptions import DataError, DataWarning
from latently.tasks import LabelledScore, Trees

ROBUST = pytest.mark.parametrize("robust", [False, True])


def frauds(n=600, n_frauds=60, seed=0):
    """Frauds are usual in each column, but for a mean of 1.5 in two of ten."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 10)), np.arange(n) < n_frauds
    X[y, :2] += 1.5
    return X, y


@cache
def marked(robust=False, scoring="auto"):
    """Return a detector fitted to ``frauds()`` and their labels, which no test changes."""
    return AnomalyDetector(robust=robust, scoring=scoring, random_state=0).fit(*frauds())


def some_marked(y, n_marked):
    labels = np.full(len(y), np.nan)
    labels[:n_marked], labels[-1] = 1, 0
    return labels


@ROBUST
def test_hidden_anomalies_like_the_marked_ones_are_found(robust):
    X, y = frauds()
    new, is_fraud = frauds(seed=1)
    without = AnomalyDetector(robust=robust, random_state=0).fit(X)
    with_some = AnomalyDetector(robust=robust, random_state=0).fit(X, some_marked(y, 20))
    before, after = (
        roc_auc_score(is_fraud, model.anomaly_score(new)) for model in (without, with_some)
    )
    assert before < 0.75 and after > before + 0.1


@ROBUST
def test_the_memory_is_that_of_the_rows_that_are_not_marked(robust):
    X, y = frauds()
    with_labels = marked(robust)
    without = AnomalyDetector(robust=robust, random_state=0).fit(X[~y])
    np.testing.assert_array_equal(
        with_labels.autoencoder_.score_samples(X), without.autoencoder_.score_samples(X)
    )
    assert len(with_labels.calibration_.scores) == len(without.calibration_.scores) == 540


@pytest.mark.parametrize("y", [None, np.zeros(600), np.full(600, np.nan), np.zeros(600, bool)])
def test_labels_without_an_anomaly_leave_the_score(y):
    X, _ = frauds()
    found = AnomalyDetector(random_state=0).fit(X, y).anomaly_score(X)
    np.testing.assert_array_equal(found, AnomalyDetector(random_state=0).fit(X).anomaly_score(X))


@ROBUST
@pytest.mark.parametrize("n", [150, 700, 3_000])
def test_the_rate_of_false_alarms_holds_with_labels(n, robust):
    rates = []
    for seed in range(3):
        X, y = frauds(n, 15, seed)
        rule = FalseAlarmRate(0.1)
        model = AnomalyDetector(robust=robust, threshold=rule, random_state=0).fit(X, y)
        normal = np.random.default_rng(100 + seed).normal(size=(1_000, 10))
        rates.append((model.predict(normal) == -1).mean())
    n_calibration = len(model.calibration_.scores)
    error = (0.1 * 0.9 * (1 / n_calibration + 1 / 1_000) / 3) ** 0.5
    assert abs(np.mean(rates) - 0.1) < 4 * error


def test_a_fitted_memory_and_a_network_learn_from_labels_at_their_rate():
    X, y = frauds(900, 30)
    normal = np.random.default_rng(9).normal(size=(1_000, 10))
    memory = latently.NeighborAutoencoder(random_state=0).fit(X[~y])
    network = Autoencoder(2, max_epochs=3, random_state=0, engine="cpu")
    for given in (memory, network):
        model = AnomalyDetector(autoencoder=given, threshold=FalseAlarmRate(0.1), random_state=0)
        model.fit(X, y)
        assert isinstance(model.score_, LabelledScore)
        assert (model.predict(normal) == -1).mean() < 0.16


@pytest.mark.parametrize("scoring", ["auto", "energy", "reconstruction"])
@ROBUST
def test_a_model_with_labels_comes_back_from_its_file(tmp_path, robust, scoring):
    (X, _), model = frauds(), marked(robust, scoring)
    model.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(X), model.anomaly_score(X))
    np.testing.assert_array_equal(loaded.cell_scores(X[:5]), model.cell_scores(X[:5]))


def test_reasons_name_the_columns_in_which_a_row_is_like_the_marked_ones():
    model = marked()
    row = np.zeros((1, 10))
    row[0, :2] = 3.0
    found = model.explain(np.vstack([row, np.zeros((1, 10))]))
    assert set(found[0].alike) == {"x0", "x1"}
    assert "like the anomalies you marked in x" in str(found[0])
    assert found[1].alike is None and "marked" not in str(found[1])
    assert AnomalyDetector(random_state=0).fit(frauds()[0]).explain(row)[0].alike is None


def test_known_normal_rows_lower_the_score_of_rows_like_them():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 4))
    X[:10, 0] += 5  # marked anomalies
    X[10:30] += np.array([5, 5, 0, 0])  # known to be normal
    labels = np.full(600, np.nan)
    labels[:10] = 1
    unmarked = labels.copy()
    labels[-1] = unmarked[-1] = 0
    labels[10:30] = 0
    new = rng.normal(size=(100, 4)) + np.array([5, 5, 0, 0])
    known, unknown = (AnomalyDetector(random_state=0).fit(X, each) for each in (labels, unmarked))
    assert known.p_values(new).mean() > unknown.p_values(new).mean()


def test_a_cut_by_labels_is_not_that_of_anomalies_that_the_score_has_learnt():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 40)), np.arange(300) < 8  # marked at random
    model = AnomalyDetector(threshold=MaxFScore(), random_state=0).fit(X, y)
    learnt = model.anomaly_score(X)[y]
    left_out = model.score_.left_out
    held = left_out(model.autoencoder_, X[~y], latently.tasks.scores._labelled.Known(X[y], y[~y]))
    assert held.mean() < learnt.mean() - 0.8


@pytest.mark.parametrize("as_frame", [pd.DataFrame, pa.Table.from_pandas])
def test_frames_with_gaps_and_categories_learn_from_labels(as_frame):
    rng = np.random.default_rng(0)
    X, y = frauds()
    frame = pd.DataFrame(X[:, :3], columns=list("abc"))
    frame["kind"] = np.where(y, "x", rng.choice([*"xyz"], 600))
    frame.loc[rng.random(600) < 0.1, "b"] = np.nan
    if as_frame is not pd.DataFrame:
        frame = as_frame(frame)
    model = AnomalyDetector(random_state=0).fit(frame, some_marked(y, 30))
    assert roc_auc_score(y[30:], model.anomaly_score(frame)[30:]) > 0.8


def test_single_precision_columns_of_one_value_and_few_rows():
    X, y = frauds(30, 3)
    X[:, 5] = 7.0
    model = AnomalyDetector(random_state=0).fit(X.astype(np.float32), y)
    assert np.isfinite(model.anomaly_score(X.astype(np.float32))).all()
    with pytest.warns(DataWarning, match="very few"):
        few = AnomalyDetector(random_state=0).fit(X[1:6], y[1:6])
    assert np.isfinite(few.anomaly_score(X)).all()
    one = AnomalyDetector(random_state=0).fit(X[:, :1], y)
    assert np.isfinite(one.anomaly_score(X[:, :1])).all()


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.ones(30, bool), "At least 2 rows must not be labelled"),
        (np.ones(30), "got only 1"),
        (np.ones(31, bool), "one label a row"),
    ],
    ids=["all are anomalies", "only 1", "more labels than rows"],
)
def test_labels_that_cannot_be_used_are_refused(y, words):
    with pytest.raises(DataError, match=words):
        AnomalyDetector().fit(frauds(30, 3)[0], y)


def test_images_leave_known_anomalies_out_and_learn_nothing_else_from_them():
    images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    y = np.arange(40) < 4
    model = AnomalyDetector(random_state=0).fit(images, y)
    assert not isinstance(model.score_, LabelledScore)
    without = AnomalyDetector(random_state=0).fit(images[~y])
    np.testing.assert_array_equal(model.anomaly_score(images), without.anomaly_score(images))


@pytest.mark.parametrize(
    "forged",
    [
        {"base": FalseAlarmRate(0.1)}, {"share": "1"}, {"share": 1.5}, {"spread": 0.0},
        {"level": np.nan}, {"weights": np.zeros(3)}, {"scale": np.zeros(16)},
        {"view_level": np.zeros(6), "view_spread": np.ones(6)},
        {"view_spread": np.full(7, 1e40)}, {"center": np.zeros(16, int)},
    ],
    ids=lambda forged: next(iter(forged)),
)  # fmt: skip
def test_numbers_of_a_file_that_do_not_fit_are_refused(forged):
    model = marked()
    model.score_.check_consistent(model.autoencoder_)
    with pytest.raises(DataError, match="score_"):
        replace(model.score_, **forged).check_consistent(model.autoencoder_)


def test_trees_find_the_leaves_of_scikit_learn_and_survive_a_file(tmp_path):
    X, y = frauds(300, 30)
    forest = RandomForestClassifier(7, random_state=0).fit(X, y)
    trees = Trees.of(forest.estimators_)
    leaves = trees.leaves(np.random.default_rng(5).normal(size=(50, 10)))
    expected = forest.apply(np.random.default_rng(5).normal(size=(50, 10)))
    np.testing.assert_array_equal(leaves - trees.roots, expected)

    model = marked()
    model.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(X), model.anomaly_score(X))


@pytest.mark.parametrize(
    "change",
    [
        {"children": np.zeros((3, 2), np.int32)},
        {"roots": np.array([3], np.int32)},
        {"thresholds": np.array([np.nan, 0.0, 0.0])},
        {"features": np.array([-1, 0, 0], np.int32)},
        {"n_levels": 10_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_arrays_that_are_no_trees_are_refused(change):
    stump = {
        "roots": np.zeros(1, np.int32), "features": np.zeros(3, np.int32),
        "thresholds": np.zeros(3), "children": np.array([[1, 2], [1, 1], [2, 2]], np.int32),
        "n_levels": 1,
    }  # fmt: skip
    Trees(**stump).check_consistent()
    with pytest.raises(DataError, match="do not fit together"):
        Trees(**{**stump, **change}).check_consistent()


def test_a_forest_does_not_depend_on_the_order_of_the_rows():
    X, y = frauds(200, 20)
    shuffled = np.random.default_rng(3).permutation(len(X))
    one = AnomalyDetector(random_state=0).fit(X, y)
    other = AnomalyDetector(random_state=0).fit(X[shuffled], y[shuffled])
    np.testing.assert_allclose(one.anomaly_score(X), other.anomaly_score(X), rtol=1e-4, atol=1e-4)
