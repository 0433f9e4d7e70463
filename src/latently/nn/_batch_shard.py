"""Random draws and batch statistics for a batch that several processes share.

Use these helpers for random draws and batch statistics. In a single process they reduce to the
plain torch calls. In a process that holds a shard of a batch, they draw for the whole batch and
compute statistics over the whole batch. The result does not depend on the number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class ProcessGroup(Protocol):
    """The processes that hold the shards of one batch."""

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all processes. Gradients flow through it."""
        ...


class BatchShard(NamedTuple):
    """The rows of a batch that this process holds.

    Attributes
    ----------
    start, stop : int
        Range of these rows in the whole batch.
    total : int
        Number of rows of the whole batch.
    group : ProcessGroup
        The processes that hold the other rows.
    """

    start: int
    stop: int
    total: int
    group: ProcessGroup


_SHARD: ContextVar[BatchShard | None] = ContextVar("batch_shard", default=None)


@contextmanager
def as_shard(shard: BatchShard | None) -> Iterator[None]:
    """Declare which rows of a batch the code in this context processes.

    Parameters
    ----------
    shard : BatchShard or None
        The rows of this process, or None if it holds the whole batch.
    """
    token = _SHARD.set(shard)
    try:
        yield
    finally:
        _SHARD.reset(token)


def current_shard() -> BatchShard | None:
    """Return the current shard, or None if this process holds the whole batch."""
    return _SHARD.get()


def draw_shard(draw: Callable[[int], Tensor], n_rows: int) -> Tensor:
    """Draw for the whole batch and return the rows of this shard.

    Parameters
    ----------
    draw : callable
        Maps a number of rows to a tensor with that many rows.
    n_rows : int
        Number of rows of this shard.

    Returns
    -------
    Tensor of shape (n_rows, ...)
        The draws that belong to the rows of this shard.
    """
    shard = _SHARD.get()
    return draw(n_rows) if shard is None else draw(shard.total)[shard.start : shard.stop]


def normal_like(rows: Tensor) -> Tensor:
    """Return standard normal noise of the shape of some rows."""
    shard = _SHARD.get()
    if shard is None:
        return torch.randn_like(rows)
    return torch.randn_like(rows.new_empty(shard.total, *rows.shape[1:]))[shard.start : shard.stop]


def uniform_like(rows: Tensor) -> Tensor:
    """Return uniform draws from [0, 1) of the shape of some rows.

    They have the dtype of ``rows``, or float32 if that is not a floating-point dtype.
    """
    dtype = rows.dtype if rows.is_floating_point() else torch.float32
    return draw_shard(
        lambda n: torch.rand(n, *rows.shape[1:], dtype=dtype, device=rows.device), len(rows)
    )


def batch_sum(rows: Tensor) -> Tensor:
    """Return the sum over the rows of the whole batch. Gradients flow through it."""
    shard = _SHARD.get()
    own = rows.sum(0)
    return own if shard is None else shard.group.sum(own)


def batch_mean(rows: Tensor) -> Tensor:
    """Return the mean over the rows of the whole batch. Gradients flow through it."""
    shard = _SHARD.get()
    return rows.mean(0) if shard is None else batch_sum(rows) / shard.total


def n_in_batch(rows: Tensor) -> int:
    """Return the number of rows of the whole batch."""
    shard = _SHARD.get()
    return len(rows) if shard is None else shard.total


def batch_any(rows: Tensor) -> Tensor:
    """Return, for each column, True if it is true in any row of the whole batch."""
    if _SHARD.get() is None:
        return rows.any(0)
    return batch_sum(rows.float()) > 0


def whole_batch(rows: Tensor) -> Tensor:
    """Return the rows of the whole batch. Gradients flow to this shard only."""
    shard = _SHARD.get()
    if shard is None:
        return rows
    before = rows.new_zeros(shard.start, *rows.shape[1:])
    after = rows.new_zeros(shard.total - shard.stop, *rows.shape[1:])
    return shard.group.sum(torch.cat([before, rows, after]))
