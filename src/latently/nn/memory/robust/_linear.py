"""A linear masked autoencoder: each element is predicted from all others."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latently.nn._blocks import times

#: Added to the variances. Larger values trust the correlations of few rows less.
_RIDGE = 0.1
#: Wider rows have no linear residuals: the precision matrix would be too large.
_MAX_WIDTH = 2_000
_LEAST_SPREAD = 1e-9


class LinearResiduals(nn.Module):
    r"""Residuals of the best linear prediction of each element from the others of its row.

    With :math:`P` the inverse of the regularised covariance, the residual of element :math:`j` is
    :math:`r_j = (P x)_j / P_{jj}`, and :math:`u_j` the share of its variance that the others leave
    unexplained. The statistic is :math:`\sum_j (1 - u_j) \log(1 + r_j^2 / \sigma_j^2)`.

    Parameters
    ----------
    width : int
        Width of an encoded row.
    """

    prediction: Tensor
    weight: Tensor
    usual: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        width = width if width <= _MAX_WIDTH else 0
        self.register_buffer("prediction", torch.zeros(width, width, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("usual", torch.zeros(width, dtype=torch.float64))

    def fit(self, rows: Tensor) -> None:
        """Compute the covariance of rows of mean zero, shape (n_rows, width)."""
        if not len(self.weight):
            return
        variances = rows.T @ rows / len(rows)
        variances.diagonal().add_(_RIDGE)
        precision = torch.linalg.inv(variances)
        own = precision.diagonal().clone()
        self.prediction.copy_(precision / own)
        spread = (rows @ self.prediction).square().mean(0).sqrt() + _LEAST_SPREAD
        self.prediction /= spread
        self.weight.copy_((1 - 1 / (own * variances.diagonal())).clamp(0, 1))
        self.usual.copy_(self.elements(rows, None).mean(0))

    def forward(self, rows: Tensor, seen: Tensor | None) -> Tensor:
        """Return the statistic of each row, shape (batch,)."""
        return self.elements(rows, seen).sum(1)

    def excess(self, rows: Tensor, seen: Tensor | None) -> Tensor:
        """Return ``elements`` minus their mean over training rows, zero where missing."""
        elements = self.elements(rows, seen)
        if not len(self.weight):
            return elements
        return elements - (self.usual if seen is None else self.usual * seen)

    def elements(self, rows: Tensor, seen: Tensor | None) -> Tensor:
        """Return what each element adds to the statistic of its row, (batch, width)."""
        if not len(self.weight):
            return torch.zeros_like(rows)
        elements = times(rows, self.prediction).square().log1p() * self.weight
        return elements if seen is None else elements.masked_fill(~seen, 0.0)
