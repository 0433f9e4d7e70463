"""Types of pandas that have no distinct type in Arrow."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa

from latently.exceptions import DataError
from latently.schema._records import ColumnType, TableSpec
from latently.schema._types import arrow_type, plain_column

#: Word for a pandas type that wraps an Arrow type.
ARROW = "ArrowDtype"
_SPARSE = re.compile(r"Sparse\[(\w+), (.+)\]")
_CATEGORIES = re.compile(r"category\[(.+)\]")
_TEXT = re.compile(r"(str|string)\[(python|pyarrow)\]")


def pandas_word(dtype: Any) -> str:
    """Return a word for a type of pandas from which the type can be restored.

    Parameters
    ----------
    dtype : dtype
        Type of a column.

    Returns
    -------
    str
        Name of the type, with the storage of texts and the type of categories.
    """
    if hasattr(dtype, "pyarrow_dtype"):
        return ARROW
    categories = getattr(dtype, "categories", None)
    if categories is not None and not hasattr(categories.dtype, "pyarrow_dtype"):
        return f"category[{pandas_word(categories.dtype)}]"
    if hasattr(dtype, "storage"):
        return f"{dtype}[{dtype.storage}]"
    return str(dtype)


def with_plain_texts(X: Any) -> Any:
    """Return a frame of pandas with large strings for string views, which it cannot select from.

    Parameters
    ----------
    X : DataFrame
        The user's frame.

    Returns
    -------
    DataFrame
        The same values.
    """
    kinds = {name: getattr(kind, "pyarrow_dtype", None) for name, kind in X.dtypes.items()}
    views = [name for name, kind in kinds.items() if kind == pa.string_view()]
    changed = X.copy(deep=False) if views else X
    for name in views:
        texts = X[name].array
        changed[name] = type(texts)(plain_column(pa.chunked_array(pa.array(texts))))
    return changed


def with_pandas_types(native: Any, spec: TableSpec) -> Any:
    """Return a frame of pandas in the types of ``fit``.

    Parameters
    ----------
    native : DataFrame
        All or some of the columns of ``fit``.
    spec : TableSpec
        Record of the columns of ``fit``.

    Returns
    -------
    DataFrame
        The same values.

    Raises
    ------
    DataError
        If this version of pandas lacks a type.
    """
    kinds = dict(zip(spec.names or (), spec.types, strict=True))
    try:
        types = {name: _pandas_type(kinds[name], native[name].dtype) for name in native.columns}
        return native.astype({name: kind for name, kind in types.items() if kind is not None})
    except TypeError as error:
        raise DataError(
            f"A column cannot be converted to its type of fit ({str(error)[:100]}). Fit with "
            "this version of pandas."
        ) from None


def _pandas_type(kind: ColumnType, dtype: Any) -> Any:
    """Return the type of a column, or None if it keeps the type converted from Arrow."""
    import pandas as pd

    word = kind.native or ""
    if word == ARROW:
        return pd.ArrowDtype(pa.null() if kind.name == "null" else arrow_type(kind))
    if kind.name != "dictionary":
        return _type_of_word(word)
    levels = _CATEGORIES.fullmatch(word)
    if levels is None or not hasattr(dtype, "categories"):
        return None
    categories = dtype.categories.astype(_type_of_word(levels[1]))
    return pd.CategoricalDtype(categories, ordered=dtype.ordered)


def _type_of_word(word: str) -> Any:
    import pandas as pd

    text, sparse = _TEXT.fullmatch(word), _SPARSE.fullmatch(word)
    if text and text[1] == "str":
        return pd.StringDtype(text[2], na_value=float("nan"))
    if sparse:
        fill = sparse[2] == "True" if sparse[1] == "bool" else float(sparse[2])
        return pd.SparseDtype(sparse[1], np.dtype(sparse[1]).type(fill).item())
    return word
