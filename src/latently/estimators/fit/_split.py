"""Split of the rows into training and validation rows."""

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

#: Minimum number of rows to hold some out.
_MIN_ROWS_TO_SPLIT = 20
#: Maximum number of validation rows. More cost time at every evaluation and add no accuracy.
_MAX_VALIDATION_ROWS = 20_000
#: Whole-number weights become repeated rows if the table grows by at most this factor.
_MAX_REPEATS = 10
#: Minimum fraction and number of validation rows with a copy in training that cause a warning.
_SHARED_FRACTION, _MIN_SHARED = 0.1, 3
#: Skip the duplicate-row check if there are fewer possible distinct rows per row than this.
_MIN_POSSIBLE = 10


@runtime_checkable
class Splitter(Protocol):
    """Splitter as in scikit-learn, which yields pairs of training and validation indices."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
        """Return an iterable of index pairs."""
        ...


class Split(NamedTuple):
    """Indices of the training and of the validation rows. ``valid`` may be empty."""

    train: Tensor
    valid: Tensor


@dataclass(frozen=True)
class SplitRule:
    """Rule that holds out rows, in the order in which the user gave them."""

    fraction: float
    shuffle: bool = True
    splitter: Splitter | None = None
    groups: np.ndarray | None = None
    labels: Any = None

    def split(self, positions: np.ndarray, n_given: int, seed: int) -> Split:
        """Split sorted rows.

        Parameters
        ----------
        positions : ndarray of shape (n_rows,)
            Original position of each row.
        n_given : int
            Number of rows that the user gave.
        seed : int
            Seed of a random split.

        Returns
        -------
        Split
            Indices of the sorted rows.

        Raises
        ------
        DataError
            If no rows are left to train on.
        """
        if self.shuffle and self.splitter is None and self.groups is None:
            return split_rows(len(positions), self.fraction, seed)
        train, valid = self._train_and_valid(n_given, seed)
        is_train, is_valid = np.zeros((2, n_given), dtype=bool)
        is_train[train], is_valid[valid] = True, True
        sides = np.flatnonzero(is_train[positions]), np.flatnonzero(is_valid[positions])
        if not len(sides[0]):
            raise DataError(
                f"The split leaves none of {n_given:,} rows to train on. Hold out fewer."
            )
        return Split(torch.from_numpy(sides[0]), torch.from_numpy(sides[1]))

    def hold_out(self, n_rows: int, most: int, seed: int) -> np.ndarray:
        """Choose held-out rows of a table that is not in memory.

        Parameters
        ----------
        n_rows : int
            Number of rows of the table.
        most : int
            Maximum number of rows to hold out.
        seed : int
            Seed of a random split.

        Returns
        -------
        ndarray of shape (n_held_out,)
            Sorted indices of the held-out rows.

        Raises
        ------
        ParameterError
            If there is a splitter.
        """
        if self.splitter is not None:
            raise ParameterError(
                "splitter must be None for a dataset, because it needs rows in memory, got "
                f"{type(self.splitter).__name__}. Leave it out, or give fit a sample of the rows."
            )
        n_valid = min(_n_held_out(n_rows, self.fraction), most)
        if self.groups is not None and n_valid:
            return self._held_out_groups(self.groups, n_valid, seed)
        if not self.shuffle:
            return np.arange(n_rows - n_valid, n_rows)
        return np.sort(np.random.default_rng(seed).choice(n_rows, n_valid, replace=False))

    @staticmethod
    def _held_out_groups(groups: np.ndarray, n_valid: int, seed: int) -> np.ndarray:
        """Return the indices of at least one drawn group, as many as fit into ``n_valid`` rows."""
        sizes = np.bincount(groups)
        order = np.random.default_rng(seed).permutation(len(sizes))
        n_full = int(np.searchsorted(np.cumsum(sizes[order]), n_valid, side="right"))
        is_held = np.zeros(len(sizes), dtype=bool)
        is_held[order[: min(max(n_full, 1), len(sizes) - 1)]] = True
        return np.flatnonzero(is_held[groups])

    def _train_and_valid(self, n_rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of training and of validation rows, in the original order."""
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
    """Return the rule that holds out rows, after a check of its parameters.

    Raises
    ------
    ParameterError
        If ``shuffle=False`` is combined with a splitter or with groups.
    DataError
        If ``groups`` does not match the rows or names one group only.
    """
    if not shuffle and splitter is not None:
        raise ParameterError(
            "shuffle=False and splitter cannot be combined, got both. Give one of them."
        )
    if groups is None:
        return SplitRule(fraction, shuffle, splitter, None, labels)
    if not shuffle:
        raise ParameterError(
            "groups must be combined with shuffle=True, because whole groups are drawn at random, "
            "got shuffle=False. Give a splitter instead of both."
        )
    names = unmasked(groups, "groups")
    if names.shape != (n_rows,):
        raise DataError(
            f"groups must have one label per row, got shape {names.shape} for {n_rows:,} rows."
        )
    if names.dtype.kind == "O":
        names = names.astype(str)  # a missing label forms a group of its own
    numbers = np.unique(names, return_inverse=True)[1]
    if numbers.max() == 0:
        raise DataError("groups must name at least two groups, got one. Leave groups out.")
    return SplitRule(fraction, shuffle, splitter, numbers, labels)


def _last_split(
    splitter: Splitter, n_rows: int, groups: np.ndarray | None, labels: Any = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the last pair of a splitter, which in a time series has the latest rows."""
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
    """Encoded rows in canonical order, with the rule of their split.

    Attributes
    ----------
    rows : TrainingData
        All rows.
    rule : SplitRule
        Rule of the split.
    positions : ndarray of shape (n_rows,)
        Original position of each row.
    n_given : int
        Number of rows that the user gave.
    content : ndarray of shape (n_rows,) or None
        Number that is equal for equal rows. None skips the duplicate-row check.
    """

    rows: TrainingData
    rule: SplitRule
    positions: np.ndarray
    n_given: int
    content: np.ndarray | None

    def split(self, seed: int) -> Split:
        """Split the rows, and warn of equal rows on both sides."""
        split = self.rule.split(self.positions, self.n_given, seed)
        if self.content is not None:
            warn_of_shared_rows(self.rows.inputs, self.content, split)
        return split

    def sides(self, split: Split) -> tuple[TrainingData, TrainingData | None]:
        """Return the training and the validation rows of a split."""
        valid = self.rows.select(split.valid) if len(split.valid) else None
        return self.rows.select(split.train), valid


def warn_of_shared_rows(cells: Cells, content: np.ndarray, split: Split) -> None:
    """Warn of validation rows with a copy in training, unless duplicates are expected.

    ``content`` holds a number that is equal for equal rows.
    """
    n_valid = len(split.valid)
    is_train = np.zeros(int(content[-1]) + 1, dtype=bool)
    is_train[content[split.train]] = True
    n_shared = int(is_train[content[split.valid]].sum())
    if n_shared < max(_MIN_SHARED, _SHARED_FRACTION * n_valid) or _expects_duplicates(cells.values):
        return
    warn(
        f"{n_shared:,} of {n_valid:,} validation rows have a copy in training, which hides "
        "overfitting. Drop duplicates, or give fit groups that hold them together."
    )


def _expects_duplicates(values: Tensor) -> bool:
    """Return True for tables of categories only, and if few distinct rows are possible."""
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
    """Replace whole-number weights by repeated rows, and keep other weights."""
    weights = weights[order]
    whole = bool((weights == np.rint(weights)).all())
    if whole and weights.sum() <= _MAX_REPEATS * len(order):
        times = weights.astype(np.int64)
        return np.repeat(order, times), np.repeat(content, times), None
    return order, content, weights
