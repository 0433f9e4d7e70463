"""The code as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from latently._notices import each_once
from latently.exceptions import DataError
from latently.report._labels import read_labels
from latently.report._style import GREY, MANY, MARKERS, PALETTE, axes_of, halo, headline

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Whole numbers of no more values than this are labels, not amounts.
_MAX_LABELS = 12
_N_NEIGHBOURS = 5
_MAX_VECTORS = 2_000
_MAX_JUDGED = 5_000


class _Places(NamedTuple):
    """Points on the map and what its axes mean."""

    points: NDArray[np.float64]
    labels: tuple[str, str]


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
        Labels, shown by colour, shape and name, the rarest of many as "other"; or amounts,
        shown by a colour bar.
    names : sequence of str or None, default=None
        Names of the sorted labels of ``y``.
    label : str or None, default=None
        What ``y`` is, for the legend or the colour bar.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        A code of two components as it is; a larger one along its two directions of most
        variance; one component against the row's reconstruction error.

    Raises
    ------
    DataError
        If ``y`` or ``names`` do not match.
    """
    autoencoder = getattr(model, "autoencoder_", model)
    codes = np.asarray(autoencoder.transform(X), dtype=np.float64)
    places = _places(codes, autoencoder, X)
    figure, ax = axes_of(ax, 6.0)
    title = _draw(ax, places, None if y is None else read_labels(y, len(codes)), names, label)
    if codes.shape[1] == 2:
        ax.set_aspect("equal", adjustable="datalim")  # both axes have one unit
    ax.set_xlabel(places.labels[0])
    ax.set_ylabel(places.labels[1])
    subtitle = f"{len(codes):,} rows, {type(model).__name__} of {codes.shape[1]} components"
    headline(ax, title, subtitle)
    return figure


def _places(codes: NDArray[np.float64], autoencoder: Any, X: Any) -> _Places:
    if codes.shape[1] == 1:
        errors = autoencoder.reconstruction_error(X)
        labels = "the code's only component", "reconstruction error (nats a column)"
        return _Places(np.column_stack([codes, errors]), labels)
    if codes.shape[1] == 2:
        return _Places(codes, ("component 1 of the code", "component 2 of the code"))
    centered = codes - codes.mean(0)
    _, sizes, directions = np.linalg.svd(centered, full_matrices=False)
    shares = np.square(sizes) / max(np.square(sizes).sum(), 1e-30)
    words = [f"direction {i + 1} of the code ({shares[i]:.0%} of its variance)" for i in (0, 1)]
    return _Places(centered @ directions[:2].T, (words[0], words[1]))


def _draw(
    ax: Axes,
    places: _Places,
    y: NDArray[Any] | None,
    names: Sequence[str] | None,
    label: str | None,
) -> str:
    if y is None:
        _scatter(ax, places.points, color=PALETTE[0])
        return "The rows as the code sees them"
    gone = _missing(y)
    if gone.any():
        _scatter(ax, places.points[gone], color=GREY, label=f"missing ({int(gone.sum()):,})")
    points, y = places.points[~gone], y[~gone]
    if not len(y):
        return "The rows as the code sees them"
    if _is_amount(y):
        _draw_amounts(ax, points, y.astype(np.float64), label)
        if gone.any():
            ax.legend(frameon=False, fontsize=9.5)
        return f"The rows as the code sees them, coloured by {label or 'amount'}"
    labels, chosen = _labels(y)
    _draw_labels(ax, points, chosen, _named(labels, names), label)
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
        labels = labels.astype(np.int64)  # whole numbers beside gaps
    if len(labels) <= _MAX_LABELS:
        return labels, chosen
    common = np.sort(np.argsort(-counts, kind="stable")[: _MAX_LABELS - 1])
    place = np.full(len(labels), len(common))
    place[common] = np.arange(len(common))
    return np.array([*labels[common].astype(str), "other"]), place[chosen]


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
    # Thousands of dots are one picture in a vector file, or it opens slowly.
    drawn = {"s": size, "alpha": alpha, "linewidths": 0, "rasterized": n_rows > _MAX_VECTORS}
    return ax.scatter(points[:, 0], points[:, 1], **drawn, **style)


def _draw_amounts(
    ax: Axes, points: NDArray[np.float64], y: NDArray[np.float64], label: str | None
) -> None:
    dots = _scatter(ax, points, c=y, cmap="viridis")
    bar = ax.figure.colorbar(dots, ax=ax, shrink=0.8)
    if bar.solids is not None:
        bar.solids.set_alpha(1)
    if label is not None:
        bar.set_label(label)
    bar.outline.set_visible(False)


def _draw_labels(
    ax: Axes,
    points: NDArray[np.float64],
    chosen: NDArray[Any],
    names: list[str],
    title: str | None,
) -> None:
    palette = PALETTE if len(names) <= len(PALETTE) else MANY
    for place, name in enumerate(names):
        mine = points[chosen == place]
        colour = palette[place % len(palette)]
        marker = MARKERS[place // len(palette) % len(MARKERS)]
        label = f"{name} ({len(mine):,})"
        _scatter(ax, mine, color=colour, marker=marker, label=label, n_rows=len(points))
        ax.annotate(
            name, np.median(mine, 0).tolist(), color=colour, fontsize=11, fontweight="bold",
            ha="center", va="center", path_effects=halo(),
        )  # fmt: skip
    legend = ax.legend(
        frameon=False, fontsize=9.5, labelcolor=GREY, loc="best", title=title,
        markerscale=2, alignment="left",
    )  # fmt: skip
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)


def _agreement(points: NDArray[np.float64], chosen: NDArray[Any]) -> str:
    """Say how often neighbours on the map share their label."""
    from sklearn.neighbors import NearestNeighbors

    judged = points[:_MAX_JUDGED]
    n_neighbours = min(_N_NEIGHBOURS, len(judged) - 1)
    if n_neighbours < 1:
        return "The rows as the code sees them"
    near = NearestNeighbors(n_neighbors=n_neighbours).fit(judged).kneighbors(return_distance=False)
    share = (chosen[near] == chosen[: len(judged), None]).mean()
    return f"Neighbours on the map share their label in {share:.0%} of cases"
