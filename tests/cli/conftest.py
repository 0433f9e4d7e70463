"""A table, a folder of images, models fitted on them, and a way to run commands."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from latently.cli import app
from latently.io import read, write, write_images

from .data import FAST, NUMBERS, done, table, with_gaps

Run = Callable[..., Result]


def _run(*arguments: object, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def run() -> Run:
    return _run


def make_table(n_rows: int = 60) -> pa.Table:
    """Numbers that belong together, a category, gaps, an id and a label."""
    rng = np.random.default_rng(0)
    size = rng.normal(size=n_rows)
    width = pa.array(size * 2 + rng.normal(scale=0.1, size=n_rows), mask=rng.random(n_rows) < 0.1)
    return pa.table(
        {
            "key": [f"k{place:03d}" for place in range(n_rows)],
            "length": size,
            "width": width,
            "colour": np.where(size > 0, "red", "blue").tolist(),
            "label": [place % 2 for place in range(n_rows)],
        }
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds table.csv, model.safetensors, pictures/ and pictures.safetensors."""
    root = tmp_path_factory.mktemp("cli")
    write(make_table(), root / "table.csv")
    pixels = np.random.default_rng(0).integers(0, 256, (24, 8, 8), dtype=np.uint8)
    write_images(pixels, root / "pictures", [f"scan {place}.png" for place in range(24)])
    columns = ("--id", "key", "--ignore", "label")
    quick = ("--n-components", 2, "--max-epochs", 2, "--quiet")
    fitted = [
        _run("fit", root / "table.csv", "-o", root / "model.safetensors", *columns, *quick),
        _run("fit", root / "pictures", "-o", root / "pictures.safetensors", *quick),
    ]
    assert [result.exit_code for result in fitted] == [0, 0], fitted
    return root


@pytest.fixture(name="table")
def table_file(folder: Path) -> Path:
    return folder / "table.csv"


@pytest.fixture
def model(folder: Path) -> Path:
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds rows.csv, gaps.csv, matrix.npy, images/ and a model of each kind."""
    root = tmp_path_factory.mktemp("shelf")
    write(table(), root / "rows.csv")
    write(with_gaps(table()), root / "gaps.csv")
    np.save(root / "matrix.npy", np.column_stack([table(40)[name].to_numpy() for name in NUMBERS]))
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
    write_images(pixels, root / "images", [f"picture-{place:02}.png" for place in range(12)])
    done("fit", root / "rows.csv", "--id", "id", "-o", root / "model.safetensors", *FAST)
    done("fit", root / "matrix.npy", "-o", root / "matrix.safetensors", *FAST)
    done("fit", root / "images", "-o", root / "images.safetensors", *FAST)
    return root


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Parquet files with 120 rows, and the same rows in one file."""
    root = tmp_path_factory.mktemp("large")
    table = make_table(120)
    (root / "parts").mkdir()
    for place in range(4):
        part = table.slice(30 * place, 30)
        pq.write_table(part, root / "parts" / f"{place}.parquet", row_group_size=11)
    pq.write_table(table, root / "whole.parquet")
    return root


@pytest.fixture(scope="session")
def detector(parts: Path) -> Path:
    from latently import AnomalyDetector, Autoencoder

    columns = read(parts / "whole.parquet").select(["length", "width", "colour"])
    given = Autoencoder(2, max_epochs=2, random_state=0)
    model = AnomalyDetector(autoencoder=given, random_state=0).fit(columns)
    model.save(parts / "detector.safetensors")
    return parts / "detector.safetensors"
