"""Finding sizes and settings: what it costs, and how near it comes.

    python benchmarks/tuning.py --part size --out tuning.csv

``size``: how many components? Tables of 40 columns, 2,000 rows to learn from, of a known number of
causes: linear ones, and curved ones (a random layer of tanh). "off by" is the distance of the
answer from the truth; "trainings" is the time of ``Autoencoder("auto").fit`` in units of a
training of the true size, each fit with ``OMP_NUM_THREADS=1``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import latently
from _records import Record, print_machine, print_table, say, seconds_of, unique, written

N_TRAIN, N_COLUMNS, NOISE = 2_000, 40, 0.05
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


PARTS = {"size": (sizes, report_sizes)}


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="not read: all data are made or come with packages")
    p.add_argument("--part", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    p.add_argument("--seeds", default="0,1,2", help="comma-separated seeds")
    p.add_argument("--out", type=Path, help="CSV to append every figure to")
    args = p.parse_args()
    print_machine()
    for part in args.part.split(","):
        run, report = PARTS[part]
        report([*written(run(tuple(map(int, args.seeds.split(",")))), args.out)])


if __name__ == "__main__":
    main()
