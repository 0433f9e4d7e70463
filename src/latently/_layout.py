"""Places of the columns or pixels of the input in the encoded matrix."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, NamedTuple

LikelihoodName = Literal[
    "gaussian", "bernoulli", "categorical", "continuous_bernoulli", "discretized_logistic"
]
#: Of numbers and pixels, as the user may ask for it.
LikelihoodChoice = Literal[
    "auto", "gaussian", "bernoulli", "continuous_bernoulli", "discretized_logistic"
]


@dataclass(frozen=True)
class Block:
    """A run of neighbouring columns that share a likelihood and a width in the encoded matrix."""

    likelihood: LikelihoodName
    width: int
    n_columns: int


class Column(NamedTuple):
    """Place of a column in the flattened encoded row, and its likelihood."""

    place: int
    elements: slice
    likelihood: LikelihoodName

    @property
    def width(self) -> int:
        """Elements of the column."""
        return int(self.elements.stop - self.elements.start)

    @property
    def is_number(self) -> bool:
        """True where values have distances."""
        return self.likelihood == "gaussian"


@dataclass(frozen=True)
class Layout:
    """Places of the columns (pixels) of the input in the encoded matrix.

    ``shape`` is the shape of one encoded row: ``(width,)`` for tables, ``(channels, height,
    width)`` for images. ``blocks`` follow each other in encoded order and fill the flattened row.
    ``step`` is the distance of neighbouring pixels of whole numbers, zero elsewhere.
    """

    shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    step: float = 0.0

    @property
    def width(self) -> int:
        """Elements of one flattened encoded row."""
        return math.prod(self.shape)

    @property
    def n_columns(self) -> int:
        """Original columns, or pixels times channels."""
        return sum(block.n_columns for block in self.blocks)

    @property
    def first_elements(self) -> list[int]:
        """Place of the first element of each column in the flattened row."""
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
