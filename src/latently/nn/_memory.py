"""Memory: rows are rebuilt as a weighted mean of stored rows, the nearest weighing most."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latently._spec import Layout
from latently.nn._latents import Code, Latent
from latently.nn._likelihoods import Likelihood, mean_offset
from latently.nn._module import AutoencoderModule, Cells
from latently.nn._noise import row_seeds

#: Stored rows from which bandwidth and the usual surprise are estimated.
_JUDGED_ROWS = 2_000
#: Distances that are worked on at once: a chunk of them stays in the processor's second cache.
_CHUNK_DISTANCES = 1 << 17
#: The variance of the noise that is undone, in squared distances to the nearest stored row.
_NOISE = 0.25
#: A standard deviation below this is rounding.
_LEAST_SPREAD = 1e-9
#: A mean squared residual below this is rounding.
_LEAST_SQUARE = 1e-12


class Rows(NamedTuple):
    """Flattened encoded rows in double precision, and which of their elements were seen.

    Attributes
    ----------
    values : Tensor of shape (batch, width)
        Anything finite where an element is missing.
    seen : Tensor of bool, shape (batch, width), or None
        None where all were seen.
    """

    values: Tensor
    seen: Tensor | None = None

    def take(self, places: Tensor | slice) -> Rows:
        """Return some of the rows."""
        return Rows(self.values[places], None if self.seen is None else self.seen[places])


class View(nn.Module):
    """A way to look at encoded rows before distances are taken: here, as they are.

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()

    def fit(self, rows: Rows) -> None:
        """Learn what the view needs from stored rows."""

    def forward(self, values: Tensor) -> Tensor:
        """Return rows as this view sees them, shape (batch, width)."""
        return values


class _Bent(View):
    """A monotone change of each number, scaled to standard deviation one; all else as it is."""

    numbers: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        kinds = [
            block.likelihood == "gaussian"
            for block in layout.blocks
            for _ in range(block.n_columns * block.width)
        ]
        self.register_buffer("numbers", torch.tensor(kinds), persistent=False)
        self.register_buffer("center", torch.zeros(layout.width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(layout.width, dtype=torch.float64))

    @abstractmethod
    def bend(self, values: Tensor) -> Tensor:
        """Change each number."""

    def fit(self, rows: Rows) -> None:
        bent = self.bend(rows.values)
        weight = torch.ones_like(bent) if rows.seen is None else rows.seen.to(bent)
        count = weight.sum(0).clamp(min=1)
        center = (bent * weight).sum(0) / count
        spread = (((bent - center) * weight).square().sum(0) / count).sqrt()
        self.center.copy_(center)
        self.scale.copy_(torch.where(spread > _LEAST_SPREAD, spread, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(self.numbers, (self.bend(values) - self.center) / self.scale, values)


class Arcsinh(_Bent):
    """Logarithmic in the tails, linear in the middle: large values no longer outshout the rest."""

    def bend(self, values: Tensor) -> Tensor:
        return values.arcsinh()


class Ranks(_Bent):
    """Normal scores of the ranks among stored rows: only the order of values counts.

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    n_rows : int
        Stored rows.
    """

    ladder: Tensor
    count: Tensor

    def __init__(self, layout: Layout, n_rows: int) -> None:
        super().__init__(layout)
        self.register_buffer("ladder", torch.zeros(layout.width, n_rows, dtype=torch.float64))
        self.register_buffer("count", torch.ones(layout.width, 1, dtype=torch.float64))

    def fit(self, rows: Rows) -> None:
        values, seen = rows
        if seen is not None:
            values = torch.where(seen, values, math.inf)
            self.count.copy_(seen.sum(0).clamp(min=1)[:, None])
        else:
            self.count.fill_(len(values))
        self.ladder.copy_(values.T.sort(1).values)
        super().fit(rows)

    def bend(self, values: Tensor) -> Tensor:
        wanted = values.T.contiguous()
        below = torch.searchsorted(self.ladder, wanted)
        upto = torch.searchsorted(self.ladder, wanted, right=True)
        half = 0.5 / self.count
        share = torch.minimum(torch.maximum((below + upto) * half, half), 1 - half)
        scores: Tensor = torch.special.ndtri(share)
        return scores.T


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
        # A column a stored row, in units of the noise: products with them run twice as fast.
        self.register_buffer("keys", torch.zeros(width, n_rows, dtype=torch.float64))
        self.register_buffer("half_squares", torch.zeros(n_rows, dtype=torch.float64))
        seen = torch.ones(width, n_rows, dtype=torch.bool) if gaps else None
        self.register_buffer("seen", seen)
        self.register_buffer("unit", torch.ones((), dtype=torch.float64))

    def store(self, rows: Rows) -> None:
        """Keep rows; the noise is a quarter of the median squared distance to the nearest other."""
        if self.seen is not None and rows.seen is not None:
            self.seen.copy_(rows.seen.T)
        self._keep(rows.values, torch.ones_like(self.unit))
        self._keep(rows.values, (_NOISE * _typical(self._nearest(rows))).sqrt())

    def _keep(self, values: Tensor, unit: Tensor) -> None:
        self.unit.copy_(unit)
        self.keys.copy_((values / unit).T)
        if self.seen is not None:
            self.keys.masked_fill_(~self.seen, 0.0)
        self.half_squares.copy_(0.5 * self.keys.square().sum(0))

    def _nearest(self, rows: Rows) -> Tensor:
        """Return the squared distance of the first stored rows to the nearest other."""
        nearest = []
        for places in chunks(min(len(rows.values), _JUDGED_ROWS), self.keys.shape[1]):
            scaled = self.scaled(rows.take(places))
            closest = self.logits(scaled, torch.arange(places.start, places.stop)).amax(1)
            nearest.append(scaled.values.square().sum(1) - 2 * closest)
        return torch.cat(nearest).clamp(min=0) * self.unit.square()

    def scaled(self, rows: Rows) -> Rows:
        """Return rows in units of the noise, zero where missing."""
        values = rows.values / self.unit
        return Rows(values if rows.seen is None else values.masked_fill_(~rows.seen, 0), rows.seen)

    def logits(self, scaled: Rows, left_out: Tensor) -> Tensor:
        """Return minus half the squared distance to each stored row, in variances of the noise.

        Parameters
        ----------
        scaled : Rows
            In units of the noise.
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
        held = left_out >= 0
        if bool(held.any()):
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

    def read(self, weights: Tensor) -> Tensor:
        """Return weighted means of the stored rows over the elements they have, (batch, width)."""
        read = self.keys @ weights.T
        if self.seen is not None:
            read /= (self.seen.to(read) @ weights.T).clamp(min=1e-12)
        return (read * self.unit).T

    def squares(self, rows: Rows, left_out: Tensor) -> Tensor:
        """Return the squared residual of each element, zero where missing, (batch, width)."""
        squares = torch.empty_like(rows.values)
        for places in chunks(len(rows.values), self.keys.shape[1]):
            part = rows.take(places)
            weights = softmax(self.logits(self.scaled(part), left_out[places]))
            squares[places] = (part.values - self.read(weights)).square_()
        return squares if rows.seen is None else squares.masked_fill_(~rows.seen, 0.0)


def _typical(nearest: Tensor) -> Tensor:
    """Return the median of squared distances; where most rows have a twin, that of the others."""
    positive = nearest[(nearest > _LEAST_SQUARE) & nearest.isfinite()]
    median = nearest.median()
    if bool(median > _LEAST_SQUARE) and bool(median.isfinite()):
        return median
    return positive.median() if len(positive) else torch.ones_like(median)


def softmax(logits: Tensor) -> Tensor:
    """Return weights that sum to one; zeros where every stored row is out of reach."""
    weights = logits.softmax(1)
    return weights.nan_to_num_(nan=0.0) if bool(weights[:, 0].isnan().any()) else weights


def chunks(n_rows: int, n_stored: int) -> Iterator[slice]:
    """Deal out rows, as many at once as the distances to all stored rows fit into the cache."""
    step = min(max(_CHUNK_DISTANCES // n_stored, 16), 4096)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


class Membership(Latent):
    """The code of a memory: how much of each stored row a row is made of."""

    all_used: ClassVar[bool] = True

    def forward(self, hidden: Tensor) -> Code:
        value = softmax(hidden)
        return Code(value, value, hidden.new_zeros(len(hidden)))

    def draw(self, n_samples: int) -> Tensor:
        chosen = torch.randint(self.n_components, (n_samples,))
        return nn.functional.one_hot(chosen, self.n_components).double()


class MemoryModule(AutoencoderModule):
    r"""An autoencoder whose code says which stored rows a row is like, seen in several ways.

    The first view is the encoded row itself; it serves encoding and decoding. Surprise is judged
    in every view: the log of the mean squared residual, in standard deviations from its median
    over stored rows, each left out in turn; the view that is surprised most decides. A row that
    equals a stored one to single precision is held against the others only, so that training rows
    are judged as strangers are.

    Parameters
    ----------
    layout : Layout
        How the columns lie in the encoded row.
    n_rows : int
        Stored rows.
    gaps : bool, default=False
        True where stored rows lack cells.
    """

    # Squared distances between nearly equal rows lose all their digits in single precision.
    is_double = True

    rows: Tensor
    observed: Tensor | None
    level: Tensor
    spread: Tensor
    fingerprints: Tensor
    places: Tensor

    def __init__(self, layout: Layout, n_rows: int, gaps: bool = False) -> None:
        zero = torch.zeros(layout.width, dtype=torch.float64)
        super().__init__(
            nn.Identity(), Membership(n_rows), nn.Identity(), Likelihood(layout, zero), zero
        )
        self.views: Sequence[View] = nn.ModuleList(_views(layout, n_rows))  # type: ignore[assignment]
        self.memories: Sequence[Memory] = nn.ModuleList(  # type: ignore[assignment]
            Memory(n_rows, layout.width, gaps) for _ in self.views
        )
        self.register_buffer("rows", torch.zeros(n_rows, layout.width, dtype=torch.float64))
        seen = torch.ones(n_rows, layout.n_columns, dtype=torch.bool) if gaps else None
        self.register_buffer("observed", seen)
        self.register_buffer("level", torch.zeros(len(self.views), 1, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(len(self.views), 1, dtype=torch.float64))
        self.register_buffer("fingerprints", torch.zeros(n_rows, dtype=torch.int64))
        self.register_buffer("places", torch.zeros(n_rows, dtype=torch.int64))

    @property
    def stored(self) -> Cells:
        """The stored rows, flattened."""
        return Cells(self.rows, self.observed)

    def store(self, cells: Cells) -> None:
        """Keep rows; learn each view, its bandwidth and how surprised it is by its own rows."""
        rows = self._flat(cells)
        self.rows.copy_(rows.values)
        if self.observed is not None and cells.observed is not None:
            self.observed.copy_(cells.observed)
        self.fingerprints, self.places = fingerprints(cells).sort()
        for view, memory in zip(self.views, self.memories, strict=True):
            view.fit(rows)
            memory.store(Rows(view(rows.values), rows.seen))
        first = cells.take(slice(_JUDGED_ROWS))
        logs = self._log_squares(self.squares(first), first)
        self.level.copy_(logs.median(1, keepdim=True).values)
        self.spread.copy_(logs.std(1, correction=0, keepdim=True).clamp(min=_LEAST_SPREAD))

    def _flat(self, cells: Cells) -> Rows:
        seen = None if cells.observed is None else self.likelihood.spread(cells.observed)
        return Rows(cells.values.flatten(1).double(), seen)

    def left_out(self, cells: Cells) -> Tensor:
        """Return the place of the stored row that equals each row, -1 where there is none."""
        wanted = fingerprints(cells)
        found = torch.searchsorted(self.fingerprints, wanted).clamp(max=len(self.fingerprints) - 1)
        return torch.where(self.fingerprints[found] == wanted, self.places[found], -1)

    def hidden(self, cells: Cells) -> Tensor:
        """Return the log weight of each stored row, but for a constant."""
        memory, rows = self.memories[0], self._flat(cells)
        seen = Rows(self.views[0](rows.values), rows.seen)
        return memory.logits(memory.scaled(seen), self.left_out(cells))

    def decode(self, sample: Tensor) -> Tensor:
        """Return the likelihood's parameters of weighted means of stored rows, (batch, width)."""
        memory = self.memories[0]
        return mean_offset(self.likelihood.layout, memory.read(sample.to(memory.keys)))

    def squares(self, cells: Cells) -> Tensor:
        """Return the squared residual of each column in each view, (n_views, batch, n_columns)."""
        rows, left_out = self._flat(cells), self.left_out(cells)
        squares = [
            memory.squares(Rows(view(rows.values), rows.seen), left_out)
            for view, memory in zip(self.views, self.memories, strict=True)
        ]
        return torch.stack([self.likelihood.by_column(each) for each in squares])

    def surprise(self, cells: Cells) -> Tensor:
        """Return how surprising each row is, in standard deviations, shape (batch,)."""
        return self._surprise(self.squares(cells), cells).amax(0)

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the squared residual of each cell in the view that is surprised most.

        In units of the usual squared residual of a cell in that view; shape (batch, n_columns).
        """
        squares = self.squares(cells)
        chosen = self._surprise(squares, cells).argmax(0)
        rows = torch.arange(len(chosen))
        return squares[chosen, rows] / self.level[chosen].exp()

    def _surprise(self, squares: Tensor, cells: Cells) -> Tensor:
        return (self._log_squares(squares, cells) - self.level) / self.spread

    def _log_squares(self, squares: Tensor, cells: Cells) -> Tensor:
        """Return the log of each row's mean over its observed cells, (n_views, batch)."""
        if cells.observed is None:
            mean = squares.mean(2)
        else:
            count = cells.observed.sum(1)
            # Of a row without any cell nothing can be said: as usual as any.
            mean = torch.where(count > 0, squares.sum(2) / count.clamp(min=1), self.level.exp())
        return mean.clamp(min=_LEAST_SQUARE).log()


def _views(layout: Layout, n_rows: int) -> list[View]:
    """Return the ways to look at rows; there is one where no column is a number."""
    if all(block.likelihood != "gaussian" for block in layout.blocks):
        return [View(layout)]
    return [View(layout), Arcsinh(layout), Ranks(layout, n_rows)]


def fingerprints(cells: Cells) -> Tensor:
    """Return one number a row, equal where the seen cells are equal to single precision."""
    values = cells.values.flatten(1).float()
    if cells.observed is not None:
        values = torch.cat([values, cells.observed.float()], 1)
    return row_seeds(values)
