"""Expected value of a cell given the other cells of its row, by a normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import torch
from sklearn import config_context
from sklearn.covariance import ledoit_wolf
from torch import Tensor

from latently._layout import Layout
from latently.exceptions import DataError
from latently.nn import Cells, ConditionalGaussian, Rows, spread
from latently.tasks.scores._scores import is_positive

#: Largest number of training rows.
_MAX_ROWS = 20_000
#: Largest width of encoded rows with a full covariance.
_MAX_WIDTH = 1_024
#: Share of the training rows outside what is called expected.
_OUTSIDE = 0.05
#: Least spread of an element, and what is added to shrunk variances: no element is certain.
_LEAST_SPREAD, _RIDGE = 1e-2, 1e-6
#: Smallest skewness of numbers that are transformed.
_SKEWED = 1.0
#: Largest number that a file may hold.
_MOST = 1e15
_ROWS_AT_ONCE, _ELEMENTS = 8_192, 1 << 24


class Repaired(NamedTuple):
    """Encoded rows, with the expectation of each column given all others.

    Attributes
    ----------
    blame : Tensor of shape (n, n_columns)
        Gain in log-likelihood of the row with the cell repaired, in nats. Zero for missing cells.
    expected, low, high : Tensor of shape (n, width)
        The expected element, and the range that 95 % of training rows keep to.
    """

    blame: Tensor
    expected: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True, eq=False)
class Repairs:
    r"""Repair attribution in closed form.

    Rows are assumed normally distributed after skewed numbers are transformed. Repairing the
    elements B of a column replaces them by their expectation given the others. This reduces the
    squared Mahalanobis length of the row by
    :math:`a_B^T (P_{BB})^{-1} a_B` with the precision P and :math:`a = P(x - \mu)`: one product
    of matrices answers for all columns at once. The covariance is shrunk [1]_.

    Parameters
    ----------
    bends : ndarray of shape (3, width)
        Side to which an element is skewed (0 for none), the end of its other side, its spread.
    mean : ndarray of shape (width,)
        Of the straightened rows.
    precision : ndarray of shape (width, width) or (width,)
        Inverse of their covariance, or only its diagonal for wide rows.
    low, high : ndarray of shape (width,)
        Residuals of straightened rows below and above which 2.5 % of the training rows lie.
    least, most : ndarray of shape (width,)
        Ends of the straightened training rows.
    usual : ndarray of shape (n_columns,)
        Blame that 95 % of the training rows stay below.
    turns : ndarray of shape (2, n_cycles) or None, default=None
        Angles before and after the expected phase of each cycle of a time, outside each of which
        are 2.5 % of the training rows. None in older model files.

    References
    ----------
    .. [1] Ledoit and Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance
       Matrices.
    """

    bends: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    low: np.ndarray
    high: np.ndarray
    least: np.ndarray
    most: np.ndarray
    usual: np.ndarray
    turns: np.ndarray | None = None

    def check_fits(self, layout: Layout) -> None:
        """Raise DataError if the parts do not belong together, as those of a file may not.

        Parameters
        ----------
        layout : Layout
            How the columns lie in the encoded row.
        """
        width, ends = layout.width, (self.mean, self.low, self.high, self.least, self.most)
        shapes = [(self.bends, (3, width)), (self.usual, (layout.n_columns,))]
        if self.turns is not None:
            shapes.append((self.turns, (2, len(cycle_elements(layout)))))
        known = [
            *shapes,
            *((end, (width,)) for end in ends),
            (self.precision, self.precision.shape),
        ]
        sound = (
            all(part.shape == shape and part.dtype.kind == "f" for part, shape in known)
            and all(bool((np.abs(part) < _MOST).all()) for part, _ in known)
            and bool(np.isin(self.bends[0], (-1.0, 0.0, 1.0)).all() and (self.bends[2] > 0).all())
            and bool((self.low <= self.high).all() and (self.least <= self.most).all())
            and bool((self.usual >= 0).all())
            and self.precision.shape in ((width,), (width, width))
            and (is_positive(self.precision) if self.precision.ndim == 2 else True)
            and (bool((self.precision > 0).all()) if self.precision.ndim == 1 else True)
        )
        if not sound:
            raise DataError("The model's repairs_ do not fit together.")

    @classmethod
    def fit(cls, cells: Cells, layout: Layout) -> Self:
        """Learn from rows, most of them normal."""
        some = cells.take(slice(_MAX_ROWS))
        values, seen = some.values.double().flatten(1), _seen(some, layout)
        bends = _bends(values, seen, layout)
        complete = values = _straight(values, bends)
        if seen is not None:
            gaussian = ConditionalGaussian(values.shape[1]).double()
            gaussian.fit(Rows(values, seen))
            starts = range(0, len(values), 2_048)
            parts = [gaussian(values[i : i + 2_048], seen[i : i + 2_048]) for i in starts]
            complete = torch.cat(parts)
        mean, precision = _normal(complete.numpy())
        nothing = np.zeros_like(mean)
        known = cls(bends, mean, precision, nothing, nothing, nothing, nothing, nothing)
        blame, expected = known._judge(some, layout)
        residuals = values - expected
        if seen is not None:
            residuals, values = (torch.where(seen, x, torch.nan) for x in (residuals, values))
        low, high = _quantiles(residuals, (_OUTSIDE / 2, 1 - _OUTSIDE / 2))
        least, most = _quantiles(values, (0, 1))
        (usual,) = _quantiles(blame, (1 - _OUTSIDE,))
        turns = _turns(some, seen, _bent(expected, bends), layout)
        return cls(bends, mean, precision, low, high, least, most, usual, turns)

    def repair(self, cells: Cells, layout: Layout) -> Repaired:
        """Return the blame and the expected value of each cell."""
        blame, expected = self._judge(cells, layout)
        least, most = torch.from_numpy(self.least), torch.from_numpy(self.most)
        low, high = (
            (expected + torch.from_numpy(reach)).clamp(least, most)
            for reach in (self.low, self.high)
        )
        return Repaired(blame, *(_bent(part, self.bends) for part in (expected, low, high)))

    def part_blame(self, cells: Cells, layout: Layout, parts: Tensor) -> Tensor:
        """Return the blame of parts of columns, such as the hour of a time.

        Parameters
        ----------
        cells : Cells
            Encoded rows.
        layout : Layout
            How the columns lie in them.
        parts : Tensor of int, shape (width,)
            The part that each element belongs to.

        Returns
        -------
        Tensor of shape (n, n_parts)
            In nats.
        """
        values = self._filled(cells, layout)
        pull = _times(values - torch.from_numpy(self.mean), torch.from_numpy(self.precision))
        products = 0.5 * pull * _times(pull, self._blocks(parts))
        blame = values.new_zeros(len(values), int(parts.max()) + 1)
        return blame.index_add_(1, parts, products)

    def filled(self, cells: Cells, layout: Layout) -> Tensor:
        """Return encoded rows, with gaps filled by their expectation given the other cells."""
        seen = _seen(cells, layout)
        values = cells.values.double().flatten(1)
        if seen is None:
            return values
        return torch.where(seen, values, _bent(self._filled(cells, layout), self.bends))

    def _judge(self, cells: Cells, layout: Layout) -> tuple[Tensor, Tensor]:
        """Return the blame of each cell, and the expected rows in the transformed space."""
        column = spread(torch.arange(layout.n_columns)[None], layout)[0]
        precision, blocks = torch.from_numpy(self.precision), self._blocks(column)
        parts = []
        n_at_once = min(_ROWS_AT_ONCE, max(1, _ELEMENTS // layout.width))
        for start in range(0, max(len(cells.values), 1), n_at_once):
            part = cells.take(slice(start, start + n_at_once))
            values = self._filled(part, layout)
            pull = _times(values - torch.from_numpy(self.mean), precision)
            change = _times(pull, blocks)
            blame = values.new_zeros(len(values), layout.n_columns)
            blame.index_add_(1, column, 0.5 * pull * change)
            if part.observed is not None:
                blame = torch.where(part.observed, blame, 0.0)
            parts.append((blame.clamp(min=0), values - change))
        blames, expected = zip(*parts, strict=True)
        return torch.cat(blames), torch.cat(expected)

    def _blocks(self, column: Tensor) -> Tensor:
        """Return the inverse of each column's own block of the precision."""
        precision = torch.from_numpy(self.precision)
        if precision.ndim == 1:
            return 1 / precision
        own = torch.where(column[:, None] == column, precision, 0.0)
        blocks: Tensor = torch.linalg.inv(own)
        return blocks

    def _filled(self, cells: Cells, layout: Layout) -> Tensor:
        """Return transformed rows, with gaps filled by their expectation given the other cells."""
        values, seen = cells.values.double().flatten(1), _seen(cells, layout)
        values = _straight(values, self.bends)
        if seen is None:
            return values
        mean, precision = torch.from_numpy(self.mean), torch.from_numpy(self.precision)
        centred = torch.where(seen, values - mean, 0.0)
        gaps = (~seen).any(1).nonzero()[:, 0] if precision.ndim == 2 else torch.zeros(0).long()
        for rows in torch.split(gaps, max(1, _ELEMENTS // len(mean) ** 2)):
            missing = ~seen[rows]
            both = missing[:, :, None] & missing[:, None, :]
            system = torch.where(both, precision, torch.eye(len(mean), dtype=precision.dtype))
            pull = torch.where(missing, centred[rows] @ precision, 0.0)
            centred[rows] -= torch.linalg.solve(system, pull)
        return mean + centred


def cycle_elements(layout: Layout) -> list[int]:
    """Return the place of the sine of each cycle. The cosine is the next element."""
    return [
        element
        for column in layout.columns
        if column.is_number
        for element in range(column.elements.start + 1, column.elements.stop, 2)
    ]


def _turns(
    cells: Cells, seen: Tensor | None, expected: Tensor, layout: Layout
) -> np.ndarray | None:
    """Return the angles outside which few training rows lie, or None without cycles."""
    sine = cycle_elements(layout)
    if not sine:
        return None
    turned = turn(cells.values.double().flatten(1), expected, layout)
    if seen is not None:
        turned = torch.where(seen[:, sine], turned, torch.nan)
    return _quantiles(turned, (_OUTSIDE / 2, 1 - _OUTSIDE / 2))


def turn(values: Tensor, expected: Tensor, layout: Layout) -> Tensor:
    """Return the angle from the expected phase of each cycle to that of the rows, (n, n_cycles)."""
    sine = torch.tensor(cycle_elements(layout), dtype=torch.long)
    angles = [torch.atan2(rows[:, sine], rows[:, sine + 1]) for rows in (values, expected)]
    return torch.remainder(angles[0] - angles[1] + math.pi, 2 * math.pi) - math.pi


def _seen(cells: Cells, layout: Layout) -> Tensor | None:
    return None if cells.observed is None else spread(cells.observed, layout)


def _bends(values: Tensor, seen: Tensor | None, layout: Layout) -> np.ndarray:
    """Return the parameters of the transform of skewed numbers, 0 for all other elements."""
    rows = (values if seen is None else torch.where(seen, values, torch.nan)).numpy().copy()
    numbers = np.zeros(layout.width, dtype=bool)
    for column in layout.columns:
        numbers[column.elements] = column.is_number
    rows[:, ~numbers | np.isnan(rows).all(0)] = 0
    centred = rows - np.nanmean(rows, 0)
    scale = np.sqrt(np.nanmean(np.square(centred), 0))
    skew = np.nanmean(centred**3, 0) / np.maximum(scale, 1e-12) ** 3
    side = np.where(np.abs(skew) > _SKEWED, np.sign(skew), 0.0)
    low, middle, high = np.nanquantile(rows, (0.1, 0.5, 0.9), axis=0)
    spread_ = 1.4826 * np.nanmedian(np.abs(rows - middle), 0)
    origin = np.where(side > 0, low, high)
    return np.stack([side, origin, np.maximum(spread_, 0.01 * scale + 1e-12)])


def _straight(rows: Tensor, bends: np.ndarray) -> Tensor:
    """Shorten the long tail of skewed numbers, as a logarithm does, but through zero [1]_.

    References
    ----------
    .. [1] Burbidge, Magee and Robb (1988), Alternative Transformations to Handle Extreme Values.
    """
    side, origin, scale = torch.from_numpy(bends)
    bent = side * (side * (rows - origin) / scale).asinh()
    return torch.where(side == 0, rows, bent)


def _bent(rows: Tensor, bends: np.ndarray) -> Tensor:
    """Undo ``_straight``."""
    side, origin, scale = torch.from_numpy(bends)
    return torch.where(side == 0, rows, origin + side * scale * (side * rows).sinh())


def _normal(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and precision of rows, shrunk in units of each element's own spread."""
    scale = np.maximum(rows.std(0), _LEAST_SPREAD)
    if rows.shape[1] > _MAX_WIDTH:
        return rows.mean(0), 1 / np.square(scale)
    with config_context(array_api_dispatch=False):
        covariance, _ = ledoit_wolf(rows / scale)
    precision = np.linalg.inv(covariance + _RIDGE * np.eye(len(scale)))
    return rows.mean(0), precision / np.outer(scale, scale)


def _times(rows: Tensor, matrix: Tensor) -> Tensor:
    return rows * matrix if matrix.ndim == 1 else rows @ matrix


def _quantiles(columns: Tensor, shares: tuple[float, ...]) -> np.ndarray:
    """Return quantiles of each column, and zeros for columns without values."""
    values = columns.numpy().copy()
    values[:, np.isnan(values).all(0)] = 0
    return np.asarray(np.nanquantile(values, shares, axis=0))
