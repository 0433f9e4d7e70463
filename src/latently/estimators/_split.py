"""Which rows to learn from and which to judge by."""

from __future__ import annotations

from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import torch
from torch import Tensor

#: Below this many rows none is held out: there are too few to judge by.
_MIN_ROWS_TO_SPLIT = 20
#: More rows than this judge no better, and would cost time at every evaluation.
_MAX_VALIDATION_ROWS = 20_000
#: Whole-number weights become repeated rows while the table grows at most this many times.
_MAX_REPEATS = 10


class Split(NamedTuple):
    """Row positions of the two sides; ``valid`` may be empty."""

    train: Tensor
    valid: Tensor


def split_rows(n_rows: int, fraction: float, seed: int) -> Split:
    """Split rows at random into training and validation rows."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(n_rows))
    n_valid = min(round(n_rows * fraction), _MAX_VALIDATION_ROWS)
    if n_rows < _MIN_ROWS_TO_SPLIT:
        n_valid = 0
    return Split(order[n_valid:], order[:n_valid])


def take_rows(data: Any, index: np.ndarray) -> Any:
    """Return some rows of an array or a frame, in the order of ``index``."""
    return data[index.tolist()] if isinstance(data, nw.DataFrame) else data[index]


def repeated_rows(order: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn whole-number weights into repeated rows; leave any others as weights."""
    weights = weights[order]
    whole = bool((weights == np.rint(weights)).all())
    if whole and weights.sum() <= _MAX_REPEATS * len(order):
        return np.repeat(order, weights.astype(np.int64)), None
    return order, weights
