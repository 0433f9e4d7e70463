"""Ordinary transactions: three latent traits, and thirteen columns that depend on them."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["CATEGORIES", "ORDERED", "Rows", "draw_rows"]

Rows: TypeAlias = dict[str, NDArray[Any]]

MERCHANTS = (
    "grocery",
    "fuel",
    "pharmacy",
    "restaurant",
    "bar",
    "electronics",
    "travel",
    "streaming",
)
CHANNELS = ("chip", "contactless", "online", "phone")
COUNTRIES = ("DE", "FR", "NL", "AT", "IT", "US")
TIERS = ("low", "medium", "high")

# Rows hold these columns as positions in the tuple, and tables hold the words.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "merchant": MERCHANTS,
    "channel": CHANNELS,
    "country": COUNTRIES,
    "risk_tier": TIERS,
}
ORDERED = ("risk_tier",)

ONLINE, PHONE = CHANNELS.index("online"), CHANNELS.index("phone")

# Weights of wealth, city and night in the log-odds of each merchant.
_MERCHANT_PULL = np.array(
    [
        [-0.6, -0.4, -1.0],
        [-0.3, -1.6, -0.3],
        [-0.2, -0.5, -1.4],
        [0.6, 0.3, 0.8],
        [-0.3, 0.5, 2.2],
        [0.6, 1.2, -0.4],
        [1.9, 0.3, -0.2],
        [-0.7, 1.5, 0.9],
    ]
)
_MERCHANT_SHARE = np.array([1.2, 0.4, 0.2, 0.4, -0.2, -0.3, -0.8, 0.0])
_CHANNEL_PULL = np.array([[0.2, -1.5, -0.3], [-0.2, 0.3, 0.5], [0.1, 1.9, 0.1], [0.3, -1.1, -0.8]])
# Mean log price of a purchase in euros, and mean number of items.
MERCHANT_PRICE = np.log([38.0, 62.0, 22.0, 48.0, 24.0, 260.0, 540.0, 12.0])
_MERCHANT_ITEMS = np.array([12.0, 1.2, 2.5, 3.0, 3.5, 1.3, 1.5, 1.0])
# Streaming is bought online only, fuel and drinks hardly ever.
_CHANNEL_BY_MERCHANT = np.zeros((len(MERCHANTS), len(CHANNELS)))
_CHANNEL_BY_MERCHANT[MERCHANTS.index("streaming")] = (-9.0, -9.0, 3.0, -1.0)
_CHANNEL_BY_MERCHANT[[MERCHANTS.index("fuel"), MERCHANTS.index("bar")]] = (1.0, 1.0, -9.0, -9.0)
_DAY = 24 * 60 * 60 * 1_000_000
_START = np.datetime64("2025-01-01", "us")


class Traits(NamedTuple):
    """Latent traits, standard normal, one value per row."""

    wealth: NDArray[np.float64]
    city: NDArray[np.float64]
    night: NDArray[np.float64]

    def pull(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the score of each category for each row, shape (n_samples, n_categories)."""
        return np.column_stack(self) @ weights.T


def draw_rows(n_samples: int, rng: np.random.Generator) -> Rows:
    """Draw ordinary transactions.

    Parameters
    ----------
    n_samples : int
        Number of rows.
    rng : numpy.random.Generator
        Random state.

    Returns
    -------
    dict of str to ndarray
        Thirteen columns, with categories as positions in ``CATEGORIES``.
    """
    traits = Traits(*rng.standard_normal((3, n_samples)))
    merchant = _choose(2.0 * traits.pull(_MERCHANT_PULL) + _MERCHANT_SHARE, rng)
    channel = _choose(2.0 * traits.pull(_CHANNEL_PULL) + _CHANNEL_BY_MERCHANT[merchant], rng)
    rows = _purchase(traits, merchant, channel, rng)
    rows |= _customer(traits, rng)
    rows |= {"merchant": merchant, "channel": channel}
    rows["country"] = _draw_country(traits, merchant, rng)
    rows["risk_tier"] = _draw_tier(traits, rows, rng)
    rows["card_present"] = channel < ONLINE
    rows["timestamp"] = _draw_times(traits, rng)
    rows["is_weekend"] = is_weekend(rows["timestamp"])
    return {name: rows[name] for name in _ORDER}


_ORDER = (
    "timestamp",
    "is_weekend",
    "amount",
    "items",
    "merchant",
    "channel",
    "card_present",
    "country",
    "distance_km",
    "velocity_24h",
    "customer_age",
    "account_age_days",
    "risk_tier",
)


def is_weekend(timestamp: NDArray[Any]) -> NDArray[np.bool_]:
    """Return True for Saturdays and Sundays."""
    # The epoch, day 0, was a Thursday.
    days = timestamp.astype("datetime64[D]").astype(np.int64)
    return np.asarray((days + 3) % 7 >= 5)


def _purchase(
    traits: Traits,
    merchant: NDArray[np.int64],
    channel: NDArray[np.int64],
    rng: np.random.Generator,
) -> Rows:
    n_samples = len(merchant)
    noise = rng.standard_normal((2, n_samples))
    items = 1 + rng.poisson((_MERCHANT_ITEMS[merchant] - 0.9) * np.exp(0.25 * traits.wealth))
    usual = _MERCHANT_ITEMS[merchant]
    price = MERCHANT_PRICE[merchant] + 0.45 * traits.wealth + 0.5 * np.log(items / usual)
    reach = 1.2 - 0.6 * traits.city + 0.3 * traits.wealth + 3.0 * (channel >= ONLINE)
    return {
        "amount": np.round(np.exp(price + 0.2 * noise[0]), 2),
        "items": items,
        "distance_km": np.round(np.exp(reach + 0.35 * noise[1]), 1),
        "velocity_24h": rng.poisson(np.exp(0.8 + 0.45 * traits.city + 0.35 * traits.night)),
    }


def _customer(traits: Traits, rng: np.random.Generator) -> Rows:
    noise = rng.standard_normal((2, len(traits.wealth)))
    age = 46 - 9 * traits.night + 6 * traits.wealth - 3 * traits.city + 3 * noise[0]
    customer_age = np.clip(np.rint(age), 18, 92).astype(np.int64)
    # Most accounts are opened some years after the age of 16.
    held = (customer_age - 16) * np.exp(-0.9 + 0.35 * noise[1])
    account_age = np.clip(np.rint(365 * np.minimum(held, customer_age - 16)), 1, None)
    return {"customer_age": customer_age, "account_age_days": account_age.astype(np.int64)}


def _draw_country(
    traits: Traits, merchant: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    scores = np.tile([2.6, 0.6, 0.5, 0.4, 0.1, -1.2], (len(merchant), 1))
    scores[:, 1:] += 0.5 * traits.wealth[:, None]
    scores[:, 1:] += 1.2 * (merchant == MERCHANTS.index("travel"))[:, None]
    scores[:, 5] += 1.6 * traits.city
    return _choose(scores, rng)


def _draw_tier(traits: Traits, rows: Rows, rng: np.random.Generator) -> NDArray[np.int64]:
    years = rows["account_age_days"] / 365
    risk = 0.7 * traits.night - 0.6 * traits.wealth + 0.4 * traits.city - 0.04 * (years - 12)
    noise = 0.3 * rng.standard_normal(len(years))
    return np.searchsorted([0.3, 1.4], risk + noise).astype(np.int64)


def _draw_times(traits: Traits, rng: np.random.Generator) -> NDArray[Any]:
    day = rng.integers(0, 365, len(traits.night))
    hour = 14.5 + 3.2 * traits.night + 1.1 * rng.standard_normal(len(day))
    micro = np.rint(np.clip(hour, 5.0, 26.5) * _DAY / 24).astype(np.int64)
    # Whole seconds, as on receipts.
    return np.asarray(_START + (day * _DAY + micro // 1_000_000 * 1_000_000))


def _choose(scores: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw one category per row from the softmax of the scores (Gumbel-max trick)."""
    return np.asarray(np.argmax(scores + rng.gumbel(size=scores.shape), axis=1))
