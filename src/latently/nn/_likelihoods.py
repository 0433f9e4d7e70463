"""The likelihood of encoded rows, which gives the error of each cell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from latently._layout import Block, Layout
from latently.nn._kinds import KINDS, ColumnLikelihood, Noise

#: Initial logarithm of the scale of whole numbers.
_FIRST_LOG_SCALE = -2.0


class _Run(NamedTuple):
    """A block and its elements in the flattened row."""

    block: Block
    elements: slice
    kind: ColumnLikelihood

    def view(self, flat: Tensor) -> Tensor:
        """Return the run as (batch, n_columns, width)."""
        return flat[:, self.elements].view(-1, self.block.n_columns, self.block.width)


def _runs(layout: Layout, own: ColumnLikelihood | None) -> Iterator[_Run]:
    kinds = KINDS if own is None else {**KINDS, own.encoding: own}
    start = 0
    for block in layout.blocks:
        stop = start + block.n_columns * block.width
        yield _Run(block, slice(start, stop), kinds[block.likelihood])
        start = stop


def _column_of_element(layout: Layout) -> Tensor:
    widths = np.repeat([b.width for b in layout.blocks], [b.n_columns for b in layout.blocks])
    return torch.from_numpy(np.repeat(np.arange(layout.n_columns), widths))


def spread(per_column: Tensor, layout: Layout) -> Tensor:
    """Repeat a (batch, n_columns) tensor over the elements of each column."""
    return per_column[:, _column_of_element(layout)]


class Likelihood(nn.Module):
    r"""Negative log-likelihood of each cell of a batch.

    The loss of a ``gaussian`` element is
    :math:`\tfrac12 (x-\mu)^2/\sigma^2 + \log\sigma + \tfrac12\log 2\pi`. The loss of a
    ``bernoulli`` element is the cross-entropy of its logit. The loss of a ``categorical`` block is
    the negative log softmax of its category. The other likelihoods are defined in
    ``nn/_kinds.py``. The loss of a column is the sum over its elements.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    offset : Tensor of shape (width,)
        Added to the decoder's output, so that a zero output gives the column means.
    learn_scale : bool, default=False
        If True, learn the noise :math:`\sigma` of each gaussian element [1]_. If False, it is one
        standard deviation of the column. A fixed :math:`\sigma` overestimates the noise of columns
        that are reconstructed well, so that the KL dominates and a variational code collapses.
    min_scale : float, default=0.01
        Smallest :math:`\sigma`, in standard deviations of the column.
    own : ColumnLikelihood or None, default=None
        Takes the place of the likelihood named by its ``encoding``; None replaces none.

    References
    ----------
    .. [1] Rybkin, Daniilidis and Levine (2021), Simple and Effective VAE Training with Calibrated
       Decoders.
    """

    offset: Tensor
    column_of_element: Tensor

    def __init__(
        self,
        layout: Layout,
        offset: Tensor,
        learn_scale: bool = False,
        min_scale: float = 0.01,
        own: ColumnLikelihood | None = None,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.min_scale = min_scale
        self.own = own
        self.runs = tuple(_runs(layout, own))
        self.one_element_columns = all(block.width == 1 for block in layout.blocks)
        self.register_buffer("column_of_element", _column_of_element(layout), persistent=False)
        self.register_buffer("offset", offset.clone())
        scaled = [run for run in self.runs if run.kind.always_scaled]
        raw = torch.zeros(layout.width)
        for run in scaled:
            raw[run.elements] = _FIRST_LOG_SCALE
        self.raw_log_scale = nn.Parameter(raw) if learn_scale or scaled else None

    @property
    def log_scale(self) -> Tensor | None:
        """Logarithm of sigma of each element, shape (width,), or None if all are fixed at one."""
        if self.raw_log_scale is None:
            return None
        return self.raw_log_scale.clamp(min=math.log(self.min_scale))

    def spread(self, per_column: Tensor) -> Tensor:
        """Repeat a (batch, n_columns) tensor over the elements of each column."""
        return per_column if self.one_element_columns else per_column[:, self.column_of_element]

    def by_column(self, per_element: Tensor) -> Tensor:
        """Sum a (batch, width) tensor over the elements of each column."""
        if self.one_element_columns:
            return per_element
        total = per_element.new_zeros(len(per_element), self.layout.n_columns)
        return total.index_add_(1, self.column_of_element, per_element)

    def forward(self, parameters: Tensor, target: Tensor, observed: Tensor | None) -> Tensor:
        """Return the negative log-likelihood of each cell.

        Parameters
        ----------
        parameters : Tensor of shape (batch, width)
            The decoder's output plus ``offset``.
        target : Tensor of shape (batch, width)
            The encoded row, flattened.
        observed : Tensor of shape (batch, n_columns) or None
            True where a cell was observed, or None if all were. The loss of a missing cell is zero.

        Returns
        -------
        Tensor of shape (batch, n_columns)
            Losses in nats.
        """
        losses = [
            run.kind.loss(run.view(parameters), run.view(target), noise)
            for run, noise in self._noisy_runs()
        ]
        return self._masked(losses, observed)

    def _noisy_runs(self) -> Iterator[tuple[_Run, Noise]]:
        scale = self.log_scale
        for run in self.runs:
            shape = run.block.n_columns, run.block.width
            own = None if scale is None else scale[run.elements].view(shape)
            yield run, Noise(own, self.layout.step)

    def least(self, target: Tensor, observed: Tensor | None) -> Tensor:
        """Return the smallest possible loss of each cell, shape (batch, n_columns), in nats.

        It is zero for categories, the entropy of the grey level for Bernoulli pixels, and the
        logarithm of the normalising constant for numbers.
        """
        least = [run.kind.least(run.view(target), noise) for run, noise in self._noisy_runs()]
        return self._masked(least, observed)

    def deviance(self, parameters: Tensor, target: Tensor, observed: Tensor | None) -> Tensor:
        """Return half the deviance of each cell, shape (batch, n_columns), in nats.

        It is the loss minus the smallest possible loss, and zero for a perfect reconstruction.
        """
        found = [
            run.kind.deviance(run.view(parameters), run.view(target), noise)
            for run, noise in self._noisy_runs()
        ]
        return self._masked(found, observed)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected encoded rows, shape (batch, width), with category probabilities."""
        means = [run.kind.mean(run.view(parameters)).flatten(1) for run in self.runs]
        return means[0] if len(means) == 1 else torch.cat(means, 1)

    def draw(self, parameters: Tensor) -> Tensor:
        """Draw encoded rows from the likelihood, shape (batch, width)."""
        drawn = [
            run.kind.draw(run.view(parameters), noise).flatten(1)
            for run, noise in self._noisy_runs()
        ]
        return torch.cat(drawn, 1)

    @staticmethod
    def _masked(losses: list[Tensor], observed: Tensor | None) -> Tensor:
        loss = losses[0] if len(losses) == 1 else torch.cat(losses, 1)
        return loss if observed is None else torch.where(observed, loss, 0.0)


def mean_offset(layout: Layout, mean: Tensor, own: ColumnLikelihood | None = None) -> Tensor:
    """Return the likelihood's parameters that have the given means.

    Parameters
    ----------
    layout : Layout
        Positions and kinds of the columns in the encoded row.
    mean : Tensor of shape (width,) or (batch, width)
        Mean of the encoded rows, or expected encoded rows.
    own : ColumnLikelihood or None, default=None
        Takes the place of the likelihood named by its ``encoding``.

    Returns
    -------
    Tensor of the shape of ``mean``
        The mean itself for numbers. For probabilities, the logit or logarithm of the mean clipped
        to [0.001, 0.999].
    """
    offset = mean.clone()
    if mean.is_meta:
        return offset
    for run in _runs(layout, own):
        offset[..., run.elements] = run.kind.offset(mean[..., run.elements])
    return offset
