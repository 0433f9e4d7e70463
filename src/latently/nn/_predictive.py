"""What may stand in a gap: a distribution for each missing number, calibrated on held-out cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

#: Residuals of a column are kept as so many quantiles.
_N_RESIDUALS = 30
#: Columns with fewer held-out cells take the residuals of all.
_MIN_HELD = 20
#: Added to the spread of a cell's atoms, in standard deviations: no cell is certain.
_LEAST_SPREAD = 0.05
_MAX_SLOPE = 1.5
#: Levels between 0 and 1 at which the calibration is kept.
_N_LEVELS = 257


class Held(NamedTuple):
    """Held-out cells of a number: what is predicted, what may be, and what was.

    Attributes
    ----------
    predicted, truth : Tensor of shape (n_held,)
        Expected value and true one.
    atoms : Tensor of shape (n_held, n_atoms)
        Values that are as likely as each other.
    ends : tuple of two floats
        Least and largest value seen of the column.
    """

    predicted: Tensor
    truth: Tensor
    atoms: Tensor
    ends: tuple[float, float]


class Predictive(nn.Module):
    r"""The distribution of a missing number: values of rows like it, and residuals about its mean.

    Half of it are the donors' own values, half the expected value plus quantiles of held-out
    residuals, which grow with the spread of the donors: :math:`\hat x + s^a q`. The level at which
    held-out truths stood in their distributions then says which level to ask for, so that an
    interval covers what it says [1]_ [2]_.

    Parameters
    ----------
    n_columns : int
        Columns.

    References
    ----------
    .. [1] Chernozhukov, Wuethrich and Zhu (2021), Distributional Conformal Prediction.
    .. [2] Kuleshov, Fenner and Ermon (2018), Accurate Uncertainties for Deep Learning Using
       Calibrated Regression.
    """

    residuals: Tensor
    slope: Tensor
    levels: Tensor

    def __init__(self, n_columns: int) -> None:
        super().__init__()
        shares = (torch.arange(_N_RESIDUALS) + 0.5) / _N_RESIDUALS
        self.register_buffer("residuals", torch.special.ndtri(shares).repeat(n_columns, 1))
        self.register_buffer("slope", torch.zeros(n_columns))
        self.register_buffer("levels", torch.linspace(0, 1, _N_LEVELS).repeat(n_columns, 1))

    def fit(self, held: dict[int, Held], rng: np.random.Generator) -> None:
        """Learn residuals and levels of numeric columns, given by their places.

        A column with few held-out cells takes the residuals of all, one without any as well.
        """
        scaled: dict[int, Tensor] = {}
        for column, cells in held.items():
            self.slope[column] = _slope(cells)
            scaled[column] = (cells.truth - cells.predicted) / self._spread(column, cells.atoms)
        if not scaled:
            return
        self.residuals[:] = self._quantiles_of(torch.cat(list(scaled.values())))
        for column, cells in held.items():
            if len(cells.truth) >= _MIN_HELD:
                self.residuals[column] = self._quantiles_of(scaled[column])
            self.levels[column] = self._levels(column, cells, rng)

    def _quantiles_of(self, residuals: Tensor) -> Tensor:
        shares = (torch.arange(_N_RESIDUALS, dtype=torch.float64) + 0.5) / _N_RESIDUALS
        return torch.quantile(residuals.double(), shares).to(self.residuals)

    def _levels(self, column: int, held: Held, rng: np.random.Generator) -> Tensor:
        """Return the level to ask for where a level is wanted.

        The k-th of n sorted ranks stands for k / (n + 1), which makes intervals conformal.
        """
        values = self._values(column, held.predicted, held.atoms, held.ends)
        below = (values < held.truth[:, None]).sum(1).numpy()
        upto = (values <= held.truth[:, None]).sum(1).numpy()
        ranks = np.sort(rng.uniform(below, np.maximum(upto, below + 1e-9))) / values.shape[1]
        known = np.concatenate([[0.0], ranks, [1.0]])
        wanted = np.linspace(0, 1, _N_LEVELS)
        levels = np.interp(wanted, np.linspace(0, 1, len(known)), known)
        return torch.from_numpy(levels).to(self.levels)

    def quantiles(
        self,
        column: int,
        predicted: Tensor,
        atoms: Tensor,
        levels: Tensor,
        ends: tuple[float, float],
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
            Which quantiles, from 0 to 1.
        ends : tuple of two floats
            Least and largest value seen of the column.
        """
        values = self._values(column, predicted, atoms, ends)
        place = levels.clamp(0, 1) * (_N_LEVELS - 1)
        before = place.floor().long().clamp(max=_N_LEVELS - 2)
        grid = self.levels[column].to(values)
        found = torch.lerp(grid[before], grid[before + 1], (place - before).to(values))
        rank = (found * values.shape[1]).floor().long().clamp(max=values.shape[1] - 1)
        return values.gather(1, rank.T).T

    def _values(
        self, column: int, predicted: Tensor, atoms: Tensor, ends: tuple[float, float]
    ) -> Tensor:
        residuals = self.residuals[column].to(atoms)
        moved = predicted[:, None] + self._spread(column, atoms)[:, None] * residuals
        outer = torch.tensor(ends).to(atoms).expand(len(atoms), 2)
        return torch.cat([outer, atoms, moved.clamp(*ends)], 1).sort(1).values

    def _spread(self, column: int, atoms: Tensor) -> Tensor:
        spread: Tensor = (atoms.std(1, correction=0) + _LEAST_SPREAD) ** float(self.slope[column])
        return spread


def _slope(held: Held) -> float:
    """Return how the size of residuals grows with the spread of the atoms, on a log scale."""
    if len(held.truth) < _MIN_HELD:
        return 1.0
    spread = (held.atoms.std(1, correction=0) + _LEAST_SPREAD).log().double()
    size = ((held.truth - held.predicted).abs() + 1e-3).log().double()
    centred = spread - spread.mean()
    slope = (centred @ (size - size.mean())) / (centred @ centred).clamp(min=1e-9)
    return float(slope.clamp(0, _MAX_SLOPE))
