"""Rows in the scales on which the statistics are computed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from latently._layout import Layout
from latently.nn._module import Cells, Rows

#: A smaller standard deviation is due to rounding.
_LEAST_SPREAD = 1e-9


class Encoded(NamedTuple):
    """Rows in the scales of the statistics. Missing elements have the median of their column.

    Attributes
    ----------
    plain : Tensor of shape (batch, width)
        Standardised elements.
    bent : Tensor of shape (batch, width)
        Arcsinh of ``plain``, standardised, which limits outlying values.
    seen : Tensor of bool, shape (batch, width), or None
        True where an element was observed, or None if all were.
    """

    plain: Tensor
    bent: Tensor
    seen: Tensor | None


class Encoder(nn.Module):
    """Standardise each element, before and after the inverse hyperbolic sine.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    """

    center: Tensor
    scale: Tensor
    middle: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        # First of the elements, then of their arcsinh.
        self.register_buffer("center", torch.zeros(2, layout.width, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(2, layout.width, dtype=torch.float64))
        self.register_buffer("middle", torch.zeros(layout.width, dtype=torch.float64))

    def fit(self, rows: Rows) -> None:
        """Compute means and standard deviations of the observed elements."""
        seen = torch.ones_like(rows.values) if rows.seen is None else rows.seen.double()
        count = seen.sum(0).clamp(min=1)

        def standardise(values: Tensor, step: int) -> Tensor:
            center = (values * seen).sum(0) / count
            spread = (((values - center) * seen).square().sum(0) / count).sqrt()
            self.center[step] = center
            self.scale[step] = torch.where(spread > _LEAST_SPREAD, spread, 1.0)
            return (values - self.center[step]) / self.scale[step]

        plain = standardise(rows.values, 0)
        standardise(plain.arcsinh(), 1)
        if rows.seen is not None:
            seen_only = plain.masked_fill(~rows.seen, torch.nan)
            self.middle.copy_(seen_only.nanmedian(0).values.nan_to_num())

    def plain(self, rows: Rows) -> Tensor:
        """Return standardised elements, the median where missing."""
        plain = (rows.values - self.center[0]) / self.scale[0]
        return plain if rows.seen is None else torch.where(rows.seen, plain, self.middle)

    def forward(self, rows: Rows) -> Encoded:
        """Return the rows in both scales."""
        plain = self.plain(rows)
        bent = (plain.arcsinh() - self.center[1]) / self.scale[1]
        return Encoded(plain, bent, rows.seen)


class GapCategories(nn.Module):
    """Count a missing category as a category of its own, in columns with gaps in training rows.

    Gaps of other columns stay missing.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    """

    is_category: Tensor
    last: Tensor
    counted: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        is_category = [column.likelihood == "categorical" for column in layout.columns]
        last = [column.elements.stop - 1 for column in layout.columns]
        self.register_buffer("is_category", torch.tensor(is_category), persistent=False)
        # Unknown categories and gaps share the last element.
        self.register_buffer("last", torch.tensor(last), persistent=False)
        self.register_buffer("counted", torch.zeros(layout.n_columns, dtype=torch.bool))

    def fit(self, observed: Tensor | None) -> None:
        """Find the columns of categories that have gaps."""
        if observed is not None:
            self.counted.copy_(self.is_category & ~observed.all(0))

    def forward(self, cells: Cells) -> Cells:
        """Return flattened rows with these gaps as observed categories."""
        values, observed = cells.values.flatten(1).double(), cells.observed
        if observed is None or not bool(self.counted.any()):
            return Cells(values, observed)
        values = values.clone()
        values[:, self.last[self.counted]] += (~observed[:, self.counted]).to(values)
        return Cells(values, observed | self.counted)


class Codes(nn.Module):
    """Map encoded rows to one number per column: a value, or the index of a category.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.blocks = layout.blocks
        #: Number of values of each column, 0 for numbers.
        self.n_values = tuple(
            _n_values(block.likelihood, block.width)
            for block in layout.blocks
            for _ in range(block.n_columns)
        )

    def forward(self, values: Tensor, numbers: Tensor) -> Tensor:
        """Return codes of shape (batch, n_columns).

        Parameters
        ----------
        values : Tensor of shape (batch, width)
            Encoded rows, from which categories are read.
        numbers : Tensor of shape (batch, width)
            The same rows in the scale in which numbers are returned.
        """
        parts, start = [], 0
        for block in self.blocks:
            elements = slice(start, start + block.n_columns * block.width)
            start = elements.stop
            if block.width == 1:
                parts.append(numbers[:, elements])
                continue
            one_hot = values[:, elements].view(-1, block.n_columns, block.width)
            is_choice = block.likelihood == "categorical"
            code = one_hot.argmax(2) if is_choice else (one_hot > 0.5).sum(2)
            parts.append(code.to(numbers))
        return torch.cat(parts, 1)


def _n_values(likelihood: str, width: int) -> int:
    """Return the number of values of a column of categories, 0 of a column of one element."""
    if width == 1:
        return 0
    return width if likelihood == "categorical" else width + 1
