"""Read columns of numbers: choose their notation, and convert them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from latently.exceptions import DataError
from latently.io._messages import clip, listing
from latently.io.text._cells import Distinct, all_match, any_true, cast_or_none, mask_of
from latently.io.text._column import TYPO_SHARE, ColumnPlace, Encoded, TypedColumn
from latently.io.text._dates import compact_dates
from latently.io.text._gap_words import without_equal
from latently.io.text._numbers import Marks, NumberDraft
from latently.schema import Notation, as_float

__all__ = [
    "COMPACT_RANGE",
    "EXACT_INTEGER",
    "Draft",
    "PendingNumbers",
    "in_fitted_type",
    "read_numbers",
]

# Beyond 2**53, neighbouring integers become equal in float64.
EXACT_INTEGER = 2**53
#: Range of integers that may be dates, such as 20240301.
COMPACT_RANGE = (19_000_101, 20_991_231)
_FLOATS = ("halffloat", "float", "double")


class Draft(NamedTuple):
    """A column whose notation may depend on the other columns.

    Attributes
    ----------
    column : TypedColumn or None
        The column, if it could be read without the others.
    pending : PendingNumbers or None
        Numbers whose decimal sign is not determined yet.
    decimal : str
        The decimal sign that the cells determine, empty if they do not.
    """

    column: TypedColumn | None
    pending: PendingNumbers | None = None
    decimal: str = ""

    def finish(self, decimals: Collection[str]) -> TypedColumn:
        """Return the column, given the decimal signs that other columns determine."""
        if self.column is not None and self.pending is None:
            return self.column
        assert self.pending is not None
        if self.column is not None and not self.pending.is_open(decimals):
            return self.column
        return self.pending.finish(decimals)


def in_fitted_type(numbers: Any, place: ColumnPlace) -> TypedColumn:
    """Return numbers in their type of ``fit``, with a remark on integers that lose digits."""
    if pa.types.is_integer(numbers.type):
        ends = pc.min_max(numbers).as_py()
        if ends["max"] is not None and max(ends["max"], -ends["min"]) > EXACT_INTEGER:
            place.note("integers are beyond 2**53; their last digits are lost in computing")
    words = place.options.words(place.name)
    numbers = without_equal(numbers, words) if words else numbers
    if place.kind is not None and place.kind.name in _FLOATS:
        numbers = as_float(numbers, place.kind.name)
    return TypedColumn(numbers, Notation((place.fitted or Notation()).decimal))


def read_numbers(encoded: Encoded, place: ColumnPlace) -> Draft | None:
    """Read a column of numbers.

    Parameters
    ----------
    encoded : Encoded
        The cells.
    place : ColumnPlace
        File, column and options.

    Returns
    -------
    Draft or None
        None if the cells are no numbers.

    Raises
    ------
    DataError
        If nearly all cells are numbers and some are not, or are in another notation.
    """
    distinct = encoded.rest
    with_digits = mask_of(pc.match_substring_regex(distinct.cells, r"\d|(?i:^[-+]?inf)"))
    if distinct.share(with_digits) < TYPO_SHARE and place.is_new:
        return None
    pending = PendingNumbers(place, encoded)
    draft = pending.draft
    share = distinct.share(draft.fits_any)
    plain_share = distinct.share(draft.fits_any & ~draft.is_censored)
    if share == 0 or (place.is_new and (share < TYPO_SHARE or plain_share < 0.5)):
        return None
    if share < 1:
        raise encoded.wrong_cell(~draft.fits_any, "number", place)
    if place.is_new and _is_identifier(draft, place):
        return Draft(TypedColumn(encoded.trimmed()))
    pending.check()
    is_sure = len(draft.fitting) == 1 and draft.has_marks
    return Draft(None, pending, draft.fitting[0].decimal if is_sure else "")


def _is_identifier(draft: NumberDraft, place: ColumnPlace) -> bool:
    """Return True, and add a remark, if digits are identifiers rather than quantities."""
    example = draft.distinct.cells[0].as_py()
    if draft.is_identifier():
        place.note("digits look like phone numbers or identifiers and stay text", example)
        return True
    if draft.has_leading_zeros():
        place.note("numbers with leading zeros look like identifiers and stay text", example)
        return True
    return False


class PendingNumbers:
    """Numbers whose decimal sign may depend on the other columns.

    Parameters
    ----------
    place : ColumnPlace
        File, column and options.
    encoded : Encoded
        The cells.
    """

    def __init__(self, place: ColumnPlace, encoded: Encoded) -> None:
        self.place, self.encoded = place, encoded

    @cached_property
    def draft(self) -> NumberDraft:
        """The distinct cells, parsed in every notation."""
        return NumberDraft(self.encoded.rest)

    def check(self) -> None:
        """Raise DataError if no notation fits all cells, or their units differ."""
        draft, place = self.draft, self.place
        if not draft.fitting:
            best = draft.fits[draft.best]
            if draft.distinct.share(best) >= TYPO_SHARE:
                raise self.encoded.wrong_cell(~best, "number of the same notation", place)
            one, other = (self.encoded.first(mask)[0] for mask in (best, ~best))
            raise place.refuse(
                f"holds numbers in two notations, {clip(one)} and {clip(other)}",
                "Write all in one notation, or leave the column out",
            )
        units = {*draft.affixes(draft.parts.prefix), *draft.affixes(draft.parts.suffix)}
        if place.fitted is not None:
            units |= {place.fitted.prefix.strip(), place.fitted.suffix.strip()}
        units -= {""}
        shares = units & {"%", "‰"}
        bare = shares and draft.affixes(draft.parts.suffix) != sorted(shares)
        new = shares and place.fitted is not None and place.fitted.suffix.strip() not in shares
        if len(units) > 1 or bare or new:
            raise place.refuse(
                f"has numbers of several units, or with and without one ({listing(sorted(units))})",
                "Write all of them in one unit, as in fit",
            )

    def is_open(self, decimals: Collection[str]) -> bool:
        """Return True if dots may separate thousands, given the signs of other columns."""
        return self.place.delimiter == ";" or "," in decimals

    def finish(self, decimals: Collection[str]) -> TypedColumn:
        """Return the numbers, given the decimal signs that other columns determine."""
        try:
            marks = self._chosen(set(decimals))
        except DataError as problem:
            return TypedColumn(self.encoded.trimmed(), problem=problem)
        return self._read(marks)

    def _chosen(self, decimals: set[str]) -> Marks:
        found, asked = self.draft.fitting, self.place.options.decimal
        if asked is not None and self.draft.has_marks:
            found = [marks for marks in found if marks.decimal == asked]
            if not found:
                example = self._example()
                raise self.place.refuse(
                    f"holds {clip(example)}, in which {asked!r} cannot be the decimal sign",
                    "Give another --decimal (decimal=), or leave it out",
                )
        if len(found) == 1:
            return found[0]
        known = self._known(found, decimals)
        if known is None:
            raise self._ambiguous()
        return known

    def _known(self, found: list[Marks], decimals: set[str]) -> Marks | None:
        """Return the notation of ``fit`` or of the other columns, or None if neither decides."""
        fitted = self.place.fitted
        if fitted is not None and fitted.decimal:
            own = _marks_of(fitted)
            # A decimal comma is unlikely in a file whose delimiter is the comma.
            is_odd = own.decimal == self.place.delimiter or not decimals <= {own.decimal}
            # Cells below a thousand have no thousands separator.
            alike = [m for m in found if m in (own, Marks(own.decimal))]
            return None if is_odd or not alike else alike[0]
        if self.place.delimiter != ";" and "." in self.draft.shown and decimals != {","}:
            return Marks()
        if self.place.delimiter == ",":
            return None  # quoted commas within cells may be either sign
        agree = [marks for marks in found if decimals == {marks.decimal}]
        return agree[0] if len(agree) == 1 else None

    def _ambiguous(self) -> DataError:
        return self.place.refuse(
            "has numbers with a decimal sign or a thousands separator, for example "
            f"{clip(self._example())}",
            "Name the decimal sign: --decimal . or --decimal , (decimal=)",
        )

    def _example(self) -> str:
        marked = pc.match_substring_regex(self.draft.distinct.cells, "[.,]")
        return str(self.draft.distinct.cells.filter(marked)[0].as_py())

    def _read(self, marks: Marks) -> TypedColumn:
        plain = self.draft.plain(marks)
        numbers = cast_or_none(plain, pa.int64())
        if numbers is None:
            numbers = plain.cast(pa.float64())
            numbers = pc.if_else(pc.is_nan(numbers), None, numbers)
            self._note_large(plain, numbers)
        elif self.place.is_new and self._holds_dates(numbers):
            dates = compact_dates(numbers)
            if dates is not None:
                self.place.note("whole numbers were read as dates", plain[0].as_py())
                return TypedColumn(self.encoded.spread(dates), Notation(dates="%Y%m%d"))
        notation = self._notation(marks)
        self._note_notation(marks, notation)
        column = in_fitted_type(self.encoded.spread(numbers), self.place)
        return column._replace(notation=notation, is_shown=self.draft.has_marks)

    def _holds_dates(self, numbers: pa.Array) -> bool:
        ends = pc.min_max(numbers).as_py()
        tidy = not self.draft.shown and not self.draft.is_untidy()
        low, high = ends["min"], ends["max"]
        return bool(
            tidy and low is not None and low >= COMPACT_RANGE[0] and high <= COMPACT_RANGE[1]
        )

    def _note_large(self, plain: pa.Array, numbers: pa.Array) -> None:
        if all_match(plain, r"^-?\d+$") and any_true(
            pc.greater(pc.abs(numbers), float(EXACT_INTEGER))
        ):
            self.place.note("integers are too large for 64 bits and lose their last digits")

    def _notation(self, marks: Marks) -> Notation:
        """Return the notation of the cells, completed by that of ``fit``."""
        draft, fitted = self.draft, self.place.fitted or Notation()
        prefix, suffix = (
            str(pc.drop_null(part)[0].as_py()) if len(draft.affixes(part)) == 1 else ""
            for part in (draft.parts.prefix, draft.parts.suffix)
        )
        decimal = marks.decimal if draft.has_marks else fitted.decimal
        if marks.thousands:
            thousands = self._written(marks.thousands)
        else:
            thousands = fitted.thousands if fitted.decimal == decimal else ""
        return Notation(
            decimal,  # type: ignore[arg-type]  # one of the two
            thousands,
            prefix=prefix or fitted.prefix,
            suffix=suffix or fitted.suffix,
        )

    def _written(self, mark: str) -> str:
        """Return the thousands separator as spelt in the file, such as a narrow space."""
        spellings = {" ": "[ \u00a0\u202f\u2009\u2007]", "'": "['’‘ʼ´`]"}.get(mark, f"[{mark}]")
        found = pc.extract_regex(self.draft.distinct.cells, rf"\d(?P<mark>{spellings})\d{{3}}")
        return str(pc.drop_null(found.field("mark").filter(found.is_valid()))[0].as_py())

    def _note_notation(self, marks: Marks, notation: Notation) -> None:
        place, draft, distinct = self.place, self.draft, self.draft.distinct
        if draft.is_censored.any():
            example = distinct.where(draft.is_censored).cells[0].as_py()
            place.note("limits were read as their numbers", example)
        if place.fitted is not None:
            self._note_change(notation, place.fitted)
            return
        asked = place.options.decimal is not None
        if notation.decimal == "," and "," in draft.shown and not asked:
            remark = "a comma within numbers was read as the decimal sign"
            place.note(remark, self._example())
        if notation.thousands and not asked:
            marked = distinct.cells.filter(pc.match_substring(distinct.cells, notation.thousands))
            remark = f"{notation.thousands!r} within numbers was read as the thousands separator"
            place.note(remark, marked[0].as_py())
        if draft.is_untidy() and not draft.is_censored.any():
            remark = "numbers were read without units, with brackets and trailing signs as minus"
            place.note(remark, _untidy(distinct))

    def _note_change(self, notation: Notation, fitted: Notation) -> None:
        is_other = _marks_of(notation) != _marks_of(fitted)
        units = (notation.prefix, notation.suffix) != (fitted.prefix, fitted.suffix)
        if units or (is_other and self.draft.has_marks):
            example = self.draft.distinct.cells[0].as_py()
            self.place.note("numbers are written in another notation than in fit", example)


def _marks_of(notation: Notation) -> Marks:
    """Return the marks of a notation in their canonical spelling."""
    mark = {" ": " ", "'": "'", ".": ".", ",": ",", "": ""}.get(notation.thousands)
    if mark is None:
        mark = " " if notation.thousands.isspace() else "'"
    return Marks(notation.decimal or ".", mark)


def _untidy(distinct: Distinct) -> object:
    untidy = pc.match_substring_regex(distinct.cells, r"[^\d.,\s]$|^[^-+\d.,]")
    found = distinct.cells.filter(untidy)
    return (found if len(found) else distinct.cells)[0].as_py()
