"""Noise generated from the content of a row, so that it does not depend on the batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: splitmix64's constants, as signed numbers [Steele, Lea and Flood 2014].
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


def row_seeds(values: Tensor) -> Tensor:
    """Return a 64-bit hash of each row.

    Parameters
    ----------
    values : Tensor of shape (batch, width)
        Rows.

    Returns
    -------
    Tensor of int64, shape (batch,)
        Equal rows have equal numbers.
    """
    bits = (values.double() + 0.0).view(torch.int64)
    places = torch.arange(values.shape[1], device=values.device) * _GOLDEN
    return _mixed(bits + _mixed(places)).sum(1)


def row_noise(seeds: Tensor, draw: int, n_components: int) -> Tensor:
    """Return standard normal noise for each row.

    Parameters
    ----------
    seeds : Tensor of int64, shape (batch,)
        From ``row_seeds``.
    draw : int
        Index of the draw. Different draws of a row are independent.
    n_components : int
        Size of the draw of each row.

    Returns
    -------
    Tensor of float64, shape (batch, n_components)
        Independent across rows, draws and components.
    """
    counter = torch.arange(n_components, device=seeds.device) + (draw * n_components + 1)
    bits = _mixed(seeds[:, None] + counter * _GOLDEN)
    uniform = (_shifted(bits, 11).double() + 0.5) * 2.0**-53
    noise: Tensor = math.sqrt(2) * torch.erfinv(2 * uniform - 1)
    return noise


def _mixed(bits: Tensor) -> Tensor:
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Shift right and fill with zeros instead of the sign bit."""
    return (bits >> by) & ((1 << (64 - by)) - 1)
