"""Draw rows column by column, each given the columns before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from latently.tasks.generation._cells import Range
from latently.tasks.generation._leaf_donors import ColumnTrees, Donors, Inputs
from latently.tasks.generation._refiner import Refiner

#: Each value of a column that determines another one is in so many rows, on average.
_ROWS_A_VALUE = 10

#: Round cells to values that their columns can hold.
Rounder = Callable[[np.ndarray], np.ndarray]


def chain_order(inputs: Inputs) -> np.ndarray:
    """Return the columns in their own order, but each after the columns that determine it.

    Keys are last, so that no column depends on them.

    Parameters
    ----------
    inputs : Inputs
        Training cells.

    Returns
    -------
    ndarray of int, shape (n_columns,)
        The order in which columns are drawn.
    """
    keys = keys_of(inputs)
    parents, left, order = determinants(inputs), np.argsort(keys, kind="stable").tolist(), []
    while left:
        ready = [j for j in left if not (set(parents[j]) & set(left))]
        order.append((ready or left)[0])
        left.remove(order[-1])
    return np.array(order, dtype=np.int64)


def determinants(inputs: Inputs) -> list[list[int]]:
    """Return the columns that determine each column, without those that it determines itself.

    Parameters
    ----------
    inputs : Inputs
        Training cells.

    Returns
    -------
    list of list of int
        Columns of repeated values of which each goes with a single value of the other column.
    """
    n, p = inputs.cells.shape
    codes = [np.unique(column, return_inverse=True)[1] for column in inputs.cells.T]
    sizes = [int(code.max()) + 1 for code in codes]
    few = [2 < size <= n / _ROWS_A_VALUE for size in sizes]

    def decides(a: int, b: int) -> bool:
        if a == b or not few[a] or not 1 < sizes[b] <= sizes[a]:
            return False
        first = np.zeros(sizes[a], dtype=np.int64)
        first[codes[a]] = codes[b]
        return bool((first[codes[a]] == codes[b]).all())

    pairs = np.array([[decides(a, b) for a in range(p)] for b in range(p)], dtype=bool)
    return [[a for a in range(p) if pairs[b, a] and not (pairs[a, b] and a > b)] for b in range(p)]


def keys_of(inputs: Inputs) -> np.ndarray:
    """Return the columns of consecutive or nearly consecutive whole numbers without repeats.

    Parameters
    ----------
    inputs : Inputs
        Training cells.

    Returns
    -------
    ndarray of bool, shape (n_columns,)
        True for keys, such as the number of an order.
    """
    found = []
    for column, values in enumerate(inputs.ordered):
        n = len(values)
        whole = n == len(inputs.cells) and n > _ROWS_A_VALUE and not inputs.n_levels[column]
        found.append(
            bool(
                whole
                and (values % 1 == 0).all()
                and (np.diff(values) > 0).all()
                and values[-1] - values[0] <= 2 * n
            )
        )
    return np.array(found, dtype=bool)


class Chain:
    """Draws cells of rows.

    Parameters
    ----------
    inputs : Inputs
        Training cells.
    order : ndarray of int, shape (n_columns,)
        The order in which columns are drawn.
    models : sequence of ColumnTrees or None
        The model of each column, in that order. None draws from all training rows.
    snap : callable
        Rounds cells to values that their columns can hold.
    """

    def __init__(
        self,
        inputs: Inputs,
        order: np.ndarray,
        models: tuple[ColumnTrees | None, ...],
        snap: Rounder,
    ) -> None:
        self._inputs, self._order, self._snap = inputs, order, snap
        self._donors = [
            Donors(inputs, int(column), order[:place], model)
            for place, (column, model) in enumerate(zip(order, models, strict=True))
        ]
        parents = determinants(inputs)
        done: list[int] = []
        self._parents: list[int | None] = []
        for column in order:
            self._parents.append(next((a for a in done if a in parents[column]), None))
            done.append(int(column))

    def draw(
        self, n: int, rng: np.random.Generator, given: Mapping[int, Range] | None = None
    ) -> np.ndarray:
        """Draw rows. Rows that do not meet the conditions are dropped once their column is drawn.

        Parameters
        ----------
        n : int
            Number of rows to start with.
        rng : numpy.random.Generator
            Random state.
        given : mapping of int to (low, high), or None
            Conditions on columns.

        Returns
        -------
        ndarray of shape (at most n, n_columns)
            Cells.
        """
        given = given or {}
        cells = np.full((n, len(self._order)), np.nan)
        for column, parent, donors in zip(self._order, self._parents, self._donors, strict=True):
            if parent is None:
                cells[:, column] = donors.draw(cells, rng)
            else:
                cells[:, column] = self._determined(cells[:, parent], parent, int(column))
            if column in given:
                cells = self._meeting(cells, int(column), given[int(column)])
        return self._snap(cells)

    def _meeting(self, cells: np.ndarray, column: int, ends: Range) -> np.ndarray:
        values = self._snap(cells)[:, column]
        return cells[(values >= ends[0]) & (values <= ends[1])]

    def _determined(self, values: np.ndarray, parent: int, column: int) -> np.ndarray:
        """Return the cells that go with those of the column that determines them."""
        known, first = np.unique(self._inputs.cells[:, parent], return_index=True)
        places = np.minimum(np.searchsorted(known, values), len(known) - 1)
        determined: np.ndarray = self._inputs.cells[first[places], column]
        return determined


def fit_models(
    inputs: Inputs, order: np.ndarray, n_trees: int, min_leaf: int, rng: np.random.Generator
) -> tuple[ColumnTrees | None, ...]:
    """Fit the model of each column given those before it.

    Parameters
    ----------
    inputs : Inputs
        Training cells.
    order : ndarray of int, shape (n_columns,)
        The order in which columns are drawn.
    n_trees, min_leaf : int
        Trees of a column, and least number of rows in a leaf.
    rng : numpy.random.Generator
        Random state.

    Returns
    -------
    tuple of ColumnTrees or None
        None for the first column.
    """
    return (
        None,
        *(
            ColumnTrees.fit(inputs, int(order[place]), order[:place], n_trees, min_leaf, rng)
            for place in range(1, len(order))
        ),
    )


class Copies:
    """Thins generated rows that equal a training row to the share of new real rows that do.

    Parameters
    ----------
    cells : ndarray of shape (n_samples, n_columns)
        Training cells.
    """

    def __init__(self, cells: np.ndarray) -> None:
        self._cells = cells

    @cached_property
    def _known(self) -> tuple[np.ndarray, float]:
        """Hashes of the training rows, and the share of rows that equal another one."""
        hashes, counts = np.unique(_hashes(self._cells), return_counts=True)
        return hashes, float(counts[counts > 1].sum() / len(self._cells))

    def kept(self, cells: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return True for rows that are kept, shape (n_samples,)."""
        hashes, share = self._known
        copies = np.isin(_hashes(cells), hashes)
        found = copies.mean() if len(copies) else 0.0
        if found <= share or found == 1:
            return np.ones(len(cells), dtype=bool)
        chance = share * (1 - found) / (found * (1 - share))
        kept: np.ndarray = ~copies | (rng.random(len(cells)) < chance)
        return kept


def _hashes(cells: np.ndarray) -> np.ndarray:
    """Return a hash of each row, without NaN of different bits."""
    bits = np.ascontiguousarray(np.where(np.isnan(cells), -1e301, cells) + 0.0).view(np.uint64)
    factors = np.random.default_rng(0).integers(1, 2**63, bits.shape[1], dtype=np.uint64) | 1
    mixed = (bits ^ (bits >> np.uint64(29))) * factors
    hashes: np.ndarray = (mixed ^ (mixed >> np.uint64(32))).sum(1, dtype=np.uint64)
    return hashes


def odds_of(refiners: tuple[Refiner, ...], features: np.ndarray) -> np.ndarray:
    """Return the odds of a real row after all rounds, shape (n_samples,)."""
    total = np.zeros(len(features))
    for refiner in refiners:
        total += refiner.log_odds(features)
    return np.exp(total)
