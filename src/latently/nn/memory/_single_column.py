"""Stored values of a single column: a kernel density inside, and monotone tails."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latently._layout import Layout
from latently.nn._module import Cells, Rows
from latently.nn.memory._kernel import CALIBRATION_ROWS, Memory
from latently.nn.memory._stored_rows import StoredRows
from latently.nn.memory._views import EQUAL, Arcsinh

#: Share of the stored values in each tail.
_TAIL = 0.02
#: Bandwidth as a multiple of spread / n ** 0.2. The usual 0.9 hides narrow gaps.
_BANDWIDTH = 0.5
#: Distance of the quartiles of a normal distribution, in standard deviations.
_QUARTILES_APART = 1.349


class SingleColumnModule(StoredRows):
    r"""Stored values of one column of numbers.

    Values are mapped to the arcsinh scale. The rarity of a value is minus the log of its kernel
    density [1]_, except in the tails, which hold the outermost 2 % of the stored values on each
    side. There the rarity is :math:`-\log p + \log \frac{m + 1}{k + 1} + d`, where :math:`p` is the
    density at the start of the tail, :math:`k` of its :math:`m` values are at least as far out, and
    :math:`d` is the distance from its start. It never decreases outwards.

    Parameters
    ----------
    layout : Layout
        Layout of one column of one element.
    n_rows : int
        Number of stored rows.
    gaps : bool, default=False
        Whether cells of stored rows may be missing.

    References
    ----------
    .. [1] Silverman (1986), Density Estimation for Statistics and Data Analysis.
    """

    ladder: Tensor
    ends: Tensor
    rarity_of_ends: Tensor
    level: Tensor
    spread: Tensor

    def __init__(self, layout: Layout, n_rows: int, gaps: bool = False) -> None:
        super().__init__(layout, n_rows, gaps)
        self.view = Arcsinh(layout)
        self.density = Memory(n_rows, layout.width, gaps)
        self.register_buffer("ladder", torch.zeros(n_rows, dtype=torch.float64))
        self.register_buffer("ends", torch.zeros(2, dtype=torch.float64))
        self.register_buffer("rarity_of_ends", torch.zeros(2))
        self.register_buffer("level", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        rows = self.flat(cells)
        self.view.fit(rows)
        mapped = self._mapped(cells)
        seen = mapped.values[:, 0] if mapped.seen is None else mapped.values[mapped.seen]
        self.density.store(mapped, bandwidth=_bandwidth(seen))
        ordered = torch.full_like(self.ladder, math.inf)
        ordered[: len(seen)] = seen.sort().values
        self.ladder.copy_(ordered)
        n_tail = self.n_tail
        if len(seen):
            self.ends.copy_(ordered[[n_tail - 1, len(seen) - n_tail]])
        nothing = torch.full((2,), -1)
        self.rarity_of_ends.copy_(
            self.density.rarity_and_residuals(Rows(self.ends[:, None]), nothing)[0]
        )
        first = cells.take(slice(CALIBRATION_ROWS))
        usual = self._rarity(first, self.leaving_out(2).left_out(first))
        self.level.copy_(usual.median())
        self.spread.copy_(usual.std(correction=0) + 1e-3)

    def surprise(self, cells: Cells) -> Tensor:
        """Return the surprise of each row in standard deviations, shape (batch,)."""
        deviations = (self._rarity(cells, self.left_out(cells)) - self.level) / self.spread
        if cells.observed is not None:
            deviations = torch.where(cells.observed[:, 0], deviations, 0.0)
        return deviations

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return the surprise of each row plus one, at least zero, shape (batch, 1)."""
        surprise = (1 + self.surprise(cells)).clamp(min=0)[:, None]
        return surprise if cells.observed is None else surprise.masked_fill(~cells.observed, 0.0)

    def _mapped(self, cells: Cells) -> Rows:
        rows = self.flat(cells)
        return Rows(self.view(rows.values), rows.seen)

    @property
    def n_tail(self) -> int:
        """Number of stored values in each tail."""
        return max(1, math.ceil(_TAIL * int(self.ladder.isfinite().sum())))

    def _rarity(self, cells: Cells, left_out: Tensor) -> Tensor:
        mapped = self._mapped(cells)
        rarity = self.density.rarity_and_residuals(mapped, left_out)[0]
        values, places = mapped.values[:, 0], left_out.view(len(mapped.values), -1)
        stored = self.view(self.rows)[:, 0][places]
        n_seen = int(self.ladder.isfinite().sum())
        for end, start, side in zip(self.ends, self.rarity_of_ends, (-1, 1), strict=True):
            ladder = side * self.ladder[:n_seen]
            ladder = ladder if side > 0 else ladder.flip(0)
            out = side * values
            n_beyond = n_seen - torch.searchsorted(ladder, out - EQUAL)
            n_beyond -= ((places >= 0) & (side * stored >= out[:, None] - EQUAL)).sum(1)
            share = (self.n_tail + 1) / (n_beyond.clamp(0, self.n_tail) + 1)
            distance = out - side * end
            tail = start + share.log() + distance
            rarity = torch.where(distance > EQUAL, tail.to(rarity), rarity)
        return rarity


def _bandwidth(values: Tensor) -> float:
    """Return the bandwidth of the density of values whose standard deviation is about one."""
    if not len(values):
        return 1.0
    quartiles = torch.quantile(values, values.new_tensor([0.25, 0.75]))
    spread = float(quartiles[1] - quartiles[0]) / _QUARTILES_APART
    bandwidth: float = _BANDWIDTH * min(spread or 1.0, 1.0) * float(len(values)) ** -0.2
    return bandwidth
