"""New rows of tables, column by column, from donors in the leaves of trees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import BaseEstimator

from latently._codec import check_state
from latently._notices import each_once
from latently._sklearn import Interval, check_parameters
from latently._validation import check_fitted, read_input, read_seed
from latently.estimators import SaveMixin
from latently.exceptions import DataError, ModelFileError, ParameterError
from latently.preprocessing import TablePreprocessor
from latently.tasks.generation._cells import (
    Range,
    check_arrays,
    comparable,
    n_levels_of,
    read_cells,
    read_given,
    without_masses,
    write_rows,
)
from latently.tasks.generation._chain import (
    Chain,
    Copies,
    chain_order,
    fit_models,
    keys_of,
    odds_of,
)
from latently.tasks.generation._leaf_donors import ColumnTrees, Inputs
from latently.tasks.generation._refiner import Refiner, limit_of

_N_ROUNDS = 2
#: Least number of rows from which a classifier is fitted.
_MIN_ROWS = 100
#: Rows that are drawn at once, and draws without a row that meets the conditions before an error.
_BATCH_ROWS, _MOST_DRAWS = 10_000, 40
#: Rows that are drawn for each wanted row.
_SURPLUS = 2
_CONSTRAINT = re.compile(r"\s*(.+?)\s*(<=|>=|<|>)\s*(.+?)\s*")
_COMPARISONS = {"<=": np.less_equal, ">=": np.greater_equal, "<": np.less, ">": np.greater}


@dataclass(kw_only=True, eq=False, repr=False)
class TableSampler(SaveMixin, BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Generate rows of a table column by column, from trees whose leaves hold donors [1]_.

    1. Each column has bagged trees on the columns before it. A row falls into a leaf of one tree,
       and takes the value of a training row in that leaf, or a value between two neighbours.
    2. Where a ridge on normal scores predicts held-out rows better, the donors give its residual.
    3. Boosted trees separate training rows from generated ones. Generated rows are accepted with a
       probability in proportion to the odds of a real row [2]_, in two rounds.
    4. Rows that equal a training row are thinned to the share that new real rows have.

    Columns that another column determines keep this dependence. Columns of consecutive whole
    numbers without repeats, such as the number of an order, continue with new numbers.

    The model and its file hold training cells. ``min_leaf`` makes rows less like single training
    rows, but there is no guarantee such as differential privacy.

    Parameters
    ----------
    min_leaf : int, default=5
        Least number of training rows in a leaf. With larger values rows are farther from single
        training rows and less like real ones.
    refine : bool, default=True
        False omits step 3, which takes most of the time. Steps of fewer than 100 rows omit it, too.
    n_trees : int, default=10
        Trees of each column. More trees give more varied rows and a larger model.
    order : sequence of str or int, or None, default=None
        Names of columns, or positions of an array, in the order in which they are drawn. Others
        follow. None is the order of the table, with determined columns after those that determine
        them. Conditions are met fastest on early columns.
    constraints : sequence of str, default=()
        Comparisons of two columns such as ``"pickup <= dropoff"``, which the training rows meet.
        Generated rows that break one are rejected.
    max_samples : int, default=50000
        Training rows that are kept, drawn at random. Time and memory grow with it.
    max_categories : int, default=1000
        Largest number of categories of a column. Rarer ones are generated as missing cells.
    random_state : int, RandomState or None, default=None
        Seed of the trees.

    Attributes
    ----------
    preprocessor_ : TablePreprocessor
        Types and possible values of the columns.
    cells_ : ndarray of shape (n_kept, n_columns)
        Training cells.
    order_ : ndarray of int, shape (n_columns,)
        Order of the columns, in encoded order.
    columns_ : tuple of ColumnTrees or None
        Trees of each column, in that order.
    refiners_ : tuple of Refiner
        Classifiers of step 3.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Reiter (2005), Using CART to Generate Partially Synthetic Public Use Microdata.
    .. [2] Azadi et al. (2019), Discriminator Rejection Sampling.

    Examples
    --------
    >>> from latently.datasets import make_transactions
    >>> table = make_transactions(300, random_state=0).data
    >>> sampler = TableSampler(random_state=0).fit(table)
    >>> sampler.sample(5, random_state=0).num_rows
    5
    """

    min_leaf: int = 5
    refine: bool = True
    n_trees: int = 10
    order: Sequence[str | int] | None = None
    constraints: Sequence[str] = ()
    max_samples: int = 50_000
    max_categories: int = 1_000
    random_state: int | np.random.RandomState | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "min_leaf": [Interval(Integral, 1, None, closed="left")],
        "refine": ["boolean"],
        "n_trees": [Interval(Integral, 1, 1_000, closed="both")],
        "order": [list, tuple, np.ndarray, None],
        "constraints": [list, tuple],
        "max_samples": [Interval(Integral, 1, None, closed="left")],
        "max_categories": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }
    _fitted_types: ClassVar[dict[str, type | tuple[type, ...]]] = {
        "preprocessor_": TablePreprocessor,
        "cells_": np.ndarray,
        "order_": np.ndarray,
        "columns_": tuple,
        "refiners_": tuple,
        "n_features_in_": int,
    }

    @each_once()
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit the trees and classifiers.

        Parameters
        ----------
        X : array-like, DataFrame or Table
            Rows to imitate.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted sampler.

        Raises
        ------
        DataError
            If the rows cannot be used.
        ParameterError
            If a parameter does not fit the columns.
        """
        self._check_parameters()
        for name in ("_inputs", "_keys", "_chain", "_copies", "feature_names_in_"):
            self.__dict__.pop(name, None)  # of an earlier fit
        table = read_input(self, X, reset=True)
        if getattr(table, "ndim", 2) != 2:
            raise DataError("X must be a table, got images. Use a LatentSampler.")
        rng = np.random.default_rng(read_seed(self.random_state))
        fitted = TablePreprocessor.fit(table, "gaussian", self.max_categories)
        self.preprocessor_ = without_masses(fitted)
        cells = read_cells(self.preprocessor_, table)
        n_kept = min(len(cells), self.max_samples)
        self.cells_ = cells[np.sort(rng.permutation(len(cells))[:n_kept])]
        self._check_constraints(cells)
        inputs = self._inputs
        self.order_ = self._read_order(inputs)
        self.columns_ = fit_models(inputs, self.order_, self.n_trees, self.min_leaf, rng)
        self.refiners_: tuple[Refiner, ...] = ()
        if self.refine and n_kept >= _MIN_ROWS:
            self._refine(rng)
        return self

    def _check_parameters(self) -> None:
        params = {name: getattr(self, name) for name in self._parameter_constraints}
        check_parameters(self._parameter_constraints, params, type(self).__name__)
        for text in self.constraints:
            if not isinstance(text, str) or not _CONSTRAINT.fullmatch(text):
                raise ParameterError(
                    f'constraints must be texts such as "a <= b", got {text!r:.60}. Write names of '
                    "columns with <=, <, >= or > between."
                )

    @cached_property
    def _inputs(self) -> Inputs:
        return Inputs.of(self.cells_, n_levels_of(self.preprocessor_))

    def _read_order(self, inputs: Inputs) -> np.ndarray:
        """Return the order of the columns, the wanted ones first."""
        order = chain_order(inputs)
        if self.order is None:
            return order
        names = [self.preprocessor_.column_names[place] for place in self.preprocessor_.order]
        wanted = [f"x{name}" if isinstance(name, Integral) else str(name) for name in self.order]
        unknown = [name for name in wanted if name not in names]
        if unknown or len(set(wanted)) < len(wanted):
            raise ParameterError(
                f"order must hold different columns of fit, got {list(self.order)!r:.80}. Use some "
                f"of {', '.join(names[:8])}."
            )
        first = [names.index(name) for name in wanted]
        return np.array([*first, *(j for j in order if j not in first)], dtype=np.int64)

    def _refine(self, rng: np.random.Generator) -> None:
        """Fit the classifiers, each on rows that those before it accept."""
        every = np.arange(self.cells_.shape[1])
        real = self._inputs.of_trees(self._without_keys(self.cells_), every)
        for _ in range(_N_ROUNDS):
            made = self._accepted(len(self.cells_), rng, {})
            features = self._inputs.of_trees(self._without_keys(made), every)
            found = Refiner.fit(real, features, rng)
            odds = odds_of((*self.refiners_, found), features)
            self.refiners_ = (*self.refiners_, replace(found, limit=limit_of(odds)))

    def _without_keys(self, cells: np.ndarray) -> np.ndarray:
        return np.where(self._keys, 0.0, cells)

    @cached_property
    def _chain(self) -> Chain:
        return Chain(self._inputs, self.order_, self.columns_, self._snapped)

    @cached_property
    def _copies(self) -> Copies:
        return Copies(self._without_keys(self.cells_))

    @cached_property
    def _keys(self) -> np.ndarray:
        return keys_of(self._inputs)

    def _snapped(self, cells: np.ndarray) -> np.ndarray:
        """Return cells rounded to the grid of their columns, within the bounds."""
        support = self.preprocessor_.support
        if support is None:
            return cells
        n, answer = len(support.low), cells.copy()
        answer[:, :n] = support.snapped(cells[:, :n]) + 0.0
        return answer

    def _accepted(self, n: int, rng: np.random.Generator, given: Mapping[int, Range]) -> np.ndarray:
        """Return rows that meet the conditions, the constraints and the classifiers."""
        parts, found, draws, size = [], 0, 0, _SURPLUS * n
        while found < n:
            some = self._chain.draw(min(max(size, 256), _SURPLUS * _BATCH_ROWS), rng, given)
            some = some[self._is_allowed(some)]
            some = some[self._is_likely(some, rng)]
            some = some[self._copies.kept(self._without_keys(some), rng)]
            parts.append(some)
            found, draws = found + len(some), draws + 1
            size = size if len(some) else 4 * size
            if draws >= _MOST_DRAWS and not found:
                raise ParameterError(
                    f"given and constraints must describe rows that can occur, got none in "
                    f"{draws:,} draws. Widen a range, or drop a condition."
                )
        return np.concatenate(parts)[:n]

    def _is_allowed(self, cells: np.ndarray) -> np.ndarray:
        """Return True for rows that meet the constraints. Missing cells meet them."""
        allowed = np.ones(len(cells), dtype=bool)
        for text in self.constraints:
            match = _CONSTRAINT.fullmatch(text)
            assert match is not None
            left, right = (comparable(self.preprocessor_, match[k], cells) for k in (1, 3))
            allowed &= _COMPARISONS[match[2]](left, right) | np.isnan(left) | np.isnan(right)
        return allowed

    def _check_constraints(self, cells: np.ndarray) -> None:
        broken = ~self._is_allowed(cells)
        if broken.any():
            raise ParameterError(
                f"constraints must hold in the rows of fit, got {int(broken.sum()):,} rows that "
                f"break one, the first of them row {int(broken.argmax())}. Correct or drop them."
            )

    def _is_likely(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return True for rows that the classifiers accept."""
        if not self.refiners_:
            return np.ones(len(cells), dtype=bool)
        every = np.arange(cells.shape[1])
        odds = odds_of(self.refiners_, self._inputs.of_trees(self._without_keys(cells), every))
        likely: np.ndarray = rng.random(len(cells)) < odds / self.refiners_[-1].limit
        return likely

    def sample(
        self,
        n_samples: int = 1,
        *,
        given: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Any:
        """Generate rows.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to generate.
        given : mapping of str to value or (low, high), or None, default=None
            Values or ranges, ends included, by names of columns. Every row meets them.
        random_state : int, RandomState or None, default=None
            Seed. None differs from call to call.

        Returns
        -------
        ndarray, DataFrame or Table
            In the columns, types and units of ``fit``.

        Raises
        ------
        ParameterError
            If no row meets the conditions.
        """
        batches = list(self._batches(n_samples, n_samples, given, random_state, "sample"))
        return write_rows(self._wide, np.concatenate(batches))

    def sample_batches(
        self,
        n_samples: int,
        *,
        batch_size: int = 10_000,
        given: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> Iterator[Any]:
        """Generate rows in batches, so that memory does not grow with their number.

        Parameters
        ----------
        n_samples : int
            Rows to generate.
        batch_size : int, default=10000
            Rows of a batch. Memory grows with it.
        given : mapping of str to value or (low, high), or None, default=None
            As in ``sample``.
        random_state : int, RandomState or None, default=None
            Seed.

        Yields
        ------
        ndarray, DataFrame or Table
            In the columns, types and units of ``fit``.
        """
        caller = "sample_batches"
        for cells in self._batches(n_samples, batch_size, given, random_state, caller):
            yield write_rows(self._wide, cells)

    def _batches(
        self, n_samples: int, size: int, given: Any, random_state: Any, caller: str
    ) -> Iterator[np.ndarray]:
        check_fitted(self)
        limit = [Interval(Integral, 1, None, closed="left")]
        check_parameters(
            {"n_samples": limit, "batch_size": limit, "given": [Mapping, None]},
            {"n_samples": n_samples, "batch_size": size, "given": given},
            f"TableSampler.{caller}",
        )
        rng = np.random.default_rng(read_seed(random_state))
        conditions = self._read_given(given or {})
        for start in range(0, n_samples, size):
            cells = self._accepted(min(size, n_samples - start), rng, conditions)
            yield self._numbered(cells, start)

    def _read_given(self, given: Mapping[str, Any]) -> dict[int, Range]:
        conditions = read_given(self.preprocessor_, dict(given))
        names = list(given)
        for name, (place, (low, high)) in zip(names, conditions.items(), strict=True):
            values = self.cells_[:, place]
            if self._keys[place] or not ((values >= low) & (values <= high)).any():
                raise ParameterError(
                    f"given[{name!r}] must hold a value of the training rows, got "
                    f"{given[name]!r:.60}. Widen the range, or drop it."
                )
        return conditions

    def _numbered(self, cells: np.ndarray, start: int) -> np.ndarray:
        """Return rows whose keys continue those of the training rows."""
        keys = self._keys
        if keys.any():
            own = 1.0 + start + np.arange(len(cells))
            cells[:, keys] = self.cells_[:, keys].max(0) + own[:, None]
        return cells

    @property
    def _wide(self) -> TablePreprocessor:
        """The preprocessor without an upper bound on keys."""
        support, keys = self.preprocessor_.support, self._keys
        if support is None or not keys.any():
            return self.preprocessor_
        high = np.where(keys[: len(support.high)], 2.0**53, support.high)
        return replace(self.preprocessor_, support=replace(support, high=high))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "refiners_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags

    def __latently_state__(self) -> dict[str, Any]:
        return {
            name: value
            for name, value in vars(self).items()
            if name.endswith("_") and not name.startswith("_")
        }

    def __latently_restore__(self, state: dict[str, Any] | None) -> None:
        self._check_parameters()
        if state is None:
            return
        optional = {"feature_names_in_": np.ndarray} if "feature_names_in_" in state else {}
        check_state(state, self._fitted_types | optional)
        if not state.keys() <= {*self._fitted_types, *optional}:
            raise ModelFileError("The model has fitted attributes of unknown names.", "config")
        for name, value in state.items():
            setattr(self, name, value)
        self._check_consistent()

    def _check_consistent(self) -> None:
        """Raise DataError if fitted attributes of a file contradict each other."""
        check_arrays(self.preprocessor_, self.cells_)
        n_columns = self.cells_.shape[1]
        names = list(getattr(self, "feature_names_in_", ()))
        sound = (
            self.n_features_in_ == n_columns
            and names == list(self.preprocessor_.spec.names or ())
            and self.order_.dtype == np.int64
            and sorted(self.order_.tolist()) == list(range(n_columns))
            and len(self.columns_) == n_columns
            and self.columns_[0] is None
            and all(isinstance(one, ColumnTrees) for one in self.columns_[1:])
            and all(isinstance(one, Refiner) for one in self.refiners_)
            and len(self.refiners_) <= _N_ROUNDS
        )
        if not sound or not self._has_sound_trees():
            raise DataError("The model's trees do not fit its columns.")
        self._check_constraints(self.cells_)

    def _has_sound_trees(self) -> bool:
        inputs = self._inputs
        for place, model in enumerate(self.columns_):
            if model is not None and not model.is_consistent(*inputs.width(self.order_[:place])):
                return False
        n_inputs, _ = inputs.width(np.arange(len(self.order_)))
        return all(refiner.is_consistent(n_inputs) for refiner in self.refiners_)
