"""The sum of robustly standardised anomaly statistics over stored rows."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from latently._layout import Layout
from latently.nn._module import Cells
from latently.nn.memory._stored_rows import StoredRows
from latently.nn.memory.robust._encoded import Codes, Encoded, Encoder, GapCategories
from latently.nn.memory.robust._histograms import Histograms
from latently.nn.memory.robust._isolation import IsolationTrees
from latently.nn.memory.robust._linear import LinearResiduals
from latently.nn.memory.robust._neighbors import NeighborDistance, SmallMemories

#: Number of stored rows by default. More hardly change the scores and cost time in proportion.
STORED_ROWS = 1_250
#: Smallest and largest standardised statistic.
RANGE = (-3.0, 1_000.0)
#: Distance of the quartiles of a normal distribution, in standard deviations.
_QUARTILES_APART = 1.349
_LEAST_SPREAD = 1e-9


class RobustMemoryModule(StoredRows):
    r"""Stored rows, and statistics that few anomalies among the training rows hardly change.

    1. There are five statistics: the log frequencies of the cells (``Histograms``), the residuals
       of linear predictions (``LinearResiduals``), the log distance to the tenth nearest row
       (``NeighborDistance``), the mean log distance to small memories (``SmallMemories``), and the
       depth in an isolation forest (``IsolationTrees``).
    2. Each is standardised by the median and the interquartile range over stored rows, each scored
       without itself, and clipped to [-3, 1000].
    3. The score is their sum. The last enters as :math:`z |z|`, because it is bounded: in a linear
       sum, the others would outweigh it where it is most certain.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row, a table.
    n_rows : int
        Number of stored rows.
    gaps : bool, default=False
        True if stored rows may have missing cells.
    n_bins : int, default=5
        Largest number of bins of the histogram of a column of numbers.
    n_training : int or None, default=None
        Number of training rows. None means ``n_rows``.
    """

    #: After ``partial_fit``, all statistics are standardised by the new rows.
    scales: ClassVar[tuple[str, ...]] = ()
    splits_products: ClassVar[bool] = True

    level: Tensor
    spread: Tensor
    center_of_sum: Tensor
    scale_of_sum: Tensor

    def __init__(
        self,
        layout: Layout,
        n_rows: int,
        gaps: bool = False,
        n_bins: int = 5,
        n_training: int | None = None,
    ) -> None:
        super().__init__(layout, n_rows, gaps)
        self.gaps = GapCategories(layout)
        self.codes = Codes(layout)
        self.scaling = Encoder(layout)
        self.histograms = Histograms(self.codes.n_values, n_bins)
        self.linear = LinearResiduals(layout.width)
        self.neighbors = NeighborDistance(n_rows, layout.width)
        self.small = SmallMemories(n_rows)
        self.trees = IsolationTrees(n_training or n_rows)
        self.register_buffer("level", torch.zeros(5, 1, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(5, 1, dtype=torch.float64))
        self.register_buffer("center_of_sum", torch.zeros((), dtype=torch.float64))
        self.register_buffer("scale_of_sum", torch.ones((), dtype=torch.float64))

    def store(self, cells: Cells, others: Cells, generator: torch.Generator) -> None:
        super().store(cells, others, generator)
        self.gaps.fit(others.observed)
        every = self.gaps(others)
        self.scaling.fit(self.flat(every))
        encoded = self.scaling(self.flat(every))
        self.histograms.fit(self.codes(every.values, encoded.bent), every.observed)
        self.linear.fit(encoded.bent)
        self.trees.fit(self._forest_codes(every, encoded), generator)
        stored = self.scaling(self.flat(self.gaps(cells)))
        own = self.leaving_out(2).left_out(cells)
        self.neighbors.fit(stored.bent, own)
        self.small.fit(stored.plain, own, generator)
        self._standardise(self._statistics(cells, own))

    def _standardise(self, statistics: Tensor) -> None:
        statistics = statistics.masked_fill(~statistics.isfinite(), torch.nan)
        low, level, high = statistics.nanquantile(
            statistics.new_tensor([0.25, 0.5, 0.75]), dim=1, keepdim=True
        )
        deviation = (statistics - level).square().nanmean(1, keepdim=True).sqrt()
        spread = torch.where(high - low > _LEAST_SPREAD, high - low, deviation)
        self.level.copy_(level.nan_to_num())
        self.spread.copy_(spread.nan_to_num() + _LEAST_SPREAD)
        total = self._sum(self._standardised(statistics))
        low, level, high = total.quantile(total.new_tensor([0.25, 0.5, 0.75]))
        scale = (high - low) / _QUARTILES_APART
        self.center_of_sum.copy_(level)
        self.scale_of_sum.copy_(torch.where(scale > _LEAST_SPREAD, scale, 1.0))

    def surprise(self, cells: Cells) -> Tensor:
        """Return the anomaly score of each row, shape (batch,).

        It is in standard deviations of the sum, and zero for a typical row.
        """
        return self.surprise_by_view(cells)[:, 0]

    @property
    def n_views(self) -> int:
        return len(self.level)

    def surprise_by_view(self, cells: Cells) -> Tensor:
        deviations = self._standardised(self._statistics(cells, self.left_out(cells)))
        surprise = (self._sum(deviations) - self.center_of_sum) / self.scale_of_sum
        by_view = torch.cat([surprise[None], deviations]).T
        if cells.observed is None:
            return by_view
        # A row without observed cells gets the score of a typical row.
        return torch.where(cells.observed.any(1)[:, None], by_view, 0.0)

    def cell_surprise(self, cells: Cells) -> Tensor:
        """Return what each cell adds to the statistics that depend on cells, (batch, n_columns).

        The sum of standardised excess log frequencies and linear residuals, and of the share of
        the cell in the distance to neighbours. Zero for usual cells and where a cell is missing.
        """
        out, filled = self.left_out(cells), self.gaps(cells)
        encoded = self.scaling(self.flat(filled))
        by_column = self.likelihood.by_column
        codes = self.codes(filled.values, encoded.bent)
        frequencies = self.histograms.cells(codes, filled.observed)
        residuals = by_column(self.linear.excess(encoded.bent, encoded.seen))
        distance = self._standardised(self._statistics(cells, out))[2].clamp(min=0)
        shares = by_column(self.neighbors.shares(encoded.bent, out)) * distance[:, None]
        blame = (frequencies / self.spread[0]).clamp(min=0) + shares
        blame = blame + (residuals / self.spread[1]).clamp(min=0)
        return blame if cells.observed is None else blame.masked_fill(~cells.observed, 0.0)

    def check(self) -> None:
        """Raise ValueError if a bin, a column of a tree or a member of a memory does not exist."""
        self.histograms.check()
        self.trees.check(len(self.codes.n_values))
        members = self.small.members
        if not bool(((members >= 0) & (members < len(self.rows))).all()):
            raise ValueError("a member of a small memory does not exist")

    def _statistics(self, cells: Cells, left_out: Tensor) -> Tensor:
        """Return the five statistics of each row, shape (5, batch)."""
        filled = self.gaps(cells)
        encoded = self.scaling(self.flat(filled))
        members = self.gaps(self.stored.take(self.small.members.flatten()))
        statistics = [
            self.histograms(self.codes(filled.values, encoded.bent), filled.observed),
            self.linear(encoded.bent, encoded.seen),
            self.neighbors(encoded.bent, left_out),
            self.small(encoded.plain, self.scaling.plain(self.flat(members)), left_out),
            self.trees(self._forest_codes(filled, encoded)),
        ]
        return torch.stack(statistics)

    def _forest_codes(self, cells: Cells, encoded: Encoded) -> Tensor:
        codes: Tensor = self.codes(cells.values, encoded.plain)
        return codes

    def _standardised(self, statistics: Tensor) -> Tensor:
        deviations = ((statistics - self.level) / self.spread).clamp(*RANGE)
        # Rows that are compared with no stored row are typical.
        return torch.where(statistics.isfinite(), deviations, 0.0)

    def _sum(self, deviations: Tensor) -> Tensor:
        forest = deviations[-1]
        total: Tensor = deviations[:-1].sum(0) + forest * forest.abs()
        return total
