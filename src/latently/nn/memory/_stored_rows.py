"""Stored rows as an autoencoder: the code of a row is its weights over the stored rows."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from latently._layout import Layout
from latently.nn._latents import Code, Latent
from latently.nn._likelihoods import Likelihood, mean_offset
from latently.nn._module import AutoencoderModule, Cells, Rows
from latently.nn._row_noise import row_seeds
from latently.nn.memory._kernel import CALIBRATION_ROWS, SHARPNESS, Memory, weights_of
from latently.nn.memory._views import Arcsinh, Ranks, Smooth, View

#: Width of the bins, in standard deviations, in which values of equal rows must fall.
EQUAL_WITHIN = 1e-3
#: Fractions of columns that are exchanged between rows to weight the statistics.
_SWAPPED = (0.1, 0.3, 0.5)
#: Added to deviations before they are multiplied by their weights, and subtracted from the maximum.
OFFSET = 2.0


class Membership(Latent):
    """The code of a memory: the weight of each stored row, non-negative with sum one."""

    all_used: ClassVar[bool] = True

    def forward(self, hidden: Tensor) -> Code:
        value = weights_of(hidden)
        return Code(value, value, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = torch.randint(self.n_components, (n_samples,))
        return nn.functional.one_hot(chosen, self.n_components).float()


class StoredRows(AutoencoderModule):
    """An autoencoder whose code is the weights of a row over stored rows.

    When a row is scored, one stored row that equals it up to rounding is left out. A training row
    is therefore not compared with itself. Calibration leaves out more of them (``leaving_out``).

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    n_rows : int
        Number of stored rows.
    gaps : bool, default=False
        True if stored rows may have missing cells.
    """

    # Equal rows are detected before values are rounded to single precision.
    is_double = True
    #: Buffers that standardise the scores.
    scales: ClassVar[tuple[str, ...]] = ("level", "spread")
    #: Number of stored rows equal to a row that are left out when it is scored.
    n_left_out = 1
    #: True if all products of a matrix of rows are computed in blocks of ``ROW_BLOCK`` rows.
    splits_products: ClassVar[bool] = False

    rows: Tensor
    observed: Tensor | None
    fingerprints: Tensor
    places: Tensor

    def __init__(self, layout: Layout, n_rows: int, gaps: bool = False) -> None:
        zero = torch.zeros(layout.width, dtype=torch.float64)
        super().__init__(
            nn.Identity(), Membership(n_rows), nn.Identity(), Likelihood(layout, zero), zero
        )
        self.memory = Memory(n_rows, layout.width, gaps)
        self.register_buffer("rows", torch.zeros(n_rows, layout.width, dtype=torch.float64))
        seen = torch.ones(n_rows, layout.n_columns, dtype=torch.bool) if gaps else None
        self.register_buffer("observed", seen)
        self.register_buffer("fingerprints", torch.zeros(n_rows, dtype=torch.int64))
        self.register_buffer("places", torch.zeros(n_rows, dtype=torch.int64))

    def leaving_out(self, n_copies: int) -> Self:
        """Return a shallow copy that leaves out up to ``n_copies`` stored rows equal to a row.

        Parameters
        ----------
        n_copies : int
            Largest number of equal rows that are left out.

        Returns
        -------
        StoredRows
            A module that shares its tensors with this one.
        """
        other = copy.copy(self)
        other.n_left_out = n_copies
        return other

    def take_scales(self, other: Self) -> None:
        """Copy the scales of another module, so that the scores of both are comparable.

        Parameters
        ----------
        other : StoredRows
            A module of the same class and layout.
        """
        for name in self.scales:
            getattr(self, name).copy_(getattr(other, name))

    @property
    def stored(self) -> Cells:
        """The stored rows, flattened."""
        return Cells(self.rows, self.observed)

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        """Store rows and standardise the scores.

        Parameters
        ----------
        cells : Cells
            Rows to store, exactly ``n_rows``.
        others : Cells
            Training rows for calibration, possibly the same rows.
        generator : torch.Generator
            Random generator.
        """
        rows, first = self.flat(cells), slice(CALIBRATION_ROWS)
        self.rows.copy_(rows.values)
        if self.observed is not None and cells.observed is not None:
            self.observed.copy_(cells.observed)
        self.fingerprints, self.places = self.fingerprint(cells).sort()
        self.memory.store(rows, self.leaving_out(len(rows.values)).left_out(cells.take(first)))

    def flat(self, cells: Cells) -> Rows:
        """Return flattened rows in double precision with a mask of their observed elements."""
        seen = None if cells.observed is None else self.likelihood.spread(cells.observed)
        return Rows(cells.values.flatten(1).double(), seen)

    def fingerprint(self, cells: Cells) -> Tensor:
        """Return a hash of each row, equal for rows that differ by rounding only, (batch,)."""
        rows = self.flat(cells)
        values = (rows.values / EQUAL_WITHIN).round()
        return row_seeds(values if rows.seen is None else values.masked_fill(~rows.seen, math.inf))

    def left_out(self, cells: Cells) -> Tensor:
        """Return the indices of the stored rows that are left out for each row.

        Parameters
        ----------
        cells : Cells
            Rows to score.

        Returns
        -------
        Tensor of int, shape (batch,) or (batch, n_places)
            Indices of the first ``n_left_out`` stored rows that equal the row, padded with -1.
        """
        wanted = self.fingerprint(cells)
        first = torch.searchsorted(self.fingerprints, wanted)
        if self.n_left_out == 1:
            found = first.clamp(max=len(self.fingerprints) - 1)
            return torch.where(self.fingerprints[found] == wanted, self.places[found], -1)
        n_equal = torch.searchsorted(self.fingerprints, wanted, right=True) - first
        nth = torch.arange(min(self.n_left_out, max(1, int(n_equal.max()))))
        found = (first[:, None] + nth).clamp(max=len(self.fingerprints) - 1)
        return torch.where(nth < n_equal[:, None], self.places[found], -1)

    def hidden(self, cells: Cells) -> Tensor:
        """Return the log weight of each stored row, up to a constant, (batch, n_rows)."""
        scaled = self.memory.scaled(self.flat(cells))
        return SHARPNESS * self.memory.logits(scaled, self.left_out(cells))

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters of the weighted means of stored rows."""
        weights = sample.to(self.memory.keys)
        read = self.memory.read(weights, weights.sum(1))
        return mean_offset(self.likelihood.layout, read.double())

    def surprise(self, cells: Cells) -> Tensor:
        """Return the anomaly score of each row, shape (batch,). Higher is more anomalous."""
        raise NotImplementedError

    @property
    def n_views(self) -> int:
        """Number of statistics that the surprise is made of."""
        return 1

    def surprise_by_view(self, cells: Cells) -> Tensor:
        """Return the surprise, then the statistics that it is made of, (batch, 1 + n_views)."""
        return self.surprise(cells)[:, None].expand(-1, 2)

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the anomaly score of each cell, shape (batch, n_columns)."""
        raise NotImplementedError

    def row_mean(self, per_column: Tensor, cells: Cells) -> Tensor:
        """Return the mean over observed cells of the last axis, zero for a row without any."""
        if cells.observed is None:
            return per_column.mean(-1)
        return per_column.sum(-1) / cells.observed.sum(1).clamp(min=1)


class _Compared(NamedTuple):
    """Negative log densities (n_views, batch), squared residuals (n_views, batch, n_columns)."""

    rarities: Tensor
    squares: Tensor


class ViewScores(NamedTuple):
    """Statistics of some rows in each view.

    Attributes
    ----------
    statistics : Tensor of shape (2 * n_views, batch), or (n_views, batch) for images
        Negative log densities, then log residuals; log residuals only for images.
    squares : Tensor of shape (n_views, batch, n_columns)
        Squared residual of each column in each view.
    """

    statistics: Tensor
    squares: Tensor


class MemoryModule(StoredRows):
    r"""Stored rows that are compared in several views.

    1. In each view, a row has two statistics: the negative logarithm of its kernel density, and
       the logarithm of its mean squared residual. For images, the second is used alone.
    2. Each statistic is standardised by the median and the standard deviation over stored rows,
       each of which is scored without itself and one copy.
    3. Each statistic has a weight of at most one. It grows with the AUROC of separating stored
       rows from rows in which columns are exchanged with other rows, so that it needs no labels.
    4. The score of a row is the largest weighted statistic.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    n_rows : int
        Number of stored rows.
    gaps : bool, default=False
        True if stored rows may have missing cells.
    """

    scales: ClassVar[tuple[str, ...]] = ("least", "level", "spread", "worth")
    splits_products: ClassVar[bool] = True

    level: Tensor
    spread: Tensor
    worth: Tensor
    least: Tensor

    def __init__(self, layout: Layout, n_rows: int, gaps: bool = False) -> None:
        super().__init__(layout, n_rows, gaps)
        self.views: Sequence[View] = nn.ModuleList(_views(layout, n_rows))  # type: ignore[assignment]
        self.memories: Sequence[Memory] = nn.ModuleList(  # type: ignore[assignment]
            Memory(n_rows, layout.width, gaps) for _ in self.views
        )
        # For images, the residual alone separates anomalies better.
        self.uses_rarity = len(layout.shape) == 1
        n_views = len(self.views)
        n_statistics = 2 * n_views if self.uses_rarity else n_views
        self.register_buffer("least", torch.zeros(n_views, 1))
        self.register_buffer("level", torch.zeros(n_statistics, 1))
        self.register_buffer("spread", torch.ones(n_statistics, 1))
        self.register_buffer("worth", torch.ones(n_statistics, 1))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        rows = self.flat(cells)
        first = cells.take(slice(CALIBRATION_ROWS))
        # All copies of a row are left out, so that the scales do not depend on repeated rows.
        copies = self.leaving_out(len(rows.values)).left_out(first)
        for view, memory in zip(self.views, self.memories, strict=True):
            view.fit(rows)
            memory.store(Rows(view(rows.values), rows.seen), copies)
        found = self._compared(first, copies)
        # Bounds the logarithm of residuals close to zero.
        residuals = self.row_mean(found.squares, first)
        self.least.copy_(0.01 * residuals.median(1, keepdim=True).values + 1e-6)
        # A new row that equals a stored one is scored in the same way: without one copy.
        own = self.leaving_out(2).left_out(first)
        if not torch.equal(own, copies):  # a row is there three times or more
            found = self._compared(first, own)
        usual = self._view_scores(found, first).statistics
        self.level.copy_(usual.median(1, keepdim=True).values)
        self.spread.copy_(usual.std(1, correction=0, keepdim=True) + 1e-3)
        self.worth.copy_(self._worth(usual, first, own, others, generator))

    def take_scales(self, other: Self) -> None:
        super().take_scales(other)
        # In units of another bandwidth, the statistics of the same row would differ.
        rows = self.flat(self.stored)
        for view, memory, before in zip(self.views, self.memories, other.memories, strict=True):
            memory.store(Rows(view(rows.values), rows.seen), bandwidth=float(before.unit))

    def _worth(
        self, usual: Tensor, first: Cells, own: Tensor, others: Cells, generator: torch.Generator
    ) -> Tensor:
        """Return the weight of each statistic, with maximum one, shape (n_statistics, 1)."""
        n_columns = self.likelihood.layout.n_columns
        if len(self.views) == 1 or n_columns == 1 or len(own) < 2:
            return torch.ones_like(self.worth)
        separation = torch.zeros(len(usual))
        for share in _SWAPPED:
            swapped = self._with_swapped_columns(first, others, share, generator)
            separation += _probit_of_auroc(usual, self._scored(swapped, own).statistics)
        separation /= len(_SWAPPED)
        return (separation - separation.max()).exp()[:, None]

    def _with_swapped_columns(
        self, first: Cells, others: Cells, share: float, generator: torch.Generator
    ) -> Cells:
        """Return rows with a random fraction of their cells replaced by cells of other rows."""
        n_rows, n_columns = len(first.values), self.likelihood.layout.n_columns
        chosen = torch.rand(n_rows, n_columns, generator=generator) < share
        at_least_one = torch.randint(n_columns, (n_rows, 1), generator=generator)
        chosen.scatter_(1, at_least_one, True)
        donors = torch.randint(len(others.values), (n_rows, n_columns), generator=generator)
        values, foreign = first.values.flatten(1), others.values.flatten(1)
        taken = foreign[self.likelihood.spread(donors), torch.arange(values.shape[1])]
        values = torch.where(self.likelihood.spread(chosen), taken, values)
        if first.observed is None and others.observed is None:
            return Cells(values)
        seen, theirs = _observed(first, n_columns), _observed(others, n_columns)
        return Cells(values, torch.where(chosen, theirs[donors, torch.arange(n_columns)], seen))

    def _scored(self, cells: Cells, left_out: Tensor) -> ViewScores:
        return self._view_scores(self._compared(cells, left_out), cells)

    def _compared(self, cells: Cells, left_out: Tensor) -> _Compared:
        rows = self.flat(cells)
        rarities, squares = [], []
        for view, memory in zip(self.views, self.memories, strict=True):
            rarity, residual = memory.rarity_and_residuals(
                Rows(view(rows.values), rows.seen), left_out
            )
            rarities.append(rarity)
            squares.append(self.likelihood.by_column(residual))
        return _Compared(torch.stack(rarities), torch.stack(squares))

    def _view_scores(self, found: _Compared, cells: Cells) -> ViewScores:
        logs = (self.row_mean(found.squares, cells) + self.least).log()
        kinds = [found.rarities, logs] if self.uses_rarity else [logs]
        return ViewScores(torch.cat(kinds), found.squares)

    def surprise(self, cells: Cells) -> Tensor:
        """Return the anomaly score of each row, shape (batch,).

        It is in standard deviations of the weighted statistic, and zero for a typical row.
        """
        return self._weighed(self._deviations(cells)).amax(0) - OFFSET

    @property
    def n_views(self) -> int:
        return len(self.level)

    def surprise_by_view(self, cells: Cells) -> Tensor:
        deviations = self._deviations(cells)
        surprise = self._weighed(deviations).amax(0) - OFFSET
        return torch.cat([surprise[None], deviations]).T

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the squared residual of each cell in the view with the largest statistic.

        The unit is the median squared residual of that view. The shape is (batch, n_columns).
        """
        scores = self._scored(cells, self.left_out(cells))
        deviations = self._standardised(scores, cells)
        view = self._weighed(deviations).argmax(0) % len(self.views)
        usual = self.level[-len(self.views) :, 0].exp()
        return scores.squares[view, torch.arange(len(view))] / usual[view][:, None]

    def _deviations(self, cells: Cells) -> Tensor:
        return self._standardised(self._scored(cells, self.left_out(cells)), cells)

    def _standardised(self, scores: ViewScores, cells: Cells) -> Tensor:
        deviations = (scores.statistics - self.level) / self.spread
        if cells.observed is None:
            return deviations
        # A row without observed cells gets the score of a typical row.
        return torch.where(cells.observed.any(1), deviations, 0.0)

    def _weighed(self, deviations: Tensor) -> Tensor:
        return self.worth * (OFFSET + deviations)


def _observed(cells: Cells, n_columns: int) -> Tensor:
    if cells.observed is not None:
        return cells.observed
    return torch.ones(len(cells.values), n_columns, dtype=torch.bool)


def _probit_of_auroc(usual: Tensor, unusual: Tensor) -> Tensor:
    """Return the probit of the AUROC of each statistic, clipped to [0.3, 0.9999], by row."""
    ordered, n_pairs = usual.sort(1).values, usual.shape[1] * unusual.shape[1]
    below = torch.searchsorted(ordered, unusual).sum(1)
    upto = torch.searchsorted(ordered, unusual, right=True).sum(1)
    auroc = (below + upto).double() / (2 * n_pairs)
    scores: Tensor = torch.special.ndtri(auroc.clamp(0.3, 0.9999)).float()
    return scores


def _views(layout: Layout, n_rows: int) -> list[View]:
    """Return the views of a layout: one for images or without numeric columns, else three."""
    if len(layout.shape) > 1:
        return [Smooth(layout)]
    if all(block.likelihood != "gaussian" for block in layout.blocks):
        return [View(layout)]
    return [View(layout), Arcsinh(layout), Ranks(layout, n_rows)]
