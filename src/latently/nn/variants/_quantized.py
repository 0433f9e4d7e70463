"""Codes from a codebook: vector quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latently.exceptions import ParameterError
from latently.nn._batch_shard import whole_batch
from latently.nn._latents import Code, Latent

#: A codeword that stands for less than this part of an even share is moved to a row of the batch.
_LEAST_SHARE = 0.01
_TINY = 1e-12


@dataclass(frozen=True)
class VectorQuantization:
    """Codes from a codebook that is learnt with the network [1]_.

    The components of the encoder's output are split into ``n_groups`` parts of equal size. Each
    part is replaced with the nearest codeword of its own codebook:

    1. The decoder sees the codewords; the gradient passes to the encoder unchanged
       (straight-through).
    2. Each codeword is the exponential moving average of the parts that are nearest to it.
    3. A codeword that is hardly used any more is moved to a random row of the batch.
    4. ``commitment`` times the squared distance from encoder output to codeword is added to the
       loss of each row.

    ``history_`` holds the ``perplexity`` of the codewords at each evaluation, averaged over the
    groups: ``n_codes`` if all are used equally often, 1 if one is used always.

    Parameters
    ----------
    n_codes : int, default=64
        Codewords of each codebook, at least 2. More rebuild better and need more rows.
    n_groups : int, default=1
        Codebooks. It must divide ``n_components``. A row has one of ``n_codes ** n_groups`` codes.
    commitment : float, default=0.25
        Weight of the distance to the codeword. More keeps the encoder closer to the codebook.
    decay : float, default=0.99
        Share of the old average that is kept in each step, in [0, 1). More moves codewords more
        slowly.

    References
    ----------
    .. [1] van den Oord, Vinyals and Kavukcuoglu (2017), Neural Discrete Representation Learning.

    Examples
    --------
    >>> import numpy as np
    >>> from latently import Autoencoder
    >>> from latently.nn import VectorQuantization
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> model = Autoencoder(2, latent=VectorQuantization(8), max_epochs=5, random_state=0).fit(X)
    >>> len(np.unique(model.transform(X), axis=0)) <= 8
    True
    """

    n_codes: int = 64
    n_groups: int = 1
    commitment: float = 0.25
    decay: float = 0.99

    def __call__(self, n_components: int) -> QuantizedLatent:
        """Return the latent of a code of ``n_components`` numbers."""
        if n_components % self.n_groups:
            raise ParameterError(
                f"n_groups must divide n_components={n_components}, got {self.n_groups}. Choose a "
                "divisor."
            )
        return QuantizedLatent(
            n_components, self.n_codes, self.n_groups, self.commitment, self.decay
        )

    def __post_init__(self) -> None:
        bounds = {
            "n_codes": (self.n_codes >= 2, "at least 2"),
            "n_groups": (self.n_groups >= 1, "at least 1"),
            "commitment": (0 <= self.commitment < float("inf"), "finite and at least 0"),
            "decay": (0 <= self.decay < 1, "in [0, 1)"),
        }
        for name, (is_right, condition) in bounds.items():
            if not is_right:
                raise ParameterError(
                    f"{name} must be {condition}, got {getattr(self, name)}. Change it."
                )


class QuantizedLatent(Latent):
    """The latent of ``VectorQuantization``."""

    codebook: Tensor
    counts: Tensor
    sums: Tensor
    frequencies: Tensor

    def __init__(
        self, n_components: int, n_codes: int, n_groups: int, commitment: float, decay: float
    ) -> None:
        super().__init__(n_components, weight=commitment)
        self.n_groups = n_groups
        self.decay = decay
        shape = n_groups, n_codes
        self.register_buffer("codebook", torch.zeros(*shape, n_components // n_groups))
        self.register_buffer("sums", torch.zeros(*shape, n_components // n_groups))
        self.register_buffer("counts", torch.zeros(shape))
        self.register_buffer("frequencies", torch.full(shape, 1 / n_codes))

    def forward(self, hidden: Tensor) -> Code:
        parts = self._parts(hidden)
        nearest = self._nearest(parts)
        # Each group looks up its own codebook.
        words = self.codebook.gather(1, nearest.unsqueeze(2).expand_as(parts))
        value = words.transpose(0, 1).reshape(hidden.shape)
        penalty = (hidden - value).square().sum(1)
        if self.training:
            self._learn(whole_batch(hidden.detach()))
        return Code(value, hidden + (value - hidden).detach(), penalty)

    def _parts(self, hidden: Tensor) -> Tensor:
        """Return the parts of each group, shape (n_groups, batch, n_components / n_groups)."""
        return hidden.view(len(hidden), self.n_groups, -1).transpose(0, 1)

    def _nearest(self, parts: Tensor) -> Tensor:
        """Return the place of the nearest codeword of each part, shape (n_groups, batch)."""
        # Pair by pair: a product of matrices rounds by the place of a row in its batch.
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(parts.detach(), self.codebook, compute_mode=exact)
        return distances.argmin(2)

    def _taken(self, parts: Tensor) -> Tensor:
        """Return 1 at the nearest codeword, else 0, shape (n_groups, batch, n_codes)."""
        empty = parts.new_zeros(*parts.shape[:2], self.counts.shape[1])
        return empty.scatter_(2, self._nearest(parts).unsqueeze(2), 1.0)

    @torch.no_grad()
    def _learn(self, rows: Tensor) -> None:
        """Move the codewords towards the rows of a batch."""
        parts = self._parts(rows)
        taken = self._taken(parts)
        self.counts.mul_(self.decay).add_(taken.sum(1), alpha=1 - self.decay)
        self.sums.mul_(self.decay).add_(taken.transpose(1, 2) @ parts, alpha=1 - self.decay)
        n_codes = self.counts.shape[1]
        even = self.counts.sum(1, keepdim=True) / n_codes
        stale = self.counts <= _LEAST_SHARE * even
        drawn = torch.randint(len(rows), stale.shape, device=rows.device)
        fresh = parts.gather(1, drawn.unsqueeze(2).expand_as(self.codebook))
        self.counts.copy_(torch.where(stale, even, self.counts))
        fresh_sums = fresh * even.unsqueeze(2)
        self.sums.copy_(torch.where(stale.unsqueeze(2), fresh_sums, self.sums))
        self.codebook.copy_(self.sums / self.counts.clamp(min=_TINY).unsqueeze(2))

    def metrics(self, hidden: Tensor) -> dict[str, float]:
        shares = self._taken(self._parts(hidden)).mean(1)
        entropy = -torch.xlogy(shares, shares).sum(1)
        return {"perplexity": float(entropy.exp().mean())}

    def fit_prior(self, hidden: Tensor) -> None:
        self.frequencies.copy_(self._taken(self._parts(hidden)).mean(1))

    def draw(self, n_samples: int) -> Tensor:
        """Draw codewords by their frequency in the training rows, each group independently."""
        drawn = torch.multinomial(self.frequencies, n_samples, replacement=True)
        places = drawn.unsqueeze(2).expand(-1, -1, self.codebook.shape[2])
        return self.codebook.gather(1, places).transpose(0, 1).reshape(n_samples, -1)
