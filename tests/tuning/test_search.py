"""Searches: nested splits, comparison with baselines, storage, and error messages."""

import os
import signal
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine

from latently import (
    Autoencoder,
    AutoencoderSearchCV,
    DenoisingAutoencoder,
    ImputationAutoencoder,
    NeighborAutoencoder,
    fit_seeds,
)
from latently._validation import read_seed
from latently.exceptions import DataError, ParameterError, TrainingWarning
from latently.tuning._rows import Rows, split_rows
from latently.tuning._spaces import default_space
from tests.contract.samples import LIBRARIES, matrix, same, transactions

pytestmark = pytest.mark.long

SPACE = {"learning_rate": (1e-3, 1e-2, "log"), "batch_size": [16, 32]}
X = load_wine().data


def search(model=None, space=SPACE, **changes):
    model = Autoencoder(3, max_epochs=5) if model is None else model
    return AutoencoderSearchCV(model, space, **{"n_trials": 4, "random_state": 0, **changes})


# ------------------------------------------------------------------ what is found
def test_figures_of_tuned_default_and_pca_stand_side_by_side():
    found = search().fit(X)
    report = found.report_
    assert [one.name for one in report.standings] == ["tuned", "default", "PCA"]
    assert (report.n_inner, report.n_outer) == (28, 36)
    assert report["tuned"].inner == found.best_score_ >= report["default"].inner
    words = str(report)
    assert "inner (28 rows)" in words and "outer (36 rows)" in words and "PCA of 3" in words
    assert report.n_complete + report.n_pruned + report.n_failed == 4


def test_the_default_is_the_first_trial_where_the_space_has_it():
    found = search(space={"batch_size": ["auto", 16, 32]}).fit(X)
    first = found.trials_[0]
    assert first.number == 0 and first.score == found.report_["default"].inner
    assert found.cv_results_["mean_test_score"][0] == first.score
    assert found.cv_results_["rank_test_score"].min() == 1


def test_the_best_settings_are_those_of_the_best_trial():
    found = search(n_trials=6).fit(X)
    best = max((t for t in found.trials_ if t.score is not None), key=lambda t: t.score)
    if best.score > found.report_["default"].inner:
        assert found.best_params_ == best.params
    values = found.best_estimator_.get_params()
    assert all(values[name] == value for name, value in found.best_params_.items())


def test_the_outer_figure_is_that_of_a_fit_without_the_outer_rows():
    found = search(space={"learning_rate": [5e-3]}).fit(X)
    learn, outer = split_rows(Rows(X), 0.2, True, _seed(found))
    model = found.best_estimator_
    alone = Autoencoder(**model.get_params(deep=False)).fit(learn.X)
    assert found.report_["tuned"].outer == pytest.approx(alone.score(outer.X), abs=1e-9)


def _seed(found):
    return read_seed(found.random_state)


def test_one_seed_finds_one_thing():
    first, second = search().fit(X), search().fit(X)
    assert first.best_params_ == second.best_params_
    assert first.report_ == second.report_
    assert same(first.transform(X), second.transform(X))


def test_several_seeds_of_a_trial_are_trained_at_once_and_count_by_their_mean():
    model = Autoencoder(3, max_epochs=25, batch_size=16)
    found = search(model, {"learning_rate": [5e-3]}, n_seeds=3, n_trials=1).fit(X)
    learn, outer = split_rows(Rows(X), 0.2, True, _seed(found))
    train, judged = split_rows(learn, 0.2, True, _seed(found) + 1)
    tuned = found.best_estimator_.set_params(learning_rate=5e-3)
    inner = fit_seeds(tuned, train.X, 3)
    assert inner[0].history_.steps == "recorded, 3 models at once"
    assert found.trials_[0].score == pytest.approx(np.mean([m.score(judged.X) for m in inner]))
    outer_scores = [m.score(outer.X) for m in fit_seeds(found.best_estimator_, learn.X, 3)]
    assert found.report_["tuned"].outer == pytest.approx(np.mean(outer_scores))


@pytest.mark.parametrize(
    "model", [NeighborAutoencoder(), ImputationAutoencoder(2, max_epochs=1)], ids=str
)
def test_kinds_that_cannot_be_trained_at_once_are_trained_from_each_seed(model):
    def number(fitted, X, y):
        return float(fitted.random_state)

    space = {next(iter(default_space(model, sizes_too=True))): [1, 2]}
    found = search(model.set_params(random_state=7), space, n_trials=1, n_seeds=3, objective=number)
    assert found.fit(X).report_["default"].inner == read_seed(7) + 1


def test_groups_are_held_out_whole_from_every_seed():
    groups = np.arange(len(X)) // 4
    model = Autoencoder(3, max_epochs=2, random_state=0)
    for one in fit_seeds(model, X, 2, groups=groups):
        alone = clone(model).set_params(random_state=one.random_state).fit(X, groups=groups)
        np.testing.assert_allclose(one.transform(X), alone.transform(X), atol=1e-4)


def test_a_bad_setting_is_left_for_a_good_one():
    bad = Autoencoder(3, learning_rate=1e-6, max_epochs=20)
    found = search(bad, {"learning_rate": [1e-6, 5e-3]}, n_trials=5).fit(X)
    assert found.best_params_ == {"learning_rate": 5e-3}
    assert found.report_["tuned"].outer > found.report_["default"].outer + 0.1
    assert "tuning gains" in found.report_.conclusion


def test_codes_are_of_one_size_in_every_trial():
    found = search(Autoencoder(max_epochs=5)).fit(X)
    assert found.best_estimator_.n_components_ == found.report_.n_components
    with pytest.raises(ParameterError, match="n_components cannot be searched"):
        search(space={"n_components": [2, 3]}).fit(X)


def test_losing_trials_are_ended_early():
    slow = Autoencoder(3, max_epochs=30, patience=None)
    found = search(slow, {"learning_rate": (1e-6, 1e-2, "log")}, n_trials=15).fit(X)
    assert found.report_.n_pruned > 0
    assert all(t.score is None for t in found.trials_ if t.state == "pruned")


def test_a_space_comes_with_the_kind():
    found = search(None, None, n_trials=3).fit(X)
    assert "network__dropout" in found.trials_[-1].params


@pytest.mark.parametrize("library", LIBRARIES)
def test_mixed_frames_are_searched_as_they_are(library):
    found = search(n_trials=2).fit(transactions(library))
    assert found.reconstruct(transactions(library)).shape == transactions(library).shape


def test_images_are_searched():
    images = load_digits().images[:60]
    found = search(Autoencoder(3, max_epochs=2), n_trials=2).fit(images)
    assert found.reconstruct(images[:2]).shape == (2, 8, 8)


# ------------------------------------------------------------------ objectives
def test_a_linear_model_reads_labels_off_the_code():
    rows, labels = load_iris(return_X_y=True)
    found = search(space={"n_components": [1, 2, 3]}, objective="downstream").fit(rows, labels)
    assert 0.5 < found.report_["tuned"].outer <= 1
    amounts = search(space=SPACE, objective="downstream").fit(rows, rows[:, 3])
    assert amounts.report_["PCA"].outer > 0.8


def test_known_anomalies_are_ranked():
    rows = np.concatenate([matrix(200), matrix(20) + 8])
    labels = np.repeat([0, 1], [200, 20])
    labels[:50] = -1
    found = search(space=SPACE, objective="anomaly").fit(rows, labels.astype(float))
    assert found.report_["tuned"].outer > 0.9


@pytest.mark.parametrize(
    "model",
    [DenoisingAutoencoder(2, max_epochs=10), ImputationAutoencoder(8, max_epochs=5, n_trees=4)],
    ids=str,
)
def test_hidden_cells_are_filled_in(model):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 1)) + 0.1 * rng.normal(size=(200, 5))
    rows[rng.random(rows.shape) < 0.05] = np.nan
    found = search(model, {"learning_rate": [2e-3, 1e-2]}, objective="imputation").fit(rows)
    assert 0.3 < found.report_["tuned"].outer <= 1


def test_a_figure_of_the_users_own():
    def minus_size(model, X, y):
        return -float(model.n_components_)

    found = search(space={"n_components": [1, 2, 4]}, objective=minus_size, n_trials=8).fit(X)
    assert found.best_estimator_.n_components_ == 1
    assert "PCA" not in str(found.report_)


def test_a_memory_is_searched_without_a_training():
    rows = np.concatenate([matrix(100), matrix(10) + 8])
    labels = np.repeat([0, 1], [100, 10])
    found = search(NeighborAutoencoder(), {"n_components": (20, 80)}, objective="anomaly")
    assert found.fit(rows, labels).report_["tuned"].outer > 0.9


# ------------------------------------------------------------------ rows
def test_groups_are_on_one_side_of_every_split():
    groups = np.repeat(np.arange(30), 6)[:178]
    rows = Rows(X, None, groups)
    for train, test in (split_rows(rows, 0.2, True, seed) for seed in range(3)):
        assert not set(train.groups) & set(test.groups)
    assert search(n_trials=2).fit(X, groups=groups).report_.n_outer > 20


def test_classes_are_in_both_parts():
    labels = np.repeat(["a", "b"], [190, 10])
    train, test = split_rows(Rows(matrix(200), labels), 0.2, True, 0)
    assert (train.y == "b").sum() == 8 and (test.y == "b").sum() == 2


def test_the_last_rows_report_where_rows_are_not_shuffled():
    train, test = split_rows(Rows(np.arange(50)[:, None]), 0.2, False, 0)
    assert test.X[:, 0].tolist() == list(range(40, 50)) and len(train) == 40


# ------------------------------------------------------------------ storage, time, interruption
def test_a_search_that_was_cut_off_goes_on(tmp_path):
    storage = tmp_path / "search.db"
    once = search(n_trials=6).fit(X)
    search(n_trials=3, storage=storage).fit(X)
    again = search(n_trials=6, storage=storage).fit(X)
    assert len(again.trials_) == len(once.trials_) == 6
    # What was done before is not done again.
    seconds = {t.number: t.seconds for t in search(n_trials=3, storage=storage).fit(X).trials_}
    assert all(seconds[t.number] == t.seconds for t in again.trials_)


def test_a_search_without_a_seed_goes_on_with_its_own(tmp_path):
    storage = tmp_path / "search.db"
    first = search(n_trials=2, storage=storage, random_state=None).fit(X)
    again = search(n_trials=4, storage=storage, random_state=None).fit(X)
    assert [t.score for t in again.trials_[:2]] == [t.score for t in first.trials_]
    assert len(again.trials_) == 4


@pytest.mark.parametrize("model", [NeighborAutoencoder(), ImputationAutoencoder()], ids=str)
def test_what_has_no_score_of_its_own_needs_another_objective(model):
    with pytest.raises(ParameterError, match="does not suit"):
        search(model, None).fit(X)


def test_trials_that_were_running_are_run_again(tmp_path):
    import optuna

    storage = tmp_path / "search.db"
    search(n_trials=2, storage=storage).fit(X)
    study = optuna.load_study(study_name="search", storage=f"sqlite:///{storage}")
    left = study.ask(study.trials[1].distributions)
    found = search(n_trials=4, storage=storage).fit(X)
    numbers = {t.number: t for t in found.trials_}
    assert left.number not in numbers
    assert numbers[left.number + 1].params["learning_rate"] == left.params["learning_rate"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": Autoencoder(2, max_epochs=5)}, "another estimator"),
        ({"space": {"learning_rate": (1e-4, 1e-2)}}, "another space"),
        ({"objective": "imputation"}, "another objective"),
        ({"random_state": 1}, "random_state"),
    ],
    ids=str,
)
def test_the_study_of_another_search_is_left_alone(tmp_path, change, words):
    storage = tmp_path / "search.db"
    search(n_trials=2, storage=storage).fit(X)
    before = storage.read_bytes()
    with pytest.raises(ParameterError, match=words):
        search(**change, storage=storage).fit(X)
    assert storage.read_bytes() == before
    search(n_trials=1, storage=storage, study_name="mine", random_state=1).fit(X)


def test_a_storage_that_is_none_is_refused(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("these are notes, no study" * 100)
    with pytest.raises(ParameterError, match="cannot be used"):
        search(storage=file).fit(X)
    assert file.read_text().startswith("these are notes")
    with pytest.raises(ParameterError, match="cannot be used"):
        search(storage=tmp_path / "nowhere" / "search.db").fit(X)


def test_processes_share_a_search(tmp_path):
    found = search(n_trials=4, n_jobs=2, storage=tmp_path / "search.db").fit(X)
    assert len(found.trials_) == 4
    assert search(n_trials=3, n_jobs=2).fit(X).report_.n_complete >= 1


def test_a_time_limit_ends_the_search():
    search(n_trials=1).fit(X)  # what torch loads with a first training takes seconds
    found = search(n_trials=None, time_limit=2.5).fit(X)
    assert len(found.trials_) >= 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"n_trials": 0}, "n_trials"),
        ({"n_trials": None}, "must not both be None"),
        ({"time_limit": 0}, "time_limit"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"objective": "beauty"}, "objective must be one of"),
        ({"space": {"layers": [1]}}, "does not have"),
        ({"outer_fraction": 1.0}, "outer_fraction"),
        ({"effort": "heroic"}, "effort"),
        ({"model": Autoencoder}, "Write Autoencoder"),
    ],
    ids=str,
)
def test_what_makes_no_search_is_refused_in_a_sentence(change, words):
    with pytest.raises(ParameterError, match=words):
        search(**change).fit(X)


def test_a_limit_too_short_for_one_trial_says_how_long_it_takes():
    long = Autoencoder(3, max_epochs=5_000, patience=None)
    with pytest.raises(ParameterError, match=r"too short for one trial. Allow [0-9,]+ s at least"):
        search(long, n_trials=None, time_limit=0.2).fit(X)


def test_all_trials_failing_lists_each_reason():
    space = {"network__hidden_sizes": [(0,), (-1,)]}
    with pytest.raises(
        ParameterError, match=r"All 4 trials failed .*ParameterError: .*hidden_sizes"
    ):
        search(space=space).fit(X)


def test_a_trial_that_fails_is_noted_and_passed_over():
    space = {"network__hidden_sizes": [(0,), (16,)]}
    found = search(space=space, n_trials=8).fit(X)
    failed = [t for t in found.trials_ if t.state == "failed"]
    assert failed and all("hidden_sizes" in t.reason for t in failed)
    assert found.best_params_.get("network__hidden_sizes") != (0,)


def test_a_default_that_cannot_be_trained_says_why():
    with pytest.raises(ParameterError, match="learning_rate"):
        search(Autoencoder(3, learning_rate=-1)).fit(X)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"X": X[:9]}, "At least 10 rows are needed"),
        ({"X": X, "y": np.zeros(3)}, "y must have one value per row"),
        ({"X": X, "groups": np.zeros(178)}, "two groups"),
    ],
    ids=["rows", "labels", "groups"],
)
def test_rows_that_cannot_be_parted_are_refused(arguments, words):
    with pytest.raises(DataError, match=words):
        search().fit(**arguments)


@pytest.mark.parametrize(
    ("objective", "y", "words"),
    [
        ("downstream", None, "y must hold labels"),
        ("downstream", np.r_[np.nan, np.zeros(177)], "missing labels, got 1 in 178 rows"),
        ("anomaly", None, "1 for anomalies"),
        ("anomaly", np.arange(178), "1 for anomalies"),
        ("anomaly", np.zeros(178), "Label more"),
    ],
)
def test_an_objective_without_its_labels_is_refused(objective, y, words):
    with pytest.raises(DataError, match=words):
        search(objective=objective).fit(X, y)


def test_ctrl_c_keeps_the_best_so_far():
    slow = Autoencoder(3, max_epochs=30, patience=None)
    timer = threading.Timer(2.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.warns(TrainingWarning, match="search was interrupted after"):
        found = search(slow, n_trials=10_000).fit(X)
    timer.join()
    assert found.interrupted_ and 1 <= len(found.trials_) < 10_000
    assert found.transform(X).shape == (178, 3)


def test_without_a_refit_there_is_a_report_and_no_model():
    found = search(refit=False).fit(X)
    assert not hasattr(found, "best_estimator_") and found.report_["tuned"].outer > 0
    with pytest.raises(ParameterError, match="refit=True"):
        found.transform(X)


def test_the_callers_estimator_and_state_are_not_touched():
    model = Autoencoder(3, max_epochs=5)
    before, drawn = repr(model.get_params()), np.random.get_state()[1].copy()  # noqa: NPY002
    search(model).fit(pd.DataFrame(X, columns=load_wine().feature_names))
    assert repr(model.get_params()) == before
    assert (np.random.get_state()[1] == drawn).all()  # noqa: NPY002
