"""What may stand in a gap: a distribution for each missing number, calibrated on held-out cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

#: Residuals of a column are kept as so many quantiles.
_N_RESIDUALS = 60
#: Columns with fewer held-out cells take the residuals of all.
_MIN_HELD = 20
#: Added to the spread of a cell's atoms, in standard deviations: no cell is certain.
_LEAST_SPREAD = 0.05
_MAX_SLOPE = 1.5
_EDGE = 1e-6
#: Levels between 0 and 1 at which the calibration is kept.
_N_LEVELS = 257


class HeldOutCells(NamedTuple):
    """HeldOutCells-out cells of a number: what is predicted, what may be, and what was.

    Attributes
    ----------
    predicted, truth : Tensor of shape (n_held,)
        Expected value and true one.
    atoms : Tensor of shape (n_held, n_atoms)
        Values that are as likely as each other.
    bounds : tuple of two floats
        Least and largest value seen of the column.
    """

    predicted: Tensor
    truth: Tensor
    atoms: Tensor
    bounds: tuple[float, float]


class Predictive(nn.Module):
    r"""The distribution of a missing number: values of rows like it, and residuals about its mean.

    Half of it are the donors' own values, half the expected value plus quantiles of held-out
    residuals, which grow with the spread of the donors: :math:`\hat x + s^a q`. Where held-out
    truths stood in their distributions then says which levels to ask for: so that draws are
    spread as truths are [2]_, and intervals cover what they say [1]_.

    Parameters
    ----------
    n_columns : int
        Columns. Those that are no numbers are not fitted: their levels stay as they are.

    References
    ----------
    .. [1] Chernozhukov, Wuethrich and Zhu (2021), Distributional Conformal Prediction.
    .. [2] Kuleshov, Fenner and Ermon (2018), Accurate Uncertainties for Deep Learning Using
       Calibrated Regression.
    """

    residuals: Tensor
    slope: Tensor
    levels: Tensor
    reaches: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        even = torch.linspace(0, 1, _N_LEVELS, device="cpu")
        places = torch.arange(_N_RESIDUALS, device="cpu")
        normal = torch.special.ndtri((places + 0.5) / _N_RESIDUALS)
        self.register_buffer("residuals", normal.repeat(n_columns, 1))
        self.register_buffer("slope", torch.zeros(n_columns))
        self.register_buffer("levels", even.repeat(n_columns, 1))
        self.register_buffer("reaches", even.repeat(n_columns, 1) / 2)

    # ------------------------------------------------------------------ fitting
    def fit(self, held: dict[int, HeldOutCells], rng: np.random.Generator) -> None:
        """Learn residuals and levels of numeric columns, given by their places.

        A column with few held-out cells takes the residuals of all, one without any as well.
        """
        scaled: dict[int, Tensor] = {}
        for column, cells in held.items():
            self.slope[column] = _slope(cells)
            scaled[column] = (cells.truth - cells.predicted) / self._spread(column, cells.atoms)
        if not scaled:
            return
        self.residuals[:] = _quantiles_of(torch.cat(list(scaled.values()))).to(self.residuals)
        for column, cells in held.items():
            below, upto = self._truth_levels(column, cells, scaled[column])
            if len(cells.truth) >= _MIN_HELD:
                self.residuals[column] = _quantiles_of(scaled[column]).to(self.residuals)
            self.levels[column] = _quantile_grid(rng.uniform(below, upto + 1e-9)).to(self.levels)
            # How far from the middle an interval must reach to hold the truth.
            reach = np.maximum(np.maximum(0.5 - upto, below - 0.5), 0.0)
            self.reaches[column] = _quantile_grid(reach, 0.5).to(self.reaches)

    def _truth_levels(
        self, column: int, held: HeldOutCells, scaled: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the share of its distribution below each truth, and up to it.

        Each half of the cells is judged by the residuals of the other.
        """
        own = self.residuals[column].clone()
        below, upto = np.zeros(len(scaled)), np.zeros(len(scaled))
        for half in (0, 1):
            judged = torch.arange(len(scaled)) % 2 == half
            if not judged.any():
                continue
            if len(scaled) >= 2 * _MIN_HELD:
                own = _quantiles_of(scaled[~judged]).to(own)
            slope = float(self.slope[column])
            part = held.predicted[judged], held.atoms[judged], held.bounds
            values, shares = _distribution(*part, own, slope)
            truth = held.truth[judged][:, None]
            below[judged.numpy()] = torch.where(values < truth, shares, 0.0).sum(1).numpy()
            upto[judged.numpy()] = torch.where(values <= truth, shares, 0.0).sum(1).numpy()
        return below, upto

    # ------------------------------------------------------------------ answers
    def calibrated(self, levels: Tensor) -> Tensor:
        """Return the levels to ask for, so that even ones give values spread as truths are.

        Parameters
        ----------
        levels : Tensor of shape (..., n_columns)
            From 0 to 1.
        """
        # Short of the bounds, which stand for anything beyond: no draw shall lie there.
        return _interpolate(self.levels, levels).clamp(_EDGE, 1 - _EDGE)

    def reach(self, coverage: float) -> Tensor:
        """Return how far from 0.5 the levels of an interval lie, shape (n_columns,)."""
        return _interpolate(self.reaches, torch.full_like(self.slope, coverage))

    def quantiles(
        self,
        column: int,
        predicted: Tensor,
        atoms: Tensor,
        levels: Tensor,
        bounds: tuple[float, float],
    ) -> Tensor:
        """Return values of each cell's distribution, shape (n_levels, batch).

        Parameters
        ----------
        column : int
            Place of the column.
        predicted : Tensor of shape (batch,)
            Expected values.
        atoms : Tensor of shape (batch, n_atoms)
            Values of donors.
        levels : Tensor of shape (n_levels, batch)
            Which quantiles; 0 and 1 are the bounds.
        bounds : tuple of two floats
            Least and largest value seen of the column.
        """
        residuals, slope = self.residuals[column].to(atoms), float(self.slope[column])
        values, shares = _distribution(predicted, atoms, bounds, residuals, slope)
        rank = torch.searchsorted(shares.cumsum(1), levels.T.to(shares).contiguous())
        found = values.gather(1, rank.clamp(max=values.shape[1] - 1)).T
        found = torch.where(levels > 0, found, bounds[0])
        return torch.where(levels < 1, found, bounds[1])

    def _spread(self, column: int, atoms: Tensor) -> Tensor:
        return _spread_of(atoms, float(self.slope[column]))


def _distribution(
    predicted: Tensor,
    atoms: Tensor,
    bounds: tuple[float, float],
    residuals: Tensor,
    slope: float,
) -> tuple[Tensor, Tensor]:
    """Return values in ascending order, and the share of each, (batch, n_values).

    Half of the shares belong to the atoms, however many there are, half to the residuals.
    """
    moved = predicted[:, None] + _spread_of(atoms, slope)[:, None] * residuals
    values, order = torch.cat([atoms, moved.clamp(*bounds)], 1).sort(1)
    share = 0.5 / atoms.shape[1]
    shares = torch.where(order < atoms.shape[1], share, 0.5 / len(residuals)).to(atoms)
    return values, shares


def _spread_of(atoms: Tensor, slope: float) -> Tensor:
    spread: Tensor = (atoms.std(1, correction=0) + _LEAST_SPREAD) ** slope
    return spread


def _quantiles_of(residuals: Tensor) -> Tensor:
    shares = (torch.arange(_N_RESIDUALS, dtype=torch.float64) + 0.5) / _N_RESIDUALS
    return torch.quantile(residuals.double(), shares)


def _quantile_grid(found: np.ndarray, top: float = 1.0) -> Tensor:
    """Return the quantiles of numbers from 0 to ``top`` on the grid of levels.

    The k-th of n in order stands for k / (n + 1), which makes intervals conformal.
    """
    known = np.concatenate([[0.0], np.sort(found), [top]])
    wanted, places = np.linspace(0, 1, _N_LEVELS), np.linspace(0, 1, len(known))
    return torch.from_numpy(np.interp(wanted, places, known))


def _interpolate(grid: Tensor, levels: Tensor) -> Tensor:
    """Return what a grid of each column holds at some levels, (..., n_columns)."""
    place = levels.clamp(0, 1) * (_N_LEVELS - 1)
    before = place.floor().long().clamp(max=_N_LEVELS - 2)
    columns = torch.arange(len(grid), device=grid.device)
    low, high = grid[columns, before].to(levels), grid[columns, before + 1].to(levels)
    return torch.lerp(low, high, place - before)


def _slope(held: HeldOutCells) -> float:
    """Return how the size of residuals grows with the spread of the atoms, on a log scale."""
    if len(held.truth) < _MIN_HELD:
        return 1.0
    spread = (held.atoms.std(1, correction=0) + _LEAST_SPREAD).log().double()
    size = ((held.truth - held.predicted).abs() + 1e-3).log().double()
    centred = spread - spread.mean()
    slope = (centred @ (size - size.mean())) / (centred @ centred).clamp(min=1e-9)
    return float(slope.clamp(0, _MAX_SLOPE))
