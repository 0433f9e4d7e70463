"""The likelihood of each kind of column: its loss, mean, random draws and optimal parameters.

Parameters and targets have shape (batch, n_columns, width). Losses have shape (batch, n_columns)
and are in nats per cell.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from latently._layout import LikelihoodChoice

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
#: The continuous Bernoulli uses its series for smaller logits: the closed form divides by the
#: logit.
_SMALL = 1e-2
#: Largest absolute logit, used where the optimal logit is infinite.
_MOST = 100.0


class Noise(NamedTuple):
    """Scale and step of the elements of a block.

    Attributes
    ----------
    log_scale : Tensor of shape (n_columns, width) or None
        Logarithm of the learnt scale, or None if the scale is fixed at one.
    step : float
        Distance between neighbouring values of whole numbers, in encoded units.
    """

    log_scale: Tensor | None
    step: float


class ColumnLikelihood(ABC):
    """Distribution of the cells of a column, given the decoder's output.

    Subclass it to give the numbers or pixels of an autoencoder a likelihood of your own:
    ``Autoencoder(likelihood=StudentT())``. The methods work on whole batches and must be
    differentiable in ``parameters``.
    """

    #: Likelihood whose encoding of numbers this one expects: "gaussian" standardises each column,
    #: "bernoulli" scales it to [0, 1].
    encoding: ClassVar[LikelihoodChoice] = "gaussian"
    #: True if the scale of each element is learnt in every model.
    always_scaled: ClassVar[bool] = False

    @abstractmethod
    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        """Return the negative log-likelihood of each cell.

        Parameters
        ----------
        parameters : Tensor of shape (batch, n_columns, width)
            The decoder's output plus the offset of each element.
        target : Tensor of shape (batch, n_columns, width)
            The encoded cells.
        noise : Noise
            Learnt scale, and distance of neighbouring values.

        Returns
        -------
        Tensor of shape (batch, n_columns)
            In nats.
        """

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected elements, of the shape of ``parameters``."""

    @abstractmethod
    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        """Draw elements from the distribution, of the shape of ``parameters``."""

    @abstractmethod
    def offset(self, mean: Tensor) -> Tensor:
        """Return the parameters whose mean is ``mean``, of any shape."""

    def least(self, target: Tensor, noise: Noise) -> Tensor:
        """Return the smallest loss of each cell over all parameters, shape (batch, n_columns).

        The default takes the parameters whose mean is the target.
        """
        return self.loss(self.offset(target), target, noise)

    def deviance(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        """Return half the deviance of each cell: its loss minus the smallest possible loss."""
        above = self.loss(parameters, target, noise) - self.least(target, noise)
        return above.clamp(min=0)


def _summed(elements: Tensor) -> Tensor:
    """Return the sum over the elements of each column."""
    return elements.squeeze(-1) if elements.shape[-1] == 1 else elements.sum(-1)


def _log(shares: Tensor) -> Tensor:
    """Return a logarithm that is finite at zero, so that 0 * log(0) is zero."""
    return shares.clamp(min=torch.finfo(shares.dtype).tiny).log_()


class Gaussian(ColumnLikelihood):
    """Normal distribution whose mean is the parameter."""

    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        if noise.log_scale is None:
            # Fewer operations than a difference and its square, forward and backward.
            squares = F.mse_loss(parameters, target, reduction="none")
            return _summed(0.5 * squares + _HALF_LOG_2PI)
        scaled = (target - parameters) * (-noise.log_scale).exp()
        return _summed(0.5 * scaled.square() + noise.log_scale + _HALF_LOG_2PI)

    def deviance(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        residual = target - parameters
        if noise.log_scale is not None:
            residual *= (-noise.log_scale).exp()
        return _summed(residual.square_().mul_(0.5))

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters

    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        if noise.log_scale is None:
            return parameters
        return parameters + torch.randn_like(parameters) * noise.log_scale.exp()

    def offset(self, mean: Tensor) -> Tensor:
        return mean


class Bernoulli(ColumnLikelihood):
    """Bernoulli distribution with the parameter as logit, and grey levels as probabilities."""

    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        cross = F.binary_cross_entropy_with_logits(parameters, target, reduction="none")
        return _summed(cross)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid()

    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        return torch.bernoulli(parameters.sigmoid())

    def offset(self, mean: Tensor) -> Tensor:
        return mean.clamp(1e-3, 1 - 1e-3).logit()

    def least(self, target: Tensor, noise: Noise) -> Tensor:
        unlike = 1 - target
        return _summed(-target * _log(target) - unlike * _log(unlike))

    def deviance(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        # A closed form of loss minus least, which computes each logarithm once.
        unlike = 1 - target
        above = unlike * parameters
        above.sub_(F.logsigmoid(parameters))
        above.addcmul_(target, _log(target)).addcmul_(unlike, _log(unlike))
        return _summed(above).clamp(min=0)


class Categorical(ColumnLikelihood):
    """Categorical distribution over the elements of a block, with softmax probabilities."""

    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        return -(target * parameters.log_softmax(-1)).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters.softmax(-1)

    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        gumbel = -torch.log(-torch.log(torch.rand_like(parameters).clamp(1e-12, 1 - 1e-7)))
        drawn: Tensor = F.one_hot((parameters + gumbel).argmax(-1), parameters.shape[-1])
        return drawn.to(parameters)

    def offset(self, mean: Tensor) -> Tensor:
        return mean.clamp(1e-3, 1 - 1e-3).log()

    def least(self, target: Tensor, noise: Noise) -> Tensor:
        return target.new_zeros(target.shape[:-1])


class ContinuousBernoulli(ColumnLikelihood):
    r"""The Bernoulli likelihood of grey levels, normalised to a density on [0, 1] [1]_.

    With the logit l, :math:`p(x) = \frac{l}{2\tanh(l/2)} \cdot 2\lambda^x(1-\lambda)^{1-x}`.

    References
    ----------
    .. [1] Loaiza-Ganem and Cunningham (2019), The Continuous Bernoulli.
    """

    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        cross = F.binary_cross_entropy_with_logits(parameters, target, reduction="none")
        return _summed(cross - _log_constant(parameters))

    def mean(self, parameters: Tensor) -> Tensor:
        return _mean_of_logit(parameters)

    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        uniform = torch.rand_like(parameters)
        small, safe = _split_small(parameters)
        # The inverse distribution function, written for |logit| so that exp does not overflow.
        steep = safe.abs()
        risen = 1 + (torch.log(uniform + (1 - uniform) * (-steep).exp())) / steep
        return torch.where(small, uniform, torch.where(safe > 0, risen, 1 - risen)).clamp(0, 1)

    def offset(self, mean: Tensor) -> Tensor:
        """Return the logits with these means, by bisection: the mean increases with the logit."""
        low, high = torch.full_like(mean, -_MOST), torch.full_like(mean, _MOST)
        for _ in range(60):
            middle = (low + high) / 2
            below = _mean_of_logit(middle) < mean
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2


def _split_small(logit: Tensor) -> tuple[Tensor, Tensor]:
    """Return a mask of small logits, and the logits with ones in place of the small ones."""
    small = logit.abs() < _SMALL
    return small, torch.where(small, 1.0, logit)


def _log_constant(logit: Tensor) -> Tensor:
    """Return log(l / tanh(l / 2)), whose series is log 2 + l^2 / 12 - ..."""
    small, safe = _split_small(logit)
    series = math.log(2) + logit.square() / 12
    return torch.where(small, series, (safe / (safe / 2).tanh()).log())


def _mean_of_logit(logit: Tensor) -> Tensor:
    """Return 1 / (1 - exp(-l)) - 1 / l, whose series is 1/2 + l / 12 - ..."""
    small, safe = _split_small(logit)
    return torch.where(small, 0.5 + logit / 12, -1 / torch.expm1(-safe) - 1 / safe)


class DiscretizedLogistic(ColumnLikelihood):
    """Logistic distribution discretised to whole numbers [1]_, [2]_.

    The probability of a number is the logistic probability of the interval of width ``step``
    around it. The intervals of the lowest and the highest number are unbounded on one side.

    References
    ----------
    .. [1] Kingma et al. (2016), Improved Variational Inference with Inverse Autoregressive Flow.
    .. [2] Salimans et al. (2017), PixelCNN++.
    """

    always_scaled: ClassVar[bool] = True

    def loss(self, parameters: Tensor, target: Tensor, noise: Noise) -> Tensor:
        assert noise.log_scale is not None
        rate = (-noise.log_scale).exp()
        upper = (target + noise.step / 2 - parameters) * rate
        lower = (target - noise.step / 2 - parameters) * rate
        # sigmoid(upper) - sigmoid(lower), without the difference of two nearly equal numbers.
        width = (noise.step * rate).expand_as(upper)
        inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + torch.log(-torch.expm1(-width))
        least, most = target < noise.step / 2, target > 1 - noise.step / 2
        ends = torch.where(least, F.logsigmoid(upper), F.logsigmoid(-lower))
        return -torch.where(least | most, ends, inside).sum(-1)

    def mean(self, parameters: Tensor) -> Tensor:
        return parameters

    def draw(self, parameters: Tensor, noise: Noise) -> Tensor:
        assert noise.log_scale is not None
        uniform = torch.rand_like(parameters).clamp(1e-7, 1 - 1e-7)
        drawn = parameters + uniform.logit() * noise.log_scale.exp()
        return ((drawn / noise.step).round() * noise.step).clamp(0, 1)

    def offset(self, mean: Tensor) -> Tensor:
        return mean

    def least(self, target: Tensor, noise: Noise) -> Tensor:
        """Return the loss of a parameter at the target, or far beyond it for the extreme numbers.

        The loss of the lowest and the highest number tends to zero as the parameter moves outwards.
        """
        assert noise.log_scale is not None
        at_end = (target < noise.step / 2) | (target > 1 - noise.step / 2)
        beyond = torch.where(target < 0.5, -_MOST, _MOST)
        return self.loss(torch.where(at_end, beyond, target), target, noise)


KINDS: dict[str, ColumnLikelihood] = {
    "gaussian": Gaussian(),
    "bernoulli": Bernoulli(),
    "categorical": Categorical(),
    "continuous_bernoulli": ContinuousBernoulli(),
    "discretized_logistic": DiscretizedLogistic(),
}
