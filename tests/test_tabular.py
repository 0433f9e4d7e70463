"""Answers become frames of the user's library, and tables of a notebook."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import AnomalyDetector, Autoencoder, AutoencoderImputer, MaskedAutoencoder
from latently.inspection import check, describe_latents

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
        autoencoder=MaskedAutoencoder(max_epochs=1, n_trees=4), random_state=0
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
