"""Training rows that are not in memory: read anew in every pass, mixed in a buffer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch

from latently.io._prefetch import prefetched
from latently.training._data import Batch, TrainingData, balanced_split, joined

#: Numbers that are mixed at once: 16 MiB in single precision.
_BUFFER_ELEMENTS = 1 << 22
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class StreamedData:
    """Rows that come in chunks, in an order that a seed decides.

    Attributes
    ----------
    n_rows : int
        Rows of one pass.
    chunks : callable
        From a seed, the number of a worker and how many there are, to that worker's chunks of one
        pass; (seed, 0, 1) gives all.
    counts : callable
        From a number of workers to the rows that each of them reads.
    sample : TrainingData
        Rows drawn from all, in memory.
    device : torch.device, default=cpu
        Where batches are handed out.
    """

    n_rows: int
    chunks: Callable[[int, int, int], Iterator[TrainingData]]
    counts: Callable[[int], Sequence[int]]
    sample: TrainingData
    device: torch.device = _CPU

    def to(self, device: torch.device) -> StreamedData:
        """Hand out batches on a device."""
        return replace(self, sample=self.sample.to(device), device=device)

    def through(self, change: Callable[[TrainingData], TrainingData]) -> StreamedData:
        """Return these rows as some function makes them."""

        def changed(seed: int, rank: int, n_workers: int) -> Iterator[TrainingData]:
            return map(change, self.chunks(seed, rank, n_workers))

        return replace(self, chunks=changed, sample=change(self.sample))

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Deal out every row once, mixed within buffers of parts from all over the table.

        The next buffer is read and mixed by a background thread. The first ``skip`` batches are
        read, but not handed out.
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
        """Yield a worker's rows mixed, whole batches at a time; at last what is left over."""
        generator = torch.Generator().manual_seed(seed)
        waiting: list[TrainingData] = []
        n_waiting = n_elements = 0
        for chunk in self.chunks(seed, rank, n_workers):
            waiting.append(chunk)
            n_waiting += chunk.n_rows
            n_elements += chunk.inputs.values.numel()
            # Two rows stay behind at least: none may be alone in the last batch.
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
