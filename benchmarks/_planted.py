"""Tables in which one column is determined by others, nearly or exactly."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

#: Columns of a table: "y" is determined by the others.
Columns = dict[str, object]


class Planted(NamedTuple):
    """A table with a planted relation.

    Attributes
    ----------
    table : DataFrame
        Columns "y", those that determine it, and two that tell nothing.
    is_outlier : ndarray of bool, shape (n_rows,)
        Rows that hold a wrong cell.
    """

    table: pd.DataFrame
    is_outlier: np.ndarray


def _numbers(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.gamma(2, 5, n) + 0.1, rng.gamma(3, 2, n) + 0.1


def _times(rng: np.random.Generator, n: int) -> tuple[pd.DatetimeIndex, pd.TimedeltaIndex]:
    start = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 10**7, n), unit="s")
    return start, pd.to_timedelta(rng.integers(60, 5_000, n), unit="s")


def _copy(rng: np.random.Generator, n: int) -> Columns:
    a, _ = _numbers(rng, n)
    return {"a": a, "y": a}


def _affine(rng: np.random.Generator, n: int) -> Columns:
    a, _ = _numbers(rng, n)
    return {"a": a, "y": 1.8 * a + 32}


def _sum(rng: np.random.Generator, n: int) -> Columns:
    a, b = _numbers(rng, n)
    return {"a": a, "b": b, "y": a + b}


def _end(rng: np.random.Generator, n: int) -> Columns:
    start, lasting = _times(rng, n)
    return {"a": start, "b": lasting, "y": start + lasting}


def _ratio(rng: np.random.Generator, n: int) -> Columns:
    a, b = _numbers(rng, n)
    return {"a": a, "b": b, "y": a / b}


def _product(rng: np.random.Generator, n: int) -> Columns:
    a, b = _numbers(rng, n)
    return {"a": a, "b": b, "y": a * b}


def _later(rng: np.random.Generator, n: int) -> Columns:
    start, lasting = _times(rng, n)
    return {"a": start, "y": start + lasting}


def _codes(rng: np.random.Generator, n: int) -> Columns:
    code, other = rng.integers(0, 15, n), 7.0 * rng.permutation(15)
    return {"a": [f"name {c:02}" for c in code], "y": other[code]}


def _curve(rng: np.random.Generator, n: int) -> Columns:
    a, _ = _numbers(rng, n)
    return {"a": a, "y": np.log(a) ** 3}


def _fixed(rng: np.random.Generator, n: int) -> Columns:
    start, _ = _times(rng, n)
    return {"a": start, "y": start + pd.Timedelta("10min")}


KINDS: dict[str, Callable[[np.random.Generator, int], Columns]] = {
    "copy": _copy,
    "affine": _affine,
    "sum": _sum,
    "difference of dates": _end,
    "ratio": _ratio,
    "product": _product,
    "ordered dates": _later,
    "codes": _codes,
    "monotone curve": _curve,
    "fixed distance": _fixed,
}


def planted(kind: str, n_rows: int, outliers: float, seed: int) -> Planted:
    """Return a table with one of ``KINDS`` and a share of outliers in each column of numbers."""
    rng = np.random.default_rng([seed, n_rows])
    other = {"u": rng.normal(size=n_rows), "w": rng.gamma(2, size=n_rows)}
    table = pd.DataFrame({**KINDS[kind](rng, n_rows), **other})
    is_outlier = np.zeros(n_rows, dtype=bool)
    for name in table.select_dtypes("float"):
        wrong = rng.random(n_rows) < outliers
        moved = rng.choice([-1, 1], n_rows) * rng.uniform(5, 10, n_rows) * table[name].std()
        table[name] = table[name] + np.where(wrong, moved, 0.0)
        is_outlier |= wrong
    return Planted(table, is_outlier)


def as_numbers(table: pd.DataFrame) -> np.ndarray:
    """Return times in seconds and texts as codes, NaN where missing."""
    columns = []
    for name in table:
        column = table[name]
        if column.dtype.kind in "mM":
            origin = pd.Timedelta(0) if column.dtype.kind == "m" else pd.Timestamp("2024-01-01")
            columns.append((column - origin).dt.total_seconds().to_numpy())
        elif column.dtype.kind == "f":
            columns.append(column.to_numpy())
        else:
            columns.append(column.str.slice(-2).astype(float).to_numpy())
    return np.column_stack(columns)
