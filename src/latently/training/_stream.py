"""Training rows that are read from disk in every pass and shuffled in a buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch

from latently.io._prefetch import prefetched
from latently.training._data import Batch, TrainingData, balanced_split, joined

#: Number of elements of the shuffle buffer, 16 MiB in single precision.
_BUFFER_ELEMENTS = 1 << 22
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class StreamedData:
    """Rows that are read in chunks, in an order determined by a seed.

    Attributes
    ----------
    n_rows : int
        Number of rows of one pass.
    chunks : callable
        Function of (seed, rank, n_workers) that returns the chunks of one worker for one pass.
        (seed, 0, 1) returns all chunks.
    counts : callable
        Function of the number of workers that returns the number of rows of each worker.
    sample : TrainingData
        Random sample of the rows, in memory.
    device : torch.device, default=cpu
        Device to which batches are moved.
    """

    n_rows: int
    chunks: Callable[[int, int, int], Iterator[TrainingData]]
    counts: Callable[[int], Sequence[int]]
    sample: TrainingData
    device: torch.device = _CPU

    def to(self, device: torch.device) -> StreamedData:
        """Return the same rows with batches on another device."""
        return replace(self, sample=self.sample.to(device), device=device)

    def through(self, change: Callable[[TrainingData], TrainingData]) -> StreamedData:
        """Return the rows changed by a function."""

        def changed(seed: int, rank: int, n_workers: int) -> Iterator[TrainingData]:
            return map(change, self.chunks(seed, rank, n_workers))

        return replace(self, chunks=changed, sample=change(self.sample))

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Yield every row once in batches, shuffled within buffers of chunks in random order.

        A background thread reads and shuffles the next buffer. The first ``skip`` batches are read
        but not returned.
        """
        seed = int(torch.randint(2**31, (), generator=generator))
        yield from islice(self._dealt(batch_size, seed), skip, None)

    def _dealt(self, batch_size: int, seed: int) -> Iterator[Batch]:
        with prefetched(self.buffers(batch_size, seed)) as buffers:
            for buffer in buffers:
                moved = buffer.to(self.device)
                for index in balanced_split(torch.arange(moved.n_rows), batch_size):
                    run = slice(int(index[0]), int(index[-1]) + 1)
                    yield moved.take(run)

    def buffers(
        self, batch_size: int, seed: int, rank: int = 0, n_workers: int = 1
    ) -> Iterator[TrainingData]:
        """Yield shuffled buffers of a worker's rows, in whole batches except for the last one."""
        generator = torch.Generator().manual_seed(seed)
        waiting: list[TrainingData] = []
        n_waiting = n_elements = 0
        for chunk in self.chunks(seed, rank, n_workers):
            waiting.append(chunk)
            n_waiting += chunk.n_rows
            n_elements += chunk.inputs.values.numel()
            # At least two rows are kept back, so that the last batch has more than one row.
            n_whole = (n_waiting - 2) // batch_size * batch_size
            if n_elements >= _BUFFER_ELEMENTS and n_whole > 0:
                mixed = joined(waiting).select(torch.randperm(n_waiting, generator=generator))
                yield mixed.select(slice(n_whole))
                rest = mixed.select(torch.arange(n_whole, n_waiting))
                waiting, n_waiting, n_elements = [rest], rest.n_rows, rest.inputs.values.numel()
        mixed = joined(waiting).select(torch.randperm(n_waiting, generator=generator))
        n_whole = max((n_waiting - 2) // batch_size, 0) * batch_size
        if n_whole:
            yield mixed.select(slice(n_whole))
        yield mixed.select(slice(n_whole, None))


TrainingRows = TrainingData | StreamedData
