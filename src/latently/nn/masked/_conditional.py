"""The normal distribution of encoded rows, and of missing elements given observed ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latently.nn._layers import identity
from latently.nn._module import Rows

#: Wider rows use a factor model, because the cost of the full covariance is cubic in the width.
FULL_WIDTH = 32
#: Largest number of factors. It is a quarter of the width, and at least 8.
_MAX_FACTORS = 24
_MAX_STEPS = 25
#: Largest number of rows in a fit.
_MAX_ROWS = 5_000
#: Weight of the prior of independent columns, as a fraction of the rows.
_PRIOR = 0.01
_LEAST_VARIANCE = 1e-3
_TOLERANCE = 1e-3
_JITTER = 1e-6
_CHUNK_ROWS = 2_048


def n_factors_of(width: int) -> int:
    """Return the number of factors for rows of this width, or 0 for a full covariance."""
    return 0 if width <= FULL_WIDTH else min(max(width // 4, 8), _MAX_FACTORS)


class ConditionalGaussian(nn.Module):
    r"""A normal distribution of rows with missing elements, fitted by expectation maximisation.

    With the observed elements :math:`o` and the missing elements :math:`m` of a row,
    :math:`E[x_m \mid x_o] = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o)` [1]_. Rows of more
    than 32 elements use a factor model, :math:`\Sigma = \Lambda\Lambda^T + \Psi` [2]_, whose cost
    is linear in the width.

    Parameters
    ----------
    width : int
        Number of elements of an encoded row.

    References
    ----------
    .. [1] Little and Rubin (2019), Statistical Analysis with Missing Data, chapter 11.
    .. [2] Ghahramani and Hinton (1996), The EM Algorithm for Mixtures of Factor Analyzers.
    """

    mean: Tensor
    covariance: Tensor
    loadings: Tensor
    noise: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.n_factors = n_factors_of(width)
        self.register_buffer("mean", torch.zeros(width))
        if self.n_factors:
            self.register_buffer("loadings", torch.zeros(width, self.n_factors))
            self.register_buffer("noise", torch.ones(width))
        else:
            self.register_buffer("covariance", identity(width))

    # ------------------------------------------------------------------ fitting
    @torch.no_grad()
    def fit(self, rows: Rows) -> None:
        """Fit mean and covariance to rows with missing elements.

        Parameters
        ----------
        rows : Rows
            Rows in random order. At most the first 5,000 are used.
        """
        rows = rows.take(slice(_MAX_ROWS))
        values = rows.values.double()
        seen = torch.ones_like(values) if rows.seen is None else rows.seen.double()
        count = seen.sum(0).clamp(min=1)
        mean = (values * seen).sum(0) / count
        variance = ((values - mean).square() * seen).sum(0) / count
        variance = variance.clamp(min=_LEAST_VARIANCE)
        if self.n_factors:
            self.mean.copy_(mean)
            self._fit_factors((values - mean) * seen, seen, variance)
        else:
            self._fit_full(values, seen, mean, variance)

    def _fit_full(self, values: Tensor, seen: Tensor, mean: Tensor, variance: Tensor) -> None:
        covariance, n_rows = variance.diag(), len(values)
        prior = _PRIOR * n_rows + 1
        for _ in range(_MAX_STEPS):
            filled, uncertainty = _expected(values, seen, mean, covariance)
            before, mean = covariance, filled.mean(0)
            centred = filled - mean
            scatter = centred.T @ centred + uncertainty
            shrunk = prior * (scatter.diag() / n_rows).clamp(min=_LEAST_VARIANCE).diag()
            covariance = (scatter + shrunk) / (n_rows + prior)
            if float((covariance - before).abs().max()) < _TOLERANCE:
                break
        self.mean.copy_(mean)
        self.covariance.copy_(covariance)

    def _fit_factors(self, centred: Tensor, seen: Tensor, variance: Tensor) -> None:
        n_factors = self.n_factors
        _, scale, vectors = torch.linalg.svd(centred, full_matrices=False)
        n_found = min(n_factors, len(scale))
        loadings = torch.zeros(len(variance), n_factors, dtype=centred.dtype)
        loadings[:, :n_found] = vectors[:n_found].T * (scale[:n_found] / len(centred) ** 0.5)
        noise = variance.clone()
        for _ in range(_MAX_STEPS):
            factors, inverse = _factors(centred, seen, loadings, noise)
            second = inverse + factors[:, :, None] * factors[:, None, :]
            moment = (seen.T @ second.flatten(1)).view(-1, n_factors, n_factors)
            cross = centred.T @ factors
            ridge = noise[:, None, None] * torch.eye(n_factors, dtype=noise.dtype)
            before = loadings
            loadings = torch.linalg.solve(moment + ridge, cross[:, :, None])[:, :, 0]
            explained = (loadings * cross).sum(1) / seen.sum(0).clamp(min=1)
            noise = torch.maximum(variance - explained, 0.02 * variance)
            if float((loadings - before).abs().max()) < _TOLERANCE:
                break
        self.loadings.copy_(loadings)
        self.noise.copy_(noise)

    # ------------------------------------------------------------------ results
    @torch.no_grad()
    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """Return rows with missing elements filled by their conditional mean.

        Parameters
        ----------
        values : Tensor of shape (batch, width)
            Rows, with any finite value where an element is missing.
        seen : Tensor of bool, shape (batch, width)
            True where an element was observed.

        Returns
        -------
        Tensor of shape (batch, width)
            Rows in which observed elements are unchanged.
        """
        weight = seen.to(values)
        centred = torch.where(seen, values - self.mean, 0.0)
        if self.n_factors:
            factors, _ = _factors(centred, weight, self.loadings, self.noise)
            expected = factors @ self.loadings.T
        else:
            factor = torch.linalg.cholesky(_seen_block(self.covariance, weight))
            solved = torch.cholesky_solve(centred[:, :, None], factor)[:, :, 0]
            expected = solved @ self.covariance
        return torch.where(seen, values, self.mean + expected)

    @property
    def full_covariance(self) -> Tensor:
        """The covariance, (width, width)."""
        if self.n_factors:
            return self.loadings @ self.loadings.T + self.noise.diag()
        return self.covariance

    def regression(self, column_of_element: Tensor) -> Tensor:
        """Return the coefficients of the regression of each column on all other columns.

        Parameters
        ----------
        column_of_element : Tensor of int, shape (width,)
            Index of the column of each element.

        Returns
        -------
        Tensor of shape (width, width)
            R such that mean + (x - mean) R is the expectation of each column given the others. The
            coefficients of a column's own elements are zero.
        """
        covariance = self.full_covariance.double()
        precision = torch.linalg.inv(covariance)
        own = column_of_element[:, None] == column_of_element
        # The inverse of the block-diagonal part, with one block for each column.
        blocks = torch.linalg.inv(torch.where(own, precision, 0.0))
        others = torch.where(own, 0.0, precision)
        regression: Tensor = (-others @ blocks).to(self.mean)
        return regression

    @property
    def n_noise(self) -> int:
        """Number of standard normal numbers from which a row of deviates is computed."""
        return len(self.mean) + self.n_factors

    def deviates(self, seen: Tensor, noise: Tensor) -> Tensor:
        """Return standard normal deviates with the conditional correlation of missing elements.

        Parameters
        ----------
        seen : Tensor of bool, shape (batch, width)
            True where an element was observed.
        noise : Tensor of shape (n_draws, batch, n_noise)
            Independent standard normal numbers.

        Returns
        -------
        Tensor of shape (n_draws, batch, width)
            Deviates of variance one. Their correlation is the correlation of the missing elements
            given the observed ones.
        """
        half = self._half_correlation(seen.double())
        noise = noise.double()
        common, single = noise[:, :, : half.shape[2]], noise[:, :, half.shape[2] :]
        drawn: Tensor = torch.einsum("bij,dbj->dbi", half, common)
        if self.n_factors:
            drawn = drawn + (1 - half.square().sum(2)).clamp(min=0).sqrt() * single
        return drawn

    def _half_correlation(self, weight: Tensor) -> Tensor:
        """Return a factor of the conditional correlation of each row, (batch, width, k)."""
        if self.n_factors:
            loadings, own = self.loadings.double(), self.noise.double()
            _, inverse = _factors(torch.zeros_like(weight), weight, loadings, own)
            half: Tensor = loadings @ torch.linalg.cholesky(inverse)
            scale = (half.square().sum(2) + own).rsqrt()
            return scale[:, :, None] * half
        covariance = self.covariance.double()
        factor = torch.linalg.cholesky(_seen_block(covariance, weight))
        cross = torch.linalg.solve_triangular(factor, weight[:, :, None] * covariance, upper=False)
        missing = 1 - weight
        left = (covariance - cross.mT @ cross) * missing[:, :, None] * missing[:, None, :]
        left = left + torch.diag_embed(weight + _JITTER)
        half = torch.linalg.cholesky(left)
        unit: Tensor = left.diagonal(dim1=1, dim2=2).rsqrt()[:, :, None] * half
        return unit


def _seen_block(covariance: Tensor, seen: Tensor) -> Tensor:
    """Return the covariance of the observed elements, with the identity for missing ones."""
    return covariance * (seen[:, :, None] * seen[:, None, :]) + torch.diag_embed(1 - seen)


def _expected(
    values: Tensor, seen: Tensor, mean: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Return rows filled by conditional means, and the sum of the conditional covariances."""
    filled, uncertainty = [], torch.zeros_like(covariance)
    chunks = zip(torch.split(values, _CHUNK_ROWS), torch.split(seen, _CHUNK_ROWS), strict=True)
    for part, weight in chunks:
        factor = torch.linalg.cholesky(_seen_block(covariance, weight))
        # One solve for the row and for its covariances with all elements.
        joint = torch.cat(
            [((part - mean) * weight)[:, :, None], weight[:, :, None] * covariance], 2
        )
        half = torch.linalg.solve_triangular(factor, joint, upper=False)
        row, cross = half[:, :, :1], half[:, :, 1:]
        expected = mean + (cross.mT @ row)[:, :, 0]
        filled.append(torch.where(weight > 0, part, expected))
        missing = 1 - weight
        left = (covariance - cross.mT @ cross) * missing[:, :, None] * missing[:, None, :]
        uncertainty += left.sum(0)
    return torch.cat(filled), uncertainty


def _factors(
    centred: Tensor, seen: Tensor, loadings: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """Return mean and covariance of the factors of each row, given its observed elements."""
    n_factors = loadings.shape[1]
    weighed = loadings / noise[:, None]
    products = (loadings[:, :, None] * weighed[:, None, :]).flatten(1)
    precision = (seen @ products).view(-1, n_factors, n_factors)
    precision = precision + torch.eye(n_factors, dtype=precision.dtype, device=precision.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    factors = (inverse @ (centred @ weighed)[:, :, None])[:, :, 0]
    return factors, inverse
