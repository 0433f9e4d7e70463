"""Rubin's rules: one estimate from several imputations, with the error due to missing values."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from latently.exceptions import DataError, ParameterError


class Pooled(NamedTuple):
    """One estimate from several imputations.

    Attributes
    ----------
    estimate : ndarray
        Mean of the estimates.
    variance : ndarray
        Variance of ``estimate`` due to sampling and missing values.
    within : ndarray
        Mean variance of one estimate, as if its table had been complete.
    between : ndarray
        Variance of the estimates between imputations.
    degrees_of_freedom : ndarray
        Degrees of freedom of the t distribution of ``estimate``, infinite if the imputations agree.
    missing_information : ndarray
        Share of the information that the gaps took, from 0 to 1.
    """

    estimate: np.ndarray
    variance: np.ndarray
    within: np.ndarray
    between: np.ndarray
    degrees_of_freedom: np.ndarray
    missing_information: np.ndarray

    def interval(self, coverage: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Return the ends of a confidence interval.

        Parameters
        ----------
        coverage : float, default=0.95
            Chance to cover the true value, between 0 and 1. More makes it wider.

        Returns
        -------
        tuple of two ndarrays
            Lower and upper end.
        """
        if not 0 < coverage < 1:
            raise ParameterError(f"coverage must be between 0 and 1, got {coverage}. Try 0.95.")
        reach = stats.t.ppf((1 + coverage) / 2, self.degrees_of_freedom) * np.sqrt(self.variance)
        return self.estimate - reach, self.estimate + reach


def pool_estimates(estimates: ArrayLike, variances: ArrayLike) -> Pooled:
    r"""Combine the estimates from several imputed tables [1]_.

    .. math::

        \bar q = \tfrac1m \sum q_i, \quad
        T = \bar u + (1 + \tfrac1m)\, b, \quad
        \nu = (m - 1) \left(1 + \frac{\bar u}{(1 + 1/m)\, b}\right)^2

    with :math:`\bar u` the mean variance and :math:`b` the variance between the estimates.

    Parameters
    ----------
    estimates : array-like of shape (n_draws, ...)
        The estimate from each table: a mean, or the coefficients of a model.
    variances : array-like of shape (n_draws, ...)
        The squared standard error of each.

    Returns
    -------
    Pooled
        Estimate, variance and degrees of freedom, of the shape of one estimate.

    Raises
    ------
    DataError
        If there are fewer than two estimates, shapes differ, or a variance is negative.

    References
    ----------
    .. [1] Rubin (1987), Multiple Imputation for Nonresponse in Surveys, chapter 3.

    Examples
    --------
    >>> pooled = pool_estimates([2.0, 2.2, 1.8], [0.1, 0.1, 0.1])
    >>> round(float(pooled.estimate), 3), round(float(pooled.variance), 3)
    (2.0, 0.153)
    """
    values = np.asarray(estimates, dtype=np.float64)
    squares = np.asarray(variances, dtype=np.float64)
    if values.shape != squares.shape or values.ndim == 0:
        raise DataError(
            f"Each estimate needs a variance, got shapes {values.shape} and {squares.shape}. Give "
            "both from every table."
        )
    n_draws = len(values)
    if n_draws < 2:
        raise DataError(f"Pooling needs at least 2 estimates, got {n_draws}. Draw more tables.")
    if not (squares >= 0).all():
        raise DataError("A variance is negative or NaN. Give squared standard errors.")
    within, between = squares.mean(0), values.var(0, ddof=1)
    added = (1 + 1 / n_draws) * between
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (n_draws - 1) * np.square(1 + within / added)
        ratio = added / within
    freedom = np.where(added > 0, freedom, math.inf)
    ratio = np.where(within > 0, ratio, np.where(added > 0, math.inf, 0.0))
    with np.errstate(invalid="ignore"):
        lost = (ratio + 2 / (freedom + 3)) / (ratio + 1)
    lost = np.where(np.isinf(ratio), 1.0, lost)
    return Pooled(values.mean(0), within + added, within, between, freedom, lost)
