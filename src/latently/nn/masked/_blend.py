"""How much each of several predictions weighs, by what they say of held-out cells."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

#: HeldOutCells-out cells that the weights of all columns are worth to each, and the prior to all.
_COMMON_CELLS, _PRIOR_CELLS = 300.0, 50.0


def blend_weights(
    predictions: list[Tensor],
    truths: list[Tensor],
    centers: list[Tensor],
    variances: list[float],
    prior: Tensor,
) -> Tensor:
    r"""Return weights of least squared error [1]_, shrunk to those of all columns.

    They are at least zero, and sum to one at most.

    Predictions and truths are taken from the column's mean, so that weights which sum to less than
    one draw a prediction towards it: of pure noise every way predicts too much.

    Parameters
    ----------
    predictions : list of Tensor of shape (n_predictors, n_held, k)
        For each column, what each way predicts for its held-out cells.
    truths : list of Tensor of shape (n_held, k)
        What they held.
    centers : list of Tensor of shape (k,)
        Mean of each column.
    variances : list of float
        Variance of each column: in units of it all columns count the same.
    prior : Tensor of shape (n_predictors,)
        Weights where little is held out.

    Returns
    -------
    Tensor of shape (n_columns, n_predictors)
        Weights.

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
    """Return products of predictions with each other and with the truth."""
    predicted, wanted = (
        (predictions - center).flatten(1).double(),
        (truth - center).flatten().double(),
    )
    scale = max(variance, 1e-6)
    return predicted @ predicted.T / scale, predicted @ wanted / scale


def _nonnegative(
    grams: Tensor, crosses: Tensor, n_held: Tensor, prior: Tensor, n_cells: float
) -> Tensor:
    """Solve ridge regressions under w >= 0, exactly: the best of all sets of predictions.

    The ridge pulls towards the prior as strongly as so many cells of the usual power would.
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
        # Where the gradient is zero, half the cross term is what is gained over zero weights.
        loss = -(weights * crosses).sum(1)
        better = (weights >= 0).all(1) & (loss < least)
        best[better], least[better] = weights[better], loss[better]
    # One held-out cell far out would otherwise stretch every prediction towards itself.
    return best / best.sum(1, keepdim=True).clamp(min=1)
