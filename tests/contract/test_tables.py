"""Frames of three libraries keep names, types, categories, order and index."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderDenoiser,
    AutoencoderImputer,
    DenoisingAutoencoder,
    FeatureExtractor,
    VariationalAutoencoder,
)
from latently.exceptions import DataError, DataWarning
from tests.contract.estimators import AUTOENCODERS, ESTIMATORS
from tests.contract.samples import LIBRARIES, TWINS, columns, matrix, same, to_arrow, transactions

pytestmark = pytest.mark.long

QUICK = {"max_epochs": 2, "random_state": 0, "engine": "cpu"}
SCORERS = [model for model in ESTIMATORS if hasattr(model, "score_samples")]


def schema(frame):
    """Return the names and the native types of the columns."""
    if isinstance(frame, pd.DataFrame):
        return {name: frame[name].dtype for name in frame}
    return dict(frame.schema) if isinstance(frame, pl.DataFrame) else frame.schema


def concatenated(table, times):
    """Return a table followed by itself, in its own library."""
    if isinstance(table, pd.DataFrame):
        return pd.concat([table] * times, ignore_index=True)
    return (
        pl.concat([table] * times)
        if isinstance(table, pl.DataFrame)
        else pa.concat_tables([table] * times)
    )


# ---------------------------------------------------------------- what comes back
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_rows_come_back_with_their_columns_and_types(model, library):
    table = transactions(library)
    fitted = clone(model).fit(table)
    decoded = fitted.inverse_transform(fitted.transform(table))
    for rebuilt in (fitted.reconstruct(table), decoded, fitted.sample(7, random_state=0)):
        assert type(rebuilt) is type(table)
        assert schema(rebuilt) == schema(table)


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_complete_table_is_rebuilt_without_gaps(library):
    table = transactions(library)
    rebuilt = Autoencoder(2, **QUICK).fit(table).reconstruct(table)
    assert to_arrow(rebuilt).num_rows == 200
    assert sum(column.null_count for column in to_arrow(rebuilt).columns) == 0


def test_the_row_index_of_pandas_is_kept():
    table = transactions("pandas").set_axis([f"row {i}" for i in range(200)])
    model = Autoencoder(2, **QUICK).fit(table)
    assert model.reconstruct(table[5:9]).index.equals(table.index[5:9])
    assert (
        AutoencoderImputer(autoencoder=model).fit(table).transform(table).index.equals(table.index)
    )


def test_an_index_with_repeated_labels_does_no_harm():
    table = transactions("pandas").set_axis([0] * 200)
    model = Autoencoder(2, **QUICK).fit(table)
    assert same(model.transform(table), model.transform(transactions("pandas")))
    assert len(model.reconstruct(table)) == 200


PANDAS_TYPES = {
    "int8": pd.Series([1, 2, 3] * 10, dtype="int8"),
    "uint16": pd.Series([1, 2, 3] * 10, dtype="uint16"),
    "int64": pd.Series([1, 2, 3] * 10),
    "float32": pd.Series([1, 2.5, 3] * 10, dtype="float32"),
    "Int64": pd.Series([1, None, 3] * 10, dtype="Int64"),
    "Float64": pd.Series([1, None, 3] * 10, dtype="Float64"),
    "bool": pd.Series([True, False, True] * 10),
    "boolean": pd.Series([True, None, False] * 10, dtype="boolean"),
    "str": pd.Series(["a", None, "b"] * 10, dtype="str"),
    "object": pd.Series(["a", None, "b"] * 10, dtype="object"),
    "string": pd.Series(["a", None, "b"] * 10, dtype="string"),
    "category": pd.Series(["a", None, "b"] * 10, dtype="category"),
    "category with an empty level": pd.Series(pd.Categorical(["a", "b"] * 15, ["z", "b", "a"])),
    "ordered": pd.Series(pd.Categorical(["a", "b"] * 15, categories=["z", "b", "a"], ordered=True)),
    "category of numbers": pd.Series(pd.Categorical([3, 1, None] * 10)),
    "datetime s": pd.Series(pd.date_range("2020-01-01", periods=30, unit="s")),
    "datetime ns": pd.Series(pd.date_range("2020-01-01", periods=30, freq="h", unit="ns")),
    "datetime with zone": pd.Series(pd.date_range("2020-03-01", periods=30, tz="Europe/Berlin")),
    "timedelta": pd.Series(pd.to_timedelta(np.arange(30), unit="h")),
    "date": pd.Series([dt.date(2020, 1, 1 + i) for i in range(30)]),
    "time": pd.Series([dt.time(i % 24, 5) for i in range(30)]),
    "arrow integers": pd.Series([1, None, 3] * 10, dtype="int64[pyarrow]"),
    "arrow text": pd.Series(["a", None, "b"] * 10, dtype="string[pyarrow]"),
}  # fmt: skip


@pytest.mark.parametrize("kind", PANDAS_TYPES)
def test_a_pandas_column_comes_back_in_its_own_type(kind):
    table = pd.DataFrame({"number": np.arange(30.0), "x": PANDAS_TYPES[kind]})
    model = Autoencoder(1, **QUICK).fit(table)
    rebuilt = model.reconstruct(table)
    assert rebuilt.dtypes.equals(table.dtypes)
    assert rebuilt["x"].notna().all()
    assert type(rebuilt["x"][0]) is type(table["x"][0])
    assert np.isfinite(model.score_samples(table)).all()


POLARS_TYPES = {
    "i8": pl.Series([1, None, 3] * 10, dtype=pl.Int8),
    "u64": pl.Series([1, None, 3] * 10, dtype=pl.UInt64),
    "f32": pl.Series([1, None, 3] * 10, dtype=pl.Float32),
    "bool": pl.Series([True, None, False] * 10),
    "text": pl.Series(["a", None, "b"] * 10),
    "categorical": pl.Series(["a", None, "b"] * 10, dtype=pl.Categorical),
    "enum": pl.Series(["a", None, "b"] * 10, dtype=pl.Enum(["z", "b", "a"])),
    "date": pl.Series([dt.date(2020, 1, 1 + i) for i in range(30)]),
    "datetime ms": pl.Series(
        [dt.datetime(2020, 1, 1 + i) for i in range(30)], dtype=pl.Datetime("ms")
    ),
    "datetime with zone": pl.Series(
        [dt.datetime(2020, 1, 1 + i) for i in range(30)], dtype=pl.Datetime("us", "Asia/Tokyo")
    ),
    "duration": pl.Series([dt.timedelta(hours=i) for i in range(30)]),
    "time": pl.Series([dt.time(i % 24) for i in range(30)]),
}


@pytest.mark.parametrize("kind", POLARS_TYPES)
def test_a_polars_column_comes_back_in_its_own_type(kind):
    table = pl.DataFrame({"number": np.arange(30.0), "x": POLARS_TYPES[kind]})
    rebuilt = Autoencoder(1, **QUICK).fit(table).reconstruct(table)
    assert rebuilt.schema == table.schema
    assert rebuilt["x"].null_count() == 0


ARROW_TYPES = [
    pa.int8(), pa.uint32(), pa.int64(), pa.float32(), pa.float64(), pa.date32(), pa.date64(),
    pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.duration("ms"), pa.time32("s"),
    pa.time32("ms"), pa.time64("us"), pa.time64("ns"),
]  # fmt: skip


@pytest.mark.parametrize("kind", ARROW_TYPES, ids=str)
def test_an_arrow_column_comes_back_in_its_own_type(kind):
    day = 86_400_000 if kind == pa.date64() else 1
    ticks = pa.array([None, *(day * i for i in range(1, 30))], pa.int64())
    narrow = pa.int32() if kind in (pa.date32(), pa.time32("s"), pa.time32("ms")) else pa.int64()
    table = pa.table({"number": np.arange(30.0), "x": ticks.cast(narrow).cast(kind)})
    rebuilt = Autoencoder(1, **QUICK).fit(table).reconstruct(table)
    assert rebuilt.schema == table.schema
    assert rebuilt["x"].null_count == 0


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_comes_back_lies_among_what_went_in(library):
    table = transactions(library)
    rebuilt = columns(DenoisingAutoencoder(3, **QUICK).fit(table).reconstruct(table))
    for name in ("merchant", "channel", "country", "risk_tier"):
        assert set(rebuilt[name]) <= set(columns(table)[name])
    assert all(isinstance(items, int) for items in rebuilt["items"])
    assert all(abs(moment.year - 2025) <= 1 for moment in rebuilt["timestamp"])


@pytest.mark.filterwarnings(TWINS)
def test_a_well_trained_model_rebuilds_every_kind_of_column():
    rng = np.random.default_rng(0)
    trait = rng.integers(0, 3, 120)
    table = pd.DataFrame(
        {
            "number": trait * 10.0,
            "whole": trait * 7,
            "word": np.array(["ant", "bee", "cat"])[trait],
            "size": pd.Categorical(np.array(["S", "M", "L"])[trait], ["S", "M", "L"], ordered=True),
            "big": trait > 1,
            "day": pd.Timestamp("2024-01-01") + pd.to_timedelta(trait * 100, unit="D"),
        }
    )
    rebuilt = Autoencoder(2, random_state=0, engine="cpu").fit(table).reconstruct(table)
    for name in ("whole", "word", "size", "big"):
        assert (rebuilt[name] == table[name]).all(), name
    assert np.abs(rebuilt["number"] - table["number"]).max() < 0.5
    assert np.abs(rebuilt["day"] - table["day"]).max() < pd.Timedelta("5D")


# ---------------------------------------------------------------- one truth, three libraries
@pytest.mark.parametrize("model", SCORERS, ids=str)
def test_three_libraries_give_identical_scores(model):
    scores = [
        clone(model).fit(transactions(lib)).score_samples(transactions(lib)) for lib in LIBRARIES
    ]
    assert same(scores[0], scores[1])
    assert same(scores[0], scores[2])


def test_a_model_fitted_on_one_library_takes_the_others():
    model = DenoisingAutoencoder(2, **QUICK).fit(transactions("pandas"))
    expected = model.transform(transactions("pandas"))
    for library in ("polars", "pyarrow"):
        assert same(model.transform(transactions(library)), expected)
        assert type(model.reconstruct(transactions(library))) is type(transactions(library))


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, lambda data: pa.table(data)])
@pytest.mark.parametrize("model", ESTIMATORS, ids=str)
def test_a_frame_of_numbers_equals_the_same_array(model, frame):
    X = matrix()
    table = frame({f"c{i}": X[:, i] for i in range(X.shape[1])})
    by_frame, by_array = clone(model).fit(table), clone(model).fit(X)
    for question in ("transform", "score_samples", "predict"):
        if hasattr(model, question):
            from_frame = np.column_stack(list(columns_or_array(getattr(by_frame, question)(table))))
            assert same(from_frame.squeeze(), np.asarray(getattr(by_array, question)(X)).squeeze())


def columns_or_array(answer):
    return (
        [answer]
        if isinstance(answer, np.ndarray)
        else [np.array(c) for c in columns(answer).values()]
    )


# ---------------------------------------------------------------- missing and unknown
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", transactions("pyarrow").column_names)
def test_a_gap_in_any_column_is_scored_and_filled(name, library):
    complete = to_arrow(transactions("pyarrow", complete=True))
    kind = complete.schema.field(name).type
    holed = complete.set_column(
        complete.column_names.index(name),
        complete.schema.field(name),
        pa.nulls(len(complete), kind),
    )
    table, gaps = in_library(complete, library), in_library(holed, library)
    model = DenoisingAutoencoder(2, **QUICK).fit(table)
    assert np.isfinite(model.score_samples(gaps)).all()
    assert to_arrow(model.reconstruct(gaps))[name].null_count == 0


def in_library(table, library):
    """Return an Arrow table in another library, with its type of ordered categories."""
    if library == "pyarrow":
        return table
    if library == "pandas":
        kinds = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
        return table.to_pandas(types_mapper=kinds.get)
    ordered = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    texts = [table[name].cast(pa.string()) for name in ordered]
    for name, text in zip(ordered, texts, strict=True):
        table = table.set_column(table.column_names.index(name), name, text)
    tiers = pl.Enum(["low", "medium", "high"])
    return pl.DataFrame(table).with_columns(pl.col(name).cast(tiers) for name in ordered)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("model", SCORERS, ids=str)
def test_scores_are_never_nan_not_even_of_a_row_without_any_cell(model, library):
    complete = to_arrow(transactions("pyarrow"))
    empty = pa.table({f.name: pa.nulls(3, f.type) for f in complete.schema}, schema=complete.schema)
    fitted = clone(model).fit(transactions(library))
    assert np.isfinite(fitted.score_samples(in_library(empty, library))).all()


@pytest.mark.parametrize("library", LIBRARIES)
def test_an_unknown_category_is_counted_and_looks_less_normal(library):
    table = to_arrow(transactions("pyarrow", complete=True))
    place = table.column_names.index("country")
    strange = table.set_column(place, "country", pa.array(["Atlantis"] * len(table)))
    model = Autoencoder(3, max_epochs=20, random_state=0, engine="cpu").fit(
        in_library(table, library)
    )
    known = model.score_samples(in_library(table, library))
    with pytest.warns(
        DataWarning, match="'country' holds 200 values never seen in fit.*'Atlantis'"
    ):
        unknown = model.score_samples(in_library(strange, library))
    assert (unknown < known).mean() > 0.95


def test_an_unknown_step_of_an_ordered_column_is_counted_and_taken_as_missing():
    table = transactions("pandas", complete=True)
    model = Autoencoder(2, **QUICK).fit(table)
    strange = table.assign(risk_tier=pd.Categorical(["extreme"] * 200, ["extreme"], ordered=True))
    missing = table.assign(risk_tier=table["risk_tier"].where(np.zeros(200, dtype=bool)))
    with pytest.warns(DataWarning, match="'risk_tier' holds 200 values never seen in fit"):
        scores = model.score_samples(strange)
    assert same(scores, model.score_samples(missing))


def test_the_order_in_which_categories_are_listed_does_not_matter():
    words = np.array(["a", "b", "c"])[np.arange(90) % 3]
    table = pd.DataFrame({"x": np.arange(90.0), "word": pd.Categorical(words, ["a", "b", "c"])})
    turned = table.assign(word=pd.Categorical(words, ["c", "a", "b"]))
    model = Autoencoder(2, **QUICK).fit(table)
    assert same(model.transform(table), model.transform(turned))
    assert same(model.transform(table), model.transform(table.assign(word=words)))


# ---------------------------------------------------------------- names
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.rename_columns([*t.column_names[:-1], "tier"]), "tier.*risk_tier"),
        (lambda t: t.drop_columns(["amount"]), "now missing:.*amount"),
        (
            lambda t: t.append_column("extra", pa.array([1.0] * len(t))),
            "unseen at fit time:.*extra",
        ),
        (lambda t: t.select(t.column_names[::-1]), "same order"),
    ],
    ids=["renamed", "missing", "extra", "reordered"],
)
def test_columns_that_are_not_those_of_fit_are_refused_by_name(change, words, library):
    model = Autoencoder(2, **QUICK).fit(transactions(library))
    changed = in_library(change(to_arrow(transactions("pyarrow"))), library)
    for ask in (model.transform, model.reconstruct, model.score_samples):
        with pytest.raises(DataError, match=f"(?s){words}") as caught:
            ask(changed)
        assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("name", "values"),
    [("amount", ["much"] * 200), ("timestamp", ["now"] * 200), ("is_weekend", ["maybe"] * 200)],
)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_column_of_another_type_than_in_fit_is_refused_by_name(name, values, library):
    model = Autoencoder(2, **QUICK).fit(transactions(library))
    table = to_arrow(transactions("pyarrow"))
    changed = table.set_column(table.column_names.index(name), name, pa.array(values))
    with pytest.raises(DataError, match=repr(name)) as caught:
        model.transform(in_library(changed, library))
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("output", ["pandas", "polars"])
@pytest.mark.parametrize(
    "model", [*AUTOENCODERS[:2], FeatureExtractor(autoencoder=AUTOENCODERS[0])], ids=str
)
def test_codes_come_out_as_a_frame_when_asked(model, output):
    codes = clone(model).set_output(transform=output).fit_transform(transactions("pandas"))
    assert type(codes) is {"pandas": pd.DataFrame, "polars": pl.DataFrame}[output]
    name = type(model if model in AUTOENCODERS else model.autoencoder).__name__.lower()
    assert list(codes.columns) == [f"{name}0", f"{name}1"]


@pytest.mark.parametrize("task", [AutoencoderImputer, AutoencoderDenoiser])
@pytest.mark.parametrize("library", LIBRARIES)
def test_tasks_that_answer_rows_name_them_as_they_came(task, library):
    table = transactions(library)
    fitted = task(autoencoder=Autoencoder(2, **QUICK)).fit(table)
    names = list(columns(table))
    assert list(fitted.feature_names_in_) == names
    assert list(fitted.get_feature_names_out()) == names
    assert list(columns(fitted.transform(table))) == names


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_an_imputed_table_comes_out_as_the_frame_that_was_asked_for(output):
    table = transactions("pandas")
    filled = (
        AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK))
        .set_output(transform=output)
        .fit_transform(table)
    )
    assert type(filled) is {"pandas": pd.DataFrame, "polars": pl.DataFrame}[output]
    assert list(filled.columns) == list(table.columns)


# ---------------------------------------------------------------- imputing
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_imputer_fills_the_gaps_and_keeps_all_else(library):
    table = transactions(library)
    filled = AutoencoderImputer(autoencoder=DenoisingAutoencoder(2, **QUICK)).fit_transform(table)
    assert schema(filled) == schema(table)
    for name, before in columns(table).items():
        after = columns(filled)[name]
        assert None not in after
        assert [a for a, b in zip(after, before, strict=True) if b is not None] == [
            b for b in before if b is not None
        ]


@pytest.mark.parametrize("kind", PANDAS_TYPES)
def test_the_imputer_keeps_observed_cells_of_every_pandas_type(kind):
    values = PANDAS_TYPES[kind]
    table = pd.DataFrame({"number": np.arange(30.0), "x": values})
    filled = AutoencoderImputer(autoencoder=Autoencoder(1, **QUICK)).fit_transform(table)
    assert filled.dtypes.equals(table.dtypes)
    assert filled["x"].notna().all()
    seen = values.notna()
    assert filled.loc[seen, "x"].tolist() == values[seen].tolist()


@pytest.mark.parametrize("kind", POLARS_TYPES)
def test_the_imputer_keeps_observed_cells_of_every_polars_type(kind):
    table = pl.DataFrame({"number": np.arange(30.0), "x": POLARS_TYPES[kind]})
    filled = AutoencoderImputer(autoencoder=Autoencoder(1, **QUICK)).fit_transform(table)
    assert filled.schema == table.schema
    assert filled["x"].null_count() == 0
    seen = table["x"].is_not_null()
    assert filled["x"].filter(seen).to_list() == table["x"].filter(seen).to_list()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_imputer_keeps_the_type_and_the_bits_of_an_array(dtype):
    X = matrix().astype(dtype)
    holed = X.copy()
    holed[::3, 1] = np.nan
    filled = AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK)).fit_transform(holed)
    seen = ~np.isnan(holed)
    assert filled.dtype == X.dtype
    assert same(filled[seen], X[seen])
    assert np.isfinite(filled).all()


def test_the_imputer_keeps_large_whole_numbers_to_the_unit():
    big = 2**60 + np.arange(40)
    table = pd.DataFrame({"x": np.arange(40.0), "id": pd.array([None, *big[1:]], "Int64")})
    filled = AutoencoderImputer(autoencoder=Autoencoder(1, **QUICK)).fit_transform(table)
    assert filled["id"][1:].tolist() == big[1:].tolist()


def test_the_imputer_does_not_write_into_what_it_was_given():
    table, X = transactions("pandas").copy(), matrix()
    X[0, 0] = np.nan
    before_table, before_X = table.copy(), X.copy()
    AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK)).fit_transform(table)
    AutoencoderImputer(autoencoder=Autoencoder(2, **QUICK)).fit_transform(X)
    assert table.equals(before_table)
    assert same(X, before_X)


# ---------------------------------------------------------------- order and weight of rows
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_the_order_of_the_rows_does_not_matter(model, library):
    table = to_arrow(transactions("pyarrow"))
    turned = table.take(np.random.default_rng(3).permutation(len(table)))
    first = clone(model).fit(in_library(table, library))
    second = clone(model).fit(in_library(turned, library))
    assert same(first.transform(transactions(library)), second.transform(transactions(library)))


@pytest.mark.filterwarnings(TWINS)
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("model", AUTOENCODERS, ids=str)
def test_a_row_of_weight_two_is_that_row_twice(model, library):
    table = transactions(library)
    weights = np.random.default_rng(0).integers(0, 4, 200)
    repeated = to_arrow(transactions("pyarrow")).take(np.repeat(np.arange(200), weights))
    weighted = clone(model).fit(table, sample_weight=weights)
    plain = clone(model).fit(in_library(repeated, library))
    assert same(weighted.transform(table), plain.transform(table))


@pytest.mark.parametrize("model", SCORERS, ids=str)
def test_a_row_scores_alone_as_it_does_in_company(model):
    table = transactions("pyarrow")
    fitted = clone(model).fit(table)
    together = fitted.score_samples(table)
    alone = np.concatenate([fitted.score_samples(table.slice(i, 1)) for i in (0, 7, 199)])
    np.testing.assert_allclose(alone, together[[0, 7, 199]], rtol=1e-9)


def test_errors_by_column_stand_under_the_column_and_average_to_the_row():
    table = transactions("pandas")
    model = AUTOENCODERS[0]
    fitted = clone(model).fit(table)
    cells = fitted.reconstruction_error(table, per_feature=True)
    seen = table.notna().to_numpy()
    assert cells.shape == table.shape
    assert (cells[~seen] == 0).all() and (cells >= 0).all()
    np.testing.assert_allclose(cells.sum(1) / seen.sum(1), fitted.reconstruction_error(table))


def test_a_spoiled_cell_shows_in_the_error_of_its_own_column():
    table = transactions("pandas", complete=True)
    fitted = Autoencoder(2, max_epochs=10, random_state=0, engine="cpu").fit(table)
    for name in ("amount", "distance_km", "customer_age"):
        spoiled = (
            table.assign(**{name: table[name] + 60 * table[name].std()}).astype(table.dtypes)
            if name != "customer_age"
            else table.assign(customer_age=pd.array([9_999] * 200, "Int64"))
        )
        cells = fitted.reconstruction_error(spoiled, per_feature=True)
        assert (cells.argmax(1) == table.columns.get_loc(name)).mean() > 0.9


def test_a_variational_model_draws_believable_rows_of_every_kind():
    table = transactions("polars", complete=True)
    drawn = VariationalAutoencoder(2, **QUICK).fit(table).sample(500, random_state=0)
    assert drawn.schema == table.schema
    assert sum(drawn.null_count().row(0)) == 0
    assert set(drawn["merchant"]) <= set(table["merchant"])


@pytest.mark.filterwarnings(TWINS, "ignore:.*Repetitions count once")
def test_a_detector_of_frauds_takes_frames_whole():
    detector = AnomalyDetector(autoencoder=Autoencoder(2, **QUICK), contamination=0.05)
    flags = detector.fit_predict(concatenated(transactions("polars"), 2))
    assert set(flags) == {-1, 1}
