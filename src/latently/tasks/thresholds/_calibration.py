"""Scores of normal rows as a reference for new scores: p-values, thresholds and drift."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import stats

from latently._tabular import Tabular
from latently.exceptions import DataError, ParameterError

#: Chance of a false alarm of the drift test.
_DRIFT_LEVEL = 1e-4
#: How far beyond the largest, in its distance from the median, new scores count as normal once
#: they are as many as those of calibration.
_GIVE = 0.05
#: Relative difference of scores due to rounding, for example between batches of other sizes.
_ROUNDING = 1e-6
#: Largest score that a file may hold.
_MOST = 1e100
#: Smallest number of rows for a test of the distribution.
_MIN_DRIFT_ROWS = 20


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of rows that are normal and that the model was not fitted to.

    They are those of ``AnomalyDetector.anomaly_score``: higher = more unusual.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Ascending.

    References
    ----------
    .. [1] Vovk, Gammerman and Shafer (2005), Algorithmic Learning in a Random World.
    .. [2] Bates, Candes, Lei, Romano and Sesia (2023), Testing for Outliers with Conformal
       p-values.

    Examples
    --------
    >>> calibration = Calibration.of(np.arange(99.0))
    >>> calibration.p_values(np.array([98.5, 97.0, -1.0])).tolist()
    [0.01, 0.03, 1.0]
    """

    scores: np.ndarray

    def check_consistent(self) -> None:
        """Raise DataError if the scores of a file cannot be those of a calibration."""
        scores = self.scores
        sound = scores.ndim == 1 and scores.dtype == np.float64 and scores.size > 0
        if not sound or not np.isfinite(scores).all() or (scores[1:] < scores[:-1]).any():
            raise DataError("The model's calibration_ is not finite and ascending.")
        if float(np.abs(scores).max()) > _MOST:
            raise DataError("The model's calibration_ is out of range.")

    @classmethod
    def of(cls, scores: np.ndarray) -> Self:
        """Return the calibration by scores in any order.

        Parameters
        ----------
        scores : ndarray of shape (n,)
            Of normal rows.

        Returns
        -------
        Calibration
            Sorted.

        Raises
        ------
        DataError
            If there is none, or one is not finite.
        """
        ordered = np.sort(np.asarray(scores, dtype=np.float64).ravel())
        n_wrong = int((~np.isfinite(ordered)).sum())
        if not len(ordered) or n_wrong:
            got = f"{n_wrong:,} of {len(ordered):,} that are not" if n_wrong else "none"
            raise DataError(f"Calibration needs finite scores, got {got}. Give normal rows.")
        return cls(ordered)

    @cached_property
    def slack(self) -> float:
        """The largest difference of equal scores, or zero if no two scores are so close."""
        low, high = (_quantile(self.scores, share) for share in (0.05, 0.95))
        slack = _ROUNDING * float(high - low + abs(high))
        return slack if bool((np.diff(self.scores) <= slack).any()) else 0.0

    def n_tied(self, cut: float) -> int:
        """Return how many scores are equal to a cut, but for rounding.

        Parameters
        ----------
        cut : float
            As ``cut_for_rate`` returns it.

        Returns
        -------
        int
            Scores of which none lies above the cut.
        """
        return int(((self.scores <= cut) & (self.scores >= cut - 2 * self.slack)).sum())

    @property
    def smallest_rate(self) -> float:
        """The smallest rate of false alarms that so many rows can resolve: 1 / (n + 1)."""
        return 1.0 / (len(self.scores) + 1)

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Return conformal p-values: (1 + calibration scores at least as high) / (n + 1).

        Parameters
        ----------
        scores : ndarray of shape (m,)
            Of new rows.

        Returns
        -------
        ndarray of shape (m,)
            In (0, 1]. Of a new normal row the chance of a p-value of at most ``a`` is at most
            ``a``.
        """
        below = np.searchsorted(self.scores, np.asarray(scores) - self.slack, side="left")
        p_values: np.ndarray = (1.0 + len(self.scores) - below) / (len(self.scores) + 1.0)
        return p_values

    def cut_for_rate(self, rate: float) -> float:
        """Return the cut above which p-values are at most ``rate``.

        Parameters
        ----------
        rate : float
            Share of normal rows that may be flagged, in (0, 1).

        Returns
        -------
        float
            Scores above it, and no others, have p-values of at most ``rate``.

        Raises
        ------
        ParameterError
            If ``rate`` is not in (0, 1).
        DataError
            If there are too few calibration scores for that rate.
        """
        return float(self.scores[-self._n_above(rate) - 1]) + self.slack

    def _n_above(self, rate: float) -> int:
        """Return how many calibration scores may lie above the cut."""
        if not 0 < rate < 1:
            raise ParameterError(
                f"The false alarm rate must lie between 0 and 1, got {rate}. Try 0.01."
            )
        n = len(self.scores)
        # Add a tolerance: 0.07 * 100 is 7.000000000000001, 0.29 * 100 is 28.999...96.
        n_above = math.floor(rate * (n + 1) * (1 + 1e-12)) - 1
        if n_above < 0:
            raise DataError(
                f"A false alarm rate of {rate:g} needs at least {_n_needed(rate):,} "
                f"calibration rows, got {n:,}; the smallest rate that they resolve is "
                f"{self.smallest_rate:.3g}. Give more rows or a larger rate."
            )
        return min(n_above, n - 1)

    def band_for_rate(self, rate: float, level: float = 0.9) -> tuple[float, float]:
        """Return the bootstrap band of ``cut_for_rate``.

        Parameters
        ----------
        rate : float
            As in ``cut_for_rate``.
        level : float, default=0.9
            Share of resamples whose cut lies in the band.

        Returns
        -------
        low, high : float
            Ends of the band.
        """
        low, high = order_statistic_band(self.scores, self._n_above(rate), level)
        return low + self.slack, high + self.slack

    def clipped(self, scores: np.ndarray) -> np.ndarray:
        """Return new scores, clipped slightly above the largest calibration score.

        Removing scores above the largest would shorten the tail, and keeping them would let
        anomalies extend it. The margin above the largest grows with the number of new scores
        relative to the calibration scores. So the scores follow a slow drift, but not a few
        anomalies.

        Parameters
        ----------
        scores : ndarray of shape (m,)
            Of new rows, normal or not.

        Returns
        -------
        ndarray of shape (m,)
            The same, but for those that are too large.
        """
        largest = self.scores[-1]
        share = min(1.0, len(scores) / len(self.scores))
        limit = largest + _GIVE * share * (largest - self.scores[len(self.scores) // 2])
        clipped: np.ndarray = np.minimum(scores, limit)
        return clipped

    def drift(
        self,
        scores: np.ndarray,
        n_independent: int | None = None,
        least: Calibration | None = None,
    ) -> DriftTest:
        """Test whether new scores are spread as these are, by Kolmogorov and Smirnov.

        A few anomalies in the batch, however high, change the gap by no more than their share.

        Parameters
        ----------
        scores : ndarray of shape (m,)
            Of new rows; below 20 of them nothing is tested.
        n_independent : int or None, default=None
            Number of independent scores that these are worth. None takes all as independent.
        least : Calibration or None, default=None
            Lower bounds of these scores, which are then upper bounds. New scores are lower if they
            lie below the lower bounds, and higher if they lie above the upper bounds.

        Returns
        -------
        DriftTest
            The larger of the two distances between the distributions, and its p-value.
        """
        if len(scores) < _MIN_DRIFT_ROWS or len(self.scores) < _MIN_DRIFT_ROWS:
            return DriftTest(0.0, 1.0, False, len(scores), len(self.scores))
        least = self if least is None else least
        new = np.sort(scores)
        places = np.concatenate([new, self.scores, least.scores])
        share = _shares_up_to(new, places)
        lower = float((share - _shares_up_to(least.scores, places + self.slack)).max())
        upper = float((_shares_up_to(self.scores, places - self.slack) - share).max())
        gap, higher = max(lower, upper, 0.0), upper > lower
        known = len(self.scores) if n_independent is None else n_independent
        size = known * len(scores) / (known + len(scores))
        p_value = float(stats.kstwo.sf(gap, max(round(size), 1)))
        return DriftTest(gap, p_value, higher, len(scores), len(self.scores))


def _quantile(ordered: np.ndarray, share: float) -> float:
    """Return a quantile of sorted numbers. ``np.percentile`` sorts them again."""
    place = share * (len(ordered) - 1)
    below = min(int(place), len(ordered) - 1)
    above = min(below + 1, len(ordered) - 1)
    first, last = float(ordered[below]), float(ordered[above])
    return first + (last - first) * (place - below)


def _replaced(ordered: np.ndarray, old: float, new: float) -> np.ndarray:
    """Return sorted numbers with one of them replaced."""
    place, target = np.searchsorted(ordered, [old, new]).tolist()
    changed = ordered.copy()
    if target > place:
        changed[place : target - 1] = ordered[place + 1 : target]
        changed[target - 1] = new
    else:
        changed[target + 1 : place + 1] = ordered[target:place]
        changed[target] = new
    return changed


def _shares_up_to(ordered: np.ndarray, places: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.searchsorted(ordered, places, side="right") / len(ordered)
    return shares


def _n_needed(rate: float) -> int:
    """Return how many calibration scores resolve a rate."""
    # Subtract a tolerance: 1 / (1 / 49) is 49.00000000000001.
    return math.ceil((1 - 1e-12) / rate) - 1


@dataclass(frozen=True, repr=False)
class DriftTest(Tabular):
    """Are new scores spread as those of calibration were?

    Attributes
    ----------
    statistic : float
        Largest gap between the two cumulative distributions, in [0, 1].
    p_value : float
        Chance of such a gap without drift.
    higher : bool
        True if the new anomaly scores are higher (more unusual) where the gap is largest: expect
        more alarms.
    n_rows, n_calibration : int
        Scores on either side.
    """

    statistic: float
    p_value: float
    higher: bool
    n_rows: int
    n_calibration: int

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute, and "drifted".

        Returns
        -------
        dict of str to list
            One entry.
        """
        return {name: [value] for name, value in {**asdict(self), "drifted": self.drifted}.items()}

    def caption(self) -> str:
        return str(self)

    @property
    def drifted(self) -> bool:
        """True if the chance is below one in ten thousand."""
        return self.p_value < _DRIFT_LEVEL

    def __str__(self) -> str:
        if not self.drifted:
            return (
                f"The anomaly scores of {self.n_rows:,} rows are spread as the "
                f"{self.n_calibration:,} of calibration (p = {self.p_value:.2g})."
            )
        side = "higher (more unusual)" if self.higher else "lower (less unusual)"
        return (
            f"The anomaly scores of {self.n_rows:,} rows lie {side} than the "
            f"{self.n_calibration:,} of calibration (gap {self.statistic:.2f}, p = "
            f"{self.p_value:.1g}): the rate of false alarms may not hold. Look at the rows, then "
            "refit or use partial_fit."
        )


class RunningCalibration:
    """The latest scores of normal rows, in a ring.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Initial scores. An even selection is used if there are more than ``capacity``.
    capacity : int
        Scores to keep.
    """

    def __init__(self, scores: np.ndarray, capacity: int) -> None:
        start = np.sort(scores)
        if len(start) > capacity:
            # Mid-points of equal shares keep the distribution.
            places = (np.arange(capacity) + 0.5) * len(start) / capacity
            start = start[places.astype(np.intp)]
        self._ring = np.random.default_rng(0).permutation(start)
        self._has_joined = np.zeros(len(start), dtype=bool)
        self._capacity = capacity
        self._next = 0
        self._calibration = Calibration(np.sort(self._ring))

    @property
    def smallest_rate(self) -> float:
        """The smallest rate that the scores in the ring can resolve."""
        return self._calibration.smallest_rate

    def p_values(self, scores: np.ndarray) -> np.ndarray:
        """Return conformal p-values by the scores in the ring."""
        return self._calibration.p_values(scores)

    def n_near(self, score: float, slack: float) -> int:
        """Return how many scores in the ring differ from a score by at most ``slack``."""
        ends = [score - slack, score + slack]
        first, last = np.searchsorted(self._calibration.scores, ends).tolist()
        return int(last - first)

    def update(self, scores: np.ndarray) -> None:
        """Add new clipped scores, and drop the oldest ones once the buffer is full."""
        scores = self._calibration.clipped(scores[-self._capacity :])
        if not len(scores):
            return
        n_free = self._capacity - len(self._ring)
        if len(scores) == 1 and not n_free:
            ordered = _replaced(self._calibration.scores, self._ring[self._next], scores[0])
            self._ring[self._next], self._has_joined[self._next] = scores[0], True
            self._next = (self._next + 1) % self._capacity
            self._calibration = Calibration(ordered)
            return
        self._ring = np.concatenate([self._ring, scores[:n_free]])
        self._has_joined = np.append(self._has_joined, np.ones(len(scores[:n_free]), dtype=bool))
        late = scores[n_free:]
        places = (self._next + np.arange(len(late))) % self._capacity
        self._ring[places], self._has_joined[places] = late, True
        self._next = (self._next + len(late)) % self._capacity
        self._calibration = Calibration(np.sort(self._ring))

    def state(self) -> dict[str, Any]:
        """Return the ring as JSON values, from which ``restore`` continues."""
        return {
            "ring": self._ring.tolist(),
            "has_joined": self._has_joined.astype(int).tolist(),
            "next": self._next,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of a ring of the same capacity."""
        ring = np.asarray(state["ring"], dtype=np.float64)
        has_joined = np.asarray(state["has_joined"], dtype=bool)
        place = int(state["next"])
        if ring.shape != has_joined.shape or not 0 < len(ring) <= self._capacity:
            raise ValueError(f"{len(ring):,} scores for a window of {self._capacity:,}")
        if not np.isfinite(ring).all() or not 0 <= place < self._capacity:
            raise ValueError("scores that are not finite")
        self._ring, self._has_joined, self._next = ring, has_joined, place
        self._calibration = Calibration(np.sort(ring))

    @property
    def joined(self) -> np.ndarray:
        """Scores in the ring that were not there to begin with."""
        joined: np.ndarray = self._ring[self._has_joined]
        return joined

    def frozen(self) -> Calibration:
        """Return the calibration as it is now."""
        return self._calibration


def order_statistic_band(
    ordered: np.ndarray, n_above: int, level: float = 0.9
) -> tuple[float, float]:
    """Return the bootstrap band of the value that leaves so many of a sample above it.

    How many of a resample lie above a value is binomial: no resample need be drawn.

    Parameters
    ----------
    ordered : ndarray of shape (n,)
        The sample, ascending.
    n_above : int
        How many of it lie above.
    level : float, default=0.9
        Share of resamples whose value lies in the band.

    Returns
    -------
    low, high : float
        Ends of the band.
    """
    n = len(ordered)
    share = min((n_above + 0.5) / n, 1.0)
    counts = stats.binom.ppf([(1 + level) / 2, (1 - level) / 2], n, share)
    low, high = np.clip(n - 1 - counts, 0, n - 1).astype(np.intp)
    return float(ordered[low]), float(ordered[high])


def benjamini_hochberg(p_values: np.ndarray, rate: float) -> np.ndarray:
    """Choose as many p-values as keep the share of false discoveries among them in bounds [1]_.

    Parameters
    ----------
    p_values : ndarray of shape (m,)
        One a row.
    rate : float
        Expected share of false ones among those chosen, in (0, 1).

    Returns
    -------
    ndarray of bool, shape (m,)
        True where chosen.

    Raises
    ------
    ParameterError
        If ``rate`` is not in (0, 1).

    References
    ----------
    .. [1] Benjamini and Hochberg (1995), Controlling the False Discovery Rate.

    Examples
    --------
    >>> benjamini_hochberg(np.array([0.01, 0.2, 0.03, 0.9]), 0.1).tolist()
    [True, False, True, False]
    """
    if not 0 < rate < 1:
        raise ParameterError(
            f"The false discovery rate must lie between 0 and 1, got {rate}. Try 0.1."
        )
    ordered = np.sort(p_values)
    steps = rate * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    below = np.flatnonzero(ordered <= steps)
    chosen: np.ndarray = p_values <= (ordered[below[-1]] if len(below) else -1.0)
    return chosen
