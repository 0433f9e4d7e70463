"""Rows of a table: what each column holds and what the model expects there."""

from __future__ import annotations

import datetime as dt
import math
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from latently._validation import read_input
from latently.report._contents import columns_of, rows_at
from latently.report._style import BLUE, GREY, PALE, RED, clean, halo, new_figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS_ACROSS = 3
_MAX_COLUMNS = 30
#: An expectation farther off than this many standard deviations is drawn in red.
_FAR = 1.0
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


class _Cell(NamedTuple):
    """One cell of a row: in standard deviations where it can be, and in words."""

    got: float | None
    expected: float | None
    words: str
    agrees: bool


def plot_rows(model: Any, X: Any, n_rows: int) -> Figure:
    """Plot one panel a row: a dot for what was got and a ring for what was expected.

    Parameters
    ----------
    model : autoencoder
        Fitted on a table.
    X : array-like, DataFrame or Table of shape (n_samples, n_features)
        Rows.
    n_rows : int
        How many of the first are shown, one to six.

    Returns
    -------
    Figure
        Numbers and dates in standard deviations of their column; other columns in words.
    """
    read = read_input(model, X, reset=False, fitted_on=model._fitted_on)
    first = rows_at(read, np.arange(min(n_rows, len(read))))
    rows, rebuilt = (_as_rows(model, part) for part in (first, model.reconstruct(first)))
    errors = model.reconstruction_error(first)
    names = list(model.preprocessor_.column_names)[:_MAX_COLUMNS]
    scales = _scales(model.preprocessor_)
    across = min(_PANELS_ACROSS, len(rows))
    down = -(-len(rows) // across)
    figure = new_figure(1.1 + down * (0.6 + 0.27 * len(names)))
    panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
    for ax in panels[len(rows) :]:
        ax.remove()
    for place, ax in enumerate(panels[: len(rows)]):
        cells = [_cell(rows[place][i], rebuilt[place][i], scales.get(i)) for i in range(len(names))]
        _draw_row(clean(ax), cells, names)
        ax.set_title(f"row {place}: error {errors[place]:.2f}", loc="left", fontsize=10)
    _explain(figure, panels[: len(rows)], len(model.preprocessor_.column_names))
    return figure


def _as_rows(model: Any, X: Any) -> list[tuple[Any, ...]]:
    columns = columns_of(model, X)
    return list(zip(*columns.values(), strict=True))


def _scales(preprocessor: Any) -> dict[int, Callable[[Any], float]]:
    """Return how to turn a cell into standard deviations, for the columns where that has sense."""
    found: dict[int, Callable[[Any], float]] = {}
    numbers = zip(preprocessor.positions, preprocessor.center, preprocessor.scale, strict=True)
    for position, center, scale in numbers:
        found[int(position)] = partial(_standardise, center=float(center), scale=float(scale))
    for codec in preprocessor.codecs:
        if hasattr(codec, "seconds_per_tick"):
            center = codec.center + codec.origin * codec.seconds_per_tick
            found[codec.position] = partial(_standardise, center=center, scale=codec.scale)
    return found


def _standardise(value: Any, center: float, scale: float) -> float:
    if value is None or isinstance(value, str):  # a column without values, a date out of range
        return math.nan
    timed = isinstance(value, (dt.date, dt.time, dt.timedelta))
    return ((_seconds(value) if timed else float(value)) - center) / scale


def _seconds(value: Any) -> float:
    """Return seconds since 1970, or of the day, or of a duration."""
    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.time):
        return 3600.0 * value.hour + 60.0 * value.minute + value.second
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return float((moment - _EPOCH).total_seconds())


def _cell(got: Any, expected: Any, scale: Callable[[Any], float] | None) -> _Cell:
    missing = got is None or got != got
    if scale is None:
        words = f"missing, {expected} expected" if missing else f"{got}, {expected} expected"
        agrees = missing or got == expected
        return _Cell(None, None, f"{got}" if agrees and not missing else words, bool(agrees))
    there = scale(expected)
    if missing or not np.isfinite(there):
        return _Cell(None, there if np.isfinite(there) else None, "", True)
    here = scale(got)
    if not np.isfinite(here):
        return _Cell(None, there, f"{got}", True)
    return _Cell(here, there, "", abs(here - there) <= _FAR)


def _draw_row(ax: Axes, cells: list[_Cell], names: list[str]) -> None:
    for y, cell in enumerate(cells):
        colour = BLUE if cell.agrees else RED
        ax.axhline(y, color=PALE, linewidth=0.6, zorder=0)
        if cell.got is not None and cell.expected is not None:
            ax.plot([cell.got, cell.expected], [y, y], color=colour, linewidth=1.5)
            ax.plot(cell.got, y, "o", color=colour, markersize=5.5)
        if cell.expected is not None:
            ax.plot(
                cell.expected,
                y,
                "o",
                markersize=5.5,
                markerfacecolor="white",
                markeredgecolor=colour,
            )
        if cell.words:
            ax.text(
                0, y, cell.words, fontsize=8, va="center", ha="center",
                color=GREY if cell.agrees else RED, path_effects=halo(),
            )  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.5)


def _explain(figure: Figure, panels: Any, n_columns: int) -> None:
    low, high = panels[0].get_xlim()
    reach = max(abs(low), abs(high), 2.0)
    panels[0].set_xlim(-reach, reach)
    note = f", first {_MAX_COLUMNS} of {n_columns:,} columns" if n_columns > _MAX_COLUMNS else ""
    title = f"What each row holds and what the model expects{note}"
    figure.suptitle(title, fontsize=12, fontweight="bold")
    for ax in panels[-_PANELS_ACROSS:]:
        # matplotlib leaves them out above a panel that was taken away.
        ax.tick_params(labelbottom=True)
    # The legend's title is the name of the axis: two texts below a figure would overlap.
    figure.legend(
        handles=_handles(), title="standard deviations from the column's mean",
        loc="outside lower center", ncols=3, frameon=False, fontsize=9, title_fontsize=9.5,
    )  # fmt: skip


def _handles() -> list[Any]:
    from matplotlib.lines import Line2D

    ring = Line2D([], [], color=GREY, marker="o", linestyle="", label="expected")
    ring.set_markerfacecolor("white")
    return [
        Line2D([], [], color=GREY, marker="o", linestyle="", label="got"),
        ring,
        Line2D([], [], color=RED, label=f"more than {_FAR:g} apart, or another word"),
    ]
