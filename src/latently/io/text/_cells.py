"""Distinct cells of a column of text, and tests of cells that return plain Python values."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Distinct", "all_match", "any_true", "cast_or_none", "mask_of"]


class Distinct(NamedTuple):
    """The distinct cells of a column, and how often each occurs."""

    cells: pa.Array
    counts: np.ndarray

    @classmethod
    def of(cls, cells: Any) -> Distinct:
        """Count the cells of a column that are not missing."""
        found = pc.value_counts(pc.drop_null(cells))
        return cls(found.field("values"), found.field("counts").to_numpy())

    def share(self, mask: np.ndarray) -> float:
        """Return the share of cells for which the mask of their distinct values holds."""
        return float(self.counts[mask].sum() / max(self.counts.sum(), 1))

    def where(self, mask: np.ndarray) -> Distinct:
        """Return some of the distinct cells."""
        return Distinct(self.cells.filter(pa.array(mask)), self.counts[mask])


def cast_or_none(cells: Any, target: Any) -> Any:
    """Return the cast column, or None when a cell does not fit."""
    try:
        return pc.cast(cells, target)
    except pa.ArrowInvalid:
        return None


def all_match(cells: Any, pattern: str) -> bool:
    """Return True if every cell that is not missing matches a pattern."""
    return bool(pc.all(pc.match_substring_regex(cells, pattern)).as_py())


def any_true(mask: Any) -> bool:
    """Return True if one of some truths holds."""
    return bool(pc.any(mask).as_py())


def mask_of(values: Any) -> np.ndarray:
    """Return truths as an array, False where one is missing."""
    found: np.ndarray = np.asarray(pc.fill_null(values, False)).astype(bool)
    return found
