"""Which scores are flagged: by a rate, a share, a cost, or a few labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from sklearn.base import BaseEstimator

from latently._renamed import Renames
from latently._sklearn import Interval, check_parameters
from latently._tabular import Tabular
from latently.exceptions import DataError, ParameterError
from latently.tasks.thresholds._calibration import Calibration, order_statistic_band

_N_RESAMPLES = 200
_BAND = (5.0, 95.0)


class Evidence(NamedTuple):
    """Scores and labels from which a rule chooses a threshold.

    Attributes
    ----------
    calibration : Calibration
        Scores of normal rows.
    scores : ndarray of shape (n,) or None
        Anomaly scores of the rows that the rule is about: higher = more unusual.
    labels : ndarray of bool, shape (n,), or None
        True where one of these rows is an anomaly.
    periods : ndarray of int, shape (n,), or None
        The hour, day, week or month of each of these rows.
    """

    calibration: Calibration
    scores: np.ndarray | None = None
    labels: np.ndarray | None = None
    periods: np.ndarray | None = None


@dataclass(frozen=True, repr=False)
class Threshold(Tabular):
    """A cut through the anomaly scores, of which higher = more unusual.

    Attributes
    ----------
    cut : float
        Rows whose ``anomaly_score`` lies above it are flagged.
    low, high : float
        Band in which nine in ten bootstrap resamples put it.
    reason : str
        In words.
    n_tied : int, default=0
        Scores, of those that the cut was chosen by, which equal the cut. They are not flagged: with
        many of them, fewer rows are flagged than asked for.
    """

    cut: float
    low: float
    high: float
    reason: str
    n_tied: int = 0

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute.

        Returns
        -------
        dict of str to list
            One entry.
        """
        return {name: [value] for name, value in asdict(self).items()}

    def check_consistent(self) -> None:
        """Raise DataError if the parts of a file contradict each other."""
        if not np.isfinite([self.cut, self.low, self.high]).all() or self.low > self.high:
            raise DataError("The model's threshold_ is no cut within a finite band.")
        if not 0 <= self.n_tied < 2**62:
            raise DataError("The model's threshold_ counts tied rows below zero.")

    def __str__(self) -> str:
        tied = f"; {self.n_tied:,} rows share this score, none of them is flagged"
        band = f"90 % band {self.low:.4g} to {self.high:.4g}"
        return (
            f"flags anomaly scores above {self.cut:.4g} ({band}): "
            f"{self.reason}{tied if self.n_tied > 1 else ''}"
        )


class ThresholdRule(Protocol):
    """Turns evidence into a cut."""

    #: True if the rule is about the rows given, not about the calibration alone.
    reads_rows: ClassVar[bool]
    #: True if it can use labels.
    reads_labels: ClassVar[bool]
    #: True if it can do nothing without them.
    needs_labels: ClassVar[bool]

    def choose(self, evidence: Evidence) -> Threshold:
        """Return the cut."""
        ...

    def check(self) -> None:
        """Validate the parameters of the rule."""
        ...


def check_rule(rule: Any) -> ThresholdRule:
    """Return a threshold rule.

    Raises
    ------
    ParameterError
        If it is none. The message lists the rules.
    """
    if isinstance(rule, type) or not callable(getattr(rule, "choose", None)):
        name = rule.__name__ if isinstance(rule, type) else repr(rule)
        raise ParameterError(
            f"threshold must be a rule or None, got {name:.60}. Use FalseAlarmRate(0.01), "
            "AlertBudget(20), Contamination(0.05), CostRatio(10) or MaxFScore()."
        )
    checked: ThresholdRule = rule
    return checked


class Rule(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """Base class of rules, which validates parameters and required rows."""

    reads_rows: ClassVar[bool] = True
    reads_labels: ClassVar[bool] = False
    needs_labels: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {}

    def check(self) -> None:
        """Validate the parameters, and raise ParameterError if one is wrong."""
        check_parameters(self._parameter_constraints, self.get_params(), type(self).__name__)

    def _scores(self, evidence: Evidence) -> np.ndarray:
        self.check()
        if evidence.scores is None:
            raise DataError(
                f"{type(self).__name__} is about a batch of rows, got none. "
                "Give them: set_threshold(rule, X)."
            )
        return evidence.scores

    def _need_both(self, labels: np.ndarray) -> None:
        if labels.all() or not labels.any():
            raise DataError(
                f"{type(self).__name__} needs labels of both kinds, got only {bool(labels.any())}. "
                "Label at least one anomaly and one normal row."
            )


@dataclass(eq=False, repr=False)
class FalseAlarmRate(Rule):
    """Flag at most this share of normal rows.

    The cut is a conformal quantile of the calibration scores: over draws of calibration and new
    rows the expected share of false alarms is at most ``rate``, whatever the distribution.

    Parameters
    ----------
    rate : float, default=0.01
        Rate in (0, 1). More flags more. Rates below 1 / (calibration rows + 1) cannot be resolved.

    Examples
    --------
    >>> FalseAlarmRate(0.1).choose(Evidence(Calibration.of(np.arange(99.0)))).cut
    89.0
    """

    rate: float = 0.01

    reads_rows: ClassVar[bool] = False
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "rate": [Interval(Real, 0, 1, closed="neither")]
    }

    def choose(self, evidence: Evidence) -> Threshold:
        """Return the cut, from the calibration alone.

        Parameters
        ----------
        evidence : Evidence
            Calibration scores, and the rows that the rule is about with their labels, if any.

        Returns
        -------
        Threshold
            The cut, its band and its reason.
        """
        self.check()
        calibration = evidence.calibration
        cut = calibration.cut_for_rate(self.rate)
        return Threshold(
            cut,
            *calibration.band_for_rate(self.rate),
            f"at most {100 * self.rate:.3g} % of normal rows, by {len(calibration.scores):,} "
            "calibration rows",
            calibration.n_tied(cut),
        )


@dataclass(eq=False, repr=False)
class Contamination(Renames, Rule):
    """Flag the worst fraction of the rows given.

    Parameters
    ----------
    fraction : float, default=0.05
        In (0, 0.5].

    Examples
    --------
    >>> Contamination(0.2).choose(Evidence(Calibration.of(np.ones(9)), np.arange(10.0))).cut
    7.5
    """

    fraction: float = 0.05
    renamed_parameters: ClassVar[Mapping[str, str]] = {"share": "fraction"}

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "fraction": [Interval(Real, 0, 0.5, closed="right")]
    }

    def choose(self, evidence: Evidence) -> Threshold:
        """Return the cut, from the rows given.

        Parameters
        ----------
        evidence : Evidence
            Calibration scores, and the rows that the rule is about with their labels, if any.

        Returns
        -------
        Threshold
            The cut, its band and its reason.
        """
        scores = self._scores(evidence)
        words = f"the worst {100 * self.fraction:.3g} % of {len(scores):,} rows"
        return cut_by_count(scores, round(self.fraction * len(scores)), words)


@dataclass(eq=False, repr=False)
class CostRatio(Rule):
    r"""Flag as is cheapest, where a missed anomaly costs as much as so many false alarms.

    With labels the cut of least cost on them. Without: of :math:`n` rows :math:`F(c)` score above
    :math:`c`, about :math:`n p_0(c)` of them normal, where :math:`p_0` is the tail of the
    calibration scores. The cost :math:`n p_0 + r (\mathrm{anomalies} - F + n p_0)` is least where
    :math:`(1 + r)\, n p_0(c) - r F(c)` is. :math:`F` is reduced by two standard deviations, so
    that chance alone flags hardly a row.

    Parameters
    ----------
    miss_to_alarm : float, default=10.0
        Cost of a missed anomaly in false alarms, above zero. More flags more.

    Examples
    --------
    >>> scores = np.array([0.0, 1.0, 2.0, 3.0])
    >>> labels = np.array([False, False, True, True])
    >>> CostRatio().choose(Evidence(Calibration.of(scores), scores, labels)).cut
    1.5
    """

    miss_to_alarm: float = 10.0

    reads_labels: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "miss_to_alarm": [Interval(Real, 0, None, closed="neither")]
    }

    def choose(self, evidence: Evidence) -> Threshold:
        """Return the cut, from the rows given and their labels, if there are any.

        Parameters
        ----------
        evidence : Evidence
            Calibration scores, and the rows that the rule is about with their labels, if any.

        Returns
        -------
        Threshold
            The cut, its band and its reason.
        """
        scores = self._scores(evidence)
        ratio = float(self.miss_to_alarm)
        words = f"least cost where a miss costs {ratio:g} false alarms"
        if evidence.labels is not None:
            self._need_both(evidence.labels)
            return _best_cut(scores, lambda alarms, found: alarms - ratio * found, evidence.labels,
                             f"{words}, by {len(scores):,} labelled rows")  # fmt: skip
        return _by_expected_cost(scores, evidence.calibration, ratio, words)


@dataclass(eq=False, repr=False)
class MaxFScore(Rule):
    """Choose the threshold of the largest F score on labelled rows.

    Parameters
    ----------
    beta : float, default=1.0
        Weight of recall relative to precision in the F score that is maximised. More flags more.

    Examples
    --------
    >>> scores = np.array([0.0, 1.0, 2.0, 3.0])
    >>> labels = np.array([False, False, True, True])
    >>> MaxFScore().choose(Evidence(Calibration.of(scores), scores, labels)).cut
    1.5
    """

    beta: float = 1.0

    reads_labels: ClassVar[bool] = True
    needs_labels: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "beta": [Interval(Real, 0, None, closed="neither")]
    }

    def choose(self, evidence: Evidence) -> Threshold:
        """Return the cut, from the rows given and their labels.

        Parameters
        ----------
        evidence : Evidence
            Calibration scores, and the rows that the rule is about with their labels, if any.

        Returns
        -------
        Threshold
            The cut, its band and its reason.
        """
        scores, labels = self._scores(evidence), evidence.labels
        if labels is None:
            raise DataError(
                "MaxFScore needs to know which rows are anomalies, got no labels. "
                "Give them: set_threshold(rule, X, y)."
            )
        self._need_both(labels)
        square = float(self.beta) ** 2

        def loss(alarms: np.ndarray, found: np.ndarray) -> np.ndarray:
            # The last place flags all rows: the anomalies of a resample are its own.
            f_score: np.ndarray = (1 + square) * found / (square * found[-1] + alarms + found)
            return -f_score

        words = f"the best F score (beta {self.beta:g}) on {len(scores):,} labelled rows"
        return _best_cut(scores, loss, labels, words)


def cut_by_count(scores: np.ndarray, n_above: int, words: str) -> Threshold:
    """Cut between order statistics so that at most so many scores lie above.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Anomaly scores.
    n_above : int
        Most scores above the cut. Of equal scores none or all lie above it.
    words : str
        The reason of the threshold.

    Returns
    -------
    Threshold
        The cut, its band and the number of scores that equal it.
    """
    ordered = np.sort(scores)
    cut = _cut_above(ordered, n_above)
    low, high = order_statistic_band(ordered, n_above)
    return Threshold(cut, min(low, cut), max(high, cut), words, int((scores == cut).sum()))


def _cut_above(ordered: np.ndarray, n_above: int) -> float:
    """Return the cut that leaves at most ``n_above`` of sorted scores above it."""
    n = len(ordered)
    if n_above <= 0:
        return float(ordered[-1])
    if n_above >= n:
        return float(np.nextafter(ordered[0], -np.inf))
    below, above = ordered[n - n_above - 1], ordered[n - n_above]
    middle = below + (above - below) / 2
    # Between neighbours there may be no number; and of ties none is flagged.
    return float(middle if below < middle < above else below)


def _best_cut(scores: np.ndarray, loss: Any, labels: np.ndarray, words: str) -> Threshold:
    """Return the threshold of least loss, with a band from resampled rows."""
    cut = _least_loss(scores, labels, loss)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(scores), (_N_RESAMPLES, len(scores)))
    cuts = [_least_loss(scores[rows], labels[rows], loss) for rows in drawn if labels[rows].any()]
    low, high = np.percentile(cuts, _BAND)
    return Threshold(cut, min(float(low), cut), max(float(high), cut), words)


def _least_loss(scores: np.ndarray, labels: np.ndarray, loss: Any) -> float:
    """Return the cut at which a loss of (false alarms, found anomalies) is least."""
    order = np.argsort(-scores, kind="stable")
    ordered, known = scores[order], labels[order]
    found = np.concatenate([[0], np.cumsum(known)])
    alarms = np.arange(len(known) + 1) - found
    losses = np.asarray(loss(alarms, found), dtype=np.float64)
    # No cut falls between ties: only places where the next score differs count.
    losses[1:-1][ordered[:-1] == ordered[1:]] = np.inf
    return _cut_above(ordered[::-1], int(losses.argmin()))


def _by_expected_cost(
    scores: np.ndarray, calibration: Calibration, ratio: float, words: str
) -> Threshold:
    rng = np.random.default_rng(0)
    resamples = (rng.choice(scores, len(scores)) for _ in range(_N_RESAMPLES))
    cuts = [_least_expected_cost(resample, calibration, ratio) for resample in resamples]
    cut, (low, high) = _least_expected_cost(scores, calibration, ratio), np.percentile(cuts, _BAND)
    return Threshold(cut, min(float(low), cut), max(float(high), cut), words)


def _least_expected_cost(scores: np.ndarray, calibration: Calibration, ratio: float) -> float:
    ordered, known = np.sort(scores), calibration.scores
    n_above = len(ordered) - np.searchsorted(ordered, ordered, side="right")
    n_known_above = len(known) - np.searchsorted(known, ordered, side="right")
    tail = (1 + n_known_above) / (len(known) + 1)
    # Of a normal batch as many rows lie above as expected, give or take two standard deviations.
    expected = len(ordered) * tail
    found = n_above - 2 * np.sqrt(expected)
    costs = (1 + ratio) * expected - ratio * found
    place = int(costs.argmin())
    return float(ordered[place]) if costs[place] < 0 else float(ordered[-1])
