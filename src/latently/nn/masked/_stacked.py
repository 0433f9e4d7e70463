"""Several small residual networks of one shape, computed at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class StackedLinear(nn.Module):
    """One linear layer for each network of a stack.

    Parameters
    ----------
    n_networks, n_in, n_out : int
        Number of networks, and input and output width of each.
    zero : bool, default=False
        If True, initialise weights and biases with zero instead of a uniform distribution.
    """

    def __init__(self, n_networks: int, n_in: int, n_out: int, zero: bool = False) -> None:
        super().__init__()
        bound = 0.0 if zero else 1 / math.sqrt(n_in)
        self.weight = nn.Parameter(torch.empty(n_networks, n_in, n_out).uniform_(-bound, bound))
        # One axis, because parameters with one axis have no weight decay.
        self.bias = nn.Parameter(torch.empty(n_networks * n_out).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """Return (n_networks, batch, n_out) for (n_networks, batch, n_in)."""
        offset = self.bias.view(len(self.weight), 1, -1)
        return torch.baddbmm(offset, values, self.weight)


class StackedTrunk(nn.Module):
    """A residual block for each network of a stack, between two layer norms [1]_.

    Parameters
    ----------
    n_networks, n_in, hidden_size : int
        Number of networks, and input and hidden width of each.

    References
    ----------
    .. [1] Gorishniy et al. (2021), Revisiting Deep Learning Models for Tabular Data.
    """

    def __init__(self, n_networks: int, n_in: int, hidden_size: int) -> None:
        super().__init__()
        self.first = StackedLinear(n_networks, n_in, hidden_size)
        self.inner = StackedLinear(n_networks, hidden_size, hidden_size)
        self.outer = StackedLinear(n_networks, hidden_size, hidden_size)

    def forward(self, values: Tensor) -> Tensor:
        """Return (n_networks, batch, hidden_size) for (n_networks, batch, n_in)."""
        hidden = self.first(values)
        hidden = hidden + self.outer(F.gelu(self.inner(_normed(hidden))))
        return F.gelu(_normed(hidden))


def _normed(hidden: Tensor) -> Tensor:
    return F.layer_norm(hidden, hidden.shape[-1:])
