"""An ensemble of sub-sampled memories, which is robust to anomalies in the training set."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latently._layout import Layout
from latently.nn._module import Cells, Rows
from latently.nn.memory._stored_rows import StoredRows
from latently.nn.memory._views import Arcsinh, Ranks

#: Number of rows in each memory.
GROUP = 8
#: Number of rows for bandwidths and scales, and largest number of rows for the tails.
_CALIBRATION_ROWS, _TAIL_ROWS = 2_000, 20_000
#: Largest number of elements that are stored for the tails of more than ``_CALIBRATION_ROWS`` rows.
_TAIL_ELEMENTS = 1 << 18
#: Number of residuals that are computed at once.
_CHUNK_ELEMENTS = 1 << 21
#: Weight of the tail statistic relative to the residual statistic.
_TAIL_WEIGHT = 0.5
_LEAST_BANDWIDTH = 1e-6
_LEAST_SURPRISE = 1e-9


class MemoryEnsembleModule(StoredRows):
    r"""An ensemble of memories of eight rows each; its score is the median over the memories.

    A memory of all rows also stores the anomalies, and reconstructs a cluster of them well. If
    anomalies are fewer than one row in twelve, most memories of eight rows contain none [1]_.

    1. In each memory, the statistic of a row is the mean of :math:`\log(1 + r_j^2)` over the
       residuals :math:`r_j` of its columns. The median over the memories is taken.
    2. A second statistic is the mean surprise of the row in the tails of its columns [2]_.
    3. The score is the weighted mean of the logarithms of both, each standardised.

    A training row is not compared with itself.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    n_rows : int
        Number of stored rows. Consecutive rows form a memory.
    gaps : bool, default=False
        True if stored rows may have missing cells.
    n_calibration : int, default=2_000
        Number of rows that are stored for the tails of the columns.

    References
    ----------
    .. [1] Bandaragoda et al. (2018), Isolation-Based Anomaly Detection Using Nearest-Neighbour
       Ensembles.
    .. [2] Li et al. (2022), ECOD: Unsupervised Outlier Detection Using Empirical Cumulative
       Distribution Functions.
    """

    level: Tensor
    spread: Tensor
    bandwidths: Tensor
    singles: Tensor
    pairs: Tensor
    skew: Tensor

    def __init__(
        self,
        layout: Layout,
        n_rows: int,
        gaps: bool = False,
        n_calibration: int = _CALIBRATION_ROWS,
    ) -> None:
        super().__init__(layout, n_rows, gaps)
        self.view = Arcsinh(layout)
        self.tails = Ranks(layout, n_calibration)
        self.n_groups = n_rows // min(GROUP, n_rows)
        self.register_buffer("bandwidths", torch.ones(self.n_groups, 1, dtype=torch.float64))
        # Hashes of stored rows that occur once; a repeated row may be compared with its copies.
        self.register_buffer("singles", torch.zeros(n_rows, dtype=torch.int64))
        # Hashes of those that occur at most twice, for calibration only and therefore not saved.
        self.register_buffer("pairs", torch.full((n_rows,), -1), persistent=False)
        self.register_buffer("skew", torch.zeros(layout.width, dtype=torch.float64))
        self.register_buffer("level", torch.zeros(2, 1, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(2, 1, dtype=torch.float64))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        known, everything = self.fingerprint(cells), self.fingerprint(others)
        self.singles.copy_(_rare(known, everything, 1))
        self.pairs.copy_(_rare(known, everything, 2))
        n_calibration = self.tails.ladder.shape[1]
        order = torch.randperm(len(others.values), generator=generator)[:n_calibration]
        rows = self.flat(others.take(order))
        self.view.fit(rows)
        self.tails.fit(rows)
        self.skew.copy_(_skew(rows))
        calibration = others.take(order[:_CALIBRATION_ROWS])
        own = self.fingerprint(calibration)
        nearest = -2 * self._logits(self._viewed(calibration), self._groups, own, 1.0).amax(2)
        nearest = torch.where(nearest.isfinite(), nearest, torch.nan)
        self.bandwidths.copy_(nearest.nanmedian(0).values[:, None].clamp(min=_LEAST_BANDWIDTH))
        statistics = self._statistics(calibration)
        self.level.copy_(statistics.mean(1, keepdim=True))
        self.spread.copy_(statistics.std(1, correction=0, keepdim=True) + 1e-12)

    def surprise(self, cells: Cells) -> Tensor:
        """Return the anomaly score of each row in standard deviations, shape (batch,)."""
        residual, tail = (self._statistics(cells) - self.level) / self.spread
        surprise: Tensor = (residual + _TAIL_WEIGHT * tail) / (1 + _TAIL_WEIGHT)
        return surprise

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the median over the memories of log(1 + r^2) of each cell, (batch, n_columns)."""
        return self._cell_surprise_by_memory(cells).median(1).values

    def _statistics(self, cells: Cells) -> Tensor:
        statistics = []
        step = max(16, _CHUNK_ELEMENTS // (self.n_groups * self.likelihood.layout.width))
        for start in range(0, len(cells.values), step):
            part = cells.take(slice(start, start + step))
            by_memory = self._cell_surprise_by_memory(part).transpose(0, 1)
            surprise = self.row_mean(by_memory, part).median(0).values
            statistics.append(torch.stack([surprise, self.row_mean(self._tail(part), part)]))
        return torch.cat(statistics, 1).clamp(min=_LEAST_SURPRISE).log()

    def _cell_surprise_by_memory(self, cells: Cells) -> Tensor:
        """Return log(1 + r^2) of each cell in each memory, (batch, n_groups, n_columns)."""
        rows, stored = self._viewed(cells), self._groups
        own = self.fingerprint(cells)
        weights = self._logits(rows, stored, own, self.bandwidths).softmax(2).nan_to_num(nan=0.0)
        rebuilt = torch.einsum("bgk,gkw->bgw", weights, stored.values)
        if stored.seen is not None:
            share = torch.einsum("bgk,gkw->bgw", weights, stored.seen.to(weights))
            rebuilt = rebuilt / share.clamp(min=_LEAST_SURPRISE)
        squares = (rows.values[:, None] - rebuilt).square_()
        if rows.seen is not None:
            squares = squares.masked_fill_(~rows.seen[:, None], 0.0)
        by_column = self.likelihood.by_column(squares.flatten(0, 1))
        return by_column.view(*squares.shape[:2], -1).log1p()

    def _logits(
        self, rows: Rows, stored: Rows, fingerprint: Tensor, bandwidth: Tensor | float
    ) -> Tensor:
        """Return minus half the squared distances in bandwidths, (batch, n_groups, GROUP)."""
        own = torch.ones_like(rows.values) if rows.seen is None else rows.seen.double()
        values = rows.values * own
        flat, width = stored.values.flatten(0, 1), rows.values.shape[1]
        theirs = None if stored.seen is None else stored.seen.flatten(0, 1).double()
        squares = flat.square() if theirs is None else flat.square() * theirs
        half = values @ (flat if theirs is None else flat * theirs).T - 0.5 * own @ squares.T
        if theirs is None:
            half = half - 0.5 * values.square().sum(1, keepdim=True)
            n_common = own.sum(1, keepdim=True)
        else:
            half, n_common = half - 0.5 * values.square() @ theirs.T, own @ theirs.T
        half = half * (width / n_common.clamp(min=1))
        half = half.masked_fill(n_common == 0, -math.inf)
        own_row = fingerprint[:, None] == self._left_out_rows
        half = half.masked_fill_(own_row, -math.inf)
        return half.view(len(half), self.n_groups, -1) / bandwidth

    @property
    def _left_out_rows(self) -> Tensor:
        """Hashes of the stored rows that equal rows are not compared with, -1 for others."""
        if self.n_left_out <= 2:
            return self.singles if self.n_left_out < 2 else self.pairs
        return torch.empty_like(self.fingerprints).scatter(0, self.places, self.fingerprints)

    @property
    def _groups(self) -> Rows:
        """The stored rows transformed by the view, (n_groups, GROUP, width)."""
        n_used = self.n_groups * min(GROUP, len(self.rows))
        shape = (self.n_groups, -1, self.rows.shape[1])
        stored = self.flat(Cells(self.rows[:n_used], None if self.observed is None
                                 else self.observed[:n_used]))  # fmt: skip
        seen = None if stored.seen is None else stored.seen.view(shape)
        return Rows(self.view(stored.values).view(shape), seen)

    def _viewed(self, cells: Cells) -> Rows:
        rows = self.flat(cells)
        return Rows(self.view(rows.values), rows.seen)

    def _tail(self, cells: Cells) -> Tensor:
        """Return the negative log tail probability of each cell, (batch, n_columns).

        For each row, the tails are the left ones, the right ones, or those on the side to which
        each column is skewed. The choice with the largest sum is taken.
        """
        rows = self.flat(cells)
        left, right = self.tails.tails(rows.values)
        sides = torch.stack([left, right, torch.where(self.skew < 0, left, right)])
        if rows.seen is not None:
            sides = sides.masked_fill(~rows.seen, 0.0)
        chosen = sides.sum(2).argmax(0)
        return self.likelihood.by_column(sides[chosen, torch.arange(len(chosen))])


def _rare(stored: Tensor, all_rows: Tensor, n_most: int) -> Tensor:
    """Return the hashes of stored rows that occur at most ``n_most`` times, -1 for the others."""
    known, counts = torch.unique(all_rows, return_counts=True)
    return torch.where(counts[torch.searchsorted(known, stored)] <= n_most, stored, -1)


def tail_rows(n_rows: int, width: int) -> int:
    """Return the number of rows to store for the tails of the columns."""
    return min(n_rows, max(_CALIBRATION_ROWS, min(_TAIL_ROWS, _TAIL_ELEMENTS // width)))


def _skew(rows: Rows) -> Tensor:
    weight = torch.ones_like(rows.values) if rows.seen is None else rows.seen.double()
    count = weight.sum(0).clamp(min=1)
    centered = (rows.values - (rows.values * weight).sum(0) / count) * weight
    skew: Tensor = centered.pow(3).sum(0) / count
    return skew
