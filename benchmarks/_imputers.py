"""Ours and the peers by name, each with one way to fit and to fill."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from _holes import as_codes, as_table
from _miwae import Miwae

#: Draws of miceforest whose mean is its answer.
_N_MICE = 5


class Imputer(Protocol):
    """What is compared: rows with NaN in, rows without out; categories are codes."""

    def fit(self, X: np.ndarray) -> Any: ...
    def transform(self, X: np.ndarray) -> np.ndarray: ...


class Method(NamedTuple):
    """An imputer by name; ``build`` takes the seed and which columns are categories."""

    name: str
    title: str
    build: Callable[[int, np.ndarray], Imputer]
    ours: bool = False
    slow: bool = False
    numbers_only: bool = False


class Ours:
    """AutoencoderImputer on a table with categories of text, as a user would give it."""

    def __init__(self, seed: int, is_category: np.ndarray) -> None:
        from latently import AutoencoderImputer

        # Squared errors are compared: expected values, as those of the peers.
        self.model = AutoencoderImputer(random_state=seed, support="free")
        self.is_category = is_category

    def fit(self, X: np.ndarray) -> Ours:
        self.model.fit(self.shown(X))
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        filled = self.model.transform(self.shown(X))
        return as_codes(filled, self.is_category) if self.is_category.any() else filled

    def shown(self, X: np.ndarray) -> Any:
        """Return rows as ours are given."""
        return as_table(X, self.is_category) if self.is_category.any() else X


class MeanMode:
    """The mean of a number, the most frequent category."""

    def __init__(self, seed: int, is_category: np.ndarray) -> None:
        self.is_category = is_category

    def fit(self, X: np.ndarray) -> MeanMode:
        self.values = np.array(
            [
                np.bincount(column[~np.isnan(column)].astype(int)).argmax()
                if coded
                else np.nanmean(column)
                for column, coded in zip(X.T, self.is_category, strict=True)
            ]
        )
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(X), self.values, X)


class OneHot:
    """A numeric imputer with each category as a column, and the largest of them afterwards."""

    def __init__(self, inner: Any, is_category: np.ndarray) -> None:
        self.inner, self.is_category = inner, is_category

    def fit(self, X: np.ndarray) -> OneHot:
        self.levels = [
            np.unique(column[~np.isnan(column)]) if coded else None
            for column, coded in zip(X.T, self.is_category, strict=True)
        ]
        self.inner.fit(self._spread(X))
        return self

    def _spread(self, X: np.ndarray) -> np.ndarray:
        parts = []
        for column, levels in zip(X.T, self.levels, strict=True):
            if levels is None:
                parts.append(column[:, None])
            else:
                equal = (column[:, None] == levels).astype(float)
                parts.append(np.where(np.isnan(column)[:, None], np.nan, equal))
        return np.hstack(parts)

    def transform(self, X: np.ndarray) -> np.ndarray:
        filled, answer, place = self.inner.transform(self._spread(X)), X.copy(), 0
        for j, levels in enumerate(self.levels):
            gaps, width = np.isnan(X[:, j]), 1 if levels is None else len(levels)
            found = filled[gaps, place : place + width]
            answer[gaps, j] = found[:, 0] if levels is None else levels[found.argmax(1)]
            place += width
        return answer


class Framed:
    """A package that takes and gives pandas frames with category columns.

    Of several answers the mean of a number counts, and the most frequent category.
    """

    def __init__(self, fit: Callable[[Any, int], Callable[[Any], list[Any]]], seed: int,
                 is_category: np.ndarray) -> None:  # fmt: skip
        self.start, self.seed, self.is_category = fit, seed, is_category

    def fit(self, X: np.ndarray) -> Framed:
        self.levels = [np.unique(column[~np.isnan(column)]).astype(int) for column in X.T]
        self.fill = self.start(self._frame(X), self.seed)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        frame = self._frame(X)
        answers = np.stack([self._codes(answer[list(frame)]) for answer in self.fill(frame)])
        pooled = answers.mean(0)
        for place in np.flatnonzero(self.is_category):
            votes = answers[:, :, place].astype(int).T
            pooled[:, place] = [np.bincount(row).argmax() for row in votes]
        return np.where(np.isnan(X), pooled, X)

    def _codes(self, frame: Any) -> np.ndarray:
        return np.column_stack([np.asarray(frame[name].astype(float)) for name in frame])

    def _frame(self, X: np.ndarray) -> Any:
        import pandas as pd

        columns: dict[str, Any] = {}
        for place, coded in enumerate(self.is_category):
            column = X[:, place]
            if coded:
                known = pd.Series(column).astype("Int64")
                columns[f"c{place}"] = known.astype(pd.CategoricalDtype(self.levels[place]))
            else:
                columns[f"c{place}"] = column
        return pd.DataFrame(columns)


def _miceforest(frame: Any, seed: int) -> Callable[[Any], list[Any]]:
    kernel = importlib.import_module("miceforest").ImputationKernel(
        frame, num_datasets=_N_MICE, random_state=seed
    )
    kernel.mice(5, verbose=False, num_threads=1)

    def fill(rows: Any) -> list[Any]:
        new = not rows.equals(frame)
        done = kernel.impute_new_data(rows, verbose=False) if new else kernel
        return [done.complete_data(dataset=place) for place in range(_N_MICE)]

    return fill


def _missforest(frame: Any, seed: int) -> Callable[[Any], list[Any]]:
    categories = [name for name in frame if str(frame[name].dtype) == "category"]
    as_numbers = dict.fromkeys(categories, float)
    model = importlib.import_module("missforest").MissForest(
        categorical=categories or None, verbose=0
    )
    model.fit(frame.astype(as_numbers))
    return lambda rows: [model.transform(rows.astype(as_numbers))]


def _framed(fit: Callable[[Any, int], Callable[[Any], list[Any]]], package: str) -> Any:
    def build(seed: int, is_category: np.ndarray) -> Framed:
        importlib.import_module(package)
        return Framed(fit, seed, is_category)

    return build


def _sklearn(make: Callable[[int], Any]) -> Callable[[int, np.ndarray], Imputer]:
    def build(seed: int, is_category: np.ndarray) -> Imputer:
        inner = make(seed)
        return OneHot(inner, is_category) if is_category.any() else inner

    return build


def _chained(seed: int) -> IterativeImputer:
    return IterativeImputer(max_iter=20, random_state=seed, keep_empty_features=True)


def _chained_trees(seed: int) -> IterativeImputer:
    trees = ExtraTreesRegressor(n_estimators=50, random_state=seed, n_jobs=1)
    return IterativeImputer(trees, max_iter=5, random_state=seed, keep_empty_features=True)


def _neighbours(seed: int) -> KNNImputer:
    return KNNImputer(n_neighbors=10, weights="distance", keep_empty_features=True)


METHODS = (
    Method("latently", "latently", Ours, ours=True),
    Method("mean", "mean", MeanMode),
    Method("knn", "kNN", _sklearn(_neighbours)),
    Method("ridge", "chained ridge", _sklearn(_chained)),
    Method("trees", "chained trees", _sklearn(_chained_trees)),
    Method("miwae", "MIWAE", lambda seed, _: Miwae(seed), slow=True, numbers_only=True),
    Method("miceforest", "miceforest", _framed(_miceforest, "miceforest"), slow=True),
    Method("missforest", "missforest", _framed(_missforest, "missforest"), slow=True),
)


def installed(methods: Iterable[Method]) -> list[Method]:
    """Leave out, and name, peers that are not installed."""
    present = []
    for method in methods:
        try:
            method.build(0, np.zeros(2, dtype=bool))
        except ImportError as error:
            print(f"missing: {method.title} ({error})")
        else:
            present.append(method)
    return present
