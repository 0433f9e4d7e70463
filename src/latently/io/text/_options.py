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
#: Suffix of the names of columns that hold the text of others. No header line can hold it.
_TEXT_SUFFIX = "\x00text"


#: Metadata key of a field whose texts are written unchanged. With b"values" all texts are values,
#: and a text that equals a gap word is quoted.
VERBATIM_KEY = b"latently.verbatim"


def verbatim_field(name: str, *, has_gaps: bool = True) -> pa.Field:
    """Return a field whose texts are written unchanged, without quotes where possible.

    Parameters
    ----------
    name : str
        Name of the field.
    has_gaps : bool, default=True
        False if all texts are values. A text that equals a gap word is then quoted.

    Returns
    -------
    pyarrow.Field
        A field of strings.
    """
    return pa.field(name, pa.string(), metadata={VERBATIM_KEY: b"cells" if has_gaps else b"values"})


def text_name(name: str) -> str:
    """Return the name of the column that holds the text of another, see ``TextOptions.beside``.

    Parameters
    ----------
    name : str
        Name of the other column.

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
        True if ``text_name`` returned it.
    """
    return name.endswith(_TEXT_SUFFIX)


@dataclass(frozen=True)
class TextOptions:
    """Options of reading delimited text. Gap words apply to tables of every format.

    Parameters
    ----------
    missing : sequence of str or None, default=()
        Gap words in addition to the built-in ones. With None only empty cells are missing.
    delimiter : str or None, default=None
        One character between cells. None finds it from the first lines.
    dates : {"day-first", "month-first", "year-first"} or None, default=None
        The order of ambiguous dates.
    decimal : {".", ","} or None, default=None
        The decimal sign of ambiguous numbers.
    like : TableSpec or None, default=None
        The table that a model was fitted on. Its columns are read in their types and notation.
    text : collection of str, default=()
        Columns that are kept as the text of the file.
    beside : collection of str or "all", default=()
        Columns whose text is added as a further column, named ``text_name(name)``. "all" selects
        every column that is not in ``text``.
    """

    missing: Sequence[str] | None = ()
    delimiter: str | None = None
    dates: DateOrder | None = None
    decimal: str | None = None
    like: TableSpec | None = None
    text: Collection[str] = ()
    beside: Collection[str] | Literal["all"] = ()

    def check(self) -> TextOptions:
        """Return these options with gap words as stripped texts.

        Returns
        -------
        TextOptions
            The checked options.

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
        """Type of each column of ``like`` by name; for categories, the type of their values."""
        if self.like is None:
            return {}
        types = (kind.of_values for kind in self.like.types)
        return dict(zip(self.like.names or (), types, strict=False))

    def words(self, name: str) -> tuple[str, ...]:
        """Return the gap words of a column: the given ones, and those stored in ``fit``.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        tuple of str
            The words, without the built-in ones.
        """
        kind = self.kinds.get(name)
        notation = kind.notation if kind is not None else None
        fitted = notation.missing if notation is not None else ()
        return tuple(dict.fromkeys([*(self.missing or ()), *fitted]))

    def wants_beside(self, name: str) -> bool:
        """Return True if the text of a column is added as a further column.

        Parameters
        ----------
        name : str
            Name of the column.

        Returns
        -------
        bool
            True if ``beside`` selects it.
        """
        return self.beside == "all" or name in self.beside

    def with_notations(self, shown: Mapping[str, Notation]) -> TextOptions:
        """Return options in which columns of ``like`` have other notations.

        Parameters
        ----------
        shown : dict of str to Notation
            Notations by column name. Other columns keep theirs.

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
        """True if any column has a gap word besides the built-in ones."""
        return bool(self.missing) or any(self.words(name) for name in self.kinds)

    def refuse_for(self, noun: str) -> None:
        """Raise ParameterError if an option is given that only applies to delimited text.

        Parameters
        ----------
        noun : str
            Noun of the data, for the message.
        """
        given = {"delimiter": self.delimiter, "dates": self.dates, "decimal": self.decimal}
        found = [name for name, value in given.items() if value is not None]
        if found:
            raise ParameterError(
                f"{found[0]} must be left out for {noun}. It applies to delimited text only."
            )

    def refuse_for_images(self) -> None:
        """Raise ParameterError if any option is given, as none applies to images."""
        self.refuse_for("images")
        if self.missing:
            raise ParameterError("missing must be left out for images. They have no cells.")

    def noted(self, notation: Notation, name: str) -> Notation:
        """Return the notation of a column with its gap words.

        Parameters
        ----------
        notation : Notation
            Notation of the column.
        name : str
            Name of the column.

        Returns
        -------
        Notation
            The notation with ``missing`` replaced.
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
