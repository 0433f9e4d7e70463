"""Labels of known anomalies: 0 and 1, True and False, or scikit-learn's -1 and 1."""

from __future__ import annotations

from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from latently._notices import warn
from latently.exceptions import DataError

_ALLOWED = "True or False, 1 or 0, or -1 (anomaly) or 1"


class Labels(NamedTuple):
    """Which rows are known to be anomalies, and which to be normal.

    Attributes
    ----------
    anomalies : ndarray of bool, shape (n_rows,)
        True for known anomalies.
    known : ndarray of bool, shape (n_rows,)
        True for rows with a label.
    """

    anomalies: np.ndarray
    known: np.ndarray

    def of_both_kinds(self) -> bool:
        """Return True if there is a known anomaly and a known normal row."""
        return bool(self.anomalies.any() and (self.known & ~self.anomalies).any())


def read_labels(y: Any, n_rows: int, *, strict: bool = False) -> Labels | None:
    """Read labels of anomalies.

    Parameters
    ----------
    y : array-like of shape (n_rows,) or None
        Labels. An anomaly is True, 1 if the others are 0, or -1 if the others are 1, as in
        scikit-learn. None and NaN are rows without a label.
    n_rows : int
        How many there must be.
    strict : bool, default=False
        True refuses numbers that are no labels of anomalies. False ignores all of ``y`` then,
        with a warning: scikit-learn passes the classes of rows to any ``fit``.

    Returns
    -------
    Labels or None
        None without labels.

    Raises
    ------
    DataError
        If there are too few or too many, they are of another kind, or it is not clear which are
        anomalies.
    """
    if y is None:
        return None
    values = _numbers(y, n_rows)
    known = ~np.isnan(values)
    kinds = set(np.unique(values[known]).tolist())
    if not kinds:
        return None
    if not kinds <= {-1, 0, 1}:
        _refuse_or_ignore(kinds, strict)
        return None
    if {-1, 0} <= kinds:
        raise DataError(
            "Labels must be 0 and 1, or -1 and 1, got -1 and 0 among them. Recode them: 1 for an "
            "anomaly, 0 for a normal row, None for a row without a label."
        )
    if kinds == {1} and not _is_boolean(y):
        raise DataError(
            "Labels must be True or False where all are equal, got only 1: beside 0 it marks "
            "anomalies, beside -1 normal rows. Use True for anomalies, False for normal rows."
        )
    return Labels(values == (-1 if -1 in kinds else 1), known)


def _numbers(y: Any, n_rows: int) -> np.ndarray:
    """Return labels as floats, NaN where unknown."""
    labels = np.asarray(y)
    if labels.shape != (n_rows,):
        raise DataError(
            f"There must be one label a row, got shape {labels.shape} for {n_rows:,} rows. "
            "Give a flat list."
        )
    missing = np.array(np.ma.getmaskarray(y)) if isinstance(y, np.ma.MaskedArray) else False
    if labels.dtype.kind in "biuf":
        return np.where(missing, np.nan, labels.astype(np.float64))
    values = labels.tolist()
    unknown = [value is None or type(value).__name__ in ("NAType", "NaTType") for value in values]
    wrong = [v for v, gap in zip(values, unknown, strict=True) if not gap and not _is_number(v)]
    if wrong:
        shown = ", ".join(dict.fromkeys(str(value) for value in wrong[:100]))
        raise DataError(f"Labels must be {_ALLOWED}, got {shown[:60]}. Recode them.")
    numbers = [np.nan if gap else float(v) for v, gap in zip(values, unknown, strict=True)]
    return np.where(missing, np.nan, np.array(numbers))


def _is_number(value: object) -> bool:
    return isinstance(value, Real | np.bool_)


def _is_boolean(y: Any) -> bool:
    labels = np.asarray(y)
    if labels.dtype.kind == "O":
        return all(isinstance(v, bool | np.bool_) for v in labels.tolist() if _is_number(v))
    return labels.dtype.kind == "b"


def _refuse_or_ignore(kinds: set[float], strict: bool) -> None:
    shown = ", ".join(f"{kind:g}" for kind in sorted(kinds)[:4])
    if strict:
        raise DataError(f"Labels must be {_ALLOWED}, got {shown}. Recode them.")
    warn(
        f"y is ignored: labels of anomalies must be {_ALLOWED}, got {shown}. Recode them, "
        "or leave y out."
    )
