"""New rows from the density of the codes."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
import torch
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from latently._sklearn import Interval, check_parameters
from latently._validation import check_fitted, read_seed
from latently.estimators import BaseAutoencoder, VariationalAutoencoder, seeded
from latently.tasks._base import AutoencoderTask

#: Fewest rows that a mode of the mixture should explain.
_ROWS_PER_MODE = 20
_MAX_ROWS = 20_000


@dataclass(kw_only=True, eq=False, repr=False)
class LatentSampler(AutoencoderTask):
    """Generate rows: a mixture of normals is fitted to the codes, drawn from and decoded [1]_.

    Works with any autoencoder, also those without a prior; a variational one gains where its codes
    do not fill the prior.

    Parameters
    ----------
    autoencoder : autoencoder or None, default=None
        Fitted here on a copy, or taken as it is when already fitted; None takes
        ``VariationalAutoencoder()``.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder and of the mixture.
    n_modes : int, default=10
        Most normals in the mixture; fewer where there are under twenty rows each. More follows
        the codes closer.

    Attributes
    ----------
    autoencoder_ : autoencoder
        The fitted autoencoder.
    weights_ : ndarray of shape (n_modes,)
        Shares of the modes.
    means_ : ndarray of shape (n_modes, n_components)
        Their centres, in code units.
    factors_ : ndarray of shape (n_modes, n_components, n_components)
        Cholesky factors of their covariances.
    n_features_in_ : int
        Columns seen in ``fit``.
    feature_names_in_ : ndarray of str
        Names of the columns, where the input had them.

    References
    ----------
    .. [1] Ghosh et al. (2020), From Variational to Deterministic Autoencoders.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> sampler = LatentSampler(random_state=0).fit(load_iris().data)
    >>> sampler.sample(5, random_state=0).shape
    (5, 4)
    """

    n_modes: int = 10

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **AutoencoderTask._parameter_constraints,
        "n_modes": [Interval(Integral, 1, None, closed="left")],
    }

    _fitted_types: ClassVar[dict[str, type]] = {
        **AutoencoderTask._fitted_types,
        "weights_": np.ndarray,
        "means_": np.ndarray,
        "factors_": np.ndarray,
    }

    def _default_autoencoder(self) -> BaseAutoencoder:
        return VariationalAutoencoder()

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the density of the codes.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows to imitate.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted sampler.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        codes = self._fit_autoencoder(X)._draw_codes(X).astype(np.float64)
        seed = read_seed(self.random_state)
        if len(codes) > _MAX_ROWS:
            codes = np.random.default_rng(seed).permutation(codes)[:_MAX_ROWS]
        center, scale = codes.mean(0), np.maximum(codes.std(0), 1e-12)
        n_modes = max(1, min(self.n_modes, len(codes) // _ROWS_PER_MODE))
        mixture = GaussianMixture(n_modes, reg_covar=1e-4, random_state=seed)
        # The mixture is NumPy's, whatever array library scikit-learn was told to use.
        with warnings.catch_warnings(), config_context(array_api_dispatch=False):
            # A mixture that has not settled after 100 rounds still imitates the codes.
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture.fit((codes - center) / scale)
        self.weights_ = mixture.weights_
        self.means_ = mixture.means_ * scale + center
        self.factors_ = np.linalg.cholesky(mixture.covariances_) * scale[:, None]
        return self

    def sample(
        self, n_samples: int = 1, *, random_state: int | np.random.RandomState | None = None
    ) -> Any:
        """Generate rows.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to generate.
        random_state : int, RandomState or None, default=None
            Seed; None differs from call to call.

        Returns
        -------
        ndarray, DataFrame, Table or image stack
            In the columns, types and units of ``fit``.
        """
        check_fitted(self)
        limits = {"n_samples": [Interval(Integral, 1, None, closed="left")]}
        check_parameters(limits, {"n_samples": n_samples}, "LatentSampler.sample")
        seed = read_seed(random_state)
        rng = np.random.default_rng(seed)
        modes = rng.choice(len(self.weights_), n_samples, p=self.weights_ / self.weights_.sum())
        noise = rng.standard_normal((n_samples, self.means_.shape[1]))
        codes = self.means_[modes] + np.einsum("nij,nj->ni", self.factors_[modes], noise)
        with seeded(seed), torch.no_grad():
            return self.autoencoder_._generate(torch.from_numpy(codes).float())

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the log density of each row's code under the mixture.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.

        Returns
        -------
        ndarray of shape (n_samples,)
            In nats; higher is more typical.
        """
        check_fitted(self)
        codes = self.autoencoder_.transform(X).astype(np.float64)
        terms = [
            np.log(weight) + _log_normal(codes - mean, factor)
            for weight, mean, factor in zip(self.weights_, self.means_, self.factors_, strict=True)
        ]
        density: np.ndarray = logsumexp(terms, axis=0)
        return density


def _log_normal(centered: np.ndarray, factor: np.ndarray) -> np.ndarray:
    whitened = np.linalg.solve(factor, centered.T)
    log_determinant = np.log(np.diag(factor)).sum()
    constant = 0.5 * len(factor) * np.log(2 * np.pi)
    log_density: np.ndarray = -0.5 * np.square(whitened).sum(0) - log_determinant - constant
    return log_density
