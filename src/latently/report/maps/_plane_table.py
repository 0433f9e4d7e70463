"""Columns of a table over the plane of its map."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latently.exceptions import ParameterError
from latently.report._scale import Scale
from latently.report._style import (
    GAP,
    GREY,
    MANY,
    PALETTE,
    and_more,
    clean,
    headline_of_all,
    place_of,
    shorten,
    shorten_all,
)
from latently.report.maps._map import label_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

#: Default number of columns shown, and panels side by side.
_N_COLUMNS, _ACROSS = 6, 2
#: Width, height and least height of a panel, and height of the margins, in inches.
_PANEL_WIDTH, _PANEL_HEIGHT, _LEAST_HEIGHT, _AROUND = 3.4, 2.7, 1.2, 1.0
#: Categories with a colour of their own.
_N_CATEGORIES = 9
_DAY = 86_400.0
_MISSING, _OTHER = "missing", "other"

Columns = dict[str, list[Any]]
#: Left, right, bottom and top of the plane.
Box = tuple[float, float, float, float]


class _Field(NamedTuple):
    """A column over the plane: amounts, or places among some categories.

    ``change`` is how much it changes over the plane: of amounts as a share of how much it does over
    the rows, of categories the share of places that have another than the most frequent one.
    """

    values: NDArray[np.float64]
    categories: tuple[str, ...]
    unit: str
    is_date: bool
    change: float


def plot_fields(
    decoded: Columns,
    rows: Columns,
    wanted: Sequence[str] | None,
    codes: NDArray[np.float64],
    box: Box,
    places: str,
    ax: Axes | None,
) -> Figure:
    """Plot a heat map of each column.

    Parameters
    ----------
    decoded, rows : dict of str to list
        Columns of the decoded grid, row by row from the lowest, and columns of the rows.
    wanted : sequence of str or None
        Names of the columns to show. None shows the columns that change most.
    codes : ndarray of shape (n, 2)
        Rows drawn as dots.
    box : tuple of four floats
        Left, right, bottom and top of the plane.
    places : str
        Description of the grid, shown in the note.
    ax : matplotlib Axes or None
        Axes of a grid, replaced by the heat maps. None creates a new figure.

    Returns
    -------
    Figure
        One axes a column, each with a colour bar.
    """
    _check_columns(wanted, decoded)
    n_shown = min(_N_COLUMNS, len(decoded)) if wanted is None else len(wanted)
    figure, place = place_of(ax, _AROUND + -(-n_shown // _ACROSS) * _PANEL_HEIGHT)
    width, height = place.bbox.width / place.dpi, place.bbox.height / place.dpi
    across = min(n_shown, _ACROSS, max(int(width / _PANEL_WIDTH), 1))
    if wanted is None:
        n_shown = min(n_shown, across * max(int((height - _AROUND) / _LEAST_HEIGHT), 1))
    fields = _fields(decoded, rows, wanted, n_shown)
    down = -(-len(fields) // across)
    panels = place.subplots(down, across, squeeze=False, sharex=True, sharey=True)
    for panel, name, field in zip(
        panels.ravel(), shorten_all(list(fields)), fields.values(), strict=False
    ):
        _draw_field(place, clean(panel), f"{name}{field.unit}", field, box)
        panel.scatter(*codes.T, s=3, color="white", edgecolors=GREY, linewidths=0.3)
        panel.set_xlim(box[:2])
        panel.set_ylim(box[2:])
    for panel in panels.ravel()[len(fields) :]:
        panel.set_axis_off()
    for panel in panels[:, 0]:
        panel.set_ylabel("component 2")
    for panel in panels[-1]:
        panel.set_xlabel("component 1")
    title = "What lies where on the map"
    if wanted is None and len(fields) < len(decoded):
        hidden = and_more(len(decoded) - len(fields), "column")
        which = "column" if len(fields) == 1 else f"{len(fields)} columns"
        title += f": the {which} that change{'s' * (len(fields) == 1)} most, {hidden}"
    headline_of_all(place, title, f"{places}; each dot is a row")
    return figure


def _check_columns(wanted: Sequence[str] | None, decoded: Columns) -> None:
    if wanted is None:
        return
    names = f"Names are {', '.join(list(decoded)[:5])}."
    if isinstance(wanted, str) or not len(wanted):
        raise ParameterError(
            f"columns must be a list of at least one column, got {wanted!r:.40}. {names}"
        )
    unknown = [name for name in wanted if name not in decoded]
    if unknown:
        raise ParameterError(
            f"columns must be columns of the table, got {unknown[0]!r:.40}. {names}"
        )


def _fields(
    decoded: Columns, rows: Columns, wanted: Sequence[str] | None, n_shown: int
) -> dict[str, _Field]:
    """Return the columns to show, in the order asked for or of the table."""
    if wanted is not None:
        return {name: _field(decoded[name], rows[name]) for name in wanted}
    fields = {name: _field(values, rows[name]) for name, values in decoded.items()}
    most = sorted(fields, key=lambda name: -fields[name].change)[:n_shown]
    return {name: field for name, field in fields.items() if name in most}


def _field(values: list[Any], rows: list[Any]) -> _Field:
    known = [value for value in values if not _is_missing(value)]
    if known and all(_amount(value) is not None for value in known):
        numbers, usual = _amounts(values), _amounts(rows)
        spread = np.nanstd(usual) if np.isfinite(usual).any() else 0.0
        change = float(np.nanstd(numbers) / spread) if spread > 0 else 0.0
        unit = {dt.timedelta: " (days)", dt.time: " (hour of the day)"}.get(type(known[0]), "")
        return _Field(numbers, (), unit, isinstance(known[0], dt.date), change)
    words = np.array([_MISSING if _is_missing(value) else str(value) for value in values])
    names, chosen, counts = np.unique(words, return_inverse=True, return_counts=True)
    common = np.sort(np.argsort(-counts, kind="stable")[:_N_CATEGORIES])
    place = np.full(len(names), len(common))
    place[common] = np.arange(len(common))
    kept = [*names[common].tolist(), *([_OTHER] if len(names) > len(common) else [])]
    change = float(1 - counts.max() / len(words))
    return _Field(place[chosen].astype(float), tuple(kept), "", False, change)


def _is_missing(value: Any) -> bool:
    return value is None or value != value


def _amounts(values: list[Any]) -> NDArray[np.float64]:
    found = (None if _is_missing(value) else _amount(value) for value in values)
    return np.array([np.nan if amount is None else amount for amount in found], dtype=float)


def _amount(value: Any) -> float | None:
    """Return a number, days for dates and durations, hours for times, and None for categories."""
    if isinstance(value, bool | np.bool_ | str):
        return None
    if isinstance(value, dt.timedelta):
        return value.total_seconds() / _DAY
    if isinstance(value, dt.time):
        return value.hour + value.minute / 60 + value.second / 3_600
    if isinstance(value, dt.date):
        moment = value if isinstance(value, dt.datetime) else dt.datetime.combine(value, dt.time())
        return moment.replace(tzinfo=dt.UTC).timestamp() / _DAY
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _draw_field(place: Figure | SubFigure, ax: Axes, name: str, field: _Field, box: Box) -> None:
    side = round(len(field.values) ** 0.5)
    values = field.values.reshape(side, side)
    edges = [np.linspace(*ends, side + 1) for ends in (box[:2], box[2:])]
    if field.categories:
        _draw_categories(place, ax, name, field.categories, (*edges, values))
        return
    if not np.isfinite(values).any():
        ax.set_title(f"{name}: no value", loc="left", fontsize=9.5)
        return
    from matplotlib import colormaps

    scale = Scale("linear") if field.is_date else Scale.of(values)
    colours = colormaps["viridis"].with_extremes(bad=GAP)
    shown = ax.pcolormesh(*edges, values, cmap=colours, norm=scale.norm(values), rasterized=True)
    label_bar(place.colorbar(shown, ax=ax), f"{name}{scale.words}", field.is_date)


def _draw_categories(
    place: Figure | SubFigure, ax: Axes, name: str, categories: tuple[str, ...], mesh: Any
) -> None:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    palette = PALETTE if len(categories) <= len(PALETTE) else MANY
    special = {_MISSING: GAP, _OTHER: GREY}
    colours = [special.get(one, palette[i % len(palette)]) for i, one in enumerate(categories)]
    norm = BoundaryNorm(np.arange(len(categories) + 1) - 0.5, len(categories))
    shown = ax.pcolormesh(*mesh, cmap=ListedColormap(colours), norm=norm, rasterized=True)
    bar = place.colorbar(shown, ax=ax, ticks=np.arange(len(categories)))
    bar.ax.set_yticklabels([shorten(one, 16) for one in categories])
    bar.ax.tick_params(length=0, labelsize=8)
    bar.set_label(shorten(name, 40))
    bar.outline.set_visible(False)
