"""Rows or images beside what the model makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently._notices import each_once
from latently.exceptions import ParameterError
from latently.report._images import channels_last, draw_image, value_range
from latently.report._style import WIDTH, bare, new_figure
from latently.report._table_dots import plot_rows
from latently.schema import plain_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MAX_TABLE_ROWS = 6


@each_once()
def plot_reconstructions(model: Any, X: Any, n: int = 8) -> Figure:
    """Plot the first rows of ``X`` beside their reconstructions.

    Parameters
    ----------
    model : autoencoder or task
        Fitted.
    X : array-like, DataFrame, Table or image stack
        Rows with the columns of ``fit``.
    n : int, default=8
        Rows to show; of a table at most six.

    Returns
    -------
    Figure
        Images: originals, reconstructions, and where they differ. Tables: got and expected of
        each column, in standard deviations.

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
        return _plot_stacks(autoencoder, np.asarray(plain_rows(X))[:n])
    return plot_rows(autoencoder, X, min(n, _MAX_TABLE_ROWS))


def _plot_stacks(model: Any, originals: NDArray[Any]) -> Figure:
    got = channels_last(originals)
    rebuilt = channels_last(model.reconstruct(originals))
    errors = _pixel_errors(got, rebuilt, model.preprocessor_.spec)
    return plot_stacks(
        {"original": got, "rebuilt": rebuilt},
        errors,
        f"{got[0].size:,} pixels through {model.n_components_:,} components: "
        f"a pixel is off by {errors.mean():.1%} of its range on average",
    )


def _pixel_errors(got: NDArray[Any], rebuilt: NDArray[Any], spec: Any) -> NDArray[np.float64]:
    """Return the absolute error of each pixel as a share of the range, mean over channels."""
    errors = np.abs(got.astype(np.float64) - rebuilt.astype(np.float64)) / (spec.high - spec.low)
    return np.asarray(errors.mean(-1) if errors.ndim == 4 else errors)


def plot_stacks(
    stacks: dict[str, NDArray[Any]], errors: NDArray[np.float64] | None, title: str
) -> Figure:
    """Plot stacks of images below each other, one image a column, and a row of error maps.

    Parameters
    ----------
    stacks : dict of str to ndarray of shape (n, h, w[, c])
        The words at the left of each row, and its images.
    errors : ndarray of shape (n, h, w) or None
        Shares of the pixel range, shown as heat with a colour bar.
    title : str
        Above all.

    Returns
    -------
    Figure
        One axes an image.
    """
    first = next(iter(stacks.values()))
    n_rows, n_images = len(stacks) + (errors is not None), len(first)
    ratio = first.shape[1] / first.shape[2]
    figure = new_figure(0.6 + n_rows * ratio * (WIDTH - 1.2) / n_images)
    axes = figure.subplots(n_rows, n_images, squeeze=False)
    limits = value_range(*stacks.values())
    for row, (label, stack) in zip(axes, stacks.items(), strict=False):
        _label_row(row[0], label)
        for ax, image in zip(row, stack, strict=True):
            draw_image(bare(ax), image, limits)
    if errors is not None:
        _draw_errors(figure, axes[-1], errors)
    figure.suptitle(title, fontsize=12, fontweight="bold")
    return figure


def _label_row(ax: Axes, label: str) -> None:
    ax.set_ylabel(label, fontsize=10, rotation=0, ha="right", va="center", labelpad=8)


def _draw_errors(figure: Figure, row: Any, errors: NDArray[np.float64]) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    _label_row(row[0], "error")
    top = max(float(errors.max()), 1e-6)
    for ax, image in zip(row, errors, strict=True):
        shown = bare(ax).imshow(image, cmap="magma", vmin=0, vmax=top, interpolation="nearest")
    bar = figure.colorbar(shown, ax=list(row), aspect=8, pad=0.01)
    bar.ax.yaxis.set_major_locator(MaxNLocator(3))
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
