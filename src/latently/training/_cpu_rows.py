"""Training rows in CPU memory whose batches are moved to the GPU one by one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from latently.training._data import Batch, TrainingData

#: Number of rows of the sample on the device.
_SAMPLE_ROWS = 4_096


@dataclass(frozen=True)
class CPURows:
    """Rows in CPU memory, with the same batches as rows in device memory.

    Attributes
    ----------
    rows : TrainingData
        All rows, on the CPU.
    device : torch.device
        Device to which batches are moved.
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
        """Yield every row once in batches of random order, moved to the device."""
        return map(self._moved, self.rows.batches(batch_size, generator, skip))

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield all rows in batches of their original order, for evaluation."""
        return map(self._moved, self.rows.in_order(batch_size))

    def _moved(self, batch: Batch) -> Batch:
        shares = batch.target is batch.inputs
        rows = TrainingData(batch.inputs, None if shares else batch.target, batch.weight)
        return rows.to(self.device).take(slice(None))
