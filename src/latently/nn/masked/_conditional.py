"""The normal distribution of encoded rows: what is missing, given what was seen."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latently.nn._layers import identity
from latently.nn._module import Rows

#: Wider rows are described by factors: the full form costs the cube of the width a row.
FULL_WIDTH = 32
#: Factors of wide rows; a quarter of the width where that is less.
_MAX_FACTORS = 24
_MAX_STEPS = 25
#: Rows that a fit looks at.
_MAX_ROWS = 5_000
#: Weight of the prior that columns are independent, as a share of the rows.
_PRIOR = 0.01
_LEAST_VARIANCE = 1e-3
_TOLERANCE = 1e-3
_JITTER = 1e-6
_CHUNK_ROWS = 2_048


def n_factors_of(width: int) -> int:
    """Return how many factors describe rows of this width; zero for the full form."""
    return 0 if width <= FULL_WIDTH else min(max(width // 4, 8), _MAX_FACTORS)


class ConditionalGaussian(nn.Module):
    r"""Normal rows with gaps: mean and covariance by EM, a gap filled by its conditional mean.

    With :math:`o` what was seen of a row and :math:`m` what is missing,
    :math:`E[x_m \mid x_o] = \mu_m + \Sigma_{mo} \Sigma_{oo}^{-1} (x_o - \mu_o)` [1]_. Wide rows
    have :math:`\Sigma = \Lambda\Lambda^T + \Psi` with few factors [2]_, linear in the width.

    Parameters
    ----------
    width : int
        Elements of an encoded row.

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
        """Learn mean and covariance from rows with gaps.

        Parameters
        ----------
        rows : Rows
            The first of them are looked at; give them in random order.
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

    # ------------------------------------------------------------------ answers
    @torch.no_grad()
    def forward(self, values: Tensor, seen: Tensor) -> Tensor:
        """Return rows with their gaps filled by the conditional mean.

        Parameters
        ----------
        values : Tensor of shape (batch, width)
            Anything finite where an element is missing.
        seen : Tensor of bool, shape (batch, width)
            True where an element was seen.

        Returns
        -------
        Tensor of shape (batch, width)
            What was seen stays as it was.
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
        """Return what takes a complete row to each column expected from all the others.

        Parameters
        ----------
        column_of_element : Tensor of int, shape (width,)
            Elements of one column are expected together.

        Returns
        -------
        Tensor of shape (width, width)
            R such that mean + (x - mean) R is expected; no column's own elements weigh in it.
        """
        covariance = self.full_covariance.double()
        precision = torch.linalg.inv(covariance)
        own = column_of_element[:, None] == column_of_element
        # Within the blocks of the columns, the inverse; between them nothing.
        blocks = torch.linalg.inv(torch.where(own, precision, 0.0))
        others = torch.where(own, 0.0, precision)
        regression: Tensor = (-others @ blocks).to(self.mean)
        return regression

    @property
    def n_noise(self) -> int:
        """Standard normal numbers that a row of deviates is made of."""
        return len(self.mean) + self.n_factors

    def deviates(self, seen: Tensor, noise: Tensor) -> Tensor:
        """Return standard normal numbers that depend on each other as missing elements do.

        Parameters
        ----------
        seen : Tensor of bool, shape (batch, width)
            True where an element was seen.
        noise : Tensor of shape (n_draws, batch, n_noise)
            Independent standard normal numbers.

        Returns
        -------
        Tensor of shape (n_draws, batch, width)
            Each with variance one; their correlation is that of the missing elements, given those
            that were seen.
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
    """Return the covariance of what was seen of each row, and the identity for the rest."""
    return covariance * (seen[:, :, None] * seen[:, None, :]) + torch.diag_embed(1 - seen)


def _expected(
    values: Tensor, seen: Tensor, mean: Tensor, covariance: Tensor
) -> tuple[Tensor, Tensor]:
    """Return rows filled by their conditional means, and the summed conditional covariance."""
    filled, uncertainty = [], torch.zeros_like(covariance)
    chunks = zip(torch.split(values, _CHUNK_ROWS), torch.split(seen, _CHUNK_ROWS), strict=True)
    for part, weight in chunks:
        factor = torch.linalg.cholesky(_seen_block(covariance, weight))
        # Both the row and its covariance with everything, solved for at once.
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
    """Return mean and covariance of each row's factors, given what was seen of it."""
    n_factors = loadings.shape[1]
    weighed = loadings / noise[:, None]
    products = (loadings[:, :, None] * weighed[:, None, :]).flatten(1)
    precision = (seen @ products).view(-1, n_factors, n_factors)
    precision = precision + torch.eye(n_factors, dtype=precision.dtype, device=precision.device)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(precision))
    factors = (inverse @ (centred @ weighed)[:, :, None])[:, :, 0]
    return factors, inverse
