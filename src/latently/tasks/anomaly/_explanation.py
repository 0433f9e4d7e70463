"""Explanations of flagged rows by columns, with their observed and expected values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import torch
from scipy.ndimage import uniform_filter

from latently._layout import Column, Layout
from latently._tabular import Tabular
from latently.estimators import BaseAutoencoder, fitted_of
from latently.nn import Cells
from latently.preprocessing import cell_lists
from latently.schema import Container, Rounding
from latently.tasks.anomaly._phases import Phase, cycles_of, outside_phases, phases_of
from latently.tasks.anomaly._repair import Repaired, Repairs

#: Fields of each reason.
_TOLD = ("column", "part", "got", "expected", "low", "high")
#: Relative tolerance of the ends of a range, for rounding.
_SLACK = 1e-9
#: Patches along the shorter side of an image.
_PATCHES = 8


class Reason(NamedTuple):
    """One guilty column of one row, in the user's units.

    Attributes
    ----------
    column : str
        Name of the column. Unnamed columns are ``x0``, ``x1`` and so on.
    got : value of the column's type
        Observed value.
    expected : value of the column's type
        Expected value, given the other columns.
    low, high : value of the column's type, or None
        Range of 95 % of the training rows, given their other columns. None for categories, and
        if ``phase`` holds the range.
    blame : float
        How much more likely the row would be with this cell repaired, in nats.
    phase : Phase or None, default=None
        The hour, weekday or month that makes a time unusual. None if the value itself does.
    """

    column: str
    got: Any
    expected: Any
    low: Any
    high: Any
    blame: float
    phase: Phase | None = None

    def __str__(self) -> str:
        if self.phase is not None:
            return f"{self.column} {self.phase}"
        got = f"{self.column} {_words(self.got)}, expected "
        if self.low is None or _words(self.low) == _words(self.high):
            return got + _words(self.expected)
        return got + f"{_words(self.low)} to {_words(self.high)}"


class RowReasons(NamedTuple):
    """Explanation of one row.

    Attributes
    ----------
    row : int
        Its place among the rows given.
    anomaly_score : float
        As ``AnomalyDetector.anomaly_score``: higher = more unusual.
    repaired : float
        The anomaly score it would have with all guilty cells repaired.
    reasons : tuple of Reason
        The most guilty column first.
    p_value : float
        Share of normal rows that would score as high.
    label : object
        Label of the row in the index of the frame, or its position.
    alike : tuple of str or None, default=None
        Columns in which the row resembles the labelled anomalies of ``fit``. None if it does not.
    """

    row: int
    anomaly_score: float
    repaired: float
    reasons: tuple[Reason, ...]
    p_value: float
    label: Any
    alike: tuple[str, ...] | None = None

    def __str__(self) -> str:
        reasons = list(map(str, self.reasons))
        if self.alike is not None:
            columns = f" in {', '.join(self.alike)}" if self.alike else ""
            reasons.append(f"like the anomalies you marked{columns}")
        why = "; ".join(reasons) or "no column stands out"
        scores = f"anomaly score {self.anomaly_score:.3g}, {self.repaired:.3g} repaired"
        return f"row {self.label}, {scores}: {why}"

    def __repr__(self) -> str:
        return str(self)


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Tabular):
    """Why rows score as they do.

    Iteration yields one ``RowReasons`` per row. ``print`` shows one line per row.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Anomaly scores: higher = more unusual.
    repaired_scores : ndarray of shape (n_samples,)
        Anomaly scores of the rows with all guilty cells repaired: the detector's own test of the
        reasons.
    cut : float
        Scores above it are flagged.
    names : tuple of str
        The columns.
    blame : ndarray of shape (n_samples, n_features)
        How much more likely each row would be with one cell repaired, in nats.
    guilty : ndarray of int, shape (n_samples, n_reasons)
        Positions of the columns to blame, the worst first, and -1 for no further column.
    guilt : ndarray of shape (n_samples, n_reasons)
        Blame of each guilty column, those before it repaired.
    got : dict of str to list
        The cells of each column.
    expected, low, high : list of dict of str to list
        Expected values and ranges at each rank, with the reasons before it repaired.
    phases : list of list of Phase or None
        The hour, weekday or month to blame at each rank.
    p_values : ndarray of shape (n_samples,)
        Share of normal rows that would score as high.
    index : list or None, default=None
        Labels of the rows in the index of the frame. None numbers them.
    alike : list of tuple of str or None, or None, default=None
        The columns by which each row is like the anomalies marked in ``fit``, None for a row that
        is not. None if none were marked.
    library : {"numpy", "pandas", "polars", "pyarrow"}
        Of the rows.
    """

    scores: np.ndarray
    repaired_scores: np.ndarray
    cut: float
    names: tuple[str, ...]
    blame: np.ndarray
    guilty: np.ndarray
    guilt: np.ndarray
    got: dict[str, list[Any]]
    expected: list[dict[str, list[Any]]]
    low: list[dict[str, list[Any] | None]]
    high: list[dict[str, list[Any] | None]]
    phases: list[list[Phase | None]]
    p_values: np.ndarray
    index: list[Any] | None = None
    alike: list[tuple[str, ...] | None] | None = None
    library: Container = "numpy"

    def columns(self) -> dict[str, list[Any]]:
        lines = self.to_dict()
        if self.index is not None:
            lines["row"] = [str(self.index[row]) for row in lines["row"]]
        return lines

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[RowReasons]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, row: int) -> RowReasons:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)} explained rows")
        row %= len(self)
        ranks = [rank for rank, place in enumerate(self.guilty[row]) if place >= 0]
        reasons = tuple(self._reason(row, rank) for rank in ranks)
        label = row if self.index is None else self.index[row]
        scores = float(self.scores[row]), float(self.repaired_scores[row])
        alike = None if self.alike is None else self.alike[row]
        return RowReasons(row, *scores, reasons, float(self.p_values[row]), label, alike)

    def _reason(self, row: int, rank: int) -> Reason:
        place = int(self.guilty[row, rank])
        name = self.names[place]
        got, expected = self.got[name][row], self.expected[rank][name][row]
        blame, phase = float(self.guilt[row, rank]), self.phases[rank][row]
        low, high = self.low[rank][name], self.high[rank][name]
        if low is None or high is None or phase is not None:
            return Reason(name, got, expected, None, None, blame, phase)
        return Reason(name, got, expected, low[row], high[row], blame)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return one entry a reason, as columns, which every frame library takes.

        Returns
        -------
        dict of str to list
            Row, anomaly score, p-value, rank, column, part of a time (hour, weekday, month), got,
            expected, low, high and blame. Values are strings. A row without a reason has
            one entry of rank 0.
        """
        nothing = (0, *[None] * len(_TOLD), 0.0)
        lines = [
            (found.row, found.anomaly_score, found.p_value, *line)
            for found in self
            for line in [
                (rank, *_told(reason), reason.blame) for rank, reason in enumerate(found.reasons, 1)
            ]
            or [nothing]
        ]
        heads = ("row", "anomaly_score", "p_value", "rank", *_TOLD, "blame")
        columns = list(zip(*lines, strict=True)) or [()] * len(heads)
        return {head: list(column) for head, column in zip(heads, columns, strict=True)}

    def __str__(self) -> str:
        return "\n".join(map(str, self))


@dataclass(frozen=True, eq=False, repr=False)
class ImageExplanation(Tabular):
    """Regions in which images differ from their expectation.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Anomaly scores: higher = more unusual.
    cut : float
        Scores above it are flagged.
    heat : ndarray of shape (n_samples, height, width)
        Contribution of each pixel to the score, averaged over its patch and summed over channels.
    worst : ndarray of int, shape (n_samples, 4)
        Top, left, bottom and right of the worst patch.
    """

    scores: np.ndarray
    cut: float
    heat: np.ndarray
    worst: np.ndarray

    def columns(self) -> dict[str, list[Any]]:
        return self.to_dict()

    def __len__(self) -> int:
        return len(self.scores)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return one entry an image, as columns.

        Returns
        -------
        dict of str to list
            Row, score, and top, left, bottom and right of the worst patch.
        """
        heads = ("top", "left", "bottom", "right")
        sides = {head: self.worst[:, place].tolist() for place, head in enumerate(heads)}
        return {"row": list(range(len(self))), "anomaly_score": self.scores.tolist(), **sides}

    def __str__(self) -> str:
        lines = (
            f"image {row}, anomaly score {self.scores[row]:.3g}: rows {top} to {bottom}, columns "
            f"{left} to {right}"
            for row, (top, left, bottom, right) in enumerate(self.worst.tolist())
        )
        return "\n".join(lines)


def explain_images(
    cells: np.ndarray, preprocessor: Any, scores: np.ndarray, cut: float
) -> ImageExplanation:
    """Spread the score of each pixel over its patch, an eighth of the image a side.

    Parameters
    ----------
    cells : ndarray of the images' shape
        Contribution of each pixel to the score.
    preprocessor : ImagePreprocessor
        Fitted preprocessor, which defines the axes of the images.
    scores : ndarray of shape (n_samples,)
        Anomaly scores: higher = more unusual.
    cut : float
        Scores above it are flagged.

    Returns
    -------
    ImageExplanation
        Heat, and the worst patch of each image.
    """
    spec = preprocessor.spec
    if cells.ndim == 4:
        cells = cells.sum(1 if spec.axes == "chw" else 3)
    side = max(min(cells.shape[1:]) // _PATCHES, 1)
    heat = uniform_filter(cells.astype(np.float64), (0, side, side), mode="nearest")
    worst = heat.reshape(len(heat), -1).argmax(1)
    middle = np.stack(np.unravel_index(worst, heat.shape[1:]), 1)
    first = np.maximum(middle - side // 2, 0)
    last = np.minimum(first + side, heat.shape[1:])
    return ImageExplanation(scores, cut, heat, np.hstack([first, last]))


def row_labels(X: Any) -> list[Any] | None:
    """Return the labels of the rows of a frame that has some."""
    index: Any = getattr(X, "index", None)
    return list(index.tolist()) if hasattr(index, "tolist") else None


def explain_rows(
    autoencoder: BaseAutoencoder, repairs: Repairs, X: Any, n_reasons: int
) -> tuple[dict[str, Any], Any]:
    """Name the guilty columns one after another, each repaired before the next is looked for.

    A cell within its expected range is not guilty, whatever its blame.

    Returns
    -------
    parts : dict of str to list or ndarray
        Attributes of an ``Explanation`` except the scores.
    repaired : ndarray, DataFrame or Table
        The rows with their guilty cells repaired.
    """
    preprocessor = autoencoder.preprocessor_
    inner = fitted_of(autoencoder)
    data, current = inner.validate(X), inner.read(X)
    layout, order = preprocessor.layout, preprocessor.order
    usual = torch.from_numpy(repairs.usual)
    found: list[_Found] = []
    for _ in range(min(n_reasons, layout.n_columns)):
        repaired = repairs.repair(current, layout)
        beyond = _beyond(preprocessor, current, repaired)
        blame = torch.where(_suspects(preprocessor, repairs, current, repaired, beyond),
                            repaired.blame, 0.0)  # fmt: skip
        for earlier in found:
            blame.scatter_(1, torch.from_numpy(earlier.guilty.clip(0))[:, None], 0.0)
        worst, place = blame.max(1)
        counts = worst > (usual[place] if found else 0.0)
        guilty = torch.where(counts, place, -1)
        phases = phases_of(preprocessor, repairs, current, repaired, guilty.numpy(), beyond)
        found.append(_Found(repaired, guilty.numpy(), worst.numpy(), phases))
        current = _with_repaired(current, repaired, guilty, layout)
    ranks = np.stack([one.guilty for one in found], 1)
    ranged = _with_range(preprocessor)
    parts = {
        "names": preprocessor.column_names,
        "blame": preprocessor.in_order(found[0].repaired.blame.numpy()),
        "guilty": np.where(ranks >= 0, order[ranks.clip(0)], -1),
        "guilt": np.stack([one.guilt for one in found], 1),
        "got": cell_lists(data, preprocessor.column_names),
        "expected": [_columns(preprocessor, one.repaired.expected) for one in found],
        "low": [_ends(preprocessor, one.repaired.low, ranged, "down") for one in found],
        "high": [_ends(preprocessor, one.repaired.high, ranged, "up") for one in found],
        "phases": [one.phases for one in found],
    }
    return parts, preprocessor.decode(repairs.filled(current, layout).numpy(), like=X)


class _Found(NamedTuple):
    """The column to blame in each row at one rank, in encoded order, or -1 for none."""

    repaired: Repaired
    guilty: np.ndarray
    guilt: np.ndarray
    phases: list[Phase | None]


def _beyond(preprocessor: Any, cells: Cells, repaired: Repaired) -> np.ndarray:
    """Return True for values outside their expected range, (n, n_columns), if they have one."""
    beyond = np.ones((len(cells.values), preprocessor.layout.n_columns), dtype=bool)
    ranged = np.flatnonzero(_is_ranged(preprocessor))
    got, low, high = (
        preprocessor.amounts(rows.numpy(), rounding)[:, ranged]
        for rows, rounding in (
            (cells.values.double().flatten(1), "free"),
            (repaired.low, "down"),
            (repaired.high, "up"),
        )
    )
    slack = _SLACK * (np.maximum(np.abs(low), np.abs(high)) + preprocessor.spreads[ranged])
    beyond[:, ranged] = (got < low - slack) | (got > high + slack)
    return beyond


def _suspects(
    preprocessor: Any, repairs: Repairs, cells: Cells, repaired: Repaired, beyond: np.ndarray
) -> torch.Tensor:
    """Return which cells may be guilty: outside their range or phases, or another category."""
    suspects = beyond.copy()
    outside = outside_phases(repairs, cells, repaired, preprocessor.layout)
    for number, cycle in enumerate(cycles_of(preprocessor)):
        suspects[:, cycle.column] |= outside[:, number]
    values = cells.values.flatten(1)
    for column in preprocessor.layout.columns:
        if column.is_number:
            continue
        got, expected = (
            _chosen(part[:, column.elements], column) for part in (values, repaired.expected)
        )
        suspects[:, column.place] &= (got != expected).numpy()
    return torch.from_numpy(suspects)


def _chosen(elements: torch.Tensor, column: Column) -> torch.Tensor:
    """Return which category some elements stand for: a choice of one, or steps in a row."""
    if column.likelihood == "categorical":
        return elements.argmax(1)
    return (elements > 0.5).sum(1)


def _with_repaired(cells: Cells, repaired: Repaired, place: torch.Tensor, layout: Layout) -> Cells:
    """Replace the cell to blame in each row by its expected value."""
    column = torch.repeat_interleave(
        torch.arange(layout.n_columns),
        torch.tensor([column.width for column in layout.columns]),
    )
    values = torch.where(column == place[:, None], repaired.expected.to(cells.values), cells.values)
    return cells._replace(values=values)


def _columns(
    preprocessor: Any, values: torch.Tensor, rounding: Rounding = "nearest"
) -> dict[str, Any]:
    """Return encoded rows as lists of the user's values."""
    decoded = preprocessor.decode(values.numpy(), rounding=rounding)
    if not isinstance(decoded, np.ndarray):
        decoded = nw.from_native(decoded, eager_only=True)
    return cell_lists(decoded, preprocessor.column_names)


def _ends(
    preprocessor: Any, values: torch.Tensor, ranged: set[str], rounding: Rounding
) -> dict[str, Any]:
    columns = _columns(preprocessor, values, rounding)
    return {name: column if name in ranged else None for name, column in columns.items()}


def _is_ranged(preprocessor: Any) -> np.ndarray:
    """Return which columns have a range: numbers and times, but not those of zeros and ones."""
    n_numbers, layout = len(preprocessor.positions), preprocessor.layout
    grey = preprocessor.grey
    return np.array([c.is_number or (grey and c.place < n_numbers) for c in layout.columns])


def _with_range(preprocessor: Any) -> set[str]:
    names, order = preprocessor.column_names, preprocessor.order
    return {names[place] for place in order[_is_ranged(preprocessor)]}


def _told(reason: Reason) -> tuple[str | None, ...]:
    """Return the fields of a reason as strings: column, part, got, expected, low and high."""
    if reason.phase is None:
        values = (reason.got, reason.expected, reason.low, reason.high)
        return reason.column, None, *map(_plain, values)
    phase = reason.phase
    ends = phase.words(phase.low), phase.words(phase.high)
    return reason.column, phase.unit, phase.words(phase.got), None, *ends


def _plain(value: Any) -> str | None:
    """Return a value as other programs read it."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float | np.floating):
        return f"{float(value):.10g}"
    return value.isoformat() if isinstance(value, date) else str(value)


def _words(value: Any) -> str:
    """Return a value as people write it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    return str(value)
