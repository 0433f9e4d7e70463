"""Grids of images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from latently.exceptions import DataError, ParameterError
from latently.report._style import WIDTH, bare, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CHANNELS = (1, 3, 4)


def plot_images(images: Any, n_columns: int = 8, *, title: str | None = None) -> Figure:
    """Plot images in a grid, all on one scale.

    Parameters
    ----------
    images : array-like of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
        Grey or coloured.
    n_columns : int, default=8
        Images in a row.
    title : str or None, default=None
        Above the grid; None says how many there are.

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
    side = WIDTH / columns
    ratio = stack.shape[1] / stack.shape[2]
    figure = new_figure(0.5 + rows * side * ratio)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    limits = value_range(stack)
    for ax in axes:
        bare(ax)
    for ax, image in zip(axes, stack, strict=False):
        draw_image(ax, image, limits)
    figure.suptitle(title or f"{len(stack):,} images", fontsize=12, fontweight="bold")
    return figure


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
    """Return the lowest and highest pixel of some stacks; 0 is kept where it is near."""
    low = min(float(np.nanmin(stack)) for stack in stacks)
    high = max(float(np.nanmax(stack)) for stack in stacks)
    return min(low, 0.0) if low < 0.1 * high else low, high if high > low else low + 1.0


def draw_image(ax: Axes, image: NDArray[Any], limits: tuple[float, float]) -> None:
    """Draw one image on axes without ticks; values are spread over the limits."""
    low, high = limits
    scaled = np.clip((image.astype(np.float64) - low) / (high - low), 0, 1)
    ax.imshow(np.nan_to_num(scaled), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
