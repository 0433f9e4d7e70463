"""Rows that come one by one: scored at once, calibrated by those that came before."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from latently.exceptions import DataError, ParameterError
from latently.schema import plain_rows
from latently.tasks.anomaly._drift import drift_of_scores
from latently.tasks.anomaly._one_row import OneRowScorer
from latently.tasks.thresholds._calibration import Calibration, DriftTest, RunningCalibration
from latently.tasks.thresholds._rules import Evidence

if TYPE_CHECKING:
    from latently.tasks.anomaly._detector import AnomalyDetector

#: Fraction of the window after which the threshold is updated.
_RENEWED = 0.1
#: Relative difference of scores by rounding, between a row alone and a row in a table. Next to so
#: many calibration scores, a row is scored in a table.
_ROUNDING, _TIED = 1e-4, 3


class Scored(NamedTuple):
    """Result of a stream for one row.

    Attributes
    ----------
    anomaly_score : float
        As ``AnomalyDetector.anomaly_score``: higher = more unusual.
    p_value : float
        Share of recent normal rows at least as unusual, the row counted in.
    is_anomaly : bool
        True if the score lies above the cut.
    """

    anomaly_score: float
    p_value: float
    is_anomaly: bool


class ScoredRows(NamedTuple):
    """Result of a stream for several rows.

    Attributes
    ----------
    anomaly_score : ndarray of shape (n_samples,)
        As ``AnomalyDetector.anomaly_score``: higher = more unusual.
    p_value : ndarray of shape (n_samples,)
        Share of recent normal rows at least as unusual, the row counted in.
    is_anomaly : ndarray of bool, shape (n_samples,)
        True if the score lies above the cut.
    """

    anomaly_score: np.ndarray
    p_value: np.ndarray
    is_anomaly: np.ndarray


class ScoreStream:
    """Score rows as they arrive, with p-values and a threshold from the latest normal rows.

    A new score replaces the oldest one in the window. It is clipped slightly above the largest
    score, so that the window follows a slow drift but not single anomalies. A rule about given
    rows (``AlertBudget``, ``Contamination``, ``MaxFScore``) keeps its threshold. A row has the same
    score as in ``AnomalyDetector.anomaly_score``: higher = more unusual.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted detector. It is not changed.
    window : int, default=2_000
        Latest normal scores to keep.
    """

    def __init__(self, detector: AnomalyDetector, window: int = 2_000) -> None:
        if window < 1:
            raise ParameterError(f"window must be at least 1, got {window}. Try 2,000.")
        self._detector = copy.copy(detector)
        self._running = RunningCalibration(detector.calibration_.scores, window)
        self._every = max(1, round(_RENEWED * window))
        self._since_cut = 0
        self.cut = detector.threshold_.cut
        self.n_rows = 0
        self.n_anomalies = 0
        self._one_row = OneRowScorer.of(self._detector)

    def score(self, row: Any) -> Scored:
        """Score one row.

        Parameters
        ----------
        row : mapping, sequence or array of shape (n_features,), or one-row DataFrame or Table
            Values by name or in the order of the columns of ``fit``, or one image.

        Returns
        -------
        Scored
            Score, p-value and flag.

        Raises
        ------
        DataError
            If the row lacks a column or cannot be used.
        """
        score = None if self._one_row is None else self._one_row.score(row)
        if score is None or self._depends_on_rounding(score):
            scores, p_values, flags = self.score_rows(self._as_rows(row))
        else:
            scores, p_values, flags = self._joined(np.array([score]))
        return Scored(float(scores[0]), float(p_values[0]), bool(flags[0]))

    def score_rows(self, X: Any) -> ScoredRows:
        """Score some rows at once, each relative to the rows before all of them.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            The next rows.

        Returns
        -------
        ScoredRows
            Anomaly scores, p-values and flags.

        Raises
        ------
        DataError
            If the rows cannot be used.
        """
        return self._joined(self._detector.anomaly_score(X))

    def _depends_on_rounding(self, score: float) -> bool:
        """Return True for a score next to the cut, or to calibration scores that are tied."""
        slack = _ROUNDING * max(1.0, abs(score))
        return abs(score - self.cut) <= slack or self._running.n_near(score, slack) >= _TIED

    def _joined(self, scores: np.ndarray) -> ScoredRows:
        """Return the results of scores, which then join the window."""
        p_values, flags = self._running.p_values(scores), scores > self.cut
        self._learn(scores)
        self.n_rows += len(scores)
        self.n_anomalies += int(flags.sum())
        return ScoredRows(scores, p_values, flags)

    def drift(self) -> DriftTest:
        """Test whether the new scores in the window are spread as those of the training rows.

        Returns
        -------
        DriftTest
            Prints as a sentence.
        """
        return drift_of_scores(self._detector, self._running.joined)

    def state(self) -> dict[str, Any]:
        """Return the running state as JSON values, from which ``restore`` continues.

        Returns
        -------
        dict
            The window of scores, the threshold and the counts.
        """
        counts = {"cut": self.cut, "n_rows": self.n_rows, "n_anomalies": self.n_anomalies}
        return {**counts, "since_cut": self._since_cut, "running": self._running.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of a stream of the same detector and window.

        Parameters
        ----------
        state : mapping
            As ``state`` returned it.

        Raises
        ------
        DataError
            If the state is damaged or belongs to another window.
        """
        try:
            self._running.restore(state["running"])
            self.cut, self._since_cut = float(state["cut"]), int(state["since_cut"])
            self.n_rows, self.n_anomalies = int(state["n_rows"]), int(state["n_anomalies"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"The state of a stream must be as state() returned it, got an unusable entry "
                f"({error}). Start a new stream."
            ) from None

    def _learn(self, scores: np.ndarray) -> None:
        self._running.update(scores)
        self._since_cut += len(scores)
        rule = self._detector.rule_
        if rule.reads_rows or self._since_cut < self._every:
            return
        self._since_cut = 0
        calibration: Calibration = self._running.frozen()
        if calibration.smallest_rate <= getattr(rule, "rate", 1.0):
            self.cut = rule.choose(Evidence(calibration, None, None)).cut

    def _as_rows(self, row: Any) -> Any:
        if hasattr(row, "columns") or hasattr(row, "column_names"):
            return row
        names = getattr(self._detector.autoencoder_.preprocessor_.spec, "names", None)
        if isinstance(row, Mapping):
            return _table(row, names)
        row = plain_rows(row)
        if names is not None:
            if len(row) != len(names):
                raise DataError(
                    f"The row has {len(row)} values, the model {len(names)} columns. Give one each."
                )
            return pa.table({str(n): [v] for n, v in zip(names, row, strict=True)})
        return np.asarray(row)[None]


def _table(row: Mapping[Any, Any], names: tuple[str, ...] | None) -> pa.Table:
    row = {str(name): value for name, value in row.items()}
    if names is None:
        raise DataError("The model was fitted on an array, got a row with names. Give its values.")
    missing = [str(name) for name in names if name not in row]
    if missing:
        raise DataError(f"The row lacks the columns {', '.join(missing[:5])}. Give None for a gap.")
    return pa.table({str(name): [row[name]] for name in names})
