"""The variational autoencoder as a module, with importance-weighted bounds of the likelihood."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latently.nn._batch_shard import draw_shard, uniform_like
from latently.nn._latents import Gaussian, log_mean_exp
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells, RowLoss
from latently.nn._row_noise import row_noise, row_seeds

#: Fraction of the training with a single draw. Afterwards the number of draws grows geometrically
#: to its final value. Early steps need few draws, because the codes still change.
_ONE_DRAW = 0.5
#: Number of elements of decoded rows that are computed at once.
_ELEMENTS = 1 << 21


class VariationalModule(AutoencoderModule):
    """An autoencoder whose code is a normal distribution.

    Parameters
    ----------
    encoder, latent, decoder, likelihood, center
        Parts of the autoencoder, as for ``AutoencoderModule``. The latent is ``Gaussian``.
    n_importance : int, default=1
        Number of draws from the posterior of each row in training. With 1, the loss is the negative
        ELBO. With more, it is the tighter bound of the importance weighted autoencoder [1]_, and
        the number of draws grows to this value in the second half of the training.
    binarize : bool, default=False
        If True, treat each pixel as a Bernoulli variable whose probability is its grey level,
        resampled in every batch.

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
        """True if every training step is the same computation on other values."""
        return self.n_importance == 1

    def begin_step(self, progress: float) -> None:
        """Set the number of draws from the training progress in [0, 1]."""
        grown = max(0.0, (progress - _ONE_DRAW) / (1 - _ONE_DRAW))
        self._n_draws = round(self.n_importance**grown)

    def draw_code(self, cells: Cells) -> Tensor:
        """Draw a code for each row from its posterior, with noise generated from the row."""
        noise = row_noise(row_seeds(cells.values.flatten(1)), 0, self.latent.n_components)
        hidden = self.hidden(cells)
        return self.latent.weighted_draw(hidden, noise.to(hidden))[0]

    def forward(self, inputs: Cells, target: Cells) -> RowLoss:
        """Return the loss of each row.

        With one draw, its two parts are separate. With several draws, the negative bound is the
        reconstruction loss, and the penalty is zero.
        """
        if self.binarize:
            ones = uniform_like(target.values) < target.values
            target = target._replace(values=ones.to(target.values))
            inputs = inputs._replace(values=target.values)
        # The validation loss uses the final number of draws, so that it is comparable over time.
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
        """Return a lower bound of log p(x) by importance sampling [1]_; one draw gives the ELBO.

        Parameters
        ----------
        cells : Cells
            Rows to score.
        n_draws : int
            Number of draws from the posterior of each row. More draws give a tighter bound. The
            draws depend on the row only, so that the result does not depend on the batch.

        Returns
        -------
        Tensor of shape (batch,)
            Lower bounds in nats.

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
