"""Missing cells are filled with what the autoencoder expects there."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import narwhals as nw
import numpy as np
from sklearn.base import OneToOneFeatureMixin, TransformerMixin

from latently._sklearn import Interval
from latently._validation import check_fitted
from latently.preprocessing import fill_missing
from latently.tasks._base import AutoencoderTask


@dataclass(kw_only=True, eq=False, repr=False)
class AutoencoderImputer(OneToOneFeatureMixin, TransformerMixin, AutoencoderTask):  # type: ignore[misc]
    """Fill missing cells by a denoising autoencoder; observed cells stay as they are.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Fitted here on a copy, or taken as it is when already fitted; None takes
        ``DenoisingAutoencoder()``, which learns to rebuild hidden cells from the others.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder; None leaves its own.
    n_iterations : int, default=1
        Passes. Each pass after the first shows the autoencoder the cells filled before, which
        helps models that never saw a gap in training.

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
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(200, 1)) * [1.0, 2.0, 3.0]
    >>> X[0, 2] = np.nan
    >>> filled = AutoencoderImputer(random_state=0).fit_transform(X)
    >>> bool(np.isnan(filled).any())
    False
    """

    n_iterations: int = 1

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "n_iterations": [Interval(Integral, 1, None, closed="left")],
    }

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the relations between columns.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows, with gaps or without.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted imputer.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        self._fit_autoencoder(X)
        return self

    def transform(self, X: Any) -> Any:
        """Fill the missing cells.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            Of the kind and types of ``X``. A column that held no value in ``fit`` stays missing.
        """
        check_fitted(self)
        given = X if nw.dependencies.is_into_dataframe(X) else _numbers(X)
        filled = given
        for _ in range(self.n_iterations):
            filled = fill_missing(given, self.autoencoder_.reconstruct(filled))
        return filled

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _numbers(X: Any) -> np.ndarray:
    array = np.asarray(X)
    return array if array.dtype.kind in "fiub" else array.astype(np.float64)
