"""Why a row was flagged: the guilty columns, what they hold and what they should."""

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
from latently._validation import read_input
from latently.estimators import BaseAutoencoder
from latently.nn import Cells
from latently.preprocessing import cell_lists
from latently.tasks._repair import Repaired, Repairs

#: Patches along the shorter side of an image.
_PATCHES = 8


class Reason(NamedTuple):
    """One guilty column of one row, in the user's units.

    Attributes
    ----------
    column : str
        Its name; ``x0``, ``x1`` where it has none.
    got : value of the column's type
        What the row holds.
    expected : value of the column's type
        What the other columns let expect.
    low, high : value of the column's type, or None
        Where 95 % of the training rows lie, given their other columns; None for categories.
    blame : float
        How much more likely the row would be with this cell repaired, in nats.
    """

    column: str
    got: Any
    expected: Any
    low: Any
    high: Any
    blame: float

    def __str__(self) -> str:
        got = f"{self.column} {_words(self.got)}, expected "
        if self.low is None or _words(self.low) == _words(self.high):
            return got + _words(self.expected)
        return got + f"{_words(self.low)} to {_words(self.high)}"


class RowReasons(NamedTuple):
    """What is known of one row.

    Attributes
    ----------
    row : int
        Its place among the rows given.
    score : float
        Its anomaly score.
    repaired : float
        The score it would have with all guilty cells repaired.
    reasons : tuple of Reason
        The most guilty column first.
    """

    row: int
    score: float
    repaired: float
    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        why = "; ".join(map(str, self.reasons)) or "no column stands out"
        return f"row {self.row}, score {self.score:.3g}, {self.repaired:.3g} repaired: {why}"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why rows score as they do.

    Iterating gives a ``RowReasons`` a row; printing it, a line a row.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Anomaly scores.
    repaired_scores : ndarray of shape (n_samples,)
        Scores of the rows with all guilty cells repaired: the detector's own test of the reasons.
    cut : float
        Scores above it are flagged.
    names : tuple of str
        The columns.
    blame : ndarray of shape (n_samples, n_features)
        How much more likely each row would be with one cell repaired, in nats.
    guilty : ndarray of int, shape (n_samples, n_reasons)
        Places of the guilty columns, the worst first; -1 for none further.
    guilt : ndarray of shape (n_samples, n_reasons)
        Blame of each guilty column, those before it repaired.
    got : dict of str to list
        The cells of each column.
    expected, low, high : list of dict of str to list
        What should be there at each rank, the reasons before it repaired.
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
        return RowReasons(row, float(self.scores[row]), float(self.repaired_scores[row]), reasons)

    def _reason(self, row: int, rank: int) -> Reason:
        place = int(self.guilty[row, rank])
        name = self.names[place]
        low, high = self.low[rank][name], self.high[rank][name]
        return Reason(
            name, self.got[name][row], self.expected[rank][name][row],
            None if low is None else low[row], None if high is None else high[row],
            float(self.guilt[row, rank]),
        )  # fmt: skip

    def to_dict(self) -> dict[str, list[Any]]:
        """Return one entry a reason, as columns, which every frame library takes.

        Returns
        -------
        dict of str to list
            Row, rank, column, got, expected, low, high and blame; values as text.
        """
        lines = [
            (found.row, rank, *(_plain(value) for value in reason[:5]), reason.blame)
            for found in self
            for rank, reason in enumerate(found.reasons, 1)
        ]
        heads = ("row", "rank", *Reason._fields)
        columns = list(zip(*lines, strict=True)) or [()] * len(heads)
        return {head: list(column) for head, column in zip(heads, columns, strict=True)}

    def __str__(self) -> str:
        return "\n".join(map(str, self))


@dataclass(frozen=True, eq=False)
class ImageExplanation:
    """Where images differ from what was expected.

    Attributes
    ----------
    scores : ndarray of shape (n_samples,)
        Anomaly scores.
    cut : float
        Scores above it are flagged.
    heat : ndarray of shape (n_samples, height, width)
        What each pixel adds to the score, mean over its patch and summed over the channels.
    worst : ndarray of int, shape (n_samples, 4)
        Top, left, bottom and right of the worst patch.
    """

    scores: np.ndarray
    cut: float
    heat: np.ndarray
    worst: np.ndarray

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
            f"image {row}, score {self.scores[row]:.3g}: rows {top} to {bottom}, columns {left} to "
            f"{right}"
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
        What each pixel adds to the score.
    preprocessor : ImagePreprocessor
        What tells the axes of the images.
    scores : ndarray of shape (n_samples,)
        Anomaly scores.
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


def explain_rows(
    autoencoder: BaseAutoencoder, repairs: Repairs, X: Any, n_reasons: int
) -> tuple[dict[str, Any], Any]:
    """Name the guilty columns one after another, each repaired before the next is looked for.

    Returns what an ``Explanation`` holds beside the scores, and the rows with their guilty cells
    repaired, as rows of the user's table.
    """
    preprocessor = autoencoder.preprocessor_
    data = read_input(autoencoder, X, reset=False, fitted_on=autoencoder._fitted_on)
    cells = autoencoder._read(X)
    layout, order = preprocessor.layout, preprocessor.order
    usual = torch.from_numpy(repairs.usual)
    current = cells
    found: list[Repaired] = []
    guilty: list[torch.Tensor] = []
    guilt: list[torch.Tensor] = []
    for _ in range(min(n_reasons, layout.n_columns)):
        repaired = repairs.repair(current, layout)
        _pardon(repaired, current, layout)
        if guilty:
            repaired.blame.scatter_(1, torch.stack(guilty, 1).clamp(min=0), 0.0)
        worst, place = repaired.blame.max(1)
        counts = worst > usual[place] if found else worst > 0
        guilty.append(torch.where(counts, place, -1))
        guilt.append(worst)
        found.append(repaired)
        current = _with_repaired(current, repaired, guilty[-1], layout)
    ranks = torch.stack(guilty, 1).numpy()
    in_user_order = np.where(ranks >= 0, order[ranks.clip(0)], -1)
    numbers = _with_range(preprocessor)
    parts = {
        "names": preprocessor.column_names,
        "blame": preprocessor.in_order(found[0].blame.numpy()),
        "guilty": in_user_order,
        "guilt": torch.stack(guilt, 1).numpy(),
        "got": cell_lists(data, preprocessor.column_names),
        "expected": [_columns(preprocessor, one.expected.numpy()) for one in found],
        "low": [_ends(preprocessor, one.low.numpy(), numbers) for one in found],
        "high": [_ends(preprocessor, one.high.numpy(), numbers) for one in found],
    }
    return parts, preprocessor.decode(repairs.filled(current, layout).numpy(), like=X)


def _pardon(repaired: Repaired, cells: Cells, layout: Layout) -> None:
    """Take the blame off cells that hold the very category that is expected."""
    values = cells.values.flatten(1)
    for column in layout.columns:
        if column.is_number:
            continue
        got, expected = (
            _chosen(part[:, column.elements], column) for part in (values, repaired.expected)
        )
        repaired.blame[:, column.place].masked_fill_(got == expected, 0.0)


def _chosen(elements: torch.Tensor, column: Column) -> torch.Tensor:
    """Return which category some elements stand for: a choice of one, or steps in a row."""
    if column.likelihood == "categorical":
        return elements.argmax(1)
    return (elements > 0.5).sum(1)


def _with_repaired(cells: Cells, repaired: Repaired, place: torch.Tensor, layout: Layout) -> Cells:
    """Put what is expected in the place of each row's guilty cell."""
    column = torch.repeat_interleave(
        torch.arange(layout.n_columns),
        torch.tensor([column.width for column in layout.columns]),
    )
    values = torch.where(column == place[:, None], repaired.expected.to(cells.values), cells.values)
    return cells._replace(values=values)


def _columns(preprocessor: Any, values: np.ndarray) -> dict[str, Any]:
    """Return encoded rows as lists of the user's values."""
    decoded = preprocessor.decode(values)
    if not isinstance(decoded, np.ndarray):
        decoded = nw.from_native(decoded, eager_only=True)
    return cell_lists(decoded, preprocessor.column_names)


def _ends(preprocessor: Any, values: np.ndarray, ranged: set[str]) -> dict[str, Any]:
    columns = _columns(preprocessor, values)
    return {name: column if name in ranged else None for name, column in columns.items()}


def _with_range(preprocessor: Any) -> set[str]:
    """Return the columns between whose values others lie: numbers and dates."""
    names, order = preprocessor.column_names, preprocessor.order
    numbers = range(len(preprocessor.positions))
    coded = (
        len(preprocessor.positions) + place
        for place, codec in enumerate(preprocessor.codecs)
        if codec.likelihood == "gaussian"
    )
    return {names[order[place]] for place in (*numbers, *coded)}


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
