"""Records of what ``fit`` saw: the columns of a table, or a stack of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Container = Literal["numpy", "pandas", "polars", "pyarrow"]
#: The name of a column of pandas that is no text: a number, or a tuple of levels.
Label = int | str | tuple[int | str, ...]


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a frame, as far as it must come back.

    ``name`` is narwhals' name of the type, ``native`` the container's own word for it
    (pandas only), ``unit`` and ``zone`` belong to times. ``ordered`` and ``levels``, the
    Arrow types of the values and of the codes, belong to dictionaries.
    """

    name: str
    native: str | None = None
    unit: Literal["ns", "us", "ms", "s"] | None = None
    zone: str | None = None
    ordered: bool = False
    levels: tuple[str, str] | None = None


@dataclass(frozen=True)
class TableSpec:
    """A table as ``fit`` saw it. ``names`` is None where the input had none (NumPy).

    ``labels`` are the names of columns of pandas that are no texts; ``names`` are their texts.
    """

    container: Container
    dtype: str
    names: tuple[str, ...] | None = None
    types: tuple[ColumnType, ...] = ()
    labels: tuple[Label, ...] | None = None


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
