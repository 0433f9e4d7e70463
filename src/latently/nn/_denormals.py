"""Denormal numbers, on which processors compute many times slower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Flush numbers below 1e-38 to zero in this thread, as a GPU does.

    GELU produces denormal numbers for large negative inputs. They slow a step down, and are lost
    to rounding when they are added to other numbers.
    """
    if _are_flushed() or not torch.set_flush_denormal(True):
        yield
        return
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _are_flushed() -> bool:
    return float(torch.tensor(1e-40, dtype=torch.float32) * 1.0) == 0.0
