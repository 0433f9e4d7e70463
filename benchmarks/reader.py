"""Delimited text: the processor time that reading it takes, beside pyarrow's reader of CSV.

    OMP_NUM_THREADS=1 python benchmarks/reader.py --out reader.json

A table of numbers and texts is written as plain CSV (``--rows 400000`` makes about 33 MB). Both
readers read it ``--repeats`` times; the figures are the least processor time of each, over all
threads. ``latently`` also checks quotes and encoding, keeps identifiers as text and looks for
other notations of numbers and dates.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from latently.io import read_csv


def make_file(path: Path, n_rows: int, *, quoted: bool) -> None:
    """Write a table of three kinds of numbers, dates and two kinds of text."""
    rng = np.random.default_rng(0)
    days = np.datetime64("2020-01-01") + rng.integers(0, 1500, n_rows)
    table = pa.table(
        {
            "number": np.arange(n_rows),
            "amount": rng.lognormal(3, 1, n_rows).round(2),
            "measure": rng.normal(size=n_rows),
            "share": rng.random(n_rows).round(6),
            "count": rng.integers(0, 1000, n_rows),
            "day": pa.array(days),
            "city": rng.choice(["Oslo", "Bergen", "Rome", "Paris"], n_rows),
            "name": [f"n{row % 50_000:05d}" for row in range(n_rows)],
        }
    )
    style = "needed" if quoted else "none"
    pa_csv.write_csv(table, path, pa_csv.WriteOptions(quoting_style=style))


def least_time(read: Callable[[Path], object], path: Path, repeats: int) -> float:
    """Return the least processor time in seconds."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        read(path)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Make the files, read them, print the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, quoted in (("plain", False), ("quoted", True)):
            path = Path(folder) / f"{name}.csv"
            make_file(path, given.rows, quoted=quoted)
            times = {
                "megabytes": path.stat().st_size / 1e6,
                "pyarrow": least_time(pa_csv.read_csv, path, given.repeats),
                "latently": least_time(read_csv, path, given.repeats),
            }
            found[name] = times | {"ratio": times["latently"] / times["pyarrow"]}
            print(name, " ".join(f"{key} {value:.3f}" for key, value in found[name].items()))
    if given.out:
        given.out.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
