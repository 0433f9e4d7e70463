"""Views: the ways to look at encoded rows before distances are taken."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latently._layout import Layout

#: A standard deviation below this is rounding.
_LEAST_SPREAD = 1e-9
#: Numbers closer than this, in standard deviations of the column, are equal.
EQUAL = 1e-5
#: Standard deviation of the blur, in pixels, and the size from which images take the larger.
_SMALL_BLUR, _LARGE_BLUR, _LARGE = 0.5, 1.0, 16


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
    reach: Tensor
    count: Tensor

    def __init__(self, layout: Layout, n_rows: int) -> None:
        super().__init__(layout)
        self.register_buffer("ladder", torch.zeros(layout.width, n_rows, dtype=torch.float64))
        self.register_buffer("reach", torch.zeros(layout.width, n_rows, dtype=torch.int64))
        self.register_buffer("count", torch.ones(layout.width, 1, dtype=torch.float64))

    def fit(self, rows: Rows) -> None:
        values, seen = rows
        if seen is not None:
            values = torch.where(seen, values, math.inf)
            self.count.copy_(seen.sum(0).clamp(min=1)[:, None])
        else:
            self.count.fill_(len(values))
        self.ladder.copy_(values.T.sort(1).values)
        self.reach.copy_(torch.searchsorted(self.ladder, self.ladder + EQUAL, right=True))
        super().fit(rows)

    def bend(self, values: Tensor) -> Tensor:
        below, upto = self._ranks(values)
        half = 0.5 / self.count
        share = torch.minimum(torch.maximum((below + upto) * half, half), 1 - half)
        scores: Tensor = torch.special.ndtri(share)
        return scores.T

    def tails(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return minus the logs of the shares of stored values up to, and from, each, in nats.

        Parameters
        ----------
        values : Tensor of shape (batch, width)
            Encoded rows.

        Returns
        -------
        left, right : Tensor of shape (batch, width)
            At most the log of twice the number of stored rows.
        """
        below, upto = self._ranks(values)
        least = 0.5 / self.count
        left = torch.maximum(upto / self.count, least)
        right = torch.maximum(1 - below / self.count, least)
        return -left.log().T, -right.log().T

    def _ranks(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many stored values lie below each, and not above it, (width, batch).

        Values so near that single precision may not tell them apart are equal.
        """
        wanted = values.T.contiguous()
        below = torch.searchsorted(self.ladder, wanted - EQUAL)
        # A look at the rung above instead of a second search: how far do equal values reach?
        rung = below.clamp(max=self.ladder.shape[1] - 1)
        equal = (self.ladder.gather(1, rung) <= wanted + EQUAL) & (below == rung)
        return below, torch.where(equal, self.reach.gather(1, rung), below)


class Smooth(View):
    """Images blurred a little, then brought to one length: strokes count, not how bold they are.

    Parameters
    ----------
    layout : Layout
        Its shape is (channels, height, width).
    """

    kernel: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__(layout)
        self.shape = layout.shape
        blur = _LARGE_BLUR if min(layout.shape[1:]) >= _LARGE else _SMALL_BLUR
        reach = torch.arange(-math.ceil(2.5 * blur), math.ceil(2.5 * blur) + 1).double()
        kernel = torch.exp(-0.5 * (reach / blur).square())
        self.register_buffer("kernel", kernel / kernel.sum(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        n_channels, margin = self.shape[0], len(self.kernel) // 2
        images = values.view(-1, *self.shape)
        for view, padding in (((1, 1, 1, -1), (0, margin)), ((1, 1, -1, 1), (margin, 0))):
            weight = self.kernel.view(view).repeat(n_channels, 1, 1, 1)
            images = F.conv2d(images, weight, padding=padding, groups=n_channels)
        flat = images.flatten(1)
        length = flat.square().mean(1, keepdim=True).sqrt()
        return flat / length.clamp(min=_LEAST_SPREAD)
