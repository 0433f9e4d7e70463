"""Rows that cannot be rebuilt are anomalies."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from sklearn.base import OutlierMixin

from latently._sklearn import Interval, StrOptions
from latently._validation import check_fitted
from latently.estimators import BaseAutoencoder, DenoisingAutoencoder
from latently.tasks._base import AutoencoderTask

#: Tukey's fence: this many interquartile ranges below the lower quartile.
_FENCE = 1.5


@dataclass(kw_only=True, eq=False, repr=False)
class AnomalyDetector(OutlierMixin, AutoencoderTask):  # type: ignore[misc]  # sklearn is untyped
    """Flag rows that an autoencoder cannot rebuild.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Fitted here on a copy, or taken as it is when already fitted; None takes
        ``DenoisingAutoencoder()``: a cell that must be rebuilt without being seen betrays what a
        code that saw it would have copied.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder; None leaves its own.
    contamination : "auto" or float, default="auto"
        Share of the training rows to flag, in (0, 0.5]. "auto" flags scores beyond Tukey's
        fence, 1.5 interquartile ranges below the lower quartile of the training scores.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    offset_ : float
        Scores below it are anomalies.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1, 2, 3]
    >>> detector = AnomalyDetector(random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0], [9.0, -9.0, 9.0]])
    array([ 1, -1])
    """

    contamination: float | Literal["auto"] = "auto"

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "contamination": [Interval(Real, 0, 0.5, closed="right"), StrOptions({"auto"})],
    }

    _fitted_types: ClassVar[dict[str, type]] = {
        **AutoencoderTask._fitted_types,
        "offset_": float,
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        return DenoisingAutoencoder()

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is normal.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Mostly normal rows.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted detector.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        scores = self._fit_autoencoder(X).score_samples(X)
        if self.contamination == "auto":
            lower, upper = np.percentile(scores, [25, 75])
            self.offset_ = float(lower - _FENCE * (upper - lower))
        else:
            self.offset_ = float(np.percentile(scores, 100 * self.contamination))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Return how normal each row is.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            The autoencoder's score, in nats; higher is more normal.
        """
        check_fitted(self)
        return self.autoencoder_.score_samples(X)

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score less the threshold.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            Below zero is an anomaly.
        """
        scores = self.score_samples(X)
        return scores - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Flag anomalies.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of int, shape (n_samples,)
            -1 for an anomaly, 1 for a normal row.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)
