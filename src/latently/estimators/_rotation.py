"""Rotation of the axes of a code to interpretable directions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from sklearn import config_context
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning

from latently.exceptions import DataError

RotationName = Literal["ica", "varimax"]

#: Components with less than this fraction of the largest standard deviation are not rotated.
_LEAST_SPREAD = 1e-4
_MAX_STEPS = 1_000


@dataclass(frozen=True, eq=False)
class Rotation:
    """An invertible linear map of codes.

    Parameters
    ----------
    method : {"ica", "varimax"}
        Method of the fit.
    center : ndarray of shape (n_components,)
        Mean that is subtracted first.
    matrix, inverse : ndarray of shape (n_components, n_components)
        Matrix of the map and its inverse.
    """

    method: RotationName
    center: np.ndarray
    matrix: np.ndarray
    inverse: np.ndarray

    def check_consistent(self) -> None:
        """Raise DataError if the attributes, such as those of a file, are inconsistent."""
        n = self.center.size
        sound = (
            self.center.shape == (n,)
            and self.matrix.shape == self.inverse.shape == (n, n)
            and all(part.dtype.kind == "f" for part in (self.center, self.matrix, self.inverse))
            and bool(np.isfinite(self.center).all() and np.abs(self.center).max(initial=0) < 1e30)
            and bool(np.abs(self.matrix).max(initial=0) < 1e30)
            and np.allclose(self.matrix @ self.inverse, np.eye(n), atol=1e-3)
        )
        if not sound:
            raise DataError("The rotation_ of the model is inconsistent. Save the model again.")

    @classmethod
    def fit(cls, method: RotationName, codes: np.ndarray, rows: np.ndarray) -> Self:
        """Fit independent axes (ICA [1]_), or axes on which few columns load (varimax [2]_).

        Parameters
        ----------
        method : {"ica", "varimax"}
            Method of the fit.
        codes : ndarray of shape (n_samples, n_components)
            Codes of the rows.
        rows : ndarray of shape (n_samples, width)
            Reconstructions of the rows.

        References
        ----------
        .. [1] Hyvarinen (1999), Fast and Robust Fixed-Point Algorithms for Independent Component
           Analysis.
        .. [2] Kaiser (1958), The Varimax Criterion for Analytic Rotation in Factor Analysis.
        """
        codes, center = codes.astype(np.float64), codes.astype(np.float64).mean(0)
        spread = codes.std(0)
        if not (np.isfinite(codes).all() and np.isfinite(rows).all() and spread.any()):
            raise DataError("The codes of these rows are all equal, or too large. Give other rows.")
        used = np.flatnonzero(spread > _LEAST_SPREAD * max(spread.max(), 1e-300))
        centred = (codes - center)[:, used]
        try:
            found = (_ica_axes if method == "ica" else _varimax_axes)(centred, rows)
        except ValueError:  # NumPy and scikit-learn raise it if squares overflow
            raise DataError(
                "The codes of these rows do not vary along enough axes. Give other rows."
            ) from None
        axes = centred @ found
        loadings = axes.T @ (rows - rows.mean(0)) / len(rows)
        strongest = np.argsort(-np.square(loadings).sum(1), kind="stable")
        sides = np.sign((axes**3).mean(0)) + (axes.std(0) == 0)
        matrix = np.eye(len(center))
        matrix[np.ix_(used, used)] = (found * np.where(sides == 0, 1, sides))[:, strongest]
        if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < len(matrix):
            raise DataError("The codes of these rows are too large to be rotated. Give other rows.")
        return cls(method, center, matrix, np.linalg.inv(matrix))

    def apply(self, codes: np.ndarray) -> np.ndarray:
        """Return codes on the new axes, in the precision of the codes."""
        return np.asarray((codes - self.center) @ self.matrix, dtype=codes.dtype)

    def undo(self, codes: np.ndarray) -> np.ndarray:
        """Return codes on the original axes, which the decoder expects."""
        return np.asarray(codes @ self.inverse + self.center, dtype=codes.dtype)


def _ica_axes(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if codes.shape[1] == 1:
        return _whitening(codes)
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        # Without convergence, axes are between equally good ones, and any of them will do.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica = FastICA(whiten="unit-variance", random_state=0, max_iter=_MAX_STEPS).fit(codes)
    return np.asarray(ica.components_.T)


def _varimax_axes(codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    white = _whitening(codes)
    loadings = (rows - rows.mean(0)).T @ (codes @ white) / len(rows)
    turn, before = np.eye(loadings.shape[1]), 0.0
    for _ in range(_MAX_STEPS):
        turned = loadings @ turn
        left, gains, right = np.linalg.svd(
            loadings.T @ (turned**3 - turned * np.square(turned).mean(0))
        )
        turn = left @ right
        if gains.sum() <= before * (1 + 1e-9):
            break
        before = gains.sum()
    return white @ turn


def _whitening(codes: np.ndarray) -> np.ndarray:
    """Return the matrix that gives codes unit covariance."""
    values, vectors = np.linalg.eigh(codes.T @ codes / len(codes))
    return np.asarray(vectors / np.sqrt(np.maximum(values, 1e-30)))
