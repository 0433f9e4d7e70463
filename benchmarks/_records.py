"""Figures, the file and the tables they go to, and the clock."""

from __future__ import annotations

import csv
import functools
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

ROUNDS = 3


class Record(NamedTuple):
    """One figure, as the CSV holds it."""

    part: str
    setting: str
    dataset: str
    method: str
    seed: int
    measure: str
    value: float


#: What was measured so far, whatever the part.
_OF_THIS_RUN: list[Record] = []


def say(text: str) -> None:
    """Tell how far the run is, apart from the tables."""
    print(text, file=sys.stderr, flush=True)


def unique(names: Iterable[str]) -> list[str]:
    """Return the names, each once, in their order."""
    return list(dict.fromkeys(names))


def print_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    for line in (heads, ["---"] * len(heads), *body):
        print("| " + " | ".join(line) + " |")


def print_methods(
    records: Sequence[Record],
    title: str,
    statistic: Callable[[Sequence[float]], Any],
    head: str = "method",
) -> None:
    """Print a table of methods x measures, a statistic over data sets and seeds in each cell."""
    measures = unique(r.measure for r in records)
    body = []
    for method in unique(r.method for r in records):
        found = [
            [r.value for r in records if (r.method, r.measure) == (method, measure)]
            for measure in measures
        ]
        body.append([method, *(f"{statistic(values):.4g}" for values in found)])
    print(f"\n## {title}\n")
    print_table([head, *measures], body)


def print_machine() -> None:
    """Print what the figures were measured with."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ("latently", "pyod", "torch", "scikit-learn", "numpy")
    print(f"{platform.machine()}, {cores} cores, {torch.get_num_threads()} torch threads;", end=" ")
    print(", ".join(f"{name} {_version(name)}" for name in packages))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def written(records: Iterator[Record], out: Path | None) -> Iterator[Record]:
    """Pass the records on, each written as soon as it is there: a run may be cut short.

    A file that ends in .json holds one run: date, versions, machine and every figure.
    """
    if out is None:
        yield from records
        return
    if out.suffix == ".json":
        for record in records:
            _OF_THIS_RUN.append(record)
            write_json(_OF_THIS_RUN, out)
            yield record
        return
    with out.open("a", newline="") as file:
        for record in records:
            csv.writer(file).writerow(record)
            file.flush()
            yield record


def write_json(records: Sequence[Record], path: Path) -> None:
    """Write figures with the date, the versions and the machine."""
    names = ("latently", "torch", "numpy", "scikit-learn", "pyod", "pythae", "jax")
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {name: _version(name) for name in names},
        "machine": {
            "processor": platform.machine(), "cores": os.cpu_count(),
            "threads": torch.get_num_threads(), "matmul GFLOP/s": matmul_rate(),
        },
        "figures": [record._asdict() for record in records],
    }  # fmt: skip
    path.write_text(json.dumps(document, indent=2) + "\n")


@functools.cache
def matmul_rate() -> float:
    """Return the billions of operations a second of a product of two matrices of 1,024."""
    a = torch.rand(1_024, 1_024)
    spent = min(in_rounds([lambda: [a @ a for _ in range(5)]])[0])
    return round(5 * 2 * 1_024**3 / spent / 1e9, 1)


def grid_of(records: Sequence[Record], measure: str, methods: Sequence[str]) -> np.ndarray:
    """Return means over the seeds, data sets x methods; nan where a method failed."""
    found: dict[tuple[str, str], list[float]] = {}
    for record in records:
        if record.measure == measure:
            found.setdefault((record.dataset, record.method), []).append(record.value)
    datasets = unique(r.dataset for r in records)
    cells = [[found.get((d, m), [np.nan]) for m in methods] for d in datasets]
    return np.array([[np.mean(values) for values in row] for row in cells])


def in_rounds(calls: Sequence[Callable[[], Any]]) -> list[list[float]]:
    """Return the seconds of each call in each round; rounds share the machine's moods."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for call, seconds in zip(calls, times, strict=True):
            seconds.append(seconds_of(call))
    return times


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the seconds on the wall that one call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
