"""Anomaly scores that learn from known anomalies: a second term for the likeness to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import narwhals as nw
import numpy as np
from sklearn import config_context
from sklearn.linear_model import LogisticRegression

from latently.estimators import BaseAutoencoder, fitted_of, take_rows
from latently.exceptions import DataError
from latently.tasks._trees import Trees
from latently.tasks.scores._forest import AnomalyForest
from latently.tasks.scores._labels import Labels
from latently.tasks.scores._scores import SCORES, Score, SurpriseScore, UnlabelledScore, fit_score

#: Inverse strength of the ridge penalty.
_PENALTY = 1.0
_MAX_STEPS = 300
#: Standardised features, and standardised scores, are clipped.
_MOST_FEATURE, _SCORES = 10.0, (-3.0, 1_000.0)
#: Makes the linear score at least one, before it is multiplied.
_OFFSET = 1 - _SCORES[0]
#: Largest number of rows that known anomalies are compared with.
_MAX_OTHERS = 5_000
#: Number of known anomalies from which the forest has half of the weight.
_HALF_WEIGHT = 20
#: Folds of the known anomalies, each scored by a term without them, and of the training rows, each
#: scored by a forest without them.
_N_FOLDS, _ROW_FOLDS = 5, 10
#: Rows are like the known anomalies from this standardised likeness on, by the columns with at
#: least this share of it.
_ALIKE, _LEAST_SHARE = 2.0, 0.2
_LEAST_SPREAD = 1e-9
#: Largest absolute number that a file may hold.
_MOST = 1e30


class Known(NamedTuple):
    """Labelled rows from which a score may learn.

    Attributes
    ----------
    anomalies : ndarray, DataFrame or Table
        Known anomalies.
    normal : ndarray of bool, shape (n_rows,)
        True for known normal rows among the training rows.
    """

    anomalies: Any
    normal: np.ndarray

    @classmethod
    def of(cls, data: Any, labels: Labels | None, places: np.ndarray) -> Self | None:
        """Return the known rows of a table, or None without a known anomaly.

        Parameters
        ----------
        data : ndarray or narwhals.DataFrame
            All rows.
        labels : Labels or None
            Their labels.
        places : ndarray of int, shape (n_rows,)
            Places of the training rows among the rows that are no known anomalies.
        """
        is_image = isinstance(data, np.ndarray) and data.ndim > 2
        if labels is None or is_image or not labels.anomalies.any():
            return None
        normal = labels.known[~labels.anomalies][places]
        return cls(_taken(data, np.flatnonzero(labels.anomalies)), normal)


class _Features(NamedTuple):
    """Rows as a classifier sees them.

    Attributes
    ----------
    views : ndarray of shape (n_rows, 1 + n_views)
        The score without labels, and the statistics that it is made of.
    values : ndarray of shape (n_rows, width)
        Arcsinh of the encoded elements, NaN where missing.
    """

    views: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, base: UnlabelledScore, autoencoder: BaseAutoencoder, X: Any) -> Self:
        views = base.views(autoencoder, X).astype(np.float64)
        cells = fitted_of(autoencoder).read(X)
        values = np.arcsinh(cells.values.flatten(1).double().numpy())
        if cells.observed is not None:
            seen = autoencoder.module_.likelihood.spread(cells.observed).numpy()
            values = np.where(seen, values, np.nan)
        return cls(views, values)

    def take(self, places: np.ndarray) -> _Features:
        return _Features(*(part[places] for part in self))

    def deviations(self, level: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Return the standardised views, (n_rows, 1 + n_views)."""
        deviations: np.ndarray = (self.views - level) / spread
        return deviations.clip(*_SCORES)

    def joined(self, level: np.ndarray, spread: np.ndarray) -> np.ndarray:
        """Return elements and logs of standardised statistics, (n_rows, n_features)."""
        deviations = self.deviations(level, spread)[:, 1:]
        return np.hstack([self.values, np.log1p(deviations - _SCORES[0])])


class Likeness(NamedTuple):
    """Likeness of rows to the known anomalies.

    Attributes
    ----------
    scores : ndarray of shape (n_rows,)
        Standardised log-odds. A usual row has 0.
    by_column : ndarray of shape (n_rows, n_features)
        Contribution of each column to ``scores``, in the user's order.
    """

    scores: np.ndarray
    by_column: np.ndarray

    def columns(self, names: tuple[str, ...], n_most: int) -> list[tuple[str, ...] | None]:
        """Return the columns by which each row is like the known anomalies, None if it is not.

        Parameters
        ----------
        names : tuple of str
            Names of the columns.
        n_most : int
            Largest number of columns of a row.
        """
        found: list[tuple[str, ...] | None] = [None] * len(self.scores)
        order = np.argsort(-self.by_column, axis=1, kind="stable")[:, :n_most]
        counts = np.take_along_axis(self.by_column, order, 1) >= _LEAST_SHARE * self.scores[:, None]
        for row in np.flatnonzero(self.scores >= _ALIKE):
            found[row] = tuple(names[place] for place in order[row][counts[row]])
        return found


@dataclass(frozen=True, eq=False)
class LabelledScore:
    r"""A score without labels, and the likeness of a row to the known anomalies.

    1. The features of a row are the arcsinh of its encoded elements, and :math:`\log(1 + z + 3)`
       of each statistic :math:`z` of the score without labels. They are standardised, and clipped
       at ten.
    2. A ridge logistic regression parts the :math:`k` known anomalies from the training rows, of
       the same total weight. A known normal row weighs as much as an anomaly.
    3. Its log-odds are standardised by the median and the interquartile range of training rows.
    4. The linear score is :math:`a = (1 - w) s + w z` with :math:`w = k / (k + 1)`, where
       :math:`s` is the score without labels, standardised in the same way.
    5. A random forest separates the same rows by the same features. Its odds :math:`o` are at
       least one. The score is :math:`(a + 4)^{1 - u} o^u - 4` with :math:`u = k / (k + 20)`, so
       that the forest counts more, the more anomalies are known.

    Parameters
    ----------
    base : UnlabelledScore
        The score without labels.
    share : float
        The weight w of the likeness, in (0, 1).
    view_level, view_spread : ndarray of shape (1 + n_views,)
        By which the score without labels and its statistics are standardised.
    center, scale : ndarray of shape (n_features,)
        By which the features are standardised.
    weights : ndarray of shape (n_features,)
        Coefficients of the regression.
    level, spread : float
        By which the log-odds are standardised.
    forest : AnomalyForest or None, default=None
        The forest. Older model files have none, and keep the linear score.
    forest_share : float, default=0.0
        The weight u of the forest, in [0, 1).
    """

    base: UnlabelledScore
    share: float
    view_level: np.ndarray
    view_spread: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    level: float
    spread: float
    forest: AnomalyForest | None = None
    forest_share: float = 0.0

    @classmethod
    def fit(cls, base: UnlabelledScore, autoencoder: BaseAutoencoder, X: Any, known: Known) -> Self:
        """Learn from training rows and known anomalies.

        Parameters
        ----------
        base : UnlabelledScore
            The score without labels, fitted to ``X``.
        autoencoder : BaseAutoencoder
            Fitted.
        X : array-like, DataFrame or Table
            Training rows, none of which is a known anomaly.
        known : Known
            Known anomalies, and which rows of ``X`` are known to be normal.
        """
        others, normal = _training_rows(base, autoencoder, X, known)
        return cls._of(base, others, _Features.of(base, autoencoder, known.anomalies), normal)

    @classmethod
    def _of(
        cls, base: UnlabelledScore, others: _Features, anomalies: _Features, normal: np.ndarray
    ) -> Self:
        view_level, view_spread = _levels(others.views)
        rows, marked = (part.joined(view_level, view_spread) for part in (others, anomalies))
        center, scale = _moments(rows)
        group_weights = _group_weights(normal, len(marked))
        scaled = _standardised(rows, center, scale)
        weights = _regression(scaled, _standardised(marked, center, scale), group_weights)
        level, spread = _levels(scaled @ weights)
        n_known = len(marked)
        return cls(
            base, n_known / (n_known + 1), view_level, view_spread, center, scale, weights,
            float(level), float(spread), AnomalyForest.fit(rows, marked, group_weights),
            n_known / (n_known + _HALF_WEIGHT),
        )  # fmt: skip

    def rows(
        self, autoencoder: BaseAutoencoder, X: Any, odds: np.ndarray | None = None
    ) -> np.ndarray:
        return self._scores(_Features.of(self.base, autoencoder, X), odds)

    def left_out_odds(self, autoencoder: BaseAutoencoder, X: Any, known: Known) -> np.ndarray:
        """Return the odds of each training row by a forest that is fitted without it.

        Parameters
        ----------
        autoencoder : BaseAutoencoder
            The autoencoder of ``fit``, which leaves out rows that equal the training row.
        X : array-like, DataFrame or Table
            The training rows of ``fit``.
        known : Known
            The known rows of ``fit``.

        Returns
        -------
        ndarray of shape (n_rows,)
            Odds, for ``rows``. Equal rows are left out together.
        """
        rows, marked = (
            _Features.of(self.base, autoencoder, part).joined(self.view_level, self.view_spread)
            for part in (X, known.anomalies)
        )
        chosen = _chosen_rows(known.normal)
        weights = np.zeros(len(rows))
        weights[chosen] = _group_weights(known.normal[chosen], len(marked))
        folds = np.unique(np.nan_to_num(rows), axis=0, return_inverse=True)[1].ravel() % _ROW_FOLDS
        odds = np.ones(len(rows))
        for fold in range(_ROW_FOLDS):
            held, others = folds == fold, chosen & (folds != fold)
            if held.any() and others.any():
                odds[held] = AnomalyForest.fit(rows[others], marked, weights[others]).odds(
                    rows[held]
                )
        return odds

    def cells(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        alike = self.likeness(autoencoder, X).by_column.clip(min=0)
        usual = self.base.cells(autoencoder, X) / self.view_spread[0]
        cells: np.ndarray = (1 - self.share) * usual + self.share * alike
        return cells

    def likeness(self, autoencoder: BaseAutoencoder, X: Any) -> Likeness:
        """Return how like the known anomalies rows are, and by which columns.

        Parameters
        ----------
        autoencoder : BaseAutoencoder
            The autoencoder of ``fit``.
        X : array-like, DataFrame or Table
            Rows.
        """
        features = self._standardised(_Features.of(self.base, autoencoder, X))
        layout, preprocessor = autoencoder.preprocessor_.layout, autoencoder.preprocessor_
        elements = (features * self.weights / self.spread)[:, : layout.width]
        by_column = np.add.reduceat(elements, layout.first_elements, axis=1)
        return Likeness(self._odds(features), preprocessor.in_order(by_column))

    def left_out(self, autoencoder: BaseAutoencoder, X: Any, known: Known) -> np.ndarray:
        """Return the score of each known anomaly by a term that is learnt without it.

        Parameters
        ----------
        autoencoder : BaseAutoencoder
            The autoencoder of ``fit``.
        X : array-like, DataFrame or Table
            The training rows of ``fit``.
        known : Known
            The known rows of ``fit``.

        Returns
        -------
        ndarray of shape (n_anomalies,)
            Standardised scores without labels where there is one known anomaly only.
        """
        others, normal = _training_rows(self.base, autoencoder, X, known)
        anomalies = _Features.of(self.base, autoencoder, known.anomalies)
        scores = anomalies.deviations(self.view_level, self.view_spread)[:, 0]
        places = np.arange(len(scores))
        if len(places) == 1:
            return scores
        for fold in range(min(_N_FOLDS, len(places))):
            held = places % _N_FOLDS == fold
            term = self._of(self.base, others, anomalies.take(~held), normal)
            scores[held] = term._scores(anomalies.take(held))
        return scores

    def check_consistent(self, autoencoder: BaseAutoencoder | None = None) -> None:
        kinds = tuple(SCORES.values())
        sound = isinstance(self.base, kinds) and self._is_bounded() and self._has_shapes()
        if not sound or not self._has_own_forest():
            raise DataError("The model's score_ does not fit together.")
        self.base.check_consistent(autoencoder)
        if autoencoder is None:
            return
        module, n_views = autoencoder.module_, len(self.view_level) - 1
        by_view = isinstance(self.base, SurpriseScore)
        has_views = n_views == (getattr(module, "n_views", 1) if by_view else 1)
        if not has_views or len(self.weights) - n_views != module.likelihood.layout.width:
            raise DataError("The model's score_ is of rows of another width.")

    def _is_bounded(self) -> bool:
        numbers = (self.share, self.level, self.spread)
        arrays = (self.view_level, self.view_spread, self.center, self.scale, self.weights)
        return (
            all(isinstance(number, float) and abs(number) < _MOST for number in numbers)
            and all(array.dtype.kind == "f" and (np.abs(array) < _MOST).all() for array in arrays)
            and all((divisor > 0).all() for divisor in (self.view_spread, self.scale))
            and self.spread > 0
            and 0 < self.share < 1
            and isinstance(self.forest_share, float)
            and 0 <= self.forest_share < 1
        )

    def _has_shapes(self) -> bool:
        n_features, n_views = self.weights.shape, self.view_level.shape
        return (
            len(n_features) == len(n_views) == 1
            and self.center.shape == self.scale.shape == n_features
            and self.view_spread.shape == n_views
            and n_features[0] >= n_views[0] > 1
        )

    def _has_own_forest(self) -> bool:
        if self.forest is None:
            return self.forest_share == 0
        is_forest = isinstance(self.forest, AnomalyForest) and isinstance(self.forest.trees, Trees)
        return is_forest and self.forest.is_consistent(len(self.weights))

    def _standardised(self, features: _Features) -> np.ndarray:
        joined = features.joined(self.view_level, self.view_spread)
        return _standardised(joined, self.center, self.scale)

    def _odds(self, standardised: np.ndarray) -> np.ndarray:
        odds: np.ndarray = (standardised @ self.weights - self.level) / self.spread
        return odds.clip(*_SCORES)

    def _scores(self, features: _Features, odds: np.ndarray | None = None) -> np.ndarray:
        alike = self._odds(self._standardised(features))
        usual = features.deviations(self.view_level, self.view_spread)[:, 0]
        scores: np.ndarray = (1 - self.share) * usual + self.share * alike
        if self.forest is None:
            return scores
        if odds is None:
            odds = self.forest.odds(features.joined(self.view_level, self.view_spread))
        both: np.ndarray = (scores + _OFFSET) ** (1 - self.forest_share) * odds**self.forest_share
        return both - _OFFSET


def fit_labelled(
    name: str, autoencoder: BaseAutoencoder, X: Any, known: Known | None, places: np.ndarray
) -> Score:
    """Return the score of that name, with a term for the known anomalies where there are some.

    Parameters
    ----------
    name : str
        Name of the score without labels, or "auto".
    autoencoder : BaseAutoencoder
        Fitted to ``X``.
    X : array-like, DataFrame, Table or image stack
        Training rows.
    known : Known or None
        Known rows among all training rows.
    places : ndarray of int
        Places of ``X`` among all training rows.
    """
    base = fit_score(name, autoencoder, X)
    if known is None:
        return base
    here = known._replace(normal=known.normal[places])
    return LabelledScore.fit(base, autoencoder, X, here)


def _taken(X: Any, places: np.ndarray) -> Any:
    """Return some rows of an array or a frame, of the user's kind."""
    if isinstance(X, np.ndarray):
        return X[places]
    return take_rows(nw.from_native(X, eager_only=True, pass_through=False), places).to_native()


def _training_rows(
    base: UnlabelledScore, autoencoder: BaseAutoencoder, X: Any, known: Known
) -> tuple[_Features, np.ndarray]:
    """Return features of training rows, all known normal ones among them, and which these are."""
    places = np.flatnonzero(_chosen_rows(known.normal))
    some = X if len(places) == len(known.normal) else _taken(X, places)
    return _Features.of(base, autoencoder, some), known.normal[places]


def _chosen_rows(normal: np.ndarray) -> np.ndarray:
    """Return which training rows known anomalies are compared with: known normal ones, and some."""
    n_rows, chosen = len(normal), normal.copy()
    chosen[np.linspace(0, n_rows - 1, min(n_rows, _MAX_OTHERS)).astype(np.intp)] = True
    return chosen


def _group_weights(normal: np.ndarray, n_anomalies: int) -> np.ndarray:
    """Return weights of the training rows, of which some are known to be normal.

    All rows of a group together weigh as much as the anomalies, and none more than one.
    """
    weights = np.zeros(len(normal))
    for group in (normal, ~normal):
        weights[group] = min(1.0, n_anomalies / max(1, int(group.sum())))
    return weights


def _regression(rows: np.ndarray, marked: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients of a ridge logistic regression of known anomalies."""
    targets = np.repeat([0, 1], [len(rows), len(marked)])
    model = LogisticRegression(C=_PENALTY, max_iter=_MAX_STEPS)
    with config_context(array_api_dispatch=False):
        model.fit(
            np.vstack([rows, marked]), targets,
            sample_weight=np.concatenate([weights, np.ones(len(marked))]),
        )  # fmt: skip
    coefficients: np.ndarray = model.coef_[0]
    return coefficients


def _levels(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and the interquartile range, or the deviation where that is zero."""
    low, level, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high - low > _LEAST_SPREAD, high - low, values.std(0))
    return level, spread + _LEAST_SPREAD


def _moments(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the values of each column that are not NaN."""
    seen = ~np.isnan(values)
    count = seen.sum(0).clip(min=1)
    center = np.where(seen, values, 0.0).sum(0) / count
    spread = np.sqrt(np.where(seen, np.square(values - center), 0.0).sum(0) / count)
    return center, np.where(spread > _LEAST_SPREAD, spread, 1.0)


def _standardised(values: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return standardised values, zero where missing."""
    standardised = ((values - center) / scale).clip(-_MOST_FEATURE, _MOST_FEATURE)
    return np.where(np.isnan(standardised), 0.0, standardised)
