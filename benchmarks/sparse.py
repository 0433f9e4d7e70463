"""Sparse dictionaries beside peers, in one run: what is left unexplained, and known atoms.

README.md's tables come from this command, run in the repository's root:

    python benchmarks/sparse.py --data ../shared/data --out sparse.csv

``--data`` holds ``mnist.npz``. Peers: ``pip install --no-deps dictionary-learning==0.1.0
overcomplete==0.3.0 einops``; one that is not installed is named, and left out. Milliseconds are
CPU time of the whole fit a step, on ``OMP_NUM_THREADS=1``.

Parts
    images    pixels of digits, 1,024 components, 25 active, 800 steps of 128 rows: share of the
              variance of unseen images that is not explained, components that none of them uses.
    recover   sums of 6 of 100 known atoms: cosine of each with the component that matches it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from _dictionaries import METHODS, Dictionary, Method, Task
from _records import Record, print_machine, print_methods, say, unique, written


def run_images(data: Path, seeds: Sequence[int], n_steps: int) -> Iterator[Record]:
    """Explain unseen digits by 25 of 1,024 components."""
    with np.load(data / "mnist.npz") as images:
        train, test = (
            images[name].reshape(len(images[name]), -1).astype(np.float32) / 255
            for name in ("x_train", "x_test")
        )
    for method, seed in every(seeds):
        model = method.build(Task(1_024, 25, n_steps, seed)).fit(train)
        yield from figures("images", method, seed, model, train, test)


def run_recover(data: Path, seeds: Sequence[int], n_steps: int) -> Iterator[Record]:
    """Find the atoms that rows were made of."""
    from scipy.optimize import linear_sum_assignment

    for method, seed in every(seeds):
        rows, atoms = known_dictionary(seed)
        model = method.build(Task(128, 6, 4 * n_steps, seed)).fit(rows[:20_000])
        cosines = np.abs(model.atoms @ atoms.T)
        matched = cosines[linear_sum_assignment(-cosines)]
        yield Record("recover", "", "sums of 6 atoms", method.title, seed, "cosine", matched.mean())
        yield from figures("recover", method, seed, model, rows[:20_000], rows[20_000:])


def every(seeds: Sequence[int]) -> Iterator[tuple[Method, int]]:
    """Yield each method that is installed with each seed; name the others."""
    for method in METHODS:
        if not method.installed:
            print(f"left out: {method.title} needs {method.package}")
            continue
        for seed in seeds:
            say(f"{method.title} {seed}")
            yield method, seed


def figures(
    part: str, method: Method, seed: int, model: Dictionary, train: np.ndarray, test: np.ndarray
) -> Iterator[Record]:
    """Measure codes and reconstruction of unseen rows."""
    codes = model.transform(test)
    left = np.square(test - model.inverse_transform(codes), dtype=np.float64).sum()
    active = np.abs(codes) > 1e-8
    found = {
        "FVU": left / np.square(test - train.mean(0), dtype=np.float64).sum(),
        "active": active.sum(1).mean(),
        "dead": 1 - active.any(0).mean(),
        "CPU ms a step": model.step_ms,
    }
    dataset = "mnist" if part == "images" else "sums of 6 atoms"
    for measure, value in found.items():
        yield Record(part, "", dataset, method.title, seed, measure, float(value))


def known_dictionary(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows that are sums of a few of 100 atoms, some of them rare, and the atoms."""
    rng = np.random.default_rng(seed)
    atoms = rng.normal(size=(100, 64))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    rates = 1 / np.sqrt(np.arange(1, 101))
    on = rng.random((24_000, 100)) < np.minimum(0.5, 6 * rates / rates.sum())
    weights = on * (0.5 + np.abs(rng.normal(size=on.shape)))
    rows = weights @ atoms + 0.02 * rng.normal(size=(24_000, 64)) + 0.3 * rng.normal(size=64)
    return rows.astype(np.float32), atoms


def report(records: Sequence[Record]) -> None:
    """Print, for each part, methods x measures, medians over the seeds."""
    for part in unique(r.part for r in records):
        here = [r for r in records if r.part == part]
        print_methods(here, f"{part}: {here[0].dataset}", np.median)


RUN = {"images": run_images, "recover": run_recover}


def main() -> None:
    """Run what was asked for and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    p.add_argument("--part", default=",".join(RUN), help="comma-separated parts")
    p.add_argument("--seeds", default="0", help="comma-separated seeds")
    p.add_argument("--quick", action="store_true", help="a tenth of the steps: does it run?")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    seeds = [int(seed) for seed in args.seeds.split(",")]
    n_steps = 80 if args.quick else 800
    records: list[Record] = []
    for part in args.part.split(","):
        records.extend(written(RUN[part](args.data, seeds, n_steps), args.out))
    report(records)


if __name__ == "__main__":
    main()
