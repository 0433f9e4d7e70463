"""Conditional distributions of columns: values of donors in the leaves of trees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Self

import numpy as np
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata
from sklearn import config_context
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from latently.tasks._trees import Trees

#: Categories of a column that are inputs of their own. Others are told apart by their code.
_MOST_INPUTS = 30
#: Stands for a missing number, in standard deviations.
_MISSING = -10.0
#: Columns of at most so many different values, each in so many rows on average, have no new ones.
_FEW_VALUES, _ROWS_A_VALUE = 60, 20
#: Share of the rows from which a value is a point mass. A ridge needs columns without larger ones.
_MASS, _LARGEST_MASS = 0.02, 0.05
#: Least share of the variation that a ridge explains on held-out rows, and its penalty a row.
_LEAST_R2, _PENALTY = 0.3, 1e-4
#: Weights of a ridge on normal scores are smaller.
_MOST_WEIGHT = 1e6
#: Share of the inputs that a split may use.
_INPUTS_A_SPLIT = 0.7


class Inputs(NamedTuple):
    """Training cells as inputs of trees and ridges.

    Attributes
    ----------
    cells : ndarray of shape (n_samples, n_columns)
        NaN if missing.
    n_levels : ndarray of int, shape (n_columns,)
        Number of categories, 0 for numbers and times.
    center, scale : ndarray of shape (n_columns,)
        Mean and standard deviation of each column.
    ordered : list of ndarray
        Sorted values of each column.
    """

    cells: np.ndarray
    n_levels: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    ordered: list[np.ndarray]

    @classmethod
    def of(cls, cells: np.ndarray, n_levels: np.ndarray) -> Self:
        """Return the inputs of training cells."""
        ordered = [np.sort(column[~np.isnan(column)]) for column in cells.T]
        center = np.array([one.mean() if len(one) else 0.0 for one in ordered])
        scale = np.array([one.std() if len(one) else 0.0 for one in ordered])
        return cls(cells, n_levels, center, np.where(scale > 0, scale, 1.0), ordered)

    def of_trees(self, cells: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return inputs of trees, shape (n_samples, n_inputs), of some columns of cells."""
        none = np.zeros((len(cells), 0), dtype=np.float32)
        parts = [none, *(self._of_tree(cells[:, column], column) for column in columns)]
        features: np.ndarray = np.hstack(parts).astype(np.float32)
        return features

    def _of_tree(self, values: np.ndarray, column: int) -> np.ndarray:
        levels = int(self.n_levels[column])
        if 0 < levels <= _MOST_INPUTS:
            listed: np.ndarray = (values[:, None] == np.arange(levels)).astype(np.float64)
            return listed
        scaled = (values - self.center[column]) / self.scale[column]
        filled: np.ndarray = np.where(np.isnan(values), _MISSING, scaled)[:, None]
        return filled

    def of_ridge(self, cells: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return inputs of ridges: one, categories, normal scores and their squares."""
        parts = [np.ones((len(cells), 1))]
        for column in columns:
            levels = int(self.n_levels[column])
            if levels:
                parts.append((cells[:, [column]] == np.arange(levels)).astype(np.float64))
            else:
                scores = normal_scores(self.ordered[column], cells[:, column])
                parts.append(np.stack([scores, scores * scores - 1], 1))
        linear: np.ndarray = np.hstack(parts)
        return linear

    def width(self, columns: np.ndarray) -> tuple[int, int]:
        """Return the number of inputs of trees and of ridges."""
        some = self.cells[:1]
        return self.of_trees(some, columns).shape[1], self.of_ridge(some, columns).shape[1]


def normal_scores(ordered: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the normal quantiles of the ranks of values, 0 if missing.

    Parameters
    ----------
    ordered : ndarray of shape (n,)
        Sorted training values.
    values : ndarray of shape (n_samples,)
        NaN if missing.

    Returns
    -------
    ndarray of shape (n_samples,)
        Finite numbers.
    """
    n = max(len(ordered), 1)
    low, high = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    shares = np.clip((low + high) / 2 / n, 0.5 / n, 1 - 0.5 / n)
    return np.where(np.isnan(values), 0.0, ndtri(shares))


@dataclass(frozen=True, eq=False)
class ColumnTrees:
    """Trees of a column given the columns before it, and weights of a ridge.

    Parameters
    ----------
    trees : Trees
        A row falls into a leaf, from whose training rows a donor is drawn.
    ridge : ndarray of shape (n_inputs,) or (0,)
        Weights of a ridge on normal scores. Donors give their residual. Empty: they give their
        value.
    """

    trees: Trees
    ridge: np.ndarray

    @classmethod
    def fit(
        cls,
        inputs: Inputs,
        column: int,
        before: np.ndarray,
        n_trees: int,
        min_leaf: int,
        rng: np.random.Generator,
    ) -> Self:
        """Fit the trees.

        Parameters
        ----------
        inputs : Inputs
            Training cells.
        column : int
            Column to draw.
        before : ndarray of int
            Columns that it depends on.
        n_trees, min_leaf : int
            Number of trees, and least number of rows in a leaf.
        rng : numpy.random.Generator
            Random state.
        """
        values, features = inputs.cells[:, column], inputs.of_trees(inputs.cells, before)
        ridge = _ridge(inputs, column, before, min_leaf, rng)
        if len(ridge):
            fitted = inputs.of_ridge(inputs.cells, before) @ ridge
            features = np.column_stack([features, fitted]).astype(np.float32)
            target = normal_scores(inputs.ordered[column], values) - fitted
        else:
            target = _target(values, int(inputs.n_levels[column]))
        return cls(_grow(features, target, n_trees, min_leaf, rng), ridge)

    def is_consistent(self, n_inputs: int, n_linear: int) -> bool:
        """Return True if the numbers of a file fit together and the columns before.

        Parameters
        ----------
        n_inputs, n_linear : int
            Inputs of the trees without the ridge, and inputs of the ridge.
        """
        self.trees.check_consistent()
        ridge, has_ridge = self.ridge, len(self.ridge) > 0
        return bool(
            ridge.dtype == np.float64
            and ridge.shape in ((0,), (n_linear,))
            and (np.abs(ridge) < _MOST_WEIGHT).all()
            and (self.trees.features < n_inputs + has_ridge).all()
        )


def _target(values: np.ndarray, n_levels: int) -> np.ndarray:
    """Return codes of categories as integers, or ranks of numbers."""
    if n_levels:
        return np.where(np.isnan(values), n_levels, values).astype(np.int64)
    ranks: np.ndarray = rankdata(np.where(np.isnan(values), -np.inf, values))
    return ranks


def _grow(
    features: np.ndarray, target: np.ndarray, n_trees: int, min_leaf: int, rng: np.random.Generator
) -> Trees:
    """Grow bagged trees."""
    make = DecisionTreeClassifier if target.dtype.kind == "i" else DecisionTreeRegressor
    grown, n = [], len(target)
    with config_context(array_api_dispatch=False):
        for _ in range(n_trees):
            rows = rng.integers(0, n, n)
            tree = make(
                min_samples_leaf=min_leaf, max_features=_INPUTS_A_SPLIT,
                random_state=int(rng.integers(2**31)),
            )  # fmt: skip
            grown.append(tree.fit(features[rows], target[rows]))
    return Trees.of(grown)


def _ridge(
    inputs: Inputs, column: int, before: np.ndarray, min_leaf: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the weights of a ridge if it predicts held-out rows better than a tree, else none."""
    values, none = inputs.cells[:, column], np.zeros(0)
    if inputs.n_levels[column] or np.isnan(values).any() or is_listed(values):
        return none
    if np.unique(values, return_counts=True)[1].max() > _LARGEST_MASS * len(values):
        return none
    scores, rows = normal_scores(inputs.ordered[column], values), rng.permutation(len(values))
    fit, held = np.array_split(rows, 2)
    linear = inputs.of_ridge(inputs.cells, before)
    error = np.mean((scores[held] - linear[held] @ _solved(linear[fit], scores[fit])) ** 2)
    features = inputs.of_trees(inputs.cells, before)
    tree = DecisionTreeRegressor(min_samples_leaf=max(min_leaf, 5), random_state=0)
    with config_context(array_api_dispatch=False):
        guess = tree.fit(features[fit], scores[fit]).predict(features[held])
    best = min(np.mean((scores[held] - guess) ** 2), (1 - _LEAST_R2) * np.var(scores[held]))
    return _solved(linear, scores) if error < best else none


def _solved(linear: np.ndarray, target: np.ndarray) -> np.ndarray:
    penalty = _PENALTY * len(linear) * np.eye(linear.shape[1])
    weights: np.ndarray = np.linalg.solve(linear.T @ linear + penalty, linear.T @ target)
    return weights


def is_listed(values: np.ndarray) -> bool:
    """Return True if a column has few values, each of many rows, so that new ones are wrong.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Training cells.

    Returns
    -------
    bool
        True for a list of values.
    """
    return len(np.unique(values)) <= min(_FEW_VALUES, len(values) / _ROWS_A_VALUE)


class Donors:
    """Training values of a column by leaf, from which values are drawn.

    Parameters
    ----------
    inputs : Inputs
        Training cells.
    column : int
        Column to draw.
    before : ndarray of int
        Columns that it depends on.
    model : ColumnTrees or None
        None draws from all training rows.
    """

    def __init__(
        self, inputs: Inputs, column: int, before: np.ndarray, model: ColumnTrees | None
    ) -> None:
        self._inputs, self._column, self._before, self._model = inputs, column, before, model
        values = inputs.cells[:, column]
        self._is_listed = bool(inputs.n_levels[column]) or is_listed(values)
        self._known, counts = np.unique(values[~np.isnan(values)], return_counts=True)
        self._masses = self._known[counts > max(1, _MASS * len(values))]
        self._is_tied = len(self._known) <= len(values) / 4

    @cached_property
    def _leaves(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values of donors sorted by leaf, and the first and the number of each leaf."""
        cells, model = self._inputs.cells, self._model
        values = cells[:, self._column]
        if model is None:
            nodes, n_trees, n_nodes = np.zeros(len(values), dtype=np.int64), 1, 1
        else:
            features, fitted = self._features(cells)
            if fitted is not None:
                values = normal_scores(self._inputs.ordered[self._column], values) - fitted
            nodes = model.trees.leaves(features).ravel(order="F")
            n_trees, n_nodes = len(model.trees.roots), len(model.trees.features)
        values = np.tile(values, n_trees)
        counts = np.bincount(nodes, minlength=n_nodes)
        return values[np.lexsort((values, nodes))], np.cumsum(counts) - counts, counts

    def _features(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return inputs of the trees, and what the ridge predicts."""
        features = self._inputs.of_trees(cells, self._before)
        if self._model is None or not len(self._model.ridge):
            return features, None
        fitted = self._inputs.of_ridge(cells, self._before) @ self._model.ridge
        return np.column_stack([features, fitted]).astype(np.float32), fitted

    def draw(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw the cells of the column.

        Parameters
        ----------
        cells : ndarray of shape (n_samples, n_columns)
            Rows in which the columns before it are drawn.
        rng : numpy.random.Generator
            Random state.

        Returns
        -------
        ndarray of shape (n_samples,)
            NaN if missing.
        """
        values, first, counts = self._leaves
        places, fitted = self._places(cells, rng)
        share, count = rng.random(len(cells)), counts[places]
        if self._is_listed:
            chosen = np.minimum((share * count).astype(np.int64), count - 1)
            listed: np.ndarray = values[first[places] + chosen]
            return listed
        place = share * (count - 1)
        low, part = first[places] + place.astype(np.int64), place % 1
        left, right = values[low], values[np.minimum(low + 1, first[places] + count - 1)]
        if fitted is not None:
            ordered = self._inputs.ordered[self._column]
            at = ndtr(fitted + left + part * (right - left)) * len(ordered) - 0.5
            return self._near(np.interp(at, np.arange(len(ordered)), ordered))
        return self._between(left, right, part)

    def _places(
        self, cells: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if self._model is None:
            return np.zeros(len(cells), dtype=np.int64), None
        which = rng.integers(0, len(self._model.trees.roots), len(cells))
        features, fitted = self._features(cells)
        return self._model.trees.leaves_of(features, which), fitted

    def _between(self, left: np.ndarray, right: np.ndarray, part: np.ndarray) -> np.ndarray:
        """Interpolate between neighbours that are no point masses, or else take the nearer one."""
        fixed = np.isnan(left) | np.isnan(right)
        fixed |= np.isin(left, self._masses) | np.isin(right, self._masses)
        nearer = np.where(part < 0.5, left, right)
        return np.where(fixed, nearer, self._near(left + part * (right - left)))

    def _near(self, values: np.ndarray) -> np.ndarray:
        """Return the nearest training values for a column of which most values repeat."""
        if not self._is_tied or len(self._known) < 2:
            return values
        place = np.clip(np.searchsorted(self._known, values), 1, len(self._known) - 1)
        low, high = self._known[place - 1], self._known[place]
        return np.where(values - low <= high - values, low, high)
