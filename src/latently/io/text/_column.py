"""A column of text on its way to a type: where it stands, its distinct cells, its refusals."""

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
from latently.io.text._gap_words import DEFAULT_MISSING, is_more_gap
from latently.io.text._notes import Notes
from latently.io.text._options import TextOptions
from latently.schema import ColumnType, Notation

__all__ = [
    "TYPO_SHARE",
    "ColumnPlace",
    "Encoded",
    "TypedColumn",
]

# From this share of numbers (or dates) on, another cell is a slip of the pen, not a category.
TYPO_SHARE = 0.95


class ColumnPlace(NamedTuple):
    """Where a column stands, and what is known of it before it is read."""

    source: str | Path
    name: str
    delimiter: str
    options: TextOptions
    notes: Notes

    @property
    def kind(self) -> ColumnType | None:
        """The kind of the column in fit."""
        return self.options.kinds.get(self.name)

    @property
    def fitted(self) -> Notation | None:
        """How the column was written in fit."""
        kind = self.kind
        return None if kind is None else kind.notation or Notation()

    @property
    def is_new(self) -> bool:
        """True where no model knows the column."""
        return self.kind is None

    @property
    def is_plain(self) -> bool:
        """True where the column was written in fit as programs write numbers."""
        fitted = self.fitted
        if fitted is None or fitted.decimal == ",":
            return fitted is None
        return replace(fitted, missing=(), decimal="") == Notation()

    def refuse(self, wrong: str, remedy: str) -> DataError:
        """Return a DataError that names file and column."""
        return refuse(self.source, f"column {clip(self.name)} {wrong}", remedy)

    def note(self, remark: str, example: object = None) -> None:
        """Note a remark on the column."""
        self.notes.add(remark, self.name, example)


class TypedColumn(NamedTuple):
    """A column that has been read.

    Attributes
    ----------
    values : pyarrow.ChunkedArray
        The cells.
    notation : Notation
        How they are written.
    is_shown : bool
        True if cells show the decimal sign, or the order of dates.
    problem : DataError or None
        Why the column could not be read, where another part of the table may show how.
    """

    values: Any
    notation: Notation = Notation()
    is_shown: bool = False
    problem: DataError | None = None


class Encoded(NamedTuple):
    """A column as its distinct cells, without spaces around them, and where each of them stands.

    Attributes
    ----------
    indices : pyarrow.Array
        The place of each cell among the distinct ones, null where the cell is missing.
    distinct : Distinct
        The distinct cells, and how often each occurs.
    is_gap : ndarray of bool
        Which of them stand for a missing cell.
    is_more : ndarray of bool
        Which of these do so only in a column of numbers, dates or truths.
    has_empty : bool
        True if a cell holds nothing but quotes or spaces.
    """

    indices: pa.Array
    distinct: Distinct
    is_gap: np.ndarray
    is_more: np.ndarray
    has_empty: bool

    @classmethod
    def of(cls, cells: Any, place: ColumnPlace) -> Encoded:
        """Encode a column of text."""
        encoded = cells.combine_chunks().dictionary_encode()
        distinct = pc.utf8_trim_whitespace(encoded.dictionary)
        codes = pc.drop_null(encoded.indices).to_numpy()
        counts = np.bincount(codes, minlength=len(distinct))
        has_words = place.options.missing is not None
        words = [*(DEFAULT_MISSING if has_words else [""]), *place.options.words(place.name)]
        known = mask_of(pc.is_in(distinct, value_set=pa.array(words)))
        more = ~known & has_words & mask_of(is_more_gap(distinct))
        has_empty = any_true(pc.equal(distinct, ""))
        return cls(encoded.indices, Distinct(distinct, counts), known | more, more, has_empty)

    def trimmed(self) -> pa.ChunkedArray:
        """Return the cells as text, without spaces around them; words for gaps are missing."""
        known = pa.array(self.is_gap & ~self.is_more)
        texts = pc.if_else(known, pa.scalar(None, pa.string()), self.distinct.cells)
        return pa.chunked_array([texts.take(self.indices)])

    @property
    def rest(self) -> Distinct:
        """The distinct cells that are no gaps."""
        return self.distinct.where(~self.is_gap)

    def spread(self, values: pa.Array) -> pa.ChunkedArray:
        """Return a value for each cell from one for each distinct cell that is no gap."""
        place = np.cumsum(~self.is_gap) - 1
        codes = pa.array(place, pa.int32(), mask=self.is_gap).take(self.indices)
        return pa.chunked_array([values.take(codes)])

    def first(self, mask: np.ndarray) -> tuple[str, int]:
        """Return the first cell for whose distinct value the mask holds, and its row from 1."""
        wanted = np.zeros(len(self.is_gap), bool)
        wanted[~self.is_gap] = mask
        row = pc.index(pa.array(wanted).take(self.indices), True).as_py()
        return self.distinct.cells[self.indices[row].as_py()].as_py(), row + 1

    def wrong_cell(self, mask: np.ndarray, noun: str, place: ColumnPlace) -> DataError:
        """Return the error for the first cell for whose distinct value the mask holds."""
        cell, row = self.first(mask)
        return place.refuse(
            f"holds {clip(cell)} in row {row} (the first after the header is 1), "
            f"where a {noun} was expected",
            "Mend the cell, leave it empty, or list it as missing",
        )
