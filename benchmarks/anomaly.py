"""Anomaly detection beside PyOD: scores, speed, images and false alarms, in one run.

README.md's table comes from this command, run in the repository's root, the figures of
benchmarks/README.md from the same with the other parts:

    python benchmarks/anomaly.py --data ../shared/data --part scores --seeds 0,1

``--data`` holds ``adbench/*.npz`` (X, y; y = 1 for an anomaly) and ``mnist.npz``; for the parts
``robust`` and ``labels`` also ``anomaly_tables/*.npz`` (X with codes of categories and NaN for
gaps, is_cat, columns, y) and ``features/*.npz`` (x_train, y_train, x_test, y_test), if there are
any. Peers: ``pip install pyod==3.6.7 tqdm xgboost``; one that is not installed is named, and left
out.

Settings of the scores
    oneclass      train on half of the normals; test on the others and all anomalies.
    contaminated  train and test on all rows, labels unseen.
In both, data sets over ``--max-rows`` rows are subsampled and columns are standardised by the
training rows. Labels only judge.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from _alarms import POPULATIONS, Population
from _contaminated import GROUPS, report_labels, report_robust, run_labels, run_robust
from _data import Split, digits_splits, generated_table, list_datasets, load, mnist_splits, split
from _detectors import (
    CONVOLUTIONAL,
    METHODS,
    SETTINGS,
    Method,
    fitted,
    installed,
    named_methods,
    own_rows,
    unusual,
)
from _drift import report_drift, run_drift
from _records import (
    ROUNDS,
    Record,
    grid_of,
    in_rounds,
    print_machine,
    print_table,
    say,
    seconds_of,
    unique,
    written,
)
from _stream import report_stream, run_stream

PARTS = ("scores", "robust", "labels", "speed", "images", "alarms", "drift", "stream")
MEASURES = ("AUROC", "AP")
#: A smaller difference is a tie.
TIE = 0.001
RESAMPLES = 2_000
#: Enough to compare fits by; PyOD's AutoEncoder takes seconds a round for them.
FIT_ROWS = 5_000
ALARM_RATE, DISCOVERY_RATE = 0.05, 0.1
#: Half of them calibrate, and must resolve the rate of alarms; more only cost time.
MIN_NORMALS, MAX_NORMALS = 400, 4_000
STREAMED_ROWS = 300
#: New rows of a simulation, in which false alarms are counted.
SIMULATED_ROWS = 1_000
#: Rows to fit to in simulations, and draws of each size.
SIMULATED = {30: 40, 100: 20, 400: 20, 1_500: 10, 5_000: 5}
SIMULATED_QUICK = {30: 4, 300: 4}


@dataclass(frozen=True)
class Options:
    """What the command line asked for."""

    data: Path
    settings: tuple[str, ...]
    seeds: tuple[int, ...]
    max_rows: int
    datasets: str
    methods: tuple[str, ...]
    groups: tuple[str, ...]
    every_peer: bool
    quick: bool


def chosen_methods(options: Options) -> list[Method]:
    """Return the methods asked for that can be built here."""
    if options.methods:
        return installed(m for m in METHODS if m.name in options.methods)
    return installed(m for m in METHODS if options.every_peer or not m.slow)


def run_scores(options: Options) -> Iterator[Record]:
    """Judge every method on every data set."""
    methods = chosen_methods(options)
    for path in list_datasets(options.data, options.datasets):
        X, y = load(path, options.max_rows)
        for setting in options.settings:
            for method in (m for m in methods if setting in m.settings):
                say(f"scores {setting} {path.stem} {method.title}")
                for seed in options.seeds:
                    rows = split(X, y, setting, seed)
                    yield from _judged(method, setting, path.stem, rows, seed)


def _judged(method: Method, setting: str, dataset: str, rows: Split, seed: int) -> Iterator[Record]:
    scorer = own_rows if setting == "contaminated" else unusual
    try:
        scores = scorer(method, fitted(method, rows.train, seed), rows.test)
    except Exception as error:  # A method's failure is a result.
        print(f"failed: {method.title} on {dataset}: {type(error).__name__}: {error}")
        return
    found = (
        roc_auc_score(rows.is_anomaly, scores),
        average_precision_score(rows.is_anomaly, scores),
    )
    for measure, value in zip(MEASURES, found, strict=True):
        yield Record("scores", setting, dataset, method.title, seed, measure, float(value))


def report_scores(records: Sequence[Record]) -> None:
    """Print, for each setting, data sets x methods and ours against each peer."""
    ours = [m.title for m in METHODS if m.ours]
    for setting in unique(r.setting for r in records):
        here = [r for r in records if r.setting == setting]
        methods = unique(r.method for r in here)
        grids = [grid_of(here, measure, methods) for measure in MEASURES]
        _report_grid(setting, unique(r.dataset for r in here), methods, grids)
        for own in (m for m in ours if m in methods):
            peers = [m for m in methods if m not in ours]
            _report_duels(own, peers, methods, grids)
            _report_shortfall(own, unique(r.dataset for r in here), methods, grids)


def _report_grid(
    setting: str, datasets: Sequence[str], methods: Sequence[str], grids: Sequence[np.ndarray]
) -> None:
    complete = [np.isfinite(grid).all(axis=1) for grid in grids]
    lines = [*zip(datasets, *grids, strict=True)]
    lines.append(("mean", *(grid[ok].mean(0) for grid, ok in zip(grids, complete, strict=True))))
    body = [[name, *map(_pair, auroc, ap)] for name, auroc, ap in lines]
    print(f"\n## Scores, {setting}: AUROC / AP (%), means over the seeds\n")
    print_table(["data set", *methods], body)
    if not complete[0].all():
        print(f"\nThe means are over the {complete[0].sum()} data sets that no method failed on.")


def _pair(auroc: float, ap: float) -> str:
    return "failed" if np.isnan(auroc) else f"{100 * auroc:.1f} / {100 * ap:.1f}"


def _report_duels(
    own: str, peers: Sequence[str], methods: Sequence[str], grids: Sequence[np.ndarray]
) -> None:
    body = []
    for peer in peers:
        gaps = [_gaps(grid, methods, own, peer) for grid in grids]
        gaps = [gap[np.isfinite(gap)] for gap in gaps]
        if len(gaps[0]):
            body.append([peer, *(show(gaps) for show in (_differences, _tallies, _aheads))])
    print(f"\n### {own} against each peer: AUROC / AP\n")
    print_table(
        ["peer", "mean difference (points)", "wins-ties-losses", "resamples ahead (%)"], body
    )
    print(f"\nA tie is within {100 * TIE:g} points; {RESAMPLES:,} resamples of the data sets.")


def _gaps(grid: np.ndarray, methods: Sequence[str], own: str, peer: str) -> np.ndarray:
    return grid[:, methods.index(own)] - grid[:, methods.index(peer)]


def _differences(gaps: Sequence[np.ndarray]) -> str:
    return " / ".join(f"{100 * gap.mean():+.2f}" for gap in gaps)


def _tallies(gaps: Sequence[np.ndarray]) -> str:
    counts = [((g > TIE).sum(), (abs(g) <= TIE).sum(), (g < -TIE).sum()) for g in gaps]
    return " / ".join("-".join(map(str, count)) for count in counts)


def _aheads(gaps: Sequence[np.ndarray]) -> str:
    return " / ".join(f"{100 * share_ahead(gap):.1f}" for gap in gaps)


def share_ahead(gaps: np.ndarray) -> float:
    """Return the share of bootstrap resamples of the data sets with a mean above zero."""
    drawn = np.random.default_rng(0).integers(len(gaps), size=(RESAMPLES, len(gaps)))
    return float((gaps[drawn].mean(axis=1) > 0).mean())


def _report_shortfall(
    own: str, datasets: Sequence[str], methods: Sequence[str], grids: Sequence[np.ndarray]
) -> None:
    for peer in (m for m in ("1-NN", "kNN") if m in methods):
        for measure, grid in zip(MEASURES, grids, strict=True):
            gaps = _gaps(grid, methods, own, peer)
            if np.isfinite(gaps).any():
                worst = int(np.nanargmin(gaps))
                gap = f"{100 * gaps[worst]:+.2f} points, on {datasets[worst]}"
                print(f"\nLeast {measure} of {own} less that of {peer}: {gap}.")


class Timed(NamedTuple):
    """Rows that a comparison of times is about; all are scored by ours, some by everyone."""

    name: str
    train: np.ndarray
    test: np.ndarray
    n_compared: int


def run_speed(options: Options) -> Iterator[Record]:
    """Time fits and scores side by side, and fit twice."""
    methods = named_methods("latently", "ae", "knn", "iforest")
    yield Record("speed", "", "machine", "torch", 0, "GFLOP/s", matmul_rate())
    tables = list(_timed_tables(options))
    for table in tables:
        for method in methods:  # Nobody pays for imports and first calls.
            unusual(method, fitted(method, table.train[:200], 0), table.test[:200])
        yield from _fit_times(methods, table)
        yield from _score_times(methods, table)
    for method in (m for m in methods if m.name in ("latently", "ae")):
        yield from _differences_of_refits(method, tables[0])


def _timed_tables(options: Options) -> Iterator[Timed]:
    n_train, n_test = (2_000, 10_000) if options.quick else (20_000, 100_000)
    rows = generated_table(n_train, 0), generated_table(n_test, 1)
    yield Timed("generated, 10 columns", *rows, n_compared=n_test // 5)
    files = list_datasets(options.data, options.datasets)
    # By size of the file alone: the quartiles.
    for place in unique(str(round(q * (len(files) - 1))) for q in (0.25, 0.5, 0.75)):
        path = files[int(place)]
        parts = split(*load(path, options.max_rows), "oneclass", options.seeds[0])
        yield Timed(path.stem, parts.train, parts.test, len(parts.test))


def _fit_times(methods: Sequence[Method], table: Timed) -> Iterator[Record]:
    train = table.train[:FIT_ROWS]
    say(f"speed fit {table.name}")
    times = in_rounds([lambda m=m: fitted(m, train, 0) for m in methods])
    yield from _ratios(methods, times, table.name, "fit")
    yield Record("speed", "", table.name, "latently", 0, "fit seconds", median(times[0]))
    yield Record("speed", "", table.name, "latently", 0, "fit rows", len(train))


def _score_times(methods: Sequence[Method], table: Timed) -> Iterator[Record]:
    say(f"speed score {table.name}")
    models = [fitted(m, table.train, 0) for m in methods]
    compared = table.test[: table.n_compared]
    calls = [lambda m=m, f=f: unusual(m, f, compared) for m, f in zip(methods, models, strict=True)]
    yield from _ratios(methods, in_rounds(calls), table.name, "score")
    alone = in_rounds([lambda: unusual(methods[0], models[0], table.test)])[0]
    rate = len(table.test) / median(alone)
    yield Record("speed", "", table.name, "latently", 0, "rows scored per second", rate)


def _ratios(
    methods: Sequence[Method], times: list[list[float]], dataset: str, what: str
) -> Iterator[Record]:
    for method, seconds in zip(methods[1:], times[1:], strict=True):
        ratio = median(peer / own for peer, own in zip(seconds, times[0], strict=True))
        yield Record("speed", "", dataset, method.title, 0, f"{what} time ratio", ratio)


def _differences_of_refits(method: Method, table: Timed) -> Iterator[Record]:
    train, test = table.train[:FIT_ROWS], table.test[:FIT_ROWS]
    say(f"reproducible {method.title}")
    model = fitted(method, train, 0)
    first = unusual(method, model, test)
    model.fit(train)
    again = unusual(method, model, test)
    anew = unusual(method, fitted(method, train, 0), test)
    for name, other in (("refit", again), ("new object", anew)):
        difference = float(abs(first - other).mean() / abs(first).mean())
        yield Record("speed", "", table.name, method.title, 0, f"{name}: difference", difference)


def matmul_rate() -> float:
    """Return the machine's GFLOP/s for products of float32 matrices, the unit of all speeds."""
    n = 1_024
    A = torch.ones(n, n)
    return 2e-9 * n**3 / median(seconds_of(lambda: A @ A) for _ in range(9))


def report_speed(records: Sequence[Record]) -> None:
    """Print ratios of times, ours in absolute numbers, and what a second fit changes."""
    found = {(r.dataset, r.method, r.measure): r.value for r in records}
    peers = unique(r.method for r in records if r.measure.endswith("ratio"))
    body = [
        _speed_line(found, dataset, peers)
        for dataset in unique(r.dataset for r in records if r.measure == "fit seconds")
    ]
    heads = [f"{peer}: fit, score" for peer in peers]
    print("\n## Speed: a peer's time as a multiple of ours\n")
    print_table(["rows", "ours: fit s (rows)", "ours: scored rows/s", *heads], body)
    print(
        f"\nMedians of {ROUNDS} interleaved rounds. Fits are compared on at most {FIT_ROWS:,} rows,"
    )
    print(
        "scores after a fit to all rows; of the generated table's rows to score, everyone scores a"
    )
    print("fifth for the ratios, and ours all of them for its rate.")
    rate = found["machine", "torch", "GFLOP/s"]
    print(f"The machine multiplies float32 matrices at {rate:.0f} GFLOP/s.")
    _report_reproducible(records)


def _speed_line(
    found: dict[tuple[str, str, str], float], dataset: str, peers: Sequence[str]
) -> list[str]:
    seconds, n_rows, rate = (
        found[dataset, "latently", measure]
        for measure in ("fit seconds", "fit rows", "rows scored per second")
    )
    ratios = [
        f"{found[dataset, p, 'fit time ratio']:.2f}, {found[dataset, p, 'score time ratio']:.2f}"
        for p in peers
    ]
    return [dataset, f"{seconds:.3f} ({n_rows:,.0f})", f"{rate:,.0f}", *ratios]


def _report_reproducible(records: Sequence[Record]) -> None:
    found = {(r.method, r.measure): r.value for r in records if r.measure.endswith("difference")}
    names = ("refit", "new object")
    body = [
        [method, *(_sameness(found[method, f"{name}: difference"]) for name in names)]
        for method in unique(method for method, _ in found)
    ]
    print("\n### Reproducible: scores of two fits with one seed, mean difference / mean score\n")
    print_table(["method", "the same object fitted again", "a new object"], body)


def _sameness(difference: float) -> str:
    return "equal to the bit" if difference == 0 else f"{100 * difference:.2g} %"


def run_images(options: Options) -> Iterator[Record]:
    """Learn one class of images at a time; all others are anomalies."""
    methods = named_methods("latently", "1nn")
    for seed in options.seeds:
        for label, images in enumerate(digits_splits(seed)):
            yield from _judged_images([*methods, CONVOLUTIONAL], "digits", label, images, seed)
    for label, images in enumerate(mnist_splits(options.data, quick=options.quick)):
        for seed in options.seeds:
            # Nearest neighbours have no use for a seed, and are slow here.
            seeded = [m for m in methods if m.ours or seed == options.seeds[0]]
            yield from _judged_images(seeded, "MNIST", label, images, seed)


def _judged_images(
    methods: Sequence[Method], name: str, label: int, images: Split, seed: int
) -> Iterator[Record]:
    for method in methods:
        say(f"images {name} {label} {method.title}")
        train, test = (
            stack if method.ours else stack.reshape(len(stack), -1).astype(np.float64)
            for stack in images[:2]
        )
        scores = unusual(method, fitted(method, train, seed), test)
        auroc = float(roc_auc_score(images.is_anomaly, scores))
        yield Record("images", name, str(label), method.title, seed, "AUROC", auroc)


def report_images(records: Sequence[Record]) -> None:
    """Print, for each collection, the AUROC of each class and the mean."""
    for name in unique(r.setting for r in records):
        here = [r for r in records if r.setting == name]
        methods = unique(r.method for r in here)
        grid = grid_of(here, "AUROC", methods)
        lines = [*zip(unique(r.dataset for r in here), grid, strict=True), ("mean", grid.mean(0))]
        print(f"\n## Images, {name}: AUROC (%) by the class learnt\n")
        body = [[label, *(f"{100 * value:.2f}" for value in values)] for label, values in lines]
        print_table(["class", *methods], body)


def run_alarms(options: Options) -> Iterator[Record]:
    """Count false alarms among rows drawn as known, then among halves of the normals of tables."""
    yield from _simulated(options)
    n_draws, least = (5, 100) if options.quick else (20, MIN_NORMALS)
    for path in list_datasets(options.data, options.datasets):
        X, y = load(path, options.max_rows)
        if (y == 0).sum() < least:
            continue
        say(f"alarms {path.stem}")
        for draw in range(n_draws):
            for measure, value in _counted(X, y, draw, timed=draw == 0):
                yield Record("alarms", "", path.stem, "latently", draw, measure, value)


def _simulated(options: Options) -> Iterator[Record]:
    """Fit to rows of known distributions, and count false alarms by every way to score."""
    sizes = SIMULATED_QUICK if options.quick else SIMULATED
    for name, population in POPULATIONS.items():
        for n_rows, n_draws in sizes.items():
            say(f"alarms {name} {n_rows}")
            for robust in (False, True):
                for draw in range(n_draws):
                    for way, rate in _false_alarms(population, n_rows, draw, robust=robust):
                        yield Record("alarms", name, str(n_rows), way, draw, "simulated", rate)


def _false_alarms(
    population: Population, n_rows: int, draw: int, *, robust: bool
) -> Iterator[tuple[str, float]]:
    """Yield the rate of false alarms of each way to score; nothing where it cannot be resolved."""
    from latently import AnomalyDetector, FalseAlarmRate
    from latently import load as load_model
    from latently.exceptions import DataError

    rng = np.random.default_rng(draw)
    rows, new = population.fitted(rng, n_rows), population.new(rng, SIMULATED_ROWS)
    model = AnomalyDetector(random_state=draw, robust=robust, threshold=FalseAlarmRate(ALARM_RATE))
    try:
        model.fit(rows)
    except DataError:
        return
    if robust:
        yield "robust", float((model.decision_function(new) < 0).mean())
        return
    yield "predict", float((model.decision_function(new) < 0).mean())
    yield "p-values", float((model.p_values(new) <= ALARM_RATE).mean())
    yield "stream", float(model.stream().score_rows(new)[2].mean())
    found = model.discover(new, false_discovery_rate=DISCOVERY_RATE) == -1
    yield "any discovery", float(found.any())
    with TemporaryDirectory() as folder:
        model.save(f"{folder}/model.safetensors")
        loaded = load_model(f"{folder}/model.safetensors")
    yield "loaded", float((loaded.decision_function(new) < 0).mean())
    model.partial_fit(population.new(rng, 300)).partial_fit(population.new(rng, 300))
    yield "partial_fit", float((model.decision_function(new) < 0).mean())


def _report_simulated(records: Sequence[Record]) -> None:
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for record in records:
        ways = found.setdefault((record.setting, record.dataset), {})
        ways.setdefault(record.method, []).append(record.value)
    names = unique(record.method for record in records)
    body = [
        [name, f"{int(n_rows):,}", f"{ALARM_RATE:.0%}", *(_rate(ways.get(n)) for n in names)]
        for (name, n_rows), ways in found.items()
    ]
    print("\n## False alarms by distribution: got, +- twice the standard error\n")
    print_table(["distribution", "n", "asked", *names], body)
    print(f"\nAny discovery: batches of normal rows with one, {DISCOVERY_RATE:.0%} allowed.")


def _rate(values: list[float] | None) -> str:
    if values is None:
        return "-"
    return f"{np.mean(values):.1%} +- {2 * np.std(values) / len(values) ** 0.5:.1%}"


def _counted(
    X: np.ndarray, y: np.ndarray, draw: int, *, timed: bool
) -> Iterator[tuple[str, float]]:
    from latently import AnomalyDetector, FalseAlarmRate

    learnt, held, anomalies = _drawn(X, y, draw)
    detector = AnomalyDetector(random_state=draw, threshold=FalseAlarmRate(ALARM_RATE)).fit(learnt)
    yield "false alarm rate", float((detector.predict(held) == -1).mean())
    batch = np.concatenate([held, anomalies])
    flagged = detector.discover(batch, false_discovery_rate=DISCOVERY_RATE) == -1
    n_false = flagged[: len(held)].sum()
    yield "false discovery rate", float(n_false / max(1, flagged.sum()))
    yield "anomalies discovered", float(flagged[len(held) :].mean())
    if timed:
        yield "stream ms", stream_ms(detector, held[:STREAMED_ROWS])


def _drawn(X: np.ndarray, y: np.ndarray, draw: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two halves of the normals, and a tenth as many anomalies as one of them has rows."""
    rng = np.random.default_rng(draw)
    normals = X[rng.permutation(np.flatnonzero(y == 0))[:MAX_NORMALS]]
    half = len(normals) // 2
    anomalies = X[rng.permutation(np.flatnonzero(y == 1))[: max(1, half // 10)]]
    return normals[:half], normals[half:], anomalies


def stream_ms(detector: Any, rows: np.ndarray) -> float:
    """Return the median milliseconds that one row takes a stream, on one thread."""
    with one_thread():
        stream = detector.stream()
        return 1e3 * median(seconds_of(lambda row=row: stream.score(row)) for row in rows)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def report_alarms(records: Sequence[Record]) -> None:
    """Print the rates that came out beside those asked for."""
    _report_simulated([r for r in records if r.measure == "simulated"])
    records = [r for r in records if r.measure != "simulated"]
    if not records:
        return
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        found.setdefault((record.dataset, record.measure), []).append(record.value)
    body = [_alarm_line(found, dataset) for dataset in unique(r.dataset for r in records)]
    body.append(["mean", *_alarm_means(records)])
    heads = [f"false alarms, {ALARM_RATE:.0%} asked", "least to most"]
    heads += [f"false discoveries, {DISCOVERY_RATE:.0%} allowed", "anomalies discovered"]
    print("\n## False alarms: means over the draws\n")
    print_table(["data set", *heads, "ms a streamed row"], body)
    n_draws = 1 + max(r.seed for r in records)
    print(f"\n{n_draws} draws a data set: fitted to half of its normals (of at most")
    print(f"{MAX_NORMALS:,}), judged on the others; discoveries: and a tenth as many anomalies.")


def _alarm_line(found: dict[tuple[str, str], list[float]], dataset: str) -> list[str]:
    alarms = found[dataset, "false alarm rate"]
    rates = [
        f"{np.mean(found[dataset, measure]):.1%}"
        for measure in ("false alarm rate", "false discovery rate", "anomalies discovered")
    ]
    spread = f"{min(alarms):.1%} to {max(alarms):.1%}"
    return [dataset, rates[0], spread, *rates[1:], f"{found[dataset, 'stream ms'][0]:.2f}"]


def _alarm_means(records: Sequence[Record]) -> list[str]:
    def mean(measure: str) -> float:
        return float(np.mean([r.value for r in records if r.measure == measure]))

    alarms, false, found = map(
        mean, ("false alarm rate", "false discovery rate", "anomalies discovered")
    )
    return [f"{alarms:.1%}", "", f"{false:.1%}", f"{found:.1%}", f"{mean('stream ms'):.2f}"]


RUN: dict[str, tuple[Callable[[Options], Iterator[Record]], Callable[..., None]]] = {
    "scores": (run_scores, report_scores),
    "robust": (run_robust, report_robust),
    "labels": (run_labels, report_labels),
    "speed": (run_speed, report_speed),
    "images": (run_images, report_images),
    "alarms": (run_alarms, report_alarms),
    "drift": (lambda options: run_drift(quick=options.quick), report_drift),
    "stream": (lambda options: run_stream(quick=options.quick), report_stream),
}


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    names = ", ".join(m.name for m in METHODS)
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--data", type=Path, required=True, help="folder with adbench/ and mnist.npz")
    p.add_argument("--part", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    p.add_argument("--setting", default=",".join(SETTINGS), help=f"some of {', '.join(SETTINGS)}")
    p.add_argument("--seeds", default="0,1,2")
    p.add_argument("--max-rows", type=int, default=20_000)
    p.add_argument("--datasets", default="all", help="all, odd, even, or stems and numbers")
    p.add_argument("--methods", default="", help=f"some of {names}; default: those not slow")
    p.add_argument("--groups", default=",".join(GROUPS), help="of sets, in robust and labels")
    p.add_argument("--all", action="store_true", help="the slow peers too: ae, vae, deepsvdd")
    p.add_argument("--quick", action="store_true", help="one seed and few rows: a trial")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    return p


def known(text: str, allowed: Sequence[str], option: str) -> tuple[str, ...]:
    """Return the names in a comma list; refuse unknown ones."""
    names = tuple(filter(None, text.split(",")))
    if unknown := set(names) - set(allowed):
        message = f"{option}: unknown {', '.join(sorted(unknown))}"
        raise SystemExit(f"{message}. Use some of {', '.join(allowed)}.")
    return names


def read_options(given: argparse.Namespace) -> Options:
    """Return what the command line asked for."""
    seeds = tuple(map(int, given.seeds.split(",")))
    return Options(
        data=given.data,
        settings=known(given.setting, SETTINGS, "--setting"),
        seeds=seeds[:1] if given.quick else seeds,
        max_rows=min(given.max_rows, 2_000) if given.quick else given.max_rows,
        datasets=given.datasets,
        methods=known(given.methods, [m.name for m in METHODS], "--methods"),
        groups=known(given.groups, GROUPS, "--groups"),
        every_peer=given.all,
        quick=given.quick,
    )


def main() -> None:
    """Run the parts one after the other and print each one's tables when it is done."""
    given = parser().parse_args()
    options, parts = read_options(given), known(given.part, PARTS, "--part")
    if not list_datasets(options.data, options.datasets):
        raise SystemExit(f"No data sets {options.datasets} in {options.data / 'adbench'}.")
    warnings.filterwarnings("ignore")
    print_machine()
    if given.out is not None:
        given.out.write_text(",".join(Record._fields) + "\n")
    for part in parts:
        run, report = RUN[part]
        if records := list(written(run(options), given.out)):
            report(records)


if __name__ == "__main__":
    main()
