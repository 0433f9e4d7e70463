"""Refinement of the encoder's codes by gradient descent on the error of each row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

#: First step, in standard deviations of each component over the training rows.
_FIRST_STEP = 0.2
#: Adam's decay rates of the moments. They are low because there are few steps.
_MOMENTUM, _SCALE_MOMENTUM = 0.8, 0.95


def refine(code: Tensor, spread: Tensor, error: Callable[[Tensor], Tensor], n_steps: int) -> Tensor:
    """Optimise the code of each row, starting from the encoder's code [1]_, [2]_.

    Each row is optimised separately, so that the result does not depend on the batch. The code
    with the smallest error is returned, which is never worse than the encoder's.

    Parameters
    ----------
    code : Tensor of shape (batch, n_components)
        The encoder's codes.
    spread : Tensor of shape (n_components,)
        Standard deviation of each component over the training rows; step sizes are in this unit.
    error : callable
        Maps codes of shape (batch, n_components) to the loss of each row, shape (batch,).
    n_steps : int
        Number of Adam steps. Their size decreases linearly.

    Returns
    -------
    Tensor of shape (batch, n_components)
        Refined codes.

    References
    ----------
    .. [1] Kim, Wiseman, Miller, Sontag and Rush (2018), Semi-Amortized Variational Autoencoders.
    .. [2] Cremer, Li and Duvenaud (2018), Inference Suboptimality in Variational Autoencoders.
    """
    best, least = code, code.new_full((len(code),), torch.inf)
    momentum, scale = torch.zeros_like(code), torch.zeros_like(code)
    for step in range(n_steps + 1):
        losses, gradient = _error_and_gradient(code, error)
        better = losses < least
        best, least = torch.where(better[:, None], code, best), torch.where(better, losses, least)
        momentum = _MOMENTUM * momentum + (1 - _MOMENTUM) * gradient
        scale = _SCALE_MOMENTUM * scale + (1 - _SCALE_MOMENTUM) * gradient.square()
        slope = momentum / (1 - _MOMENTUM ** (step + 1))
        size = (scale / (1 - _SCALE_MOMENTUM ** (step + 1))).sqrt() + 1e-12
        code = code - _FIRST_STEP * (1 - step / max(n_steps, 1)) * spread * slope / size
    return best


def _error_and_gradient(code: Tensor, error: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """Return the error of each row and its gradient with respect to the code."""
    with torch.enable_grad():
        tried = code.detach().requires_grad_()
        losses = error(tried)
        (gradient,) = torch.autograd.grad(losses.sum(), tried)
    return losses.detach(), gradient
