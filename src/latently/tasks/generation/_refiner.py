"""Odds of real rows against generated ones, by boosted trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from sklearn import config_context
from sklearn.ensemble import GradientBoostingClassifier

from latently.tasks._trees import Trees

_N_TREES, _LEARNING_RATE, _MOST_LEAVES, _MIN_LEAF = 40, 0.1, 15, 20
#: Largest log odds of a row.
_MOST_LOG_ODDS = 4.0
#: Rows that a classifier learns from, at most.
_MOST_ROWS = 20_000
#: Rows are kept with probability one above this multiple of the mean odds, or this quantile.
_MOST_ODDS, _MOST_SHARE = 4.0, 0.98


@dataclass(frozen=True, eq=False)
class Refiner:
    """Classifier of real against generated rows, whose odds accept or reject generated rows [1]_.

    Parameters
    ----------
    trees : Trees
        Boosted trees of two folds.
    values : ndarray of shape (n_nodes,)
        Addend of each leaf to the log odds.
    limit : float
        Odds of all rounds so far from which every row is kept.

    References
    ----------
    .. [1] Azadi et al. (2019), Discriminator Rejection Sampling.
    """

    trees: Trees
    values: np.ndarray
    limit: float

    @classmethod
    def fit(cls, real: np.ndarray, made: np.ndarray, rng: np.random.Generator) -> Self:
        """Fit one classifier on each half of the rows.

        Parameters
        ----------
        real, made : ndarray of shape (n_rows, n_features)
            Features of real and of generated rows.
        rng : numpy.random.Generator
            Random state.
        """
        folds = zip(*(np.array_split(rng.permutation(len(one)), 2) for one in (real, made)),
                    strict=True)  # fmt: skip
        models = [_boosted(real[a][:_MOST_ROWS], made[b][:_MOST_ROWS], rng) for a, b in folds]
        trees = [tree for model in models for tree in model.estimators_[:, 0]]
        values = np.concatenate([tree.tree_.value[:, 0, 0] for tree in trees])
        return cls(Trees.of(trees), _LEARNING_RATE * values / len(models), 1.0)

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """Return the log odds of a real row, shape (n_rows,)."""
        raw = self.values[self.trees.leaves(features)].sum(1)
        log_odds: np.ndarray = np.clip(raw, -_MOST_LOG_ODDS, _MOST_LOG_ODDS)
        return log_odds

    def is_consistent(self, n_features: int) -> bool:
        """Return True if the numbers of a file fit together."""
        self.trees.check_consistent()
        return bool(
            self.values.dtype == np.float64
            and self.values.shape == self.trees.features.shape
            and np.isfinite(self.values).all()
            and (self.trees.features < n_features).all()
            and 0 < self.limit <= np.exp(2 * _MOST_LOG_ODDS)
        )


def limit_of(odds: np.ndarray) -> float:
    """Return the odds from which every row is kept, which keeps the rest in proportion."""
    return float(max(min(np.quantile(odds, _MOST_SHARE), _MOST_ODDS * odds.mean()), 1e-12))


def _boosted(real: np.ndarray, made: np.ndarray, rng: np.random.Generator) -> Any:
    model = GradientBoostingClassifier(
        n_estimators=_N_TREES, learning_rate=_LEARNING_RATE, max_leaf_nodes=_MOST_LEAVES,
        max_depth=None, min_samples_leaf=_MIN_LEAF, init="zero", max_features=0.5,
        random_state=int(rng.integers(2**31)),
    )  # fmt: skip
    target = np.repeat([1, 0], [len(real), len(made)])
    weights = np.where(target, len(target) / 2 / len(real), len(target) / 2 / len(made))
    with config_context(array_api_dispatch=False):
        return model.fit(np.vstack([real, made]), target, sample_weight=weights)
