"""Reports and pictures of frames with gaps, and colours with gaps, from any library."""

import datetime as dt

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderImputer,
    ImputationAutoencoder,
    LatentSampler,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, DataWarning
from latently.report import (
    make_report,
    plot_anomalies,
    plot_explanation,
    plot_fills,
    plot_map,
    plot_reconstructions,
)

N_ROWS = 40
GAPS = np.arange(N_ROWS) % 5 == 0


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def nullable():
    """Return a pandas frame of each type that can have gaps, with names for its rows."""
    rng = np.random.default_rng(0)
    words, days = rng.choice(["x", "y"], N_ROWS), pd.date_range("2024", periods=N_ROWS, freq="h")
    columns = {
        "float": pd.Series(rng.normal(size=N_ROWS)),
        "Float64": pd.Series(rng.normal(size=N_ROWS), dtype="Float64"),
        "Int64": pd.Series(rng.integers(0, 9, N_ROWS), dtype="Int64"),
        "boolean": pd.Series(rng.random(N_ROWS) < 0.5, dtype="boolean"),
        "string": pd.Series(words, dtype="string"),
        "object": pd.Series(words, dtype=object),
        "category": pd.Series(words, dtype="category"),
        "ordered": pd.Series(pd.Categorical(words, ["y", "x"], ordered=True)),
        "when": pd.Series(days),
        "zone": pd.Series(days.tz_localize("Europe/Berlin")),
        "length": pd.Series(pd.to_timedelta(rng.integers(0, 99, N_ROWS), unit="s")),
        "arrow int": pd.Series(rng.integers(0, 9, N_ROWS), dtype="int64[pyarrow]"),
        "arrow text": pd.Series(words, dtype="string[pyarrow]"),
        "arrow truth": pd.Series(rng.random(N_ROWS) < 0.5, dtype="bool[pyarrow]"),
        "arrow day": pd.Series([dt.date(2024, 1, 1 + i % 28) for i in range(N_ROWS)]).astype(
            "date32[day][pyarrow]"
        ),
    }
    table = pd.DataFrame({name: column.mask(GAPS) for name, column in columns.items()})
    table["whole"] = rng.normal(size=N_ROWS)
    return table.set_axis([f"row {i}" for i in range(N_ROWS)])


FRAMES = {
    "pandas": nullable(),
    "polars": pl.from_pandas(nullable().reset_index(drop=True)),
    "pyarrow": pa.Table.from_pandas(nullable(), preserve_index=False),
}
MODELS = {
    "plain": Autoencoder(2, max_epochs=1, random_state=0),
    "variational": VariationalAutoencoder(2, max_epochs=1, random_state=0),
    "detector": AnomalyDetector(random_state=0),
    "imputer": AutoencoderImputer(autoencoder=ImputationAutoencoder(max_epochs=1), random_state=0),
    "sampler": LatentSampler(autoencoder=Autoencoder(2, max_epochs=1), random_state=0),
}


@pytest.mark.parametrize(
    ("library", "name"),
    [*(("pandas", name) for name in MODELS), ("polars", "plain"), ("pyarrow", "plain")],
)
def test_a_report_on_a_frame_with_gaps_is_made_for_every_task(library, name):
    X = FRAMES[library]
    told = str(make_report(MODELS[name].fit(X), X).to_dict())
    assert "<NA>" not in told and "NaT" not in told


def test_a_column_with_gaps_colours_the_map_of_a_report():
    X = FRAMES["pandas"]
    assert "Coloured by Int64" in make_report(MODELS["plain"].fit(X), X, color="Int64").html
    with pytest.warns(DataWarning, match="color is for the map"):
        make_report(MODELS["detector"].fit(X), X, color="Int64")


@pytest.mark.parametrize("library", FRAMES)
def test_every_picture_is_drawn_of_a_frame_with_gaps(library):
    X = FRAMES[library]
    model, detector = MODELS["plain"].fit(X), MODELS["detector"].fit(X)
    figure = plot_reconstructions(model, X)
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert any(text.startswith("missing, ") for text in texts)  # row 0 is a gap
    plot_map(model, X)
    plot_anomalies(detector, X)
    found = detector.explain(X)
    plot_explanation(found)
    assert "NA" not in str(found)
    plot_fills(MODELS["imputer"].fit(X))


def kinds_of_labels():
    """Return the same labels, of which each fifth is missing, as all libraries hold them."""
    numbers = [None if gap else i % 3 for i, gap in enumerate(GAPS)]
    words = [None if number is None else "abc"[number] for number in numbers]
    series = pd.Series(numbers, dtype="Int64", index=range(9, 9 + N_ROWS), name="kind")
    return {
        "Int64": series,
        "Float64": series.astype("Float64"),
        "arrow": series.astype("int64[pyarrow]"),
        "float": series.astype("float64"),
        "list": numbers,
        "array": np.array(numbers, dtype=float),
        "polars": pl.Series("kind", numbers),
        "pyarrow": pa.array(numbers),
        "chunks": pa.chunked_array([numbers[:10], numbers[10:]]),
        "objects": pd.Series([pd.NA if n is None else n for n in numbers], dtype=object),
        "words": words,
        "string": pd.Series(words, dtype="string"),
        "category": pd.Series(words, dtype="category"),
        "enum": pl.Series(words, dtype=pl.Enum(["c", "b", "a"])),
        "array of words": np.array(words, dtype=object),
        "dictionary": pa.array(words).dictionary_encode(),
    }


TEXTS = ("words", "string", "category", "enum", "array of words", "dictionary")


@pytest.mark.parametrize("kind", kinds_of_labels())
def test_labels_of_any_library_colour_a_map_and_their_gaps_are_grey(kind):
    labels = kinds_of_labels()[kind]
    X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
    figure = plot_map(MODELS["plain"].fit(X), X, labels)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    is_number = kind not in TEXTS
    names = ["0", "1", "2"] if is_number else ["a", "b", "c"]
    assert [text.partition(" (")[0] for text in legend] == ["missing", *names]
    assert legend[0] == "missing (8)"


@pytest.mark.parametrize(
    "amounts",
    [
        pd.Series(np.arange(N_ROWS), dtype="Int64").mask(GAPS),
        pl.Series(pd.date_range("2024", periods=N_ROWS)),
        pd.Series(pd.date_range("2024", periods=N_ROWS, tz="UTC")).mask(GAPS),
        np.where(GAPS, np.nan, np.arange(N_ROWS)),
    ],
)
def test_amounts_with_gaps_have_a_colour_bar(amounts):
    X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
    figure = plot_map(MODELS["plain"].fit(X), X, amounts, label="amount")
    assert len(figure.axes) == 2 and "coloured by amount" in figure.axes[0].get_title(loc="left")


def test_labels_that_are_all_missing_leave_the_map_grey():
    X = np.random.default_rng(0).normal(size=(N_ROWS, 3))
    figure = plot_map(MODELS["plain"].fit(X), X, [None] * N_ROWS)
    assert figure.axes[0].collections


@pytest.mark.parametrize(
    "known", [pd.Series([True, False], dtype="boolean"), pl.Series([1, 0]), np.array([-1, 1])]
)
def test_known_anomalies_of_any_library_are_counted(known):
    figure = plot_anomalies([1.0, 2.0], y=known)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend[:2] == ["1 normal row", "1 known anomaly"]


@pytest.mark.parametrize("known", [[True, None], ["yes", "no"], [0, 2], [1.0, np.nan]])
def test_anomalies_that_are_neither_known_nor_unknown_are_refused(known):
    with pytest.raises(DataError, match="y must be True or False, 1 or 0"):
        plot_anomalies([1.0, 2.0], y=known)
