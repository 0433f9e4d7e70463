"""Sets of categories that hold the true category of a missing cell with a given probability."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from latently.nn import category_probabilities
from latently.preprocessing import TablePreprocessor

#: Tolerance of probabilities at the border of a set.
_ROUNDING = 1e-9


class CategorySets(NamedTuple):
    """Categories that the cells of a column may hold.

    Attributes
    ----------
    categories : tuple
        The categories seen in ``fit``.
    probabilities : ndarray of shape (n_samples, n_categories)
        Probability of each category. An observed cell has its category with probability one.
    members : ndarray of bool, shape (n_samples, n_categories)
        True for the members of the set of each cell. A set is never empty.
    """

    categories: tuple[Any, ...]
    probabilities: np.ndarray
    members: np.ndarray


def category_sets(
    preprocessor: TablePreprocessor, filled: np.ndarray, least: np.ndarray
) -> dict[str, CategorySets]:
    """Return the sets of all columns of categories.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Encoding of the columns.
    filled : ndarray of shape (n_samples, width)
        Encoded rows with the expected elements of missing cells.
    least : ndarray of shape (n_columns,)
        Smallest probability of the members of a set, in encoded order.

    Returns
    -------
    dict of str to CategorySets
        Sets by the name of the column.
    """
    found = {}
    columns = preprocessor.layout.columns[len(preprocessor.positions) :]
    for column, codec in zip(columns, preprocessor.codecs, strict=True):
        if column.is_number:
            continue
        categories = getattr(codec, "categories", (False, True))
        elements = torch.from_numpy(filled[:, column.elements].astype(np.float64))
        shares = category_probabilities(elements, column.likelihood).numpy()[:, : len(categories)]
        members = shares >= min(least[column.place], 1.0) - _ROUNDING
        members |= shares == shares.max(1, keepdims=True, initial=0.0)
        found[codec.name] = CategorySets(categories, shares, members)
    return found
