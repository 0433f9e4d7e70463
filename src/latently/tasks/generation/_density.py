"""The density of codes: mixtures of normals and kernels, as arrays."""

from __future__ import annotations

import math
import warnings
from typing import Literal, NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from latently.exceptions import DataError

DensityName = Literal["mixture", "kernel"]

#: Fewest rows that a mode of the mixture should explain.
_ROWS_PER_MODE = 20
#: Largest number of codes to fit a density, and to choose a bandwidth.
_MAX_ROWS, _JUDGED_ROWS = 20_000, 2_000
#: Candidate bandwidths, relative to Scott's rule.
_BANDWIDTHS = np.geomspace(0.1, 1.5, 16)
#: Numbers of a file lie between these.
_LEAST, _MOST = 1e-30, 1e15
#: Elements of a table of distances that are worked on at once.
_BLOCK = 1 << 22


class Density(NamedTuple):
    """Normals of their own places and weights, of which several may share a shape.

    Attributes
    ----------
    weights : ndarray of shape (n_modes,)
        Shares of the modes.
    means : ndarray of shape (n_modes, n_components)
        Their centres, in code units.
    factors : ndarray of shape (n_shapes, n_components, n_components)
        Cholesky factors of covariances.
    shapes : ndarray of int, shape (n_modes,)
        Which of the factors each mode has.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    shapes: np.ndarray

    def check_consistent(self, n_components: int) -> None:
        """Raise DataError if the parts do not belong together, as those of a file may not."""
        n_modes, n_shapes = len(self.weights), len(self.factors)
        shapes = self.shapes.dtype.kind in "iu" and self.shapes.shape == (n_modes,)
        fit = (
            self.weights.shape == (n_modes,)
            and self.means.shape == (n_modes, n_components)
            and self.factors.shape == (n_shapes, n_components, n_components)
            and shapes
            and set(self.shapes.tolist()) == set(range(n_shapes))
            and bool((np.abs(self.means) < _MOST).all() and (np.abs(self.factors) < _MOST).all())
            and bool((self.weights > 0).all() and abs(self.weights.sum() - 1) < 1e-6)
            and bool((np.diagonal(self.factors, axis1=1, axis2=2) > _LEAST).all())
            and not np.triu(self.factors, 1).any()
        )
        if not fit:
            raise DataError("The model's density of codes does not fit together.")

    def draw(self, n_samples: int, rng: np.random.Generator) -> np.ndarray:
        """Return codes drawn at random, (n_samples, n_components)."""
        modes = rng.choice(len(self.weights), n_samples, p=self.weights / self.weights.sum())
        noise = rng.standard_normal((n_samples, self.means.shape[1]))
        factors = self.factors[self.shapes[modes]]
        codes: np.ndarray = self.means[modes] + np.einsum("nij,nj->ni", factors, noise)
        return codes

    def log_density(self, codes: np.ndarray) -> np.ndarray:
        """Return the log density at each code, in nats."""
        terms = [self._of_shape(place, codes) for place in range(len(self.factors))]
        density: np.ndarray = logsumexp(terms, axis=0)
        return density

    def _of_shape(self, place: int, codes: np.ndarray) -> np.ndarray:
        """Return the log density of the modes of one shape, block by block."""
        factor, modes = self.factors[place], self.shapes == place
        places, centers = (np.linalg.solve(factor, r.T).T for r in (codes, self.means[modes]))
        logs = np.log(self.weights[modes])
        size = max(_BLOCK // len(centers), 1)
        blocks = [places[start : start + size] for start in range(0, len(places), size)]
        found = [
            logsumexp(logs - 0.5 * cdist(block, centers, "sqeuclidean"), axis=1) for block in blocks
        ]
        volume = np.log(np.diag(factor)).sum() + 0.5 * len(factor) * np.log(2 * np.pi)
        density: np.ndarray = np.concatenate(found) - volume
        return density


def fit_density(codes: np.ndarray, name: DensityName, n_modes: int, seed: int) -> Density:
    """Fit a density to codes.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, n_components)
        Codes, of which at most 20,000 are used.
    name : {"mixture", "kernel"}
        A mixture of at most ``n_modes`` normals, or a normal around every code.
    n_modes : int
        Number of components of the mixture, reduced if there are fewer than twenty codes each.
    seed : int
        Of the draw and of the mixture.

    Returns
    -------
    Density
        In the units of the codes.
    """
    if len(codes) > _MAX_ROWS:
        codes = np.random.default_rng(seed).permutation(codes)[:_MAX_ROWS]
    center, scale = codes.mean(0), np.maximum(codes.std(0), 1e-12)
    fit = {"mixture": _fit_mixture, "kernel": _fit_kernel}[name]
    found = fit((codes - center) / scale, n_modes, seed)
    return found._replace(
        means=found.means * scale + center, factors=found.factors * scale[:, None]
    )


def _fit_mixture(codes: np.ndarray, n_modes: int, seed: int) -> Density:
    n_modes = max(1, min(n_modes, len(codes) // _ROWS_PER_MODE))
    mixture = GaussianMixture(n_modes, reg_covar=1e-4, random_state=seed)
    # The mixture uses NumPy, regardless of the array library configured in scikit-learn.
    with warnings.catch_warnings(), config_context(array_api_dispatch=False):
        # A mixture that has not converged after 100 iterations is still a usable density.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(codes)
    factors = np.linalg.cholesky(mixture.covariances_)
    return Density(mixture.weights_, mixture.means_, factors, np.arange(n_modes))


def _fit_kernel(codes: np.ndarray, n_modes: int, seed: int) -> Density:
    """Fit a kernel density with the bandwidth of the largest leave-one-out likelihood [1]_.

    References
    ----------
    .. [1] Scott (2015), Multivariate Density Estimation, section 6.5.
    """
    n_codes, n_components = codes.shape
    covariance = np.cov(codes.T, bias=True).reshape(n_components, n_components)
    shape = np.linalg.cholesky(covariance + 1e-4 * np.eye(n_components))
    judged = np.random.default_rng(seed).permutation(n_codes)[:_JUDGED_ROWS]
    places = np.linalg.solve(shape, codes[judged].T).T
    squared = cdist(places, places, "sqeuclidean")
    np.fill_diagonal(squared, np.inf)  # a code does not vouch for itself
    scott = n_codes ** (-1 / (n_components + 4))
    widths = _BANDWIDTHS * scott
    scores = (
        [
            logsumexp(-0.5 * squared / width**2, axis=1).mean() - n_components * math.log(width)
            for width in widths
        ]
        if n_codes > 1
        else [0.0]
    )
    width = widths[int(np.argmax(scores))]
    every, same = np.full(n_codes, 1 / n_codes), np.zeros(n_codes, dtype=np.intp)
    return Density(every, codes, width * shape[None], same)
