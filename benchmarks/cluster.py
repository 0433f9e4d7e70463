"""One worker against two: rows a second, memory of each, and what a step sends.

    OMP_NUM_THREADS=1 python benchmarks/cluster.py --out cluster.json

``fit``: the same training by one process and by two of torchrun on this machine, in turns; rows a
second between the first and the last evaluation, so that neither start nor recording counts, and
the peak of each worker's memory less that of its imports. ``wire``: seconds of a sum over two
workers by the bytes of it, and the line through them: what a message costs, and a byte. ``ray``:
files scored by this process, and by one and two actors of Ray, whose start is told apart.
Two workers need two cores: with fewer, they share one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from _records import Record, print_machine, print_table, say, unique, written

#: Width of the rows, hidden layers, size of the code, rows, batch, epochs; on disk or in memory.
FITS: dict[str, dict[str, Any]] = {
    "10-64-32-4": {"width": 10, "sizes": (64, 32), "code": 4, "rows": 20_000, "batch": 128},
    "100-64-32-8": {"width": 100, "sizes": (64, 32), "code": 8, "rows": 50_000, "batch": 1_024},
    "100-64-32-8, batches of 8,192": {
        "width": 100, "sizes": (64, 32), "code": 8, "rows": 81_920, "batch": 8_192,
    },
    "100-64-32-8, rows on disk": {
        "width": 100, "sizes": (64, 32), "code": 8, "rows": 200_000, "batch": 1_024, "disk": True,
    },
    "784-1000-500-250-30": {
        "width": 784, "sizes": (1000, 500, 250), "code": 30, "rows": 8_192, "batch": 1_024,
    },
}  # fmt: skip
SIZES = (1_000, 10_000, 100_000, 1_000_000, 4_000_000)
N_FILES = 8


def rows_of(width: int, n_rows: int) -> np.ndarray:
    """Return rows that a few causes explain but for noise."""
    rng = np.random.default_rng(0)
    causes = rng.normal(size=(n_rows, min(width, 10)))
    rows = causes @ rng.normal(size=(causes.shape[1], width)) + rng.normal(size=(n_rows, width))
    return rows.astype(np.float32)


def write_rows(folder: Path, width: int, n_rows: int) -> None:
    """Write rows as several Parquet files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(np.array_split(rows_of(width, n_rows), N_FILES)):
        table = pa.table({f"x{place}": part[:, place] for place in range(width)})
        pq.write_table(table, folder / f"{number}.parquet")


# ------------------------------------------------------------------ what each worker does
def child(job: dict[str, Any]) -> None:
    """Do a job as one of the workers, and write down what came of it."""
    found = {"fit": _fit, "wire": _wire}[job["do"]](job)
    rank = int(os.environ.get("RANK", "0"))
    Path(f"{job['out']}-{rank}").write_text(json.dumps(found))


def _fit(job: dict[str, Any]) -> dict[str, float]:

    from latently import Autoencoder, DenseNetwork, TableDataset

    model = Autoencoder(
        job["code"], network=DenseNetwork(job["sizes"]), batch_size=job["batch"],
        max_epochs=job["epochs"], validation_fraction=0.0, patience=None, random_state=0,
    )  # fmt: skip
    rows = TableDataset(job["data"]) if job.get("disk") else rows_of(job["width"], job["rows"])
    bare = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    history = model.fit(rows).history_
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    steps = history.records[-1].step - history.records[0].step
    spent = history.seconds[-1] - history.seconds[0]
    n_weights = sum(weight.numel() for weight in model.module_.parameters())
    rate = steps * job["batch"] / spent
    return {"rate": rate, "mib": (peak - bare) / 1024, "weights": n_weights}


def _wire(job: dict[str, Any]) -> dict[str, list[float]]:
    import torch

    from latently import TorchrunEngine

    workers, found = TorchrunEngine().workers, []
    for size in SIZES:
        gradient, spent = torch.ones(size), []
        for _ in range(30):
            start = time.perf_counter()
            workers.sum_gradients([gradient], torch.ones(()))
            spent.append(time.perf_counter() - start)
        found.append(median(spent[5:]))
    return {"seconds": found}


# ------------------------------------------------------------------ who starts them
def run(job: dict[str, Any], n_workers: int) -> list[dict[str, Any]]:
    """Start workers and return what each of them found."""
    with tempfile.TemporaryDirectory() as folder:
        words = [__file__, "--child", json.dumps({**job, "out": f"{folder}/found"})]
        command = [sys.executable, *words]
        if n_workers > 1 or job["do"] == "wire":
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                port = str(free.getsockname()[1])
            launch = ["-m", "torch.distributed.run", "--nproc-per-node", str(n_workers)]
            command = [sys.executable, *launch, "--master-port", port, *words]
        subprocess.run(command, check=True, capture_output=True)
        paths = sorted(Path(folder).iterdir())
        return [json.loads(path.read_text()) for path in paths]


def fits(args: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """Yield rows a second and memory of one worker and of two."""
    for name, shape in FITS.items():
        if args.only not in name:
            continue
        say(name)
        job = {"do": "fit", **shape, "data": str(folder / name), "epochs": args.epochs}
        if shape.get("disk"):
            job["epochs"] = max(args.epochs // 4, 2)
            write_rows(folder / name, shape["width"], shape["rows"])
        rates: dict[int, list[float]] = {1: [], 2: []}
        memory: dict[int, list[float]] = {1: [], 2: []}
        for _ in range(args.rounds):
            for n_workers in (1, 2):
                found = run(job, n_workers)
                rates[n_workers].append(found[0]["rate"])
                memory[n_workers].append(max(one["mib"] for one in found))
        one, two = (median(rates[n]) for n in (1, 2))
        figures = {
            "weights": found[0]["weights"], "rows a second, one": one, "rows a second, two": two,
            "efficiency": two / (2 * one), "MiB, one": median(memory[1]),
            "MiB, each of two": median(memory[2]),
        }  # fmt: skip
        for what, value in figures.items():
            yield Record("fit", name, "drawn", "torchrun", 0, what, value)


def wire(args: argparse.Namespace) -> Iterator[Record]:
    """Yield what a sum over two workers costs."""
    say("wire")
    times = run({"do": "wire"}, 2)[0]["seconds"]
    n_bytes = 4 * np.array(SIZES)
    # Relative residuals: a line that fits small messages, too.
    weights = 1 / np.array(times)
    design = np.stack([np.ones(len(SIZES)), n_bytes], 1) * weights[:, None]
    message, per_byte = np.linalg.lstsq(design, np.ones(len(SIZES)), rcond=None)[0]
    for size, seconds in zip(n_bytes.tolist(), times, strict=True):
        yield Record("wire", f"{size:,} bytes", "drawn", "gloo", 0, "milliseconds", 1e3 * seconds)
    yield Record("wire", "line", "drawn", "gloo", 0, "microseconds a message", 1e6 * message)
    yield Record("wire", "line", "drawn", "gloo", 0, "GB a second", 1e-9 / per_byte)


def ray(args: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """Yield rows scored a second by this process, and by actors."""
    from latently import Autoencoder, BatchJob, BatchPredictor, RayEngine, TableDataset

    for name, n_rows in (("few", 8), ("many", args.scored)):
        write_rows(folder / name, 20, n_rows)
    many, few = TableDataset(folder / "many"), TableDataset(folder / "few")
    model = folder / "model.safetensors"
    Autoencoder(5, max_epochs=2, random_state=0).fit(many.sample(10_000, 0)).save(model)
    predictor = BatchPredictor(str(model))
    engines = {"this process": None, "one actor": RayEngine(1), "two actors": RayEngine(2)}
    for name, engine in engines.items():
        say(name)
        if engine is not None:
            RayEngine(2).start()
        spent: dict[str, list[float]] = {"few": [], "many": []}
        for number in range(args.rounds):
            for key, rows in (("few", few), ("many", many)):
                target = folder / f"{key}-{name.replace(' ', '-')}-{number}"
                start = time.perf_counter()
                BatchJob(predictor, rows, target).run(engine)
                spent[key].append(time.perf_counter() - start)
        begun, whole = median(spent["few"]), median(spent["many"])
        yield Record("ray", name, "drawn", "score", 0, "seconds to begin", begun)
        rate = args.scored / (whole - begun)
        yield Record("ray", name, "drawn", "score", 0, "rows a second after that", rate)


def measure(args: argparse.Namespace) -> Iterator[Record]:
    """Yield the figures of each part."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if "fit" in args.part:
            yield from fits(args, folder)
        if "wire" in args.part:
            yield from wire(args)
        if "ray" in args.part:
            yield from ray(args, folder)


def main() -> None:
    """Run and print the tables."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--part", default="fit,wire,ray", help="which parts, of fit, wire and ray")
    p.add_argument("--epochs", type=int, default=16)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--only", default="", help="fits whose names hold this")
    p.add_argument("--scored", type=int, default=2_000_000, help="rows that are scored")
    p.add_argument("--out", type=Path, help="CSV to append figures to, or JSON to write them to")
    p.add_argument("--child", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.child:
        child(json.loads(args.child))
        return
    print_machine()
    records = list(written(measure(args), args.out))
    for part in unique(record.part for record in records):
        own = [record for record in records if record.part == part]
        measures = unique(record.measure for record in own)
        values = {(record.setting, record.measure): f"{record.value:.4g}" for record in own}
        settings = unique(record.setting for record in own)
        print(f"\n## {part}\n")
        print_table(
            ["", *measures], [[s, *(values.get((s, m), "") for m in measures)] for s in settings]
        )


if __name__ == "__main__":
    main()
