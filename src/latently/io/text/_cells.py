"""Distinct cells of a text column, and tests of cells that return Python or NumPy values."""

from __future__ import annotations

from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Distinct", "Readings", "all_match", "any_true", "cast_or_none", "mask_of"]

Way = TypeVar("Way")


class Distinct(NamedTuple):
    """The distinct cells of a column and their counts."""

    cells: pa.Array
    counts: np.ndarray

    @classmethod
    def of(cls, cells: Any) -> Distinct:
        """Count the non-missing cells of a column."""
        found = pc.value_counts(pc.drop_null(cells))
        return cls(found.field("values"), found.field("counts").to_numpy())

    def share(self, mask: np.ndarray) -> float:
        """Return the share of all cells whose distinct value is selected by the mask."""
        return float(self.counts[mask].sum() / max(self.counts.sum(), 1))

    def where(self, mask: np.ndarray) -> Distinct:
        """Return the distinct cells that a mask selects."""
        return Distinct(self.cells.filter(pa.array(mask)), self.counts[mask])


class Readings(Generic[Way]):
    """Distinct cells, and the masks of those that each way of reading fits.

    Parameters
    ----------
    distinct : Distinct
        Trimmed texts.
    fits : dict of way to ndarray of bool, shape (n_distinct,)
        True for the cells that fit, by way of reading, such as an order of dates.
    """

    def __init__(self, distinct: Distinct, fits: dict[Way, np.ndarray]) -> None:
        self.distinct, self.fits = distinct, fits

    @property
    def fits_any(self) -> np.ndarray:
        """True for distinct cells that fit some way of reading."""
        found: np.ndarray = np.logical_or.reduce(list(self.fits.values()))
        return found

    @property
    def fitting(self) -> list[Way]:
        """The ways of reading that every cell fits."""
        return [way for way, mask in self.fits.items() if mask.all()]

    @property
    def best(self) -> Way:
        """The way of reading that the most cells fit."""
        return max(self.fits, key=lambda way: self.distinct.share(self.fits[way]))


def cast_or_none(cells: Any, target: Any) -> Any:
    """Return the column cast to a type, or None if a cell cannot be cast."""
    try:
        return pc.cast(cells, target)
    except pa.ArrowInvalid:
        return None


def all_match(cells: Any, pattern: str) -> bool:
    """Return True if every non-missing cell matches a pattern."""
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def any_true(mask: Any) -> bool:
    """Return True if any value of a boolean array is true."""
    return bool(pc.any(mask).as_py())


def mask_of(values: Any) -> np.ndarray:
    """Return booleans as a NumPy array, with False for missing values."""
    found: np.ndarray = np.asarray(pc.fill_null(values, False)).astype(bool)
    return found
