"""Records of what ``fit`` saw: the columns of a table, or a stack of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from latently.schema._notation import Notation

Container = Literal["numpy", "pandas", "polars", "pyarrow"]
#: The name of a column of pandas that is no text: a number, or a tuple of levels.
Label = int | str | tuple[int | str, ...]


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a frame, as far as it must come back.

    ``name`` is narwhals' name of the type, ``native`` the container's own word for it
    (pandas only), ``unit`` and ``zone`` belong to times. ``ordered`` and ``levels``, the
    Arrow types of the values and of the codes, belong to dictionaries.
    ``notation`` says how its cells are written in text files, where that is known.
    ``values`` is the Arrow type of the categories, where ``levels`` is None.
    """

    name: str
    native: str | None = None
    unit: Literal["ns", "us", "ms", "s"] | None = None
    zone: str | None = None
    ordered: bool = False
    levels: tuple[str, str] | None = None
    notation: Notation | None = None
    values: str | None = None

    @property
    def of_values(self) -> ColumnType:
        """The kind of the categories of a dictionary, where it is known; else this kind."""
        found = self.values if self.levels is None else self.levels[0]
        if self.name != "dictionary" or found is None:
            return self
        return replace(self, name=found, levels=None, values=None)


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
    """A stack of images as ``fit`` saw it.

    ``low`` and ``high`` are the range that is scaled to [0, 1]; ``least`` and ``most`` are the
    values that an answer may have, None for that range. ``known_white`` is the value of white, 0
    where type and values do not show it. ``is_whole`` is True for whole grey levels above 1.
    """

    axes: ImageAxes
    shape: tuple[int, int, int]  # channels, height, width
    dtype: str
    low: float
    high: float
    least: float | None = None
    most: float | None = None
    known_white: float | None = None
    is_whole: bool = False

    @property
    def support(self) -> tuple[float, float]:
        """Least and greatest value of an answer."""
        least = self.low if self.least is None else self.least
        return least, self.high if self.most is None else self.most

    @property
    def white(self) -> float:
        """Value of white, 0 where it is not known; files of 0.1.0 show it by their range."""
        if self.known_white is not None:
            return self.known_white
        is_full = self.low == 0 and self.high in (1, 255, 65_535)
        return self.high if is_full and self.dtype[:1] in ("u", "f") else 0.0


InputSpec = TableSpec | ImageSpec
