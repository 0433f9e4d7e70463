"""Summary of the scores of many rows, in constant memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Number of scores kept, and number of the largest scores kept with their place.
_MOST, _N_WORST = 1 << 20, 5


class ScoreSummary:
    """Number, mean and maximum of many scores, and a sample of their distribution.

    The sample holds all scores up to a million. Beyond, it is a random million with a fixed seed,
    so that quantiles are accurate to a twentieth of a percent of the rows and reproducible.

    Parameters
    ----------
    n_rows : int
        Scores to come.

    Attributes
    ----------
    n_rows : int
        Scores that came.
    worst : list of (int, float)
        Places and values of the five largest, the largest first.
    """

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.worst = 0, list[tuple[int, float]]()
        self._total, self._kept = 0.0, list[NDArray[np.float64]]()
        self._places: NDArray[np.intp] | None = None
        if n_rows > _MOST:
            drawn = np.random.default_rng(0).choice(n_rows, _MOST, replace=False, shuffle=False)
            self._places = np.sort(drawn)

    @classmethod
    def of(cls, scores: NDArray[np.float64]) -> ScoreSummary:
        """Return the summary of an array of scores."""
        summary = cls(0)
        summary.add(scores)
        return summary

    def add(self, scores: NDArray[np.float64]) -> None:
        """Add the next scores."""
        start = self.n_rows
        self.n_rows += len(scores)
        self._total += float(scores.sum(dtype=np.float64))
        largest = np.argsort(-scores, kind="stable")[:_N_WORST]
        found = [*self.worst, *((start + int(i), float(scores[i])) for i in largest)]
        self.worst = sorted(found, key=lambda one: -one[1])[:_N_WORST]
        if self._places is not None:
            first, last = np.searchsorted(self._places, (start, self.n_rows))
            scores = scores[self._places[first:last] - start]
        self._kept.append(scores)

    @property
    def mean(self) -> float:
        """Mean of all."""
        return self._total / self.n_rows

    @property
    def sample(self) -> NDArray[np.float64]:
        """The scores that are kept, in the order of the rows."""
        return np.concatenate(self._kept)
