"""A reader of single rows of a table, prepared once for its columns."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from latently.preprocessing._columns import (
    DAY,
    BooleanCodec,
    CategoryCodec,
    ColumnCodec,
    OrdinalCodec,
    TimeCodec,
)
from latently.preprocessing._far import FAR
from latently.preprocessing._table import TablePreprocessor

#: Elements of a cell, or None for a missing cell.
_Elements = Sequence[float] | np.ndarray | None
_ReadCell = Callable[[Any], _Elements]
_EPOCH, _EPOCH_DAY = datetime.datetime(1970, 1, 1), datetime.date(1970, 1, 1)
_MICROSECOND = datetime.timedelta(microseconds=1)
#: Integers below this have a float64 of their own.
_EXACT = 2**53


class UncommonCellError(Exception):
    """A cell that the reader does not read, such as an unknown category or a text."""


class RowReader:
    """Encode one row of plain values without a frame.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of a fitted model.
    cells : list of (int, slice, callable)
        Position, elements and reader of each column that is not a number.
    """

    def __init__(
        self, preprocessor: TablePreprocessor, cells: list[tuple[int, slice, _ReadCell]]
    ) -> None:
        self.width = preprocessor.layout.width
        self.n_columns = preprocessor.layout.n_columns
        center, scale = preprocessor.center.tolist(), preprocessor.scale.tolist()
        self._numbers = list(zip(preprocessor.positions.tolist(), center, scale, strict=True))
        self._cells = cells

    @classmethod
    def of(cls, preprocessor: TablePreprocessor) -> Self | None:
        """Return the reader of a table, or None if it has columns of other kinds.

        Parameters
        ----------
        preprocessor : TablePreprocessor
            Of a fitted model.
        """
        if preprocessor.number_likelihood != "gaussian" or np.isnan(preprocessor.center).any():
            return None
        cells, start = [], len(preprocessor.positions)
        for codec in preprocessor.codecs:
            read = _reader_of(codec)
            if read is None:
                return None
            cells.append((codec.position, slice(start, start + codec.width), read))
            start += codec.width
        return cls(preprocessor, cells)

    def read(self, row: Sequence[Any]) -> tuple[np.ndarray, np.ndarray | None]:
        """Encode a row.

        Parameters
        ----------
        row : sequence
            One plain value per column, in the order of ``fit``.

        Returns
        -------
        elements : ndarray of shape (width,)
            As ``TablePreprocessor.encode`` returns them.
        observed : ndarray of bool, shape (n_columns,), or None
            True for observed cells, None if all are.

        Raises
        ------
        UncommonCellError
            If a cell holds another kind of value.
        """
        elements, missing = np.zeros(self.width), []
        scaled = [self._scaled(row[place], center, scale) for place, center, scale in self._numbers]
        elements[: len(scaled)] = scaled
        n_numbers = len(scaled)
        if any(map(math.isnan, scaled)):
            missing = [place for place, cell in enumerate(scaled) if cell != cell]
            elements[missing] = 0.0
        for encoded, (place, own, read) in enumerate(self._cells, n_numbers):
            cell = row[place]
            found = None if cell is None else read(cell)
            if found is None:
                missing.append(encoded)
            else:
                elements[own] = found
        if not missing:
            return elements, None
        observed = np.ones(self.n_columns, dtype=bool)
        observed[missing] = False
        return elements, observed

    @staticmethod
    def _scaled(cell: Any, center: float, scale: float) -> float:
        kind = type(cell)
        if kind is float or (kind is int and -_EXACT < cell < _EXACT) or kind is np.float64:
            scaled = float((cell - center) / scale)
            if not abs(scaled) >= FAR:
                return scaled
        elif cell is None:
            return math.nan
        raise UncommonCellError


def _reader_of(codec: ColumnCodec) -> _ReadCell | None:
    if isinstance(codec, BooleanCodec):
        return _read_boolean
    if isinstance(codec, TimeCodec):
        return None if codec.zone is not None else _reader_of_times(codec)
    if isinstance(codec, CategoryCodec | OrdinalCodec) and all(
        type(category) is str for category in codec.categories
    ):
        return _reader_of_categories(codec)
    return None


def _read_boolean(cell: Any) -> _Elements:
    if type(cell) is not bool:
        raise UncommonCellError
    return (1.0,) if cell else (0.0,)


def _reader_of_categories(codec: CategoryCodec | OrdinalCodec) -> _ReadCell:
    places = range(len(codec.categories))
    if isinstance(codec, CategoryCodec):
        rows = np.eye(codec.width)[: len(codec.categories)]
    else:
        rows = (np.array(places)[:, None] > np.arange(codec.width)).astype(np.float64)
    known = dict(zip(codec.categories, rows, strict=True))

    def read(cell: Any) -> _Elements:
        if type(cell) is not str or cell not in known:
            raise UncommonCellError
        found: np.ndarray = known[cell]
        return found

    return read


def _reader_of_times(codec: TimeCodec) -> _ReadCell:
    tick, periods = codec.nanoseconds, [int(period * 1e9) for period in codec.periods]
    origin, is_date = codec.origin * tick, codec.seconds_per_tick == DAY

    def read(cell: Any) -> _Elements:
        nanoseconds = _days(cell) if is_date else _instant(cell)
        seconds = (nanoseconds - origin) / tick * codec.seconds_per_tick
        elements = [(seconds - codec.center) / codec.scale]
        for period in periods:
            angle = 2 * math.pi * (nanoseconds % period) / period
            elements += [math.sin(angle), math.cos(angle)]
        return elements

    return read


def _days(cell: Any) -> int:
    if type(cell) is not datetime.date:
        raise UncommonCellError
    return (cell - _EPOCH_DAY).days * int(DAY) * 10**9


def _instant(cell: Any) -> int:
    if type(cell) is not datetime.datetime or cell.tzinfo is not None:
        raise UncommonCellError
    return (cell - _EPOCH) // _MICROSECOND * 1_000
