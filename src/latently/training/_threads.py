"""The threads and devices of torch that a process may use: fewer where it was forked."""

from __future__ import annotations

import os
from functools import cache

import torch

from latently._threads import lacks_threads
from latently.exceptions import ResourceError


def _compute_in_one_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    # The threads of torch do not exist in a forked process, which would wait for them for ever.
    os.register_at_fork(after_in_child=_compute_in_one_thread)


def check_threads() -> None:
    """Refuse work for which torch would start threads that the system does not grant.

    Raises
    ------
    ResourceError
        If a thread cannot be started: torch would end the process.
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
        Whether CUDA cannot be used in this process.
    """
    # A private name of torch: where it is gone, torch raises an error of its own.
    is_lost = getattr(torch.cuda, "_is_in_bad_fork", None)
    return is_lost is not None and bool(is_lost())
