"""Tables larger than memory: how much memory, how fast, beside the same fit in memory.

    OMP_NUM_THREADS=1 python benchmarks/scale.py --gigabytes 10 --out scale.json

A folder of Parquet files of 20 columns made by five causes is written first (``--data`` names
where; it is kept, and used again). ``fit``: each fit runs in a process of its own; memory is its
peak less that of the bare import (torch, pyarrow and latently's own modules). Throughput is rows
trained on a second, two passes and the reading of statistics included, as a share of the fit on
the first 2,000,000 rows read into memory. ``score``: ``latently score`` from Parquet to Parquet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _records import Record, print_machine, print_table, say, unique, written

N_COLUMNS, N_CAUSES, FILE_ROWS, GROUP_ROWS = 20, 5, 500_000, 125_000
MEMORY_ROWS, N_EPOCHS = 2_000_000, 2
_CHILD = """
import json, resource, sys, time
import numpy, torch, pyarrow.dataset, sklearn.base
import latently, latently.estimators, latently.io, latently.cli
import latently.persistence, latently.tasks
from torch.fx.experimental.proxy_tensor import make_fx
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
job = json.loads(sys.argv[1])
bare, start = peak(), time.perf_counter()
if job["do"] == "fit":
    rows = latently.TableDataset(job["data"])
    n_rows = rows.n_rows
    if job["in_memory"]:
        rows = rows.to_table()
        start = time.perf_counter()
    model = latently.Autoencoder(5, max_epochs=job["epochs"], random_state=0).fit(rows)
    passed = n_rows * (job["epochs"] or 1)
    model.save(job["model"], overwrite=True)
else:
    from typer.testing import CliRunner
    n_rows = latently.TableDataset(job["data"]).n_rows
    words = ["score", job["model"], job["data"], "-o", job["out"]]
    answer = CliRunner().invoke(latently.cli.app, words)
    assert answer.exit_code == 0, answer.output
    passed = n_rows
spent = time.perf_counter() - start
print(json.dumps({"gib": (peak() - bare) / 2**30, "rate": passed / spent}))
"""


def make_dataset(folder: Path, n_rows: int) -> Path:
    """Write files of half a million rows until there are enough."""
    folder.mkdir(parents=True, exist_ok=True)
    mixing = np.random.default_rng(0).normal(size=(N_CAUSES, N_COLUMNS))
    for place in range(-(-n_rows // FILE_ROWS)):
        path = folder / f"{place:04d}.parquet"
        if path.exists():
            continue
        say(f"writing {path.name}")
        rng = np.random.default_rng(place + 1)
        causes = rng.normal(size=(FILE_ROWS, N_CAUSES))
        rows = np.tanh(causes @ mixing) + 0.1 * rng.normal(size=(FILE_ROWS, N_COLUMNS))
        columns = {f"x{column}": rows[:, column] for column in range(N_COLUMNS)}
        pq.write_table(pa.table(columns), path, row_group_size=GROUP_ROWS, compression="none")
    return folder


def child(**job: Any) -> dict[str, float]:
    """Run a job in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-c", _CHILD, json.dumps(job)], check=True, capture_output=True, text=True
    )
    answer: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def measure(folder: Path, gigabytes: float) -> Iterator[Record]:
    """Fit and score the whole folder, and fit a part of it in memory and from disk."""
    n_rows = round(gigabytes * 1e9 / (8 * N_COLUMNS))
    whole = make_dataset(folder / "whole", n_rows)
    part = make_dataset(folder / "part", MEMORY_ROWS)
    model = str(folder / "model.safetensors")
    jobs = {
        "fit in memory": {"do": "fit", "data": str(part), "in_memory": True, "epochs": N_EPOCHS},
        "fit from disk": {"do": "fit", "data": str(part), "in_memory": False, "epochs": N_EPOCHS},
        "fit from disk, all rows once": {
            "do": "fit", "data": str(whole), "in_memory": False, "epochs": 1
        },
        "score, all rows": {"do": "score", "data": str(whole), "out": str(folder / "out.parquet")},
    }  # fmt: skip
    base = None
    for name, job in jobs.items():
        say(name)
        (folder / "out.parquet").unlink(missing_ok=True)
        found = child(model=model, **job)
        base = base or found["rate"]
        size = f"{gigabytes:g} GB" if job["data"] == str(whole) else f"{MEMORY_ROWS:,} rows"
        for what, value in (
            ("GiB beside the import", found["gib"]),
            ("rows a second", found["rate"]),
            ("of the fit in memory", found["rate"] / base),
        ):
            yield Record("scale", size, "made", name, 0, what, value)


def main() -> None:
    """Run and print the table."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--data", type=Path, help="folder for the files that are made; kept")
    p.add_argument("--gigabytes", type=float, default=2.0, help="of the whole table in memory")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    args = p.parse_args()
    print_machine()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.data or Path(temporary)
        records = list(written(measure(folder, args.gigabytes), args.out))
    measures = unique(r.measure for r in records)
    values = {(r.method, r.measure): r.value for r in records}
    body = [
        [method, setting, *(f"{values[method, m]:,.4g}" for m in measures)]
        for method, setting in unique((r.method, r.setting) for r in records)
    ]
    print_table(["", "table", *measures], body)


if __name__ == "__main__":
    main()
