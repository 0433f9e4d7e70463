"""Scores of distant rows are finite and ordered, and distant training rows are named."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from latently import AnomalyDetector, Autoencoder, NeighborAutoencoder
from latently.exceptions import DataWarning, DivergenceError
from tests.contract.estimators import AUTOENCODERS, ENSEMBLES, MASKED, MEMORIES

pytestmark = pytest.mark.trust("numbers")

FAR = (1e3, 1e8, 0.9e9, 1.1e9, 1e12, 1e18, 1e19, 3e19, 1e25, 1e37)


def training_rows(dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 6))).astype(dtype)


@pytest.mark.parametrize("model", [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED], ids=str)
@pytest.mark.parametrize("columns", [[0], [2, 3], list(range(6))], ids=str)
def test_a_row_that_lies_further_out_does_not_score_as_less_unusual(model, columns):
    fitted = clone(model).fit(training_rows(np.float32))
    for sign in (1, -1):
        rows = np.zeros((len(FAR), 6), np.float32)
        rows[:, columns] = sign * np.array(FAR)[:, None]
        scores = -fitted.score_samples(rows)
        assert np.isfinite(scores).all()
        assert (np.diff(scores) >= 0).all()


@pytest.mark.parametrize("autoencoder", [None, Autoencoder(2, max_epochs=2, random_state=0)])
def test_everything_a_detector_answers_about_far_rows_is_finite(autoencoder):
    detector = AnomalyDetector(autoencoder=autoencoder, random_state=0).fit(training_rows())
    rows = np.zeros((2, 6))
    rows[0, 1], rows[1] = 1e30, -1e20
    scores = detector.score_samples(rows)
    assert np.isfinite(scores).all() and np.isfinite(detector.cell_scores(rows)).all()
    assert (detector.predict(rows) == -1).all()
    assert [detector.stream().score(row)[0] for row in rows] == pytest.approx(list(-scores))


def test_a_far_row_leaves_the_others_of_its_batch_alone():
    fitted = NeighborAutoencoder(random_state=0).fit(training_rows())
    rows = training_rows()[:40] + 0.1
    before = fitted.score_samples(rows)
    rows[7] = 1e25
    others = np.arange(40) != 7
    np.testing.assert_array_equal(fitted.score_samples(rows)[others], before[others])


@pytest.mark.parametrize(
    ("kind", "name"),
    [(np.asarray, "2"), (pd.DataFrame, "'2'"), (pl.DataFrame, "'column_2'")],
    ids=["array", "pandas", "polars"],
)
@pytest.mark.parametrize(
    "model", [Autoencoder(2, max_epochs=1), NeighborAutoencoder(), AnomalyDetector()], ids=str
)
def test_a_training_row_that_far_is_named(kind, name, model):
    rows = training_rows()
    rows[123, 2] = -3e19
    data = kind(rows)
    if isinstance(data, pd.DataFrame):
        data.columns = data.columns.astype(str)
    with pytest.warns(DataWarning, match=rf"Row 123 holds -3e\+19 in column {name}, \de\+"):
        clone(model).fit(data)


def test_a_chunk_of_further_training_names_it_as_well():
    fitted = Autoencoder(2, max_epochs=1, random_state=0).fit(training_rows())
    chunk = training_rows()[:20]
    chunk[3, 0] = 1e30
    named = pytest.warns(DataWarning, match=r"Row 3 holds 1e\+30 in column 0")
    with named, pytest.raises(DivergenceError, match="check the data for extreme values"):
        fitted.partial_fit(chunk)


@pytest.mark.parametrize("size", [1e18, 1e30])
def test_columns_whose_numbers_are_all_large_are_not_named(size):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Autoencoder(2, max_epochs=1, random_state=0).fit(training_rows() * size)
