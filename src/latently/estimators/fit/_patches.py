"""Images of any size, cut into patches of one size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from latently.nn import Cells
from latently.training import TrainingData

#: More elements of patches than this are not kept in memory.
_MAX_ELEMENTS = 1 << 27
#: Detail of a patch without any: it may be drawn, but seldom.
_LEAST_DETAIL = 1e-3
#: Least gain of a channel of a recoloured patch.
_LEAST_GAIN = 0.5


class _Positions(NamedTuple):
    """Where patches lie in a stack, one entry a patch, and how much there is to see."""

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

    Images that are larger than a patch are each cut as often as their size asks for on average,
    and where they show much more often than where they show little: an even sky teaches nothing.

    Parameters
    ----------
    noisy, clean : list of Cells
        Stacks of images; the same list where there are no pairs.
    side : int or tuple of two int
        Height and width of a patch, at most those of the smallest image.
    recolour : bool, default=False
        Exchange the channels of each patch and darken them, so that few images show many colours;
        not for pairs, whose noise would change with it.

    Returns
    -------
    TrainingData
        Overlapping patches; as many as memory allows.
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
    """Return every place of a stack, half a patch apart, weighed by its detail."""
    tops, lefts = (_starts(*pair) for pair in zip(stack.shape[2:], (height, width), strict=True))
    grid = np.meshgrid(np.arange(len(stack)), tops, lefts, indexing="ij")
    detail = _detail(stack.numpy(), height, width)[:, tops][:, :, lefts]
    weight = (np.sqrt(np.maximum(detail, 0)) + _LEAST_DETAIL) / (len(tops) * len(lefts))
    image, top, left = (axis.ravel() for axis in grid)
    return _Positions(image, top, left, weight.ravel())


def _starts(length: int, side: int) -> np.ndarray:
    """Return where patches begin along an axis: every half side, and flush with the end."""
    starts = np.arange(0, length - side + 1, max(side // 2, 1))
    return np.unique(np.append(starts, length - side))


def _detail(stack: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the mean square step to the next pixel in each patch, by its upper left corner."""
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
    """Draw as many places as there are, or as memory allows; images of one patch each once."""
    sizes = np.array([len(part.image) for part in places])
    weights = np.concatenate([part.weight for part in places])
    n_channels = clean[0].values.shape[1]
    n = min(len(weights), max(_MAX_ELEMENTS // (n_channels * height * width), 1))
    if all(cells.values.shape[2:] == (height, width) for cells in clean):
        chosen = torch.randperm(len(weights))[:n].numpy()
    else:
        chance = torch.rand(n, dtype=torch.float64).numpy() * weights.sum()
        chosen = np.searchsorted(weights.cumsum(), chance).clip(max=len(weights) - 1)
    stack = np.searchsorted(sizes.cumsum(), chosen, side="right")
    first = sizes.cumsum() - sizes
    found = [
        (place, part.take(chosen[stack == place] - first[place]))
        for place, part in enumerate(places)
    ]
    return [(place, part) for place, part in found if len(part.image)]


def _cut(
    stacks: list[Cells], places: list[tuple[int, _Positions]], height: int, width: int
) -> Cells:
    """Return the patches at these places, (n, channels, height, width)."""

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
    """Exchange the channels of each patch, and darken each by a factor of its own."""
    n, n_channels = cells.values.shape[:2]
    gain = (_LEAST_GAIN + torch.rand(n, n_channels, 1, 1)).clamp(max=1)
    order = torch.rand(n, n_channels).argsort(1)[:, :, None, None].expand_as(cells.values)
    seen = cells.observed
    if seen is not None:
        seen = seen.view(cells.values.shape).gather(1, order).flatten(1)
    return Cells(cells.values.gather(1, order).mul_(gain), seen)
