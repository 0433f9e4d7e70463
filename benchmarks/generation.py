"""How like real rows are the rows of TableSampler, and how near to the training rows?

docs/generation.md's table comes from this command, run in the repository's root:

    OMP_NUM_THREADS=1 python benchmarks/generation.py --data DATA

DATA/imputation holds a file of each table, with its cells and which columns are categories.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from latently import TableSampler

TABLES = (
    "shoppers", "magic", "wine_red", "concrete", "credit", "california_mixed", "yeast", "airfoil"
)  # fmt: skip


def load(path: Path, max_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return training rows, unseen rows, and which columns are categories."""
    with np.load(path) as data:
        X, is_category = data["X"].astype(float), data["is_cat"].astype(bool)
    X = X[~np.isnan(X).any(1)]
    rows = np.random.default_rng(1000).permutation(len(X))
    n = min(len(X) // 2, max_rows)
    return X[rows[:n]], X[rows[n : 2 * n]], is_category


def frame_of(X: np.ndarray, is_category: np.ndarray) -> pd.DataFrame:
    """Return codes of categories as texts."""
    columns = {}
    for place, values in enumerate(X.T):
        whole = (values % 1 == 0).all()
        numbers = values.astype(np.int64) if whole else values
        texts = pd.Series([f"c{int(value)}" for value in values]) if is_category[place] else None
        columns[f"x{place}"] = numbers if texts is None else texts
    return pd.DataFrame(columns)


def codes_of(frame: pd.DataFrame, is_category: np.ndarray) -> np.ndarray:
    """Return the numbers of a frame of ``frame_of``."""
    columns = [
        frame[name].str[1:].astype(float) if is_cat else frame[name].astype(float)
        for name, is_cat in zip(frame.columns, is_category, strict=True)
    ]
    return np.stack(columns, 1)


def c2st(real: np.ndarray, made: np.ndarray, is_category: np.ndarray) -> float:
    """Return the AUROC of boosted trees between real and generated rows, by three folds."""
    X, y = np.vstack([real, made]), np.repeat([0, 1], [len(real), len(made)])
    model = HistGradientBoostingClassifier(
        max_iter=100, categorical_features=is_category, random_state=0, early_stopping=False
    )
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    odds = cross_val_predict(model, X, y, cv=folds, method="predict_proba")[:, 1]
    return float(roc_auc_score(y, odds))


def dcr_share(
    train: np.ndarray, test: np.ndarray, made: np.ndarray, is_category: np.ndarray
) -> float:
    """Return the share of generated rows that are nearer to a training row than to an unseen one.

    Numbers are divided by their range in the training rows, unlike categories are one apart.
    """
    low, span = train.min(0), np.maximum(np.ptp(train, axis=0), 1e-12)

    def encoded(X: np.ndarray) -> np.ndarray:
        parts = [((X - low) / span)[:, ~is_category]]
        for place in np.flatnonzero(is_category):
            levels = np.arange(train[:, place].max() + 1)
            parts.append(np.sqrt(0.5) * (X[:, [place]] == levels))
        return np.hstack(parts)

    near, far = (
        NearestNeighbors(n_neighbors=1).fit(encoded(rows)).kneighbors(encoded(made))[0][:, 0]
        for rows in (train, test)
    )
    ties = np.abs(near - far) <= 1e-7
    return float(((near < far) & ~ties).mean() + 0.5 * ties.mean())


def copies(train: np.ndarray, rows: np.ndarray) -> float:
    """Return the share of rows that equal a training row to six decimals."""
    known = {row.tobytes() for row in np.round(train, 6) + 0.0}
    return float(np.mean([row.tobytes() in known for row in np.round(rows, 6) + 0.0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--max-rows", type=int, default=2_000)
    parser.add_argument("--min-leaf", type=int, default=5)
    args = parser.parse_args()
    print("| table | C2ST | DCR share | copies | copies, unseen | CPU s |\n|" + " --- |" * 6)
    found = []
    for name in TABLES:
        path = args.data / "imputation" / f"{name}.npz"
        train, test, is_category = load(path, args.max_rows)
        start = time.process_time()
        sampler = TableSampler(min_leaf=args.min_leaf, random_state=0)
        drawn = sampler.fit(frame_of(train, is_category)).sample(len(test), random_state=0)
        seconds, made = time.process_time() - start, codes_of(drawn, is_category)
        found.append([
            c2st(test, made, is_category), dcr_share(train, test, made, is_category),
            copies(train, made), copies(train, test), seconds,
        ])  # fmt: skip
        print_line(name, found[-1])
    print_line("mean", list(np.mean(found, 0)))


def print_line(name: str, values: list[float]) -> None:
    """Print a line of a Markdown table."""
    *shares, seconds = values
    print(f"| {name} | " + " | ".join(f"{one:.3f}" for one in shares) + f" | {seconds:.1f} |")


if __name__ == "__main__":
    main()
