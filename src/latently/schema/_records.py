"""Records of the input of ``fit``: the columns of a table, or a stack of images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from latently.schema._notation import Notation

Container = Literal["numpy", "pandas", "polars", "pyarrow"]
#: A column label of pandas that is not a text: a number, or a tuple of levels.
Label = int | str | tuple[int | str, ...]


@dataclass(frozen=True)
class ColumnType:
    """The type of one column of a frame, in which outputs are returned.

    Parameters
    ----------
    name : str
        Name of the Arrow type, without unit and zone.
    native : str or None, default=None
        Word for the type of pandas. None for other libraries.
    unit : {"ns", "us", "ms", "s"} or None, default=None
        Unit of times.
    zone : str or None, default=None
        Time zone of instants.
    ordered : bool, default=False
        True for ordered categories.
    levels : tuple of (str, str) or None, default=None
        Arrow types of the values and the codes of a dictionary.
    notation : Notation or None, default=None
        Notation of the column in text files, if it is known.
    values : str or None, default=None
        Arrow type of the categories if ``levels`` is None.
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
        """Type of the categories of a dictionary if it is known, or else this type."""
        found = self.values if self.levels is None else self.levels[0]
        if self.name != "dictionary" or found is None:
            return self
        return replace(self, name=found, levels=None, values=None)


@dataclass(frozen=True)
class TableSpec:
    """Library, names and types of the columns of a table in ``fit``.

    Parameters
    ----------
    container : {"numpy", "pandas", "polars", "pyarrow"}
        Library of the table.
    dtype : str
        Type of an array.
    names : tuple of str or None, default=None
        Column names, None for arrays.
    types : tuple of ColumnType, default=()
        Column types, empty for arrays.
    labels : tuple or None, default=None
        Column labels of pandas if they are not texts. ``names`` holds them as text.
    """

    container: Container
    dtype: str
    names: tuple[str, ...] | None = None
    types: tuple[ColumnType, ...] = ()
    labels: tuple[Label, ...] | None = None


ImageAxes = Literal["hw", "hwc", "chw"]


@dataclass(frozen=True)
class ImageSpec:
    """Axes, type and range of a stack of images in ``fit``.

    Parameters
    ----------
    axes : {"hw", "hwc", "chw"}
        Order of height, width and channels.
    shape : tuple of (int, int, int)
        Channels, height and width.
    dtype : str
        Type of the pixels.
    low, high : float
        Range that is scaled to [0, 1].
    least, most : float or None, default=None
        Range of the pixels that are returned. None stands for ``low`` and ``high``.
    known_white : float or None, default=None
        Value of white, 0 if it is unknown. None in model files of version 0.1.0.
    is_whole : bool, default=False
        True for floats that are whole grey levels above 1.
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
        """Least and greatest value of a returned pixel."""
        least = self.low if self.least is None else self.least
        return least, self.high if self.most is None else self.most

    @property
    def white(self) -> float:
        """Value of white, 0 if unknown. For model files of 0.1.0 it is derived from the range."""
        if self.known_white is not None:
            return self.known_white
        is_full = self.low == 0 and self.high in (1, 255, 65_535)
        return self.high if is_full and self.dtype[:1] in ("u", "f") else 0.0


InputSpec = TableSpec | ImageSpec
