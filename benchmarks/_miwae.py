"""MIWAE, the peer whose draws ours are held against [Mattei and Frellsen 2019]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal, StudentT

_HIDDEN, _LATENTS, _IMPORTANCE = 128, 10, 20
_EPOCHS, _BATCH, _SAMPLES = 400, 64, 1_000
_CHUNK = 128


class Miwae:
    """A variational autoencoder with gaps, by an importance weighted bound.

    The networks, the Student likelihood and the number of importance samples are the paper's;
    inputs are standardised, gaps are zero.

    Parameters
    ----------
    seed : int
        Of weights and draws.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def fit(self, X: np.ndarray) -> Miwae:
        """Train on rows with NaN in their gaps."""
        torch.manual_seed(self.seed)
        self.mean, self.scale = np.nanmean(X, 0), np.nanstd(X, 0) + 1e-9
        values, seen = self._read(X)
        n_columns = X.shape[1]
        self.encoder = _network(n_columns, 2 * _LATENTS)
        self.decoder = _network(_LATENTS, 3 * n_columns)
        parameters = [*self.encoder.parameters(), *self.decoder.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        for _ in range(_EPOCHS):
            for rows in torch.randperm(len(values)).split(_BATCH):
                log_weight, _, _ = self._weigh(values[rows], seen[rows], _IMPORTANCE)
                loss = -torch.logsumexp(log_weight, 0).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return self

    def _weigh(self, values: Tensor, seen: Tensor, n: int) -> tuple[Tensor, Tensor, StudentT]:
        location, spread = self.encoder(values).chunk(2, -1)
        posterior = Independent(Normal(location, nn.functional.softplus(spread) + 1e-4), 1)
        latent = posterior.rsample((n,))
        prior = Independent(Normal(torch.zeros(_LATENTS), torch.ones(_LATENTS)), 1)
        center, scale, freedom = self.decoder(latent).chunk(3, -1)
        softplus = nn.functional.softplus
        likelihood = StudentT(softplus(freedom) + 3, center, softplus(scale) + 1e-3)
        given = torch.where(seen, likelihood.log_prob(values), 0.0).sum(-1)
        return given + prior.log_prob(latent) - posterior.log_prob(latent), center, likelihood

    @torch.no_grad()
    def answer(self, X: np.ndarray, n_draws: int) -> tuple[np.ndarray, np.ndarray]:
        """Return expected rows, and draws of shape (n_draws, n, d), by importance sampling."""
        values, seen = self._read(X)
        means, draws = [], []
        for part, known in zip(values.split(_CHUNK), seen.split(_CHUNK), strict=True):
            log_weight, center, likelihood = self._weigh(part, known, _SAMPLES)
            weight = log_weight.softmax(0)
            means.append(torch.einsum("lb,lbd->bd", weight, center))
            chosen = torch.multinomial(weight.T, n_draws, replacement=True).T
            sampled = likelihood.sample()
            draws.append(sampled.gather(0, chosen[:, :, None].expand(-1, -1, X.shape[1])))
        mean, drawn = torch.cat(means).numpy(), torch.cat(draws, 1).numpy()
        return mean * self.scale + self.mean, drawn * self.scale + self.mean

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Fill gaps by what is expected."""
        return np.where(np.isnan(X), self.answer(X, 1)[0], X)

    def _read(self, X: np.ndarray) -> tuple[Tensor, Tensor]:
        standard = (X - self.mean) / self.scale
        values = torch.tensor(np.nan_to_num(standard), dtype=torch.float32)
        return values, torch.tensor(~np.isnan(X))


def _network(n_in: int, n_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(n_in, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
        nn.Linear(_HIDDEN, n_out),
    )  # fmt: skip
