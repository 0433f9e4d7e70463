"""Plots of rows or images next to their reconstructions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently._notices import each_once
from latently.exceptions import ParameterError
from latently.report._images import channels_last, draw_image, range_words, value_range
from latently.report._style import GAP, WIDTH, bare, headline_of_all, place_of
from latently.report.maps._table_dots import plot_rows
from latently.schema import plain_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MAX_TABLE_ROWS = 6
#: Largest side of an image, in inches.
_MAX_SIDE = 2.5


@each_once()
def plot_reconstructions(model: Any, X: Any, n: int = 8, *, ax: Axes | None = None) -> Figure:
    """Plot the first rows of ``X`` beside their reconstructions.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    n : int, default=8
        Number of rows to show, at most six for tables.
    ax : matplotlib Axes or None, default=None
        Axes of a grid, replaced by the panels. None creates a new figure.

    Returns
    -------
    Figure
        Images: originals, reconstructions and their differences, with missing pixels in light blue.
        Tables: observed and expected values of the 20 columns with the largest errors, in standard
        deviations.

    Raises
    ------
    ParameterError
        If ``n`` is below one.
    DataError
        If the rows cannot be used.
    """
    if n < 1:
        raise ParameterError(f"n must be at least 1, got {n}. Use for example 6.")
    autoencoder = getattr(model, "autoencoder_", model)
    if hasattr(autoencoder.preprocessor_.spec, "axes"):
        return _plot_stacks(autoencoder, np.asarray(plain_rows(X))[:n], ax)
    return plot_rows(autoencoder, X, min(n, _MAX_TABLE_ROWS), ax)


def _plot_stacks(model: Any, originals: NDArray[Any], ax: Axes | None) -> Figure:
    got = channels_last(originals)
    rebuilt = channels_last(model.reconstruct(originals))
    errors = _pixel_errors(got, rebuilt, model.preprocessor_.spec)
    return plot_stacks(
        {"original": got, "rebuilt": rebuilt},
        errors,
        f"{got[0].size:,} pixels through {model.n_components_:,} components: "
        f"a pixel is off by {_mean_words(errors)} on average",
        ax,
    )


def _mean_words(errors: NDArray[np.float64]) -> str:
    known = errors[np.isfinite(errors)]
    return f"{known.mean():.1%} of its range" if len(known) else "an unknown amount"


def _pixel_errors(got: NDArray[Any], rebuilt: NDArray[Any], spec: Any) -> NDArray[np.float64]:
    """Return the absolute error of each pixel as a share of the range, mean over channels."""
    errors = np.abs(got.astype(np.float64) - rebuilt.astype(np.float64)) / (spec.high - spec.low)
    return np.asarray(errors.mean(-1) if errors.ndim == 4 else errors)


def plot_stacks(
    stacks: dict[str, NDArray[Any]],
    errors: NDArray[np.float64] | None,
    title: str,
    ax: Axes | None = None,
) -> Figure:
    """Plot stacks of images below each other, one image a column, and a row of error maps.

    Parameters
    ----------
    stacks : dict of str to ndarray of shape (n, h, w[, c])
        Label at the left of each row, and its images.
    errors : ndarray of shape (n, h, w) or None
        Shares of the pixel range, shown as heat with a colour bar.
    title : str
        Above all.
    ax : matplotlib Axes or None, default=None
        Axes of a grid, replaced by the images. None creates a new figure.

    Returns
    -------
    Figure
        One axes an image.
    """
    first = next(iter(stacks.values()))
    n_rows, n_images = len(stacks) + (errors is not None), len(first)
    ratio = first.shape[1] / first.shape[2]
    side = min((WIDTH - 1.2) / n_images, _MAX_SIDE)
    figure, place = place_of(ax, 0.9 + n_rows * ratio * side)
    axes = place.subplots(n_rows, n_images, squeeze=False)
    limits = value_range(*stacks.values())
    for row, (label, stack) in zip(axes, stacks.items(), strict=False):
        _label_row(row[0], label)
        for one, image in zip(row, stack, strict=True):
            draw_image(bare(one), image, limits)
    if errors is not None:
        _draw_errors(place, axes[-1], errors)
    headline_of_all(place, title, range_words(limits, *stacks.values()))
    return figure


def _label_row(ax: Axes, label: str) -> None:
    ax.set_ylabel(label, fontsize=10, rotation=0, ha="right", va="center", labelpad=8)


def _draw_errors(place: Figure | SubFigure, row: Any, errors: NDArray[np.float64]) -> None:
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    _label_row(row[0], "error")
    top = max(float(np.nanmax(errors, initial=0.0)), 1e-6)
    heat = colormaps["magma"].with_extremes(bad=GAP)
    for ax, image in zip(row, errors, strict=True):
        shown = bare(ax).imshow(image, cmap=heat, vmin=0, vmax=top, interpolation="nearest")
    bar = place.colorbar(shown, ax=list(row), aspect=8, pad=0.01)
    bar.ax.yaxis.set_major_locator(MaxNLocator(3))
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bar.ax.tick_params(labelsize=8)
    bar.set_label("of the range", fontsize=8)
    bar.outline.set_visible(False)
