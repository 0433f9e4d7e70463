"""Each input gives a right result, a warning with a count, or an error with the place."""

import datetime as dt
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.base import clone

from latently import Autoencoder, DenseNetwork
from latently.exceptions import DataError, DataWarning, NotFittedError
from tests.contract.estimators import ESTIMATORS
from tests.contract.samples import answers, matrix

ROWS = 40
QUICK = {"max_epochs": 1, "random_state": 0, "engine": "cpu"}


class Works:
    """The rows are used as they are."""


class Warned(NamedTuple):
    """The rows are used, and a warning counts what was wrong with them."""

    words: str


class Refused(NamedTuple):
    """The rows are refused with a short message that names the place."""

    words: str
    error: Any = DataError


class Case(NamedTuple):
    """Input and expected outcome. ``fitted_on`` is None if ``fit`` itself gets the input."""

    what: str
    data: Callable[[], Any]
    must: Works | Warned | Refused
    fitted_on: Callable[[], Any] | None = None


def numbers():
    return matrix(ROWS, 4)


def frame():
    return pd.DataFrame(numbers(), columns=list("abcd"))


def with_cell(value, row=3, column=1, dtype=float):
    X = numbers().astype(dtype)
    X[row, column] = value
    return X


def with_column(values, **types):
    return frame().assign(odd=pd.Series(values, **types))


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


def polars(values, **types):
    return pl.DataFrame({"a": numbers()[:, 0], "odd": pl.Series(values, **types)})


def arrow(values, kind=None):
    return pa.table({"a": numbers()[:, 0], "odd": pa.array(values, kind)})


def constant_columns():
    X = numbers()
    X[:, 1], X[:, 3] = 7.0, 1e9
    return X


WORKS = Works()
EMPTY = Warned("hold no value at all")
DAY = dt.datetime(2024, 5, 1)
FIT_CASES = [
    # size
    Case("zero rows", lambda: numbers()[:0], Refused("0 sample")),
    Case("zero rows of a frame", lambda: frame()[:0], Refused("0 sample")),
    Case("one row", lambda: numbers()[:1], Refused("minimum of 2")),
    Case("one row of a frame", lambda: frame()[:1], Refused("minimum of 2")),
    Case("two rows", lambda: numbers()[:2], WORKS),
    Case("two rows of a frame", lambda: frame()[:2], WORKS),
    Case("one column", lambda: numbers()[:, :1], WORKS),
    Case("one column of a frame", lambda: frame()[["a"]], WORKS),
    Case("no column", lambda: numbers()[:, :0], Refused("0 feature")),
    Case("no column in a frame", lambda: frame()[[]], Refused("0 feature")),
    Case("one axis", lambda: numbers()[0], Refused("1D array")),
    Case("no axis", lambda: 3.0, Refused("scalar array")),
    Case("five axes", lambda: np.zeros((3, 2, 2, 2, 2)), Refused("dim 5")),
    Case("a pandas series", lambda: frame()["a"], Refused("Series|1D|1-dimensional")),
    Case("a ragged list", lambda: [[1.0, 2.0], [3.0]], Refused("inhomogeneous|same length")),
    Case("nothing", lambda: None, Refused("None|scalar", (DataError, TypeError))),
    Case("a dict", lambda: {"a": [1, 2]}, Refused("dict|scalar", (DataError, TypeError))),
    Case("a list of lists", lambda: numbers().tolist(), WORKS),
    # names
    Case(
        "duplicate names",
        lambda: frame().set_axis(["a", "b", "b", "d"], axis=1),
        Refused(r"\['b'\] occur more than once"),
    ),
    Case(
        "names of mixed types",
        lambda: frame().set_axis(["a", 1, 2, "d"], axis=1),
        Refused(r"\[1, 2\]"),
    ),
    Case("names that are numbers", lambda: pd.DataFrame(numbers()), WORKS),
    Case("an empty name", lambda: frame().rename(columns={"b": ""}), WORKS),
    # numbers
    Case("infinity", lambda: with_cell(np.inf), Refused("infinity at row 3, column 1")),
    Case("minus infinity", lambda: with_cell(-np.inf), Refused("infinity at row 3, column 1")),
    Case(
        "infinity in a frame",
        lambda: pd.DataFrame(with_cell(np.inf), columns=list("abcd")),
        Refused("'b'"),
    ),
    Case("a large number", lambda: with_cell(1e30), Warned("Row 3 holds 1e")),
    Case("a number too large", lambda: with_cell(1e300), Refused("[Cc]olumn 1")),
    Case(
        "a number too large in a frame",
        lambda: pd.DataFrame(with_cell(1e300), columns=list("abcd")),
        Refused("[Cc]olumn 'b'"),
    ),
    Case("a tiny column", lambda: numbers() * [1, 1e-300, 1, 1], WORKS),
    Case("a missing cell", lambda: with_cell(np.nan), WORKS),
    Case("a column all missing", lambda: numbers() * [1, np.nan, 1, 1], Warned("no value.*1")),
    Case(
        "a column all missing in a frame",
        lambda: frame().assign(b=np.nan),
        Warned("no value.*'b'"),
    ),
    Case("all cells missing", lambda: numbers() * np.nan, Warned("no value.*3")),
    Case("a column of None", lambda: with_column([None] * ROWS, dtype=object), Warned("'odd'")),
    Case("constant columns", constant_columns, WORKS),
    Case("all constant", lambda: np.full((ROWS, 3), 5.0), WORKS),
    Case("all rows the same", lambda: np.repeat(numbers()[:1], ROWS, 0), WORKS),
    Case("booleans", lambda: numbers() > 0, WORKS),
    Case("small integers", lambda: (numbers() * 10).astype("int8"), WORKS),
    Case("half precision", lambda: numbers().astype("float16"), WORKS),
    Case("huge integers", lambda: with_cell(2**62, dtype=np.int64), Warned("Row 3 holds 4.6")),
    Case(
        "huge unsigned integers",
        lambda: with_cell(2**64 - 1, dtype=np.uint64),
        Warned("Row 25 holds 1.8"),
    ),
    Case("integers beyond 64 bits", lambda: with_column(cycle(10**30, 1)), Refused("odd")),
    Case("complex numbers", lambda: numbers() + 1j, Refused("[Cc]omplex")),
    Case("numbers as text", lambda: numbers().astype(str), Refused("strings")),
    Case("text", lambda: np.array([["a", "b"]] * ROWS), Refused("string|numeric|'a'")),
    Case("text among numbers", lambda: with_cell("oops", dtype=object), Refused("oops")),
    Case("dates in an array", lambda: np.full((9, 2), DAY, "M8[s]"), Refused("date", Exception)),
    *[
        Case(
            f"a sparse {kind} matrix",
            lambda kind=kind: getattr(scipy.sparse, f"{kind}_array")(numbers()),
            Refused("[Ss]parse", (DataError, TypeError)),
        )
        for kind in ("csr", "coo")
    ],
    # columns of frames
    Case("mixed types", lambda: with_column(cycle(1, "x", 2.5), dtype=object), Refused("'odd'")),
    Case("bytes", lambda: with_column(cycle(b"x"), dtype=object), Refused("'odd'")),
    Case("lists in pandas", lambda: with_column(cycle([1, 2])), Refused("'odd'")),
    Case("a bool column", lambda: with_column(cycle(True, False)), WORKS),
    Case("integers with NA", lambda: with_column(cycle(1, pd.NA, 2), dtype="Int64"), WORKS),
    Case("truths with NA", lambda: with_column(cycle(True, pd.NA), dtype="boolean"), WORKS),
    Case("categories with NaN", lambda: with_column(cycle("x", None), dtype="category"), WORKS),
    Case("categories, all NaN", lambda: with_column([None] * ROWS, dtype="category"), EMPTY),
    Case("text with NaN", lambda: with_column(cycle("x", np.nan, "y"), dtype=object), WORKS),
    Case("dates with NaT", lambda: with_column(cycle(DAY, pd.NaT)), WORKS),
    Case("only NaT", lambda: with_column(cycle(pd.NaT), dtype="M8[ns]"), EMPTY),
    Case("durations", lambda: with_column(pd.to_timedelta(range(ROWS), unit="h")), WORKS),
    Case("durations with NaT", lambda: with_column(cycle(pd.Timedelta("1h"), pd.NaT)), WORKS),
    Case("periods", lambda: with_column(cycle(pd.Period("2024-01"))), Refused("odd", Exception)),
    Case("complex column", lambda: with_column(cycle(1j)), Refused("odd|[Cc]omplex", Exception)),
    Case(
        "text of as many values as rows",
        lambda: pd.DataFrame({"a": np.arange(150.0), "odd": [f"id{i}" for i in range(150)]}),
        Warned("'odd' holds 150 different values.*50 cells count as unknown"),
    ),
    Case("nulls in polars", lambda: polars(cycle(1.0, None, 2.0)), WORKS),
    Case("NaN in polars", lambda: polars(cycle(1.0, float("nan"), 2.0)), WORKS),
    Case("a polars column of nulls", lambda: polars(cycle(None)), Warned("no value.*'odd'")),
    Case("infinity in polars", lambda: polars(cycle(1.0, float("inf"))), Refused("row 1.*'odd'")),
    Case("lists in polars", lambda: polars(cycle([1], [2])), Refused("'odd'")),
    Case("structs in polars", lambda: polars(cycle({"a": 1})), Refused("'odd'")),
    Case("objects in polars", lambda: polars(cycle(object()), dtype=pl.Object), Refused("'odd'")),
    Case("decimals in arrow", lambda: arrow(cycle(Decimal("1.25"), Decimal("2.5"))), WORKS),
    Case("lists in arrow", lambda: arrow(cycle([1], [2])), Refused("'odd'")),
    Case("structs in arrow", lambda: arrow(cycle({"a": 1})), Refused("'odd'")),
    Case("bytes in arrow", lambda: arrow(cycle(b"x")), Refused("'odd'")),
    Case("nulls in arrow", lambda: arrow(cycle(None)), Warned("no value.*'odd'")),
    Case("text views in arrow", lambda: arrow(cycle("x", None), pa.string_view()), WORKS),
    Case("large text in arrow", lambda: arrow(cycle("x", None), pa.large_string()), WORKS),
    Case("dates in arrow", lambda: arrow(cycle(DAY.date(), None)), WORKS),
    Case(
        "month intervals in arrow",
        lambda: arrow(cycle(pa.MonthDayNano([1, 2, 3]))),
        Refused("'odd'"),
    ),
    Case(
        "dictionaries that differ from chunk to chunk",
        lambda: pa.concat_tables(
            pa.table({"odd": pa.array(words * 8).dictionary_encode()})
            for words in (["x", "y"], ["z", "y"])
        ),
        WORKS,
    ),
    Case("intervals", lambda: with_column(pd.cut(numbers()[:, 0], 3)), Refused("'odd'")),
    Case("the words Null and NA", lambda: with_column(cycle("Null", "NA")), WORKS),
    Case(
        "a lazy frame",
        lambda: polars(cycle(1.0)).lazy(),
        Refused("LazyFrame|array", (DataError, TypeError)),
    ),
    Case("bytes in polars", lambda: polars(cycle(b"x")), Refused("'odd'")),
    Case("integers of 128 bits", lambda: polars(cycle(2**70), dtype=pl.Int128), Refused("'odd'")),
    Case("half floats in arrow", lambda: arrow(np.arange(ROWS, dtype=np.float16)), WORKS),
    Case(
        "duplicate names in arrow",
        lambda: pa.table([numbers()[:, 0], numbers()[:, 1]], names=["a", "a"]),
        Refused(r"\['a'\] occur more than once"),
    ),
]
ASK_CASES = [
    Case("too few columns", lambda: numbers()[:, :3], Refused("3 features.* 4"), numbers),
    Case("too many columns", lambda: np.ones((2, 5)), Refused("5 features.* 4"), numbers),
    Case("zero rows later", lambda: numbers()[:0], Refused("0 sample"), numbers),
    Case("zero rows of a frame later", lambda: frame()[:0], Refused("0 sample"), frame),
    Case("one row later", lambda: numbers()[:1], WORKS, numbers),
    Case("one row of a frame later", lambda: frame()[:1], WORKS, frame),
    Case("one axis later", lambda: numbers()[0], Refused("1D array"), numbers),
    Case("infinity later", lambda: with_cell(np.inf), Refused("row 3, column 1"), numbers),
    Case("a far cell later", lambda: with_cell(1e300), WORKS, numbers),
    Case(
        "infinity in a frame later",
        lambda: pd.DataFrame(with_cell(-np.inf), columns=list("abcd")),
        Refused("row 3, column 'b'"),
        frame,
    ),
    Case("missing cells later", lambda: with_cell(np.nan), WORKS, numbers),
    Case("all cells missing later", lambda: numbers() * np.nan, WORKS, numbers),
    Case(
        "renamed columns", lambda: frame().rename(columns={"b": "x"}), Refused("x(?s:.*)b"), frame
    ),
    Case("columns in another order", lambda: frame()[list("badc")], Refused("same order"), frame),
    Case("a missing column", lambda: frame()[list("abd")], Refused("missing(?s:.*)c"), frame),
    Case("an extra column", lambda: frame().assign(e=1.0), Refused("unseen(?s:.*)e"), frame),
    Case(
        "text where numbers were",
        lambda: frame().assign(b="x"),
        Refused("'b' must hold numbers, as in fit"),
        frame,
    ),
    Case("whole numbers where reals were", lambda: frame().round().astype(int), WORKS, frame),
    Case("an array after a frame", numbers, Warned("X does not have valid feature names"), frame),
    Case(
        "a value that fit never saw",
        lambda: with_column(cycle("x", "z")),
        Warned("'odd' holds 20 values never seen in fit.*'z'"),
        lambda: with_column(cycle("x", "y")),
    ),
    Case(
        "a date where text was",
        lambda: with_column(cycle(DAY)),
        Refused("'odd'"),
        lambda: with_column(cycle("x", "y")),
    ),
    Case(
        "values outside the range of probabilities",
        lambda: pd.DataFrame({"a": cycle(0, 3), "b": cycle(1, 0)}),
        Warned(r"20 values lie outside \[0, 1\]"),
        lambda: pd.DataFrame({"a": cycle(0, 1), "b": cycle(1, 0)}),
    ),
    Case("text later", lambda: np.array([["a"] * 4] * 3), Refused("string|numeric|'a'"), numbers),
    Case("complex numbers later", lambda: numbers() + 1j, Refused("[Cc]omplex"), numbers),
    Case(
        "a sparse matrix later",
        lambda: scipy.sparse.csr_array(numbers()),
        Refused("[Ss]parse", (DataError, TypeError)),
        numbers,
    ),
]


def model():
    return Autoencoder(1, **QUICK)


def hold(case, ask):
    """Call a method and assert the expected outcome."""
    if isinstance(case.must, Refused):
        with pytest.raises(case.must.error, match=case.must.words) as caught:
            ask()
        assert isinstance(caught.value, DataError) or case.must.error is not DataError
        assert len(str(caught.value)) <= 300
        return None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = ask()
    said = [str(w.message) for w in caught]
    if isinstance(case.must, Works):
        assert said == []
    else:
        assert said and all(issubclass(w.category, UserWarning) for w in caught)
        with pytest.warns(UserWarning, match=case.must.words):
            warnings.warn(said[0], caught[0].category, stacklevel=1)
    return answer


def outcome_of(case):
    return {Works: "worked", Warned: "warned", Refused: "refused"}[type(case.must)]


@pytest.mark.trust("tables")
@pytest.mark.parametrize("case", FIT_CASES, ids=lambda case: case.what)
def test_rows_to_learn_from_are_used_or_counted_or_refused(case, outcome):
    fitted = hold(case, lambda: model().fit(case.data()))
    outcome(outcome_of(case))
    if fitted is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            assert np.isfinite(fitted.score_samples(case.data())).all()
            assert np.isfinite(fitted.transform(case.data())).all()


@pytest.mark.trust("tables")
@pytest.mark.parametrize("ask", ["transform", "reconstruct", "score_samples"])
@pytest.mark.parametrize("case", ASK_CASES, ids=lambda case: case.what)
def test_rows_to_answer_about_are_used_or_counted_or_refused(case, ask, outcome):
    fitted = model().fit(case.fitted_on())
    answer = hold(case, lambda: getattr(fitted, ask)(case.data()))
    outcome(outcome_of(case))
    if isinstance(answer, np.ndarray):
        assert np.isfinite(answer).all() and len(answer) == len(case.data())


@pytest.mark.parametrize("value", [np.inf, 1e300, "oops"], ids=str)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator_refuses_a_cell_that_cannot_be_used(estimator, value):
    with pytest.raises(DataError) as caught:
        clone(estimator).fit(with_cell(value, dtype=object if value == "oops" else float))
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_every_estimator_says_that_it_was_not_fitted(estimator):
    for name in ("transform", "reconstruct", "score_samples", "decision_function", "predict"):
        if hasattr(estimator, name):
            with pytest.raises(NotFittedError, match="not fitted") as caught:
                getattr(clone(estimator), name)(numbers())
            assert len(str(caught.value)) <= 300


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if hasattr(e, "sample")], ids=str)
def test_nothing_is_sampled_before_fit(estimator):
    with pytest.raises(NotFittedError):
        clone(estimator).sample(3)


@pytest.mark.parametrize("n_rows", [2, 3, 17, 33])
@pytest.mark.parametrize("batch_size", [1, 2, 16, "auto"])
def test_batch_normalisation_takes_any_number_of_rows(n_rows, batch_size):
    X = matrix(n_rows, 4)
    network = DenseNetwork((4,), normalization="batch")
    fitted = Autoencoder(1, network=network, batch_size=batch_size, **QUICK).fit(X)
    assert np.isfinite(fitted.score_samples(X)).all()


@pytest.mark.filterwarnings("ignore:.*very few to learn from", "ignore:.*can copy the row")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_two_rows_are_enough_for_every_estimator(estimator):
    X = numbers()[:2]
    fitted = clone(estimator).fit(X)
    assert all(np.isfinite(answer).all() for answer in answers(fitted, X).values())


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_constant_rows_have_equal_scores(estimator):
    X = np.full((ROWS, 3), 5.0)
    fitted = clone(estimator).fit(X)
    if hasattr(fitted, "score_samples"):
        assert np.ptp(fitted.score_samples(X)) < 1e-9
    if hasattr(fitted, "predict"):
        assert (fitted.predict(X) == 1).all()


@pytest.mark.parametrize(
    "names",
    [range(4), pd.MultiIndex.from_product([["a", "b"], ["x", "y"]])],
    ids=["numbers", "two levels"],
)
def test_columns_without_names_of_text_come_back_as_they_were_called(names):
    table = frame().set_axis(names, axis=1)
    rebuilt = model().fit(table).reconstruct(table)
    assert rebuilt.columns.equals(table.columns)
    np.testing.assert_array_equal(rebuilt, model().fit(numbers()).reconstruct(numbers()))


def test_missing_in_polars_is_null_or_nan_alike():
    first, second = polars(cycle(1.0, None, 2.0)), polars(cycle(1.0, float("nan"), 2.0))
    fitted = model().fit(first)
    assert np.array_equal(fitted.transform(first), fitted.transform(second))
    assert np.array_equal(model().fit(second).transform(second), fitted.transform(first))


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (np.zeros((3, 2)), r"\(n_samples, 1\)"),
        (np.zeros(3), "shape"),
        (np.array([[np.nan], [0.0]]), "row 0 is not finite"),
        (np.array([["a"]]), "numbers"),
        (np.zeros((2, 1), dtype=complex), "numbers"),
    ],
    ids=["wide", "one axis", "nan", "text", "complex"],
)
def test_codes_that_cannot_be_decoded_are_refused(codes, words):
    with pytest.raises(DataError, match=words) as caught:
        model().fit(numbers()).inverse_transform(codes)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (np.ones(3), "shape"),
        (-np.ones(ROWS), "[Nn]egative"),
        (np.zeros(ROWS), "zero for every row"),
        (np.full(ROWS, np.nan), "NaN"),
        (np.full(ROWS, np.inf), "inf"),
        (["a"] * ROWS, "string|float|convert"),
    ],
    ids=["too few", "negative", "zero", "nan", "inf", "text"],
)
def test_weights_that_cannot_be_used_are_refused(weights, words):
    with pytest.raises(DataError, match=words) as caught:
        model().fit(numbers(), sample_weight=weights)
    assert len(str(caught.value)) <= 300
