"""Does the explanation name the guilty column, and do latents stand for factors that are known?

README.md's table comes from this command, run in the repository's root:

    python benchmarks/explanation.py --out explanation.csv

Tables: a synthetic factor model of 20 columns, breast_cancer (30) and wine (13) of scikit-learn.
Peer: ``pip install shap``; where it is not installed it is named, and left out. Milliseconds are
CPU time a row on ``OMP_NUM_THREADS=1``, the row's score included.

Settings
    shift      a cell is moved by five standard deviations of its column.
    swap       a cell takes the value of another row at least one standard deviation away: within
               its range, wrong in its row.
    linear     five independent factors mixed into 20 columns: do five latents stand for them?
    nonlinear  the same, bent.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sklearn import datasets

import latently
from _records import Record, print_machine, print_methods, say, unique, written
from latently.inspection import score_factors

TABLES = ("factor", "breast_cancer", "wine")
N_SHAP = 30  # rows that SHAP explains: it takes hundreds of times longer
Explain = Callable[[np.ndarray], np.ndarray]


def table(name: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows to learn from and rows to spoil."""
    rng = np.random.default_rng(100 + seed)
    if name != "factor":
        rows = getattr(datasets, f"load_{name}")().data
        rows = rows[rng.permutation(len(rows))]
    else:
        factors = rng.normal(size=(3_000, 4))
        rows = np.tanh(0.6 * factors @ rng.normal(size=(4, 20)))
        rows += 0.3 * factors @ rng.normal(size=(4, 20))
        rows += rng.normal(size=rows.shape) * np.linspace(0.05, 0.6, 20)
        rows *= 10.0 ** rng.uniform(-2, 2, 20)
    cut = int(0.6 * len(rows))
    return rows[:cut], rows[cut:]


def planted(
    rows: np.ndarray, kind: str, spread: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Spoil one cell of each row; return the rows and which column it was."""
    spoilt, guilty = rows.copy(), rng.integers(0, rows.shape[1], len(rows))
    for row, column in enumerate(guilty):
        if kind == "shift":
            spoilt[row, column] += 5 * spread[column] * rng.choice([-1, 1])
            continue
        away = np.abs(rows[:, column] - rows[row, column]) >= spread[column]
        others = np.flatnonzero(away)
        spoilt[row, column] = rows[rng.choice(others) if len(others) else 0, column]
    return spoilt, guilty


def explainers(train: np.ndarray, seed: int) -> dict[str, Explain]:
    """Return what blames the columns of rows, by name."""
    detector = latently.AnomalyDetector(random_state=seed).fit(train)
    plain = latently.Autoencoder(max(2, train.shape[1] // 4), random_state=seed).fit(train)
    usual = np.median(plain.reconstruction_error(train, per_feature=True), 0) + 1e-9
    found: dict[str, Explain] = {
        "residual": lambda X: plain.reconstruction_error(X, per_feature=True),
        "residual, standardised": lambda X: plain.reconstruction_error(X, per_feature=True) / usual,
        "cell scores": detector.cell_scores,
        "explain": lambda X: detector.explain(X, n_reasons=1).blame,
    }
    if importlib.util.find_spec("shap") is None:
        print("left out: SHAP needs shap")
    else:
        found["SHAP permutation"] = shap_of(detector, train)
    return found


def shap_of(detector: latently.AnomalyDetector, train: np.ndarray) -> Explain:
    """Return Shapley values of the score, by permutations against 20 training rows."""
    import shap

    background = train[np.random.default_rng(0).permutation(len(train))[:20]]
    score = lambda X: -detector.score_samples(X)  # noqa: E731
    explainer = shap.PermutationExplainer(score, background, seed=0)
    return lambda X: explainer(X[:N_SHAP], max_evals=2 * X.shape[1] + 1, silent=True).values


def run(seeds: tuple[int, ...]) -> Iterator[Record]:
    """Plant faults and ask each method for the culprit."""
    for name in TABLES:
        for seed in seeds:
            say(f"{name} {seed}")
            train, rest = table(name, seed)
            methods = explainers(train, seed)
            rng = np.random.default_rng(seed)
            for kind in ("shift", "swap"):
                spoilt, guilty = planted(rest, kind, train.std(0) + 1e-12, rng)
                for title, explain in methods.items():
                    start = time.process_time()
                    blame = explain(spoilt)
                    spent = 1e3 * (time.process_time() - start) / len(blame)
                    order, wanted = (-blame).argsort(1), guilty[: len(blame), None]
                    for n in (1, 3):
                        hit = (order[:, :n] == wanted).any(1).mean()
                        yield Record("explain", kind, name, title, seed, f"hit at {n}", float(hit))
                    yield Record("explain", kind, name, title, seed, "CPU ms a row", spent)


def run_factors(seeds: tuple[int, ...]) -> Iterator[Record]:
    """Score latents by factors that are known, before and after a rotation."""
    for setting, bend in (("linear", 0.0), ("nonlinear", 2.0)):
        for seed in seeds:
            say(f"{setting} {seed}")
            rng = np.random.default_rng(seed)
            truth = np.column_stack([
                rng.uniform(-1.7, 1.7, 5_000), *(rng.laplace(size=(2, 5_000)) / 1.4),
                rng.choice([-1, 1], 5_000) + 0.3 * rng.normal(size=5_000),
                rng.uniform(-1.7, 1.7, 5_000),
            ])  # fmt: skip
            rows = truth @ rng.normal(size=(5, 20)) + bend * np.tanh(
                truth @ rng.normal(size=(5, 20))
            )
            rows = rows / rows.std(0) + 0.05 * rng.normal(size=rows.shape)
            model = latently.Autoencoder(5, random_state=seed).fit(rows[:3_000])
            for title in ("latents as they are", "rotated by ICA"):
                if title != "latents as they are":
                    model.rotate_latents(rows[:3_000])
                found = score_factors(model.transform(rows[3_000:]), truth[3_000:])
                for measure in ("correlation", "mig", "disentanglement", "sap"):
                    value = getattr(found, measure)
                    yield Record("factors", setting, "5 factors", title, seed, measure, value)


def report(records: list[Record]) -> None:
    """Print, for each kind of fault, methods x measures: means over tables and seeds."""
    for kind in unique(r.setting for r in records):
        print_methods([r for r in records if r.setting == kind], kind, np.mean)


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="not read: the tables come with scikit-learn")
    p.add_argument("--seeds", default="0,1,2", help="comma-separated seeds")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    seeds = tuple(int(seed) for seed in args.seeds.split(","))
    records = [*written(run(seeds), args.out), *written(run_factors(seeds), args.out)]
    report(records)


if __name__ == "__main__":
    main()
