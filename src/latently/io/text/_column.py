"""A text column before its type is inferred: its source, its distinct cells and its errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.io._messages import clip, refuse
from latently.io.text._cells import Distinct, any_true, mask_of
from latently.io.text._gap_words import DEFAULT_MISSING, is_extra_gap_word
from latently.io.text._notes import Notes
from latently.io.text._options import TextOptions
from latently.schema import ColumnType, Notation

__all__ = [
    "TYPO_SHARE",
    "ColumnPlace",
    "Encoded",
    "TypedColumn",
]

# From this share of numbers (or dates) on, any other cell is a typing error, not a category.
TYPO_SHARE = 0.95


class ColumnPlace(NamedTuple):
    """Source and name of a column, and the options by which it is read."""

    source: str | Path
    name: str
    delimiter: str
    options: TextOptions
    notes: Notes

    @property
    def kind(self) -> ColumnType | None:
        """Type of the column in ``fit``; None if no model knows the column."""
        return self.options.kinds.get(self.name)

    @property
    def fitted(self) -> Notation | None:
        """Notation of the column in ``fit``; None if no model knows the column."""
        kind = self.kind
        return None if kind is None else kind.notation or Notation()

    @property
    def is_new(self) -> bool:
        """True if no model knows the column."""
        return self.kind is None

    @property
    def is_plain(self) -> bool:
        """True if numbers had no thousands separator, unit or decimal comma in ``fit``."""
        fitted = self.fitted
        if fitted is None or fitted.decimal == ",":
            return fitted is None
        return replace(fitted, missing=(), decimal="") == Notation()

    def refuse(self, wrong: str, remedy: str) -> DataError:
        """Return a DataError that names the file and the column."""
        return refuse(self.source, f"column {clip(self.name)} {wrong}", remedy)

    def note(self, remark: str, example: object = None) -> None:
        """Add a remark on the column to the notes."""
        self.notes.add(remark, self.name, example)


class TypedColumn(NamedTuple):
    """A column that has been read.

    Attributes
    ----------
    values : pyarrow.ChunkedArray
        The typed cells.
    notation : Notation
        Notation of the cells in the file.
    is_shown : bool
        True if the cells determine the decimal sign or the order of dates.
    problem : DataError or None
        The error of a column with ambiguous notation. Another part of the table may resolve it.
    """

    values: Any
    notation: Notation = Notation()
    is_shown: bool = False
    problem: DataError | None = None


class Encoded(NamedTuple):
    """A dictionary-encoded column: its distinct cells, trimmed, and the index of each cell.

    Attributes
    ----------
    indices : pyarrow.Array
        Index of each cell among the distinct cells. It is null for a missing cell.
    distinct : Distinct
        The distinct cells and their counts.
    is_gap : ndarray of bool, shape (n_distinct,)
        True for distinct cells that denote a missing cell.
    is_extra : ndarray of bool, shape (n_distinct,)
        True for those that denote a missing cell only in a column of numbers, dates or booleans.
    has_empty : bool
        True if a cell holds only quotes or spaces.
    """

    indices: pa.Array
    distinct: Distinct
    is_gap: np.ndarray
    is_extra: np.ndarray
    has_empty: bool

    @classmethod
    def of(cls, cells: Any, place: ColumnPlace) -> Encoded:
        """Encode a text column."""
        encoded = cells.combine_chunks().dictionary_encode()
        distinct = pc.utf8_trim_whitespace(encoded.dictionary)
        codes = pc.drop_null(encoded.indices).to_numpy()
        counts = np.bincount(codes, minlength=len(distinct))
        has_words = place.options.missing is not None
        words = [*(DEFAULT_MISSING if has_words else [""]), *place.options.words(place.name)]
        known = mask_of(pc.is_in(distinct, value_set=pa.array(words)))
        more = ~known & has_words & mask_of(is_extra_gap_word(distinct))
        has_empty = any_true(pc.equal(distinct, ""))
        return cls(encoded.indices, Distinct(distinct, counts), known | more, more, has_empty)

    def trimmed(self) -> pa.ChunkedArray:
        """Return the trimmed cells as text. Gap words of text columns become missing."""
        known = pa.array(self.is_gap & ~self.is_extra)
        texts = pc.if_else(known, pa.scalar(None, pa.string()), self.distinct.cells)
        return pa.chunked_array([texts.take(self.indices)])

    @property
    def rest(self) -> Distinct:
        """The distinct cells that hold a value."""
        return self.distinct.where(~self.is_gap)

    def spread(self, values: pa.Array) -> pa.ChunkedArray:
        """Return one value per cell, given one value per distinct cell that holds a value."""
        place = np.cumsum(~self.is_gap) - 1
        codes = pa.array(place, pa.int32(), mask=self.is_gap).take(self.indices)
        return pa.chunked_array([values.take(codes)])

    def first(self, mask: np.ndarray) -> tuple[str, int]:
        """Return the first cell whose distinct value the mask selects, and its row from 1."""
        wanted = np.zeros(len(self.is_gap), bool)
        wanted[~self.is_gap] = mask
        row = pc.index(pa.array(wanted).take(self.indices), True).as_py()
        return self.distinct.cells[self.indices[row].as_py()].as_py(), row + 1

    def wrong_cell(self, mask: np.ndarray, noun: str, place: ColumnPlace) -> DataError:
        """Return the error for the first cell whose distinct value the mask selects."""
        cell, row = self.first(mask)
        return place.refuse(
            f"holds {clip(cell)} in row {row} (the first after the header is 1), "
            f"where a {noun} was expected",
            "Correct the cell, leave it empty, or list it as missing",
        )
