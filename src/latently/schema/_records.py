"""Records of what ``fit`` saw: the columns of a table, or a stack of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from latently.schema._notation import Notation

Container = Literal["numpy", "pandas", "polars", "pyarrow"]


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a frame, as far as it must come back.

    ``name`` is narwhals' name of the type, ``native`` the container's own word for it
    (pandas only), ``unit`` and ``zone`` belong to times, ``categories`` to ordered ones.
    ``notation`` says how its cells are written in text files, where that is known.
    """

    name: str
    native: str | None = None
    unit: Literal["ns", "us", "ms", "s"] | None = None
    zone: str | None = None
    ordered: bool = False
    notation: Notation | None = None


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
