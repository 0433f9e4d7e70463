"""What the places of a map decode to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently.exceptions import DataError, ParameterError
from latently.report._images import channels_last, draw_image, value_range
from latently.report._style import axes_of, headline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Share of the rows that may lie outside of what is shown, on each side.
_OUTSIDE = 0.005


def plot_plane(model: Any, X: Any, n_steps: int = 20, *, ax: Axes | None = None) -> Figure:
    """Plot the images that places of a map decode to, on a grid over the plane.

    Parameters
    ----------
    model : autoencoder or task
        Fitted to images, with two components.
    X : image stack
        Images whose codes say which part of the plane is shown.
    n_steps : int, default=20
        Images along each axis.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        One picture made of ``n_steps`` times ``n_steps`` images.

    Raises
    ------
    DataError
        If the model has another number of components, or decodes to a table.
    ParameterError
        If ``n_steps`` is below two.
    """
    if n_steps < 2:
        raise ParameterError(f"n_steps must be at least 2, got {n_steps}. Use for example 20.")
    autoencoder = getattr(model, "autoencoder_", model)
    codes = np.asarray(autoencoder.transform(X))
    if codes.shape[1] != 2:
        raise DataError(
            f"A plane has two components, got a model of {codes.shape[1]}. Fit one of 2."
        )
    low, high = np.quantile(codes, [_OUTSIDE, 1 - _OUTSIDE], axis=0)
    horizontal, vertical = np.linspace(low, high, n_steps).T
    grid = np.stack(np.meshgrid(horizontal, vertical[::-1]), -1)
    images = autoencoder.inverse_transform(grid.reshape(-1, 2))
    if not isinstance(images, np.ndarray) or images.ndim < 3:
        raise DataError("A plane is drawn of images, got a model of a table. Use plot_map.")
    figure, ax = axes_of(ax, 8.0)
    stack = channels_last(images)
    draw_image(ax, _mosaic(stack, n_steps), value_range(stack))
    ax.set_axis_off()
    subtitle = f"{type(model).__name__}, {n_steps} x {n_steps} places decoded"
    headline(ax, "What lies where on the map", subtitle)
    return figure


def _mosaic(stack: NDArray[Any], n_steps: int) -> NDArray[Any]:
    """Return a square of images as one image."""
    height, width = stack.shape[1:3]
    tiles = stack.reshape(n_steps, n_steps, height, width, -1).swapaxes(1, 2)
    picture = tiles.reshape(n_steps * height, n_steps * width, -1)
    return picture[..., 0] if stack.ndim == 3 else picture
