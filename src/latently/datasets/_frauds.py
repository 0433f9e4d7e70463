"""Frauds: ordinary rows in which two to four columns are changed to contradict the others."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from latently.datasets._rows import COUNTRIES, MERCHANTS, Rows

__all__ = ["tamper"]

Chosen: TypeAlias = NDArray[np.int64]

_CHEAP = [MERCHANTS.index(name) for name in ("grocery", "pharmacy", "bar", "streaming")]
_SECOND = np.timedelta64(1, "s")


class Ends(NamedTuple):
    """Intervals of low and high values of a column, and the value that separates both halves."""

    low: tuple[float, float]
    middle: float
    high: tuple[float, float]


_ENDS = {
    "amount": Ends((2.0, 6.0), 60.0, (350.0, 1800.0)),
    "items": Ends((1, 1), 7, (16, 24)),
    "distance_km": Ends((0.3, 1.0), 25.0, (150.0, 600.0)),
    "velocity_24h": Ends((1, 1), 4, (9, 14)),
    "customer_age": Ends((19, 26), 45, (66, 80)),
    "account_age_days": Ends((1, 30), 5000, (13_000, 18_000)),
}


def tamper(rows: Rows, frauds: Chosen, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Change some rows to frauds in place, and return a mask of the changed cells.

    Parameters
    ----------
    rows : dict of str to ndarray
        Ordinary transactions, changed in the rows of ``frauds``.
    frauds : ndarray of int, shape (n_frauds,)
        Positions of the rows to change.
    rng : numpy.random.Generator
        Random state.

    Returns
    -------
    ndarray of bool, shape (n_samples, n_columns)
        True for changed cells.
    """
    before = {name: values.copy() for name, values in rows.items()}
    scheme = rng.integers(0, len(_SCHEMES), len(frauds))
    for place, spoil in enumerate(_SCHEMES):
        spoil(rows, frauds[scheme == place], rng)
    return np.column_stack([rows[name] != before[name] for name in rows])


def _night_purchase(rows: Rows, chosen: Chosen, rng: np.random.Generator) -> None:
    """Set a large amount at a cheap shop, between 2 and 5 in the morning of the same day."""
    _change_word(rows, "merchant", _CHEAP, chosen, rng)
    _send(rows, "amount", chosen, np.ones(len(chosen), bool), rng)
    midnight = rows["timestamp"][chosen].astype("datetime64[D]")
    rows["timestamp"][chosen] = midnight + rng.integers(2 * 3600, 5 * 3600, len(chosen)) * _SECOND


def _stolen_card(rows: Rows, chosen: Chosen, rng: np.random.Generator) -> None:
    """Change the distance, the country and the number of purchases in 24 hours."""
    _flip(rows, "distance_km", chosen, rng)
    _flip(rows, "velocity_24h", chosen, rng)
    _change_word(rows, "country", range(1, len(COUNTRIES)), chosen, rng)


def _cloned_card(rows: Rows, chosen: Chosen, rng: np.random.Generator) -> None:
    """Invert the presence of the card, and change the amount and the number of items."""
    rows["card_present"][chosen] = ~rows["card_present"][chosen]
    _flip(rows, "amount", chosen, rng)
    _flip(rows, "items", chosen, rng)


def _taken_account(rows: Rows, chosen: Chosen, rng: np.random.Generator) -> None:
    """Contradict the ages of customer and account, and change the tier and the velocity."""
    becomes_old = _flip(rows, "customer_age", chosen, rng)
    _send(rows, "account_age_days", chosen, ~becomes_old, rng)
    rows["risk_tier"][chosen] = np.where(rows["risk_tier"][chosen] > 0, 0, 2)
    _flip(rows, "velocity_24h", chosen, rng)


def _forged_receipt(rows: Rows, chosen: Chosen, rng: np.random.Generator) -> None:
    """Invert the weekend flag and the presence of the card."""
    rows["is_weekend"][chosen] = ~rows["is_weekend"][chosen]
    rows["card_present"][chosen] = ~rows["card_present"][chosen]


_SCHEMES: tuple[Callable[[Rows, Chosen, np.random.Generator], None], ...] = (
    _night_purchase,
    _stolen_card,
    _cloned_card,
    _taken_account,
    _forged_receipt,
)


def _flip(rows: Rows, name: str, chosen: Chosen, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Move cells to the farther end of their column, and return True for the high end."""
    upward = rows[name][chosen] < _ENDS[name].middle
    _send(rows, name, chosen, upward, rng)
    return np.asarray(upward)


def _send(
    rows: Rows, name: str, chosen: Chosen, upward: NDArray[np.bool_], rng: np.random.Generator
) -> None:
    """Replace cells by random values from the high or the low end of their column."""
    ends = np.log(np.where(upward[:, None], _ENDS[name].high, _ENDS[name].low))
    drawn = np.exp(rng.uniform(ends[:, 0], ends[:, 1]))
    digits = 1 if name == "distance_km" else 2
    whole = rows[name].dtype.kind == "i"
    rows[name][chosen] = np.rint(drawn) if whole else np.round(drawn, digits)


def _change_word(
    rows: Rows, name: str, pool: Sequence[int], chosen: Chosen, rng: np.random.Generator
) -> None:
    """Replace categories by random other ones of the pool."""
    words = np.asarray(pool)
    place = rng.integers(0, len(words), len(chosen))
    place += words[place] == rows[name][chosen]
    rows[name][chosen] = words[place % len(words)]
