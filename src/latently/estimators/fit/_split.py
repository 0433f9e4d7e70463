"""Which rows to learn from and which to judge by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import narwhals as nw
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.model_selection import GroupShuffleSplit
from torch import Tensor

from latently._notices import warn
from latently.exceptions import DataError, ParameterError
from latently.nn import Cells
from latently.schema import unmasked
from latently.training import TrainingData

#: Below this many rows none is held out: there are too few to judge by.
_MIN_ROWS_TO_SPLIT = 20
#: More rows than this judge no better, and would cost time at every evaluation.
_MAX_VALIDATION_ROWS = 20_000
#: Whole-number weights become repeated rows while the table grows at most this many times.
_MAX_REPEATS = 10
#: Twins in training from which validation rows flatter: this share of them, and so many.
_SHARED_FRACTION, _MIN_SHARED = 0.1, 3
#: Where fewer rows a row than this could differ, equal ones are no wonder.
_MIN_POSSIBLE = 10


@runtime_checkable
class Splitter(Protocol):
    """A splitter as scikit-learn's: pairs of places of training and validation rows."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Return the pairs."""
        ...


class Split(NamedTuple):
    """Row positions of the two sides; ``valid`` may be empty."""

    train: Tensor
    valid: Tensor


@dataclass(frozen=True)
class SplitRule:
    """How to hold rows out, in the order in which the user gave them."""

    fraction: float
    shuffle: bool = True
    splitter: Splitter | None = None
    groups: np.ndarray | None = None
    labels: Any = None

    def split(self, positions: np.ndarray, n_given: int, seed: int) -> Split:
        """Split rows that were sorted.

        Parameters
        ----------
        positions : ndarray of shape (n_rows,)
            Where each row stood in what the user gave.
        n_given : int
            Rows that the user gave.
        seed : int
            Of a random choice.

        Returns
        -------
        Split
            Places among the sorted rows.

        Raises
        ------
        DataError
            If the rows cannot be split so.
        """
        if self.shuffle and self.splitter is None and self.groups is None:
            return split_rows(len(positions), self.fraction, seed)
        train, valid = self._train_and_valid(n_given, seed)
        is_train, is_valid = np.zeros((2, n_given), dtype=bool)
        is_train[train], is_valid[valid] = True, True
        sides = np.flatnonzero(is_train[positions]), np.flatnonzero(is_valid[positions])
        if not len(sides[0]):
            raise DataError(
                f"The split leaves none of {n_given:,} rows to learn from. Hold out fewer."
            )
        return Split(torch.from_numpy(sides[0]), torch.from_numpy(sides[1]))

    def hold_out(self, n_rows: int, most: int, seed: int) -> np.ndarray:
        """Choose rows of a table that is not in memory.

        Parameters
        ----------
        n_rows : int
            Rows of the table.
        most : int
            Rows to hold out at most.
        seed : int
            Of a random choice.

        Returns
        -------
        ndarray of shape (n_held_out,)
            Their places, in order.

        Raises
        ------
        ParameterError
            If they are to be chosen by a splitter.
        """
        if self.splitter is not None:
            raise ParameterError(
                "A splitter needs rows in memory, got a dataset. Leave it out, or give fit a "
                "sample of the rows."
            )
        n_valid = min(_n_held_out(n_rows, self.fraction), most)
        if self.groups is not None and n_valid:
            return self._held_out_groups(self.groups, n_valid, seed)
        if not self.shuffle:
            return np.arange(n_rows - n_valid, n_rows)
        return np.sort(np.random.default_rng(seed).choice(n_rows, n_valid, replace=False))

    @staticmethod
    def _held_out_groups(groups: np.ndarray, n_valid: int, seed: int) -> np.ndarray:
        """Return the places of groups that are drawn until they have enough rows; one at least."""
        sizes = np.bincount(groups)
        order = np.random.default_rng(seed).permutation(len(sizes))
        n_full = int(np.searchsorted(np.cumsum(sizes[order]), n_valid, side="right"))
        is_held = np.zeros(len(sizes), dtype=bool)
        is_held[order[: min(max(n_full, 1), len(sizes) - 1)]] = True
        return np.flatnonzero(is_held[groups])

    def _train_and_valid(self, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of training and of validation rows among those given."""
        if self.splitter is not None:
            return _last_split(self.splitter, n_rows, self.groups, self.labels)
        n_valid = _n_held_out(n_rows, self.fraction)
        places = np.arange(n_rows)
        if not n_valid:
            return places, places[:0]
        if self.groups is None:
            return places[:-n_valid], places[-n_valid:]
        by_group = GroupShuffleSplit(1, test_size=n_valid / n_rows, random_state=seed)
        return _last_split(by_group, n_rows, self.groups)


def split_rule(
    fraction: float,
    shuffle: bool,
    splitter: Splitter | None,
    groups: ArrayLike | None,
    n_rows: int,
    labels: Any = None,
) -> SplitRule:
    """Judge how rows are to be held out.

    Raises
    ------
    ParameterError
        If two ways are given at once.
    DataError
        If the groups do not match the rows.
    """
    if not shuffle and splitter is not None:
        raise ParameterError(
            "shuffle=False and splitter are two ways to hold rows out. Give one of them."
        )
    if groups is None:
        return SplitRule(fraction, shuffle, splitter, None, labels)
    if not shuffle:
        raise ParameterError(
            "groups need shuffle=True: whole groups are drawn. Give a splitter for both."
        )
    names = unmasked(groups, "groups")
    if names.shape != (n_rows,):
        raise DataError(
            f"groups must have one label a row, got shape {names.shape} for {n_rows:,} rows."
        )
    if names.dtype.kind == "O":
        names = names.astype(str)  # a missing label is a label, too
    numbers = np.unique(names, return_inverse=True)[1]
    if numbers.max() == 0:
        raise DataError("groups must name at least two groups, got one. Leave groups out.")
    return SplitRule(fraction, shuffle, splitter, numbers, labels)


def _last_split(
    splitter: Splitter, n_rows: int, groups: np.ndarray | None, labels: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the last pair of a splitter: of those in time, the one with the latest rows."""
    try:
        train, valid = list(splitter.split(np.zeros((n_rows, 1)), labels, groups))[-1]
    except (TypeError, ValueError, IndexError) as error:
        raise DataError(
            f"{type(splitter).__name__} cannot split {n_rows:,} rows: {error}".rstrip(".")
            + ". Give another splitter."
        ) from None
    return np.asarray(train), np.asarray(valid)


def split_rows(n_rows: int, fraction: float, seed: int) -> Split:
    """Split rows at random into training and validation rows."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n_rows))
    n_valid = _n_held_out(n_rows, fraction)
    return Split(order[n_valid:], order[:n_valid])


def _n_held_out(n_rows: int, fraction: float) -> int:
    if n_rows < _MIN_ROWS_TO_SPLIT:
        return 0
    return min(round(n_rows * fraction), _MAX_VALIDATION_ROWS)


class PreparedRows(NamedTuple):
    """Encoded rows in canonical order, and how to hold some of them out.

    Attributes
    ----------
    rows : TrainingData
        All rows.
    rule : SplitRule
        Which of them to hold out.
    positions : ndarray of shape (n_rows,)
        Where each stood in what the user gave.
    n_given : int
        Rows that the user gave.
    content : ndarray of shape (n_rows,) or None
        A number for each distinct row; None where equal ones are no wonder.
    """

    rows: TrainingData
    rule: SplitRule
    positions: np.ndarray
    n_given: int
    content: np.ndarray | None

    def split(self, seed: int) -> Split:
        """Split the rows, and warn of those that are on both sides."""
        split = self.rule.split(self.positions, self.n_given, seed)
        if self.content is not None:
            warn_of_shared_rows(self.rows.inputs, self.content, split)
        return split


def warn_of_shared_rows(cells: Cells, content: np.ndarray, split: Split) -> None:
    """Warn of rows on both sides of the split, where they are many and need not be.

    ``content`` has a number for each distinct row.
    """
    n_valid = len(split.valid)
    is_train = np.zeros(int(content[-1]) + 1, dtype=bool)
    is_train[content[split.train]] = True
    n_shared = int(is_train[content[split.valid]].sum())
    if n_shared < max(_MIN_SHARED, _SHARED_FRACTION * n_valid) or _expects_duplicates(cells.values):
        return
    warn(
        f"{n_shared:,} of {n_valid:,} validation rows are in training, too, so that overfitting "
        "stays unseen. Drop duplicates, or give fit groups that hold them together."
    )


def _expects_duplicates(values: Tensor) -> bool:
    """Return True for categories alone, or where there are few rows that could differ."""
    flat = values.flatten(1)
    if bool(((flat == 0) | (flat == 1)).all()):
        return True
    n_values = (flat.sort(0).values.diff(dim=0) != 0).sum(0) + 1
    return float(n_values.log().sum()) < math.log(_MIN_POSSIBLE * len(flat))


def take_rows(data: Any, index: np.ndarray) -> Any:
    """Return some rows of an array or a frame, in the order of ``index``."""
    return data[index.tolist()] if isinstance(data, nw.DataFrame) else data[index]


def repeated_rows(
    order: np.ndarray, content: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Turn whole-number weights into repeated rows; leave any others as weights."""
    weights = weights[order]
    whole = bool((weights == np.rint(weights)).all())
    if whole and weights.sum() <= _MAX_REPEATS * len(order):
        times = weights.astype(np.int64)
        return np.repeat(order, times), np.repeat(content, times), None
    return order, content, weights
