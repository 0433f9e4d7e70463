"""The elements of one column: its features, its target and its prediction error."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from latently._layout import Column, LikelihoodName


def other_elements(filled: Tensor, column: Column) -> Tensor:
    """Return rows without the elements of a column; one constant feature if no column is left."""
    if filled.shape[1] == column.width:
        return torch.zeros_like(filled[:, :1])
    return torch.cat([filled[:, : column.elements.start], filled[:, column.elements.stop :]], 1)


def tree_target(values: Tensor, column: Column) -> Tensor:
    """Return the target of the trees of a column: a number, an ordinal level or a class."""
    if column.likelihood == "categorical":
        return values.argmax(1)
    if column.likelihood == "bernoulli":
        level = values.sum(1)
        return level.round().long() if values.shape[1] == 1 else level
    return values[:, 0]


def category_at(probabilities: Tensor, levels: Tensor, likelihood: LikelihoodName) -> Tensor:
    """Return the encoded category at each quantile level, (n_levels, batch, width)."""
    wanted = levels[:, :, None]
    if likelihood == "bernoulli":
        return (wanted > 1 - probabilities).to(probabilities)
    upto = probabilities.cumsum(1)
    chosen = (upto < wanted * upto[:, -1:]).sum(2).clamp(max=probabilities.shape[1] - 1)
    return F.one_hot(chosen, probabilities.shape[1]).to(probabilities)


def category_probabilities(elements: Tensor, likelihood: LikelihoodName) -> Tensor:
    """Return the probability of each category, from the expected elements of a column.

    Parameters
    ----------
    elements : Tensor of shape (batch, width)
        Probabilities of categories, or probabilities to lie above each ordered category but the
        last.
    likelihood : {"bernoulli", "categorical"}
        Likelihood of the column.

    Returns
    -------
    Tensor of shape (batch, n_categories)
        Probabilities with a sum of one.
    """
    if likelihood == "bernoulli":
        ends = torch.ones_like(elements[:, :1])
        elements = -torch.cat([ends, elements, torch.zeros_like(ends)], 1).diff(dim=1)
    shares = elements.clamp(min=0)
    return shares / shares.sum(1, keepdim=True).clamp(min=1e-12)


def prediction_error(predicted: Tensor, truth: Tensor, likelihood: LikelihoodName) -> Tensor:
    """Return the prediction error of a column.

    Parameters
    ----------
    predicted, truth : Tensor of shape (batch, width)
        Elements of the column.
    likelihood : {"gaussian", "bernoulli", "categorical"}
        Likelihood of the column.

    Returns
    -------
    Tensor
        A scalar. For numbers, the root mean squared error in standard deviations. For categories,
        the fraction of wrong predictions. NaN for an empty batch.
    """
    if likelihood == "gaussian":
        return (predicted[:, 0] - truth[:, 0]).square().mean().sqrt()
    if likelihood == "categorical":
        return (predicted.argmax(1) != truth.argmax(1)).float().mean()
    return ((predicted > 0.5) != (truth > 0.5)).any(1).float().mean()
