"""Grids of images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently.exceptions import DataError, ParameterError
from latently.report._scale import number_words
from latently.report._style import GAP, WIDTH, bare, counted, headline_of_all, place_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHANNELS = (1, 3, 4)
#: Largest side of an image, in inches.
_MAX_SIDE = 2.5
#: Fraction of outlying pixels on each side, and the ratio of ranges at which they are ignored.
_OUTER, _FAR = 0.0005, 20.0


def plot_images(
    images: Any, n_columns: int = 8, *, title: str | None = None, ax: Axes | None = None
) -> Figure:
    """Plot images in a grid, all on one scale.

    Missing pixels are light blue. A few pixels far brighter or darker than all others do not set
    the scale: they are drawn as white or black.

    Parameters
    ----------
    images : array-like of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
        Grey or coloured.
    n_columns : int, default=8
        Images in a row.
    title : str or None, default=None
        Title above the grid. None shows the number of images.
    ax : matplotlib Axes or None, default=None
        Axes of a grid, replaced by the images. None creates a new figure.

    Returns
    -------
    Figure
        One axes an image.

    Raises
    ------
    DataError
        If the array is no stack of images.
    ParameterError
        If ``n_columns`` is below one.
    """
    if n_columns < 1:
        raise ParameterError(f"n_columns must be at least 1, got {n_columns}. Use for example 8.")
    stack = channels_last(images)
    columns = min(n_columns, len(stack))
    rows = math.ceil(len(stack) / columns)
    side = min(WIDTH / columns, _MAX_SIDE)
    ratio = stack.shape[1] / stack.shape[2]
    figure, place = place_of(ax, 0.8 + rows * side * ratio)
    axes = np.ravel(place.subplots(rows, columns, squeeze=False))
    limits = value_range(stack)
    for one in axes:
        bare(one)
    for one, image in zip(axes, stack, strict=False):
        draw_image(one, image, limits)
    headline_of_all(place, title or counted(len(stack), "image"), range_words(limits, stack))
    return figure


def range_words(limits: tuple[float, float], *stacks: NDArray[Any]) -> str:
    """Return the legend of black, white and the colour of missing pixels."""
    low, high = (number_words(float(f"{limit:.3g}")) for limit in limits)
    has_gaps = any(np.isnan(stack).any() for stack in stacks if stack.dtype.kind == "f")
    ends = (
        f"brightness from {low} to {high}"
        if stacks[0].ndim == 4
        else (f"black is {low}, white is {high}")
    )
    return f"{ends}; light blue is missing" if has_gaps else ends


def channels_last(images: Any) -> NDArray[Any]:
    """Return a stack as (n, h, w) or (n, h, w, 3 or 4), for matplotlib."""
    stack = np.asarray(images)
    if stack.ndim == 4 and stack.shape[3] not in _CHANNELS and stack.shape[1] in _CHANNELS:
        stack = np.moveaxis(stack, 1, -1)
    if stack.ndim not in (3, 4) or len(stack) == 0 or (stack.ndim == 4 and stack.shape[3] > 4):
        raise DataError(
            f"Images must have the shape (n, h, w), (n, h, w, c) or (n, c, h, w), got "
            f"{stack.shape}. Reshape the array."
        )
    return stack[..., 0] if stack.ndim == 4 and stack.shape[3] in (1, 2) else stack


def value_range(*stacks: NDArray[Any]) -> tuple[float, float]:
    """Return the pixel values drawn as black and white, ignoring outliers."""
    pixels = np.concatenate([stack.ravel() for stack in stacks]).astype(np.float64)
    pixels = pixels[np.isfinite(pixels)]
    if not len(pixels):
        return 0.0, 1.0
    low, high = float(pixels.min()), float(pixels.max())
    inner_low = np.quantile(pixels, _OUTER, method="higher")
    inner_high = np.quantile(pixels, 1 - _OUTER, method="lower")
    if high - low > _FAR * (inner_high - inner_low) > 0:
        low, high = float(inner_low), float(inner_high)
    return min(low, 0.0) if low < 0.1 * high else low, high if high > low else low + 1.0


def draw_image(ax: Axes, image: NDArray[Any], limits: tuple[float, float]) -> None:
    """Draw one image on axes without ticks, with the grey scale spanning the limits."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgba

    low, high = limits
    scaled = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    if scaled.ndim == 3:
        scaled[np.isnan(scaled).any(-1)] = to_rgba(GAP)[: scaled.shape[-1]]
    greys = colormaps["gray"].with_extremes(bad=GAP)
    shown = np.ma.masked_invalid(scaled)
    ax.imshow(shown, cmap=greys, vmin=0, vmax=1, interpolation="nearest")
