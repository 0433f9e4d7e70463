"""The weights of a blend of predictions, fitted to held-out cells."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

#: Strength of the common weights in each column, and of the prior in the common weights, in
#: numbers of held-out cells.
_COMMON_CELLS, _PRIOR_CELLS = 300.0, 50.0


def blend_weights(
    predictions: list[Tensor],
    truths: list[Tensor],
    centers: list[Tensor],
    variances: list[float],
    prior: Tensor,
) -> Tensor:
    r"""Return the weights of least squared error of each column [1]_.

    Weights are non-negative, sum to at most one, and are shrunk towards common weights of all
    columns. The mean of the column is subtracted from predictions and targets. Weights with a sum
    below one therefore shrink a prediction towards the mean.

    Parameters
    ----------
    predictions : list of Tensor of shape (n_predictors, n_held, k)
        For each column, the predictions of its held-out cells.
    truths : list of Tensor of shape (n_held, k)
        True values of these cells.
    centers : list of Tensor of shape (k,)
        Mean of each column.
    variances : list of float
        Variance of each column, by which its squared errors are divided.
    prior : Tensor of shape (n_predictors,)
        Weights towards which the common weights are shrunk.

    Returns
    -------
    Tensor of shape (n_columns, n_predictors)
        Weights of the predictors.

    References
    ----------
    .. [1] Breiman (1996), Stacked Regressions.
    """
    columns = zip(predictions, truths, centers, variances, strict=True)
    pairs = [_moments(*column) for column in columns]
    grams, crosses = (torch.stack(moments) for moments in zip(*pairs, strict=True))
    n_held = torch.tensor([float(len(truth)) for truth in truths], dtype=grams.dtype)
    together = grams.sum(0, keepdim=True), crosses.sum(0, keepdim=True), n_held.sum()[None]
    common = _nonnegative(*together, prior.double(), _PRIOR_CELLS)
    return _nonnegative(grams, crosses, n_held, common, _COMMON_CELLS)


def _moments(
    predictions: Tensor, truth: Tensor, center: Tensor, variance: float
) -> tuple[Tensor, Tensor]:
    """Return the inner products of predictions with each other and with the truth."""
    predicted, wanted = (
        (predictions - center).flatten(1).double(),
        (truth - center).flatten().double(),
    )
    scale = max(variance, 1e-6)
    return predicted @ predicted.T / scale, predicted @ wanted / scale


def _nonnegative(
    grams: Tensor, crosses: Tensor, n_held: Tensor, prior: Tensor, n_cells: float
) -> Tensor:
    """Solve non-negative ridge regressions exactly, by trying all subsets of predictors.

    The ridge penalty shrinks towards ``prior`` as strongly as ``n_cells`` average cells.
    """
    n_predictors = grams.shape[1]
    power = grams.diagonal(dim1=1, dim2=2).mean(1) / n_held.clamp(min=1)
    ridge = n_cells * power.clamp(min=1e-6)[:, None]
    grams = grams + torch.diag_embed(ridge.expand(-1, n_predictors))
    crosses = crosses + ridge * prior
    best = torch.zeros_like(crosses)
    least = torch.zeros(len(grams), dtype=grams.dtype)
    for used in product((False, True), repeat=n_predictors):
        places = [way for way in range(n_predictors) if used[way]]
        if not places:
            continue
        some = grams[:, places][:, :, places]
        weights = torch.zeros_like(crosses)
        weights[:, places] = torch.linalg.solve(some, crosses[:, places])
        # At the optimum of a subset, the loss is minus the cross term, up to factors and constants.
        loss = -(weights * crosses).sum(1)
        better = (weights >= 0).all(1) & (loss < least)
        best[better], least[better] = weights[better], loss[better]
    # Without this bound, a single outlying cell could scale all predictions up.
    return best / best.sum(1, keepdim=True).clamp(min=1)
