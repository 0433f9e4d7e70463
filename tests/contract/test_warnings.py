"""Warnings are issued once per call, joined over columns, at the line of the caller."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderImputer,
    AutoencoderSearchCV,
    DenoisingAutoencoder,
    EnsembleAutoencoder,
    FeatureExtractor,
    ImputationAutoencoder,
    NeighborAutoencoder,
    SparseAutoencoder,
    make_report,
)
from latently.exceptions import DataWarning
from latently.io import TableDataset, write

QUICK = Autoencoder(1, max_epochs=1, random_state=0)


def table(n_rows=240):
    """Return rows with two columns of too many texts and one without values."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.normal(size=n_rows),
            "name": [f"n{i}" for i in rng.permutation(n_rows)],
            "street": [f"s{i % 130}" for i in range(n_rows)],
            "k": rng.choice(["x", "y"], n_rows),
            "empty": np.nan,
        }
    )


def said(call):
    """Return the warnings of a call, all of which must be of this package."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    assert all(issubclass(one.category, DataWarning) for one in caught), [str(w) for w in caught]
    return [(str(one.message), one.filename) for one in caught]


FITS = {
    "fit": lambda X: clone(QUICK).fit(X),
    "memory": lambda X: NeighborAutoencoder(random_state=0).fit(X),
    "ensemble": lambda X: EnsembleAutoencoder(QUICK, n_estimators=3, random_state=0).fit(X),
    "detector": lambda X: AnomalyDetector(random_state=0).fit(X),
    "imputer": lambda X: AutoencoderImputer(
        autoencoder=ImputationAutoencoder(max_epochs=1), random_state=0
    ).fit(X),
    "pipeline": lambda X: make_pipeline(clone(QUICK)).fit(X),
    "grid search": lambda X: GridSearchCV(
        QUICK, {"learning_rate": [1e-3, 2e-3], "weight_decay": [0.0, 0.1]}, cv=3
    ).fit(X),
    "random search": lambda X: RandomizedSearchCV(
        QUICK, {"learning_rate": [1e-3, 2e-3]}, n_iter=2, cv=2, random_state=0
    ).fit(X),
    "cross-validation": lambda X: cross_val_score(QUICK, X, cv=3),
    "tuning": lambda X: AutoencoderSearchCV(
        QUICK, {"learning_rate": (1e-3, 1e-2)}, n_trials=2, random_state=0
    ).fit(X),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_warns_once_of_all_columns_of_one_kind_however_many_models_it_trains(name):
    found = said(partial(FITS[name], table()))
    texts = [text for text, _ in found]
    assert sum("different values" in text for text in texts) == 1
    assert sum("hold no value at all" in text for text in texts) == 1
    assert sum("not among" in text for text in texts) <= 1
    assert len(found) <= 3
    assert {file for _, file in found} == {__file__}
    assert "Each of the columns 'name' (" in texts[0] and "'street' (" in texts[0]


def test_each_fit_warns_anew():
    X = table()
    model = Autoencoder(1, max_epochs=1, random_state=0)
    assert len(said(lambda: model.fit(X))) == len(said(lambda: model.fit(X))) == 2


def test_two_searches_in_a_row_warn_of_their_own_columns():
    X = table().drop(columns="empty")
    for name in ("name", "street"):
        search = GridSearchCV(QUICK, {"weight_decay": [0.0, 0.1]}, cv=2)
        texts = [text for text, _ in said(lambda s=search, n=name: s.fit(X[["a", n]]))]
        assert sum(f"Column '{name}' holds" in text for text in texts) >= 1
        assert len(texts) <= 2


ANSWERS = {
    "detector": ("predict", "decision_function", "explain", "p_values"),
    "imputer": ("transform",),
    "fit": ("transform", "reconstruct", "score_samples", make_report),
}


@pytest.mark.parametrize(("name", "method"), [(n, m) for n in ANSWERS for m in ANSWERS[n]])
def test_an_answer_warns_once_of_unseen_values_and_once_of_values_beyond_the_limit(name, method):
    X = table()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = FITS[name](X)
    # Rows of fit, of which one category is new: what fit saw is not called unseen.
    rows = X.assign(k=np.where(np.arange(len(X)) < 3, "new", X["k"]))
    answer = partial(method, model) if callable(method) else getattr(model, method)
    texts = [text for text, _ in said(lambda: answer(rows))]
    unseen = [text for text in texts if "never seen in fit" in text]
    assert unseen == [
        "Column 'k' holds 3 values never seen in fit, for example 'new'; they count as unknown."
    ]
    (beyond,) = (text for text in texts if "not among the 100 categories kept in fit" in text)
    assert "'name' (" in beyond and "'street' (" in beyond


def test_the_cells_of_a_dataset_are_counted_over_all_its_pieces(tmp_path):
    model = clone(QUICK).fit(pd.DataFrame({"a": [0.0, 1.0] * 20, "k": ["x", "y"] * 20}))
    for part in range(3):
        write(
            pl.DataFrame({"a": [0.5] * 4, "k": ["z"] * 4}).to_arrow(), tmp_path / f"{part}.parquet"
        )
    (text,) = (text for text, _ in said(lambda: model.transform(TableDataset(tmp_path))))
    assert text.startswith("Column 'k' holds 12 values never seen in fit, for example 'z'")


@pytest.mark.parametrize(
    "model",
    [
        Autoencoder(1, max_categories=240, max_epochs=1, random_state=0),
        ImputationAutoencoder(max_categories=240, max_epochs=1, random_state=0),
        NeighborAutoencoder(max_categories=240, random_state=0),
    ],
)
def test_max_categories_raises_the_limit(model):
    X = table().drop(columns="empty")
    assert said(lambda: model.fit(X)) == []
    widths = {codec.name: len(codec.categories) for codec in model.preprocessor_.codecs}
    assert widths == {"name": 240, "street": 130, "k": 2}
    assert said(lambda: model.score_samples(X)) == []


def test_the_limit_says_how_it_is_raised():
    (text, *_) = (text for text, _ in said(lambda: clone(QUICK).fit(table())))
    assert "the 100 most frequent are kept" in text
    assert "raise max_categories of the autoencoder" in text
    model = Autoencoder(1, max_categories=1, max_epochs=1, random_state=0)
    (text, *_) = (text for text, _ in said(lambda: model.fit(table()[["a", "k"]])))
    assert text.startswith("Column 'k' holds 2 different values; the 1 most frequent are kept")


TASKS = {
    "detector": lambda X: AnomalyDetector(random_state=0).fit(X),
    "imputer": FITS["imputer"],
    "extractor": lambda X: FeatureExtractor(autoencoder=clone(QUICK), random_state=0).fit(X),
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("start", [0, 1])
@pytest.mark.parametrize("library", [np.asarray, pd.DataFrame, pl.DataFrame])
def test_a_column_that_counts_the_rows_is_called_an_identifier(task, start, library):
    values = np.random.default_rng(0).normal(size=(60, 2))
    values[:, 0] = np.arange(start, 60 + start)
    if library is np.asarray:
        rows, name = values, "0"
    else:
        rows = library({"index": values[:, 0].astype(int), "x": values[:, 1]})
        name = "'index'"
    (text,) = (text for text, _ in said(lambda: TASKS[task](rows)))
    assert text.startswith(f"These columns look like identifiers, one value a row in order: {name}")


def test_a_text_of_its_own_in_each_row_is_called_an_identifier():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"x": rng.normal(size=50), "name": [f"n{i}" for i in range(50)]})
    (text,) = (text for text, _ in said(lambda: TASKS["detector"](rows)))
    assert "look like identifiers" in text and "'name'" in text


def test_healthy_columns_are_no_identifiers():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "age": rng.integers(0, 90, 120),
            "rank": rng.permutation(120),
            "hours": np.arange(120) % 24,
            "year": np.arange(120) // 10,
            "every other": 2 * np.arange(120),
            "when": pd.date_range("2024", periods=120, freq="h"),
            "k": rng.choice(["x", "y"], 120),
        }
    )
    assert said(lambda: TASKS["detector"](rows)) == []


@pytest.mark.parametrize("task", TASKS)
def test_three_rows_are_called_very_few(task):
    texts = [text for text, _ in said(lambda: TASKS[task](np.eye(3)))]
    assert "3 rows are very few to learn from" in " ".join(texts)


def test_a_task_warns_of_a_code_larger_than_the_row_where_it_may_copy_it():
    X = np.random.default_rng(0).normal(size=(60, 4))

    def found(model):
        return [text for text, _ in said(lambda: FeatureExtractor(autoencoder=model).fit(X))]

    (text,) = found(Autoencoder(5, max_epochs=1))
    assert text.startswith("n_components=5 is more than the 4 numbers")
    assert found(Autoencoder(4, max_epochs=1)) == []
    assert found(DenoisingAutoencoder(5, max_epochs=1)) == []
    assert found(SparseAutoencoder(8, max_epochs=1)) == []
