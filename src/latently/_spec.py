"""Frozen records of what ``fit`` saw: the input, its columns, and how they are encoded."""

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
Container = Literal["numpy", "pandas", "polars", "pyarrow"]


@dataclass(frozen=True)
class Block:
    """A run of neighbouring columns that share a likelihood and a width in the encoded matrix."""

    likelihood: LikelihoodName
    width: int
    n_columns: int


class Column(NamedTuple):
    """Where a column lies in the flattened encoded row, and its likelihood."""

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
    """How the columns (pixels) of the input lie in the encoded matrix.

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


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a frame, as far as it must come back.

    ``name`` is narwhals' name of the type, ``native`` the container's own word for it
    (pandas only), ``unit`` and ``zone`` belong to times, ``categories`` to ordered ones.
    """

    name: str
    native: str | None = None
    unit: Literal["ns", "us", "ms", "s"] | None = None
    zone: str | None = None
    ordered: bool = False


@dataclass(frozen=True)
class TableSpec:
    """A table as ``fit`` saw it. ``names`` is None where the input had none (NumPy)."""

    container: Container
    dtype: str
    names: tuple[str, ...] | None = None
    types: tuple[ColumnType, ...] = ()


ImageAxes = Literal["hw", "hwc", "chw"]


@dataclass(frozen=True)
class ImageSpec:
    """A stack of images as ``fit`` saw it: axes, size, dtype and the range of the pixels."""

    axes: ImageAxes
    shape: tuple[int, int, int]  # channels, height, width
    dtype: str
    low: float
    high: float


InputSpec = TableSpec | ImageSpec
