"""The code as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latently._notices import each_once
from latently.exceptions import DataError
from latently.report._labels import are_dates, days_of, label_name, read_labels
from latently.report._scale import Scale, number_words
from latently.report._style import (
    DARK,
    GREY,
    MANY,
    MARKERS,
    PALETTE,
    axes_of,
    counted,
    halo,
    headline,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Integers with at most this many distinct values are labels, not amounts.
_MAX_LABELS = 12
_N_NEIGHBOURS = 5
_MAX_VECTORS = 2_000
_MAX_JUDGED = 5_000
#: Quantiles of the codes that set the extent of a map, and the margin relative to their range.
_WITHIN, _FARTHER = (0.01, 0.99), 1.0
_OTHER = "other"
#: Largest number of letters of a label drawn in a map.
_SHORT = 14


class _Places(NamedTuple):
    """Points of the map, a mask of outliers drawn at its edge, and the axis labels."""

    points: NDArray[np.float64]
    is_far: NDArray[np.bool_]
    labels: tuple[str, str]


class _Hue(NamedTuple):
    """Labels or amounts that colour the rows, and their names."""

    values: NDArray[Any]
    label: str | None
    is_date: bool


@each_once()
def plot_map(
    model: Any,
    X: Any,
    y: Any = None,
    names: Sequence[str] | None = None,
    *,
    label: str | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the code of each row in two dimensions.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    y : array-like of shape (n_samples,) or None, default=None
        Labels, shown by colour, shape and name, or amounts, shown by a colour bar. If there are
        many labels, the rarest are shown as "other".
    names : sequence of str or None, default=None
        Names of the sorted labels of ``y``.
    label : str or None, default=None
        Title of the legend or the colour bar. None uses the name of a Series.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. None creates a new figure.

    Returns
    -------
    Figure
        A scatter plot. Codes of two components are drawn as they are, larger codes along their
        first two principal components, and a single component against the reconstruction error.
        Outliers are crosses at the edge. The colour scale is logarithmic if amounts have outliers.

    Raises
    ------
    DataError
        If ``y`` or ``names`` do not match.
    """
    autoencoder = getattr(model, "autoencoder_", model)
    codes = np.asarray(autoencoder.transform(X), dtype=np.float64)
    places = _drawn_in(*_places(codes, autoencoder, X))
    figure, canvas = axes_of(ax, 6.0)
    hue = None
    if y is not None:
        found, is_date = read_labels(y, len(codes)), are_dates(y)
        hue = _Hue(days_of(found) if is_date else found, label or label_name(y), is_date)
    title = _draw(canvas, places, hue, names, beside=ax is None)
    _mark_far(canvas, places)
    if codes.shape[1] == 2:
        canvas.set_aspect("equal", adjustable="datalim")  # both axes have one unit
    canvas.set_xlabel(places.labels[0])
    canvas.set_ylabel(places.labels[1])
    size = counted(codes.shape[1], "component")
    subtitle = f"{counted(len(codes), 'row')}, {type(model).__name__} of {size}"
    headline(canvas, title, subtitle + _far_words(int(places.is_far.sum())))
    _hide_overlaps(canvas)
    return figure


def _places(
    codes: NDArray[np.float64], autoencoder: Any, X: Any
) -> tuple[NDArray[np.float64], tuple[str, str]]:
    if codes.shape[1] == 1:
        errors = autoencoder.reconstruction_error(X)
        labels = "the code's only component", "reconstruction error (nats a column)"
        return np.column_stack([codes, errors]), labels
    if codes.shape[1] == 2:
        return codes, ("component 1 of the code", "component 2 of the code")
    centered = codes - codes.mean(0)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    shares = np.square(sizes) / max(np.square(sizes).sum(), 1e-30)
    points = centered @ directions[:2].T
    shown = [*shares, 0.0][:2]  # one row has one direction
    words = [f"direction {i + 1} of the code ({shown[i]:.0%} of its variance)" for i in (0, 1)]
    if points.shape[1] == 1:
        points = np.column_stack([points, np.zeros(len(points))])
    return points, (words[0], words[1])


def _drawn_in(points: NDArray[np.float64], labels: tuple[str, str]) -> _Places:
    """Move outliers to the edge of the map, because they would shrink all others to a dot."""
    if all(Scale.of(column).name == "linear" for column in points.T):
        return _Places(points, np.zeros(len(points), dtype=bool), labels)
    low, high = np.quantile(points, _WITHIN, axis=0)
    reach = _FARTHER * (high - low)
    inside = np.clip(points, low - reach, high + reach)
    return _Places(inside, (inside != points).any(1), labels)


def _mark_far(ax: Axes, places: _Places) -> None:
    far = places.points[places.is_far]
    if len(far):
        ax.scatter(far[:, 0], far[:, 1], marker="x", s=45, color=DARK, linewidths=1.2)


def _far_words(n_far: int) -> str:
    if not n_far:
        return ""
    return f"; {counted(n_far, 'row')} far out {'is a cross' if n_far == 1 else 'are crosses'}"


def _draw(
    ax: Axes, places: _Places, hue: _Hue | None, names: Sequence[str] | None, *, beside: bool
) -> str:
    if hue is None:
        _scatter(ax, places.points, color=PALETTE[0])
        return "The rows as the code sees them"
    gone = _missing(hue.values)
    if gone.any():
        _scatter(ax, places.points[gone], color=GREY, label=f"missing ({int(gone.sum()):,})")
    points, y = places.points[~gone], hue.values[~gone]
    if not len(y):
        return "The rows as the code sees them"
    if _is_amount(y):
        _draw_amounts(ax, points, hue._replace(values=y.astype(np.float64)))
        if gone.any():
            ax.legend(frameon=False, fontsize=9.5)
        return f"The rows as the code sees them, coloured by {shorten(hue.label or 'amount', 40)}"
    labels, chosen = _labels(y)
    shown = _named(labels, names)
    _draw_labels(ax, points, chosen, shown)
    _draw_legend(ax, shown, hue.label, beside=beside)
    return _agreement(points, chosen)


def _missing(y: NDArray[Any]) -> NDArray[np.bool_]:
    """Return True where a row has no label."""
    if y.dtype.kind == "O":
        return np.array([label is None for label in y], dtype=bool)
    return np.isnan(y) if y.dtype.kind == "f" else np.zeros(len(y), dtype=bool)


def _labels(y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """Return the sorted labels and each row's place among them, the rarest of many as one."""
    labels, chosen, counts = np.unique(
        y.astype(str) if y.dtype.kind == "O" else y, return_inverse=True, return_counts=True
    )
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)  # integers with missing values
    if len(labels) <= _MAX_LABELS:
        return labels, chosen
    common = np.sort(np.argsort(-counts, kind="stable")[: _MAX_LABELS - 1])
    place = np.full(len(labels), len(common))
    place[common] = np.arange(len(common))
    return np.array([*labels[common].astype(str), _OTHER]), place[chosen]


def _is_amount(y: NDArray[Any]) -> bool:
    return y.dtype.kind in "fiu" and len(np.unique(y[~_missing(y)])) > _MAX_LABELS


def _named(labels: NDArray[Any], names: Sequence[str] | None) -> list[str]:
    if names is None:
        return [str(label) for label in labels]
    if len(names) != len(labels):
        raise DataError(
            f"names must name each of the {len(labels)} labels of y, got {len(names)} names."
        )
    return [str(name) for name in names]


def _scatter(ax: Axes, points: NDArray[np.float64], **style: Any) -> Any:
    n_rows = style.pop("n_rows", len(points))
    size = float(np.clip(4_000 / n_rows, 5, 28))
    alpha = float(np.clip(1_500 / n_rows, 0.3, 0.8))
    # Rasterise the dots: vector files with thousands of them open slowly.
    drawn = {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": n_rows > _MAX_VECTORS}
    return ax.scatter(points[:, 0], points[:, 1], **drawn, **style)


def _draw_amounts(ax: Axes, points: NDArray[np.float64], hue: _Hue) -> None:
    scale = Scale("linear") if hue.is_date else Scale.of(hue.values)
    dots = _scatter(ax, points, c=hue.values, cmap="viridis", norm=scale.norm(hue.values))
    bar = ax.figure.colorbar(dots, ax=ax, shrink=0.8)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    label_bar(bar, f"{hue.label or 'amount'}{scale.words}", hue.is_date)


def label_bar(bar: Any, label: str, is_date: bool) -> None:
    """Write the name of a colour bar, and its ticks as numbers or dates."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.ticker import FuncFormatter, NullFormatter

    if is_date:
        locator: Any = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
        bar.ax.yaxis.set_major_locator(locator)
        formatter: Any = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        bar.ax.yaxis.set_major_formatter(formatter)
    elif bar.ax.get_yscale() != "linear":
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number_words(value)))
        bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bar.set_label(shorten(label, 40))
    bar.outline.set_visible(False)


def _draw_labels(
    ax: Axes,
    points: NDArray[np.float64],
    chosen: NDArray[Any],
    names: list[str],
) -> None:
    palette = PALETTE if len(names) <= len(PALETTE) else MANY
    for place, name in enumerate(names):
        mine = points[chosen == place]
        is_rest = name == _OTHER and place == len(names) - 1 and len(names) == _MAX_LABELS
        colour = GREY if is_rest else palette[place % len(palette)]
        marker = MARKERS[place // len(palette) % len(MARKERS)]
        label = f"{shorten(name)} ({len(mine):,})"
        _scatter(ax, mine, color=colour, marker=marker, label=label, n_rows=len(points))
        ax.annotate(
            shorten(name), np.median(mine, 0).tolist(), color=colour, fontsize=11,
            fontweight="bold", ha="center", va="center", path_effects=halo(),
        )  # fmt: skip


def _draw_legend(ax: Axes, names: list[str], title: str | None, *, beside: bool) -> None:
    """Draw the legend, outside the axes if it has many or long labels and ``beside`` is True."""
    if len(names) <= len(PALETTE) and max(map(len, names)) <= _SHORT:
        style: dict[str, Any] = {"loc": "best", "frameon": False, "fontsize": 9.5}
    elif beside:
        where = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        style = {**where, "frameon": False, "fontsize": 9.5}
    else:  # no room next to the axes of another figure
        style = {"loc": "upper right", "fontsize": 7, "framealpha": 0.7, "edgecolor": "none"}
    legend = ax.legend(
        labelcolor=GREY, title=title and shorten(title), markerscale=2, alignment="left", **style
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _hide_overlaps(ax: Axes) -> None:
    """Remove overlapping names from the map. The legend lists all names."""
    names = [text for text in ax.texts if text.get_path_effects()]
    if len(names) < 2:
        return
    ax.get_figure(root=True).draw_without_rendering()  # type: ignore[union-attr]
    boxes = [name.get_window_extent() for name in names]
    for name, box in zip(names, boxes, strict=True):
        if sum(box.overlaps(other) for other in boxes) > 1:
            name.remove()


def _agreement(points: NDArray[np.float64], chosen: NDArray[Any]) -> str:
    """Return a subtitle with the fraction of neighbours on the map that share a label."""
    from sklearn.neighbors import NearestNeighbors

    judged = points[:_MAX_JUDGED]
    n_neighbours = min(_N_NEIGHBOURS, len(judged) - 1)
    if n_neighbours < 1:
        return "The rows as the code sees them"
    near = NearestNeighbors(n_neighbors=n_neighbours).fit(judged).kneighbors(return_distance=False)
    share = (chosen[near] == chosen[: len(judged), None]).mean()
    return f"Neighbours on the map share their label in {share:.0%} of cases"
