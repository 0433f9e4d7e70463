"""A part of a batch: what its rows must know of the other rows, which other processes hold.

Whatever draws at random for rows, or looks at a batch as a whole, does it by these functions. Where
a batch is whole they are the plain thing; where this process holds a part of it, what is drawn and
what is found are those of the whole batch, so that the number of processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Colleagues(Protocol):
    """The processes that hold the other rows."""

    def sum(self, value: Tensor) -> Tensor:
        """Return the sum over all processes, to be differentiated."""
        ...


class Part(NamedTuple):
    """Which rows of a batch are here.

    Attributes
    ----------
    start, stop : int
        The rows that are here, in the whole batch.
    total : int
        Rows of the whole batch.
    colleagues : Colleagues
        Who holds the others.
    """

    start: int
    stop: int
    total: int
    colleagues: Colleagues


_PART: ContextVar[Part | None] = ContextVar("part", default=None)


@contextmanager
def as_part(part: Part | None) -> Iterator[None]:
    """Let rows be a part of a batch; None is a whole one.

    Parameters
    ----------
    part : Part or None
        Which rows.
    """
    token = _PART.set(part)
    try:
        yield
    finally:
        _PART.reset(token)


def current_part() -> Part | None:
    """Return which rows of a batch are at work; None where all are."""
    return _PART.get()


def drawn(draw: Callable[[int], Tensor], n_rows: int) -> Tensor:
    """Return what is drawn for some rows.

    Parameters
    ----------
    draw : callable
        From a number of rows to a tensor of as many.
    n_rows : int
        Rows that are here.

    Returns
    -------
    Tensor of shape (n_rows, ...)
        Of what is drawn for the whole batch, their own.
    """
    part = _PART.get()
    return draw(n_rows) if part is None else draw(part.total)[part.start : part.stop]


def normal_like(rows: Tensor) -> Tensor:
    """Return standard normal noise of the shape of some rows."""
    part = _PART.get()
    if part is None:
        return torch.randn_like(rows)
    return torch.randn_like(rows.new_empty(part.total, *rows.shape[1:]))[part.start : part.stop]


def uniform_like(rows: Tensor) -> Tensor:
    """Return numbers in [0, 1) of the shape of some rows, of truths in single precision."""
    dtype = rows.dtype if rows.is_floating_point() else torch.float32
    return drawn(
        lambda n: torch.rand(n, *rows.shape[1:], dtype=dtype, device=rows.device), len(rows)
    )


def batch_sum(rows: Tensor) -> Tensor:
    """Return the sum over the rows of the whole batch, to be differentiated."""
    part = _PART.get()
    own = rows.sum(0)
    return own if part is None else part.colleagues.sum(own)


def batch_mean(rows: Tensor) -> Tensor:
    """Return the mean over the rows of the whole batch, to be differentiated."""
    part = _PART.get()
    return rows.mean(0) if part is None else batch_sum(rows) / part.total


def n_in_batch(rows: Tensor) -> int:
    """Return how many rows the whole batch has."""
    part = _PART.get()
    return len(rows) if part is None else part.total


def batch_any(rows: Tensor) -> Tensor:
    """Return, for each column, whether it is true in any row of the whole batch."""
    if _PART.get() is None:
        return rows.any(0)
    return batch_sum(rows.float()) > 0


def whole_batch(rows: Tensor) -> Tensor:
    """Return the rows of the whole batch; gradients go to those that are here."""
    part = _PART.get()
    if part is None:
        return rows
    before = rows.new_zeros(part.start, *rows.shape[1:])
    after = rows.new_zeros(part.total - part.stop, *rows.shape[1:])
    return part.colleagues.sum(torch.cat([before, rows, after]))
