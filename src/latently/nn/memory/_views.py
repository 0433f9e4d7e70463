"""Views: transformations of encoded rows before distances are computed."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latently._layout import Layout
from latently.nn._module import Rows

#: A smaller standard deviation is due to rounding.
_LEAST_SPREAD = 1e-9
#: Numbers that differ by less, in standard deviations of the column, are treated as equal.
EQUAL = 1e-5
#: Standard deviations of the blur in pixels, and the size from which images use the larger one.
_SMALL_BLUR, _LARGE_BLUR, _LARGE = 0.5, 1.0, 16


class View(nn.Module):
    """A transformation of encoded rows before distances are computed; here the identity.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()

    def fit(self, rows: Rows) -> None:
        """Fit the view to stored rows; the identity needs no fit."""

    def forward(self, values: Tensor) -> Tensor:
        """Return the transformed rows, shape (batch, width)."""
        return values


class _Monotone(View):
    """A monotone function of each number, scaled to mean zero and standard deviation one.

    Elements of other columns are not changed.
    """

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
    def map_numbers(self, values: Tensor) -> Tensor:
        """Apply the monotone function to each element."""

    def fit(self, rows: Rows) -> None:
        bent = self.map_numbers(rows.values)
        weight = torch.ones_like(bent) if rows.seen is None else rows.seen.to(bent)
        count = weight.sum(0).clamp(min=1)
        center = (bent * weight).sum(0) / count
        spread = (((bent - center) * weight).square().sum(0) / count).sqrt()
        self.center.copy_(center)
        self.scale.copy_(torch.where(spread > _LEAST_SPREAD, spread, 1.0))

    def forward(self, values: Tensor) -> Tensor:
        return torch.where(
            self.numbers, (self.map_numbers(values) - self.center) / self.scale, values
        )


class Arcsinh(_Monotone):
    """The inverse hyperbolic sine, logarithmic in the tails, which limits outlying values."""

    def map_numbers(self, values: Tensor) -> Tensor:
        return values.arcsinh()


class Ranks(_Monotone):
    """Normal scores of the ranks among stored rows, which depend on the order of values only.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    n_rows : int
        Number of stored rows.
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

    def map_numbers(self, values: Tensor) -> Tensor:
        below, upto = self._ranks(values)
        half = 0.5 / self.count
        share = torch.minimum(torch.maximum((below + upto) * half, half), 1 - half)
        scores: Tensor = torch.special.ndtri(share)
        return scores.T

    def tails(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return the negative logarithms of both empirical tail probabilities, in nats.

        Parameters
        ----------
        values : Tensor of shape (batch, width)
            Encoded rows.

        Returns
        -------
        left, right : Tensor of shape (batch, width)
            For the fraction of stored values that are not larger, and not smaller, than each
            value. At most the logarithm of twice the number of stored values.
        """
        below, upto = self._ranks(values)
        least = 0.5 / self.count
        left = torch.maximum(upto / self.count, least)
        right = torch.maximum(1 - below / self.count, least)
        return -left.log().T, -right.log().T

    def _ranks(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Count the stored values below each value, and those not above it, (width, batch).

        Values that differ by less than ``EQUAL`` count as equal.
        """
        wanted = values.T.contiguous()
        below = torch.searchsorted(self.ladder, wanted - EQUAL)
        # The end of the run of equal values is stored, which saves a second search.
        rung = below.clamp(max=self.ladder.shape[1] - 1)
        equal = (self.ladder.gather(1, rung) <= wanted + EQUAL) & (below == rung)
        return below, torch.where(equal, self.reach.gather(1, rung), below)


class Smooth(View):
    """Images with a Gaussian blur, normalised to root mean square one.

    Distances then depend on shapes and not on the contrast of an image.

    Parameters
    ----------
    layout : Layout
        Layout with shape (channels, height, width).
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
