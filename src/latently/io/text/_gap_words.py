"""Gap words: texts and numbers that denote a missing cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently.io.text._options import TextOptions, is_text_name, text_name
from latently.schema import Notation, notations_of, with_notation

__all__ = [
    "DEFAULT_MISSING",
    "is_extra_gap_word",
    "mark_array",
    "mark_table",
    "without",
    "without_equal",
]

DEFAULT_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?", "-")
#: Further gap words of columns of numbers, dates or booleans, in lower case.
_EXTRA_GAP_WORDS = (
    *("na", "n/a", "n.a.", "n.a", "<na>", "nan", "-nan", "nat", "null", "(null)", "none", "nil"),
    *("#n/a", "#n/a n/a", "#na", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!"),
    *("\\n", ".", "..", "...", "--", "---", "?", "??", "*", "\u2013", "\u2014", "\u2212"),
    *("1.#ind", "-1.#ind", "1.#qnan", "-1.#qnan", "1.#inf", "-1.#inf"),
    *("unknown", "unk", "missing", "not available", "not applicable", "no data", "undefined"),
)


def without(cells: Any, words: Sequence[str]) -> Any:
    """Return a text column in which the given words are missing cells."""
    gone = pc.is_in(cells, value_set=pa.array(words, pa.string()))
    return pc.if_else(gone, pa.scalar(None, pa.string()), cells) if pc.any(gone).as_py() else cells


def is_extra_gap_word(cells: Any) -> Any:
    """Return True for trimmed texts that are gap words in columns of numbers, dates or booleans."""
    return pc.is_in(pc.utf8_lower(cells), value_set=pa.array(_EXTRA_GAP_WORDS))


def without_equal(column: Any, words: Sequence[str]) -> Any:
    """Return a column whose cells equal to a gap word are missing. The word "-999" is -999.0."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        values = column.cast(kind.value_type)
        marked = without_equal(values, words)
        return column if marked is values else marked.dictionary_encode()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _masked(column, pc.is_in(column, value_set=pa.array(words, kind)))
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return column
    numbers = [number for word in words if (number := _number(word)) is not None]
    equal = pc.is_in(column.cast(pa.float64(), safe=False), value_set=pa.array(numbers))
    return _masked(column, equal) if numbers else column


def _masked(column: Any, gone: Any) -> Any:
    return (
        pc.if_else(gone, pa.scalar(None, column.type), column) if pc.any(gone).as_py() else column
    )


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:
        return None


def mark_table(table: pa.Table, options: TextOptions) -> pa.Table:
    """Return a typed table in which gap words are missing cells.

    The words are stored in the metadata of the fields, for a model to keep. For columns that
    ``options.beside`` names, the unmarked cells are added as a further column.

    Parameters
    ----------
    table : pyarrow.Table
        Columns that have types already.
    options : TextOptions
        The gap words.

    Returns
    -------
    pyarrow.Table
        The same rows.
    """
    known = notations_of(table.schema)
    for place, name in enumerate(table.column_names):
        words = options.words(name) if _is_marked(name, options) else ()
        if not words:
            continue
        given, aside = table.column(place), text_name(name)
        column = without_equal(given, words)
        notation = options.noted(known.get(name, Notation()), name)
        field = with_notation(table.schema.field(place).with_type(column.type), notation)
        table = table.set_column(place, field, column)
        if options.wants_beside(name) and aside not in table.column_names:
            table = table.append_column(aside, given)
    return table


def _is_marked(name: str, options: TextOptions) -> bool:
    return name not in options.text and not is_text_name(name)


def mark_array(array: np.ndarray, words: Sequence[str]) -> np.ndarray:
    """Return an array with NaN for the numbers that the gap words name."""
    numbers = [number for word in words if (number := _number(word)) is not None]
    gone = np.isin(array, numbers)
    if not gone.any():
        return array
    return np.where(gone, np.nan, array if array.dtype.kind == "f" else array.astype(np.float64))
