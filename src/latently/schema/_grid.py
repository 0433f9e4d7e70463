"""Regular grids of decimal numbers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Grid(NamedTuple):
    """Values ``(anchor + k * step) / 10 ** decimals`` for integers k. A zero step is no grid."""

    decimals: int
    anchor: int
    step: int

    def joined(self, other: Grid) -> Grid:
        """Return the coarsest grid that contains two grids."""
        if not (self.step and other.step):
            return NO_GRID
        decimals = max(self.decimals, other.decimals)
        first, second = self._scaled(decimals), other._scaled(decimals)
        step = math.gcd(first.step, second.step, abs(first.anchor - second.anchor))
        return Grid(decimals, min(first.anchor, second.anchor), step)

    def _scaled(self, decimals: int) -> Grid:
        factor = 10 ** (decimals - self.decimals)
        return Grid(decimals, self.anchor * factor, self.step * factor)


NO_GRID = Grid(0, 0, 0)


def grid_of_whole(ticks: np.ndarray) -> Grid:
    """Return the coarsest grid of some integers. For a single value the step is one."""
    anchor = int(ticks.min())
    return Grid(0, anchor, int(np.gcd.reduce(ticks - anchor)) or 1)
