"""Codes made better than the encoder's first answer, by descent on the error of each row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: First step, in standard deviations of each component over the training rows.
_FIRST_STEP = 0.2
#: Adam's memory of gradients and of their squares: short, for there are few steps.
_MOMENTUM, _SCALE_MOMENTUM = 0.8, 0.95


def refine(code: Tensor, spread: Tensor, error: Callable[[Tensor], Tensor], n_steps: int) -> Tensor:
    """Descend from the encoder's codes to codes that are rebuilt better [1]_, [2]_.

    Every row goes its own way, so that it ends alone where it ends in company, and at the best
    code that it met: never worse than where it began.

    Parameters
    ----------
    code : Tensor of shape (batch, n_components)
        Where to begin.
    spread : Tensor of shape (n_components,)
        Standard deviation of each component over the training rows: the unit of a step.
    error : callable
        Codes -> what each row loses under its code, shape (batch,).
    n_steps : int
        Steps of Adam, the last ones the shortest.

    Returns
    -------
    Tensor of shape (batch, n_components)
        Codes.

    References
    ----------
    .. [1] Kim, Wiseman, Miller, Sontag and Rush (2018), Semi-Amortized Variational Autoencoders.
    .. [2] Cremer, Li and Duvenaud (2018), Inference Suboptimality in Variational Autoencoders.
    """
    best, least = code, code.new_full((len(code),), torch.inf)
    momentum, scale = torch.zeros_like(code), torch.zeros_like(code)
    for step in range(n_steps + 1):
        losses, gradient = _judged(code, error)
        better = losses < least
        best, least = torch.where(better[:, None], code, best), torch.where(better, losses, least)
        momentum = _MOMENTUM * momentum + (1 - _MOMENTUM) * gradient
        scale = _SCALE_MOMENTUM * scale + (1 - _SCALE_MOMENTUM) * gradient.square()
        slope = momentum / (1 - _MOMENTUM ** (step + 1))
        size = (scale / (1 - _SCALE_MOMENTUM ** (step + 1))).sqrt() + 1e-12
        code = code - _FIRST_STEP * (1 - step / max(n_steps, 1)) * spread * slope / size
    return best


def _judged(code: Tensor, error: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return each row's error and its gradient by the code."""
    with torch.enable_grad():
        tried = code.detach().requires_grad_()
        losses = error(tried)
        (gradient,) = torch.autograd.grad(losses.sum(), tried)
    return losses.detach(), gradient
