"""The variational autoencoder as a module: several draws of a code, and what they are worth."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latently.nn._batch_shard import draw_shard, uniform_like
from latently.nn._latents import Gaussian, log_mean_exp
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn._row_noise import row_noise, row_seeds

#: Share of the training that takes one draw. Then their number grows by the same factor in each
#: step, to all at the end: few teach as much while codes still move, at a fraction of the cost.
_ONE_DRAW = 0.5
#: Elements of decoded rows that are judged at once.
_ELEMENTS = 1 << 21


class VariationalModule(AutoencoderModule):
    """An autoencoder whose code is a normal distribution.

    Parameters
    ----------
    encoder, latent, decoder, likelihood, center
        As for any autoencoder; the latent is ``Gaussian``.
    n_importance : int, default=1
        Draws of the code of a row in training; 1 descends the ELBO, more the tighter bound of the
        importance weighted autoencoder [1]_; they grow to this number in the second half.
    binarize : bool, default=False
        Take each pixel for a coin with its grey level as chance, tossed anew in every batch.

    References
    ----------
    .. [1] Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders.
    """

    latent: Gaussian

    def __init__(
        self,
        encoder: nn.Module,
        latent: Gaussian,
        decoder: nn.Module,
        likelihood: Likelihood,
        center: Tensor,
        n_importance: int = 1,
        binarize: bool = False,
    ) -> None:
        super().__init__(encoder, latent, decoder, likelihood, center)
        self.n_importance, self.binarize = n_importance, binarize
        self._n_draws = 1

    @property
    def is_steady(self) -> bool:
        """True where every step of a training is the same computation on other numbers."""
        return self.n_importance == 1

    def begin_step(self, progress: float) -> None:
        """Hear which share of the training is over."""
        grown = max(0.0, (progress - _ONE_DRAW) / (1 - _ONE_DRAW))
        self._n_draws = round(self.n_importance**grown)

    def draw_code(self, cells: Cells) -> Tensor:
        """Draw one code a row from its posterior, by noise that belongs to the row."""
        noise = row_noise(row_seeds(cells.values.flatten(1)), 0, self.latent.n_components)
        hidden = self.hidden(cells)
        return self.latent.weighted_draw(hidden, noise.to(hidden))[0]

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the two parts of each row's loss; of several draws, the bound in one part."""
        if self.binarize:
            ones = uniform_like(target.values) < target.values
            target = target._replace(values=ones.to(target.values))
            inputs = inputs._replace(values=target.values)
        # Weights are chosen by one measure all through the training: that of its end.
        n_draws = self._n_draws if self.training else self.n_importance
        if n_draws == 1:
            return super().forward(inputs, target)
        hidden = self.hidden(inputs)
        noise = self._noise(n_draws, hidden)
        bound = log_mean_exp(self._evidence(hidden, noise, target))
        return RowLoss(-bound, torch.zeros_like(bound))

    def _noise(self, n_draws: int, hidden: Tensor) -> Tensor:
        """Return normal noise for each draw of each row, (n_draws, batch, n_components)."""
        size = self.latent.n_components

        def draw(n_rows: int) -> Tensor:
            noise = torch.randn(n_draws, n_rows, size, device=hidden.device, dtype=hidden.dtype)
            return noise.transpose(0, 1)

        return draw_shard(draw, len(hidden)).transpose(0, 1)

    def _evidence(self, hidden: Tensor, noise: Tensor, target: Cells) -> Tensor:
        """Return log p(x, z) - log q(z|x) of each draw of each row, (n_draws, batch)."""
        n_draws = len(noise)
        sample, log_weight = self.latent.weighted_draw(
            hidden.repeat(n_draws, 1), noise.flatten(0, 1)
        )
        rows = target.values.flatten(1).repeat(n_draws, 1)
        seen = None if target.observed is None else target.observed.repeat(n_draws, 1)
        losses = self.likelihood(self.decode(sample), rows, seen).sum(1)
        evidence: Tensor = (log_weight - losses).view(n_draws, len(hidden))
        return evidence

    def log_evidence(self, cells: Cells, n_draws: int) -> Tensor:
        """Bound log p(x) from below by importance sampling [1]_; one draw gives the ELBO.

        Parameters
        ----------
        cells : Cells
            Rows to judge.
        n_draws : int
            Draws from the posterior of each row. They depend on nothing but the row, so that it
            scores alone as it does in company.

        Returns
        -------
        Tensor of shape (batch,)
            In nats.

        References
        ----------
        .. [1] Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders.
        """
        hidden, seeds = self.hidden(cells), row_seeds(cells.values.flatten(1))
        n_rows, size = len(hidden), self.latent.n_components
        at_once = max(1, min(n_draws, _ELEMENTS // (n_rows * self.likelihood.layout.width)))
        terms = []
        for block in range(-(-n_draws // at_once)):
            noise = row_noise(seeds, block, at_once * size).to(hidden)
            noise = noise.view(n_rows, at_once, size).transpose(0, 1)
            terms.append(self._evidence(hidden, noise, cells))
        return log_mean_exp(torch.cat(terms)[:n_draws])
