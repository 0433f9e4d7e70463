"""Drift: do later rows look like those of ``fit``, column by column and by their scores?"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy import stats

from latently._notices import silenced
from latently._tabular import Tabular
from latently._validation import read_input
from latently.estimators import fitted_of
from latently.exceptions import DataWarning
from latently.preprocessing import TablePreprocessor, column_values, measured_and_listed
from latently.schema import Container, container_of
from latently.tasks.anomaly._reference import Counts, Level, Reference, below_cuts, count, cuts_of
from latently.tasks.anomaly._repeats import Repeats
from latently.tasks.thresholds._calibration import Calibration, DriftTest

if TYPE_CHECKING:
    from latently.tasks.anomaly._detector import AnomalyDetector

#: Name of the line of the anomaly scores.
SCORES = "anomaly score"
#: Constant of the bound on the gap between two distributions, for samples of any sizes.
_BOUND = 2.16863
#: Numbers of at most so many values, each in so many rows on average, are compared value by value.
_FEW_VALUES, _ROWS_A_VALUE = 20, 10
#: Numbers between which scores are compared.
_SCORE_CUTS = 2_000
#: Rows of a memory whose scores, each left out, are worth one independent score; and scores of an
#: older model file that are.
_ROWS_A_SCORE, _MIN_SCORES = 2, 20
#: Smallest ratio of the gaps on both sides of a shift. Otherwise the spread has changed.
_ONE_SIDED = 2.0
#: Smallest p-value that is reported.
_LEAST = 1e-300


class ColumnDrift(NamedTuple):
    """The largest change of a column, or of the anomaly scores.

    Attributes
    ----------
    column : str
        Name of the column, or "anomaly score".
    change : str
        Kind of change, or "none" if no change is significant.
    before, now : str
        Mean, share of gaps, or share of the category that changed most: of the rows of ``fit`` (of
        the calibration rows for the scores), and of the new rows.
    size : float
        Largest difference between the two distributions, or between two shares, in [0, 1].
    p_value : float
        Chance of such a change in any of the columns or scores without drift, at most.
    drifted : bool
        True where it is at most the level.
    """

    column: str
    change: str
    before: str
    now: str
    size: float
    p_value: float
    drifted: bool


@dataclass(frozen=True, repr=False)
class Drift(Tabular):
    """Differences between later rows and those of ``fit``.

    ``print`` shows one line per drifted column. ``to_frame`` returns all columns.

    Attributes
    ----------
    changes : tuple of ColumnDrift
        The anomaly scores and the columns, the least likely change first.
    n_rows : int
        New rows.
    n_reference, n_calibration : int
        Rows of ``fit`` that columns are compared with, and rows whose scores are.
    level : float
        Chance of any false alarm, at most.
    notes : tuple of str
        Columns that were not compared, with the reason.
    library : {"numpy", "pandas", "polars", "pyarrow"}
        Of the rows.
    """

    changes: tuple[ColumnDrift, ...]
    n_rows: int
    n_reference: int
    n_calibration: int
    level: float
    notes: tuple[str, ...] = ()
    library: Container = "numpy"

    @property
    def drifted(self) -> bool:
        """True if a column or the scores drifted."""
        return any(entry.drifted for entry in self.changes)

    def __iter__(self) -> Iterator[ColumnDrift]:
        return iter(self.changes)

    def __len__(self) -> int:
        return len(self.changes)

    def columns(self) -> dict[str, list[Any]]:
        """Return one list an attribute of an entry.

        Returns
        -------
        dict of str to list
            An entry a column, and one for the scores.
        """
        return {
            name: [getattr(entry, name) for entry in self.changes] for name in ColumnDrift._fields
        }

    def to_dict(self) -> dict[str, Any]:
        """Return nested dicts, lists and plain values, ready for JSON.

        Returns
        -------
        dict
            Whether anything drifted, the numbers of rows, the level, notes and changes.
        """
        return {
            "drifted": self.drifted,
            "n_rows": self.n_rows,
            "n_reference": self.n_reference,
            "n_calibration": self.n_calibration,
            "level": self.level,
            "notes": list(self.notes),
            "changes": [entry._asdict() for entry in self.changes],
        }

    def __str__(self) -> str:
        moved = [entry for entry in self.changes if entry.drifted]
        n_columns = sum(entry.column != SCORES for entry in self.changes)
        than = f"{self.n_rows:,} rows against {max(self.n_reference, self.n_calibration):,} of fit"
        head = (
            f"{len(moved):,} of {len(self.changes):,} distributions drifted"
            if moved
            else f"no drift in {n_columns:,} columns and the anomaly scores"
        )
        level = f"chance of any false alarm at most {100 * self.level:.3g} %"
        return "\n".join([f"{head} ({than}; {level})", *_table(moved), *self.notes])


def _table(entries: list[ColumnDrift]) -> list[str]:
    """Return lines of aligned columns after a header, or no lines without entries."""
    if not entries:
        return []
    heads = ("column", "change", "before", "now", "size", "p")
    lines = [heads, *((*one[:4], f"{one.size:.2f}", f"{one.p_value:.1g}") for one in entries)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def drift_of_scores(detector: AnomalyDetector, scores: np.ndarray) -> DriftTest:
    """Compare anomaly scores with those of the training rows, each left out.

    The scores of a calibration by folds are of smaller memories, and lie elsewhere.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted.
    scores : ndarray of shape (n_samples,)
        Anomaly scores of later rows.

    Returns
    -------
    DriftTest
        Prints as a sentence.
    """
    known = _known_scores(detector)
    return known.most.drift(scores, known.n_independent, known.least)


class _KnownScores(NamedTuple):
    """Bounds of known scores, and how many independent scores they are worth."""

    most: Calibration
    least: Calibration
    n_independent: int


def _known_scores(detector: AnomalyDetector) -> _KnownScores:
    own: Calibration | None = getattr(detector, "fit_scores_", None)
    most = own or detector.calibration_
    least: Calibration = getattr(detector, "least_fit_scores_", None) or most
    return _KnownScores(most, least, _independent(len(most.scores), own is not None, detector))


class DriftTally:
    """Counts later rows, a batch after the other, and compares them with those of ``fit``.

    Parameters
    ----------
    detector : AnomalyDetector
        Fitted detector. It is not changed.
    """

    def __init__(self, detector: AnomalyDetector) -> None:
        self._detector = copy.copy(detector)
        self._reference: Reference | None = getattr(detector, "reference_", None)
        preprocessor = detector.autoencoder_.preprocessor_
        self._table = preprocessor if isinstance(preprocessor, TablePreprocessor) else None
        self._counts: Counts | None = None
        self._library: Container = "numpy"
        self._known = _known_scores(detector)
        most = self._known.most
        self._cuts = cuts_of(most.scores, _SCORE_CUTS, 2 * most.slack)
        self._below = np.zeros(len(self._cuts), dtype=np.int64)
        self._n_rows, self._n_units, self._total = 0, 0, 0.0

    def add(self, X: Any, scores: np.ndarray) -> None:
        """Count the next rows.

        Parameters
        ----------
        X : array-like, DataFrame, Table or image stack
            Rows with the columns of ``fit``.
        scores : ndarray of shape (n_samples,)
            Their anomaly scores: higher = more unusual.
        """
        model = self._detector.autoencoder_
        data = read_input(self._detector, X, reset=False, fitted_on=fitted_of(model).container)
        n_units = len(np.unique(Repeats.of(data).units))
        self._library = container_of(X)
        self._below += below_cuts(scores, self._cuts)
        self._n_rows, self._n_units = self._n_rows + len(scores), self._n_units + n_units
        self._total += float(scores.sum(dtype=np.float64))
        if self._reference is not None and self._table is not None:
            with silenced(DataWarning):  # issued when the rows were scored
                values = column_values(self._table, data)
            found = count(values, self._reference.cuts, n_units)
            self._counts = found if self._counts is None else self._counts.plus(found)

    def result(self, level: float) -> Drift:
        """Return the comparison.

        Parameters
        ----------
        level : float
            Chance of any false alarm, in (0, 1).

        Returns
        -------
        Drift
            Holm's method adjusts the p-values of columns and scores.
        """
        found = [self._scores(), *self._columns()]
        adjusted = _holm(np.array([one.p_value for one in found]))
        entries = [
            ColumnDrift(
                one.column, one.change if p <= level else "none", one.before, one.now, one.size,
                max(float(p), _LEAST), bool(p <= level),
            )
            for one, p in zip(found, adjusted, strict=True)
        ]  # fmt: skip
        entries.sort(key=lambda entry: (not entry.drifted, entry.p_value, -entry.size))
        n_reference = 0 if self._reference is None else self._reference.n_rows
        return Drift(
            tuple(entries), self._n_rows, n_reference, len(self._known.most.scores), level,
            tuple(self._notes()), self._library,
        )  # fmt: skip

    def _scores(self) -> _Change:
        most, least = (
            _Sample(below_cuts(one.scores, self._cuts), len(one.scores), self._known.n_independent)
            for one in (self._known.most, self._known.least)
        )
        new = _Sample(self._below, self._n_rows, self._n_units)
        words = ("higher (more unusual)", "lower (less unusual)")
        means = float(self._known.most.scores.mean()), self._total / max(self._n_rows, 1)
        return _compared(SCORES, most, new, means, words, least)

    def _columns(self) -> list[_Change]:
        preprocessor = self._table
        if self._reference is None or self._counts is None or preprocessor is None:
            return []
        known, new = self._reference.as_counts(), self._counts
        names = [preprocessor.column_names[place] for place in preprocessor.order]
        found = [
            [_gaps(name, known, new, place)] for place, name in enumerate(names)
        ]  # no column is without
        measured, listed = measured_and_listed(preprocessor)
        for line, place in enumerate(measured):
            found[place].append(_numbers(names[place], self._reference.cuts[line], known, new,
                                         line, place))  # fmt: skip
        for line, place in enumerate(listed):
            n_different = int(self._reference.n_different[line])
            found[place].append(_levels(names[place], known, new, line, place, n_different))
        return [_largest(changes) for changes in found]

    def _notes(self) -> Iterator[str]:
        preprocessor = self._table
        if preprocessor is None:
            yield "Of images only the scores are compared."
            return
        if self._reference is None:
            yield (
                "The model file holds no summaries of its columns: only scores are compared. Fit "
                "again to compare columns."
            )
            return
        moved_on = set(range(len(preprocessor.order))).difference(
            *measured_and_listed(preprocessor)
        )
        if moved_on:
            names = [preprocessor.column_names[preprocessor.order[place]] for place in moved_on]
            yield (f"Dates move on: of {', '.join(sorted(names)[:5])} only the gaps are compared.")


def _independent(n_scores: int, are_own: bool, detector: Any) -> int:
    """Return how many independent rows some known scores are worth.

    Scores of rows that are left out of one memory depend on each other. Of older model files it is
    not known whether the scores are of several memories.
    """
    if are_own:
        return max(1, n_scores // _ROWS_A_SCORE)
    return n_scores if hasattr(detector, "fit_scores_") else min(n_scores, _MIN_SCORES)


class _Sample(NamedTuple):
    """Values up to each cut, all values, and values with copies counted once."""

    below: np.ndarray
    n: int
    n_units: int

    @property
    def cells(self) -> np.ndarray:
        """Values between neighbouring cuts, and beyond both ends."""
        cells: np.ndarray = np.diff(self.below, prepend=0, append=self.n)
        return cells


class _Change(NamedTuple):
    """A change of one kind, with an unadjusted p-value unless the test could not fail."""

    column: str
    change: str
    before: str
    now: str
    size: float
    p_value: float
    is_tested: bool = True


def _gaps(name: str, known: Counts, new: Counts, place: int) -> _Change:
    gaps = [one.n_rows - int(one.n_values[place]) for one in (known, new)]
    shares = [gap / max(one.n_rows, 1) for gap, one in zip(gaps, (known, new), strict=True)]
    units = known.n_units / known.n_rows, new.n_units / max(new.n_rows, 1)
    p_value = _p_of_shares(
        np.array([gaps[0]]), known.n_rows, units[0], np.array([gaps[1]]), new.n_rows, units[1]
    )
    words = "more gaps" if shares[1] > shares[0] else "fewer gaps"
    before, now = (f"{100 * share:.3g} % gaps" for share in shares)
    size = abs(shares[1] - shares[0])
    return _Change(name, words, before, now, size, float(p_value[0]), bool(any(gaps)))


def _numbers(
    name: str, cuts: np.ndarray, known: Counts, new: Counts, line: int, place: int
) -> _Change:
    samples = [
        _Sample(one.below[line], n := int(one.n_values[place]), _units(one, n))
        for one in (known, new)
    ]
    first, second = samples
    means = known.totals[line] / max(first.n, 1), new.totals[line] / max(second.n, 1)
    found = _compared(name, first, second, means, ("higher", "lower"))
    n_values = len(np.unique(cuts)) - 1
    if n_values > _FEW_VALUES or first.n < _ROWS_A_VALUE * n_values:
        return found
    # The gap of two distributions has little power for a few values, of which one may be rare.
    p_values = _p_of_shares(first.cells, first.n, first.n_units / max(first.n, 1),
                            second.cells, second.n, second.n_units / max(second.n, 1))  # fmt: skip
    p_value = min(found.p_value, float(p_values.min()) * (n_values + 2))
    return found._replace(p_value=min(1.0, 2 * p_value))


def _units(counts: Counts, n: int) -> int:
    return round(n * counts.n_units / max(counts.n_rows, 1))


def _compared(
    name: str,
    known: _Sample,
    new: _Sample,
    means: tuple[float, float],
    words: tuple[str, str],
    least: _Sample | None = None,
) -> _Change:
    r"""Compare two distributions by their largest gap.

    If ``least`` has lower bounds of the known values, ``known`` has upper bounds.

    Without drift the chance of a gap of :math:`D` is at most :math:`2.16863 \exp(-2 D^2 nm/(n+m))`
    [1]_, for any sizes and any distribution.

    References
    ----------
    .. [1] Wei and Dudley (2012), Two-Sample Dvoretzky-Kiefer-Wolfowitz Inequalities.
    """
    before, now = (f"mean {mean:,.4g}" for mean in means)
    if not known.n or not new.n:
        return _Change(name, "none", before, now, 0.0, 1.0, False)
    least, share = least or known, new.below / new.n
    lower, higher = share - least.below / least.n, known.below / known.n - share
    size = max(float(lower.max()), float(higher.max()), 0.0)
    n_effective = known.n_units * new.n_units / max(known.n_units + new.n_units, 1)
    p_value = min(1.0, _BOUND * float(np.exp(-2 * n_effective * size**2)))
    change = _kind(lower, higher, words)
    return _Change(name, change, before, now, size, p_value)


def _kind(lower: np.ndarray, higher: np.ndarray, words: tuple[str, str]) -> str:
    """Return the kind of change of a distribution by its gaps to the former one at each cut."""
    if higher.max() >= _ONE_SIDED * lower.max():
        return words[0]
    if lower.max() >= _ONE_SIDED * higher.max():
        return words[1]
    return "wider spread" if int(lower.argmax()) < int(higher.argmax()) else "narrower spread"


def _levels(
    name: str, known: Counts, new: Counts, line: int, place: int, n_different: int
) -> _Change:
    """Compare booleans or categories one by one, including those that are rare in ``fit``.

    Of categories that the model file does not hold, each may have been as frequent in ``fit`` as
    the rarest that it holds.
    """
    before, now = known.levels[line], new.levels[line]
    is_cut = n_different > len(before)
    rarest = min(before.values(), default=0) if is_cut else 0
    levels = [*before, *(level for level in now if level not in before)]
    n_known, n_new = int(known.n_values[place]), int(new.n_values[place])
    if not levels or not n_known or not n_new:
        return _Change(name, "none", "", "", 0.0, 1.0, False)
    counts = np.array([before.get(level, rarest) for level in levels])
    others = np.array([now.get(level, 0) for level in levels])
    units = known.n_units / known.n_rows, new.n_units / new.n_rows
    p_values = _p_of_shares(counts, n_known, units[0], others, n_new, units[1])
    worst = int(np.lexsort((-np.abs(others / n_new - counts / n_known), p_values))[0])
    n_tests = max(len(levels), n_different)
    p_value = min(1.0, float(p_values[worst]) * (1 if n_tests == 2 else n_tests))
    return _of_level(name, levels[worst], before, now, n_known, n_new, p_value)


def _of_level(
    name: str,
    level: Level,
    before: Counter[Level],
    now: Counter[Level],
    n_known: int,
    n_new: int,
    p_value: float,
) -> _Change:
    shares = before.get(level, 0) / n_known, now.get(level, 0) / n_new
    shown = f"{level!r:.40}"
    more = f"{shown} is more frequent" if level in before else f"new value {shown}"
    change = more if shares[1] > shares[0] else f"{shown} is less frequent"
    was, is_now = (f"{100 * share:.3g} %" for share in shares)
    return _Change(name, change, was, is_now, abs(shares[1] - shares[0]), p_value)


def _p_of_shares(
    known: np.ndarray,
    n_known: int,
    known_units: float,
    new: np.ndarray,
    n_new: int,
    new_units: float,
) -> np.ndarray:
    """Return Fisher's exact p-values, two-sided, of shares that occur so often in two samples.

    Counts are reduced where copies of one observation count once.
    """
    a, n = np.rint(known * known_units), round(n_known * known_units)
    b, m = np.rint(new * new_units), round(n_new * new_units)
    a, b = np.minimum(a, n), np.minimum(b, m)
    low = stats.hypergeom.cdf(b, n + m, a + b, m)
    high = stats.hypergeom.sf(b - 1, n + m, a + b, m)
    p_values: np.ndarray = np.minimum(1.0, 2 * np.minimum(low, high))
    return p_values


def _largest(changes: list[_Change]) -> _Change:
    """Return the least likely of the changes of one column, its p-value adjusted for the choice."""
    tested = [change for change in changes if change.is_tested]
    if not tested:
        return changes[-1]._replace(change="none")
    worst = min(tested, key=lambda change: (change.p_value, -change.size))
    return worst._replace(p_value=min(1.0, worst.p_value * len(tested)))


def _holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values of which any is at most ``a`` with a chance of at most ``a`` [1]_.

    References
    ----------
    .. [1] Holm (1979), A Simple Sequentially Rejective Multiple Test Procedure.
    """
    order = np.argsort(p_values, kind="stable")
    steps = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * steps))
    return adjusted
