"""Training rows that stay in the memory of the machine: the GPU sees them batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from latently.training._data import Batch, TrainingData

#: Rows that are on the device, to measure a model by.
_SAMPLE_ROWS = 4_096


@dataclass(frozen=True)
class CPURows:
    """Rows that do not fit on a device, in the batches of those that do.

    Attributes
    ----------
    rows : TrainingData
        All rows, on the CPU.
    device : torch.device
        Where batches are handed out.
    """

    rows: TrainingData
    device: torch.device

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.rows.n_rows

    @property
    def sample(self) -> TrainingData:
        """The first rows, on the device."""
        return self.rows.select(slice(_SAMPLE_ROWS)).to(self.device)

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Deal out every row once, in random order, moved as it is needed."""
        return map(self._moved, self.rows.batches(batch_size, generator, skip))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Deal out all rows in their order, for judging."""
        return map(self._moved, self.rows.in_order(batch_size))

    def _moved(self, batch: Batch) -> Batch:
        shares = batch.target is batch.inputs
        rows = TrainingData(batch.inputs, None if shares else batch.target, batch.weight)
        return rows.to(self.device).take(slice(None))
