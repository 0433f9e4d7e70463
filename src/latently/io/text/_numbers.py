"""Parse numbers from text in any notation: signs, thousands, decimal signs and units."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.io.text._cells import Distinct, Readings, mask_of

__all__ = ["Marks", "NumberDraft", "Parts"]

_EXPONENT = r"(?:[eE][-+]?\d+)?"
_CURRENCY = (
    r"(?:(?:US|A|C|NZ|HK|S|R)?\$|[€£¥₹₽₩₺₪]|Rs\.?|kr\.?|zł|Kč|Fr\.?"
    r"|EUR|USD|GBP|CHF|JPY|INR|CNY|SEK|NOK|DKK|PLN|CZK|CAD|AUD|BRL)"
)
# Shapes of digits and marks. Each notation assigns the marks afterwards.
_CORE = r"(?:\d{1,3}(?:[., ']\d{2,3})*[., ']\d{3}(?:[.,]\d*)?|\d+(?:[.,]\d*)?|[.,]\d+)"
_CELL = (
    r"^(?P<censor>[<>≤≥]=?)?\s*(?P<open>\()?\s*(?P<sign>[-+])?\s*"
    rf"(?P<prefix>{_CURRENCY}\s*)?(?P<inner>[-+])?"
    rf"(?P<core>{_CORE})(?P<exponent>{_EXPONENT})"
    rf"(?P<suffix>\s*(?:{_CURRENCY}|[%‰]))?(?P<trailing>-)?\s*(?P<close>\))?$"
)
_SPECIAL = r"(?i)^[-+]?(?:inf|infinity|nan)$"
_ZEROS = r"^[-+]?0\d"
#: Characters with several spellings, and the canonical one.
_SPELLINGS = (("[\u00a0\u202f\u2009\u2007]", " "), ("[’‘ʼ´`]", "'"), ("[\u2212\u2013]", "-"))
_GROUPS = (".", ",", " ", "'")


class Marks(NamedTuple):
    """The decimal sign and the thousands separator."""

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """Regular expression of the digits of a number."""
        decimal, group = (f"[{mark}]" for mark in (self.decimal, self.thousands or "_"))
        shapes = [rf"\d+(?:{decimal}\d*)?", rf"{decimal}\d+"]
        if self.thousands:
            shapes.append(rf"[1-9]\d{{0,2}}(?:{group}\d{{3}})+(?:{decimal}\d*)?")
        if self.thousands == ",":  # the Indian system: 12,34,567
            shapes.append(rf"[1-9]\d?(?:,\d{{2}})*,\d{{3}}(?:{decimal}\d*)?")
        return f"^(?:{'|'.join(shapes)})$"


class Parts(NamedTuple):
    """The parts of each cell that is a number in some notation."""

    censor: pa.Array
    open: pa.Array
    sign: pa.Array
    prefix: pa.Array
    inner: pa.Array
    core: pa.Array
    exponent: pa.Array
    suffix: pa.Array
    trailing: pa.Array
    close: pa.Array

    @classmethod
    def of(cls, cells: pa.Array) -> Parts:
        """Split cells into parts, all of them null if a cell is no number."""
        found = pc.extract_regex(_unified(cells), _CELL)
        missing = found.is_null()
        fields = [pc.if_else(missing, None, found.field(name)) for name in cls._fields]
        return cls(*fields)

    def is_sound(self) -> np.ndarray:
        """Return True for cells with at most one sign and matching brackets."""
        written = [pc.not_equal(part, "") for part in (self.open, self.sign, self.inner)]
        written.append(pc.not_equal(self.trailing, ""))
        n_signs = sum(mask_of(part).astype(int) for part in written)
        pairs = pc.equal(pc.not_equal(self.open, ""), pc.not_equal(self.close, ""))
        return mask_of(pairs) & (n_signs <= 1)

    def is_negative(self) -> pa.Array:
        """Return True for negative numbers."""
        signs = (pc.equal(self.sign, "-"), pc.equal(self.inner, "-"), pc.equal(self.trailing, "-"))
        answer = pc.equal(self.open, "(")
        for sign in signs:
            answer = pc.or_(answer, sign)
        return answer


class NumberDraft(Readings[Marks]):
    """Distinct cells parsed as numbers in every possible notation.

    Parameters
    ----------
    distinct : Distinct
        Trimmed texts.
    """

    def __init__(self, distinct: Distinct) -> None:
        self.parts = Parts.of(distinct.cells)
        self._special = mask_of(pc.match_substring_regex(distinct.cells, _SPECIAL))
        self._sound = self.parts.is_sound()
        super().__init__(distinct, {marks: self._mask(marks) for marks in self._possible()})

    @cached_property
    def shown(self) -> frozenset[str]:
        """The marks that occur between digits."""
        cores = self.parts.core.filter(pa.array(self._sound))
        return frozenset(m for m in _GROUPS if pc.any(pc.match_substring(cores, m)).as_py())

    @property
    def has_marks(self) -> bool:
        """True if dots or commas occur between digits."""
        return bool(self.shown & {".", ","})

    def _possible(self) -> list[Marks]:
        groups = ("", *(mark for mark in _GROUPS if mark in self.shown))
        decimals = (".", ",") if self.has_marks else (".",)
        return [Marks(sign, group) for sign in decimals for group in groups if sign != group]

    def _mask(self, marks: Marks) -> np.ndarray:
        match = mask_of(pc.match_substring_regex(self.parts.core, marks.pattern))
        if marks.thousands:
            match &= mask_of(pc.equal(self.parts.exponent, ""))
        found: np.ndarray = (match & self._sound) | self._special
        return found

    @property
    def is_censored(self) -> np.ndarray:
        """True for distinct cells that are a limit, such as "<0.01"."""
        return mask_of(pc.not_equal(self.parts.censor, ""))

    def affixes(self, part: pa.Array) -> list[str]:
        """Return the distinct units before or after the numbers, "" for none."""
        return sorted(pc.unique(pc.utf8_trim_whitespace(pc.drop_null(part))).to_pylist())

    def is_untidy(self) -> bool:
        """Return True if numbers have brackets, units, limits or a trailing sign."""
        parts = (self.parts.open, self.parts.trailing, self.parts.prefix, self.parts.suffix)
        return any(pc.any(pc.not_equal(part, "")).as_py() for part in (*parts, self.parts.censor))

    def is_identifier(self) -> bool:
        """Return True for phone numbers, and for long numbers in groups of three digits."""
        phone = pc.match_substring_regex(self.distinct.cells, r"^\+\d{1,3}[ ]?\d[\d ]{5,}$")
        equal = pc.match_substring_regex(self.distinct.cells, r"^[1-9]\d{2}([ ]\d{3}){2,}$")
        long = len(equal) > 2 and pc.all(equal).as_py()
        return bool(pc.all(phone).as_py() or long)

    def has_leading_zeros(self) -> bool:
        """Return True if all cells are integers and some begin with zeros."""
        cells = self.distinct.cells
        whole = pc.all(pc.match_substring_regex(cells, r"^[-+]?\d+$")).as_py()
        return bool(whole and pc.any(pc.match_substring_regex(cells, _ZEROS)).as_py())

    def plain(self, marks: Marks) -> pa.Array:
        """Return the distinct cells in the notation of Python, null for cells that do not fit."""
        digits = self.parts.core
        if marks.thousands:
            digits = pc.replace_substring(digits, marks.thousands, "")
        if marks.decimal != ".":
            digits = pc.replace_substring(digits, marks.decimal, ".")
        sign = pc.if_else(self.parts.is_negative(), "-", "")
        text = pc.binary_join_element_wise(sign, digits, self.parts.exponent, "")
        special = pc.replace_substring_regex(self.distinct.cells, r"^\+", "")
        text = pc.if_else(pa.array(self._special), special, text)
        return pc.if_else(pa.array(self.fits[marks]), text, pa.scalar(None, pa.string()))


def _unified(cells: pa.Array) -> pa.Array:
    """Return cells with canonical spaces, apostrophes and minus signs."""
    if pc.all(
        pc.and_(pc.string_is_ascii(cells), pc.invert(pc.match_substring(cells, "`")))
    ).as_py():
        return cells
    for pattern, sign in _SPELLINGS:
        cells = pc.replace_substring_regex(cells, pattern, sign)
    return cells
