"""Codes as features for a supervised model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import TransformerMixin

from latently._validation import check_fitted
from latently.tasks._base import AutoencoderTask


@dataclass(kw_only=True, eq=False, repr=False)
class FeatureExtractor(TransformerMixin, AutoencoderTask):  # type: ignore[misc]  # sklearn is untyped
    """Turn rows into the code of an autoencoder, learnt without labels.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Fitted here on a copy, or taken as it is when already fitted; None takes
        ``DenoisingAutoencoder()``.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder; None leaves its own.
    include_error : bool, default=False
        True appends the reconstruction error of the row: how unlike the training rows it is.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(FeatureExtractor(random_state=0), LogisticRegression()).fit(X, y)
    >>> bool(model.score(X, y) > 0.8)
    True
    """

    include_error: bool = False

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "include_error": ["boolean"],
    }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the code; labels are not looked at.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted extractor.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        self._fit_autoencoder(X)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the code of each row.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples, n_components) or one column more
            The code, then the reconstruction error where asked for.
        """
        check_fitted(self)
        codes = self.autoencoder_.transform(X)
        if not self.include_error:
            return codes
        return np.column_stack([codes, self.autoencoder_.reconstruction_error(X)])

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the features.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the columns; only held against those of ``fit``.

        Returns
        -------
        ndarray of str
            The autoencoder's names of its components, then "reconstruction_error".
        """
        check_fitted(self)
        names: np.ndarray = self.autoencoder_.get_feature_names_out(input_features)
        return np.append(names, "reconstruction_error") if self.include_error else names

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
