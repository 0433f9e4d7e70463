"""Answers become frames of the user's library, and tables of a notebook."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import AnomalyDetector, Autoencoder, AutoencoderImputer, ImputationAutoencoder
from latently.inspection import (
    check,
    compare,
    describe_latents,
    inspect,
    score_factors,
    stability,
)
from latently.tuning import LearningCurve, RepeatedScore, SearchReport, Standing

LIBRARIES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}


def rows(library, n_rows=120):
    rng = np.random.default_rng(0)
    x = rng.normal(size=n_rows)
    words = rng.choice(["a", "<b>"], n_rows)
    columns = {"x": x, "y": x + 0.1 * rng.normal(size=n_rows), "word": words}
    return {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library](columns)


def answers(given):
    model = Autoencoder(2, max_epochs=5, random_state=0).fit(given)
    imputer = AutoencoderImputer(
        autoencoder=ImputationAutoencoder(max_epochs=1, n_trees=4), random_state=0
    ).fit(given)
    detector = AnomalyDetector(random_state=0).fit(given)
    return {
        "history": model.history_,
        "latents": describe_latents(model, given),
        "health": check(model, given),
        "fills": imputer.fill_report_,
        "reasons": detector.explain(given),
    }


@pytest.fixture(scope="module", params=LIBRARIES)
def library(request):
    return request.param, answers(rows(request.param))


@pytest.mark.parametrize("name", ["history", "latents", "health", "fills", "reasons"])
def test_every_answer_becomes_a_frame_of_any_library(library, name):
    answer = library[1][name]
    n_rows = len(next(iter(answer.columns().values())))
    for wanted, kind in LIBRARIES.items():
        frame = answer.to_frame(wanted)
        assert isinstance(frame, kind)
        assert len(frame) == n_rows


@pytest.mark.parametrize("name", ["fills", "reasons"])
def test_answers_about_rows_come_in_the_library_of_the_rows(library, name):
    assert isinstance(library[1][name].to_frame(), LIBRARIES[library[0]])


@pytest.mark.parametrize("name", ["history", "latents", "health", "fills", "reasons"])
def test_a_notebook_shows_a_table_in_which_texts_are_escaped(library, name):
    answer = library[1][name]
    page = answer._repr_html_()
    assert page.startswith("<table>")
    assert page.count("<tr>") <= 61
    assert "<b>" not in page


def test_an_unknown_library_is_refused(library):
    with pytest.raises(ValueError, match="library"):
        library[1]["history"].to_frame("dask")


def test_reasons_of_a_frame_with_an_index_name_its_labels():
    given = rows("pandas").set_axis([f"id{i}" for i in range(120)])
    found = AnomalyDetector(random_state=0).fit(given).explain(given[:3])
    assert set(found.to_frame()["row"]) == {"id0", "id1", "id2"}


# ---------------------------------------------------------------- every answer that people print
def all_answers():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3)) @ rng.normal(size=(3, 4))
    model = Autoencoder(2, ordered=True, max_epochs=3, random_state=0).fit(X)
    detector = AnomalyDetector(random_state=0).fit(X)
    codes = model.transform(X)
    again = Autoencoder(2, max_epochs=3, random_state=1).fit(X)
    folds = ((0.1, 0.2), (0.3, 0.4))
    standings = tuple(Standing(name, 0.5, 0.4) for name in ("tuned", "default", "PCA"))
    return {
        "threshold": (detector.threshold_, 1),
        "drift": (detector.drift(X), 5),
        "facts": (inspect(model), 4),
        "comparison": (compare(X, X[::-1] + 0.1), 4),
        "curve of sizes": (model.components_curve_, 2),
        "baselines": (model.baselines_, 3),
        "factors": (score_factors(codes, codes), 6),
        "stability": (stability([model, again], X), 2),
        "search": (SearchReport("R2", standings, 10, 10, 2, 3, 0, 0), 3),
        "score": (RepeatedScore((0.1, 0.2), 0.15, 0.0, 0.3, 0.95), 2),
        "learning curve": (LearningCurve((10, 20), folds, folds, folds, 5), 4),
        "image reasons": (
            AnomalyDetector(random_state=0)
            .fit(rng.random((40, 6, 6)))
            .explain(rng.random((3, 6, 6))),
            3,
        ),
    }


NAMES = (
    "threshold", "drift", "facts", "comparison", "curve of sizes", "baselines", "factors",
    "stability", "search", "score", "learning curve", "image reasons",
)  # fmt: skip


@pytest.fixture(scope="module")
def printed():
    return all_answers()


@pytest.mark.parametrize("name", NAMES)
def test_what_people_print_has_a_frame_a_text_and_a_table(printed, name):
    answer, n_rows = printed[name]
    assert len(answer.to_frame("pandas")) == n_rows
    text = str(answer)
    assert text and type(answer).__name__ not in text and "array(" not in text
    assert repr(answer) == text
    page = answer._repr_html_()
    assert page.count("<tr>") == n_rows + 1 and "array(" not in page


def test_the_frame_of_a_threshold_has_its_cut_and_its_reason(printed):
    threshold = printed["threshold"][0]
    (row,) = threshold.to_frame("pandas").to_dict("records")
    assert row["cut"] == threshold.cut and row["reason"] == threshold.reason
    assert threshold.reason in threshold._repr_html_()


def test_long_answers_are_cut_where_they_are_shown_but_not_where_they_are_printed():
    found = AnomalyDetector(random_state=0)
    X = np.random.default_rng(0).normal(size=(120, 3))
    reasons = found.fit(X).explain(X)
    assert len(str(reasons).splitlines()) == 120
    assert repr(reasons).splitlines()[60:] == ["and 60 more lines"]
    assert repr(reasons[0]) == str(reasons[0])


def test_a_history_prints_its_evaluations_and_why_it_ended():
    history = Autoencoder(2, max_epochs=3, random_state=0).fit(np.eye(40)).history_
    lines = str(history).splitlines()
    assert lines[0].split()[:2] == ["step", "epoch"]
    assert len(lines) == len(history) + 2 and lines[-1].startswith("stopped: finished, best step")


def test_what_a_latent_moves_is_in_words():
    X = rows("pandas")
    found = describe_latents(Autoencoder(2, max_epochs=5, random_state=0).fit(X), X)
    assert "Move(" not in "".join(found.to_frame("pandas")["moves"])
