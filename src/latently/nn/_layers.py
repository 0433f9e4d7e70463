"""Layers, activations and normalisations of the networks, and checks of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from latently.exceptions import ParameterError
from latently.nn._batch_shard import batch_mean, current_shard, draw_shard, n_in_batch

ActivationName = Literal["gelu", "relu", "silu", "elu", "tanh", "sigmoid", "identity"]
NormalizationName = Literal["batch", "layer"]

#: More layers than this are a mistake, or an attempt to exhaust memory by a model file.
_MOST_LAYERS = 1_000

#: Number of rows of a typical batch, relative to which a batch of one row moves running moments.
_ORDINARY = 16
#: For at most this many elements, the call of torch's vector library for GELU takes longer than
#: the computation.
_FEW = 16_384


class GELU(nn.GELU):
    """Gaussian error linear unit [1]_, faster than torch's for small training batches on a CPU.

    References
    ----------
    .. [1] Hendrycks and Gimpel (2016), Gaussian error linear units.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Return each value times the standard normal probability of a smaller one."""
        # In evaluation, bits must not depend on the number of rows. In training they may.
        is_small = values.numel() <= _FEW and values.ndim > 1 and values.device.type == "cpu"
        if not (self.training and is_small):
            return super().forward(values)
        # torch uses its own loop instead of the library for a tensor that is not contiguous.
        return super().forward(values.transpose(0, 1)).transpose(0, 1)


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "gelu": GELU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


def identity(n: int) -> Tensor:
    """Return the identity matrix; unlike ``torch.eye``, load no compiler on the meta device."""
    return torch.zeros(n, n).fill_diagonal_(1.0)


def outlined(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a module on the meta device, without allocating or drawing its weights.

    Parameters
    ----------
    build : callable
        Returns the module.

    Returns
    -------
    Module
        Module whose weights have shapes and dtypes but no values.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return build()


class _NormalizesBatch:
    """Batch normalisation by the moments of the whole batch, also if processes share it [1]_.

    A batch of one row has no variance. It is normalised by the running moments, as in evaluation.
    It moves them by 1/16 of the momentum, as one row of a batch of 16 does.

    References
    ----------
    .. [1] Ioffe and Szegedy (2015), Batch Normalization; over processes as torch's SyncBatchNorm,
       which needs a GPU.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Return normalised rows or feature maps."""
        if self.training and n_in_batch(values) == 1:  # type: ignore[attr-defined]
            return self._by_running_moments(values)
        if current_shard() is None or not self.training:  # type: ignore[attr-defined]
            normalized: Tensor = super().forward(values)  # type: ignore[misc]
            return normalized
        return self._by_whole_batch(values)

    def _by_running_moments(self: Any, values: Tensor) -> Tensor:
        maps = values.reshape(*values.shape[:2], values.shape[2:].numel())
        with torch.no_grad():
            distance = (maps - self.running_mean[:, None]).square().mean(2)
            self.running_mean.lerp_(batch_mean(maps.mean(2)), self.momentum / _ORDINARY)
            self.running_var.lerp_(batch_mean(distance), self.momentum / _ORDINARY)
            moments = self.running_mean.clone(), self.running_var.clone()
        output: Tensor = F.batch_norm(values, *moments, self.weight, self.bias, eps=self.eps)
        return output

    def _by_whole_batch(self: Any, values: Tensor) -> Tensor:
        maps = values.reshape(*values.shape[:2], values.shape[2:].numel())
        mean = batch_mean(maps.mean(2))[:, None]
        variance = batch_mean((maps - mean).square().mean(2))[:, None]
        with torch.no_grad():
            size = n_in_batch(values) * maps.shape[2]
            self.running_mean.lerp_(mean[:, 0], self.momentum)
            self.running_var.lerp_(variance[:, 0] * (size / max(size - 1, 1)), self.momentum)
            self.num_batches_tracked.add_(1)
        scaled = (maps - mean) / (variance + self.eps).sqrt()
        output: Tensor = scaled * self.weight[:, None] + self.bias[:, None]
        return output.view(values.shape)


class BatchNorm1d(_NormalizesBatch, nn.BatchNorm1d):
    """Batch normalisation of rows."""


class BatchNorm2d(_NormalizesBatch, nn.BatchNorm2d):
    """Batch normalisation of feature maps."""


def foreign_norms(module: nn.Module) -> list[nn.Module]:
    """Return torch's own batch normalisation layers, which need at least two rows in training.

    Parameters
    ----------
    module : Module
        Module to search, including its submodules.

    Returns
    -------
    list of Module
        Layers to set to evaluation mode for a batch of one row.
    """
    norms = (m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
    return [norm for norm in norms if not isinstance(norm, _NormalizesBatch)]


class _DropsRows:
    """Dropout that draws for the whole batch, also if processes share it."""

    def forward(self, values: Tensor) -> Tensor:
        """Return rows with random elements, or whole feature maps, set to zero."""
        if current_shard() is None or not self.training:  # type: ignore[attr-defined]
            dropped: Tensor = super().forward(values)  # type: ignore[misc]
            return dropped
        shape, like = values.shape[1:], values.detach()

        def draw(n_rows: int) -> Tensor:
            kept: Tensor = super(_DropsRows, self).forward(like.new_ones(n_rows, *shape))  # type: ignore[misc]
            return kept

        return values * draw_shard(draw, len(values))


class Dropout(_DropsRows, nn.Dropout):
    """Dropout of single elements."""


class Dropout2d(_DropsRows, nn.Dropout2d):
    """Dropout of whole feature maps."""


def total_of(parts: Iterable[Tensor]) -> Tensor:
    """Return the sum of some tensors, added in their order.

    The rounding of a sum over the first axis of a stacked tensor depends on the number of rows. The
    result of a row would then depend on the batch.
    """
    return reduce(torch.add, parts)


class Sum(nn.Module):
    """The sum of the outputs of several modules of the same input."""

    def __init__(self, *paths: nn.Module) -> None:
        super().__init__()
        self.paths = nn.ModuleList(paths)

    def forward(self, values: Tensor) -> Tensor:
        return total_of(path(values) for path in self.paths)


DENSE_NORMALIZATIONS: dict[str, Callable[[int], nn.Module]] = {
    "batch": BatchNorm1d,
    "layer": nn.LayerNorm,
}


@contextmanager
def hidden_layers(encoder: nn.Module) -> Iterator[list[Tensor]]:
    """Collect the outputs of an encoder's activations, (batch, width) each, in call order.

    Feature maps are averaged over their pixels. An activation in the last position is left out,
    because its output is the code.
    """
    kept: list[Tensor] = []

    def keep(part: nn.Module, given: object, output: Tensor) -> None:
        kept.append(output if output.ndim == 2 else output.flatten(2).mean(2))

    # A user's network contains torch's GELU.
    bends: tuple[type[nn.Module], ...] = (nn.GELU, *(type(f()) for f in ACTIVATIONS.values()))
    parts = list(encoder.modules())
    hooks = [p.register_forward_hook(keep) for p in parts[:-1] if isinstance(p, bends)]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def check_choice(
    name: str,
    value: str | None,
    choices: dict[str, object] | dict[str, Callable[..., nn.Module]],
    *,
    optional: bool = False,
) -> None:
    if value in choices or (optional and value is None):
        return
    allowed = ", ".join(repr(choice) for choice in choices) + (" or None" if optional else "")
    raise ParameterError(f"{name} must be one of {allowed}, got {value!r}.")


def check_share(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ParameterError(f"{name} must be in [0, 1), got {value}. Try 0.1.")


def check_sizes(name: str, sizes: Sequence[int]) -> None:
    listed = isinstance(sizes, Sequence) and not isinstance(sizes, str)
    whole = listed and all(hasattr(size, "__index__") for size in sizes)
    if not whole or any(int(size) < 1 for size in sizes):
        raise ParameterError(
            f'{name} must be "auto" or positive integers, got {repr(sizes)[:60]}. Try (64, 32).'
        )
    if len(sizes) > _MOST_LAYERS:
        raise ParameterError(
            f"{name} must be at most {_MOST_LAYERS:,} layers, got {len(sizes):,}. Try (64, 32)."
        )
