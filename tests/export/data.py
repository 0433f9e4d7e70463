"""A mixed table with gaps, and models fitted to it."""

import numpy as np
import pandas as pd


def mixed_table(n_rows: int, seed: int) -> pd.DataFrame:
    """Numbers, whole numbers, texts, truths, ordered categories and times, with gaps."""
    rng = np.random.default_rng(seed)
    size = rng.normal(size=n_rows)
    seconds = pd.to_timedelta(rng.integers(0, 365 * 24 * 3600, n_rows), unit="s")
    frame = pd.DataFrame(
        {
            "amount": np.round(np.exp(size + rng.normal(size=n_rows) * 0.3) * 20, 2),
            "count": rng.poisson(3, n_rows),
            "score": size * 2 + rng.normal(size=n_rows) * 0.1,
            "colour": pd.Series(np.where(size > 0, "red", rng.choice(["blue", "green"], n_rows))),
            "is_known": pd.array(rng.random(n_rows) < 0.7, dtype="boolean"),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], n_rows), ["low", "mid", "high"], ordered=True
            ),
            "when": pd.Timestamp("2024-01-01") + seconds,
        }
    )
    for name in ("amount", "colour", "is_known", "when"):
        frame.loc[rng.random(n_rows) < 0.05, name] = None
    return frame


def new_table(n_rows: int = 120) -> pd.DataFrame:
    """Rows with unseen categories, and one without any value."""
    frame = mixed_table(n_rows, 1).astype({"count": float})
    frame.loc[3, "colour"] = "violet"
    for name in frame.columns:
        frame.loc[5, name] = None
    return frame
