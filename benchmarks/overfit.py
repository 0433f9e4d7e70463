"""What closes the gap between training rows and new ones, where rows are few?

    python benchmarks/overfit.py --out overfit.csv

The 8 x 8 digits of scikit-learn as 64 numbers: 150 or 900 rows to learn from, 500 others to judge
by, codes of 16 numbers. FVU is the share of the variation that is not rebuilt, less is better; CPU
seconds are those of ``fit`` on ``OMP_NUM_THREADS=1``. The default is a ``DenseNetwork`` with batch
normalisation, dropout of 0.05 and a linear path; "plain layers" has none of the three.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import latently
from _records import Record, print_machine, print_methods, say, unique, written

N_COMPONENTS, N_TEST = 16, 500
WIDE = latently.DenseNetwork(normalization="batch", dropout=0.05, linear_path=True)


def arms(seed: int) -> dict[str, Any]:
    """Return unfitted models by what is done against overfitting."""
    changes: dict[str, dict[str, Any]] = {
        "default": {},
        "no early stopping": {"patience": None},
        "no rows held out": {"validation_fraction": 0.0, "patience": None},
        "weight decay 0.1": {"weight_decay": 0.1},
        "input noise 0.2": {"corruption": latently.GaussianNoise(0.2)},
        "input masking 0.3": {"corruption": latently.Masking(0.3)},
        "normalised only": {"network": latently.DenseNetwork(normalization="batch")},
        "dropout 0.2": {"network": replace(WIDE, dropout=0.2)},
        "plain layers": {"network": latently.DenseNetwork()},
    }
    models: dict[str, Any] = {
        name: latently.Autoencoder(N_COMPONENTS, random_state=seed, **change)
        for name, change in changes.items()
    }
    return {**models, "PCA": PCA(N_COMPONENTS)}


def run(sizes: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[Record]:
    """Fit every arm on few rows and judge it on them and on others."""
    X = (load_digits().data / 16).astype(np.float32)
    for n_rows in sizes:
        for seed in seeds:
            order = np.random.default_rng(seed).permutation(len(X))
            test, train = X[order[:N_TEST]], X[order[N_TEST : N_TEST + n_rows]]
            for name, model in arms(seed).items():
                say(f"{n_rows} rows, seed {seed}: {name}")
                start = time.process_time()
                model.fit(train)
                spent = time.process_time() - start
                figures = {
                    "train FVU": fvu(model, train, train.mean(0)),
                    "test FVU": fvu(model, test, train.mean(0)),
                    "CPU s": spent,
                }
                for measure, value in figures.items():
                    yield Record("overfit", f"{n_rows} rows", "digits", name, seed, measure, value)


def fvu(model: Any, rows: np.ndarray, mean: np.ndarray) -> float:
    """Return the share of the variation of rows that is not rebuilt."""
    rebuilt = model.inverse_transform(model.transform(rows))
    return float(np.square(rebuilt - rows).sum() / np.square(rows - mean).sum())


def report(records: list[Record]) -> None:
    """Print, for each number of rows, arms x measures: medians over the seeds."""
    for setting in unique(r.setting for r in records):
        print_methods([r for r in records if r.setting == setting], setting, np.median, "model")


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="not read: the digits come with scikit-learn")
    p.add_argument("--rows", default="150,900", help="comma-separated numbers of rows")
    p.add_argument("--seeds", default="0,1,2", help="comma-separated seeds")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    sizes, seeds = (tuple(map(int, text.split(","))) for text in (args.rows, args.seeds))
    report([*written(run(sizes, seeds), args.out)])


if __name__ == "__main__":
    main()
