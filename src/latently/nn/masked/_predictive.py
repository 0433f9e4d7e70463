"""The predictive distribution of each missing number, calibrated on held-out cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

#: Number of quantiles by which the residuals of a column are stored.
_N_RESIDUALS = 60
#: Columns with fewer held-out cells use the residuals of all columns.
_MIN_HELD = 20
#: Added to the standard deviation of a cell's atoms, in standard deviations of the column.
_LEAST_SPREAD = 0.05
_MAX_SLOPE = 1.5
_EDGE = 1e-6
#: Number of levels from 0 to 1 at which the calibration is stored.
_N_LEVELS = 257


class HeldOutCells(NamedTuple):
    """Held-out cells of a numeric column with their predictions.

    Attributes
    ----------
    predicted, truth : Tensor of shape (n_held,)
        Expected and true values.
    atoms : Tensor of shape (n_held, n_atoms)
        Equally likely values of each cell.
    bounds : tuple of two floats
        Smallest and largest observed value of the column.
    """

    predicted: Tensor
    truth: Tensor
    atoms: Tensor
    bounds: tuple[float, float]


class Predictive(nn.Module):
    r"""The predictive distribution of missing numbers.

    1. Half of the probability belongs to the values of donors. The other half belongs to
       :math:`\hat x + s^a q`, the expected value plus quantiles :math:`q` of held-out residuals,
       scaled by a power of the donors' standard deviation :math:`s`.
    2. Levels are recalibrated by the levels of held-out true values, so that draws have the
       distribution of true values [2]_ and intervals have their nominal coverage [1]_.
    3. A set of categories holds those whose probability is at least a quantile of the predicted
       probabilities of held-out true categories [3]_.

    Parameters
    ----------
    n_columns : int
        Number of columns. Columns that are not numeric are not fitted and keep their levels.

    References
    ----------
    .. [1] Chernozhukov, Wuethrich and Zhu (2021), Distributional Conformal Prediction.
    .. [2] Kuleshov, Fenner and Ermon (2018), Accurate Uncertainties for Deep Learning Using
       Calibrated Regression.
    .. [3] Sadinle, Lei and Wasserman (2019), Least Ambiguous Set-Valued Classifiers with Bounded
       Error Levels.
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
        """Fit residuals and levels of numeric columns.

        Columns with fewer than 20 held-out cells use the residuals of all columns.

        Parameters
        ----------
        held : dict of int to HeldOutCells
            Held-out cells by the index of their column.
        rng : numpy.random.Generator
            Random generator, which breaks ties of levels.
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
            # Half the smallest coverage of a central interval that contains the true value.
            reach = np.maximum(np.maximum(0.5 - upto, below - 0.5), 0.0)
            self.reaches[column] = _quantile_grid(reach, 0.5).to(self.reaches)

    def fit_categories(self, column: int, probability: Tensor) -> None:
        """Fit the sets of categories of a column to held-out cells.

        Parameters
        ----------
        column : int
            Index of the column.
        probability : Tensor of shape (n_held,)
            Predicted probability of the true category of each held-out cell. With fewer than 20
            cells, a set holds all categories.
        """
        self.reaches[column] = 1.0
        if len(probability) >= _MIN_HELD:
            doubt = (1 - probability).clamp(0, 1).double().numpy()
            self.reaches[column] = _quantile_grid(doubt).to(self.reaches)

    def _truth_levels(
        self, column: int, held: HeldOutCells, scaled: Tensor
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the probability below each true value, and up to it.

        The distributions of each half of the cells use the residuals of the other half.
        """
        own = self.residuals[column].clone()
        below, upto = np.zeros(len(scaled)), np.zeros(len(scaled))
        for half in (0, 1):
            chosen = torch.arange(len(scaled)) % 2 == half
            if not chosen.any():
                continue
            if len(scaled) >= 2 * _MIN_HELD:
                own = _quantiles_of(scaled[~chosen]).to(own)
            slope = float(self.slope[column])
            part = held.predicted[chosen], held.atoms[chosen], held.bounds
            values, shares = _distribution(*part, own, slope)
            truth = held.truth[chosen][:, None]
            below[chosen.numpy()] = torch.where(values < truth, shares, 0.0).sum(1).numpy()
            upto[chosen.numpy()] = torch.where(values <= truth, shares, 0.0).sum(1).numpy()
        return below, upto

    # ------------------------------------------------------------------ results
    def calibrated(self, levels: Tensor) -> Tensor:
        """Return recalibrated levels: uniform ones give draws distributed as true values.

        Parameters
        ----------
        levels : Tensor of shape (..., n_columns)
            Nominal levels from 0 to 1.
        """
        # Levels 0 and 1 mean the bounds of the column, which a draw should not return.
        return _interpolate(self.levels, levels).clamp(_EDGE, 1 - _EDGE)

    def reach(self, coverage: float) -> Tensor:
        """Return the distance from 0.5 of the levels of an interval, shape (n_columns,).

        For categories, it is one minus the smallest probability of the members of a set.
        """
        return _interpolate(self.reaches, torch.full_like(self.slope, coverage))

    def quantiles(
        self,
        column: int,
        predicted: Tensor,
        atoms: Tensor,
        levels: Tensor,
        bounds: tuple[float, float],
    ) -> Tensor:
        """Return quantiles of the distribution of each cell, shape (n_levels, batch).

        Parameters
        ----------
        column : int
            Index of the column.
        predicted : Tensor of shape (batch,)
            Expected values.
        atoms : Tensor of shape (batch, n_atoms)
            Values of donors.
        levels : Tensor of shape (n_levels, batch)
            Levels of the quantiles. Levels 0 and 1 give the bounds.
        bounds : tuple of two floats
            Smallest and largest observed value of the column.
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
    """Return values in ascending order and their probabilities, each (batch, n_values).

    The atoms have half of the probability, for any number of atoms. The residuals have the rest.
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

    The k-th of n sorted numbers is the quantile of level k / (n + 1), as in conformal prediction.
    """
    known = np.concatenate([[0.0], np.sort(found), [top]])
    wanted, places = np.linspace(0, 1, _N_LEVELS), np.linspace(0, 1, len(known))
    return torch.from_numpy(np.interp(wanted, places, known))


def _interpolate(grid: Tensor, levels: Tensor) -> Tensor:
    """Interpolate the grid of each column at some levels, (..., n_columns)."""
    place = levels.clamp(0, 1) * (_N_LEVELS - 1)
    before = place.floor().long().clamp(max=_N_LEVELS - 2)
    columns = torch.arange(len(grid), device=grid.device)
    low, high = grid[columns, before].to(levels), grid[columns, before + 1].to(levels)
    return torch.lerp(low, high, place - before)


def _slope(held: HeldOutCells) -> float:
    """Return the slope of log absolute residuals on the log standard deviation of the atoms."""
    if len(held.truth) < _MIN_HELD:
        return 1.0
    spread = (held.atoms.std(1, correction=0) + _LEAST_SPREAD).log().double()
    size = ((held.truth - held.predicted).abs() + 1e-3).log().double()
    centred = spread - spread.mean()
    slope = (centred @ (size - size.mean())) / (centred @ centred).clamp(min=1e-9)
    return float(slope.clamp(0, _MAX_SLOPE))
