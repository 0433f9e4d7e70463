"""Permutation importance of the columns from which a column is predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from latently._layout import Column
from latently.nn._module import Cells
from latently.nn.masked._columns import prediction_error


def permutation_importance(
    predict: Callable[[Cells], Tensor],
    cells: Cells,
    column: Column,
    candidates: Sequence[Column],
    rng: np.random.Generator,
) -> Tensor:
    r"""Return by how much the error of a column grows if another column is permuted [1]_.

    Only the observed cells of the other column are permuted. Its importance is therefore weighted
    by the fraction of rows that hold it.

    Parameters
    ----------
    predict : callable
        Returns the elements of the column for some rows, from their other columns.
    cells : Cells
        Rows in which the column was held out, with the truth.
    column : Column
        The column that is predicted.
    candidates : sequence of Column
        The other columns to permute.
    rng : numpy.random.Generator
        Random generator of the permutations.

    Returns
    -------
    Tensor of shape (n_candidates,)
        Increase of the squared error of a number, or of the fraction of wrong categories, and at
        least zero.

    References
    ----------
    .. [1] Breiman (2001), Random Forests.
    """
    truth = cells.values[:, column.elements]

    def error(predicted: Tensor) -> float:
        found = float(prediction_error(predicted.to(truth), truth, column.likelihood))
        return found**2 if column.is_number else found

    before = error(predict(cells))
    grown = []
    for other in candidates:
        rows = torch.arange(len(truth))
        if cells.observed is not None:
            rows = torch.nonzero(cells.observed[:, other.place])[:, 0]
        values = cells.values.clone()
        moved = rows[torch.from_numpy(rng.permutation(len(rows)))]
        values[rows, other.elements] = cells.values[moved, other.elements]
        grown.append(max(error(predict(Cells(values, cells.observed))) - before, 0.0))
    return torch.tensor(grown, dtype=torch.float64)
