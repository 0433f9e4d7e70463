"""Does an exported file give the flags and scores of its model, and how fast?

docs/export.md's table comes from this command, run in the repository's root:

    OMP_NUM_THREADS=1 python benchmarks/export.py

Each line: flags that differ in so many unseen rows, the largest difference of a score (as a
fraction of it above 1), milliseconds of one row (median of 300) and seconds of all rows, for the
file in onnxruntime with one thread and for the model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import torch

from latently import AnomalyDetector, Autoencoder, export_onnx
from latently.datasets import make_transactions
from latently.export._rows import inputs_of

Draw = Callable[[int, int], Any]


def numbers(n_rows: int, seed: int) -> np.ndarray:
    """Return rows of ten correlated numbers in very different units."""
    mix = np.random.default_rng(0).normal(size=(6, 10))
    rng = np.random.default_rng(seed)
    rows = np.tanh(rng.normal(size=(n_rows, 6)) @ mix) + 0.1 * rng.normal(size=(n_rows, 10))
    return rows * np.logspace(-2, 3, 10)


def mixed(n_rows: int, seed: int) -> pa.Table:
    """Return transactions of mixed columns with gaps."""
    return make_transactions(n_rows, random_state=seed).data


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """Return a session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options)


def median_ms(call: Callable[[int], object], n_calls: int) -> float:
    """Return the median time of a call in milliseconds."""
    times = []
    for place in range(n_calls):
        start = time.perf_counter()
        call(place)
        times.append(time.perf_counter() - start)
    return 1_000 * float(np.median(times))


def report(name: str, detector: AnomalyDetector, draw: Draw, n_rows: int) -> None:
    """Print one line of the table."""
    detector.fit(draw(20_000, 1))
    rows = draw(n_rows, 2)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(detector, Path(folder) / "a.onnx", outputs=["score"])
        session = session_of(Path(folder) / "a.onnx")
    given = inputs_of(detector.autoencoder_.preprocessor_, rows)
    start = time.perf_counter()
    score, _, flag = session.run(["score", "p_value", "flag"], given)
    middle = time.perf_counter()
    wanted = detector.anomaly_score(rows)
    model_s, file_s = time.perf_counter() - middle, middle - start
    difference = np.abs(score - wanted) / np.maximum(1, np.abs(wanted))
    singles = [{key: cells[[place]] for key, cells in given.items()} for place in range(300)]
    stream = detector.stream()
    one = rows[:300] if isinstance(rows, np.ndarray) else rows.slice(0, 300).to_pylist()
    file_ms = median_ms(lambda place: session.run(["score", "flag"], singles[place]), 300)
    model_ms = median_ms(lambda place: stream.score(one[place]), 300)
    n_flags = int((flag != (wanted > detector.threshold_.cut)).sum())
    print(
        f"| {name} | {n_flags} of {n_rows:,} | {difference.max():.1e} | "
        f"{file_ms:.2f} / {model_ms:.2f} | {file_s:.1f} / {model_s:.1f} |",
        flush=True,
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-rows", type=int, default=100_000)
    n_rows = parser.parse_args().n_rows
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print("| detector | flags that differ | largest difference | one row, ms | all rows, s |")
    print("|---|---|---|---|---|")
    network = Autoencoder(4, effort="fast", random_state=0)
    for columns, draw in (("10 numbers", numbers), ("13 mixed columns", mixed)):
        report(f"default, {columns}", AnomalyDetector(random_state=0), draw, n_rows)
        own = AnomalyDetector(autoencoder=network, random_state=0)
        report(f"Autoencoder, {columns}", own, draw, n_rows)


if __name__ == "__main__":
    main()
