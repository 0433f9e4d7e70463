"""A crowd of small memories: a cluster of anomalies cannot hide in most of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latently._layout import Layout
from latently.nn._module import Cells, Rows
from latently.nn.memory._stored_rows import StoredRows
from latently.nn.memory._views import Arcsinh, Ranks

#: Rows that a small memory holds.
GROUP = 8
#: Rows by which bandwidths and levels are judged, and most rows by which tails are.
_JUDGED_ROWS, _TAIL_ROWS = 2_000, 20_000
#: Elements that the tails are kept by at most, but for the rows above.
_TAIL_ELEMENTS = 1 << 18
#: Elements of residuals that are worked on at once.
_CHUNK_ELEMENTS = 1 << 21
#: How much the tails of single columns count beside what cannot be rebuilt.
_TAIL_WEIGHT = 0.5
_LEAST_BANDWIDTH = 1e-6
_LEAST_SURPRISE = 1e-9


class CrowdModule(StoredRows):
    r"""Many memories of few rows each; the median of what they cannot rebuild is the surprise.

    A memory of all rows holds the anomalies too, and rebuilds each from its like. Of memories of
    eight rows most hold none [1]_, as long as a cluster of anomalies is less than one row in
    twelve. In each, a row's surprise is :math:`\sum_j \log(1 + r_j^2)` over the residuals of its
    columns; the median over the memories is joined by how far out the row lies in the tails of
    its columns [2]_, both as standard deviations of their logs. A training row is held against
    memories without itself.

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    n_rows : int
        Stored rows, dealt out in order to memories of eight.
    gaps : bool, default=False
        True where stored rows lack cells.
    n_judged : int, default=2_000
        Rows by which bandwidths, levels and tails are judged.

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
        self, layout: Layout, n_rows: int, gaps: bool = False, n_judged: int = _JUDGED_ROWS
    ) -> None:
        super().__init__(layout, n_rows, gaps)
        self.view = Arcsinh(layout)
        self.tails = Ranks(layout, n_judged)
        self.n_groups = n_rows // min(GROUP, n_rows)
        self.register_buffer("bandwidths", torch.ones(self.n_groups, 1, dtype=torch.float64))
        # Fingerprints of stored rows that have no twin; a row with twins may be rebuilt from them.
        self.register_buffer("singles", torch.zeros(n_rows, dtype=torch.int64))
        # The same of those that occur twice at most; needed for calibration alone, so never saved.
        self.register_buffer("pairs", torch.full((n_rows,), -1), persistent=False)
        self.register_buffer("skew", torch.zeros(layout.width, dtype=torch.float64))
        self.register_buffer("level", torch.zeros(2, 1, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(2, 1, dtype=torch.float64))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        known, everything = self.fingerprint(cells), self.fingerprint(others)
        self.singles.copy_(_rare(known, everything, 1))
        self.pairs.copy_(_rare(known, everything, 2))
        n_judged = self.tails.ladder.shape[1]
        order = torch.randperm(len(others.values), generator=generator)[:n_judged]
        rows = self.flat(others.take(order))
        self.view.fit(rows)
        self.tails.fit(rows)
        self.skew.copy_(_skew(rows))
        judged = others.take(order[:_JUDGED_ROWS])
        own = self.fingerprint(judged)
        nearest = -2 * self._logits(self._seen(judged), self._groups, own, 1.0).amax(2)
        nearest = torch.where(nearest.isfinite(), nearest, torch.nan)
        self.bandwidths.copy_(nearest.nanmedian(0).values[:, None].clamp(min=_LEAST_BANDWIDTH))
        statistics = self._statistics(judged)
        self.level.copy_(statistics.mean(1, keepdim=True))
        self.spread.copy_(statistics.std(1, correction=0, keepdim=True) + 1e-12)

    def surprise(self, cells: Cells) -> Tensor:
        """Return how surprising each row is, in standard deviations, shape (batch,)."""
        residual, tail = (self._statistics(cells) - self.level) / self.spread
        surprise: Tensor = (residual + _TAIL_WEIGHT * tail) / (1 + _TAIL_WEIGHT)
        return surprise

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the median of each cell's surprise over the memories, in nats."""
        return self._by_memory(cells).median(1).values

    def _statistics(self, cells: Cells) -> Tensor:
        statistics = []
        step = max(16, _CHUNK_ELEMENTS // (self.n_groups * self.likelihood.layout.width))
        for start in range(0, len(cells.values), step):
            part = cells.take(slice(start, start + step))
            by_memory = self._by_memory(part).transpose(0, 1)
            surprise = self.row_mean(by_memory, part).median(0).values
            statistics.append(torch.stack([surprise, self.row_mean(self._tail(part), part)]))
        return torch.cat(statistics, 1).clamp(min=_LEAST_SURPRISE).log()

    def _by_memory(self, cells: Cells) -> Tensor:
        """Return the surprise of each cell in each memory, (batch, n_groups, n_columns)."""
        rows, stored = self._seen(cells), self._groups
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
        """Return minus half squared distances in bandwidths, (batch, n_groups, GROUP)."""
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
        """The fingerprint of each stored row that a row equal to it is not compared with, or -1."""
        if self.n_left_out <= 2:
            return self.singles if self.n_left_out < 2 else self.pairs
        return torch.empty_like(self.fingerprints).scatter(0, self.places, self.fingerprints)

    @property
    def _groups(self) -> Rows:
        """The stored rows as the view sees them, (n_groups, GROUP, width)."""
        n_used = self.n_groups * min(GROUP, len(self.rows))
        shape = (self.n_groups, -1, self.rows.shape[1])
        stored = self.flat(Cells(self.rows[:n_used], None if self.observed is None
                                 else self.observed[:n_used]))  # fmt: skip
        seen = None if stored.seen is None else stored.seen.view(shape)
        return Rows(self.view(stored.values).view(shape), seen)

    def _seen(self, cells: Cells) -> Rows:
        rows = self.flat(cells)
        return Rows(self.view(rows.values), rows.seen)

    def _tail(self, cells: Cells) -> Tensor:
        """Return the surprise of each cell in the tails of its column, (batch, n_columns).

        The tail in question is the left or the right one of all columns, or that of the side to
        which each is skewed, whichever surprises most.
        """
        rows = self.flat(cells)
        left, right = self.tails.tails(rows.values)
        sides = torch.stack([left, right, torch.where(self.skew < 0, left, right)])
        if rows.seen is not None:
            sides = sides.masked_fill(~rows.seen, 0.0)
        chosen = sides.sum(2).argmax(0)
        return self.likelihood.by_column(sides[chosen, torch.arange(len(chosen))])


def _rare(stored: Tensor, all_rows: Tensor, n_most: int) -> Tensor:
    """Return the fingerprints of stored rows with few equals among all rows, -1 for the others."""
    known, counts = torch.unique(all_rows, return_counts=True)
    return torch.where(counts[torch.searchsorted(known, stored)] <= n_most, stored, -1)


def tail_rows(n_rows: int, width: int) -> int:
    """Return how many of the rows to judge tails by."""
    return min(n_rows, max(_JUDGED_ROWS, min(_TAIL_ROWS, _TAIL_ELEMENTS // width)))


def _skew(rows: Rows) -> Tensor:
    weight = torch.ones_like(rows.values) if rows.seen is None else rows.seen.double()
    count = weight.sum(0).clamp(min=1)
    centered = (rows.values - (rows.values * weight).sum(0) / count) * weight
    skew: Tensor = centered.pow(3).sum(0) / count
    return skew
