"""Images of any size, cut into patches of one size."""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from latently.nn import Cells
from latently.training import TrainingData

#: More elements of patches than this are not kept in memory.
_MAX_ELEMENTS = 1 << 27


def cut_patches(
    noisy: list[Cells], clean: list[Cells], side: int | tuple[int, ...]
) -> TrainingData:
    """Cut noisy and clean images at the same places.

    Parameters
    ----------
    noisy, clean : list of Cells
        Stacks of images; the same list where there are no pairs.
    side : int or tuple of two int
        Height and width of a patch, at most those of the smallest image.

    Returns
    -------
    TrainingData
        Overlapping patches in random order; as many as memory allows.
    """
    smallest = [min(cells.values.shape[axis] for cells in clean) for axis in (2, 3)]
    sides = (side, side) if isinstance(side, int) else side
    height, width = (min(pair) for pair in zip(sides, smallest, strict=True))
    target = _joined([_cut(cells, height, width) for cells in clean])
    most = max(_MAX_ELEMENTS // target.values[0].numel(), 1)
    chosen = torch.randperm(len(target.values))[:most]
    if noisy is clean:
        return TrainingData(target.take(chosen))
    inputs = _joined([_cut(cells, height, width) for cells in noisy])
    return TrainingData(inputs.take(chosen), target.take(chosen))


def _cut(cells: Cells, height: int, width: int) -> Cells:
    """Return the patches of a stack, (n, channels, height, width)."""
    values = _windows(cells.values, height, width)
    if cells.observed is None:
        return Cells(values)
    seen = _windows(cells.observed.view(cells.values.shape), height, width)
    return Cells(values, seen.flatten(1))


def _windows(stack: Tensor, height: int, width: int) -> Tensor:
    if stack.shape[2:] == (height, width):
        return stack
    windows = sliding_window_view(stack.numpy(), (height, width), axis=(2, 3))
    rows, columns = (_starts(*pair) for pair in zip(stack.shape[2:], (height, width), strict=True))
    chosen = windows[:, :, rows][:, :, :, columns].transpose(0, 2, 3, 1, 4, 5)
    return torch.from_numpy(chosen.reshape(-1, stack.shape[1], height, width))


def _starts(length: int, side: int) -> np.ndarray:
    """Return where patches begin along an axis: every half side, and flush with the end."""
    starts = np.arange(0, length - side + 1, max(side // 2, 1))
    return np.unique(np.append(starts, length - side))


def _joined(parts: list[Cells]) -> Cells:
    values = torch.cat([part.values for part in parts])
    if all(part.observed is None for part in parts):
        return Cells(values)
    return Cells(values, torch.cat([_observed(part) for part in parts]))


def _observed(cells: Cells) -> Tensor:
    if cells.observed is not None:
        return cells.observed
    return torch.ones(cells.values.flatten(1).shape, dtype=torch.bool)
