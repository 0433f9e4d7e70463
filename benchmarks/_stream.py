"""Time of one row of a stream, and its score beside that of the row in a table.

Medians of process time, of rows that come one by one after a fit to 20,000 rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from _records import Record, print_table, say, unique
from latently import AnomalyDetector
from latently.datasets import make_transactions

N_TRAINING, N_STREAMED, N_FEW = 20_000, 2_000, 500


def run_stream(*, quick: bool = False) -> Iterator[Record]:
    """Yield time, difference and flags of streams of two kinds of rows."""
    n_training = 2_000 if quick else N_TRAINING
    for name, training, table, rows in _streams(n_training, N_FEW if quick else N_STREAMED):
        say(f"stream {name}")
        detector = AnomalyDetector(random_state=0).fit(training)
        stream, cut = detector.stream(), detector.threshold_.cut
        wanted = detector.anomaly_score(table)
        seconds, found = [], []
        for row in rows:
            start = time.process_time()
            scored = stream.score(row)
            seconds.append(time.process_time() - start)
            found.append(scored.anomaly_score)
        difference = np.abs(np.array(found) - wanted) / np.maximum(1, np.abs(wanted))
        n_flags = int(((np.array(found) > cut) != (wanted > cut)).sum())
        for measure, value in (
            ("ms a row", 1e3 * float(np.median(seconds))),
            ("ms a row, slowest of 20", 1e3 * float(np.quantile(seconds, 0.95))),
            ("largest difference", float(difference.max())),
            ("flags that differ", float(n_flags)),
        ):
            yield Record("stream", "", name, "latently", 0, measure, value)


def _streams(n_training: int, n_rows: int) -> Iterator[tuple[str, Any, Any, Sequence[Any]]]:
    mix = np.random.default_rng(0).normal(size=(6, 10))

    def numbers(n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return np.tanh(rng.normal(size=(n, 6)) @ mix) + 0.1 * rng.normal(size=(n, 10))

    new = numbers(n_rows, 2)
    yield "10 numbers", numbers(n_training, 1), new, list(new)
    table = make_transactions(n_rows, random_state=2).data
    training = make_transactions(n_training, random_state=1).data
    yield "13 mixed columns with gaps", training, table, table.to_pylist()


def report_stream(records: Sequence[Record]) -> None:
    """Print the table of streams."""
    found = {(r.dataset, r.measure): r.value for r in records}
    measures = unique(r.measure for r in records)
    print("\n## Streams: one row after the other\n")
    body = [
        [name, *(f"{found[name, measure]:.2g}" for measure in measures)]
        for name in unique(r.dataset for r in records)
    ]
    print_table(["rows", *measures], body)
