"""Anomaly scores of rows, as different sums of the errors of their cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from sklearn import config_context
from sklearn.covariance import ledoit_wolf

from latently.estimators import (
    BaseAutoencoder,
    cell_surprise_of,
    fitted_of,
    surprise_by_view_of,
    tags_of,
)
from latently.exceptions import DataError, ParameterError

#: Largest width of rows with a full covariance. Wider rows use only its diagonal.
_MAX_CORRELATED_WIDTH = 1_024
#: Rows from which the covariance of residuals is estimated.
_MAX_COVARIANCE_ROWS = 20_000
#: Largest weight of a residual that a file may hold.
_MOST = 1e30


def is_positive(matrix: np.ndarray) -> bool:
    """Return True for a symmetric matrix whose eigenvalues are above zero."""
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return np.allclose(matrix, matrix.T, rtol=1e-6, atol=1e-6 * np.abs(matrix).max())


class Score(Protocol):
    """An anomaly score of rows, computed by a fitted autoencoder."""

    def rows(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        """Return the anomaly score of each row, shape (n_samples,). Higher is more unusual."""
        ...

    def cells(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        """Return the contribution of each cell, in the user's order of columns."""
        ...

    def check_consistent(self, autoencoder: BaseAutoencoder | None = None) -> None:
        """Raise LatentlyError if the score is not one of this autoencoder."""
        ...


class UnlabelledScore(Score, Protocol):
    """A score that is learnt from rows without labels."""

    @classmethod
    def fit(cls, autoencoder: BaseAutoencoder, X: Any) -> Self:
        """Fit the score to mostly normal rows."""
        ...

    def views(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        """Return ``rows`` and the statistics that they are made of, (n_samples, 1 + n_views)."""
        ...


class OneView:
    """A score that is made of no other statistics than itself."""

    def views(self: Score, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return np.repeat(self.rows(autoencoder, X)[:, None], 2, axis=1)


@dataclass(frozen=True)
class ReconstructionScore(OneView):
    """The mean half deviance of a row's cells, in nats a column."""

    @classmethod
    def fit(cls, autoencoder: BaseAutoencoder, X: Any) -> Self:
        return cls()

    def rows(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return autoencoder.reconstruction_error(X)

    def cells(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return autoencoder.reconstruction_error(X, per_feature=True)

    def check_consistent(self, autoencoder: BaseAutoencoder | None = None) -> None:
        if autoencoder is not None:
            self.fit(autoencoder, None)


@dataclass(frozen=True)
class ElboScore(ReconstructionScore):
    """Minus the bound of a variational model on the log-likelihood of a row."""

    @classmethod
    def fit(cls, autoencoder: BaseAutoencoder, X: Any) -> Self:
        if "elbo" not in tags_of(autoencoder).scorings:
            raise ParameterError(
                f'scoring="elbo" needs a VariationalAutoencoder, got {type(autoencoder).__name__}. '
                'Give autoencoder=VariationalAutoencoder(), or scoring="auto".'
            )
        return cls()

    def rows(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return -autoencoder.score_samples(X)


@dataclass(frozen=True)
class SurpriseScore:
    """The surprise of a neighbor autoencoder in standard deviations. A usual cell has one."""

    @classmethod
    def fit(cls, autoencoder: BaseAutoencoder, X: Any) -> Self:
        if "surprise" not in tags_of(autoencoder).scorings:
            raise ParameterError(
                f'scoring="surprise" needs a NeighborAutoencoder, got '
                f'{type(autoencoder).__name__}. Leave autoencoder out, or give scoring="auto".'
            )
        return cls()

    def rows(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return -autoencoder.score_samples(X)

    def cells(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        surprise = fitted_of(autoencoder).infer(X, cell_surprise_of)
        return autoencoder.preprocessor_.in_order(surprise)

    def views(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        return fitted_of(autoencoder).infer(X, surprise_by_view_of)

    def check_consistent(self, autoencoder: BaseAutoencoder | None = None) -> None:
        if autoencoder is not None:
            self.fit(autoencoder, None)


@dataclass(frozen=True, eq=False)
class EnergyScore(OneView):
    r"""The Mahalanobis length of the residual, :math:`r^T \Sigma^{-1} r` a column.

    Residuals are weighted by the inverse covariance of the training residuals. A residual weighs
    more in a column with small errors, or against the usual correlations. The covariance is
    shrunk towards a multiple of the identity [1]_.

    Parameters
    ----------
    precision : ndarray of shape (width, width) or (width,)
        Inverse second moments of the residuals, or only the diagonal for wide rows.

    References
    ----------
    .. [1] Ledoit and Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance
       Matrices.
    """

    precision: np.ndarray

    @classmethod
    def fit(cls, autoencoder: BaseAutoencoder, X: Any) -> Self:
        residuals = fitted_of(autoencoder).residuals(X)[:_MAX_COVARIANCE_ROWS].astype(np.float64)
        least = 1e-6 * float(np.mean(np.square(residuals))) + 1e-12
        if residuals.shape[1] > _MAX_CORRELATED_WIDTH:
            return cls(1.0 / (np.square(residuals).mean(0) + least))
        with config_context(array_api_dispatch=False):
            covariance, _ = ledoit_wolf(residuals, assume_centered=True)
        return cls(np.linalg.inv(covariance + least * np.eye(len(covariance))))

    def rows(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        total = self._elements(autoencoder, X).sum(1)
        observed = fitted_of(autoencoder).observed(X)
        n_columns = autoencoder.preprocessor_.layout.n_columns
        energy: np.ndarray = total / (n_columns if observed is None else observed.sum(1).clip(1))
        return energy

    def cells(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        elements = self._elements(autoencoder, X)
        starts = autoencoder.preprocessor_.layout.first_elements
        cells = np.add.reduceat(elements, starts, axis=1)
        return autoencoder.preprocessor_.in_order(cells)

    def check_consistent(self, autoencoder: BaseAutoencoder | None = None) -> None:
        width = (
            len(self.precision) if autoencoder is None else autoencoder.preprocessor_.layout.width
        )
        matrix, is_full = self.precision, self.precision.ndim == 2
        sound = (
            matrix.shape in ((width,), (width, width))
            and matrix.dtype.kind == "f"
            and bool((np.abs(matrix) < _MOST).all())
            and (is_positive(matrix) if is_full else bool((matrix >= 0).all()))
        )
        if not sound:
            raise DataError("The model's score_ does not fit together.")

    def _elements(self, autoencoder: BaseAutoencoder, X: Any) -> np.ndarray:
        """Return the contribution of each element to the energy of its row."""
        residuals = fitted_of(autoencoder).residuals(X).astype(np.float64)
        if self.precision.ndim == 1:
            energies: np.ndarray = np.square(residuals) * self.precision
            return energies
        weighed: np.ndarray = residuals * (residuals @ self.precision)
        return weighed


#: The scores by name.
SCORES: dict[str, type[UnlabelledScore]] = {
    "reconstruction": ReconstructionScore,
    "energy": EnergyScore,
    "elbo": ElboScore,
    "surprise": SurpriseScore,
}


def fit_score(name: str, autoencoder: BaseAutoencoder, X: Any) -> UnlabelledScore:
    """Return the score of that name; "auto" is the best that the autoencoder offers."""
    if name == "auto":
        name = tags_of(autoencoder).scorings[0]
    return SCORES[name].fit(autoencoder, X)
