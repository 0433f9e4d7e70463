"""Masked arrays, tensors, numbered columns and other types are read or refused."""

import datetime as dt
import pathlib
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import dask.array
import dask.dataframe
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from torch.utils.data import DataLoader, Dataset, TensorDataset

import latently
from latently import (
    AnomalyDetector,
    Autoencoder,
    AutoencoderImputer,
    AutoencoderSearchCV,
    LatentSampler,
)
from latently.exceptions import DataError, DataWarning
from tests.contract.estimators import ESTIMATORS, IMAGE_AUTOENCODERS
from tests.contract.samples import answers, matrix, same, stack

QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}
ROWS = 40
X = matrix(ROWS, 4)
FRAME = pd.DataFrame(X, columns=list("abcd"))


def model():
    return Autoencoder(1, **QUICK)


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


# ---------------------------------------------------------------- masked arrays
def masked(values=X, **kwargs):
    hidden = np.random.default_rng(0).random(values.shape) < 0.1
    return np.ma.array(np.where(hidden, -999, values).astype(values.dtype), mask=hidden, **kwargs)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_masked_cell_is_a_missing_cell_to_every_estimator(estimator):
    plain = masked().filled(np.nan)
    with_mask, with_nan = clone(estimator).fit(masked()), clone(estimator).fit(plain)
    expected = answers(with_nan, plain)
    for name, got in answers(with_mask, masked()).items():
        np.testing.assert_array_equal(got, expected[name])
        assert not isinstance(got, np.ma.MaskedArray)


@pytest.mark.parametrize("estimator", IMAGE_AUTOENCODERS, ids=str)
def test_a_masked_pixel_is_a_missing_pixel(estimator):
    images = masked(stack(12, 8, 8))
    fitted = clone(estimator).fit(images)
    expected = clone(estimator).fit(images.filled(np.nan)).reconstruct(images.filled(np.nan))
    np.testing.assert_array_equal(fitted.reconstruct(images), expected)


@pytest.mark.parametrize(
    "rows",
    [
        masked(hard_mask=True),
        masked(fill_value=7.0),
        masked(X.astype(np.float32)),
        masked((10 * X).astype(int)),
        masked(X.astype(object)),
        list(masked()),
    ],
    ids=["hard mask", "fill value", "float32", "whole numbers", "objects", "list of rows"],
)
def test_what_is_behind_a_mask_is_never_learnt(rows):
    scores = model().fit(rows).score_samples(X)
    assert np.ptp(scores) < 100
    filled = AutoencoderImputer(autoencoder=model()).fit(rows).transform(rows)
    assert np.asarray(filled).min() > -100


def test_an_array_without_a_masked_cell_keeps_its_type():
    numbers = np.ma.array(np.arange(40).reshape(20, 2))
    assert model().fit(numbers).reconstruct(numbers).dtype == numbers.dtype


@pytest.mark.parametrize("name", ["sample_weight", "groups", "y"])
def test_masked_values_beside_the_rows_are_refused(name):
    values = np.ma.array(np.arange(ROWS) % 3, mask=np.arange(ROWS) == 1)
    with pytest.raises(DataError, match=f"{name} must hold a value for each row, got 1 masked"):
        if name == "y":
            LatentSampler(autoencoder=model(), conditional=True).fit(X, values)
        else:
            model().fit(X, **{name: values})


# ---------------------------------------------------------------- tensors
@pytest.mark.parametrize(
    "rows",
    [
        torch.tensor(X),
        torch.tensor(X).requires_grad_(),
        torch.nn.Parameter(torch.tensor(X)),
        torch.tensor(X).t().contiguous().t(),
        list(torch.tensor(X)),
        pa.RecordBatch.from_pandas(FRAME),
        nw.from_native(FRAME),
        dask.array.from_array(X),
    ],
    ids=[
        "tensor", "gradient", "parameter", "strided", "list", "batch", "narwhals", "dask"
    ],
)  # fmt: skip
def test_rows_of_other_libraries_are_the_same_rows(rows):
    expected = model().fit(X).score_samples(X)
    assert same(model().fit(rows).score_samples(rows), expected)
    assert same(AnomalyDetector(autoencoder=model()).fit(rows).score_samples(rows), expected) or (
        len(AnomalyDetector(autoencoder=model(), random_state=0).fit_predict(rows)) == ROWS
    )
    filled = AutoencoderImputer(autoencoder=model()).fit(rows).transform(rows)
    np.testing.assert_array_equal(np.asarray(filled), X)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_a_matrix_is_an_array():
    rows = np.asmatrix(X)
    assert same(model().fit(rows).transform(rows), model().fit(X).transform(X))


def test_bfloat16_is_read_as_single_precision():
    rows = torch.tensor(X).bfloat16()
    single = rows.float().numpy()
    answer = model().fit(rows).transform(rows)
    assert same(answer, model().fit(single).transform(single))


# ---------------------------------------------------------------- what is refused
class Rows(Dataset):
    def __len__(self):
        return ROWS

    def __getitem__(self, place):
        return X[place]


class OnAnotherDevice:
    shape, ndim, dtype = X.shape, 2, X.dtype

    def __len__(self):
        return ROWS

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get().")


class Case(NamedTuple):
    """Object given as rows, and the remedy that the error names."""

    what: str
    data: Callable[[], Any]
    words: str


LAZY = pl.DataFrame({"a": X[:, 0]}).lazy()
REFUSED = [
    Case("dataset of tensors", lambda: TensorDataset(torch.tensor(X)), "one array or tensor"),
    Case("dataset", Rows, "one array or tensor"),
    Case("loader", lambda: DataLoader(Rows()), "one array or tensor"),
    Case("sparse tensor", lambda: torch.tensor(X).to_sparse(), r"to_dense\(\)"),
    Case("meta tensor", lambda: torch.zeros(3, 2, device="meta"), "CPU tensor"),
    Case("complex tensor", lambda: torch.complex(torch.ones(20, 2), torch.ones(20, 2)), "[Cc]ompl"),
    Case("file name", lambda: "rows.csv", r"latently.io.read\(path\)"),
    Case("path", lambda: pathlib.Path("rows.csv"), r"TableDataset\(path\)"),
    Case("dict of columns", lambda: {"a": [1, 2]}, r"pandas.DataFrame\(X\)"),
    Case("records", lambda: [{"a": 1}, {"a": 2}], r"pandas.DataFrame\(X\)"),
    Case("generator", lambda: (row for row in X), "a list of rows"),
    Case("set", lambda: {1, 2}, "a list of rows"),
    Case("class", lambda: pd.DataFrame, "an instance of DataFrame"),
    Case("csr", lambda: scipy.sparse.csr_matrix(X), r"Sparse.*X.toarray\(\)"),
    Case("dok", lambda: scipy.sparse.dok_array((9, 2)), r"Sparse.*X.toarray\(\)"),
    Case("fields", lambda: np.zeros(9, [("a", float), ("b", int)]), r"pandas.DataFrame\(X\)"),
    Case("record array", lambda: np.rec.array([(1, 2.0)] * 9, names="a,b"), "structured"),
    Case("masked fields", lambda: np.ma.zeros(9, [("a", float)]), "structured"),
    Case("masked bytes", lambda: np.ma.array([["1", "2"]] * 20, mask=[[0, 1]] * 20), "strings"),
    Case("texts", lambda: np.array([["1", "2"]] * 20, np.dtypes.StringDType()), "strings"),
    Case(
        "masked numbers beyond doubles",
        lambda: np.ma.array([[2**60, 1], [1, 2]], mask=[[0, 1], [0, 0]]),
        "Int64",
    ),
    Case("lazy frame", lambda: LAZY, r"collect\(\)"),
    Case("lazy narwhals", lambda: nw.from_native(LAZY), r"collect\(\)"),
    Case(
        "dask frame",
        lambda: dask.dataframe.from_pandas(FRAME, npartitions=2),
        r"compute\(\)",
    ),
    Case(
        "reader",
        lambda: pa.RecordBatchReader.from_batches(pa.schema([("a", pa.int64())]), []),
        r"read_all\(\)",
    ),
    Case("another device", OnAnotherDevice, r"\.get\(\)"),
]


@pytest.mark.filterwarnings("ignore:Sparse:UserWarning")
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.what)
def test_what_is_no_rows_is_refused_with_what_to_give(case):
    fitted, detector = model().fit(X), AnomalyDetector(autoencoder=model()).fit(X)
    imputer = AutoencoderImputer(autoencoder=model()).fit(X)
    asked = [
        model().fit, fitted.transform, fitted.reconstruct, fitted.score_samples,
        fitted.partial_fit, AnomalyDetector().fit, detector.predict, imputer.transform,
        AutoencoderSearchCV(model(), {"learning_rate": (1e-3, 1e-2)}, n_trials=1).fit,
    ]  # fmt: skip
    for ask in asked:
        with pytest.raises(DataError, match=case.words) as caught:
            ask(case.data())
        assert len(str(caught.value)) <= 300


# ---------------------------------------------------------------- names that are no texts
def mixed_frame(names):
    rng = np.random.default_rng(0)
    columns = {
        "day": pd.date_range("2024", periods=ROWS),
        "word": rng.choice(["u", "v"], ROWS),
        "code": pd.Categorical(rng.choice([3, 70, 9], ROWS)),
        "x": X[:, 0],
    }
    return pd.DataFrame(columns).set_axis(names, axis=1)


LABELS = {
    "0, 1": range(4),
    "any order": [7, 3, 9, 1],
    "levels": pd.MultiIndex.from_product([["a", "b"], [1, 2]]),
    "levels of text": pd.MultiIndex.from_product([["a", "b"], ["x", "y"]]),
}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_numbered_columns_are_columns_of_their_types(estimator):
    numbered, named = mixed_frame(range(4)), mixed_frame(list("0123"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        fitted, expected = clone(estimator).fit(numbered), clone(estimator).fit(named)
    assert not hasattr(fitted, "feature_names_in_") and fitted.n_features_in_ == 4
    wanted = answers(expected, named)
    for name, got in answers(fitted, numbered).items():
        if isinstance(got, pd.DataFrame):
            assert list(got.columns[:4]) == [0, 1, 2, 3]
            got = got.set_axis(wanted[name].columns, axis=1)
        assert same(got, wanted[name]), name


@pytest.mark.parametrize("names", LABELS.values(), ids=LABELS)
def test_labels_come_back_from_a_saved_model_too(names, tmp_path):
    table = mixed_frame(names)
    fitted = Autoencoder(2, **QUICK).fit(table)
    fitted.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    assert loaded.reconstruct(table).equals(fitted.reconstruct(table))
    for rows in (loaded.reconstruct(table), loaded.sample(3), loaded.inverse_transform([[0, 0]])):
        assert rows.columns.equals(table.columns)
        assert rows.dtypes.equals(table.dtypes)


def test_numbered_columns_match_their_texts_in_libraries_without_numbers():
    fitted = model().fit(mixed_frame(range(4)))
    named = mixed_frame(list("0123"))
    expected = fitted.transform(mixed_frame(range(4)))
    assert same(fitted.transform(named), expected)
    assert same(fitted.transform(pa.Table.from_pandas(named)), expected)
    assert same(fitted.transform(pl.from_pandas(named)), expected)


@pytest.mark.parametrize(
    ("names", "words"),
    [([3, 2, 1, 0], "same order"), ([0, 1, 2, 5], "unseen(?s:.*)5"), (list("abcd"), "unseen")],
)
def test_other_numbers_than_those_of_fit_are_refused(names, words):
    fitted = model().fit(mixed_frame(range(4)))
    with pytest.raises(DataError, match=words):
        fitted.transform(mixed_frame(names))


def test_a_frame_without_names_goes_by_position_and_is_warned_of():
    fitted = model().fit(mixed_frame(list("abcd")))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        codes = fitted.transform(mixed_frame(range(4)))
    assert same(codes, fitted.transform(mixed_frame(list("abcd"))))


def test_a_stream_takes_rows_of_numbered_columns():
    table = mixed_frame(range(4))
    detector = AnomalyDetector(autoencoder=model(), random_state=0).fit(table)
    expected = -detector.score_samples(table)[0]
    by_place = detector.stream().score(table.iloc[0].tolist())
    by_name = detector.stream().score(dict(table.iloc[0]))
    assert by_place.anomaly_score == by_name.anomaly_score == pytest.approx(expected)


# ---------------------------------------------------------------- types
CENTS = cycle(Decimal("1.25"), None, Decimal("2.50"))
WORDS = pa.array(["x", "y"], pa.large_string())
#: Texts whose missing value is NaN: two types of pandas 3, one under another name in pandas 2.
TEXTS_WITH_NAN = (
    [pd.StringDtype(storage, na_value=np.nan) for storage in ("python", "pyarrow")]
    if int(pd.__version__.split(".")[0]) > 2
    else ["string[pyarrow_numpy]"]
)
TYPES = {
    "pandas decimals": pd.Series(CENTS, dtype=pd.ArrowDtype(pa.decimal128(10, 2))),
    "pandas objects of decimals": pd.Series(CENTS, dtype=object),
    "pandas half": pd.Series(cycle(1.5, 2.5), dtype=pd.ArrowDtype(pa.float16())),
    "pandas arrow text": pd.Series(cycle("x", None), dtype=pd.ArrowDtype(pa.string())),
    "pandas arrow dictionary": pd.Series(
        cycle("x", "y"), dtype=pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string()))
    ),
    "pandas arrow zone": pd.Series(
        cycle(dt.datetime(2024, 1, 1), None), dtype=pd.ArrowDtype(pa.timestamp("us", "UTC"))
    ),
    **{
        f"pandas text as {kind}": pd.Series(cycle("x", None), dtype=kind)
        for kind in ("string[python]", "string[pyarrow]", *TEXTS_WITH_NAN)
    },
    "pandas sparse": pd.Series(cycle(0.0, 1.0, np.nan), dtype=pd.SparseDtype(float, 0.0)),
    "pandas sparse NaN": pd.Series(cycle(1.5, np.nan), dtype=pd.SparseDtype(float)),
    "pandas sparse integers": pd.Series(cycle(0, 0, 2), dtype=pd.SparseDtype("int64", 0)),
    "pandas sparse truths": pd.Series(cycle(True, False), dtype=pd.SparseDtype(bool, False)),
    "polars decimal": pl.Series(CENTS, dtype=pl.Decimal(10, 2)),
    "polars small": pl.Series(cycle(1, 0), dtype=pl.UInt8),
    **{
        str(kind): pa.chunked_array([pa.array(CENTS, kind)])
        for kind in (pa.decimal128(10, 2), pa.decimal256(50, 3), pa.decimal128(38, 10))
    },
    "half": pa.chunked_array([np.arange(ROWS, dtype=np.float16)]),
    "small dictionary": pa.chunked_array(
        [pa.DictionaryArray.from_arrays(pa.array(cycle(0, 1, None), pa.int8()), WORDS)]
    ),
}


def with_numbers(values):
    if isinstance(values, pd.Series):
        return pd.DataFrame({"a": X[:, 0], "odd": values})
    if isinstance(values, pl.Series):
        return pl.DataFrame({"a": X[:, 0], "odd": values})
    return pa.table({"a": X[:, 0], "odd": values})


def type_of(table):
    if isinstance(table, pd.DataFrame):
        return table["odd"].dtype
    return (table.schema if isinstance(table, pl.DataFrame) else table.schema.types)[
        "odd" if isinstance(table, pl.DataFrame) else 1
    ]


@pytest.mark.parametrize("values", TYPES.values(), ids=TYPES)
def test_a_column_comes_back_in_its_type_from_a_saved_model(values, tmp_path):
    table = with_numbers(values)
    fitted = model().fit(table)
    fitted.save(tmp_path / "model.safetensors")
    loaded = latently.load(tmp_path / "model.safetensors")
    filled = AutoencoderImputer(autoencoder=loaded).fit(table).transform(table)
    for rows in (loaded.reconstruct(table), loaded.sample(3, random_state=0), filled):
        assert type_of(rows) == type_of(table)
    assert (
        loaded.reconstruct(table)["odd"].to_list() == fitted.reconstruct(table)["odd"].to_list()
        if not isinstance(table, pa.Table)
        else loaded.reconstruct(table).equals(fitted.reconstruct(table))
    )


def test_decimals_keep_their_scale_and_stay_within_their_digits():
    wide = [Decimal("-999.99"), Decimal("999.99")] * (ROWS // 2)
    table = pa.table({"a": X[:, 0], "odd": pa.array(wide, pa.decimal128(5, 2))})
    codes = np.array([[-1e3], [0.0], [1e3]])
    answer = model().fit(table).inverse_transform(codes)["odd"]
    assert answer.type == pa.decimal128(5, 2)
    assert all(abs(value) <= Decimal("999.99") for value in answer.to_pylist())


def test_the_imputer_keeps_decimals_to_the_last_digit():
    values = [None, *(Decimal(10**30 + i).scaleb(-10) for i in range(ROWS - 1))]
    table = pa.table({"a": X[:, 0], "odd": pa.array(values, pa.decimal128(38, 10))})
    filled = AutoencoderImputer(autoencoder=model()).fit_transform(table)
    assert filled["odd"].to_pylist()[1:] == values[1:]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (pl.Series(cycle([1, 2]), dtype=pl.Array(pl.Int64, 2)), "columns of their own"),
        (pl.Series(cycle({"a": 1})), "columns of their fields"),
        (pd.Series(pd.cut(X[:, 0], 3)), "astype"),
        (pd.Series(pd.Categorical(pd.to_datetime(cycle("2024-01-01")))), "astype"),
        (pa.chunked_array([pc.run_end_encode(pa.array(cycle(1.0, 1.0)))]), "run_end_decode"),
        (pa.chunked_array([pa.array(cycle(b"x"))]), "Decode them"),
        (pd.Series(cycle(dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 9))), "date, datetime"),
    ],
    ids=["lists", "fields", "intervals", "levels of dates", "runs", "bytes", "dates and moments"],
)
def test_a_type_that_cannot_be_used_is_refused_with_what_to_make_of_it(values, words):
    with pytest.raises(DataError, match=f"'odd'.*{words}") as caught:
        model().fit(with_numbers(values))
    assert len(str(caught.value)) <= 300


def test_a_fit_on_an_array_forgets_the_names_of_an_earlier_one():
    detector = AnomalyDetector(autoencoder=model(), random_state=0).fit(FRAME)
    assert list(detector.feature_names_in_) == list("abcd")
    assert not hasattr(detector.fit(X), "feature_names_in_")


def test_what_was_given_is_not_written_to():
    tensor, array = torch.tensor(X), masked()
    tensor[0, 0] = float("nan")
    before = tensor.clone(), array.copy()
    for rows in (tensor, array):
        AutoencoderImputer(autoencoder=model()).fit(rows).transform(rows)
    torch.testing.assert_close(tensor, before[0], equal_nan=True, rtol=0, atol=0)
    assert (array.mask == before[1].mask).all() and (array.data == before[1].data).all()
