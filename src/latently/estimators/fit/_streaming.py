"""Training rows from a dataset on disk: one pass to fit the columns, then batches of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pyarrow as pa

from latently._layout import LikelihoodChoice
from latently.estimators.fit._prepare import training_data
from latently.estimators.fit._split import SplitRule
from latently.exceptions import DataError
from latently.io import Piece, TableDataset
from latently.io._prefetch import prefetched
from latently.io._progress import watched
from latently.io.dataset._dataset import RowPicker
from latently.io.tables._ipc import from_ipc, to_ipc
from latently.preprocessing import TablePreprocessor, tallied
from latently.training import (
    Callback,
    Engine,
    StreamedData,
    TrainingData,
    TrainingEngine,
    Workers,
    differing,
)

#: Rows kept in memory for the PCA and for the prior of the code: at most this many, fewer where
#: the sample would have more than this many cells, at least this many.
_SAMPLE_ROWS, _SAMPLE_CELLS, _MIN_SAMPLE_ROWS = 20_000, 1 << 23, 1_000


class Stream(NamedTuple):
    """Training and validation rows of a dataset.

    Attributes
    ----------
    preprocessor : TablePreprocessor
        Preprocessor, fitted to all rows.
    train, every : StreamedData
        Training rows without and with the held-out rows.
    valid : TrainingData or None
        Held-out rows, in memory.
    """

    preprocessor: TablePreprocessor
    train: StreamedData
    every: StreamedData
    valid: TrainingData | None


def open_stream(
    dataset: TableDataset,
    likelihood: LikelihoodChoice,
    max_categories: int,
    rule: SplitRule,
    seed: int,
    verbose: bool,
    engine: Engine,
    weights: np.ndarray | None = None,
) -> Stream:
    """Read a dataset once to fit the preprocessor, hold out rows and draw a sample.

    Each worker reads its own parts of the files, and all workers get the combined result. Rows of
    weight zero are left out.
    """
    most = max(min(_SAMPLE_ROWS, _SAMPLE_CELLS // dataset.shape[1]), _MIN_SAMPLE_ROWS)
    ignored = np.flatnonzero(np.arange(0) if weights is None else weights == 0)
    held = np.setdiff1d(rule.hold_out(dataset.n_rows, most, seed), ignored)
    set_apart = np.union1d(held, ignored)
    places = [held, _sampled(dataset.n_rows, set_apart, most, seed)]

    def scan(engine: TrainingEngine, callbacks: Sequence[Callback]) -> list[dict[str, Any]]:
        is_watched = verbose and engine.workers.rank == 0
        return _scan(dataset, places, ignored, engine.workers, is_watched, max_categories)

    found = engine.launch(scan)
    preprocessor = TablePreprocessor.of_tallies(
        dataset.schema, [part["tally"] for part in found], likelihood, max_categories
    )
    valid, sample = (
        _encoded(
            preprocessor, _gathered_rows(found, side), None if weights is None else weights[own]
        )
        for side, own in enumerate(places)
    )
    train = StreamedRows(dataset, preprocessor, set_apart, weights)
    every = StreamedRows(dataset, preprocessor, ignored, weights)
    return Stream(
        preprocessor, train.data(sample), every.data(sample), valid if len(held) else None
    )


@dataclass(frozen=True)
class StreamedRows:
    """Rows of a dataset, encoded when they are read, without the rows in ``without``."""

    dataset: TableDataset
    preprocessor: TablePreprocessor
    without: np.ndarray
    weights: np.ndarray | None = None

    def data(self, sample: TrainingData) -> StreamedData:
        """Return the rows as training data."""
        n_rows = self.dataset.n_rows - len(self.without)
        return StreamedData(n_rows, self.chunks, self.counts, sample)

    def chunks(self, seed: int, rank: int, n_workers: int) -> Iterator[TrainingData]:
        """Yield the rows of a worker, shuffled by a seed."""
        for start, table in self.dataset.shuffled(seed, rank, n_workers):
            kept = _kept_mask(table, start, self.without)
            if kept.any():
                own = None if self.weights is None else self.weights[start : start + len(kept)]
                yield _encoded(
                    self.preprocessor, _filtered(table, kept), None if own is None else own[kept]
                )

    def counts(self, n_workers: int) -> list[int]:
        """Return the number of rows of each worker."""
        every = self.dataset.places(n_workers)
        return [sum(len(places) - self._n_without(places) for places in own) for own in every]

    def _n_without(self, places: range) -> int:
        """Return the number of rows in a range that are left out."""
        first, last = np.searchsorted(self.without, (places.start, places.stop))
        return int(last - first)


def read_together(dataset: TableDataset, engine: Engine) -> pa.Table:
    """Read a whole table on all workers, each of which reads its own parts and sends them.

    Parameters
    ----------
    dataset : TableDataset
        Rows to read.
    engine : Engine
        Engine of the workers.

    Returns
    -------
    pyarrow.Table
        All rows in their original order, on each worker.
    """
    workers = engine.workers
    _check_agreement(dataset, workers)
    pieces = list(dataset.pieces(workers.rank, workers.n_workers))
    own = pa.concat_tables([dataset.schema.empty_table(), *(table for _, table in pieces)])
    spans = [np.arange(start, start + table.num_rows) for start, table in pieces]
    places = np.concatenate([np.arange(0), *spans])
    found = workers.gather({"rows": [to_ipc(own)], "places": [places]})
    return _gathered_rows(found, 0)


def _scan(
    dataset: TableDataset,
    places: list[np.ndarray],
    ignored: np.ndarray,
    workers: Workers,
    verbose: bool,
    max_categories: int,
) -> list[dict[str, Any]]:
    """Read the parts of this worker once, and return the findings of all workers."""
    _check_agreement(dataset, workers)
    pickers = [RowPicker(side) for side in places]
    n_own = sum(map(len, dataset.places(workers.n_workers)[workers.rank]))
    with prefetched(dataset.pieces(workers.rank, workers.n_workers)) as pieces:
        seen = _picked_and_kept(pickers, watched(pieces, "reading", n_own, verbose), ignored)
        tally = tallied(dataset.schema, seen, max_categories)
    held, nothing = places[0], dataset.schema.empty_table()
    found = {
        "tally": tally,
        "places": [np.concatenate([held[:0], *picker.seen]) for picker in pickers],
        "rows": [to_ipc(picker.table() if picker.seen else nothing) for picker in pickers],
    }
    return workers.gather(found)


def _check_agreement(dataset: TableDataset, workers: Workers) -> None:
    """Raise DataError on every worker if one of them reads another table."""
    columns = ", ".join(f"{field.name} ({field.type})" for field in dataset.schema)
    tables = workers.gather({"columns": columns, "rows": f"{dataset.n_rows:,}"})
    found = differing(tables)
    if found is not None:
        rank, part = found
        raise DataError(
            f"Worker {rank} reads other {part} than the first one: {tables[rank][part]!s:.60}, not "
            f"{tables[0][part]!s:.60}. Give all workers the same files."
        )


def _picked_and_kept(
    pickers: list[RowPicker], pieces: Iterator[Piece], ignored: np.ndarray
) -> Iterator[Piece]:
    """Pass pieces to the pickers, and yield their rows that are not ignored."""
    for piece in pieces:
        for picker in pickers:
            picker.add(piece)
        kept = _kept_mask(piece.table, piece.start, ignored)
        if kept.any():
            yield piece._replace(table=_filtered(piece.table, kept))


def _gathered_rows(found: list[dict[str, Any]], side: int) -> pa.Table:
    """Return the picked rows of all workers, in the order of the table."""
    rows = pa.concat_tables([from_ipc(part["rows"][side]) for part in found]).unify_dictionaries()
    order = np.argsort(np.concatenate([part["places"][side] for part in found]), kind="stable")
    return rows.take(pa.array(order))


def _encoded(
    preprocessor: TablePreprocessor, table: pa.Table, weights: np.ndarray | None
) -> TrainingData:
    return training_data(preprocessor, nw.from_native(table, eager_only=True), None, weights)


def _sampled(n_rows: int, held: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw sorted indices of rows that are not held out."""
    n_left = n_rows - len(held)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(n_left, min(most, n_left), replace=False))
    # The index of remaining row k is k plus the number of held-out rows before it.
    return drawn + np.searchsorted(held - np.arange(len(held)), drawn, side="right")


def _kept_mask(table: pa.Table, start: int, without: np.ndarray) -> np.ndarray:
    """Return a mask of the rows of a piece whose index is not in the sorted ``without``."""
    first, last = np.searchsorted(without, (start, start + table.num_rows))
    kept = np.ones(table.num_rows, dtype=bool)
    kept[without[first:last] - start] = False
    return kept


def _filtered(table: pa.Table, kept: np.ndarray) -> pa.Table:
    return table if kept.all() else table.filter(pa.array(kept))
