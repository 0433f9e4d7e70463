"""Options for reading delimited text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import pyarrow as pa

from latently.exceptions import ParameterError
from latently.io._messages import clip, listing
from latently.schema import ColumnType, DateOrder, Notation, TableSpec

__all__ = ["VERBATIM_KEY", "TextOptions", "is_text_name", "text_name", "verbatim_field"]

DECIMALS = (".", ",")
#: Names of columns that hold the text of others end in this; no header line can hold it.
_TEXT_SUFFIX = "\x00text"


#: Metadata of a field whose texts are written as they stood in a file; with b"values", all of
#: them are values, and one that looks like a word for a gap stands in quotes.
VERBATIM_KEY = b"latently.verbatim"


def verbatim_field(name: str, *, has_gaps: bool = True) -> pa.Field:
    """Return a field of texts that are written as they stood in a file.

    Parameters
    ----------
    name : str
        Its name.
    has_gaps : bool, default=True
        False if all texts are values, so that one that looks like a word for a gap is quoted.

    Returns
    -------
    pyarrow.Field
        Strings.
    """
    return pa.field(name, pa.string(), metadata={VERBATIM_KEY: b"cells" if has_gaps else b"values"})


def text_name(name: str) -> str:
    """Return the name of the column that holds the text of another, see ``TextOptions.beside``.

    Parameters
    ----------
    name : str
        Of the other column.

    Returns
    -------
    str
        A name that no header line can hold.
    """
    return name + _TEXT_SUFFIX


def is_text_name(name: str) -> bool:
    """Return True for the name of a column that holds the text of another.

    Parameters
    ----------
    name : str
        Any name.

    Returns
    -------
    bool
        Whether ``text_name`` made it.
    """
    return name.endswith(_TEXT_SUFFIX)


@dataclass(frozen=True)
class TextOptions:
    """How to read delimited text; the words for gaps serve tables of every format.

    Parameters
    ----------
    missing : sequence of str or None, default=()
        Words for a gap, besides the built-in ones; None counts empty cells only.
    delimiter : str or None, default=None
        One character between cells; None finds it.
    dates : {"day-first", "month-first", "year-first"} or None, default=None
        The order of dates whose cells leave it open.
    decimal : {".", ","} or None, default=None
        The decimal sign; None finds it.
    like : TableSpec or None, default=None
        The table that a model was fitted on: each of its columns is read as it was there.
    text : collection of str, default=()
        Columns that are left as the text in the file.
    beside : collection of str or "all", default=()
        Columns whose text is added as a further column, called ``text_name(name)``; "all" are
        those that are not left as text.
    """

    missing: Sequence[str] | None = ()
    delimiter: str | None = None
    dates: DateOrder | None = None
    decimal: str | None = None
    like: TableSpec | None = None
    text: Collection[str] = ()
    beside: Collection[str] | Literal["all"] = ()

    def check(self) -> TextOptions:
        """Return these options, words as plain text.

        Returns
        -------
        TextOptions
            The same options.

        Raises
        ------
        ParameterError
            If one has a wrong value.
        """
        if isinstance(self.missing, str):
            raise ParameterError(
                f"missing must be a list of words, got the text {clip(self.missing)}. "
                "Put it in brackets."
            )
        _check_choice("dates", self.dates, get_args(DateOrder))
        _check_choice("decimal", self.decimal, DECIMALS)
        return replace(self, missing=None if self.missing is None else _words(self.missing))

    @cached_property
    def kinds(self) -> dict[str, ColumnType]:
        """The kind of each column of ``like`` by name; for categories, that of their values."""
        if self.like is None:
            return {}
        types = (kind.of_values for kind in self.like.types)
        return dict(zip(self.like.names or (), types, strict=False))

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words for a gap in a column: those given, and those of fit.

        Parameters
        ----------
        name : str
            Of the column.

        Returns
        -------
        tuple of str
            Without the built-in ones.
        """
        kind = self.kinds.get(name)
        notation = kind.notation if kind is not None else None
        fitted = notation.missing if notation is not None else ()
        return tuple(dict.fromkeys([*(self.missing or ()), *fitted]))

    def wants_beside(self, name: str) -> bool:
        """Return True if the cells of a column are wanted as they were, too.

        Parameters
        ----------
        name : str
            Of the column.

        Returns
        -------
        bool
            Whether ``beside`` names it.
        """
        return self.beside == "all" or name in self.beside

    def with_notations(self, shown: Mapping[str, Notation]) -> TextOptions:
        """Return options with other notations of the columns that a model knows.

        Parameters
        ----------
        shown : dict of str to Notation
            By name; other columns keep theirs.

        Returns
        -------
        TextOptions
            New options.
        """
        if self.like is None:
            return self
        types = tuple(
            replace(kind, notation=_rewritten(kind.notation, shown[name]) if name in shown
                    else kind.notation)
            for name, kind in self.kinds.items()
        )  # fmt: skip
        return replace(self, like=replace(self.like, types=types))

    @property
    def has_words(self) -> bool:
        """True if a word stands for a gap in some column."""
        return bool(self.missing) or any(self.words(name) for name in self.kinds)

    def refuse_for(self, what: str) -> None:
        """Raise ParameterError if options are given that only delimited text has.

        Parameters
        ----------
        what : str
            What the data are, for the message.
        """
        given = {"delimiter": self.delimiter, "dates": self.dates, "decimal": self.decimal}
        found = [name for name, value in given.items() if value is not None]
        if found:
            raise ParameterError(
                f"{found[0]} must be left out for {what}: it is for delimited text. Drop it."
            )

    def refuse_for_images(self) -> None:
        """Raise ParameterError if options are given, which images have no use for."""
        self.refuse_for("images")
        if self.missing:
            raise ParameterError(
                "missing must be left out for images: they have no cells. Drop it."
            )

    def noted(self, notation: Notation, name: str) -> Notation:
        """Return a notation with the words for a gap that count in a column.

        Parameters
        ----------
        notation : Notation
            Of the column.
        name : str
            Of the column.

        Returns
        -------
        Notation
            With other words.
        """
        return replace(notation, missing=self.words(name))


def _rewritten(fitted: Notation | None, shown: Notation) -> Notation:
    known = fitted or Notation()
    return replace(known, decimal=shown.decimal, thousands=shown.thousands, dates=shown.dates)


def _words(words: Sequence[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(word).strip() for word in words))


def _check_choice(name: str, value: Any, choices: Sequence[str]) -> None:
    if value is not None and value not in choices:
        raise ParameterError(
            f"{name} must be one of {listing(choices)}, got {clip(value)}. Use one of these."
        )
