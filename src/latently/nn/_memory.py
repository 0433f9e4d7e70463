"""Memory: rows are rebuilt as a weighted mean of stored rows, the nearest weighing most."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from latently._spec import Layout
from latently.nn._latents import Code, Latent
from latently.nn._likelihoods import Likelihood, mean_offset
from latently.nn._module import AutoencoderModule, Cells
from latently.nn._noise import row_seeds
from latently.nn._views import Arcsinh, Ranks, Rows, Smooth, View

#: Stored rows by which bandwidth and usual surprise are judged.
JUDGED_ROWS = 1_000
#: Distances that are worked on at once: a few megabytes.
_CHUNK_DISTANCES = 1 << 20
#: Chunks are filled up to a multiple of so many rows. Matrix products then add up in the same
#: order for every row, so that a row scores alone as it does in company, to the last bit.
_ROW_BLOCK = 16
#: Sums of weights below this are rounding.
_LEAST_WEIGHT = 1e-30
#: Rows that differ by less in every element, in standard deviations, are one.
_EQUAL = 1e-3
#: Least squared bandwidth, in variances of a column.
_LEAST_BANDWIDTH = 1e-3
#: A residual is rebuilt with a quarter of the bandwidth that its density is judged by.
_SHARPNESS = 4.0
#: Shares of columns that are exchanged for those of other rows to see what a view is worth.
_SWAPPED = (0.1, 0.3, 0.5)
#: How far above the usual, in standard deviations, the worth of a view begins to count.
_OFFSET = 2.0


class Memory(nn.Module):
    r"""Soft nearest-neighbour read of stored rows, the Nadaraya-Watson mean [1]_.

    A row :math:`x` is rebuilt as :math:`\sum_i w_i m_i` with
    :math:`w_i \propto \exp(-\|x - m_i\|^2 / 2h)`: the best denoiser, in squared error, of rows
    drawn from the stored ones with normal noise of variance :math:`h` [2]_. Distances are taken
    over the cells that both rows have, and scaled up to all columns.

    Parameters
    ----------
    n_rows, width : int
        Size of the memory.
    gaps : bool, default=False
        Make room for what elements of the stored rows were seen.

    References
    ----------
    .. [1] Watson (1964), Smooth Regression Analysis.
    .. [2] Alain and Bengio (2014), What Regularized Auto-Encoders Learn from the Data-Generating
       Distribution.
    """

    keys: Tensor
    half_squares: Tensor
    seen: Tensor | None
    unit: Tensor

    def __init__(self, n_rows: int, width: int, gaps: bool = False) -> None:
        super().__init__()
        self.row_block = _ROW_BLOCK
        # A column a stored row, in units of the bandwidth: products with them run twice as fast.
        self.register_buffer("keys", torch.zeros(width, n_rows))
        self.register_buffer("half_squares", torch.zeros(n_rows))
        seen = torch.ones(width, n_rows, dtype=torch.bool) if gaps else None
        self.register_buffer("seen", seen)
        self.register_buffer("unit", torch.ones(()))

    def store(self, rows: Rows) -> None:
        """Keep rows; the bandwidth is the median squared distance to the nearest other row."""
        if self.seen is not None and rows.seen is not None:
            self.seen.copy_(rows.seen.T)
        self._keep(rows.values, torch.ones_like(self.unit))
        nearest = self._nearest(rows.take(slice(JUDGED_ROWS)))
        # Of two rows without a common cell the distance is infinite.
        median = nearest[nearest.isfinite()].median() if bool(nearest.isfinite().any()) else 1.0
        self._keep(rows.values, torch.as_tensor(median).clamp(min=_LEAST_BANDWIDTH).sqrt())

    def _keep(self, values: Tensor, unit: Tensor) -> None:
        self.unit.copy_(unit)
        self.keys.copy_((values / unit).T)
        if self.seen is not None:
            self.keys.masked_fill_(~self.seen, 0.0)
        self.half_squares.copy_(0.5 * self.keys.square().sum(0))

    def _nearest(self, rows: Rows) -> Tensor:
        """Return the squared distance of the first stored rows to the nearest other."""
        nearest = []
        for places in chunks(len(rows.values), self.keys.shape[1]):
            scaled = self.scaled(rows.take(places))
            closest = self.logits(scaled, torch.arange(places.start, places.stop)).amax(1)
            nearest.append(scaled.values.square().sum(1) - 2 * closest)
        return torch.cat(nearest).clamp(min=0)

    def scaled(self, rows: Rows) -> Rows:
        """Return rows in units of the bandwidth, zero where missing."""
        values = rows.values.to(self.keys) / self.unit
        return Rows(values if rows.seen is None else values.masked_fill_(~rows.seen, 0), rows.seen)

    def logits(self, scaled: Rows, left_out: Tensor) -> Tensor:
        """Return minus half the squared distance to each stored row, in bandwidths.

        Parameters
        ----------
        scaled : Rows
            In units of the bandwidth.
        left_out : Tensor of int, shape (batch,)
            The stored row that is out of reach of each row; -1 for none.

        Returns
        -------
        Tensor of shape (batch, n_rows)
            But for half the square of the row itself, which weights do not depend on. Minus
            infinity where left out, or where the two have no cell in common.
        """
        if scaled.seen is None and self.seen is None:
            logits = torch.addmm(self.half_squares, scaled.values, self.keys, beta=-1)
        else:
            logits = self._gappy_logits(*scaled)
        held = (left_out >= 0).nonzero()[:, 0]
        if len(held):
            logits[held, left_out[held]] = -math.inf
        return logits

    def _gappy_logits(self, values: Tensor, seen: Tensor | None) -> Tensor:
        own = torch.ones_like(values) if seen is None else seen.to(values)
        theirs = torch.ones_like(self.keys) if self.seen is None else self.seen.to(values)
        squares = values.square()
        half = values @ self.keys - 0.5 * (squares @ theirs + own @ self.keys.square())
        n_common = own @ theirs
        scaled = half * (values.shape[1] / n_common.clamp(min=1))
        scaled = scaled.masked_fill_(n_common == 0, -math.inf)
        return scaled + 0.5 * squares.sum(1, keepdim=True)

    def read(self, weights: Tensor, total: Tensor) -> Tensor:
        """Return weighted means of the stored rows over the elements they have, (batch, width)."""
        read = self.keys @ weights.T
        if self.seen is not None:
            read /= (self.seen.to(read) @ weights.T).clamp(min=_LEAST_WEIGHT)
        else:
            read /= total.clamp(min=_LEAST_WEIGHT)
        return (read * self.unit).T

    def judge(self, rows: Rows, left_out: Tensor) -> tuple[Tensor, Tensor]:
        """Return how far rows lie from the stored ones, and what cannot be rebuilt of them.

        Parameters
        ----------
        rows : Rows
            As the view sees them.
        left_out : Tensor of int, shape (batch,)
            As in ``logits``.

        Returns
        -------
        rarity : Tensor of shape (batch,)
            Minus the log of the kernel density, but for a constant.
        squares : Tensor of shape (batch, width)
            Squared residuals, zero where missing.
        """
        rarity, squares = [], []
        for places in chunks(len(rows.values), self.keys.shape[1]):
            n_rows = places.stop - places.start
            part, out = _filled_up(rows.take(places), left_out[places], self.row_block)
            scaled = self.scaled(part)
            top, weights = _weights(self.logits(scaled, out))
            # The weight of the nearest row is one over the sum of all, by that of the nearest.
            density = top - weights.amax(1).clamp(min=_LEAST_WEIGHT).log()
            rarity.append((0.5 * scaled.values.square().sum(1) - density)[:n_rows])
            sharp = weights.square_().square_()
            rebuilt = self.read(sharp, sharp.sum(1))
            squares.append((part.values.to(rebuilt) - rebuilt).square_()[:n_rows])
        found = torch.cat(squares)
        return torch.cat(rarity), found if rows.seen is None else found.masked_fill_(~rows.seen, 0)


def _weights(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest logit of each row, and weights that sum to one."""
    top = logits.amax(1)
    if float(top.min()) == -math.inf:
        logits = logits.masked_fill_(top.isinf()[:, None], 0.0)  # nothing in reach: all alike
        top = top.nan_to_num(neginf=0.0)
    return top, logits.softmax(1)


def chunks(n_rows: int, n_stored: int) -> Iterator[slice]:
    """Deal out rows, as many at once as the distances to all stored rows fit into the cache."""
    step = min(max(_CHUNK_DISTANCES // n_stored // _ROW_BLOCK, 1) * _ROW_BLOCK, 4096)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _filled_up(rows: Rows, left_out: Tensor, block: int) -> tuple[Rows, Tensor]:
    """Repeat the last row until the number of rows is a multiple of the block."""
    lacking = -len(left_out) % block
    if not lacking:
        return rows, left_out
    values, seen = (
        None if part is None else torch.cat([part, part[-1:].expand(lacking, -1)]) for part in rows
    )
    assert values is not None
    return Rows(values, seen), torch.cat([left_out, left_out[-1:].expand(lacking)])


class Membership(Latent):
    """The code of a memory: how much of each stored row a row is made of."""

    all_used: ClassVar[bool] = True

    def forward(self, hidden: Tensor) -> Code:
        value = _weights(hidden)[1]
        return Code(value, value, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = torch.randint(self.n_components, (n_samples,))
        return nn.functional.one_hot(chosen, self.n_components).float()


class StoredRows(AutoencoderModule):
    """An autoencoder whose code says which stored rows a row is like.

    A row that equals a stored one, but for rounding, is held against the others only, so that
    training rows are judged as strangers are.

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
    knows_strangers_only = False

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

    def for_strangers(self) -> Self:
        """Return a copy for single rows that are none of the stored ones: faster by a third.

        It fills nothing up and looks for no stored row to leave out; its answers agree with those
        of batches to single precision.
        """
        quick = copy.deepcopy(self)
        quick.knows_strangers_only = True
        for part in quick.modules():
            if isinstance(part, Memory):
                part.row_block = 1
        return quick

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
        rows = self.flat(cells)
        self.rows.copy_(rows.values)
        if self.observed is not None and cells.observed is not None:
            self.observed.copy_(cells.observed)
        self.fingerprints, self.places = self.fingerprint(cells).sort()
        self.memory.store(rows)

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
        """Return the place of the stored row that equals each row, -1 where there is none."""
        if self.knows_strangers_only:
            return torch.full((len(cells.values),), -1)
        wanted = self.fingerprint(cells)
        found = torch.searchsorted(self.fingerprints, wanted).clamp(max=len(self.fingerprints) - 1)
        return torch.where(self.fingerprints[found] == wanted, self.places[found], -1)

    def hidden(self, cells: Cells) -> Tensor:
        """Return the log weight of each stored row, but for a constant."""
        scaled = self.memory.scaled(self.flat(cells))
        return _SHARPNESS * self.memory.logits(scaled, self.left_out(cells))

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
        for view, memory in zip(self.views, self.memories, strict=True):
            view.fit(rows)
            memory.store(Rows(view(rows.values), rows.seen))
        first = cells.take(slice(JUDGED_ROWS))
        own = torch.arange(len(first.values))
        _, squares = self._judge(first, own)
        # So near to zero residuals are as good as none.
        residuals = self.row_mean(squares, first)
        self.least.copy_(0.01 * residuals.median(1, keepdim=True).values + 1e-6)
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
