"""Stored rows as an autoencoder: a code that says which of them a row is like."""

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
from latently.nn.memory._kernel import JUDGED_ROWS, SHARPNESS, Memory, weights_of
from latently.nn.memory._views import Arcsinh, Ranks, Smooth, View

#: Rows that differ by less in every element, in standard deviations, are one.
_EQUAL = 1e-3
#: Shares of columns that are exchanged for those of other rows to see what a view is worth.
_SWAPPED = (0.1, 0.3, 0.5)
#: How far above the usual, in standard deviations, the worth of a view begins to count.
_OFFSET = 2.0


class Membership(Latent):
    """The code of a memory: how much of each stored row a row is made of."""

    all_used: ClassVar[bool] = True

    def forward(self, hidden: Tensor) -> Code:
        value = weights_of(hidden)[1]
        return Code(value, value, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = torch.randint(self.n_components, (n_samples,))
        return nn.functional.one_hot(chosen, self.n_components).float()


class StoredRows(AutoencoderModule):
    """An autoencoder whose code says which stored rows a row is like.

    Of the stored rows that equal a row, but for rounding, one is left out when the row is scored:
    a training row is not compared with itself. Calibration leaves out more of them
    (``leaving_out``).

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    n_rows : int
        Stored rows.
    gaps : bool, default=False
        True where stored rows lack cells.
    """

    # Rows are compared with stored ones before anything is rounded.
    is_double = True
    #: Buffers that scores are measured by.
    scales: ClassVar[tuple[str, ...]] = ("level", "spread")
    #: How many of the stored rows that equal a row are left out when it is scored.
    n_left_out = 1

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
        """Return a view of this module that leaves out so many stored rows equal to a row.

        Parameters
        ----------
        n_copies : int
            Most copies that are left out; with as many as there are stored rows, all of them.

        Returns
        -------
        StoredRows
            It shares its tensors with this one.
        """
        other = copy.copy(self)
        other.n_left_out = n_copies
        return other

    def take_scales(self, other: Self) -> None:
        """Measure scores by the scales of another module: both give comparable scores.

        Parameters
        ----------
        other : StoredRows
            Of the same layout.
        """
        for name in self.scales:
            getattr(self, name).copy_(getattr(other, name))

    @property
    def stored(self) -> Cells:
        """The stored rows, flattened."""
        return Cells(self.rows, self.observed)

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        """Keep rows and learn how surprising rows usually are.

        Parameters
        ----------
        cells : Cells
            Rows to keep.
        others : Cells
            Rows of the same kind to judge by; they may be the same.
        generator : torch.Generator
            Source of chance.
        """
        rows, first = self.flat(cells), slice(JUDGED_ROWS)
        self.rows.copy_(rows.values)
        if self.observed is not None and cells.observed is not None:
            self.observed.copy_(cells.observed)
        self.fingerprints, self.places = self.fingerprint(cells).sort()
        self.memory.store(rows, self.leaving_out(len(rows.values)).left_out(cells.take(first)))

    def flat(self, cells: Cells) -> Rows:
        """Return flattened rows, and which elements of them were seen."""
        seen = None if cells.observed is None else self.likelihood.spread(cells.observed)
        return Rows(cells.values.flatten(1).double(), seen)

    def fingerprint(self, cells: Cells) -> Tensor:
        """Return one number a row; rows that single precision may not tell apart have the same."""
        rows = self.flat(cells)
        values = (rows.values / _EQUAL).round()
        return row_seeds(values if rows.seen is None else values.masked_fill(~rows.seen, math.inf))

    def left_out(self, cells: Cells) -> Tensor:
        """Return the places of the stored rows that are left out for each row, -1 for none.

        Parameters
        ----------
        cells : Cells
            Rows to score.

        Returns
        -------
        Tensor of int, shape (batch,) or (batch, n_places)
            Of stored rows that equal the row, the first ``n_left_out``.
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
        """Return the log weight of each stored row, but for a constant."""
        scaled = self.memory.scaled(self.flat(cells))
        return SHARPNESS * self.memory.logits(scaled, self.left_out(cells))

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters of weighted means of stored rows, (batch, width)."""
        weights = sample.to(self.memory.keys)
        read = self.memory.read(weights, weights.sum(1))
        return mean_offset(self.likelihood.layout, read.double())

    def surprise(self, cells: Cells) -> Tensor:
        """Return how surprising each row is, shape (batch,)."""
        raise NotImplementedError

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return how surprising each cell is, shape (batch, n_columns)."""
        raise NotImplementedError

    def row_mean(self, per_column: Tensor, cells: Cells) -> Tensor:
        """Return means over the observed cells of the last axis; of a row without any, zero."""
        if cells.observed is None:
            return per_column.mean(-1)
        return per_column.sum(-1) / cells.observed.sum(1).clamp(min=1)


class Judgement(NamedTuple):
    """What the views say of some rows.

    Attributes
    ----------
    statistics : Tensor of shape (2 * n_views, batch) or, of images, (n_views, batch)
        Rarity and log residual in each view.
    squares : Tensor of shape (n_views, batch, n_columns)
        Squared residual of each column.
    """

    statistics: Tensor
    squares: Tensor


class MemoryModule(StoredRows):
    r"""Stored rows, looked at in several ways.

    In each view a row has two statistics: minus the log of its kernel density, and the log of
    what the others cannot rebuild of it. Both are held against those of stored rows, each of them
    left out in turn: how many standard deviations does it lie above their median? What a statistic
    is worth is found without labels: how well does it tell stored rows from such as have columns
    exchanged for those of other rows? The largest, by worth, is the surprise.

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    n_rows : int
        Stored rows.
    gaps : bool, default=False
        True where stored rows lack cells.
    """

    scales: ClassVar[tuple[str, ...]] = ("least", "level", "spread", "worth")

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
        # Of images the residual alone tells more: how bold or rare a stroke is says little.
        self.judges_rarity = len(layout.shape) == 1
        n_views = len(self.views)
        n_statistics = 2 * n_views if self.judges_rarity else n_views
        self.register_buffer("least", torch.zeros(n_views, 1))
        self.register_buffer("level", torch.zeros(n_statistics, 1))
        self.register_buffer("spread", torch.ones(n_statistics, 1))
        self.register_buffer("worth", torch.ones(n_statistics, 1))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        rows = self.flat(cells)
        first = cells.take(slice(JUDGED_ROWS))
        # Scales must not depend on how many rows repeat: no row is compared with its copies.
        copies = self.leaving_out(len(rows.values)).left_out(first)
        for view, memory in zip(self.views, self.memories, strict=True):
            view.fit(rows)
            memory.store(Rows(view(rows.values), rows.seen), copies)
        _, squares = self._judge(first, copies)
        # So near to zero residuals are as good as none.
        residuals = self.row_mean(squares, first)
        self.least.copy_(0.01 * residuals.median(1, keepdim=True).values + 1e-6)
        # As a new row is scored that equals the stored one: without itself and one copy.
        own = self.leaving_out(2).left_out(first)
        usual = self._judge(first, own).statistics
        self.level.copy_(usual.median(1, keepdim=True).values)
        self.spread.copy_(usual.std(1, correction=0, keepdim=True) + 1e-3)
        self.worth.copy_(self._worth(usual, first, own, others, generator))

    def _worth(
        self, usual: Tensor, first: Cells, own: Tensor, others: Cells, generator: torch.Generator
    ) -> Tensor:
        """Return the worth of each statistic, the best having one, shape (n_statistics, 1)."""
        n_columns = self.likelihood.layout.n_columns
        if len(self.views) == 1 or n_columns == 1 or len(own) < 2:
            return torch.ones_like(self.worth)
        told = torch.zeros(len(usual))
        for share in _SWAPPED:
            swapped = self._swapped(first, others, share, generator)
            told += _probit_of_auroc(usual, self._judge(swapped, own).statistics)
        told /= len(_SWAPPED)
        return (told - told.max()).exp()[:, None]

    def _swapped(
        self, first: Cells, others: Cells, share: float, generator: torch.Generator
    ) -> Cells:
        """Return rows with a share of their columns exchanged for those of other rows."""
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

    def _judge(self, cells: Cells, left_out: Tensor) -> Judgement:
        rows = self.flat(cells)
        rarities, squares = [], []
        for view, memory in zip(self.views, self.memories, strict=True):
            rarity, residual = memory.judge(Rows(view(rows.values), rows.seen), left_out)
            rarities.append(rarity)
            squares.append(self.likelihood.by_column(residual))
        by_view = torch.stack(squares)
        logs = (self.row_mean(by_view, cells) + self.least).log()
        kinds = [torch.stack(rarities), logs] if self.judges_rarity else [logs]
        return Judgement(torch.cat(kinds), by_view)

    def surprise(self, cells: Cells) -> Tensor:
        """Return how surprising each row is, shape (batch,).

        Zero is usual; two more is about two standard deviations more, in the view that tells.
        """
        return self._weighed(self._judge(cells, self.left_out(cells)), cells).amax(0) - _OFFSET

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the squared residual of each cell in the view that is surprised most.

        In units of the usual squared residual of a cell in that view; shape (batch, n_columns).
        """
        judged = self._judge(cells, self.left_out(cells))
        view = self._weighed(judged, cells).argmax(0) % len(self.views)
        usual = self.level[-len(self.views) :, 0].exp()
        return judged.squares[view, torch.arange(len(view))] / usual[view][:, None]

    def _weighed(self, judged: Judgement, cells: Cells) -> Tensor:
        deviations = (judged.statistics - self.level) / self.spread
        if cells.observed is not None:
            # Of a row without any cell nothing can be said: as usual as any.
            deviations = torch.where(cells.observed.any(1), deviations, 0.0)
        return self.worth * (_OFFSET + deviations)


def _observed(cells: Cells, n_columns: int) -> Tensor:
    if cells.observed is not None:
        return cells.observed
    return torch.ones(len(cells.values), n_columns, dtype=torch.bool)


def _probit_of_auroc(usual: Tensor, unusual: Tensor) -> Tensor:
    """Return the normal score of the chance that an unusual value exceeds a usual one, by row."""
    ordered, n_pairs = usual.sort(1).values, usual.shape[1] * unusual.shape[1]
    below = torch.searchsorted(ordered, unusual).sum(1)
    upto = torch.searchsorted(ordered, unusual, right=True).sum(1)
    chance = (below + upto).double() / (2 * n_pairs)
    scores: Tensor = torch.special.ndtri(chance.clamp(0.3, 0.9999)).float()
    return scores


def _views(layout: Layout, n_rows: int) -> list[View]:
    """Return the ways to look at rows: one at images, or where no column is a number."""
    if len(layout.shape) > 1:
        return [Smooth(layout)]
    if all(block.likelihood != "gaussian" for block in layout.blocks):
        return [View(layout)]
    return [View(layout), Arcsinh(layout), Ranks(layout, n_rows)]
