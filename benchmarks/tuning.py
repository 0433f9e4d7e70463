"""Finding sizes and settings: what it costs, and how near it comes.

    python benchmarks/tuning.py --out tuning.csv

``size``: how many components? Tables of 40 columns, 2,000 rows to learn from, of a known number of
causes: linear ones, and curved ones (a random layer of tanh). "off by" is the distance of the
answer from the truth; "trainings" is the time of ``Autoencoder("auto").fit`` in units of a
training of the true size, each fit with ``OMP_NUM_THREADS=1``.

``search``: digits of 8 x 8 pixels, codes of 8 numbers; 500 images report, 300 of the others choose
among 20 trials. FVU is the share of the variation that is not rebuilt, less is better. "random" is
scikit-learn's ``RandomizedSearchCV`` over the same values; "seconds" are those of everything but
the last training on all rows.

``effort``: what a quarter and four times the steps do, on tables of scikit-learn, codes of "auto"
size found at "balanced".
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import loguniform, uniform
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.model_selection import PredefinedSplit, RandomizedSearchCV, train_test_split

import latently
from _records import (
    Record,
    print_machine,
    print_methods,
    print_table,
    say,
    seconds_of,
    unique,
    written,
)
from latently.estimators import with_default_network
from latently.tuning import default_space

N_TRAIN, N_COLUMNS, NOISE = 2_000, 40, 0.05
N_CODE, N_TRIALS, N_INNER, N_OUTER = 8, 20, 300, 500
TRUE_SIZES = (2, 3, 4, 5, 6, 8, 10, 12)


# ------------------------------------------------------------------ size
def linear(causes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mix causes linearly."""
    return causes @ rng.normal(size=(causes.shape[1], N_COLUMNS))


def curved(causes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mix causes by a random layer of tanh."""
    size = causes.shape[1]
    inner = causes @ (1.5 / size**0.5 * rng.normal(size=(size, 64))) + 0.3 * rng.normal(size=64)
    return np.tanh(inner) @ (rng.normal(size=(64, N_COLUMNS)) / 8)


def manifold(kind: Callable[..., np.ndarray], size: int, seed: int) -> np.ndarray:
    """Return rows that a known number of causes made, in standard deviations, with noise."""
    rng = np.random.default_rng(100 * size + seed)
    X = kind(rng.uniform(-1, 1, (N_TRAIN, size)), rng)
    X = (X - X.mean(0)) / X.std(0)
    return (X + NOISE * rng.normal(size=X.shape)).astype(np.float32)


def by_pca(X: np.ndarray) -> tuple[int, int]:
    """Return the sizes that PCA answers: 95 % of the variance, and the knee of its curve."""
    shares = np.linalg.eigvalsh(np.cov(X.T))[::-1]
    kept = np.cumsum(shares) / shares.sum()
    along = np.linspace(0, 1, len(kept))
    knee = np.argmax((kept - kept[0]) / (1 - kept[0]) - along) + 1
    return int((kept < 0.95).sum()) + 1, int(knee)


def sizes(seeds: tuple[int, ...]) -> Iterator[Record]:
    """Ask for the size of manifolds of known size."""
    for kind in (linear, curved):
        for size in TRUE_SIZES:
            for seed in seeds:
                say(f"{kind.__name__}, true size {size}, seed {seed}")
                X = manifold(kind, size, seed)
                auto = latently.Autoencoder(random_state=seed)
                spent = seconds_of(lambda auto=auto, X=X: auto.fit(X))
                known = latently.Autoencoder(size, random_state=seed)
                trainings = spent / seconds_of(lambda known=known, X=X: known.fit(X))
                variance, knee = by_pca(X)
                answers = {
                    "n_components='auto'": auto.n_components_,
                    "PCA, 95 % of the variance": variance,
                    "PCA, knee": knee,
                }
                for method, answer in answers.items():
                    yield _size(kind, size, method, seed, "off by", abs(answer - size))
                yield _size(kind, size, "n_components='auto'", seed, "trainings", trainings)


def _size(
    kind: Callable[..., np.ndarray], size: int, method: str, seed: int, measure: str, value: float
) -> Record:
    return Record("size", kind.__name__, str(size), method, seed, measure, value)


def report_sizes(records: list[Record]) -> None:
    """Print how often each method is right, and the time of ours."""
    for setting in unique(r.setting for r in records):
        print(f"\n## {setting} manifolds of {TRUE_SIZES[0]} to {TRUE_SIZES[-1]} causes\n")
        body = []
        for method in unique(r.method for r in records):
            off = _values(records, setting, method, "off by")
            times = _values(records, setting, method, "trainings")
            spent = f"{np.median(times):.2f} (at most {times.max():.2f})" if len(times) else "-"
            body.append([
                method, f"{np.mean(off == 0):.0%}", f"{np.mean(off <= 1):.0%}",
                f"{off.max():.0f}", spent,
            ])  # fmt: skip
        print_table(["method", "exact", "within one", "worst", "trainings' time"], body)


def _values(records: list[Record], setting: str, method: str, measure: str) -> np.ndarray:
    wanted = (setting, method, measure)
    return np.array([r.value for r in records if (r.setting, r.method, r.measure) == wanted])


# ------------------------------------------------------------------ search
def searches(seeds: tuple[int, ...]) -> Iterator[Record]:
    """Tune on inner rows, report on outer ones, beside random search and no search."""
    X = (load_digits().data / 16).astype(np.float32)
    for seed in seeds:
        order = np.random.default_rng(seed).permutation(len(X))
        X = X[order]
        for effort in ("fast", "balanced"):
            say(f"search, {effort}, seed {seed}")
            model = latently.Autoencoder(N_CODE, effort=effort, random_state=seed)
            yield from _searched(model, X, effort, seed)


def _searched(model: Any, X: np.ndarray, effort: str, seed: int) -> Iterator[Record]:
    start = time.perf_counter()
    found = latently.AutoencoderSearchCV(
        model, n_trials=N_TRIALS, outer_fraction=N_OUTER / len(X), shuffle=False,
        inner_fraction=N_INNER / (len(X) - N_OUTER), refit=False, random_state=seed,
    ).fit(X)  # fmt: skip
    seconds = time.perf_counter() - start
    learn, outer = X[:-N_OUTER], X[-N_OUTER:]
    model = clone(model).set_params(shuffle=False)
    alone = seconds_of(lambda: clone(model).fit(learn))
    start = time.perf_counter()
    at_random = _random_search(model, learn, seed)
    spent = time.perf_counter() - start
    figures = {
        "default": (found.report_["default"].inner, found.report_["default"].outer, alone),
        "random": (at_random.best_score_, at_random.best_estimator_.score(outer), spent),
        "AutoencoderSearchCV": (found.best_score_, found.report_["tuned"].outer, seconds),
        "PCA": (found.report_["PCA"].inner, found.report_["PCA"].outer, np.nan),
    }
    for method, (inner, judged, took) in figures.items():
        values = {"inner FVU": 1 - inner, "outer FVU": 1 - judged, "seconds": took}
        for measure, value in values.items():
            yield Record("search", effort, "digits", method, seed, measure, value)


def _random_search(model: Any, learn: np.ndarray, seed: int) -> Any:
    """Draw as many settings from the same values by scikit-learn, no trial ended early."""
    model = with_default_network(model, learn)
    values = {
        name: one if isinstance(one, list) else _drawn_from(*one)
        for name, one in default_space(model, sizes_too=False).items()
    }
    fold = np.where(np.arange(len(learn)) < len(learn) - N_INNER, -1, 0)
    return RandomizedSearchCV(
        model, values, n_iter=N_TRIALS, cv=PredefinedSplit(fold), random_state=seed
    ).fit(learn)


def _drawn_from(low: float, high: float, scale: str = "") -> Any:
    return loguniform(low, high) if scale == "log" else uniform(low, high - low)


# ------------------------------------------------------------------ effort
def efforts(seeds: tuple[int, ...]) -> Iterator[Record]:
    """Fit with each effort and judge by other rows."""
    tables = {"digits": load_digits().data / 16, "wine": load_wine().data}
    tables |= {"breast cancer": load_breast_cancer().data, "diabetes": load_diabetes().data}
    for name, X in tables.items():
        for seed in seeds:
            say(f"effort, {name}, seed {seed}")
            learn, other = train_test_split(X, test_size=0.3, random_state=seed)
            size = latently.Autoencoder(random_state=seed).fit(learn).n_components_
            for effort in ("fast", "balanced", "thorough"):
                model = latently.Autoencoder(size, effort=effort, random_state=seed)
                seconds = seconds_of(lambda model=model, learn=learn: model.fit(learn))
                for measure, value in (("FVU", 1 - model.score(other)), ("seconds", seconds)):
                    yield Record("effort", "tables", name, effort, seed, measure, value)


def report_efforts(records: list[Record]) -> None:
    """Print each effort as a multiple of the balanced one: medians over tables and seeds."""
    print("\n## Effort, in units of balanced\n")
    body = []
    for effort in ("fast", "balanced", "thorough"):
        ratios = [_ratios(records, effort, measure) for measure in ("FVU", "seconds")]
        body.append(
            [effort, *(f"{np.median(r):.2f} ({r.min():.2f}-{r.max():.2f})" for r in ratios)]
        )
    print_table(["effort", "FVU of new rows", "time"], body)


def _ratios(records: list[Record], effort: str, measure: str) -> np.ndarray:
    values = {(r.dataset, r.seed, r.method): r.value for r in records if r.measure == measure}
    return np.array([
        value / values[dataset, seed, "balanced"]
        for (dataset, seed, method), value in values.items()
        if method == effort
    ])  # fmt: skip


def report_searches(records: list[Record]) -> None:
    """Print methods x measures: medians over the seeds."""
    for setting in unique(r.setting for r in records):
        chosen = [r for r in records if r.setting == setting]
        print_methods(chosen, f"digits, codes of {N_CODE}, effort {setting}", np.median)


PARTS = {
    "size": (sizes, report_sizes),
    "search": (searches, report_searches),
    "effort": (efforts, report_efforts),
}


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="not read: all data are made or come with packages")
    p.add_argument("--part", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    p.add_argument("--seeds", default="0,1,2", help="comma-separated seeds")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    for part in args.part.split(","):
        run, report = PARTS[part]
        report([*written(run(tuple(map(int, args.seeds.split(",")))), args.out)])


if __name__ == "__main__":
    main()
