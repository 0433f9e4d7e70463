"""What saving a training costs, and how soon it goes on.

    OMP_NUM_THREADS=1 python benchmarks/checkpoints.py --out checkpoints.json

Three networks on drawn rows. ``overhead``: the same fit with and without a checkpoint at the
default interval, in turns; the ratio of their medians less one. A fit shorter than the interval is
saved once, at its end; to see more, ``--interval`` sets the seconds between two savings. ``save``
and ``resume``: seconds for one saving, and until a killed training takes its next step, the reading
and encoding of the rows included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from _records import Record, print_machine, print_table, say, unique, written
from latently import Autoencoder, DenseNetwork, checkpointing
from latently.training import _checkpoint
from latently.training._run import Run

SHAPES = {
    "10-64-32-4": (10, (64, 32), 4, 20_000),
    "100-64-32-8": (100, (64, 32), 8, 20_000),
    "784-1000-500-250-30": (784, (1000, 500, 250), 30, 10_000),
}


class Stopped(Exception):
    """The training has come as far as it shall."""


def rows_of(width: int, n_rows: int) -> np.ndarray:
    """Return rows that a few causes explain but for noise."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n_rows, min(width, 10)))
    return causes @ rng.normal(size=(causes.shape[1], width)) + rng.normal(size=(n_rows, width))


def model_of(shape: str, n_epochs: int) -> Autoencoder:
    """Return an unfitted autoencoder of a shape."""
    _, sizes, n_components, _ = SHAPES[shape]
    network = DenseNetwork(sizes)
    return Autoencoder(
        n_components, network=network, max_epochs=n_epochs, patience=None, random_state=0
    )


def seconds(model: Autoencoder, X: np.ndarray, folder: str | None, interval: float) -> float:
    """Return how long a fit takes, saved or not."""
    start = time.perf_counter()
    with checkpointing(folder, interval=interval):
        model.fit(X)
    return time.perf_counter() - start


def overhead(shape: str, X: np.ndarray, n_epochs: int, n_rounds: int, interval: float) -> float:
    """Return what share a fit takes longer for being saved."""
    plain, saved = [], []
    for _ in range(n_rounds):
        plain.append(seconds(model_of(shape, n_epochs), X, None, interval))
        with tempfile.TemporaryDirectory() as folder:
            saved.append(seconds(model_of(shape, n_epochs), X, folder, interval))
    return median(saved) / median(plain) - 1


def save_and_resume(shape: str, X: np.ndarray) -> tuple[float, float]:
    """Return the seconds of one saving, and those until a killed training goes on."""
    save, advance = _checkpoint.TrainingCheckpoint.save, Run.advance
    spent: dict[str, float] = {}

    def timed(checkpoint: Any, state: Any) -> None:
        start = time.perf_counter()
        save(checkpoint, state)
        spent["save"] = time.perf_counter() - start

    def stop(run: Any, stepper: Any, n_steps: int) -> float:
        if run.step:
            run.save()
            raise Stopped
        return advance(run, stepper, n_steps)

    _checkpoint.TrainingCheckpoint.save = timed  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        for key in ("first", "resume"):
            Run.advance = stop  # type: ignore[method-assign]
            start = time.perf_counter()
            try:
                model_of(shape, 10).fit(X, checkpoint=folder)
            except Stopped:
                spent[key] = time.perf_counter() - start
    _checkpoint.TrainingCheckpoint.save, Run.advance = save, advance  # type: ignore[method-assign]
    return spent["save"], spent["resume"] - spent["save"]


def measure(args: argparse.Namespace) -> Iterator[Record]:
    """Yield the figures of each shape."""
    for shape, (width, _, _, n_rows) in SHAPES.items():
        say(shape)
        X = rows_of(width, n_rows)
        n_epochs = args.epochs if width < 500 else max(args.epochs // 3, 1)
        share = overhead(shape, X, n_epochs, args.rounds, args.interval)
        saving, going_on = save_and_resume(shape, X)
        for what, value in (
            ("overhead", share), ("seconds of a saving", saving), ("seconds to go on", going_on)
        ):  # fmt: skip
            yield Record("checkpoints", shape, "drawn", "latently", 0, what, value)


def main() -> None:
    """Run and print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--epochs", type=int, default=30, help="of the small networks")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--interval", type=float, default=30.0, help="seconds between two savings")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    records = list(written(measure(args), args.out))
    measures = unique(record.measure for record in records)
    values = {(record.setting, record.measure): record.value for record in records}
    body = [[shape, *(f"{values[shape, m]:.3g}" for m in measures)] for shape in SHAPES]
    print_table(["network", *measures], body)


if __name__ == "__main__":
    main()
