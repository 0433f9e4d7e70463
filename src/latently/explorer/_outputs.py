"""The decoder's outputs: how the page turns encoded rows into values in the user's units."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from latently.estimators import fitted_of

#: Rows from which the spread of the errors of each number is estimated.
_MAX_ROWS = 5_000


def outputs_of(model: Any, X: Any) -> list[dict[str, Any]]:
    """Return how each column of a table is decoded, in the user's order.

    Parameters
    ----------
    model : autoencoder
        Fitted on a table.
    X : array-like, DataFrame or Table
        Rows from which the spread of the errors is estimated.

    Returns
    -------
    list of dict
        Elements of the encoded row, scale, and the values that the column can hold.
    """
    preprocessor = model.preprocessor_
    spread = _spread_of_errors(model, X)
    outputs: dict[int, dict[str, Any]] = {}
    n_times = 0
    for column in preprocessor.layout.columns:
        place = int(preprocessor.order[column.place])
        start, stop = int(column.elements.start), int(column.elements.stop)
        output: dict[str, Any] = {"column": place, "from": start, "to": stop}
        if column.place < len(preprocessor.positions):
            output |= _number(preprocessor, column.place, float(spread[start]))
        else:
            codec = preprocessor.codecs[column.place - len(preprocessor.positions)]
            output |= _coded(preprocessor, codec, float(spread[start]), n_times)
            n_times += output["kind"] == "time"
        outputs[place] = output
    return [outputs[place] for place in sorted(outputs)]


def _spread_of_errors(model: Any, X: Any) -> NDArray[np.float64]:
    """Return the root mean square of the residuals of each encoded element."""
    residuals = np.asarray(fitted_of(model).residuals(X), dtype=np.float64)[:_MAX_ROWS]
    return np.asarray(np.sqrt(np.square(residuals).mean(0)))


def _number(preprocessor: Any, place: int, spread: float) -> dict[str, Any]:
    scale = float(preprocessor.scale[place])
    return {
        "kind": "number",
        "center": _finite(preprocessor.center[place]),
        "scale": scale,
        "spread": spread * scale,
        **_support(preprocessor.support, place),
    }


def _finite(value: Any) -> float:
    return float(value) if np.isfinite(value) else 0.0


def _support(support: Any, place: int) -> dict[str, Any]:
    """Return bounds, grid and point masses of a measured column."""
    if support is None or np.isnan(support.low[place]):
        return {}
    bounds = {"low": float(support.low[place]), "high": float(support.high[place])}
    grid = [float(part[place]) for part in (support.factor, support.step, support.anchor)]
    masses = support.masses[:, support.mass_column == place].T
    return {**bounds, "grid": grid, "masses": [_bounded(mass) for mass in masses.tolist()]}


def _bounded(mass: list[float]) -> list[float]:
    """Replace infinite ends of an interval, which JSON cannot hold."""
    return [float(np.clip(end, -1e308, 1e308)) for end in mass]


def _coded(preprocessor: Any, codec: Any, spread: float, n_times: int) -> dict[str, Any]:
    """Return how a column that is no number is decoded, by the kind of its codec."""
    if codec.likelihood == "gaussian":
        return _time(preprocessor, codec, spread, n_times)
    if codec.likelihood == "categorical":
        return {"kind": "category", "labels": [_word(value) for value in codec.categories]}
    categories = getattr(codec, "categories", None)
    if categories is None:
        return {"kind": "category", "labels": ["false", "true"], "steps": True}
    return {"kind": "category", "labels": [_word(value) for value in categories], "steps": True}


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _time(preprocessor: Any, codec: Any, spread: float, n_times: int) -> dict[str, Any]:
    """Return how a time is decoded: ticks since an origin, in seconds since 1970 or midnight."""
    tick, place = float(codec.seconds_per_tick), len(preprocessor.positions) + n_times
    support = preprocessor.support if codec.zone is None else None
    # Hours of the week and of the day count in local time.
    cycles = [] if support is None else [support.week[:, place], support.day[:, place]]
    return {
        "kind": "time",
        "center": float(codec.center) / tick,
        "scale": float(codec.scale) / tick,
        "spread": spread * float(codec.scale),
        "tick": tick,
        "origin": float(codec.origin) * tick,
        "cycles": [cycle.tolist() for cycle in cycles if cycle[0] > 0],
        **_support(support, place),
    }
