"""Sparse codes with few active components, and the dictionary network that decodes them.

Penalties are fractions of the loss of reconstructing every row by the mean row. The weight of a
latent is that loss, so that default strengths do not depend on the data set.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn
from torch.nn import functional as F

from latently.nn._batch_shard import batch_any, batch_mean, whole_batch
from latently.nn._latents import Code, PointLatent
from latently.nn._likelihoods import Likelihood
from latently.nn._module import AutoencoderModule, Cells

#: Weight of the reward for components that are active in no row of a batch.
_REANIMATION = 0.2
#: Number of active components at the start relative to the end, and the fraction of the training in
#: which it decreases linearly. More of the atoms have a gradient at the start.
_FIRST_ACTIVE, _SETTLED = 2.0, 0.5
#: Step size of the logarithm of an adapted strength, and the largest deviation that it uses.
_STEERING, _MOST_OFF = 0.02, 2.0
_FIRST_STRENGTH = 0.05
#: Weight of the newest batch in the running mean of the threshold.
_NEWEST = 0.01
#: Initial and smallest threshold of JumpReLU, and the bandwidth of its surrogate gradient.
_FIRST_THRESHOLD, LEAST_THRESHOLD, _BANDWIDTH = 0.1, 1e-4, 0.1
#: Codes with at most this fraction of active components are decoded from the active ones alone.
_FEW = 0.1


class SparseLatent(PointLatent):
    """A wide code of which few components differ from zero in a row.

    Parameters
    ----------
    n_components : int
        Size of the code.
    n_active : int
        Number of active components of a row, on average over rows if ``on_average``, else at most.
    warmup : float, default=0.0
        Fraction of the training over which the penalty increases linearly from zero.
    """

    #: True if ``n_active`` is a mean over rows.
    on_average: ClassVar[bool] = True
    #: True if the strength of the penalty changes in training, so that losses are not comparable.
    is_steered: ClassVar[bool] = False
    #: True if the gradient of the loss by components that are zero is needed.
    learns_from_zeros: ClassVar[bool] = False

    firing_rate: Tensor

    def __init__(self, n_components: int, n_active: int, warmup: float = 0.0) -> None:
        super().__init__(n_components, weight=1.0, warmup=warmup)
        self.n_active = min(n_active, n_components)
        self._n_target = self.n_active
        self.register_buffer("firing_rate", torch.zeros(n_components))

    def begin_step(self, progress: float) -> None:
        """Set the target number of active components from the training progress in [0, 1]."""
        more = (_FIRST_ACTIVE - 1) * max(0.0, 1 - progress / _SETTLED)
        self._n_target = min(round(self.n_active * (1 + more)), self.n_components)

    @property
    def n_target(self) -> int:
        """Target number of active components of a row, which is higher early in training."""
        return self._n_target if self.training else self.n_active

    @abstractmethod
    def select(self, hidden: Tensor) -> Tensor:
        """Return the code of each row, zero where a component is not active."""

    def sparsity_penalty(self, hidden: Tensor, value: Tensor) -> Tensor:
        """Return the penalty of each row in training, as a fraction of the mean row's loss."""
        return _dead_component_penalty(hidden, value)

    def forward(self, hidden: Tensor) -> Code:
        value = self.select(hidden)
        if not self.training:
            return Code(value, value, hidden.new_zeros(len(hidden)))
        return Code(value, value, self.sparsity_penalty(hidden, value))

    def calibrate(self, hidden: Tensor) -> None:
        self.firing_rate.copy_((self.select(hidden) != 0).float().mean(0))


def _dead_component_penalty(hidden: Tensor, value: Tensor) -> Tensor:
    """Return a penalty that increases the inputs of components active in no row of the batch [1]_.

    References
    ----------
    .. [1] Fel et al. (2025), Archetypal SAE (overcomplete's reanimation of dead codes).
    """
    quiet = ~batch_any(value.detach() != 0)
    return -_REANIMATION * (hidden * quiet).mean(1)


class TopK(SparseLatent):
    """Keep the ``n_active`` largest positive components of each row [1]_.

    References
    ----------
    .. [1] Makhzani and Frey (2014), k-Sparse Autoencoders.
    """

    on_average: ClassVar[bool] = False

    def select(self, hidden: Tensor) -> Tensor:
        largest = hidden.topk(self.n_target, dim=1, sorted=False)
        return torch.zeros_like(hidden).scatter(1, largest.indices, largest.values.relu())


class BatchTopK(SparseLatent):
    """Keep the largest components of a whole batch, ``n_active`` per row on average [1]_.

    After training, a component is active above a single threshold. It is calibrated so that
    held-out rows have ``n_active`` active components on average.

    References
    ----------
    .. [1] Bussmann, Leask and Nanda (2024), BatchTopK Sparse Autoencoders.
    """

    threshold: Tensor

    def __init__(self, n_components: int, n_active: int) -> None:
        super().__init__(n_components, n_active)
        self.register_buffer("threshold", torch.zeros(()))

    def select(self, hidden: Tensor) -> Tensor:
        if not self.training:
            return F.threshold(hidden, float(self.threshold), 0.0)
        least = self._least(whole_batch(hidden.detach()))
        self.threshold.lerp_(least, _NEWEST if self.threshold > 0 else 1.0)
        return torch.where(hidden > least, hidden, 0.0)

    def calibrate(self, hidden: Tensor) -> None:
        self.threshold.copy_(self._least(hidden))
        super().calibrate(hidden)

    def _least(self, hidden: Tensor) -> Tensor:
        return _activation_threshold(hidden.detach(), self.n_target).clamp(min=0)


def _activation_threshold(hidden: Tensor, n_target: int) -> Tensor:
    """Return the threshold above which ``n_target`` numbers per row are, over all rows."""
    flat = hidden.flatten()
    return flat.kthvalue(max(len(flat) - n_target * len(hidden), 1)).values


class JumpReLU(SparseLatent):
    """Components above a learnt threshold of their own, trained by a surrogate gradient [1]_.

    The penalty is the squared logarithm of the ratio between the mean number of active components
    and its target.

    References
    ----------
    .. [1] Rajamanoharan et al. (2024), Jumping Ahead: Improving Reconstruction Fidelity with
       JumpReLU Sparse Autoencoders.
    """

    is_steered: ClassVar[bool] = True
    learns_from_zeros: ClassVar[bool] = True

    def __init__(self, n_components: int, n_active: int) -> None:
        super().__init__(n_components, n_active, warmup=0.5)
        self.threshold = nn.Parameter(torch.full((n_components,), _FIRST_THRESHOLD))

    def select(self, hidden: Tensor) -> Tensor:
        threshold = self.threshold.clamp(min=LEAST_THRESHOLD)
        value: Tensor = _Jump.apply(hidden, threshold)  # type: ignore[no-untyped-call]
        return value

    def calibrate(self, hidden: Tensor) -> None:
        least = self.threshold.clamp(min=LEAST_THRESHOLD)
        self.threshold.copy_(least + _activation_threshold(hidden - least, self.n_active))
        super().calibrate(hidden)

    def sparsity_penalty(self, hidden: Tensor, value: Tensor) -> Tensor:
        threshold = self.threshold.clamp(min=LEAST_THRESHOLD)
        on: Tensor = _Step.apply(hidden, threshold)  # type: ignore[no-untyped-call]
        off = ((batch_mean(on.sum(1)) + 1e-3) / self.n_target).log()
        return super().sparsity_penalty(hidden, value) + off.square()


class _Jump(torch.autograd.Function):
    """The function x * (x > threshold), with a surrogate gradient for the threshold."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(x, threshold)
        return x * (x > threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,) = grads
        x, threshold = ctx.saved_tensors
        return grad * (x > threshold), -(grad * threshold * _step_derivative(x, threshold)).sum(0)


class _Step(torch.autograd.Function):
    """The function x > threshold as 0 and 1, with a surrogate gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, threshold: Tensor) -> Tensor:
        ctx.save_for_backward(x, threshold)
        return (x > threshold).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        (grad,) = grads
        near = grad * _step_derivative(*ctx.saved_tensors)
        return near, -near.sum(0)


def _step_derivative(x: Tensor, threshold: Tensor) -> Tensor:
    """Return the derivative of a step smoothed by a rectangle of the bandwidth."""
    return ((x - threshold).abs() < _BANDWIDTH / 2).to(x.dtype) / _BANDWIDTH


class _Steered(SparseLatent):
    """A penalty whose strength is adapted until the target number of components is active."""

    is_steered: ClassVar[bool] = True

    log_strength: Tensor
    shift: Tensor  # subtracted from the encoder's output, calibrated on held-out rows

    def __init__(self, n_components: int, n_active: int) -> None:
        super().__init__(n_components, n_active)
        self.register_buffer("log_strength", torch.tensor(math.log(_FIRST_STRENGTH)))
        self.register_buffer("shift", torch.zeros(()))

    def calibrate(self, hidden: Tensor) -> None:
        self.shift.copy_(_activation_threshold(hidden, self.n_active))
        super().calibrate(hidden)

    def sparsity_penalty(self, hidden: Tensor, value: Tensor) -> Tensor:
        with torch.no_grad():
            active = batch_mean((value != 0).sum(1).to(value))
            off = ((active + 1e-3) / self.n_target).log().clamp(-_MOST_OFF, _MOST_OFF)
            self.log_strength.add_(_STEERING * off)
        strength = self.log_strength.exp()
        return super().sparsity_penalty(hidden, value) + strength * self.shrinkage(hidden, value)

    @abstractmethod
    def shrinkage(self, hidden: Tensor, value: Tensor) -> Tensor:
        """Return the penalty of each row for strength one."""


class L1(_Steered):
    """Non-negative components with an L1 penalty, adapted to ``n_active`` components [1]_.

    References
    ----------
    .. [1] Bricken et al. (2023), Towards Monosemanticity.
    """

    def select(self, hidden: Tensor) -> Tensor:
        return (hidden - self.shift).relu()

    def shrinkage(self, hidden: Tensor, value: Tensor) -> Tensor:
        return value.sum(1)


class KL(_Steered):
    r"""Sigmoid units with a KL penalty towards mean activation ``n_active / n_components`` [1]_.

    A unit is active if its sigmoid is above one half. Its component is
    :math:`\max(0, 2\sigma(h) - 1)`.

    References
    ----------
    .. [1] Ng (2011), Sparse Autoencoder (CS294A lecture notes).
    """

    def select(self, hidden: Tensor) -> Tensor:
        return ((hidden - self.shift) / 2).tanh().relu()

    def shrinkage(self, hidden: Tensor, value: Tensor) -> Tensor:
        target = self.n_active / self.n_components
        mean = batch_mean(hidden.sigmoid()).clamp(1e-6, 1 - 1e-6)
        kl = F.kl_div(mean.log(), torch.full_like(mean, target), reduction="sum")
        kl = kl + F.kl_div((1 - mean).log(), torch.full_like(mean, 1 - target), reduction="sum")
        return kl.expand(len(hidden))


LATENTS: dict[str, type[SparseLatent]] = {
    "topk": TopK,
    "batchtopk": BatchTopK,
    "jumprelu": JumpReLU,
    "l1": L1,
    "kl": KL,
}


class Atoms(nn.Module):
    """A linear decoder whose weight rows, the atoms, have length one.

    Parameters
    ----------
    n_components : int
        Number of atoms.
    n_outputs : int
        Length of the vector of each atom.
    """

    scale: Tensor

    def __init__(self, n_components: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_components, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.register_buffer("scale", torch.ones(()))
        self.all_learn = False  # True if zero components need a gradient
        if not self.weight.is_meta:
            self.normalize()

    @torch.no_grad()
    def normalize(self) -> None:
        """Scale every atom to length one."""
        self.weight.div_(self.weight.norm(dim=1, keepdim=True).clamp(min=1e-8))

    def forward(self, code: Tensor) -> Tensor:
        """Return the decoded rows, (batch, n_outputs)."""
        return (self._sums(code) + self.bias) * self.scale

    def _sums(self, code: Tensor) -> Tensor:
        if code.is_cuda or (self.all_learn and self.training):
            return code @ self.weight
        active = code != 0
        per_row = active.sum(1)
        if int(per_row.sum()) > _FEW * code.numel():
            return code @ self.weight
        starts = per_row.cumsum(0) - per_row
        index = active.nonzero()[:, 1]
        sums: Tensor = F.embedding_bag(
            index, self.weight.to(code.dtype), starts, mode="sum", per_sample_weights=code[active]
        )
        return sums


class Scaled(nn.Linear):
    """A linear layer whose input is divided by a scalar."""

    scale: Tensor

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__(n_inputs, n_hidden)
        nn.init.zeros_(self.bias)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the output of each row, (batch, n_hidden)."""
        return super().forward(rows.flatten(1) / self.scale)


@dataclass(eq=False, repr=False)
class DictionaryNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """A linear encoder, and a linear decoder whose weight rows are atoms of length one.

    The weights of the encoder are initialised as the transpose of the decoder's.

    Examples
    --------
    >>> encoder, decoder = DictionaryNetwork().build((10,), 32, 32, 10)
    >>> decoder.weight.shape
    torch.Size([32, 10])
    """

    def build(
        self, input_shape: tuple[int, ...], n_hidden: int, n_components: int, n_outputs: int
    ) -> tuple[nn.Module, nn.Module]:
        """Build the encoder and the decoder.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of one row.
        n_hidden : int
            Number of encoder outputs for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Number of decoder outputs for a row.

        Returns
        -------
        tuple of (Module, Module)
            Encoder and decoder.
        """
        atoms = Atoms(n_components, n_outputs)
        encoder = Scaled(math.prod(input_shape), n_hidden)
        if encoder.weight.shape == atoms.weight.shape:
            encoder.weight.data.copy_(atoms.weight.data)
        return encoder, atoms


class SparseModule(AutoencoderModule):
    """An autoencoder whose code is sparse."""

    latent: SparseLatent

    def __init__(
        self,
        encoder: nn.Module,
        latent: SparseLatent,
        decoder: nn.Module,
        likelihood: Likelihood,
        center: Tensor,
    ) -> None:
        super().__init__(encoder, latent, decoder, likelihood, center)
        if isinstance(decoder, Atoms):
            decoder.all_learn = latent.learns_from_zeros

    @property
    def atoms(self) -> Tensor | None:
        """The dictionary, (n_components, width), or None if the decoder has other layers."""
        return self.decoder.weight if isinstance(self.decoder, Atoms) else None

    def begin_fit(self, cells: Cells, components: Tensor, mean_square: float) -> None:
        """Set the weight of the penalty, and the scales of a dictionary, from the training rows."""
        width = self.likelihood.layout.width
        self.latent.weight = 0.5 * max(mean_square, 1e-12)
        if isinstance(self.decoder, Atoms) and isinstance(self.encoder, Scaled):
            scale = math.sqrt(mean_square) if mean_square > 0 else math.sqrt(width)
            self.encoder.scale.fill_(scale)
            self.decoder.scale.fill_(scale)

    def begin_step(self, progress: float) -> None:
        """Prepare the latent for a training step, and normalise the atoms."""
        self.latent.begin_step(progress)
        if isinstance(self.decoder, Atoms):
            self.decoder.normalize()

    def metrics(self, cells: Cells) -> dict[str, float]:
        """Return the metrics of a sparse code.

        Returns
        -------
        dict
            "fvu": fraction of variance unexplained. "l0": mean number of active components of a
            row. "dead": fraction of components that are active in no row.
        """
        code = self.encode(cells)
        rebuilt = self.likelihood.mean(self.decode(code.sample)).flatten(1)
        whole = self.centered(cells)
        left = self.centered(cells._replace(values=cells.values.flatten(1) - rebuilt + self.center))
        active = code.value != 0
        return {
            "fvu": float(left.square().sum() / whole.square().sum().clamp(min=1e-12)),
            "l0": float(active.sum() / len(active)),
            "dead": float((~active.any(0)).float().mean()),
        }
