"""The kernel memory, which reconstructs a row as a weighted mean of stored rows."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from latently.nn._blocks import ROW_BLOCK, by_blocks, times
from latently.nn._module import Rows

#: Number of stored rows from which bandwidths and usual scores are computed.
CALIBRATION_ROWS = 1_000
#: Number of distances that are computed at once: two megabytes, which fit into the cache of a core.
_CHUNK_DISTANCES = 1 << 19
#: Chunks are padded to a multiple of this number of rows. Matrix products then add in the same
#: order for every row, so that the bits of a score do not depend on the batch.
_ROW_BLOCK = ROW_BLOCK
#: A smaller sum of weights is due to rounding.
LEAST_WEIGHT = 1e-30
#: Logit relative to the largest. Weights up to twice its exponential are set to zero: their fourth
#: power would be a denormal number, with which processors compute many times slower.
LEAST_LOGIT = -21.5
#: Smallest squared bandwidth, in variances of a column.
_LEAST_BANDWIDTH = 1e-3
#: Reconstructions use the bandwidth of the density divided by this number.
SHARPNESS = 4.0


class Memory(nn.Module):
    r"""Kernel regression on stored rows by the Nadaraya-Watson mean [1]_.

    A row :math:`x` is reconstructed as :math:`\sum_i w_i m_i` with
    :math:`w_i \propto \exp(-\|x - m_i\|^2 / 2h)`. For stored rows with added normal noise of
    variance :math:`h`, this is the denoiser of least squared error [2]_. Distances are computed
    over the elements that both rows have, and scaled to the full width.

    Parameters
    ----------
    n_rows, width : int
        Number and width of the stored rows.
    gaps : bool, default=False
        If True, also store a mask of the observed elements.

    References
    ----------
    .. [1] Watson (1964), Smooth Regression Analysis.
    .. [2] Alain and Bengio (2014), What Regularized Auto-Encoders Learn from the Data-Generating
       Distribution.
    """

    keys: Tensor
    half_squares: Tensor
    seen: Tensor | None
    unit: Tensor

    def __init__(self, n_rows: int, width: int, gaps: bool = False) -> None:
        super().__init__()
        # One column per stored row, in units of the bandwidth: products are faster this way.
        self.register_buffer("keys", torch.zeros(width, n_rows))
        self.register_buffer("half_squares", torch.zeros(n_rows))
        seen = torch.ones(width, n_rows, dtype=torch.bool) if gaps else None
        self.register_buffer("seen", seen)
        self.register_buffer("unit", torch.ones(()))

    def store(
        self, rows: Rows, left_out: Tensor | None = None, bandwidth: float | None = None
    ) -> None:
        """Store rows and compute the bandwidth from them, unless it is given.

        The squared bandwidth is the median squared distance to the nearest other row.

        Parameters
        ----------
        rows : Rows
            Rows to store, exactly ``n_rows``.
        left_out : Tensor of int, shape (n_calibration,) or (n_calibration, n_places), or None
            Stored rows that each of the first rows is not compared with, as in ``logits``. With
            None, each row is not compared with itself.
        bandwidth : float or None, default=None
            Bandwidth in the unit of the rows.
        """
        if self.seen is not None and rows.seen is not None:
            self.seen.copy_(rows.seen.T)
        if bandwidth is not None:
            least = math.sqrt(_LEAST_BANDWIDTH)
            self._set_keys(rows.values, torch.full_like(self.unit, max(bandwidth, least)))
            return
        self._set_keys(rows.values, torch.ones_like(self.unit))
        first = rows.take(slice(CALIBRATION_ROWS))
        if left_out is None:
            left_out = torch.arange(len(first.values))
        nearest = self._nearest(first, left_out)
        # The distance of two rows without a common observed element is infinite.
        median = nearest[nearest.isfinite()].median() if bool(nearest.isfinite().any()) else 1.0
        self._set_keys(rows.values, torch.as_tensor(median).clamp(min=_LEAST_BANDWIDTH).sqrt())

    def _set_keys(self, values: Tensor, unit: Tensor) -> None:
        self.unit.copy_(unit)
        self.keys.copy_((values / unit).T)
        if self.seen is not None:
            self.keys.masked_fill_(~self.seen, 0.0)
        self.half_squares.copy_(0.5 * self.keys.square().sum(0))

    def _nearest(self, rows: Rows, left_out: Tensor) -> Tensor:
        """Return the squared distance of each row to the nearest stored row not left out."""
        nearest = []
        for places in chunks(len(rows.values), self.keys.shape[1]):
            scaled = self.scaled(rows.take(places))
            closest = self.logits(scaled, left_out[places]).amax(1)
            nearest.append(scaled.values.square().sum(1) - 2 * closest)
        return torch.cat(nearest).clamp(min=0)

    def scaled(self, rows: Rows) -> Rows:
        """Return rows in units of the bandwidth, with zeros where an element is missing."""
        values = rows.values.to(self.keys) / self.unit
        return Rows(values if rows.seen is None else values.masked_fill_(~rows.seen, 0), rows.seen)

    def logits(self, scaled: Rows, left_out: Tensor) -> Tensor:
        """Return the log weight of each stored row, up to a constant of the row.

        The log weight is minus half the squared distance in bandwidths. Half the squared norm of
        the row is left out, because the weights do not depend on it.

        Parameters
        ----------
        scaled : Rows
            Rows in units of the bandwidth.
        left_out : Tensor of int, shape (batch,) or (batch, n_places)
            Indices of the stored rows that each row is not compared with, or -1 for none.

        Returns
        -------
        Tensor of shape (batch, n_rows)
            Minus infinity where a stored row is left out or has no element in common with the row.
        """
        if scaled.seen is None and self.seen is None:
            logits = self._full_logits(scaled.values)
        else:
            logits = self._gappy_logits(*scaled)
        places = left_out.view(len(logits), -1)
        held, nth = (places >= 0).nonzero(as_tuple=True)
        if len(held):
            logits[held, places[held, nth]] = -math.inf
        return logits

    def _full_logits(self, values: Tensor) -> Tensor:
        n_rows = len(values)
        step = n_rows if n_rows % ROW_BLOCK else ROW_BLOCK
        logits = values.new_empty(n_rows, self.keys.shape[1])
        for block, out in zip(torch.split(values, step), torch.split(logits, step), strict=True):
            torch.addmm(self.half_squares, block, self.keys, beta=-1, out=out)
        return logits

    def _gappy_logits(self, values: Tensor, seen: Tensor | None) -> Tensor:
        own = torch.ones_like(values) if seen is None else seen.to(values)
        theirs = torch.ones_like(self.keys) if self.seen is None else self.seen.to(values)
        squares = values.square()
        lengths = times(squares, theirs) + times(own, self.keys.square())
        half = times(values, self.keys) - 0.5 * lengths
        n_common = times(own, theirs)
        scaled = half * (values.shape[1] / n_common.clamp(min=1))
        scaled = scaled.masked_fill_(n_common == 0, -math.inf)
        return scaled + 0.5 * squares.sum(1, keepdim=True)

    def read(self, weights: Tensor, total: Tensor) -> Tensor:
        """Return weighted means of the observed elements of stored rows, (batch, width).

        Parameters
        ----------
        weights : Tensor of shape (batch, n_rows)
            Weight of each stored row.
        total : Tensor of shape (batch,)
            Sums of the weights.
        """
        read = by_blocks(lambda block: _product(self.keys, block.T), weights, 1)
        if self.seen is not None:
            seen = self.seen.to(read)
            total_seen = by_blocks(lambda block: _product(seen, block.T), weights, 1)
            read /= total_seen.clamp(min=LEAST_WEIGHT)
        else:
            read /= total.clamp(min=LEAST_WEIGHT)
        return (read * self.unit).T

    def rarity_and_residuals(self, rows: Rows, left_out: Tensor) -> tuple[Tensor, Tensor]:
        """Return the negative log density and the squared residuals of rows.

        Parameters
        ----------
        rows : Rows
            Rows transformed by the view of this memory.
        left_out : Tensor of int, shape (batch,) or (batch, n_places)
            As in ``logits``.

        Returns
        -------
        rarity : Tensor of shape (batch,)
            Negative logarithm of the kernel density, up to a constant.
        squares : Tensor of shape (batch, width)
            Squared residuals, zero where an element is missing.
        """
        n_rows = len(rows.values)
        part, out = _padded(rows, left_out)
        scaled = self.scaled(part)
        density = scaled.values.new_empty(len(part.values))
        rebuilt = torch.empty_like(scaled.values)
        for places in chunks(len(part.values), self.keys.shape[1]):
            top, weights = _relative_weights(self.logits(scaled.take(places), out[places]))
            density[places] = top + weights.sum(1).log()
            sharp = weights.square_().square_()
            rebuilt[places] = self.read(sharp, sharp.sum(1))
        rarity = (0.5 * scaled.values.square().sum(1) - density)[:n_rows]
        squares = (part.values.to(rebuilt) - rebuilt).square_()[:n_rows]
        return rarity, squares if rows.seen is None else squares.masked_fill_(~rows.seen, 0)


def _product(first: Tensor, second: Tensor) -> Tensor:
    """Return a matrix product whose first factor holds no rows of the batch.

    ``FixedProducts`` would split it into blocks of its rows.
    """
    return torch.addmm(first.new_zeros(()), first, second, beta=0)


def weights_of(logits: Tensor) -> Tensor:
    """Return the softmax of logits, which are overwritten.

    If all logits of a row are minus infinity, its weights are equal.
    """
    weights = _relative_weights(logits)[1]
    return weights.div_(weights.sum(1, keepdim=True))


def _relative_weights(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the largest logit of each row, and the weights relative to it, by overwriting."""
    top = logits.amax(1)
    if float(top.min()) == -math.inf:
        logits = logits.masked_fill_(top.isinf()[:, None], 0.0)
        top = top.nan_to_num(neginf=0.0)
    weights = logits.sub_(top[:, None]).clamp_(min=LEAST_LOGIT).exp_()
    return top, torch.threshold_(weights, 2 * math.exp(LEAST_LOGIT), 0.0)


def chunks(n_rows: int, n_stored: int) -> Iterator[slice]:
    """Yield slices of rows whose distances to all stored rows fit into the processor's cache."""
    step = min(max(_CHUNK_DISTANCES // n_stored // _ROW_BLOCK, 1) * _ROW_BLOCK, 4096)
    for start in range(0, n_rows, step):
        yield slice(start, min(start + step, n_rows))


def _padded(rows: Rows, left_out: Tensor) -> tuple[Rows, Tensor]:
    """Repeat the last row until the number of rows is a multiple of the block."""
    lacking = -len(left_out) % _ROW_BLOCK
    if not lacking:
        return rows, left_out
    values, seen = (
        None if part is None else torch.cat([part, part[-1:].expand(lacking, -1)]) for part in rows
    )
    assert values is not None
    more = left_out[-1:].expand(lacking, *left_out.shape[1:])
    return Rows(values, seen), torch.cat([left_out, more])
