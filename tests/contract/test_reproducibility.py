"""A seed determines the model, and the random state and threads of the caller are kept."""

import pickle
import random

import numpy as np
import pytest
import torch
from joblib import Parallel, delayed
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    FeatureExtractor,
    LatentSampler,
    VariationalAutoencoder,
)
from tests.contract.estimators import AUTOENCODERS, ESTIMATORS, IMAGE_AUTOENCODERS, TASKS
from tests.contract.samples import (
    LIBRARIES,
    answers,
    assert_same_answers,
    matrix,
    same,
    stack,
    transactions,
)

pytestmark = [pytest.mark.long, pytest.mark.trust("numbers")]

EVERY = [*ESTIMATORS, *IMAGE_AUTOENCODERS]
QUICK = {"max_epochs": 2, "engine": "cpu"}


def rows_for(model):
    return stack(24, 5, 5) if model in IMAGE_AUTOENCODERS else matrix()


def weights(model):
    if not hasattr(model, "module_"):
        return {"cells_": model.cells_.copy()}
    return {name: w.numpy().copy() for name, w in model.module_.state_dict().items()}


def global_states():
    numpy_state = str(np.random.get_state())  # noqa: NPY002 - the global state is what is watched
    return numpy_state, torch.get_rng_state().tolist(), random.getstate()


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_the_same_seed_gives_the_same_answers_to_the_bit(model):
    X = rows_for(model)
    assert_same_answers(clone(model).fit(X), clone(model).fit(X), X)


@pytest.mark.parametrize("model", [*AUTOENCODERS, *IMAGE_AUTOENCODERS], ids=str)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(model):
    X = rows_for(model)
    first, second = weights(clone(model).fit(X)), weights(clone(model).fit(X))
    other = weights(clone(model).set_params(random_state=1).fit(X))
    assert all(same(first[name], second[name]) for name in first)
    assert any(not same(first[name], other[name]) for name in first)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_seed_gives_the_same_answers_on_mixed_tables(library):
    table = transactions(library)
    model = VariationalAutoencoder(2, random_state=0, **QUICK)
    assert_same_answers(clone(model).fit(table), clone(model).fit(table), table)


@pytest.mark.parametrize("seed", [0, 7, np.int64(7), 2**31 - 1])
def test_a_random_state_of_the_same_seed_is_that_seed_the_first_time(seed):
    X = matrix()
    by_number = Autoencoder(2, random_state=seed, **QUICK).fit(X)
    by_state = Autoencoder(2, random_state=np.random.RandomState(seed), **QUICK).fit(X)
    assert same(by_number.transform(X), by_state.transform(X))


def test_no_seed_differs_from_fit_to_fit():
    X = matrix()
    model = Autoencoder(2, **QUICK)
    assert not same(clone(model).fit(X).transform(X), clone(model).fit(X).transform(X))


@pytest.mark.parametrize("seed", [0, None])
@pytest.mark.parametrize("model", EVERY, ids=str)
def test_the_callers_random_states_are_left_alone(model, seed):
    np.random.seed(3)  # noqa: NPY002 - the global state is what is watched
    torch.manual_seed(3)
    before = global_states()
    fitted = clone(model).set_params(random_state=seed).fit(rows_for(model))
    assert global_states() == before
    answers(fitted, rows_for(model))
    if hasattr(fitted, "sample"):
        fitted.sample(3)
    assert global_states() == before


@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_partial_fit_leaves_the_callers_random_states_alone(model):
    before = global_states()
    clone(model).partial_fit(matrix()).partial_fit(matrix())
    assert global_states() == before


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_the_callers_seed_does_not_leak_into_a_fit(model):
    X = rows_for(model)
    torch.manual_seed(1)
    first = clone(model).fit(X)
    torch.manual_seed(2)
    assert_same_answers(first, clone(model).fit(X), X)


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_fitting_twice_is_fitting_afresh(model):
    X = rows_for(model)
    fresh = clone(model).fit(X)
    again = (
        clone(model)
        .fit(X[: len(X) // 2] if model in IMAGE_AUTOENCODERS else matrix(40, 3, seed=9))
        .fit(X)
    )
    assert_same_answers(fresh, again, X)


@pytest.mark.parametrize(
    "first",
    [matrix(40, 3), stack(24, 4, 4), transactions("pandas")],
    ids=["numbers", "images", "table"],
)
@pytest.mark.parametrize(
    "second",
    [matrix(), stack(24, 5, 5), transactions("polars")],
    ids=["numbers", "images", "table"],
)
def test_a_model_forgets_what_kind_of_data_it_was_fitted_to_before(first, second):
    model = Autoencoder(2, random_state=0, **QUICK)
    assert_same_answers(clone(model).fit(second), clone(model).fit(first).fit(second), second)


def test_a_fit_after_partial_fit_is_a_fresh_fit():
    X = matrix()
    model = Autoencoder(2, random_state=0, **QUICK)
    assert_same_answers(
        clone(model).fit(X), clone(model).partial_fit(matrix(40, 5, seed=1)).fit(X), X
    )


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_a_clone_has_the_parameters_and_nothing_learnt(model):
    fitted = clone(model).fit(rows_for(model))
    copied = clone(fitted)
    assert str(copied.get_params()) == str(model.get_params())
    assert not [name for name in vars(copied) if name.endswith("_") and not name.startswith("_")]
    assert_same_answers(fitted, copied.fit(rows_for(model)), rows_for(model))


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_fitting_leaves_the_parameters_as_they_were(model):
    fresh = clone(model)
    before = str(fresh.get_params())
    assert str(fresh.fit(rows_for(model)).get_params()) == before


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_a_pickled_model_answers_as_before(model):
    X = rows_for(model)
    fitted = clone(model).fit(X)
    assert_same_answers(fitted, pickle.loads(pickle.dumps(fitted)), X)  # noqa: S301


def fitted_codes(seed):
    return Autoencoder(2, random_state=seed, **QUICK).fit(matrix()).transform(matrix())


def test_parallel_jobs_give_what_one_job_gives():
    here = [fitted_codes(seed) for seed in range(3)]
    there = Parallel(n_jobs=2)(delayed(fitted_codes)(seed) for seed in range(3))
    assert all(same(a, b) for a, b in zip(here, there, strict=True))


def test_parallel_threads_give_what_one_thread_gives():
    here = [fitted_codes(seed) for seed in range(4)]
    there = Parallel(n_jobs=4, backend="threading")(
        delayed(fitted_codes)(seed) for seed in range(4)
    )
    assert all(same(a, b) for a, b in zip(here, there, strict=True))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_thread_counts_and_modes_are_restored(n_threads):
    before = torch.get_num_threads()
    torch.set_num_threads(n_threads)
    try:
        answers(Autoencoder(2, random_state=0, **QUICK).fit(matrix()), matrix())
        assert torch.get_num_threads() == n_threads
        assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(before)


def test_a_model_answers_the_same_on_one_thread_and_on_two():
    X = matrix(3000)
    model = Autoencoder(2, random_state=0, **QUICK).fit(X)
    before = torch.get_num_threads()
    try:
        given = []
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            given.append(model.transform(X))
    finally:
        torch.set_num_threads(before)
    assert same(*given)


@pytest.mark.parametrize("model", [m for m in EVERY if hasattr(m, "sample")], ids=str)
def test_samples_are_repeatable_by_seed_and_differ_without(model):
    fitted = clone(model).fit(rows_for(model))
    assert same(fitted.sample(9, random_state=4), fitted.sample(9, random_state=4))
    assert not same(fitted.sample(9, random_state=4), fitted.sample(9, random_state=5))
    assert not same(fitted.sample(9), fitted.sample(9))


@pytest.mark.parametrize("model", EVERY, ids=str)
def test_asking_changes_nothing_and_asking_twice_gives_the_same(model):
    X = rows_for(model)
    fitted = clone(model).fit(X)
    inner = getattr(fitted, "autoencoder_", fitted)
    before = weights(inner)
    assert_same_answers(fitted, fitted, X)
    assert all(same(before[name], w) for name, w in weights(inner).items())


@pytest.mark.parametrize("model", ESTIMATORS, ids=str)
def test_the_rows_are_left_as_they_were(model):
    X = matrix()
    X[::4, 1] = np.nan
    kept = X.copy()
    X.flags.writeable = False
    fitted = clone(model).fit(X)
    answers(fitted, X)
    assert same(X, kept)


# A detector keeps rows back for its calibration: its autoencoder sees others.
FITTED_ON_ALL = [task for task in TASKS if not isinstance(task, AnomalyDetector)]


@pytest.mark.parametrize("task", FITTED_ON_ALL, ids=str)
def test_the_seed_of_a_task_is_the_seed_of_its_autoencoder(task):
    X = matrix()
    inner = clone(task.autoencoder).set_params(random_state=5)
    by_task = clone(task).set_params(random_state=5).fit(X)
    assert same(by_task.autoencoder_.transform(X), inner.fit(X).transform(X))


@pytest.mark.parametrize("task", [FeatureExtractor, LatentSampler])
def test_a_task_without_a_seed_leaves_that_of_its_autoencoder(task):
    X = matrix()
    inner = Autoencoder(2, random_state=3, **QUICK)
    assert same(
        task(autoencoder=inner).fit(X).autoencoder_.transform(X), clone(inner).fit(X).transform(X)
    )


@pytest.mark.parametrize("model", [m for m in ESTIMATORS if hasattr(m, "score_samples")], ids=str)
def test_shuffled_rows_are_scored_as_before_in_their_new_order(model):
    X = matrix(500)
    order = np.random.default_rng(0).permutation(500)
    fitted = clone(model).fit(X)
    np.testing.assert_allclose(
        fitted.score_samples(X[order]), fitted.score_samples(X)[order], rtol=1e-10
    )


@pytest.mark.parametrize("model", ESTIMATORS, ids=str)
def test_single_precision_agrees_with_double(model):
    X = matrix().astype(np.float32)
    fitted = clone(model).fit(X)
    single, double = answers(fitted, X), answers(fitted, X.astype(np.float64))
    # The noise of a variational score comes from the bits of the row: it agrees on average only.
    by_noise = {"score_samples"} if isinstance(model, VariationalAutoencoder) else set()
    for name in single.keys() - {"predict", "sample"} - by_noise:
        np.testing.assert_allclose(single[name], double[name], rtol=1e-3, atol=2e-4)
