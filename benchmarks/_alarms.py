"""Distributions for false alarms: rows that never repeat, always repeat, or nearly do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

Draw = Callable[[np.random.Generator, int], Any]

_FIXED = np.random.default_rng(9)
_MIXING = _FIXED.normal(size=(3, 6))
_POPULATION = _FIXED.normal(size=(200, 4))
_TENDENCIES = _FIXED.normal(size=(2, 8))


class Population(NamedTuple):
    """A way to draw rows to fit to, and one to draw new rows; ``ties`` where scores may tie."""

    fitted: Draw
    new: Draw
    ties: bool = False


def _normal(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.normal(size=(n, 3)) @ _MIXING + 0.3 * rng.normal(size=(n, 6))


def _heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_t(2, size=(n, 3)) @ _MIXING + 0.3 * rng.standard_t(2, size=(n, 6))


def _letters(rng: np.random.Generator, n: int, weights: list[float]) -> pa.Array:
    letters = np.array([*"abcdefgh"[: len(weights)]])
    return pa.array(rng.choice(letters, n, p=np.array(weights) / sum(weights)))


def _mixed(rng: np.random.Generator, n: int) -> pa.Table:
    numbers = _normal(rng, n)
    return pa.table(
        {
            "x": numbers[:, 0],
            "y": np.exp(numbers[:, 1]),
            "kind": _letters(rng, n, [8, 4, 2, 1, 0.2]),
            "flag": rng.random(n) < 0.3,
        }
    )


def _zeros(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random((n, 5)) < 0.7, 0.0, np.exp(_normal(rng, n)[:, :5]))


def _counts(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.poisson(np.exp(0.5 * rng.normal(size=(n, 1))), size=(n, 4)).astype(float)


def _flags(rng: np.random.Generator, n: int) -> np.ndarray:
    return (rng.normal(size=(n, 2)) @ _TENDENCIES + rng.normal(size=(n, 8)) > 0.8).astype(float)


def _categories(rng: np.random.Generator, n: int) -> pa.Table:
    weights = [[5, 3, 1, 0.5], [4, 4, 0.3], [9, 2, 1, 1, 0.1], [3, 2]]
    return pa.table({f"c{i}": _letters(rng, n, w) for i, w in enumerate(weights)})


def _lattice(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.rint(1.5 * rng.normal(size=(n, 2)))


def _survey(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.integers(0, 4, size=(n, 4)).astype(float)


def _zipf(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.minimum(rng.zipf(1.8, size=(n, 3)), 10**6).astype(float)


def _again(rng: np.random.Generator, n: int) -> np.ndarray:
    return _POPULATION[rng.integers(0, len(_POPULATION), n)]


def _oversampled(rng: np.random.Generator, n: int) -> np.ndarray:
    distinct = _normal(rng, max(n // 3, 5))
    return distinct[rng.integers(0, len(distinct), n)]


def _oversampled_counts(rng: np.random.Generator, n: int) -> np.ndarray:
    """Return distinct rows of counts, each repeated one to ten times."""
    distinct = np.unique(_counts(rng, max(n // 4, 5)), axis=0)
    return rng.permutation(np.repeat(distinct, rng.integers(1, 11, len(distinct)), axis=0))[:n]


def _twice(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.repeat(_normal(rng, n // 2), 2, axis=0)


def _nearly_twice(rng: np.random.Generator, n: int) -> np.ndarray:
    rows = _twice(rng, n)
    return rows + rng.uniform(-1e-6, 1e-6, size=rows.shape)


POPULATIONS = {
    "continuous": Population(_normal, _normal),
    "heavy tails": Population(_heavy, _heavy),
    "mixed": Population(_mixed, _mixed),
    "zero-inflated": Population(_zeros, _zeros, ties=True),
    "counts": Population(_counts, _counts, ties=True),
    "flags": Population(_flags, _flags, ties=True),
    "categories": Population(_categories, _categories, ties=True),
    "lattice": Population(_lattice, _lattice, ties=True),
    "answers from 0 to 3": Population(_survey, _survey, ties=True),
    "zipf": Population(_zipf, _zipf, ties=True),
    "oversampled": Population(_oversampled, _normal),
    "each row twice": Population(_twice, _normal),
    "near copies": Population(_nearly_twice, _normal),
    "oversampled counts": Population(_oversampled_counts, _counts, ties=True),
    "rows drawn from 200": Population(_again, _again, ties=True),
}
