"""Held-out rows: whole groups, the last rows, and the split of a splitter."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GroupKFold, KFold, StratifiedKFold, TimeSeriesSplit

from latently import Autoencoder, MapAutoencoder, SparseAutoencoder
from latently.estimators import split_rule
from latently.exceptions import DataError, DataWarning, ParameterError
from tests.contract.samples import matrix, same

QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}


def held_out(rule, n_rows, seed=0):
    """Return the indices of the validation rows."""
    positions = np.random.default_rng(1).permutation(n_rows)
    split = rule.split(positions, n_rows, seed)
    assert not set(split.train.tolist()) & set(split.valid.tolist())
    return set(positions[split.valid].tolist())


def test_groups_are_held_out_whole():
    groups = np.repeat(np.arange(20), 5)
    for seed in range(5):
        places = held_out(split_rule(0.2, True, None, groups, 100), 100, seed)
        chosen = {groups[place] for place in places}
        assert len(places) == 20 and len(chosen) == 4


@pytest.mark.parametrize(
    "labels", [list("abcd"), [1.5, 2.5, np.nan, 3.5], ["a", None, "b", 3]], ids=str
)
def test_labels_of_any_kind_name_groups(labels):
    groups = np.array(labels, dtype=object)[np.arange(40) % 4]
    places = held_out(split_rule(0.25, True, None, groups, 40), 40)
    assert len({str(groups[place]) for place in places}) == 1 and len(places) == 10


def test_the_last_rows_judge_where_rows_are_not_shuffled():
    assert held_out(split_rule(0.2, False, None, None, 50), 50) == set(range(40, 50))


def test_a_splitter_has_its_last_split_taken():
    assert held_out(split_rule(0.1, True, TimeSeriesSplit(4), None, 50), 50) == set(range(40, 50))
    assert held_out(split_rule(0.1, True, KFold(5), None, 50), 50) == set(range(40, 50))
    groups = np.repeat(np.arange(5), 10)
    places = held_out(split_rule(0.1, True, GroupKFold(5), groups, 50), 50)
    assert len({groups[place] for place in places}) == 1


def test_labels_are_for_splitters_that_need_them():
    labels = np.repeat([0, 1], [80, 20])
    rule = split_rule(0.1, True, StratifiedKFold(4), None, 100, labels)
    places = held_out(rule, 100)
    assert sum(labels[place] for place in places) == 5 and len(places) == 25
    model = Autoencoder(2, splitter=StratifiedKFold(4), **QUICK).fit(matrix(100), labels)
    assert model.baselines_.n_rows == 25


def test_rows_that_a_splitter_leaves_out_are_not_used():
    rule = split_rule(0.1, True, TimeSeriesSplit(4, gap=5), None, 50)
    split = rule.split(np.arange(50), 50, 0)
    assert split.train.tolist() == list(range(35))


@pytest.mark.parametrize("model", [Autoencoder(2, **QUICK), SparseAutoencoder(8, **QUICK)], ids=str)
def test_validation_rows_are_those_of_the_splitter(model):
    rows = matrix(100)
    strange = rows.copy()
    strange[80:] += 5  # only the last rows, which judge
    model = clone(model).set_params(shuffle=False, validation_fraction=0.2)
    calm, upset = clone(model).fit(rows), clone(model).fit(strange)
    assert upset.baselines_.n_rows == calm.baselines_.n_rows == 20
    assert upset.baselines_.mean > calm.baselines_.mean


def test_the_order_of_rows_does_not_matter_beside_their_groups():
    rows, groups = matrix(100), np.repeat(np.arange(10), 10)
    turned = np.random.default_rng(0).permutation(100)
    first = Autoencoder(2, **QUICK).fit(rows, groups=groups)
    second = Autoencoder(2, **QUICK).fit(rows[turned], groups=groups[turned])
    assert same(first.transform(rows), second.transform(rows))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"groups": np.zeros(100)}, DataError, "two groups"),
        ({"groups": np.zeros(99)}, DataError, "one label per row"),
        ({"splitter": TimeSeriesSplit(200)}, DataError, "TimeSeriesSplit cannot split 100 rows"),
        ({"splitter": GroupKFold(3)}, DataError, "GroupKFold cannot split"),
        ({"splitter": KFold(3), "shuffle": False}, ParameterError, "Give one of them"),
        ({"groups": np.arange(100), "shuffle": False}, ParameterError, "shuffle=True"),
        ({"splitter": 3}, ParameterError, "splitter"),
    ],
    ids=str,
)
def test_a_split_that_cannot_be_is_refused_in_a_sentence(change, error, words):
    groups = change.pop("groups", None)
    with pytest.raises(error, match=words):
        Autoencoder(2, **QUICK, **change).fit(matrix(100), groups=groups)


# ------------------------------------------------------------------ twins
def test_rows_on_both_sides_are_warned_of():
    rows = matrix(100)
    with pytest.warns(DataWarning, match="validation rows have a copy in training"):
        Autoencoder(2, **QUICK).fit(np.concatenate([rows, rows]))


def test_groups_that_hold_twins_together_are_not_warned_of():
    rows = matrix(100)
    twice = np.concatenate([rows, rows])
    model = Autoencoder(2, **QUICK).fit(twice, groups=np.tile(np.arange(100), 2))
    assert model.baselines_.n_rows == 20


def test_rows_that_repeat_by_nature_are_not_warned_of():
    rng = np.random.default_rng(0)
    for rows in (rng.integers(0, 2, (200, 5)), rng.integers(0, 3, (200, 3))):
        model = Autoencoder(2, **QUICK).fit(rows.astype(float))  # a warning would be an error
        assert model.baselines_.n_rows == 20


def test_weights_are_no_twins():
    rows = matrix(100)
    model = Autoencoder(2, **QUICK).fit(rows, sample_weight=np.full(100, 2.0))
    assert model.baselines_.n_rows == 20


# ------------------------------------------------------------------ all rows
def test_a_refit_learns_from_every_row_for_the_steps_that_were_best():
    rows = matrix(100)
    once = Autoencoder(2, **QUICK).fit(rows)
    again = Autoencoder(2, refit=True, **QUICK).fit(rows)
    assert again.n_refit_steps_ == once.history_.best_step
    assert again.history_ == once.history_ and again.baselines_ == once.baselines_
    assert not same(again.transform(rows), once.transform(rows))
    assert "trained again on all rows" in again.summary()


def test_a_refit_rebuilds_as_well_as_the_training_that_was_judged():
    rows = matrix(100)
    found = Autoencoder(2, refit=True, max_epochs=40, random_state=0, engine="cpu").fit(rows)
    assert found.score(rows) > 0.9 * Autoencoder(2, max_epochs=40, random_state=0).fit(rows).score(
        rows
    )


def test_nothing_held_out_is_nothing_to_refit():
    model = MapAutoencoder(refit=True, **QUICK).fit(matrix(60))
    assert not hasattr(model, "n_refit_steps_")


# ------------------------------------------------------------------ effort
def test_effort_is_the_length_of_a_training():
    steps = [
        Autoencoder(2, effort=effort, patience=None, random_state=0).fit(matrix(40)).history_
        for effort in ("fast", "balanced")
    ]
    assert [history.last_step for history in steps] == [500, 2_000]


def test_an_effort_that_is_none_is_refused():
    with pytest.raises(ParameterError, match="effort"):
        Autoencoder(2, effort="heroic").fit(matrix())
