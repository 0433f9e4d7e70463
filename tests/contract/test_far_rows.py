"""Scores of distant rows are finite and ordered, and distant training rows are named."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    ImputationAutoencoder,
    NeighborAutoencoder,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, DataWarning, DivergenceError
from tests.contract.estimators import AUTOENCODERS, ENSEMBLES, MASKED, MEMORIES

pytestmark = pytest.mark.trust("numbers")

FAR = (1e3, 1e8, 0.9e9, 1.1e9, 1e12, 1e18, 1e19, 3e19, 1e25, 1e37, 1e38, 3.4e38)
FARTHER = (*FAR, 1e39, 1e100, 1e154, 1e200, 1e300, 1.7e308)


QUICK = {"max_epochs": 1, "random_state": 0}
DETECTORS = [
    None,
    NeighborAutoencoder(robust=True, random_state=0),
    Autoencoder(2, **QUICK),
    VariationalAutoencoder(2, **QUICK),
    ImputationAutoencoder(8, n_networks=1, n_trees=4, **QUICK),
]


def far_rows(columns, sign=1):
    """Return rows of zeros with ever larger numbers, in single and in double precision."""
    made = []
    for dtype, numbers in ((np.float32, FAR), (np.float64, FARTHER)):
        rows = np.zeros((len(numbers), 6), dtype)
        rows[:, columns] = sign * np.array(numbers)[:, None]
        made.append(rows)
    return made


def training_rows(dtype=np.float64):
    rng = np.random.default_rng(0)
    return (rng.normal(size=(300, 3)) @ rng.normal(size=(3, 6))).astype(dtype)


@pytest.mark.parametrize("model", [*AUTOENCODERS, *MEMORIES, *ENSEMBLES, *MASKED], ids=str)
@pytest.mark.parametrize("columns", [[0], [2, 3], list(range(6))], ids=str)
def test_a_row_that_lies_further_out_does_not_score_as_less_unusual(model, columns):
    fitted = clone(model).fit(training_rows(np.float32))
    for sign in (1, -1):
        for rows in far_rows(columns, sign):
            scores = -fitted.score_samples(rows)
            assert np.isfinite(scores).all()
            assert (np.diff(scores) >= 0).all()


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, list, "integers"], ids=str)
@pytest.mark.parametrize("columns", [[0], list(range(6))], ids=str)
@pytest.mark.parametrize("autoencoder", DETECTORS, ids=str)
def test_the_same_holds_for_what_a_detector_answers_of_any_container(autoencoder, columns, kind):
    rows, train = far_rows(columns)[1], training_rows()
    if kind == "integers":
        rows = np.array([[int(cell) for cell in row] for row in rows], dtype=object)
    elif kind is list:
        rows = rows.tolist()
    else:
        names = list("abcdef")
        train, rows = (pd.DataFrame(x, columns=names) for x in (train, rows))
        train, rows = (
            x if kind is pd.DataFrame else kind(x.to_dict("list")) for x in (train, rows)
        )
    detector = AnomalyDetector(autoencoder=autoencoder, random_state=0).fit(train)
    scores, p_values = -detector.score_samples(rows), detector.p_values(rows)
    assert np.isfinite(scores).all() and np.isfinite(p_values).all()
    assert (np.diff(scores) >= 0).all() and (np.diff(p_values) <= 0).all()
    assert (np.diff(detector.predict(rows)) <= 0).all() and detector.predict(rows)[-1] == -1
    assert np.isfinite(detector.cell_scores(rows)).all()
    words = f"{detector.explain(rows[-1:])}{detector.drift(rows)}"
    assert "nan" not in words and "inf" not in words


@pytest.mark.parametrize("autoencoder", [None, Autoencoder(2, max_epochs=2, random_state=0)])
def test_everything_a_detector_answers_about_far_rows_is_finite(autoencoder):
    detector = AnomalyDetector(autoencoder=autoencoder, random_state=0).fit(training_rows())
    rows = np.zeros((2, 6))
    rows[0, 1], rows[1] = 1e300, -1e20
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


def test_whole_numbers_beyond_64_bits_in_a_frame_are_refused_with_the_way_out():
    rows = pd.DataFrame({"a": pd.Series([10**30, 1] * 10, dtype=object), "b": np.arange(20.0)})
    with pytest.raises(DataError, match=r"Column .a. holds integers beyond 64 bits\. Convert"):
        AnomalyDetector(random_state=0).fit(rows)
