"""Latents: the bottleneck between encoder and decoder, which defines the kind of autoencoder."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from latently.exceptions import ParameterError
from latently.nn._batch_shard import batch_mean, draw_shard, normal_like
from latently.nn._layers import identity

#: With more components than this, the fitted prior of a deterministic code has a diagonal
#: covariance.
_FULL_COVARIANCE_LIMIT = 512


class Code(NamedTuple):
    """Code that a latent computes from the encoder's output.

    Attributes
    ----------
    value : Tensor of shape (batch, n_components)
        The code that ``transform`` returns.
    sample : Tensor of shape (batch, n_components)
        The decoder's input.
    penalty : Tensor of shape (batch,)
        Unweighted penalty: KL in nats, L1 in code units, zero for a plain code.
    """

    value: Tensor
    sample: Tensor
    penalty: Tensor


class Latent(nn.Module, ABC):
    """Turn the encoder's output into a code.

    Parameters
    ----------
    n_components : int
        Size of the code.
    weight : float, default=0.0
        Factor of the penalty in the training loss.
    warmup : float, default=0.0
        Fraction of the training over which the factor increases linearly from zero.
    """

    #: Number of encoder outputs for each component.
    parameters_per_component: ClassVar[int] = 1
    #: True if every component is used by construction, so that unused ones need not be detected.
    all_used: ClassVar[bool] = False

    def __init__(self, n_components: int, weight: float = 0.0, warmup: float = 0.0) -> None:
        super().__init__()
        self.n_components = n_components
        self.n_active = n_components  # components that may differ from zero in a row
        self.weight = weight
        self.warmup = warmup

    @property
    def n_hidden(self) -> int:
        """Number of encoder outputs for a row."""
        return self.parameters_per_component * self.n_components

    @property
    def n_decoded(self) -> int:
        """Number of decoder inputs for a row."""
        return self.n_components

    def widen(self, sample: Tensor) -> Tensor:
        """Return a sample padded to ``n_decoded`` components."""
        return sample

    @abstractmethod
    def forward(self, hidden: Tensor) -> Code:
        """Return the code of each row.

        Parameters
        ----------
        hidden : Tensor of shape (batch, n_hidden)
            The encoder's output.

        Returns
        -------
        Code
            Value, sample and penalty of each row.
        """

    @abstractmethod
    def draw(self, n_samples: int) -> Tensor:
        """Draw codes from the prior, shape (n_samples, n_components)."""

    def fit_prior(self, hidden: Tensor) -> None:
        """Fit the prior to the encoder's output on training rows. Do nothing by default."""

    def calibrate(self, hidden: Tensor) -> None:
        """Calibrate on the encoder's output on held-out rows. Do nothing by default."""

    def metrics(self, hidden: Tensor) -> dict[str, float]:
        """Return figures for ``history_``, computed on held-out rows at each evaluation.

        Parameters
        ----------
        hidden : Tensor of shape (batch, n_hidden)
            The encoder's output.

        Returns
        -------
        dict of str to float
            By name; the default has none.
        """
        return {}

    def weight_at(self, progress: float) -> float:
        """Return the factor of the penalty at training progress ``progress`` in [0, 1]."""
        return self.weight * min(1.0, progress / self.warmup) if self.warmup else self.weight


def checked_latent(latent: object, n_components: int) -> Latent:
    """Return a latent of the user's own if it has the form of one.

    Parameters
    ----------
    latent : object
        Returned by the user's ``latent`` parameter.
    n_components : int
        Size of the code that it was made for.

    Returns
    -------
    Latent
        The same object.

    Raises
    ------
    ParameterError
        If it is no ``Latent``, or its code has wrong shapes.
    """
    if not isinstance(latent, Latent):
        raise ParameterError(
            f"latent must return a latently.nn.Latent, got {type(latent).__name__}. Give a "
            "subclass of Latent, or an object that is called with n_components and returns one."
        )
    was_training = latent.training
    with torch.no_grad():
        code = latent.eval()(torch.zeros(2, latent.n_hidden))
    latent.train(was_training)
    found = {
        "value": (code.value, (2, n_components)),
        "sample": (code.sample, (2, n_components)),
        "penalty": (code.penalty, (2,)),
    }
    for name, (tensor, shape) in found.items():
        if tuple(tensor.shape) != shape:
            raise ParameterError(
                f"The {name} of latent must have shape {shape} for two rows and n_components="
                f"{n_components}, got {tuple(tensor.shape)}. Change its forward method."
            )
    return latent


class PointLatent(Latent):
    """A latent without noise, with a normal prior that is fitted to the codes [1]_.

    References
    ----------
    .. [1] Ghosh et al. (2020), From Variational to Deterministic Autoencoders, section 4 (ex-post
       density estimation).
    """

    prior_mean: Tensor
    prior_factor: Tensor

    def __init__(self, n_components: int, weight: float = 0.0, warmup: float = 0.0) -> None:
        super().__init__(n_components, weight, warmup)
        full = n_components <= _FULL_COVARIANCE_LIMIT
        factor = identity(n_components) if full else torch.ones(n_components)
        self.register_buffer("prior_mean", torch.zeros(n_components))
        self.register_buffer("prior_factor", factor)

    def fit_prior(self, hidden: Tensor) -> None:
        self.prior_mean.copy_(hidden.mean(0))
        if self.prior_factor.ndim == 1 or len(hidden) < 2:
            self.prior_factor.copy_(_diagonal_like(hidden.std(0, correction=0), self.prior_factor))
            return
        covariance = torch.cov(hidden.double().T).reshape(self.n_components, self.n_components)
        self.prior_factor.copy_(_factor(covariance))

    @property
    def prior_spread(self) -> Tensor:
        """Standard deviation of each component over the training rows."""
        factor = self.prior_factor
        return factor.norm(dim=1) if factor.ndim == 2 else factor

    def draw(self, n_samples: int) -> Tensor:
        noise = torch.randn(n_samples, self.n_components).to(self.prior_mean)
        full = self.prior_factor.ndim == 2
        spread = noise @ self.prior_factor.T if full else noise * self.prior_factor
        code: Code = self(self.prior_mean + spread)
        return code.value


def _factor(covariance: Tensor) -> Tensor:
    """Return a matrix whose product with its transpose is the covariance."""
    values, vectors = torch.linalg.eigh(covariance.double())
    factor: Tensor = vectors * values.clamp(min=0).sqrt()
    return factor


def _diagonal_like(values: Tensor, factor: Tensor) -> Tensor:
    return values if factor.ndim == 1 else torch.diag(values)


class Deterministic(PointLatent):
    """The plain code, which equals the encoder's output."""

    def forward(self, hidden: Tensor) -> Code:
        return Code(hidden, hidden, hidden.new_zeros(len(hidden)))


class Ordered(Deterministic):
    """A plain code with components ordered by importance, trained by nested dropout [1]_.

    In training, each row keeps a random number of its first components and the others are set to
    zero. For every ``k``, the first ``k`` components are therefore a code of size ``k``.

    Parameters
    ----------
    n_components : int
        Size of the code.
    n_trained : int or None, default=None
        Number of components that encoder and decoder are built for. None means ``n_components``.
        Components above ``n_components`` are cut off.
    share_whole : float, default=0.5
        Fraction of the rows that keep their whole code. Larger values improve reconstructions
        from the whole code, and worsen those from its first components.

    References
    ----------
    .. [1] Rippel, Gelbart and Adams (2014), Learning Ordered Representations with Nested Dropout.
    """

    def __init__(
        self, n_components: int, n_trained: int | None = None, share_whole: float = 0.5
    ) -> None:
        super().__init__(n_components)
        self.n_trained = n_components if n_trained is None else n_trained
        self.share_whole = share_whole

    @property
    def n_hidden(self) -> int:
        return self.n_trained

    @property
    def n_decoded(self) -> int:
        return self.n_trained

    def widen(self, sample: Tensor) -> Tensor:
        return nn.functional.pad(sample, (0, self.n_trained - sample.shape[1]))

    def fit_prior(self, hidden: Tensor) -> None:
        super().fit_prior(hidden[:, : self.n_components])

    def forward(self, hidden: Tensor) -> Code:
        code: Code = super().forward(hidden[:, : self.n_components])
        return code._replace(sample=self._nested(code.sample)) if self.training else code

    def _nested(self, sample: Tensor) -> Tensor:
        """Keep the first components of each row, and set the others to zero."""
        n_rows, size = sample.shape
        kept = draw_shard(
            lambda n: torch.randint(1, size + 1, (n, 1), device=sample.device), n_rows
        )
        whole = (
            draw_shard(lambda n: torch.rand(n, 1, device=sample.device), n_rows) < self.share_whole
        )
        places = torch.arange(size, device=sample.device)
        return sample * ((places < kept) | whole)

    def cut(self, n_components: int) -> Ordered:
        """Return this latent with its first components only."""
        latent = Ordered(n_components, self.n_trained, self.share_whole).to(self.prior_mean)
        latent.train(self.training)
        latent.prior_mean.copy_(self.prior_mean[:n_components])
        if self.prior_factor.ndim == 1:
            # The new prior may be a full matrix if it has fewer components: then it is diagonal.
            spread = self.prior_factor[:n_components]
            latent.prior_factor.copy_(_diagonal_like(spread, latent.prior_factor))
            return latent
        covariance = self.prior_factor @ self.prior_factor.T
        latent.prior_factor.copy_(_factor(covariance[:n_components, :n_components]))
        return latent


class Gaussian(Latent):
    """A normal posterior for each row, with a standard normal prior [1]_.

    In training, the code is drawn from the posterior by reparametrisation. Otherwise it is the
    posterior mean.

    Parameters
    ----------
    n_components : int
        Size of the code.
    weight : float, default=1.0
        beta [2]_. 1 gives the ELBO. Larger values give more independent and less informative
        components.
    warmup : float, default=0.0
        Fraction of the training over which beta increases linearly from zero [3]_.
    free_bits : float, default=0.0
        KL in nats below which a component has no gradient from the penalty, compared with its
        mean over the batch [4]_. Larger values prevent components from collapsing to the prior.

    References
    ----------
    .. [1] Kingma and Welling (2014), Auto-Encoding Variational Bayes.
    .. [2] Higgins et al. (2017), beta-VAE.
    .. [3] Sønderby et al. (2016), Ladder Variational Autoencoders.
    .. [4] Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow.
    """

    parameters_per_component = 2
    #: Bounds of the log variance, for standard deviations from e^-6 to e^3.
    log_variance_bounds: ClassVar[tuple[float, float]] = (-12.0, 6.0)

    def __init__(
        self,
        n_components: int,
        weight: float = 1.0,
        warmup: float = 0.0,
        free_bits: float = 0.0,
    ) -> None:
        super().__init__(n_components, weight, warmup)
        self.free_bits = free_bits

    def posterior(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance, each of shape (batch, n_components)."""
        mean, log_variance = hidden.chunk(2, dim=1)
        return mean, log_variance.clamp(*self.log_variance_bounds)

    def forward(self, hidden: Tensor) -> Code:
        mean, log_variance = self.posterior(hidden)
        kl = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
        if self.free_bits:
            is_free = batch_mean(kl) < self.free_bits
            kl = torch.where(is_free, self.free_bits, kl)
        if not self.training:
            return Code(mean, mean, kl.sum(1))
        sample = mean + normal_like(mean) * (0.5 * log_variance).exp()
        return Code(mean, sample, kl.sum(1))

    def weighted_draw(self, hidden: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a code for each row and return its log importance weight, log p(z) - log q(z|x).

        Parameters
        ----------
        hidden : Tensor of shape (batch, 2 * n_components)
            The encoder's output.
        noise : Tensor of shape (batch, n_components)
            Standard normal noise.

        Returns
        -------
        sample : Tensor of shape (batch, n_components)
            The codes.
        log_weight : Tensor of shape (batch,)
            In nats.
        """
        mean, log_variance = self.posterior(hidden)
        sample = mean + noise * (0.5 * log_variance).exp()
        log_weight = 0.5 * (noise.square() + log_variance - sample.square()).sum(1)
        return sample, log_weight

    def draw(self, n_samples: int) -> Tensor:
        return torch.randn(n_samples, self.n_components)


def log_mean_exp(terms: Tensor) -> Tensor:
    """Return the logarithm of the mean of ``exp(terms)`` over the first axis."""
    # Transposed, because the rounding of sums over the first axis depends on the other rows.
    return torch.logsumexp(terms.T.contiguous(), 1) - math.log(len(terms))
