"""Training rows that several workers share, each with its shard of every batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, tee

import torch
from torch import Tensor

from latently.io._prefetch import prefetched
from latently.nn import BatchShard
from latently.training._data import Batch, TrainingData, joined, n_batches
from latently.training._stream import StreamedData
from latently.training.distributed._workers import Workers, shard_of


@dataclass(frozen=True)
class ShardedRows:
    """Rows in the memory of every worker, with the same batches as in a single process.

    Attributes
    ----------
    rows : TrainingData
        All rows.
    workers : Workers
        Workers that share the batches.
    """

    rows: TrainingData
    workers: Workers

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.rows.n_rows

    @property
    def device(self) -> torch.device:
        """Device of the rows."""
        return self.rows.device

    @property
    def sample(self) -> TrainingData:
        """All rows."""
        return self.rows

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Yield this worker's shard of each batch of a single process."""
        yield from map(self._own, self.rows.places(batch_size, generator)[skip:])

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Yield this worker's shard of all rows in batches of their original order."""
        places = torch.arange(self.n_rows, device=self.device)
        return map(self._own, torch.split(places, batch_size))

    def _own(self, index: Tensor) -> Batch:
        """Return this worker's shard of a batch."""
        own = shard_of(len(index), self.workers.rank, self.workers.n_workers)
        shard = BatchShard(own.start, own.stop, len(index), self.workers)
        return self.rows.take(index[own])._replace(shard=shard)


@dataclass(frozen=True)
class ShardedStream:
    """Rows on disk, of which each worker reads its own chunks.

    A worker with more rows has more rows in each batch. All workers therefore take the same number
    of steps, and every row is used exactly once in a pass.

    Attributes
    ----------
    stream : StreamedData
        All rows.
    workers : Workers
        Workers that share the batches.
    """

    stream: StreamedData
    workers: Workers

    @property
    def n_rows(self) -> int:
        """Number of rows of one pass, over all workers."""
        return self.stream.n_rows

    @property
    def device(self) -> torch.device:
        """Device to which batches are moved."""
        return self.stream.device

    @property
    def sample(self) -> TrainingData:
        """Random sample of all rows, in memory."""
        return self.stream.sample

    def batches(
        self, batch_size: int, generator: torch.Generator, skip: int = 0
    ) -> Iterator[Batch]:
        """Yield every row of this worker once, as its shard of each batch."""
        seed = int(torch.randint(2**31, (), generator=generator))
        rank, n_workers = self.workers.rank, self.workers.n_workers
        counts, n_steps = self.stream.counts(n_workers), n_batches(self.n_rows, batch_size)
        largest = -(-counts[rank] // n_steps)
        first, second = tee(self._shards(counts, n_steps))
        with prefetched(self.stream.buffers(largest, seed, rank, n_workers)) as buffers:
            own = _recut(buffers, (shard.stop - shard.start for shard in first), self.sample)
            for batch, shard in islice(zip(own, second, strict=True), skip, None):
                yield batch.to(self.device).take(slice(None))._replace(shard=shard)

    def _shards(self, counts: Sequence[int], n_steps: int) -> Iterator[BatchShard]:
        """Yield this worker's range of rows in each batch."""
        for step in range(n_steps):
            sizes = [(step + 1) * n // n_steps - step * n // n_steps for n in counts]
            start = sum(sizes[: self.workers.rank])
            yield BatchShard(start, start + sizes[self.workers.rank], sum(sizes), self.workers)


def _recut(
    buffers: Iterator[TrainingData], sizes: Iterable[int], like: TrainingData
) -> Iterator[TrainingData]:
    """Yield the rows of some buffers in pieces of the given sizes, which may be 0."""
    left = like.select(slice(0))
    for size in sizes:
        while left.n_rows < size:
            buffer = next(buffers)
            left = joined([left, buffer]) if left.n_rows else buffer
        yield left.select(slice(size))
        left = left.select(slice(size, None))
