"""Imputation beside scikit-learn's imputers and packages from PyPI, in one run.

README.md's table comes from this command, run in the repository's root, the figures of
benchmarks/README.md from the same with the other parts:

    python benchmarks/imputation.py --data ../shared/data --part accuracy --seeds 0

``--data`` holds ``imputation/*.npz`` (X, is_cat: complete tables, categories as codes). Holes are
made in them; numbers are scaled to 0 to 1 before, and errors are taken in standard deviations of
the complete column. Peers: ``pip install pandas miceforest==6.0.3 lightgbm==4.5.0 missforest``;
one that is not installed is named, and left out. ``--all`` adds the slow ones.

Parts
    accuracy     every method on the same holes, MCAR, MAR and MNAR; filled rows are those of fit.
    relations    planted relations of columns beside chained trees and linear regressions.
    inductive    fitted on 70 % of the rows; error on those, and on the others, never seen.
    uncertainty  coverage of 90 % intervals on the hidden cells; CRPS of draws beside MIWAE's.
    scale        seconds and memory of `latently impute` for more and more rows.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import LinearRegression

from _data import generated_table
from _holes import MECHANISMS, Holed, load_table, make_holes
from _imputers import METHODS, Method, Ours, installed
from _miwae import Miwae
from _planted import KINDS, as_numbers, planted
from _records import Record, grid_of, print_machine, print_table, say, unique, written

PARTS = ("accuracy", "relations", "inductive", "uncertainty", "scale")
#: The tables that the literature reports; "six" on the command line.
SIX = ("airfoil", "california", "concrete", "magic", "wine_red", "yeast")
N_DRAWS = 100
COVERAGE = 0.9
#: Shares of gaps, and of outliers in each column, of tables with planted relations.
PLANTED_GAPS, PLANTED_OUTLIERS = (0.05, 0.2, 0.6), 0.01


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    data: Path
    datasets: tuple[str, ...]
    mechanisms: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    rate: float
    max_rows: int
    every_peer: bool
    quick: bool

    def tables(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Yield the name of each table, the table, and which columns are categories."""
        files = sorted((self.data / "imputation").glob("*.npz"))
        for path in files:
            if not self.datasets or path.stem in self.datasets:
                yield path.stem, *load_table(path, self.max_rows)


def chosen_methods(options: Options) -> list[Method]:
    """Return the methods asked for that can be built here."""
    if options.methods:
        return installed(m for m in METHODS if m.name in options.methods)
    return installed(m for m in METHODS if options.every_peer or not m.slow)


def _able(methods: Sequence[Method], is_category: np.ndarray) -> list[Method]:
    return [m for m in methods if not (m.numbers_only and is_category.any())]


# ---------------------------------------------------------------- accuracy
def run_accuracy(options: Options) -> Iterator[Record]:
    """Fill the same holes by every method."""
    methods = chosen_methods(options)
    for name, X, is_category in options.tables():
        for mechanism in options.mechanisms:
            for seed in options.seeds:
                table = make_holes(X, is_category, mechanism, options.rate, seed)
                for method in _able(methods, is_category):
                    say(f"accuracy {mechanism} {name} {seed} {method.title}")
                    yield from _judged(method, mechanism, name, table, seed)


def _judged(method: Method, mechanism: str, name: str, table: Holed, seed: int) -> Iterator[Record]:
    def record(measure: str, value: float) -> Record:
        return Record("accuracy", mechanism, name, method.title, seed, measure, value)

    start = _cpu_seconds()
    try:
        model = method.build(seed, table.is_category)
        model.fit(table.given)
        filled = model.transform(table.given)
    except Exception as error:  # A method's failure is a result.
        print(f"failed: {method.title} on {name}: {type(error).__name__}: {error}")
        return
    yield record("seconds", _cpu_seconds() - start)
    yield from (record(*found) for found in _errors(filled, table).items())


def _errors(filled: np.ndarray, table: Holed) -> dict[str, float]:
    found = {}
    numbers = table.holes & ~table.is_category
    if numbers.any():
        wrong = np.where(numbers, (filled - table.X) / table.scale, 0.0)
        found["RMSE"] = float(np.sqrt(np.square(wrong).sum() / numbers.sum()))
    categories = table.holes & table.is_category
    if categories.any():
        right = np.rint(filled[categories]) == table.X[categories]
        found["accuracy"] = float(right.mean())
    return found


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def report_accuracy(records: Sequence[Record]) -> None:
    """Print, for each mechanism, data sets x methods, mean ranks, and times as ratios."""
    for mechanism in unique(r.setting for r in records):
        here = [r for r in records if r.setting == mechanism]
        for measure, better in (("RMSE", 1), ("accuracy", -1)):
            some = [r for r in here if r.measure == measure]
            if some:
                _report_errors(mechanism, measure, some, better)
    _report_times(records)


def _report_errors(mechanism: str, measure: str, records: Sequence[Record], better: int) -> None:
    methods = unique(r.method for r in records)
    datasets = unique(r.dataset for r in records)
    grid = grid_of(records, measure, methods)
    lines: list[tuple[str, np.ndarray]] = list(zip(datasets, grid, strict=True))
    six = [place for place, name in enumerate(datasets) if name in SIX]
    if len(six) == len(SIX) < len(datasets):
        lines.append(("mean of the six", grid[six].mean(0)))
    lines.append(("mean", grid.mean(0)))
    ranks = np.array([[np.sum(better * row < better * v) + 1 for v in row] for row in grid])
    print(f"\n## {measure} of hidden cells, {mechanism}: means over the seeds\n")
    body = [[name, *(f"{value:.3f}" for value in row)] for name, row in lines]
    body.append(["mean rank", *(f"{value:.2f}" for value in ranks.mean(0))])
    print_table(["data set", *methods], body)


def _report_times(records: Sequence[Record]) -> None:
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for r in records:
        if r.measure == "seconds":
            found.setdefault((r.setting, r.dataset, r.seed), {})[r.method] = r.value
    methods = unique(r.method for r in records)
    ours = methods[0]
    body = []
    for peer in methods[1:]:
        ratios = [t[peer] / t[ours] for t in found.values() if peer in t and ours in t]
        if ratios:
            shown = (median(ratios), min(ratios), max(ratios))
            body.append([peer, *(f"{ratio:.2f}" for ratio in shown)])
    print(f"\n## CPU time to fit and fill, as a multiple of that of {ours}\n")
    print_table(["method", "median", "least", "most"], body)


# ---------------------------------------------------------------- relations
def run_relations(options: Options) -> Iterator[Record]:
    """Hide cells of tables with a planted relation, and judge the rows without outliers."""
    n_rows = 500 if options.quick else 1_000
    for rate in PLANTED_GAPS:
        for kind in KINDS:
            for seed in options.seeds:
                say(f"relations {rate} {kind} {seed}")
                table, is_outlier = planted(kind, n_rows, PLANTED_OUTLIERS, seed)
                holes = np.random.default_rng([seed, 9]).random(table.shape) < rate
                X, given = as_numbers(table), table.mask(holes)
                place = list(table).index("y")
                judged = holes[:, place] & ~is_outlier
                for name, filled in _filled_planted(given, seed, options.quick):
                    wrong = (filled - X)[judged, place] / X[:, place].std()
                    for measure, value in (
                        ("RMSE", np.sqrt(np.square(wrong).mean())),
                        ("median error", np.median(np.abs(wrong))),
                    ):
                        yield Record(
                            "relations", f"{rate:.0%}", kind, name, seed, measure, float(value)
                        )


def _filled_planted(
    given: pd.DataFrame, seed: int, quick: bool
) -> Iterator[tuple[str, np.ndarray]]:
    from latently import AutoencoderImputer

    effort = "fast" if quick else None
    model = AutoencoderImputer(random_state=seed, effort=effort, unfillable="marginal")
    yield "latently", as_numbers(model.fit(given).transform(given))
    numbers = as_numbers(given)
    center, scale = np.nanmean(numbers, 0), np.nanstd(numbers, 0)
    for name, way in (("linear regression", LinearRegression()),
                      ("chained trees", ExtraTreesRegressor(30, random_state=seed))):  # fmt: skip
        chained = IterativeImputer(way, max_iter=5, random_state=seed)
        yield name, chained.fit_transform((numbers - center) / scale) * scale + center


def report_relations(records: Sequence[Record]) -> None:
    """Print the errors of each kind of relation, for each share of gaps."""
    methods = unique(r.method for r in records)
    for rate in unique(r.setting for r in records):
        here = [r for r in records if r.setting == rate]
        error, middle = (grid_of(here, measure, methods) for measure in ("RMSE", "median error"))
        body = [
            [kind, *(f"{a:.3f} / {b:.1e}" for a, b in zip(*row, strict=True))]
            for kind, *row in zip(unique(r.dataset for r in here), error, middle, strict=True)
        ]
        print(f"\n## Planted relations, {rate} gaps: RMSE / median error of hidden cells\n")
        print_table(["relation", *methods], body)


# ---------------------------------------------------------------- inductive
def run_inductive(options: Options) -> Iterator[Record]:
    """Fill some rows, by a fit that saw them and by one of as many rows that did not."""
    for name, X, is_category in options.tables():
        for seed in options.seeds:
            say(f"inductive {name} {seed}")
            table = make_holes(X, is_category, "MCAR", options.rate, seed)
            order = np.random.default_rng([seed, 9]).permutation(len(X))
            n_fit = int(0.7 * len(X))
            judged = table.take(order[n_fit:])
            for side, rows in (("seen", order[-n_fit:]), ("new", order[:n_fit])):
                model = Ours(seed, is_category).fit(table.take(rows).given)
                for measure, value in _errors(model.transform(judged.given), judged).items():
                    yield Record("inductive", side, name, "latently", seed, measure, value)


def report_inductive(records: Sequence[Record]) -> None:
    """Print the errors on rows that a fit saw and on the same rows never seen."""
    for measure in unique(r.measure for r in records):
        here = [r for r in records if r.measure == measure]
        seen, new = (
            grid_of([r for r in here if r.setting == side], measure, ["latently"])[:, 0]
            for side in ("seen", "new")
        )
        lines = [*zip(unique(r.dataset for r in here), seen, new, strict=True)]
        lines.append(("mean", seen.mean(), new.mean()))
        body = [[name, f"{a:.3f}", f"{b:.3f}", f"{b / a - 1:+.1%}"] for name, a, b in lines]
        print(f"\n## {measure} of the same cells, of rows seen in fit and of rows never seen\n")
        print_table(["data set", "seen", "never seen", "change"], body)


# ---------------------------------------------------------------- uncertainty
def run_uncertainty(options: Options) -> Iterator[Record]:
    """Ask for intervals and draws; what was hidden says whether they are honest."""
    for name, X, is_category in options.tables():
        numbers = X[:, ~is_category]
        for seed in options.seeds:
            table = make_holes(
                numbers, np.zeros(numbers.shape[1], bool), "MCAR", options.rate, seed
            )
            say(f"uncertainty {name} {seed}")
            model = Ours(seed, table.is_category).fit(table.given).model
            lower, upper = model.interval(table.given, COVERAGE)
            inside = (lower <= table.X) & (upper >= table.X)
            yield _uncertain(name, "latently", seed, "coverage", inside[table.holes].mean())
            width = ((upper - lower) / table.scale)[table.holes].mean()
            yield _uncertain(name, "latently", seed, "width", width)
            draws = np.stack(model.impute(table.given, N_DRAWS, random_state=seed))
            yield _uncertain(name, "latently", seed, "CRPS", crps(draws, table))
            peer = Miwae(seed).fit(table.given)
            draws = peer.answer(table.given, N_DRAWS)[1]
            yield _uncertain(name, "MIWAE", seed, "CRPS", crps(draws, table))


def _uncertain(name: str, method: str, seed: int, measure: str, value: float) -> Record:
    return Record("uncertainty", "MCAR", name, method, seed, measure, float(value))


def crps(draws: np.ndarray, table: Holed) -> float:
    """Return the continuous ranked probability score of draws, in standard deviations.

    Mean distance from the truth less half the mean distance from each other, without bias.
    """
    samples = np.sort((draws / table.scale)[:, table.holes], axis=0)
    truth = (table.X / table.scale)[table.holes]
    n = len(samples)
    weights = 2 * np.arange(1, n + 1) - n - 1
    apart = (weights[:, None] * samples).sum(0) / (n * (n - 1))
    return float((np.abs(samples - truth).mean(0) - apart).mean())


def report_uncertainty(records: Sequence[Record]) -> None:
    """Print coverage and width of intervals, and both scores."""
    datasets = unique(r.dataset for r in records)
    columns = [("latently", "coverage"), ("latently", "width"), ("latently", "CRPS"),
               ("MIWAE", "CRPS")]  # fmt: skip
    grid = np.hstack([grid_of(records, measure, [method]) for method, measure in columns])
    lines = [*zip(datasets, grid, strict=True), ("mean", grid.mean(0))]
    body = [[name, f"{row[0]:.1%}", *(f"{value:.3f}" for value in row[1:])] for name, row in lines]
    print(f"\n## {COVERAGE:.0%} intervals and {N_DRAWS} draws of hidden cells, in deviations\n")
    print_table(["data set", "coverage", "width", "CRPS", "CRPS of MIWAE"], body)


# ---------------------------------------------------------------- scale
def run_scale(options: Options) -> Iterator[Record]:
    """Run the command on files of growing length; note seconds and the peak of its memory."""
    sizes = (20_000, 40_000) if options.quick else (125_000, 250_000, 500_000, 1_000_000)
    with tempfile.TemporaryDirectory() as folder:
        for n_rows in sizes:
            say(f"scale {n_rows:,}")
            source, target = Path(folder) / "in.parquet", Path(folder) / "out.parquet"
            write_holed(source, n_rows)
            seconds, peak = _command_cost(["impute", str(source), "-o", str(target)])
            target.unlink()
            yield Record("scale", "", str(n_rows), "latently", 0, "seconds", seconds)
            yield Record("scale", "", str(n_rows), "latently", 0, "GiB", peak)
    bare = _command_cost(None)[1]
    yield Record("scale", "", "0", "latently", 0, "GiB", bare)


def write_holed(path: Path, n_rows: int) -> None:
    """Write 30 columns of numbers, a tenth of the cells missing, piece by piece."""
    schema = pa.schema([(f"x{place}", pa.float64()) for place in range(30)])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, n_rows, 50_000):
            n = min(50_000, n_rows - start)
            parts = [generated_table(n, start + seed) for seed in range(3)]
            rows = np.hstack(parts)
            gaps = np.random.default_rng([2, start]).random(rows.shape) < 0.1
            columns = [pa.array(c, mask=g) for c, g in zip(rows.T, gaps.T, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))


def _command_cost(arguments: list[str] | None) -> tuple[float, float]:
    """Return seconds and peak GiB of a command, or of the bare import, in a process of its own."""
    bare = [sys.executable, "-c", "import latently.estimators, pyarrow.parquet"]
    command = bare if arguments is None else [sys.executable, "-m", "latently", *arguments]
    watched = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", watched, *command], check=True, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, int(done.stdout.split()[-1]) * unit / 2**30


def report_scale(records: Sequence[Record]) -> None:
    """Print seconds, rows a second, and memory beside that of the bare import."""
    found = {(r.dataset, r.measure): r.value for r in records}
    bare = found["0", "GiB"]
    body = []
    for rows in unique(r.dataset for r in records if r.dataset != "0"):
        seconds, peak = found[rows, "seconds"], found[rows, "GiB"]
        body.append([f"{int(rows):,}", f"{seconds:.0f}", f"{int(rows) / seconds:,.0f}",
                     f"{peak:.2f}", f"{peak - bare:.2f}"])  # fmt: skip
    print("\n## `latently impute in.parquet -o out.parquet`, 30 columns, a tenth missing\n")
    heads = ["rows", "seconds", "rows/s", "peak GiB", "over the bare import"]
    print_table(heads, body)


RUN: dict[str, tuple[Callable[[Options], Iterator[Record]], Callable[..., None]]] = {
    "accuracy": (run_accuracy, report_accuracy),
    "relations": (run_relations, report_relations),
    "inductive": (run_inductive, report_inductive),
    "uncertainty": (run_uncertainty, report_uncertainty),
    "scale": (run_scale, report_scale),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    names = ", ".join(m.name for m in METHODS)
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="folder with imputation/*.npz")
    p.add_argument("--part", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    p.add_argument("--datasets", default="", help="names of files, or six; default: all")
    p.add_argument("--mechanism", default=",".join(MECHANISMS))
    p.add_argument("--methods", default="", help=f"some of {names}; default: those not slow")
    p.add_argument("--all", action="store_true", help="the slow peers too")
    p.add_argument("--seeds", default="0,1,2")
    p.add_argument("--rate", type=float, default=0.3, help="share of the cells to hide")
    p.add_argument("--max-rows", type=int, default=1_500)
    p.add_argument("--quick", action="store_true", help="one seed, few rows: a trial")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    return p


def read_options(given: argparse.Namespace) -> Options:
    """Return what the command line asked for."""
    seeds = tuple(map(int, given.seeds.split(",")))
    datasets = SIX if given.datasets == "six" else tuple(filter(None, given.datasets.split(",")))
    return Options(
        data=given.data,
        datasets=datasets,
        mechanisms=tuple(given.mechanism.split(",")),
        methods=tuple(filter(None, given.methods.split(","))),
        seeds=seeds[:1] if given.quick else seeds,
        rate=given.rate,
        max_rows=min(given.max_rows, 500) if given.quick else given.max_rows,
        every_peer=given.all,
        quick=given.quick,
    )


def main() -> None:
    """Run the parts one after the other and print each one's tables when it is done."""
    given = parser().parse_args()
    options = read_options(given)
    warnings.filterwarnings("ignore")
    print_machine()
    if given.out is not None:
        given.out.write_text(",".join(Record._fields) + "\n")
    for part in given.part.split(","):
        run, report = RUN[part]
        if records := list(written(run(options), given.out)):
            report(records)


if __name__ == "__main__":
    main()
