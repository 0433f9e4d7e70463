"""Alerts that somebody can look at: so many in a batch, or in each day of it."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar, Literal, get_args

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from latently._notices import silenced, warn
from latently._sklearn import Interval, StrOptions
from latently.exceptions import DataError, DataWarning, ParameterError
from latently.io.dataset._dataset import as_dataset
from latently.schema import ColumnType, arrow_table, conform, plain, plain_frame, text_names
from latently.tasks.thresholds._rules import Evidence, Rule, Threshold, cut_by_count

Period = Literal["hour", "day", "week", "month"]
#: The period of rows without a time.
_NO_TIME = np.iinfo(np.int64).min


@dataclass(eq=False, repr=False)
class AlertBudget(Rule):
    """Flag as many rows as somebody can look at.

    ``AnomalyDetector.alerts`` applies the budget to a batch: it flags the most unusual rows of the
    batch, or of each day in it. ``fit`` and ``set_threshold`` turn it into a fixed cut, which later
    batches exceed more or less often.

    Parameters
    ----------
    n_alerts : int, default=20
        Largest number of rows to flag. Fewer are flagged if the next row would tie.
    per : int, {"hour", "day", "week", "month"} or None, default=None
        Unit of the budget. None is the given batch. A number of rows, a day's for example,
        scales the budget to the size of the batch. A period is each calendar hour, day, week from
        Monday or month that ``time`` shows. The periods are those of the column's own time zone.
    time : str or None, default=None
        Column of dates or times, required with a period and not allowed otherwise. It need not be
        a column of the model.

    Examples
    --------
    >>> from latently.tasks import Calibration
    >>> AlertBudget(2).choose(Evidence(Calibration.of(np.ones(9)), np.arange(10.0))).cut
    7.5
    """

    n_alerts: int = 20
    per: int | Period | None = None
    time: str | None = None

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_alerts": [Interval(Integral, 1, None, closed="left")],
        "per": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions(set(get_args(Period))),
            None,
        ],
        "time": [str, None],
    }

    def check(self) -> None:
        """Validate the parameters, and raise ParameterError if one is wrong."""
        super().check()
        if isinstance(self.per, str) and self.time is None:
            raise ParameterError(
                f'time must name a column of dates or times with per="{self.per}", got None. Give '
                f'AlertBudget({self.n_alerts}, per="{self.per}", time="timestamp").'
            )
        if self.time is not None and not isinstance(self.per, str):
            raise ParameterError(
                f"time must be None unless per is a period, got {self.time!r} and per={self.per}. "
                'Add per="day", or leave time out.'
            )

    def choose(self, evidence: Evidence) -> Threshold:
        """Return a fixed cut, from the rows given.

        Parameters
        ----------
        evidence : Evidence
            Scores of the rows that the rule is about, and their periods.

        Returns
        -------
        Threshold
            The cut, its band and its reason. With a period it is the highest of the cuts of all
            periods, so that none of them has more alerts.
        """
        scores = self._scores(evidence)
        if not isinstance(self.per, str):
            per = len(scores) if self.per is None else self.per
            words = f"{self.n_alerts:,} alerts in {per:,} rows at most"
            return cut_by_count(scores, self._n_above(len(scores)), words)
        if evidence.periods is None:
            raise DataError(
                f"{self} needs the times of the rows, got none. Give a frame with the column "
                f"{self.time!r}."
            )
        limits, _ = self._limits(scores, evidence.periods)
        n_above = int((scores > limits.max()).sum())
        words = f"{self.n_alerts:,} alerts at most in each of {len(limits):,} {self.per}s"
        return cut_by_count(scores, n_above, words)

    def flags(self, scores: np.ndarray, periods: np.ndarray | None = None) -> np.ndarray:
        """Return which rows of a batch are within the budget.

        Parameters
        ----------
        scores : ndarray of shape (n_samples,)
            Anomaly scores: higher = more unusual.
        periods : ndarray of int, shape (n_samples,), or None, default=None
            Period of each row, as returned by ``periods_of``. None without a period.

        Returns
        -------
        ndarray of bool, shape (n_samples,)
            True for the most unusual rows. Where more rows have the same score than the budget has
            room for, none of these is flagged. All rows of a period with no more rows than the
            budget are flagged.

        Raises
        ------
        DataError
            If all rows would be flagged.

        Warns
        -----
        DataWarning
            If rows tie, or all rows of a period are flagged.
        """
        self.check()
        if periods is None:
            periods = np.zeros(len(scores), dtype=np.int64)
        limits, inverse = self._limits(scores, periods)
        flags: np.ndarray = scores > limits[inverse]
        refuse_to_flag_all(self, flags)
        self._warn_of_whole_periods(limits)
        n_flagged = np.bincount(inverse, flags)
        tied = (scores == limits[inverse]) & (n_flagged < self._n_above(len(scores)))[inverse]
        if tied.any():
            warn(
                f"{int(tied.sum()):,} rows share the score at the end of the budget. None of them "
                "is flagged, so that fewer rows are flagged than the budget allows."
            )
        return flags

    def _n_above(self, n_rows: int) -> int:
        """Return the budget of a batch, or of each of its periods."""
        if self.per is None or isinstance(self.per, str):
            return self.n_alerts
        return int(self.n_alerts * n_rows / self.per)

    def _limits(self, scores: np.ndarray, periods: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the score that rows of each period must exceed, and the period of each row."""
        _, inverse, counts = np.unique(periods, return_inverse=True, return_counts=True)
        n_above = self._n_above(len(scores))
        ordered = scores[np.lexsort((-scores, inverse))]
        has_more = counts > n_above
        starts = np.cumsum(counts) - counts
        limits = np.full(len(counts), -np.inf)
        limits[has_more] = ordered[starts[has_more] + n_above]
        return limits, inverse

    def _warn_of_whole_periods(self, limits: np.ndarray) -> None:
        n_whole = int((limits == -np.inf).sum())
        if n_whole:
            warn(
                f"{n_whole:,} of {len(limits):,} {self.per}s have no more than {self.n_alerts:,} "
                "rows, all of which are flagged. Lower the budget, or look at the p-values."
            )

    def warn_of_fixed_cut(self, threshold: Threshold) -> None:
        """Warn that ``fit`` made a fixed cut of the budget.

        Parameters
        ----------
        threshold : Threshold
            The cut.
        """
        warn(
            f"{self} became a fixed cut at the anomaly score {threshold.cut:.4g}. The number of "
            "alerts in later batches varies with their rows. For a budget on each batch, use "
            "detector.alerts(X, budget) or `latently score --alert-budget`."
        )


def refuse_to_flag_all(rule: Any, flags: np.ndarray) -> None:
    """Raise DataError if a rule about rows would flag every one of them."""
    if bool(flags.all()):
        raise DataError(
            f"{rule} would flag all {len(flags):,} rows. Give normal rows among them, or another "
            "rule."
        )


def rows_and_periods(rule: Any, X: Any, fitted: Any) -> tuple[Any, np.ndarray | None]:
    """Return the rows as a model takes them, and their periods where a rule counts some.

    Parameters
    ----------
    rule : rule
        With a ``time`` where it is about periods.
    X : array-like, DataFrame, Table or dataset
        Rows, among whose columns the time is.
    fitted : sequence of str or None
        Columns of the model. A time column that is none of them is removed from the rows.

    Returns
    -------
    rows : array-like, DataFrame, Table or dataset
        With the columns of the model.
    periods : ndarray of int, shape (n_samples,), or None
        None where the rule is not about periods.

    Raises
    ------
    DataError
        If the rows lack the time, or it is not one.
    """
    if not isinstance(rule, AlertBudget) or rule.time is None or not isinstance(rule.per, str):
        return X, None
    dataset = as_dataset(X)
    if dataset is None:
        return _split_frame(X, rule.time, rule.per, fitted)
    _check_there(rule.time, dataset.column_names)
    chunks = [chunk for piece in dataset.select([rule.time]) for chunk in piece[rule.time].chunks]
    kept = [name for name in dataset.column_names if name != rule.time or name in (fitted or ())]
    return dataset.select(kept), periods_of(pa.chunked_array(chunks), rule.per, rule.time)


def _split_frame(X: Any, time: str, per: Period, fitted: Any) -> tuple[Any, np.ndarray]:
    if not nw.dependencies.is_into_dataframe(X):
        raise DataError(
            f"time={time!r} names a column, got rows without column names. Give a DataFrame."
        )
    frame = nw.from_native(plain_frame(X), eager_only=True)
    names = text_names(frame.columns)
    _check_there(time, names)
    own = frame.columns[names.index(time)]
    periods = periods_of(arrow_table(frame.select(own))[time], per, time)
    return X if time in (fitted or ()) else frame.drop(own).to_native(), periods


def _check_there(time: str, names: list[str]) -> None:
    if time not in names:
        raise DataError(
            f"time must be a column of the rows, got {time!r}. There are {', '.join(names[:8])}."
        )


def periods_of(column: pa.ChunkedArray, per: Period, name: str) -> np.ndarray:
    """Return the calendar period of each row.

    Parameters
    ----------
    column : pyarrow.ChunkedArray
        Dates, times or strings in ISO format. Periods are those of the clock of its time zone.
    per : {"hour", "day", "week", "month"}
        A week starts on Monday. An hour that the clock repeats counts twice.
    name : str
        Of the column, for messages.

    Returns
    -------
    ndarray of int, shape (n_samples,)
        Equal numbers for rows of one period. Rows without a time are one more period.

    Raises
    ------
    DataError
        If the column does not hold dates or times.

    Warns
    -----
    DataWarning
        If rows have no time.
    """
    instants = _instants(plain(column), per, name)
    local = instants if instants.type.tz is None else pc.local_timestamp(instants)
    starts = _as_numbers(pc.floor_temporal(local, unit=per))
    if per == "hour":
        starts = starts - (_as_numbers(local) - _as_numbers(instants))
    missing = instants.is_null().to_numpy(zero_copy_only=False)
    n_missing = int(missing.sum())
    if n_missing == len(missing):
        raise DataError(f"Column {name!r} holds no time at all. Name a column of dates or times.")
    if n_missing:
        warn(
            f"{n_missing:,} rows have no time in column {name!r}. They share one budget of "
            f"their own, as one more {per}."
        )
    return np.where(missing, _NO_TIME, starts)


def _instants(column: pa.ChunkedArray, per: Period, name: str) -> pa.ChunkedArray:
    """Return a column as timestamps in its own unit and zone."""
    kind = column.type
    wrong = DataError(
        f"time must name a column of dates or times, got {kind} in column {name!r}. Name another "
        "column."
    )
    if pa.types.is_timestamp(kind):
        return column
    if pa.types.is_date(kind):
        if per == "hour":
            raise DataError(
                f'per="hour" needs a time of day, column {name!r} holds dates. Use per="day".'
            )
        return column.cast(pa.timestamp("s") if kind == pa.date32() else pa.timestamp("ms"))
    if pa.types.is_null(kind) or not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise wrong
    try:
        with silenced(DataWarning):  # days of texts with an offset are those of UTC
            return conform(column, ColumnType("timestamp", unit="us"), name)
    except DataError:
        raise wrong from None


def _as_numbers(instants: pa.ChunkedArray) -> np.ndarray:
    counts: np.ndarray = pc.fill_null(instants.cast(pa.int64()), 0).to_numpy()
    return counts
