"""The random state of torch within a fit, which leaves that of the caller unchanged."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latently.nn import own_settings
from latently.training import has_lost_cuda

_RANDOM_STATE_LOCK = threading.RLock()


def _renew_lock() -> None:
    """Replace the lock after a fork, where its owner may be a thread that no longer exists."""
    global _RANDOM_STATE_LOCK
    _RANDOM_STATE_LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_lock)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch within the context, and restore the random state of the caller afterwards.

    Torch has one random state for all threads, so that a lock lets only one thread draw from it.
    """
    devices = [] if has_lost_cuda() else list(range(torch.cuda.device_count()))
    with own_settings(), _RANDOM_STATE_LOCK, torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
