"""Decoded positions of a map: images, or a heat map of each column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently.exceptions import DataError, ParameterError
from latently.report._contents import columns_of
from latently.report._images import channels_last, draw_image, range_words, value_range
from latently.report._style import axes_of, headline
from latently.report.maps._plane_table import Box, plot_fields

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Fraction of the rows outside the region shown, on each side of each axis.
_OUTSIDE = 0.005
#: Rows drawn as dots over the heat maps of a table.
_MAX_DOTS = 1_000


def plot_plane(
    model: Any,
    X: Any,
    n_steps: int = 20,
    *,
    columns: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Plot the decoded rows of a regular grid over the plane of a map.

    Parameters
    ----------
    model : autoencoder or task
        Fitted with two components.
    X : array-like, DataFrame, Table or image stack
        Rows whose codes set the region shown, from the 1 % to the 99 % quantile of each component.
    n_steps : int, default=20
        Places along each axis. More show finer detail.
    columns : sequence of str or None, default=None
        Columns of a table to show. None shows the six that change most over the plane. Images have
        no columns.
    ax : matplotlib Axes or None, default=None
        Axes to draw on. The heat maps of a table replace axes of a grid. None creates a new figure.

    Returns
    -------
    Figure
        Images: a grid of ``n_steps`` times ``n_steps`` decoded images. Tables: a heat map of each
        column, with a colour bar in the unit of the column. Dots are rows of ``X``.

    Raises
    ------
    DataError
        If the model has another number of components.
    ParameterError
        If ``n_steps`` is below two, or ``columns`` are not columns of a table.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from latently import Autoencoder, plot_plane
    >>> X = load_iris(as_frame=True).data
    >>> model = Autoencoder(2, max_epochs=2, random_state=0).fit(X)
    >>> figure = plot_plane(model, X, columns=["petal length (cm)"])
    """
    if n_steps < 2:
        raise ParameterError(f"n_steps must be at least 2, got {n_steps}. Use for example 20.")
    autoencoder = getattr(model, "autoencoder_", model)
    codes = np.asarray(autoencoder.transform(X), dtype=np.float64)
    if codes.shape[1] != 2:
        raise DataError(
            f"A plane has two components, got a model of {codes.shape[1]}. Fit one of 2."
        )
    low, high = np.quantile(codes, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
    high = np.where(high > low, high, low + 1.0)  # one row, or a component that is constant
    horizontal, vertical = np.linspace(low, high, n_steps).T
    grid = np.stack(np.meshgrid(horizontal, vertical), -1).reshape(-1, 2)
    box = (low[0], high[0], low[1], high[1])
    decoded = autoencoder.inverse_transform(grid)
    places = f"{type(model).__name__}, {n_steps} x {n_steps} places decoded"
    if len(autoencoder.preprocessor_.layout.shape) > 1:
        if columns is not None:
            raise ParameterError("columns must be None for images, which have none. Leave it out.")
        return _plot_images(channels_last(decoded), n_steps, box, places, ax)
    dots = codes[:: -(-len(codes) // _MAX_DOTS)]
    tables = columns_of(autoencoder, decoded), columns_of(autoencoder, X)
    return plot_fields(*tables, columns, dots, box, places, ax)


def _plot_images(
    stack: NDArray[Any], n_steps: int, box: Box, places: str, ax: Axes | None
) -> Figure:
    figure, ax = axes_of(ax, 8.0)
    limits = value_range(stack)
    draw_image(ax, _mosaic(stack, n_steps), limits)
    (picture,) = ax.images
    picture.set_extent(_half_step_wider(box, n_steps))
    ax.set_aspect(stack.shape[1] / stack.shape[2] * (box[1] - box[0]) / (box[3] - box[2]))
    ax.set_xlabel("component 1 of the code")
    ax.set_ylabel("component 2 of the code")
    headline(ax, "What lies where on the map", f"{places}; {range_words(limits, stack)}")
    return figure


def _mosaic(stack: NDArray[Any], n_steps: int) -> NDArray[Any]:
    """Return a square of images, from the lowest row of places upwards, as one image."""
    height, width = stack.shape[1:3]
    tiles = stack.reshape(n_steps, n_steps, height, width, -1)[::-1].swapaxes(1, 2)
    picture = tiles.reshape(n_steps * height, n_steps * width, -1)
    return picture[..., 0] if stack.ndim == 3 else picture


def _half_step_wider(box: Box, n_steps: int) -> Box:
    """Return the edges of cells whose centres lie from edge to edge of a box."""
    left, right, bottom, top = box
    across, up = ((right - left) / (n_steps - 1) / 2, (top - bottom) / (n_steps - 1) / 2)
    return left - across, right + across, bottom - up, top + up
