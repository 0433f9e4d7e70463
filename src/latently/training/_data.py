"""Training rows in memory and their batches. Every row is in exactly one batch of a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from latently.nn import BatchShard, Cells

#: Number of elements that are gathered at once.
_GATHERED = 1 << 19


class Batch(NamedTuple):
    """A batch of training rows, or the shard of it that this worker holds.

    Attributes
    ----------
    inputs : Cells
        Inputs of the encoder.
    target : Cells
        Rows to reconstruct; the same object as ``inputs`` if they are equal.
    weight : Tensor of shape (n_rows,) or None
        Weight of each row. None means equal weights.
    shard : BatchShard or None, default=None
        Rows of the whole batch that this worker holds. None means all.
    """

    inputs: Cells
    target: Cells
    weight: Tensor | None
    shard: BatchShard | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows that this worker holds."""
        return len(self.inputs.values)

    @property
    def n_whole(self) -> int:
        """Number of rows of the whole batch."""
        return self.n_rows if self.shard is None else self.shard.total

    def split(self, sizes: list[int]) -> list[Batch]:
        """Split the rows into consecutive batches of the given sizes, as views."""
        inputs = self.inputs.split(sizes)
        targets = inputs if self.target is self.inputs else self.target.split(sizes)
        weights = [None] * len(sizes) if self.weight is None else torch.split(self.weight, sizes)
        return [Batch(*parts) for parts in zip(inputs, targets, weights, strict=True)]


class TrainingData(NamedTuple):
    """The training rows, or the validation rows, in memory.

    Attributes
    ----------
    inputs : Cells
        Inputs of the encoder.
    target : Cells or None
        Rows to reconstruct. None means the inputs.
    weight : Tensor of shape (n_rows,) or None
        Weight of each row, with mean one. None means equal weights.
    """

    inputs: Cells
    target: Cells | None = None
    weight: Tensor | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.inputs.values)

    @property
    def device(self) -> torch.device:
        """Device of the rows."""
        return self.inputs.values.device

    @property
    def n_bytes(self) -> int:
        """Memory of the rows in bytes."""
        cells = (self.inputs,) if self.target is None else (self.inputs, self.target)
        tensors = [*(part for one in cells for part in one), self.weight]
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)

    @property
    def sample(self) -> TrainingData:
        """The rows themselves, as a sample in memory."""
        return self

    def take(self, index: Tensor | slice) -> Batch:
        """Return the rows at ``index`` as a batch."""
        inputs = self.inputs.take(index)
        target = inputs if self.target is None else self.target.take(index)
        return Batch(inputs, target, None if self.weight is None else self.weight[index])

    def select(self, index: Tensor | slice) -> TrainingData:
        """Return the rows at ``index`` as training data."""
        batch = self.take(index)
        target = None if self.target is None else batch.target
        return TrainingData(batch.inputs, target, batch.weight)

    def to(self, device: torch.device) -> TrainingData:
        """Move every tensor to a device."""
        return TrainingData(
            _cells_to(self.inputs, device),
            None if self.target is None else _cells_to(self.target, device),
            None if self.weight is None else self.weight.to(device),
        )

    def through(self, change: Callable[[TrainingData], TrainingData]) -> TrainingData:
        """Return the rows changed by a function."""
        return change(self)

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Yield every row once in batches of random order.

        A last batch of a single row is merged with the batch before it.

        Parameters
        ----------
        batch_size : int
            Number of rows of a batch.
        generator : torch.Generator
            Random generator of the order.
        skip : int, default=0
            Number of batches at the start that are left out.
        """
        places, at_once = self.places(batch_size, generator), self.at_once(batch_size)
        for start in range(skip // at_once * at_once, len(places), at_once):
            yield from self.gathered(places[start : start + at_once])[max(skip - start, 0) :]

    def at_once(self, batch_size: int) -> int:
        """Return the number of batches to gather at once, which is large for small batches."""
        return max(1, _GATHERED // (batch_size * max(self.inputs.values[:1].numel(), 1)))

    def gathered(self, places: Sequence[Tensor]) -> list[Batch]:
        """Return a batch for each index tensor, with a single gather."""
        return self.take(torch.cat(list(places))).split([len(index) for index in places])

    def places(self, batch_size: int, generator: torch.Generator) -> list[Tensor]:
        """Return the indices of the rows of each batch of a pass."""
        order = torch.randperm(self.n_rows, generator=generator).to(self.device)
        return balanced_split(order, batch_size)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield all rows in batches of their original order, for evaluation."""
        for start in range(0, self.n_rows, batch_size):
            yield self.take(slice(start, start + batch_size))


def joined(parts: Sequence[TrainingData]) -> TrainingData:
    """Concatenate rows. Cells of parts without a mask are observed."""
    if len(parts) == 1:
        return parts[0]
    inputs = _joined_cells([part.inputs for part in parts])
    targets = [part.target for part in parts if part.target is not None]
    weights = [part.weight for part in parts if part.weight is not None]
    return TrainingData(
        inputs, _joined_cells(targets) if targets else None, torch.cat(weights) if weights else None
    )


def _joined_cells(parts: Sequence[Cells]) -> Cells:
    values = torch.cat([part.values for part in parts])
    known = [part.observed for part in parts]
    shape = next((seen.shape[1:] for seen in known if seen is not None), None)
    if shape is None:
        return Cells(values)
    filled = [
        torch.ones((len(part.values), *shape), dtype=torch.bool) if seen is None else seen
        for part, seen in zip(parts, known, strict=True)
    ]
    return Cells(values, torch.cat(filled))


def _cells_to(cells: Cells, device: torch.device) -> Cells:
    observed = None if cells.observed is None else cells.observed.to(device)
    return Cells(cells.values.to(device), observed)


def balanced_split(order: Tensor, batch_size: int) -> list[Tensor]:
    """Split an index into batches, merging a last batch of one row with the one before it."""
    batches = list(torch.split(order, batch_size))
    if batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def n_batches(n_rows: int, batch_size: int) -> int:
    """Return the number of batches of one pass."""
    full, left_over = divmod(n_rows, batch_size)
    return max(1, full + (left_over > 1))
