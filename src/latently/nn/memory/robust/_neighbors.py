"""Distances to stored rows: to the tenth nearest of all, and to the nearest of few."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from latently.nn._blocks import times
from latently.nn._module import Rows
from latently.nn.memory._kernel import Memory, chunks

#: Number of nearest stored rows, of up to ``STORED_ROWS``, the last of which counts.
_N_NEIGHBORS = 10
#: Number of small memories, and of stored rows in each.
_N_MEMORIES, _SIZE = 32, 16
#: Added to distances as a share of their median, so that the log of zero is finite.
_LEAST_SHARE = 1e-3
_LEAST = 1e-9


class NeighborDistance(nn.Module):
    """Log distance to the tenth nearest stored row [1]_, on the arcsinh scale.

    Parameters
    ----------
    n_rows, width : int
        Number and width of the stored rows.

    References
    ----------
    .. [1] Ramaswamy, Rastogi and Shim (2000), Efficient Algorithms for Mining Outliers from Large
       Data Sets.
    """

    least: Tensor

    def __init__(self, n_rows: int, width: int) -> None:
        super().__init__()
        self.n_neighbors = max(1, min(_N_NEIGHBORS, n_rows - 2))
        self.memory = Memory(n_rows, width)
        self.register_buffer("least", torch.ones((), dtype=torch.float64))

    def fit(self, rows: Tensor, left_out: Tensor) -> None:
        """Store rows, exactly ``n_rows``. ``left_out`` is of the same rows, as in ``forward``."""
        self.memory.store(Rows(rows), bandwidth=1.0)
        self.least.copy_(_least(self._distances(rows, left_out)))

    def forward(self, rows: Tensor, left_out: Tensor) -> Tensor:
        """Return log distances, shape (batch,).

        Parameters
        ----------
        rows : Tensor of shape (batch, width)
            Rows on the arcsinh scale.
        left_out : Tensor of int, shape (batch,) or (batch, n_places)
            Indices of stored rows that each row is not compared with, or -1 for none.
        """
        return (self._distances(rows, left_out) + self.least).log()

    def shares(self, rows: Tensor, left_out: Tensor) -> Tensor:
        """Return the share of each element in the squared distance to the mean neighbour."""
        shares = []
        for places in chunks(len(rows), self.memory.keys.shape[1]):
            nearest = self._logits(rows[places], left_out[places]).topk(self.n_neighbors, 1)[1]
            mean = self.memory.keys.T[nearest].mean(1)
            shares.append((rows[places] - mean).square())
        squares = torch.cat(shares)
        return squares / squares.sum(1, keepdim=True).clamp(min=_LEAST)

    def _distances(self, rows: Tensor, left_out: Tensor) -> Tensor:
        found = []
        for places in chunks(len(rows), self.memory.keys.shape[1]):
            nearest = self._logits(rows[places], left_out[places]).topk(self.n_neighbors, 1)[0]
            found.append(nearest[:, -1])
        return (rows.square().sum(1) - 2 * torch.cat(found)).clamp(min=0).sqrt()

    def _logits(self, rows: Tensor, left_out: Tensor) -> Tensor:
        return self.memory.logits(Rows(rows.to(self.memory.keys)), left_out)


class SmallMemories(nn.Module):
    """Mean log distance to the nearest row of small memories [1]_, most without an anomaly.

    Parameters
    ----------
    n_rows : int
        Number of stored rows, of which the memories are drawn.

    References
    ----------
    .. [1] Bandaragoda et al. (2018), Isolation-Based Anomaly Detection Using Nearest-Neighbour
       Ensembles.
    """

    members: Tensor
    least: Tensor

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        size = min(_SIZE, max(2, n_rows // 2))
        self.register_buffer("members", torch.zeros(_N_MEMORIES, size, dtype=torch.int64))
        self.register_buffer("least", torch.ones((), dtype=torch.float64))

    def fit(self, stored: Tensor, left_out: Tensor, generator: torch.Generator) -> None:
        """Draw the members of each memory without replacement.

        Parameters
        ----------
        stored : Tensor of shape (n_rows, width)
            Stored rows.
        left_out : Tensor of int, shape (n_rows,) or (n_rows, n_places)
            Indices of stored rows that each stored row is not compared with.
        generator : torch.Generator
            Random generator.
        """
        for memory in self.members:
            memory.copy_(torch.randperm(len(stored), generator=generator)[: len(memory)])
        distances = self._distances(stored, stored[self.members.flatten()], left_out)
        self.least.copy_(_least(distances))

    def forward(self, rows: Tensor, members: Tensor, left_out: Tensor) -> Tensor:
        """Return mean log distances, infinite if all of a memory is left out.

        Parameters
        ----------
        rows : Tensor of shape (batch, width)
            Rows.
        members : Tensor of shape (n_memories * size, width)
            The stored rows at ``members``.
        left_out : Tensor of int, shape (batch,) or (batch, n_places)
            Indices of stored rows that each row is not compared with, or -1 for none.

        Returns
        -------
        Tensor of shape (batch,)
            Means over the memories.
        """
        return (self._distances(rows, members, left_out) + self.least).log().mean(1)

    def _distances(self, rows: Tensor, own: Tensor, left_out: Tensor) -> Tensor:
        """Return the distance of each row to the nearest of each memory, (batch, n_memories)."""
        members = self.members.flatten()
        half = times(rows, own.T).sub_(0.5 * own.square().sum(1))
        places = left_out.view(len(rows), -1)
        held, nth = (places >= 0).nonzero(as_tuple=True)
        for start in range(0, len(held), len(rows)):
            some = slice(start, start + len(rows))
            hidden = members == places[held[some], nth[some]][:, None]
            row, member = hidden.nonzero(as_tuple=True)
            half[held[some][row], member] = -math.inf
        nearest = half.view(len(rows), *self.members.shape).amax(2)
        return (rows.square().sum(1, keepdim=True) - 2 * nearest).clamp(min=0).sqrt()


def _least(distances: Tensor) -> Tensor:
    """Return the number that is added to distances before the logarithm is taken."""
    finite = distances[distances.isfinite()]
    median = finite.median() if len(finite) else torch.zeros(())
    return _LEAST_SHARE * median + _LEAST
