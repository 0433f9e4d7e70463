"""Memory is estimated before it is allocated, and an error names the remedy."""

import numpy as np
import pytest

from latently import (
    Autoencoder,
    AutoencoderImputer,
    DenseNetwork,
    EnsembleAutoencoder,
    ImputationAutoencoder,
    NeighborAutoencoder,
    fit_seeds,
    fit_sizes,
)
from latently.exceptions import ResourceError
from tests.contract.samples import matrix

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}


def free(monkeypatch, n_bytes):
    monkeypatch.setattr("latently.io._resources.free_memory", lambda: n_bytes)


def test_an_imputation_of_very_many_columns_is_refused_before_anything_is_learnt(monkeypatch):
    free(monkeypatch, 2**34)
    X = np.random.default_rng(0).normal(size=(40, 100_000)).astype(np.float32)
    with pytest.raises(ResourceError, match=r"100,000 encoded elements.*GiB are free"):
        AutoencoderImputer().fit(X)


@pytest.mark.parametrize(
    ("model", "n_bytes", "words"),
    [
        (ImputationAutoencoder(8, n_networks=1, n_trees=4, **QUICK), 3_000, "depend on each other"),
        (NeighborAutoencoder(random_state=0), 20_000, "A memory of 60 rows"),
        (Autoencoder(2, **QUICK), 5_500, "PCA of"),
    ],
    ids=["pairs", "memory", "pca"],
)
def test_a_fit_that_does_not_fit_is_refused(model, n_bytes, words, monkeypatch):
    free(monkeypatch, n_bytes)
    with pytest.raises(ResourceError, match=words):
        model.fit(matrix())


#: Memory for a few models of this size.
MEMBER = Autoencoder(1, network=DenseNetwork((1,)), max_memory=20_000, **QUICK)


@pytest.mark.parametrize(
    "fit",
    [
        lambda n, X: EnsembleAutoencoder(MEMBER, n_estimators=n, random_state=0).fit(X),
        lambda n, X: EnsembleAutoencoder(MEMBER, n_estimators=n, random_state=0).partial_fit(X),
        lambda n, X: fit_seeds(MEMBER, X, n),
        lambda n, X: fit_sizes(MEMBER, X, [1] * n),
    ],
    ids=["ensemble", "stream", "seeds", "sizes"],
)
def test_models_that_fit_one_by_one_and_not_together_are_refused(fit):
    assert fit(2, matrix()) is not None
    with pytest.raises(ResourceError, match=r"Training 900 networks of \d+ parameters needs about"):
        fit(900, matrix())


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda model, X: model.sample(10**12), "Generating"),
        (lambda model, X: model.interpolate(X[:1], X[1:2], 10**12), "Interpolating"),
    ],
    ids=["sample", "interpolate"],
)
def test_more_rows_than_there_is_memory_for_are_refused(ask, words):
    model = Autoencoder(2, **QUICK).fit(matrix())
    with pytest.raises(ResourceError, match=words):
        ask(model, matrix())


def test_more_drawn_tables_than_there_is_memory_for_are_refused():
    X = matrix()
    X[0, 0] = np.nan
    model = ImputationAutoencoder(8, n_networks=1, n_trees=4, **QUICK)
    imputer = AutoencoderImputer(autoencoder=model).fit(X)
    with pytest.raises(ResourceError, match="Draw fewer tables"):
        imputer.impute(X, 10**9)
