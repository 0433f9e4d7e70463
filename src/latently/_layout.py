"""Layout of the columns or pixels of the input in the encoded matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

LikelihoodName = Literal[
    "gaussian", "bernoulli", "categorical", "continuous_bernoulli", "discretized_logistic"
]
#: Values of the parameter ``likelihood`` for numbers and pixels.
LikelihoodChoice = Literal[
    "auto", "gaussian", "bernoulli", "continuous_bernoulli", "discretized_logistic"
]


@dataclass(frozen=True)
class Block:
    """Adjacent columns with the same likelihood and the same width in the encoded matrix."""

    likelihood: LikelihoodName
    width: int
    n_columns: int


class Column(NamedTuple):
    """Elements of a column in the flattened encoded row, and its likelihood."""

    place: int
    elements: slice
    likelihood: LikelihoodName

    @property
    def width(self) -> int:
        """Number of elements of the column."""
        return int(self.elements.stop - self.elements.start)

    @property
    def is_number(self) -> bool:
        """True for numbers and times, whose likelihood is Gaussian."""
        return self.likelihood == "gaussian"


@dataclass(frozen=True)
class Layout:
    """Layout of the columns (pixels) of the input in the encoded matrix.

    Parameters
    ----------
    shape : tuple of int
        Shape of one encoded row: ``(width,)`` for tables, ``(channels, height, width)`` for images.
    blocks : tuple of Block
        Blocks of columns in encoded order, which fill the flattened row.
    step : float, default=0.0
        Encoded difference between neighbouring grey levels, 0 for tables.
    """

    shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    step: float = 0.0

    @property
    def width(self) -> int:
        """Number of elements of one flattened encoded row."""
        return math.prod(self.shape)

    @property
    def n_columns(self) -> int:
        """Number of original columns, or of pixels times channels."""
        return sum(block.n_columns for block in self.blocks)

    @property
    def first_elements(self) -> list[int]:
        """Index of the first element of each column in the flattened row."""
        return [column.elements.start for column in self.columns]

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns in encoded order."""
        blocks = [block for block in self.blocks for _ in range(block.n_columns)]
        stops = accumulate(block.width for block in blocks)
        return tuple(
            Column(place, slice(stop - block.width, stop), block.likelihood)
            for place, (block, stop) in enumerate(zip(blocks, stops, strict=True))
        )
