"""From a dataset on disk to training rows: one pass to know its columns, then batches of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import narwhals as nw
import numpy as np
import pyarrow as pa

from latently._spec import LikelihoodChoice
from latently.estimators._fitting import training_data
from latently.estimators._split import SplitRule
from latently.io import RowPicker, TableDataset, prefetched, watched
from latently.preprocessing import TablePreprocessor
from latently.training import StreamedData, TrainingData

#: Rows kept in memory for a PCA, the prior of the code and the first look at columns; fewer where
#: rows are wide.
_SAMPLE_ROWS, _FEWEST, _SAMPLE_CELLS = 20_000, 1_000, 1 << 23


class Stream(NamedTuple):
    """A dataset made ready to be learnt from.

    Attributes
    ----------
    preprocessor : TablePreprocessor
        Of the columns of all rows.
    train, every : StreamedData
        Rows to learn from, without and with those held out.
    valid : TrainingData or None
        Rows held out, in memory.
    """

    preprocessor: TablePreprocessor
    train: StreamedData
    every: StreamedData
    valid: TrainingData | None


def open_stream(
    dataset: TableDataset, likelihood: LikelihoodChoice, rule: SplitRule, seed: int, verbose: bool
) -> Stream:
    """Read a dataset once: choose how to encode its columns, hold rows out, draw a sample."""
    most = max(min(_SAMPLE_ROWS, _SAMPLE_CELLS // dataset.shape[1]), _FEWEST)
    held = rule.hold_out(dataset.n_rows, most, seed)
    places = _sampled(dataset.n_rows, held, most, seed)
    pickers = [RowPicker(held), RowPicker(places)]
    preprocessor = TablePreprocessor.fit_pieces(
        _seen_by(pickers, watched(prefetched(dataset), "reading", dataset.n_rows, verbose)),
        likelihood,
    )
    valid, sample = (_encoded(preprocessor, picker.table()) for picker in pickers)

    def chunks(seed: int, without: np.ndarray) -> Iterator[TrainingData]:
        for start, table in dataset.shuffled(seed):
            left = _without(table, start, without)
            if left.num_rows:
                yield _encoded(preprocessor, left)

    nothing = held[:0]
    train = StreamedData(dataset.n_rows - len(held), lambda seed: chunks(seed, held), sample)
    every = StreamedData(dataset.n_rows, lambda seed: chunks(seed, nothing), sample)
    return Stream(preprocessor, train, every, valid if len(held) else None)


def _seen_by(pickers: list[RowPicker], pieces: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Let rows be picked from pieces that go by."""
    for piece in pieces:
        for picker in pickers:
            picker.see(piece)
        yield piece


def _encoded(preprocessor: TablePreprocessor, table: pa.Table) -> TrainingData:
    return training_data(preprocessor, nw.from_native(table, eager_only=True), None, None)


def _sampled(n_rows: int, held: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Draw places that are not held out, in their order."""
    n_left = n_rows - len(held)
    rng = np.random.default_rng(seed)
    drawn = np.sort(rng.choice(n_left, min(most, n_left), replace=False))
    # Of the rows left, number k stands as many places later as rows before it are held out.
    return drawn + np.searchsorted(held - np.arange(len(held)), drawn, side="right")


def _without(table: pa.Table, start: int, places: np.ndarray) -> pa.Table:
    """Return a piece of a table less the rows at some sorted places of the whole."""
    first, last = np.searchsorted(places, (start, start + table.num_rows))
    if first == last:
        return table
    kept = np.ones(table.num_rows, dtype=bool)
    kept[places[first:last] - start] = False
    return table.filter(pa.array(kept))
