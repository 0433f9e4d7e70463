"""Processes that train together: what they hold, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Protocol, TypeVar

import torch.distributed as dist
from torch import Tensor

from latently._launch import launched_processes

Value = TypeVar("Value")


class StopRequest(IntEnum):
    """Why a worker wants training to end after the next step; the highest is done."""

    NONE = 0
    OUT_OF_TIME = 1
    INTERRUPT = 2


class Workers(Protocol):
    """All processes of a training, as one of them sees them.

    Attributes
    ----------
    rank : int
        Number of this process; the first, 0, writes.
    n_workers : int
        How many there are.
    """

    rank: int
    n_workers: int

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all workers, to be differentiated."""
        ...

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Replace gradients by their sums over all workers, and return the sum of the losses.

        They are the same to the bit on each worker.
        """
        ...

    def total(self, value: float) -> float:
        """Return the sum of a number over all workers."""
        ...

    def agree_on_stop(self, request: StopRequest, *, at_once: bool = False) -> StopRequest:
        """Say what this worker wants, and hear what all do: with the next sums, or at once."""
        ...

    def compute_on_first(self, make: Callable[[], Value]) -> Value:
        """Return what the first worker makes; no other makes it."""
        ...

    def gather(self, value: Value) -> list[Value]:
        """Return the values of all workers: plain ones, arrays, lists and dicts of them."""
        ...


class SingleProcess:
    """A process without others."""

    rank = 0
    n_workers = 1

    def sum(self, value: Tensor) -> Tensor:
        """Return the value."""
        return value

    def sum_gradients(self, gradients: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Leave the gradients."""
        return loss

    def total(self, value: float) -> float:
        """Return the value."""
        return value

    def agree_on_stop(self, request: StopRequest, *, at_once: bool = False) -> StopRequest:
        """Return the request."""
        return request

    def compute_on_first(self, make: Callable[[], Value]) -> Value:
        """Make it."""
        return make()

    def gather(self, value: Value) -> list[Value]:
        """Return the value alone."""
        return [value]


SINGLE_PROCESS = SingleProcess()


def shard_of(n_rows: int, rank: int, n_workers: int) -> slice:
    """Return which of some rows are a worker's: as many for each, but for one.

    Parameters
    ----------
    n_rows : int
        Rows of all.
    rank : int
        The worker.
    n_workers : int
        How many there are.

    Returns
    -------
    slice
        Neighbouring rows, none where there are fewer rows than workers.
    """
    return slice(rank * n_rows // n_workers, (rank + 1) * n_rows // n_workers)


def differing(told: Sequence[dict[str, Any]]) -> tuple[int, str] | None:
    """Return the first worker that says something else than the first one, and about what."""
    for rank, one in enumerate(told):
        for name, value in told[0].items():
            if one.get(name) != value:
                return rank, name
    return None


def is_one_of_several() -> bool:
    """Return True in a process that torchrun, or a process group, made one of several."""
    if dist.is_initialized():
        return bool(dist.get_world_size() > 1)
    return launched_processes() > 1
