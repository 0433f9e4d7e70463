"""Imputation of missing cells from the other columns, with intervals of uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, NamedTuple, Self

import narwhals as nw
import numpy as np
import torch
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from latently._notices import each_once, warn
from latently._sklearn import Interval as Range
from latently._sklearn import StrOptions, check_parameters
from latently._validation import check_fitted, n_axes, read_seed
from latently.estimators import (
    BaseAutoencoder,
    DenoisingAutoencoder,
    ImputationAutoencoder,
    Question,
    bounds_of,
    draws_of,
    filled_of,
    fitted_of,
    tags_of,
)
from latently.exceptions import DataError, ParameterError
from latently.io._resources import check_memory
from latently.nn import Cells
from latently.preprocessing import TablePreprocessor, fill_missing, mark_missing, restore
from latently.schema import Rounding, plain_rows
from latently.tasks._base import AutoencoderTask, as_fitted
from latently.tasks._doubts import warn_of_doubts
from latently.tasks.imputation._category_sets import CategorySets, category_sets
from latently.tasks.imputation._fill_report import FillReport, report_fill

#: Of each table: the answer, and the same in the user's columns.
_BYTES_PER_ELEMENT = 24


class Bounds(NamedTuple):
    """Lower and upper ends of the interval of each missing cell, as tables of the input type."""

    lower: Any
    upper: Any


@dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderImputer(OneToOneFeatureMixin, TransformerMixin, AutoencoderTask):  # type: ignore[misc]
    """Fill missing cells from the other cells, and leave observed cells unchanged.

    Every column comes back as it was: whole numbers, booleans, categories, texts and dates, in
    the frame's own types. New rows are filled without another fit.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        A copy is fitted, or the autoencoder is used as it is if already fitted. None uses
        ``ImputationAutoencoder()``, for images ``DenoisingAutoencoder()``. Draws and intervals
        need an ``ImputationAutoencoder``.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder. None keeps its own.
    effort : {"fast", "balanced", "thorough"} or None, default=None
        Training effort of the autoencoder: a quarter, all or four times its default. None keeps the
        setting of the autoencoder.
    kind : {"auto", "images"}, default="auto"
        "images" treats every array of three or four axes as images. "auto" keeps the ``kind`` of
        the autoencoder.
    n_iterations : int, default=1
        Passes, at most 1,000. Each pass after the first shows the autoencoder the cells filled
        before, which helps models that never saw a gap in training.
    columns : list of str or int, or None, default=None
        Columns to fill, by name or position. None fills all. Other columns keep their gaps, and
        are still used to fill these.
    missing_values : number, str, list of them or None, default=None
        Values that stand for a missing cell, besides NaN, None and the like, for example -999
        or "unknown". A column of text in which one was found, and numbers in all other cells, is
        a column of numbers.
    add_indicator : bool, default=False
        True adds an indicator column for each column with missing values in ``fit``.
    support : {"column", "free"}, default="column"
        "column" fills each gap with a value that its column can hold: within the bounds of the
        training rows, unless an exact relation of columns gives another value, and on their grid
        of decimals or steps. "free" fills numbers with the expected
        value itself, which has the least squared error.
    unfillable : {"warn", "leave", "marginal"}, default="warn"
        Columns of a table that cannot be filled: more than half of their cells are missing, and
        fills of held-out cells are no better than the mean or the most frequent category. "warn"
        fills them and warns, "leave" leaves them missing, "marginal" fills them with their mean or
        most frequent category. With "marginal", draws follow the distribution of each gap.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    fill_report_ : FillReport
        For each column of a table: share missing, expected error of a fill, and the columns that
        it leans on. Print it.
    unfilled_ : ndarray of int
        Positions of the columns of a table that stay missing, because they held no value in
        ``fit``, or because of ``unfillable="leave"``.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    See Also
    --------
    pool_estimates : Rubin's rules for estimates from several draws.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0, 3.0]
    >>> X[0, 2] = np.nan
    >>> model = ImputationAutoencoder(max_epochs=5)
    >>> imputer = AutoencoderImputer(autoencoder=model, random_state=0).fit(X)
    >>> filled = imputer.transform(X)
    >>> bool(np.isnan(filled).any())
    False
    >>> len(imputer.impute(X, n_draws=5, random_state=0))
    5
    >>> lower, upper = imputer.interval(X, 0.9)
    >>> bool(lower[0, 2] <= upper[0, 2])
    True
    """

    n_iterations: int = 1
    columns: Sequence[str | int] | None = None
    missing_values: float | str | Sequence[float | str] | None = None
    add_indicator: bool = False
    support: Literal["column", "free"] = "column"
    unfillable: Literal["warn", "leave", "marginal"] = "warn"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "n_iterations": [Range(Integral, 1, 1_000, closed="both")],
        "columns": ["array-like", None],
        "missing_values": [Real, str, "array-like", None],
        "add_indicator": ["boolean"],
        "support": [StrOptions({"column", "free"})],
        "unfillable": [StrOptions({"warn", "leave", "marginal"})],
    }

    _optional_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        **AutoencoderTask._optional_types,
        "fill_report_": FillReport,
        "unfilled_": np.ndarray,
    }

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the relations between columns.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows, with gaps or without.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted imputer.

        Raises
        ------
        ParameterError
            If a parameter has a wrong value, or names a column that ``X`` does not have.
        DataError
            If the rows cannot be used.
        """
        shown = self._shown(X)
        model = self._fit_autoencoder(shown)
        warn_of_doubts(model, X)
        if _is_table(model):
            self.fill_report_ = report_fill(model, fitted_of(model).read(shown, fitting=True))
            fitted_here = model is not getattr(self.autoencoder, "estimator", self.autoencoder)
            empty = (self.fill_report_.share_missing == 1) & fitted_here
            left = self._is_unfillable & (self.unfillable == "leave")
            self.unfilled_ = np.flatnonzero(empty | left)
            self._warn_of_unfillable(self._is_unfillable & ~empty)
        self._positions()
        return self

    def transform(self, X: Any) -> Any:
        """Fill the missing cells.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Of the kind and types of ``X``; an array where ``fit`` saw an array. The columns
            of ``unfilled_`` stay missing.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        shown = self._shown(X)
        model, inner = self.autoencoder_, fitted_of(self.autoencoder_)
        cells = inner.read(shown)
        if _is_table(model):
            self._warn_of_gaps(cells)
        filled = self._filled(shown, self._expected(cells), self._positions(), self._rounding)
        for _ in range(self.n_iterations - 1):
            again = self._on_scale_of(model.reconstruct(filled, support=self.support), shown)
            filled = fill_missing(_given(shown), again, self._positions())
        return self._answer(X, shown, filled)

    @each_once()
    def impute(
        self,
        X: Any,
        n_draws: int | None = None,
        *,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Fill the missing cells once, or several times at random.

        Combine the estimates from each of the tables with ``pool_estimates``. Draws follow the
        distribution of the missing cells given the observed cells of their row. Missing cells of
        one row are drawn jointly.

        Parameters
        ----------
        X : array-like, DataFrame or Table
            Rows with the columns of ``fit``.
        n_draws : int or None, default=None
            Number of tables. None fills each gap with its expectation, as ``transform`` does.
        random_state : int, RandomState or None, default=None
            Seed of the draws. None differs from call to call.

        Returns
        -------
        ndarray, DataFrame or Table, or a list of n_draws of them
            Of the kind and types of ``X``.

        Raises
        ------
        ParameterError
            If the autoencoder knows no distribution.
        DataError
            If the rows cannot be used.
        """
        if n_draws is None:
            return self.transform(X)
        check_fitted(self)
        check_parameters(
            {
                "n_draws": [Range(Integral, 1, None, closed="left")],
                "random_state": ["random_state"],
            },
            {"n_draws": n_draws, "random_state": random_state},
            f"{type(self).__name__}.impute",
        )
        generator = torch.Generator().manual_seed(read_seed(random_state))

        question = draws_of(n_draws, generator)
        return self._tables(X, question, "n_draws", n_tables=n_draws)

    @each_once()
    def interval(self, X: Any, coverage: float = 0.9) -> Bounds:
        """Return between which values each missing cell lies, with a chance of ``coverage``.

        Intervals are conformal, column by column: of cells held out in ``fit``, that share lies
        within. Categories without an order have no interval, and their cells stay missing. Use
        ``prediction_sets`` for them.

        Parameters
        ----------
        X : array-like, DataFrame or Table
            Rows with the columns of ``fit``.
        coverage : float, default=0.9
            Chance to cover the true value, between 0 and 1. More makes intervals wider.

        Returns
        -------
        Bounds
            ``lower`` and ``upper``, of the kind and types of ``X``, with unchanged observed cells.

        Raises
        ------
        ParameterError
            If ``coverage`` is not between 0 and 1, or the autoencoder knows no distribution.
        DataError
            If the rows cannot be used.
        """
        check_fitted(self)
        if not 0 < coverage < 1:
            raise ParameterError(f"coverage must be between 0 and 1, got {coverage}. Try 0.9.")

        return Bounds(*self._tables(X, bounds_of(coverage), "interval", ("down", "up")))

    @each_once()
    def prediction_sets(self, X: Any, coverage: float = 0.9) -> dict[str, CategorySets]:
        """Return the categories that each missing cell may hold, with their probabilities.

        Sets are conformal: of cells held out in ``fit``, the share ``coverage`` lies within. A
        column with fewer than 20 held-out cells gets sets of all its categories.

        Parameters
        ----------
        X : array-like, DataFrame or Table
            Rows with the columns of ``fit``.
        coverage : float, default=0.9
            Probability that a set holds the true category, between 0 and 1. More makes sets larger.

        Returns
        -------
        dict of str to CategorySets
            An entry for each column of categories, ordered categories or booleans.

        Raises
        ------
        ParameterError
            If ``coverage`` is not between 0 and 1, or the autoencoder predicts no distribution.
        DataError
            If the rows cannot be used, or the model file is of a version without sets.
        """
        check_fitted(self)
        if not 0 < coverage < 1:
            raise ParameterError(f"coverage must be between 0 and 1, got {coverage}. Try 0.9.")
        model = self.autoencoder_
        self._check_predicts_cells("prediction_sets")
        inner = fitted_of(model)
        least = inner.least_probability(coverage)
        if least is None:
            raise DataError("The model file holds no prediction sets. Fit the imputer again.")
        cells = inner.read(self._shown(X))
        self._warn_of_gaps(cells)
        assert isinstance(model.preprocessor_, TablePreprocessor)
        return category_sets(model.preprocessor_, self._expected(cells), least)

    # ------------------------------------------------------------------ inside
    def _check_consistent(self) -> None:
        super()._check_consistent()
        found = hasattr(self, "fill_report_"), hasattr(self, "unfilled_")
        if found != (_is_table(self.autoencoder_),) * 2:
            raise DataError("The model's fill_report_ belongs to a table.")
        if not all(found):
            return
        names = tuple(self.autoencoder_.preprocessor_.column_names)
        places = self.unfilled_
        sound = places.ndim == 1 and places.dtype.kind in "iu" and self.fill_report_.names == names
        if not sound or not set(places.tolist()) <= set(range(len(names))):
            raise DataError("The model's fill_report_ is of other columns.")
        self._positions()

    def _tables(
        self,
        X: Any,
        question: Question,
        asked: str,
        ends: tuple[Rounding, ...] = (),
        n_tables: int = 2,
    ) -> list[Any]:
        """Request several filled tables at once, with ends of intervals rounded outwards."""
        model = self.autoencoder_
        self._check_predicts_cells(asked)
        shown = self._shown(X)
        inner = fitted_of(model)
        cells = inner.read(shown)
        self._warn_of_gaps(cells)
        n_rows, width = len(cells.values), model.preprocessor_.layout.width
        check_memory(
            float(n_tables) * n_rows * width * _BYTES_PER_ELEMENT,
            f"Drawing {n_tables:,} tables of {n_rows:,} rows",
            "Draw fewer tables, or give fewer rows",
        )
        answers = inner.ask(cells, question)
        chosen = self._positions() or set()
        if ends:
            chosen -= self._unordered()
        return [
            self._answer(X, shown, self._filled(shown, answers[:, place], chosen, rounding))
            for place, rounding in enumerate(ends or (self._rounding,) * answers.shape[1])
        ]

    def _check_predicts_cells(self, asked: str) -> None:
        """Raise ParameterError unless the model predicts a distribution for each gap."""
        if not tags_of(self.autoencoder_).predicts_cells:
            raise ParameterError(
                f"{asked} needs an ImputationAutoencoder, which predicts a distribution for each "
                f"gap, got {type(self.autoencoder_).__name__}. Leave autoencoder out."
            )

    def _filled(
        self, shown: Any, values: np.ndarray, columns: set[int] | None, rounding: Rounding
    ) -> Any:
        given, preprocessor = _given(shown), self.autoencoder_.preprocessor_
        if isinstance(preprocessor, TablePreprocessor):
            if tags_of(self.autoencoder_).predicts_cells:
                # Only exact relations and orders of columns lead beyond the training rows.
                preprocessor = preprocessor.widened(values)
            decoded = preprocessor.decode(values, like=given, rounding=rounding)
        else:
            decoded = self._on_scale_of(preprocessor.decode(values, like=given), given)
        return fill_missing(given, decoded, columns)

    def _on_scale_of(self, rebuilt: Any, shown: Any) -> Any:
        """Return reconstructed images in the scale and axes of the input, and tables unchanged."""
        preprocessor = self.autoencoder_.preprocessor_
        if isinstance(preprocessor, TablePreprocessor):
            return rebuilt
        return preprocessor.as_given(rebuilt, np.asarray(shown))

    @property
    def _rounding(self) -> Rounding:
        return "nearest" if self.support == "column" else "free"

    def _shown(self, X: Any) -> Any:
        """Return the input of the autoencoder, with missing-value markers replaced."""
        if self.missing_values is None:
            return plain_rows(X)
        return mark_missing(_given(X), self.missing_values)

    def _answer(self, X: Any, shown: Any, filled: Any) -> Any:
        if self.missing_values is not None:
            filled = restore(_given(X), filled, self.missing_values)
        filled = as_fitted(self.autoencoder_, filled)
        if not self.add_indicator:
            return filled
        cells = fitted_of(self.autoencoder_).read(shown)
        gaps = np.zeros((len(cells.values), self.n_features_in_), dtype=bool)
        if cells.observed is not None:
            gaps = self.autoencoder_.preprocessor_.in_order(~cells.observed.numpy())
        return _with_columns(filled, gaps[:, self._indicated], self._indicator_names)

    def _positions(self) -> set[int] | None:
        """Return the positions of the columns to fill, None for the pixels of images."""
        if not _is_table(self.autoencoder_):
            return None
        names = list(self.autoencoder_.preprocessor_.column_names)
        unfilled = set(self.unfilled_.tolist())
        if self.columns is None:
            return set(range(len(names))) - unfilled
        unknown = [c for c in self.columns if c not in names and c not in range(len(names))]
        if unknown:
            raise ParameterError(
                f"columns names columns that X does not have: {unknown[:5]}. There are {names[:8]}."
            )
        chosen = {names.index(c) if isinstance(c, str) else int(c) for c in self.columns}
        return chosen - unfilled

    def _unordered(self) -> set[int]:
        preprocessor = self.autoencoder_.preprocessor_
        columns = preprocessor.layout.columns
        kinds = {int(p): c.likelihood for p, c in zip(preprocessor.order, columns, strict=True)}
        return {position for position, kind in kinds.items() if kind == "categorical"}

    def _expected(self, cells: Cells) -> np.ndarray:
        """Return encoded rows with expected values in their missing cells."""
        model = self.autoencoder_
        filled = fitted_of(model).ask(cells, filled_of)
        if cells.observed is None or self.unfillable != "marginal" or not _is_table(model):
            return filled
        is_unfillable = self._is_unfillable[model.preprocessor_.order]
        center = model.module_.center.double().cpu().numpy()
        for column in model.preprocessor_.layout.columns:
            if is_unfillable[column.place]:
                rows = ~cells.observed[:, column.place].numpy()
                filled[rows, column.elements] = center[column.elements]
        return filled

    @property
    def _is_unfillable(self) -> np.ndarray:
        return np.isin(self.fill_report_.names, self.fill_report_.unfillable)

    def _warn_of_unfillable(self, unfillable: np.ndarray) -> None:
        names = [repr(self.fill_report_.names[place]) for place in np.flatnonzero(unfillable)]
        if names and self.unfillable == "warn":
            warn(
                f"{len(names)} columns cannot be filled: {', '.join(names[:5])}. Most of their "
                "cells are missing, and fills are no better than the mean or the most frequent "
                'category. Give unfillable="leave" or unfillable="marginal".'
            )

    def _warn_of_gaps(self, cells: Cells) -> None:
        """Warn of rows of which nothing is known, and of columns that had no gap in ``fit``."""
        if cells.observed is None:
            return
        observed = cells.observed.numpy()
        n_empty = int((~observed.any(1)).sum())
        if n_empty:
            warn(f"{n_empty:,} rows hold no value at all; they are filled with what is usual.")
        report = self.fill_report_
        gaps = self.autoencoder_.preprocessor_.in_order(~observed).any(0)
        new = np.flatnonzero(gaps & (report.share_missing == 0))
        if len(new):
            names = ", ".join(repr(report.names[place]) for place in new[:5])
            warn(
                f"{len(new)} columns lack cells and lacked none in fit: {names}. They are filled "
                "all the same."
            )

    @property
    def _indicated(self) -> np.ndarray:
        return np.flatnonzero(self.fill_report_.share_missing > 0)

    @property
    def _indicator_names(self) -> list[str]:
        return [f"missingindicator_{self.fill_report_.names[place]}" for place in self._indicated]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the columns that ``transform`` gives.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns, where ``fit`` saw none.

        Returns
        -------
        ndarray of str
            Those of the input, and of the indicators.
        """
        check_fitted(self)
        names: np.ndarray = super().get_feature_names_out(input_features)
        if not self.add_indicator:
            return names
        added = [f"missingindicator_{names[place]}" for place in self._indicated]
        return np.array([*names, *added], dtype=object)

    def _fresh(self, given: BaseAutoencoder | None, X: Any = None) -> BaseAutoencoder:
        if given is None and n_axes(X) in (3, 4):
            given = DenoisingAutoencoder()
        return super()._fresh(given, X)

    def _default_autoencoder(self) -> BaseAutoencoder:
        return ImputationAutoencoder()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array |= self.autoencoder is None
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _is_table(model: BaseAutoencoder) -> bool:
    return not hasattr(model.preprocessor_.spec, "axes")


def _given(X: Any) -> Any:
    """Return rows as a frame or an array of numbers."""
    X = plain_rows(X)
    if nw.dependencies.is_into_dataframe(X):
        return X
    array = np.asarray(X)
    if array.dtype.kind in "fiub":
        return array
    try:
        return array.astype(np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"X is an array of {array.dtype}, numbers are needed. Give a DataFrame for texts."
        ) from None


def _with_columns(rows: Any, flags: np.ndarray, names: list[str]) -> Any:
    """Return rows with further columns: numbers of an array, booleans of a frame."""
    if isinstance(rows, np.ndarray):
        return np.hstack([rows, flags.astype(rows.dtype)])
    if hasattr(rows, "assign"):  # pandas, whose names need not be texts
        return rows.assign(**dict(zip(names, flags.T, strict=True)))
    frame = nw.from_native(rows, eager_only=True)
    added = [
        nw.new_series(name, flag, nw.Boolean, backend=frame.implementation)
        for name, flag in zip(names, flags.T, strict=True)
    ]
    return frame.with_columns(added).to_native()
