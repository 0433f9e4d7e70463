"""Numbers so small that a processor takes many times longer over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushing_denormals() -> Iterator[None]:
    """Take numbers below 1e-38 for zero in this thread, as a GPU does.

    GELU far from zero is made of such numbers, and takes up to four times as long with them; beside
    others they are lost in rounding anyway.
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
