"""Histograms of the columns, whose sum of log frequencies ignores how columns go together."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: A histogram of n values has 2 n^(1/3) bins (Rice's rule), at least five.
_LEAST_BINS = 5
#: Values that are beyond the ends of a histogram by less, in its unit, are inside.
_SLACK = 1e-5
#: Count of a bin without a training row, and addition to all counts.
_PSEUDOCOUNT = 0.5


def n_bins_for(n_rows: int) -> int:
    """Return the number of bins of a histogram of a column of numbers."""
    return max(_LEAST_BINS, round(2 * math.cbrt(n_rows)))


class Histograms(nn.Module):
    r"""Negative log frequency of the bin of each cell, summed over the columns [1]_.

    A missing cell counts as the mean of its column. A category has a bin of its own.

    Parameters
    ----------
    n_values : tuple of int
        Number of categories of each column, 0 for numbers.
    n_bins : int
        Largest number of bins of a column of numbers.

    References
    ----------
    .. [1] Goldstein and Dengel (2012), Histogram-Based Outlier Score (HBOS).
    """

    n_bins: Tensor
    numbers: Tensor
    first: Tensor
    ends: Tensor
    rarity: Tensor
    usual: Tensor

    def __init__(self, n_values: tuple[int, ...], n_bins: int) -> None:
        super().__init__()
        counts = torch.tensor([n or n_bins for n in n_values])
        n_columns, self.outside = len(n_values), max(n or n_bins for n in n_values)
        self.register_buffer("n_bins", counts)
        self.register_buffer("numbers", torch.tensor(n_values) == 0, persistent=False)
        first = torch.arange(n_columns) * (self.outside + 1)
        self.register_buffer("first", first, persistent=False)
        # Bins that a column has not have the rarity of values outside.
        ends = torch.stack([torch.zeros(n_columns), torch.ones(n_columns)]).double()
        self.register_buffer("ends", ends)
        rarity = torch.zeros(n_columns, self.outside + 1, dtype=torch.float64)
        self.register_buffer("rarity", rarity)
        self.register_buffer("usual", torch.zeros(n_columns, dtype=torch.float64))

    def fit(self, codes: Tensor, observed: Tensor | None) -> None:
        """Count training rows.

        Parameters
        ----------
        codes : Tensor of shape (n_rows, n_columns)
            Numbers, and indices of categories.
        observed : Tensor of bool, shape (n_rows, n_columns), or None
            False where a cell is missing.
        """
        seen = torch.ones_like(codes, dtype=torch.bool) if observed is None else observed
        low = codes.masked_fill(~seen, torch.inf).amin(0).nan_to_num(posinf=0.0) - _SLACK
        high = codes.masked_fill(~seen, -torch.inf).amax(0).nan_to_num(neginf=0.0) + _SLACK
        self.n_bins[self.numbers & (high - low <= 2.5 * _SLACK)] = 1
        self.ends[0] = torch.where(self.numbers, low, -0.5)
        self.ends[1] = torch.where(self.numbers, high, self.n_bins - 0.5)
        places = self._places(codes)[seen]
        counts = torch.bincount(places, minlength=self.rarity.numel()).view_as(self.rarity)
        n_seen = seen.sum(0).clamp(min=1)
        self.rarity.copy_(-((counts + _PSEUDOCOUNT) / n_seen[:, None]).log())
        self.usual.copy_((self.rarity * counts).sum(1) / n_seen)

    def forward(self, codes: Tensor, observed: Tensor | None) -> Tensor:
        """Return the sum of negative log frequencies of each row, in nats, shape (batch,)."""
        return (self.cells(codes, observed) + self.usual).sum(1)

    def cells(self, codes: Tensor, observed: Tensor | None) -> Tensor:
        """Return the negative log frequency of each cell minus its mean, (batch, n_columns)."""
        excess = self.rarity.flatten()[self._places(codes)] - self.usual
        return excess if observed is None else excess.masked_fill(~observed, 0.0)

    def check(self) -> None:
        """Raise ValueError if a bin does not exist."""
        possible = (self.n_bins >= 1) & (self.n_bins <= self.outside)
        if not bool((possible & (self.ends[1] - self.ends[0] >= _SLACK)).all()):
            raise ValueError("a bin of a histogram does not exist")

    def _places(self, codes: Tensor) -> Tensor:
        """Return the index of the bin of each cell in the flattened ``rarity``."""
        low, high = self.ends
        bins = ((codes - low) * (self.n_bins / (high - low))).floor()
        inside = (codes >= low) & (codes <= high)
        bins = torch.where(inside, bins.clamp(max=self.n_bins - 1), self.outside)
        return bins.clamp(min=0).long() + self.first
