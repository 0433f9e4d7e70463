"""The threads and devices that torch can use in this process, also after a fork."""

from __future__ import annotations

import os
from functools import cache

import torch

from latently._threads import lacks_threads
from latently.exceptions import ResourceError


def _compute_in_one_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # A forked process has no threads of torch and would wait for them forever.
    os.register_at_fork(after_in_child=_compute_in_one_thread)


def check_threads() -> None:
    """Check that the system allows the threads that torch will start.

    Raises
    ------
    ResourceError
        If a thread cannot be started. torch would then end the process.
    """
    _check_threads(torch.get_num_threads() - 1)


@cache
def _check_threads(n_threads: int) -> None:
    lacking = lacks_threads(n_threads)
    if lacking:
        raise ResourceError(lacking)


def has_lost_cuda() -> bool:
    """Return True in a process that was forked after its parent had used CUDA.

    Returns
    -------
    bool
        True if CUDA cannot be used in this process.
    """
    # A private name of torch. Without it, torch raises its own error.
    is_lost = getattr(torch.cuda, "_is_in_bad_fork", None)
    return is_lost is not None and bool(is_lost())
