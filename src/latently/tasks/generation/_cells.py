"""Cells of a table as one number each: amounts, ticks and codes of categories."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from latently.exceptions import DataError, LatentlyError, ParameterError
from latently.preprocessing import (
    BooleanCodec,
    CategoryCodec,
    OrdinalCodec,
    TablePreprocessor,
    TimeCodec,
)
from latently.schema import conform

#: Ends of a range or one value, as cells.
Range = tuple[float, float]


def without_masses(preprocessor: TablePreprocessor) -> TablePreprocessor:
    """Return a preprocessor that does not round values to point masses, which donors have.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.

    Returns
    -------
    TablePreprocessor
        With the same bounds and grids.
    """
    support = preprocessor.support
    if support is None:
        return preprocessor
    none = np.zeros(len(support.mass_column), dtype=bool)
    kept = replace(
        support, mass_column=support.mass_column[none], is_excess=support.is_excess[none],
        masses=support.masses[:, none], shares=support.shares[:, none],
        beside=support.beside[:, none],
    )  # fmt: skip
    return replace(preprocessor, support=kept)


def n_levels_of(preprocessor: TablePreprocessor) -> np.ndarray:
    """Return the number of categories of each column, 0 for numbers and times.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.

    Returns
    -------
    ndarray of int, shape (n_columns,)
        In encoded order.
    """
    levels = [_n_levels(codec) for codec in preprocessor.codecs]
    return np.array([0] * len(preprocessor.positions) + levels, dtype=np.int64)


def _n_levels(codec: Any) -> int:
    if isinstance(codec, TimeCodec):
        return 0
    return 2 if isinstance(codec, BooleanCodec) else len(codec.categories)


def read_cells(preprocessor: TablePreprocessor, table: Any) -> np.ndarray:
    """Return the cells of rows, one number each.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.
    table : ndarray or narwhals.DataFrame
        Rows with the columns of ``fit``.

    Returns
    -------
    ndarray of shape (n_samples, n_columns)
        Numbers in the user's units, ticks since the origin, or codes of categories. NaN if missing
        or a category that ``fit`` did not keep.
    """
    values, observed = preprocessor.encode(table, fitting=True)
    values = values.astype(np.float64, copy=False)
    cells = [preprocessor.amounts(values, "nearest")]
    start = len(preprocessor.positions)
    for codec in preprocessor.codecs:
        if not isinstance(codec, TimeCodec):
            cells.append(_codes(codec, values[:, start : start + codec.width])[:, None])
        start += codec.width
    answer = np.hstack(cells)
    if observed is not None:
        answer[~observed] = np.nan
    return answer + 0.0  # no negative zeros


def _codes(codec: Any, elements: np.ndarray) -> np.ndarray:
    if not isinstance(codec, CategoryCodec):
        codes: np.ndarray = (elements > 0.5).sum(1).astype(np.float64)
        return codes
    found = elements.argmax(1).astype(np.float64)
    return np.where(found < len(codec.categories), found, np.nan)


def write_rows(preprocessor: TablePreprocessor, cells: np.ndarray) -> Any:
    """Return cells as rows of the user's table.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.
    cells : ndarray of shape (n_samples, n_columns)
        In encoded order, NaN if missing.

    Returns
    -------
    ndarray, DataFrame or Table
        In the library and types of ``fit``.
    """
    missing = np.isnan(cells)
    known, n = np.where(missing, 0.0, cells), len(preprocessor.positions)
    parts = [(known[:, :n] - preprocessor.center) / preprocessor.scale]
    parts += [
        _elements(codec, known[:, place]) for place, codec in enumerate(preprocessor.codecs, n)
    ]
    values = np.nan_to_num(np.hstack(parts))
    return preprocessor.decode(values, missing=missing if missing.any() else None)


def _elements(codec: Any, cells: np.ndarray) -> np.ndarray:
    elements = np.zeros((len(cells), codec.width))
    if isinstance(codec, TimeCodec):
        elements[:, 0] = codec.element_of(cells)
    elif isinstance(codec, CategoryCodec):
        elements[np.arange(len(cells)), cells.astype(np.int64)] = 1.0
    else:
        elements[:] = cells[:, None] > np.arange(codec.width)
    return elements


def read_given(preprocessor: TablePreprocessor, given: dict[str, Any]) -> dict[int, Range]:
    """Return conditions on columns as ranges of cells.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.
    given : dict of str to value or (low, high)
        Conditions by names of columns.

    Returns
    -------
    dict of int to (float, float)
        Smallest and largest cell by the place of the column, in encoded order.

    Raises
    ------
    ParameterError
        If a column is unknown, or a value is none of the column's.
    """
    names = [preprocessor.column_names[place] for place in preprocessor.order]
    unknown = [name for name in given if name not in names]
    if unknown:
        raise ParameterError(
            f"given must name columns of fit, got {unknown[0]!r:.60}. Use one of "
            f"{', '.join(names[:8])}."
        )
    return {
        names.index(name): _range(preprocessor, names.index(name), name, value)
        for name, value in given.items()
    }


def _range(preprocessor: TablePreprocessor, place: int, name: str, value: Any) -> Range:
    ends = value if isinstance(value, tuple | list) else (value, value)
    low, high = _ends(preprocessor, place, name, ends) if len(ends) == 2 else (np.nan, np.nan)
    if not low <= high:
        raise ParameterError(
            f"given[{name!r}] must be a value of the column or (low, high), got {value!r:.60}. "
            "Give a value that occurs in the rows of fit."
        )
    return low, high


def _ends(preprocessor: TablePreprocessor, place: int, name: str, ends: Any) -> Range:
    n = len(preprocessor.positions)
    try:
        if place < n:
            return float(ends[0]), float(ends[1])
        codec = preprocessor.codecs[place - n]
        cells = _read_values(preprocessor, codec, ends)
    except (LatentlyError, ValueError, TypeError, pa.ArrowException):
        return np.nan, np.nan
    return float(cells[0]), float(cells[1])


def _read_values(preprocessor: TablePreprocessor, codec: Any, ends: Any) -> np.ndarray:
    if isinstance(codec, CategoryCodec | OrdinalCodec):
        words = [str(category) for category in codec.categories]
        return np.array([words.index(str(end)) for end in ends], dtype=np.float64)
    if isinstance(codec, BooleanCodec):
        return np.array([{"true": 1.0, "false": 0.0}[str(end).lower()] for end in ends])
    column = pa.chunked_array([pa.array(list(ends))])
    column = conform(column, preprocessor.spec.types[codec.position], codec.name)
    elements, observed = codec.encode(column, fitting=True)
    return np.where(observed, codec.amounts(elements), np.nan)


def comparable(preprocessor: TablePreprocessor, name: str, cells: np.ndarray) -> np.ndarray:
    """Return a column of numbers, or of times in nanoseconds, that can be compared with others.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Fitted.
    name : str
        Name of the column.
    cells : ndarray of shape (n_samples, n_columns)
        In encoded order.

    Returns
    -------
    ndarray of shape (n_samples,)
        NaN if missing.

    Raises
    ------
    ParameterError
        If there is no such column of numbers or times.
    """
    names = [preprocessor.column_names[place] for place in preprocessor.order]
    place = names.index(name) if name in names else len(names)
    n = len(preprocessor.positions)
    if place < n:
        return cells[:, place]
    codec = preprocessor.codecs[place - n] if place < len(names) else None
    if not isinstance(codec, TimeCodec):
        raise ParameterError(
            f"constraints must compare columns of numbers or times, got {name!r:.60}. Use names of "
            "such columns."
        )
    nanoseconds: np.ndarray = (cells[:, place] + codec.origin) * codec.nanoseconds
    return nanoseconds


def check_arrays(preprocessor: TablePreprocessor, cells: np.ndarray) -> None:
    """Raise DataError unless the cells of a model file can be those of the preprocessor.

    Parameters
    ----------
    preprocessor : TablePreprocessor
        Of the file.
    cells : ndarray
        Of the file.
    """
    levels = n_levels_of(preprocessor)
    sound = (
        cells.ndim == 2
        and cells.dtype == np.float64
        and len(cells) > 0
        and cells.shape[1] == len(levels)
        and not (np.abs(cells) > _MOST).any()
    )
    if sound:
        codes = cells[:, levels > 0]
        known = np.isnan(codes) | ((codes >= 0) & (codes < levels[levels > 0]) & (codes % 1 == 0))
        sound = bool(known.all())
    if not sound:
        raise DataError("The model's cells do not fit its columns.")


#: Numbers of a model file must be smaller.
_MOST = 1e300
