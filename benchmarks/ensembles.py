"""What several seeds gain: an ensemble beside one model, longer, wider and with a larger code.

    OMP_NUM_THREADS=1 python benchmarks/ensembles.py --data DATA --out ensembles.json

Tables of ADBench of at most 200 columns, 2,000 rows each at most; a model learns from half of the
normal ones. Per table, all as multiples of one ``Autoencoder()`` on the same rows: squared error of
the other normal rows, squared error of a fifth of their cells that ``DenoisingAutoencoder()`` does
not see, and CPU seconds of both fits; AUROC of an ``AnomalyDetector`` around the first is a
difference. Medians over tables and seeds.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

import latently
from _data import list_datasets, load, split
from _records import Record, print_machine, print_methods, say, written

MAX_ROWS, MAX_COLUMNS, HIDDEN, N_MEMBERS = 2_000, 200, 0.2, 8
Made = Callable[[type, int, int, int], Any]


def _one(kind: type, size: int, n_columns: int, seed: int, **changes: Any) -> Any:
    return kind(**{"n_components": size, "random_state": seed, **changes})


def _ensemble(kind: type, size: int, n_columns: int, seed: int) -> Any:
    member = kind(n_components=size)
    return latently.EnsembleAutoencoder(member, n_estimators=N_MEMBERS, random_state=seed)


def _longer(kind: type, size: int, n_columns: int, seed: int) -> Any:
    return _one(kind, size, n_columns, seed, effort="thorough")


def _wider(kind: type, size: int, n_columns: int, seed: int) -> Any:
    """Return a model of about eight times the weights."""
    first = 3 * 2 ** int(np.ceil(np.log2(min(max(4 * n_columns, 32), 512))))
    network = latently.DenseNetwork((first, first // 2))
    return _one(kind, size, n_columns, seed, network=network)


def _larger_code(kind: type, size: int, n_columns: int, seed: int) -> Any:
    return _one(kind, min(N_MEMBERS * size, n_columns), n_columns, seed)


ARMS: dict[str, Made] = {
    "one": _one,
    "ensemble of 8": _ensemble,
    "one, four times the steps": _longer,
    "one, eight times the weights": _wider,
    "one, eight times the code": _larger_code,
}


def run(paths: list[Path], seeds: tuple[int, ...]) -> Iterator[Record]:
    """Fit every arm on normal rows and judge it on others."""
    for path in paths:
        for seed in seeds:
            X, y = load(path, MAX_ROWS)
            if X.shape[1] > MAX_COLUMNS:
                say(f"{path.stem}: {X.shape[1]} columns, left out")
                continue
            rows = split(X, y, "oneclass", seed)
            size = latently.Autoencoder(max_epochs=1, random_state=seed).fit(rows.train)
            found = {
                name: _judged(make, size.n_components_, rows, seed) for name, make in ARMS.items()
            }
            for name, figures in found.items():
                for measure, value in figures.items():
                    of_one = found["one"][measure]
                    told = value - of_one if measure == "AUROC" else value / of_one
                    yield Record("ensembles", path.stem, "one class", name, seed, measure, told)
            say(f"{path.stem}, seed {seed}")


def _judged(make: Made, size: int, rows: Any, seed: int) -> dict[str, float]:
    start = time.process_time()
    plain = make(latently.Autoencoder, size, rows.train.shape[1], seed).fit(rows.train)
    denoising = make(latently.DenoisingAutoencoder, size, rows.train.shape[1], seed).fit(rows.train)
    spent = time.process_time() - start
    normal = rows.test[~rows.is_anomaly]
    hidden = np.random.default_rng(seed).random(normal.shape) < HIDDEN

    def errors(model: Any, shown: np.ndarray) -> np.ndarray:
        return np.square(model.reconstruct(shown) - normal)

    # Fitted on all but the rows that it is calibrated by.
    fresh = make(latently.Autoencoder, size, rows.train.shape[1], seed)
    detector = latently.AnomalyDetector(autoencoder=fresh, random_state=seed).fit(rows.train)
    return {
        "error of new rows": float(errors(plain, normal).mean()),
        "error of hidden cells": float(
            errors(denoising, np.where(hidden, np.nan, normal))[hidden].mean()
        ),
        "AUROC": float(roc_auc_score(rows.is_anomaly, -detector.score_samples(rows.test))),
        "CPU seconds": spent,
    }


def main() -> None:
    """Run what was asked for and print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with adbench/")
    p.add_argument("--datasets", default="all", help="as of anomaly.py")
    p.add_argument("--seeds", default="0", help="comma-separated seeds")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    seeds = tuple(map(int, args.seeds.split(",")))
    records = [*written(run(list_datasets(args.data, args.datasets), seeds), args.out)]
    print_methods(records, "one model is 1", np.median, "model")


if __name__ == "__main__":
    main()
