"""Corruptions: what is done to a batch in training only, so that a model learns to undo it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from latently.exceptions import ParameterError

#: ``(values, observed) -> (values, observed)``: values are (batch, \*shape) in standard deviations
#: of the column (pixels: 0 to 1), observed is (batch, n_columns), True where a cell may be seen.
Corruption = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(eq=False, repr=False)
class Masking(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Hide cells at random; a category or date is hidden whole [1]_.

    Parameters
    ----------
    rate : float or tuple of two floats, default=0.2
        Chance of each cell to be hidden, in [0, 1). More makes the code lean on relations between
        columns, and blurs what single cells say. Of a pair, each row draws its own rate between
        the two, so that rows with few and with many gaps are learnt alike.

    References
    ----------
    .. [1] Vincent et al. (2010), Stacked Denoising Autoencoders.

    Examples
    --------
    >>> values, observed = Masking(0.5)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> observed.shape
    torch.Size([2, 4])
    """

    rate: float | tuple[float, float] = 0.2

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Hide cells of a batch."""
        low, high = self.rate if isinstance(self.rate, tuple) else (self.rate, self.rate)
        _check_rate("rate", low)
        _check_rate("rate", high)
        chance = torch.rand(observed.shape, device=values.device)
        if low == high:
            return values, observed & (chance >= low)
        rate = low + (high - low) * torch.rand(len(observed), 1, device=values.device)
        return values, observed & (chance >= rate)


@dataclass(eq=False, repr=False)
class GaussianNoise(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Add normal noise to every element.

    Parameters
    ----------
    scale : float, default=0.1
        Standard deviation of the noise, in standard deviations of the column; for images, in
        shares of the pixel range.

    Examples
    --------
    >>> values, observed = GaussianNoise(0.1)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> values.shape
    torch.Size([2, 4])
    """

    scale: float = 0.1

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Add noise to a batch."""
        if self.scale < 0:
            raise ParameterError(f"scale must be at least 0, got {self.scale}. Try 0.1.")
        return values + self.scale * torch.randn_like(values), observed


@dataclass(eq=False, repr=False)
class SaltAndPepper(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Set elements to the lowest or the highest value of their batch, at random.

    Parameters
    ----------
    rate : float, default=0.1
        Chance of each element to be set, in [0, 1).

    Examples
    --------
    >>> values, observed = SaltAndPepper(0.1)(torch.ones(2, 4), torch.ones(2, 4, dtype=torch.bool))
    >>> values.shape
    torch.Size([2, 4])
    """

    rate: float = 0.1

    def __call__(self, values: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """Set elements of a batch."""
        _check_rate("rate", self.rate)
        chance = torch.rand_like(values)
        values = torch.where(chance < self.rate / 2, values.amin(), values)
        return torch.where(chance > 1 - self.rate / 2, values.amax(), values), observed


def _check_rate(name: str, rate: float) -> None:
    if not 0 <= rate < 1:
        raise ParameterError(f"{name} must be in [0, 1), got {rate}. Try 0.2.")
