"""The protocol of the processes that train together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol, TypeVar

import torch.distributed as dist
from torch import Tensor

from latently._launch import launched_processes

Value = TypeVar("Value")


class StopRequest(IntEnum):
    """Reason why a worker requests the end of training; the highest request is executed."""

    NONE = 0
    OUT_OF_TIME = 1
    INTERRUPT = 2


class Workers(Protocol):
    """All processes of a training, as an object of one of them.

    Attributes
    ----------
    rank : int
        Index of this process. Process 0 writes files.
    n_workers : int
        Number of processes.
    """

    rank: int
    n_workers: int

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all workers. Gradients flow through it."""
        ...

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Replace gradients by their sums over all workers, and return the sum of the losses.

        The sums are the same to the bit on all workers.
        """
        ...

    def total(self, value: float) -> float:
        """Return the sum of a number over all workers."""
        ...

    def agree_on_stop(self, request: StopRequest, *, at_once: bool = False) -> StopRequest:
        """Send this worker's stop request and return the common one.

        Requests are exchanged with the next ``sum_gradients``, or immediately if ``at_once``.
        """
        ...

    def compute_on_first(self, make: Callable[[], Value]) -> Value:
        """Call ``make`` on the first worker only, and return its result on all workers."""
        ...

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all workers, which may be plain values, arrays, lists or dicts."""
        ...


class SingleProcess:
    """A training in a single process."""

    rank = 0
    n_workers = 1

    def sum(self, value: Tensor) -> Tensor:
        """Return the value."""
        return value

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Keep the gradients and return the loss."""
        return loss

    def total(self, value: float) -> float:
        """Return the value."""
        return value

    def agree_on_stop(self, request: StopRequest, *, at_once: bool = False) -> StopRequest:
        """Return the request."""
        return request

    def compute_on_first(self, make: Callable[[], Value]) -> Value:
        """Call ``make`` and return its result."""
        return make()

    def gather(self, value: Value) -> list[Value]:
        """Return a list of the value."""
        return [value]


SINGLE_PROCESS = SingleProcess()


def shard_of(n_rows: int, rank: int, n_workers: int) -> slice:
    """Return the range of rows of a worker; sizes differ by at most one row.

    Parameters
    ----------
    n_rows : int
        Number of rows of all workers.
    rank : int
        Index of the worker.
    n_workers : int
        Number of workers.

    Returns
    -------
    slice
        Consecutive rows, possibly none if there are fewer rows than workers.
    """
    return slice(rank * n_rows // n_workers, (rank + 1) * n_rows // n_workers)


def differing(values: Sequence[dict[str, Any]]) -> tuple[int, str] | None:
    """Return the first worker whose dict differs from the first dict, and the differing key."""
    for rank, one in enumerate(values):
        for name, value in values[0].items():
            if one.get(name) != value:
                return rank, name
    return None


def is_one_of_several() -> bool:
    """Return True if this process belongs to a process group of several, or torchrun started it."""
    if dist.is_initialized():
        return bool(dist.get_world_size() > 1)
    return launched_processes() > 1
