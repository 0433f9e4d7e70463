"""Anomaly statistics for training sets that contain anomalies, and the module that adds them up.

Each file but ``_module`` holds one statistic. A statistic is fitted to all training rows or to a
sample of them, and needs to know nothing of the others.
"""

from latently.nn.memory.robust._encoded import Codes, Encoded, Encoder, GapCategories
from latently.nn.memory.robust._histograms import Histograms, n_bins_for
from latently.nn.memory.robust._isolation import IsolationTrees
from latently.nn.memory.robust._linear import LinearResiduals
from latently.nn.memory.robust._module import RANGE, STORED_ROWS, RobustMemoryModule
from latently.nn.memory.robust._neighbors import NeighborDistance, SmallMemories

__all__ = [
    "RANGE",
    "STORED_ROWS",
    "Codes",
    "Encoded",
    "Encoder",
    "GapCategories",
    "Histograms",
    "IsolationTrees",
    "LinearResiduals",
    "NeighborDistance",
    "RobustMemoryModule",
    "SmallMemories",
    "n_bins_for",
]
