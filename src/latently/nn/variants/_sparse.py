"""Sparse codes: which few components of a wide code are active, and the dictionary behind them.

All penalties are shares of the loss that the mean row would have: the weight of a latent is that
loss, so that one strength suits every table.
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

#: How strongly a component that no row of a batch activates is pushed up.
_REANIMATION = 0.2
#: Components that may be active at the start, in times of those at the end, and the share of the
#: training after which there are no more than those: atoms find their places before they compete.
_FIRST_ACTIVE, _SETTLED = 2.0, 0.5
#: Steps of the logarithm of a steered strength, and the most that a step reacts to.
_STEERING, _MOST_OFF = 0.02, 2.0
_FIRST_STRENGTH = 0.05
#: A threshold of training batches counts so much against those before it.
_NEWEST = 0.01
#: First threshold of JumpReLU, its least, and the width of the step's stand-in gradient.
_FIRST_THRESHOLD, _LEAST_THRESHOLD, _BANDWIDTH = 0.1, 1e-4, 0.1
#: Codes with at most this share of active components are decoded from those alone.
_FEW = 0.1


class SparseLatent(PointLatent):
    """A wide code of which few components differ from zero in a row.

    Parameters
    ----------
    n_components : int
        Size of the code.
    n_active : int
        Components to be active in a row: at most, or on average where ``on_average``.
    """

    #: True where ``n_active`` is met by a mean over rows.
    on_average: ClassVar[bool] = True
    #: True where the strength of the penalty moves in training, so that losses do not compare.
    is_steered: ClassVar[bool] = False
    #: True where components that are not active learn from what they would have added.
    learns_from_zeros: ClassVar[bool] = False

    firing_rate: Tensor

    def __init__(self, n_components: int, n_active: int, warmup: float = 0.0) -> None:
        super().__init__(n_components, weight=1.0, warmup=warmup)
        self.n_active = min(n_active, n_components)
        self._n_target = self.n_active
        self.register_buffer("firing_rate", torch.zeros(n_components))

    def begin_step(self, progress: float) -> None:
        """Hear which share of the training is over."""
        more = (_FIRST_ACTIVE - 1) * max(0.0, 1 - progress / _SETTLED)
        self._n_target = min(round(self.n_active * (1 + more)), self.n_components)

    @property
    def n_target(self) -> int:
        """Components to be active in a row now: more at the start of the training."""
        return self._n_target if self.training else self.n_active

    @abstractmethod
    def select(self, hidden: Tensor) -> Tensor:
        """Return the code of each row, zero where a component is not active."""

    def sparsity_penalty(self, hidden: Tensor, value: Tensor) -> Tensor:
        """Return the penalty of each row in training, as a share of the mean row's loss."""
        return _dead_component_penalty(hidden, value)

    def forward(self, hidden: Tensor) -> Code:
        value = self.select(hidden)
        if not self.training:
            return Code(value, value, hidden.new_zeros(len(hidden)))
        return Code(value, value, self.sparsity_penalty(hidden, value))

    def calibrate(self, hidden: Tensor) -> None:
        self.firing_rate.copy_((self.select(hidden) != 0).float().mean(0))


def _dead_component_penalty(hidden: Tensor, value: Tensor) -> Tensor:
    """Reward components that are active in no row of the batch for coming nearer to it [1]_.

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
    """Keep the largest components of a whole batch, ``n_active`` a row on average [1]_.

    Afterwards a component is active above one threshold, set so that unseen rows keep as many.

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
    """Return what as many numbers as are wanted a row, of all rows together, lie above."""
    flat = hidden.flatten()
    return flat.kthvalue(max(len(flat) - n_target * len(hidden), 1)).values


class JumpReLU(SparseLatent):
    """Components above a threshold of their own, learnt by a stand-in gradient [1]_.

    The penalty is the square of the logarithm of how many times as many components are active as
    are wanted.

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
        threshold = self.threshold.clamp(min=_LEAST_THRESHOLD)
        value: Tensor = _Jump.apply(hidden, threshold)  # type: ignore[no-untyped-call]
        return value

    def calibrate(self, hidden: Tensor) -> None:
        least = self.threshold.clamp(min=_LEAST_THRESHOLD)
        self.threshold.copy_(least + _activation_threshold(hidden - least, self.n_active))
        super().calibrate(hidden)

    def sparsity_penalty(self, hidden: Tensor, value: Tensor) -> Tensor:
        threshold = self.threshold.clamp(min=_LEAST_THRESHOLD)
        on: Tensor = _Step.apply(hidden, threshold)  # type: ignore[no-untyped-call]
        off = ((batch_mean(on.sum(1)) + 1e-3) / self.n_target).log()
        return super().sparsity_penalty(hidden, value) + off.square()


class _Jump(torch.autograd.Function):
    """x where it is above the threshold, else zero."""

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
    """One where x is above the threshold, else zero."""

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
    """Return the derivative of a step that is as wide as the bandwidth."""
    return ((x - threshold).abs() < _BANDWIDTH / 2).to(x.dtype) / _BANDWIDTH


class _Steered(SparseLatent):
    """A penalty whose strength rises while too many components are active, and falls after."""

    is_steered: ClassVar[bool] = True

    log_strength: Tensor
    shift: Tensor  # taken off the encoder's answers, so that unseen rows keep as many active

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
        """Return the penalty of each row at strength one."""


class L1(_Steered):
    """Non-negative components under an L1 penalty, steered towards ``n_active`` [1]_.

    References
    ----------
    .. [1] Bricken et al. (2023), Towards Monosemanticity.
    """

    def select(self, hidden: Tensor) -> Tensor:
        return (hidden - self.shift).relu()

    def shrinkage(self, hidden: Tensor, value: Tensor) -> Tensor:
        return value.sum(1)


class KL(_Steered):
    r"""Sigmoid units held to a mean activation of ``n_active / n_components`` by a KL [1]_.

    A unit is active where its sigmoid is above one half, and its component is by how much:
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
    """Rows as sums of atoms of length one, by few non-negative weights each.

    Parameters
    ----------
    n_components : int
        Number of atoms.
    n_outputs : int
        Numbers that an atom has.
    """

    scale: Tensor

    def __init__(self, n_components: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_components, n_outputs))
        self.bias = nn.Parameter(torch.zeros(n_outputs))
        self.register_buffer("scale", torch.ones(()))
        self.all_learn = False  # whether weights of zero have a gradient, too
        if not self.weight.is_meta:
            self.normalize()

    @torch.no_grad()
    def normalize(self) -> None:
        """Give every atom the length one."""
        self.weight.div_(self.weight.norm(dim=1, keepdim=True).clamp(min=1e-8))

    def forward(self, code: Tensor) -> Tensor:
        """Return the sums, (batch, n_outputs)."""
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
    """A linear map of what is divided by one scale first."""

    scale: Tensor

    def __init__(self, n_inputs: int, n_hidden: int) -> None:
        super().__init__(n_inputs, n_hidden)
        nn.init.zeros_(self.bias)
        self.register_buffer("scale", torch.ones(()))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the map of each row, (batch, n_hidden)."""
        return super().forward(rows.flatten(1) / self.scale)


@dataclass(eq=False, repr=False)
class DictionaryNetwork(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """One linear layer to the code and one back, whose rows are atoms of length one.

    The encoder starts as the transpose of the decoder.

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
            Numbers that the encoder answers for a row.
        n_components : int
            Size of the code.
        n_outputs : int
            Numbers that the decoder answers for a row.

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
        """The dictionary in encoded units, (n_components, width); None of a deep decoder."""
        return self.decoder.weight if isinstance(self.decoder, Atoms) else None

    def set_scale(self, mean_square: float) -> None:
        """Tell how long a centred row is: the mean of its squared length."""
        width = self.likelihood.layout.width
        self.latent.weight = 0.5 * max(mean_square, 1e-12)
        if isinstance(self.decoder, Atoms) and isinstance(self.encoder, Scaled):
            scale = math.sqrt(mean_square) if mean_square > 0 else math.sqrt(width)
            self.encoder.scale.fill_(scale)
            self.decoder.scale.fill_(scale)

    def begin_step(self, progress: float) -> None:
        """Hear which share of the training is over."""
        self.latent.begin_step(progress)
        if isinstance(self.decoder, Atoms):
            self.decoder.normalize()

    def metrics(self, cells: Cells) -> dict[str, float]:
        """Return the share of variance unexplained, active components a row, and dead ones."""
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
