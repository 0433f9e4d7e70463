"""Tables that look as if something else was meant: identifiers among the columns, too few rows."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np

from latently._notices import warn, warn_columns
from latently.estimators import BaseAutoencoder
from latently.schema import plain_rows

#: Fewer rows than the first number raise a warning. Below the second, no column is an index.
_FEW_ROWS, _MIN_INDEX_ROWS = 10, 20
#: Largest number of rows for the check of texts. With more, the limit of categories warns.
_MAX_TEXT_ROWS = 100


def warn_of_doubts(model: BaseAutoencoder, X: Any) -> None:
    """Warn of columns that look like identifiers, of very few rows, and of a code that copies.

    Parameters
    ----------
    model : BaseAutoencoder
        Fitted.
    X : array-like, DataFrame, Table or image stack
        The rows of the fit, in the user's order.
    """
    if model.can_copy_rows:
        warn(
            f"n_components={model.n_components_} is more than the "
            f"{model.preprocessor_.layout.width:,} numbers that a row is encoded in, so that the "
            "code can copy the row. Take fewer, a corruption, or a SparseAutoencoder."
        )
    is_frame = nw.dependencies.is_into_dataframe(X)
    data: Any = nw.from_native(X, eager_only=True) if is_frame else np.asarray(plain_rows(X))
    n_rows = len(data)
    if n_rows < _FEW_ROWS:
        warn(
            f"{n_rows:,} rows are very few to learn from; the answers will be little better than "
            "guesses. Give more rows."
        )
    if n_rows < _MIN_INDEX_ROWS:
        return
    names = _identifiers(data) if is_frame else _counting_columns(data)
    warn_columns(
        names,
        "look like identifiers, one value a row in order",
        "Leave them out of the table (--id on the command line).",
    )


def _counting_columns(data: np.ndarray) -> list[str | int]:
    if data.ndim != 2 or data.dtype.kind not in "fiu":
        return []
    return [place for place, column in enumerate(data.T) if _counts(column)]


def _identifiers(frame: nw.DataFrame[Any]) -> list[str | int]:
    # By position: names of pandas may be numbers.
    pairs = zip(frame.columns, frame.iter_columns(), strict=True)
    return [name for name, column in pairs if _is_identifier(column)]


def _is_identifier(column: nw.Series[Any]) -> bool:
    if column.dtype.is_integer():
        return column.null_count() == 0 and _counts(column.to_numpy())
    if column.dtype != nw.String or len(column) > _MAX_TEXT_ROWS:
        return False
    return bool(column.null_count() == 0 and column.n_unique() == len(column))


def _counts(column: np.ndarray) -> bool:
    """Return True for 0, 1, 2, ... and for 1, 2, 3, ... in this order."""
    # As floats: the number of rows may exceed the range of small integers.
    first, last = float(column[0]), float(column[-1])
    if not (first in (0, 1) and last == first + len(column) - 1):
        return False
    return bool((np.diff(column.astype(np.float64)) == 1).all())
