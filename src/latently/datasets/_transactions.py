"""Card transactions drawn from three latent traits, with known frauds and known gaps."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from latently._renamed import renamed
from latently.datasets._frames import to_frame
from latently.datasets._frauds import tamper
from latently.datasets._rows import CATEGORIES, ORDERED, Rows, draw_rows
from latently.exceptions import ParameterError

__all__ = ["Transactions", "make_transactions"]


@dataclass(frozen=True, eq=False)
class Transactions:
    """A table of card transactions and its ground truth.

    Parameters
    ----------
    data : pyarrow.Table or DataFrame
        The transactions with missing cells.
    is_fraud : ndarray of bool, shape (n_samples,)
        True for rows that are frauds.
    complete : pyarrow.Table or DataFrame
        The same transactions without missing cells, frauds included.
    guilty : ndarray of bool, shape (n_samples, n_columns)
        True for the cells that a fraud changed, two to four in each fraud.
    """

    data: Any
    is_fraud: NDArray[np.bool_]
    complete: Any
    guilty: NDArray[np.bool_]


@renamed(fraud_rate="fraud_fraction", missing_rate="missing_fraction")
def make_transactions(
    n_samples: int = 5000,
    *,
    fraud_fraction: float = 0.01,
    missing_fraction: float = 0.03,
    as_frame: Literal["pyarrow", "pandas", "polars"] = "pyarrow",
    random_state: int | None = 0,
) -> Transactions:
    """Generate a realistic table of card transactions.

    All 13 columns depend on three latent traits: wealth, city life and night life. A code of
    about three components therefore explains most of a row. A fraud is an ordinary row in which
    two to four cells are changed. Each cell stays plausible, but the relations between columns
    are violated. Cells are missing completely at random.

    Parameters
    ----------
    n_samples : int, default=5000
        Number of rows.
    fraud_fraction : float, default=0.01
        Fraction of frauds, in [0, 1]. Their number is rounded.
    missing_fraction : float, default=0.03
        Probability of each cell to be missing, in [0, 1).
    as_frame : {"pyarrow", "pandas", "polars"}, default="pyarrow"
        Library of the tables. pandas and polars must be installed if they are chosen.
    random_state : int or None, default=0
        Seed of the generator. None gives different rows in each call.

    Returns
    -------
    Transactions
        The table and its ground truth.

    Raises
    ------
    ParameterError
        If a parameter is out of range.
    MissingExtraError
        If the package that ``as_frame`` needs is not installed.

    Examples
    --------
    >>> transactions = make_transactions(200, fraud_fraction=0.05)
    >>> transactions.data.num_rows, int(transactions.is_fraud.sum())
    (200, 10)
    >>> transactions.complete["risk_tier"].type.ordered
    True
    """
    _check(n_samples, fraud_fraction, missing_fraction, as_frame)
    rng = np.random.default_rng(random_state)
    rows = draw_rows(n_samples, rng)
    frauds = np.sort(rng.permutation(n_samples)[: round(fraud_fraction * n_samples)])
    guilty = tamper(rows, frauds, rng)
    gaps = rng.random(guilty.shape) < missing_fraction
    return Transactions(
        data=to_frame(_to_table(rows, gaps), as_frame),
        is_fraud=np.isin(np.arange(n_samples), frauds),
        complete=to_frame(_to_table(rows, np.zeros_like(gaps)), as_frame),
        guilty=guilty,
    )


def _check(n_samples: int, fraud_fraction: float, missing_fraction: float, as_frame: str) -> None:
    if n_samples < 1:
        raise ParameterError(f"n_samples must be at least 1, got {n_samples}. Use for example 500.")
    if not 0 <= fraud_fraction <= 1:
        raise ParameterError(
            f"fraud_fraction must be from 0 to 1, got {fraud_fraction}. Use for example 0.01."
        )
    if not 0 <= missing_fraction < 1:
        raise ParameterError(
            f"missing_fraction must be from 0 to below 1, got {missing_fraction}. "
            "Use for example 0.03."
        )
    if as_frame not in ("pyarrow", "pandas", "polars"):
        raise ParameterError(
            f"as_frame must be pyarrow, pandas or polars, got {as_frame!r:.30}. Use one of these."
        )


def _to_table(rows: Rows, gaps: NDArray[np.bool_]) -> pa.Table:
    columns = {
        name: _to_column(name, values, gap)
        for (name, values), gap in zip(rows.items(), gaps.T, strict=True)
    }
    return pa.table(columns)


def _to_column(name: str, values: NDArray[Any], gap: NDArray[np.bool_]) -> Any:
    if name not in CATEGORIES:
        return pa.array(values, mask=gap)
    codes = pa.array(values.astype(np.int32), mask=gap)
    words = pa.array(CATEGORIES[name])
    column = pa.DictionaryArray.from_arrays(codes, words, ordered=name in ORDERED)
    return column if name in ORDERED else column.cast(pa.string())
