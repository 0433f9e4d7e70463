"""A detector of a small table, and rows for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from latently import AnomalyDetector
from latently.monitoring import FileSource, Watch

HEADER = "id,code,amount\n"


def line(number: int, amount: object = 12.5) -> str:
    """One row of text. An amount of 9,000 is an anomaly."""
    return f"r{number:04d},{number % 9:03d},{amount}\n"


def rows(n_rows: int, first: int = 0, every: int = 3) -> list[str]:
    """Some rows, of which some are anomalies."""
    return [
        line(number, 9_000 + number if number % every == 0 else 10 + number % 7)
        for number in range(first, first + n_rows)
    ]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.exists() else []


def ids(path: Path) -> list[str]:
    return [entry["id"] for entry in read_lines(path)]


@pytest.fixture(scope="session")
def detector() -> AnomalyDetector:
    rng = np.random.default_rng(0)
    codes = [f"{place % 9:03d}" for place in range(200)]
    amounts = np.round(10 + 7 * rng.random(200), 2)
    return AnomalyDetector(random_state=0).fit(pa.table({"code": codes, "amount": amounts}))


@pytest.fixture(scope="session")
def model(detector: AnomalyDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("watch") / "fraud.safetensors"
    detector.save(path)
    return path


Make = Callable[..., Watch]


@pytest.fixture
def watch(detector: AnomalyDetector, tmp_path: Path) -> Make:
    """Return a maker of watches of ``new.csv``, whose clock stands at noon."""

    def make(**changes: Any) -> Watch:
        given = {
            "detector": detector,
            "source": FileSource(tmp_path / "new.csv"),
            "state": tmp_path / "state.json",
            "alerts": tmp_path / "alerts.ndjson",
            "scores": tmp_path / "scores.ndjson",
            "id": "id",
            "clock": lambda: datetime(2026, 1, 1, 12).astimezone(),
            "retry_after": 0.001,
        }
        return Watch(**{**given, **changes})

    return make
