"""Patches of one size from images of any size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from latently.nn import Cells
from latently.training import TrainingData

#: Maximum number of elements of all patches in memory.
_MAX_ELEMENTS = 1 << 27
#: Detail of a constant patch, so that it is drawn rarely rather than never.
_LEAST_DETAIL = 1e-3
#: Minimum gain of a channel of a recoloured patch.
_LEAST_GAIN = 0.5


class _Positions(NamedTuple):
    """Positions of patches in a stack, one entry per patch, and their sampling weights."""

    image: np.ndarray
    top: np.ndarray
    left: np.ndarray
    weight: np.ndarray

    def take(self, index: np.ndarray) -> _Positions:
        return _Positions(*(part[index] for part in self))


def cut_patches(
    noisy: list[Cells], clean: list[Cells], side: int | tuple[int, ...], recolour: bool = False
) -> TrainingData:
    """Cut noisy and clean images at the same places.

    Each image has a number of patches in proportion to its size, on average. Within an image,
    patches with much detail are drawn more often than even ones.

    Parameters
    ----------
    noisy, clean : list of Cells
        Stacks of images. The same list object if there are no pairs.
    side : int or tuple of two int
        Height and width of a patch, reduced to the size of the smallest image.
    recolour : bool, default=False
        If True, permute and darken the channels of each patch, so that few images give many
        colours. Ignored for pairs, because it would change their noise.

    Returns
    -------
    TrainingData
        Overlapping patches, as many as there are or as ``_MAX_ELEMENTS`` allows.
    """
    smallest = [min(cells.values.shape[axis] for cells in clean) for axis in (2, 3)]
    sides = (side, side) if isinstance(side, int) else side
    height, width = (min(pair) for pair in zip(sides, smallest, strict=True))
    candidates = [_positions(cells.values, height, width) for cells in clean]
    positions = _draw_positions(candidates, clean, height, width)
    target = _cut(clean, positions, height, width)
    if noisy is not clean:
        return TrainingData(_cut(noisy, positions, height, width), target)
    return TrainingData(_recoloured(target) if recolour else target)


def _positions(stack: Tensor, height: int, width: int) -> _Positions:
    """Return positions half a patch apart in a stack, weighted by their detail."""
    tops, lefts = (_starts(*pair) for pair in zip(stack.shape[2:], (height, width), strict=True))
    grid = np.meshgrid(np.arange(len(stack)), tops, lefts, indexing="ij")
    detail = _detail(stack.numpy(), height, width)[:, tops][:, :, lefts]
    weight = (np.sqrt(np.maximum(detail, 0)) + _LEAST_DETAIL) / (len(tops) * len(lefts))
    image, top, left = (axis.ravel() for axis in grid)
    return _Positions(image, top, left, weight.ravel())


def _starts(length: int, side: int) -> np.ndarray:
    """Return the starts of patches along an axis: every half side, and one at the end."""
    starts = np.arange(0, length - side + 1, max(side // 2, 1))
    return np.unique(np.append(starts, length - side))


def _detail(stack: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mean squared pixel difference in each patch, indexed by its upper left corner."""
    steps = np.zeros((len(stack), *stack.shape[2:]))
    steps[:, 1:] += np.square(np.diff(stack, axis=2)).mean(1)
    steps[:, :, 1:] += np.square(np.diff(stack, axis=3)).mean(1)
    total = np.pad(steps.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    lower, upper = total[:, height:], total[:, :-height]
    inside = lower[:, :, width:] - lower[:, :, :-width] - upper[:, :, width:] + upper[:, :, :-width]
    return np.asarray(inside / (height * width))


def _draw_positions(
    places: list[_Positions], clean: list[Cells], height: int, width: int
) -> list[tuple[int, _Positions]]:
    """Draw as many positions as there are or as memory allows, without repeats for whole images."""
    sizes = np.array([len(part.image) for part in places])
    weights = np.concatenate([part.weight for part in places])
    n_channels = clean[0].values.shape[1]
    n = min(len(weights), max(_MAX_ELEMENTS // (n_channels * height * width), 1))
    if all(cells.values.shape[2:] == (height, width) for cells in clean):
        indices = torch.randperm(len(weights))[:n].numpy()
    else:
        drawn = torch.rand(n, dtype=torch.float64).numpy() * weights.sum()
        indices = np.searchsorted(weights.cumsum(), drawn).clip(max=len(weights) - 1)
    stack = np.searchsorted(sizes.cumsum(), indices, side="right")
    first = sizes.cumsum() - sizes
    found = [
        (place, part.take(indices[stack == place] - first[place]))
        for place, part in enumerate(places)
    ]
    return [(place, part) for place, part in found if len(part.image)]


def _cut(
    stacks: list[Cells], places: list[tuple[int, _Positions]], height: int, width: int
) -> Cells:
    """Return the patches at some positions, (n_patches, channels, height, width)."""

    def cut(stack: Tensor, part: _Positions) -> Tensor:
        windows = sliding_window_view(stack.numpy(), (height, width), axis=(2, 3))
        return torch.from_numpy(windows[part.image, :, part.top, part.left])

    values = torch.cat([cut(stacks[at].values, part) for at, part in places])
    if all(cells.observed is None for cells in stacks):
        return Cells(values)
    seen = [cut(_observed(stacks[at]), part) for at, part in places]
    return Cells(values, torch.cat(seen).flatten(1))


def _observed(cells: Cells) -> Tensor:
    if cells.observed is None:
        return torch.ones(cells.values.shape, dtype=torch.bool)
    return cells.observed.view(cells.values.shape)


def _recoloured(cells: Cells) -> Cells:
    """Permute the channels of each patch, and multiply each by a random gain of at most 1."""
    n, n_channels = cells.values.shape[:2]
    gain = (_LEAST_GAIN + torch.rand(n, n_channels, 1, 1)).clamp(max=1)
    order = torch.rand(n, n_channels).argsort(1)[:, :, None, None].expand_as(cells.values)
    seen = cells.observed
    if seen is not None:
        seen = seen.view(cells.values.shape).gather(1, order).flatten(1)
    return Cells(cells.values.gather(1, order).mul_(gain), seen)
